"""Labs: the list, stories, hints, checks and solutions; and the quiz."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.errors import InputError
from kcert.ui import print_json, print_lines, print_path
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    block,
    clean,
    clean_line,
    command_line,
    counted,
    draw,
    fitted,
    heading,
    say,
    say_apart,
    screen,
)
from kcert.ui.explain import passage
from kcert.ui.report import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kcert.practice.grader import Check
    from kcert.practice.lab import Action, Words
    from kcert.practice.quiz import Question
    from kcert.practice.session import CheckResult, LabListing, Session
    from kcert.practice.state import State


SCRIPT_WIDTH = 100

WIDE = 76
"""Columns from which on the list of labs is a table."""

_STATUS_WIDTH = len("not yet") + 2

_DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard"}


_COLUMNS: dict[str, Callable[[LabListing], str]] = {
    "lab": lambda lab: lab.words.name,
    "title": lambda lab: lab.words.title,
    "chapter": lambda lab: lab.words.chapter,
    "level": lambda lab: _DIFFICULTIES[lab.words.difficulty],
    "min": lambda lab: str(lab.words.minutes),
    "done": lambda lab: "yes" if lab.solved else "",
}


def show_list(labs: Sequence[LabListing], form: str) -> None:
    """Print every lab, in the order of a course."""
    if form == "json":
        print_json([_record(listing) for listing in labs])
        return
    rows = rows_of(labs, _COLUMNS)
    if not screen().is_terminal or screen().width >= WIDE:
        draw(rows)
        screen().print()
    else:
        for name, title, chapter, level, minutes, done in rows[1:]:
            screen().print(Text(name, style="heading"), soft_wrap=True)
            say(title)
            say_apart(f"{chapter}; {level}, {minutes} minutes{'; done' if done else ''}", "quiet")
    count = sum(1 for listing in labs if listing.solved)
    say(
        f"{count} of {len(labs)} labs solved in the folders below this one. "
        "`kcert practice start LAB` starts one lab in ./lab, `kcert practice exam` several with a time limit."
    )


def _record(listing: LabListing) -> dict[str, object]:
    words, solved = listing.words, listing.solved
    return {
        "name": words.name,
        "title": words.title,
        "chapter": words.chapter,
        "difficulty": _DIFFICULTIES[words.difficulty],
        "minutes": words.minutes,
        "done": solved is not None,
        "solved": solved.when if solved else None,
    }


def show_start(session: Session, option: str, *, quiet: bool = False) -> None:
    """Print the story, the folder, and the command that checks the lab; if *quiet*, only the folder."""
    if quiet:
        print_path(session.root)
        return
    words, in_folder = session.words, str(session.root) == "."
    root = "this folder" if in_folder else clean_line(str(session.root))
    story = "story.txt" if in_folder else f"{root}/story.txt"
    heading(session.title)
    passage(words.story)
    screen().print()
    which = session.title if session.sealed else f"Lab {words.name}, seed {session.state.seed}"
    say(
        f"The files are in {root}, and so is this story ({story}). "
        f"{which}: {_DIFFICULTIES[words.difficulty]}, about {words.minutes} minutes."
    )
    tools = "openssl" if session.sealed else "openssl or kcert"
    say(f"Work in {root} with {tools}. Then check the result with `kcert practice check{option}`.")
    _ask(session.question(), option)


def show_hint(session: Session, number: int, text: str, option: str) -> None:
    """Print a hint."""
    count = len(session.words.hints)
    heading(f"Hint {number} of {count}")
    passage(text)
    if number == count:
        screen().print()
        more = (
            "" if session.running_exam else f" `kcert practice solution{option}` shows every command with its reason."
        )
        say(f"That was the last hint.{more}")


def show_check(session: Session, result: CheckResult, form: str, option: str, *, quiet: bool = False) -> None:
    """Print each check and its result (neither if *quiet*), and whether the lab is solved."""
    if form == "json":
        print_json({"solved": result.solved} if session.sealed else _record_of(session, result))
        return
    if session.sealed or quiet:
        say("Solved." if result.solved else "Not solved.", "good" if result.solved else "notice")
        return
    for check in result.checks:
        _check(check)
    screen().print()
    if session.state.deadline and not session.running_exam:
        say("The exam of this lab is over, so this does not count.", "notice")
    name, hints = session.lab.name, session.state.hints
    if result.solved:
        say(f"Solved, {_helped(session.state)}. `kcert explain {name}` sums it up.", "good")
        return
    failing = sum(1 for check in result.checks if not check.works)
    say(f"Not solved yet: {failing} of {len(result.checks)} checks fail.", "notice")
    question = session.question()
    if question:
        _ask(question, option)
    else:
        say(f"`kcert practice hint{option}` gives a hint; {hints} of {len(session.words.hints)} were used.")


def _helped(state: State) -> str:
    """Return which help was used, for the sentence that says that the lab is solved."""
    hints = counted(state.hints, "hint") if state.hints else ""
    used = [text for text in (hints, "a look at the solution" if state.shown else "") if text]
    return f"with {' and '.join(used)}" if used else "without a hint"


def _record_of(session: Session, result: CheckResult) -> dict[str, object]:
    return {
        "lab": session.lab.name,
        "seed": session.state.seed,
        "solved": result.solved,
        "hints": session.state.hints,
        "solution_shown": session.state.shown,
        "tries": session.state.tries,
        "checks": [
            {"what": check.what, "works": check.works, "status": check.status, "why": check.why or None}
            for check in result.checks
        ],
    }


def _check(check: Check) -> None:
    """Print a check in a line, and below it the reason if it does not work."""
    style = {"works": "good", "not yet": "notice", "fails": "bad"}[check.status]
    bullet = Text(check.status.ljust(_STATUS_WIDTH), style=style)
    say(clean_line(check.what), "bold" if check.status == "fails" else "", bullet=bullet)
    if not check.works:
        say(clean_line(check.why), bullet=" " * _STATUS_WIDTH)


def show_answer(number: int, question: tuple[int, str] | None, option: str, *, right: bool) -> None:
    """Print whether the answer to question *number* is *right*, and the next *question*."""
    if not right:
        say(f"The answer to question {number} is wrong. Answer it again.", "notice")
        return
    say("Right.", "good")
    if question:
        _ask(question, option)
    else:
        say(f"That was the last question: check the lab with `kcert practice check{option}`.")


def _ask(question: tuple[int, str] | None, option: str) -> None:
    if question is None:
        return
    number, text = question
    screen().print()
    heading(f"Question {number}")
    passage(text)
    screen().print()
    say(f"`kcert practice answer {number} 'YOUR ANSWER'{option}`")


def show_solution(words: Words, seed: int, form: str) -> None:
    """Print the commands and their reasons, with openssl and with kcert; or the script."""
    if form == "sh":
        print_lines(script(words, seed))
        return
    heading(words.title)
    _actions(words.solution)
    if words.with_kcert:
        screen().print()
        heading("The same with kcert")
        _actions(words.with_kcert)
    screen().print()
    say("Run these commands in the folder of the lab.")


def _actions(actions: Sequence[Action]) -> None:
    width = min(screen().width, MOST_WIDTH) - len(INDENT)
    for number, action in enumerate(actions):
        if number:
            screen().print()
        passage(action.why)
        if action.commands:
            screen().print()
        for line in action.commands:
            block(fitted([clean(line)], width), "command")


def script(words: Words, seed: int) -> Iterator[str]:
    """Yield the lines of a bash script that solves the lab; it runs in the lab's folder."""
    yield "#!/usr/bin/env bash"
    yield f"# Solves the lab {words.name} with seed {seed}; run it in the lab's folder."
    yield "set -euo pipefail"
    yield "umask 077  # only their owner can read new keys"
    for action in words.solution:
        yield ""
        for paragraph in action.why.split("\n\n"):
            yield from textwrap.wrap(
                paragraph, SCRIPT_WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
            )
        yield from action.commands


def ask_questions(questions: Iterable[Question], seed: int, count: int) -> int:
    """Ask all *questions* on standard input; return how many answers were right.

    Raises InputError if the input ends before the last question.
    """
    right = 0
    for number, question in enumerate(questions, start=1):
        heading(f"Question {number} of {count}")
        for argv, output in question.commands:
            command_line(argv)
            block(output.splitlines(), "said")
            screen().print()
        say_apart(question.text)
        for letter, choice in zip("abcdefgh", question.choices, strict=False):
            screen().print(Text(f"{INDENT}{letter}) {choice}"), soft_wrap=True)
        screen().print()
        correct = _answer(len(question.choices)) == question.right
        right += correct
        say("Right." if correct else f"No: {'abcdefgh'[question.right]}.", "good" if correct else "bad")
        say_apart(question.why)
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
            raise InputError(
                "the input ended before the last question was answered. Run the quiz again, and answer every question."
            )
        if (letter := line.strip().lower().rstrip(")")) and letter in letters and len(letter) == 1:
            return letters.index(letter)
        say(f"Type one of the letters {', '.join(letters)}.", "notice")
