"""`kcert history`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert.cli.options import DEFAULT_FOLDER, Folder


def command(
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002 - the option's name
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "sh", "markdown", "html", "json"], typer.Option("--format", help="How to print it.")
    ] = "table",
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that nothing in the record was changed; status 1 if it was.")
    ] = False,
) -> None:
    """What was run in a PKI folder, command by command."""
    from kcert.store import OWN_FOLDER
    from kcert.store.history import entries
    from kcert.store.history import verify as check
    from kcert.ui import history

    if verify:
        history.verified(check(dir / OWN_FOLDER))
    else:
        history.show(dir, entries(dir / OWN_FOLDER), format)
