"""The exam: its tasks, the time that is left and the score; and the report on a class."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from kcert.practice.exam import PASSED, Line, Result
from kcert.quoting import quote
from kcert.ui import print_json
from kcert.ui.console import (
    clean_line,
    command_line,
    counted,
    draw,
    error_screen,
    heading,
    say,
    say_apart,
    say_commands,
    screen,
)
from kcert.ui.report import comma_separated, document, markdown_table, rows_of


def begins() -> None:
    """Say that the labs are being built, before the time starts."""
    say("Building the labs. The time starts when they are ready.", "quiet", to=error_screen())


def show(result: Result, root: Path, form: str) -> None:
    """Print every task, and the time that is left or the score."""
    if form == "json":
        print_json(_record(result))
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
    say(
        f"{seconds // 60}:{seconds % 60:02} minutes are left, until {result.exam.deadline[11:16]} UTC.",
        "notice",
    )
    say_commands(
        "Each folder contains a story.txt. Check a task with:",
        ("kcert", "practice", "check", "--dir", str(root / first.task.folder)),
    )
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


def _record(result: Result) -> dict[str, object]:
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

_COLUMNS: dict[str, Callable[[Line], str]] = {
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
    if form == "json":
        print_json([asdict(line) for line in lines])
    elif form == "csv":
        sys.stdout.write(comma_separated(rows_of(lines, _COLUMNS), "\n"))
    elif form == "html":
        sys.stdout.write(document(_TITLE, f"# {_TITLE}\n\n{markdown_table(_rows(lines))}"))
    else:
        _table(lines)


def _rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the headings and a row for each line, without the columns about exams where there is none."""
    about_exams = [name for name in ("exam", "seal") if any(map(_COLUMNS[name], lines))]
    return rows_of(lines, _COLUMNS, [*list(_COLUMNS)[:8], *about_exams])


def _table(lines: Sequence[Line]) -> None:
    draw(_rows(lines))
    solved = sum(line.solved is not None for line in lines)
    learners = len({line.learner for line in lines})
    say(f"{solved} of {len(lines)} labs solved by {counted(learners, 'learner')}.")
    if any(line.solution and line.solved for line in lines):
        say('"seen": the solution was shown before the lab was solved.', "quiet")
    if any(line.seal == "not checked" for line in lines):
        say("`--seal` asks for the passphrase of sealed exams, and verifies their seals.", "quiet")
    if any(line.seal == "broken" for line in lines):
        say('"broken": the results were changed, or the passphrase is not the one of this exam.', "quiet")
