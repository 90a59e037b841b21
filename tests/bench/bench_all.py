"""`kcert all --quiet` against a plain bash script of the same openssl commands, in turn."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, ROOT, Row, in_turn, ratios, run

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 15


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = _script(folder)

        def kcert() -> tuple[float, float, float]:
            shutil.rmtree(folder / "pki", ignore_errors=True)
            return run([*KCERT, "all", "--quiet", "--jobs", "2"], folder)

        def bash() -> tuple[float, float, float]:
            shutil.rmtree(folder / "pki", ignore_errors=True)
            return run(["bash", str(script)], folder)

        def interpreter() -> tuple[float, float, float]:
            return run([sys.executable, "-c", "pass"], folder)

        first, second, bare = in_turn(RUNS, kcert, bash, interpreter)
    yield Row("kcert all --quiet --jobs 2, built-in cluster, RSA 2048: wall", first.wall)
    yield Row("the same commands in a bash script: wall", second.wall)
    yield Row("  kcert / bash, wall", ratios(first.wall, second.wall), bound=0.65)
    yield Row("kcert: CPU", first.cpu)
    yield Row("bash: CPU", second.cpu)
    beyond = [one - start for one, start in zip(first.cpu, bare.cpu, strict=True)]
    yield Row("  (kcert - one start of the interpreter) / bash, CPU", ratios(beyond, second.cpu), bound=1.10)
    yield Row("kcert: peak memory, MiB", first.peak, digits=1)


def _script(folder: Path) -> Path:
    """The dry run's script without its comments and checks: key, request and signature of each certificate."""
    printed = subprocess.run(
        [*KCERT, "all", "--dry-run", "--no-explain"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if not line.startswith(("#", "openssl verify", "rm ", "chmod "))]
    path = folder / "by-hand.sh"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
