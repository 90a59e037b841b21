"""Running programs in tests: kcert itself as its users start it, and waiting, in one place, for what takes time."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import pytest

from tests import starting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from _pytest.mark.structures import ParameterSet

_T = TypeVar("_T")

REPOSITORY = Path(__file__).resolve().parent.parent

NEED_PROGRAMS = "KCERT_TESTS_NEED_PROGRAMS"
"""Environment variable: with 1, a test that would be skipped for want of a program fails. .ci/run sets it."""

ANEW = "KCERT_TESTS_START_ANEW"
"""Environment variable: with 1, every kcert is a Python of its own; otherwise see ``tests.starting``."""

VARIABLES = "KCERT_TESTS_VARIABLES"
"""Environment variable: what goes into the environment of each kcert, as ``TZ=Asia/Seoul LC_ALL=ko_KR.UTF-8``."""

TRUSTED = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().openssl_cafile
"""The CAs that this machine trusts, for the one test that needs the network."""

NONE_TRUSTED = {"SSL_CERT_FILE": os.devnull}
"""`openssl x509` reads all CAs that the machine trusts when it starts: five times the CPU that it needs otherwise."""

LONGEST = 120.0
"""Seconds after which a test gives a program up. No program of these tests takes a tenth of it."""


def program(name: str, *elsewhere: str) -> str:
    """The path of the program *name*, looked for in PATH and then as each of the paths *elsewhere*.

    Without it the test is skipped, and says why; where programs are needed, it fails.
    """
    for candidate in (name, *elsewhere):
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is not on this machine"
    if os.environ.get(NEED_PROGRAMS) == "1":
        pytest.fail(f"{reason}, and {NEED_PROGRAMS}=1 says that it has to be", pytrace=False)
    pytest.skip(reason)


def representatives(
    values: Iterable[_T], kind: Callable[[_T], object] = lambda _: None, *, spread: bool = False
) -> list[ParameterSet]:
    """The parameters *values*, of which `make test` runs the first of each *kind*, and `make thorough` the others.

    By default all are of one kind. With *spread* each value is a sequence of several parameters.
    """
    seen: set[object] = set()
    marked = []
    for value in values:
        of_kind = kind(value)
        parameters = cast("tuple[object, ...]", value) if spread else (value,)
        marked.append(pytest.param(*parameters, marks=pytest.mark.thorough if of_kind in seen else ()))
        seen.add(of_kind)
    return marked


def in_turn(values: Iterable[_T], kind: Callable[[_T], object], place: Callable[[_T], object]) -> list[_T]:
    """The *values* in an order that begins each kind with the next place: so the representatives are of every place."""
    values = list(values)
    kinds, places = ([*dict.fromkeys(map(of, values))] for of in (kind, place))
    return sorted(values, key=lambda value: (places.index(place(value)) - kinds.index(kind(value))) % len(places))


def needs_openssl_3(why: str) -> None:
    """Skip a test with an older openssl: *why* it cannot be had there."""
    said = output(["openssl", "version"]).stdout.strip()
    if said.startswith("OpenSSL 1."):
        pytest.skip(f"{why}, and this is {said}")


@functools.cache
def _version_made() -> str:
    key = output(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]).stdout
    request = output(["openssl", "req", "-new", "-key", "/dev/stdin", "-subj", "/CN=a"], stdin=key).stdout
    argv = ["openssl", "x509", "-req", "-signkey", "/dev/fd/3", "-noout", "-text"]
    made = output(["bash", "-c", '"$@" 3<<< "$KEY"', "bash", *argv], stdin=request, KEY=key).stdout
    return made.partition("Version: ")[2][:1]


def needs_version_1() -> None:
    """Skip a test with an openssl that gives every certificate extensions (3.4 and newer): none is of version 1."""
    if _version_made() != "1":
        pytest.skip("this openssl makes no certificates of version 1")


def without_privileges() -> None:
    """Take from root the right to pass over modes, which no other user has (capset(2)): for ``preexec``, on Linux."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(28, 3)  # PR_SET_SECUREBITS: being root gives no privileges back when kcert is started
    version, capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(version, capabilities) != 0:
        raise OSError(ctypes.get_errno(), "capset")


@dataclass(frozen=True)
class Ended:
    """How a program ended (a negative status: the signal that ended it), and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Standard output, line by line."""
        return self.stdout.splitlines()


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of the developer's own in it; *home* is the HOME."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    asked = dict(pair.split("=", 1) for pair in os.environ.get(VARIABLES, "").split())
    return {**kept, **NONE_TRUSTED, "HOME": str(home), **starting.USUAL, **asked, **more}


class Process(Protocol):
    """A kcert that was started, one way or the other."""

    def wait(self) -> int:
        """Return how it ended."""

    def kill(self) -> None:
        """End it."""


