"""`kcert plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert import profiles
from kcert.cli import context
from kcert.cli.options import Force, ReadOptions, takes
from kcert.issue.adopt import detect_files
from kcert.issue.status import State


@takes(ReadOptions)
def command(
    options: ReadOptions,
    *,
    format: Annotated[
        Literal["text", "table", "json", "markdown"], typer.Option("--format", help="Print the plan in this format.")
    ] = "text",
    wide: Annotated[
        bool, typer.Option("--wide", help="Print subjects, issuers, files and SANs as well; also -o wide.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="wide|FILE", help="Print as --wide does, or write to this file; - is the screen."
        ),
    ] = None,
    force: Force = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if a certificate is missing, stale or expired.")
    ] = False,
) -> None:
    """List every certificate that the cluster needs: its state, its expiry, and why it is not current."""
    from kcert.issue.adopt import require_described, unmanaged
    from kcert.issue.status import status_of
    from kcert.store import OWN_FOLDER
    from kcert.store.history import recall
    from kcert.ui import plan
    from kcert.ui.report import written_to

    context.require_folder_path(options.dir)
    cluster = context.cluster(options.config)
    require_described(cluster, options.dir)
    known = profiles.certificates(cluster)
    known += unmanaged(options.dir, cluster, known, ())
    found = tuple(status_of(options.dir, detect_files(options.dir, known)).values())
    option = context.folder_option(options.dir, options.config)
    wide = wide or output == "wide"
    file = Path(output) if output not in {None, "wide"} else None
    with written_to(file, force=force):
        plan.show(cluster, options.dir, found, format, option, wide, recall(options.dir / OWN_FOLDER))
    if strict and any(status.state not in (State.CURRENT, State.EXPIRING) for status in found):
        raise typer.Exit(1)
