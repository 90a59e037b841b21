"""Starting kcert without waiting for Python: a process that has imported all of it forks for each call.

What runs is the same: a process of its own, with its own streams, folder, environment and exit status, from
``kcert.__main__.main`` on. What is saved is the interpreter's start and the imports, two thirds of the time of a
short command. ``python -m tests.starting SOCKET`` is that process; it ends with the one that started it.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
STREAMS = 3
LONGEST_INPUT = 60_000
"""Bytes that fit into a pipe without a reader, on Linux and macOS."""

CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    order = json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
    streams = array.array("i", [0, 1, 2])
    connection.sendmsg([len(order).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(order)
    _, status = map(int, connection.makefile("rb"))
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
"""A kcert for scripts that run it many times: it has the forking process run each, with its own streams."""

USUAL = {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
"""What the interpreter itself notices of an environment in which a kcert is forked."""

OTHERS = (
    *("markdown_it", "rich._emoji_codes", "rich.live", "rich.table", "sh", "typer.rich_utils", "yaml"),
    *("encodings.ascii", "encodings.utf_8_sig"),
)
"""What kcert imports when it needs it."""


# --- in the tests


@cache
def _forker() -> Path:
    """The socket of the process that forks, which is started with the first call."""
    folder = tempfile.mkdtemp(prefix="kcert-tests-")
    address = Path(folder, "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(64)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.starting", str(listener.fileno())],
        cwd=REPOSITORY,
        env={**USUAL},
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
    )
    listener.close()

    def end() -> None:
        assert process.stdin
        process.stdin.close()
        process.wait()
        shutil.rmtree(address.parent)

    atexit.register(end)
    return address


class Forked:
    """A kcert that was forked, with the *streams* given: standard input, output and error."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        streams: Sequence[int],
        *,
        terminal: bool = False,
    ) -> None:
        """With *terminal* its standard input is the terminal that Ctrl-C comes from, in a session of its own."""
        order = {"arguments": arguments, "folder": str(folder), "environment": environment, "terminal": terminal}
        text = json.dumps(order).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(_forker()))
            sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))]
            connection.sendmsg([len(text).to_bytes(4, "big")], sent)
            connection.sendall(text)
            # One reader for both answers: they may come together.
            self._answers = connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self._status: int | None = None

    def wait(self) -> int:
        """Return its exit status (negative: the signal that ended it)."""
        if self._status is None:
            with self._answers as answers:
                self._status = int(answers.readline())
        return self._status

    def kill(self) -> None:
        """End it, where it has not ended."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def run(
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    *,
    stdin: bytes,
    seconds: float,
    stdout: int | None = None,
) -> tuple[int, bytes, bytes]:
    """Run kcert to its end: its status (negative: the signal that ended it), and what it printed.

    *stdout* is a descriptor for its standard output, whose text is not returned then. Raises
    subprocess.TimeoutExpired where that takes longer than *seconds*.
    """
    pipes = [os.pipe() for _ in range(STREAMS)]
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = pipes
    with contextlib.ExitStack() as ours:
        for number in (ours_out, ours_err):
            ours.callback(os.close, number)
        process = Forked(
            arguments, folder, environment, [theirs_in, theirs_out if stdout is None else stdout, theirs_err]
        )
        for number in (theirs_in, theirs_out, theirs_err):
            os.close(number)
        with contextlib.suppress(BrokenPipeError):
            os.write(ours_in, stdin)
        os.close(ours_in)
        try:
            out, err = _read(ours_out, ours_err, time.monotonic() + seconds)
        except TimeoutError:
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(["kcert", *arguments], seconds) from None
        return process.wait(), out, err


def program() -> Path:
    """The path of a program ``kcert`` for scripts, whose process in turn forks for each call."""
    address = _forker()
    path = address.with_name("kcert")
    if not path.exists():
        path.write_text(CLIENT.format(python=sys.executable, address=str(address)), encoding="utf-8")
        path.chmod(0o755)
    return path


def _read(stdout: int, stderr: int, deadline: float) -> tuple[bytes, bytes]:
    """Everything that comes out of both, until both are closed."""
    said = {stdout: b"", stderr: b""}
    with selectors.DefaultSelector() as selector:
        for number in said:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                said[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
    return said[stdout], said[stderr]


def take_terminal() -> None:
    """Make standard input the terminal that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


