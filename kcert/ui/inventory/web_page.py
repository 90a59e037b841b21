"""HTML: one page that needs nothing else, to sort and to filter without a network."""

from __future__ import annotations

import html
from collections.abc import Sequence

from kcert.files import filled_file
from kcert.scan.result import Entry, ScanResult
from kcert.ui.console import clean_line
from kcert.ui.inventory.text import HEADINGS, row
from kcert.ui.report import PAGES, page

MANY_NAMES = 20  # more are folded away


def web_page(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """The page; every value in it is escaped, and its policy lets nothing be loaded from elsewhere."""
    headings = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{html.escape(heading)}</button></th>'
        for heading in HEADINGS
    )
    rows = "\n".join(_row(entry) for entry in entries)
    body = filled_file(PAGES / "inventory.html", count=str(len(entries)), headings=headings, rows=rows)
    return page("Certificates of a cluster", "inventory", body, filled_file(PAGES / "inventory.js")).encode()


def _row(entry: Entry) -> str:
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
    return lines if len(names) <= MANY_NAMES else f"<details><summary>{len(names)} names</summary>{lines}</details>"
