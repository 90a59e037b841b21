"""A file that is written beside the one that it is to replace, so that nobody ever sees half of it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def drafted(target: Path, content: bytes, mode: int) -> Iterator[None]:
    """Write *content* into a file beside *target*, with *mode* from its first byte; it takes its place with the block.

    Where the block or the disk fails, *target* is as it was. Drafts of the same file that a killed kcert left, which
    may hold keys, are taken away. What root writes in the place of somebody's file stays theirs.
    """
    _clear(target)
    draft = target.with_name(f".{target.name}.kcert-{os.getpid()}")
    try:
        write(draft, content, mode, _owner(target))
        yield
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def keep(source: Path, kept: Path) -> None:
    """Have *source* under the name *kept* as well, with its mode and dates; what a link leads to is copied."""
    if not source.is_symlink():
        # A file system may have no hard links, and a machine may forbid them for what is another's.
        with contextlib.suppress(OSError):
            os.link(source, kept)
            return
    elif not source.exists():
        kept.symlink_to(source.readlink())
        return
    status = source.stat()
    write(kept, source.read_bytes(), stat.S_IMODE(status.st_mode))
    os.utime(kept, ns=(status.st_atime_ns, status.st_mtime_ns))


def write(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write a new file, with *mode* from its first byte and whatever the umask is; *owner* is a user and a group."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _owner(target: Path) -> tuple[int, int] | None:
    """Whose the file is that root is about to replace."""
    if os.geteuid() != 0 or not target.exists():
        return None
    status = target.stat()
    return status.st_uid, status.st_gid


def _clear(target: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that may be written to, and not listed
        for left in target.parent.iterdir():
            found = re.fullmatch(rf"\.{re.escape(target.name)}\.kcert-(\d+)", left.name)
            if found and not _runs(int(found[1])):
                left.unlink()


def _runs(process: int) -> bool:
    """Whether a process of that number runs, other than this one: its draft is its own."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
