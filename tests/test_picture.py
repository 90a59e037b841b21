"""The picture in README.md shows what kcert prints today."""

from __future__ import annotations

import re

import pytest

from tests import picture
from tests.running import REPOSITORY


@pytest.fixture(scope="module")
def printed() -> str:
    return picture.lesson()


def kcerts_own(lines: list[str]) -> list[str]:
    """All but what openssl answered, which differs between versions."""
    return [line for line in lines if not line.startswith("    | ")]


@pytest.mark.thorough
def test_the_picture_says_what_the_program_prints(printed: str) -> None:
    shown = picture.read(picture.PICTURE.read_text(encoding="utf-8"))

    assert kcerts_own(shown) == kcerts_own(picture.plain(printed)), "`make picture` draws it again"


def test_the_picture_has_the_colours_of_the_terminal(printed: str) -> None:
    colours = r"<style>.*</style>"
    shown = re.search(colours, picture.PICTURE.read_text(encoding="utf-8"), re.DOTALL)
    drawn = re.search(colours, picture.draw(printed), re.DOTALL)

    assert shown
    assert drawn
    assert shown[0] == drawn[0], "`make picture` draws it again"


def test_the_picture_fetches_nothing_from_elsewhere() -> None:
    text = picture.PICTURE.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")

    assert "<svg " in text
    assert "http" not in text
    assert "<script" not in text


def test_the_readme_shows_it() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")

    assert f"]({picture.PICTURE.relative_to(REPOSITORY)})" in readme
