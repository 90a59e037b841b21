"""The table: on a terminal as wide as that is, in a pipe one line for each use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kcert.openssl.x509 import listed
from kcert.quoting import format_command
from kcert.scan.inventory import Validity
from kcert.ui.console import block, clean_line, say, screen
from kcert.ui.inventory.cells import HEADINGS, described, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult

BINARY = False

MANY_NAMES = 12
"""So many alternative names are listed; of more, the number is told, and where to see them all."""

WIDEST = 120
"""Characters to which a column of a pipe is filled up: one with ten thousand names would draw all others apart."""

WIDE = 110
"""Columns from which on the longest path of a usual installation fits between the two outer columns."""

STYLES = {
    Validity.GOOD: "good",
    Validity.EXPIRING: "notice",
    Validity.EXPIRED: "bad",
    Validity.NOT_YET: "bad",
}


def write(entries: Sequence[Entry], scan: ScanResult) -> bytes:  # noqa: ARG001 - the shape of every format
    """The table for a file or a pipe: columns, and a line for each use, whatever its length."""
    rows = [HEADINGS, *(tuple(cell or "-" for cell in row(entry)) for entry in entries)]
    widths = [min(WIDEST, max(len(cells[column]) for cells in rows)) for column in range(len(HEADINGS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def introduce(scan: ScanResult, *, looked_around: bool) -> None:
    """Say what kind of cluster was found, before anything else."""
    if scan.kind is not None:
        say(f"This looks like a cluster made by {scan.kind.title}. {scan.kind.renewal}".rstrip())
    elif looked_around:
        say(
            "No manifest or systemd unit on this machine starts a component of Kubernetes, so only files are inspected."
        )
    if looked_around and scan.looked:
        say(f"Searched: {', '.join(scan.looked)}.", "quiet")


def draw(entries: Sequence[Entry], scan: ScanResult, openssl: str) -> None:
    """The table for a terminal; a narrow one gets a paragraph for each use, so that no path is broken."""
    if screen().width >= WIDE:
        _columns(entries)
    else:
        for entry in entries:
            _paragraph(entry)
    _summary(entries, scan, openssl)


def _paragraph(entry: Entry) -> None:
    console = screen()
    whose = Text.assemble((clean_line(entry.component or "-"), "heading"), f"  {entry.kind}  ", _expiry(entry, " "))
    console.print(whose, soft_wrap=True)
    console.print(Text(f"    {clean_line(entry.path)}", style="file"), soft_wrap=True)
    console.print(Padding(_facts(entry), (0, 0, 1, 4)))


def _columns(entries: Sequence[Entry]) -> None:
    """One use a row: whose it is on the left, what it says in the middle, how long it lasts on the right."""
    console = screen()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="heading", width=console.width)
    grid.add_column("component", min_width=10, max_width=23, overflow="fold")
    grid.add_column("certificate", ratio=1, overflow="fold")
    grid.add_column("expires", min_width=12, no_wrap=True)
    for entry in entries:
        grid.add_row(_whose(entry), _certificate(entry), _expiry(entry))
    if entries:
        console.print(grid)
        console.print()


def _whose(entry: Entry) -> Text:
    text = Text(clean_line(entry.component or "-"), style="heading")
    return text.append(f"\n{entry.kind}", style="not bold")


def _certificate(entry: Entry) -> RenderableType:
    return Group(Text(clean_line(entry.path), style="file", overflow="fold"), _facts(entry))


def _facts(entry: Entry) -> Table:
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(style="quiet", no_wrap=True)
    lines.add_column(overflow="fold", ratio=1)
    shown = [
        ("CN", entry.cn or "(none)"),
        ("O", listed(entry.organizations)),
        ("SANs", _names(entry)),
        ("issuer", entry.issuer),
        ("key", entry.key_path or ""),
        ("used by", f"{entry.option} in {entry.source}" if entry.option and entry.source else entry.option or ""),
    ]
    for name, value in shown:
        if value:
            lines.add_row(name, Text(clean_line(value)))
    return lines


def _names(entry: Entry) -> str:
    names = listed(entry.san[:MANY_NAMES])
    left = len(entry.san) - MANY_NAMES
    return f"{names} and {left} more (--format json lists all)" if left > 0 else names


def _expiry(entry: Entry, separator: str = "\n") -> Text:
    days = abs(entry.days_left)
    count = f"{days} day" + ("" if days == 1 else "s")
    words = f"{count} ago" if entry.validity is Validity.EXPIRED else f"{count} left"
    if entry.validity is Validity.NOT_YET:
        words = "not yet valid"
    return Text.assemble(f"{entry.not_after:%Y-%m-%d}{separator}", (words, STYLES[entry.validity]))


def _summary(entries: Sequence[Entry], scan: ScanResult, openssl: str) -> None:
    files = len({entry.path for entry in entries})
    if not entries:
        say("No certificate was found.")
    else:
        counts = [(validity, sum(entry.validity is validity for entry in entries)) for validity in Validity]
        states = ", ".join(f"{count} {validity.value}" for validity, count in counts if count)
        uses = "1 use of a certificate" if len(entries) == 1 else f"{len(entries)} uses of certificates"
        say(f"{uses} in {files} file{'' if files == 1 else 's'}: {states}.")
    for problem in scan.problems:
        say(described(problem), "notice")
    if entries:
        say("One file read by hand:", "quiet")
        example = next((entry for entry in entries if not (entry.option or "").endswith("-data")), None)
        path = example.path if example else "FILE"
        block([format_command((openssl, "x509", "-in", clean_line(path), "-noout", "-text"))], "command")
        say("kcert read them in batches, many with one process: `openssl storeutl -noout -text -certs`.", "quiet")
