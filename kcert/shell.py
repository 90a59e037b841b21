"""The only module that starts a program.

There are two ways. ``run`` goes through ``sh``: captured, one command at a time; every openssl step of a
lesson runs like that. ``read``, ``run_many`` and ``exec_interactive`` go through ``subprocess``: for reading what
lies on the disk, for several keys at once, and for programs that take the terminal over. ``sh`` forks in
Python and starts threads, so no other thread may live while ``run`` is at work.

Commands are argv lists throughout; nothing here is ever given to a shell. All but what is handed over, or may ask at
the terminal, has a session of its own: Ctrl-C reaches kcert alone, which ends what is running together with all that it
has started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kcert.errors import ProgramError, TooSlowError
from kcert.files import defer_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sh

DEFAULT_TIMEOUT = 60.0
"""No openssl command takes this long but the generation of a very long key, which brings its own limit."""

LIMIT_VARIABLE = "KCERT_TIMEOUT"
"""Environment variable with another limit, in seconds, for machines that are slower than any we know."""

PASSPHRASE_VARIABLE = "KCERT_CA_PASSPHRASE"  # noqa: S105 - a name, and no passphrase
"""Environment variable with the passphrase of the CA's key; no program gets it but those that are meant to."""

ROOT_PASSPHRASE_VARIABLE = "KCERT_ROOT_PASSPHRASE"  # noqa: S105 - a name, and no passphrase
"""The same for the key of the root that signs the CA."""

_SECRET = (PASSPHRASE_VARIABLE, ROOT_PASSPHRASE_VARIABLE)

LONGEST_LIMIT = 86400.0
"""Seconds; the system's own clocks for waiting take no infinite time, nor what is no number (`nan`)."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and the folder that it runs in.

    ``limit`` is in seconds; a command that takes longer is killed and reported. ``passphrases`` are what it finds in
    its environment, by the names of the variables, which are not there otherwise. ``asks`` is for a program that may
    have to ask its user something at the terminal (curl does, for the passphrase of a client's key): it keeps the
    terminal, and what it starts may outlive it where it is ended. ``descriptors`` are open files that it inherits, for
    arguments such as /dev/fd/5.
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
            asked = float(os.environ.get(LIMIT_VARIABLE, ""))
        except ValueError:
            return self.limit
        return asked if 0 < asked <= LONGEST_LIMIT else self.limit

    @property
    def environment(self) -> dict[str, str]:
        """kcert's own environment, with a passphrase only where it belongs."""
        return {**{name: value for name, value in os.environ.items() if name not in _SECRET}, **self.passphrases}


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status (negative: the signal that ended it) and all that it said."""

    command: Command
    status: int
    output: str
    started: datetime
    seconds: float

    @property
    def succeeded(self) -> bool:
        """True for exit status 0."""
        return self.status == 0


@dataclass(frozen=True)
class Reading:
    """What a command that ended by itself printed, its two outputs apart; ``stdout`` is bytes because a file may hold
    anything."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def succeeded(self) -> bool:
        """True for exit status 0."""
        return self.status == 0


def find(program: str) -> str | None:
    """Where *program* is: its path, or None where this machine does not have it."""
    return shutil.which(program)


def run(command: Command) -> Outcome:
    """Run *command* through ``sh`` and wait for it; its two outputs are captured together.

    A bad exit status is in the outcome; a program that is missing, cannot be started or does not finish
    within its limit raises ProgramError.
    """
    import sh

    started, clock = datetime.now(timezone.utc), time.monotonic()
    program, *arguments = command.argv
    running: sh.RunningCommand | None = None
    expired = threading.Event()
    try:
        # The interruption comes when there is something in hand to be killed.
        with defer_signals():
            running = sh.Command(_located(program))(
                *arguments,
                _cwd=str(command.folder),
                _in=None,
                _env=command.environment,
                _err_to_out=True,
                _tty_out=False,
                _ok_code=list(range(256)),
                _bg=True,
                _bg_exc=False,
                _decode_errors="replace",
                _new_session=True,
            )
        with _killed_after(command.seconds_allowed, running, expired):
            running.wait()
        status, output = running.exit_code, str(running)
    except sh.CommandNotFound:
        raise _missing(program) from None
    except sh.ErrorReturnCode as error:  # ended by a signal
        if expired.is_set():
            raise _too_slow(command) from None
        status, output = error.exit_code, error.stdout.decode(errors="replace")
    except OSError as error:
        raise _cannot_start(program, error) from None
    except BaseException:  # Ctrl-C, SIGTERM: no program is left behind
        if running is not None:
            with contextlib.suppress(OSError):
                running.process.kill_group()
            running.process.wait()
        raise
    return Outcome(command, status, output, started, time.monotonic() - clock)


