"""The hooks before a commit are the checks of `make check`, and stop what these stop."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import REPOSITORY, output, program

CONFIGURATION = REPOSITORY / ".pre-commit-config.yaml"
(REPO,) = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["repos"]
HOOKS: list[dict[str, Any]] = REPO["hooks"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout: the settings, the lint, a package with next to nothing in it, and the environment."""
    for name in (
        "pyproject.toml",
        "tests/lint.py",
        "tests/prose.py",
        "tests/__init__.py",
        "kcert/__init__.py",
        "kcert/lessons/glossary.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def statuses(checkout: Path) -> dict[str, int]:
    """Return how each hook ends in a checkout."""
    program(str(Path(sys.prefix, "bin/ruff")))
    return {hook["id"]: output(shlex.split(hook["entry"]), checkout, PYTHONPATH="").status for hook in HOOKS}


def test_the_hooks_are_those_of_make_check() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)

    assert [hook["entry"] for hook in HOOKS] == re.findall(
        r"^\t(.*)$", recipe.replace("$(BIN)", ".venv/bin"), re.MULTILINE
    )


def test_nothing_is_fetched_for_them() -> None:
    assert REPO["repo"] == "local"
    assert {hook["language"] for hook in HOOKS} == {"unsupported"}
    assert not any("additional_dependencies" in hook for hook in HOOKS)


def test_pre_commit_takes_the_configuration() -> None:
    checker = program(str(Path(sys.prefix, "bin/pre-commit")), "pre-commit")
    said = output([checker, "validate-config", CONFIGURATION])

    assert (said.status, said.stdout + said.stderr) == (0, "")


@pytest.mark.thorough
def test_they_let_sound_code_through_and_stop_what_is_not(checkout: Path) -> None:
    assert statuses(checkout) == {hook["id"]: 0 for hook in HOOKS}

    (checkout / "kcert/bad.py").write_text(
        '"""Whoever dials it recieves it."""\nimport os\ndef f(x): return  x\n', encoding="utf-8"
    )
    (checkout / "tests/test_bad.py").write_text("def test_nothing() -> None:\n    pass\n", encoding="utf-8")

    assert {hook for hook, status in statuses(checkout).items() if not status} == set()
