"""The base class of profiles, and the pieces that profiles are built from.

To add a profile, add a module with a subclass of ``Profile`` and an instance of it called ``PROFILE``.
"""

from __future__ import annotations

import abc
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from kcert import lessons
from kcert.certificates import AltName, Certificate, Files, Key, Kind, Role, Subject, Usages, chain_of, new_ca_only_path
from kcert.config import ApiServer, Cluster, Host, Lifetimes, url
from kcert.roles import KUBELET_ROLES, NODE_PREFIX, ROLES


@dataclass(frozen=True)
class RoleBindings:
    """The certificate, by name, for each purpose on one host; None: this profile has none for it.

    A certificate can have several of them. ``proxy`` and ``kubelet`` are what these present to the API server,
    ``kubelet_server`` is what the kubelet serves with, and ``kubelets_ca`` its CA. Without ``etcd_server`` etcd speaks
    plain HTTP.
    """

    kubelet: str
    kubelet_server: str | None
    etcd_server: str | None = "etcd-server"
    etcd_peer: str | None = "etcd-server"
    etcd_client: str | None = "etcd-server"
    api_server: str = "kube-apiserver"
    service_account: str = "service-account"
    controller_manager: str = "kube-controller-manager"
    scheduler: str = "kube-scheduler"
    proxy: str | None = "kube-proxy"
    cluster_ca: str = "ca"
    etcd_ca: str = "ca"
    kubelets_ca: str | None = "ca"
    kubelet_client: str = "apiserver-kubelet-client"
    front_proxy_ca: str | None = None
    front_proxy_client: str | None = None


_LOCAL = ApiServer("controlplane01", ("127.0.0.1",))


@dataclass(frozen=True)
class Example:
    """The cluster that `kcert init` describes for a profile.

    ``domain`` completes the name of a control-plane host to the API server's host name, where a profile has one.
    """

    cluster: str = "kubernetes"
    api_server: ApiServer = _LOCAL
    control_plane: tuple[Host, ...] = (Host("controlplane01", ("127.0.0.1",)),)
    nodes: tuple[Host, ...] = (Host("node01", ("127.0.0.1",)),)
    service_cidr: str = "10.96.0.0/16"
    domain: str = ""


@dataclass(frozen=True)
class KnownIssue:
    """A mistake of the book that a profile follows, by its name in the lesson `known-issues`."""

    component: str
    name: str

    @property
    def problem(self) -> str:
        """Return the problem that it causes."""
        return lessons.known_issue(self.name)[0]

    @property
    def fix(self) -> str:
        """Return how kcert fixes it: the words that follow "fix_known_issues: true"."""
        return lessons.known_issue(self.name)[1]


@dataclass(frozen=True)
class Extra:
    """Something that a host gets though no option of its components names it.

    ``purpose`` is its heading in the lesson `files-on-a-host`.
    """

    certificate: str
    part: Part
    reader: str
    purpose: str


Part = Literal["crt", "key", "public_key", "kubeconfig", "chain", "new"]
"""The parts of a certificate that have files of their own; a chain is a CA's, where another CA signed it, and
new is a CA alone, while its own file also contains the outgoing one."""


ETCD_PORT = 2379
"""The port that etcd's clients connect to (IANA: etcd-client)."""


