"""What a profile is, and the pieces that profiles are built from.

A profile is a module that fits ``Profile``. To add one: write the module, and add it to the dictionary in
``kcert.profiles``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, Protocol

from kcert.certificates import AltName, Certificate, Files, Kind, Subject, chain_of, new_alone
from kcert.config import url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kcert.config import Cluster, Host, Lifetimes

MASTERS = "system:masters"
"""The group that the API server lets do everything, whatever RBAC says (Kubernetes: "RBAC good practices")."""

CLUSTER_ADMINS = "kubeadm:cluster-admins"
"""The group of admin.conf since kubeadm 1.29; it has rights only once it is bound to cluster-admin."""

NODES = "system:nodes"
"""The group of the kubelets; the node authorizer answers it alone (Kubernetes: "Using Node Authorization")."""


@dataclass(frozen=True)
class RoleBindings:
    """Which certificate, by name, does what on one host; None: this profile has none for it.

    A certificate can have several duties. ``proxy`` and ``kubelet`` are those that show themselves to the
    API server, ``kubelet_server`` is what the kubelet shows to it, and ``kubelets_ca`` who signed that.
    """

    api_server: str
    service_account: str
    etcd_server: str
    etcd_peer: str
    etcd_client: str
    controller_manager: str
    scheduler: str
    kubelet: str
    kubelet_server: str | None
    proxy: str | None
    cluster_ca: str = "ca"
    etcd_ca: str = "ca"
    kubelets_ca: str | None = "ca"
    kubelet_client: str = "apiserver-kubelet-client"
    front_proxy_ca: str | None = None
    front_proxy_client: str | None = None


@dataclass(frozen=True)
class Extra:
    """Something that a host gets though no option of its components names it; ``why`` completes "it is there …"."""

    certificate: str
    part: Part
    reader: str
    why: str


Part = Literal["crt", "key", "public_key", "kubeconfig", "chain", "new"]
"""The parts of a certificate that lie in files of their own; a chain is a CA's, where another CA signed it, and
new is a CA alone, while its own file holds the one that goes out as well."""


ETCD_PORT = 2379
"""Where etcd's clients dial it (IANA: etcd-client)."""


