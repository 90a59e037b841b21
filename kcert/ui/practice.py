"""Labs: the list, stories, hints, checks and solutions; the exam, and the report on a class."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.practice.labs import NAMES
from kcert.quoting import quote
from kcert.ui import print_json, print_lines, print_path
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    block,
    clean,
    clean_line,
    command_line,
    comment,
    counted,
    draw,
    error_screen,
    fitted,
    heading,
    say,
    say_apart,
    say_commands,
    screen,
)
from kcert.ui.explain import passage
from kcert.ui.report import comma_separated, document, markdown_table, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from kcert.practice.exam import Line, Result
    from kcert.practice.lab import Action, Words
    from kcert.practice.session import CheckResult, LabListing, Session


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
        style = {"works": "good", "not yet": "notice", "fails": "bad"}[check.status]
        bullet = Text(check.status.ljust(_STATUS_WIDTH), style=style)
        say(clean_line(check.what), "bold" if check.status == "fails" else "", bullet=bullet)
        if not check.works:
            say(clean_line(check.why), bullet=" " * _STATUS_WIDTH)
    screen().print()
    if session.state.deadline and not session.running_exam:
        say("The exam of this lab is over, so this does not count.", "notice")
    name, hints = session.lab.name, session.state.hints
    if result.solved:
        used = [counted(hints, "hint")] if hints else []
        used += ["a look at the solution"] if session.state.shown else []
        helped = f"with {' and '.join(used)}" if used else "without a hint"
        say(f"Solved, {helped}. `kcert explain {name}` sums it up.", "good")
        if not session.state.deadline and name != NAMES[-1]:
            following = NAMES[NAMES.index(name) + 1]
            say(f"Next: `kcert practice start {following}{option} --replace`. What you solved stays recorded.")
        return
    failing = sum(1 for check in result.checks if not check.works)
    say(f"Not solved yet: {failing} of {len(result.checks)} checks fail.", "notice")
    question = session.question()
    if question:
        _ask(question, option)
    else:
        say(f"`kcert practice hint{option}` gives a hint; {hints} of {len(session.words.hints)} were used.")


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
            yield from comment(paragraph)
        yield from action.commands


def begins() -> None:
    """Say that the labs are being built, before the time starts."""
    say("Building the labs. The time starts when they are ready.", "quiet", to=error_screen())


def show_exam(result: Result, root: Path, form: str) -> None:
    """Print every task, and the time that is left or the score."""
    if form == "json":
        print_json(_exam_record(result))
        return
    exam = result.exam
    seed = "sealed" if result.hidden else f"seed {exam.seed}"
    heading(f"Exam, {seed}: {len(exam.tasks)} labs in {exam.minutes} minutes")
    rows = [("folder", "title", "weight", "hints", "solved", "points")]
    for mark in result.marks:
        solved = "yes" if mark.solved else "no" if result.over else "not yet"
        folder = clean_line(str(root / mark.task.folder))
        title = mark.task.title if result.hidden else mark.title
        rows.append((folder, title, str(mark.weight), str(mark.hints), solved, f"{mark.points:g}"))
    draw(rows)
    screen().print()
    if result.over:
        _score(result, root)
    else:
        _running(result, root)


def _running(result: Result, root: Path) -> None:
    seconds = result.exam.seconds_left
    first = next(mark for mark in result.marks if not mark.solved)
    left = f"{seconds // 60}:{seconds % 60:02} minutes are left"
    say(f"{left}, until {result.exam.deadline[11:16]} UTC.", "notice")
    check = ("kcert", "practice", "check", "--dir", str(root / first.task.folder))
    say_commands("Each folder contains a story.txt. Check a task with:", check)
    cost = "A hint costs a quarter of a task's points"
    if result.exam.sealed:
        cost += (
            ", a failed check or a wrong answer a tenth. Solve the tasks with openssl: `kcert check`, `kcert renew`, "
            "`kcert diagnose` and the commands that create certificates are disabled until the exam is over"
        )
    say(f"Only tasks that are solved before the deadline count. {cost}. Solutions are shown when the exam is over.")
    say_apart("Show the state of the exam, or end it with --finish:")
    command_line(("kcert", "practice", "exam", *(() if str(root) == "lab" else ("--dir", str(root)))))


def _score(result: Result, root: Path) -> None:
    from kcert.practice.exam import PASSED  # with all of the exam, which few commands need

    solved = sum(1 for mark in result.marks if mark.solved)
    say(
        f"{result.points:g} of {result.of} points, {result.percent}%: {solved} of {len(result.marks)} labs "
        f"solved. The pass mark is {PASSED}%, as in the CKA.",
        "good" if result.passed else "bad",
    )
    if missing := [mark for mark in result.marks if not mark.solved]:
        say(f"To repeat: {', '.join(f'`kcert explain {mark.task.lab}`' for mark in missing)}.")
    option = "" if str(root) == "lab" else f" --dir {quote(str(root))}"
    say(
        "The labs stay, to practice or to read `kcert practice solution --dir FOLDER`. "
        f"`kcert practice exam{option} --replace` starts another exam."
    )


def _exam_record(result: Result) -> dict[str, object]:
    exam = result.exam
    return {
        "seed": None if result.hidden else exam.seed,
        "learner": exam.learner,
        "sealed": exam.sealed,
        "minutes": exam.minutes,
        "started": exam.started,
        "deadline": exam.deadline,
        "handed_in": exam.handed_in,
        "seconds_left": exam.seconds_left,
        "over": result.over,
        "tasks": [
            {
                "folder": mark.task.folder,
                "lab": None if result.hidden else mark.task.lab,
                "title": mark.task.title if result.hidden else mark.title,
                "weight": mark.weight,
                "hints": mark.hints,
                "wrong": mark.wrong,
                "solved": mark.solved,
                "points": mark.points,
            }
            for mark in result.marks
        ],
        "points": result.points,
        "of": result.of,
        "percent": result.percent,
        "passed": result.passed if result.over else None,
    }


_TITLE = "Results of the class"

_CLASS_COLUMNS: dict[str, Callable[[Line], str]] = {
    "learner": lambda line: line.learner,
    "lab": lambda line: line.lab,
    "seed": lambda line: "" if line.seed is None else str(line.seed),
    "solved": lambda line: line.solved[:16].replace("T", " ") if line.solved else "no",
    "minutes": lambda line: "" if line.minutes is None else str(line.minutes),
    "hints": lambda line: str(line.hints),
    "tries": lambda line: str(line.tries),
    "solution": lambda line: "seen" if line.solution else "",
    "exam": lambda line: "" if line.exam is None else f"{line.exam}%",
    "seal": lambda line: line.seal or "",
}


def show_class(lines: Sequence[Line], form: str) -> None:
    """Print *lines* in the format *form*."""
    about_exams = [name for name in ("exam", "seal") if any(map(_CLASS_COLUMNS[name], lines))]
    rows = rows_of(lines, _CLASS_COLUMNS, [*list(_CLASS_COLUMNS)[:8], *about_exams])
    if form == "json":
        print_json([asdict(line) for line in lines])
    elif form == "csv":
        sys.stdout.write(comma_separated(rows_of(lines, _CLASS_COLUMNS), "\n"))
    elif form == "html":
        sys.stdout.write(document(_TITLE, f"# {_TITLE}\n\n{markdown_table(rows)}"))
    else:
        _class_table(lines, rows)


_LEAST_NEEDED = ("seed", "solution", "seal", "tries", "minutes")
"""The columns that a narrow terminal does not show, the first of them first."""


def _class_table(lines: Sequence[Line], rows: list[tuple[str, ...]]) -> None:
    omitted = []
    for name in _LEAST_NEEDED if screen().is_terminal else ():
        if sum(2 + max(map(len, column)) for column in zip(*rows, strict=True)) - 2 <= screen().width:
            break
        if name in rows[0]:
            at = rows[0].index(name)
            rows = [(*row[:at], *row[at + 1 :]) for row in rows]
            omitted.append(name)
    draw(rows, whole=len(rows[0]))
    if omitted:
        say(f"Not shown, because the terminal is narrow: {', '.join(omitted)}. `--format csv` prints all.", "quiet")
    solved = sum(line.solved is not None for line in lines)
    learners = len({line.learner for line in lines})
    say(f"{solved} of {len(lines)} labs solved by {counted(learners, 'learner')}.")
    if any(line.solution and line.solved for line in lines):
        say('"seen": the solution was shown before the lab was solved.', "quiet")
    if any(line.seal == "not checked" for line in lines):
        say("`--seal` asks for the passphrase of sealed exams, and verifies their seals.", "quiet")
    if any(line.seal == "broken" for line in lines):
        say('"broken": the results were changed, or the passphrase is not the one of this exam.', "quiet")
