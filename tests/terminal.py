"""Running kcert on a terminal, and typing what it asks for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.running import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.running import Kcert

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class OnTerminal:
    """What a program printed on a terminal, and how it ended."""

    status: int
    text: str

    @property
    def plain(self) -> str:
        """The text without colours."""
        return ESCAPES.sub("", self.text).replace("\r\n", "\n")


def on_terminal(
    kcert: Kcert,
    *arguments: str,
    columns: int = 80,
    rows: int = 40,
    keys: Sequence[str | Callable[[], object]] = "",
    prompt: bytes = rb"lists the keys\] ",
    **variables: str,
) -> OnTerminal:
    """Run kcert on a terminal of its own; *keys* are typed one by one, each when it waits at a *prompt*, a pattern.

    What can be called in place of a key is called.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = kcert.on_terminal(slave, *arguments, variables={"TERM": "xterm-256color", **variables})
    os.close(slave)
    text, typed, deadline = b"", 0, time.monotonic() + LONGEST
    try:
        with contextlib.suppress(OSError):  # EIO: the other side has closed
            while time.monotonic() < deadline:
                if select.select([master], [], [], 1)[0]:
                    text += os.read(master, 65536)
                if len(re.findall(prompt, text)) > typed and typed < len(keys):
                    key = keys[typed]
                    key() if callable(key) else os.write(master, os.fsencode(key))
                    typed += 1
            process.kill()
        return OnTerminal(process.wait(), text.decode())
    finally:
        process.kill()  # nothing to one that has exited
        process.wait()
        os.close(master)
