"""Modules import what is below them: nothing in kcert goes round in a circle, late imports counted."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


def modules() -> dict[str, Path]:
    """The file of each module of kcert by its dotted name."""
    paths = (ROOT / "kcert").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from running(node)


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    found = set()
    for node in running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            inside = {f"{node.module}.{one.name}" for one in node.names}
            found |= (inside & set(known)) or {node.module}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names} & set(known)
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules()
    graph = {name: imported(path, known) - {name} for name, path in known.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert order.index("kcert.errors") < order.index("kcert.cli")
    assert set(order) == set(known)
