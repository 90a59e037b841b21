"""What README.md and REFERENCE.md show is what the program prints: documentation that cannot drift."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert import profiles
from kcert.cli import COMMANDS

if TYPE_CHECKING:
    from tests.running import Kcert

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "REFERENCE.md").read_text(encoding="utf-8")


def test_the_table_of_commands_is_the_programs_own() -> None:
    rows = re.findall(r"^\| `kcert ([a-z-]+)` \| (.+) \|$", REFERENCE, re.MULTILINE)
    assert rows == [(name, entry.help) for name, entry in COMMANDS.items()]


def test_help_lists_each_command_of_the_table(kcert: Kcert) -> None:
    said = kcert("--help").stdout
    for name, _ in re.findall(r"^\| `kcert ([a-z-]+)` \| (.+) \|$", REFERENCE, re.MULTILINE):
        assert re.search(rf"\b{name}\b", said), name


def test_the_kcert_yaml_shown_is_accepted(tmp_path: Path) -> None:
    (indented,) = re.findall(r"^## The cluster: kcert.yaml\n\n((?:    .*\n)+)", REFERENCE, re.MULTILINE)
    path = tmp_path / "kcert.yaml"
    path.write_text(re.sub(r"^    ", "", indented, flags=re.MULTILINE), encoding="utf-8")
    cluster = profiles.load(path)
    assert cluster.endpoint == "https://192.168.56.30:6443"
    assert [user.name for user in cluster.users] == ["jane"]


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_the_make_targets_named_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
