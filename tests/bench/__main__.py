"""Run every benchmark, or those named on the command line: ``python -m tests.bench [NAME...]``.

The table goes to standard output, progress to standard error; the status is 1 where a bound does not hold.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import subprocess
import sys
import time

import tests.bench
from tests.bench.measure import HEADER, progress


def main() -> None:
    names = sorted(one.name for one in pkgutil.iter_modules(tests.bench.__path__) if one.name.startswith("bench_"))
    wanted = sys.argv[1:] or [name.removeprefix("bench_") for name in names]
    begins, missed = time.perf_counter(), []
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[:2]
    print(f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}, {' '.join(openssl)}")
    print(f"seconds where nothing else is said; A / B is taken pair by pair, run in turn\n\n{HEADER}")
    for name in wanted:
        module = importlib.import_module(f"tests.bench.bench_{name}")
        rows = list(module.measure())
        print(f"\n{module.TITLE}")
        for row in rows:
            print(f"  {row}", flush=True)
        missed += [row.name for row in rows if not row.holds]
    print(f"\n{'every bound holds' if not missed else f'{len(missed)} bounds are MISSED'}")
    progress(f"{time.perf_counter() - begins:.0f} s in all")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
