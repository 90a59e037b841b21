"""HTML: one page that needs nothing else, to sort and to filter without a network."""

from __future__ import annotations

import html
from collections.abc import Sequence

from kcert.scan.result import Entry, ScanResult
from kcert.ui.console import clean_line
from kcert.ui.inventory.text import HEADINGS, row
from kcert.ui.report import page

MANY_NAMES = 20  # more are folded away


def web_page(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """The page; every value in it is escaped, and its policy lets nothing be loaded from elsewhere."""
    headings = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{html.escape(heading)}</button></th>'
        for heading in HEADINGS
    )
    rows = "\n".join(_row(entry) for entry in entries)
    body = _BODY.format(count=len(entries), headings=headings, rows=rows)
    return page("Certificates of a cluster", _STYLE, body, _SCRIPT).encode()


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


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #6b6b6b; --hover: #8882; }
:root { --good: #1a7f37; --soon: #8a5a00; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --quiet: #a0a0a0; --good: #3fb950; --soon: #e3b341; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { font: 13.5px/1.45 system-ui, sans-serif; margin: 0; padding: 1.5rem 1.5rem .5rem; }
body { height: 100vh; display: flex; flex-direction: column; align-items: start; }
h1 { font-size: 1.35rem; margin: 0 0 .75rem; }
p { color: var(--quiet); margin: .5rem 0 1rem; }
input { font: inherit; padding: .4rem .6rem; width: min(32rem, 90vw); }
input { border: 1px solid var(--line); border-radius: .4rem; }
.scroll { overflow: auto; flex: 1; min-height: 16rem; width: 100%; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
td:nth-child(-n+2), td:nth-child(8) { overflow-wrap: normal; }
td:nth-child(8) { white-space: nowrap; }
td:nth-child(3), td:nth-child(4), td:nth-child(10) { min-width: 9.5rem; }
td:nth-child(5) { min-width: 11rem; }
td:nth-child(6), td:nth-child(7) { min-width: 7rem; }
td:nth-child(11) { white-space: nowrap; }
td:nth-child(12) { min-width: 14rem; }
th { position: sticky; top: 0; background: Canvas; white-space: nowrap; }
th button { font: inherit; font-weight: 600; border: 0; background: none; color: inherit; padding: 0; cursor: pointer; }
th[aria-sort="ascending"] button::after { content: " \\25B2"; }
th[aria-sort="descending"] button::after { content: " \\25BC"; }
tbody tr:hover { background: var(--hover); }
td:nth-child(9) { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; }
tr.valid td:nth-child(9) { color: var(--good); }
tr.expiring td:nth-child(9) { color: var(--soon); }
tr.expired td:nth-child(9), tr.not-yet-valid td:nth-child(9) { color: var(--bad); }
td:nth-child(3), td:nth-child(10), td:nth-child(12) { font-family: ui-monospace, monospace; font-size: .88em; }
@media print { input, p { display: none; } body { display: block; height: auto; } .scroll { overflow: visible; } }
"""

_SCRIPT = """
"use strict";
const body = document.querySelector("tbody");
const rows = Array.from(body.rows);
const filter = document.querySelector("input");
const count = document.querySelector("output");
const headings = Array.from(document.querySelectorAll("th"));
const NUMBER = 8;
let sorted = -1, descending = false;

function shown() {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let visible = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    if (!row.hidden) visible += 1;
  }
  count.textContent = visible === rows.length ? String(rows.length) : visible + " of " + rows.length;
}

function order(column, down) {
  sorted = column;
  descending = down;
  const value = row => column === NUMBER
    ? Number(row.cells[column].textContent)
    : row.cells[column].textContent.toLowerCase();
  const keyed = rows.map((row, place) => [value(row), place, row]);
  keyed.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : one[1] - other[1]) * (down ? -1 : 1));
  body.append(...keyed.map(entry => entry[2]));
  headings.forEach((heading, number) => heading.setAttribute(
    "aria-sort", number === column ? (down ? "descending" : "ascending") : "none"));
}

function remember() {
  const state = new URLSearchParams();
  if (filter.value) state.set("filter", filter.value);
  if (sorted >= 0) state.set("sort", (descending ? "-" : "") + headings[sorted].textContent);
  history.replaceState(null, "", state.size ? "#" + state : location.pathname + location.search);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  filter.value = state.get("filter") || "";
  const wanted = state.get("sort") || "";
  const column = headings.findIndex(heading => heading.textContent === wanted.replace(/^-/, ""));
  if (column >= 0) order(column, wanted.startsWith("-"));
  shown();
}

filter.addEventListener("input", () => { shown(); remember(); });
headings.forEach((heading, number) => heading.firstElementChild.addEventListener("click", () => {
  order(number, sorted === number && !descending);
  remember();
}));
addEventListener("hashchange", restore);
restore();
"""

_BODY = """<h1>Certificates: <output>{count}</output></h1>
<input type="search" placeholder="Filter: words that all have to occur" aria-label="Filter" autocomplete="off">
<p>A click on a heading sorts, a second one turns the order round. The address of the page keeps both.</p>
<div class="scroll">
<table>
<thead><tr>{headings}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>"""
