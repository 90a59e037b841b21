"""Kubernetes the hard way, mmumshad's edition: one CA, one certificate a component for all that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Kind, Subject
from kcert.cluster import Lifetimes
from kcert.profiles.profile import MASTERS, Flat, api_server_names, etcd_names, host_names, kubelet_subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import Certificate
    from kcert.cluster import Cluster

NAME = "hardway"
SUMMARY = "as mmumshad's Kubernetes the hard way: one CA, one certificate a component, installed as systemd units"
LIFETIMES = Lifetimes(ca=1000, leaf=1000)

OWNERS = ("Kubernetes",)
"""The organization that these pages give to what needs no group."""


def certificates(cluster: Cluster) -> Iterator[Certificate]:
    """The certificates of the hard way, in the order of its pages."""
    make = Flat(cluster)
    yield make.authority(Subject("KUBERNETES-CA", OWNERS))

    yield make.leaf("admin", "client", Kind.CLIENT, Subject("admin", (MASTERS,)))
    for component in ("system:kube-controller-manager", "system:kube-scheduler"):
        yield make.leaf(component.removeprefix("system:"), "client", Kind.CLIENT, Subject(component, (component,)))
    yield make.leaf("kube-proxy", "client", Kind.CLIENT, Subject("system:kube-proxy", ("system:node-proxier",)))

    yield make.leaf(
        "kube-apiserver",
        "apiserver",
        Kind.SERVER,
        Subject("kube-apiserver", OWNERS),
        alt_names=api_server_names(cluster),
    )
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
