"""Commands on the screen as they run, for what is not a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.ui.console import block, clean, clean_line, command_line, error_screen, say

if TYPE_CHECKING:
    from kcert.shell import Outcome


class OutputOfCommands:
    """Shows each command before it runs, and what it printed; without *explain* neither."""

    def __init__(self, *, explain: bool) -> None:
        self._explain = explain

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        say(
            f"Another kcert is at work in this folder: {clean_line(holder)}. Waiting for it to finish.",
            "notice",
            to=error_screen(),
        )

    def before(self, argv: tuple[str, ...]) -> None:
        """Show the command."""
        if self._explain:
            command_line(argv)

    def after(self, outcome: Outcome) -> None:
        """Show what it printed."""
        if self._explain or not outcome.succeeded:
            block(clean(outcome.output).splitlines(), "said", "| ")
