"""The variables that kcert reads are those of one table, and no other changes what it does or prints."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcert.__main__ import IGNORED
from kcert.manual import VARIABLES
from tests.running import REPOSITORY, Kcert, representatives
from tests.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki

COMMANDS = (
    ("plan",),
    ("check", "pki"),
    ("show", "pki/apiserver.crt"),
    ("client", "mallory", "--group", "a", "--dry-run"),
    ("explain", "ca"),
    ("client", "admin", "--quiet"),
    ("flags", "kube-apiserver"),
    ("plan", "--config", "nowhere.yaml"),
    ("client", "--help"),
)

HARMLESS = {
    **dict.fromkeys(IGNORED, ("", "0", "1", "20", "x")),
    **dict.fromkeys(("COLUMNS", "LINES"), ("", "0", "-5", "x", "\u0664", "9" * 30)),
    **dict.fromkeys(("TERM", "COLORTERM"), ("", "dumb", "xterm-256color", "truecolor")),
    **dict.fromkeys(("NO_COLOR", "CI", "PAGER", "LESS", "CLICOLOR_FORCE", "KUBECONFIG"), ("", "1", "/nowhere")),
    **dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "SSLKEYLOGFILE", "RANDFILE"), ("", "/nowhere")),
    **dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"), ("", "/nowhere")),
    **dict.fromkeys(("OPENSSL_CONF_INCLUDE", "OPENSSL_MODULES", "OPENSSL_ENGINES"), ("/nowhere",)),
    "OPENSSL_CONF": ("/dev/null",),
    **dict.fromkeys(("LC_ALL", "LANG", "LC_MESSAGES", "LC_TIME"), ("C.UTF-8", "de_DE.UTF-8", "nonsense")),
    "LANGUAGE": ("de", "ko"),
    "TZ": ("Asia/Seoul", "America/St_Johns", ":", "nonsense", "EST5EDT"),
    **dict.fromkeys(("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONNODEBUGRANGES", "PYTHONSAFEPATH"), ("1",)),
    **dict.fromkeys(("PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONFAULTHANDLER", "PYTHONDEVMODE"), ("0", "1")),
    "PYTHONOPTIMIZE": ("1",),
    "PYTHONHASHSEED": ("0", "4294967295"),
    "PYTHONWARNINGS": ("error", "default", "always"),
    "PYTHONINTMAXSTRDIGITS": ("640",),
    "PYTHONIOENCODING": ("ascii", "ascii:strict", "utf-8:strict"),
    "PYTHONMALLOC": ("debug",),
}
"""Variables by name, with values that must not change anything (the text of these commands is ASCII)."""


def _read(path: str) -> Iterator[str]:
    """Every variable that a module reads under its literal name, and every name that begins as those of kcert do."""
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    if not re.search(r"environ|getenv|envvar|KCERT_", text):
        return
    for node in ast.walk(ast.parse(text)):
        name: ast.AST | None = None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.environ.pop", "os.getenv"):
            name = node.args[0]
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) == "os.environ"
        ):
            name = node.slice
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "os.environ":
            name = node.left
        elif isinstance(node, ast.keyword) and node.arg == "envvar":
            name = node.value
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("KCERT_[A-Z_]+", node.value)
        ):
            name = node
        if isinstance(name, ast.Constant):
            yield str(name.value)


def test_the_table_has_every_variable_that_is_read() -> None:
    files = [str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "kcert").rglob("*.py")]
    read = {name for path in files if path != "kcert/manual.py" for name in _read(path)}

    assert read <= {*VARIABLES}
    assert {name for name in VARIABLES if name.startswith("KCERT_")} <= read


def test_the_reference_has_the_table() -> None:
    reference = (REPOSITORY / "REFERENCE.md").read_text(encoding="utf-8")

    assert dict(re.findall(r"^\| `([A-Z_]+)` \| (.*) \|$", reference, re.MULTILINE)) == VARIABLES


@cache
def _plain(home: Kcert, arguments: tuple[str, ...]) -> tuple[int, bytes, bytes]:
    """Return how it ends with no variable but those that every program needs."""
    return _ended(home, arguments, {})


def _ended(home: Kcert, arguments: tuple[str, ...], variables: dict[str, str]) -> tuple[int, bytes, bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.folder), "PYTHONPATH": str(REPOSITORY), **variables}
    ended = subprocess.run(
        home.argv(*arguments),
        cwd=home.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def home(pki: Callable[[str], Pki]) -> Kcert:
    """Return where the commands run: all of them only read."""
    return Kcert(pki("course").home)


NAMES = st.text("ABCXYZ_", min_size=1, max_size=12).filter(lambda name: name not in (*VARIABLES, "TZ"))
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ENVIRONMENTS = st.builds(
    lambda known, other: {**other, **known},
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HARMLESS.items()}),
    st.dictionaries(NAMES, VALUES, max_size=5),
)
EXTREMES = [{name: values[at] for name, values in HARMLESS.items() if name != "PYTHONIOENCODING"} for at in (0, -1)]


@pytest.mark.thorough
@pytest.mark.parametrize("extreme", EXTREMES, ids=["first", "last"])
@pytest.mark.parametrize("arguments", representatives([COMMANDS[0], COMMANDS[3]]), ids=" ".join)
def test_no_other_variable_changes_anything(home: Kcert, extreme: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert _ended(home, arguments, extreme) == _plain(home, arguments)


@pytest.mark.thorough
@settings(
    max_examples=int(os.environ.get("KCERT_TESTS_EXAMPLES", "50")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(variables=ENVIRONMENTS, arguments=st.sampled_from(COMMANDS))
def test_no_mixture_of_them_does(home: Kcert, variables: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert _ended(home, arguments, variables) == _plain(home, arguments)


@pytest.mark.parametrize("variables", [{"COLUMNS": "0", "LINES": "0"}, {"COLUMNS": "x", "FORCE_COLOR": ""}], ids=str)
def test_a_terminal_without_a_sensible_size_in_the_environment_has_its_own(
    home: Kcert, variables: dict[str, str]
) -> None:
    odd = on_terminal(home, "plan", columns=80, rows=40, keys="", prompt=b"q", **variables)

    assert odd == on_terminal(home, "plan")
