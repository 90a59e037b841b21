"""kcert without a process of its own, where thousands of runs are wanted; what a process adds is tested elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from kcert.__main__ import _status
from tests.running import Ended


def in_process(argv: list[str], folder: Path) -> Ended:
    """Return what ``kcert.__main__.main`` does, without a process of its own."""
    written = [io.BytesIO(), io.BytesIO()]
    outputs = [io.TextIOWrapper(one, "utf-8", errors="backslashreplace") for one in written]
    was, environment = (Path.cwd(), sys.argv, sys.stdin), dict(os.environ)
    os.chdir(folder)
    sys.argv = ["kcert", *argv]
    for name in [name for name in os.environ if name.startswith(("KCERT_", "COLUMNS"))]:
        del os.environ[name]
    try:
        with (
            Path(os.devnull).open(encoding="utf-8") as sys.stdin,
            contextlib.redirect_stdout(outputs[0]),
            contextlib.redirect_stderr(outputs[1]),
        ):
            try:
                status: object = _status()
            except SystemExit as end:
                status = end.code
    finally:
        os.chdir(was[0])
        sys.argv, sys.stdin = was[1:]
        os.environ.clear()
        os.environ.update(environment)
    for output in outputs:
        output.flush()
    said = [one.getvalue().decode("utf-8") for one in written]
    assert isinstance(status, int)
    return Ended(status, said[0], said[1])
