"""Standard output and standard error: the only place that writes and flushes them.

Every line is written at once, in a pipe or a file as on a terminal, so that the interpreter has nothing left to flush
at its exit, where it could only print "Exception ignored" and exit with status 120.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, cast

from kcert.errors import OutputError, ReaderGoneError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Stream(io.FileIO):
    """A standard stream that reports the first fault and ignores what is written after it.

    ``fault`` is the exception that the first failed write of standard output raised, else None. Standard error never
    raises: there is no other stream to report the fault to.
    """

    def __init__(self, number: int, *, reports: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.reports = reports
        self.fault: Exception | None = None
        self.is_done = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write *data* or part of it and return the number of bytes; wait where a non-blocking pipe is full."""
        if self.is_done:
            return memoryview(data).nbytes
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
            return written
        except OSError as error:
            self.is_done = True
            self.fault = _explained(error)
            if self.reports:
                raise self.fault from None
            return memoryview(data).nbytes
        except BaseException:  # Ctrl-C while nothing reads the pipe: a later flush would block again
            self.is_done = True
            raise


def _explained(error: OSError) -> Exception:
    if error.errno == errno.EPIPE:
        return ReaderGoneError()
    if error.errno == errno.EBADF:
        return OutputError("standard output is closed, so the result cannot be printed.")
    return OutputError(f"standard output: {error.strerror}.")


def set_up() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` with streams that write each line at once and report faults."""
    _open_closed_streams()
    for number, name in ((1, "stdout"), (2, "stderr")):
        text = io.TextIOWrapper(
            io.BufferedWriter(_Stream(number, reports=name == "stdout")),
            encoding=getattr(sys, name).encoding,
            errors="backslashreplace",  # a locale without UTF-8 must not turn a name or a dash into a traceback
            line_buffering=True,
        )
        setattr(sys, name, text)


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed (``>&-``).

    Otherwise the next file to be opened, the lock or the history, would get its number. For standard output it is
    opened for reading only, so that writing to it still fails.
    """
    for number, (name, flags) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - three rounds
            os.open(os.devnull, flags)  # gets the lowest free number: this one
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def finish() -> Exception | None:
    """Write what is left, and return the fault of standard output, None where everything was written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OutputError, ReaderGoneError):
            stream.flush()
    return cast("_Stream", cast("io.BufferedWriter", sys.stdout.buffer).raw).fault
