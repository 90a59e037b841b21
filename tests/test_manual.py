"""The manual page holds what --help says: every command, every option, the version, the exit statuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import kcert
from kcert import cli, manual
from tests.running import REPOSITORY, output, program

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    " ".join(words)
    for name in cli.COMMANDS
    for words in [(name,), *((name, inner) for inner in getattr(cli.load(name), "commands", ()))]
]
"""Every command, and behind it its subcommands."""


def helped(command: str) -> str:
    """Return what `kcert COMMAND --help` prints, on a screen wide enough to wrap nothing."""
    said = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert said.exit_code == 0
    return said.stdout


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as `man` shows it, without the marks for bold and the hyphens of justified lines."""
    page = tmp_path_factory.mktemp("man") / "kcert.1"
    page.write_text(manual.page(), encoding="utf-8")
    said = output([program("man"), "--no-hyphenation", "--no-justification", "-l", page], MANWIDTH="200")
    assert said.stderr == ""
    return re.sub(r".\x08", "", said.stdout).replace("\u2010", "-")


def section(text: str, command: str) -> str:
    (found,) = re.findall(rf"^   kcert {command} \[options\].*\n((?:(?:       .*)?\n)*)", text, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_the_options_that_help_lists(text: str, command: str) -> None:
    told = set(re.findall(r"--[a-z][a-z-]*", section(text, command)))
    listed = set(re.findall(r"--[a-z][a-z-]*", helped(command)))

    assert told == listed - {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_is_for_in_the_same_words(text: str, command: str) -> None:
    lines = [line.strip() for line in helped(command).splitlines() if line.strip() and "Usage:" not in line]

    assert " ".join(lines[0].replace("`", "").split()) in " ".join(section(text, command).split())


def test_there_are_no_other_commands(text: str) -> None:
    assert re.findall(r"^   kcert (.+?) \[options\]", text, re.MULTILINE) == COMMANDS


def test_the_version_is_the_programs(text: str) -> None:
    assert f"kcert {kcert.__version__}" in text.splitlines()[-1]


def test_the_day_can_be_given_for_a_build_that_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")

    assert manual.page().startswith(".TH KCERT 1 1970-01-02 ")


def test_the_exit_statuses_are_those_of_the_reference() -> None:
    (told,) = re.findall(
        r"^Exit status: (.*?)\n\n", (REPOSITORY / "REFERENCE.md").read_text(), re.MULTILINE | re.DOTALL
    )

    assert re.findall(r"\b\d+\b", told) == list(manual.EXIT_STATUSES)


def test_a_word_is_never_taken_for_a_request(tmp_path: Path) -> None:
    page = tmp_path / "page.1"
    words = manual.escaped(".kcert lies in ./pki, `a` is b\\c and -d")
    page.write_text(f".TH A 1\n.SH A\n{words}\n", encoding="utf-8")
    said = output([program("man"), "-l", page], MANWIDTH="80")

    assert ".kcert lies in ./pki, a is b\\c and -d" in re.sub(r".\x08", "", said.stdout)


def test_the_page_that_is_installed_is_todays() -> None:
    """But for its day: `make man` writes it again."""
    written = (REPOSITORY / "kcert/kcert.1").read_text(encoding="utf-8")

    assert written.partition("\n")[2] == manual.page().partition("\n")[2]


def test_make_man_writes_it() -> None:
    said = output([program("make"), "--no-print-directory", "--dry-run", "--always-make", "man"], REPOSITORY)

    assert said.lines[-1] == ".venv/bin/python -m kcert.manual > kcert/kcert.1"
