"""Where kcert starts, and where every error ends: as one paragraph and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from kcert import environment, errors, output

if TYPE_CHECKING:
    from types import FrameType

BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports of a program whose reader has gone

_NO_MEMORY = (
    "there is not enough memory, or a limit (`ulimit -a`) allows too little. What was finished is in place, and "
    "nothing half-made was kept."
)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    output.set_up()
    environment.clean_up()
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked for that
        signal.signal(signal.SIGHUP, _terminated)
    try:
        status = _status()
    finally:
        fault = output.finish()
    if fault and status <= errors.FOUND:  # any other status has been explained already
        status = _reported(fault)
    sys.exit(status)


def _status() -> int:
    try:
        from kcert.cli import run

        status = run()
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
    from kcert.ui.messages import error

    error(message)
    return status


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM, or a terminal that is closed, ends kcert as Ctrl-C does: programs are stopped, staging is cleared."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
