"""A check of what Kubernetes accepts: a program in Go, because all components use Go's libraries."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import NEED_PROGRAMS, program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

SOURCE = Path(__file__).parent

Answer = dict[str, Any]


def build(folder: Path) -> None:
    """Compile the program into *folder* (half a minute with an empty cache); skip the test if Go is too old."""
    go = program("go", str(Path(sys.executable).parent / "go"))
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    argv = [go, "build", "-ldflags=-s -w", "-o", str(folder / "gojudge"), "."]
    built = subprocess.run(argv, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    if "requires go >=" in built.stderr and os.environ.get(NEED_PROGRAMS) != "1":
        pytest.skip(f"Go is too old: {built.stderr.strip()}")
    assert built.returncode == 0, built.stderr


class GoJudge:
    """Answers of the program at *path*; each question is a dict as in main.go, bytes as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def answers(self, questions: Iterable[dict[str, object]]) -> list[Answer]:
        """Return the answer to each question, from one process."""
        lines = [json.dumps({key: _plain(value) for key, value in asked.items()}) for asked in questions]
        done = subprocess.run([self.path], input="\n".join(lines), capture_output=True, text=True, check=True)
        answers: list[Answer] = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(lines)
        return answers

    def answer(self, **asked: object) -> Answer:
        """Return the answer to one question."""
        return self.answers([asked])[0]

    def error(self, **asked: object) -> str | None:
        """Return Go's error for one question, or None."""
        error: str | None = self.answer(**asked).get("error")
        return error

    def verify(
        self, roots: bytes, chain: bytes, usage: str = "server", name: str = "", at: datetime | None = None
    ) -> str:
        """Return why Go does not trust the first certificate of *chain*; empty where it does."""
        asked: dict[str, object] = {"op": "verify", "roots": roots, "data": chain, "usage": usage, "name": name}
        return self.error(**asked, **({"time": at.isoformat()} if at else {})) or ""


def _plain(value: object) -> object:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
