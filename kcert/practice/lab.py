"""The types that all labs share.

A lab is a module in ``kcert.practice.labs`` with one ``Lab``; its words (title, story, hints, solution) are in
``kcert/lessons/labs/NAME.md`` and its lesson in ``kcert/lessons/NAME.md``. To add one: write the three files, and
add the name to ``kcert.practice.labs.NAMES``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader
    from kcert.practice.rng import ScenarioRng


@dataclass(frozen=True)
class Check:
    """A thing that has to work: ``what`` in the present tense, and ``why`` it does not.

    Neither says how to fix it. ``pending``: it cannot be checked yet, because something it needs does not exist.
    """

    what: str
    works: bool
    why: str = ""
    pending: bool = False

    @property
    def status(self) -> str:
        """One of ``works``, ``not yet``, ``fails``."""
        return "works" if self.works else "not yet" if self.pending else "fails"


@dataclass(frozen=True)
class Scenario:
    """One start of a lab: everything that follows from its seed and the time of its start.

    ``specs`` are the certificates of the lab as they have to be, a CA before what it signs; ``made`` those among
    them that are made with a fault, by name. ``values`` are for the placeholders of the lab's words. ``folder`` is
    the PKI folder, below the lab's. ``kept`` are files, relative to the lab's folder, that must not change.
    """

    cluster: Cluster
    now: datetime
    specs: tuple[Certificate, ...] = ()
    made: Mapping[str, Certificate] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    folder: str = "pki"
    kept: tuple[str, ...] = ()

    def spec(self, name: str) -> Certificate:
        """Return the certificate called *name*, as it has to be."""
        return next(spec for spec in self.specs if spec.name == name)


@dataclass(frozen=True)
class ExpectedAnswer:
    """The right answer to a question: ``kind`` tells how answers are compared with ``text``.

    ``words`` (case, blanks and a full stop do not matter), ``path`` (from the lab's folder or the end of it), ``date``
    (any usual form), ``number``, ``names`` (a list in any order).
    """

    text: str
    kind: str = "words"
    also: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """The form of an answer of this kind, for a learner whose answer is not right."""
        return _FORMS[self.kind]

    def is_given_by(self, answer: str) -> bool:
        """Return True where *answer* says the same."""
        return any(_COMPARED[self.kind](answer, text) for text in (self.text, *self.also))


_FORMS = {
    "words": "a word or a few words, as openssl prints them",
    "path": "a path from the lab's folder, such as pki/etcd-ca.crt",
    "date": "a date, such as 2027-03-05",
    "number": "a number",
    "names": "a list, such as localhost, 127.0.0.1",
}


@dataclass(frozen=True)
class Lab:
    """One exercise.

    ``generate`` makes the scenario from a seed, ``setup`` the files in the lab's folder with one thing broken in them,
    ``grade`` checks what has to work. ``asks`` returns the right answers, for a lab with questions.
    """

    name: str
    generate: Callable[[ScenarioRng], Scenario]
    setup: Callable[[Scenario, LabBuilder], None]
    grade: Callable[[Scenario, Grader], Iterator[Check]]
    asks: Callable[[Scenario], tuple[ExpectedAnswer, ...]] | None = None


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _words(given: str, right: str) -> bool:
    return _plain(given) == _plain(right)


def _plain(text: str) -> str:
    text = re.sub(r"^[\"'`]+|[\"'`.]+$", "", " ".join(text.casefold().split()))
    return re.sub(r"\s*([=,/:])\s*", r"\1", text)


def _path(given: str, right: str) -> bool:
    """Compare paths from the lab's folder, from /etc, or their ends; ca.crt alone is ambiguous."""
    parts, wanted = _parts(given), _parts(right)
    return len(parts) > 1 and (wanted[-len(parts) :] == parts or parts[-len(wanted) :] == wanted)


def _parts(text: str) -> list[str]:
    return [part for part in text.strip(" \"'`").split("/") if part not in ("", ".")]


def _number(given: str, right: str) -> bool:
    numbers = re.findall(r"\d+", given)
    return len(numbers) == 1 and int(numbers[0]) == int(right)


def _names(given: str, right: str) -> bool:
    return _set(given) == _set(right)


def _set(text: str) -> set[str]:
    return {_plain(name) for name in re.split(r"[,;\s]+|\band\b", text) if name.strip()}


def _date(given: str, right: str) -> bool:
    return day(given) == day(right) is not None


def day(text: str) -> tuple[int, int, int] | None:
    """Return year, month and day of 2027-03-05, 05.03.2027, 5 March 2027, Mar  5 09:00:00 2027 GMT …"""
    text = re.sub(r"\d{1,2}:\d{2}(:\d{2})?(\.\d+)?", " ", text.casefold())
    if match := re.search(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text):
        return _real(*(int(part) for part in match.groups()))
    if match := re.search(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\b", text):
        return _real(*(int(part) for part in reversed(match.groups())))
    month = re.search(rf"\b({'|'.join(_MONTHS)})", text)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if not month or len(numbers) != 2:
        return None
    year, date = max(numbers), min(numbers)
    return _real(year, _MONTHS.index(month[0]) + 1, date)


def _real(year: int, month: int, date: int) -> tuple[int, int, int] | None:
    try:
        datetime(year, month, date)  # noqa: DTZ001 - only whether there is such a day
    except ValueError:
        return None
    return year, month, date


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "words": _words,
    "path": _path,
    "number": _number,
    "names": _names,
    "date": _date,
}
