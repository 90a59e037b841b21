"""`kcert show`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert.cli.options import Program


def command(
    *,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="A certificate, key, request, kubeconfig or Secret, or HOST:PORT of a server."
        ),
    ],
    text: Annotated[
        bool, typer.Option("--text", help="Print openssl's own output as well, with a note on each line.")
    ] = False,
    explain: Annotated[bool, typer.Option(help="Say what each field means for Kubernetes.")] = True,
    openssl: Program = "openssl",
) -> None:
    """One certificate, key, request, kubeconfig or running server: field by field, and what each means."""
    from kcert.errors import VerdictError
    from kcert.openssl import program
    from kcert.scan.describe import describe
    from kcert.ui import show

    description = describe(what, program.openssl(openssl))
    show.show(description, text=text, explain=explain)
    if description.fault:
        raise VerdictError(f"{description.fault}.")
