"""The certificates in files: those that options name, objects of the API, and files that no option names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kcert.certificates import Kind
from kcert.openssl.pem import pem_blocks
from kcert.scan import Configuration, KeyFile, PublicKeyFile, layouts
from kcert.scan.discovery.collector import Collector, Named, follow_kubeconfig
from kcert.scan.documents import NotADocumentError, contexts_in, documents, from_base64, list_at, text_at, value_at
from kcert.scan.files import Inside, embedded, inside
from kcert.scan.fs import Content, lexists
from kcert.scan.layouts import FILE_OPTIONS, FileOption
from kcert.scan.units import Started, configured


def follow_options(collector: Collector, started: Started, source: Path) -> None:
    """Take down all that the options of one component name."""
    known = FILE_OPTIONS[started.component]
    resolved: dict[str, Path] = {}
    named: list[tuple[str, FileOption, Path, Path | None]] = []
    for name, value in started.options:
        option = known.get(name)
        if option is None or not value:
            continue
        file, key = value, ""
        if option.holds == "certificate and key":  # which may go on with the domains that they are for
            file, _, key = value.partition(":")[0].partition(",")
        path = collector.places.named(started.on_host(file), source)
        if path is None:
            continue
        resolved[name] = collector.shown(path)
        key_path = collector.places.named(started.on_host(key), source) if key else None
        named.append((name, option, path, collector.shown(key_path) if key_path else None))
    options = dict(started.options)
    node = options.get("--hostname-override") if started.component in ("kubelet", "kube-proxy") else None
    if node and not re.fullmatch(r"[A-Za-z0-9.-]+", node):
        node = None  # a variable of a shell, of systemd or of a pod
    configuration = Configuration(started.component, source, options, resolved, node, started.incomplete)
    collector.findings.configurations.append(configuration)
    bootstrap = resolved.get("--bootstrap-kubeconfig")
    waiting_for_join = bootstrap is not None and lexists(bootstrap)
    for name, option, path, own_key in named:
        may_be_missing = option.may_be_missing or (option.holds == "kubeconfig" and waiting_for_join)
        if may_be_missing and not lexists(path):
            continue
        use = Named(name, source, started.component, node, configuration, started)
        _follow(collector, path, option, use, resolved.get(option.key or "") or own_key)


def _follow(collector: Collector, path: Path, option: FileOption, named: Named, key_path: Path | None) -> None:
    opened = collector.opened(path)
    collector.taken.add(opened.identity)
    if option.holds in ("kubeconfig", "webhook"):
        follow_kubeconfig(collector, path, named, is_webhook=option.holds == "webhook")
    elif option.holds == "configuration":
        if opened.trouble:
            collector.unfit(path, opened, "configuration", named)
        elif opened.text is not None and not collector.seen(path):
            _configuration(collector, path, opened.text, named.started)
    elif option.holds == "key":
        collector.key(collector.shown(path), opened, named)
    elif option.holds == "public key":
        _verifying_keys(collector, path, option, named)
    else:
        _certificates(collector, path, option, named, key_path)


def _verifying_keys(collector: Collector, path: Path, option: FileOption, named: Named) -> None:
    """Take down a file of keys, bare ones or in certificates; of a private key its public part verifies."""
    opened = collector.opened(path)
    if keys := (opened.public_key or b"") + (opened.key or b""):
        collector.findings.public_keys.setdefault(path, PublicKeyFile(path, keys, named.source, named.name))
    if opened.certificates:
        _certificates(collector, path, option, named, None)
        return
    if opened.public_key is None and opened.key is not None:
        collector.key(path, opened, named)
    if opened.faults or not keys:
        collector.unfit(path, opened, "key", named)


def _configuration(collector: Collector, path: Path, content: bytes, started: Started | None) -> None:
    """Take down what the configuration file of a component names, which *started* names."""
    try:
        parsed = documents(content)
    except NotADocumentError as error:
        collector.problem(path, "unreadable", str(error), "configuration")
        return
    for document in parsed:
        if component := configured(document):
            follow_options(collector, replace(component, mounts=started.mounts if started else ()), path)


def _certificates(collector: Collector, path: Path, option: FileOption, named: Named, key_path: Path | None) -> None:
    opened, path = collector.opened(path), collector.shown(path)
    if not opened.certificates:
        collector.unfit(path, opened, "certificate", named)
        return
    for fault in opened.faults:
        collector.problem(path, "unreadable", fault, "certificate", named)
    if key_path is not None:
        collector.key(key_path, collector.opened(key_path))
    for position, pem in enumerate(opened.certificates):
        kind, role = (option.kind, option.role) if position == 0 or option.holds == "authority" else (None, None)
        collector.add(pem, path, kind, named, role=role, key=None if position else key_path, position=position)


CERTIFICATE_ENDINGS = frozenset({".crt", ".cer", ".cert", ".pem"})
CONFIGURATION_ENDINGS = frozenset({".conf", ".kubeconfig", ".yaml", ".yml", ".service"})
"""Of kubeconfigs, manifests, components' own configuration, and units."""