class Kcert:
    """The kcert of this checkout, run in *folder* as a program of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes = "",
        folder: Path | None = None,
        preexec: Callable[[], None] | None = None,
        variables: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> Ended:
        """Run it with *arguments* until it ends; *variables* go into its environment, its output into *stdout*."""
        if preexec:
            # With a limit on the size of files Python would leave cut-off .pyc files behind, for all who come after.
            variables = {"PYTHONDONTWRITEBYTECODE": "1", **(variables or {})}
        environment, where = self.environment(variables), folder or self.folder
        given = stdin.encode() if isinstance(stdin, str) else stdin
        if preexec is None and len(given) < starting.LONGEST_INPUT and _starts_as_usual(environment):
            words = [str(word) for word in arguments]
            status, out, err = starting.run(words, where, environment, stdin=given, seconds=LONGEST, stdout=stdout)
            return Ended(status, out.decode(errors="backslashreplace"), err.decode(errors="backslashreplace"))
        ended = subprocess.run(
            self.argv(*arguments),
            cwd=where,
            env=environment,
            input=given,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            timeout=LONGEST,
            preexec_fn=preexec,
            check=False,
        )
        return Ended(
            ended.returncode,
            (ended.stdout or b"").decode(errors="backslashreplace"),
            ended.stderr.decode(errors="backslashreplace"),
        )

    def done(self, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> Ended:
        """Run it for what has to work on the way to what is tested."""
        ended = self(*arguments, variables=variables)
        if ended.status != 0:
            pytest.fail(f"kcert {' '.join(map(str, arguments))} ended with {ended.status}: {ended.stderr}")
        return ended

    @contextlib.contextmanager
    def started(
        self, *arguments: str | Path, variables: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start it in a process group of its own; with the block, all of the group ends."""
        process = subprocess.Popen(
            self.argv(*arguments),
            cwd=self.folder,
            env=self.environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                kill_group(process.pid)

    def on_terminal(self, terminal: int, *arguments: str | Path, variables: Mapping[str, str]) -> Process:
        """Start it on a *terminal*, the one that Ctrl-C comes from."""
        environment, streams = self.environment(variables), [terminal] * starting.STREAMS
        if self.argv is Kcert.argv and _starts_as_usual(environment):
            return starting.Forked([*map(str, arguments)], self.folder, environment, streams, terminal=True)
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=self.folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=starting.take_terminal,  # noqa: PLW1509 - the tests have one thread
        )

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment it runs in."""
        return environment(self.folder, **(variables or {}))

    @staticmethod
    def argv(*arguments: str | Path) -> list[str]:
        """Its command line."""
        return [sys.executable, "-m", "kcert", *map(str, arguments)]


def _starts_as_usual(variables: Mapping[str, str]) -> bool:
    """False where the interpreter itself would notice the environment, or where every call is to start a new one."""
    if os.environ.get(ANEW) == "1" or os.environ.get(VARIABLES):
        return False
    noticed = {name for name in variables if name.startswith(("PYTHON", "LC_", "LANG", "LD_", "DYLD_"))}
    return {name: variables[name] for name in noticed} == starting.USUAL


def kill_group(leader: int) -> None:
    """Kill a process group that a test started, if anything of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def output(argv: Sequence[str | Path], folder: Path | None = None, stdin: str = "", **variables: str) -> Ended:
    """Run a program other than kcert to its end, without the terminal that the tests may have.

    Where the machine lacks it, the test is skipped as with ``program``.
    """
    name, *arguments = map(str, argv)
    ended = subprocess.run(
        [name if "/" in name else program(name), *arguments],
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", **variables},
        input=stdin.encode(),
        capture_output=True,
        timeout=LONGEST,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))


def wait_until(
    condition: Callable[[], object], seconds: float = 30.0, what: str = "", logs: Iterable[Path] = ()
) -> None:
    """Come back as soon as *condition* holds; fail where it does not within *seconds*, with the ends of *logs*.

    This is the only place in the tests where time passes.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            ends = [f"\n{log}:\n{log.read_text(encoding='utf-8', errors='replace')[-1_500:]}" for log in logs]
            pytest.fail(f"waited {seconds:g} seconds in vain for {what or 'a condition'}{''.join(ends)}")
        time.sleep(0.005)


# Below what Linux (from 32768) and macOS (from 49152) give to connections that go out: they could take a port
# between the moment that it was found free and the one in which a server listens.
PORTS_OF_A_WORKER, FIRST_PORT, SLICES = 1_000, 20_000, 12
_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on now, and that no other test asks for."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + worker % SLICES * PORTS_OF_A_WORKER
    for port in random.sample(range(first, first + PORTS_OF_A_WORKER), PORTS_OF_A_WORKER):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            if port not in _given:
                _given.add(port)
                return port
    pytest.fail("no free port")


def after_reading(script: str) -> str:
    """The script of a history that was copied, without the line that its reader has to delete."""
    return re.sub(r"^.*delete_this_line_after_reading.*\n", "", script, flags=re.MULTILINE)
