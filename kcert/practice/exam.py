"""The exam: several labs against the clock, each in a folder of its own, and a score by weight.

A task counts if a check found it solved before the deadline. Each `kcert practice check`, and each look at the exam,
records that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from kcert.errors import InputError, ProgramError
from kcert.files import read_regular
from kcert.practice import OWN_FOLDER, SEAL_FILE, labs, marker_file, sealed_folders, session, state
from kcert.practice.lab import words
from kcert.practice.scenario import ScenarioRng
from kcert.practice.state import Seal, mark_over, mark_running, write_seal
from kcert.store import FOLDER_MODE

MINUTES, LABS = 30, 6
LONGEST = 24 * 60
"""Minutes."""

PASSED = 66
"""Percent: the pass mark of the CKA."""

HINT_COSTS = 0.25
"""The share of a task's points that each hint costs."""

WRONG_COSTS = 0.1
"""The share that each failed check and each wrong answer costs in a sealed exam."""

LEAST = 0.25
"""The share that a solved task always gives."""


@dataclass(frozen=True)
class Task:
    """One lab of an exam, in the folder ``folder`` of the exam's."""

    folder: str
    lab: str
    seed: int

    @property
    def title(self) -> str:
        """The title while the exam is sealed."""
        return f"Task {self.folder}"


@dataclass(frozen=True)
class Exam:
    """An exam; ``started``, ``deadline`` and ``handed_in`` (None: not yet) are ISO 8601 in UTC.

    Once it is over, ``kept`` holds for each task whether it was solved, the hints that it took, and what was wrong.
    ``learner`` takes it. In a ``sealed`` exam the tasks have numbers for names, and wrong answers cost points.
    """

    seed: int
    minutes: int
    started: str
    deadline: str
    tasks: tuple[Task, ...]
    handed_in: str | None = None
    kept: tuple[tuple[bool, int, int], ...] = ()
    learner: str | None = None
    sealed: bool = False

    @property
    def ends(self) -> str:
        """The time after which no task counts."""
        return min(self.deadline, self.handed_in or self.deadline)

    @property
    def seconds_left(self) -> int:
        """The seconds that are left; 0 if it is over."""
        if self.handed_in:
            return 0
        left = datetime.fromisoformat(self.deadline) - datetime.now(timezone.utc)
        return max(0, int(left.total_seconds()))


@dataclass(frozen=True)
class Mark:
    """The result of a task. ``weight`` is its difficulty."""

    task: Task
    title: str
    weight: int
    solved: bool
    hints: int
    wrong: int = 0

    @property
    def points(self) -> float:
        """The points: the weight, less what hints and wrong answers cost."""
        share = 1 - HINT_COSTS * self.hints - WRONG_COSTS * self.wrong
        return self.weight * max(share, LEAST) if self.solved else 0.0


@dataclass(frozen=True)
class Result:
    """An exam, and the result of each task so far."""

    exam: Exam
    marks: tuple[Mark, ...]

    @property
    def points(self) -> float:
        """All points."""
        return sum(mark.points for mark in self.marks)

    @property
    def of(self) -> int:
        """The points for an exam without a mistake."""
        return sum(mark.weight for mark in self.marks)

    @property
    def percent(self) -> int:
        """The score, rounded down: 65.9 is not 66."""
        return int(self.points * 100 / self.of)

    @property
    def hidden(self) -> bool:
        """True while the names and seeds of the tasks must not be shown."""
        return self.exam.sealed and not self.over

    @property
    def passed(self) -> bool:
        """True if the score reaches the pass mark."""
        return self.percent >= PASSED

    @property
    def over(self) -> bool:
        """True if no more points can be added."""
        return bool(self.exam.kept) or self.exam.seconds_left == 0 or all(mark.solved for mark in self.marks)


def load(root: Path, openssl: str = "openssl") -> Exam | None:
    """Return the exam in the folder *root*; None if there is none; raises InputError if it is damaged."""
    content = state.read(root, state.EXAM_FILE, openssl)
    if content is None:
        return None
    try:
        tasks = tuple(state.typed(Task, entry) for entry in content.pop("tasks"))
        kept = tuple((bool(solved), int(hints), int(wrong)) for solved, hints, wrong in content.pop("kept"))
        exam = state.typed(Exam, {**content, "tasks": tasks, "kept": kept})
        _check_sound(exam)
    except (TypeError, ValueError, KeyError):
        raise state.damaged(root, state.EXAM_FILE) from None
    return exam


