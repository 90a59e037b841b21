"""A file that is written beside the one that it is to replace, so that nobody ever sees half of it."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def drafted(target: Path, content: bytes, mode: int) -> Iterator[None]:
    """Write *content* into a file beside *target*, with *mode* from its first byte; it takes its place with the block.

    Where the block or the disk fails, *target* is as it was. Drafts of the same file that a killed kcert left, which
    may hold keys, are taken away.
    """
    _clear(target)
    draft = target.with_name(f".{target.name}.kcert-{os.getpid()}")
    try:
        write(draft, content, mode)
        yield
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file, with *mode* from its first byte and whatever the umask is."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


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
