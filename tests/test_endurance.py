"""The short form of ``make endurance``: the same code, a few trials of each part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.endurance.__main__ import PARTS
from tests.endurance.trial import LabBuilder, Part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki


@pytest.mark.thorough
@pytest.mark.parametrize("part", [pytest.param(part, id=part.name) for part in PARTS])
def test_kcert_stands_it(part: Part, pki: Callable[[str], Pki], tmp_path: Path) -> None:
    ground = LabBuilder(tmp_path, lambda profile: pki(profile).home)

    trials = list(part.course(ground, part.short))

    if part.name in ("disk", "room") and not trials:
        pytest.skip("no file system can be mounted here")
    assert trials
    assert {one.repeat: one.wrong for one in trials if one.wrong} == {}
