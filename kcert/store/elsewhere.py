"""Files outside the PKI folder: written whole or not at all, and nothing replaced without a copy of it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.errors import InputError, MachineError
from kcert.store import FOLDER_MODE, backup_name, draft
from kcert.store.draft import drafted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path, PurePath


@dataclass(frozen=True)
class Written:
    """What came of a file: ``changed`` tells whether it had to be written, ``backup`` where the one before is."""

    path: Path
    changed: bool
    backup: Path | None = None


def write(path: Path, content: bytes, mode: int) -> Written:
    """Write *content* to *path* with *mode*; an equal file is left alone, another is kept beside it as a backup.

    A symbolic link stays one, and what it points to is written: where kcert chose the name, ``check_unlinked`` comes
    first. Raises InputError for a path that no file can
    lie at, MachineError where the machine refuses.
    """
    try:
        target = path.resolve(strict=False)
        _check(path, target)
        before = target.stat() if target.exists() else None
        if before and target.read_bytes() == content and stat.S_IMODE(before.st_mode) == mode:
            return Written(path, changed=False)
        with drafted(target, content, mode):
            backup = _back_up(target) if before else None
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise MachineError(f"{path} cannot be written: {reason}. What was there before is unchanged.") from None
    if backup and not path.is_symlink():
        backup = path.with_name(backup.name)
    return Written(path, changed=True, backup=backup)


def check_unlinked(folder: Path, names: Iterable[PurePath]) -> None:
    """Raise InputError where a symbolic link lies at one of *names* below *folder*, or on the way to it.

    A link that the user named is the user's own. One under a name that kcert chose was laid there by somebody else,
    and would have keys written wherever it leads.
    """
    for name in names:
        for part in reversed((name, *name.parents[:-1])):
            if (place := folder / part).is_symlink():
                raise InputError(
                    f"{place} is a symbolic link, which kcert never makes there: whoever did could have kcert write "
                    "wherever it leads. Look where that is, and take the link away, or name another place with "
                    "--output."
                )


def make_folder(path: Path) -> None:
    """Make a folder for keys, closed to others, if it is not there; raises MachineError where the machine refuses."""
    try:
        path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{path} cannot be made: {error.strerror}. Name another folder with --output.") from None


def _check(path: Path, target: Path) -> None:
    if not str(path).isprintable():
        raise InputError(f"{str(path)!a} is no path that kcert writes to: it holds control characters.")
    if target.is_symlink():  # all links were followed: from Python 3.13 on, these lead in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "no regular file"
        raise InputError(f"{path} is {what}; name a file (`-` prints instead).")
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}.")


def _back_up(target: Path) -> Path:
    backup = target.with_name(f"{target.name}.{backup_name()}")
    while os.path.lexists(backup):  # a clock can be put back, or stand still
        backup = backup.with_name(f"{backup.name}+")
    draft.keep(target, backup)
    return backup
