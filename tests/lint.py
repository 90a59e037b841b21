"""The tests' own lint: what makes a test worth having, as far as its syntax shows it.

Run as ``python -m tests.lint``, by ``make check``. Prints one line for each finding and ends with status 1
where there is any.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parent

WHERE_TIME_PASSES = {"running.py"}
"""The one module with a `time.sleep`: in `wait_until`."""

PACKAGE = TESTS.parent / "kcert"

VAGUE = {"one", "found", "told", "case", "survey", "wish", "place", "apart"}
"""Names that do not say what a variable holds: a certificate is `cert`, a CA `ca`, a path `path`."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def findings(path: Path) -> Iterator[str]:
    """Yield the faults of the test module at *path*: ``path:line: what``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for what in _said_of(node, path):
            yield f"{path}:{getattr(node, 'lineno', 0)}: {what}"
    names: set[str] = set()
    for test in _tests(tree):
        where = f"{path}:{test.lineno}: {test.name}"
        if test.name in names:
            yield f"{where} hides a test of the same name"
        names.add(test.name)
        if not _judges(test):
            yield f"{where} asserts nothing: it cannot fail"
        elif _looks_at_status_only(test):
            yield f"{where} looks at an exit status alone: say what was printed, written or left alone"


def vague_names(path: Path) -> Iterator[str]:
    """Yield the variables, parameters and fields of kcert's module at *path* whose names do not say what they hold."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""
        name = node.arg if isinstance(node, ast.arg) else name
        if name in VAGUE:
            yield f"{path}:{getattr(node, 'lineno', 0)}: {name!r} does not say what it holds"


def _tests(tree: ast.Module) -> Iterator[_Function]:
    """The test functions of a module, those of classes among them."""
    for node in tree.body:
        bodies = node.body if isinstance(node, ast.ClassDef) else [node]
        for inner in bodies:
            if isinstance(inner, _Function) and inner.name.startswith("test"):
                yield inner


def _said_of(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in ("time.sleep", "sleep") and path.name not in WHERE_TIME_PASSES:
            yield "sleeps: use wait_until of tests.running, which comes back as soon as it can"
        if called in ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail") and not _reasoned(
            node, called
        ):
            yield f"{called} without a reason"
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        imported = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        if any("mock" in name.lower().split(".") for name in imported):
            yield "imports mock: tests have the real thing, or pytest-subprocess for programs a machine may lack"
    if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.mark.skip", "pytest.mark.xfail"):
        yield from _bare(node)
    if isinstance(node, ast.Assert) and isinstance(node.test, (ast.Constant, ast.Tuple)):
        yield "asserts what is always true"


def _bare(node: ast.Attribute) -> Iterator[str]:
    """A mark that is not called has no reason; `ast` knows no parents, so calls note theirs."""
    if not getattr(node, "is_called", False):
        yield f"{ast.unparse(node)} without a reason"


def _reasoned(call: ast.Call, called: str) -> bool:
    if isinstance(call.func, ast.Attribute):
        setattr(call.func, "is_called", True)  # noqa: B010 - a note for _bare, which sees the attribute later
    if any(keyword.arg == "reason" for keyword in call.keywords):
        return True
    return called != "pytest.mark.skipif" and bool(call.args)


def _judges(test: _Function) -> bool:
    """Return True if anything in *test*, or in a helper that is called for it, can fail it."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ("raises", "fail", "wait_until") or name.startswith(("assert_", "check_")):
                return True
    return False


def _looks_at_status_only(test: _Function) -> bool:
    """True where all asserts of *test* compare statuses, and nothing else is looked at."""
    asserts = [node for node in ast.walk(test) if isinstance(node, ast.Assert)]
    calls = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(test) if isinstance(node, ast.Call)}
    if not asserts or any(name.startswith(("assert_", "check_")) or name == "raises" for name in calls):
        return False
    return all(_is_status(node.test) for node in asserts)


def _is_status(test: ast.expr) -> bool:
    if not isinstance(test, ast.Compare):
        return False
    attributes = {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    return bool(attributes) and attributes <= {"status", "exit_code", "returncode"}


def main() -> int:
    """Print what is wrong with the tests; the exit status."""
    found = [finding for path in sorted(TESTS.rglob("*.py")) for finding in findings(path)]
    found += [finding for path in sorted(PACKAGE.rglob("*.py")) for finding in vague_names(path)]
    for finding in found:
        print(finding)  # noqa: T201 - this is a program
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
