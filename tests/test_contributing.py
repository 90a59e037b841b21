"""CONTRIBUTING.md is right: the map is the tree, and what it says of adding something works as it stands."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import REPOSITORY, Kcert, output, program

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = REPOSITORY / "kcert"

(MAP,) = re.findall(r"<!-- map -->\n\n((?:    .*\n)+)", TEXT)
PLACES = [re.findall(r"[a-z_]+", line.split("   ")[0]) for line in MAP.replace("    ", "", 1).split("\n    ")]
"""The map, line by line, from the top; names that share a line are of one height."""

BLOCKS = re.findall(r"^```([a-z]+)\n# (kcert/\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
"""What is to be written, and where: kind, file, text."""

HAS_LABS = (PACKAGE / "practice").exists()


@cache
def modules() -> frozenset[str]:
    """The modules at the top of the package, except where it starts."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return frozenset(folders | {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")})


def imports(name: str) -> set[str]:
    """The others that a package or module of the top imports."""
    paths = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else (PACKAGE / name).rglob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "kcert":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kcert."):
            found.add(str(node.module).split(".")[1])
    return found & modules() - {name}


def changed(text: str, diff: str) -> str:
    """*text* after a diff, each of whose old lines is in it once."""
    for old, new in re.findall(r"^-(.*\n)((?:\+.*\n)+)", diff, re.MULTILINE):
        assert text.count(f"\n{old}") == 1, f"CONTRIBUTING.md would change a line that is not there: {old}"
        text = text.replace(f"\n{old}", "\n" + re.sub(r"^\+", "", new, flags=re.MULTILINE))
    return text


class Checkout(Kcert):
    """A kcert of its own, with all in it that CONTRIBUTING.md adds."""

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        return super().environment({"PYTHONPATH": str(self.folder), **(variables or {})})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the package, changed as the text says."""
    home = tmp_path_factory.mktemp("checkout")
    for name in ("kcert", "openssl_templates"):
        shutil.copytree(REPOSITORY / name, home / name)
    shutil.copy(REPOSITORY / "pyproject.toml", home)
    for kind, name, text in BLOCKS:
        if ("practice/" in name or "lessons/labs/" in name) and not HAS_LABS:
            continue
        path = home / name
        assert path.exists() == (kind == "diff"), name
        new = changed(path.read_text(encoding="utf-8"), text) if kind == "diff" else text
        path.write_text(new, encoding="utf-8")
    return Checkout(home)


def test_every_package_and_module_is_in_the_map_once() -> None:
    assert sorted(name for line in PLACES for name in line) == sorted(modules())


def test_no_arrow_points_up() -> None:
    height = {name: number for number, line in enumerate(PLACES) for name in line}

    arrows = {(name, other) for name in modules() for other in imports(name) if height[other] <= height[name]}
    assert arrows == set()


@pytest.mark.thorough
def test_a_profile_is_added_as_the_text_says(checkout: Checkout) -> None:
    checkout.done("init", "--profile", "week", "--config", "week.yaml")
    planned = checkout("plan", "--config", "week.yaml", "--dir", "none", "--format", "json")

    assert '"kube-apiserver"' in planned.stdout
    assert "days: {ca: 8, leaf: 7}" in (checkout.folder / "week.yaml").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_a_rule_is_added_as_the_text_says(checkout: Checkout) -> None:
    yaml = "key: {algorithm: ecdsa}\ndays: {ca: 3650, leaf: 3000}\n"
    (checkout.folder / "long.yaml").write_text(yaml, encoding="utf-8")
    checkout.done("ca", "--quiet", "--config", "long.yaml", "--dir", "long")
    checkout.done("client", "admin", "--quiet", "--config", "long.yaml", "--dir", "long")

    said = checkout("check", "long")

    assert re.search(r"^warning long-lived\nlong/admin\.crt$", said.stdout, re.MULTILINE)
    assert "is valid for 8 years" in " ".join(said.stdout.split())
    assert said.stdout.count("is valid for 8 years") == 1


@pytest.mark.thorough
def test_a_lesson_is_added_as_the_text_says(checkout: Checkout) -> None:
    listed, told = checkout("explain"), checkout("explain", "long-lived")

    assert re.search(r"^long-lived +A certificate that outlives its cluster$", listed.stdout, re.MULTILINE)
    assert "a stolen certificate works until it expires" in " ".join(told.stdout.split())


@pytest.mark.thorough
@pytest.mark.skipif(not HAS_LABS, reason="the labs are not here yet")
def test_a_lab_is_added_as_the_text_says(checkout: Checkout) -> None:
    checkout.done("practice", "start", "locked-out", "--dir", "lab")
    broken = checkout("practice", "check", "--dir", "lab")
    mended = output(["bash", "-ec", solution()], checkout.folder / "lab")
    whole = checkout("practice", "check", "--dir", "lab")

    assert broken.status == 1
    assert "admin reaches the API server" in broken.stdout
    assert mended.status == 0, mended.stderr
    assert (whole.status, whole.stderr) == (0, "")


def solution() -> str:
    (lab,) = (text for _, name, text in BLOCKS if name == "kcert/lessons/labs/locked-out.md")
    return str(re.findall(r"^## Solution\n.*?^    (.*?)$", lab, re.MULTILINE | re.DOTALL)[0])


def test_the_linter_likes_what_the_text_adds(checkout: Checkout) -> None:
    ruff, files = (
        Path(sys.executable).with_name("ruff"),
        sorted({name for _, name, _ in BLOCKS if name.endswith(".py") and (checkout.folder / name).exists()}),
    )

    assert output([program(str(ruff)), "check", "--no-cache", *files], checkout.folder).stdout == "All checks passed!\n"
    assert output([ruff, "format", "--no-cache", "--diff", *files], checkout.folder).stdout == ""


def test_what_the_text_names_is_there() -> None:
    assert BLOCKS
    named = set(re.findall(r"`(tests/[\w/.]+|kcert/[\w/.]+|\.ci/run)`", TEXT))
    added = {name for kind, name, _ in BLOCKS if kind != "diff"}

    assert named
    assert {name for name in named - added if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)", TEXT))))
def test_the_make_targets_named_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


(WAY,) = re.findall(r"<!-- way -->\n\n((?:    .*\n)+)", TEXT)

TRACE = """
import sys
stack, way = [], []

