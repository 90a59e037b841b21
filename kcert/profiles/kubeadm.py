"""kubeadm: three CAs, and the folder /etc/kubernetes as kubeadm lays it out and accepts it as its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Files, Key, Kind, Subject
from kcert.config import Lifetimes, url
from kcert.profiles.profile import (
    CLUSTER_ADMINS,
    ETCD_PORT,
    MASTERS,
    Extra,
    Part,
    RoleBindings,
    api_server_names,
    etcd_names,
    every_member,
    file_of,
    kubelet_subject,
    optional_sans,
    stem_of,
    with_control_plane,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import AltName
    from kcert.config import Cluster, Host

NAME = "kubeadm"
SUMMARY = "as kubeadm: a CA each for cluster, etcd and front proxy, and the folder that goes into /etc/kubernetes"
LIFETIMES = Lifetimes(ca=3650, leaf=365)
CONFIGURATIONS = {
    "kubelet": "/var/lib/kubelet/config.yaml",
    "kube-proxy": "/var/lib/kube-proxy/config.conf",
}
ROTATES = True


def certificates(cluster: Cluster) -> Iterator[Certificate]:
    """kubeadm's certificates, in the order of its phases: certs, then kubeconfig."""
    make = _Kubeadm(cluster)
    yield make.authority("ca", "pki/ca", "kubernetes-ca")
    names = api_server_names(cluster)
    server = make.leaf("apiserver", "pki/apiserver", Kind.SERVER, "kube-apiserver", chapter="apiserver", names=names)
    yield replace(server, spare=optional_sans(cluster, names))
    yield make.leaf(
        "apiserver-kubelet-client",
        "pki/apiserver-kubelet-client",
        Kind.CLIENT,
        "kube-apiserver-kubelet-client",
        # Since 1.29: https://github.com/kubernetes/kubernetes/pull/121837
        groups=(CLUSTER_ADMINS,),
        chapter="apiserver",
    )
    yield make.authority("front-proxy-ca", "pki/front-proxy-ca", "kubernetes-front-proxy-ca")
    yield make.leaf(
        "front-proxy-client",
        "pki/front-proxy-client",
        Kind.CLIENT,
        "front-proxy-client",
        chapter="apiserver",
        issuer="front-proxy-ca",
    )
    yield make.authority("etcd-ca", "pki/etcd/ca", "etcd-ca")
    # ::1 because kubeadm looks for it when a second control-plane host joins.
    names = etcd_names(cluster.etcd, "::1")
    for part in ("server", "peer"):
        common_name = "kube-etcd" if part == "server" else "kube-etcd-peer"
        yield make.leaf(
            f"etcd-{part}", f"pki/etcd/{part}", Kind.PEER, common_name, chapter="etcd", issuer="etcd-ca", names=names
        )
    yield make.leaf(
        "etcd-healthcheck-client",
        "pki/etcd/healthcheck-client",
        Kind.CLIENT,
        "kube-etcd-healthcheck-client",
        chapter="etcd",
        issuer="etcd-ca",
    )
    yield make.leaf(
        "apiserver-etcd-client",
        "pki/apiserver-etcd-client",
        Kind.CLIENT,
        "kube-apiserver-etcd-client",
        chapter="apiserver",
        issuer="etcd-ca",
    )
    yield make.service_account()
    yield from make.kubeconfigs()


def without(name: str) -> str | None:
    """kube-proxy is a pod here, and pods show tokens."""
    if name == "kube-proxy":
        return "kubeadm runs kube-proxy as a pod, which shows its service account's token and needs no certificate"
    if name == "service-account":
        return "kubeadm has a bare key pair for service accounts; `kcert service-account` makes it"
    return None


def server(cluster: Cluster, certificate: Certificate) -> str:
    """What the certificate says itself: it lives in its kubeconfig."""
    return certificate.server


def secure_port(cluster: Cluster) -> int:
    """The port that everybody dials."""
    return cluster.api_server.port


def etcd_servers(cluster: Cluster, host: str) -> tuple[str, ...]:
    """The member on the same host, where there is one."""
    here = any(member.name == host for member in cluster.etcd)
    return (url("127.0.0.1", ETCD_PORT),) if here else every_member(cluster)


def kubelet_hosts(cluster: Cluster) -> tuple[Host, ...]:
    """Control plane, whose kubelets start the static pods, and nodes."""
    return with_control_plane(cluster)


def duties(cluster: Cluster, host: str) -> RoleBindings:
    """As kubeadm's manifests have it; the kubelets make what they serve with themselves."""
    own = any(one.name == host for one in cluster.control_plane)
    suffix = f"-{host}" if len(cluster.control_plane) > 1 else ""
    return RoleBindings(
        api_server="apiserver",
        service_account="sa",
        etcd_server="etcd-server",
        etcd_peer="etcd-peer",
        etcd_client="apiserver-etcd-client",
        controller_manager=f"controller-manager{suffix}",
        scheduler=f"scheduler{suffix}",
        kubelet=f"kubelet{suffix}" if own else f"kubelet-{host}",
        kubelet_server=None,
        proxy=None,
        etcd_ca="etcd-ca",
        kubelets_ca=None,
        front_proxy_ca="front-proxy-ca",
        front_proxy_client="front-proxy-client",
    )


