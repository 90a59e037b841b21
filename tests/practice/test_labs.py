"""Every lab with many seeds: broken at the start, unsolved by what is no repair, solved by what is one."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

import pytest
import typer.main

from kcert.cli import app
from kcert.practice.labs import NAMES
from tests.practice.cases import CASES, KCERT_CHECK
from tests.practice.conftest import SEEDS, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kcert.practice.session import Judged

EACH = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]


def failing(judged: Judged) -> list[str]:
    """What does not work, each with its reason."""
    return [f"{one.what}: {one.why}" for one in judged.trials if not one.works]


def kcert(started: Started, line: str) -> None:
    """Run a line of the kcert way in the lab's folder, in this process; others of its commands through bash."""
    program, *arguments = shlex.split(line)
    if program != "kcert" or arguments[0] not in ("renew", "ca", "client", "kubeconfig", "apiserver"):
        started.bash(line)
        return
    quiet = [] if arguments[0] == "kubeconfig" else ["--quiet"]
    with contextlib.chdir(started.root) if hasattr(contextlib, "chdir") else _chdir(started.root):
        typer.main.get_command(app)([*arguments, *quiet], prog_name="kcert", standalone_mode=False)


@contextlib.contextmanager
def _chdir(folder: Path) -> Iterator[None]:
    before = os.getcwd()  # noqa: PTH109 - Python 3.10 has no contextlib.chdir
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_every_lab_has_its_case() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("name", EACH)
def test_a_lab_is_broken_at_the_start_for_its_reason_and_nothing_else(
    name: str, lab: Callable[[str, int], Started]
) -> None:
    for seed in SEEDS:
        said = failing(lab(name, seed).check())
        for part in CASES[name].fails:
            assert any(part in one for one in said), (seed, part, said)
        for one in said:
            assert any(part in one for part in CASES[name].fails), (seed, one)


@pytest.mark.parametrize("name", EACH)
def test_doing_nothing_or_the_wrong_thing_solves_nothing(
    name: str, lab: Callable[[str, int], Started], tmp_path: Path
) -> None:
    """Each seed meets one wrong repair, in turn; every wrong repair meets several seeds."""
    wrong = CASES[name].wrong
    for seed in SEEDS:
        repair = wrong[seed % len(wrong)]
        started = lab(name, seed).copy(tmp_path)
        started.bash(repair.script)
        judged = started.check()
        assert not judged.solved, (seed, repair)
        assert any(repair.refused in one for one in failing(judged)), (seed, repair, failing(judged))


@pytest.mark.parametrize("name", EACH)
def test_the_printed_solution_solves_it(name: str, lab: Callable[[str, int], Started], tmp_path: Path) -> None:
    for seed in SEEDS:
        started = lab(name, seed).copy(tmp_path)
        started.bash("\n".join(line for action in started.session.words.solution for line in action.commands))
        judged = started.check()
        assert judged.solved, (seed, failing(judged))


@pytest.mark.parametrize("name", EACH)
def test_the_way_with_kcert_solves_it(name: str, lab: Callable[[str, int], Started], tmp_path: Path) -> None:
    assert lab(name, 1).session.words.with_kcert
    for seed in SEEDS:
        started = lab(name, seed).copy(tmp_path)
        for action in started.session.words.with_kcert:
            for line in action.commands:
                kcert(started, line)
        judged = started.check()
        assert judged.solved, (seed, failing(judged))


@pytest.mark.parametrize("name", EACH)
def test_two_seeds_tell_two_stories(name: str, lab: Callable[[str, int], Started]) -> None:
    stories = {lab(name, seed).session.words.story for seed in SEEDS}
    assert len(stories) >= len(SEEDS) // 2


@pytest.mark.parametrize("name", EACH)
def test_no_story_and_no_state_gives_the_answer_away(name: str, lab: Callable[[str, int], Started]) -> None:
    started = lab(name, 1)
    told = started.session.words.story + (started.root / ".practice/state.json").read_text(encoding="utf-8")
    for rule in (KCERT_CHECK, *(line for action in started.session.words.solution for line in action.commands)):
        assert rule not in told
