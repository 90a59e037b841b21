"""Reading files that may be anything (a FIFO, a device, a folder), their owners, and delaying signals."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from kcert.errors import InputError, KcertError, nearest

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest file that is read; some 50,000 certificates fit into one."""

LARGEST_DOCUMENT = 1024 * 1024
"""Bytes of the largest YAML document that is parsed: Kubernetes accepts no larger Secret or ConfigMap."""

LARGEST_HISTORY = 256 * 1024 * 1024
"""Bytes of a history: some 400,000 commands."""

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


def read_input(path: Path, limit: int = LARGEST, error: type[KcertError] = InputError, advice: str = "") -> bytes:
    """Read as ``read_regular``; raises an *error* in words, with *advice* (a sentence), if the file cannot be read."""
    try:
        return read_regular(path, limit)
    except OSError as reason:
        hint = f" {advice}" if advice else ""
        raise error(f"{path} cannot be read: {reason.strerror or reason}.{hint}") from None


def read_optional(
    path: Path, limit: int = LARGEST, error: type[KcertError] = InputError, advice: str = ""
) -> bytes | None:
    """Read as ``read_input``; return None if the file does not exist."""
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError:  # ``read_input`` says it in words
        pass
    return read_input(path, limit, error, advice)


_NEAR = 0.8
"""Likeness (difflib) from which on a name is another one, mistyped."""


def mistyped(path: Path) -> Path | None:
    """The file beside a *path* that is not there whose name is nearly the same, and may be the one that was meant.

    Names that differ in a number are those of different hosts. None if the folder cannot be read.
    """
    try:
        if path.exists():
            return None
        names = [other.name for other in path.parent.iterdir() if other.suffix == path.suffix]
    except OSError:
        return None
    others = [name for name in names if re.sub(r"\d+", "", name) != re.sub(r"\d+", "", path.name)]
    close = nearest(path.name, others, 1, _NEAR)
    return path.parent / close[0] if close else None


_missed: list[int] = []


def remember_missed(unraisable: sys.UnraisableHookArgs) -> None:
    """Remember a signal that came where nothing can be raised, such as in a callback of the import system.

    As ``sys.unraisablehook``: the interpreter would print "Exception ignored" and go on.
    """
    match unraisable.exc_value:
        case KeyboardInterrupt():
            _missed.append(signal.SIGINT)
        case SystemExit(code=int(status)) if status > 128:
            _missed.append(status - 128)
        case _:
            sys.__unraisablehook__(unraisable)


def raise_missed() -> None:
    """Let the signals take effect that came where nothing could be raised."""
    while _missed:
        signal.raise_signal(_missed.pop())


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Let Ctrl-C, SIGTERM and SIGHUP take effect behind the block, which gets a list of those that came so far.

    Between a program's start and its entry in a list it would be left behind, and between two files that belong
    together there would be half of a pair.
    """
    import threading  # `kcert --version` does without it

    raise_missed()
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # signals come to the main thread alone, and only there their handlers can be set
        return
    before = {
        deferred: signal.signal(deferred, lambda number, _frame: came.append(number))
        for deferred in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(deferred) is not signal.SIG_IGN  # as nohup has it
    }
    try:
        yield came
    finally:
        for deferred, handler in before.items():
            signal.signal(deferred, handler)
        for number in came:
            signal.raise_signal(number)


ROOT = 0
"""The user who may do everything (credentials(7)), and so has most to lose."""


def is_writable_by_others(status: os.stat_result) -> bool:
    """Return True if every user, or a group other than the user's own, may write."""
    by_group = bool(status.st_mode & stat.S_IWGRP) and status.st_gid not in (ROOT, os.getegid())
    return by_group or bool(status.st_mode & stat.S_IWOTH)


def foreign_owner(path: Path, *, follow: bool = True, sudo: bool = False) -> str | None:
    """Return the name of the owner of *path* if that is neither kcert's user nor root.

    Without *follow* a link is looked at itself. With *sudo* the user who became root by sudo(8) is not foreign either.
    """
    owner = path.stat(follow_symlinks=follow).st_uid
    if owner in (ROOT, os.geteuid()) or (sudo and str(owner) == os.environ.get("SUDO_UID")):
        return None
    return user_name(owner)


def user_name(user: int) -> str:
    """The name of a user by number, for messages."""
    import pwd  # most folders are one's own

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


def filled(template: str, values: Mapping[str, str], source: str) -> str:
    """Return *template*, which comes from the file *source*, with each ``{{ name }}`` replaced by its value.

    Raises InputError for a name without a value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            line = template[: match.start()].count("\n") + 1
            raise InputError(f"{source}:{line}: {match[0]} is not known; there are {', '.join(values)}.")
        return values[match[1]]

    return _PLACEHOLDER.sub(value, template)


def filled_file(path: Path, /, **values: str) -> str:
    """Return the content of kcert's own template *path* with *values* in it."""
    return filled(path.read_text(encoding="utf-8"), values, path.name)
