"""Each fault is found where it is, under its own name and no other, and the commands that are printed fix it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import pytest

from kcert.check import RULES
from tests.check.conftest import judged, mend
from tests.check.sick import FOLDER, SICK, Sick
from tests.running import in_turn, representatives

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.check import Finding


RULE, PLACE = attrgetter("rule"), attrgetter("place")


def look(sick: Sick, root: Path) -> tuple[Finding, ...]:
    """A folder is named; a whole host stands below --root."""
    return judged(root) if sick.place == FOLDER else judged(root=root)


@pytest.mark.parametrize("sick", representatives(in_turn(SICK, RULE, PLACE), RULE), ids=str)
def test_the_fault_is_named_and_its_repair_clears_it(sick: Sick, tmp_path: Path) -> None:
    root = tmp_path / "a host"  # a blank in every path: what is printed has to be quoted
    root.mkdir()
    sick.lay_out(root)

    findings = look(sick, root)

    assert {(one.rule, str(one.path.relative_to(root))) for one in findings} == {
        (sick.rule, path) for path in sick.paths
    }, [f"{one.rule} {one.path}: {one.message} ({one.evidence})" for one in findings]
    assert len(findings) == len(sick.paths)

    mend(findings)

    assert [(one.rule, str(one.path), one.evidence) for one in look(sick, root)] == []


def test_every_rule_has_cases_in_several_places() -> None:
    places = {rule: {sick.place for sick in SICK if sick.rule == rule} for rule in RULES}
    assert {rule for rule, found in places.items() if len(found) < 2} == set()
