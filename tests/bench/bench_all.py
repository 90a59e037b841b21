"""`kcert all --quiet` against a bash script of the same openssl commands, easy-rsa and cfssl."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.by_hand import CERTIFICATES, cfssl, easy_rsa, script
from tests.bench.measure import KCERT, Ran, Row, in_turn, progress, ratios, run
from tests.zoo.makers import EASYRSA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TITLE = f"kcert all --quiet --jobs 2: the built-in cluster, {CERTIFICATES} certificates, RSA 2048"
RUNS = 30
"""The search for twelve RSA keys takes a third more or less from run to run: the medians need many."""

OTHERS = 5
"""easy-rsa and cfssl take several times as long: fewer runs of them."""

ALL = (*KCERT, "all", "--quiet", "--jobs", "2")


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as rsa, tempfile.TemporaryDirectory() as ecdsa:
        (Path(ecdsa) / "kcert.yaml").write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")
        yield from _measure(Path(rsa), Path(ecdsa))


def _measure(folder: Path, ecdsa: Path) -> Iterator[Row]:
    def kcert(where: Path = folder, argv: Sequence[str | Path] = ALL) -> Ran:
        shutil.rmtree(where / "pki", ignore_errors=True)
        return run(argv, where)

    by_hand, by_hand_ecdsa = script(folder), script(ecdsa)

    def bash(where: Path = folder, lines: Path = by_hand) -> Ran:
        return kcert(where, ["bash", lines])

    # The last three tell what kcert adds to bash's CPU. ECDSA keys cost next to nothing, and always the same: the
    # search for RSA keys differs from run to run by more than all that kcert does.
    first, second, ours_ecdsa, bash_ecdsa, bare = in_turn(
        RUNS,
        "kcert all and the bash script",
        kcert,
        bash,
        lambda: kcert(ecdsa),
        lambda: bash(ecdsa, by_hand_ecdsa),
        lambda: run([sys.executable, "-c", "pass"], folder),
    )
    yield Row("kcert", first.wall)
    yield Row("the same commands in a bash script", second.wall)
    yield Row("  kcert / bash", ratios(first.wall, second.wall), bound=0.65)
    yield Row("kcert, peak memory, MiB", first.peak, digits=1)
    yield Row("kcert, CPU", first.cpu)
    yield Row("bash, CPU", second.cpu)
    yield Row("kcert, CPU, ECDSA", ours_ecdsa.cpu)
    yield Row("the same commands in a bash script, CPU, ECDSA", bash_ecdsa.cpu)
    yield Row("one start of the interpreter, CPU", bare.cpu)
    added = [one - start - other for one, start, other in zip(ours_ecdsa.cpu, bare.cpu, bash_ecdsa.cpu, strict=True)]
    yield Row("  kcert - one start of the interpreter - bash, CPU, ECDSA", added)
    whole = median(second.cpu)
    yield Row("  that, and bash's CPU with RSA / bash's CPU with RSA", [1 + one / whole for one in added], bound=1.10)
    lesson, again = in_turn(OTHERS, "kcert all with its lesson", lambda: kcert(argv=[*KCERT, "all"]), bash)
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
