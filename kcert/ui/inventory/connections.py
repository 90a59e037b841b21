"""Which component presents which certificates to which other component: what the drawings show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.roles import ROLES
from kcert.ui.inventory.cells import label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.scan.inventory import Entry


@dataclass
class Certificates:
    """The certificates of one name (CN), and the CA that signed them; ``files`` are the paths of their files."""

    name: str
    issuer: str
    files: list[str] = field(default_factory=list)


@dataclass
class ServerConnections:
    """A ``server``, what it ``presents`` to every client, and what its ``clients`` present to it, by their names."""

    server: str
    presents: list[Certificates] = field(default_factory=list)
    clients: dict[str, list[Certificates]] = field(default_factory=dict)


def connections(entries: Iterable[Entry]) -> list[ServerConnections]:
    """Return the connections of a cluster with the certificates *entries*, server by server."""
    by_server: dict[str, ServerConnections] = {}

    def at(server: str) -> ServerConnections:
        return by_server.setdefault(server, ServerConnections(server))

    for entry in entries:
        # A certificate of no known role that only a client can present is a user's.
        role = entry.role or (Role.USER if entry.kind == "client" else None)
        spec = ROLES.get(role) if role else None
        if spec is None or not spec.presented_to:
            continue
        component = entry.component or spec.component
        if spec.kind.is_server:
            _add(at(component).presents, entry)
        if spec.kind.is_client and role is not Role.ETCD_SERVER:  # with which etcd serves
            for server in spec.presented_to:
                _add(at(server).clients.setdefault(component, []), entry)
    order = ("kube-apiserver", "etcd", "kubelet")
    known = [by_server.pop(server) for server in order if server in by_server]
    return [*known, *by_server.values()]


def _add(listed: list[Certificates], entry: Entry) -> None:
    key = label(entry), entry.issuer
    same = next((certificates for certificates in listed if (certificates.name, certificates.issuer) == key), None)
    if same is None:
        listed.append(same := Certificates(*key))
    if entry.path not in same.files:
        same.files.append(entry.path)
