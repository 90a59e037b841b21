"""A context added to an existing kubeconfig, or renewed in it, by editing its text: all else stays byte for byte.

The YAML is only parsed: its marks tell where a list ends, and there the new entry goes in, in the list's own
style; or where an entry's content begins and ends, and there another takes its place. What comes out is read
again, and has to hold what was there and what is new, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kcert import plain_yaml
from kcert.errors import InputError
from kcert.files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
"""The three lists of a kubeconfig, and under which key an entry has its content."""

_SPOKEN_FOR = {
    "cluster": {"server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify"},
    "user": {
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "username",
        "password",
        "exec",
        "auth-provider",
    },
}
"""What a new certificate or CA makes void in a cluster or user that is renewed; what else is said there (proxy-url,
tls-server-name, as, extensions) is the user's own, and stays. See
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/."""

_KINDS = {list: "a list", dict: "a map", bool: "true or false", int: "a number", float: "a number", type(None): "null"}
"""What an entry's name can be by mistake, in words."""

_SETS = {"cluster": "set-cluster", "user": "set-credentials"}
"""Which of kubectl's commands changes an entry for every context that has it."""


@dataclass(frozen=True)
class Renewed:
    """A kubeconfig whose context is up to date, and which entries had to change: ``user kube-admin``."""

    content: bytes = field(repr=False)
    entries: tuple[str, ...]


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
    meant = {key: [*(before.get(key) or []), entry] for key, entry in entries.items() if entry}
    _prove(path, before | meant, after)
    return after.encode()


def has_context(path: Path, text: str, name: str) -> bool:
    """Whether *text*, the kubeconfig at *path*, has a context called *name*; raises InputError for no kubeconfig."""
    return any(one["name"] == name for one in _content(path, text).get("contexts") or [])


def renewed(path: Path, text: str, addition: bytes) -> Renewed:
    """*text*, the kubeconfig at *path*, whose context of the name that *addition* has is brought up to date.

    The context itself stays as it is; its user and its cluster get what they have in *addition*, where that
    differs. Raises InputError for a context of another user or another cluster, and where a user or cluster that
    would have to change is another context's as well.
    """
    before, new = _content(path, text), _plain(addition.decode())
    name = new["contexts"][0]["name"]
    context = _only(path, before, "contexts", name)
    after, meant, changed = text, dict(before), []
    for key, inside in (("clusters", "cluster"), ("users", "user")):
        called = _own_entry(path, context, inside, new[key][0]["name"])
        old = _only(path, before, key, called)
        content = _brought_up(old, inside, new[key][0][inside])
        if old and old.get(inside) == content:
            continue
        _check_unshared(path, before, name, inside, called)
        entry = {**(old or {"name": called}), inside: content}
        if old:
            place = before[key].index(old)
            after = _rewritten(path, after, key, place, entry[inside])
            meant[key] = [*before[key][:place], entry, *before[key][place + 1 :]]
        else:  # the context names what is not there
            after = _added(path, after, key, entry)
            meant[key] = [*(before.get(key) or []), entry]
        changed.append(f"{inside} {ascii(called)[1:-1]}")
    _prove(path, meant, after)
    return Renewed(after.encode(), tuple(changed))


def _only(path: Path, found: dict[str, Any], key: str, name: Any) -> dict[str, Any]:
    """The entry called *name* of the list *key*; empty where there is none."""
    entries: list[dict[str, Any]] = [one for one in found.get(key) or [] if one["name"] == name]
    if len(entries) > 1:
        raise InputError(f"{path} has {name!a} twice in {key}, which kubectl refuses. Correct it first.")
    return entries[0] if entries else {}


def _own_entry(path: Path, context: dict[str, Any], inside: str, name: str) -> str:
    """The name of the context's user or cluster: what kcert called it, or it is another's context."""
    content = context.get("context")
    called = content.get(inside) if isinstance(content, dict) else None
    if called not in (name, context["name"]):
        has = f"the {inside} {called!a}" if called else f"no {inside}"
        raise InputError(
            f"the context {context['name']} in {path} has {has}, not {name}: it is another's, and stays as it is. Give "
            "the new one another name with --context NAME."
        )
    return str(called)


def _brought_up(old: dict[str, Any], inside: str, new: dict[str, Any]) -> dict[str, Any]:
    there = old.get(inside)
    kept = there if isinstance(there, dict) else {}
    return {key: value for key, value in kept.items() if key not in _SPOKEN_FOR[inside]} | new


def _check_unshared(path: Path, found: dict[str, Any], name: str, inside: str, called: str) -> None:
    """Raise InputError where another context than *name* would change as well."""
    contexts = [(one["name"], one.get("context")) for one in found["contexts"] if one["name"] != name]
    others = [ascii(other)[1:-1] for other, one in contexts if isinstance(one, dict) and one.get(inside) == called]
    if others:
        raise InputError(
            f"in {path} the {inside} {ascii(called)[1:-1]} would have to change, and {', '.join(others)} has it as "
            "well: kcert does not change other contexts. --context NAME adds the new one under a name of its own; "
            f"`kubectl config {_SETS[inside]}` changes it for all of them."
        )


def _plain(text: str) -> Any:
    try:
        return plain_yaml.one(text)
    except plain_yaml.NotPlainError as error:
        raise InputError(f"it {error}.") from None


