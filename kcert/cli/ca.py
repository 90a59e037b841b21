"""`kcert ca`."""

from __future__ import annotations

from kcert.cli import chapters
from kcert.cli.options import Making, takes


@takes(Making)
def command(making: Making) -> None:
    """Make the certificate authority, which everyone in the cluster trusts."""
    chapters.chapter(making, "ca")
