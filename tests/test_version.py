"""One version, said in one place; and what a release says of itself."""

from __future__ import annotations

import re

import kcert as package
from kcert import cli, manual
from tests.running import REPOSITORY, Kcert

CHANGES = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_command_line_says_the_version_of_the_package(kcert: Kcert) -> None:
    assert kcert("--version").stdout == f"kcert {package.__version__}\n"


def test_it_is_written_down_in_one_place() -> None:
    assert 'dynamic = ["version"]' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    version = re.compile(rf"(?<![\d.]){re.escape(package.__version__)}(?![\d.])")
    texts = [REPOSITORY / name for name in ("pyproject.toml", "Makefile", "README.md", "CONTRIBUTING.md")]
    code = (REPOSITORY / "kcert").rglob("*.py")

    written = [path.name for path in (*texts, *code) if version.search(path.read_text(encoding="utf-8"))]

    assert written == ["__init__.py"]


def test_the_manual_page_has_it() -> None:
    assert f'"kcert {package.__version__}"' in manual.page().splitlines()[0]


def test_the_changes_begin_with_what_is_not_released_or_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", CHANGES, re.MULTILINE)

    assert versions[0] in ("Unreleased", package.__version__)
    assert set(re.findall(r"^### (.+)$", CHANGES, re.MULTILINE)) <= {
        *("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"),
    }


def test_the_changes_tell_of_every_command() -> None:
    assert set(cli.COMMANDS) == set(re.findall(r"`kcert ([a-z][a-z-]*)`", CHANGES))


def test_the_licence_is_whole() -> None:
    licence = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")

    assert re.findall(r"^   (\d)\. ", licence, re.MULTILINE) == list("123456789")
    assert licence.rstrip().endswith("limitations under the License.")
    assert 'license = "Apache-2.0"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
