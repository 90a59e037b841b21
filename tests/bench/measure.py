"""Whole commands, timed from outside, in turn with what they are compared with; wall time, CPU and memory of each."""

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

_NOT_A_USERS = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Without its bytecode Python compiles kcert at each start, and an unbuffered one writes each piece by itself."""

HEADER = f"{'':68} {'min':>9} {'median':>9} {'max':>9}   n  bound"


@dataclass(frozen=True)
class CommandResult:
    """One run of a command: seconds by the clock, seconds of CPU with all its children, MiB of its largest process."""

    wall: float
    cpu: float
    peak: float


@dataclass
class Series:
    """All runs of one command."""

    runs: list[CommandResult] = field(default_factory=list)

    @property
    def wall(self) -> list[float]:
        return [one.wall for one in self.runs]

    @property
    def cpu(self) -> list[float]:
        return [one.cpu for one in self.runs]

    @property
    def peak(self) -> list[float]:
        return [one.peak for one in self.runs]


@dataclass(frozen=True)
class Row:
    """A line of the table: a figure's runs, and the bound that the project set itself (None: only told)."""

    name: str
    figures: Sequence[float]
    bound: float | None = None
    digits: int = 3

    @property
    def holds(self) -> bool:
        """The median is within the bound: neither a lucky run nor a slow one moves it."""
        return self.bound is None or median(self.figures) <= self.bound

    def __str__(self) -> str:
        shown = (min(self.figures), median(self.figures), max(self.figures))
        figures = " ".join(f"{figure:9.{self.digits}f}" for figure in shown)
        verdict = f"<= {self.bound:g}  {'holds' if self.holds else 'MISSED'}" if self.bound is not None else ""
        return f"{self.name:68} {figures} {len(self.figures):3}  {verdict}".rstrip()


def run(argv: Sequence[str | Path], folder: Path, **variables: str) -> CommandResult:
    """Run a command to its end in *folder*; one that fails ends the benchmark."""
    env = {**{name: value for name, value in os.environ.items() if name not in _NOT_A_USERS}, **variables}
    env["PYTHONPATH"] = str(ROOT)
    start = time.perf_counter()
    process = subprocess.Popen(argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, argv[:5]))} ended with {process.returncode}: nothing was measured.")
    peak = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
    return CommandResult(wall, usage.ru_utime + usage.ru_stime, peak)


def in_turn(times: int, what: str, *commands: Callable[[], CommandResult], warm_up: bool = True) -> list[Series]:
    """Run the commands A B A B ... *times* times, after one round that is not counted; *what* goes to stderr."""
    begins = time.perf_counter()
    series = [Series() for _ in commands]
    for _ in range(warm_up):
        for command in commands:
            command()
    for count in range(times):
        for one, command in zip(series, commands, strict=True):
            one.runs.append(command())
        progress(f"{what}: {count + 1} of {times}, {time.perf_counter() - begins:.0f} s", passing=count + 1 < times)
    return series


def progress(words: str, *, passing: bool = False) -> None:
    """Say on stderr what is being done; on a terminal the next takes the place of what is *passing*."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}" + ("" if passing else "\n"))
    elif not passing:
        sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def ratios(first: Iterable[float], second: Iterable[float]) -> list[float]:
    """A/B, pair by pair: what the machine does to one it does to the other."""
    return [a / b for a, b in zip(first, second, strict=True)]
