"""Run every part, or those named; 1 for a failure.

``python -m tests.endurance [NAME...] [--seed N] [--times N | --short]``
"""

from __future__ import annotations

import argparse
import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests import clusters
from tests.endurance import attacks, bad_input, batches, crowd, full_disk, kills, labs, reading
from tests.endurance.trial import HEAD, SEED, LabBuilder, run

PARTS = (
    *(*kills.PARTS, *crowd.PARTS, *full_disk.PARTS, *bad_input.PARTS),
    *(*batches.PARTS, *attacks.PARTS, *labs.PARTS, *reading.PARTS),
)


def main() -> None:
    """Run the parts that are asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.endurance")
    parser.add_argument("name", nargs="*", choices=[*(part.name for part in PARTS), []], help="parts; all of them")
    parser.add_argument("--seed", type=int, default=SEED, help="where chance begins")
    parser.add_argument("--times", type=int, help="how many trials, in place of each part's own number")
    parser.add_argument("--short", action="store_true", help="as few trials as `make thorough` runs")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kcert-endurance-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    @functools.cache
    def stock(profile: str) -> Path:
        home = folder / f"made-{profile}"
        home.mkdir()
        clusters.make_pki(home, profile, "small")
        return home

    ground = LabBuilder(folder, stock, asked.seed)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, ", end="")
    print(f"seed {asked.seed}\n\n{HEAD}", flush=True)
    failed = False
    for part in PARTS:
        if not asked.name or part.name in asked.name:
            line, good = run(part, ground, asked.times or (part.short if asked.short else part.full))
            print(line, flush=True)
            failed |= not good
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
