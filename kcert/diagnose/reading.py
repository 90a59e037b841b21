"""Reading a log: line by line, in any encoding. Lines that a terminal or a container runtime divided are joined."""

from __future__ import annotations

import codecs
import json
import os
import re
import select
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from kcert.diagnose.context import SEARCHED, strip_prefix
from kcert.errors import InputError
from kcert.files import open_at_once
from kcert.quoting import quote

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
_MOST_WRAPPED = 12
_MOST_JOINTS = 8
_MOST_OF_OBJECT = 60
_MOST_PARTS = 8
_BEGINS_ENTRY = re.compile(
    rb"\s*(?:[IWEFD]\d{4} \d\d:|\d{4}[-/]\d\d[-/]\d\d(?!T[\d:]+Z(?: is|\W*$| node=))|[A-Z][a-z]{2} [ \d]\d \d\d:|"
    rb"\S+ +\d{1,2} \d\d:\d\d:\d\d |time=|ts=|\{|\[|level=|\* |[<>] |curl: |[0-9A-F]{8,16}:error:|[0-9]{6,}:error:|"
    rb"\$ |# |\[?[\w.-]+@[\w.-]+[: ].*[#$]|subject=|issuer=|depth=|-----BEGIN)"
)
_MAY_BEGIN_ENTRY = re.compile(
    rb"\s*(?:Error\b|error:|Warning|Get \"|openssl|Caused by|at |verify |(?!x?509|tls|\d+: )\"?[\w-]+\"?(?:\[\d+\])?: )"
)
"""The rest of a wrapped line can look like this as well."""

_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) [FP](?::\S+)? ")
_CRI_PART = re.compile(rb"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) P(?::\S+)? ")
_DOCKER_END = re.compile(rb'\\n"\s*,\s*"')
_REST_OF_WORD = re.compile(rb"[\w.:/*-]{1,80}(?:$|[\"')\]},;])")
_MAY_GO_ON = re.compile(rb"x509|tls|TLS|https?:|[Cc]ertificat|SSL|token|forbidden|authenticat|[Ee]rror|err=|[Ff]ailed")


@dataclass(frozen=True)
class Entry:
    """One message of a log: its text, its first and last line, the two lines before it and the one after."""

    number: int
    last: int
    text: bytes
    before: bytes = b""
    after: bytes = b""


