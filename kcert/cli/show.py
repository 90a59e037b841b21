"""`kcert show`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kcert.cli.options import DEFAULT_FOLDER, Explain, Force, Output, Program, ResultFormat
from kcert.errors import InputError
from kcert.quoting import format_command


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

    _suggest_path(what)
    description = describe(what, program.openssl(openssl))
    with written_to(output, force=force):
        if format == "json":
            show.as_json(description, explain=explain)
        else:
            show.show(description, text=text, explain=explain)
    if description.fault:
        raise VerdictError(f"{description.fault}.")


def _suggest_path(what: str) -> None:
    """Raise InputError with the path for the name of a certificate in the PKI folder, or of its file."""
    folder = Path(os.environ.get("KCERT_DIR") or DEFAULT_FOLDER)
    if "/" in what or os.path.lexists(what):
        return
    for path in (folder / what, folder / f"{what}.crt", folder / f"{what}.kubeconfig"):
        if path.is_file():
            raise InputError(
                f"{what} does not exist. For {path}, run `{format_command(('kcert', 'show', str(path)))}`."
            )
