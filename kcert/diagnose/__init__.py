"""From log lines to causes: each with its explanation, commands that verify it, a fix and a lesson.

Nothing in a log is trusted so far as to be run: all commands are text. The causes are data (``causes/*.yaml``),
the engine is ``kcert.diagnose.engine``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from kcert.diagnose.context import (
    ADDRESS,
    KIND,
    OPTIONS,
    ROLES,
    LogMatch,
    Message,
    address_of,
    clean,
    context_of,
    options_in,
    strip_prefix,
)
from kcert.diagnose.engine import Cause, Explanation, Pattern, kind_of_line, knowledge
from kcert.diagnose.reading import Entry, Found, entries

SHOWN_LINES = 3
"""The number of lines of a finding that are kept as they are; the rest are counted."""

MOST_FINDINGS = 500
"""Findings of one log; the lines of others are counted and left out."""

_NO_WORD = bytes(byte if chr(byte).isalnum() and byte < 128 else ord(" ") for byte in range(256))
_CUT_TAIL = 100
_SHORTEST_CUT = 12
_GAP = re.compile(rb"\.\.\.(?=\w)|\xe2\x80\xa6(?=\w)")
_MAY_BE_CUT = re.compile(rb"x509|tls:|[Cc]ertificat|SSL|bearer|authenticat|PEM|signature")


@dataclass(frozen=True)
class Line:
    """A line of the log, as it is there."""

    number: int
    text: str


@dataclass(frozen=True)
class Finding:
    """One cause in one log: its explanation, the first lines that report it, and how many there are."""

    explanation: Explanation
    lines: tuple[Line, ...]
    count: int


@dataclass(frozen=True)
class Diagnosis:
    """The findings in a log of so many lines, in the order of their first lines.

    ``left_out`` counts the lines of findings beyond ``MOST_FINDINGS``.
    """

    findings: tuple[Finding, ...]
    read: int
    left_out: int = 0


_Candidate = tuple[int, Pattern, Cause]
"""A pattern of a cause, after its place in the order."""


def causes() -> Mapping[str, Cause]:
    """Return every cause by its name. A line has one, the first whose pattern and case fit it."""
    return knowledge().causes


@cache
def _prefilter() -> dict[bytes, list[_Candidate]]:
    """Return every pattern by the longest word of its literal: most lines have none of these words."""
    by_word: dict[bytes, list[_Candidate]] = {}
    patterns = ((pattern, cause) for cause in causes().values() for pattern in cause.patterns)
    for position, (pattern, cause) in enumerate(patterns):
        token = max(_words(pattern.literal.encode()), key=len)
        by_word.setdefault(token, []).append((position, pattern, cause))
    return by_word


def _words(line: bytes) -> list[bytes]:
    """The words of a line before its prefix is stripped: a line feed may still be two characters."""
    return line.replace(b"\\n", b" ").replace(b"\\t", b" ").translate(_NO_WORD).split()


class Diagnoser:
    """Reads a log entry by entry, and holds the findings so far; never more than a few lines of the log."""

    def __init__(self, cluster: str = "", machine: str = "", roles: Iterable[str] = ()) -> None:
        """Set the kind of cluster that chooses the fixes; *machine* counts where the log does not name the kind.

        *roles* are those of the certificates in the PKI folder that kcert made here.
        """
        self._cluster = cluster
        self._findings: dict[tuple[str, str], Finding] = {}
        self._known: dict[str, str] = {KIND: machine} if machine else {}
        self._known[ROLES] = " ".join(roles)
        self.read = 0
        self.left_out = 0

    def take(self, entry: Entry) -> Finding | None:
        """Look at an entry; return the finding if it is a new one."""
        self.read = entry.last
        message = None
        if any(option in entry.text for option in OPTIONS):
            message = strip_prefix(entry.text)
            self._known.update(options_in(message.text))
        explanation = explain(entry.text, entry.before, entry.after, self._known, self._cluster)
        if explanation is None:
            return None
        message = message or strip_prefix(entry.text)
        if address := address_of(message.text):
            self._known[ADDRESS] = address
        if kind := kind_of_line(context_of(message)):
            self._known[KIND] = kind
        key = (explanation.name, explanation.cause)
        known = self._findings.get(key)
        if known is None and len(self._findings) >= MOST_FINDINGS:
            self.left_out += 1
            return None
        finding = known or Finding(explanation, (), 0)
        if len(finding.lines) < SHOWN_LINES:
            line = Line(entry.number, entry.text.decode(errors="replace").rstrip("\r\n"))
            finding = replace(finding, lines=(*finding.lines, line))
        self._findings[key] = replace(finding, count=finding.count + 1)
        return None if known else self._findings[key]

    def result(self) -> Diagnosis:
        """Return everything that was found so far."""
        return Diagnosis(tuple(self._findings.values()), self.read, self.left_out)


def diagnose(log: Iterable[bytes], cluster: str = "", machine: str = "", roles: Iterable[str] = ()) -> Diagnosis:
    """Read a log to its end; *cluster*, *machine* and *roles* as for ``Diagnoser``."""
    diagnoser = Diagnoser(cluster, machine, roles)
    for _ in follow(log, diagnoser):
        pass
    return diagnoser.result()


def follow(log: Iterable[bytes], diagnoser: Diagnoser) -> Iterator[Finding | None]:
    """Yield each new finding once its line was read, and None if the log pauses."""
    for entry in entries(log, _find):
        finding = diagnoser.take(entry) if entry else None
        if finding or entry is None:
            yield finding


def explain(
    line: bytes,
    before: bytes = b"",
    after: bytes = b"",
    known: Mapping[str, str] | None = None,
    cluster: str = "",
) -> Explanation | None:
    """Return what a line means; None if it is not about certificates or access.

    *before* and *after* are the lines around it: openssl spreads one error over several lines. A line that was cut off
    in the middle of an error is explained as such (``CUT_LINE``).
    """
    message, candidates = _candidates(line)
    if candidates:
        around = ("\n".join(strip_prefix(text).text for text in before.splitlines()), strip_prefix(after).text)
        for _, pattern, cause in candidates:
            if match := pattern.search(message.text):
                log_match = LogMatch(message, match, knowledge().targets.values(), around, known or {})
                if explanation := cause.explain(log_match, cluster):
                    return explanation
    if whole := _with_middle(line):
        return explain(whole, before, after, known, cluster)
    return _cut_off(line)


def _candidates(line: bytes) -> tuple[Message, list[_Candidate]]:
    """The message of a line, and the patterns that may match it, in order."""
    prefilter, words = _prefilter(), line
    if b"\x1b" in line or b"^[[" in line or b"u001b" in line or b"033[" in line:
        words = clean(line).encode()  # colors may be within a word
    tokens = set(_words(words)) & prefilter.keys()
    if not tokens:
        return Message(""), []
    message = strip_prefix(line)
    candidates = (candidate for token in tokens for candidate in prefilter[token])
    fitting = (candidate for candidate in candidates if candidate[1].literal in message.text)
    return message, sorted(fitting, key=lambda candidate: candidate[0])


def _find(line: bytes) -> Found | None:
    """Return the error of a line that comes first in the order of the causes; None where the line reports none."""
    message, candidates = _candidates(line)
    matches = ((position, pattern.search(message.text)) for position, pattern, _ in candidates)
    return next((Found(rank, match.start(), match.end()) for rank, match in matches if match), None)


CUT_LINE = "cut-line"
"""The name of the finding for a line that was cut off."""


@cache
def _literals() -> dict[str, tuple[str, ...]]:
    """The plain texts of errors by their beginnings."""
    by_beginning: dict[str, tuple[str, ...]] = {}
    for text in dict.fromkeys(pattern.literal for cause in causes().values() for pattern in cause.patterns):
        if len(text) > _SHORTEST_CUT + 3 and " " in text:
            by_beginning[text[:_SHORTEST_CUT]] = (*by_beginning.get(text[:_SHORTEST_CUT], ()), text)
    return by_beginning


def _with_middle(line: bytes) -> bytes:
    """Put back the words that `systemctl status` replaced with three dots; empty if no error has them."""
    gap = _GAP.search(line) if _MAY_BE_CUT.search(line) else None
    if not gap:
        return b""
    left, right = clean(line[: gap.start()]), clean(line[gap.end() :])
    for rest, _ in _begun(left):
        size = next((size for size in range(len(rest) - 2) if right.startswith(rest[size:])), -1)
        if size >= 0:
            return f"{left}{rest[:size]}{right}".encode()
    return b""


def _begun(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is missing of each error whose beginning *text* ends with, and the whole error."""
    for start in range(max(0, len(text) - _CUT_TAIL), len(text) - _SHORTEST_CUT + 1):
        for whole in _literals().get(text[start : start + _SHORTEST_CUT], ()):
            if whole.startswith(text[start:]):
                yield whole.removeprefix(text[start:]), whole


def _cut_off(line: bytes) -> Explanation | None:
    """Explain a line that ends in the middle of an error message, as terminals and pagers cut them."""
    if not _MAY_BE_CUT.search(line):
        return None
    text = clean(line).rstrip("\r\n ")
    tail = text.rstrip(" >\u2026").removesuffix("...")[-_CUT_TAIL:]
    marked = len(tail) < min(len(text), _CUT_TAIL)
    for rest, whole in _begun(tail):
        if rest and (marked or (rest[0].isalpha() and tail[-1].isalpha())):
            return Explanation(
                CUT_LINE,
                "diagnose",
                f'The line is cut off: it ends with "{whole.removesuffix(rest)}". An error that begins like this is '
                f'"{whole}"; only the whole line says what it means here.',
                "journalctl -u COMPONENT -l --no-pager   # -l and --no-pager: nothing is cut off\n"
                "# COMPONENT: the unit that writes this log\n"
                "kubectl logs -n kube-system POD   # POD: where the component is a pod",
                "# COMPONENT: the component that writes this log\n"
                "kcert logs COMPONENT --diagnose   # reads the log itself",
            )
    return None
