"""Every lab with many seeds: broken at the start, unsolved by a wrong repair, solved by a right one."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from kcert.practice import labs
from kcert.practice.lab import words
from kcert.practice.labs import NAMES
from kcert.practice.session import scenario_of
from tests.practice.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.practice.session import CheckResult
    from tests.practice.conftest import Started

THOROUGH = os.environ.get("KCERT_TESTS_THOROUGH") == "1"
"""With 1, as `make labs` has it, everything is tried with 20 seeds, which takes as long as all other tests together."""

SEEDS = range(1, 21) if THOROUGH else range(1, 2)

EACH = pytest.mark.parametrize("name", NAMES, scope="module")


def failing(judged: CheckResult) -> list[str]:
    """Return what does not work, each with its reason."""
    return [f"{one.what}: {one.why}" for one in judged.checks if not one.works]


def test_every_lab_has_its_case() -> None:
    assert set(CASES) == set(NAMES)


@EACH
def test_a_lab_is_broken_at_the_start_for_its_reason_and_nothing_else(
    name: str, lab: Callable[[str, int], Started]
) -> None:
    for seed in SEEDS:
        said = failing(lab(name, seed).check())
        for part in CASES[name].fails:
            assert any(part in one for one in said), (seed, part, said)
        for one in said:
            assert any(part in one for part in CASES[name].fails), (seed, one)


@pytest.mark.thorough
@EACH
def test_the_wrong_thing_solves_nothing_and_is_refused_for_its_reason(
    name: str, lab: Callable[[str, int], Started], tmp_path: Path
) -> None:
    """Each seed meets one wrong repair, in turn; every wrong repair meets several seeds."""
    wrong = CASES[name].wrong
    for seed in SEEDS:
        repair = wrong[seed % len(wrong)]
        started = lab(name, seed).copy(tmp_path)
        started.play([repair.script])
        judged = started.check()
        assert not judged.solved, (seed, repair)
        said = failing(judged)
        assert any(started.told(repair.refused) in one for one in said), (seed, repair, said)


@pytest.mark.thorough
@EACH
def test_the_printed_solution_solves_it_in_a_folder_that_was_copied(
    name: str, lab: Callable[[str, int], Started], tmp_path: Path
) -> None:
    for seed in SEEDS:
        started = lab(name, seed).copy(tmp_path)
        started.play(line for action in started.session.words.solution for line in action.commands)
        judged = started.check()
        assert judged.solved, (seed, failing(judged))


@pytest.mark.thorough
@EACH
def test_the_way_with_kcert_solves_it(name: str, lab: Callable[[str, int], Started], tmp_path: Path) -> None:
    assert lab(name, 1).session.words.with_kcert
    for seed in SEEDS:
        started = lab(name, seed).copy(tmp_path)
        started.play(line for action in started.session.words.with_kcert for line in action.commands)
        judged = started.check()
        assert judged.solved, (seed, failing(judged))


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.other_way])
def test_another_way_solves_it_as_well(name: str, lab: Callable[[str, int], Started], tmp_path: Path) -> None:
    """Only the result is checked, so a good repair that these tests do not know is accepted."""
    started = lab(name, 2).copy(tmp_path)
    started.play([CASES[name].other_way])
    judged = started.check()
    assert judged.solved, failing(judged)


@EACH
def test_seeds_tell_different_stories(name: str) -> None:
    now = datetime.now(timezone.utc)
    stories = {words(name, **scenario_of(labs.lab(name), seed, now).values).story for seed in range(1, 21)}
    assert len(stories) >= 10


@EACH
def test_no_story_and_no_state_gives_the_answer_away(name: str, lab: Callable[[str, int], Started]) -> None:
    started = lab(name, 1)
    state = (started.root / ".practice/state.json").read_text(encoding="utf-8")
    for told in (started.session.words.story, state):
        for action in started.session.words.solution:
            for line in action.commands:
                assert line not in told or line.startswith("cp -Rp pki rollouts/"), line
        for hint in started.session.words.hints:
            assert hint not in told
    for right in started.session.expected_answers:
        assert right.text not in state or right.text in ("1", "2", "3")


def test_a_lab_that_was_renamed_is_known_by_its_old_name() -> None:
    assert labs.lab("dialled-by-address").name == "address-rejected"
