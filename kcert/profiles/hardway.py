"""Kubernetes the hard way, mmumshad's edition: one CA, one certificate a component for all that it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Kind, Subject
from kcert.config import Lifetimes, url
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

NAME = "hardway"
SUMMARY = "as mmumshad's Kubernetes the hard way: one CA, one certificate a component, installed as systemd units"
LIFETIMES = Lifetimes(ca=1000, leaf=1000)
CONFIGURATIONS = {
    "kubelet": "/var/lib/kubelet/kubelet-config.yaml",
    "kube-proxy": "/var/lib/kube-proxy/kube-proxy-config.yaml",
}
ROTATES = False

OWN_PORT = 6443
"""Each API server's own port; api_server.port is the load balancer's."""

OWNERS = ("Kubernetes",)
"""The organization that these pages give to what needs no group."""


def certificates(cluster: Cluster) -> Iterator[Certificate]:
    """The certificates of the hard way, in the order of its pages."""
    make = FlatLayout(cluster)
    yield make.authority(Subject("KUBERNETES-CA", OWNERS))

    yield make.leaf("admin", "client", Kind.CLIENT, Subject("admin", (MASTERS,)))
    for component in ("system:kube-controller-manager", "system:kube-scheduler"):
        yield make.leaf(component.removeprefix("system:"), "client", Kind.CLIENT, Subject(component, (component,)))
    yield make.leaf("kube-proxy", "client", Kind.CLIENT, Subject("system:kube-proxy", ("system:node-proxier",)))

    names = api_server_names(cluster)
    server = make.leaf("kube-apiserver", "apiserver", Kind.SERVER, Subject("kube-apiserver", OWNERS), alt_names=names)
    # Its neighbours on the same host dial the loopback.
    yield replace(server, spare=optional_sans(cluster, names, "127.0.0.1"))
    yield make.leaf(
        "apiserver-kubelet-client", "apiserver", Kind.CLIENT, Subject("kube-apiserver-kubelet-client", (MASTERS,))
    )
    # One for everything around etcd: it serves, it speaks to its peers, and the API server shows it as a client.
    yield make.leaf(
        "etcd-server", "etcd", Kind.PEER, Subject("etcd-server", OWNERS), alt_names=etcd_names(cluster.etcd)
    )
    yield make.leaf("service-account", "service-account", Kind.CLIENT, Subject("service-accounts", OWNERS))

    for node in cluster.nodes:
        yield make.leaf(
            node.name,
            "kubelet",
            Kind.PEER,
            kubelet_subject(node.name),
            role="kubelet",
            alt_names=host_names(node),
            host=node.name,
        )
    for user in cluster.users:
        yield make.user(user.name, user.groups)


def without(name: str) -> str | None:
    """etcd-server does the work of one certificate that the course has."""
    if name == "apiserver-etcd-client":
        return "in the profile hardway the API server shows etcd-server to etcd; `kcert etcd` makes that"
    return None


def server(cluster: Cluster, certificate: Certificate) -> str:
    """What runs beside an API server dials that one; the nodes dial the load balancer."""
    beside = ("admin", "kube-controller-manager", "kube-scheduler")
    return url("127.0.0.1", OWN_PORT) if certificate.name in beside else cluster.endpoint


def secure_port(cluster: Cluster) -> int:
    """The port that the neighbours on the same host dial."""
    return OWN_PORT


def etcd_servers(cluster: Cluster, host: str) -> tuple[str, ...]:
    """All members."""
    return every_member(cluster)


def kubelet_hosts(cluster: Cluster) -> tuple[Host, ...]:
    """The nodes, and nobody else."""
    return cluster.nodes


def duties(cluster: Cluster, host: str) -> RoleBindings:
    """One certificate for all that a component does."""
    return RoleBindings(
        api_server="kube-apiserver",
        service_account="service-account",
        etcd_server="etcd-server",
        etcd_peer="etcd-server",
        etcd_client="etcd-server",
        controller_manager="kube-controller-manager",
        scheduler="kube-scheduler",
        kubelet=host,
        kubelet_server=host,
        proxy="kube-proxy",
    )


_KUBECONFIGS = {
    "kubelet": "/var/lib/kubelet/kubelet.kubeconfig",
    "kube-proxy": "/var/lib/kube-proxy/kube-proxy.kubeconfig",
}


def place(certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
    """etcd has its own folder, kubelet and kube-proxy have theirs for what names them, the rest lies together."""
    file = file_of(certificate, part)
    if part == "kubeconfig":
        return PurePosixPath(_KUBECONFIGS.get(reader, f"/var/lib/kubernetes/{file}"))
    return PurePosixPath("/etc/etcd" if reader == "etcd" else "/var/lib/kubernetes/pki", file)


def extras(cluster: Cluster, host: str) -> Iterator[Extra]:
    """The administrator's kubeconfig talks to 127.0.0.1, so it is of use on a control-plane host alone."""
    if any(one.name == host for one in cluster.control_plane):
        yield Extra("admin", "kubeconfig", "kubectl", "for whoever administers the cluster from this host")
