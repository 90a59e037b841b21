"""CSV (RFC 4180), for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from kcert.ui.inventory.cells import HEADINGS, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False

_FORMULA = re.compile("(^|[;\t])(?=[\\s\"']*[-=+@\uff1d\uff0b\uff20\uff0d])")
"""A place in front of what begins a formula, also as wide as Chinese characters are."""

_OPTION = re.compile(r"--[a-z][a-z-]*")


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """A heading and a line for each use."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    days = HEADINGS.index("days left")
    for entry in entries:
        cells = row(entry)
        writer.writerow([cell if column == days else harmless(cell) for column, cell in enumerate(cells)])
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """Keep a spreadsheet from running a name as a formula: a certificate may be called ``=HYPERLINK(…)``.

    Where the decimal point is a comma, it begins a new cell behind each semicolon.
    """
    # Options begin with two dashes, and no spreadsheet finds anything to reckon in a lone word.
    return cell if _OPTION.fullmatch(cell) else _FORMULA.sub(r"\1'", cell)
