"""Labs: how long a user waits for one to start, and for its check."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.practice import session
from kcert.practice.labs import NAMES
from tests.bench.measure import KCERT, CommandResult, Row, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Labs"
STARTS = 3.0
"""Seconds, for the slowest of all, on two processors that have other work as well."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts = [_started(lab, seed, folder) for lab in NAMES for seed in (1, 2)]
        yield Row("kcert practice start, every lab, twice", [one.wall for one in starts])
        yield Row("  the slowest of them", [max(one.wall for one in starts)], STARTS)
        # A check of what is not solved ends with status 1, so it is timed in this process.
        yield Row("check, every lab, without the start of Python", [_checked(folder / f"{lab}-1") for lab in NAMES])


def _started(lab: str, seed: int, folder: Path) -> CommandResult:
    return run([*KCERT, "practice", "start", lab, "--seed", str(seed), "--dir", f"{lab}-{seed}"], folder)


def _checked(root: Path) -> float:
    import time

    begins = time.perf_counter()
    session.resume(root).check()
    return time.perf_counter() - begins
