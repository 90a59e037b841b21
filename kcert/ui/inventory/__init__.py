"""The inventory as a table, and in every other format: one function a format, all of one shape."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kcert.errors import INPUT, InputError
from kcert.openssl.x509 import listed
from kcert.quoting import format_command
from kcert.scan import Entry, ScanResult, Validity
from kcert.ui.console import block, clean_line, counted, error_screen, in_columns, say, screen
from kcert.ui.inventory.formats import COLUMNS, described
from kcert.ui.report import facts, rows_of

TABLES = ("text", "table")

DRAWINGS = ("mermaid", "svg")

BINARY = ("xlsx",)
"""Formats that cannot be shown in a terminal."""

MOST_PROBLEMS = 10
"""The number of unreadable files that are named beside a list that is not a table."""


def present(
    entries: Sequence[Entry], scan: ScanResult, form: str, *, looked_around: bool, openssl: str, wide: bool = False
) -> None:
    """Print the inventory in the format *form*.

    *looked_around* says that no place was named, so that the reader knows what was found where. What could not be
    read is said on standard error, unless the table says it: a list that lacks something must not look whole.
    """
    if form in TABLES and (looked_around or screen().is_terminal):
        introduce(scan, looked_around=looked_around)
    if form in TABLES and screen().is_terminal:
        _draw(entries, scan, openssl, None if wide else MANY_NAMES)
        return
    if form in BINARY and sys.stdout.isatty():
        raise InputError(
            f"{form} is not text and cannot be printed on a terminal: write it to a file, --output certificates.{form}."
        )
    if form not in TABLES:
        module = importlib.import_module(f"kcert.ui.inventory.{'drawings' if form in DRAWINGS else 'formats'}")
        sys.stdout.flush()
        sys.stdout.buffer.write(getattr(module, form)(entries, scan))
        sys.stdout.buffer.flush()
    elif wide:
        sys.stdout.write(in_columns(rows_of(entries, COLUMNS, empty="-"), WIDEST))
    else:
        sys.stdout.write(in_columns(rows_of(entries, COLUMNS | {"names": _cn_and_count}, NARROW, "-")))
    for problem in scan.problems[:MOST_PROBLEMS]:
        say(f"kcert: {described(problem)}", to=error_screen())
    if (left := len(scan.problems) - MOST_PROBLEMS) > 0:
        say(f"kcert: {left} more could not be read; `kcert check` lists all of them.", to=error_screen())


def status(scan: ScanResult) -> int:
    """Return the exit status: 2 if a server did not answer, as in `kcert check`, else 0."""
    return INPUT if any(problem.what == "unreachable" for problem in scan.problems) else 0


MANY_NAMES = 12
"""The number of SANs that are listed; of more, the number is printed."""

WIDEST = 120
"""Characters to which a column of a pipe is filled up: one with ten thousand names would draw all others apart."""

NARROW = ("component", "type", "path", "expires", "days left", "names")
"""The columns of the table in a pipe."""

LONGEST_NAME = 40
"""Characters of a CN in that table."""

WIDE = 110
"""Columns from which on the longest path of a usual installation fits between the two outer columns."""

STYLES = {
    Validity.GOOD: "good",
    Validity.EXPIRING: "notice",
    Validity.EXPIRED: "bad",
    Validity.NOT_YET: "bad",
}


def _cn_and_count(entry: Entry) -> str:
    """Return the CN, and the number of SANs."""
    cn = clean_line(entry.cn)
    sans = len(entry.certificate.alt_names)
    name = cn if len(cn) <= LONGEST_NAME else f"{cn[: LONGEST_NAME - 1]}…"
    return f"{name} +{counted(sans, 'SAN')}".strip() if sans else name


def introduce(scan: ScanResult, *, looked_around: bool) -> None:
    """Say what kind of cluster was found, before anything else."""
    if scan.kind is not None:
        say(f"This looks like a cluster made by {scan.kind.title}. {scan.kind.renewal}".rstrip())
    elif looked_around and not scan.configurations:
        say(
            "No manifest or systemd unit on this machine starts a component of Kubernetes, so only files are inspected."
        )
    if looked_around and scan.looked:
        say(f"Searched: {', '.join(scan.looked)}.", "quiet")


def _draw(entries: Sequence[Entry], scan: ScanResult, openssl: str, most: int | None) -> None:
    """The table for a terminal; a narrow one gets a paragraph for each use, so that no path is broken.

    Of the SANs of a certificate *most* are listed.
    """
    _summary(entries)
    if screen().width >= WIDE:
        _columns(entries, most)
    else:
        for entry in entries:
            whose = _whose(entry, "  ").append("  ").append(_expiry(entry, " "))
            screen().print(whose, soft_wrap=True)
            screen().print(Text(f"    {clean_line(entry.path)}", style="file"), soft_wrap=True)
            screen().print(Padding(_facts(entry, most), (0, 0, 1, 4)))
    if most is not None and any(len(entry.certificate.alt_names) > most for entry in entries):
        say("`--wide` lists every SAN.", "quiet")
    _close(entries, scan, openssl)


def _whose(entry: Entry, separator: str = "\n") -> Text:
    return Text.assemble((clean_line(entry.use.component or "-"), "heading"), f"{separator}{entry.use.kind.value}")


def _columns(entries: Sequence[Entry], most: int | None) -> None:
    """Print a row for each use: the component on the left, the certificate in the middle, the expiry on the right."""
    console = screen()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="heading", width=console.width)
    grid.add_column("component", min_width=10, max_width=23, overflow="fold")
    grid.add_column("certificate", ratio=1, overflow="fold")
    grid.add_column("expires", min_width=12, no_wrap=True)
    for entry in entries:
        path = Text(clean_line(entry.path), style="file", overflow="fold")
        grid.add_row(_whose(entry), Group(path, _facts(entry, most)), _expiry(entry))
    if entries:
        console.print(grid)
        console.print()


def _facts(entry: Entry, most: int | None) -> Table:
    use, sans, subject = entry.use, entry.sans, entry.certificate.subject
    names, left = listed(sans[:most]), len(sans) - len(sans[:most])
    shown = {
        "CN": entry.cn or "(none)",
        "O": listed(subject.organizations),
        "SANs": f"{names} and {left} more" if left else names,
        "issuer": entry.issuer,
        "key": str(use.key_path or ""),
        "used by": f"{use.option} in {use.source}" if use.option and use.source else use.option or "",
    }
    return facts(((name, clean_line(value)) for name, value in shown.items()), gap=1)


def _expiry(entry: Entry, separator: str = "\n") -> Text:
    count = counted(entry.whole_days, "day")
    words = f"{count} ago" if entry.validity is Validity.EXPIRED else f"{count} left"
    if entry.validity is Validity.NOT_YET:
        words = "not yet valid"
    return Text.assemble(f"{entry.certificate.not_after:%Y-%m-%d}{separator}", (words, STYLES[entry.validity]))


def _summary(entries: Sequence[Entry]) -> None:
    files = len({entry.path for entry in entries})
    if not entries:
        say("No certificate was found.")
        return
    counts = [(validity, sum(entry.validity is validity for entry in entries)) for validity in Validity]
    states = ", ".join(f"{count} {validity.value}" for validity, count in counts if count)
    uses = "1 use of a certificate" if len(entries) == 1 else f"{len(entries)} uses of certificates"
    say(f"{uses} in {counted(files, 'file')}: {states}.")
    screen().print()


def _close(entries: Sequence[Entry], scan: ScanResult, openssl: str) -> None:
    """Say what the table lacks, and how one file is read by hand."""
    for problem in scan.problems:
        say(described(problem), "notice")
    if entries:
        say("One file read by hand:", "quiet")
        example = next((entry for entry in entries if not (entry.use.option or "").endswith("-data")), None)
        path = example.path if example else "FILE"
        block([format_command((openssl, "x509", "-in", clean_line(path), "-noout", "-text"))], "command")
        say("kcert read them in batches, many with one process: `openssl storeutl -noout -text -certs`.", "quiet")