class Profile(abc.ABC):
    """One way in which clusters are set up: which certificates there are, how they are named, if they are kept.

    ``configurations`` are the paths of the configuration files on a host, by component; ``encryption_config``,
    ``bootstrap_kubeconfig`` and ``kubelet_kubeconfig`` are paths too. With ``kubelets_rotate`` the kubelets ask the
    cluster for their next client certificates themselves; with ``static_pods`` the control plane runs as pods.
    ``restarting`` says how to restart a component, and ``ca_copies`` where the cluster itself has copies of its
    CA, besides those that every cluster has. ``context`` is the name of the context in kubeconfigs (empty:
    NAME@CLUSTER). ``bootstrap_tokens`` and ``preferred_addresses`` are options of the API server. ``absent`` says why
    there is no certificate of a name that other profiles have. With ``has_admin`` control-plane hosts get the
    administrator's kubeconfig.
    """

    name: str
    summary: str
    lifetimes: Lifetimes
    key = Key()
    configurations: ClassVar[Mapping[str, str]]
    kubelets_rotate = False
    restarting: str
    ca_copies = ""
    context = ""
    example = Example()
    encryption_config = "/etc/kubernetes/encryption-config.yaml"
    bootstrap_kubeconfig = "/etc/kubernetes/bootstrap-kubelet.conf"
    kubelet_kubeconfig = "/etc/kubernetes/kubelet.conf"
    static_pods = False
    bootstrap_tokens = True
    preferred_addresses = "InternalIP,ExternalIP,Hostname"

    absent: ClassVar[Mapping[str, str]] = {}
    has_admin = False

    @abc.abstractmethod
    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Yield every certificate that *cluster* needs; a CA comes before what it signs."""

    @abc.abstractmethod
    def bindings(self, cluster: Cluster, host: str) -> RoleBindings:
        """Return which certificate does what on *host*."""

    @abc.abstractmethod
    def install_path(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Return where a part of *certificate* is on a host, for the component that reads it."""

    def server(self, cluster: Cluster, certificate: Certificate) -> str:
        """Return the URL of the API server in *certificate*'s kubeconfig."""
        return certificate.server or cluster.endpoint

    def node_server(self, cluster: Cluster) -> str:
        """Return the URL of the API server for the nodes."""
        return cluster.endpoint

    def secure_port(self, cluster: Cluster) -> int:
        """Return the port that each API server listens on (a load balancer before them may have another)."""
        return cluster.api_server.port

    def etcd_servers(self, cluster: Cluster, host: str) -> tuple[str, ...]:
        """Return the URLs of etcd that the API server on *host* is given."""
        return tuple(url(member.addresses[0], ETCD_PORT) for member in cluster.etcd)

    def kubelet_hosts(self, cluster: Cluster) -> tuple[Host, ...]:
        """Return the hosts that have a kubelet."""
        return cluster.nodes

    def token_issuer(self, cluster: Cluster) -> str:
        """Return the issuer in the tokens of service accounts."""
        return f"https://kubernetes.default.svc.{cluster.dns_domain}"

    def known_issues(self, cluster: Cluster) -> tuple[KnownIssue, ...]:
        """Return the mistakes of the book that this profile follows, as long as they are not fixed."""
        return ()

    def extras(self, cluster: Cluster, host: str) -> Iterator[Extra]:
        """Yield what *host* gets besides what its components' options name."""
        if self.has_admin and any(member.name == host for member in cluster.control_plane):
            yield Extra("admin", "kubeconfig", "kubectl", "administrator")


def kubeconfig_of(certificate: Certificate) -> PurePosixPath:
    """The file in the PKI folder that is the certificate's kubeconfig, there or not."""
    files = certificate.files
    return files.kubeconfig or PurePosixPath(f"{str(files.key).removesuffix('.key')}.kubeconfig")


def file_of(certificate: Certificate, part: Part) -> PurePosixPath:
    """The file in the PKI folder that is a part of the certificate."""
    files = certificate.files
    paths = {"crt": files.crt, "key": files.key, "public_key": files.public_key}
    if files.crt:
        paths |= {"chain": chain_of(files.crt), "new": new_ca_only_path(files.crt)}
    path = kubeconfig_of(certificate) if part == "kubeconfig" else paths[part]
    assert path is not None
    return path


def stem_of(user: str) -> str:
    """A user's name as the beginning of a file's: for scp, the text before a colon is a host."""
    return user.replace(":", "-")


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


def files_of(stem: PurePosixPath, request: PurePosixPath) -> Files:
    """Return the files of a certificate: *stem* with endings, and *request* with those that only its request needs."""
    return Files(
        key=stem.with_name(f"{stem.name}.key"),
        cnf=request.with_name(f"openssl-{request.name}.cnf"),
        csr=request.with_name(f"{request.name}.csr"),
        crt=stem.with_name(f"{stem.name}.crt"),
    )


