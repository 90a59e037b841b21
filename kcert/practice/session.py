"""A lab in its folder, from its start to its end: built, checked, answered, reset."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from kcert.errors import InputError, MachineError
from kcert.practice import OWN_FOLDER, enclosing, labs, state
from kcert.practice.grader import Check, Grader
from kcert.practice.lab import ExpectedAnswer, Lab, Words, words, wrapped
from kcert.practice.scenario import LARGEST_SEED, LabBuilder, Scenario, ScenarioRng
from kcert.practice.state import Seal, Solved, State, find_seal, write_seal
from kcert.store import FOLDER_MODE
from kcert.store.directory import refuse_foreign_link

STORY = "story.txt"
"""The file with the story, in the lab's folder."""

MOST_SEED = 9999
"""The largest random seed: short enough to be said across a room."""


@dataclass(frozen=True)
class CheckResult:
    """The ``checks`` of a lab, in order."""

    checks: tuple[Check, ...]

    @property
    def solved(self) -> bool:
        """True if everything works."""
        return bool(self.checks) and all(check.works for check in self.checks)


@dataclass
class Session:
    """A lab in its folder. ``state`` is written at each change."""

    root: Path
    state: State
    openssl: str = "openssl"

    @cached_property
    def lab(self) -> Lab:
        """The lab."""
        return labs.lab(self.state.lab)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that follows from the seed."""
        return scenario_of(self.lab, self.state.seed, self.state.now)

    @cached_property
    def words(self) -> Words:
        """The words of the lab, with the names of this start."""
        return words(self.lab.name, **self.scenario.values)

    @cached_property
    def expected_answers(self) -> tuple[ExpectedAnswer, ...]:
        """The right answers, for a lab with questions."""
        return self.lab.asks(self.scenario) if self.lab.asks else ()

    @property
    def title(self) -> str:
        """The title of the lab, or the task's number in a sealed exam."""
        return self.state.title or self.words.title

    @property
    def sealed(self) -> bool:
        """True if it is part of a sealed exam that is still running."""
        return self.running_exam and find_seal(self.root) is not None

    @property
    def running_exam(self) -> bool:
        """Return True while the exam of this lab is running."""
        return self.state.deadline is not None and state.timestamp() < self.state.deadline

    def check(self, *, counts: bool = True) -> CheckResult:
        """Check everything that has to work. A try of the learner's *counts*; a solved lab is recorded."""
        grader = Grader(self.root, self.scenario, self.state.marks, self.openssl)
        result = CheckResult((*self.lab.grade(grader), *self._answer_checks()))
        old, changes = self.state, dict[str, Any]()
        if counts:
            changes |= {"tries": old.tries + 1, "wrong": old.wrong + (not result.solved)}
        if result.solved and not old.is_solved:
            tries = changes.get("tries", old.tries)
            solved = Solved(old.lab, old.seed, state.timestamp(), old.hints, old.shown, old.started, tries)
            changes["solved"] = (*old.solved, solved)
        if changes:
            self.update(**changes)
        return result

    def hint(self) -> tuple[int, str]:
        """Return the next hint and its number; the last hint again if there is no other."""
        number = min(self.state.hints + 1, len(self.words.hints))
        if number > self.state.hints:
            self.update(hints=number)
        return number, self.words.hints[number - 1]

    def show_solution(self) -> Words:
        """Return the words with the solution; raises InputError while an exam is running."""
        if self.running_exam:
            raise InputError("solutions are shown when the exam is over; until then `kcert practice hint` has hints.")
        if not self.state.shown:
            self.update(shown=True)
        return self.words

    def question(self) -> tuple[int, str] | None:
        """Return the number and the text of the first question without a right answer; None if there is none."""
        for number, text in enumerate(self.words.questions, start=1):
            if not self._is_right(number):
                return number, text
        return None

    def answer(self, number: int, text: str) -> bool:
        """Take an answer, and return whether it is right; raises InputError for a question that is not open (yet)."""
        count = len(self.words.questions)
        if not count:
            raise InputError(f"the lab in {self.root} has no questions: change its files to solve it.")
        if not 1 <= number <= count:
            raise InputError(f"there is no question {number}: the questions are numbered 1 to {count}.")
        if not text.strip():
            raise InputError(f"the answer to question {number} is empty.")
        asked = self.question()
        if asked and number > asked[0]:
            raise InputError(f"question {number} is not open yet: answer question {asked[0]} first.")
        right = self.expected_answers[number - 1].is_given_by(text.strip()[:500])
        answers = {**self.state.answers, str(number): text.strip()[:500]}
        self.update(answers=answers, wrong=self.state.wrong + (not right))
        return right

    def _is_right(self, number: int) -> bool:
        given = self.state.answers.get(str(number))
        return given is not None and self.expected_answers[number - 1].is_given_by(given)

    def _answer_checks(self) -> Iterator[Check]:
        for number, expected in enumerate(self.expected_answers, start=1):
            given = self.state.answers.get(str(number))
            form = f"the expected form is {expected.form}"
            why = f"no answer yet; {form}" if given is None else f"the answer is not right; {form}"
            yield Check(f"question {number} is answered", self._is_right(number), why, pending=given is None)

    def update(self, **changes: Any) -> None:
        """Record *changes* of the state."""
        self.state = replace(self.state, **changes)
        state.save(self.root, self.state, self.openssl)


def scenario_of(lab: Lab, seed: int, now: datetime) -> Scenario:
    """Return the scenario of *lab* for *seed*, started at *now*."""
    return lab.generate(ScenarioRng(lab.name, seed, now))


