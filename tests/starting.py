"""Starting kcert without waiting for Python: a process that has imported all of it forks for each call.

What runs is the same: a process of its own, with its own streams, folder, environment and exit status, from
``kcert.__main__.main`` on. What is saved is the interpreter's start and the imports, two thirds of the time of a
short command. ``python -m tests.starting SOCKET`` is that process; it ends with the one that started it.
"""

from __future__ import annotations

import array
import atexit
import contextlib
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
import time
import traceback
from functools import cache
from pathlib import Path
from typing import NoReturn

REPOSITORY = Path(__file__).resolve().parent.parent
STREAMS = 3
LONGEST_INPUT = 60_000
"""Bytes that fit into a pipe which nobody reads yet, on Linux and macOS."""

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

OTHERS = ("markdown_it", "rich.live", "rich.table", "sh", "typer.rich_utils", "yaml")
"""What kcert imports when it needs it."""


# --- in the tests


@cache
def _forker(environment: tuple[tuple[str, str], ...]) -> Path:
    """The socket of the process that forks, which is started with the first call."""
    folder = tempfile.mkdtemp(prefix="kcert-tests-")
    address = Path(folder, "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(64)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.starting", str(listener.fileno())],
        cwd=REPOSITORY,
        env=dict(environment),
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
    address = _forker(_base(environment))
    pipes = [os.pipe() for _ in range(STREAMS)]
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = pipes
    with socket.socket(socket.AF_UNIX) as connection, contextlib.ExitStack() as ours:
        for number in (ours_out, ours_err):
            ours.callback(os.close, number)
        connection.connect(str(address))
        order = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment}).encode()
        fds = array.array("i", [theirs_in, theirs_out if stdout is None else stdout, theirs_err])
        connection.sendmsg([len(order).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        connection.sendall(order)
        for number in (theirs_in, theirs_out, theirs_err):
            os.close(number)
        with contextlib.suppress(BrokenPipeError):
            os.write(ours_in, stdin)
        os.close(ours_in)
        # One reader for both answers: they may come together.
        answers = ours.enter_context(connection.makefile("rb"))
        process = int(answers.readline())
        try:
            out, err = _read(ours_out, ours_err, time.monotonic() + seconds)
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["kcert", *arguments], seconds) from None
        return int(answers.readline()), out, err


def program(environment: dict[str, str]) -> Path:
    """The path of a program ``kcert`` for scripts, whose process in turn forks for each call."""
    address = _forker(_base(environment))
    path = address.with_name("kcert")
    if not path.exists():
        path.write_text(CLIENT.format(python=sys.executable, address=str(address)), encoding="utf-8")
        path.chmod(0o755)
    return path


def _base(environment: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """What the forking process itself has to have of an *environment*."""
    return tuple((name, environment[name]) for name in ("PATH", "LC_ALL", "PYTHONPATH") if name in environment)


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


# --- in the process that forks


def serve(listener: socket.socket) -> None:
    """Fork for each call, until standard input ends: with the process that has the other side of it."""
    import kcert

    for module in pkgutil.walk_packages(kcert.__path__, "kcert."):
        importlib.import_module(module.name)
    for name in OTHERS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a child that collects garbage would otherwise copy what it has in common with its parent
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while True:
            if any(key.fd == sys.stdin.fileno() for key, _ in selector.select()):
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _mind(connection)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass  # one who minded a call that has ended


def _mind(connection: socket.socket) -> NoReturn:
    """Take the order, have it carried out by a process of its own, and tell how that ended."""
    head, fds, _, _ = socket.recv_fds(connection, 4, STREAMS)
    length, text = int.from_bytes(head, "big"), b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    order = json.loads(text)
    process = os.fork()
    if process == 0:
        connection.close()
        _become_kcert(order["arguments"], order["folder"], order["environment"], fds)
    for number in fds:
        os.close(number)
    connection.sendall(b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become_kcert(arguments: list[str], folder: str, environment: dict[str, str], fds: list[int]) -> NoReturn:
    """Do what ``python -m kcert`` does, and end as the interpreter would."""
    status = 1
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        # As the interpreter opens them for pipes, in a locale of UTF-8.
        sys.stdin = io.TextIOWrapper(
            io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8", errors="surrogateescape"
        )
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", errors="surrogateescape"
        )
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        sys.argv = ["kcert", *arguments]
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
