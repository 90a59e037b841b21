"""The set-up: a wheel installs with templates and lessons in it, and works; make and shell files are sound."""

from __future__ import annotations

import os
import re
import sys
import venv
import zipfile
from typing import TYPE_CHECKING

import pytest

import kcert
from tests.running import REPOSITORY, TRUSTED, output, program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The wheel that this checkout builds."""
    said = output(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", REPOSITORY],
        SSL_CERT_FILE=TRUSTED,
    )
    if said.status != 0 and "hatchling" in said.stderr:
        pytest.skip(f"the build system cannot be had here: {said.stderr.strip().splitlines()[-1]}")
    assert said.status == 0, said.stderr
    (found,) = (tmp_path / "dist").glob("*.whl")
    return found


@pytest.mark.thorough
def test_a_wheel_brings_all_it_needs_and_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    about = archive.read(f"kcert-{kcert.__version__}.dist-info/METADATA").decode()
    home = tmp_path / "home"
    venv.create(home / "venv", system_site_packages=False, with_pip=False)
    site = next((home / "venv").glob("lib/python*/site-packages"))
    # What kcert depends on comes from the environment of the tests; kcert itself from the wheel alone.
    archive.extractall(site)
    (site / "dependencies.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages")), encoding="utf-8"
    )
    python, clean = home / "venv/bin/python", {"PYTHONPATH": "", "HOME": str(home)}

    made = output([python, "-m", "kcert", "all", "--quiet"], home, **clean)
    where = output([python, "-c", "import kcert; print(kcert.__file__)"], home, **clean)
    explained = output([python, "-m", "kcert", "client", "jane"], home, **clean)

    for kind in ("ca", "client", "server", "peer"):
        assert f"kcert/openssl_templates/{kind}.cnf" in names
    assert "kcert/lessons/admin.md" in names
    assert f"kcert-{kcert.__version__}.data/data/share/man/man1/kcert.1" in names
    assert "kcert/kubernetes/export/play/tasks/bundle.yaml" in names
    assert {f"Version: {kcert.__version__}", "License-Expression: Apache-2.0", "License-File: LICENSE"} <= {
        *about.splitlines()
    }
    assert not any(name.startswith(("tests/", "openssl_templates/")) for name in names)
    assert str(site) in where.stdout
    assert (made.status, len(made.lines)) == (0, 12)
    assert "jane.crt: OK" in explained.stdout


def test_completion_installs_itself_into_the_home(tmp_path: Path) -> None:
    # As a user types it: the shell is found among the processes above, and there has to be one that it is for.
    said = output(
        ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, "-m", "kcert", "--install-completion"],
        tmp_path,
        HOME=str(tmp_path),
        PYTHONPATH=str(REPOSITORY),
    )

    assert "Traceback" not in said.stderr
    assert any("kcert" in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file())


def test_the_build_machines_script_is_sound() -> None:
    said = output([program("shellcheck"), REPOSITORY / ".ci/run", REPOSITORY / ".ci/venv"])

    assert said.stdout + said.stderr == ""


def test_the_build_machines_tests_are_there() -> None:
    lists = re.findall(
        r"^\w+=\(\n((?:    tests/.*\n)+)\)", (REPOSITORY / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE
    )
    words = output(["bash", "-c", f"printf '%s\\n' {' '.join(lists)}".replace("\n    ", " ")]).lines

    assert len(lists) == 2
    assert [word for word in words if not (REPOSITORY / word).exists()] == []


def test_a_python_without_ensurepip_is_no_traceback(tmp_path: Path) -> None:
    """Where it may not be installed (no sudo, or none without a password), one command is named."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {
        "python3": f"""case $2 in
            *ensurepip*) echo Traceback >&2; exit 1 ;;
            venv) mkdir -p $3/bin && touch $3/bin/python ;;
            *) exec {sys.executable} "$@" ;;
        esac""",
        "id": "echo 1000",
        "sudo": "echo 'sudo: a password is required' >&2; exit 1",
        "apt-get": "echo installed > apt",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    argv = [str(REPOSITORY / ".ci/venv"), "python3", "environment"]
    version = ".".join(map(str, sys.version_info[:2]))

    refused = output(argv, tmp_path, PATH=path)
    (programs / "sudo").write_text('#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n', encoding="utf-8")
    allowed = output(argv, tmp_path, PATH=path)

    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "python3 cannot make a virtual environment: its module ensurepip is missing.",
        f"Install it, then run make again: sudo apt-get install -y --no-install-recommends python{version}-venv",
    ]
    assert (allowed.status, (tmp_path / "environment/bin/python").exists()) == (0, True), allowed.stderr
    assert (tmp_path / "apt").read_text(encoding="utf-8") == "installed\n"


def test_make_says_what_it_can_do() -> None:
    said = output([program("make"), "--no-print-directory", "help"], REPOSITORY)

    assert [line.split()[1] for line in said.lines] == [
        *("help", "demo", "test", "check", "thorough", "labs", "bench", "endurance", "platforms"),
        *("man", "picture", "hooks", "format", "clean"),
    ]