def resume(root: Path, openssl: str = "openssl") -> Session:
    """Return the lab in the folder *root*; raises InputError if there is none."""
    session = Session(root, state.load(root, openssl), openssl)
    session.lab  # noqa: B018 - raises for a lab that this kcert does not have
    return session


def begin(
    name: str,
    root: Path,
    *,
    seed: int | None = None,
    openssl: str = "openssl",
    replaces: bool = False,
    learner: str | None = None,
    title: str | None = None,
    seal: Seal | None = None,
) -> Session:
    """Build the lab *name* in the folder *root*, which is new or empty; with *replaces* another lab in it is deleted.

    *learner* is who works on it, *title* and *seal* are those of a task in a sealed exam. Raises
    InputError for a lab that does not exist, and for a folder that holds something else.
    """
    lab = labs.lab(name)
    seed = chosen_seed(seed)
    record = make_room(root, replaces=replaces)
    new = State(lab.name, seed, state.timestamp(), solved=record, learner=learner, title=title)
    return _build(Session(root, new, openssl), seal)


def chosen_seed(seed: int | None) -> int:
    """Return *seed*, or a random one, short enough to be said across a room; raises InputError if out of range."""
    if seed is None:
        return secrets.randbelow(MOST_SEED) + 1
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"--seed {seed} is invalid: expected a number from 0 to {LARGEST_SEED}.")
    return seed


def reset(session: Session) -> Session:
    """Build the same lab from the start: same seed, same names, no hints; all other files are deleted."""
    old, seal = session.state, find_seal(session.root)
    clear(session.root)
    kept = {name: getattr(old, name) for name in ("lab", "seed", "solved", "deadline", "learner", "title")}
    new = State(**kept, started=state.timestamp())
    if session.running_exam:  # a new start does not give points back
        new = replace(new, hints=old.hints, answers=old.answers, tries=old.tries, wrong=old.wrong)
    return _build(Session(session.root, new, session.openssl), seal)


def refuse_nested(root: Path) -> None:
    """Raise InputError for a new lab or exam inside another: a command there would find the wrong one."""
    outer = enclosing(root.absolute().parent, state.FILE, state.EXAM_FILE)
    if outer and not (root / OWN_FOLDER).is_dir():
        what = "an exam" if (outer / OWN_FOLDER / state.EXAM_FILE).exists() else "another lab"
        where = "the current folder" if outer == Path() else outer
        raise InputError(f"{root} would be inside {what}, in {where}. Specify a folder outside it: --dir FOLDER.")


def make_room(root: Path, *, replaces: bool) -> tuple[Solved, ...]:
    """Empty *root* for a new lab, and return what was solved in it; raises InputError for a folder that is in use."""
    if root.is_symlink():
        raise InputError(f"{root} is a link. Specify the folder itself.")
    refuse_foreign_link(root)
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file. A lab needs a folder of its own: --dir FOLDER.")
    if not root.exists() or not any(root.iterdir()):
        return ()
    if not (root / OWN_FOLDER).is_dir():
        raise InputError(f"{root} is not empty. A lab needs an empty or a new folder: --dir FOLDER.")
    interrupted = [path.name for path in root.iterdir()] == [OWN_FOLDER]
    if not replaces and not interrupted:
        raise InputError(
            f"{root} contains {_holds(root)}. Use --replace to delete it, or --dir FOLDER for another folder."
        )
    record = _solved_in(root)
    clear(root)
    return record


def _holds(root: Path) -> str:
    if (root / OWN_FOLDER / state.EXAM_FILE).exists():
        return "an exam"
    try:
        old = state.load(root)
    except InputError:
        return "another lab, or a part of it"
    solved = "solved" if old.is_solved else "not solved yet"
    return f"the lab {old.lab}, which is {solved} (`kcert practice reset` starts it again)"


def _solved_in(root: Path) -> tuple[Solved, ...]:
    with suppress(InputError):
        return state.load(root).solved
    return ()


def _build(session: Session, seal: Seal | None = None) -> Session:
    """Build the files; the state is written last, so that an interrupted start is recognized."""
    root, scenario = session.root, session.scenario
    try:
        root.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        (root / OWN_FOLDER).mkdir(FOLDER_MODE, exist_ok=True)
        if seal:
            write_seal(root, seal)
        builder = LabBuilder(root, scenario, session.openssl)
        session.lab.setup(builder)
        builder.write(STORY, f"{session.title}\n\n{wrapped(session.words.story)}\n")
        session.update(marks=Grader(root, scenario).fingerprints())
    except OSError as error:
        clear(root)
        raise MachineError(f"{error.filename or root}: {error.strerror or error}. The lab was not built.") from None
    except BaseException:
        clear(root)
        raise
    return session


def clear(root: Path) -> None:
    """Empty the folder of a lab. Links are deleted, and their targets stay."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@dataclass(frozen=True)
class LabListing:
    """A lab in the list of all: its words, and how it was solved last (None: not in these folders)."""

    words: Words
    solved: Solved | None


def listed(folder: Path) -> list[LabListing]:
    """Return every lab, with how it was solved in *folder* or up to two levels below it."""
    roots = [path.parent for above in ("", "*/", "*/*/") for path in folder.glob(above + OWN_FOLDER)]
    records = sorted((solved for root in roots for solved in _solved_in(root)), key=lambda solved: solved.when)
    latest = {solved.lab: solved for solved in records}
    return [LabListing(words(name), latest.get(name)) for name in labs.NAMES]
