"""What must not be torn apart: Ctrl-C, SIGTERM and SIGHUP wait until it is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP take effect behind the block.

    Between a program's start and its entry in a list it would be left behind, and between two files that belong
    together there would be half of a pair.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone, and only there their handlers can be set
        return
    came: list[int] = []
    before = {
        held: signal.signal(held, lambda number, _frame: came.append(number))
        for held in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for number in came:
            signal.raise_signal(number)
