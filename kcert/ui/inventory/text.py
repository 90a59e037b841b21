"""The formats of the inventory that are text, and what all formats share: the columns and the cells."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from kcert.files import filled_file
from kcert.openssl.x509 import listed
from kcert.scan.result import Entry, Problem, ScanResult
from kcert.ui.console import clean_line, counted, in_columns
from kcert.ui.report import PAGES, page

HEADINGS = (
    "component",
    "type",
    "path",
    "CN",
    "SANs",
    "organizations",
    "issuer",
    "expires",
    "days left",
    "key file",
    "option",
    "named in",
)
"""The columns of the course's spreadsheet, and where each use is named."""


def row(entry: Entry) -> tuple[str, ...]:
    """The cells under HEADINGS, with nothing in them that a terminal or a line would trip over."""
    cells = (
        entry.component or "",
        entry.kind,
        entry.path,
        entry.cn or "",
        listed(entry.san),
        listed(entry.organizations),
        entry.issuer,
        f"{entry.not_after:%Y-%m-%d}",
        str(entry.days_left),
        entry.key_path or "",
        entry.option or "",
        entry.source or "",
    )
    return tuple(clean_line(cell) for cell in cells)


def label(entry: Entry) -> str:
    """Return the label of a certificate in a drawing: its CN, or its whole name."""
    return clean_line(entry.cn or entry.subject or "(no name)")


def described(problem: Problem) -> str:
    """Return what is wrong with a file, as a sentence."""
    named = f" (named by {problem.option} in {problem.source})" if problem.option else ""
    return f"{clean_line(str(problem.path))} {clean_line(problem.reason)}{clean_line(named)}."


