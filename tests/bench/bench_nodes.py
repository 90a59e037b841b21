"""Clusters of 10 to 1,000 nodes: time in proportion, memory flat. ECDSA, so that keys do not hide the rest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.by_hand import CERTIFICATES, script
from tests.bench.measure import KCERT, CommandResult, Row, Series, in_turn, ratios, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "kcert all --quiet --jobs 2: clusters of many nodes, ECDSA P-256, two certificates a node"

RUNS = {10: 5, 100: 3, 300: 2, 1000: 1}
"""How often for how many nodes: the largest take longest, and vary least."""

MEMORY = 120
"""MiB that 300 nodes may take."""


def measure() -> Iterator[Row]:
    milliseconds: dict[int, list[float]] = {}
    for size, runs in RUNS.items():
        ours, bash = _measured(size, runs)
        certificates = CERTIFICATES + 2 * (size - 1)
        milliseconds[size] = [wall / certificates * 1000 for wall in ours.wall]
        yield Row(f"{size:,} nodes, {certificates:,} certificates", ours.wall)
        yield Row("  the same commands in a bash script", bash.wall)
        yield Row("  kcert / bash", ratios(ours.wall, bash.wall))
        yield Row("  milliseconds a certificate", milliseconds[size], digits=2)
        yield Row("  peak memory, MiB", ours.peak, bound=MEMORY if size <= 300 else None, digits=1)
    yield Row("a certificate among 300 nodes / among 100", [_least(milliseconds, 300, 100)], bound=1.10)
    yield Row("a certificate among 1,000 nodes / among 100", [_least(milliseconds, 1000, 100)], bound=1.10)


def _measured(size: int, runs: int) -> list[Series]:
    """kcert and the bash script, for a cluster of *size* nodes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nodes = [f"  - {{name: node{count:04}, ip: 10.0.{count // 250}.{count % 250 + 1}}}" for count in range(size)]
        (folder / "kcert.yaml").write_text(
            "\n".join(["key: {algorithm: ecdsa}", "nodes:", *nodes, ""]), encoding="utf-8"
        )
        by_hand = script(folder)

        def kcert() -> CommandResult:
            shutil.rmtree(folder / "pki", ignore_errors=True)
            return run([*KCERT, "all", "--quiet", "--jobs", "2"], folder)

        def bash() -> CommandResult:
            shutil.rmtree(folder / "pki", ignore_errors=True)
            return run(["bash", by_hand], folder)

        return in_turn(runs, f"{size:,} nodes", kcert, bash, warm_up=size <= 100)


def _least(milliseconds: dict[int, list[float]], many: int, few: int) -> float:
    """The least against the least: noise only ever adds."""
    return min(milliseconds[many]) / min(milliseconds[few])
