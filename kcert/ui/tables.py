"""Tables: rows of cells, the first of which is the heading, made of columns that are described once."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from rich.table import Table

from kcert.ui.console import clean_line, screen
from kcert.ui.report import literal

Item = TypeVar("Item")


def rows_of(
    items: Iterable[Item], columns: Mapping[str, Callable[[Item], str]], headings: Iterable[str] = (), empty: str = ""
) -> list[tuple[str, ...]]:
    """Return a heading and a row for each of *items*: all of *columns*, or those under *headings*, in that order.

    A cell without content is *empty*.
    """
    shown = tuple(headings) or tuple(columns)
    return [shown, *(tuple(clean_line(columns[name](item)) or empty for name in shown) for item in items)]


def facts(pairs: Iterable[tuple[str, str]], gap: int) -> Table:
    """Return a line for each pair of a label and a value that is not empty, *gap* blanks between the two."""
    lines = Table.grid(padding=(0, gap, 0, 0))
    lines.add_column(style="quiet", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, value in pairs:
        if value:
            lines.add_row(label, value)
    return lines


def print_grid(lines: Table) -> None:
    """Print lines that are folded in a pipe as well, without the blanks that fill the last column."""
    with screen().capture() as captured:
        screen().print(lines)
    for line in captured.get().splitlines():
        screen().file.write(f"{line.rstrip()}\n")


_HARMLESS = re.compile(r"--[a-z][a-z-]*|-?\d+")
"""An option or a number: it begins as formulas do, and no spreadsheet finds anything to calculate in it."""

_FORMULA = re.compile("(^|[;\t])(?=[\\s\"']*[-=+@\uff1d\uff0b\uff20\uff0d])")
"""A place in front of what begins a formula, also as wide as Chinese characters are."""


def comma_separated(rows: Sequence[tuple[str, ...]], ending: str = "\r\n") -> str:
    """Return CSV (RFC 4180) that no spreadsheet runs as a formula: a certificate may be called ``=HYPERLINK(…)``.

    Where the decimal point is a comma, a formula begins a new cell behind each semicolon.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=ending)
    for row in rows:
        writer.writerow([cell if _HARMLESS.fullmatch(cell) else _FORMULA.sub(r"\1'", cell) for cell in row])
    return text.getvalue()


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table, for a wiki or an issue; Markdown shows the cells and does not obey them."""
    cells = [tuple(map(literal, row)) for row in rows]
    cells.insert(1, ("---",) * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)
