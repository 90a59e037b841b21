"""`kcert client`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert import profiles
from kcert.cli import chapters
from kcert.cli.options import Chapter, takes


@takes(Chapter)
def command(
    making: Chapter,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="admin, kube-scheduler, kube-controller-manager, kube-proxy, or anybody else; without a name, "
            "all clients that the cluster needs.",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", metavar="GROUP", help="A group of the user (an O of the subject); repeatable."),
    ] = None,
) -> None:
    """Make client certificates: for the components by their names, for people with their groups."""
    from kcert.issue.newcomers import as_they_are

    cluster = chapters.cluster(making.config)
    known, wanted = profiles.clients(cluster, names or (), tuple(groups or ()))
    option = chapters.folder_option(making.dir, making.config)
    there = as_they_are(making.dir, cluster, wanted, tuple(groups or ()), option=option)
    known, wanted = (tuple(there.get(one.name, one) for one in some) for some in (known, wanted))
    chapters.order(making, "client", cluster, known, wanted)
