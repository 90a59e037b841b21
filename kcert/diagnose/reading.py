"""Reading a log: line by line however long it is, in any encoding, and of each line the message of the program.

What a terminal has wrapped is put together, and what journald, runtimes, JSON and copying add is cut off. Known are
journald (short, precise and ISO times, months in any language; ``-o json``), syslog, CRI (``TIME stderr F text``),
``kubectl logs --timestamps`` and ``--prefix``, docker's json-file, docker compose, klog and zap in JSON, one field of
an indented JSON object. A line that is none of these stays as it is.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import select
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

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
    """Yield the lines of a log file; InputError if it cannot be read, or is a device."""
    try:
        with open_at_once(path) as stream:
            yield from log_lines(stream, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def log_lines(stream: IO[bytes], name: str = "-") -> Iterator[bytes]:
    """Yield the lines of a stream, each cut at ``LONGEST``, in UTF-8 whatever the encoding was.

    Raises InputError if it is compressed, or is not a log.
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

    *matches* tells where in a line an error ends, 0 if there is none: lines are put together only where that makes
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
        and len(following.rstrip()) <= len(line.rstrip()) + 15
        and not _BEGINS_ENTRY.match(following)
    )


_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIXES = (
    re.compile(r"\[pod/(?P<program>[^\]\s/]+)/[^\]\s]*\] "),
    re.compile(r"(?P<program>[a-z][\w.-]{1,60}?)(?:[_-]\d+)? +\| "),  # docker compose
    re.compile(rf"{_TIME} (?:stdout|stderr) [FP](?::\S+)? "),
    re.compile(
        rf"(?:\w{{1,6}}\.? {{1,2}}\d{{1,2}} \d\d:\d\d:\d\d(?:\.\d+)?|{_TIME}) \S+ "
        r"(?P<program>[^\s:\[\]\"{}]+)(?:\[\d+\])?: "
    ),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z "),
)
_FIELD = re.compile(r"\s*\"(?P<name>[\w.-]+)\":\s*(?P<value>\"(?:[^\"\\]|\\.)*\")\s*,?\s*")
_MESSAGES = ("MESSAGE", "msg", "message", "log")
_LEFT_OUT = {"ts", "level", "caller", "v", "stacktrace", "stream", "time", "logger", *_MESSAGES}
_LONGEST = 6000
"""Characters of a message that are searched: of a longer one, its beginning, its end and some between."""

_HINT = re.compile(r"x509|tls: |[Cc]ertificate |SSL|[Uu]nauthorized|forbidden")

_DEEPEST = 4
"""Logs within logs: docker's JSON around zap's JSON around a quoted error; no real one goes deeper."""

_COLORS = re.compile(r"(?:\x1b|\^\[|\\u001b|\\x1b|\\033|#033|\u2190)\[[0-9;]{0,16}[A-Za-z]")
_FRAME = re.compile(r"^[\s>]*[\u2500-\u257f]+ ?|\s*[\u2502\u2503]\s*$")
_AS_ASCII = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u00a0\u2007\u202f", " "),
        "\ufeff": None,
    }
)
_ENTITIES = (("&quot;", '"'), ("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_NEEDS_CLEANING = re.compile(rb"[\x80-\xff\x1b\0]|\^\[\[|&(?:quot|amp|lt|gt|#3[49]);|\\u001b|\\x1b\[|\\033\[|#033\[")


class Message(NamedTuple):
    """The text of a message on one line, and the program that wrote it, as far as the wrapping names it."""

    text: str
    program: str = ""


def clean(line: bytes) -> str:
    """Return the line as text, without colors and frames, with plain quotation marks in place of typographic ones."""
    text = line.decode(errors="replace").rstrip("\r\n")
    if not _NEEDS_CLEANING.search(line):
        return text
    text = _FRAME.sub("", _COLORS.sub("", text.replace("\0", ""))).translate(_AS_ASCII)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def strip_prefix(line: bytes) -> Message:
    """Return the message of the program, with its quotation marks as they were before anything escaped them."""
    text, program = clean(line), ""
    for _ in range(_DEEPEST):
        bare, name = _without_prefix(text)
        program = program or name
        if bare.startswith("{") and bare.endswith("}"):
            bare, name = _from_json(bare)
            program = program or name
        elif field := _FIELD.fullmatch(bare):
            bare = _from_field(field, bare)
        if bare == text:
            break
        text = bare
    text = _unescape(text)
    return Message(text if len(text) <= _LONGEST else _shortened(text), program)


def _shortened(text: str) -> str:
    """The beginning and the end of a long message, and between them what stands around the first word about TLS."""
    quarter = _LONGEST // 4
    hint = _HINT.search(text, quarter)
    middle = text[max(quarter, hint.start() - quarter // 2) : hint.start() + quarter] if hint else ""
    return f"{text[:quarter]} {middle} {text[-2 * quarter :]}"


def _without_prefix(text: str) -> tuple[str, str]:
    for prefix in _PREFIXES:
        if match := prefix.match(text):
            return text[match.end() :], match.groupdict().get("program") or ""
    return text, ""


def _from_field(field: re.Match[str], text: str) -> str:
    """A line of an indented object: the message alone, or NAME=VALUE as klog writes it."""
    try:
        value = str(json.loads(field["value"]))
    except ValueError:
        return text
    value = value.replace("\n", " ").replace("\t", " ")
    return value if field["name"] in _MESSAGES else f"{field['name']}={value}"


def _from_json(text: str) -> tuple[str, str]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    if not isinstance(fields, dict):
        return text, ""
    message = next((fields[name] for name in _MESSAGES if isinstance(fields.get(name), str)), "")
    if "MESSAGE" in fields or "log" in fields:
        unit = fields.get("_SYSTEMD_UNIT")
        return message.rstrip("\n") or text, unit.removesuffix(".service") if isinstance(unit, str) else ""
    rest = (f"{name}={_plain(value)}" for name, value in fields.items() if name not in _LEFT_OUT)
    return " ".join((message, *rest)).strip() or text, ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unescape(text: str) -> str:
    for _ in range(_DEEPEST):
        if '\\"' not in text:
            return text
        text = text.replace("\\\\", "\\").replace('\\"', '"')
    return text
