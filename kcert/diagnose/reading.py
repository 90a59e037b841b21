"""Reading a log: line by line however long it is, in any encoding, with what a terminal has wrapped put together."""

from __future__ import annotations

import codecs
import json
import os
import re
import select
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from kcert.errors import InputError
from kcert.files import open_at_once
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

LONGEST = 32 * 1024
"""Bytes of a line that are looked at; real ones are shorter by far. The rest of the line is skipped."""

MOST_SKIPPED = 64 * 1024 * 1024
"""Bytes without a line end after which the input is not a log (a device, a disk image)."""

IDLE_SECONDS = 0.3
"""After this time without a new line, the last one is looked at without its successor."""

IDLE = b""
"""Among the lines of a stream: nothing has arrived for ``IDLE_SECONDS``."""

_GZIP = b"\x1f\x8b"
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_NARROWEST = 60
_MOST_WRAPPED = 6
_MOST_OF_OBJECT = 60
_BEGINS_ENTRY = re.compile(
    rb"\s*(?:[IWEFD]\d{4} \d\d:|\d{4}[-/]\d\d[-/]\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:|\S+ +\d{1,2} \d\d:\d\d:\d\d |time=|"
    rb"ts=|\{|\[|level=|Error\b|error:|Warning|Get \"|\* |[<>] |curl: |[0-9A-F]{8,16}:error:|[0-9]{6,}:error:|openssl|"
    rb"Caused by|at |\$ |# |subject=|issuer=|verify |depth=|-----BEGIN|[a-z][\w-]*(?:\[\d+\])?: |\"?[\w-]+\"?: )"
)
_MAY_GO_ON = re.compile(rb"x509|tls|TLS|https?://|[Cc]ertificat|SSL|token|forbidden|authenticat|Error|error|rror:")


@dataclass(frozen=True)
class Entry:
    """One message of a log: its text, its first and last line, the two lines before it and the one after."""

    number: int
    last: int
    text: bytes
    before: bytes = b""
    after: bytes = b""


def log_file(path: Path) -> Iterator[bytes]:
    """Yield the lines of a log file; InputError where it cannot be read, or is a device."""
    try:
        with open_at_once(path) as stream:
            yield from log_lines(stream, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def log_lines(stream: IO[bytes], name: str = "-") -> Iterator[bytes]:
    """Yield the lines of a stream, each cut at ``LONGEST``, in UTF-8 whatever the encoding was.

    Raises InputError where it is compressed, or is not a log.
    """
    line = _checked(stream.readline(LONGEST), name)
    if encoding := _encoding(line):
        yield from _decoded(line, stream, encoding)
        return
    while line:
        yield line
        skipped = 0
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST)
            skipped += len(line)
            _check_length(skipped, name)
        line = stream.readline(LONGEST)


