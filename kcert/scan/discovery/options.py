"""What the options of a component name: certificates, keys, CAs, kubeconfigs, more configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.scan.components import FILE_OPTIONS, FileOption
from kcert.scan.discovery.collector import Collector, Draft, Named, exists
from kcert.scan.discovery.kubeconfigs import follow_kubeconfig
from kcert.scan.documents import NotADocumentError, documents
from kcert.scan.manifests import configured
from kcert.scan.result import Configuration, PublicKeyFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.scan.files import Inside
    from kcert.scan.units import Started


def follow_options(collector: Collector, started: Started, source: Path, on_host: Callable[[str], str] = str) -> None:
    """Take down all that the options of one component name; *on_host* gives the host's path for a container's."""
    known = FILE_OPTIONS[started.component]
    resolved: dict[str, Path] = {}
    named: list[tuple[str, FileOption, Path]] = []
    keys: dict[Path, Path] = {}
    for name, value in started.options:
        option = known.get(name)
        if option is None or not value:
            continue
        file, key = _pair(value) if option.holds == "certificate and key" else (value, "")
        path = collector.places.named(on_host(file), source)
        if path is None:
            continue
        resolved[name] = collector.shown(path, collector.opened(path))
        named.append((name, option, path))
        if key and (key_path := collector.places.named(on_host(key), source)):
            keys[path] = collector.shown(key_path, collector.opened(key_path))
    options = dict(started.options)
    node = options.get("--hostname-override") if started.component in ("kubelet", "kube-proxy") else None
    findings = collector.findings
    findings.configurations.append(Configuration(started.component, source, options, resolved, node))
    number = len(findings.configurations) - 1
    waiting_for_join = exists(resolved.get("--bootstrap-kubeconfig"))
    for name, option, path in named:
        if option.may_be_missing and not exists(path):
            continue
        if option.holds == "kubeconfig" and waiting_for_join and not exists(path):
            continue
        use = Named(name, option, path, source, started.component, number)
        _follow(collector, use, resolved.get(option.key or "") or keys.get(path), on_host)


def _pair(value: str) -> tuple[str, str]:
    """The two files of --tls-sni-cert-key, which may go on with the domains that they are for."""
    certificate, _, key = value.partition(":")[0].partition(",")
    return certificate, key


def _follow(collector: Collector, named: Named, key_path: Path | None, on_host: Callable[[str], str]) -> None:
    opened = collector.opened(named.path)
    collector.mark_named(opened)
    holds = named.option.holds
    if holds in ("kubeconfig", "webhook"):
        follow_kubeconfig(collector, named.path, named, on_host)
    elif holds == "configuration":
        _configuration(collector, named, opened, on_host)
    elif holds == "key":
        collector.key(collector.shown(named.path, opened), opened, named)
    elif holds == "public key" and not opened.certificates:
        _public_key(collector, named, opened)
    else:
        _certificates(collector, named, opened, key_path)


def _configuration(collector: Collector, named: Named, opened: Inside, on_host: Callable[[str], str]) -> None:
    if opened.trouble:
        collector.problem(named.path, opened.trouble.what, opened.trouble.reason, named, "configuration")
    elif opened.text is not None and not collector.seen(named.path, opened):
        follow_configuration(collector, named.path, opened.text, on_host)


def follow_configuration(collector: Collector, path: Path, content: bytes, on_host: Callable[[str], str] = str) -> None:
    """Take down what a component's configuration file names; *on_host* as in ``follow_options``."""
    try:
        parsed = documents(content)
    except NotADocumentError as error:
        collector.problem(path, "unreadable", str(error), None, "configuration")
        return
    for document in parsed:
        if component := configured(document):
            follow_options(collector, component, path, on_host)


def _public_key(collector: Collector, named: Named, opened: Inside) -> None:
    if opened.public_key is not None:
        key_file = PublicKeyFile(named.path, opened.public_key, named.source, named.name)
        collector.findings.public_keys.setdefault(named.path, key_file)
    elif opened.key is not None:
        collector.key(named.path, opened, named)
    if opened.faults or (opened.public_key is None and opened.key is None):
        what = opened.trouble.what if opened.trouble else "unreadable"
        collector.problem(named.path, what, opened.why_no_certificate, named, "key")


def _certificates(collector: Collector, named: Named, opened: Inside, key_path: Path | None) -> None:
    path, option = collector.shown(named.path, opened), named.option
    if not opened.certificates:
        collector.no_certificate(path, opened, named)
        return
    for fault in opened.faults:
        collector.problem(path, "unreadable", fault, named, "certificate")
    if key_path is not None:
        collector.key(key_path, collector.opened(key_path))
    node = None
    if named.configuration is not None:
        node = collector.findings.configurations[named.configuration].node
    for position, pem in enumerate(opened.certificates):
        leaf = position == 0 or option.holds == "authority"
        collector.add(
            Draft(
                pem,
                path,
                kind=option.kind if leaf else None,
                component=named.component,
                role=option.role if leaf else None,
                option=named.name,
                source=named.source,
                key_path=key_path if position == 0 else None,
                position=position,
                node=node,
                configuration=named.configuration,
            )
        )
