"""From log lines to causes: each with its proof, its repair and its lesson.

Nothing that stands in a log is believed so far as to be run: proofs and repairs are text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.diagnose import (
    access,
    files,
    handshakes,
    keys,
    knowledge,
    names,
    requests,
    settings,
    trust,
    usages,
    validity,
    webhooks,
)
from kcert.diagnose.cause import DIALLED, Cause, Meaning, Saying, dialled
from kcert.diagnose.unwrapping import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CAUSES: dict[str, Cause] = {
    cause.name: cause
    for group in (webhooks, requests, validity, usages, names, trust, keys, handshakes, access, settings, files)
    for cause in group.CAUSES
}
"""Every cause by its name. A line has one cause, the first whose wording it holds: what says more comes first."""

SHOWN_LINES = 3
"""So many of a finding's lines are kept as they are; the rest are counted."""

MOST_FINDINGS = 500
"""Nobody reads about more faults than that at once: the lines of others are counted and left out."""

_NO_WORD = bytes(byte if chr(byte).isalnum() and byte < 128 else ord(" ") for byte in range(256))


def _words(line: bytes) -> list[bytes]:
    """The words of a line, as they are before anything unwraps it: a line feed may still be two characters."""
    return line.replace(b"\\n", b" ").replace(b"\\t", b" ").translate(_NO_WORD).split()


_WORDINGS = tuple(
    (max(_words(wording.mark.encode()), key=len), wording, cause)
    for cause in CAUSES.values()
    for wording in cause.wordings
)
"""Every wording in order, behind the longest word of its mark."""

_TELLTALES = frozenset(telltale for telltale, _, _ in _WORDINGS)
"""Most lines of a log have none of these words, and are passed over at once."""


@dataclass(frozen=True)
class Line:
    """A line of the log, as it stands there."""

    number: int
    text: str


@dataclass(frozen=True)
class Finding:
    """One cause in one log: what it means, the first lines that say it, and how many there are."""

    cause: str
    lesson: str
    meaning: Meaning
    lines: tuple[Line, ...]
    count: int


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a log of so many lines, in the order of the first line of each.

    ``left_out`` counts the lines of faults beyond ``MOST_FINDINGS``.
    """

    findings: tuple[Finding, ...]
    read: int
    left_out: int = 0


def diagnose(log: Iterable[bytes]) -> Diagnosis:
    """Read a log line by line; no more than a few lines of it are held at any time."""
    found: dict[Meaning, tuple[Cause, list[Line]]] = {}
    counts: dict[Meaning, int] = {}
    known: dict[str, str] = {}
    number = left_out = 0
    for number, (before, line, after) in enumerate(_with_neighbours(log), 1):
        if knowledge.tells(line):
            known.update(knowledge.files(unwrap(line)))
        judged = judge(line, before, after, known)
        if judged is None:
            continue
        if address := dialled(unwrap(line)):
            known[DIALLED] = address
        cause, key = judged
        if key not in counts and len(counts) >= MOST_FINDINGS:
            left_out += 1
            continue
        counts[key] = counts.get(key, 0) + 1
        _, kept = found.setdefault(key, (cause, []))
        if len(kept) < SHOWN_LINES:
            kept.append(Line(number, line.decode(errors="replace").rstrip("\r\n")))
    findings = tuple(
        Finding(cause.name, cause.lesson, meaning, tuple(kept), counts[meaning])
        for meaning, (cause, kept) in found.items()
    )
    return Diagnosis(findings, number, left_out)


def judge(
    line: bytes, before: bytes = b"", after: bytes = b"", known: Mapping[str, str] | None = None
) -> tuple[Cause, Meaning] | None:
    """The cause that a line tells of and what it means; None where it is not about certificates or access.

    *before* and *after* are the lines around it: openssl spreads what it has to say over several.
    """
    words = set(_words(line))
    if words.isdisjoint(_TELLTALES):
        return None
    text = unwrap(line)
    for telltale, wording, cause in _WORDINGS:
        if telltale not in words or wording.mark not in text or not (found := wording.regex.search(text)):
            continue
        meaning = cause.judge(Saying(text, found, (before, after), known or {}))
        if meaning is not None:
            return cause, meaning
    return None


def _with_neighbours(log: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Each line between the one before it and the one behind it."""
    before = b""
    line: bytes | None = None
    for after in log:
        if line is not None:
            yield before, line, after
            before = line
        line = after
    if line is not None:
        yield before, line, b""
