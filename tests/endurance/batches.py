"""Thousands of openssl runs in parallel batches, in a Python of its own with ``-W error``: no hang, no warning.

``python -W error -m tests.endurance.batches COUNT`` runs them in the Python that it is started with.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kcert import shell
from tests.endurance.trial import Check, Part
from tests.platforms import interpreters
from tests.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.endurance.trial import LabBuilder

BATCH, JOBS = 100, 8
LIMIT = 3600
"""Seconds; two minutes are enough where nothing else is at work."""

RANDOM = ("openssl", "rand", "-hex", "16")
KEY = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout")


def batches(ground: LabBuilder, times: int) -> Iterator[Check]:
    """*times* runs in each Python that is here, of the oldest and the newest that kcert knows."""
    for name, python in interpreters():
        with ground.trial("batches", 0) as (trial, kcert, _):
            trial.repeat, trial.cases = f"{python} -W error -m tests.endurance.batches {times}", times
            try:
                ended = subprocess.run(
                    [python, "-W", "error", "-m", "tests.endurance.batches", str(times)],
                    cwd=REPOSITORY,
                    env=kcert.environment(),
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                trial.wrong.append(f"Python {name} hangs")
            else:
                if ended.returncode != 0 or ended.stderr or ended.stdout.split() != [str(times)]:
                    trial.wrong.append(f"Python {name} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        yield trial


def main() -> None:
    """Run as many openssl as asked, in each of the ways in which kcert runs several; print how many ended well."""
    left = asked = int(sys.argv[1])
    drawn: Counter[str] = Counter()
    while left > 0:
        # As in a lesson with --jobs: many beside each other, several read together, and one through sh.
        many = min(BATCH, left)
        waiting = [shell.Command(RANDOM if number % 4 else KEY, Path()) for number in range(many)]
        shell.run_many(functools.partial(_next, waiting), functools.partial(_draw, drawn), JOBS)
        left -= many
        together = min(BATCH // 4, left)
        for reading in shell.read_many([shell.Command(RANDOM)] * together):
            _count(drawn, reading.status, reading.stdout.decode())
        left -= together
        if left > 0:
            _draw(drawn, shell.run(shell.Command(RANDOM)))
            left -= 1
    if len(drawn) != asked:
        sys.exit(f"{asked} runs gave {len(drawn)} different answers")
    print(sum(drawn.values()))


def _next(waiting: list[shell.Command]) -> shell.Command | None:
    return waiting.pop() if waiting else None


def _draw(drawn: Counter[str], outcome: shell.Outcome) -> None:
    _count(drawn, outcome.status, outcome.output)


def _count(drawn: Counter[str], status: int, said: str) -> None:
    if status != 0 or not (len(said) == 33 or said.endswith("-----END EC PRIVATE KEY-----\n")):
        sys.exit(f"openssl ended with {status}: {said!r}")
    drawn[said] += 1


PARTS = (Part("batches", "openssl in parallel batches, -W error, each Python", batches, 20_000, 200),)

if __name__ == "__main__":
    main()
