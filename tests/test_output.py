"""Faults of standard output: one sentence, the documented status, and nothing at the exit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from kcert.cli import COMMANDS
from tests.running import output, representatives, wait_until
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert

BUFFERING = {"buffered": {}, "unbuffered": {"PYTHONUNBUFFERED": "1"}}

CALLS: dict[str, tuple[str, ...]] = {
    **{name: (name, "--quiet") for name in ("ca", "apiserver", "kubelet", "service-account", "all")},
    "--version": ("--version",),
    "--help": ("--help",),
    "help": ("help", "plan"),
    "version": ("version",),
    "completion": ("completion", "bash"),
    "init": ("init",),
    "plan": ("plan", "--format", "json"),
    "client": ("client", "mallory"),
    "etcd": ("etcd", "--dry-run"),
    "kubeconfig": ("kubeconfig", "admin", "--output", "-"),
    "flags": ("flags", "kube-apiserver"),
    "bundle": ("bundle", "node01", "--output", "-"),
    "export": ("export", "ansible"),
    "call": ("call", "/version", "--as", "admin"),
    "bootstrap": ("bootstrap",),
    "encryption-config": ("encryption-config",),
    "renew": ("renew", "admin", "--quiet"),
    "csr": ("csr", "new", "mallory"),
    "show": ("show", "pki/ca.crt"),
    "inventory": ("inventory", "pki", "--format", "xlsx"),
    "check": ("check", "pki"),
    "logs": ("logs", "kubelet"),
    "diagnose": ("diagnose", "-"),
    "history": ("history",),
    "practice": ("practice", "list"),
    "explain": ("explain", "ca"),
    "doctor": ("doctor",),
}


def test_every_command_is_tried() -> None:
    assert set(CALLS) == {*COMMANDS, "--version", "--help"}


@contextlib.contextmanager
def _full() -> Iterator[int]:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        yield full.fileno()


@contextlib.contextmanager
def _gone() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize("name", CALLS)
def test_no_command_loses_its_output_unnoticed(own_pki: Callable[..., Pki], kcert: Kcert, name: str) -> None:
    own = own_pki("course")
    if name == "init":
        own.config.unlink()
    log = "x509: certificate signed by unknown authority\n"
    with _full() as full:
        no_space = kcert(*CALLS[name], stdin=log, stdout=full)
    if name == "init":
        (kcert.folder / "kcert.yaml").unlink()
    with _gone() as gone:
        broken = kcert(*CALLS[name], stdin=log, stdout=gone)

    assert (no_space.status, no_space.stderr) == (3, "kcert: standard output: No space left on device.\n")
    assert (broken.status, broken.stderr) == (141, "")


@pytest.mark.thorough
@pytest.mark.parametrize("variables", representatives(BUFFERING.values()), ids=BUFFERING)
@pytest.mark.parametrize("arguments", representatives(["bundle node01 --output -", "plan", "--version"]))
def test_it_is_the_same_when_python_buffers_and_when_not(
    own_pki: Callable[..., Pki], kcert: Kcert, variables: dict[str, str], arguments: str
) -> None:
    own_pki("course")
    shell = (
        f'"$@" {arguments} > /dev/full; echo $? >&2; "$@" {arguments} >&-; echo $? >&2;'
        f'{{ "$@" {arguments}; echo $? >&2; }} | :'
    )
    argv = ["env", "-u", "PYTHONUNBUFFERED", "bash", "-c", shell, "bash"]
    said = output([*argv, *kcert.argv()], kcert.folder, **kcert.environment(variables))

    assert said.stderr.splitlines() == [
        "kcert: standard output: No space left on device.",
        "3",
        "kcert: standard output is closed: redirect it to a file or to another program.",
        "3",
        "141",
    ]


def _pipe(kcert: Kcert, *arguments: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start kcert with a pipe of one page as standard output, not blocking; return it, the reading end and the room."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    room = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096) if sys.platform == "linux" else 65536
    process = subprocess.Popen(
        kcert.argv(*arguments),
        cwd=kcert.folder,
        env=kcert.environment(),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    return process, reading, room


def _waiting(reading: int) -> int:
    """Bytes in the pipe."""
    return int(struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, b"\0" * 4))[0])


@pytest.mark.thorough
def test_a_pipe_that_fills_up_loses_nothing(kcert: Kcert) -> None:
    """Somebody else (node, ssh) may have set it to fail instead of waiting."""
    whole = kcert.done("explain", "--format", "html").stdout
    process, reading, room = _pipe(kcert, "explain", "--format", "html")
    with process, open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        wait_until(lambda: _waiting(reading) == room, what="a full pipe")
        text = pipe.read().decode()
        assert process.stderr
        assert (process.wait(30), process.stderr.read()) == (0, b"")

    assert text == whole


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nobody_has_to_read_for_a_signal_to_end_it(kcert: Kcert, number: signal.Signals, status: int) -> None:
    process, reading, room = _pipe(kcert, "explain", "--format", "html")
    with process:
        try:
            wait_until(lambda: _waiting(reading) == room, what="a full pipe")
            process.send_signal(number)
            assert process.wait(30) == status
        finally:
            process.kill()
            os.close(reading)


@pytest.mark.thorough
def test_the_error_comes_after_the_lesson(kcert: Kcert, tmp_path: Path) -> None:
    openssl = str(fake_openssl(tmp_path, '[ "$1" = req ] && exit 1'))
    both = output(
        ["env", "-u", "PYTHONUNBUFFERED", "bash", "-c", '"$@" 2>&1', "bash", *kcert.argv("ca", "--openssl", openssl)],
        kcert.folder,
        **kcert.environment(),
    )

    assert both.status == 3
    assert both.stdout.index("openssl genrsa") < both.stdout.index("openssl req") < both.stdout.rindex("\nkcert:")