def live_lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that arrive at a pipe or terminal, and ``IDLE`` while none does; for logs that are followed."""
    pending = b""
    skipped = 0
    is_first = True
    while True:
        if not select.select([descriptor], [], [], IDLE_SECONDS)[0]:
            yield IDLE
            continue
        chunk = os.read(descriptor, LONGEST)
        if is_first and (encoding := _encoding(_checked(chunk, "-"))):
            with os.fdopen(os.dup(descriptor), "rb") as stream:
                yield from _decoded(chunk, stream, encoding)
            return
        is_first = False
        if not chunk:
            if pending and not skipped:
                yield pending
            return
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if not skipped:
                yield line[:LONGEST] + b"\n"
            skipped = 0
        if skipped or len(pending) >= LONGEST:
            if not skipped:
                yield pending[:LONGEST]
            skipped += len(pending)
            pending = b""
            _check_length(skipped, "-")


def _checked(start: bytes, name: str) -> bytes:
    if start.startswith(_GZIP):
        raise InputError(f"{name} is compressed: `zcat {quote(name)} | kcert diagnose -` reads it.")
    return start


def _check_length(skipped: int, name: str) -> None:
    if skipped > MOST_SKIPPED:
        raise InputError(f"{name} is not a log: {MOST_SKIPPED // 1024 // 1024} MiB without a line end.")


def _encoding(start: bytes) -> str:
    """UTF-16 by its byte order mark, or by the zeros that it has between the letters; empty for all others."""
    for mark, name in _UTF_16.items():
        if start.startswith(mark):
            return name
    half = len(start[:64]) // 2
    if 4 <= half <= start[:64].count(0) + 1 and any(start[:64]):
        return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be" if start[:1] == b"\0" else ""
    return ""


def _decoded(start: bytes, stream: IO[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    text, skipped = decoder.decode(start).lstrip("\ufeff"), 0
    while True:
        *whole, text = text.split("\n")
        for line in whole:
            yield line.encode()[:LONGEST] + b"\n"
        skipped = skipped + len(text) if len(text) > LONGEST else 0
        _check_length(skipped, "-")
        text = text[:LONGEST]
        chunk = stream.read(LONGEST)
        if not chunk:
            if text:
                yield text.encode()
            return
        text += decoder.decode(chunk)


def entries(log: Iterable[bytes], matches: Callable[[bytes], int]) -> Iterator[Entry | None]:
    """Yield the messages of a log: a line each, but for what a terminal wrapped and for indented JSON objects.

    *matches* tells where in a line an error ends, 0 where there is none: lines are put together only where that makes
    an error of them, or adds the address before it. None stands for a pause of the log.
    """
    window: list[bytes] = []
    before, number, ended = b"", 0, False
    lines = iter(log)
    while True:
        while not ended and len(window) <= _wanted(window):
            line = next(lines, None)
            if line is None:
                ended = True
            elif line == IDLE:
                break
            else:
                window.append(line)
        if not window:
            if ended:
                return
            yield None
            continue
        count, text = _whole(window, matches)
        after = window[count] if len(window) > count else b""
        number += count
        yield Entry(number - count + 1, number, text, before, after)
        before = b"".join((*before.splitlines(keepends=True)[-1:], window[count - 1]))
        del window[:count]


def _wanted(window: list[bytes]) -> int:
    """The number of lines to look ahead: one, and more where the first line goes on."""
    if not window:
        return 1
    if window[0].strip() == b"{":
        closed = any(line.rstrip() == b"}" for line in window)
        return len(window) if closed else _MOST_OF_OBJECT
    return _MOST_WRAPPED if len(window) > 1 and _goes_on(*window[:2]) and _is_full(window[0]) else 1


def _whole(window: list[bytes], matches: Callable[[bytes], int]) -> tuple[int, bytes]:
    """The number of lines that the first message takes, and its text."""
    if window[0].strip() == b"{":
        return _object(window)
    if len(window) > 1 and _goes_on(*window[:2]) and _is_full(window[0]) and not matches(window[0]):
        for count in range(2, min(len(window), _MOST_WRAPPED) + 1):
            if not _goes_on(window[count - 2], window[count - 1]):
                break
            for glue in (b"", b" "):
                pieces = [window[0].rstrip(b"\r\n"), *(line.strip() for line in window[1:count])]
                text = glue.join(pieces) + b"\n"
                if matches(text):
                    return count, text
    return 1, window[0]


def _object(window: list[bytes]) -> tuple[int, bytes]:
    """An indented JSON object that is the record of one message (klog, zap, a Status), on one line."""
    end = next((place for place, line in enumerate(window) if line.rstrip() == b"}"), 0)
    if not end:
        return 1, window[0]
    try:
        fields = json.loads(b"".join(window[: end + 1]))
    except (ValueError, RecursionError):
        return 1, window[0]
    if not isinstance(fields, dict) or not {"msg", "MESSAGE", "log", "message"} & fields.keys():
        return 1, window[0]
    return end + 1, json.dumps(fields).encode() + b"\n"


def _is_full(line: bytes) -> bool:
    """True for a line that may be the beginning of an error about TLS or access."""
    return bool(_MAY_GO_ON.search(line))


def _goes_on(line: bytes, following: bytes) -> bool:
    """True where *following* may be the rest of *line*: it is not longer, and does not begin as a message does."""
    return (
        len(line) > _NARROWEST
        and bool(following.strip())
        and len(following.rstrip()) <= len(line.rstrip()) + 15
        and not _BEGINS_ENTRY.match(following)
    )
