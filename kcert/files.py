"""Reading files that may be anything: a FIFO that never answers, a device without end, a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

from kcert.errors import nearest

LARGEST = 16 * 1024 * 1024
"""Bytes; no key, certificate or kubeconfig comes near it."""


_PIECE = 1024 * 1024
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_at_once(path: Path) -> IO[bytes]:
    """Open a file, a pipe or a terminal for reading; a FIFO without a writer is empty, and is not waited for.

    Raises OSError for a folder, and for a device, which may have no end.
    """
    descriptor = os.open(path, _READING)
    status = os.fstat(descriptor)
    is_device = stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not os.isatty(descriptor))
    if stat.S_ISDIR(status.st_mode) or (is_device and not os.path.samestat(status, Path(os.devnull).stat())):
        os.close(descriptor)
        error = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(error, "it is a device" if is_device else os.strerror(error), str(path))
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, limit: int = LARGEST) -> bytes:
    """The content of a regular file of at most *limit* bytes; raises OSError for anything else, and never waits."""
    # To open a device may be to set it going (a watchdog, a tape): look first.
    if not stat.S_ISREG(kind := path.stat().st_mode) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return read_descriptor(os.open(path, _READING), path, limit)


def read_descriptor(descriptor: int, path: Path, limit: int = LARGEST) -> bytes:
    """As ``read_regular``, of a file that was opened without waiting; *descriptor* is closed."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        pieces, size = [], status.st_size
        if size <= limit:
            size = 0
            while size <= limit and (piece := os.read(descriptor, _PIECE)):
                pieces.append(piece)
                size += len(piece)
    finally:
        os.close(descriptor)
    if size > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 1024 // 1024} MiB", str(path))
    return b"".join(pieces)


_NEAR = 0.8
"""Likeness (difflib) from which on a name is another one, mistyped."""


def mistyped(path: Path) -> Path | None:
    """The file beside a *path* that is not there whose name is nearly the same, and may be the one that was meant.

    Names that differ in a number are those of different hosts. None where nobody may look into the folder.
    """
    try:
        if path.exists():
            return None
        names = [one.name for one in path.parent.iterdir() if one.suffix == path.suffix]
    except OSError:
        return None
    others = [name for name in names if _letters(name) != _letters(path.name)]
    close = nearest(path.name, others, 1, _NEAR)
    return path.parent / close[0] if close else None


def _letters(name: str) -> str:
    return re.sub(r"\d+", "", name)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP take effect behind the block.

    Between a program's start and its entry in a list it would be left behind, and between two files that belong
    together there would be half of a pair.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone, and only there their handlers can be set
        return
    came: list[int] = []
    before = {
        held: signal.signal(held, lambda number, _frame: came.append(number))
        for held in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for number in came:
            signal.raise_signal(number)