def _check_sound(exam: Exam) -> None:
    """Raise ValueError for content that no exam has: another folder, an unknown lab, results that do not match."""
    for text in (exam.started, exam.deadline, exam.handed_in or exam.started):
        state.check_timestamp(text)
    folders = [str(number) for number in range(1, len(exam.tasks) + 1)]
    if [task.folder for task in exam.tasks] != folders or not {task.lab for task in exam.tasks} <= set(labs.NAMES):
        raise ValueError
    if not folders or len(exam.kept) not in (0, len(exam.tasks)):
        raise ValueError


def insist_on(exam: Exam, root: Path, *, minutes: int | None, count: int | None, seed: int | None) -> None:
    """Raise InputError if the *exam* in *root* was started with other options."""
    recorded = {"--minutes": exam.minutes, "--labs": len(exam.tasks), "--seed": exam.seed}
    for option, spec in (("--minutes", minutes), ("--labs", count), ("--seed", seed)):
        if spec is not None and spec != recorded[option]:
            raise InputError(
                f"{option} {spec}: the exam in {root} was started with {recorded[option]}. --replace starts a new "
                "exam, --dir FOLDER uses another folder."
            )


def begin(
    root: Path,
    *,
    seed: int,
    minutes: int,
    count: int,
    setup: Callable[[], None] = lambda: None,
    openssl: str = "openssl",
    replaces: bool = False,
    learner: str | None = None,
    seal: Seal | None = None,
) -> Result:
    """Build an exam in *root*; *setup* is called before that, and the time begins when it is done.

    *learner* takes it; with a *seal* its tasks cannot be read from the folder. Raises InputError for
    a number that is not accepted.
    """
    if not 1 <= count <= len(labs.NAMES):
        raise InputError(f"--labs {count} is invalid: expected 1 to {len(labs.NAMES)}, the number of labs.")
    if not 1 <= minutes <= LONGEST:
        raise InputError(f"--minutes {minutes} is invalid: expected 1 to {LONGEST}.")
    session.check_seed(seed)
    session.make_room(root, replaces=replaces)
    setup()
    try:
        return _build(root, seed, minutes, count, openssl=openssl, learner=learner, seal=seal)
    except BaseException:
        session.clear(root)
        raise


def _build(
    root: Path, seed: int, minutes: int, count: int, *, openssl: str, learner: str | None, seal: Seal | None
) -> Result:
    (root / OWN_FOLDER).mkdir(FOLDER_MODE, parents=True)  # marks the folder of a start that was killed
    if seal:
        write_seal(root, seal)
    rng = ScenarioRng("exam", seed, datetime.now(timezone.utc))
    tasks = tuple(
        Task(str(number), name, rng.number(1, session.MOST_SEED))
        for number, name in enumerate(mixed(rng, count), start=1)
    )
    begun = [
        session.begin(
            task.lab,
            root / task.folder,
            seed=task.seed,
            openssl=openssl,
            learner=learner,
            title=task.title if seal else None,
            seal=seal,
        )
        for task in tasks
    ]
    started = datetime.now(timezone.utc).replace(microsecond=0)
    deadline = (started + timedelta(minutes=minutes)).isoformat()
    for task_session in begun:
        state.save(task_session.root, replace(task_session.state, deadline=deadline), openssl)
    exam = Exam(seed, minutes, started.isoformat(), deadline, tasks, learner=learner, sealed=seal is not None)
    _save(root, exam, openssl)
    if seal:
        mark_running(root, deadline)
    return Result(exam, tuple(_mark(task, solved=False) for task in tasks))


def mixed(rng: ScenarioRng, count: int) -> list[str]:
    """Return *count* labs from as many chapters as possible, the easy ones first."""
    waiting = rng.several(labs.NAMES, len(labs.NAMES))
    chosen: list[str] = []
    while len(chosen) < count:
        chapters: set[str] = set()
        for name in list(waiting):
            if len(chosen) < count and words(name).chapter not in chapters:
                chapters.add(words(name).chapter)
                chosen.append(name)
                waiting.remove(name)
    return sorted(chosen, key=lambda name: words(name).difficulty)


