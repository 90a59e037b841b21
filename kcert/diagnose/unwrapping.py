"""From a line of a log file to what the program said: without what journald, container runtimes and JSON put around it.

Known wrappings: journald (short, precise and ISO times; ``-o json``), CRI (``TIME stderr F text``), ``kubectl logs
--timestamps`` and ``--prefix``, docker's json-file, klog and zap in JSON. A line that is none of these stays as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIXES = (
    re.compile(r"\[pod/[^\]\s]+\] "),
    re.compile(rf"{_TIME} (?:stdout|stderr) [FP](?::\S+)? "),
    re.compile(rf"(?:[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|{_TIME}) \S+ [^\s:\[\]]+(?:\[\d+\])?: "),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z "),
)
_TOLD = ("MESSAGE", "msg", "message", "log")
_LEFT_OUT = {"ts", "level", "caller", "v", "stacktrace", "stream", "time", "logger", *_TOLD}
_DEEPEST = 4
"""Logs within logs: docker's JSON around zap's JSON around a quoted error; no real one goes deeper."""


def unwrap(line: bytes) -> str:
    """What the program said, on one line, with its quotation marks as they were before anything escaped them."""
    text = line.decode(errors="replace").rstrip("\r\n")
    for _ in range(_DEEPEST):
        bare = _without_prefix(text)
        if bare.startswith("{") and bare.endswith("}"):
            bare = _from_json(bare)
        if bare == text:
            break
        text = bare
    return _unescape(text)


def _without_prefix(text: str) -> str:
    for prefix in _PREFIXES:
        if found := prefix.match(text):
            return text[found.end() :]
    return text


def _from_json(text: str) -> str:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(fields, dict):
        return text
    told = next((fields[name] for name in _TOLD if isinstance(fields.get(name), str)), "")
    if "MESSAGE" in fields or "log" in fields:
        return told.rstrip("\n") or text
    rest = (f"{name}={_plain(value)}" for name, value in fields.items() if name not in _LEFT_OUT)
    return " ".join((told, *rest)).strip() or text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unescape(text: str) -> str:
    for _ in range(_DEEPEST):
        if '\\"' not in text:
            return text
        text = text.replace("\\\\", "\\").replace('\\"', '"')
    return text
