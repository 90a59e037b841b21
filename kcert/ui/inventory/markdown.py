"""Markdown: a table for a wiki or an issue."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from kcert.ui.inventory.cells import HEADINGS, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """The table."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(tuple(map(_literal, row(entry))) for entry in entries)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).encode()


def _literal(cell: str) -> str:
    """*cell* so that Markdown shows it and does not obey it."""
    return _SPECIAL.sub(r"\\\1", html.escape(cell, quote=False))
