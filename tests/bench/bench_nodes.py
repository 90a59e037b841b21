"""Clusters of 10, 100 and 300 nodes: time in proportion, memory flat. ECDSA, so that keys do not hide the rest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, Row, in_turn, run

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 3
SIZES = (10, 100, 300)


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        per_certificate = []
        for size in SIZES:
            hosts = (
                f"  - {{name: node{count:03}, ip: 10.0.{count // 250}.{count % 250 + 1}}}" for count in range(size)
            )
            config = "\n".join(["key: {algorithm: ecdsa}", "nodes:", *hosts])
            (folder / "kcert.yaml").write_text(config + "\n", encoding="utf-8")

            def kcert() -> tuple[float, float, float]:
                shutil.rmtree(folder / "pki", ignore_errors=True)
                return run([*KCERT, "all", "--quiet", "--jobs", "2"], folder)

            (series,) = in_turn(RUNS, kcert)
            certificates = 10 + 2 * size
            per_certificate.append([wall / certificates * 1000 for wall in series.wall])
            yield Row(f"kcert all --quiet --jobs 2, {size} nodes, ECDSA: wall", series.wall)
            yield Row(f"  of that, milliseconds a certificate ({certificates})", per_certificate[-1], digits=2)
            yield Row("  peak memory, MiB", series.peak, bound=120 if size == SIZES[-1] else None, digits=1)
