"""xlsx: filters, a header that stays, expiry as real dates, colour by validity."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from kcert.scan.inventory import Validity
from kcert.ui.inventory.cells import HEADINGS, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openpyxl.cell.cell import Cell

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = True

LONGEST = 32_000  # characters; a cell holds 32,767
_WIDEST = 60  # columns of text
_FILLS = {
    Validity.GOOD: "E2F0D9",
    Validity.EXPIRING: "FFE699",
    Validity.EXPIRED: "F4B6B6",
    Validity.NOT_YET: "DDEBF7",
}


def write(entries: Sequence[Entry], survey: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """A workbook with one sheet."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Certificates")
    sheet.freeze_panes = "A2"
    rows = [row(entry) for entry in entries]
    for number, heading in enumerate(HEADINGS):
        widest = max([len(heading) + 4, *(len(cells[number]) + 2 for cells in rows)])
        sheet.column_dimensions[get_column_letter(number + 1)].width = min(widest, _WIDEST)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(HEADINGS))}{len(rows) + 1}"
    sheet.append([_heading(sheet, heading) for heading in HEADINGS])
    fills = {validity: PatternFill("solid", start_color=colour) for validity, colour in _FILLS.items()}
    for entry, cells in zip(entries, rows, strict=True):
        sheet.append([_cell(sheet, heading, text, entry, fills) for heading, text in zip(HEADINGS, cells, strict=True)])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _heading(sheet: Any, heading: str) -> Cell:
    cell = WriteOnlyCell(sheet, value=heading)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, heading: str, text: str, entry: Entry, fills: dict[Validity, PatternFill]) -> Cell:
    if heading == "expires":
        cell = WriteOnlyCell(sheet, value=entry.not_after.replace(tzinfo=None))  # Excel knows no time zones
        cell.number_format = "yyyy-mm-dd hh:mm"
    elif heading == "days left":
        cell = WriteOnlyCell(sheet, value=entry.days_left)
    else:
        cell = WriteOnlyCell(sheet, value=_fitting(text))
        cell.data_type = "s"  # a name that begins with = is a name, not a formula
        cell.alignment = Alignment(vertical="top", wrap_text=len(text) > _WIDEST)
    if heading in ("expires", "days left"):
        cell.fill = fills[entry.validity]
    return cell


def _fitting(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} characters more)"
