"""A kubeconfig is changed by one program at a time: kcert keeps to the lock that kubectl has."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kcert.durations import told
from kcert.errors import MachineError
from kcert.files import read_regular
from kcert.interruptions import defer_signals
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PATIENCE = 10.0
"""Seconds to wait for a lock: who changes a kubeconfig holds it for a fraction of one."""

PAUSE = 0.05
"""Seconds between two attempts."""


@dataclass(frozen=True)
class Lock:
    """A lock that is held: its file, who holds it, and how long the file has been there."""

    file: Path
    holder: str
    age: timedelta


@contextlib.contextmanager
def locked(path: Path, waits_for: Callable[[Lock], None]) -> Iterator[None]:
    """Hold the lock of the kubeconfig *path* for the block, in which Ctrl-C and SIGTERM wait; *waits_for* hears of it.

    The lock is ``FILE.lock``, there or not there, as client-go's ModifyConfig has it (tools/clientcmd/loader.go,
    lockFile): kubectl refuses to write while it is there. Where *path* is a link, what it leads to is locked as well.
    Raises MachineError where somebody else does not let go of it in PATIENCE seconds.
    """
    files = {
        _lock_of(path.resolve()): _lock_of(path.resolve()),
        _lock_of(path.parent.resolve() / path.name): _lock_of(path),
    }
    deadline, said = time.monotonic() + PATIENCE, False
    while True:
        with defer_signals():
            taken_by = _take(path, files)
            if taken_by is None:
                try:
                    yield
                finally:
                    _let_go(files)
                return
        lock = _lock(taken_by, files[taken_by])
        if lock is not None:
            if time.monotonic() >= deadline:
                raise _not_free(path, lock)
            if not said:
                waits_for(lock)
                said = True
        time.sleep(PAUSE)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _take(path: Path, files: Iterable[Path]) -> Path | None:
    """Make all of *files* and return None, or none of them, and return the one that is there already."""
    made: list[Path] = []
    try:
        for file in files:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(f"kcert, process {os.getpid()}\n".encode())
    except FileExistsError:
        _let_go(made)
        return file
    except OSError as error:
        _let_go(made)
        raise MachineError(
            f"{path} cannot be locked, as kubectl and kcert do before they change it: {file} cannot be made, "
            f"{error.strerror}. Nothing was changed."
        ) from None
    return None


def _let_go(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _lock(file: Path, named: Path) -> Lock | None:
    """The lock that is in the way; None where it has just gone."""
    try:
        age = _age(time.time() - file.lstat().st_mtime)
    except OSError:
        return None
    try:
        written = re.fullmatch(rb"kcert, process (\d{1,9})\n", read_regular(file))
    except OSError:  # kubectl makes it with mode 0
        written = None
    holder = f"kcert (process {int(written[1])})" if written else "kubectl or another program"
    return Lock(named, holder, age)


def _not_free(path: Path, lock: Lock) -> MachineError:
    return MachineError(
        f"{path} was not changed: {lock.file} says that {lock.holder} is changing it, and has been there for "
        f"{told(lock.age)}. Whoever is ended in the middle leaves it behind: if nobody is at work there any "
        f"more, take it away with `rm -f {quote(str(lock.file))}`, which kubectl needs as well, and run this again."
    )


def _age(seconds: float) -> timedelta:
    """So many whole days, hours or minutes: nobody asks how many seconds a lock of three hours is old as well."""
    length = next((unit for unit in (86400, 3600, 60) if seconds >= unit), 1)
    return timedelta(seconds=max(0, int(seconds)) // length * length)
