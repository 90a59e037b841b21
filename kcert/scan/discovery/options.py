"""The certificates in files: those that options name, objects of the API, and files that no option names."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kcert.certificates import Kind
from kcert.openssl.pem import pem_blocks
from kcert.scan import layouts
from kcert.scan.discovery.collector import Collector, Draft, Named, exists
from kcert.scan.discovery.kubeconfigs import follow_kubeconfig
from kcert.scan.documents import NotADocumentError, contexts, documents, is_kubeconfig, list_at, text_at, value_at
from kcert.scan.files import Inside, embedded, inside
from kcert.scan.fs import Content
from kcert.scan.layouts import FILE_OPTIONS, FileOption
from kcert.scan.result import Configuration, KeyFile, PublicKeyFile
from kcert.scan.units import Started, configured


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
    if node and not re.fullmatch(r"[A-Za-z0-9.-]+", node):
        node = None  # a variable of a shell, of systemd or of a pod
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
    with_keys = {path: opened for path, opened in rest.items() if opened.key is not None}
    for path, opened in rest.items():
        _take_one(collector, path, opened, with_keys, given=given)


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


def _take_one(collector: Collector, path: Path, opened: Inside, with_keys: dict[Path, Inside], *, given: bool) -> None:
    named_before = collector.is_named(opened)
    collector.key(collector.shown(path, opened), opened)
    if opened.certificates and (given or not named_before):
        collector.mark_named(opened)
        key_path = _key_beside(collector, path, with_keys, given=given) if with_keys or given else None
        for position, pem in enumerate(opened.certificates):
            collector.add(Draft(pem, path, key_path=key_path if position == 0 else None, position=position))
    if opened.public_key is not None and not named_before:
        collector.findings.public_keys.setdefault(path, PublicKeyFile(path, opened.public_key))
    expected = path.suffix.lower() in CERTIFICATE_ENDINGS or path.suffix == ".key" or given
    expected = expected or (path.suffix == ".pub" and bool(opened.faults))
    if expected and not named_before:
        _complain(collector, path, opened)
    elif opened.trouble and opened.trouble.what == "denied" and path.suffix in CONFIGURATION_ENDINGS:
        # What is in it is not known: a user who may not read it must not see that all is well.
        collector.problem(path, opened.trouble.what, opened.trouble.reason, None, "configuration")


def _complain(collector: Collector, path: Path, opened: Inside) -> None:
    if not (opened.trouble or opened.faults or opened.nothing) and (opened.labels or opened.certificates):
        return
    is_key = path.suffix in (".key", ".pub") or path.stem.endswith("-key")
    what = opened.trouble.what if opened.trouble else "unreadable"
    reason = opened.why_no_certificate
    if is_key and not (opened.trouble or opened.faults or opened.nothing):
        reason = "is not PEM: no line in it begins a key"
    collector.problem(path, what, reason, None, "key" if is_key else "certificate")


def _key_beside(collector: Collector, path: Path, with_keys: dict[Path, Inside], *, given: bool) -> Path | None:
    for candidate in layouts.key_names(path):
        opened = with_keys.get(candidate)
        if opened is None and given and exists(candidate):
            opened = collector.opened(candidate)
            collector.key(candidate, opened)
        if opened is not None and opened.key is not None:
            return collector.shown(candidate, opened)
    return None


KINDS = ("Secret", "ConfigMap")
WEBHOOKS = (
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "CustomResourceDefinition",
)
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
        content = _decoded(bundle)
        if not content:
            collector.problem(Path(f"{label}:caBundle"), "unreadable", _NOT_BASE64, None, "certificate")
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
                content[str(name)] = _decoded(value) if binary else value.encode("utf-8", "replace")
                if binary and value and not content[str(name)]:
                    collector.problem(Path(f"{label}:{name}"), "unreadable", _NOT_BASE64, None, "certificate")
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
        entries = [context for document in documents(data) if is_kubeconfig(document) for context in contexts(document)]
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
        collector.problem(path, "unreadable", _without_certificate(data), None, "certificate")
    for position, block in enumerate(blocks):
        if block.fault:
            collector.problem(path, "unreadable", block.fault, None, "certificate")
            continue
        own = kind if kind is Kind.CA or position == 0 else None
        draft = Draft(block.pem, path, kind=own, option=name, position=position, live=str(path))
        if own_key is not None and position == 0:
            draft.key, draft.key_path = own_key, own_key.path
        collector.add(draft)


def _without_certificate(data: bytes) -> str:
    """Return why *data*, in the place of a certificate, is none: a clause that can follow the object's name."""
    parsed = inside(Content(data, 0, (0, 0)))
    if parsed.nothing or parsed.labels:
        return parsed.why_no_certificate
    again = any(block.is_certificate for block in pem_blocks(_decoded(data.decode("utf-8", "replace"))))
    return "is base64 of base64: encode it once" if again else "contains no certificate"


def _decoded(text: str) -> bytes:
    """Decode base64; return nothing for what is not base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
