"""Reports: rows, Markdown and pages, of which they are made, and files that replace nothing but an older report.

A page is self-contained: nothing in it is loaded from elsewhere.
"""

from __future__ import annotations

import html
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kcert import lessons
from kcert.errors import InputError
from kcert.files import filled_file, open_at_once
from kcert.quoting import quote
from kcert.ui.console import clean_line

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.table import Table

    from kcert.store.atomic import Written

PAGES = Path(__file__).parent / "pages"
"""The folder of frames, styles and scripts of pages."""

BOOK = "The certificates of a Kubernetes cluster"
"""The title of all lessons together."""

GENERATOR = '<meta name="generator" content="kcert">'
"""The mark by which kcert knows a page of its own again."""


def page(title: str, style: str, body: str, script: str = "") -> str:
    """Return a whole page with the style sheet *style*.

    *title* is plain text; *body* is HTML, in which every foreign value was escaped.
    """
    return filled_file(
        PAGES / "page.html",
        generator=GENERATOR,
        policy="default-src 'none'; style-src 'unsafe-inline'" + ("; script-src 'unsafe-inline'" if script else ""),
        title=html.escape(title),
        style=filled_file(PAGES / f"{style}.css"),
        body=body,
        script=f"<script>\n{script}</script>\n" if script else "",
    )


def html_of(markdown: str, rules: Mapping[str, Callable[[Token], str]]) -> str:
    """Return the HTML of *markdown*, in which no HTML means anything; *rules* make the elements of some tokens."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in rules.items():
        parser.add_render_rule(name, lambda _self, tokens, at, *_, rule=rule: rule(tokens[at]))
    return str(parser.render(markdown)).strip()


def document(title: str, markdown: str) -> str:
    """Return a document as a page."""

    def block(token: Token) -> str:
        language = f' class="{token.info}"' if token.info else ""
        return f"<pre{language}>{html.escape(token.content.rstrip())}</pre>\n"

    return page(title, "document", html_of(markdown, {"fence": block, "code_block": block}))


_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def literal(text: str) -> str:
    """Return *text* on one line that Markdown shows and does not obey."""
    return _SPECIAL.sub(r"\\\1", html.escape(clean_line(text), quote=False))


def code(text: str) -> str:
    """Return *text* as Markdown's code within a line."""
    text = clean_line(text)
    ticks = _ticks(text)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def fenced(text: str, language: str) -> tuple[str, ...]:
    """Return *text* as a block of Markdown's code, whatever it contains, below an empty line."""
    ticks = _ticks(text, 3)
    return "", f"{ticks}{language}", text, ticks


