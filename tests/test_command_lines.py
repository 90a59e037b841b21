"""A command as it is shown: bash reads it back as the argv it was, whatever is in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcert.diagnose import explain
from kcert.quoting import format_command, quote
from kcert.ui.console import fitted
from tests.running import output, program


def read_by_bash(line: str) -> list[str]:
    """The arguments that bash makes of *line*."""
    script = f"printf '%s\\0' {line}\n"
    said = subprocess.run(
        ["bash", "--norc"], input=script.encode(), capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    return said.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "",
            "a b",
            "it's",
            '"',
            "$HOME",
            "`id`",
            "\\",
            "!",
            "*",
            "~",
            "a;b",
            "a\nb",
            "a\tb",
            "\x1b[31m",
            "\u202eevil",
        ),
        *("é", "日本", "\x7f", "\x85", "-n", "#x", "{a,b}", "/CN=a", "/CN=$HOME", "/CN=a b/O=it's", "a'\x1b'b\\"),
    ],
)
def test_bash_reads_an_argument_as_it_is(argument: str) -> None:
    assert read_by_bash(quote(argument)) == [argument]
    assert quote(argument).isprintable()


@pytest.mark.thorough
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), min_size=1),
    st.integers(20, 120),
)
def test_bash_reads_any_command_as_it_ran_at_any_width(words: list[str], width: int) -> None:
    assert read_by_bash(format_command(tuple(words), width)) == words


def test_a_subject_stands_in_double_quotes_as_in_all_documentation() -> None:
    assert quote("/CN=kube-admin/O=system:masters") == '"/CN=kube-admin/O=system:masters"'


def test_a_long_line_is_broken_before_an_option_which_stays_with_its_value() -> None:
    assert format_command(("openssl", "req", "-new", "-key", "a.key", "-out", "a.csr"), 30) == (
        "openssl req -new -key a.key \\\n    -out a.csr"
    )


def test_a_command_that_is_broken_for_a_narrow_screen_is_the_same_for_bash() -> None:
    posted = (Path(__file__).parent / "diagnose/posted.txt").read_bytes().splitlines()
    found = [known for line in posted[::8] if line.strip() and (known := explain(line))]
    texts = sorted({text for known in found for text in (known.proof, known.repair)})
    narrow = ["\n".join(fitted(text.splitlines(), 60)) for text in texts]

    assert sum(before != after for before, after in zip(texts, narrow, strict=True)) > 20
    assert _as_bash_has_them(narrow) == _as_bash_has_them(texts)


def _as_bash_has_them(texts: list[str]) -> str:
    script = "".join(f"f{number}() {{\n{text}\n:\n}}\n" for number, text in enumerate(texts))
    return output([program("bash"), "-c", f"{script}declare -f"]).stdout
