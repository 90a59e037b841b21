"""The drawings of the inventory, Mermaid and SVG: which component presents which certificates to which other one."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from rich.cells import cell_len

from kcert.certificates import Kind, Role
from kcert.files import filled_file
from kcert.roles import ROLES
from kcert.scan import Entry, ScanResult
from kcert.ui.console import clean_line
from kcert.ui.inventory.formats import label
from kcert.ui.report import PAGES

Presented = dict[tuple[str, str], list[str]]
"""The certificates on an arrow: the files of each, by its name (CN) and its CA."""

EVERY = "every client"
"""The client to which a server presents its certificates."""


def connections(entries: Iterable[Entry]) -> dict[str, dict[str, Presented]]:
    """Return what is presented in a cluster with the certificates *entries*: by server, and by its client.

    What a client presents is under its name, what the server itself presents last, under EVERY.
    """
    servers: dict[str, dict[str, Presented]] = {}

    def add(server: str, client: str, entry: Entry) -> None:
        clients = servers.setdefault(server, {})
        files = clients.setdefault(client, {}).setdefault((label(entry), entry.issuer), [])
        if entry.path not in files:
            files.append(entry.path)

    for entry in entries:
        # A certificate of no known role that only a client can present is a user's.
        role = entry.use.role or (Role.USER if entry.use.kind is Kind.CLIENT else None)
        spec = ROLES.get(role) if role else None
        if spec is None or not spec.presented_to:
            continue
        component = entry.use.component or spec.component
        if spec.kind.is_server:
            add(component, EVERY, entry)
        if spec.kind.is_client and role is not Role.ETCD_SERVER:  # with which etcd serves
            for server in spec.presented_to:
                add(server, component, entry)
    for clients in servers.values():
        if EVERY in clients:
            clients[EVERY] = clients.pop(EVERY)
    first = [server for server in ("kube-apiserver", "etcd", "kubelet") if server in servers]
    return {server: servers[server] for server in (*first, *servers)}


_PLAIN = re.compile(r"[^A-Za-z0-9 .:@/-]")


def mermaid(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Draw a Mermaid flowchart, with solid arrows for signatures and dotted ones for certificates that are presented.

    Source: https://mermaid.js.org/syntax/flowchart.html
    """
    certificates = {entry.certificate.sha256: entry for entry in entries}
    names = {sha256: f"c{number}" for number, sha256 in enumerate(certificates)}
    lines = ["flowchart LR"]
    for sha256, entry in certificates.items():
        edges = ("[[", "]]") if entry.use.kind is Kind.CA else ("[", "]")
        text = f"{_escaped(label(entry))}<br/>until {entry.certificate.not_after:%Y-%m-%d}"
        lines.append(f'    {names[sha256]}{edges[0]}"{text}"{edges[1]}')
    for sha256, entry in certificates.items():
        if entry.issuer_sha256 in names:
            lines.append(f"    {names[entry.issuer_sha256 or '']} -->|signed| {names[sha256]}")
    components: dict[str, str] = {}
    arrows: list[str] = []
    for server, clients in connections(entries).items():
        for client, presented in clients.items():
            ends = (server, client) if client == EVERY else (client, server)
            begin, end = (components.setdefault(name, f"p{len(components)}") for name in ends)
            arrows.append(f'    {begin} -. "{"<br/>".join(_escaped(name) for name, _ in presented)}" .-> {end}')
    lines += [f'    {name}(["{_escaped(component)}"])' for component, name in components.items()]
    lines += arrows
    return "".join(f"{line}\n" for line in lines).encode()


