"""YAML from other people and tools: manifests, component configuration, and kubeconfigs with their contexts.

It is read as kubectl reads it: UTF-8 or UTF-16, with a byte order mark or without, JSON, aliases, several documents.
Values that aliases share are one object, so that what reads a document must never walk all of it. Source of what a
kubeconfig may hold: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kcert.errors import nearest
from kcert.files import LARGEST_DOCUMENT
from kcert.quoting import in_sentence


class NotADocumentError(Exception):
    """The text is not YAML that kcert reads; the message is a clause that can follow the file's name."""


def documents(content: bytes, largest: int = LARGEST_DOCUMENT) -> list[dict[str, Any]]:
    """Every mapping of a YAML (or JSON) file; anything else raises NotADocumentError."""
    if len(content) > largest:
        raise NotADocumentError(f"is {len(content) // 1024} KiB of YAML, more than kcert reads")
    from kcert import plain_yaml  # most certificates are not in YAML

    try:
        parsed = plain_yaml.load_all(as_utf8(content).decode("utf-8-sig"), aliases=True)
    except UnicodeDecodeError:
        raise NotADocumentError("is not text") from None
    except plain_yaml.NotPlainError as error:
        raise NotADocumentError(str(error)) from None
    return [document for document in parsed if isinstance(document, dict)]


def as_utf8(content: bytes) -> bytes:
    """Return a text in UTF-16 as UTF-8; anything else comes back as it is."""
    if not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    return content.decode("utf-16", "replace").encode()


def text_at(document: object, *keys: str) -> str | None:
    """The text at a path of keys, or None if anything on the way is something else."""
    value = value_at(document, *keys)
    return value if isinstance(value, str) else None


def value_at(document: object, *keys: str) -> object:
    """The value at a path of keys, or None if there is none."""
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def list_at(document: object, *keys: str) -> list[object]:
    """The list at a path of keys; empty if there is none."""
    value = value_at(document, *keys)
    return value if isinstance(value, list) else []


