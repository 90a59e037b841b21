"""`kcert call`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert.cli import completion, context
from kcert.cli.options import Explain, Quiet, ReadOptions, takes


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Get this path: /version, /api/v1/namespaces …")],
    name: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NAME",
            help="Present the certificate of admin, a component, a node or a user.",
            autocompletion=completion.clients,
        ),
    ],
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Call this server.", show_default="as in NAME's kubeconfig"),
    ] = None,
    explain: Explain = True,
    quiet: Quiet = False,
) -> None:
    """Call the API with curl and a certificate, and explain a failure.

    Exit status 1: the server responded with an error (401, 403, 404 …). Exit status 3: the server did not respond.
    """
    from kcert.kubernetes import call
    from kcert.ui import call as view

    asked = call.call(context.read_context(looking, "call"), name, path, server)
    if not quiet:
        view.show(asked, explain=explain)
    view.answered(asked, call.run(asked), quiet=quiet)
