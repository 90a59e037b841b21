"""The exam: several labs against the clock, each in a folder of its own, and a score by weight; the report on a class.

A task counts if a check found it solved before the deadline. Each `kcert practice check`, and each look at the exam,
records that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any

from kcert.errors import InputError
from kcert.practice import OWN_FOLDER, labs, session, state
from kcert.practice.lab import words
from kcert.practice.scenario import ScenarioRng
from kcert.practice.state import Seal, Solved, State, find_seal, mark_over, mark_running, write_seal
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
    """The result of a task: the ``hints`` that were taken, and what was ``wrong``."""

    task: Task
    solved: bool = False
    hints: int = 0
    wrong: int = 0

    @property
    def title(self) -> str:
        """The title of the lab."""
        return words(self.task.lab).title

    @property
    def weight(self) -> int:
        """The difficulty of the lab."""
        return words(self.task.lab).difficulty

    @property
    def points(self) -> float:
        """The points, in whole hundredths: the weight, less what hints and wrong answers cost."""
        share = 1 - HINT_COSTS * self.hints - WRONG_COSTS * self.wrong
        return round(self.weight * max(share, LEAST), 2) if self.solved else 0.0


@dataclass(frozen=True)
class Result:
    """An exam, and the result of each task so far."""

    exam: Exam
    marks: tuple[Mark, ...]

    @property
    def points(self) -> float:
        """All points, in whole hundredths."""
        return round(sum(mark.points for mark in self.marks), 2)

    @property
    def of(self) -> int:
        """The points for an exam without a mistake."""
        return sum(mark.weight for mark in self.marks)

    @property
    def percent(self) -> int:
        """The score, rounded down: 65.9 is not 66."""
        return round(self.points * 100) // self.of

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
    return state.load_record(root, state.EXAM_FILE, openssl, _exam_of)


def _exam_of(content: dict[str, Any]) -> Exam:
    tasks = tuple(state.from_json(Task, entry) for entry in content.pop("tasks"))
    kept = tuple((bool(solved), hints, wrong) for solved, hints, wrong in content.pop("kept"))
    exam = state.from_json(Exam, {**content, "tasks": tasks, "kept": kept})
    state.check_timestamps(exam.started, exam.deadline, exam.handed_in)
    folders = [str(number) for number in range(1, len(tasks) + 1)]
    if [task.folder for task in tasks] != folders or not {task.lab for task in tasks} <= set(labs.NAMES):
        raise ValueError  # another folder, or an unknown lab
    counts = (count for _, hints, wrong in kept for count in (hints, wrong))
    if not tasks or len(kept) not in (0, len(tasks)) or not all(map(state.is_count, counts)):
        raise ValueError
    return exam


def require_same_options(exam: Exam, root: Path, *, minutes: int | None, count: int | None, seed: int | None) -> None:
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
    seed: int | None = None,
    minutes: int = MINUTES,
    count: int = LABS,
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
    seed = session.chosen_seed(seed)
    session.make_room(root, replaces=replaces)
    setup()
    rng = ScenarioRng("exam", seed, datetime.now(timezone.utc))
    names = enumerate(mixed(rng, count), start=1)
    tasks = tuple(Task(str(number), name, rng.number(1, session.MOST_SEED)) for number, name in names)
    try:
        (root / OWN_FOLDER).mkdir(FOLDER_MODE, parents=True)  # marks the folder of a start that was killed
        if seal:
            write_seal(root, seal)
        common: dict[str, Any] = {"openssl": openssl, "learner": learner, "seal": seal}
        begun = []
        for task in tasks:
            title = task.title if seal else None
            begun.append(session.begin(task.lab, root / task.folder, seed=task.seed, title=title, **common))
        started = datetime.now(timezone.utc).replace(microsecond=0)
        deadline = (started + timedelta(minutes=minutes)).isoformat()
        for task_session in begun:
            task_session.update(deadline=deadline)
        exam = Exam(seed, minutes, started.isoformat(), deadline, tasks, learner=learner, sealed=seal is not None)
        save(root, exam, openssl)
    except BaseException:
        session.clear(root)
        raise
    if seal:
        mark_running(root, deadline)
    return Result(exam, tuple(map(Mark, tasks)))


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


def evaluate(root: Path, exam: Exam, openssl: str = "openssl", *, hand_in: bool = False) -> Result:
    """Return the result of the exam in *root*; while it is running, unsolved tasks are checked. *hand_in* ends it."""
    if exam.kept:
        return Result(exam, tuple(Mark(task, *kept) for task, kept in zip(exam.tasks, exam.kept, strict=True)))
    sessions = [_session(root, exam, task, openssl) for task in exam.tasks]
    for lab in sessions if exam.seconds_left else ():
        if lab and not lab.state.is_solved:
            lab.check(counts=False)
    result = Result(exam, tuple(map(partial(_marked, exam), exam.tasks, sessions)))
    if exam.seconds_left and not hand_in and not result.over:
        if exam.sealed:
            mark_running(root, exam.deadline)
        return result
    handed_in = state.timestamp() if exam.seconds_left else None
    kept = tuple((mark.solved, mark.hints, mark.wrong) for mark in result.marks)
    exam = replace(exam, handed_in=handed_in, kept=kept)
    save(root, exam, openssl)
    if exam.sealed:
        mark_over()
    for lab in sessions if handed_in else ():
        if lab:
            lab.update(deadline=handed_in)
    return replace(result, exam=exam)


def _session(root: Path, exam: Exam, task: Task, openssl: str) -> session.Session | None:
    """Return the lab of a task; None if it was deleted or replaced: then the task has no points.

    The same lab started by itself counts as replaced: it shows its solution and has no hints.
    """
    try:
        lab = session.resume(root / task.folder, openssl)
    except InputError:
        return None
    is_the_task = (lab.state.lab, lab.state.seed, lab.state.deadline) == (task.lab, task.seed, exam.deadline)
    return lab if is_the_task else None


def _marked(exam: Exam, task: Task, lab: session.Session | None) -> Mark:
    if lab is None:
        return Mark(task)
    in_time = (
        solved
        for solved in lab.state.solved
        if (solved.lab, solved.seed) == (task.lab, task.seed) and exam.started <= solved.when <= exam.ends
    )
    solved = next(in_time, None)
    return Mark(task, bool(solved), (solved or lab.state).hints, lab.state.wrong if exam.sealed else 0)


def save(root: Path, exam: Exam, openssl: str = "openssl") -> None:
    """Write the exam atomically."""
    state.write(root, state.EXAM_FILE, asdict(exam), openssl)


# --- the report on a class


@dataclass(frozen=True)
class Line:
    """The result of a learner in a lab.

    ``solved`` is when (ISO 8601, UTC; None: not solved), ``minutes`` how long that took from the start. ``solution`` is
    True if the solution was looked at before the lab was solved. ``exam`` is the score in percent of the exam that
    the lab belongs to (None: no exam, or not over). While a sealed exam is running, ``lab`` is the number of the task,
    and ``seed`` is None. ``seal`` is "intact" or "broken" for a sealed exam whose
    passphrase was given, "not checked" without it, None if there is no seal.
    """

    learner: str
    folder: str
    lab: str = ""
    seed: int | None = None
    solved: str | None = None
    minutes: int | None = None
    hints: int = 0
    tries: int = 0
    solution: bool = False
    exam: int | None = None
    seal: str | None = None


def lines(folders: Sequence[Path], openssl: str, passphrase: str | None = None) -> Iterator[Line]:
    """Yield a line for each lab in *folders* and, down to a task of an exam in a learner's folder, the folders below.

    *passphrase* opens their seals. Several folders are of one learner each. A single one is of a whole class if it has
    labs in folders of its folders (class/anna/lab); labs directly below it are those of one learner.
    Raises InputError for a folder that does not exist, or contains no lab.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder. Specify the folders in which the labs were started.")
        roots = sorted(
            path.parent for above in ("", "*/", "*/*/", "*/*/*/") for path in folder.glob(above + OWN_FOLDER)
        )
        is_class = len(folders) == 1 and any(len(_below(root, folder)) > 1 for root in roots)
        results: list[Line] = []
        for root in roots:
            below = _below(root, folder) if is_class else ()
            results += _lines(root, below[0] if below else folder.resolve().name, openssl, passphrase)
        if not results:
            raise InputError(f"{folder} and the folders below contain no lab that can be read.")
        yield from results


