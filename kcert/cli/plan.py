"""`kcert plan`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert import profiles
from kcert.cli import chapters
from kcert.cli.options import Looking, takes


@takes(Looking)
def command(
    looking: Looking,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "json", "markdown"], typer.Option("--format", help="How to print it.")
    ] = "table",
) -> None:
    """Every certificate that the cluster needs: names, usages, issuer, files, and how it stands."""
    from kcert.openssl.program import openssl
    from kcert.state import standings
    from kcert.view import plan

    cluster = chapters.cluster(looking.config)
    found = standings(looking.dir, profiles.certificates(cluster), openssl(looking.openssl))
    plan.show(cluster, looking.dir, tuple(found.values()), format)
