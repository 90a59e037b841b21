"""The pager: what is longer than the terminal is shown with PAGER, or with less."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from kcert import shell
from kcert.errors import ProgramError
from kcert.shell import Command
from kcert.ui.console import screen

if TYPE_CHECKING:
    from collections.abc import Callable


def paged(draw: Callable[[], None]) -> None:
    """Draw on the screen; through the pager where the terminal has too few lines."""
    console = screen()
    if not console.is_terminal:
        draw()
        return
    with console.capture() as capture:
        draw()
    text = capture.get()
    if text.count("\n") < console.height or not sys.stdin.isatty() or not _run_pager(text):
        sys.stdout.write(text)


def _run_pager(text: str) -> bool:
    """Show *text* in the user's pager, or in less; False where there is none that starts."""
    argv = shlex.split(os.environ.get("PAGER", "")) or ["less", "-R"]
    if argv[0] == "less" and "LESS" not in os.environ and "-R" not in argv:
        argv.append("-R")
    if not shell.find(argv[0]):
        return False
    try:
        shell.exec_interactive(Command(tuple(argv)), text.encode())
    except ProgramError:
        return False
    return True
