"""YAML of foreign origin, read into plain values and nothing else.

PyYAML's safe loader builds more than Kubernetes has (dates, sets, pairs), and what it makes them with raises whatever
comes up: a KeyError for ``!!bool zz``, an AttributeError for ``!!timestamp abc``, an IndexError for ``!!float ""``.
Here it is maps, lists, text, numbers, true, false and null, or a NotPlainError. A module that may have no text to read
imports this one late: PyYAML takes its time.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

DEEPEST = 50
"""Levels. Nothing that Kubernetes or kcert reads needs a fifth of it; the C loader recurses, and too deep kills the
process."""

MOST = 1000
"""Documents in one file."""

LARGEST = 100_000
"""Values in a document with aliases, each counted as often as it is written out; 100 characters count as one more."""

_TOO_DEEP = f"is nested more than {DEEPEST} levels deep"

_TAG = "tag:yaml.org,2002:"
_PLAIN = ("map", "seq", "str", "int", "float", "bool", "null")
_CONSTRUCTORS_RAISE = (RecursionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class NotPlainError(Exception):
    """The text is not plain YAML; the message is a clause that can follow the file's name.

    ``line`` is where, counted from 1 (None: that is not known), and ``problem`` what PyYAML has against it.
    """

    def __init__(self, clause: str, line: int | None = None, problem: str = "") -> None:
        super().__init__(clause)
        self.line = line
        self.problem = problem


class TooDeepError(NotPlainError):
    """The text is nested more than DEEPEST levels deep."""


class AliasError(NotPlainError):
    """The text has aliases (``*name``), a few lines of which can expand to gigabytes."""


_OTHER_IN_GO = re.compile(
    r"[yYnN]|[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?0[xob][0-9a-f_]+", re.IGNORECASE
)
"""Text that Kubernetes reads as a number or a boolean where it is not quoted, and PyYAML would not always quote:
12e456 is a number in Go's YAML."""


def dump(content: Any) -> str:
    """Return *content* as YAML in which Kubernetes finds the same values; keys keep their order, lines their length."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar(f"{_TAG}str", value, "'" if _OTHER_IN_GO.fullmatch(value) else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(content, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=2**31))


def load_all(text: str | bytes, *, aliases: bool = False) -> list[Any]:
    """Return the value of each document of *text*; with *aliases* those are followed, and share what they stand for.

    Raises NotPlainError, and AliasError.
    """
    with _checked(text, aliases=aliases):
        return list(yaml.load_all(text, Loader=_plain_loader()))


def load(text: str | bytes, *, aliases: bool = False) -> Any:
    """Return the value of the only document of *text*, None if it is empty; with *aliases* those are followed.

    Raises NotPlainError, also where there are several documents, AliasError, and TooDeepError: the value can be walked
    and dumped.
    """
    with _checked(text, aliases=aliases):
        value = yaml.load(text, Loader=_plain_loader())  # noqa: S506 - a safe loader
        if aliases:
            _check_written_out(value)
        return value


def compose(text: str | bytes) -> yaml.Node | None:
    """Return the only document of *text* as nodes, with their lines and with their tags as YAML 1.1 has them.

    Aliases are followed. Raises NotPlainError, TooDeepError among them.
    """
    with _checked(text, aliases=True):
        node: yaml.Node | None = yaml.compose(text, Loader=_loader())
        return node


def check_unique_keys(text: str | bytes) -> None:
    """Raise NotPlainError if the only document of *text* has a key twice: of two, each program may read another."""
    nodes = [compose(text)]
    checked = set()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in checked:  # an alias leads to the same node again
            continue
        checked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            nodes += [value for _, value in node.value]
            names = set()
            for key, _ in node.value:
                if (name := str(key.value)) in names:
                    line = key.start_mark.line + 1
                    raise NotPlainError(f"has the key {name!a} twice (line {line})", line)
                names.add(name)


def _check_events(text: str | bytes, *, aliases: bool) -> None:
    """Check before anything is built, event by event: neither depth nor aliases may cost memory."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            raise AliasError("uses YAML aliases, which kcert does not follow: write the values out")
        count += isinstance(event, yaml.DocumentStartEvent)
        if count > MOST:
            raise NotPlainError(f"holds more than {MOST} documents")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise TooDeepError(_TOO_DEEP)


def _check_written_out(value: object) -> None:
    """Check what a value comes to where everything that aliases share, or that contains itself, is written out."""
    waiting, size = [(value, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        size += 1 + (len(value) // 100 if isinstance(value, str) else 0)
        if size > LARGEST:
            raise AliasError(f"stands for more than {LARGEST} values once its aliases are followed")
        if depth > DEEPEST:
            raise TooDeepError(_TOO_DEEP)
        inside = (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(part, depth + 1) for part in inside]


@contextlib.contextmanager
def _checked(text: str | bytes, *, aliases: bool) -> Iterator[None]:
    """Check *text*, and raise NotPlainError in place of all that PyYAML and its constructors raise in the block."""
    try:
        _check_events(text, aliases=aliases)
        yield
    except (yaml.YAMLError, *_CONSTRUCTORS_RAISE) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        where = f" (line {line})" if line else ""
        problem = getattr(error, "problem", None) or ascii(str(error).partition("\n")[0])
        raise NotPlainError(f"is not valid YAML{where}", line, problem) from None


def _loader() -> type[yaml.SafeLoader]:
    """PyYAML's safe loader: the one in C, which is some ten times as fast, if PyYAML was built with it."""
    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


@cache
def _plain_loader() -> type[yaml.SafeLoader]:
    """The safe loader with what builds plain values; any other tag is an error.

    Times that no tag marks are text, as they are for Kubernetes.
    """

    class Loader(_loader()):  # type: ignore[misc]  # found out when it runs
        """Maps, lists and scalars."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    constructors = yaml.SafeLoader.yaml_constructors
    Loader.yaml_constructors = {
        None: constructors[None],  # for every other tag: it raises the error that names it
        **{f"{_TAG}{kind}": constructors[f"{_TAG}{kind}"] for kind in _PLAIN},
        f"{_TAG}binary": constructors[f"{_TAG}str"],  # old writers of Kubernetes objects have it; its base64 will do
    }
    return Loader
