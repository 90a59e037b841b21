"""`kcert plan`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert import profiles
from kcert.adoption import adopted
from kcert.cli import context
from kcert.cli.options import ReadOptions, takes


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "json", "markdown"], typer.Option("--format", help="How to print it.")
    ] = "table",
) -> None:
    """Every certificate that the cluster needs: names, usages, issuer, files, and how it stands."""
    from kcert.issue.described import require_described
    from kcert.issue.status import status_of
    from kcert.ui import plan

    cluster = context.cluster(looking.config)
    require_described(cluster, looking.dir)
    found = status_of(looking.dir, adopted(looking.dir, profiles.certificates(cluster)))
    option = context.folder_option(looking.dir, looking.config)
    plan.show(cluster, looking.dir, tuple(found.values()), format, option)
