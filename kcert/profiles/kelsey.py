"""Kubernetes the hard way, Kelsey Hightower's edition: one CA, and the subjects and SANs of its ca.conf."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import ClassVar

from kcert.certificates import AltName, Certificate, Key, Kind, Role, Subject, Usages
from kcert.config import ApiServer, Cluster, Host, Lifetimes, url
from kcert.profiles.profile import Example, KnownIssue, Layout, Part, Profile, RoleBindings, file_of, host_names, unique
from kcert.roles import MASTERS, NODE_PREFIX, NODES, ROLES

_PLACE = (("C", "US"), ("ST", "Washington"), ("L", "Seattle"))
_LOOPBACK = AltName("IP", "127.0.0.1")
_EXTRA_SANS = (AltName("DNS", "api-server.kubernetes.local"),)
_FOLDERS = {"kubelet": "/var/lib/kubelet", "kube-proxy": "/var/lib/kube-proxy", "etcd": "/etc/etcd"}
_CA_USAGES = Usages(key=("cRLSign", "keyCertSign"), extended=None, critical=False)


class Kelsey(Profile):
    """The certificates of the book's ca.conf; with fix_known_issues also those that the book omits."""

    name = "kelsey"
    summary = "as Kelsey Hightower's Kubernetes the hard way: one CA, RSA 4096, machines server, node-0 and node-1"
    lifetimes = Lifetimes(ca=3653, leaf=3653)
    key = Key(bits=4096)
    configurations: ClassVar[Mapping[str, str]] = {
        "kubelet": "/var/lib/kubelet/kubelet-config.yaml",
        "kube-proxy": "/var/lib/kube-proxy/kube-proxy-config.yaml",
        "kube-scheduler": "/etc/kubernetes/config/kube-scheduler.yaml",
    }
    restarting = "The components are services here: `systemctl restart COMPONENT` on each machine."
    context = "default"
    bootstrap_tokens = False
    # The nodes are reached by name: their certificates have no address but 127.0.0.1.
    preferred_addresses = "Hostname,InternalDNS,InternalIP"
    encryption_config = "/var/lib/kubernetes/encryption-config.yaml"
    bootstrap_kubeconfig = "/var/lib/kubelet/bootstrap-kubeconfig"
    kubelet_kubeconfig = "/var/lib/kubelet/kubeconfig"
    has_admin = True  # it contains 127.0.0.1, and so works only on a control-plane host
    absent: ClassVar[Mapping[str, str]] = {
        Role.APISERVER_KUBELET_CLIENT: "in the profile kelsey the API server presents kube-api-server to the kubelets",
        Role.APISERVER_ETCD_CLIENT: "in the profile kelsey the API server presents kube-api-server to etcd, where etcd "
        "has TLS",
        Role.ETCD_SERVER: "in the profile kelsey etcd speaks plain HTTP on 127.0.0.1, unless kcert.yaml has "
        "fix_known_issues: true",
    }
    example = Example(
        cluster="kubernetes-the-hard-way",
        api_server=ApiServer("server.kubernetes.local", (), extra_sans=_EXTRA_SANS),
        control_plane=(Host("server", ("192.168.56.10",)),),
        nodes=(Host("node-0", ("192.168.56.20",)), Host("node-1", ("192.168.56.21",))),
        service_cidr="10.32.0.0/24",
        domain="kubernetes.local",
    )

    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Yield the certificates in the order of the book."""
        make = _Layout(cluster)
        yield make.ca(Role.CLUSTER_CA, Subject("CA", given=(*_PLACE, ("CN", "CA"))), usages=_CA_USAGES)
        yield make.leaf(Role.ADMIN, subject=Subject("admin", (MASTERS,)))
        for node in cluster.issued_nodes:
            yield make.leaf(
                Role.KUBELET,
                node.name,
                subject=_subject(f"{NODE_PREFIX}{node.name}", NODES),
                alt_names=self._node_names(cluster, node),
                host=node.name,
            )
        for role in (Role.PROXY, Role.SCHEDULER, Role.CONTROLLER_MANAGER):
            spec = ROLES[role]
            fixed = cluster.fix_known_issues or role is not Role.SCHEDULER
            group = spec.organizations[0] if fixed else "system:system:kube-scheduler"
            yield make.leaf(
                role,
                kind=Kind.PEER,
                subject=_subject(spec.common_name, group),
                alt_names=(AltName("DNS", role.value), _LOOPBACK),
            )
        yield make.api_server("kube-api-server", "127.0.0.1", subject=_subject("kubernetes"), kind=Kind.PEER)
        if cluster.fix_known_issues:
            yield make.leaf(Role.APISERVER_KUBELET_CLIENT)
        if _has_etcd_tls(cluster):
            yield make.leaf(Role.ETCD_SERVER, alt_names=make.etcd_names())
        yield make.leaf(Role.SERVICE_ACCOUNT, "service-accounts")
        yield from make.users()

    @staticmethod
    def _node_names(cluster: Cluster, node: Host) -> tuple[AltName, ...]:
        book = (AltName("DNS", node.name), _LOOPBACK)
        return unique((*book, *host_names(node))) if cluster.fix_known_issues else book

    def server(self, cluster: Cluster, certificate: Certificate) -> str:
        """Return 127.0.0.1 for the administrator, who works on the control-plane host, else the host name."""
        if certificate.role is Role.ADMIN:
            return url("127.0.0.1", cluster.api_server.port)
        return self.node_server(cluster)

    def node_server(self, cluster: Cluster) -> str:
        """Return the API server's URL by host name, as in the book."""
        server = cluster.api_server
        return url(server.host or server.addresses[0], server.port)

    def etcd_servers(self, cluster: Cluster, host: str) -> tuple[str, ...]:
        """Return plain HTTP on the loopback address, or all members with TLS."""
        return super().etcd_servers(cluster, host) if _has_etcd_tls(cluster) else ("http://127.0.0.1:2379",)

    def token_issuer(self, cluster: Cluster) -> str:
        """Return the API server's own URL, as in the book."""
        return self.node_server(cluster)

    def bindings(self, cluster: Cluster, host: str) -> RoleBindings:
        """Return one certificate for all that a component does."""
        etcd = "etcd-server" if _has_etcd_tls(cluster) else None
        return RoleBindings(
            kubelet=host,
            kubelet_server=host,
            etcd_server=etcd,
            etcd_peer=etcd,
            etcd_client="kube-api-server" if etcd else None,
            api_server="kube-api-server",
            service_account="service-accounts",
            kubelet_client="apiserver-kubelet-client" if cluster.fix_known_issues else "kube-api-server",
        )

    def install_path(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Return the folder of kubelet, kube-proxy or etcd for what they read, and one folder for the rest."""
        file = file_of(certificate, part)
        if reader in ("kubelet", "kube-proxy") and part == "kubeconfig":
            return PurePosixPath(_FOLDERS[reader], "kubeconfig")
        if reader == "kubelet" and certificate.role is Role.KUBELET:
            return PurePosixPath(_FOLDERS[reader], f"kubelet{file.suffix}")
        return PurePosixPath(_FOLDERS.get(reader, "/var/lib/kubernetes"), file)

    def known_issues(self, cluster: Cluster) -> tuple[KnownIssue, ...]:
        """Return the mistakes and omissions of the book."""
        if cluster.fix_known_issues:
            return ()
        return _KNOWN_ISSUES[1:] if _has_etcd_tls(cluster) else _KNOWN_ISSUES


_KNOWN_ISSUES = (
    KnownIssue("etcd", "plain-http-etcd"),
    KnownIssue("kube-apiserver", "no-service-range"),  # issue 905 of the book
    KnownIssue("kube-apiserver", "no-full-service-name"),
    KnownIssue("kube-apiserver", "no-kubelet-client"),
    KnownIssue("kubelet", "loopback-only"),
    KnownIssue("kube-scheduler", "scheduler-group"),
)


def _subject(common_name: str, group: str = "") -> Subject:
    groups = (group,) if group else ()
    parts = (("CN", common_name), *(("O", group) for group in groups), *_PLACE)
    return Subject(common_name, groups, given=parts)


def _has_etcd_tls(cluster: Cluster) -> bool:
    """Return whether etcd needs certificates: several members, or a member elsewhere, cannot meet on 127.0.0.1."""
    same_host = {host.name for host in cluster.etcd} == {host.name for host in cluster.control_plane}
    return cluster.fix_known_issues or len(cluster.etcd) > 1 or not same_host


class _Layout(Layout):
    def api_server_names(self) -> tuple[AltName, ...]:
        cluster, server, service = self.cluster, self.cluster.api_server, "kubernetes.default.svc"
        addresses = (str(ipaddress.ip_network(cidr)[1]) for cidr in cluster.service_cidrs)
        names = ("kubernetes", "kubernetes.default", service, f"{service}.cluster")
        book = (
            *(AltName("IP", address) for address in ("127.0.0.1", *addresses, *server.addresses)),
            *(AltName("DNS", name) for name in (*names, f"kubernetes.svc.{cluster.dns_domain}", server.host) if name),
            *server.extra_sans,
        )
        return unique((*book, *super().api_server_names())) if cluster.fix_known_issues else unique(book)


PROFILE = Kelsey()
