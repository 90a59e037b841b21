"""Whole commands, timed from outside, two of them in turn, with what the kernel says of each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).parents[2]
KCERT = (sys.executable, "-m", "kcert")


@dataclass
class Series:
    """The figures of one command, run by run."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float, peak: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)
        self.peak.append(peak)


@dataclass
class Row:
    """A line of the table: a figure's runs, and the bound that the project set itself (None: only told)."""

    name: str
    figures: Sequence[float]
    bound: float | None = None
    digits: int = 3


def run(argv: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> tuple[float, float, float]:
    """Run a command to its end: wall seconds, CPU seconds with all its children, peak MiB of the largest process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    start = time.perf_counter()
    process = subprocess.Popen(argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv[:4])} ended with status {process.returncode}: nothing was measured.")
    peak = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
    return wall, usage.ru_utime + usage.ru_stime, peak


def in_turn(times: int, *commands: Callable[[], tuple[float, float, float]]) -> list[Series]:
    """Run the commands A B A B …, once without counting and then *times* times."""
    series = [Series() for _ in commands]
    for count in range(times + 1):
        for one, command in zip(series, commands, strict=True):
            figures = command()
            if count:
                one.add(*figures)
    return series


def ratios(first: Iterable[float], second: Iterable[float]) -> list[float]:
    """A/B, pair by pair: what the machine does to one it does to the other."""
    return [a / b for a, b in zip(first, second, strict=True)]


def show(rows: Iterable[Row]) -> None:
    """Print the rows of one benchmark."""
    for row in rows:
        least, middle, most = (
            f"{figure:.{row.digits}f}" for figure in (min(row.figures), median(row.figures), max(row.figures))
        )
        verdict = ""
        if row.bound is not None:
            verdict = f"  bound {row.bound:g}: {'kept' if median(row.figures) <= row.bound else 'MISSED'}"
        print(f"{row.name:66} {least:>9} {middle:>9} {most:>9}  n={len(row.figures)}{verdict}")
