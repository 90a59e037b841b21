"""`kcert apiserver`."""

from __future__ import annotations

from kcert.cli import chapters
from kcert.cli.options import Chapter, takes


@takes(Chapter)
def command(making: Chapter) -> None:
    """Make the API server's own certificate, and those with which it dials etcd and the kubelets."""
    chapters.chapter(making, "apiserver")
