"""Labs for the tests: each built once for each seed, and copied for the test that changes it."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import typer.main

from kcert.cli import app
from kcert.practice import session
from tests import starting
from tests.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kcert.practice.session import CheckResult, Session

MAKING = ("renew", "ca", "client", "apiserver", "etcd", "kubelet")
"""Commands that are run with --quiet here: they make the same, and no program is started by a fork of Python."""


@dataclass
class Started:
    """A lab that was started, in a folder of its own."""

    session: Session

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.session.root

    def copy(self, home: Path) -> Started:
        """The same lab in a folder of another name, as it would be on another machine."""
        root = home / f"{self.session.lab.name}-{self.session.state.seed}"
        shutil.copytree(self.root, root, symlinks=True)
        return Started(session.resume(root))

    def check(self) -> CheckResult:
        """Return what has to work, tried."""
        return session.resume(self.root).check()

    def told(self, text: str) -> str:
        """*text* with this start's names in the place of the placeholders."""
        values = self.session.scenario.values
        return re.sub(r"\{\{ *(\w+) *\}\}", lambda found: values[found[1]], text)

    def play(self, lines: Iterable[str]) -> None:
        """Do what *lines* say, in the lab's folder: commands of kcert in this process, all others in bash."""
        told = [line for text in lines for line in self.told(text).splitlines()]
        for own, some in itertools.groupby(told, _in_process):
            if own:
                for line in some:
                    self._kcert(line)
            else:
                self._bash("\n".join(some))

    def _kcert(self, line: str) -> None:
        line, _, target = line.partition(" > ")
        arguments = shlex.split(line)[1:]
        quiet = ["--quiet"] if arguments[0] in MAKING else []
        printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        with _inside(self.root), contextlib.redirect_stdout(printed):
            typer.main.get_command(app)([*arguments, *quiet], prog_name="kcert", standalone_mode=False)
        if target:
            (self.root / target).write_bytes(printed.buffer.getvalue())

    def _bash(self, script: str) -> None:
        variables = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        kcert = f'kcert() {{ {shlex.quote(str(starting.program()))} "$@"; }}'
        ended = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\numask 077\n{kcert}\n{script}"],
            cwd=self.root,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            pytest.fail(f"{self.session.lab.name} {self.session.state.seed}:\n{script}\n{ended.stderr}")


def _in_process(line: str) -> bool:
    """`kcert csr sign` starts openssl by a fork of Python, which is not for a process with threads like this."""
    return line.startswith("kcert ") and not line.startswith("kcert csr sign")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Be in *folder* (Python 3.10 has no contextlib.chdir)."""
    before = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Started]:
    """``lab("rotate-the-ca", 7)``: that lab with that seed, as it begins; it is for looking at only."""
    home = tmp_path_factory.mktemp("labs")
    made: dict[tuple[str, int], Started] = {}

    def started(name: str, seed: int) -> Started:
        if (name, seed) not in made:
            made[name, seed] = Started(session.begin(name, home / f"{name}-{seed}", seed=seed))
        return made[name, seed]

    return started
