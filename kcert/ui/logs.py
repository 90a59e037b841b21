"""Which command prints a log, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert.ui.console import clean_line, command_line, say, screen

if TYPE_CHECKING:
    from kcert.logs import CertificateInstance, Wanted


def announce(wanted: Wanted, found: CertificateInstance) -> None:
    """Say which command comes and why, before it prints anything itself."""
    for asked in found.asked:
        say("Which one is it?")
        screen().print()
        command_line(asked.argv)
        screen().print()
    say(f"The log of {wanted.component}, with {found.command.argv[0]}: {clean_line(found.why)}.")
    screen().print()
    command_line(found.command.argv)
    screen().print()
    sys.stdout.flush()  # what the program prints does not go through kcert, and must not come first