def from_base64(text: str | bytes) -> bytes | None:
    """Return what *text* is the base64 of, line ends left out; None if it is not base64."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error:
        return None


@dataclass(frozen=True)
class Part:
    """One of the three things a kubeconfig can hold or name: a CA, a certificate, a key.

    ``option`` is the field (``client-certificate-data``); ``path`` the file that it names, ``data`` the PEM that
    it embeds; ``fault`` why the data is none.
    """

    option: str
    path: str | None = None
    data: bytes = field(default=b"", repr=False)
    fault: str | None = None

    @property
    def embedded(self) -> bool:
        """True if the data is in the kubeconfig itself."""
        return self.path is None


@dataclass(frozen=True)
class Context:
    """One context: a cluster and a user.

    ``server_name`` is what the server's certificate is compared with in place of the server's own name
    (``tls-server-name``); ``verifies`` is False if the certificate is not looked at (``insecure-skip-tls-verify``).
    ``refused`` is why kubectl does not accept it: clauses that can follow the file's path.
    """

    name: str
    cluster: str
    user_name: str
    server: str | None
    server_name: str | None
    verifies: bool
    authority: Part | None
    certificate: Part | None
    key: Part | None
    current: bool = False
    refused: tuple[str, ...] = ()


def is_kubeconfig(document: dict[str, Any]) -> bool:
    """True for a kubeconfig; the clusters show it where ``kind`` is missing, which kubectl accepts."""
    kind = document.get("kind")
    return kind == "Config" or (kind is None and isinstance(document.get("clusters"), list) and "users" in document)


def contexts(document: dict[str, Any]) -> list[Context]:
    """Every context; what no context uses comes last, each by itself, so that no certificate is missed."""
    clusters = {text_at(entry, "name") or "": value_at(entry, "cluster") for entry in list_at(document, "clusters")}
    users = {text_at(entry, "name") or "": value_at(entry, "user") for entry in list_at(document, "users")}
    current = document.get("current-context")
    wrong = tuple(_refused_whole(document, clusters, users))
    result = []
    used: set[tuple[str, str]] = set()
    for entry in list_at(document, "contexts"):
        name = text_at(entry, "name") or ""
        cluster, user = text_at(entry, "context", "cluster") or "", text_at(entry, "context", "user") or ""
        used |= {("cluster", cluster), ("user", user)}
        result.append(_context(name, (cluster, clusters.get(cluster)), (user, users.get(user)), name == current))
    result += [
        _context("", (name, cluster), ("", None), False)
        for name, cluster in clusters.items()
        if ("cluster", name) not in used
    ]
    result += [
        _context("", ("", None), (name, user), False) for name, user in users.items() if ("user", name) not in used
    ]
    return [replace(context, refused=(*wrong, *context.refused)) for context in result]


def contexts_in(content: bytes) -> list[Context]:
    """Return the contexts of all kubeconfigs in a file; raises NotADocumentError."""
    return [context for document in documents(content) if is_kubeconfig(document) for context in contexts(document)]


def _context(name: str, cluster: tuple[str, object], user: tuple[str, object], current: bool) -> Context:
    return Context(
        name=name,
        cluster=cluster[0],
        user_name=user[0],
        server=text_at(cluster[1], "server"),
        server_name=text_at(cluster[1], "tls-server-name") or None,
        verifies=value_at(cluster[1], "insecure-skip-tls-verify") is not True,
        authority=_part(cluster[1], "certificate-authority"),
        certificate=_part(user[1], "client-certificate"),
        key=_part(user[1], "client-key"),
        current=current,
        refused=tuple(_refused(cluster, user)),
    )


def _part(holder: object, option: str) -> Part | None:
    # Where both are given, the data counts (the field's documentation says so).
    embedded = value_at(holder, f"{option}-data")
    if isinstance(embedded, str | bytes) and embedded:
        text = embedded.encode("utf-8", "replace") if isinstance(embedded, str) else embedded
        data = from_base64(text)
        # Go's base64 passes over line ends, and over nothing else.
        reason = "with blanks inside: kubectl does not read it" if re.search(rb"[ \t]", text) else None
        reason = "that is not base64" if data is None else reason
        return Part(f"{option}-data", data=data or b"", fault=f"has {option}-data {reason}" if reason else None)
    path = text_at(holder, option)
    return Part(option, path=path) if path else None


def _refused_whole(document: dict[str, Any], clusters: dict[str, object], users: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with the file itself: its version, names that nothing has, misspelled fields."""
    if (version := document.get("apiVersion")) not in ("v1", None, ""):
        yield f"has apiVersion {in_sentence(str(version))}, and kubectl reads only v1"
    named = {text_at(entry, "name") or "": entry for entry in list_at(document, "contexts")}
    current = document.get("current-context")
    if isinstance(current, str) and current and current not in named:
        yield f"has current-context {in_sentence(current)}, and no context of that name: kubectl stops with an error"
    for name, entry in named.items():
        for what, known in (("cluster", clusters), ("user", users)):
            value = text_at(entry, "context", what)
            if value and value not in known:
                does = "localhost:8080" if what == "cluster" else "the API server without a certificate"
                wanted, context = in_sentence(value), in_sentence(name)
                yield f"has no {what} {wanted}, which the context {context} names: kubectl connects to {does}"
    for holder in (*clusters.values(), *users.values()):
        for field_name in holder if isinstance(holder, dict) else ():
            near = next(iter(nearest(str(field_name), _FIELDS, 1, 0.85)), None)
            if field_name not in _FIELDS and near:
                yield f"has the field {in_sentence(str(field_name))}, which kubectl ignores: {near} was meant"


_FIELDS = (
    *("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority", "certificate-authority-data"),
    *("proxy-url", "disable-compression", "client-certificate", "client-certificate-data", "client-key"),
    *("client-key-data", "token", "tokenFile", "as", "as-uid", "as-groups", "as-user-extra", "username", "password"),
    *("auth-provider", "exec", "extensions"),
)
"""The fields of a cluster and of a user."""


def _refused(cluster: tuple[str, object], user: tuple[str, object]) -> Iterator[str]:
    """Yield what kubectl has against a cluster and a user: clauses that can follow the file's path.

    Source: client-go, tools/clientcmd/validation.go.
    """
    options = [("certificate-authority", *cluster), ("client-certificate", *user), ("client-key", *user)]
    for option, name, holder in options:
        if value_at(holder, option) and value_at(holder, f"{option}-data"):
            yield f"has both {option} and {option}-data for {in_sentence(name)}: delete one of the two"
    if value_at(cluster[1], "insecure-skip-tls-verify") is True and _part(cluster[1], "certificate-authority"):
        yield (
            f"has insecure-skip-tls-verify and a CA for the cluster {in_sentence(cluster[0])}: kubectl accepts only "
            "one of them. Delete insecure-skip-tls-verify"
        )
    certificate, key = _part(user[1], "client-certificate"), _part(user[1], "client-key")
    owner = in_sentence(user[0])
    if certificate and not key:
        yield f"has a client certificate for {owner}, and no key that belongs to it: add client-key-data"
    if key and not certificate:
        yield f"has a client key for {owner}, and no certificate: kubectl connects as system:anonymous"
