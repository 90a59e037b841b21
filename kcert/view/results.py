"""What came of an order: a table of what was made, and a word on what was not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from kcert import lessons
from kcert.state import State
from kcert.view.console import heading, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.making import Made
    from kcert.state import Standing


def show_made(made: Sequence[Made]) -> None:
    """A table of what is in place now: for whom, until when, in which files."""
    if not made:
        return
    heading("Made" if len(made) == 1 else f"Made: {len(made)} certificates")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="heading")
    table.add_column("certificate", overflow="fold")
    table.add_column("what it is", overflow="fold")
    table.add_column("valid until", no_wrap=True)
    for one in made:
        certificate = one.procedure.certificate
        until = f"{one.found.not_after:%Y-%m-%d}" if one.found else "(a key pair)"
        table.add_row(str(certificate.files.proof), lessons.lesson(certificate.role).title, until)
    screen().print(table)
    screen().print()


def show_kept(kept: Sequence[Standing], folder_option: str) -> None:
    """What was there already: a line where all is well, and a line each for what is not."""
    current = [one.certificate.name for one in kept if one.state is State.CURRENT]
    if current:
        say(f"Kept as they are, because they are current: {', '.join(current)}.")
    for one in kept:
        if one.state is not State.CURRENT:
            name = one.certificate.name
            say(
                f"{name} is {one.state.value}: {one.reason}. Left alone; `kcert renew {name}{folder_option}` renews it.",
                "notice",
            )
    if kept:
        screen().print()
