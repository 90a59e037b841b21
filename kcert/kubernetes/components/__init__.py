"""The components of Kubernetes, all of one shape, where each runs, and whether the PKI folder has what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kcert import profiles
from kcert.certificates import Certificate, chain_of, new_ca_only_path
from kcert.config import Cluster, Host, Version, version
from kcert.errors import InputError, did_you_mean
from kcert.issue.adopt import mark_adopted
from kcert.issue.status import CertificateStatus, status_of
from kcert.kubernetes.components import programs
from kcert.kubernetes.components.component import Component, FolderState
from kcert.kubernetes.encryption import FILE as ENCRYPTION_CONFIG
from kcert.openssl.pem import is_encrypted

COMPONENTS: dict[str, type[Component]] = {
    program.NAME: program
    for program in (
        *(programs.Etcd, programs.KubeApiserver, programs.KubeControllerManager, programs.KubeScheduler),
        *(programs.KubeProxy, programs.Kubelet),
    )
}
"""Every component by its name, in the order in which they are started."""


def instances(  # noqa: PLR0917 - one for each option
    cluster: Cluster,
    name: str,
    version: Version | None = None,
    prefix: str | None = None,
    state: FolderState = FolderState(),  # noqa: B008 - it is frozen
    known: Mapping[str, Certificate] | None = None,
) -> tuple[Component, ...]:
    """Return the component on each host that it runs on; *known* are the cluster's certificates by name."""
    program = COMPONENTS[name]
    known = known or {cert.name: cert for cert in profiles.certificates(cluster)}
    return tuple(
        program(cluster, host, known, version or cluster.version, prefix, state) for host in program.hosts(cluster)
    )


def on_host(cluster: Cluster, host: Host, state: FolderState, version: Version | None = None) -> tuple[Component, ...]:
    """Return each component that runs on *host*; without *version*, of the cluster's release."""
    known = {cert.name: cert for cert in profiles.certificates(cluster)}
    everywhere = (instances(cluster, name, version, state=state, known=known) for name in COMPONENTS)
    return tuple(instance for of_one in everywhere for instance in of_one if instance.host.name == host.name)


def restarts(cluster: Cluster, certificates: Iterable[Certificate]) -> dict[str, tuple[str, ...]]:
    """Return which components have to be restarted once new files of *certificates* are on the hosts, and on which.

    They are in a good order.
    """
    renewed = {cert.name for cert in certificates}
    known = {cert.name: cert for cert in profiles.certificates(cluster)}
    hosts: dict[str, tuple[str, ...]] = {}
    for name in COMPONENTS:
        for instance in instances(cluster, name, known=known):
            read = {reads.certificate.name: reads for reads in instance.files()}
            # A kubeconfig holds the CA as well.
            issuers = {reads.certificate.issuer for reads in read.values() if reads.part == "kubeconfig"}
            if renewed & {*read, *issuers}:
                hosts[name] = (*hosts.get(name, ()), instance.host.name)
    return hosts


def folder_state(root: Path, cluster: Cluster) -> FolderState:
    """Return what options depend on in the PKI folder *root*; where nothing is made yet, it will be as usual."""
    ca = next(cert for cert in profiles.certificates(cluster) if cert.name == "ca")
    crt = ca.crt
    encrypts = (root / ENCRYPTION_CONFIG).is_file()
    if not (root / crt).exists():
        return FolderState(encrypts=encrypts)
    status = status_of(root, [ca])[ca.name]
    x509 = status.x509
    chained = x509 is not None and not x509.self_signed and (root / chain_of(crt)).exists()
    rotating = bool(status.previous_cas) and (root / new_ca_only_path(crt)).exists()
    return FolderState(unusable_key(root / ca.files.key), chained, rotating, encrypts)


def unusable_key(path: Path) -> str | None:
    """Return why no component can sign with the CA's key at *path*; None if it can."""
    if is_encrypted(path):
        return f"{path} is encrypted, and a component of Kubernetes cannot ask for its passphrase"
    return None if path.exists() else f"{path} does not exist"


def placement(  # noqa: PLR0917 - one for each option
    cluster: Cluster,
    name: str,
    host: str | None,
    release: str | None,
    prefix: str | None,
    state: FolderState = FolderState(),  # noqa: B008 - it is frozen
) -> Component:
    """The component *name* on *host*; without a host the only one, or any where it makes no difference.

    *state* is what the PKI folder holds. Raises InputError for a component, a host or a release that is
    none, with the near ones.
    """
    if name not in COMPONENTS:
        hint = did_you_mean(name, COMPONENTS, f"the components are {', '.join(COMPONENTS)}.", 2)
        raise InputError(f"{name!a} is not a component that kcert knows; {hint}")
    if prefix is not None:
        check_prefix(prefix)
    candidates = instances(cluster, name, version(release) if release else cluster.version, prefix, state)
    hosts = [instance.host.name for instance in candidates]
    if host is not None:
        if host not in hosts:
            raise InputError(f"{name} does not run on {host!a}{near_hosts(host, hosts)}")
        return candidates[hosts.index(host)]
    if not candidates:
        raise InputError(f"this cluster has no host for {name}.")
    if len({instance.given() for instance in candidates}) > 1:
        raise InputError(
            f"{name} runs on several hosts with different options: specify one with --host ({_first(hosts)})."
        )
    return candidates[0]


def near_hosts(host: str, hosts: Iterable[str]) -> str:
    """The end of a sentence: which of *hosts* are like *host*, or all there are."""
    hosts = list(hosts)
    if question := did_you_mean(host, hosts, ""):
        return f"; {question}"
    return f". There are: {_first(hosts)}." if hosts else ": the cluster has no host for it."


def _first(hosts: list[str]) -> str:
    return ", ".join(hosts[:20]) + (f" and {len(hosts) - 20} more" if len(hosts) > 20 else "")


def check_prefix(prefix: str) -> None:
    """Raise InputError for a folder that a configuration file cannot name."""
    if not prefix or not prefix.isprintable():
        raise InputError(f"--path-prefix {prefix!a} is invalid: expected the path of a folder.")


def unfit(root: Path, component: Component) -> tuple[CertificateStatus, ...]:
    """The certificates that the component reads and that are missing from the PKI folder *root*, or will not do."""
    wanted = {reads.certificate.name: reads.certificate for reads in component.files()}
    wanted |= {cert.issuer: component.known[cert.issuer] for cert in wanted.values() if cert.issuer}
    statuses = status_of(root, mark_adopted(root, wanted.values()))
    return tuple(status for status in statuses.values() if not status.usable)
