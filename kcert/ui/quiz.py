"""A quiz on the screen: what openssl printed, the question, the choices, and whether the answer was right."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.errors import InputError
from kcert.ui.console import INDENT, block, command_line, heading, say, screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.practice.quiz import Question


def ask(questions: Iterable[Question], seed: int, count: int) -> int:
    """Ask all *questions* on standard input; return how many answers were right.

    Raises InputError where the input ends before the last question.
    """
    right = 0
    for number, question in enumerate(questions, start=1):
        heading(f"Question {number} of {count}")
        for argv, said in question.commands:
            command_line(argv)
            block(said.splitlines(), "said")
            screen().print()
        say(question.text)
        screen().print()
        for letter, choice in zip("abcdefgh", question.choices, strict=False):
            screen().print(Text(f"{INDENT}{letter}) {choice}"), soft_wrap=True)
        screen().print()
        correct = _answer(len(question.choices)) == question.right
        right += correct
        say("Right." if correct else f"No: {'abcdefgh'[question.right]}.", "good" if correct else "bad")
        say(question.why)
        screen().print()
    say(f"{right} of {count} right. `kcert practice quiz --seed {seed}` asks the same questions again.")
    return right


def _answer(count: int) -> int:
    """Return the number of the choice that was typed, from 0."""
    letters = "abcdefgh"[:count]
    while True:
        screen().print(Text(f"Your answer ({letters[0]} to {letters[-1]}): "), end="")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            screen().print()
            raise InputError("the input ended before the last question was answered.")
        if (letter := line.strip().lower().rstrip(")")) and letter in letters and len(letter) == 1:
            return letters.index(letter)
        say(f"Type one of the letters {', '.join(letters)}.", "notice")
