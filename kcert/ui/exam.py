"""The exam on the screen: its tasks, the time that is left, and the score."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert.practice.exam import PASSED
from kcert.quoting import quote
from kcert.ui import print_json
from kcert.ui.console import clean_line, command_line, draw, error_screen, heading, in_columns, say, screen, table

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.practice.exam import Mark, Result


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
        rows.append((folder, title, str(mark.weight), str(mark.hints), solved, _points(mark.points)))
    if screen().is_terminal:
        drawn = table(*rows[0])
        drawn.columns[0].no_wrap = True
        for row in rows[1:]:
            drawn.add_row(*row)
        draw(drawn)
    else:
        sys.stdout.write(in_columns(rows))
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
    say("Each folder contains a story.txt. Check a task with:")
    screen().print()
    command_line(("kcert", "practice", "check", "--dir", str(root / first.task.folder)))
    screen().print()
    cost = "A hint costs a quarter of a task's points"
    if result.exam.sealed:
        cost += (
            ", a failed check or a wrong answer a tenth. Solve the tasks with openssl: `kcert check`, `kcert renew`, "
            "`kcert diagnose` and the commands that make certificates are off until the exam is over"
        )
    say(f"Only tasks that are solved before the deadline count. {cost}. Solutions are shown when the exam is over.")
    say("Show the state of the exam, or end it with --finish:")
    screen().print()
    command_line(("kcert", "practice", "exam", *(() if str(root) == "lab" else ("--dir", str(root)))))


def _score(result: Result, root: Path) -> None:
    solved = sum(1 for mark in result.marks if mark.solved)
    style = "good" if result.passed else "bad"
    say(
        f"{_points(result.points)} of {result.of} points, {result.percent}%: {solved} of {len(result.marks)} labs "
        f"solved. The pass mark is {PASSED}%, as in the CKA.",
        style,
    )
    missing = [mark for mark in result.marks if not mark.solved]
    if missing:
        say(f"To repeat: {', '.join(_lesson(mark) for mark in missing)}.")
    say(
        "The labs stay, to practice or to read `kcert practice solution --dir FOLDER`. "
        f"`kcert practice exam{_option(root)} --replace` starts another exam."
    )


def _lesson(mark: Mark) -> str:
    return f"`kcert explain {mark.task.lab}`"


def _points(points: float) -> str:
    return f"{points:g}"


def _option(root: Path) -> str:
    return "" if str(root) == "lab" else f" --dir {quote(str(root))}"


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
