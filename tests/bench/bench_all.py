"""`kcert all --quiet` against a bash script of the same openssl commands, easy-rsa and cfssl."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.by_hand import CERTIFICATES, cfssl, easy_rsa, script
from tests.bench.measure import KCERT, CommandResult, Row, in_turn, progress, ratios, run
from tests.zoo.makers import EASYRSA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TITLE = f"kcert all --quiet --jobs 2: the built-in cluster, {CERTIFICATES} certificates, RSA 2048"
RUNS = 30
"""The search for twelve RSA keys takes a third more or less from run to run: the medians need many."""

OTHERS = 5
"""easy-rsa and cfssl take several times as long: fewer runs of them."""

ALL = (*KCERT, "all", "--quiet", "--jobs", "2")


OWN = """
import atexit, resource, sys

@atexit.register
def report():
    own = resource.getrusage(resource.RUSAGE_SELF)
    with open("own-cpu", "w") as file:
        file.write(str(own.ru_utime + own.ru_stime))

from kcert.__main__ import main
main()
"""
"""kcert, which tells at its end how much CPU was its own, without the programs that it ran."""

CHECKS = """
cd pki
leaves=$(ls *.crt | grep -vx ca.crt)
openssl version
openssl verify -CAfile ca.crt ca.crt
openssl verify -CAfile ca.crt $leaves
openssl storeutl -noout -text -certs ca.crt
cat $leaves | openssl storeutl -noout -text -certs /dev/stdin
"""
"""What kcert runs beyond the script: it looks at openssl, and at what came out of it."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        yield from _measure(Path(name))


def _measure(folder: Path) -> Iterator[Row]:
    by_hand = script(folder)
    own: list[float] = []

    def made(argv: Sequence[str | Path]) -> CommandResult:
        shutil.rmtree(folder / "pki", ignore_errors=True)
        return run(argv, folder)

    def kcert() -> CommandResult:
        return made(ALL)

    def bash() -> CommandResult:
        return made(["bash", by_hand])

    def apart() -> CommandResult:
        ran = made([sys.executable, "-c", OWN, *ALL[3:]])
        own.append(float((folder / "own-cpu").read_text(encoding="utf-8")))
        return ran

    first, second, _, checks, bare = in_turn(
        RUNS,
        "kcert all and the bash script",
        kcert,
        bash,
        apart,
        lambda: run(["bash", "-c", CHECKS], folder),
        lambda: run([sys.executable, "-c", "pass"], folder),
    )
    yield Row("kcert", first.wall)
    yield Row("the same commands in a bash script", second.wall)
    yield Row("  kcert / bash", ratios(first.wall, second.wall), bound=0.65)
    yield Row("kcert, peak memory, MiB", first.peak, digits=1)
    yield Row("kcert, CPU", first.cpu)
    yield Row("bash, CPU", second.cpu)
    # Between two runs the search for RSA keys differs by more than all that kcert adds, and of two programs at once
    # each takes longer than alone: what kcert adds is measured for itself.
    yield Row("  kcert's own CPU, that of its programs left out", own[1:])
    yield Row("  one start of the interpreter, CPU", bare.cpu)
    yield Row("  the openssl processes that look at what was made, CPU", checks.cpu)
    added = [mine - start + looking for mine, start, looking in zip(own[1:], bare.cpu, checks.cpu, strict=True)]
    yield Row("  what kcert adds: its own - one start + what looks", added)
    whole = median(second.cpu)
    yield Row("  (bash + what kcert adds) / bash, CPU", [1 + one / whole for one in added], bound=1.10)
    lesson, again = in_turn(OTHERS, "kcert all with its lesson", lambda: made([*KCERT, "all"]), bash)
    yield Row("kcert all with its lesson, one command after the other", lesson.wall)
    yield Row("  kcert with its lesson / bash", ratios(lesson.wall, again.wall))
    for title, program, lines in (("easy-rsa", EASYRSA, easy_rsa), ("cfssl", "cfssl", cfssl)):
        if not shutil.which(program):
            progress(f"{title} is not here: left out")
            continue
        theirs = lines(folder / title)

        def other(theirs: Path = theirs) -> CommandResult:
            return run(["bash", theirs], theirs.parent)

        ours, compared = in_turn(OTHERS, f"kcert all and {title}", kcert, other)
        yield Row(f"{title}, as many certificates", compared.wall)
        yield Row(f"  kcert / {title}", ratios(ours.wall, compared.wall))
