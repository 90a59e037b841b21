"""`kcert etcd`."""

from __future__ import annotations

from kcert.cli import chapters
from kcert.cli.options import Chapter, takes


@takes(Chapter)
def command(making: Chapter) -> None:
    """Make the certificates of etcd: its server's, and its peers' where it has several members."""
    chapters.chapter(making, "etcd")
