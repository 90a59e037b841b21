"""SVG: which component presents which certificate to which, for a browser, a slide or a page.

Each server has a box on the right, and each of its clients a box on the left. Between them is an arrow for each
direction, with the certificates that are presented in it. Source: https://www.w3.org/TR/SVG11/
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.cells import cell_len

from kcert.ui.console import clean_line
from kcert.ui.inventory.connections import connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult
    from kcert.ui.inventory.connections import Certificates, ServerConnections

BINARY = False

_CHARACTER, _LINE = 7.3, 17
"""Width of a character and height of a line, in pixels; the width of each text is given, whatever the font."""

_BOX, _MARGIN, _PADDING = 210, 20, 12
_MOST_CERTIFICATES, _LONGEST = 9, 64
"""Certificates on one arrow, and characters of one."""

_COLORS = ("#0b4f8a", "#8a4b08", "#4a6b1f", "#7a2f6f", "#8a1f1f", "#1f6b66")
"""A color for each CA, dark enough for text on white."""

_STYLE = """\
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1a1a1a; }
.name { font-weight: bold; text-anchor: middle; }
.on { text-anchor: middle; }
rect { fill: #f5f5f2; stroke: #1a1a1a; }
.every { stroke-dasharray: 4 3; }
.page { fill: #fff; stroke: none; }
path { stroke: #1a1a1a; fill: none; }
.head { fill: #1a1a1a; stroke: none; }
"""


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """Draw what is presented to whom."""
    servers = connections(entries)
    drawing = _Drawing(_colors(servers), _width(servers))
    for server in servers:
        drawing.server(server)
    drawing.legend()
    width, height = drawing.width, drawing.y + _MARGIN
    head = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'role="img" aria-label="Which component presents which certificate to which">'
        ),
        "<!-- kcert -->",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    )
    return "".join(f"{line}\n" for line in (*head, *drawing.lines, "</svg>")).encode()


def _colors(servers: Sequence[ServerConnections]) -> dict[str, str]:
    issuers = dict.fromkeys(
        certificates.issuer
        for server in servers
        for listed in (server.presents, *server.clients.values())
        for certificates in listed
    )
    return {issuer: _COLORS[number % len(_COLORS)] for number, issuer in enumerate(issuers)}


def _width(servers: Sequence[ServerConnections]) -> int:
    """Return the width of an arrow: that of the longest text on one."""
    texts = (
        text
        for server in servers
        for listed in (server.presents, *server.clients.values())
        for text, _issuer in _texts(listed)
    )
    return max((round(cell_len(text) * _CHARACTER) for text in texts), default=200) + 60


def _texts(listed: Sequence[Certificates]) -> list[tuple[str, str]]:
    """Return a line for each certificate on an arrow, with its CA."""
    lines = []
    for certificates in listed:
        first = clean_line(PurePath(certificates.files[0]).name)
        files = first if len(certificates.files) == 1 else f"{len(certificates.files)} files"
        lines.append((f"{_short(certificates.name)} ({_short(files)})", certificates.issuer))
    if len(lines) > _MOST_CERTIFICATES:
        more = len(lines) - _MOST_CERTIFICATES + 1
        lines[_MOST_CERTIFICATES - 1 :] = [(f"and {more} more", "")]
    return lines


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}...{text[-17:]}"


@dataclass
class _Drawing:
    """The lines of the picture so far; ``y`` is where the next row begins, ``arrow`` how long an arrow is."""

    colors: dict[str, str]
    arrow: int
    lines: list[str] = field(default_factory=list)
    y: int = _MARGIN

    @property
    def left(self) -> int:
        return _MARGIN + _BOX

    @property
    def right(self) -> int:
        return self.left + self.arrow

    @property
    def width(self) -> int:
        return self.right + _BOX + _MARGIN

    def server(self, server: ServerConnections) -> None:
        """Draw a server with its clients, and what it presents to all of them."""
        top = self.y
        for client, listed in server.clients.items():
            self._row(client, _texts(listed), to_server=True)
        if server.presents:
            self._row("every client", _texts(server.presents), to_server=False)
        self._box(self.right, top, self.y - top - _PADDING, server.server)
        self.y += _MARGIN

    def _row(self, client: str, texts: list[tuple[str, str]], *, to_server: bool) -> None:
        height = _LINE * len(texts) + 2 * _PADDING
        self._box(_MARGIN, self.y, height, client, "" if to_server else ' class="every"')
        middle = (self.left + self.right) // 2
        for number, (text, issuer) in enumerate(texts, start=1):
            color = f' style="fill: {self.colors[issuer]}"' if issuer in self.colors else ""
            self._text(middle, self.y + number * _LINE, text, f' class="on"{color}')
        line = self.y + _LINE * len(texts) + _PADDING
        begin, end = (self.left + 6, self.right - 6) if to_server else (self.right - 6, self.left + 6)
        back = -8 if to_server else 8
        self.lines.append(f'<path d="M {begin} {line} H {end}"/>')
        self.lines.append(f'<path class="head" d="M {end} {line} l {back} -4 v 8 z"/>')
        self.y += height + _PADDING

    def _box(self, x: int, y: int, height: int, name: str, more: str = "") -> None:
        self.lines.append(f'<rect x="{x}" y="{y}" width="{_BOX}" height="{height}" rx="4"{more}/>')
        self._text(x + _BOX // 2, y + height // 2 + 4, _fitting(name), ' class="name"')

    def _text(self, x: int, y: int, text: str, more: str) -> None:
        length = round(cell_len(text) * _CHARACTER)
        self.lines.append(
            f'<text x="{x}" y="{y}" textLength="{length}" lengthAdjust="spacingAndGlyphs"{more}>'
            f"{html.escape(text)}</text>"
        )

    def legend(self) -> None:
        """Name the CA that each color stands for."""
        for issuer, color in self.colors.items():
            text = f"signed by {_short(clean_line(issuer))}"
            self.y += _LINE
            self._text(_MARGIN, self.y, text, f' style="fill: {color}"')


def _fitting(name: str) -> str:
    """Return *name* as long as a box is wide."""
    name = clean_line(name)
    most = int((_BOX - 2 * _PADDING) / _CHARACTER)
    return name if cell_len(name) <= most else f"{name[: most - 3]}..."
