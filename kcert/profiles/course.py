"""The CKA course: one CA, and each certificate on its own, under the name the course gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Kind, Subject
from kcert.config import Lifetimes
from kcert.profiles.profile import (
    MASTERS,
    Extra,
    FlatLayout,
    Part,
    RoleBindings,
    api_server_names,
    etcd_names,
    every_member,
    file_of,
    host_names,
    kubelet_subject,
    optional_sans,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import Certificate
    from kcert.config import Cluster, Host

NAME = "course"
SUMMARY = "as the CKA course teaches it: one CA, one folder, a certificate for each side of each conversation"
LIFETIMES = Lifetimes(ca=3650, leaf=365)
CONFIGURATIONS = {
    "kubelet": "/var/lib/kubelet/config.yaml",
    "kube-proxy": "/var/lib/kube-proxy/config.yaml",
}
ROTATES = False


def certificates(cluster: Cluster) -> Iterator[Certificate]:
    """The course's certificates, in the order in which the course makes them."""
    make = FlatLayout(cluster)
    yield make.authority(Subject("Kubernetes-CA"))

    yield make.leaf("admin", "client", Kind.CLIENT, Subject("kube-admin", (MASTERS,)))
    for component in ("system:kube-scheduler", "system:kube-controller-manager"):
        yield make.leaf(component.removeprefix("system:"), "client", Kind.CLIENT, Subject(component, (component,)))
    yield make.leaf("kube-proxy", "client", Kind.CLIENT, Subject("system:kube-proxy", ("system:node-proxier",)))

    # etcd dials its own client port with its server certificate, so that has to be good for both sides.
    yield make.leaf("etcd-server", "etcd", Kind.PEER, Subject("etcd-server"), alt_names=etcd_names(cluster.etcd))
    for member in cluster.etcd if len(cluster.etcd) > 1 else ():
        yield make.leaf(
            f"etcd-peer-{member.name}",
            "etcd",
            Kind.PEER,
            Subject(member.name),
            role="etcd-peer",
            alt_names=etcd_names([member]),
            host=member.name,
        )

    names = api_server_names(cluster)
    server = make.leaf("kube-apiserver", "apiserver", Kind.SERVER, Subject("kube-apiserver"), alt_names=names)
    yield replace(server, spare=optional_sans(cluster, names))
    yield make.leaf("apiserver-etcd-client", "apiserver", Kind.CLIENT, Subject("kube-apiserver-etcd-client"))
    yield make.leaf(
        "apiserver-kubelet-client", "apiserver", Kind.CLIENT, Subject("kube-apiserver-kubelet-client", (MASTERS,))
    )

    for node in cluster.nodes:
        yield make.leaf(
            node.name,
            "kubelet",
            Kind.SERVER,
            Subject(node.name),
            role="kubelet-server",
            alt_names=host_names(node),
            host=node.name,
        )
        yield make.leaf(
            f"kubelet-client-{node.name}",
            "kubelet",
            Kind.CLIENT,
            kubelet_subject(node.name),
            role="kubelet-client",
            host=node.name,
        )

    yield make.leaf("service-account", "service-account", Kind.CLIENT, Subject("service-accounts"))
    for user in cluster.users:
        yield make.user(user.name, user.groups)


def without(name: str) -> str | None:
    """The course has a certificate for everything."""
    return None


def server(cluster: Cluster, certificate: Certificate) -> str:
    """Everybody dials the same address."""
    return cluster.endpoint


def secure_port(cluster: Cluster) -> int:
    """The port that everybody dials."""
    return cluster.api_server.port


def etcd_servers(cluster: Cluster, host: str) -> tuple[str, ...]:
    """All members."""
    return every_member(cluster)


def kubelet_hosts(cluster: Cluster) -> tuple[Host, ...]:
    """The nodes, and nobody else."""
    return cluster.nodes


def duties(cluster: Cluster, host: str) -> RoleBindings:
    """A certificate for each side of each conversation."""
    return RoleBindings(
        api_server="kube-apiserver",
        service_account="service-account",
        etcd_server="etcd-server",
        etcd_peer=f"etcd-peer-{host}" if len(cluster.etcd) > 1 else "etcd-server",
        etcd_client="apiserver-etcd-client",
        controller_manager="kube-controller-manager",
        scheduler="kube-scheduler",
        kubelet=f"kubelet-client-{host}",
        kubelet_server=host,
        proxy="kube-proxy",
    )


def place(certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
    """Everything below /etc/kubernetes, as the course shows it."""
    if part != "kubeconfig":
        return PurePosixPath("/etc/kubernetes/pki", file_of(certificate, part))
    name = "kubelet.kubeconfig" if certificate.chapter == "kubelet" else file_of(certificate, part)
    return PurePosixPath("/etc/kubernetes", name)


def extras(cluster: Cluster, host: str) -> Iterator[Extra]:
    """Nothing: whoever administers the cluster dials it from elsewhere."""
    return iter(())
