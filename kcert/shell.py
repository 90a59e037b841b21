"""The only module that starts a program.

- ``run``, through ``sh``: one command, captured; every step of a lesson. ``sh`` forks in Python and starts threads, so
  no other thread may run meanwhile.
- ``run_many``: several steps in parallel.
- ``read``, ``read_many``, ``stream``: what a program prints.
- ``exec_interactive``: a program that takes over the terminal.

Commands are argv lists; nothing is ever passed to a shell. A program that does not need the terminal gets a session of
its own: Ctrl-C reaches kcert alone, which ends what is running together with all that it has started.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from kcert.errors import ProgramError, TooSlowError
from kcert.files import defer_signals

DEFAULT_TIMEOUT = 60.0
"""Seconds. Only the generation of a very long key takes more, and has a limit of its own."""

LIMIT_VARIABLE = "KCERT_TIMEOUT"
"""Environment variable with another limit, in seconds, for slow machines."""

PASSPHRASE_VARIABLE = "KCERT_CA_PASSPHRASE"  # noqa: S105 - a name, and no passphrase
"""Environment variable with the passphrase of the CA's key; only the programs that need it get it."""

ROOT_PASSPHRASE_VARIABLE = "KCERT_ROOT_PASSPHRASE"  # noqa: S105 - a name, and no passphrase
"""The same for the key of the root that signs the CA."""

_SECRET = (PASSPHRASE_VARIABLE, ROOT_PASSPHRASE_VARIABLE, "KCERT_EXAM_PASSPHRASE")

LONGEST_LIMIT = 86400.0
"""Seconds; the system's timers accept neither infinity nor `nan`."""

_TICK = 0.1
"""Seconds after which a wait looks for signals: one that comes just before a blocking call does not interrupt it."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and the folder that it runs in.

    ``limit`` is in seconds; a command that takes longer is killed and reported. ``passphrases`` are added to its
    environment, by the names of the variables. ``asks`` is for a program that may have to ask the user at the terminal
    (curl does, for the passphrase of a client's key): it keeps the terminal, and what it starts may outlive it.
    ``descriptors`` are open files that it inherits, for arguments such as /dev/fd/5.
    """

    argv: tuple[str, ...]
    folder: Path = field(default_factory=Path)
    limit: float = DEFAULT_TIMEOUT
    passphrases: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    asks: bool = False
    descriptors: tuple[int, ...] = ()

    @property
    def seconds_allowed(self) -> float:
        """The limit in force: the command's own, or the one of the environment."""
        try:
            limit = float(os.environ.get(LIMIT_VARIABLE, ""))
        except ValueError:
            return self.limit
        return limit if 0 < limit <= LONGEST_LIMIT else self.limit

    @property
    def environment(self) -> dict[str, str]:
        """kcert's own environment, with a passphrase only where it belongs."""
        return {**{name: value for name, value in os.environ.items() if name not in _SECRET}, **self.passphrases}


class _Ended:
    status: int

    @property
    def succeeded(self) -> bool:
        """True for exit status 0."""
        return self.status == 0


@dataclass(frozen=True)
class Outcome(_Ended):
    """The result of a command: its exit status (negative: the signal that ended it) and both outputs together."""

    command: Command
    status: int
    output: str
    started: datetime
    seconds: float


@dataclass(frozen=True)
class Reading(_Ended):
    """The output of a command that ended by itself, standard output and standard error apart."""

    status: int
    stdout: bytes
    stderr: str


def find(program: str) -> str | None:
    """Return the path of *program*, or None if this machine does not have it."""
    return shutil.which(program)