class Layout:
    """Builds the certificates of a profile; this one has one CA and no subfolders."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def files(self, _role: Role, name: str) -> Files:
        """Return the files of the certificate *name*."""
        stem = PurePosixPath(stem_of(name))
        return files_of(stem, stem)

    def issuer(self, _role: Role) -> Role:
        """Return the CA that signs certificates of a role."""
        return Role.CLUSTER_CA

    def ca(self, role: Role, subject: Subject, usages: Usages | None = None) -> Certificate:
        """Return a CA; *usages* replace those of its kind."""
        return Certificate(
            name=role.value,
            role=role,
            chapter="ca",
            kind=Kind.CA,
            subject=subject,
            key=self.cluster.key,
            files=self.files(role, role.value),
            days=self.cluster.days.ca,
            usages=usages,
        )

    def leaf(
        self,
        role: Role,
        name: str = "",
        *,
        subject: Subject | None = None,
        kind: Kind | None = None,
        files: Files | None = None,
        alt_names: tuple[AltName, ...] = (),
        optional: tuple[AltName, ...] = (),
        host: str | None = None,
    ) -> Certificate:
        """Return a certificate that a CA signs: as in the table of roles, unless something else is given."""
        spec, name = ROLES[role], name or role.value
        files = files or self.files(role, name)
        # By its prefix the API server takes a client for the kubelet of a node.
        prefix = NODE_PREFIX if role in KUBELET_ROLES else ""
        common_name = spec.common_name or f"{prefix}{host or name}"
        return Certificate(
            name=name,
            role=role,
            chapter=spec.chapter,
            kind=kind or spec.kind,
            subject=subject or Subject(common_name, spec.organizations),
            key=self.cluster.key,
            files=files,
            days=self.cluster.days.leaf,
            alt_names=alt_names,
            issuer=self.issuer(role).value,
            server=self.cluster.endpoint if files.kubeconfig else "",
            host=host,
            optional_sans=optional,
        )

    def etcd_names(self, *loopback: str, member: Host | None = None) -> tuple[AltName, ...]:
        """Return the SANs of etcd, or of one *member*, with the loopback for health checks and etcdctl on the host."""
        members = [member] if member else self.cluster.etcd
        names = [name for host in members for name in host_names(host)]
        return unique([*names, *_dns("localhost"), *_ip("127.0.0.1", *loopback)])

    def api_server_names(self) -> tuple[AltName, ...]:
        """Return every name and address that clients in the cluster, or outside it, connect to the API server by."""
        server, service = self.cluster.api_server, "kubernetes.default.svc"
        domains = ("cluster", self.cluster.dns_domain)
        return unique(
            [
                *_dns("kubernetes", "kubernetes.default", service, *(f"{service}.{domain}" for domain in domains)),
                *_dns("localhost"),
                *(name for host in self.cluster.control_plane for name in host_names(host)),
                *([AltName("DNS", server.host)] if server.host else []),
                *_ip(*server.addresses),
                *_ip("127.0.0.1"),
                # The service called kubernetes always gets the first address of the range.
                *_ip(*(str(ipaddress.ip_network(cidr)[1]) for cidr in self.cluster.service_cidrs)),
                *server.extra_sans,
            ]
        )

    def api_server(
        self, name: str = "", *connected: str, subject: Subject | None = None, kind: Kind | None = None
    ) -> Certificate:
        """Return the API server's certificate.

        Some of its SANs may be missing, unless clients of this profile are *connected* by them: kubeadm omits the
        loopback, and the service addresses of the second family (pods connect to the first).
        """
        names, server = self.api_server_names(), self.cluster.api_server
        later = {str(ipaddress.ip_network(cidr)[1]) for cidr in self.cluster.service_cidrs[1:]}
        hosts = {name.value for host in self.cluster.control_plane for name in host_names(host)}
        requested = {*connected, *hosts, server.host, *server.addresses, *(name.value for name in server.extra_sans)}
        spare = {"localhost", "127.0.0.1", "::1", "kubernetes.default.svc.cluster", *later} - requested
        optional = tuple(name for name in names if name.value in spare)
        return self.leaf(Role.APISERVER, name, subject=subject, kind=kind, alt_names=names, optional=optional)

    def users(self) -> Iterator[Certificate]:
        """Yield the certificate of each user of kcert.yaml."""
        for user in self.cluster.users:
            yield self.leaf(Role.USER, user.name, subject=Subject(user.name, user.groups))