def take(collector: Collector, loose: list[Path], *, given: bool = False) -> None:
    """Take files down; one that was *given* on the command line must hold something.

    Nothing uses the copy of a file as it was before; but a key in it is still a key.
    """
    if not given:
        loose = _without_copies(collector, loose)
    contents = {path: collector.opened(path) for path in loose}
    for path, content in contents.items():
        if content.text is not None:
            follow_kubeconfig(collector, path)
    rest = {path: content for path, content in contents.items() if content.text is None}
    beside: dict[Path, set[str]] = {}
    for path, content in rest.items():
        if content.certificates or content.key:
            beside.setdefault(path.parent, set()).add(path.stem)
    for folder, names in beside.items():
        around = {file.stem for file in folder.iterdir()} if given else names
        collector.findings.neighbours[folder] = layouts.TELLING & around
    with_keys = {path: content for path, content in rest.items() if content.key is not None}
    for path, content in rest.items():
        _take_one(collector, path, content, with_keys, given=given)


def _without_copies(collector: Collector, loose: list[Path]) -> list[Path]:
    kept, paths = [], set(loose)
    for path in loose:
        if not layouts.is_copy(path, paths):
            kept.append(path)
        elif (opened := collector.opened(path)).key is not None:
            collector.key(collector.shown(path), opened)
    return kept


def _take_one(collector: Collector, path: Path, opened: Inside, with_keys: dict[Path, Inside], *, given: bool) -> None:
    named_before = opened.identity in collector.taken and opened.trouble is None
    collector.key(collector.shown(path), opened)
    if opened.certificates and (given or not named_before):
        collector.taken.add(opened.identity)
        key_path = _key_beside(collector, path, with_keys, given=given) if with_keys or given else None
        for position, pem in enumerate(opened.certificates):
            collector.add(pem, path, key=None if position else key_path, position=position)
    if opened.public_key is not None and not named_before:
        collector.findings.public_keys.setdefault(path, PublicKeyFile(path, opened.public_key))
    expected = path.suffix.lower() in CERTIFICATE_ENDINGS or path.suffix == ".key" or given
    expected = expected or (path.suffix == ".pub" and bool(opened.faults))
    if expected and not named_before:
        _complain(collector, path, opened)
    elif opened.trouble and opened.trouble.what == "denied" and path.suffix in CONFIGURATION_ENDINGS:
        # What is in it is not known: a user who may not read it must not see that all is well.
        collector.unfit(path, opened, "configuration")


def _complain(collector: Collector, path: Path, opened: Inside) -> None:
    if not (opened.trouble or opened.faults or opened.nothing) and (opened.labels or opened.certificates):
        return
    is_key = path.suffix in (".key", ".pub") or path.stem.endswith("-key")
    reason = "is not PEM: no line in it begins a key" if is_key else ""
    collector.unfit(path, opened, "key" if is_key else "certificate", reason=reason)


def _key_beside(collector: Collector, path: Path, with_keys: dict[Path, Inside], *, given: bool) -> Path | None:
    for candidate in layouts.possible_keys(path):
        opened = with_keys.get(candidate)
        if opened is None and given and lexists(candidate):
            opened = collector.opened(candidate)
            collector.key(candidate, opened)
        if opened is not None and opened.key is not None:
            return collector.shown(candidate)
    return None


KINDS = ("Secret", "ConfigMap")
WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService", "CustomResourceDefinition")
_CLIENT_CONFIGS = (("spec",), ("spec", "conversion", "webhook", "clientConfig"))
"""The fields in which an APIService and a CustomResourceDefinition have their caBundle and their service."""


