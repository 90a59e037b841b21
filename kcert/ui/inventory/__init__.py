"""The inventory in every format: one module a format, all of one shape (``Report``)."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Protocol, cast

from kcert.errors import INPUT, InputError
from kcert.ui.console import error_screen, say, screen
from kcert.ui.inventory.cells import described
from kcert.ui.report import Target, write_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.scan.inventory import Entry
    from kcert.scan.result import ScanResult


class Report(Protocol):
    """A format. ``BINARY`` says that it cannot be looked at in a terminal."""

    BINARY: bool

    def write(self, entries: Sequence[Entry], scan: ScanResult) -> bytes:
        """The whole report as the bytes of a file."""
        ...


FORMATS = {
    "text": "table",
    "table": "table",
    "csv": "comma_separated",
    "xlsx": "spreadsheet",
    "json": "records",
    "markdown": "markdown",
    "html": "web_page",
    "prometheus": "prometheus",
    "tree": "tree",
    "mermaid": "mermaid",
    "svg": "vector",
}

MOST_PROBLEMS = 10
"""So many files that could not be read are named beside a list that is no table."""


def report(name: str) -> Report:
    """The format *name*; its module is imported only now, because some bring a large library."""
    return cast("Report", importlib.import_module(f"kcert.ui.inventory.{FORMATS[name]}"))


def present(
    entries: Sequence[Entry],
    scan: ScanResult,
    form: str,
    target: Target | None,
    *,
    looked_around: bool,
    openssl: str,
) -> None:
    """Write the inventory in the format *form* to *target*; None and ``-`` are the screen.

    *looked_around* says that no place was named, so that the reader is told what was found where. What could not be
    read is said on standard error, unless the table says it: a list that lacks something must not look whole.
    """
    made = report(form)
    if target is not None and str(target.path) != "-":
        written = write_report(target, made.write(entries, scan))
        uses = "1 use of a certificate" if len(entries) == 1 else f"{len(entries)} uses of certificates"
        say(f"{target.path}: {uses}, as {form}.")
        if written.backup:
            say(f"What was there before is {written.backup}.")
        _complain(scan)
        return
    if form in {"text", "table"} and screen().is_terminal:
        from kcert.ui.inventory import table

        table.introduce(scan, looked_around=looked_around)
        table.draw(entries, scan, openssl)
        return
    if made.BINARY and sys.stdout.isatty():
        raise InputError(f"{form} is no text for a terminal: write it to a file, --output certificates.{form}.")
    if form in {"text", "table"} and looked_around:
        from kcert.ui.inventory import table

        table.introduce(scan, looked_around=True)
    sys.stdout.flush()
    sys.stdout.buffer.write(made.write(entries, scan))
    sys.stdout.buffer.flush()
    _complain(scan)


def status(scan: ScanResult) -> int:
    """The exit status: 2 where a server did not answer, as `kcert check` has it, else 0."""
    return INPUT if any(problem.what == "unreachable" for problem in scan.problems) else 0


def _complain(scan: ScanResult) -> None:
    for problem in scan.problems[:MOST_PROBLEMS]:
        say(f"kcert: {described(problem)}", to=error_screen())
    if (left := len(scan.problems) - MOST_PROBLEMS) > 0:
        say(f"kcert: {left} more could not be read; `kcert check` lists all of them.", to=error_screen())
