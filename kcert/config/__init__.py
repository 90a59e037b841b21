"""What the cluster looks like: the types behind kcert.yaml.

A ``Cluster`` is always valid: ``kcert.config.file`` builds it from kcert.yaml and refuses what is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kcert.config.version import STABLE, Version

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import AltName, Key


@dataclass(frozen=True)
class Host:
    """A machine: its name, and each of its addresses in canonical form.

    With ``bootstrap`` its kubelet gets its certificates from the cluster, with a token, and none from kcert. ``line``
    is where kcert.yaml names it (0: nowhere), for errors that are found later.
    """

    name: str
    addresses: tuple[str, ...]
    bootstrap: bool = field(default=False, compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class User:
    """A person or program with a certificate of its own, and the groups it is in."""

    name: str
    groups: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ApiServer:
    """Where clients connect to the API server: a host name, addresses, or both, and the port."""

    host: str | None
    addresses: tuple[str, ...]
    port: int = 6443
    extra_sans: tuple[AltName, ...] = ()


@dataclass(frozen=True)
class Lifetimes:
    """How many whole days certificates are valid: a CA, and what a CA signs."""

    ca: int
    leaf: int


@dataclass(frozen=True)
class Defaults:
    """What a profile fills in where kcert.yaml says nothing."""

    days: Lifetimes
    key: Key


@dataclass(frozen=True)
class Cluster:
    """All that kcert needs to know of a cluster.

    ``etcd`` holds the members; where kcert.yaml names none they are the control-plane hosts. ``kubernetes_version`` is
    None where kcert.yaml does not set it. ``fix_known_issues`` makes a profile that follows a book correct the book's
    mistakes. ``defaults`` tells, a phrase each, what kcert.yaml left out and kcert filled in; ``source`` is that file,
    if any.
    """

    name: str
    profile: str
    api_server: ApiServer
    service_cidrs: tuple[str, ...]
    dns_domain: str
    control_plane: tuple[Host, ...]
    nodes: tuple[Host, ...]
    etcd: tuple[Host, ...]
    users: tuple[User, ...]
    key: Key
    days: Lifetimes
    kubernetes_version: Version | None = None
    fix_known_issues: bool = False
    defaults: tuple[str, ...] = ()
    source: Path | None = None

    @property
    def version(self) -> Version:
        """The release whose options count: kcert.yaml's, or the newest that is known here."""
        return self.kubernetes_version or STABLE

    @property
    def issued_nodes(self) -> tuple[Host, ...]:
        """The nodes whose certificates kcert makes: all but those that bootstrap."""
        return tuple(node for node in self.nodes if not node.bootstrap)

    @property
    def bootstrap_nodes(self) -> tuple[Host, ...]:
        """The nodes that get their certificates from the cluster."""
        return tuple(node for node in self.nodes if node.bootstrap)

    @property
    def endpoint(self) -> str:
        """The API server's URL as most kubeconfigs have it: by address, or by name where it has no address."""
        address = self.api_server.addresses[0] if self.api_server.addresses else self.api_server.host
        assert address is not None
        return url(address, self.api_server.port)

    def place(self, line: int) -> str:
        """Where an error lies, to begin its message with: ``kcert.yaml:12: ``, or nothing without a file."""
        return f"{self.source}:{line}: " if self.source and line else ""


def url(address: str, port: int) -> str:
    """An https URL; an IPv6 address goes into brackets (RFC 3986, section 3.2.2)."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"
