"""The formats of the inventory, each a function that returns the bytes of a file, and the columns that they share.

xlsx (ECMA-376) has filters, a header that stays, expiry as real dates, and color by validity. The sheet is written
directly, row by row: it is one table of text, and 20,000 rows take a second.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from html import escape as escape_html
from json import dumps

from kcert.certificates import Kind
from kcert.files import filled_file
from kcert.openssl.x509 import listed
from kcert.scan import Entry, Problem, ScanResult, Validity
from kcert.ui.console import clean_line, counted, in_columns
from kcert.ui.report import PAGES, comma_separated, markdown_table, page, rows_of

COLUMNS: dict[str, Callable[[Entry], str]] = {
    "component": lambda entry: entry.use.component or "",
    "type": lambda entry: entry.use.kind.value,
    "path": lambda entry: entry.path,
    "CN": lambda entry: entry.cn,
    "SANs": lambda entry: listed(entry.sans),
    "organizations": lambda entry: listed(entry.certificate.subject.organizations),
    "issuer": lambda entry: entry.issuer,
    "expires": lambda entry: f"{entry.certificate.not_after:%Y-%m-%d}",
    "days left": lambda entry: str(entry.days_left),
    "key file": lambda entry: str(entry.use.key_path or ""),
    "option": lambda entry: entry.use.option or "",
    "named in": lambda entry: str(entry.use.source or ""),
}
"""The columns of the course's spreadsheet, and where each use is named."""


def label(entry: Entry) -> str:
    """Return the label of a certificate in a drawing: its CN, or its whole name."""
    return clean_line(entry.cn or str(entry.certificate.subject) or "(no name)")


def described(problem: Problem) -> str:
    """Return what is wrong with a file, as a sentence."""
    named = f" (named by {problem.option} in {problem.source})" if problem.option else ""
    return f"{clean_line(str(problem.path))} {clean_line(problem.reason)}{clean_line(named)}."


def short(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a line for each use: for whom, what kind, until when, where."""
    return in_columns(rows_of(entries, COLUMNS, ("component", "type", "expires", "days left", "path"), "-")).encode()


def csv(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return CSV: a heading and a line for each use."""
    return comma_separated(rows_of(entries, COLUMNS)).encode()


def markdown(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a Markdown table."""
    return markdown_table(rows_of(entries, COLUMNS)).encode()


def json(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a JSON list with an object for each use; ``dumps`` escapes whatever a terminal would act upon."""
    if not entries:
        return b"[]\n"
    # One object at a time: all of them as Python's objects would take several times the memory of the text.
    objects = (dumps(record(entry), indent=2).replace("\n", "\n  ") for entry in entries)
    return ("[\n  " + ",\n  ".join(objects) + "\n]\n").encode()


def record(entry: Entry) -> dict[str, object]:
    """Return the JSON object of a use, its fields in the order of the manual."""
    use, certificate = entry.use, entry.certificate
    return {
        "component": use.component,
        "kind": use.kind.value,
        "path": entry.path,
        "option": use.option,
        "source": str(use.source) if use.source else None,
        "subject": str(certificate.subject),
        "cn": certificate.subject.common_name,
        "organizations": list(certificate.subject.organizations),
        "sans": list(entry.sans),
        "san": list(entry.sans),  # its name until the next release
        "issuer": entry.issuer,
        "not_before": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": entry.days_left,
        "ca": certificate.ca is True,
        "issuer_path": str(use.issuer_path) if use.issuer_path else None,
        "key_path": str(use.key_path) if use.key_path else None,
        "serial": certificate.serial,
        "sha256": certificate.sha256,
    }


def prometheus(entries: Sequence[Entry], scan: ScanResult) -> bytes:
    """Return the start and expiry of each certificate, and the number of files that cannot be read.

    For the text-file collector of the node exporter.
    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    series = {_labels(entry): entry for entry in entries}  # a series may occur only once
    lines: list[str] = []
    for field, meaning in (("not_after", "expires"), ("not_before", "becomes valid")):
        name = f"kcert_certificate_{field}_timestamp_seconds"
        lines += [f"# HELP {name} When the certificate {meaning}.", f"# TYPE {name} gauge"]
        lines += [
            f"{name}{{{labels}}} {int(getattr(entry.certificate, field).timestamp())}"
            for labels, entry in series.items()
        ]
    lines += [
        "# HELP kcert_problems Files that are missing or cannot be read.",
        "# TYPE kcert_problems gauge",
        f"kcert_problems {len(scan.problems)}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _labels(entry: Entry) -> str:
    fields = record(entry)
    names = ("component", "kind", "cn", "issuer", "path", "option", "source", "serial")
    values = (clean_line(str(fields[name] or "")).replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))


def tree(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return each CA with what it signed below it; last, what a CA signed that was not found."""
    uses: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        uses[entry.certificate.sha256].append(entry)
    signed: dict[str, list[str]] = defaultdict(list)
    roots: list[str] = []
    foreign: dict[str, list[str]] = defaultdict(list)
    for sha256, (entry, *_) in uses.items():
        if entry.issuer_sha256 in uses:
            signed[entry.issuer_sha256 or ""].append(sha256)
        elif entry.use.kind is Kind.CA:
            roots.append(sha256)
        else:
            foreign[clean_line(entry.issuer)].append(sha256)
    lines: list[str] = []
    for root in roots:
        lines += _branch(root, uses, signed)
    for issuer, certificates in foreign.items():
        lines.append(f"{issuer} (this CA was not found)")
        lines += _leaves(certificates, uses, signed)
    return "".join(f"{line}\n" for line in lines).encode()


def _branch(sha256: str, uses: dict[str, list[Entry]], signed: dict[str, list[str]]) -> Iterator[str]:
    yield from _described(uses[sha256])
    yield from _leaves(signed.get(sha256, []), uses, signed)


def _leaves(certificates: list[str], uses: dict[str, list[Entry]], signed: dict[str, list[str]]) -> Iterator[str]:
    for sha256 in certificates:
        elbow, stem = ("└── ", "    ") if sha256 == certificates[-1] else ("├── ", "│   ")
        first, *others = _branch(sha256, uses, signed)
        yield elbow + first
        yield from (stem + line for line in others)


def _described(uses: list[Entry]) -> Iterator[str]:
    first = uses[0]
    count = counted(first.whole_days, "day")
    left = f"expired {count} ago" if first.days_left < 0 else f"{count} left"
    yield f"{label(first)} ({first.use.kind.value}), until {first.certificate.not_after:%Y-%m-%d}, {left}"
    for entry in uses:
        for_whom = " ".join(part for part in (entry.use.component, entry.use.option) if part)
        yield f"    {clean_line(entry.path)}" + (f"  [{clean_line(for_whom)}]" if for_whom else "")


MOST_NAMES = 20  # more are folded away


def html(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """The page; every value in it is escaped, and its policy lets nothing be loaded from elsewhere."""
    headings = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape_html(name)}</button></th>' for name in COLUMNS
    )
    rows = "\n".join(map(_page_row, entries))
    body = filled_file(PAGES / "inventory.html", count=str(len(entries)), headings=headings, rows=rows)
    return page("Certificates of a cluster", "inventory", body, filled_file(PAGES / "inventory.js")).encode()


def _page_row(entry: Entry) -> str:
    cells = {name: escape_html(clean_line(cell(entry))) for name, cell in COLUMNS.items()}
    for name in ("path", "key file", "named in"):
        cells[name] = cells[name].replace("/", "/<wbr>")  # a path is best broken where its folders end
    cells["SANs"] = _one_a_line(entry.sans)
    cells["organizations"] = _one_a_line(entry.certificate.subject.organizations)
    cells["expires"] = f'<time datetime="{entry.certificate.not_after:%Y-%m-%dT%H:%M:%SZ}">{cells["expires"]}</time>'
    columns = "".join(f"<td>{cell}</td>" for cell in cells.values())
    return f'<tr class="{entry.validity.value.replace(" ", "-")}">{columns}</tr>'


def _one_a_line(names: Sequence[str]) -> str:
    lines = "<br>".join(escape_html(clean_line(name)) for name in names)
    return lines if len(names) <= MOST_NAMES else f"<details><summary>{len(names)} names</summary>{lines}</details>"


_WORKBOOK = PAGES / "xlsx"
"""The files of a workbook besides the sheet."""

_SHEET = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews>'
    '<sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    "</sheetView></sheetViews>"
)

