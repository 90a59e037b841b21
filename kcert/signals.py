"""Delaying Ctrl-C, SIGTERM and SIGHUP where they must not raise, and raising them where they could not."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

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
