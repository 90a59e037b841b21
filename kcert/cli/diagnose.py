"""`kcert diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="A log of any component; - is standard input.")] = "-",
    format: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Log lines about TLS, certificates and access: for each its cause, its proof and its repair."""
    import sys

    from kcert.diagnose import diagnose
    from kcert.diagnose.reading import log_file, log_lines
    from kcert.errors import FOUND
    from kcert.ui import diagnosis, messages

    if file == "-" and sys.stdin.isatty():
        messages.reads_keyboard()
    found = diagnose(log_lines(sys.stdin.buffer) if file == "-" else log_file(Path(file)))
    diagnosis.show(found, format)
    if found.findings:
        raise typer.Exit(FOUND)
