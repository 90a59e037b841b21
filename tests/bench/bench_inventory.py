"""`kcert inventory` of 1,000 and 20,000 certificate files, against a bash loop of `openssl x509 -text`.

And `kcert check` of the same, against the inventory. All of them share one key, so that check has to say so of each
and print its repair: it has as much to do as it can have.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, Row, in_turn, ratios, run
from tests.inspect.made import CLIENT, SERVER, authority, certificate, name

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 3
FEW, MANY = 1_000, 20_000
LOOP = 'for file in few/*.crt; do openssl x509 -in "$file" -noout -text; done > /dev/null'


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _make(folder / "many", MANY)
        (folder / "few").mkdir()
        for number in range(FEW):
            (folder / f"few/{number}.crt").hardlink_to(folder / f"many/{number}.crt")

        def few() -> tuple[float, float, float]:
            return run([*KCERT, "inventory", "few", "--format", "csv", "--output", "few.csv"], folder)

        def loop() -> tuple[float, float, float]:
            return run(["bash", "-c", LOOP], folder)

        first, judged, second = in_turn(RUNS, few, lambda: run([*KCERT, "check", "few"], folder), loop)
        large, all_judged = in_turn(
            RUNS,
            lambda: run([*KCERT, "inventory", "many", "--format", "csv", "--output", "many.csv"], folder),
            lambda: run([*KCERT, "check", "many"], folder),
        )
    yield Row(f"kcert inventory, {FEW:,} files: wall", first.wall)
    yield Row("bash loop of openssl x509 -text over the same: wall", second.wall)
    yield Row("  kcert / bash, wall", ratios(first.wall, second.wall), bound=0.10)
    yield Row(f"  kcert check / kcert inventory, {FEW:,} files, wall", ratios(judged.wall, first.wall), bound=2.0)
    yield Row(f"kcert inventory, {MANY:,} files: wall", large.wall)
    proportion = [one / (few_time * MANY / FEW) for one, few_time in zip(large.wall, first.wall, strict=True)]
    yield Row(f"  {MANY:,} files / {MANY // FEW} times {FEW:,} files, wall", proportion, bound=1.10)
    yield Row(f"kcert inventory, {MANY:,} files: peak memory, MiB", large.peak, bound=300, digits=1)
    yield Row(f"  kcert check / kcert inventory, {MANY:,} files, wall", ratios(all_judged.wall, large.wall), bound=2.0)
    yield Row(f"kcert check, {MANY:,} files: peak memory, MiB", all_judged.peak, bound=300, digits=1)


def _make(folder: Path, count: int) -> None:
    """Server certificates, each with names and a serial number of its own; one key, which costs the most to make."""
    folder.mkdir()
    ca, key = authority(), certificate(name("key")).key
    for number in range(count):
        names = [f"host{number}", "localhost", "127.0.0.1", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]
        made = certificate(name(f"host{number}", "system:nodes"), ca, key=key, uses=[SERVER, CLIENT], names=names)
        (folder / f"{number}.crt").write_bytes(made.pem)
