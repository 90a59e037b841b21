"""Helpers with which a test checks a place, and fixes it."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from kcert.check import RuleContext, check
from kcert.scan.discovery import survey
from tests.running import program
from tests.zoo import makers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kcert.check import Finding


def judged(*where: Path | str, root: Path | None = None, soon: int = 30) -> tuple[Finding, ...]:
    """Return what ``kcert check`` finds at *where*, or below *root*."""
    found = survey([str(place) for place in where], root)
    return check(RuleContext(found, dt.datetime.now(dt.timezone.utc), dt.timedelta(days=soon)))


def mend(findings: Iterable[Finding]) -> None:
    """Run what was printed, as a person would: in bash, one repair after the other."""
    for finding in findings:
        assert finding.fix, f"{finding.rule} on {finding.path} has no repair"
        ended = subprocess.run(
            ["bash", "-e", "-o", "pipefail"], input=finding.fix, capture_output=True, text=True, check=False
        )
        skip_without_programs(ended)
        assert ended.returncode == 0, (finding.fix, ended.stderr)


def skip_without_programs(ended: subprocess.CompletedProcess[str]) -> None:
    """Skip the test if bash did not find a program that this machine may lack."""
    missing = r"^bash: line \d+: (kubectl|patch|systemctl): command not found$"
    for name in re.findall(missing, ended.stderr, re.MULTILINE):
        program(name)


def pasted(findings: Iterable[Finding]) -> list[int]:
    """Paste what was printed into a terminal, where nothing stops after a failure: the status of each repair."""
    statuses = []
    for finding in findings:
        ended = subprocess.run(
            ["bash"], input=finding.fix, capture_output=True, text=True, check=False, start_new_session=True
        )
        skip_without_programs(ended)
        statuses.append(ended.returncode)
    return statuses


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The PKIs that programs make, each made once: ``made("easy_rsa")``."""
    folders: dict[str, Path] = {}

    def once(maker: str) -> Path:
        if maker not in folders:
            folders[maker] = getattr(makers, maker)(tmp_path_factory.mktemp(maker) / "pki")
        return folders[maker]

    return once
