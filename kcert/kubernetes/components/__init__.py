"""The components of Kubernetes: one module each, all of one shape (``kcert.kubernetes.components.component``)."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.config.version import STABLE, Version
from kcert.errors import InputError
from kcert.kubernetes.components import (
    etcd,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)
from kcert.kubernetes.components.component import Authority, Component, ComponentInstance, Option, Reads, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kcert.certificates import Certificate
    from kcert.config import Cluster, Host

__all__ = [
    "COMPONENTS",
    "Authority",
    "Component",
    "ComponentInstance",
    "Option",
    "Reads",
    "Setting",
    "component",
    "instances",
    "read_on",
]

COMPONENTS: dict[str, Component] = {
    one.NAME: one for one in (etcd, kube_apiserver, kube_controller_manager, kube_scheduler, kube_proxy, kubelet)
}
"""Every component by its name, in the order in which they are started."""


def component(name: str) -> Component:
    """The component called *name*; raises InputError, with the near ones, where there is none."""
    if name not in COMPONENTS:
        near = difflib.get_close_matches(name, COMPONENTS, 2) or [one for one in COMPONENTS if name and name in one]
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(COMPONENTS)}."
        raise InputError(f"{name!a} is no component that kcert knows; {hint}")
    return COMPONENTS[name]


def instances(  # noqa: PLR0917 - one for each option
    cluster: Cluster,
    name: str,
    version: Version = STABLE,
    prefix: str | None = None,
    authority: Authority = Authority(),  # noqa: B008 - it is frozen
    known: Mapping[str, Certificate] | None = None,
) -> tuple[ComponentInstance, ...]:
    """Return the component on each host that it runs on; *known* are the cluster's certificates by name."""
    profile = profiles.PROFILES[cluster.profile]
    known = known or {cert.name: cert for cert in profiles.certificates(cluster)}
    return tuple(
        ComponentInstance(COMPONENTS[name], cluster, profile, host, known, version, prefix, authority)
        for host in COMPONENTS[name].hosts(profile, cluster)
    )


def read_on(cluster: Cluster, host: Host, authority: Authority) -> Iterator[tuple[str, Reads, str]]:
    """Each file that a component on *host* reads: the component, the file, and why."""
    profile = profiles.PROFILES[cluster.profile]
    known = {one.name: one for one in profiles.certificates(cluster)}
    for name, one in COMPONENTS.items():
        here = next((there for there in one.hosts(profile, cluster) if there.name == host.name), None)
        if here is None:
            continue
        instance = ComponentInstance(one, cluster, profile, here, known, STABLE, authority=authority)
        yield from ((name, option.reads, option.why) for option in instance.given() if option.reads)