def _below(root: Path, folder: Path) -> tuple[str, ...]:
    """Return the folders from *folder* to the lab *root*, or to the exam that the lab is a task of."""
    exam_or_lab = root.parent if (root.parent / OWN_FOLDER / state.EXAM_FILE).exists() else root
    return exam_or_lab.relative_to(folder).parts if exam_or_lab.is_relative_to(folder) else ()


def _lines(root: Path, learner: str, openssl: str, passphrase: str | None) -> Iterator[Line]:
    seal, state_of_seal = find_seal(root), None
    if seal:
        opened = passphrase is not None and seal.opens_with(passphrase, openssl)
        state_of_seal = "intact" if opened else "not checked" if passphrase is None else "broken"
    try:
        current = state.load(root, openssl)
    except InputError:
        if seal and (root / OWN_FOLDER / state.FILE).exists():
            yield Line(learner, str(root), seal="broken")
        return  # an exam's own folder, whose labs are below; or a state that cannot be read, which proves nothing
    line = Line(current.learner or learner, str(root), exam=_score(root.parent, openssl), seal=state_of_seal)
    is_hidden = seal and state_of_seal != "intact" and (current.deadline or "") > state.timestamp()
    records: list[Solved | State] = [*current.solved] if current.is_solved else [*current.solved, current]
    for record in records:
        when = record.when if isinstance(record, Solved) else None
        minutes = None  # a record of an older kcert has no start
        if when and record.started:
            minutes = (datetime.fromisoformat(when) - datetime.fromisoformat(record.started)) // timedelta(minutes=1)
        yield replace(
            line,
            lab=(current.title or "") if is_hidden else record.lab,
            seed=None if is_hidden else record.seed,
            solved=when,
            minutes=minutes,
            hints=record.hints,
            tries=record.tries,
            solution=record.shown,
        )


@cache
def _score(folder: Path, openssl: str) -> int | None:
    """Return the score of the exam in *folder*, once it is over; asked for each of its labs, and read once."""
    with suppress(InputError):
        if (started := load(folder, openssl)) and started.kept:
            return evaluate(folder, started, openssl).percent
    return None
