"""Who asks for a certificate: a person, a program, a kubelet; and what the request has to say for that."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.certificates import AltName, Kind, Role, Subject
from kcert.config import names as accepted
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.roles import NODE_PREFIX, NODES

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.config import Cluster

_STEMS = {signers.KUBELET_CLIENT: "kubelet-client-", signers.KUBELET_SERVING: "kubelet-serving-"}


def applicant(cluster: Cluster, name: str, groups: tuple[str, ...], names: tuple[str, ...], signer: str) -> Certificate:
    """The certificate that *name* asks for, as it will be asked for: with a request and no certificate yet.

    A name that kcert.yaml or the profile knows keeps its subject; with a kubelet's *signer* it is a node's; anybody
    else becomes what *groups* and *names* (DNS names and addresses) say. Raises InputError for what cannot be.
    """
    alt_names = tuple(dict.fromkeys(_alt_name(one) for one in names))
    if signer in _STEMS:
        return _kubelet(cluster, name, groups, alt_names, signer)
    known = profiles.named(profiles.certificates(cluster), name)
    if known:
        check_signer(known[0], signer)
        return _known(known, groups, alt_names)
    for group in groups:
        if why := accepted.user_name(group):
            raise InputError(f"--group {group!a} is not accepted: {why}.")
    if why := accepted.user_name(name):
        raise InputError(f"{name!a} is not accepted as a user's name: {why}.")
    return _asking(replace(profiles.user(cluster, name, groups), alt_names=alt_names))


def of_name(cluster: Cluster, name: str, *, by_root: bool = False) -> Certificate:
    """The certificate whose request lies under *name* in the PKI folder, and where its answer belongs.

    Raises InputError for a name that nobody can have, and for what the Certificates API does not sign; with *by_root*
    that may be a CA, which somebody else's root has signed.
    """
    known = profiles.named(profiles.certificates(cluster), name)
    if not known and (why := accepted.user_name(name)):
        raise InputError(f"{name!a} is not accepted as a name: {why}.")
    if known and not (by_root and known[0].kind is Kind.CA):
        _check_signable(known[0])
    return known[0] if known else profiles.user(cluster, name, ())


def _kubelet(
    cluster: Cluster, node: str, groups: tuple[str, ...], names: tuple[AltName, ...], signer: str
) -> Certificate:
    node = node.removeprefix(NODE_PREFIX)
    if why := accepted.host_name(node):
        raise InputError(f"{node!a} is no node's name: {why}.")
    if set(groups) - {NODES}:
        raise InputError(f"--group: a kubelet is in {NODES} and in no other group.")
    serving = signer == signers.KUBELET_SERVING
    if names and not serving:
        raise InputError(f"--san: {signer} signs no names; {signers.KUBELET_SERVING} does.")
    host = next((one for one in (*cluster.nodes, *cluster.control_plane) if one.name == node), None)
    if serving and not names:
        if host is None:
            raise InputError(
                f"{node} is no node of this cluster, so its names have to be given: --san NAME, --san ADDRESS."
            )
        names = (AltName("DNS", host.name), *(AltName("IP", one) for one in host.addresses))
    stem = f"{_STEMS[signer]}{node}"
    like = profiles.user(cluster, stem, ()) if not _taken(cluster, stem) else of_name(cluster, stem)
    return _asking(
        replace(
            like,
            role=Role.KUBELET_SERVER if serving else Role.KUBELET_CLIENT,
            subject=Subject(f"{NODE_PREFIX}{node}", (NODES,)),
            alt_names=names,
            host=node,
        )
    )


def _taken(cluster: Cluster, name: str) -> bool:
    return bool(profiles.named(profiles.certificates(cluster), name))


def _known(known: tuple[Certificate, ...], groups: tuple[str, ...], names: tuple[AltName, ...]) -> Certificate:
    certificate = known[0]
    if len(known) > 1:
        raise InputError(f"{certificate.role} is several here: {', '.join(one.name for one in known)}. Name one.")
    _check_signable(certificate)
    assert certificate.subject
    if groups and set(groups) != set(certificate.subject.organizations):
        listed = ", ".join(certificate.subject.organizations) or "no group"
        raise InputError(f"--group: kcert.yaml, or the profile, has {certificate.name} in {listed}.")
    return _asking(replace(certificate, alt_names=names or certificate.alt_names))


def check_signer(certificate: Certificate, signer: str) -> None:
    """Raise InputError where *signer* would make a client's certificate out of what has to serve."""
    if certificate.kind.is_server and signer in (signers.CLIENT, signers.KUBELET_CLIENT):
        raise InputError(
            f"{certificate.name} is a server's, and {signer} signs for clients alone; of servers, Kubernetes signs for "
            f"kubelets only ({signers.KUBELET_SERVING}). `kcert {certificate.chapter}` makes it where the CA's key is; "
            "a signer of your own is named with --signer."
        )


def _check_signable(certificate: Certificate) -> None:
    if certificate.kind in (Kind.CA, Kind.KEY_PAIR):
        what = "a CA" if certificate.kind is Kind.CA else "a bare key pair"
        raise InputError(f"{certificate.name} is {what}, which is nothing that the Certificates API signs.")


def _asking(certificate: Certificate) -> Certificate:
    """The same without a certificate file, and without a kubeconfig to be put into: that comes with the answer."""
    return replace(certificate, files=replace(certificate.files, crt=None, kubeconfig=None))


def _alt_name(value: str) -> AltName:
    if accepted.address(value) is None:
        return AltName("IP", str(ipaddress.ip_address(value)))
    if why := accepted.alternative_dns_name(value):
        raise InputError(f"--san {value!a} is neither a DNS name nor an address: {why}.")
    return AltName("DNS", value)
