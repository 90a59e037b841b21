"""The words of a lab: one Markdown file each in ``kcert/lessons/labs``, for teachers to edit.

A file begins with ``# Title`` and the lines ``chapter: NAME``, ``difficulty: 1`` (to 3) and ``minutes: NUMBER``; then
comes the story, in the voice of a colleague. ``## Hints`` holds a numbered list from a nudge to the answer, ``##
Solution`` and ``## With kcert`` paragraphs, each followed by the commands that it gives the reason for, ``##
Questions`` a numbered list. ``{{ name }}`` stands for what a seed varies.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    title, _, rest = text.partition("\n")
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
