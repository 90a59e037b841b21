"""`kcert call`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert.cli import context
from kcert.cli.options import ReadOptions, takes


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    path: Annotated[str, typer.Argument(metavar="PATH", help="What to read: /version, /api/v1/namespaces …")],
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Whose certificate to show: admin, a component, a node, a user.")
    ],
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="The server to call.", show_default="as in NAME's kubeconfig"),
    ] = None,
    explain: Annotated[bool, typer.Option(help="Say what happens.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer, and nothing else.")] = False,
) -> None:
    """Call the API with curl and a certificate, and explain what went wrong, if anything did.

    Status 1: the server answered, but not with what was asked for (401, 403, 404 …). Status 3: no answer came.
    """
    from kcert.kubernetes import call
    from kcert.ui import call as view

    asked = call.call(context.folder(looking), name, path, server)
    if not quiet:
        view.show(asked, explain=explain)
    view.answered(asked, call.run(asked), quiet=quiet)
