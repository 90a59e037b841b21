"""The inventory in every format: one module a format, all of one shape (``Report``)."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Protocol, cast

from kcert.errors import InputError
from kcert.openssl.x509 import listed
from kcert.view.console import clean_line, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kcert.inspect.inventory import Entry
    from kcert.inspect.survey import Survey


class Report(Protocol):
    """A format. ``BINARY`` says that it cannot be looked at in a terminal."""

    BINARY: bool

    def write(self, entries: Sequence[Entry], survey: Survey) -> bytes:
        """The whole report as the bytes of a file."""
        ...


FORMATS = {
    "table": "table",
    "csv": "comma_separated",
    "xlsx": "spreadsheet",
    "json": "records",
    "markdown": "markdown",
    "html": "web_page",
    "prometheus": "prometheus",
    "tree": "tree",
    "mermaid": "mermaid",
}

HEADINGS = (
    "component",
    "type",
    "path",
    "CN",
    "alternative names",
    "organisations",
    "issuer",
    "expires",
    "days left",
    "key file",
    "option",
    "named in",
)
"""The columns of the course's spreadsheet, and where each use is named."""


def report(name: str) -> Report:
    """The format *name*; its module is imported only now, because some bring a large library."""
    return cast(Report, importlib.import_module(f"kcert.view.inventory.{FORMATS[name]}"))


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


def present(
    entries: Sequence[Entry],
    survey: Survey,
    form: str,
    output: Path | None,
    *,
    looked_around: bool,
    openssl: str,
) -> None:
    """Write the inventory in the format *form* to *output*; None and ``-`` are the screen.

    *looked_around* says that no place was named, so that the reader is told what was found where.
    """
    made = report(form)
    if output is not None and str(output) != "-":
        output.write_bytes(made.write(entries, survey))
        say(f"{output}: {len(entries)} uses of certificates, as {form}.")
        return
    if form == "table" and screen().is_terminal:
        from kcert.view.inventory import table

        table.found(survey, looked_around=looked_around)
        table.draw(entries, survey, openssl)
        return
    if made.BINARY and sys.stdout.isatty():
        raise InputError(f"{form} is no text for a terminal: write it to a file, --output certificates.{form}.")
    if form == "table" and looked_around:
        from kcert.view.inventory import table

        table.found(survey, looked_around=True)
    sys.stdout.flush()
    sys.stdout.buffer.write(made.write(entries, survey))
    sys.stdout.buffer.flush()