def short(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a line for each use: for whom, what kind, until when, where."""
    columns = [HEADINGS.index(name) for name in ("component", "type", "expires", "days left", "path")]
    rows = [HEADINGS, *(tuple(cell or "-" for cell in row(entry)) for entry in entries)]
    return in_columns([tuple(cells[column] for column in columns) for cells in rows]).encode()


_FORMULA = re.compile("(^|[;\t])(?=[\\s\"']*[-=+@\uff1d\uff0b\uff20\uff0d])")
"""A place in front of what begins a formula, also as wide as Chinese characters are."""

_OPTION = re.compile(r"--[a-z][a-z-]*")


def comma_separated(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return CSV (RFC 4180): a heading and a line for each use."""
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


_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def markdown(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a Markdown table, for a wiki or an issue."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(tuple(map(_literal, row(entry))) for entry in entries)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).encode()


def _literal(cell: str) -> str:
    """*cell* so that Markdown shows it and does not obey it."""
    return _SPECIAL.sub(r"\\\1", html.escape(cell, quote=False))


def records(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return a JSON list with an object for each use; ``json`` escapes whatever a terminal would act upon."""
    if not entries:
        return b"[]\n"
    # One object at a time: all of them as Python's objects would take several times the memory of the text.
    objects = (json.dumps(record(entry), indent=2).replace("\n", "\n  ") for entry in entries)
    return ("[\n  " + ",\n  ".join(objects) + "\n]\n").encode()


def record(entry: Entry) -> dict[str, object]:
    """Return the JSON object of a use, its fields in the order of the manual."""
    return {
        "component": entry.component,
        "kind": entry.kind,
        "path": entry.path,
        "option": entry.option,
        "source": entry.source,
        "subject": entry.subject,
        "cn": entry.cn,
        "organizations": list(entry.organizations),
        "sans": list(entry.san),
        "san": list(entry.san),  # its name until the next release
        "issuer": entry.issuer,
        "not_before": f"{entry.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{entry.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": entry.days_left,
        "ca": entry.ca,
        "issuer_path": entry.issuer_path,
        "key_path": entry.key_path,
        "serial": entry.serial,
        "sha256": entry.sha256,
    }


def prometheus(entries: Sequence[Entry], scan: ScanResult) -> bytes:
    """Return the start and expiry of each certificate, and the number of files that cannot be read.

    For the text-file collector of the node exporter.
    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    series = {_labels(entry): entry for entry in entries}  # a series may occur only once
    lines = [
        *_metric("not_after_timestamp_seconds", "When the certificate expires."),
        *(_sample("not_after_timestamp_seconds", labels, entry.not_after) for labels, entry in series.items()),
        *_metric("not_before_timestamp_seconds", "When the certificate becomes valid."),
        *(_sample("not_before_timestamp_seconds", labels, entry.not_before) for labels, entry in series.items()),
        "# HELP kcert_problems Files that are missing or cannot be read.",
        "# TYPE kcert_problems gauge",
        f"kcert_problems {len(scan.problems)}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _metric(name: str, meaning: str) -> tuple[str, str]:
    return f"# HELP kcert_certificate_{name} {meaning}", f"# TYPE kcert_certificate_{name} gauge"


def _sample(name: str, labels: str, moment: datetime) -> str:
    return f"kcert_certificate_{name}{{{labels}}} {int(moment.timestamp())}"


def _labels(entry: Entry) -> str:
    named = {
        "component": entry.component or "",
        "kind": entry.kind,
        "cn": entry.cn or "",
        "issuer": entry.issuer,
        "path": entry.path,
        "option": entry.option or "",
        "source": entry.source or "",
        "serial": entry.serial,
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in named.items())


def _escaped(value: str) -> str:
    return clean_line(value).replace("\\", "\\\\").replace('"', '\\"')


def tree(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Return each CA with what it signed below it; last, what a CA signed that was not found."""
    uses: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        uses[entry.sha256].append(entry)
    signed: dict[str, list[str]] = defaultdict(list)
    roots: list[str] = []
    foreign: dict[str, list[str]] = defaultdict(list)
    for sha256, (entry, *_) in uses.items():
        if entry.issuer_sha256 in uses:
            signed[entry.issuer_sha256 or ""].append(sha256)
        elif entry.kind == "ca":
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
    for number, sha256 in enumerate(certificates):
        last = number == len(certificates) - 1
        for index, line in enumerate(_branch(sha256, uses, signed)):
            elbow = "└── " if last else "├── "
            stem = "    " if last else "│   "
            yield (elbow if index == 0 else stem) + line


def _described(uses: list[Entry]) -> Iterator[str]:
    first = uses[0]
    yield f"{label(first)} ({first.kind}), until {first.not_after:%Y-%m-%d}, {_left(first)}"
    for use in uses:
        for_whom = " ".join(part for part in (use.component, use.option) if part)
        yield f"    {clean_line(use.path)}" + (f"  [{clean_line(for_whom)}]" if for_whom else "")


def _left(entry: Entry) -> str:
    count = counted(entry.whole_days, "day")
    return f"expired {count} ago" if entry.days_left < 0 else f"{count} left"


MOST_NAMES = 20  # more are folded away


def web_page(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """The page; every value in it is escaped, and its policy lets nothing be loaded from elsewhere."""
    headings = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{html.escape(heading)}</button></th>'
        for heading in HEADINGS
    )
    rows = "\n".join(_page_row(entry) for entry in entries)
    body = filled_file(PAGES / "inventory.html", count=str(len(entries)), headings=headings, rows=rows)
    return page("Certificates of a cluster", "inventory", body, filled_file(PAGES / "inventory.js")).encode()


def _page_row(entry: Entry) -> str:
    cells = []
    for heading, text in zip(HEADINGS, row(entry), strict=True):
        shown = html.escape(text)
        if heading in ("path", "key file", "named in"):
            shown = shown.replace("/", "/<wbr>")  # a path is best broken where its folders end
        if heading == "SANs":
            shown = _one_a_line(entry.san)
        if heading == "organizations":
            shown = _one_a_line(entry.organizations)
        if heading == "expires":
            shown = f'<time datetime="{entry.not_after:%Y-%m-%dT%H:%M:%SZ}">{shown}</time>'
        cells.append(f"<td>{shown}</td>")
    return f'<tr class="{entry.validity.value.replace(" ", "-")}">{"".join(cells)}</tr>'


def _one_a_line(names: Sequence[str]) -> str:
    lines = "<br>".join(html.escape(clean_line(name)) for name in names)
    return lines if len(names) <= MOST_NAMES else f"<details><summary>{len(names)} names</summary>{lines}</details>"
