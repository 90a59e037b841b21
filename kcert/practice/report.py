"""What the learners of a class have done, read from their lab folders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from kcert.errors import InputError
from kcert.practice import exam, state
from kcert.practice import seal as seals
from kcert.practice.builder import OWN_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kcert.practice.state import State


@dataclass(frozen=True)
class Line:
    """What one learner did in one lab.

    ``solved`` is when (ISO 8601, UTC; None: not solved), ``minutes`` how long that took from the start. ``solution`` is
    True where the solution was looked at before the lab was solved. ``exam`` is the score in percent of the exam that
    the lab belongs to (None: no exam, or not over). ``seal`` is "intact" or "broken" for a sealed exam whose word was
    given, "not checked" for one whose word was not, None where there is no seal.
    """

    learner: str
    folder: str
    lab: str
    seed: int
    solved: str | None
    minutes: int | None
    hints: int
    tries: int
    solution: bool
    exam: int | None = None
    seal: str | None = None


def lines(folders: Iterable[Path], openssl: str, word: str | None = None) -> Iterator[Line]:
    """Yield a line for each lab in *folders* and the folders below; *word* opens the seals of sealed exams.

    Raises InputError for a folder that does not exist, or holds no lab.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder. Name the folders in which the labs were started.")
        roots = [path.parent for pattern in ("", "*/", "*/*/") for path in sorted(folder.glob(pattern + OWN_FOLDER))]
        found = [line for root in roots for line in _of(root, folder, openssl, word)]
        if not found:
            raise InputError(f"{folder} and the folders below hold no lab that can be read.")
        yield from found


def _of(root: Path, folder: Path, openssl: str, word: str | None) -> Iterator[Line]:
    seal = seals.find(root)
    state_of_seal = None
    if seal:
        state_of_seal = "not checked" if word is None else "intact" if seal.opens_with(word, openssl) else "broken"
    try:
        current = state.load(root, openssl)
    except InputError:
        return  # an exam's own folder, whose labs are below; or a state that cannot be read, which proves nothing
    learner = current.learner or folder.resolve().name
    score = _score(root.parent, openssl)
    for solved in current.solved:
        seconds = _seconds(solved.started, solved.when) if solved.started else None
        minutes = None if seconds is None else seconds // 60
        yield Line(
            learner=learner,
            folder=str(root),
            lab=solved.lab,
            seed=solved.seed,
            solved=solved.when,
            minutes=minutes,
            hints=solved.hints,
            tries=solved.tries,
            solution=solved.shown,
            exam=score,
            seal=state_of_seal,
        )
    if not current.is_solved:
        yield _unsolved(root, current, learner, score, state_of_seal)


def _unsolved(root: Path, current: State, learner: str, score: int | None, seal: str | None) -> Line:
    return Line(
        learner=learner,
        folder=str(root),
        lab=current.lab,
        seed=current.seed,
        solved=None,
        minutes=None,
        hints=current.hints,
        tries=current.tries,
        solution=current.shown,
        exam=score,
        seal=seal,
    )


def _score(folder: Path, openssl: str) -> int | None:
    """Return the score of the exam in *folder*, once it is over."""
    try:
        found = exam.load(folder, openssl)
    except InputError:
        return None
    return exam.look(folder, found, openssl).percent if found and found.kept else None


def _seconds(start: str, end: str) -> int:
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