def objects_in(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects that are looked into: the document itself, or the items of a List."""
    kind = document.get("kind")
    if isinstance(kind, str) and kind.endswith("List"):
        for item in list_at(document, "items"):
            if isinstance(item, dict):
                # The items of a SecretList need not repeat their kind.
                yield from objects_in({"kind": kind.removesuffix("List"), **item})
    elif kind in (*KINDS, *WEBHOOKS):
        yield document


def follow_object(collector: Collector, document: dict[str, Any], source: str) -> None:
    """Take down the certificates of one object; *source* is the file that it was read from, ``-`` for the input."""
    name = text_at(document, "metadata", "name") or ""
    namespace = text_at(document, "metadata", "namespace")
    where = "/".join(part for part in (str(document["kind"]).lower(), namespace, name) if part)
    label = where if source == "-" else f"{source}:{where}"
    if document["kind"] in KINDS:
        _follow_data(collector, document, label)
        return
    clients = [value_at(document, *keys) for keys in _CLIENT_CONFIGS]
    clients += [value_at(webhook, "clientConfig") for webhook in list_at(document, "webhooks")]
    bundles = {bundle: client for client in clients if (bundle := text_at(client, "caBundle"))}
    for bundle, client in bundles.items():
        content = from_base64(bundle) or b""
        if not content:
            collector.problem(Path(f"{label}:caBundle"), "unreadable", _NOT_BASE64, "certificate")
        _add(collector, label, "caBundle", content, kind=Kind.CA)
        service, space = text_at(client, "service", "name"), text_at(client, "service", "namespace")
        if service and space:
            collector.findings.webhooks.append((Path(f"{label}:caBundle"), f"{service}.{space}.svc"))


_NOT_BASE64 = "is not base64: the API server rejects the object"


def _follow_data(collector: Collector, document: dict[str, Any], label: str) -> None:
    encoded = document["kind"] == "Secret"
    content: dict[str, bytes] = {}
    for field, binary in (("data", encoded), ("binaryData", True), ("stringData", False)):
        held = value_at(document, field)
        for name, value in held.items() if isinstance(held, dict) else ():
            if isinstance(value, str):
                content[str(name)] = from_base64(value) or b"" if binary else value.encode("utf-8", "replace")
                if binary and value and not content[str(name)]:
                    collector.problem(Path(f"{label}:{name}"), "unreadable", _NOT_BASE64, "certificate")
    for name, data in content.items():
        key = content.get("tls.key") if name == "tls.crt" else None
        kind = (
            Kind.CA if name in ("ca.crt", "ca-bundle.crt", "client-ca-file", "requestheader-client-ca-file") else None
        )
        _add(collector, label, name, data, kind=kind, key=key)
        if b"clusters:" in data or b'"clusters"' in data:
            _follow_kubeconfig(collector, label, name, data)


def _follow_kubeconfig(collector: Collector, label: str, name: str, data: bytes) -> None:
    try:
        entries = contexts_in(data)
    except NotADocumentError:
        return
    for context in entries:
        if context.authority is not None and context.authority.embedded:
            _add(collector, label, f"{name} certificate-authority-data", context.authority.data, kind=Kind.CA)
        if context.certificate is not None and context.certificate.embedded:
            key = context.key.data if context.key is not None else None
            option = f"{name} client-certificate-data"
            _add(collector, label, option, context.certificate.data, kind=Kind.CLIENT, key=key)


def follow_embedded(collector: Collector, path: Path, data: bytes) -> bool:
    """Take down the certificates in a document of another tool, as talosconfig is; True if there are some."""
    document = embedded(data)
    for value in document[1] if document else ():
        _add(collector, str(path), value.key, value.content)
    return bool(document and document[1])


def _add(
    collector: Collector, label: str, name: str, data: bytes, *, kind: Kind | None = None, key: bytes | None = None
) -> None:
    """Take down the certificates in *data*, and its key for the comparison alone: it is printed nowhere."""
    path = Path(f"{label}:{name}")
    own_key = None
    if key and any(block.is_key and not block.encrypted for block in pem_blocks(key)):
        own_key = KeyFile(Path(f"{label}:tls.key"), 0o600, key)
        collector.findings.keys.setdefault(own_key.path, own_key)
    blocks = [block for block in pem_blocks(data) if block.is_certificate]
    if data and not blocks and (kind is Kind.CA or name == "tls.crt"):
        collector.problem(path, "unreadable", _without_certificate(data), "certificate")
    for position, block in enumerate(blocks):
        if block.fault:
            collector.problem(path, "unreadable", block.fault, "certificate")
            continue
        own = kind if kind is Kind.CA or position == 0 else None
        key_file = None if position else own_key
        collector.add(block.pem, path, own, Named(name), key=key_file, position=position, live=str(path))


def _without_certificate(data: bytes) -> str:
    """Return why *data*, in the place of a certificate, is none: a clause that can follow the object's name."""
    parsed = inside(Content(data, 0, (0, 0)))
    if parsed.nothing or parsed.labels:
        return parsed.why_no_certificate
    again = any(block.is_certificate for block in pem_blocks(from_base64(data) or b""))
    return "is base64 of base64: encode it once" if again else "contains no certificate"
