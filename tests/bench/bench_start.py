"""Start-up: `kcert --version` and `kcert --help` against the least that typer does."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, Row, in_turn, ratios, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Start-up"
RUNS = 20

TWO_COMMANDS = """
import typer

app = typer.Typer()


@app.command()
def one() -> None:
    "The first."


@app.command()
def two() -> None:
    "The second."


app()
"""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "two.py").write_text(TWO_COMMANDS, encoding="utf-8")
        bare, version, typer = in_turn(
            RUNS,
            "kcert --version and typer alone",
            lambda: run([sys.executable, "-c", "pass"], folder),
            lambda: run([*KCERT, "--version"], folder),
            lambda: run([sys.executable, "-c", "import typer"], folder),
        )
        ours, two = in_turn(
            RUNS,
            "kcert --help and a small program's",
            lambda: run([*KCERT, "--help"], folder),
            lambda: run([sys.executable, "two.py", "--help"], folder),
        )
    yield Row("python -c pass", bare.wall)
    yield Row("python -c 'import typer'", typer.wall)
    yield Row("kcert --version", version.wall)
    yield Row("  kcert --version / import typer", ratios(version.wall, typer.wall), bound=1.3)
    yield Row("a typer program of two commands, --help", two.wall)
    yield Row("kcert --help", ours.wall)
    yield Row("  kcert --help / two commands' --help", ratios(ours.wall, two.wall), bound=1.15)