@contextlib.contextmanager
def _killed_after(seconds: float, running: sh.RunningCommand, expired: threading.Event) -> Iterator[None]:
    """Kill what is running once *seconds* are over, and set *expired*.

    sh has a limit of its own, but looks for the program's end only ten times a second where it is set: a tenth of a
    second would be lost with each command of a lesson.
    """

    def stop() -> None:
        expired.set()
        with contextlib.suppress(OSError):  # it has ended just now
            running.process.kill_group()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    try:
        timer.start()
        yield
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()  # sh forks for the next command: no thread may live then


def read(
    command: Command, stdin: bytes = b"", environment: Mapping[str, str] | None = None, most: int | None = None
) -> Reading:
    """Run *command* for what it prints, with *stdin* as its input.

    *environment* is added to kcert's own; *most* is how many bytes a program may print that another machine can have
    print anything. Raises ProgramError as ``run`` does, where it prints more, and where a signal ended the program:
    what it did not print then tells nothing.
    """
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        with defer_signals():
            process = stack.enter_context(_begin(command, pipe, pipe, pipe, environment))
            stack.callback(_stop, process)
        try:
            if most is None:
                stdout, stderr = process.communicate(stdin, command.seconds_allowed)
            else:
                stdout, stderr = _read_at_most(process, command, most)
        except subprocess.TimeoutExpired:
            raise _too_slow(command) from None
    return _reading(command, process.returncode, stdout, stderr)