def _ticks(text: str, least: int = 1) -> str:
    return "`" * max(least, *(len(run) + 1 for run in re.findall("`+", text)), 0)


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
    from rich.table import Table

    lines = Table.grid(padding=(0, gap, 0, 0))
    lines.add_column(style="quiet", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, value in pairs:
        if value:
            lines.add_row(label, value)
    return lines


_HARMLESS = re.compile(r"--[a-z][a-z-]*|-?\d+")
"""An option or a number: it begins as formulas do, and no spreadsheet finds anything to calculate in it."""

_FORMULA = re.compile("(^|[;\t])(?=[\\s\"']*[-=+@\uff1d\uff0b\uff20\uff0d])")
"""A place in front of what begins a formula, also as wide as Chinese characters are."""


def comma_separated(rows: Sequence[tuple[str, ...]], ending: str = "\r\n") -> str:
    """Return CSV (RFC 4180) that no spreadsheet runs as a formula: a certificate may be called ``=HYPERLINK(…)``.

    Where the decimal point is a comma, a formula begins a new cell behind each semicolon.
    """
    import csv

    text = StringIO()
    writer = csv.writer(text, lineterminator=ending)
    for row in rows:
        writer.writerow([cell if _HARMLESS.fullmatch(cell) else _FORMULA.sub(r"\1'", cell) for cell in row])
    return text.getvalue()


def markdown_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table, for a wiki or an issue; Markdown shows the cells and does not obey them."""
    cells = [tuple(map(literal, row)) for row in rows]
    cells.insert(1, ("---",) * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


CREATOR = "kcert"
"""The author in the properties of a spreadsheet, by which kcert knows its own again."""

_HEAD = 64 * 1024
"""Bytes at the beginning of a file that say whose it is."""

_REPORT = re.compile(
    r"[^\n]*\), \w+ \d{4}-\d\d-\d\d, |[^\n]* \(this CA was not found\)\n|flowchart LR(\n +c0\[|\n?$)"
    r"|component +type +path|component,type,path,|\| component \| type \|"
    r'|\[\]\n?$|\[\s*\{\s*"(component|lines)":|# HELP kcert_'
    r'|\{\s*"checked": \d+,\s*"findings":|\{\s*"what": "[^\n]*",\s*"parts":|\[\s*\{\s*"time": "[^\n]*",\s*"argv":'
    r'|\[\s*\{\s*"name": "[^\n]*",\s*"state": "(missing|current|stale|expiring|expired)",'
    r"|<svg [^\n]*>\n<!-- kcert -->"
    r"|\d+ certificates? checked"
    r"|1\. (?:[^\n]+\n)+\nLine \d+|(No errors|Nothing) about certificates or access in "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d+\.\d\d s\n"
    r"|[^\n]*\n-+\n\n    openssl "
)
"""The beginnings of the reports that are text, whatever they found: inventory, check, diagnose, history, show, plan."""


def _write(path: Path, content: bytes, *, force: bool) -> Written:
    """Write a report, in place of an older report.

    A file that begins like this report (see ``_beginning``) may be another program's: it is replaced too, and a copy
    is kept beside it. With *force* that is so for any file. Raises InputError for another file without *force*.
    """
    from kcert.store.atomic import write_file  # most reports go to the screen

    beginning = _beginning(content)

    def may_be(before: bytes) -> bool:
        is_page = before.startswith(b"<!doctype html>")  # kcert marks its own
        return b"-----BEGIN" not in before and not is_page and _beginning(before) == beginning

    if not force and path.is_file():
        with open_at_once(path) as file:
            head = file.read(_HEAD)
        if not (_is_report(path, head) or may_be(head)):
            raise InputError(
                f"{path} exists and is not a report of kcert. Specify another file, or use --force to replace it and "
                f"keep a copy as {quote(path.name)}.TIME."
            )
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o666 & ~_umask()
    return write_file(path, content, mode, may_replace=lambda before: _is_report(path, before[:_HEAD]))


def _is_report(path: Path, head: bytes) -> bool:
    """Return True for an empty file, and for one whose beginning, *head*, only a report of kcert has."""
    if b"-----BEGIN" in head:
        return False
    if head.startswith(b"PK"):
        return _is_spreadsheet(path)
    text = head.decode(errors="replace")
    return not text or GENERATOR in text or bool(_REPORT.match(text)) or _first_line(text) in _headings()


def _headings() -> set[str]:
    """Return the first lines that lessons can have."""
    chapters = lessons.by_chapter()
    return {"Lessons", BOOK, *chapters, *(lesson.title for members in chapters.values() for lesson in members)}


def written_record(written: Written) -> dict[str, object]:
    """Return a file that was written as JSON has it."""
    return {
        "path": str(written.path),
        "changed": written.changed,
        "backup": str(written.backup) if written.backup else None,
    }


@contextmanager
def written_to(output: Path | None, *, force: bool) -> Iterator[None]:
    """Write to the file *output* what is printed meanwhile on standard output; None and ``-`` leave it there."""
    if output is None or str(output) == "-":
        yield
        return
    content = BytesIO()
    stream = TextIOWrapper(content, encoding="utf-8", newline="", write_through=True)
    with redirect_stdout(stream):
        yield
    written = _write(output, content.getvalue(), force=force)
    sys.stdout.write(f"    -> {clean_line(str(written.path))}\n")
    if written.backup:
        sys.stdout.write(f"The previous file is {clean_line(str(written.backup))}.\n")


def _beginning(content: bytes) -> str:
    """Return the first key of JSON, or the first line of any other text."""
    text = content[:_HEAD].decode(errors="replace")
    key = re.match(r'[\[{\s]*"(\w+)":', text)
    return f"JSON with {key[1]}" if key else _first_line(text)


def _first_line(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ")


def _is_spreadsheet(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive, archive.open("docProps/core.xml") as properties:
            return f"creator>{CREATOR}<".encode() in properties.read(_HEAD)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
