"""`kcert logs`, as it is typed; the program that prints the log is a script that stands first on PATH."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.running import REPOSITORY, Ended, Kcert

if TYPE_CHECKING:
    from pathlib import Path

SAID = "etcdmain: tls: private key does not match public key"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder of programs, with a journalctl that says what it was asked and one line of a log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    journalctl = folder / "journalctl"
    journalctl.write_text(f'#!/bin/sh\necho "asked: $*"\necho "{SAID}" >&2\n')
    journalctl.chmod(0o755)
    return folder


def kcert(path: Path, *words: str) -> Ended:
    return Kcert(REPOSITORY)("logs", *words, variables={"PATH": f"{path}:/usr/bin:/bin"})


def test_the_command_stands_before_what_it_prints(path: Path) -> None:
    ended = kcert(path, "kubelet", "--since", "1h")
    assert ended.status == 0
    assert ended.stdout.splitlines()[-3:] == [
        "    journalctl -u kubelet -l --no-pager --since '1h ago'",
        "",
        "asked: -u kubelet -l --no-pager --since 1h ago",
    ]
    assert ended.stderr == f"{SAID}\n"


def test_a_log_is_diagnosed(path: Path) -> None:
    ended = kcert(path, "kubelet", "--diagnose")
    assert ended.status == 1
    assert "    journalctl -u kubelet -l --no-pager\n" in ended.stdout
    assert "do not match" in " ".join(ended.stdout.split())
    assert "1 cause in 2 lines" in ended.stdout


def test_json_stands_alone(path: Path) -> None:
    ended = kcert(path, "kubelet", "--diagnose", "--format", "json")
    assert ended.status == 1
    [found] = json.loads(ended.stdout)
    assert found["lines"] == [{"number": 2, "text": SAID}]


def test_a_program_that_fails_is_named(path: Path) -> None:
    (path / "journalctl").write_text("#!/bin/sh\necho no >&2\nexit 4\n")
    ended = kcert(path, "kubelet")
    assert ended.status == 3
    assert "journalctl ended with status 4" in ended.stderr


def test_a_reader_who_leaves_the_log_is_no_fault(path: Path) -> None:
    (path / "journalctl").write_text("#!/bin/sh\nkill -PIPE $$\n")
    ended = kcert(path, "kubelet")
    assert (ended.status, ended.stderr) == (141, "")


@pytest.mark.parametrize(
    "words",
    [
        ("kubelt",),
        ("kubelet", "--since", "--vacuum-time=1s"),
        ("kubelet", "--via", "cat"),
        ("kubelet", "--via", "kubectl"),
        ("kubelet", "--follow", "--diagnose"),
        ("kubelet", "--format", "json"),
    ],
)
def test_wrong_use(path: Path, words: tuple[str, ...]) -> None:
    ended = kcert(path, *words)
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("kcert: ")
