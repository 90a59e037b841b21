"""A context added to an existing kubeconfig by editing its text, so that all else in it stays byte for byte.

The YAML is only parsed: its marks tell where a list ends, and there the new entry goes in, in the list's own
style. What comes out is read again, and has to hold what was there and the new entries, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kcert.errors import InputError
from kcert.files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
"""The three lists of a kubeconfig, and under which key an entry has its content."""


def same(one: bytes, other: bytes) -> bool:
    """True where two kubeconfigs hold the same, however they are written."""
    if one == other:
        return True
    try:
        return bool(_plain(one.decode()) == _plain(other.decode()))
    except (ValueError, InputError):
        return False


def read(path: Path) -> str:
    """The text of the kubeconfig at *path*; raises InputError for what cannot be one."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; the kubeconfig to merge into has to be a file.")
        return read_regular(path).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} is not there; --output {path} writes a new kubeconfig.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no kubeconfig: it is not text in UTF-8.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def merged(path: Path, text: str, addition: bytes, *, named: bool) -> bytes:
    """*text*, the kubeconfig at *path*, with the cluster, user and context of the kubeconfig *addition*.

    A cluster or user that is there with the same content is used; where another has its name, the new one is
    called after the context, if the user *named* that. Raises InputError for what is no kubeconfig, and where
    the context is there already.
    """
    before, new = _content(path, text), _plain(addition.decode())
    entries = _entries(path, before, new, named=named)
    after = text
    for key in sorted(entries):
        if entries[key]:
            after = _added(path, after, key, entries[key])
    _prove(path, before, after, entries)
    return after.encode()


def _plain(text: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise InputError("a kubeconfig with aliases (*name) is not read.")
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"it is not YAML{line}.") from None


def _content(path: Path, text: str) -> dict[str, Any]:
    try:
        found = _plain(text)
    except (InputError, ValueError) as error:
        raise InputError(f"{path} is no kubeconfig to merge into: {error}") from None
    if found is None:
        raise InputError(f"{path} is empty; --output {path} writes a new kubeconfig.")
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config" or "apiVersion" not in found:
        raise InputError(f"{path} is no kubeconfig: it has no `apiVersion: v1` and `kind: Config`.")
    for key in _LISTS:
        entries = found.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(one, dict) and "name" in one for one in entries):
            raise InputError(f"{path} is no kubeconfig: {key} is not a list of entries with names.")
    return found


def _entries(path: Path, before: dict[str, Any], new: dict[str, Any], *, named: bool) -> dict[str, dict[str, Any]]:
    """What is to be added to each list; nothing where it is there already."""
    context = new["contexts"][0]
    name = context["name"]
    if any(one["name"] == name for one in before.get("contexts") or []):
        raise InputError(
            f"{path} has a context called {name} already, and kcert does not change it: give the new one another name "
            "with --context NAME."
        )
    entries: dict[str, dict[str, Any]] = {}
    for key, inside in (("clusters", "cluster"), ("users", "user")):
        entry = new[key][0]
        there = {one["name"]: one.get(inside) for one in before.get(key) or []}
        if there.get(entry["name"], entry[inside]) != entry[inside]:
            if not named or name in there:
                raise InputError(
                    f"{path} has another {inside} called {entry['name']}; with --context NAME the new one is called "
                    "NAME."
                )
            entry = {**entry, "name": name}
        context["context"][inside] = entry["name"]
        entries[key] = {} if entry["name"] in there else entry
    entries["contexts"] = context
    return entries


@dataclass(frozen=True)
class _Edit:
    """*text* in the place of what lies between two positions of a file."""

    begin: int
    end: int
    text: str

    def on(self, content: str) -> str:
        return content[: self.begin] + self.text + content[self.end :]


def _added(path: Path, text: str, key: str, entry: dict[str, Any]) -> str:
    """*text* with *entry* at the end of the list called *key*."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise InputError(f"{path} is no kubeconfig: it goes too deep.") from None
    assert isinstance(root, yaml.MappingNode)
    found = [value for name, value in root.value if name.value == key]
    if len(found) > 1:
        raise InputError(f"{path} has {key} twice: which of them kubectl reads is chance. Correct it first.")
    newline = "\r\n" if "\r\n" in text else "\n"
    if not found:
        return _new_list(text, root, key, entry, newline).on(text)
    value = found[0]
    if not value.value or not isinstance(value, yaml.SequenceNode):  # null, [] or nothing at all
        begin, end = value.start_mark.index, value.end_mark.index
        return _Edit(begin, end, f" [{json.dumps(entry)}]" if text[begin - 1] == ":" else f"[{json.dumps(entry)}]").on(
            text
        )
    if value.flow_style:
        last = value.value[-1].end_mark.index
        return _Edit(last, last, f", {json.dumps(entry)}").on(text)
    indent = " " * value.start_mark.column
    return _after_block(text, value, f"{indent}- ", entry, newline).on(text)


def _new_list(text: str, root: yaml.MappingNode, key: str, entry: dict[str, Any], newline: str) -> _Edit:
    if root.flow_style:
        end = root.end_mark.index - 1
        return _Edit(end, end, f", {json.dumps(key)}: [{json.dumps(entry)}]")
    last = root.value[-1][1]
    end = _line_end(text, last.end_mark.index)
    begin = "" if not end or text[end - 1] == "\n" else newline
    return _Edit(end, end, begin + newline.join([f"{key}:", *_lines("- ", entry)]) + newline)


def _after_block(text: str, value: yaml.SequenceNode, dash: str, entry: dict[str, Any], newline: str) -> _Edit:
    """Behind the last line of the list's last entry: what follows (comments, the next key) stays behind it."""
    end = _line_end(text, _end_of(text, value.value[-1]))
    begin = "" if text[end - 1] == "\n" else newline
    return _Edit(end, end, begin + newline.join(_lines(dash, entry)) + newline)


def _end_of(text: str, node: yaml.Node) -> int:
    """Where what is written of *node* ends: a block's own mark lies at the next token, behind any comments."""
    import yaml

    while isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = node.end_mark.index
    # A block scalar's mark lies behind its last line break.
    return end - 1 if end and text[end - 1] == "\n" else end


def _line_end(text: str, position: int) -> int:
    """The position behind the line break that ends the line of *position*."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _lines(dash: str, entry: dict[str, Any]) -> list[str]:
    """An entry of a block list, as kubectl writes it: content first, name last."""
    import yaml

    ordered = {key: entry[key] for key in sorted(entry)}
    dumped: str = yaml.safe_dump(ordered, default_flow_style=False, width=1_000_000)
    lines = dumped.splitlines()
    return [dash + lines[0], *(" " * len(dash) + line for line in lines[1:])]


def _prove(path: Path, before: dict[str, Any], after: str, entries: dict[str, dict[str, Any]]) -> None:
    """What was written has to be what was meant: all that was there, and the new entries."""
    meant = dict(before)
    for key, entry in entries.items():
        if entry:
            meant[key] = [*(before.get(key) or []), entry]
    try:
        right = _plain(after) == meant
    except InputError:
        right = False
    if not right:
        raise InputError(
            f"{path} is written in a way that kcert cannot add to without changing the rest. Write a file of its own "
            "with --output; kubectl reads both with KUBECONFIG=FILE:FILE."
        )
