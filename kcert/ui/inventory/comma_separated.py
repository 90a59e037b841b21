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

_FORMULA = ("=", "+", "@", "-", "\uff1d", "\uff0b", "\uff20", "\uff0d")  # as wide as Chinese characters too
_OPTION = re.compile(r"--[a-z][a-z-]*")


def write(entries: Sequence[Entry], survey: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """A heading and a line for each use."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    days = HEADINGS.index("days left")
    for entry in entries:
        cells = row(entry)
        writer.writerow([cell if column == days else _harmless(cell) for column, cell in enumerate(cells)])
    return text.getvalue().encode()


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from running a name as a formula: a certificate may be called ``=HYPERLINK(…)``."""
    # Options begin with two dashes, and no spreadsheet finds anything to reckon in a lone word.
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) and not _OPTION.fullmatch(cell) else cell
