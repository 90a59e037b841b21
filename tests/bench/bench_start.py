"""Start-up: `kcert --version` and `kcert --help` against the least that typer does."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, Row, in_turn, ratios, run

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        version, typer = in_turn(
            RUNS,
            lambda: run([*KCERT, "--version"], folder),
            lambda: run([sys.executable, "-c", "import typer"], folder),
        )
        yield Row("kcert --version: wall", version.wall)
        yield Row("  kcert --version / python -c 'import typer', wall", ratios(version.wall, typer.wall), bound=1.3)
        ours, two = in_turn(
            RUNS, lambda: run([*KCERT, "--help"], folder), lambda: run([sys.executable, "two.py", "--help"], folder)
        )
        yield Row("kcert --help: wall", ours.wall)
        yield Row(
            "  kcert --help / a two-command typer program's --help, wall", ratios(ours.wall, two.wall), bound=1.15
        )
