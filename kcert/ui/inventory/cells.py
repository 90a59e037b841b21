"""What the formats share: the columns, the cells of a row, and a certificate and a problem in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.openssl.x509 import listed
from kcert.ui.console import clean_line

if TYPE_CHECKING:
    from kcert.scan.inventory import Entry
    from kcert.scan.result import Problem

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
    """What a drawing calls a certificate: its CN, or its whole name."""
    return clean_line(entry.cn or entry.subject or "(no name)")


def described(problem: Problem) -> str:
    """What is wrong with a file, as a sentence."""
    named = f" (named by {problem.option} in {problem.source})" if problem.option else ""
    return f"{clean_line(str(problem.path))} {clean_line(problem.reason)}{clean_line(named)}."
