"""The components of Kubernetes: one module each, all of one shape (``kcert.kubernetes.components.component``)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.errors import InputError, did_you_mean
from kcert.kubernetes.components import (
    etcd,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)
from kcert.kubernetes.components.component import Component, ComponentInstance, FolderState, Option, Reads, Setting
from kcert.roles import USER_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kcert.certificates import Certificate
    from kcert.config import Cluster, Host, Version

__all__ = [
    "COMPONENTS",
    "Component",
    "ComponentInstance",
    "FolderState",
    "Option",
    "Reads",
    "Restart",
    "Setting",
    "component",
    "instances",
    "on_host",
    "restarts",
    "user_certificates",
]

COMPONENTS: dict[str, Component] = {
    program.NAME: program
    for program in (etcd, kube_apiserver, kube_controller_manager, kube_scheduler, kube_proxy, kubelet)
}
"""Every component by its name, in the order in which they are started."""


def component(name: str) -> Component:
    """Return the component called *name*; raises InputError, with similar names, where there is none."""
    if name not in COMPONENTS:
        hint = did_you_mean(name, COMPONENTS, f"the components are {', '.join(COMPONENTS)}.", 2)
        raise InputError(f"{name!a} is not a component that kcert knows; {hint}")
    return COMPONENTS[name]


def instances(  # noqa: PLR0917 - one for each option
    cluster: Cluster,
    name: str,
    version: Version | None = None,
    prefix: str | None = None,
    state: FolderState = FolderState(),  # noqa: B008 - it is frozen
    known: Mapping[str, Certificate] | None = None,
) -> tuple[ComponentInstance, ...]:
    """Return the component on each host that it runs on; *known* are the cluster's certificates by name."""
    profile = profiles.PROFILES[cluster.profile]
    known = known or {cert.name: cert for cert in profiles.certificates(cluster)}
    return tuple(
        ComponentInstance(COMPONENTS[name], cluster, profile, host, known, version or cluster.version, prefix, state)
        for host in COMPONENTS[name].hosts(profile, cluster)
    )


def on_host(
    cluster: Cluster, host: Host, state: FolderState, version: Version | None = None
) -> tuple[ComponentInstance, ...]:
    """Return each component that runs on *host*; without *version*, of the cluster's release."""
    profile = profiles.PROFILES[cluster.profile]
    known = {cert.name: cert for cert in profiles.certificates(cluster)}
    return tuple(
        ComponentInstance(component, cluster, profile, instance_host, known, version or cluster.version, state=state)
        for component in COMPONENTS.values()
        for instance_host in component.hosts(profile, cluster)
        if instance_host.name == host.name
    )


@dataclass(frozen=True)
class Restart:
    """A component that has to be restarted, and on which hosts."""

    component: str
    hosts: tuple[str, ...]


def restarts(cluster: Cluster, certificates: Iterable[Certificate]) -> tuple[Restart, ...]:
    """Return what has to be restarted once new files of *certificates* are on the hosts, in a good order."""
    renewed = {cert.name for cert in certificates}
    known = {cert.name: cert for cert in profiles.certificates(cluster)}
    hosts: dict[str, list[str]] = defaultdict(list)
    for component in COMPONENTS.values():
        for instance in instances(cluster, component.NAME, known=known):
            read = {reads.certificate.name: reads for reads in instance.files()}
            # A kubeconfig holds the CA as well.
            issuers = {reads.certificate.issuer for reads in read.values() if reads.part == "kubeconfig"}
            if renewed & {*read, *issuers}:
                hosts[component.NAME].append(instance.host.name)
    return tuple(Restart(name, tuple(hosts[name])) for name in COMPONENTS if name in hosts)


def user_certificates(certificates: Iterable[Certificate]) -> tuple[str, ...]:
    """Return the names of those *certificates* that belong to people, who have to be given the new file."""
    return tuple(cert.name for cert in certificates if cert.role in USER_ROLES)
