"""Who else could change what kcert reads or runs: told before keys are made, because file modes alone will not do."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.shell import find, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = 0
"""The user who may do everything (credentials(7)), and so has most to lose."""


def exposures(folders: Iterable[Path], config: Path | None, openssl: str) -> Iterator[str]:
    """A sentence for each way in which others could meddle with *folders* of keys, their *config* or the program."""
    places = [*((folder, "keys and certificates in it") for folder in folders), (config, "who is in which group")]
    for path, what in places:
        if path is None or not path.exists():
            continue
        if writable_by_others(path):
            yield f"others can write to {path}, and so change {what}: `chmod go-w {quote(str(path))}`."
        elif os.geteuid() == ROOT and (owner := stranger(path)):
            yield f"you are root, and {path} belongs to {owner}, who can change {what} whenever he likes."
    if os.geteuid() == ROOT and (program := find(openssl)) is not None:
        yield from _replaceable(Path(program).absolute())


def readable(keys: Iterable[Path]) -> Iterator[str]:
    """A sentence for each of these *keys* of CAs that others can read, or write; one that is not there is no matter."""
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
    """Whether somebody else could put another program into the place of the one that root starts."""
    real = program.resolve()
    for path in dict.fromkeys((program.parent, real.parent, real)):
        if writable_by_others(path) or stranger(path):
            yield f"you are root, and others can replace {program}, which root starts: they can write to {path}."
            return


def writable_by_others(path: Path) -> bool:
    """Whether everybody, or a group other than one's own, may write there."""
    status = path.stat()
    mode = status.st_mode
    by_group = bool(mode & stat.S_IWGRP) and status.st_gid not in (ROOT, os.getegid())
    return by_group or bool(mode & stat.S_IWOTH)


def stranger(path: Path, *, follow: bool = True) -> str | None:
    """The name of the owner, where that is neither oneself nor root nor whoever became root by sudo(8).

    Without *follow* a link is looked at itself.
    """
    owner = path.stat(follow_symlinks=follow).st_uid
    if owner in (ROOT, os.geteuid()) or str(owner) == os.environ.get("SUDO_UID"):
        return None
    import pwd  # most folders are one's own

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"
