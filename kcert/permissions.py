"""Permission checks: which other users could change what kcert reads or runs. File modes alone do not prevent it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.quoting import quote
from kcert.shell import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = 0
"""The user who may do everything (credentials(7)), and so has most to lose."""

_CONTENT = "keys and certificates in it"


def permission_warnings(folders: Iterable[Path], config: Path | None, openssl: str) -> Iterator[str]:
    """Yield a sentence for each way in which others could change *folders* of keys, their *config* or the program."""
    paths = [*((folder, _CONTENT) for folder in folders), (config, "who is in which group")]
    for path, what in paths:
        if path is None or not path.exists():
            continue
        if is_writable_by_others(path.stat()):
            yield f"others can write to {path}, and so change {what}: `chmod go-w {quote(str(path))}`."
        elif owner := foreign_owner(path):
            user = "you are root, and " if os.geteuid() == ROOT else ""
            yield f"{user}{path} belongs to {owner}, who can change {what} at any time."
    if os.geteuid() == ROOT and (program := find(openssl)) is not None:
        yield from _replaceable(Path(program).absolute())


def readable_keys(keys: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each of these *keys* of CAs that others can read or write; missing ones are skipped."""
    for key in keys:
        try:
            mode = stat.S_IMODE(key.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            yield (
                f"others can get at {key} (mode {mode:04o}), and whoever has a CA's key can be anybody in the cluster: "
                f"`chmod 600 {quote(str(key))}`. (On a stick with FAT that changes nothing: it knows no modes.)"
            )


def _replaceable(program: Path) -> Iterator[str]:
    """Yield a sentence where another user could replace the program that root starts."""
    real = program.resolve()
    for path in dict.fromkeys((program.parent, real.parent, real)):
        if is_writable_by_others(path.stat()) or foreign_owner(path):
            yield f"you are root, and others can replace {program}, which root starts: they can write to {path}."
            return


def is_writable_by_others(status: os.stat_result) -> bool:
    """True where everybody, or a group other than the user's own, may write."""
    by_group = bool(status.st_mode & stat.S_IWGRP) and status.st_gid not in (ROOT, os.getegid())
    return by_group or bool(status.st_mode & stat.S_IWOTH)


def foreign_owner(path: Path, *, follow: bool = True, sudo: bool = False) -> str | None:
    """The name of the owner of *path* where that is neither kcert's user nor root.

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
