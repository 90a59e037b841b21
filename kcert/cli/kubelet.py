"""`kcert kubelet`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert import profiles
from kcert.cli import chapters
from kcert.cli.options import Chapter, takes


@takes(Chapter)
def command(
    making: Chapter,
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="The nodes; without any, all.")] = None,
) -> None:
    """Make the certificates of the kubelets."""
    cluster = chapters.cluster(making.config)
    known = profiles.certificates(cluster)
    chapters.order(making, "kubelet", cluster, known, profiles.kubelets(known, nodes or ()))
