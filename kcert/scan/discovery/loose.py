"""Files of which no option spoke: what their place, their name and their content tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.scan import layouts
from kcert.scan.discovery.collector import Collector, Draft, exists
from kcert.scan.discovery.kubeconfigs import follow_kubeconfig
from kcert.scan.result import PublicKeyFile

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.scan.files import Inside

CERTIFICATE_ENDINGS = frozenset({".crt", ".cer", ".cert", ".pem"})
CONFIGURATION_ENDINGS = frozenset({".conf", ".kubeconfig", ".yaml", ".yml", ".service"})
"""Of kubeconfigs, manifests, components' own configuration, and units."""


def take(collector: Collector, loose: list[Path], *, given: bool = False) -> None:
    """Take files down; one that was *given* on the command line must hold something.

    Nothing uses the copy of a file as it was before; but a key in it is still a key.
    """
    if not given:
        loose = _without_copies(collector, loose)
    kubeconfigs: list[Path] = []
    rest: dict[Path, Inside] = {}
    for path in loose:
        opened = collector.opened(path)
        if opened.text is not None:
            kubeconfigs.append(path)
        else:
            rest[path] = opened
    for path in kubeconfigs:
        follow_kubeconfig(collector, path)
    beside: dict[Path, set[str]] = {}
    for path, opened in rest.items():
        if opened.certificates or opened.key:
            beside.setdefault(path.parent, set()).add(path.stem)
    for folder, names in beside.items():
        around = {file.stem for file in folder.iterdir()} if given else names
        collector.findings.neighbours[folder] = layouts.TELLING & around
    for path, opened in rest.items():
        _take_one(collector, path, opened, rest, given=given)


def _without_copies(collector: Collector, loose: list[Path]) -> list[Path]:
    names: dict[Path, set[str]] = {}
    for path in loose:
        names.setdefault(path.parent, set()).add(path.name)
    kept = []
    for path in loose:
        if not layouts.is_copy(path, names[path.parent]):
            kept.append(path)
        elif (opened := collector.opened(path)).key is not None:
            collector.key(collector.shown(path, opened), opened)
    return kept


def _take_one(collector: Collector, path: Path, opened: Inside, others: dict[Path, Inside], *, given: bool) -> None:
    named_before = collector.is_named(opened)
    collector.key(collector.shown(path, opened), opened)
    if opened.certificates and (given or not named_before):
        collector.mark_named(opened)
        key_path = _key_beside(collector, path, others, given=given)
        for position, pem in enumerate(opened.certificates):
            collector.add(Draft(pem, path, key_path=key_path if position == 0 else None, position=position))
    if opened.public_key is not None and not named_before:
        collector.findings.public_keys.setdefault(path, PublicKeyFile(path, opened.public_key))
    expected = path.suffix.lower() in CERTIFICATE_ENDINGS or path.suffix == ".key" or given
    expected = expected or (path.suffix == ".pub" and bool(opened.faults))
    if expected and not named_before:
        _complain(collector, path, opened)
    elif opened.trouble and opened.trouble.what == "denied" and path.suffix in CONFIGURATION_ENDINGS:
        # What is in it is not known: a user who may not read it must not be told that all is well.
        collector.problem(path, opened.trouble.what, opened.trouble.reason, None, "configuration")


def _complain(collector: Collector, path: Path, opened: Inside) -> None:
    if not (opened.trouble or opened.faults) and (opened.labels or opened.certificates):
        return
    is_key = path.suffix in (".key", ".pub") or path.stem.endswith("-key")
    what = opened.trouble.what if opened.trouble else "unreadable"
    reason = opened.why_no_certificate
    if is_key and not (opened.trouble or opened.faults or opened.nothing):
        reason = "is not PEM: no line in it begins a key"
    collector.problem(path, what, reason, None, "key" if is_key else "certificate")


def _key_beside(collector: Collector, path: Path, others: dict[Path, Inside], *, given: bool) -> Path | None:
    for candidate in layouts.key_names(path):
        opened = others.get(candidate)
        if opened is None and given and exists(candidate):
            opened = collector.opened(candidate)
            collector.key(candidate, opened)
        if opened is not None and opened.key is not None:
            return collector.shown(candidate, opened)
    return None
