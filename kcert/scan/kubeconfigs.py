"""Kubeconfigs as they are found: contexts, embedded data and paths.

Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from kcert.scan.documents import list_at, text_at, value_at


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
        """True where the data is in the kubeconfig itself."""
        return self.path is None


@dataclass(frozen=True)
class Context:
    """One context: a cluster and a user.

    ``server_name`` is what the server's certificate is compared with in place of the server's own name
    (``tls-server-name``); ``verifies`` is False where the certificate is not looked at (``insecure-skip-tls-verify``).
    """

    name: str
    cluster: str
    user: str
    server: str | None
    server_name: str | None
    verifies: bool
    authority: Part | None
    certificate: Part | None
    key: Part | None
    current: bool = False


def is_kubeconfig(document: dict[str, Any]) -> bool:
    """True for a kubeconfig; the clusters tell where somebody left ``kind`` out, which kubectl takes as well."""
    kind = document.get("kind")
    return kind == "Config" or (kind is None and isinstance(document.get("clusters"), list) and "users" in document)


def contexts(document: dict[str, Any]) -> list[Context]:
    """Every context; what no context uses comes last, each by itself, so that no certificate is missed."""
    clusters = {text_at(one, "name") or "": value_at(one, "cluster") for one in list_at(document, "clusters")}
    users = {text_at(one, "name") or "": value_at(one, "user") for one in list_at(document, "users")}
    current = document.get("current-context")
    found = []
    used: set[tuple[str, str]] = set()
    for one in list_at(document, "contexts"):
        name = text_at(one, "name") or ""
        cluster, user = text_at(one, "context", "cluster") or "", text_at(one, "context", "user") or ""
        used |= {("cluster", cluster), ("user", user)}
        found.append(_context(name, (cluster, clusters.get(cluster)), (user, users.get(user)), name == current))
    found += [
        _context("", (name, one), ("", None), False) for name, one in clusters.items() if ("cluster", name) not in used
    ]
    found += [_context("", ("", None), (name, one), False) for name, one in users.items() if ("user", name) not in used]
    return found


def _context(name: str, cluster: tuple[str, object], user: tuple[str, object], current: bool) -> Context:
    return Context(
        name=name,
        cluster=cluster[0],
        user=user[0],
        server=text_at(cluster[1], "server"),
        server_name=text_at(cluster[1], "tls-server-name") or None,
        verifies=value_at(cluster[1], "insecure-skip-tls-verify") is not True,
        authority=_part(cluster[1], "certificate-authority"),
        certificate=_part(user[1], "client-certificate"),
        key=_part(user[1], "client-key"),
        current=current,
    )


def _part(holder: object, option: str) -> Part | None:
    # Where both are given, the data counts (the field's documentation says so).
    embedded = value_at(holder, f"{option}-data")
    if isinstance(embedded, str | bytes) and embedded:
        text = embedded.encode("utf-8", "replace") if isinstance(embedded, str) else embedded
        try:
            return Part(f"{option}-data", data=base64.b64decode(b"".join(text.split()), validate=True))
        except (binascii.Error, ValueError):
            return Part(f"{option}-data", fault=f"has {option}-data that is not base64")
    path = text_at(holder, option)
    return Part(option, path=path) if path else None