def follow(frame, event, _):
    module = frame.f_globals.get("__name__") or ""
    if not module.startswith("kcert."):
        return
    if event == "call":
        own = frame.f_locals.get("self")
        inside = [type(own).__name__] if own is not None else []
        stack.append(".".join([module, *inside, frame.f_code.co_name]))
        if stack[-1] == "kcert.shell.run" and not way:
            way.extend(stack)
    elif event == "return" and stack:
        stack.pop()

from kcert import cli
sys.argv = ["kcert", "client", "admin"]
sys.setprofile(follow)
cli.run()
sys.setprofile(None)
print("\\n".join(["the way:", *way]))
"""


@pytest.mark.thorough
def test_the_way_of_one_certificate_is_as_it_says(kcert: Kcert) -> None:
    kcert.done("ca", "-q")

    ended = output([sys.executable, "-c", TRACE], kcert.folder, PYTHONPATH=str(REPOSITORY))

    called = ended.stdout.partition("the way:\n")[2].splitlines()
    written = [line.split()[0] for line in WAY.splitlines()]
    assert called[called.index(written[0]) :] == written, ended.stderr


MOST_MODULES = 42
"""kcert's modules that `kcert client admin` may import: each one more has to be needed."""

LOADED = """
import sys
from kcert import cli
sys.argv = ["kcert", "client", "admin"]
cli.run()
print("modules:", *sorted(name for name in sys.modules if name.partition(".")[0] == "kcert"))
"""


@pytest.mark.thorough
def test_the_way_of_one_certificate_needs_few_modules(kcert: Kcert) -> None:
    kcert.done("ca", "-q")

    ended = output([sys.executable, "-c", LOADED], kcert.folder, PYTHONPATH=str(REPOSITORY))

    loaded = ended.stdout.partition("modules: ")[2].split()
    assert "kcert.issue.execute" in loaded, ended.stderr
    assert len(loaded) <= MOST_MODULES, loaded
