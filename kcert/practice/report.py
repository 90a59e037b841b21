"""The results of a class, read from the folders of its labs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from kcert.errors import InputError
from kcert.practice import OWN_FOLDER, exam, state
from kcert.practice.state import Solved, State, find_seal

_DEPTHS = ("", "*/", "*/*/", "*/*/*/")
"""The paths of labs below a folder: down to a task of an exam in a learner's folder of a class."""


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
    lab: str
    seed: int | None
    solved: str | None
    minutes: int | None
    hints: int
    tries: int
    solution: bool
    exam: int | None = None
    seal: str | None = None


def lines(folders: Sequence[Path], openssl: str, passphrase: str | None = None) -> Iterator[Line]:
    """Yield a line for each lab in *folders* and the folders below; *passphrase* opens their seals.

    Several folders are of one learner each. A single one is of a whole class if it has labs in folders of its
    folders (class/anna/lab); labs directly below it are those of one learner.
    Raises InputError for a folder that does not exist, or contains no lab.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder. Specify the folders in which the labs were started.")
        roots = sorted(path.parent for pattern in _DEPTHS for path in folder.glob(pattern + OWN_FOLDER))
        is_class = len(folders) == 1 and any(len(_below(root, folder)) > 1 for root in roots)
        labs = [line for root in roots for line in _of(root, folder, openssl, passphrase, is_class=is_class)]
        if not labs:
            raise InputError(f"{folder} and the folders below contain no lab that can be read.")
        yield from labs


def _of(root: Path, folder: Path, openssl: str, passphrase: str | None, *, is_class: bool) -> Iterator[Line]:
    seal = find_seal(root)
    state_of_seal = None
    if seal:
        opened = passphrase is not None and seal.opens_with(passphrase, openssl)
        state_of_seal = "intact" if opened else "not checked" if passphrase is None else "broken"
    learner = _folder_of_learner(root, folder, is_class=is_class)
    try:
        current = state.load(root, openssl)
    except InputError:
        if seal and (root / OWN_FOLDER / state.FILE).exists():
            yield Line(learner, str(root), "", None, None, None, 0, 0, solution=False, seal="broken")
        return  # an exam's own folder, whose labs are below; or a state that cannot be read, which proves nothing
    common = {
        "learner": current.learner or learner,
        "folder": str(root),
        "exam": _score(root.parent, openssl),
        "seal": state_of_seal,
    }
    is_hidden = seal and state_of_seal != "intact" and (current.deadline or "") > state.moment()
    results = [_line(solved, solved.when, solved.started, common) for solved in current.solved]
    if not current.is_solved:
        results.append(_line(current, None, current.started, common))
    yield from (replace(line, lab=current.title or "", seed=None) for line in results) if is_hidden else results


def _folder_of_learner(root: Path, folder: Path, *, is_class: bool) -> str:
    """Return the name of *folder*, or, if it is a whole class's, of the folder in it with the lab *root*."""
    below = _below(root, folder) if is_class else ()
    return below[0] if below else folder.resolve().name


def _below(root: Path, folder: Path) -> tuple[str, ...]:
    """Return the folders from *folder* to the lab *root*, or to the exam that the lab is a task of."""
    exam_or_lab = root.parent if (root.parent / OWN_FOLDER / state.EXAM_FILE).exists() else root
    return exam_or_lab.relative_to(folder).parts if exam_or_lab.is_relative_to(folder) else ()


def _line(entry: Solved | State, when: str | None, started: str, common: dict[str, Any]) -> Line:
    """Return the line for a lab that was solved *when* (None: not yet); a record of an older kcert has no start."""
    return Line(
        lab=entry.lab,
        seed=entry.seed,
        solved=when,
        minutes=_seconds(started, when) // 60 if when and started else None,
        hints=entry.hints,
        tries=entry.tries,
        solution=entry.shown,
        **common,
    )


@cache
def _score(folder: Path, openssl: str) -> int | None:
    """Return the score of the exam in *folder*, once it is over; asked for each of its labs, and read once."""
    try:
        started = exam.load(folder, openssl)
    except InputError:
        return None
    return exam.look(folder, started, openssl).percent if started and started.kept else None


def _seconds(start: str, end: str) -> int:
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
