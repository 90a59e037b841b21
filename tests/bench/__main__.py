"""Run every benchmark, or those named on the command line: ``python -m tests.bench [NAME...]``."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import tests.bench
from tests.bench.measure import show


def main() -> None:
    names = sorted(
        module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name.startswith("bench_")
    )
    wanted = sys.argv[1:] or [name.removeprefix("bench_") for name in names]
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}; seconds, MiB; min, median, max\n")
    for name in wanted:
        show(importlib.import_module(f"tests.bench.bench_{name}").measure())


if __name__ == "__main__":
    main()
