"""A kubeconfig with one more context, or with one brought up to date, changed as ``kubectl config`` does it.

The whole file is read, changed and rewritten: comments and layout go, values stay. The caller holds
kubectl's lock, so that one program at a time changes the file, and keeps a copy of the file before.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from kcert import plain_yaml
from kcert.durations import in_words
from kcert.errors import InputError, MachineError
from kcert.files import defer_signals, read_regular
from kcert.quoting import quote

_REPLACED_FIELDS = {
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
"""The fields of a cluster or user that a new CA or certificate makes void. All others (proxy-url, tls-server-name, as,
extensions) are the user's own and stay. See https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/."""


def same(key: bytes, other: bytes) -> bool:
    """Return True if two kubeconfigs have the same values, however they are written."""
    try:
        return key == other or bool(plain_yaml.load(key) == plain_yaml.load(other))
    except plain_yaml.NotPlainError:
        return False


def merge(path: Path, content: bytes, addition: bytes, *, replace: bool) -> tuple[bytes, tuple[str, ...] | None]:
    """Add the context of the kubeconfig *addition*, with its cluster and user, to *content*, the kubeconfig at *path*.

    Return the new content, and which entries were updated (``user kube-admin``): None if the context is new. An entry
    of the same name and content is reused; where another has its name, the new one is called like the context. With
    *replace* a context of that name is brought up to date instead: its user and its cluster get what they have in
    *addition*. Raises InputError for content that is not a kubeconfig, and if another context would change as well.
    Also for a context that exists (without *replace*) or belongs to another user or cluster.
    """
    new = plain_yaml.load(addition)
    if not content.strip():
        return addition, None
    before = _parsed(path, content)
    context = _entry(path, before, "contexts", new["contexts"][0]["name"])
    if context is None:
        return plain_yaml.dump(_with_context(path, before, new)).encode(), None
    name = context["name"]
    if not replace:
        raise InputError(
            f"{path} has a context called {name} already: --replace updates it, and --context NAME gives the new one "
            f"another name."
        )
    after, updated = dict(before), list[str]()
    for kind, replaced in _REPLACED_FIELDS.items():
        key = f"{kind}s"
        called = _own_entry(path, context, kind, new[key][0]["name"])
        old = _entry(path, before, key, called)
        values = (old or {}).get(kind)
        kept: dict[str, Any] = values if isinstance(values, dict) else {}
        value = {field: kept[field] for field in kept if field not in replaced} | new[key][0][kind]
        if old and old.get(kind) == value:
            continue
        _check_unshared(path, before, name, kind, called)
        entry = {**(old or {"name": called}), kind: value}
        entries = before.get(key) or []
        after[key] = [entry if named is old else named for named in entries] if old else [*entries, entry]
        updated.append(f"{kind} {ascii(called)[1:-1]}")
    return plain_yaml.dump(after).encode() if updated else content, tuple(updated)


