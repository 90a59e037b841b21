"""`kcert ca`."""

from __future__ import annotations

from kcert.cli import chapters
from kcert.cli.options import MakingAuthorities, takes


@takes(MakingAuthorities)
def command(making: MakingAuthorities) -> None:
    """Make the certificate authority, which everyone in the cluster trusts."""
    chapters.chapter(making, "ca")
