"""Labs for the tests: each built once for each seed, and copied for whoever changes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kcert.practice import session
from tests.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.practice.session import Judged, Session

SEEDS = range(1, 21)


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

    def check(self) -> Judged:
        """What has to work, tried."""
        return self.session.check()

    def bash(self, script: str) -> None:
        """Run a script in its folder; placeholders of the lab's words are filled in."""
        values = self.session.scene.values
        filled = re.sub(r"\{\{ *(\w+) *\}\}", lambda found: values[found[1]], script)
        ended = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\numask 077\n{filled}"],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            pytest.fail(f"{self.session.lab.name} {self.session.state.seed}:\n{filled}\n{ended.stderr}")


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
