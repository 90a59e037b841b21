"""The state of a lab: ``.practice/state.json`` in its folder, so that the folder can be moved to another machine.

It contains the lab, its seed, the hints and answers, and when the lab was solved. What is broken is not in it:
that follows from the seed. A checksum detects a damaged file; it protects against accidents, not against
someone who edits the file. A lab folder can come from someone else, so the file is input: its types are
checked, and nothing is read or written through a link.

A sealed exam does not show which labs its tasks are, and a change of the results is detected: the state of the exam
and of its labs is encrypted and authenticated with a key of the exam's own. A copy of that key, encrypted with the
teacher's passphrase, lets the teacher verify that a result belongs to the exam that was handed out. The key itself is
in the folder as well, because kcert has to grade there. So a seal stops accidental looks and simple changes, but it
does not protect against a student who reads this module (SECURITY.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from kcert.errors import InputError, KcertError, ProgramError
from kcert.files import read_optional, read_regular
from kcert.practice import OWN_FOLDER, SEAL_FILE, enclosing, marker_file, sealed_folders
from kcert.practice.scenario import LARGEST_SEED
from kcert.quoting import quote
from kcert.shell import Command
from kcert.shell import read as run
from kcert.store import FOLDER_MODE, SECRET_MODE
from kcert.store.atomic import atomic_replace

FILE, EXAM_FILE = "state.json", "exam.json"
FORM = 1
"""Counts up when a state can no longer be read by an older kcert."""

Record = TypeVar("Record")


@dataclass(frozen=True)
class Solved:
    """A lab that was solved in this folder; ``when`` and ``started`` are ISO 8601, UTC. ``tries`` counts the checks."""

    lab: str
    seed: int
    when: str
    hints: int
    shown: bool = False
    started: str = ""
    tries: int = 0


@dataclass(frozen=True)
class State:
    """One start of a lab. ``started`` and ``deadline`` (of an exam) are ISO 8601 in UTC; ``hints`` counts those taken.

    ``shown`` is True if the solution was looked at; ``tries`` counts the checks, ``wrong`` those that failed and the
    wrong answers. ``learner`` is the name of the learner, ``title`` replaces the lab's own title (in a sealed exam).
    ``answers`` are as they were typed, by the question's number. ``marks`` are fingerprints of the CAs and of the files
    that must not change. ``solved`` lists every lab that was solved in this folder, this one included.
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
    tries: int = 0
    wrong: int = 0
    learner: str | None = None
    title: str | None = None

    @property
    def now(self) -> datetime:
        """The time of the start."""
        return datetime.fromisoformat(self.started)

    @property
    def is_solved(self) -> bool:
        """True if this start of the lab was solved."""
        return any(
            (entry.lab, entry.seed) == (self.lab, self.seed) and entry.when >= self.started for entry in self.solved
        )


