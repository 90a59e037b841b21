"""The start of kcert, its output streams, and the exit status of every error.

Every line is written at once, also into a pipe or a file. So the interpreter has nothing left to flush at its exit,
where it could only print "Exception ignored" and exit with status 120.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, NoReturn, cast

from kcert import __version__, errors
from kcert.errors import OutputError, ReaderGoneError
from kcert.files import raise_missed, remember_missed

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import ReadableBuffer

BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports of a program whose reader has gone

IGNORED = (
    *("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PY_COLORS", "GITHUB_ACTIONS"),
    *("TERMINAL_WIDTH", "TYPER_USE_RICH", "JUPYTER_COLUMNS", "JUPYTER_LINES", "DATABRICKS_RUNTIME_VERSION"),
)
"""Variables with which rich and typer print something else: escape sequences into a pipe, another width."""

_NEW_OBJECTS = 20_000
"""New objects after which Python looks for unreachable cycles. With its own 700, that search takes a tenth of the time
in which 20,000 certificates are read, and finds nothing."""

_NO_MEMORY = (
    "there is not enough memory, or a limit (`ulimit -a`) allows too little. Finished files are in place, and "
    "unfinished ones were discarded."
)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    gc.set_threshold(_NEW_OBJECTS)
    _open_streams()
    _clean_environment()
    sys.unraisablehook = remember_missed
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked for that
        signal.signal(signal.SIGHUP, _terminated)
    try:
        status = _status()
    finally:
        fault = _close_streams()
    if fault and status <= errors.FOUND:  # any other status has been explained already
        status = _reported(fault)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # All is done. The interpreter takes handlers away before its end, and would seem to be killed by a late signal.
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def _status() -> int:
    try:
        if sys.argv[1:] == ["--version"]:  # without typer, which takes most of the time
            sys.stdout.write(f"kcert {__version__}\n")
            return 0
        from kcert.cli import run

        status = run()
        raise_missed()
    except (errors.KcertError, errors.ReaderGoneError) as error:
        return _reported(error)
    except KeyboardInterrupt:
        status = errors.INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _said(f"{where}{error.strerror or error}.", errors.FAILED)
    except MemoryError:
        return _said(_NO_MEMORY, errors.FAILED)
    except Exception as error:
        if isinstance(error, RuntimeError) and "start new thread" in str(error):  # threading: the machine refused
            return _said(_NO_MEMORY, errors.FAILED)
        if os.environ.get("KCERT_DEBUG"):
            raise
        return _said(
            f"kcert itself made a mistake ({type(error).__name__}: {ascii(str(error))[1:-1]}). Nothing half-made was "
            "kept. KCERT_DEBUG=1 shows where it happened; please report that.",
            errors.FAILED,
        )
    return _interrupted() if status == errors.INTERRUPTED else status


def _reported(error: Exception) -> int:
    """Print *error*, unless it is that the reader of the output has gone, and return its exit status."""
    return _said(str(error), error.exit_status) if isinstance(error, errors.KcertError) else BROKEN_PIPE


def _interrupted() -> int:
    from kcert.cli import only_reads
    from kcert.ui.console import error_screen

    error_screen.cache_clear()  # rich holds back what is printed after a print that Ctrl-C stopped
    if sys.stderr.isatty():
        sys.stderr.write("\n")  # behind a prompt, and the ^C that the terminal itself has written
    if only_reads(sys.argv[1:]):
        return _said("Interrupted.", errors.INTERRUPTED)
    return _said(
        "Interrupted. What was finished is in place, the rest was not begun: run it again to go on.",
        errors.INTERRUPTED,
    )


def _said(message: str, status: int) -> int:
    from kcert.ui import error

    error(message)
    return status


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM, or a terminal that is closed, ends kcert as Ctrl-C does: programs are stopped, staging is cleared."""
    raise SystemExit(128 + number)


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
        self._interrupted = b""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write *data* or part of it and return the number of bytes; wait where a non-blocking pipe is full."""
        if self.is_done:
            return memoryview(data).nbytes
        again, self._interrupted = self._interrupted, b""
        if again and bytes(data).startswith(again):
            return len(again)
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
        except BaseException:
            self.is_done = not self.isatty()  # Ctrl-C while nothing reads the pipe: a later flush would block again
            self._interrupted = bytes(data)  # it may have been written, and io would write it once more
            raise


def _explained(error: OSError) -> Exception:
    if error.errno == errno.EPIPE:
        return ReaderGoneError()
    if error.errno == errno.EBADF:
        return OutputError("standard output is closed: redirect it to a file or to another program.")
    return OutputError(f"standard output: {error.strerror}.")


def _clean_environment() -> None:
    """Delete what must not change the output: the variables of ``IGNORED``, and a size that is not a number."""
    for name in IGNORED:
        os.environ.pop(name, None)
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if not (value.isdecimal() and value.isascii() and 0 < int(value) < 10_000):
            os.environ.pop(name, None)


def _open_streams() -> None:
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


def _close_streams() -> Exception | None:
    """Write what is left, and return the fault of standard output, None if everything was written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OutputError, ReaderGoneError):
            stream.flush()
    return cast("_Stream", cast("io.BufferedWriter", sys.stdout.buffer).raw).fault


if __name__ == "__main__":
    main()
