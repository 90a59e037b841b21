"""The message of the program in a line: what journald, runtimes, JSON and copying add is cut off.

Known are journald (short, precise and ISO times, months in any language; ``-o json``), syslog, CRI (``TIME stderr F
text``), ``kubectl logs --timestamps`` and ``--prefix``, docker's json-file, docker compose, klog and zap in JSON, one
field of an indented JSON object. A line that is none of these stays as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIXES = (
    re.compile(r"(?:\d{1,3}\.){3}\d{1,3}: (?=\{)"),  # talosctl logs
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
SEARCHED = 6000
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
    return Message(text if len(text) <= SEARCHED else _shortened(text), program)


def _shortened(text: str) -> str:
    """The beginning and the end of a long message, and between them the text around the first word about TLS."""
    quarter = SEARCHED // 4
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