def timestamp() -> str:
    """Return the current time in whole seconds, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()


def load(root: Path, openssl: str = "openssl") -> State:
    """Return the state of the lab in *root*; raises InputError if there is none or it is damaged."""
    if state := load_record(root, FILE, openssl, _state_of):
        return state
    if (root / OWN_FOLDER / EXAM_FILE).exists():
        raise InputError(f"{root} contains an exam; its labs are in the folders below: --dir {quote(str(root / '1'))}.")
    if here := enclosing(Path(), FILE):
        raise InputError(f"{root} contains no lab. For the lab in {here.absolute()}, omit --dir.")
    raise InputError(
        f"{root} contains no lab. `kcert practice start LAB --dir {quote(str(root))}` starts one, and `kcert practice "
        "list` lists them."
    )


def _state_of(content: dict[str, Any]) -> State:
    solved = tuple(from_json(Solved, entry) for entry in content.pop("solved"))
    state = from_json(State, {**content, "solved": solved})
    check_timestamps(state.started, state.deadline, *(entry.when for entry in solved))
    check_timestamps(*(entry.started or None for entry in solved))  # an older kcert recorded no start
    return state


def load_record(root: Path, name: str, openssl: str, record_of: Callable[[dict[str, Any]], Record]) -> Record | None:
    """Return the record in the file *name* of the dot folder; None if there is none; InputError if it is damaged."""
    content = read(root, name, openssl)
    try:
        return None if content is None else record_of(content)
    except (TypeError, ValueError, KeyError):
        raise damaged(root, name) from None


def from_json(record: type[Record], values: Any) -> Record:
    """Return the dataclass *record* with *values* from JSON; raises TypeError for a field of another type."""
    hints = get_type_hints(record)
    if not isinstance(values, dict) or not set(values) <= set(hints):
        raise TypeError
    made = record(**values)
    for item in fields(made):  # type: ignore[arg-type]
        if not _has_type(getattr(made, item.name), str(hints[item.name])):
            raise TypeError(item.name)
    return made


def _has_type(value: object, annotation: str) -> bool:
    if annotation.startswith("dict"):
        return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)
    if annotation.startswith("tuple"):
        return isinstance(value, tuple)
    if value is None:
        return "None" in annotation
    if type(value) is int:
        return "int" in annotation and is_count(value)
    if type(value) is str:
        return "str" in annotation and value.isprintable()
    return type(value) is bool and "bool" in annotation


def is_count(value: object) -> bool:
    """Return True if a value from JSON is a number that kcert writes: of a seed, of hints, of wrong answers."""
    return type(value) is int and 0 <= value <= LARGEST_SEED


def check_timestamps(*texts: str | None) -> None:
    """Raise ValueError unless each of *texts* is None, or a moment, ISO 8601 with a time zone."""
    for parsed in (datetime.fromisoformat(text) for text in texts if text is not None):
        if parsed.tzinfo is None or not 2000 <= parsed.year < 9999:
            raise ValueError(parsed)


def save(root: Path, state: State, openssl: str = "openssl") -> None:
    """Write the state atomically."""
    write(root, FILE, asdict(state), openssl)


def read(root: Path, name: str, openssl: str = "openssl") -> dict[str, Any] | None:
    """Return the content of the file *name* of the dot folder; None if it does not exist.

    Raises InputError if it is damaged.
    """
    _refuse_links(root, name)
    text = read_optional(root / OWN_FOLDER / name)
    if text is None:
        return None
    seal = find_seal(root)
    try:
        whole = json.loads(text)
        if seal:
            content = json.loads(_enc(openssl, whole["sealed"], seal.key, decrypt=True))
            good = hmac.compare_digest(whole["mac"], seal.mac(f"{name} {whole['sealed']}"))
        else:
            content = whole["content"]
            good = whole["sum"] == _sum(content)
        good = good and whole["form"] == FORM and isinstance(content, dict)
    except (ProgramError, ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise damaged(root, name)
    return dict(content)


def _refuse_links(root: Path, name: str) -> None:
    """Raise InputError if the dot folder or its file is a link, or belongs to another user."""
    for path, is_expected in ((root / OWN_FOLDER, stat.S_ISDIR), (root / OWN_FOLDER / name, stat.S_ISREG)):
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
        if not is_expected(status.st_mode):
            raise InputError(f"{path} is a link or a special file. kcert does not use a lab folder that contains one.")
        if os.geteuid() not in (status.st_uid, 0):
            raise InputError(f"{path} belongs to another user. Copy the lab folder with `cp -r` to work in it.")


def write(root: Path, name: str, content: dict[str, Any], openssl: str = "openssl") -> None:
    """Write a file of the dot folder atomically."""
    content = json.loads(json.dumps(content))
    own = root / OWN_FOLDER
    own.mkdir(FOLDER_MODE, exist_ok=True)
    _refuse_links(root, name)
    if seal := find_seal(root):
        hidden = _enc(openssl, json.dumps(content), seal.key)
        whole: dict[str, Any] = {"form": FORM, "sealed": hidden, "mac": seal.mac(f"{name} {hidden}")}
    else:
        whole = {"form": FORM, "content": content, "sum": _sum(content)}
    _write_json(own / name, whole)


def damaged(root: Path, name: str) -> InputError:
    """Return the error for a file of the dot folder that was changed or cut short."""
    command = "kcert practice start LAB" if name == FILE else "kcert practice exam"
    return InputError(
        f"{root / OWN_FOLDER / name} is damaged, so kcert cannot tell which lab this is. Start again with "
        f"`{command} --dir {quote(str(root))} --replace`."
    )


def _sum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


SEAL_VARIABLE = "KCERT_EXAM_PASSPHRASE"
"""Environment variable with the teacher's passphrase."""

_ROUNDS = 200_000
"""Iterations of PBKDF2 for the passphrase, which can be guessed; the random key needs one."""

