"""Which components read which certificate, so that it can be said who has to hear of a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.certificates import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.certificates import Certificate
    from kcert.config import Cluster

_API_SERVER, _ETCD = "kube-apiserver", "etcd"
_CONTROLLERS, _SCHEDULER, _PROXY, _KUBELET = "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"

_READERS = {
    "kube-apiserver": (_API_SERVER,),
    "apiserver-kubelet-client": (_API_SERVER,),
    "apiserver-etcd-client": (_API_SERVER,),
    "front-proxy-client": (_API_SERVER,),
    "etcd-server": (_ETCD,),
    "etcd-peer": (_ETCD,),
    "etcd-healthcheck-client": (),
    "kube-controller-manager": (_CONTROLLERS,),
    "kube-scheduler": (_SCHEDULER,),
    "kube-proxy": (_PROXY,),
    "kubelet-server": (_KUBELET,),
    "kubelet-client": (_KUBELET,),
    "kubelet": (_KUBELET,),
    "service-account": (_API_SERVER, _CONTROLLERS),
    "service-account-key": (_API_SERVER, _CONTROLLERS),
    "ca": (_ETCD, _API_SERVER, _CONTROLLERS, _SCHEDULER, _KUBELET, _PROXY),
    "etcd-ca": (_ETCD, _API_SERVER),
    "front-proxy-ca": (_API_SERVER, _CONTROLLERS),
}
"""By a certificate's role: who has the file open, or an option that names it. People read what is not here."""

_ORDER = (_ETCD, _API_SERVER, _CONTROLLERS, _SCHEDULER, _KUBELET, _PROXY)


@dataclass(frozen=True)
class Restart:
    """A component that has to be started anew, and on which hosts."""

    component: str
    hosts: tuple[str, ...]


def restarts(cluster: Cluster, certificates: Iterable[Certificate]) -> tuple[Restart, ...]:
    """Who has to be started anew once new files of *certificates* are where the components look, in a good order."""
    hosts: dict[str, dict[str, None]] = {}
    for certificate in certificates:
        for component in _of(cluster, certificate):
            own = (certificate.host,) if certificate.host and certificate.kind is not Kind.CA else None
            hosts.setdefault(component, {}).update(dict.fromkeys(own or _where(cluster, component)))
    return tuple(Restart(component, tuple(hosts[component])) for component in _ORDER if component in hosts)


def people(certificates: Iterable[Certificate]) -> tuple[str, ...]:
    """The names of those *certificates* that belong to people, who have to be given the new file."""
    return tuple(one.name for one in certificates if one.role in ("admin", "super-admin", "user"))


def _of(cluster: Cluster, certificate: Certificate) -> tuple[str, ...]:
    readers = _READERS.get(certificate.role, ())
    if certificate.role == "etcd-server" and cluster.profile == "hardway":
        return (*readers, _API_SERVER)  # there the API server shows it to etcd
    if certificate.role == "ca" and cluster.profile == "kubeadm":
        return tuple(one for one in readers if one not in (_ETCD, _PROXY))
    return readers


def _where(cluster: Cluster, component: str) -> tuple[str, ...]:
    if component == _ETCD:
        hosts = cluster.etcd
    elif component in (_KUBELET, _PROXY):
        hosts = cluster.nodes
        if cluster.profile == "kubeadm":
            hosts = (*cluster.control_plane, *(one for one in hosts if one not in cluster.control_plane))
    else:
        hosts = cluster.control_plane
    return tuple(host.name for host in hosts)
