"""The Pythons and the dependencies that kcert allows: ``python -m tests.platforms [--whole] [PYTHON...]``.

For each Python that is here, of 3.10 to 3.14, an environment with the oldest allowed version of each dependency and
one with the newest, in ``.platforms/``, and the tests in each: those of ``SUBSET``, or all with ``--whole``. With
``--openssl PATH``, which may be repeated, the tests of ``SUBSET`` for that openssl as well. 1 where a test failed.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.running import REPOSITORY

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
RESOLUTIONS = ("lowest", "highest")
FOLDER = REPOSITORY / ".platforms"
"""Where the environments lie; git does not see it."""

SUBSET = (
    *("tests/test_commands.py", "tests/test_certificates.py", "tests/test_screen.py", "tests/test_kcert_yaml.py"),
    *("tests/test_lessons.py", "tests/test_renew.py", "tests/test_csr.py", "tests/test_faults.py"),
    *("tests/test_script.py", "tests/test_manual.py"),
    *("tests/scan", "tests/check", "tests/kubernetes", "tests/endurance"),
)
"""What touches each dependency, and each kind of openssl command."""

NOT_TRIED_AT_THEIR_OLDEST = ("mypy", "ruff")
"""What checks the code gets stricter with each version: only the newest version is used."""


def interpreters() -> tuple[tuple[str, str], ...]:
    """Version and path of the oldest and the newest Python of ``PYTHONS`` that can run kcert here as they are.

    That is the one of an environment that ``make platforms`` made; and this one, where it made none.
    """
    made = [(version, _python(version, "highest")) for version in (PYTHONS[0], PYTHONS[-1])]
    here = [(version, str(path)) for version, path in made if path.exists()]
    return tuple(here) or ((f"{sys.version_info[0]}.{sys.version_info[1]}", sys.executable),)


def found(version: str) -> str | None:
    """A Python of that version: on PATH, or among pyenv's."""
    if path := shutil.which(f"python{version}"):
        with_version = subprocess.run([path, "--version"], capture_output=True, check=False)
        if with_version.returncode == 0:  # pyenv's own stand-in may have none behind it
            return path
    pyenv = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    return str(pyenv[-1]) if pyenv else None


def oldest() -> str:
    """Each dependency of pyproject.toml, those for developers too, at its oldest allowed version: pip's constraints."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    bounds = dict(re.findall(r'^    "([A-Za-z-]+)>=([0-9.]+)', text, re.MULTILINE))
    return "".join(f"{name}=={bound}\n" for name, bound in bounds.items() if name not in NOT_TRIED_AT_THEIR_OLDEST)


@functools.cache
def environment(version: str, resolution: str) -> str | None:
    """The Python of the environment for *version* and *resolution*, made if it is not there or is out of date."""
    python, base = _python(version, resolution), found(version)
    if base is None:
        return None
    home = python.parents[1]
    stamp = home / ".constraints"
    constraints = oldest() if resolution == "lowest" else ""
    wanted = constraints + (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(home, ignore_errors=True)
        _run([base, "-m", "venv", str(home)])
        (home / "constraints.txt").write_text(constraints, encoding="utf-8")
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "install", "--constraint", str(home / "constraints.txt"), "--editable", ".[dev]"])
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def main() -> None:
    """Make the environments, run the tests in each, print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.platforms")
    parser.add_argument("python", nargs="*", choices=[*PYTHONS, []], help="versions; all of them")
    parser.add_argument("--resolution", choices=RESOLUTIONS, action="append", help="lowest, highest; both")
    parser.add_argument("--openssl", action="append", default=[], metavar="PATH", help="an openssl to be tried as well")
    parser.add_argument("--whole", action="store_true", help="all tests, not the subset")
    parser.add_argument("--jobs", default="2", help="pytest-xdist's -n")
    asked = parser.parse_args()
    failed = False
    for version in asked.python or PYTHONS:
        for resolution in asked.resolution or RESOLUTIONS:
            python = environment(version, resolution)
            if python is None:
                print(f"Python {version}: not on this machine")
                break
            failed |= not _tested(python, f"Python {version}, {resolution}", asked)
    for path in asked.openssl:
        said = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout.strip()
        failed |= not _tested(sys.executable, said, asked, Path(path).absolute().parent)
    sys.exit(1 if failed else 0)


def _tested(python: str, name: str, asked: argparse.Namespace, openssl: Path | None = None) -> bool:
    """Run the tests, with the openssl of the folder *openssl* first on PATH; print how it ended."""
    clock = time.monotonic()
    path = f"{openssl}:{os.environ['PATH']}" if openssl else os.environ["PATH"]
    tests = [] if asked.whole else [one for one in SUBSET if (REPOSITORY / one).exists()]
    ended = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", asked.jobs, "--dist", "worksteal", "-p", "no:cacheprovider", *tests],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.strip().splitlines() or [ended.stderr.strip()]
    for line in lines[:-1]:
        if line.startswith(("FAILED", "ERROR")):
            print(f"    {line}")
    print(f"{name:32} {lines[-1].strip('= ')}  ({time.monotonic() - clock:.0f} s)", flush=True)
    return ended.returncode == 0


def _python(version: str, resolution: str) -> Path:
    return FOLDER / f"{version}-{resolution}" / "bin" / "python"


def _run(argv: list[str]) -> None:
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(argv)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")


if __name__ == "__main__":
    main()
