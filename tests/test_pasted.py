"""What is printed to be pasted: with hostile names of folders and files, no command does anything else than it says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from kcert.cli import COMMANDS, load
from kcert.quoting import quote
from kcert.ui.console import clean_line
from tests.hostile import RUNS, commands_in, commands_with, every_command_with, pasted, set_up
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert


@pytest.mark.thorough
def test_a_backtick_in_a_name_ends_no_quotation_of_a_command(kcert: Kcert) -> None:
    kcert.done("ca", "--csr-only", "-q", "-d", "a`touch CANARY`b")

    said = " ".join(kcert("all", "-q", "-d", "a`touch CANARY`b").stderr.split())

    assert "`rm $'a\\x60touch CANARY\\x60b/ca.csr'`" in said


def test_the_sandbox_would_see_it(tmp_path: Path) -> None:
    assert pasted(tmp_path / "sandbox", ["kcert -d a;touch CANARY;", "kcert -d 'a;touch CANARY;'"]) == [
        "kcert -d a;touch CANARY;"
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("name", representatives(["a  b" + RUNS[0], "a" + RUNS[1]]))
def test_no_printed_command_runs_what_a_name_says(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, name: str
) -> None:
    own_pki("course")
    set_up(kcert, name)

    printed = [kcert(*command) for command in commands_with(name)]

    mistaken = [ended.stderr for ended in printed if "mistake" in ended.stderr or "Traceback" in ended.stderr]
    assert mistaken == []
    found = [one for ended in printed for text in (ended.stdout, ended.stderr) for one in commands_in(text, name)]
    assert len([one for one in found if "CANARY" in one]) > 30
    assert pasted(tmp_path / "sandbox", found) == []


def test_every_command_is_given_hostile_names() -> None:
    given = {words[:number] for words in every_command_with("x") for number in (1, 2)}
    subcommands = {(name, inner) for name in COMMANDS for inner in getattr(load(name), "commands", ())}

    assert {(name,) for name in COMMANDS} | subcommands <= given


IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode): characters that no terminal shows."""


def test_each_character_without_a_shape_is_seen() -> None:
    ranges = [part.partition("-") for part in IGNORABLE.split()]
    codes = [code for first, _, last in ranges for code in range(int(first, 16), int(last or first, 16) + 1)]
    assert len(codes) == 4174

    raw = [f"{code:X}" for code in codes if chr(code) in clean_line(f"a{chr(code)}b") + quote(f"a{chr(code)}b")]

    assert raw == []


@pytest.mark.parametrize("character", "\u034f\u115f\u3164\ufe0f")
def test_a_character_without_a_shape_is_seen_in_a_printed_argument(character: str) -> None:
    quoted = quote(f"a{character}b")
    assert quoted.isascii()
    ended = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    assert ended.stdout.decode() == f"a{character}b"
