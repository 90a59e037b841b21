"""Where kcert starts, and where every error ends: as one paragraph and an exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from kcert import errors

if TYPE_CHECKING:
    from types import FrameType

BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports of a program whose reader has gone


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        # A locale without UTF-8 must not turn a name or a dash into a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked for that
        signal.signal(signal.SIGHUP, _terminated)
    sys.exit(_status())


def _status() -> int:
    try:
        from kcert.cli import run

        status = run()
        sys.stdout.flush()
    except errors.KcertError as error:
        return _said(str(error), error.exit_status)
    except (BrokenPipeError, errors.ReaderGoneError):
        _silence(sys.stdout)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        status = errors.INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _said(f"{where}{error.strerror or error}.", errors.FAILED)
    except Exception as error:
        if os.environ.get("KCERT_DEBUG"):
            raise
        return _said(
            f"kcert itself made a mistake ({type(error).__name__}: {ascii(str(error))[1:-1]}). Nothing half-made was "
            "kept. KCERT_DEBUG=1 shows where it happened; please report that.",
            errors.FAILED,
        )
    return _interrupted() if status == errors.INTERRUPTED else status


def _interrupted() -> int:
    from kcert.cli import only_reads

    with contextlib.suppress(OSError):
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # behind a prompt, and the ^C that the terminal itself has written
    if only_reads(sys.argv[1:]):
        return _said("Interrupted.", errors.INTERRUPTED)
    return _said(
        "Interrupted. What was finished is in place, the rest was not begun: run it again to go on.",
        errors.INTERRUPTED,
    )


def _said(message: str, status: int) -> int:
    from kcert.ui.messages import error

    try:
        error(message)
    except OSError:  # nobody reads it any more, or it goes to a disk that is full: the status still tells
        _silence(sys.stderr)
    return status


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM, or a terminal that is closed, ends kcert as Ctrl-C does: programs are stopped, staging is cleared."""
    raise SystemExit(128 + number)


def _open_what_is_closed() -> None:
    """Give a standard stream that was closed (``>&-``) to nobody.

    Otherwise Python has None in its place, and the next file that is opened, the lock or the history, would get
    its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - three rounds
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _silence(stream: TextIO) -> None:
    """Keep the interpreter from complaining, at exit, that it cannot flush what nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