def look(root: Path, exam: Exam, openssl: str = "openssl", *, hand_in: bool = False) -> Result:
    """Return the result of the exam in *root*; while it is running, unsolved tasks are checked. *hand_in* ends it."""
    if exam.kept:
        return Result(exam, tuple(_mark(task, *kept) for task, kept in zip(exam.tasks, exam.kept, strict=True)))
    if exam.seconds_left:
        for task in exam.tasks:
            task_session = _sitting(root, exam, task, openssl)
            if task_session and not task_session.state.is_solved:
                task_session.check(counts=False)
    result = Result(exam, tuple(_marked(root, exam, task, openssl) for task in exam.tasks))
    if exam.seconds_left and not hand_in and not result.over:
        if exam.sealed:
            mark_running(root, exam.deadline)
        return result
    handed_in = state.moment() if exam.seconds_left else None
    exam = replace(
        exam, handed_in=handed_in, kept=tuple((mark.solved, mark.hints, mark.wrong) for mark in result.marks)
    )
    _save(root, exam, openssl)
    if exam.sealed:
        mark_over()
    for task in exam.tasks if handed_in else ():
        if task_session := _sitting(root, exam, task, openssl):
            state.save(task_session.root, replace(task_session.state, deadline=handed_in), openssl)
    return replace(result, exam=exam)


def _sitting(root: Path, exam: Exam, task: Task, openssl: str) -> session.Session | None:
    """Return the lab of a task; None if it was deleted or replaced: then the task has no points.

    The same lab started by itself counts as replaced: it shows its solution and has no hints.
    """
    try:
        task_session = session.resume(root / task.folder, openssl)
    except InputError:
        return None
    now = task_session.state
    return task_session if (now.lab, now.seed, now.deadline) == (task.lab, task.seed, exam.deadline) else None


def _marked(root: Path, exam: Exam, task: Task, openssl: str) -> Mark:
    task_session = _sitting(root, exam, task, openssl)
    if task_session is None:
        return _mark(task, solved=False)
    now = task_session.state
    in_time = [
        solved
        for solved in now.solved
        if (solved.lab, solved.seed) == (task.lab, task.seed) and exam.started <= solved.when <= exam.ends
    ]
    hints = in_time[0].hints if in_time else now.hints
    return _mark(task, bool(in_time), hints, now.wrong if exam.sealed else 0)


def _mark(task: Task, solved: bool, hints: int = 0, wrong: int = 0) -> Mark:
    lab_words = words(task.lab)
    return Mark(task, lab_words.title, lab_words.difficulty, solved, hints, wrong)


def _save(root: Path, exam: Exam, openssl: str) -> None:
    state.write(root, state.EXAM_FILE, asdict(exam), openssl)


def running() -> Path | None:
    """Return the folder of the sealed exam that this user is taking; None if there is none."""
    marker = marker_file()
    for folder in sealed_folders():
        if _is_running(folder):
            return folder
    if marker is None:
        return None
    try:
        content: Any = json.loads(read_regular(marker))
        folder, deadline = Path(content["folder"]), str(content["deadline"])
        return folder if _is_ahead(deadline) and (folder / OWN_FOLDER / SEAL_FILE).exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_running(folder: Path) -> bool:
    with suppress(InputError, ProgramError):
        if started := load(folder):
            return not started.kept and _is_ahead(started.deadline)
        deadline = state.load(folder).deadline
        return deadline is not None and _is_ahead(deadline)
    return False


def _is_ahead(deadline: str) -> bool:
    moment = datetime.fromisoformat(deadline)
    return moment.tzinfo is not None and moment > datetime.now(timezone.utc)


def refuse_to_replace(root: Path) -> None:
    """Raise InputError if a sealed exam is running in *root*: it would start again, and its results be lost."""
    if (root / OWN_FOLDER / SEAL_FILE).exists() and _is_running(root):
        raise InputError(
            f"--replace: the sealed exam in {root} is running. `kcert practice exam --finish` ends it, with the results"
            " until then."
        )


def refuse_if_running(command: str) -> None:
    """Raise InputError for *command* while this user is taking a sealed exam."""
    if folder := running():
        raise InputError(
            f"`kcert {command}` is disabled while the sealed exam in {folder} is running: solve its tasks with openssl."
            " `kcert practice exam --finish` ends the exam."
        )
