"""Labs, their words, and the comparison of answers.

A lab is a ``Lab`` in the ``LABS`` of a module in ``kcert.practice.labs``; its words (title, story, hints, solution)
are in ``kcert/lessons/labs/NAME.md`` and its lesson in ``kcert/lessons/NAME.md``. To add one: write the three files,
and add name and module to ``kcert.practice.labs.LABS``.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kcert.practice.grader import Check, Grader
    from kcert.practice.scenario import LabBuilder, Scenario, ScenarioRng


@dataclass(frozen=True)
class ExpectedAnswer:
    """The right answer to a question: ``kind`` says how answers are compared with ``text``.

    ``words`` (case, blanks and a full stop do not matter); ``path`` (from the lab's folder or the end of it); ``date``
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
        """Return True if *answer* says the same."""
        return any(_COMPARED[self.kind](answer, text) for text in (self.text, *self.also))


_FORMS = {
    "words": "a word or a few words, as openssl prints them",
    "path": "a path from the lab's folder, such as pki/etcd-ca.crt",
    "date": "a date, such as 2027-03-05",
    "number": "a number",
    "names": "a list, such as localhost, 127.0.0.1",
}


def lay_out(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the certificates of *scenario*, those in ``made`` with their fault: the setup of most labs."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader, *focus: str) -> Iterator[Check]:
    """Check that all connections succeed, and that the certificates *focus*, or those with a fault, are right."""
    yield from map(grader.connects, scenario.connections)
    yield from grader.all_work(*(focus or (*scenario.made, *scenario.between)))
    yield grader.no_check_errors()


@dataclass(frozen=True)
class Lab:
    """One exercise.

    ``generate`` makes the scenario from a seed, ``setup`` the files in the lab's folder with one thing broken in them,
    ``grade`` checks what has to work. ``asks`` returns the right answers, for a lab with questions.
    """

    name: str
    generate: Callable[[ScenarioRng], Scenario]
    setup: Callable[[Scenario, LabBuilder], None] = lay_out
    grade: Callable[[Scenario, Grader], Iterator[Check]] = grade
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


FOLDER = lessons.FOLDER / "labs"

STORY_WIDTH = 80
"""Columns of a story in its file."""

_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")
_ITEM = re.compile(r"^\d+\. ", re.MULTILINE)


@dataclass(frozen=True)
class Action:
    """A step of a solution: the reason, in Markdown, and its bash commands (none: the words are enough)."""

    why: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """The words of a lab. ``story``, ``hints``, ``questions`` and reasons are Markdown."""

    name: str
    title: str
    chapter: str
    difficulty: int
    minutes: int
    story: str
    hints: tuple[str, ...]
    solution: tuple[Action, ...]
    with_kcert: tuple[Action, ...]
    questions: tuple[str, ...]

    def filled(self, values: Mapping[str, str]) -> Words:
        """Return the words with *values* for the placeholders; raises InputError for an unknown placeholder."""

        def filled(text: str) -> str:
            return _PLACEHOLDER.sub(lambda match: self._value(match, values), text)

        def done(actions: tuple[Action, ...]) -> tuple[Action, ...]:
            return tuple(Action(filled(action.why), tuple(map(filled, action.commands))) for action in actions)

        return replace(
            self,
            story=filled(self.story),
            hints=tuple(map(filled, self.hints)),
            solution=done(self.solution),
            with_kcert=done(self.with_kcert),
            questions=tuple(map(filled, self.questions)),
        )

    def _value(self, match: re.Match[str], values: Mapping[str, str]) -> str:
        if match[1] not in values:
            path = lessons.file_of(f"labs/{self.name}.md")
            raise InputError(f"{path}: {match[0]} is not known; there are {', '.join(sorted(values))}.")
        return values[match[1]]


@cache
def words(name: str) -> Words:
    """Return the words of the lab *name*; raises InputError for a file that cannot be read or is incomplete."""
    path = lessons.file_of(f"labs/{name}.md")
    title, _, rest = lessons.text_of(path).partition("\n")
    header, _, body = rest.partition("\n\n")
    values = dict(_header_line(line) for line in header.splitlines())
    story, *parts = f"\n{body}".split("\n## ")
    sections = {heading.strip(): words.strip("\n") for heading, _, words in (part.partition("\n") for part in parts)}
    for what, there in (
        ("# Title", title.startswith("# ")),
        ("chapter: NAME", values.get("chapter")),
        ("difficulty: 1, 2 or 3", values.get("difficulty") in ("1", "2", "3")),
        ("minutes: NUMBER", values.get("minutes", "").isdecimal()),
        ("a story", story.strip()),
        ("## Hints", sections.get("Hints")),
        ("## Solution", sections.get("Solution")),
    ):
        if not there:
            raise InputError(f"{path} is not a lab: {what} is missing.")
    return Words(
        name=name,
        title=title.removeprefix("# ").strip(),
        chapter=values["chapter"],
        difficulty=int(values["difficulty"]),
        minutes=int(values["minutes"]),
        story=story.strip("\n"),
        hints=_items(sections["Hints"]),
        solution=tuple(_actions(sections["Solution"])),
        with_kcert=tuple(_actions(sections.get("With kcert", ""))),
        questions=_items(sections.get("Questions", "")),
    )


def _header_line(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _items(text: str) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in _ITEM.split(text)[1:])


def _actions(text: str) -> Iterator[Action]:
    """Yield each paragraph with the commands of the indented block after it."""
    reason: list[str] = []
    for part in re.split(r"\n{2,}", text):
        if not part.strip():
            continue
        if part.startswith("    "):
            yield Action("\n\n".join(reason), tuple(line.removeprefix("    ") for line in part.split("\n")))
            reason = []
        else:
            reason.append(" ".join(part.split()))
    if reason:
        yield Action("\n\n".join(reason), ())


def wrapped(text: str) -> str:
    """Return *text* with its paragraphs wrapped again: names are longer or shorter than their placeholders."""
    parts = re.split(r"\n{2,}", text)
    return "\n\n".join(part if part.startswith("    ") else _paragraph(part) for part in parts)


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), STORY_WIDTH, break_long_words=False, break_on_hyphens=False)
