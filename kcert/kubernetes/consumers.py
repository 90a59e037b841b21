"""Which components read which certificates, from their own options: what has to be restarted after a renewal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.kubernetes.components import COMPONENTS, instances
from kcert.roles import USER_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.certificates import Certificate
    from kcert.config import Cluster


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
