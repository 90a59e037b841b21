"""A kcert that comes to harm at a step of its own: ``python -m tests.endurance.harm HOW STEP ARGUMENT...``.

With HOW ``opens`` nothing is harmed, and the names of the files that kcert opens go to standard error.
A step is told by Python's audit events. With HOW ``kill`` it is whatever changes the disk or starts a program, and
SIGKILL comes in place of step STEP; with ``interrupt`` it is each file that takes its place, and Ctrl-C comes there;
with ``unseen`` it is each folder that is made, and Ctrl-C comes in a callback that can raise nothing;
with ``full`` it is whatever takes room on the disk, and from step STEP on there is none (ENOSPC). At step 0 no harm is
done; the number of steps is then the last thing on standard error.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import signal
import sys
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TAKING_ROOM = {"os.mkdir", "os.link", "os.symlink", "os.rename"}
CHANGING = TAKING_ROOM | {"os.remove", "os.rmdir", "os.chmod", "os.truncate", "subprocess.Popen", "os.fork"}
STEPS = {"kill": CHANGING, "full": TAKING_ROOM, "interrupt": {"os.rename"}, "unseen": {"os.mkdir"}}
"""Python's names for them; opening a file counts by how it is opened."""


def _harm(how: str, at: int) -> None:
    count, kcert = 0, os.getpid()

    def hook(event: str, details: tuple[object, ...]) -> None:
        nonlocal count
        if not _is_step(how, event, details) or os.getpid() != kcert:  # sh forks in Python
            return
        count += 1
        if at and how == "kill" and count == at:
            os.kill(kcert, signal.SIGKILL)
        if at and how == "interrupt" and count == at:
            os.kill(kcert, signal.SIGINT)
        if at and how == "unseen" and count == at:
            _forget(lambda: os.kill(kcert, signal.SIGINT))
        if at and how == "full" and count >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(details[0]))

    sys.addaudithook(hook)
    if not at:
        atexit.register(lambda: print(f"steps: {count}", file=sys.stderr))


def _forget(then: Callable[[], None]) -> None:
    """Drop a set, whose weak reference calls *then*: what that raises is printed, and ignored."""
    held = [set[str]()]
    reference = weakref.ref(held[0], lambda _: then())
    held.clear()
    assert reference() is None


def _is_step(how: str, event: str, details: tuple[object, ...]) -> bool:
    if event != "open":
        return event in STEPS[how]
    if how in {"interrupt", "unseen"}:
        return False
    path, _, flags = details
    writes = os.O_CREAT if how == "full" else os.O_WRONLY | os.O_RDWR
    opened_before = isinstance(path, int)  # a standard stream: it takes no room, and makes no file
    is_file = not opened_before and not str(path).startswith(("/dev/", "/proc/"))
    return isinstance(flags, int) and bool(flags & writes) and is_file


def _watch() -> None:
    names: set[str] = set()

    def hook(event: str, details: tuple[object, ...]) -> None:
        if event == "open" and isinstance(details[0], str):
            names.add(os.path.basename(details[0]))  # noqa: PTH119 - most of them are opened by a folder's handle

    sys.addaudithook(hook)
    atexit.register(lambda: print(f"opened: {json.dumps(sorted(names))}", file=sys.stderr))


if __name__ == "__main__":
    from kcert.__main__ import main

    asked, step, *sys.argv[1:] = sys.argv[1:]
    _watch() if asked == "opens" else _harm(asked, int(step))
    main()