class Profile(Protocol):
    """One way in which clusters are set up: which certificates there are, how they are named, where they lie."""

    NAME: str
    SUMMARY: str
    LIFETIMES: Lifetimes
    CONFIGURATIONS: Mapping[str, str]
    """Where kubelet and kube-proxy have their configuration files on a host."""
    ROTATES: bool
    """The kubelets ask the cluster for their next client certificates themselves."""

    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Every certificate that *cluster* needs; a CA comes before what it signs."""

    def without(self, name: str) -> str | None:
        """Why this profile has no certificate called *name* where others have one; None if there is no such reason."""

    def server(self, cluster: Cluster, certificate: Certificate) -> str:
        """The URL of the API server that *certificate*'s kubeconfig talks to."""

    def secure_port(self, cluster: Cluster) -> int:
        """The port that each API server listens on (a load balancer before them may have another)."""

    def etcd_servers(self, cluster: Cluster, host: str) -> tuple[str, ...]:
        """The URLs of etcd that the API server on *host* is given."""

    def kubelet_hosts(self, cluster: Cluster) -> tuple[Host, ...]:
        """The hosts that have a kubelet."""

    def duties(self, cluster: Cluster, host: str) -> RoleBindings:
        """Which certificate does what on *host*."""

    def place(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Where a part of *certificate* lies on a host, for the component that reads it."""

    def extras(self, cluster: Cluster, host: str) -> Iterator[Extra]:
        """What *host* gets besides what its components' options name."""


def kubeconfig_of(certificate: Certificate) -> PurePosixPath:
    """The file in the PKI folder that is the certificate's kubeconfig, there or not."""
    files = certificate.files
    return files.kubeconfig or PurePosixPath(f"{str(files.key).removesuffix('.key')}.kubeconfig")


def file_of(certificate: Certificate, part: Part) -> PurePosixPath:
    """The file in the PKI folder that is a part of the certificate."""
    files = certificate.files
    found = {"crt": files.crt, "key": files.key, "public_key": files.public_key}
    if files.crt:
        found |= {"chain": chain_of(files.crt), "new": new_alone(files.crt)}
    path = kubeconfig_of(certificate) if part == "kubeconfig" else found[part]
    assert path is not None
    return path


def every_member(cluster: Cluster) -> tuple[str, ...]:
    """The URL of each etcd member, as clients dial it."""
    return tuple(url(member.addresses[0], ETCD_PORT) for member in cluster.etcd)


def with_control_plane(cluster: Cluster) -> tuple[Host, ...]:
    """Control plane and nodes, each host once."""
    return tuple({host.name: host for host in (*cluster.nodes, *cluster.control_plane)}.values())


def flat(stem: str) -> Files:
    """The files of a certificate in a PKI folder without subfolders."""
    return Files(
        key=PurePosixPath(f"{stem}.key"),
        cnf=PurePosixPath(f"openssl-{stem}.cnf"),
        csr=PurePosixPath(f"{stem}.csr"),
        crt=PurePosixPath(f"{stem}.crt"),
    )


def stem_of(user: str) -> str:
    """A user's name as the beginning of a file's: to scp, what stands before a colon is a host."""
    return user.replace(":", "-")


def kubelet_subject(node: str) -> Subject:
    """The subject that makes the API server take a client for the kubelet of *node*."""
    return Subject(f"system:node:{node}", (NODES,))


def api_server_names(cluster: Cluster) -> tuple[AltName, ...]:
    """Every name and address under which something in the cluster, or outside it, dials the API server."""
    service = "kubernetes.default.svc"
    return unique(
        [
            *_dns("kubernetes", "kubernetes.default", service, f"{service}.cluster", f"{service}.{cluster.dns_domain}"),
            *_dns("localhost"),
            *(name for host in cluster.control_plane for name in host_names(host)),
            *([AltName("DNS", cluster.api_server.host)] if cluster.api_server.host else []),
            *_ip(*cluster.api_server.addresses),
            *_ip("127.0.0.1"),
            # The service called kubernetes always gets the first address of the range.
            *_ip(*(str(ipaddress.ip_network(cidr)[1]) for cidr in cluster.service_cidrs)),
            *cluster.api_server.extra_sans,
        ]
    )


def optional_sans(cluster: Cluster, names: Iterable[AltName], *dialled: str) -> tuple[AltName, ...]:
    """Those of a server's *names* that it can do without, unless they are among what is *dialled* in this profile.

    kubeadm leaves out the loopback, and the service addresses of the second family: clients in pods dial the first.
    """
    later = {str(ipaddress.ip_network(cidr)[1]) for cidr in cluster.service_cidrs[1:]}
    server = cluster.api_server
    hosts = {name.value for host in cluster.control_plane for name in host_names(host)}
    asked = {*dialled, *hosts, server.host, *server.addresses, *(name.value for name in server.extra_sans)}
    spare = {"localhost", "127.0.0.1", "::1", "kubernetes.default.svc.cluster", *later} - asked
    return tuple(name for name in names if name.value in spare)


def etcd_names(members: Iterable[Host], *loopback: str) -> tuple[AltName, ...]:
    """The names of etcd *members*, and of the loopback that health checks and etcdctl on the same host dial."""
    names = [name for member in members for name in host_names(member)]
    return unique([*names, *_dns("localhost"), *_ip("127.0.0.1", *loopback)])


def host_names(host: Host) -> tuple[AltName, ...]:
    """A host's name and each of its addresses."""
    return (*_dns(host.name), *_ip(*host.addresses))


def unique(names: Iterable[AltName]) -> tuple[AltName, ...]:
    """The names in their order, each once."""
    return tuple(dict.fromkeys(names))


def _dns(*values: str) -> tuple[AltName, ...]:
    return tuple(AltName("DNS", value) for value in values)


def _ip(*values: str) -> tuple[AltName, ...]:
    return tuple(AltName("IP", value) for value in values)


class FlatLayout:
    """Builds the certificates of a profile that has one CA and no subfolders."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def authority(self, subject: Subject) -> Certificate:
        """The cluster's CA."""
        return Certificate(
            name="ca",
            role="ca",
            chapter="ca",
            kind=Kind.CA,
            subject=subject,
            key=self.cluster.key,
            files=flat("ca"),
            days=self.cluster.days.ca,
        )

    def leaf(
        self,
        name: str,
        chapter: str,
        kind: Kind,
        subject: Subject,
        *,
        role: str = "",
        alt_names: tuple[AltName, ...] = (),
        host: str | None = None,
    ) -> Certificate:
        """A certificate that the CA signs; its files are called like it."""
        return Certificate(
            name=name,
            role=role or name,
            chapter=chapter,
            kind=kind,
            subject=subject,
            key=self.cluster.key,
            files=flat(stem_of(name)),
            days=self.cluster.days.leaf,
            alt_names=alt_names,
            issuer="ca",
            host=host,
        )

    def user(self, name: str, groups: tuple[str, ...]) -> Certificate:
        """A user's certificate."""
        return self.leaf(name, "client", Kind.CLIENT, Subject(name, groups), role="user")