def place(certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
    """As in the PKI folder, which is laid out like /etc/kubernetes."""
    file = file_of(certificate, part)
    own = PurePosixPath(*file.parts[2:]) if file.parts[0] == "hosts" else file
    return PurePosixPath("/etc/kubernetes", own)


def extras(cluster: Cluster, host: str) -> Iterator[Extra]:
    """What kubeadm lays down beside what its manifests name: for administrators, and to go on signing."""
    member = any(one.name == host for one in cluster.etcd)
    if member:
        yield Extra("etcd-healthcheck-client", "crt", "etcdctl", "for health checks by hand")
        yield Extra("etcd-healthcheck-client", "key", "etcdctl", "for health checks by hand")
    if not any(one.name == host for one in cluster.control_plane):
        return
    if member:
        yield Extra("etcd-ca", "key", "kubeadm", "so that kubeadm can renew what this CA signed")
    yield Extra("front-proxy-ca", "key", "kubeadm", "so that kubeadm can renew what this CA signed")
    yield Extra("admin", "kubeconfig", "kubectl", "for whoever administers the cluster from this host")
    if host == cluster.control_plane[0].name:
        # kubeadm init writes it, kubeadm join does not.
        yield Extra("super-admin", "kubeconfig", "kubectl", "for when RBAC itself is broken")


class _Kubeadm:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def authority(self, name: str, stem: str, common_name: str) -> Certificate:
        return Certificate(
            name=name,
            role=name,
            chapter="ca",
            kind=Kind.CA,
            subject=Subject(common_name),
            key=self.cluster.key,
            files=_below_pki(stem),
            days=self.cluster.days.ca,
        )

    def leaf(
        self,
        name: str,
        stem: str,
        kind: Kind,
        common_name: str,
        *,
        chapter: str,
        groups: tuple[str, ...] = (),
        issuer: str = "ca",
        names: tuple[AltName, ...] = (),
    ) -> Certificate:
        return Certificate(
            name=name,
            role="kube-apiserver" if name == "apiserver" else name,
            chapter=chapter,
            kind=kind,
            subject=Subject(common_name, groups),
            key=self.cluster.key,
            files=_below_pki(stem),
            days=self.cluster.days.leaf,
            alt_names=names,
            issuer=issuer,
        )

    def service_account(self) -> Certificate:
        # Older kubeadm reads sa.key as RSA and stops at anything else.
        return Certificate(
            name="sa",
            role="service-account-key",
            chapter="service-account",
            kind=Kind.KEY_PAIR,
            subject=None,
            key=self.cluster.key if self.cluster.key.algorithm == "rsa" else Key(),
            files=Files(key=PurePosixPath("pki/sa.key"), public_key=PurePosixPath("pki/sa.pub")),
        )

    def kubeconfigs(self) -> Iterator[Certificate]:
        everyone = self.cluster.endpoint
        yield self.conf("admin", "admin", Subject("kubernetes-admin", (CLUSTER_ADMINS,)), everyone)
        yield self.conf("super-admin", "super-admin", Subject("kubernetes-super-admin", (MASTERS,)), everyone)
        yield from self.control_plane()
        for node in self.cluster.nodes:
            if len(self.cluster.control_plane) > 1 and node.name in {host.name for host in self.cluster.control_plane}:
                continue  # its kubelet.conf is among the control plane's
            yield self.kubelet(node.name, f"hosts/{node.name}/kubelet", f"kubelet-{node.name}")
        for user in self.cluster.users:
            yield self.user(user.name, user.groups)

    def control_plane(self) -> Iterator[Certificate]:
        """What each control-plane host has of its own: at the top, or with several hosts in a folder each."""
        several = len(self.cluster.control_plane) > 1
        for host in self.cluster.control_plane:
            folder, suffix = (f"hosts/{host.name}/", f"-{host.name}") if several else ("", "")
            own = url(host.addresses[0], self.cluster.api_server.port)
            for name in ("controller-manager", "scheduler"):
                subject = Subject(f"system:kube-{name}")
                yield self.conf(f"{name}{suffix}", f"{folder}{name}", subject, own, role=f"kube-{name}", host=host.name)
            yield self.kubelet(host.name, f"{folder}kubelet", f"kubelet{suffix}")

    def kubelet(self, host: str, stem: str, name: str) -> Certificate:
        return self.conf(
            name,
            stem,
            kubelet_subject(host),
            self.cluster.endpoint,
            role="kubelet-client",
            chapter="kubelet",
            host=host,
        )

    def user(self, name: str, groups: tuple[str, ...]) -> Certificate:
        return self.conf(name, stem_of(name), Subject(name, groups), self.cluster.endpoint, role="user")

    def conf(
        self,
        name: str,
        stem: str,
        subject: Subject,
        server: str,
        *,
        role: str = "",
        chapter: str = "client",
        host: str | None = None,
    ) -> Certificate:
        below = PurePosixPath("requests", stem)
        return Certificate(
            name=name,
            role=role or name,
            chapter=chapter,
            kind=Kind.CLIENT,
            subject=subject,
            key=self.cluster.key,
            files=Files(
                key=PurePosixPath(f"{stem}.key"),
                cnf=below.with_name(f"openssl-{below.name}.cnf"),
                csr=below.with_name(f"{below.name}.csr"),
                crt=PurePosixPath(f"{stem}.crt"),
                kubeconfig=PurePosixPath(f"{stem}.conf"),
            ),
            days=self.cluster.days.leaf,
            issuer="ca",
            server=server,
            host=host,
        )


def _below_pki(stem: str) -> Files:
    below = PurePosixPath("requests", stem)
    return Files(
        key=PurePosixPath(f"{stem}.key"),
        cnf=below.with_name(f"openssl-{below.name}.cnf"),
        csr=below.with_name(f"{below.name}.csr"),
        crt=PurePosixPath(f"{stem}.crt"),
    )
