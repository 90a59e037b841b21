"""xlsx (ECMA-376): filters, a header that stays, expiry as real dates, color by validity.

The sheet is written directly, row by row: it is one table of text, and 20,000 rows take a second.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from xml.sax.saxutils import escape

from kcert.scan.result import Entry, ScanResult, Validity
from kcert.ui.inventory.text import HEADINGS, row
from kcert.ui.report import CREATOR

LONGEST = 32_000  # characters; a cell holds 32,767
_WIDEST = 60  # columns of text
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=timezone.utc)  # day 0 of a date in a cell
_COLORS = {
    Validity.GOOD: "E2F0D9",
    Validity.EXPIRING: "FFE699",
    Validity.EXPIRED: "F4B6B6",
    Validity.NOT_YET: "DDEBF7",
}
_BOLD, _TEXT, _WRAPPED, _DATE = 1, 2, 3, 4  # places among the cell formats below; four dates, then four numbers
_NUMBER = _DATE + len(_COLORS)

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"

_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def spreadsheet(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """A workbook with one sheet."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _parts().items():
            archive.writestr(name, _XML + content)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for piece in _sheet(entries):
                sheet.write(piece.encode())
    return file.getvalue()


def _sheet(entries: Sequence[Entry]) -> Iterator[str]:
    rows = [row(entry) for entry in entries]
    widths = [max([len(heading) + 4, *(len(cells[at]) + 2 for cells in rows)]) for at, heading in enumerate(HEADINGS)]
    columns = "".join(
        f'<col min="{at}" max="{at}" width="{min(width, _WIDEST)}" customWidth="1"/>'
        for at, width in enumerate(widths, 1)
    )
    yield (
        f'{_XML}<worksheet {_MAIN}><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{columns}</cols><sheetData>"
    )
    yield f"<row>{''.join(_text(heading, _BOLD) for heading in HEADINGS)}</row>"
    for entry, cells in zip(entries, rows, strict=True):
        written = (_cell(heading, text, entry) for heading, text in zip(HEADINGS, cells, strict=True))
        yield f"<row>{''.join(written)}</row>"
    yield f'</sheetData><autoFilter ref="A1:{chr(64 + len(HEADINGS))}{len(rows) + 1}"/></worksheet>'


def _cell(heading: str, text: str, entry: Entry) -> str:
    color = list(_COLORS).index(entry.validity)
    if heading == "expires":
        days = (entry.not_after - _DAY_ZERO).total_seconds() / 86400
        return f'<c s="{_DATE + color}"><v>{days!r}</v></c>'
    if heading == "days left":
        return f'<c s="{_NUMBER + color}"><v>{entry.days_left}</v></c>'
    return _text(_fitting(text), _WRAPPED if len(text) > _WIDEST else _TEXT)


def _text(text: str, style: int) -> str:
    """A cell that is text, whatever it begins with: a name with = at its beginning is not a formula."""
    # _x0041_ would be read as an A (ECMA-376, part 1, 22.9.2.19). What XML cannot hold, row() has made visible.
    plain = escape(_ESCAPE.sub("_x005F_", text))
    return f'<c s="{style}" t="inlineStr"><is><t xml:space="preserve">{plain}</t></is></c>'


def _fitting(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} characters more)"


def _parts() -> dict[str, str]:
    """The files of the package besides the sheet."""
    types = {
        "xl/workbook.xml": "officedocument.spreadsheetml.sheet.main",
        "xl/styles.xml": "officedocument.spreadsheetml.styles",
        "xl/worksheets/sheet1.xml": "officedocument.spreadsheetml.worksheet",
        "docProps/core.xml": "package.core-properties",
    }
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="application/vnd.openxmlformats-{kind}+xml"/>'
        for name, kind in types.items()
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{overrides}</Types>",
        "_rels/.rels": _relations(
            (f"{_DOCUMENT}/officeDocument", "xl/workbook.xml"),
            (f"{_PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
        ),
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>{CREATOR}</dc:creator></cp:coreProperties>',
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_DOCUMENT}"><sheets>'
        '<sheet name="Certificates" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(
            (f"{_DOCUMENT}/worksheet", "worksheets/sheet1.xml"), (f"{_DOCUMENT}/styles", "styles.xml")
        ),
        "xl/styles.xml": _styles(),
    }


def _relations(*targets: tuple[str, str]) -> str:
    listed = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _styles() -> str:
    colors = "".join(
        f'<fill><patternFill patternType="solid"><fgColor rgb="FF{color}"/></patternFill></fill>'
        for color in _COLORS.values()
    )
    fills = range(2, 2 + len(_COLORS))  # the first two are the application's own
    plain = '<xf numFmtId="0" fontId="{font}" fillId="0" borderId="0" xfId="0" applyAlignment="1">{alignment}</xf>'
    formats = [
        plain.format(font=0, alignment=""),
        plain.format(font=1, alignment=""),
        plain.format(font=0, alignment='<alignment vertical="top"/>'),
        plain.format(font=0, alignment='<alignment vertical="top" wrapText="1"/>'),
        *(f'<xf numFmtId="164" fontId="0" fillId="{at}" borderId="0" xfId="0" applyNumberFormat="1"/>' for at in fills),
        *(f'<xf numFmtId="0" fontId="0" fillId="{at}" borderId="0" xfId="0" applyFill="1"/>' for at in fills),
    ]
    return (
        f'<styleSheet {_MAIN}><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm"/></numFmts>'
        '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
        '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
        f'<fills count="{2 + len(_COLORS)}"><fill><patternFill patternType="none"/></fill>'
        f'<fill><patternFill patternType="gray125"/></fill>{colors}</fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(formats)}">{"".join(formats)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
