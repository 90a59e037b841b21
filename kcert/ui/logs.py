"""The command that prints a log, and the reason for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert.ui.console import clean_line, command_line, say, screen

if TYPE_CHECKING:
    from kcert.logs import LogRequest, LogSource


def announce(request: LogRequest, source: LogSource) -> None:
    """Say which command comes and why, before it prints anything itself."""
    for asked in source.asked:
        say("Which one is it?")
        screen().print()
        command_line(asked.argv)
        screen().print()
    say(f"The log of {request.component}, with {source.command.argv[0]}: {clean_line(source.why)}.")
    screen().print()
    command_line(source.command.argv)
    screen().print()
    sys.stdout.flush()  # what the program prints does not go through kcert, and must not come first
