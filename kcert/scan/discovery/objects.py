"""Objects of the API, as ``kubectl get -o yaml`` prints them: Secrets, ConfigMaps, and the CAs of webhooks."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcert.certificates import Kind
from kcert.openssl.pem import pem_blocks
from kcert.scan.discovery.collector import Collector, Draft
from kcert.scan.documents import NotADocumentError, documents, list_at, text_at, value_at
from kcert.scan.files import inside
from kcert.scan.formats import embedded
from kcert.scan.fs import Content
from kcert.scan.kubeconfigs import contexts, is_kubeconfig
from kcert.scan.result import KeyFile

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("Secret", "ConfigMap")
WEBHOOKS = (
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "CustomResourceDefinition",
)
_CA_NAMES = ("ca.crt", "ca-bundle.crt", "client-ca-file", "requestheader-client-ca-file")
_CLIENT_CONFIGS = (("spec",), ("spec", "conversion", "webhook", "clientConfig"))
"""Where an APIService and a CustomResourceDefinition have their caBundle and their service."""


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
        _add(collector, label, "caBundle", _decoded(bundle), kind=Kind.CA)
        service, space = text_at(client, "service", "name"), text_at(client, "service", "namespace")
        if service and space:
            collector.findings.webhooks.append((Path(f"{label}:caBundle"), f"{service}.{space}.svc"))


def _follow_data(collector: Collector, document: dict[str, Any], label: str) -> None:
    encoded = document["kind"] == "Secret"
    content: dict[str, bytes] = {}
    for field, binary in (("data", encoded), ("binaryData", True), ("stringData", False)):
        held = value_at(document, field)
        for name, value in held.items() if isinstance(held, dict) else ():
            if isinstance(value, str):
                content[str(name)] = _decoded(value) if binary else value.encode("utf-8", "replace")
                if binary and value and not content[str(name)]:
                    reason = "is not base64: the API server rejects the object"
                    collector.problem(Path(f"{label}:{name}"), "unreadable", reason, None, "certificate")
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
    """Take down the certificates in a document of another tool, as talosconfig is; True where there are some."""
    document = embedded(data)
    for value in document[1] if document else ():
        _add(collector, str(path), value.key, value.content)
    return bool(document and document[1])


def _add(
    collector: Collector, label: str, name: str, data: bytes, *, kind: Kind | None = None, key: bytes | None = None
) -> None:
    """Take down the certificates in *data*, and its key for the comparison alone: it is printed nowhere."""
    path = Path(f"{label}:{name}")
    key_path = None
    if key and any(block.is_key and not block.encrypted for block in pem_blocks(key)):
        key_path = Path(f"{label}:tls.key")
        collector.findings.keys.setdefault(key_path, KeyFile(key_path, 0o600, key))
    blocks = [block for block in pem_blocks(data) if block.is_certificate]
    if data and not blocks and (kind is Kind.CA or name == "tls.crt"):
        collector.problem(path, "unreadable", _without_certificate(data), None, "certificate")
    for position, block in enumerate(blocks):
        if block.fault:
            collector.problem(path, "unreadable", block.fault, None, "certificate")
            continue
        own = kind if kind is Kind.CA or position == 0 else None
        first = key_path if position == 0 else None
        draft = Draft(block.pem, path, kind=own, option=name, key_path=first, position=position, live=str(path))
        collector.add(draft)


def _without_certificate(data: bytes) -> str:
    """Return why *data*, in the place of a certificate, is none: a clause that can follow the object's name."""
    held = inside(Content(data, 0, (0, 0)))
    if held.nothing or held.labels:
        return held.why_no_certificate
    again = any(block.is_certificate for block in pem_blocks(_decoded(data.decode("utf-8", "replace"))))
    return "is base64 of base64: encode it once" if again else "contains no certificate"


def _decoded(text: str) -> bytes:
    """Return what base64 stands for; nothing for what is not base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