LONGEST_CELL = 32_000  # characters; a cell holds 32,767
_WIDEST = 60  # columns of text
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=timezone.utc)  # day 0 of a date in a cell
_STATES = list(Validity)
_BOLD, _TEXT, _WRAPPED, _DATE = 1, 2, 3, 4  # cell formats of styles.xml: a date for each state, then a number for each
_NUMBER = _DATE + len(_STATES)

_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def xlsx(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a workbook with one sheet."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(path for path in _WORKBOOK.rglob("*") if path.is_file()):
            archive.writestr(str(part.relative_to(_WORKBOOK)), part.read_bytes())
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for piece in _sheet(entries):
                sheet.write(piece.encode())
    return file.getvalue()


def _sheet(entries: Sequence[Entry]) -> Iterator[str]:
    headings, *rows = rows_of(entries, COLUMNS)
    widths = [max([len(heading) + 4, *(len(cells[at]) + 2 for cells in rows)]) for at, heading in enumerate(headings)]
    columns = "".join(
        f'<col min="{at}" max="{at}" width="{min(width, _WIDEST)}" customWidth="1"/>'
        for at, width in enumerate(widths, 1)
    )
    yield f"{_SHEET}<cols>{columns}</cols><sheetData>"
    yield f"<row>{''.join(_text(heading, _BOLD) for heading in headings)}</row>"
    for entry, cells in zip(entries, rows, strict=True):
        written = (_cell(heading, text, entry) for heading, text in zip(headings, cells, strict=True))
        yield f"<row>{''.join(written)}</row>"
    yield f'</sheetData><autoFilter ref="A1:{chr(64 + len(headings))}{len(rows) + 1}"/></worksheet>'


def _cell(heading: str, text: str, entry: Entry) -> str:
    color = _STATES.index(entry.validity)
    if heading == "expires":
        days = (entry.certificate.not_after - _DAY_ZERO).total_seconds() / 86400
        return f'<c s="{_DATE + color}"><v>{days!r}</v></c>'
    if heading == "days left":
        return f'<c s="{_NUMBER + color}"><v>{entry.days_left}</v></c>'
    style = _WRAPPED if len(text) > _WIDEST else _TEXT
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]} … ({len(text) - LONGEST_CELL} characters more)"
    return _text(text, style)


def _text(text: str, style: int) -> str:
    """Return a cell that is text, whatever it begins with: a name with = at its beginning is not a formula."""
    # _x0041_ would be read as an A (ECMA-376, part 1, 22.9.2.19). What XML cannot hold, rows_of() has made visible.
    plain = escape_html(_ESCAPE.sub("_x005F_", text))
    return f'<c s="{style}" t="inlineStr"><is><t xml:space="preserve">{plain}</t></is></c>'
