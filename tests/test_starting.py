"""A kcert that was forked is the kcert that Python would have started: the tests rest on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests import running
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Ended, Kcert

CALLS: dict[str, tuple[str, ...]] = {
    "the version": ("--version",),
    "help": ("client", "--help"),
    "no arguments": (),
    "a wrong option": ("all", "--no-such-option"),
    "nothing found": ("check", "no-such-folder"),
    "input that ends at once": ("ca", "--step"),
    "a plan": ("plan", "--format", "json"),
    "what is not ASCII": ("client", "J\u00e4ne"),
}


def both(kcert: Kcert, monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str) -> tuple[Ended, Ended]:
    """Return how a call ends when it is forked, and when Python starts for it."""
    forked = kcert(*arguments, variables=variables)
    monkeypatch.setenv(running.ANEW, "1")
    return forked, kcert(*arguments, variables=variables)


@pytest.mark.parametrize(
    "call",
    [pytest.param(call, marks=() if call == "a plan" else pytest.mark.thorough) for call in CALLS],
)
def test_it_prints_and_ends_the_same(kcert: Kcert, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    forked, anew = both(kcert, monkeypatch, *CALLS[call], COLUMNS="70", KCERT_DIR="elsewhere")

    assert forked.stdout + forked.stderr != ""
    assert forked == anew


def test_a_signal_ends_it_the_same(kcert: Kcert, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deadly = str(fake_openssl(tmp_path, "kill -9 $PPID"))
    forked, anew = both(kcert, monkeypatch, "ca", "--quiet", "--openssl", deadly)

    assert forked == anew
    assert (forked.status, forked.stdout) == (-9, "")


def test_two_calls_share_nothing(kcert: Kcert) -> None:
    described = {
        name: json.loads(kcert.done("plan", "--format", "json", "--dir", name, variables=variables).stdout)
        for name, variables in (("a", {"COLUMNS": "20"}), ("b", {}))
    }
    assert described["a"] == described["b"]
    assert kcert("plan", variables={"KCERT_DIR": "c"}).stdout == kcert("plan", "--dir", "c").stdout
