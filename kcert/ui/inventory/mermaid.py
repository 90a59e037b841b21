"""Mermaid: which CA signed which certificate, and which component presents what to which.

Source: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.ui.inventory.cells import label
from kcert.ui.inventory.connections import connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult
    from kcert.ui.inventory.connections import Certificates

BINARY = False

_PLAIN = re.compile(r"[^A-Za-z0-9 .:@/-]")


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """Draw one flowchart, with solid arrows for signatures and dotted ones for certificates that are presented."""
    certificates = {entry.sha256: entry for entry in entries}
    names = {sha256: f"c{number}" for number, sha256 in enumerate(certificates)}
    lines = ["flowchart LR"]
    for sha256, entry in certificates.items():
        edges = ("[[", "]]") if entry.kind == "ca" else ("[", "]")
        text = f"{_text(label(entry))}<br/>until {entry.not_after:%Y-%m-%d}"
        lines.append(f'    {names[sha256]}{edges[0]}"{text}"{edges[1]}')
    for sha256, entry in certificates.items():
        if entry.issuer_sha256 in names:
            lines.append(f"    {names[entry.issuer_sha256 or '']} -->|signed| {names[sha256]}")
    components: dict[str, str] = {}

    def node(component: str) -> str:
        return components.setdefault(component, f"p{len(components)}")

    arrows: list[str] = []
    for server in connections(entries):
        for client, listed in server.clients.items():
            arrows.append(f'    {node(client)} -. "{_names(listed)}" .-> {node(server.server)}')
        if server.presents:
            arrows.append(f'    {node(server.server)} -. "{_names(server.presents)}" .-> {node("every client")}')
    lines += [f'    {name}(["{_text(component)}"])' for component, name in components.items()]
    lines += arrows
    return "".join(f"{line}\n" for line in lines).encode()


def _names(listed: Sequence[Certificates]) -> str:
    return "<br/>".join(_text(certificates.name) for certificates in listed)


def _text(words: str) -> str:
    """*words* as Mermaid's own character codes wherever they could mean something to Mermaid or to HTML."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", words)
