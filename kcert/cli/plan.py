"""`kcert plan`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert import profiles
from kcert.cli import context
from kcert.cli.options import ReadOptions, takes
from kcert.issue.adopt import detect_files
from kcert.issue.status import State


@takes(ReadOptions)
def command(
    options: ReadOptions,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "json", "markdown"], typer.Option("--format", help="How to print it.")
    ] = "table",
    wide: Annotated[
        bool, typer.Option("--wide", help="Print subjects, issuers, files and SANs as well; also -o wide.")
    ] = False,
    output: Annotated[Literal["wide"] | None, typer.Option("--output", "-o", help="Print as --wide does.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 1 where one is missing, stale or expired.")
    ] = False,
) -> None:
    """Print every certificate that the cluster needs: its state, when it expires, and why it is not current."""
    from kcert.issue.adopt import require_described, unmanaged
    from kcert.issue.status import status_of
    from kcert.store import OWN_FOLDER
    from kcert.store.memory import recall
    from kcert.ui import plan

    context.require_folder_path(options.dir)
    cluster = context.cluster(options.config)
    require_described(cluster, options.dir)
    known = profiles.certificates(cluster)
    known += unmanaged(options.dir, cluster, known, ())
    found = tuple(status_of(options.dir, detect_files(options.dir, known)).values())
    option = context.folder_option(options.dir, options.config)
    plan.show(cluster, options.dir, found, format, option, wide or output == "wide", recall(options.dir / OWN_FOLDER))
    if strict and any(status.state not in (State.CURRENT, State.EXPIRING) for status in found):
        raise typer.Exit(1)
