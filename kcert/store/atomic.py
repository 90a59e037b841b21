"""Files outside the PKI folder: written whole or not at all, and nothing of others replaced without a copy of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from kcert.errors import InputError, MachineError
from kcert.files import ROOT, foreign_owner, read_regular
from kcert.store import FOLDER_MODE, backup_name
from kcert.store.directory import Directory, link_refused, refuse_foreign_link


@dataclass(frozen=True)
class Written:
    """The result of writing a file: ``changed`` is False if it was equal, ``backup`` is where the one before is."""

    path: Path
    changed: bool
    backup: Path | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file for a folder that the user names, or kcert does: its path there, what it holds, and its mode."""

    path: PurePosixPath
    content: bytes = field(repr=False)
    mode: int


def target_of(path: PurePath | str, output: Path | None, default: Path) -> Path:
    """Return where *path* is written: to the file *output*, or into the folder *output*, without one into *default*."""
    return output if output is not None and not output.is_dir() else (output or default) / path


def write_files(files: Sequence[OutputFile], output: Path | None, default: Path) -> tuple[Written, ...]:
    """Write each of *files* to its ``target_of``; the folder *default*, and folders inside of either, are created.

    Raises what ``check_unlinked``, ``make_folder`` and ``write_file`` do.
    """
    targets = [target_of(file.path, output, default) for file in files]
    if output is None or output.is_dir():
        check_unlinked(output or Path(), [file.path for file in files] if output else targets)
        above = () if output else reversed((default, *default.parents[:-1]))
        for folder in dict.fromkeys((*above, *(target.parent for target in targets))):
            make_folder(folder)
    return tuple(write_file(target, file.content, file.mode) for file, target in zip(files, targets, strict=True))


def write_file(path: Path, content: bytes, mode: int, *, may_replace: Callable[[bytes], bool] | None = None) -> Written:
    """Write *content* to *path* with *mode*; an equal file is left alone, another is kept beside it as a backup.

    A symbolic link stays one, and what it points to is written: where kcert chose the name, ``check_unlinked`` comes
    first. What *may_replace* is true of needs no backup, like the report that was written there the day before.
    Raises InputError for a path that no file can be written to, MachineError where the machine refuses.
    """
    try:
        refuse_foreign_link(path)
        target = path.resolve(strict=False)
        _check(path, target)
        before = read_regular(target) if target.exists() else None
        if before == content and stat.S_IMODE(target.stat().st_mode) == mode:
            return Written(path, changed=False)
        backup = None if before is None or (may_replace and may_replace(before)) else _unused_backup(target)
        atomic_replace(target, content, mode, backup=backup)
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise MachineError(f"{path} cannot be written: {reason}. What was there before is unchanged.") from None
    if backup and not path.is_symlink():
        backup = path.with_name(backup.name)
    return Written(path, changed=True, backup=backup)


def edit_file(path: Path, content: bytes) -> None:
    """Put *content* into the file at *path*, which keeps its mode; a link stays a link.

    Raises MachineError where the machine refuses; then the file is as it was.
    """
    try:
        refuse_foreign_link(path)
        target = Path(os.path.realpath(path))
        atomic_replace(target, content, stat.S_IMODE(target.stat().st_mode))
    except OSError as error:
        raise MachineError(f"{path} cannot be changed: {error.strerror}. The file is unchanged.") from None


def create_file(path: Path, content: bytes, mode: int) -> bool:
    """Write a new file; False if it is there already with this very content.

    Raises InputError where another file is there, MachineError where the machine refuses.
    """
    try:
        refuse_foreign_link(path)
        if path.exists():
            if path.is_file() and read_regular(path) == content:
                return False
            raise InputError(f"{path} exists already and has different content: move it away, or specify another file.")
        atomic_replace(path, content, mode)
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror}.") from None
    return True


def atomic_replace(target: Path, content: bytes, mode: int, *, backup: Path | None = None) -> None:
    """Write *content* beside *target*, with *mode* from its first byte; when it is whole, it takes the place of it.

    What was there is kept as *backup*, in the same folder. Where the disk fails, *target* is as it was. Drafts of the
    same file that a killed kcert left, which may hold keys, are deleted. What root writes in the place of another's
    regular file stays theirs.
    """
    with Directory.open(target.parent) as folder:
        _clear(folder, target.name)
        draft = f".{target.name}.kcert-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            folder.write(draft, content, mode)
            if (owner := folder.kept_owner(target.name)) is not None:
                folder.finalize(draft, mode, owner)
            if backup is not None:
                folder.copy_to(target.name, folder, backup.name)
            folder.move(draft, folder, target.name)
        except BaseException:
            with contextlib.suppress(OSError):
                folder.unlink(draft)
            raise


def check_unlinked(folder: Path, names: Iterable[PurePath]) -> None:
    """Raise InputError where a symbolic link is at one of *names* below *folder*, or on the way to it.

    A link that the user named is the user's own. One under a name that kcert chose was put there by another user,
    and would have keys written wherever it leads. For the same reason root does not write them over another's file.
    """
    for name in names:
        for part in reversed((name, *name.parents[:-1])):
            path = folder / part
            if path.is_symlink():
                raise InputError(f"{link_refused(path)} Or specify another path with --output.")
            if os.geteuid() == ROOT and path.exists() and (owner := foreign_owner(path)):
                raise InputError(
                    f"{path} belongs to {owner}, who could read what root writes there. Delete it, or specify another "
                    "path with --output."
                )


def make_folder(path: Path) -> None:
    """Make a folder for keys, closed to others, if it is not there.

    Raises MachineError where the machine refuses, InputError where another user's link leads elsewhere.
    """
    refuse_foreign_link(path)
    try:
        path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be created: {error.strerror}. Specify another folder with --output."
        ) from None


def _check(path: Path, target: Path) -> None:
    if not str(path).isprintable():
        raise InputError(f"{str(path)!a} is not a path that kcert writes to: it contains control characters.")
    if target.is_symlink():  # all links were followed: from Python 3.13 on, these lead in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "not a regular file"
        raise InputError(f"{path} is {what}; specify a file (`-` prints instead).")
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}.")


def _unused_backup(target: Path) -> Path:
    """Return a path beside *target* that no backup of it has yet."""
    backup = target.with_name(f"{target.name}.{backup_name()}")
    while os.path.lexists(backup):  # a clock can be set back, or stopped
        backup = backup.with_name(f"{backup.name}+")
    return backup


def _clear(folder: Directory, name: str) -> None:
    with contextlib.suppress(OSError):  # a folder that may be written to, and not listed
        for left in folder.names():
            match = re.fullmatch(rf"\.{re.escape(name)}\.kcert-(\d+)(?:-[0-9a-f]+)?", left)
            if match and not _runs(int(match[1])):
                folder.unlink(left)


def _runs(process: int) -> bool:
    """True if a process of that number runs, other than this one: its draft is its own."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
