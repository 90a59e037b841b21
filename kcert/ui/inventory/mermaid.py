"""Mermaid: who signed whom, and which component shows what to whom.

Source: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.roles import ROLES
from kcert.ui.inventory.cells import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False

_PLAIN = re.compile(r"[^A-Za-z0-9 .:@/-]")


def write(entries: Sequence[Entry], survey: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """One flowchart: solid arrows for signatures, dotted ones for showing."""
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
    shown: dict[str, None] = {}
    for entry in entries:
        for other in ROLES[entry.role].presented_to if entry.role else ():
            holder = entry.component or "?"
            for component in (holder, other):
                components.setdefault(component, f"p{len(components)}")
            what = _text(label(entry))
            shown[f'    {components[holder]} -. "{what}" .-> {components[other]}'] = None
    lines += [f'    {name}(["{_text(component)}"])' for component, name in components.items()]
    lines += shown
    return "".join(f"{line}\n" for line in lines).encode()


def _text(words: str) -> str:
    """*words* as Mermaid's own character codes wherever they could mean something to Mermaid or to HTML."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", words)