def _read_at_most(process: subprocess.Popen[bytes], command: Command, most: int) -> tuple[bytes, bytes]:
    """What *process* prints to its two outputs, without any input."""
    assert process.stdin and process.stdout and process.stderr
    process.stdin.close()
    deadline = time.monotonic() + command.seconds_allowed
    printed = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for output in printed:
            selector.register(output, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise subprocess.TimeoutExpired(command.argv, command.seconds_allowed)
            for key, _ in ready:
                if piece := os.read(key.fd, 65536):
                    printed[key.fd] += piece
                else:
                    selector.unregister(key.fd)
            if sum(map(len, printed.values())) > most:
                raise ProgramError(f"{command.argv[0]} was stopped: the answer has more than {most >> 20} MiB.")
    process.wait(max(deadline - time.monotonic(), 0.1))
    return bytes(printed[process.stdout.fileno()]), bytes(printed[process.stderr.fileno()])


def run_subprocess(command: Command) -> Outcome:
    """As ``run``, but through ``subprocess``: for a program that a machine may lack, and for the history."""
    waiting, outcomes = [command], list[Outcome]()
    run_many(lambda: waiting.pop() if waiting else None, outcomes.append, 1)
    return outcomes[0]


def read_many(commands: Sequence[Command]) -> list[Reading]:
    """Run *commands* side by side, as many at a time as there are processors, for what they print.

    What they print goes through files: several pipes would have to be emptied at once. Raises ProgramError as
    ``read`` does, and then leaves no process behind.
    """
    import tempfile

    readings: list[Reading] = []
    at_once = os.cpu_count() or 1
    for start in range(0, len(commands), at_once):
        with contextlib.ExitStack() as stack:
            running = []
            for command in commands[start : start + at_once]:
                outputs = (
                    stack.enter_context(tempfile.TemporaryFile()),
                    stack.enter_context(tempfile.TemporaryFile()),
                )
                with defer_signals():
                    process = _begin(command, *outputs)
                    stack.callback(_stop, process)
                running.append((command, process, outputs))
            for command, process, (stdout, stderr) in running:
                try:
                    status = process.wait(command.seconds_allowed)
                except subprocess.TimeoutExpired:
                    raise _too_slow(command) from None
                stdout.seek(0)
                stderr.seek(0)
                readings.append(_reading(command, status, stdout.read(), stderr.read()))
    return readings


def _reading(command: Command, status: int, stdout: bytes, stderr: bytes) -> Reading:
    if status < 0:
        raise _killed(command, -status)
    return Reading(status, stdout, stderr.decode(errors="replace"))


def exec_interactive(command: Command, stdin: bytes | None = None) -> int:
    """Run *command* on the user's own terminal until it ends; its exit status comes back.

    With *stdin* that is its input in place of the keyboard, as a pager wants it.
    """
    program = command.argv[0]
    try:
        return subprocess.run(
            [_located(program), *command.argv[1:]],
            cwd=command.folder,
            env=command.environment,
            input=stdin,
            check=False,
        ).returncode
    except OSError as error:
        raise _cannot_start(program, error) from None


@dataclass
class Stream:
    """A program that is printing: its two outputs together, and its exit status once all of it was read."""

    output: IO[bytes]
    status: int = 0


@contextlib.contextmanager
def stream(command: Command) -> Iterator[Stream]:
    """Run *command* for output that may be larger than the memory; its reader takes it piece by piece.

    A reader who leaves early ends the program. Raises ProgramError where it cannot be started.
    """
    process = _begin(command, subprocess.PIPE, subprocess.STDOUT)
    assert process.stdout is not None
    running = Stream(process.stdout)
    try:
        yield running
    except BaseException:
        _stop(process)
        raise
    finally:
        process.stdout.close()
        running.status = process.wait()


@dataclass
class _Running:
    command: Command
    process: subprocess.Popen[bytes]
    started: datetime
    clock: float
    output: bytearray = field(default_factory=bytearray)

    @property
    def pipe(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def deadline(self) -> float:
        return self.clock + self.command.seconds_allowed


def run_many(next_command: Callable[[], Command | None], ended: Callable[[Outcome], None], jobs: int) -> None:
    """Run commands, at most *jobs* at a time, without threads.

    *next_command* is asked whenever there is room, and answers None while nothing can be started;
    *ended* hears of each command in the order in which they end, and what it learns may make more
    commands ready. Returns when nothing runs and nothing is ready. Whatever goes wrong, no process
    that was started here is left behind.
    """
    running: dict[int, _Running] = {}
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while len(running) < jobs and (command := next_command()) is not None:
                    with defer_signals():
                        new = _start(command)
                        running[new.pipe.fileno()] = new
                    selector.register(new.pipe, selectors.EVENT_READ)
                if not running:
                    return
                for outcome in _wait(selector, running):
                    ended(outcome)
        finally:
            for left in running.values():
                _stop(left.process)
                left.pipe.close()


def _start(command: Command) -> _Running:
    started, clock = datetime.now(timezone.utc), time.monotonic()
    return _Running(command, _begin(command, subprocess.PIPE, subprocess.STDOUT), started, clock)


def _begin(
    command: Command,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start *command* in a session of its own, so that it can be ended together with all that it starts."""
    program = command.argv[0]
    try:
        return subprocess.Popen(
            [_located(program), *command.argv[1:]],
            cwd=command.folder,
            env={**command.environment, **(environment or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=not command.asks,
            pass_fds=command.descriptors,
        )
    except OSError as error:
        raise _cannot_start(program, error) from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Make sure that a process and what it started are gone; one that has ended, and was waited for, is left alone."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            leads = os.getpgid(process.pid) == process.pid
            (os.killpg if leads else os.kill)(process.pid, signal.SIGKILL)
    process.wait()


def _wait(selector: selectors.BaseSelector, running: dict[int, _Running]) -> list[Outcome]:
    """Wait until one of *running* says something or ends; those that ended are taken out of it."""
    left = min(one.deadline for one in running.values()) - time.monotonic()
    ready = selector.select(max(left, 0))
    outcomes = []
    for key, _ in ready:
        one = running[key.fd]
        if text := os.read(key.fd, 65536):
            one.output += text
            continue
        selector.unregister(one.pipe)
        del running[key.fd]
        one.pipe.close()
        status = one.process.wait()
        outcomes.append(
            Outcome(
                one.command,
                status,
                one.output.decode(errors="replace"),
                one.started,
                time.monotonic() - one.clock,
            )
        )
    for one in running.values():
        if time.monotonic() > one.deadline:
            raise _too_slow(one.command)
    return outcomes


def _located(program: str) -> str:
    """A path that holds in any folder; a bare name is looked for on PATH when it starts."""
    return str(Path(program).absolute()) if "/" in program else program


def _killed(command: Command, number: int) -> ProgramError:
    words = " ".join(command.argv[:2])
    name = signal.strsignal(number) or "of no name"
    return ProgramError(
        f"{words} was ended by signal {number} ({name}) before it had answered. Where memory is short, the system does "
        "that: see `dmesg`, and try again."
    )


def _too_slow(command: Command) -> ProgramError:
    words = " ".join(command.argv[:2])
    return TooSlowError(
        f"{words} did not finish within {command.seconds_allowed:g} seconds and was stopped. "
        f"On a slow machine, allow more: {LIMIT_VARIABLE}=600."
    )


def _cannot_start(program: str, error: OSError) -> ProgramError:
    if isinstance(error, FileNotFoundError):
        return _missing(program)
    return ProgramError(f"{program} could not be started: {error.strerror or error}.")


def _missing(program: str) -> ProgramError:
    return ProgramError(f"{program} is not on this machine, or cannot be run: install it, or correct PATH.")
