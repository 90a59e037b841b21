"""One kcert at a time in a PKI folder: the second waits, and says whom it waits for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kcert.store.directory import Directory

_LONGEST = 4096
"""Bytes of what a lock says of its holder; kcert writes a hundred or two."""


@contextlib.contextmanager
def locked(own: Directory, doing: str, waits_for: Callable[[str], None]) -> Iterator[None]:
    """Hold the file ``lock`` of the folder *own* until the block ends.

    The kernel releases it when the process ends, however it ends; the file stays, because a lock file
    that is removed can be held twice. It says who holds it.
    """
    with os.fdopen(own.open_own("lock", os.O_RDWR | os.O_CREAT), "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits_for(_holder(file.read(_LONGEST)))
            fcntl.flock(file, fcntl.LOCK_EX)
        holder = {"pid": os.getpid(), "doing": doing, "since": datetime.now(timezone.utc).isoformat("T", "seconds")}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(holder).encode())
        file.flush()
        yield


def _holder(written: bytes) -> str:
    try:
        holder = json.loads(written)
        return f"{holder['doing']} (process {int(holder['pid'])}, since {holder['since']})"
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "another kcert that has just begun"
