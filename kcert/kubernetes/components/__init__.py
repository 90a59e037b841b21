"""The components of Kubernetes: one module each, all of one shape (``kcert.kubernetes.components.component``)."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcert.certificates import Certificate
    from kcert.config import Cluster, Host, Version

__all__ = [
    "COMPONENTS",
    "Component",
    "ComponentInstance",
    "FolderState",
    "Option",
    "Reads",
    "Setting",
    "component",
    "instances",
    "on_host",
]

COMPONENTS: dict[str, Component] = {
    one.NAME: one for one in (etcd, kube_apiserver, kube_controller_manager, kube_scheduler, kube_proxy, kubelet)
}
"""Every component by its name, in the order in which they are started."""


def component(name: str) -> Component:
    """The component called *name*; raises InputError, with the near ones, where there is none."""
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


def on_host(cluster: Cluster, host: Host, state: FolderState) -> tuple[ComponentInstance, ...]:
    """Return each component that runs on *host*."""
    profile = profiles.PROFILES[cluster.profile]
    known = {cert.name: cert for cert in profiles.certificates(cluster)}
    return tuple(
        ComponentInstance(component, cluster, profile, there, known, cluster.version, state=state)
        for component in COMPONENTS.values()
        for there in component.hosts(profile, cluster)
        if there.name == host.name
    )