SHORTEST = 8
"""Characters of a passphrase; PBKDF2 only slows guessing down."""


@dataclass(frozen=True)
class Seal:
    """The key of a sealed exam (hex), and the same encrypted with the teacher's passphrase (base64)."""

    key: str
    wrapped: str

    def mac(self, text: str) -> str:
        """Return the authentication code of *text*: HMAC-SHA256, hex."""
        return hmac.new(bytes.fromhex(self.key), text.encode(), hashlib.sha256).hexdigest()

    def opens_with(self, passphrase: str, openssl: str) -> bool:
        """Return True if the exam was sealed with *passphrase*."""
        with suppress(ProgramError, UnicodeDecodeError):
            return _enc(openssl, self.wrapped, passphrase, _ROUNDS, decrypt=True) == self.key
        return False


def new_seal(passphrase: str, openssl: str) -> Seal:
    """Return a seal with the teacher's *passphrase*; raises InputError if it is too short."""
    if len(passphrase) < SHORTEST or not passphrase.isprintable():
        raise InputError(f"the passphrase for --seal has {len(passphrase)} characters: at least {SHORTEST} are needed.")
    key = secrets.token_hex(32)
    return Seal(key, _enc(openssl, key, passphrase, _ROUNDS))


def _enc(openssl: str, text: str, passphrase: str, rounds: int = 1, *, decrypt: bool = False) -> str:
    """Encrypt *text* to base64, or decrypt it; the *passphrase* is in the environment, where no other user sees it."""
    cipher = ("-aes-256-cbc", "-pbkdf2", "-iter", str(rounds), "-a", "-A", "-pass", f"env:{SEAL_VARIABLE}")
    argv = (openssl, "enc", *cipher)
    reading = run(Command((*argv, "-d") if decrypt else argv, passphrases={SEAL_VARIABLE: passphrase}), text.encode())
    if not reading.succeeded:
        raise ProgramError(f"{openssl} enc failed (status {reading.status}).")
    return reading.stdout.decode().strip()


def find_seal(root: Path) -> Seal | None:
    """Return the seal of the exam or task in *root*; None if it is not sealed, or the seal is damaged."""
    try:
        content = json.loads(read_regular(root / OWN_FOLDER / SEAL_FILE))
        seal = Seal(str(content["key"]), str(content["wrapped"]))
        bytes.fromhex(seal.key)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seal


def write_seal(root: Path, seal: Seal) -> None:
    """Write *seal* into the dot folder of *root*, which exists and is new."""
    _write_json(root / OWN_FOLDER / SEAL_FILE, asdict(seal))


def _write_json(path: Path, content: object) -> None:
    atomic_replace(path, (json.dumps(content, indent=1) + "\n").encode("ascii"), SECRET_MODE)


def mark_running(root: Path, deadline: str) -> None:
    """Remember that the sealed exam in *root* runs until *deadline*, wherever the next command is typed."""
    with suppress(OSError, KcertError):  # no home directory to write to: then only the exam's own folder is watched
        if marker := marker_file():
            marker.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _write_json(marker, {"folder": str(root.absolute()), "deadline": deadline})


def mark_over() -> None:
    """Forget the running exam."""
    with suppress(OSError):
        if marker := marker_file():
            marker.unlink()


def running() -> Path | None:
    """Return the folder of the sealed exam that this user is taking; None if there is none."""
    for folder in sealed_folders():
        if _is_running(folder):
            return folder
    with suppress(OSError, ValueError, KeyError, TypeError):
        if marker := marker_file():
            content: Any = json.loads(read_regular(marker))
            folder = Path(content["folder"])
            return folder if _is_ahead(content["deadline"]) and (folder / OWN_FOLDER / SEAL_FILE).exists() else None
    return None


def _is_running(folder: Path) -> bool:
    """Return True if the exam in *folder*, or the one that the lab in it is a task of, is not over yet."""
    with suppress(InputError, ProgramError, ValueError, TypeError):
        content = read(folder, EXAM_FILE) or read(folder, FILE) or {}
        return not content.get("kept") and _is_ahead(content.get("deadline"))
    return False


def _is_ahead(deadline: Any) -> bool:
    check_timestamps(deadline)
    return datetime.fromisoformat(deadline) > datetime.now(timezone.utc)


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