# --- in the process that forks


def serve(listener: socket.socket) -> None:
    """Fork for each call, until standard input ends: with the process that has the other side of it."""
    import kcert

    for module in pkgutil.walk_packages(kcert.__path__, "kcert."):
        importlib.import_module(module.name)
    for name in OTHERS:
        importlib.import_module(name)
    _look_at_commands()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _nothing)
    gc.collect()
    gc.freeze()  # a child that collects garbage would otherwise copy what it has in common with its parent
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for readable in (listener.fileno(), sys.stdin.fileno(), woken):
            selector.register(readable, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if sys.stdin.fileno() in ready:
                return
            if woken in ready:
                os.read(woken, 65536)
                _tell_ends(running)
            if listener.fileno() in ready:
                connection, _ = listener.accept()
                process = _start(connection, running.values())
                running[process] = connection
                with contextlib.suppress(OSError):
                    connection.sendall(b"%d\n" % process)


def _look_at_commands() -> None:
    """Make typer's commands once, with the readers of their values: both take most of the time of a short call.

    They depend on their functions and on KCERT_FORMAT alone.
    """
    import typer.main

    from kcert import cli

    make, load, whole = typer.main.get_command, cli.load, typer.main.get_command(cli.app)
    loaded = {name: load(name) for name in cli.COMMANDS}
    inner = [command for group in loaded.values() for command in getattr(group, "commands", {}).values()]
    parent = whole.make_context("kcert", [], resilient_parsing=True)
    for command in (*loaded.values(), *inner):
        command.make_context(command.name, [], parent=parent, resilient_parsing=True)
    vars(typer.main)["get_command"] = lambda app: whole if app is cli.app else make(app)
    vars(cli)["load"] = lambda name: load(name) if os.environ.get("KCERT_FORMAT") else loaded[name]


def _nothing(*_given: object) -> None:
    """Let the end of a child wake the selector: a signal that is ignored does not."""


def _tell_ends(running: dict[int, socket.socket]) -> None:
    """Tell those who wait for the processes that have ended how they ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            with running.pop(process) as connection, contextlib.suppress(OSError):  # no test may wait any more
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _start(connection: socket.socket, others: Iterable[socket.socket]) -> int:
    """Take the order, and have a process of its own carry it out, which has no connection open."""
    head, fds, _, _ = socket.recv_fds(connection, 4, STREAMS)
    length, text = int.from_bytes(head, "big"), b""
    while len(text) < length and (part := connection.recv(length - len(text))):
        text += part
    process = os.fork()
    if process == 0:
        for inherited in (connection, *others):
            inherited.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _become_kcert(json.loads(text), fds)
    for number in fds:
        os.close(number)
    return process


def _become_kcert(order: dict[str, Any], fds: list[int]) -> NoReturn:
    """Do what ``python -m kcert`` does, and end as the interpreter would."""
    status = 1
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        if order.get("terminal"):
            os.setsid()
            take_terminal()
        # As the interpreter opens them, in a locale of UTF-8.
        sys.stdin = io.TextIOWrapper(
            io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8", errors="surrogateescape"
        )
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(1, "w", closefd=False)),
            encoding="utf-8",
            errors="surrogateescape",
            line_buffering=os.isatty(1),
        )
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        sys.argv = ["kcert", *order["arguments"]]
        from kcert.__main__ import main

        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except BaseException:  # noqa: BLE001 - as the interpreter does at its end
            traceback.print_exc()
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001 - the same
            sys.stderr.write("Exception ignored in: sys.stdout\n")
            status = 120
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
