"""What the doctor found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kcert.errors import VerdictError
from kcert.quoting import quote
from kcert.ui.console import clean_line, draw, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.doctor import EnvOverride, ToolCheck


def show(found: Sequence[ToolCheck], overrides: Sequence[EnvOverride]) -> None:
    """Print every program, and what steers openssl.

    Raises VerdictError where openssl, the only one needed, will not do.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        table.add_row(Text(one.program.name, style="heading"), *_verdict(one))
    draw(table)
    for override in overrides:
        screen().print()
        say(f"{override.name} is set ({quote(override.value)}): {override.effect}. Is that your wish?", "notice")
    openssl = found[0]
    if openssl.trouble:
        raise VerdictError(f"{openssl.program.name}: {openssl.trouble}. Without it {openssl.program.without}.")


def _verdict(one: ToolCheck) -> tuple[Text, Text]:
    if one.path is None:
        return Text("missing", style="bad" if one.trouble else "notice"), Text(
            f"{one.program.used_for}; without it {one.program.without}"
        )
    if one.trouble:
        return Text("unfit", style="bad"), Text(f"{one.path}: {clean_line(one.trouble)}")
    return Text("here", style="good"), Text(f"{clean_line(one.version)}\n{one.path}: {one.program.used_for}")
