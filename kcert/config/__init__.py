"""The description of a cluster: the types behind kcert.yaml.

A ``Cluster`` is always valid: ``kcert.config.file`` builds it from kcert.yaml and refuses what is not.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kcert.certificates import AltName, Key, is_address
from kcert.errors import InputError

_FORM = re.compile(r"v?1\.(0|[1-9][0-9]{0,2})(?:\.(0|[1-9][0-9]{0,2}))?")


@dataclass(frozen=True, order=True)
class Version:
    """A release of Kubernetes 1: the minor number, and the patch."""

    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"1.{self.minor}" + (f".{self.patch}" if self.patch else "")


STABLE = Version(37)
"""The release that kcert assumes where none is given: the newest whose options it knows."""

DUAL_STACK = Version(21)
"""From here on two ranges of services and two addresses of a node are taken as they are; before, a feature gate is in
the way (https://kubernetes.io/docs/concepts/services-networking/dual-stack/, "Feature gates")."""

OLDEST = Version(16)
"""Older releases have options that are not known here."""


def release(text: str) -> Version | str:
    """Return the release that *text* names (1.34, v1.34.2), or the reason why it is refused."""
    match = _FORM.fullmatch(text)
    if not match:
        return f"expected a release of Kubernetes, for example {STABLE} or v1.29.4"
    version = Version(int(match[1]), int(match[2] or 0))
    return version if version >= OLDEST else f"kcert knows the options of Kubernetes {OLDEST} and newer"


def version(text: str) -> Version:
    """Return the release that --kubernetes-version names; raises InputError for any other text."""
    parsed = release(text)
    if isinstance(parsed, str):
        raise InputError(f"--kubernetes-version {text!a} is invalid: {parsed}.")
    return parsed


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
    """The address at which clients connect to the API server: a host name, addresses, or both, and the port."""

    host: str | None
    addresses: tuple[str, ...]
    port: int = 6443
    extra_sans: tuple[AltName, ...] = ()


@dataclass(frozen=True)
class Lifetimes:
    """The whole days for which certificates are valid: a CA, and what a CA signs."""

    ca: int
    leaf: int


LONGEST_LIFE = 36500
"""Days for which a certificate is valid at most: a hundred years."""

RSA_BITS, CURVES = range(2048, 8193), ("P-256", "P-384")


def is_offered(key: Key) -> bool:
    """Return True for a key that kcert.yaml and --key can ask for."""
    return key.bits in RSA_BITS if key.algorithm == "rsa" else key.curve in CURVES


class Defaults(Protocol):
    """The values that a profile fills in if kcert.yaml does not set them."""

    lifetimes: Lifetimes
    key: Key


@dataclass(frozen=True)
class Cluster:
    """All that kcert needs to know of a cluster.

    ``etcd`` holds the members; where kcert.yaml names none they are the control-plane hosts. ``kubernetes_version`` is
    None if kcert.yaml does not set it. ``fix_known_issues`` makes a profile that follows a book correct the book's
    mistakes. ``adopted``: the certificates were made by another tool, and what no client notices about them does not
    make them stale; None leaves that to the CA that is there. ``defaults`` lists, a phrase each, what kcert.yaml left
    out and kcert filled in; ``source`` is that file, if any.
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
    adopted: bool | None = None
    defaults: tuple[str, ...] = ()
    source: Path | None = None

    @property
    def version(self) -> Version:
        """The release whose options count: kcert.yaml's, or the newest that is known here."""
        return self.kubernetes_version or STABLE

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host of the cluster, once."""
        hosts_of_roles = (*self.control_plane, *self.etcd, *self.nodes)
        return tuple({host.name: host for host in reversed(hosts_of_roles)}.values())[::-1]

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
        """The API server's URL as most kubeconfigs have it: by address, or by name if it has no address."""
        address = self.api_server.addresses[0] if self.api_server.addresses else self.api_server.host
        assert address is not None
        return url(address, self.api_server.port)

    def place(self, line: int) -> str:
        """Return the place of an error as messages begin with it: ``kcert.yaml:12: ``, or nothing without a file."""
        return f"{self.source}:{line}: " if self.source and line else ""


def url(address: str, port: int) -> str:
    """Return an https URL; an IPv6 address goes into brackets (RFC 3986, section 3.2.2)."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


COMMON_NAME_LENGTH = 64
"""Longest common name and organization: RFC 5280, appendix A.1 (ub-common-name, ub-organization-name)."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.@:-]*[A-Za-z0-9_])?")
_CONTEXT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.@-]*[A-Za-z0-9])?")


