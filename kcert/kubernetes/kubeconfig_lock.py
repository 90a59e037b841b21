"""kubectl's lock on a kubeconfig: one program at a time changes the file."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kcert.durations import in_words
from kcert.errors import MachineError
from kcert.files import defer_signals, read_regular
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PATIENCE = 10.0
"""Seconds to wait for a lock: a program that changes a kubeconfig holds it for a fraction of one."""

PAUSE = 0.05
"""Seconds between two attempts."""


@dataclass(frozen=True)
class Lock:
    """A lock that is held: its file, the program that holds it, and the time since it was taken."""

    file: Path
    holder: str
    age: timedelta


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[Lock], None]) -> Iterator[None]:
    """Hold the lock of the kubeconfig *path* for the block; Ctrl-C and SIGTERM wait for its end.

    The lock is ``FILE.lock``, there or not there, as client-go's ModifyConfig has it (tools/clientcmd/loader.go,
    lockFile): kubectl refuses to write while it is there. Where *path* is a link, its target is locked as well.
    *on_wait* is called once, where another program holds it; MachineError after PATIENCE seconds of that.
    """
    # Two names of one file are one lock, called as the user called it.
    files = {
        _lock_of(path.resolve()): _lock_of(path.resolve()),
        _lock_of(path.parent.resolve() / path.name): _lock_of(path),
    }
    deadline, waiting = time.monotonic() + PATIENCE, False
    while True:
        with defer_signals():
            held = _take(path, files)
            if held is None:
                try:
                    yield
                finally:
                    _release(files)
                return
        if lock := _described(held, files[held]):
            if time.monotonic() >= deadline:
                raise MachineError(
                    f"{path} was not changed: {lock.file} says that {lock.holder} is changing it, and has been there "
                    f"for {in_words(lock.age)}. A program that was killed leaves it behind: if none is at work there, "
                    f"delete it with `rm -f {quote(str(lock.file))}`, which kubectl needs as well, and run this again."
                )
            if not waiting:
                on_wait(lock)
                waiting = True
        time.sleep(PAUSE)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _take(path: Path, files: Iterable[Path]) -> Path | None:
    """Create all of *files* and return None, or none of them, and return the one that is there already."""
    made: list[Path] = []
    try:
        for file in files:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(f"kcert, process {os.getpid()}\n".encode())
    except FileExistsError:
        _release(made)
        return file
    except OSError as error:
        _release(made)
        raise MachineError(
            f"{path} cannot be locked, as kubectl and kcert do before they change it: {file}: {error.strerror}. "
            "Nothing was changed."
        ) from None
    return None


def _release(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _described(file: Path, named: Path) -> Lock | None:
    """Return who holds the lock *file*, which the user calls *named*; None where it has just gone."""
    try:
        seconds = max(0, int(time.time() - file.lstat().st_mtime))
    except OSError:
        return None
    try:
        written = re.fullmatch(rb"kcert, process (\d{1,9})\n", read_regular(file))
    except OSError:  # kubectl creates it with mode 0
        written = None
    holder = f"kcert (process {int(written[1])})" if written else "kubectl or another program"
    unit = next((unit for unit in (86400, 3600, 60) if seconds >= unit), 1)
    return Lock(named, holder, timedelta(seconds=seconds // unit * unit))
