"""What all parts have in common: the ground that a trial has to itself, the trial, and the table."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests import clusters
from tests.running import Kcert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SEED = 20261125
"""Chance begins here, so that every run has the same course as far as the machine's load lets it."""


@dataclass
class Check:
    """One try: what repeats it, how many cases it held, what was wrong (nothing: it was passed), its seconds."""

    repeat: str
    cases: int = 1
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class LabBuilder:
    """Where trials take place: ``stock`` gives the home of a PKI that was made once, by profile."""

    folder: Path
    stock: Callable[[str], Path]
    seed: int = SEED

    @contextlib.contextmanager
    def trial(self, name: str, number: int) -> Iterator[tuple[Check, Kcert, random.Random]]:
        """A trial with an empty folder for its kcert, and a chance of its own."""
        one = Check(f"{name}, --seed {self.seed + number} --times 1")
        home = Path(tempfile.mkdtemp(dir=self.folder))
        chance = random.Random(self.seed + number)  # noqa: S311 - moments, not secrets
        clock = time.perf_counter()
        try:
            yield one, Kcert(home), chance
        finally:
            one.seconds = time.perf_counter() - clock
            shutil.rmtree(home, ignore_errors=True)

    def copy(self, profile: str, home: Path) -> Path:
        """Put a copy of the PKI of a profile, with its kcert.yaml, into *home*; the PKI folder."""
        return clusters.Pki(self.stock(profile), profile, "small").copied_to(home).folder


@dataclass(frozen=True)
class Part:
    """A line of the table: ``course(ground, times)`` makes the trials; how many there are in full, and in short."""

    name: str
    title: str
    course: Callable[[LabBuilder, int], Iterable[Check]]
    full: int
    short: int


def run(part: Part, ground: LabBuilder, times: int) -> tuple[str, bool]:
    """Run a part; each trial that is not passed is printed at once. The line of the table, and whether all is well.

    Ctrl-C ends the part, and the line tells of what was tried until then.
    """
    trials = []
    clock = time.perf_counter()
    with contextlib.suppress(KeyboardInterrupt):
        for one in part.course(ground, times):
            trials.append(one)
            for what in one.wrong:
                print(f"WRONG  {one.repeat}: {what}", flush=True)
    whole = time.perf_counter() - clock
    cases, failures = sum(one.cases for one in trials), sum(1 for one in trials if one.wrong)
    seconds = [one.seconds for one in trials] or [0.0]
    line = (
        f"{part.name:12} {part.title:58} {cases:>6} {failures:>8} {whole:>8.1f} "
        f"{min(seconds):>7.2f} {median(seconds):>7.2f} {max(seconds):>7.2f}"
    )
    return line, failures == 0


HEAD = (
    f"{'part':12} {'what':58} {'count':>6} {'failures':>8} {'seconds':>8} {'min':>7} {'median':>7} {'max':>7}\n"
    f"{'':12} {'':58} {'':>6} {'':>8} {'in all':>8} {'of a trial: seconds':>23}"
)
