"""`kcert all --quiet` against a bash script of the same openssl commands, easy-rsa and cfssl."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.by_hand import CERTIFICATES, cfssl, easy_rsa, script
from tests.bench.measure import KCERT, Ran, Row, in_turn, progress, ratios, run
from tests.zoo.makers import EASYRSA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TITLE = f"kcert all --quiet --jobs 2: the built-in cluster, {CERTIFICATES} certificates, RSA 2048"
RUNS = 15
OTHERS = 5
"""easy-rsa and cfssl take several times as long: fewer runs of them."""

ALL = (*KCERT, "all", "--quiet", "--jobs", "2")

OWN = """
import atexit, json, resource, sys

@atexit.register
def report():
    own, others = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with open("cpu.json", "w") as file:
        json.dump([own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime], file)

from kcert.__main__ import main
main()
"""
"""kcert, which tells at its end how much CPU was its own and how much its openssl processes took."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        yield from _measure(Path(name))


def _measure(folder: Path) -> Iterator[Row]:
    by_hand = script(folder)
    shares: list[list[float]] = []

    def made(argv: Sequence[str | Path]) -> Ran:
        shutil.rmtree(folder / "pki", ignore_errors=True)
        return run(argv, folder)

    def kcert() -> Ran:
        return made(ALL)

    def bash() -> Ran:
        return made(["bash", by_hand])

    def apart() -> Ran:
        ran = made([sys.executable, "-c", OWN, *ALL[3:]])
        shares.append(json.loads((folder / "cpu.json").read_text(encoding="utf-8")))
        return ran

    first, second, bare, _ = in_turn(
        RUNS, "kcert all and the bash script", kcert, bash, lambda: run([sys.executable, "-c", "pass"], folder), apart
    )
    yield Row("kcert", first.wall)
    yield Row("the same commands in a bash script", second.wall)
    yield Row("  kcert / bash", ratios(first.wall, second.wall), bound=0.65)
    yield Row("kcert, CPU", first.cpu)
    yield Row("  of that openssl's processes", [openssl for _, openssl in shares[1:]])
    yield Row("  of that its own, one start of the interpreter included", [own for own, _ in shares[1:]])
    yield Row("one start of the interpreter, CPU", bare.cpu)
    yield Row("bash, CPU", second.cpu)
    beyond = [one - start for one, start in zip(first.cpu, bare.cpu, strict=True)]
    yield Row("  (kcert - one start of the interpreter) / bash, CPU", ratios(beyond, second.cpu), bound=1.10)
    yield Row("kcert, peak memory, MiB", first.peak, digits=1)
    lesson, again = in_turn(OTHERS, "kcert all with its lesson", lambda: made([*KCERT, "all"]), bash)
    yield Row("kcert all with its lesson, one command after the other", lesson.wall)
    yield Row("  kcert with its lesson / bash", ratios(lesson.wall, again.wall))
    for title, program, lines in (("easy-rsa", EASYRSA, easy_rsa), ("cfssl", "cfssl", cfssl)):
        if not shutil.which(program):
            progress(f"{title} is not here: left out")
            continue
        theirs = lines(folder / title)

        def other(theirs: Path = theirs) -> Ran:
            return run(["bash", theirs], theirs.parent)

        ours, compared = in_turn(OTHERS, f"kcert all and {title}", kcert, other)
        yield Row(f"{title}, as many certificates", compared.wall)
        yield Row(f"  kcert / {title}", ratios(ours.wall, compared.wall))
