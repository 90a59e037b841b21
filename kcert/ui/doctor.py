"""What the doctor found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kcert.errors import VerdictError
from kcert.quoting import quote
from kcert.ui import print_json
from kcert.ui.console import clean_line, draw, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.doctor import EnvOverride, ToolCheck


def show(tools: Sequence[ToolCheck], overrides: Sequence[EnvOverride], form: str) -> None:
    """Print every program, and the variables that change what openssl does."""
    if form == "json":
        _json(tools, overrides)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for tool in tools:
        table.add_row(Text(tool.program.name, style="heading"), *_verdict(tool))
    draw(table)
    for override in overrides:
        screen().print()
        say(f"{override.name} is set ({quote(override.value)}): {override.effect}. Is this intended?", "notice")


def _json(tools: Sequence[ToolCheck], overrides: Sequence[EnvOverride]) -> None:
    programs = [
        {
            "name": tool.program.name,
            "state": "unfit" if tool.trouble and tool.path else "missing" if tool.path is None else "ok",
            "path": tool.path,
            "version": tool.version or None,
            "used_for": tool.program.used_for,
            "without": tool.program.without,
            "reason": tool.trouble,
        }
        for tool in tools
    ]
    variables = [{"name": one.name, "value": one.value, "effect": one.effect} for one in overrides]
    print_json({"programs": programs, "environment": variables})


def require_openssl(tools: Sequence[ToolCheck]) -> None:
    """Raise VerdictError if openssl, the only required program, is missing or unfit."""
    openssl = tools[0]
    if openssl.trouble:
        raise VerdictError(f"{openssl.program.name}: {openssl.trouble}. Without it {openssl.program.without}.")


def _verdict(one: ToolCheck) -> tuple[Text, Text]:
    if one.path is None:
        return Text("missing", style="bad" if one.trouble else "notice"), Text(
            f"{one.program.used_for}; without it {one.program.without}"
        )
    if one.trouble:
        return Text("unfit", style="bad"), Text(f"{one.path}: {clean_line(one.trouble)}")
    return Text("found", style="good"), Text(f"{clean_line(one.version)}\n{one.path}: {one.program.used_for}")