def log_file(path: Path) -> Iterator[bytes]:
    """Yield the lines of a log file; InputError if it cannot be read, or is a device."""
    try:
        with open_at_once(path) as stream:
            yield from log_lines(stream, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def log_lines(stream: IO[bytes], name: str = "-") -> Iterator[bytes]:
    """Yield the lines of a stream; raises InputError if it is compressed, or is not a log."""
    return _lines(iter(partial(stream.readline, LONGEST), b""), name)


def live_lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that arrive at a pipe or terminal, and ``IDLE`` while none does; for logs that are followed."""
    return _lines(_arriving(descriptor), "-")


def _arriving(descriptor: int) -> Iterator[bytes]:
    while True:
        if not select.select([descriptor], [], [], IDLE_SECONDS)[0]:
            yield IDLE
        elif chunk := os.read(descriptor, LONGEST):
            yield chunk
        else:
            return


def _in_utf8(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield *chunks* in UTF-8, whatever the encoding was."""
    encoding, decoder = None, None
    for chunk in chunks:
        if encoding is None and chunk != IDLE:
            if chunk.startswith(_GZIP):
                raise InputError(f"{name} is compressed: `zcat {quote(name)} | kcert diagnose -` reads it.")
            encoding = _encoding(chunk)
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace") if encoding else None
        yield decoder.decode(chunk).lstrip("\ufeff").encode() if decoder else chunk


def _lines(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the lines of *chunks*, each cut at ``LONGEST``."""
    pending, skipped = b"", 0
    for chunk in _in_utf8(chunks, name):
        if chunk == IDLE:
            yield IDLE
            continue
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
            if skipped > MOST_SKIPPED:
                raise InputError(f"{name} is not a log: {MOST_SKIPPED // 1024 // 1024} MiB without a line end.")
    if pending and not skipped:
        yield pending


def _encoding(start: bytes) -> str:
    """UTF-16 by its byte order mark, or by the zeros that it has between the letters; empty for all others."""
    for mark, name in _UTF_16.items():
        if start.startswith(mark):
            return name
    half = len(start[:64]) // 2
    if 4 <= half <= start[:64].count(0) + 1 and any(start[:64]):
        return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be" if start[:1] == b"\0" else ""
    return ""


class Found(NamedTuple):
    """An error in a message: its rank among all errors (the lowest counts), and where it begins and ends."""

    rank: int
    start: int
    end: int


def entries(log: Iterable[bytes], find: Callable[[bytes], Found | None]) -> Iterator[Entry | None]:
    """Yield the messages of a log: a line each, except what a terminal, a runtime or indented JSON divided.

    *find* returns the error in a line: what a terminal wrapped is put together only where that makes an error of it,
    or a longer one. None is a pause of the log.
    """
    window: list[bytes] = []
    before, number, clean, ended = b"", 0, 0, False
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
        count, text, clean = _whole(window, find, number, clean)
        after = window[count] if len(window) > count else b""
        number += count
        yield Entry(number - count + 1, number, text, before, after)
        before = b"".join((*before.splitlines(keepends=True)[-1:], window[count - 1]))
        del window[:count]


def _wanted(window: list[bytes]) -> int:
    """Return the number of lines to look ahead: one, and more if the first line continues."""
    if not window:
        return 1
    if window[0].strip() == b"{":
        closed = any(line.rstrip() == b"}" for line in window)
        return len(window) if closed else _MOST_OF_OBJECT
    if _is_part(window[0]):
        return min(len(window) + _is_part(window[-1]), _MOST_PARTS)
    return _MOST_WRAPPED if len(window) > 1 and _goes_on(*window[:2]) and _is_full(window[0]) else 1


def _whole(
    window: list[bytes], find: Callable[[bytes], Found | None], number: int, clean: int
) -> tuple[int, bytes, int]:
    """The number of lines that the first message takes, its text, and how far the log is *clean*.

    *number* lines come before the window. Lines put together that all come before line *clean* contain no error.
    """
    if window[0].strip() == b"{":
        return *_object(window), clean
    if _is_part(window[0]):
        return *_parts(window), clean
    if len(window) > 1 and _goes_on(*window[:2]) and _is_full(window[0]):
        return _wrapped(window, find, number, clean)
    return 1, window[0], clean


def _wrapped(
    window: list[bytes], find: Callable[[bytes], Found | None], number: int, clean: int
) -> tuple[int, bytes, int]:
    """A line with the rest of it that a terminal or a mail wrapped, as far as an error goes on; or the line alone.

    Where every line may be the rest of the one before it, most of this work was done for the line before: what begins
    further on and ends at the same line is part of what was searched then.
    """
    own, best = find(window[0]), (1, window[0])
    is_clean = own is None
    known = 0 if _MAY_BEGIN_ENTRY.match(window[0]) else clean - number
    lines = [line.rstrip(b"\r\n") for line in window]
    joined, seam = [lines[0]], 0
    for count in range(2, min(len(lines), _MOST_WRAPPED) + 1):
        previous, line = lines[count - 2 : count]
        if not _goes_on(window[count - 2], window[count - 1]):
            break
        if not seam and (own or _MAY_BEGIN_ENTRY.match(line)):
            seam = len(strip_prefix(joined[0]).text)
        full = len(previous) >= max(map(len, lines[: count - 1]))
        joined = [text + glue + line.lstrip() for text in joined for glue in _glues(previous, line, full=full)]
        joined = joined[:_MOST_JOINTS]
        if own is None and count <= known:
            continue
        errors = [(error.rank, variant, error) for variant, text in enumerate(joined) if (error := find(text))]
        is_clean = is_clean and full and not errors and len(joined[0]) <= SEARCHED
        if is_clean:
            clean = max(clean, number + count)
        if errors:
            _, variant, error = min(errors)
            if not seam or (error.start <= seam + 1 and seam < error.end and _goes_further(own, error, seam, line)):
                best = count, joined[variant] + b"\n"
        if best[0] > 1 and len(line) < len(lines[0]) - 1:
            break
    return *best, clean


def _glues(previous: bytes, line: bytes, *, full: bool) -> tuple[bytes, ...]:
    """Return what was between two pieces of a line: nothing in the middle of a word, or a space that may be lost."""
    if previous.endswith(b" "):
        return (b"",)
    if line.startswith(b" ") or previous.endswith((b",", b";")) or not full:
        return (b" ",)
    return b"", b" "


def _goes_further(own: Found | None, joined: Found, seam: int, following: bytes) -> bool:
    """True if the error of the first line, if it has one, is another one or a longer one with the *following* line."""
    if own is None or joined.rank < own.rank:
        return True
    words = following.split()
    is_one_word = bool(_REST_OF_WORD.match(following.strip()))
    return own.end == seam and (is_one_word or joined.end > seam + len(words[0]) + 1)


def _is_part(line: bytes) -> bool:
    """True for a part of a line that the runtime divided: P in the format of CRI, no line end in docker's JSON."""
    return bool(_CRI_PART.match(line)) or (line.startswith(b'{"log":"') and not _DOCKER_END.search(line))


def _parts(window: list[bytes]) -> tuple[int, bytes]:
    """Join the parts of a line of one stream: up to the last one, or as many as are looked at."""
    if not (first := _CRI_PART.match(window[0])):
        return _docker_parts(window)
    pieces = [window[0].rstrip(b"\r\n")]
    for line in window[1:]:
        match = _CRI.match(line)
        if match is None or match[1] != first[1]:
            break
        pieces.append(line[match.end() :].rstrip(b"\r\n"))
        if not _CRI_PART.match(line):
            break
    return len(pieces), b"".join(pieces) + b"\n"


def _docker_parts(window: list[bytes]) -> tuple[int, bytes]:
    texts: list[str] = []
    record: dict[str, Any] = {}
    for line in window:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(fields.get("log"), str) or fields.get("stream") != record.get("stream", fields.get("stream")):
            break
        record = record or fields
        texts.append(fields["log"])
        if texts[-1].endswith("\n"):
            break
    return (len(texts), json.dumps({**record, "log": "".join(texts)}).encode() + b"\n") if texts else (1, window[0])


def _object(window: list[bytes]) -> tuple[int, bytes]:
    """An indented JSON object that is the record of one message (klog, zap, a Status), on one line."""
    end = next((number for number, line in enumerate(window) if line.rstrip() == b"}"), 0)
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
    """True if *following* may be the rest of *line*: it is not longer, and does not begin as a message does."""
    return (
        len(line) > _NARROWEST
        and bool(following.strip())
        and not (line.startswith(b'{"') and line.rstrip().endswith(b"}"))
        and len(following.rstrip()) <= len(line.rstrip()) + 15
        and not _BEGINS_ENTRY.match(following)
    )
