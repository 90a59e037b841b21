"""The tour in README.md, typed line by line, from ``make demo`` to a mutual-TLS connection."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import venv
from typing import TYPE_CHECKING

import pytest

from tests.clusters import made_once
from tests.running import REPOSITORY, environment, free_port, program, wait_until

if TYPE_CHECKING:
    from pathlib import Path

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## A five-minute tour\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
TYPED = "".join(line[4:] for line in SECTION.splitlines(keepends=True) if line.startswith("    "))
LINES = re.sub(r" \\\n\s+", " ", TYPED).splitlines()
"""What is typed: a line that ends with a backslash goes on in the next."""

PORT = "6443"
"""What the tour says; a test takes one that is free."""


class Shell:
    """A bash that gets one line at a time, as from a user at a terminal."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._said += line

    def type(self, line: str, *, until: str = "") -> str:
        """Return what is printed when *line* is typed, up to the next prompt, or (of a server) to *until*."""
        assert self._process.stdin
        begins = len(self._said)
        self._process.stdin.write(f"{line}\necho prompt-$?\n")
        self._process.stdin.flush()
        wait_until(lambda: until in self._said[begins:] and "prompt-" in self._said[begins:], 60, f"an end of {line}")
        return self._said[begins:]

    def ends(self) -> None:
        """End it, with all that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()


def checkout(home: Path) -> None:
    """A checkout as `make demo` leaves it, but that kcert's dependencies come from the environment of the tests."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, home)
    venv.create(home / ".venv", with_pip=False)
    site = next((home / ".venv").glob("lib/python*/site-packages"))
    (site / "kcert.pth").write_text("\n".join([str(REPOSITORY), *(one for one in sys.path if "site-packages" in one)]))
    command = home / ".venv/bin/kcert"
    command.write_text(f"#!{home}/.venv/bin/python\nfrom kcert.__main__ import main\nmain()\n", encoding="utf-8")
    command.chmod(0o755)
    for stamp in (".made", ".kcert"):
        (home / ".venv" / stamp).touch()


def take(home: Path) -> None:
    """Type the tour in *home*; ``said.json`` there has what each line of it printed."""
    checkout(home)
    shell, port = Shell(home), str(free_port())
    try:
        said = {
            line: shell.type(line.replace(PORT, port), until="ACCEPT" if "s_server" in line else "") for line in LINES
        }
    finally:
        shell.ends()
    (home / "said.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture(scope="session")
def said(shared: Path) -> dict[str, str]:
    """Return what each line of the tour printed; it is typed once in a test run."""
    program("make")
    home = made_once(shared, "tour", take)
    found: dict[str, str] = json.loads((home / "said.json").read_text(encoding="utf-8"))
    return found


def ending_of(said: dict[str, str], beginning: str) -> str:
    (found,) = (text for line, text in said.items() if line.startswith(beginning))
    return found


def test_the_tour_goes_from_make_demo_to_a_connection() -> None:
    assert LINES[0] == "make demo"
    assert sum("openssl s_server" in line for line in LINES) == 1
    assert sum("openssl s_client" in line for line in LINES) == 2


@pytest.mark.thorough
def test_each_command_of_kcert_does_what_the_tour_says(said: dict[str, str]) -> None:
    assert "[12/12]" in ending_of(said, "make demo")
    assert "current  kube-apiserver" in ending_of(said, "kcert plan")
    assert "A client compares the name" in ending_of(said, "kcert show")
    assert "jane.crt: OK" in ending_of(said, "kcert client jane")
    assert "no problems found" in ending_of(said, "kcert check")
    assert "openssl genrsa -out jane.key" in ending_of(said, "kcert history")
    ended = {line: text for line, text in said.items() if line.startswith(("make", "kcert", ".", "cd"))}
    assert {line: text.splitlines()[-1] for line, text in ended.items()} == dict.fromkeys(ended, "prompt-0")


@pytest.mark.thorough
def test_server_and_jane_show_each_other_their_certificates(said: dict[str, str]) -> None:
    with_certificate = next(text for line, text in said.items() if "s_client" in line and "jane.crt" in line)

    assert re.search(r"Subject: CN ?= ?jane, O ?= ?developers", with_certificate)
    assert with_certificate.splitlines()[-1] == "prompt-0"


@pytest.mark.thorough
def test_without_a_certificate_the_door_stays_shut(said: dict[str, str]) -> None:
    without = next(text for line, text in said.items() if "s_client" in line and "jane.crt" not in line)

    assert re.search(r"alert certificate required", without)
    assert "Subject:" not in without
    assert without.splitlines()[-1] == "prompt-1"


def test_nothing_of_the_tour_is_left_running(said: dict[str, str]) -> None:
    assert said[LINES[-1]].splitlines()[-1] == "prompt-0"
    assert LINES[-1] == "kill %1"
