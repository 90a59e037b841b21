"""The picture in README.md: a real run of kcert on a terminal with colours, drawn by rich.

``make picture`` (``python -m tests.picture``) draws it again; ``tests/test_picture.py`` says when that is due.
"""

from __future__ import annotations

import html
import io
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tests.running import REPOSITORY, Kcert
from tests.terminal import on_terminal

PICTURE = REPOSITORY / ".github/lesson.svg"
"""It is where a repository keeps what serves its page alone; kcert itself has no use for it."""

COMMAND = ("client", "admin")
COLUMNS = 100

ADVANCE = 12.2
"""How far one character is from the next: rich draws letters 20 units high and 0.61 times as wide."""

FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- A run of kcert, drawn by rich: make picture -->
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich's own, but in the reader's typeface: rich's is fetched from elsewhere, which a picture in a page may not."""


def lesson() -> str:
    """Return what kcert prints of one certificate, from its head to its check, with the colours of a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        kcert = Kcert(Path(folder))
        kcert.done("ca", "--quiet")
        printed = on_terminal(kcert, *COMMAND, columns=COLUMNS).text.replace("\r\n", "\n")
    found = re.search(r"^\S*\[1/1\].*(?=^\S*Created\S*$)", printed, re.MULTILINE | re.DOTALL)
    assert found, printed
    return found[0].rstrip()


def plain(printed: str) -> list[str]:
    """The lines of what was printed, without colours."""
    return [line.plain.rstrip() for line in Text.from_ansi(printed).split("\n", allow_blank=True)]


def draw(printed: str) -> str:
    """The picture of what was printed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(printed))
    return console.export_svg(
        title=f"kcert {' '.join(COMMAND)}", theme=SVG_EXPORT_THEME, code_format=FORMAT, unique_id="kcert"
    )


def read(picture: str) -> list[str]:
    """The lines that a picture shows, its pieces put together as an eye does it: by row, and from left to right."""
    rows: dict[int, str] = defaultdict(str)
    pieces = re.findall(r'<text [^>]*? x="([\d.]+)" [^>]*?-line-(\d+)\)">([^<]*)</text>', picture)
    for x, row, piece in sorted(((float(x), int(row), piece) for x, row, piece in pieces)):
        rows[row] = rows[row].ljust(round(x / ADVANCE)) + html.unescape(piece).replace("\xa0", " ")
    return [rows[row].rstrip() for row in range(max(rows, default=-1) + 1)]


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(lesson()), encoding="utf-8")
    sys.stdout.write(f"{PICTURE.relative_to(REPOSITORY)}: drawn\n")