def run(command: Command) -> Outcome:
    """Run *command* through ``sh`` and wait for it; its two outputs are captured together.

    A bad exit status is in the outcome; a program that is missing, cannot be started or does not finish
    within its limit raises ProgramError.

    ``sh`` takes locks and joins threads, where an exception that a signal raises would leave them as they are. So it
    waits in a thread, and a signal kills the program and takes effect when ``sh`` is done.
    """
    import sh

    started, clock = datetime.now(timezone.utc), time.monotonic()
    program, *arguments = command.argv
    failures: list[Exception] = []

    def wait() -> None:
        try:
            running.wait()
        except Exception as error:  # noqa: BLE001 - a thread would print it, and go on without the rest of the output
            failures.append(error)

    try:
        with defer_signals() as signals:
            running = sh.Command(_located(program))(
                *arguments,
                _cwd=str(command.folder),
                _in=None,
                _env=command.environment,
                _err_to_out=True,
                _tty_out=False,
                _bg=True,
                _bg_exc=False,
                _new_session=True,
            ).process
            waiter = threading.Thread(target=wait)
            try:
                waiter.start()
                while waiter.is_alive() and not signals and time.monotonic() - clock < command.seconds_allowed:
                    waiter.join(_TICK)
            finally:
                is_killed = running.exit_code is None
                if is_killed:
                    with contextlib.suppress(ProcessLookupError):  # it exited just now
                        os.killpg(running.pgid, signal.SIGKILL)
                if waiter.is_alive():
                    waiter.join()  # sh forks for the next command: no thread may live then
    except (sh.CommandNotFound, OSError) as error:
        raise _cannot_start(program, error) from None
    if failures:
        raise failures[0]
    status = running.exit_code
    if is_killed or status is None:
        raise _too_slow(command)
    return Outcome(command, status, running.stdout.decode(errors="replace"), started, time.monotonic() - clock)


def read(command: Command, stdin: bytes = b"") -> Reading:
    """Run *command* for what it prints, with *stdin* as its input.

    Raises ProgramError as ``run`` does, and where a signal ended the program: half of an answer proves nothing.
    """
    deadline, unsent = time.monotonic() + command.seconds_allowed, stdin or None
    with contextlib.ExitStack() as stack:
        with defer_signals():
            process = stack.enter_context(_begin(command, subprocess.PIPE, subprocess.PIPE))
            stack.callback(_stop, process)
        output: tuple[bytes, bytes] | None = None
        while output is None:
            if (left := deadline - time.monotonic()) <= 0:
                raise _too_slow(command)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # Only the first call writes the input, and only as much as a pipe holds is written at once.
                output = process.communicate(unsent, left if len(unsent or b"") > select.PIPE_BUF else min(left, _TICK))
            unsent = None
    return _reading(command, process.returncode, *output)


def read_many(commands: Sequence[Command]) -> list[Reading]:
    """Run *commands* in parallel, as many at a time as there are processors, for what they print.

    Raises ProgramError as ``read`` does.
    """
    waiting = iter(commands)
    readings: dict[int, Reading] = {}

    def ended(process: _Running) -> None:
        stdout, stderr = map(bytes, process.outputs.values())
        readings[process.number] = _reading(process.command, process.status, stdout, stderr)

    _run_parallel(lambda: next(waiting, None), ended, os.cpu_count() or 1, separate=True)
    return [readings[number] for number in sorted(readings)]


def _reading(command: Command, status: int, stdout: bytes, stderr: bytes) -> Reading:
    if status < 0:
        words, name = " ".join(command.argv[:2]), signal.strsignal(-status) or "of no name"
        raise ProgramError(
            f"{words} was ended by signal {-status} ({name}). The system does that if memory is short: see `dmesg`, "
            "and try again."
        )
    return Reading(status, stdout, stderr.decode(errors="replace"))


def exec_interactive(command: Command, stdin: bytes | None = None) -> int:
    """Run *command* on the user's own terminal until it ends; its exit status comes back.

    With *stdin* that is its input in place of the keyboard, as a pager wants it.
    """
    program = command.argv[0]
    try:
        argv = [_located(program), *command.argv[1:]]
        return subprocess.run(argv, cwd=command.folder, env=command.environment, input=stdin, check=False).returncode
    except OSError as error:
        raise _cannot_start(program, error) from None


