"""Where memory is short, kcert says so: no traceback, and nothing that calls it kcert's own mistake."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from kcert import shell
from tests.refusals import staged
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki
    from tests.running import Kcert

MIB = 1024 * 1024


@pytest.mark.thorough
@pytest.mark.parametrize(
    "command",
    representatives(
        [("client", "eve", "-g", "x", "-q"), ("client", "eve", "-g", "x"), ("check", "pki")], lambda _: None
    ),
)
def test_too_little_memory_is_said_in_words(
    own_pki: Callable[..., Pki], kcert: Kcert, command: tuple[str, ...]
) -> None:
    folder = own_pki("course").folder
    ended = [kcert(*command, preexec=partial(limited, size)) for size in (44, 52, 60, 80)]

    said = " ".join(" ".join(one.stderr.split()) for one in ended)
    assert "mistake" not in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert all(one.stderr for one in ended if one.status), "a failure is explained"
    assert staged(folder) == []
    assert "is unchanged" in kcert.done("history", "--verify").stdout


def limited(mebibytes: int) -> None:
    """Take memory from a process, for ``preexec``."""
    resource.setrlimit(resource.RLIMIT_AS, (mebibytes * MIB, mebibytes * MIB))


def test_a_thread_that_sh_does_not_get_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refused)
    with pytest.raises(RuntimeError, match="start new thread"):
        shell.run(shell.Command(("true",)))


@pytest.mark.parametrize("error", ["MemoryError()", 'RuntimeError("can\'t start new thread")'])
def test_what_the_machine_refuses_is_not_called_a_mistake(error: str) -> None:
    run = (
        f"import kcert.cli\nfrom kcert.__main__ import main\ndef run():\n    raise {error}\nkcert.cli.run = run\nmain()"
    )
    ended = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "there is not enough memory" in " ".join(ended.stderr.split())
