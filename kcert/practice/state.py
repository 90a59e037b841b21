"""What a lab remembers: ``.practice/state.json`` in its folder, so that the folder can be taken anywhere.

Which lab it is and its seed stand there, what was asked for and answered, and when it was solved. What is broken does
not stand there; it follows from the seed. A sum over the content tells a damaged file from a good one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kcert.errors import InputError
from kcert.files import read_regular
from kcert.practice.ground import OWN_FOLDER
from kcert.shell import quote
from kcert.store import FOLDER_MODE, SECRET_MODE
from kcert.store.draft import drafted

if TYPE_CHECKING:
    from pathlib import Path

FILE, EXAM_FILE = "state.json", "exam.json"
FORM = 1
"""Counts up when a state can no longer be read by an older kcert."""


@dataclass(frozen=True)
class Solved:
    """A lab that was solved in this folder; ``when`` is ISO 8601, UTC."""

    lab: str
    seed: int
    when: str
    hints: int
    shown: bool = False


@dataclass(frozen=True)
class State:
    """One start of a lab. ``started`` and ``deadline`` (of an exam) are ISO 8601 in UTC; ``hints`` counts those taken.

    ``shown`` tells whether the solution was looked at. ``answers`` are as they were typed, by the question's number.
    ``marks`` are those of the CAs. ``solved`` is every lab that was solved in this folder, this one included.
    """

    lab: str
    seed: int
    started: str
    hints: int = 0
    shown: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    solved: tuple[Solved, ...] = ()
    deadline: str | None = None

    @property
    def now(self) -> datetime:
        """When it was started."""
        return datetime.fromisoformat(self.started)

    @property
    def is_solved(self) -> bool:
        """True where this start of the lab was solved."""
        return any((one.lab, one.seed) == (self.lab, self.seed) and one.when >= self.started for one in self.solved)


def moment() -> str:
    """Now, in whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()


def is_lab(root: Path) -> bool:
    """True where a lab was begun in the folder *root*, whatever has become of it."""
    return (root / OWN_FOLDER).is_dir()


def load(root: Path) -> State:
    """The state of the lab in *root*; raises InputError where there is none, or one that is damaged."""
    content = read(root, FILE)
    if content is None:
        raise _no_lab(root)
    try:
        solved = tuple(Solved(**one) for one in content.pop("solved"))
        found = State(**content, solved=solved)
        found.now  # noqa: B018 - a date that is none shows here
        _check(found)
    except (TypeError, ValueError, KeyError):
        raise damaged(root, FILE) from None
    return found


def _no_lab(root: Path) -> InputError:
    if (root / OWN_FOLDER / EXAM_FILE).exists():
        return InputError(f"{root} holds an exam; its labs are in the folders below: --dir {quote(str(root / '1'))}.")
    return InputError(
        f"{root} holds no lab: `kcert practice start LAB --dir {quote(str(root))}` begins one, and `kcert practice "
        "list` tells which there are."
    )


def _check(found: State) -> None:
    """Raise ValueError for what no state ever holds."""
    sound = (
        isinstance(found.lab, str)
        and isinstance(found.seed, int)
        and isinstance(found.hints, int)
        and found.now.tzinfo is not None
        and all(isinstance(one, dict) for one in (found.answers, found.marks))
    )
    if not sound:
        raise ValueError


def save(root: Path, state: State) -> None:
    """Write the state, as a whole or not at all."""
    write(root, FILE, asdict(state))


def read(root: Path, name: str) -> dict[str, Any] | None:
    """What the file *name* of the dot folder holds; None where it is not there; InputError where it is damaged."""
    try:
        text = read_regular(root / OWN_FOLDER / name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{root / OWN_FOLDER / name} cannot be read: {error.strerror or error}.") from None
    try:
        whole = json.loads(text)
        content = whole["content"]
        good = whole["form"] == FORM and whole["sum"] == _sum(content) and isinstance(content, dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise damaged(root, name)
    found: dict[str, Any] = content
    return found


def write(root: Path, name: str, content: dict[str, Any]) -> None:
    """Write a file of the dot folder, as a whole or not at all."""
    content = json.loads(json.dumps(content))
    own = root / OWN_FOLDER
    own.mkdir(FOLDER_MODE, exist_ok=True)
    text = json.dumps({"form": FORM, "content": content, "sum": _sum(content)}, indent=1) + "\n"
    with drafted(own / name, text.encode("ascii"), SECRET_MODE):
        pass


def damaged(root: Path, name: str) -> InputError:
    """The error for a file of the dot folder that was changed or cut short."""
    command = "kcert practice start LAB" if name == FILE else "kcert practice exam"
    return InputError(
        f"{root / OWN_FOLDER / name} is damaged, so nobody knows any more what was begun here: begin it anew with "
        f"`{command} --dir {quote(str(root))} --replace`."
    )


def _sum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
