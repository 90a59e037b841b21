"""Labs, their words, and the comparison of answers.

A lab is a ``Lab`` in the ``LABS`` of a module in ``kcert.practice.labs``; its words (title, story, hints, solution)
are in ``kcert/lessons/labs/NAME.md`` and its lesson in ``kcert/lessons/NAME.md``. To add one: write the three files,
and add name and module to ``kcert.practice.labs.LABS``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache

from kcert import lessons
from kcert.errors import InputError
from kcert.files import filled
from kcert.practice.grader import Check, Grader
from kcert.practice.scenario import LabBuilder, Scenario, ScenarioRng


@dataclass(frozen=True)
class ExpectedAnswer:
    """The right answer to a question: ``kind`` says how answers are compared with ``text``.

    ``words`` (case, blanks and a full stop do not matter); ``path`` (from the lab's folder or the end of it); ``date``
    (any usual form), ``number``.
    """

    text: str
    kind: str = "words"
    also: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """The form of an answer of this kind, for a learner whose answer is not right."""
        return _KINDS[self.kind][0]

    def is_given_by(self, answer: str) -> bool:
        """Return True if *answer* says the same."""
        agrees = _KINDS[self.kind][1]
        return any(agrees(answer, text) for text in (self.text, *self.also))


@dataclass(frozen=True)
class Lab:
    """One exercise.

    ``generate`` makes the scenario from a seed, ``setup`` the files in the lab's folder with one thing broken in them,
    ``grade`` checks what has to work. ``asks`` returns the right answers, for a lab with questions.
    """

    name: str
    generate: Callable[[ScenarioRng], Scenario]
    setup: Callable[[LabBuilder], None] = LabBuilder.build
    grade: Callable[[Grader], Iterator[Check]] = Grader.grade
    asks: Callable[[Scenario], tuple[ExpectedAnswer, ...]] | None = None


def _plain(text: str) -> str:
    text = re.sub(r"^[\"'`]+|[\"'`.]+$", "", " ".join(text.casefold().split()))
    return re.sub(r"\s*([=,/:])\s*", r"\1", text)


def _same_path(given: str, right: str) -> bool:
    """Compare paths from the lab's folder, from /etc, or their ends; ca.crt alone is ambiguous."""
    parts, wanted = (
        [part for part in text.strip(" \"'`").split("/") if part not in ("", ".")] for text in (given, right)
    )
    return len(parts) > 1 and (wanted[-len(parts) :] == parts or parts[-len(wanted) :] == wanted)


def _same_number(given: str, right: str) -> bool:
    with suppress(ValueError):  # more digits than int() takes
        return [int(number) for number in re.findall(r"\d+", given)] == [int(right)]
    return False


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _day(text: str) -> date | None:
    """Return the day of 2027-03-05, 05.03.2027, 5 March 2027, Mar  5 09:00:00 2027 GMT …"""
    text = re.sub(r"\d{1,2}:\d{2}(:\d{2})?(\.\d+)?", " ", text.casefold())
    with suppress(ValueError, OverflowError):  # there is no such day
        if match := re.search(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text):
            return date(*map(int, match.groups()))
        if match := re.search(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\b", text):
            return date(*map(int, reversed(match.groups())))
        month = re.search(rf"\b({'|'.join(_MONTHS)})", text)
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if month and len(numbers) == 2:
            return date(max(numbers), _MONTHS.index(month[0]) + 1, min(numbers))
    return None


_KINDS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "words": ("a word or a few words, as openssl prints them", lambda given, right: _plain(given) == _plain(right)),
    "path": ("a path from the lab's folder, such as pki/etcd-ca.crt", _same_path),
    "date": ("a date, such as 2027-03-05", lambda given, right: _day(given) == _day(right) is not None),
    "number": ("a number", _same_number),
}
"""The form of an answer of each kind, and the function that compares two."""

FOLDER = lessons.FOLDER / "labs"

STORY_WIDTH = 80
"""Columns of a story in its file."""

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


@cache
def words(lab: str, /, **values: str) -> Words:
    """Return the words of *lab*, with *values* for the placeholders; without values these stay.

    Raises InputError for a file that cannot be read or is incomplete, and for an unknown placeholder.
    """
    path = lessons.file_of(f"labs/{lab}.md")
    text = lessons.text_of(path)
    title, lines, story, sections = lessons.parts_of(filled(text, values, str(path)) if values else text)
    header = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    for what, there in (
        ("# Title", title.startswith("# ")),
        ("chapter: NAME", header.get("chapter")),
        ("difficulty: 1, 2 or 3", header.get("difficulty") in ("1", "2", "3")),
        ("minutes: NUMBER", header.get("minutes", "").isdecimal()),
        ("a story", story.strip()),
        ("## Hints", sections.get("Hints")),
        ("## Solution", sections.get("Solution")),
    ):
        if not there:
            raise InputError(f"{path} is not a lab: {what} is missing.")
    return Words(
        name=lab,
        title=title.removeprefix("# ").strip(),
        chapter=header["chapter"],
        difficulty=int(header["difficulty"]),
        minutes=int(header["minutes"]),
        story=story,
        hints=_items(sections["Hints"]),
        solution=tuple(_actions(sections["Solution"])),
        with_kcert=tuple(_actions(sections.get("With kcert", ""))),
        questions=_items(sections.get("Questions", "")),
    )


def _items(text: str) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in _ITEM.split(text)[1:])


def _actions(text: str) -> Iterator[Action]:
    """Yield each paragraph with the commands of the indented block after it."""
    reason: list[str] = []
    for part in filter(str.strip, re.split(r"\n{2,}", text)):
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
    wrapper = textwrap.TextWrapper(STORY_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(part if part.startswith("    ") else wrapper.fill(" ".join(part.split())) for part in parts)
