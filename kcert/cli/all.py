"""`kcert all`."""

from __future__ import annotations

from kcert import profiles
from kcert.cli import chapters
from kcert.cli.options import MakingAuthorities, takes


@takes(MakingAuthorities)
def command(making: MakingAuthorities) -> None:
    """Make every certificate that the cluster needs and does not have yet."""
    cluster = chapters.cluster(making.config)
    known = profiles.certificates(cluster)
    chapters.order(making, "all", cluster, known, known)
