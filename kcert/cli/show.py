"""`kcert show`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert.cli.options import Explain, Force, Output, Program, ResultFormat


def command(
    *,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="Show this certificate, key, request, kubeconfig or Secret, or the server at HOST:PORT.",
        ),
    ],
    text: Annotated[
        bool, typer.Option("--text", help="Print the output of openssl as well, with a note on each line.")
    ] = False,
    explain: Explain = True,
    format: ResultFormat = "text",
    output: Output = None,
    force: Force = False,
    openssl: Program = "openssl",
) -> None:
    """Show a certificate, key, request, kubeconfig or running server, field by field, with the meaning of each."""
    from kcert.errors import VerdictError
    from kcert.openssl import program
    from kcert.scan.describe import describe
    from kcert.ui import show
    from kcert.ui.report import written_to

    description = describe(what, program.openssl(openssl))
    with written_to(output, force=force):
        if format == "json":
            show.as_json(description, explain=explain)
        else:
            show.show(description, text=text, explain=explain)
    if description.fault:
        raise VerdictError(f"{description.fault}.")
