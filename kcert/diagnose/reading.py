"""Reading a log line by line, however long the log or one of its lines is."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from kcert.errors import InputError
from kcert.files import open_at_once
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 32 * 1024
"""Bytes of a line that are looked at; real ones are shorter by far. What follows is passed over."""

_GZIP = b"\x1f\x8b"


def log_file(path: Path) -> Iterator[bytes]:
    """The lines of a log file; InputError where it cannot be read."""
    try:
        with open_at_once(path) as stream:
            yield from log_lines(stream, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def log_lines(stream: IO[bytes], name: str = "-") -> Iterator[bytes]:
    """The lines of a stream, each cut at ``LONGEST``; InputError where it is compressed."""
    line = stream.readline(LONGEST)
    if line.startswith(_GZIP):
        raise InputError(f"{name} is compressed: `zcat {quote(name)} | kcert diagnose -` reads it.")
    while line:
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST)
        line = stream.readline(LONGEST)