@contextlib.contextmanager
def stream(command: Command) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* for output that may be larger than the memory: both outputs are in the process's ``stdout``.

    After the block it has a ``returncode``; an exception in the block ends it. Raises ProgramError if it cannot be
    started.
    """
    process = _begin(command)
    assert process.stdout is not None
    try:
        yield process
    except BaseException:
        _stop(process)
        raise
    finally:
        process.stdout.close()
        process.wait()


def run_many(next_command: Callable[[], Command | None], ended: Callable[[Outcome], None], jobs: int) -> None:
    """Run commands, at most *jobs* at a time, without threads.

    *next_command* is called whenever there is room, and returns None while nothing can be started; *ended* gets the
    outcome of each command, in the order in which they end, and may make more commands ready. Returns when nothing
    runs and nothing is ready.
    """

    def outcome(process: _Running) -> None:
        (output,) = process.outputs.values()
        seconds = time.monotonic() - process.clock
        ended(Outcome(process.command, process.status, output.decode(errors="replace"), process.started, seconds))

    _run_parallel(next_command, outcome, jobs)


class _Running:
    """A program at work; ``outputs`` holds what its standard output, and its standard error if *separate*, printed."""

    def __init__(self, command: Command, number: int, *, separate: bool) -> None:
        self.command, self.number, self.status = command, number, 0
        self.started, self.clock = datetime.now(timezone.utc), time.monotonic()
        self.deadline = self.clock + command.seconds_allowed
        self.process = _begin(command, subprocess.PIPE if separate else subprocess.STDOUT)
        self.outputs = {pipe: bytearray() for pipe in (self.process.stdout, self.process.stderr) if pipe is not None}
        self.left = len(self.outputs)


def _run_parallel(
    next_command: Callable[[], Command | None], ended: Callable[[_Running], None], jobs: int, *, separate: bool = False
) -> None:
    """As ``run_many``; whatever goes wrong, no process that was started here is left behind."""
    running: list[_Running] = []
    with selectors.DefaultSelector() as selector:
        try:
            number = 0
            while True:
                while len(running) < jobs and (command := next_command()) is not None:
                    with defer_signals():
                        running.append(new := _Running(command, number, separate=separate))
                    for pipe in new.outputs:
                        selector.register(pipe, selectors.EVENT_READ, (new, pipe))
                    number += 1
                if not running:
                    return
                for process in _wait(selector, running):
                    running.remove(process)
                    ended(process)
        finally:
            for process in running:
                _stop(process.process)
                for pipe in process.outputs:
                    pipe.close()


def _wait(selector: selectors.BaseSelector, running: list[_Running]) -> list[_Running]:
    """Wait until one of *running* prints something or ends; return those that ended."""
    left = min(process.deadline for process in running) - time.monotonic()
    ended = []
    for key, _ in selector.select(min(max(left, 0), _TICK)):
        process, pipe = key.data
        if text := os.read(key.fd, 65536):
            process.outputs[pipe] += text
            continue
        selector.unregister(pipe)
        pipe.close()
        process.left -= 1
        if not process.left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.status = process.process.wait(max(process.deadline - time.monotonic(), 0))
                ended.append(process)
    for process in running:
        if process not in ended and time.monotonic() > process.deadline:
            raise _too_slow(process.command)
    return ended


def _begin(
    command: Command, stderr: int = subprocess.STDOUT, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start *command* in a session of its own, so that it can be ended together with all that it starts."""
    program = command.argv[0]
    try:
        return subprocess.Popen(
            [_located(program), *command.argv[1:]],
            cwd=command.folder,
            env=command.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=not command.asks,
            pass_fds=command.descriptors,
        )
    except OSError as error:
        raise _cannot_start(program, error) from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Make sure that a process and what it started are gone; one that exited, and was waited for, is left alone."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            leads = os.getpgid(process.pid) == process.pid
            (os.killpg if leads else os.kill)(process.pid, signal.SIGKILL)
    process.wait()


def _located(program: str) -> str:
    """A path that holds in any folder; a bare name is looked for on PATH when it starts."""
    return str(Path(program).absolute()) if "/" in program else program


def _too_slow(command: Command) -> ProgramError:
    words = " ".join(command.argv[:2])
    return TooSlowError(
        f"{words} did not finish within {command.seconds_allowed:g} seconds and was stopped. "
        f"On a slow machine, allow more: {LIMIT_VARIABLE}=600."
    )


def _cannot_start(program: str, error: Exception) -> ProgramError:
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return ProgramError(f"{program} could not be started: {error.strerror or error}.")
    return ProgramError(f"{program} is not installed, or cannot be run: install it, or correct PATH.")
