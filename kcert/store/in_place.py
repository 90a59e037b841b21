"""Changing a file that the user named: as a whole or not at all."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from kcert.errors import InputError, MachineError
from kcert.store.draft import drafted

if TYPE_CHECKING:
    from pathlib import Path


def edit(path: Path, content: bytes) -> None:
    """Put *content* into the file at *path*, which keeps its mode; a link stays a link.

    Raises MachineError where the machine refuses; then the file is as it was.
    """
    target = path.resolve()
    try:
        with drafted(target, content, stat.S_IMODE(target.stat().st_mode)):
            pass
    except OSError as error:
        raise MachineError(f"{path} cannot be changed: {error.strerror}. It is as it was.") from None


def create(path: Path, content: bytes, mode: int) -> bool:
    """Write a new file; False where it is there already with this very content.

    Raises InputError where another file is there, MachineError where the machine refuses.
    """
    try:
        if path.exists():
            if path.is_file() and path.read_bytes() == content:
                return False
            raise InputError(f"{path} is there already, and with other content: move it away, or name another file.")
        with drafted(path, content, mode):
            pass
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror}.") from None
    return True
