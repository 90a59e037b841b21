"""`kcert service-account`."""

from __future__ import annotations

from kcert.cli import chapters
from kcert.cli.options import Chapter, takes


@takes(Chapter)
def command(making: Chapter) -> None:
    """Make the key pair with which service accounts' tokens are signed and checked."""
    chapters.chapter(making, "service-account")