def check_host_name(value: str) -> str | None:
    """Return why *value* is not a DNS subdomain in lower case (RFC 1123), as node names are; None if it is."""
    if value != value.lower():
        return f"Kubernetes takes host names in lower case only: write {value.lower()!a}"
    if len(value) > 253 or not all(_LABEL.fullmatch(label) for label in value.split(".")):
        return (
            "a host name is made of a-z, 0-9 and -, in parts joined by dots, each beginning and ending with a-z or 0-9"
        )
    if is_address(value):
        return "an address is not a name: give the host a name, and put the address under ip"
    return None


def check_dns_name(value: str) -> str | None:
    """Return why *value* cannot be among extra_sans: a host name, or ``*.`` and a host name; None if it can."""
    return check_host_name(value.removeprefix("*."))


def check_user_name(value: str) -> str | None:
    """Return why *value* cannot be a user or a group; None if it can. The subject and a file name hold it."""
    if not _USER.fullmatch(value) or ".." in value:
        return (
            "letters, digits and _ . @ : - are accepted, and the first and last are a letter, a digit or _"
            " (anything else could mean something to openssl's -subj, to an openssl.cnf or to a path)"
        )
    if len(value) > COMMON_NAME_LENGTH:
        return f"it has {len(value)} characters, and a subject allows at most {COMMON_NAME_LENGTH}"
    return None


def check_group_name(value: str) -> str | None:
    """Return why *value* cannot be a group; None if it can. It goes into the subject alone, so blanks may be in it."""
    if "  " in value:
        return "two blanks in a row are not accepted, because they are easy to overlook"
    if value != value.strip():
        return "blanks at its beginning and end are not accepted"
    return check_user_name(value.replace(" ", ""))


def check_context_name(value: str) -> str | None:
    """Return why *value* cannot be the name of a cluster or a context in kubeconfigs; None if it can."""
    if not _CONTEXT.fullmatch(value) or len(value) > 253:
        return "letters, digits and _ . @ - are accepted, and the first and last are a letter or a digit"
    return None


def check_address(value: str) -> str | None:
    """Return why *value* is not an IPv4 or IPv6 address that a host can have; None if it is."""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return "an address looks like 192.168.56.11 or fd00::11"
    if getattr(parsed, "scope_id", None):
        return "an address with a zone (%) is known on one machine only and cannot be in a certificate"
    if parsed.version == 6 and parsed.ipv4_mapped:
        return f"this is an IPv4 address in IPv6 form: write {str(parsed.ipv4_mapped)!a}"
    if parsed.is_unspecified or parsed.is_multicast:
        return "no host can be reached at this address"
    return None


def check_network(value: str) -> str | None:
    """Return why *value* is not a range of at least eight service addresses, as kube-apiserver requires."""
    try:
        parsed = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "a range looks like 10.96.0.0/16 or fd00:10:96::/112"
    if "/" not in value:
        length = 112 if parsed.version == 6 else 16
        begins = ipaddress.ip_network(f"{value}/{length}", strict=False)
        return f"a range ends with a slash and the length of its prefix: write {str(begins)!a}"
    if parsed.network_address != ipaddress.ip_address(value.partition("/")[0]):
        return f"a range begins at its first address; write {str(parsed)!a}"
    if parsed.num_addresses < 8:
        return "kube-apiserver needs a range of eight addresses or more"
    return None


def check_machines(cluster: Cluster) -> None:
    """Raise InputError where a machine that is in several lists has other addresses in each of them."""
    lists = {"control_plane": cluster.control_plane, "etcd": cluster.etcd, "nodes": cluster.nodes}
    seen: dict[str, tuple[str, Host]] = {}
    for key, hosts in lists.items():
        for host in hosts:
            first, other = seen.setdefault(host.name, (key, host))
            if set(other.addresses) != set(host.addresses):
                line = f"line {other.line}" if other.line else "kcert's defaults"
                raise InputError(
                    f"{cluster.place(host.line)}{key}: {host.name!a} has {', '.join(host.addresses)} here and "
                    f"{', '.join(other.addresses)} in {first} ({line}): a name is the name of one machine: use the "
                    f"same addresses, or different names."
                )


def check_services(cluster: Cluster, where: str) -> None:
    """Raise InputError for a service address that is also the address of a host; *where* is the place in the file."""
    networks = [ipaddress.ip_network(text) for text in cluster.service_cidrs]
    hosts = [*cluster.control_plane, *cluster.nodes, *cluster.etcd]
    hosts.append(Host(cluster.api_server.host or "api_server", cluster.api_server.addresses))
    for host in hosts:
        for address in host.addresses:
            for network in networks:
                if ipaddress.ip_address(address) in network:
                    raise InputError(
                        f"{where or cluster.place(host.line)}the services' range {network} contains {address}, the "
                        f"address of {host.name}; use a range without any host."
                    )