def _content(path: Path, text: str) -> dict[str, Any]:
    try:
        found = _plain(text)
    except InputError as error:
        raise InputError(f"{path} is no kubeconfig to merge into: {error}") from None
    if found is None:
        raise InputError(f"{path} is empty; --output {path} writes a new kubeconfig.")
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config" or "apiVersion" not in found:
        raise InputError(f"{path} is no kubeconfig: it has no `apiVersion: v1` and `kind: Config`.")
    for key in _LISTS:
        entries = found.get(key)
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(isinstance(one, dict) and "name" in one for one in entries):
            raise InputError(f"{path} is no kubeconfig: {key} is not a list of entries with names.")
        for place, one in enumerate(entries, 1):
            if not isinstance(one["name"], str):  # kubectl does not read most of these either
                what = _KINDS.get(type(one["name"]), "no text")
                raise InputError(
                    f"{path} is no kubeconfig to merge into: the name of entry {place} of {key} is {what}, and has to "
                    "be text. What looks like a number, a date or yes is text in quotes."
                )
    return found


def _entries(path: Path, before: dict[str, Any], new: dict[str, Any], *, named: bool) -> dict[str, dict[str, Any]]:
    """What is to be added to each list; nothing where it is there already."""
    context = new["contexts"][0]
    name = context["name"]
    if any(one["name"] == name for one in before.get("contexts") or []):
        raise InputError(
            f"{path} has a context called {name} already: --replace brings it up to date, and --context NAME gives the "
            "new one another name."
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

    root, value = _composed(path, text, key)
    newline = _newline(text)
    if value is None:
        return _new_list(path, text, root, key, entry).on(text)
    if not value.value or not isinstance(value, yaml.SequenceNode):  # null, [] or nothing at all
        begin, end = value.start_mark.index, value.end_mark.index
        return _Edit(begin, end, f"{_space(text, begin)}[{_flow(path, entry)}]").on(text)
    if value.flow_style:
        last = value.value[-1].end_mark.index
        return _Edit(last, last, f", {_flow(path, entry)}").on(text)
    indent = " " * value.start_mark.column
    return _after_block(text, value, f"{indent}- ", entry, newline).on(text)


def _composed(path: Path, text: str, key: str) -> tuple[yaml.MappingNode, yaml.Node | None]:
    """The kubeconfig as nodes that know where they are written, and the list called *key* in it."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise InputError(f"{path} is no kubeconfig: it goes too deep.") from None
    except yaml.YAMLError:  # what was put in for another list does not fit where it is
        raise _not_editable(path) from None
    assert isinstance(root, yaml.MappingNode)
    found = [value for name, value in root.value if name.value == key]
    if len(found) > 1:
        raise InputError(f"{path} has {key} twice: which of them kubectl reads is chance. Correct it first.")
    return root, found[0] if found else None


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _rewritten(path: Path, text: str, key: str, place: int, content: dict[str, Any]) -> str:
    """*text* with *content* inside the entry that is the list's *place*-th, counted from 0, in the entry's style."""
    import yaml

    _, listed = _composed(path, text, key)
    assert isinstance(listed, yaml.SequenceNode)
    entry = listed.value[place]
    values = [value for name, value in entry.value if name.value == _LISTS[key]]
    if not values:
        raise _not_editable(path)
    value = values[-1]
    begin = value.start_mark.index
    indent = text[text.rfind("\n", 0, begin) + 1 : begin]
    if value.flow_style or not isinstance(value, yaml.MappingNode) or indent.strip(" "):
        return _Edit(begin, _end_of(text, value), _space(text, begin) + _flow(path, content)).on(text)
    return _Edit(begin, _end_of(text, value), f"{_newline(text)}{indent}".join(_lines("", content))).on(text)


def _new_list(path: Path, text: str, root: yaml.MappingNode, key: str, entry: dict[str, Any]) -> _Edit:
    if root.flow_style:
        end = root.value[-1][1].end_mark.index  # a comma may follow
        return _Edit(end, end, f', "{key}": [{_flow(path, entry)}]')
    # Not where the map's own mark is: that lies behind comments, and behind a `...` that ends the document.
    end = _line_end(text, _end_of(text, root))
    newline = _newline(text)
    begin = "" if text[end - 1] == "\n" else newline
    indent = " " * root.value[0][0].start_mark.column
    lines = [f"{indent}{key}:", *_lines(f"{indent}- ", entry)]
    return _Edit(end, end, begin + newline.join(lines) + newline)


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
    return end - len("\r\n") if text[:end].endswith("\r\n") else end - text.endswith("\n", 0, end)


def _line_end(text: str, position: int) -> int:
    """The position behind the line break that ends the line of *position*."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _space(text: str, position: int) -> str:
    """What has to stand before a value at *position*: a blank behind a colon that has none."""
    return " " if text[position - 1] == ":" else ""


def _flow(path: Path, value: dict[str, Any]) -> str:
    """*value* on one line, as JSON, which is YAML as well."""
    try:
        return json.dumps(value)
    except TypeError:  # what YAML has and JSON has not: dates, sets
        raise _not_editable(path) from None


def _lines(dash: str, entry: dict[str, Any]) -> list[str]:
    """An entry of a block list, as kubectl writes it: content first, name last."""
    import yaml

    dumped: str = yaml.safe_dump(entry, default_flow_style=False, width=1_000_000)
    lines = dumped.splitlines()
    return [dash + lines[0], *(" " * len(dash) + line for line in lines[1:])]


def _prove(path: Path, meant: dict[str, Any], after: str) -> None:
    """What was written has to be what was *meant*: all that was there, and what is new."""
    try:
        right = _plain(after) == meant
    except (InputError, ValueError):
        right = False
    if not right:
        raise _not_editable(path)


def _not_editable(path: Path) -> InputError:
    return InputError(
        f"{path} is written in a way that kcert cannot edit without changing the rest. Write a file of its own with "
        "--output; kubectl reads both with KUBECONFIG=FILE:FILE."
    )