def _escaped(words: str) -> str:
    """*words* as Mermaid's own character codes wherever they could mean something to Mermaid or to HTML."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", words)


_CHARACTER, _LINE = 7.3, 17
"""Width of a character and height of a line, in pixels; the width of each text is given, whatever the font."""

_BOX, _MARGIN, _PADDING = 210, 20, 12
_LEFT = _MARGIN + _BOX  # where the arrows begin
_MOST_CERTIFICATES, _LONGEST = 9, 64
"""Certificates on one arrow, and characters of one."""

_COLORS = ("#0b4f8a", "#8a4b08", "#4a6b1f", "#7a2f6f", "#8a1f1f", "#1f6b66")
"""A color for each CA, dark enough for text on white."""


def svg(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - as every format
    """Draw what is presented to whom as SVG, for a browser, a slide or a page.

    Each server has a box on the right, and each of its clients a box on the left. Between them is an arrow for each
    direction, with the certificates that are presented in it. Source: https://www.w3.org/TR/SVG11/
    """
    servers = connections(entries)
    arrows = [listed for clients in servers.values() for listed in (clients.get(EVERY, {}), *clients.values())]
    issuers = dict.fromkeys(issuer for listed in arrows for _, issuer in listed)
    colors = {issuer: _COLORS[number % len(_COLORS)] for number, issuer in enumerate(issuers)}
    longest = max((_length(text) for listed in arrows for text, _ in _texts(listed)), default=200)
    drawing = _Drawing(colors, longest + 60)
    for server, clients in servers.items():
        drawing.server(server, clients)
    drawing.legend()
    width, height = drawing.right + _BOX + _MARGIN, drawing.y + _MARGIN
    head = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'role="img" aria-label="Which component presents which certificate to which">'
        ),
        "<!-- kcert -->",
        f"<style>{filled_file(PAGES / 'drawing.css')}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    )
    return "".join(f"{line}\n" for line in (*head, *drawing.lines, "</svg>")).encode()


def _length(text: str) -> int:
    return round(cell_len(text) * _CHARACTER)


def _texts(listed: Presented) -> list[tuple[str, str]]:
    """Return a line for each certificate on an arrow, with its CA."""
    lines = []
    for (name, issuer), files in listed.items():
        shown = clean_line(PurePath(files[0]).name) if len(files) == 1 else f"{len(files)} files"
        lines.append((f"{_short(name)} ({_short(shown)})", issuer))
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
    def right(self) -> int:
        """Left edge of the servers' boxes."""
        return _LEFT + self.arrow

    def server(self, server: str, clients: Mapping[str, Presented]) -> None:
        """Draw a server with its clients, and what it presents to all of them."""
        top = self.y
        for client, listed in clients.items():
            self._row(client, _texts(listed))
        self._box(self.right, top, self.y - top - _PADDING, server)
        self.y += _MARGIN

    def _row(self, client: str, texts: list[tuple[str, str]]) -> None:
        height = _LINE * len(texts) + 2 * _PADDING
        self._box(_MARGIN, self.y, height, client, ' class="every"' if client == EVERY else "")
        middle = (_LEFT + self.right) // 2
        for number, (text, issuer) in enumerate(texts, start=1):
            color = f' style="fill: {self.colors[issuer]}"' if issuer in self.colors else ""
            self._text(middle, self.y + number * _LINE, text, f' class="on"{color}')
        line = self.y + _LINE * len(texts) + _PADDING
        begin, end, back = _LEFT + 6, self.right - 6, -8
        if client == EVERY:
            begin, end, back = end, begin, 8
        self.lines.append(f'<path d="M {begin} {line} H {end}"/>')
        self.lines.append(f'<path class="head" d="M {end} {line} l {back} -4 v 8 z"/>')
        self.y += height + _PADDING

    def _box(self, x: int, y: int, height: int, name: str, more: str = "") -> None:
        self.lines.append(f'<rect x="{x}" y="{y}" width="{_BOX}" height="{height}" rx="4"{more}/>')
        name, most = clean_line(name), int((_BOX - 2 * _PADDING) / _CHARACTER)
        fitting = name if cell_len(name) <= most else f"{name[: most - 3]}..."
        self._text(x + _BOX // 2, y + height // 2 + 4, fitting, ' class="name"')

    def _text(self, x: int, y: int, text: str, more: str) -> None:
        self.lines.append(
            f'<text x="{x}" y="{y}" textLength="{_length(text)}" lengthAdjust="spacingAndGlyphs"{more}>'
            f"{html.escape(text)}</text>"
        )

    def legend(self) -> None:
        """Name the CA of each color."""
        for issuer, color in self.colors.items():
            text = f"signed by {_short(clean_line(issuer))}"
            self.y += _LINE
            self._text(_MARGIN, self.y, text, f' style="fill: {color}"')