def _with_context(path: Path, before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return *before* with the entries of *new* at the end of its lists."""
    name = new["contexts"][0]["name"]
    after, names = dict(before), {}
    for kind in _REPLACED_FIELDS:
        key = f"{kind}s"
        entry, entries = new[key][0], before.get(key) or []
        existing = {named["name"]: named.get(kind) for named in entries}
        if existing.get(entry["name"], entry[kind]) != entry[kind]:
            entry = {**entry, "name": name}
            if name in existing:
                raise InputError(f"{path} has another {kind} called {name}. Specify the context with --context NAME.")
        names[kind] = entry["name"]
        if entry["name"] not in existing:
            after[key] = [*entries, entry]
    after["contexts"] = [*(before.get("contexts") or []), {"context": names, "name": name}]
    return after


def _entry(path: Path, config: dict[str, Any], key: str, name: str) -> dict[str, Any] | None:
    """Return the entry called *name* of the list *key*, None if there is none."""
    entries: list[dict[str, Any]] = [entry for entry in config.get(key) or [] if entry["name"] == name]
    if len(entries) > 1:
        raise InputError(f"{path} has {name!a} twice in {key}, which kubectl rejects. Correct this first.")
    return entries[0] if entries else None


def _own_entry(path: Path, context: dict[str, Any], kind: str, name: str) -> str:
    """Return the name of the context's user or cluster; raises InputError if it is not the one that kcert made."""
    content = context.get("context")
    called = content.get(kind) if isinstance(content, dict) else None
    if called not in (name, context["name"]):
        has = f"the {kind} {called!a}" if called else f"no {kind}"
        raise InputError(
            f"the context {context['name']} in {path} has {has}, not {name}: it belongs to something else and is not "
            f"changed. Give the new one another name with --context NAME."
        )
    return str(called)


def _check_unshared(path: Path, config: dict[str, Any], name: str, kind: str, called: str) -> None:
    """Raise InputError where a context other than *name* would change as well."""
    contexts = [(entry["name"], entry.get("context")) for entry in config["contexts"] if entry["name"] != name]
    others = [
        ascii(other)[1:-1] for other, context in contexts if isinstance(context, dict) and context.get(kind) == called
    ]
    if others:
        command = "set-cluster" if kind == "cluster" else "set-credentials"
        raise InputError(
            f"in {path} the {kind} {ascii(called)[1:-1]} would have to change, and {', '.join(others)} has it as well: "
            "kcert does not change other contexts. --context NAME adds the new one under its own name; `kubectl "
            f"config {command}` changes it for all of them."
        )


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    """Return the kubeconfig *content* as plain values; raises InputError for anything that kubectl does not read."""
    try:
        plain_yaml.check_unique_keys(content)
        config = plain_yaml.load(content, aliases=True)
    except plain_yaml.NotPlainError as error:
        raise InputError(f"{path} is not a kubeconfig: it {error}.") from None
    if not isinstance(config, dict) or config.get("kind", "Config") != "Config" or "apiVersion" not in config:
        raise InputError(f"{path} is not a kubeconfig: it has no `apiVersion: v1` and `kind: Config`.")
    for key in ("clusters", "contexts", "users"):
        entries = config.get(key)
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(isinstance(named, dict) and "name" in named for named in entries):
            raise InputError(f"{path} is not a kubeconfig: {key} is not a list of entries with names.")
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry["name"], str):  # kubectl does not read most of these either
                raise InputError(
                    f"{path} is not a kubeconfig: the name of entry {number} of {key} is not text. Put a name that "
                    f"looks like a number, a date or yes in quotes."
                )
    return config


PATIENCE = 10.0
"""Seconds to wait for a lock: a program that changes a kubeconfig holds it for a fraction of one."""

PAUSE = 0.05
"""Seconds between two attempts."""


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[Path, str], None]) -> Iterator[None]:
    """Hold the lock of the kubeconfig *path* for the block; Ctrl-C and SIGTERM wait for its end.

    The lock is ``FILE.lock``, there or not there, as client-go's ModifyConfig has it (tools/clientcmd/loader.go,
    lockFile): kubectl refuses to write while it is there. Where *path* is a link, its target is locked as well.
    *on_wait* is called once, with the lock and who holds it, where another program does; MachineError after PATIENCE
    seconds of that.
    """
    # Two names of one file are one lock, called as the user called it.
    target, named = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)
    files = {_lock_of(target): _lock_of(target), _lock_of(named): _lock_of(path)}
    deadline, waiting = time.monotonic() + PATIENCE, False
    while True:
        with defer_signals():
            if (held := _take(path, files)) is None:
                try:
                    yield
                finally:
                    _release(files)
                return
        if lock := _holder(held):
            holder, age = lock
            if time.monotonic() >= deadline:
                raise MachineError(
                    f"{path} was not changed: {files[held]} says that {holder} is changing it, and has been there for "
                    f"{in_words(age)}. A program that was killed leaves the lock behind. If no program is using the "
                    f"file, delete the lock with `rm -f {quote(str(files[held]))}`, which kubectl needs as well, and "
                    "run this again."
                )
            if not waiting:
                on_wait(files[held], holder)
                waiting = True
        time.sleep(PAUSE)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _take(path: Path, files: Iterable[Path]) -> Path | None:
    """Create all of *files* and return None, or none of them, and return the one that is there already."""
    made: list[Path] = []
    try:
        for file in files:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(f"kcert, process {os.getpid()}\n".encode())
    except FileExistsError:
        _release(made)
        return file
    except OSError as error:
        _release(made)
        raise MachineError(
            f"{path} cannot be locked, as kubectl and kcert do before they change it: {file}: {error.strerror}. "
            "Nothing was changed."
        ) from None
    return None


def _release(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _holder(file: Path) -> tuple[str, timedelta] | None:
    """Return who holds the lock *file*, and since when; None if it has just gone."""
    try:
        seconds = max(0, int(time.time() - file.lstat().st_mtime))
    except OSError:
        return None
    try:
        written = re.fullmatch(rb"kcert, process (\d{1,9})\n", read_regular(file))
    except OSError:  # kubectl creates it with mode 0
        written = None
    holder = f"kcert (process {int(written[1])})" if written else "kubectl or another program"
    unit = next((unit for unit in (86400, 3600, 60) if seconds >= unit), 1)
    return holder, timedelta(seconds=seconds // unit * unit)
