"""The signers of the Certificates API that kube-controller-manager runs, their rules, and what to request of them.

Sources: Kubernetes, "Certificates and Certificate Signing Requests", and what the API server and the signing
controllers answer; where they refuse, kcert gives their own words.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kcert import profiles
from kcert.certificates import AltName, Certificate, Kind, Role, Subject, Usages
from kcert.config import (
    Cluster,
    Host,
    check_address,
    check_dns_name,
    check_group_name,
    check_host_name,
    check_user_name,
)
from kcert.errors import InputError
from kcert.issue.external_ca import unissued
from kcert.openssl.x509 import Request
from kcert.roles import MASTERS, NODE_PREFIX, NODES

DOMAIN = "kubernetes.io/"
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"

KEY_USAGES = {
    "signing": "digitalSignature",
    "digital signature": "digitalSignature",
    "content commitment": "nonRepudiation",
    "key encipherment": "keyEncipherment",
    "key agreement": "keyAgreement",
    "data encipherment": "dataEncipherment",
    "cert sign": "keyCertSign",
    "crl sign": "cRLSign",
    "encipher only": "encipherOnly",
    "decipher only": "decipherOnly",
}
"""The usages of the API that are bits of the extension keyUsage, with openssl's names."""

EXTENDED_USAGES = {
    "any": "anyExtendedKeyUsage",
    "server auth": "serverAuth",
    "client auth": "clientAuth",
    "code signing": "codeSigning",
    "email protection": "emailProtection",
    "s/mime": "emailProtection",
    "ipsec end system": "ipsecEndSystem",
    "ipsec tunnel": "ipsecTunnel",
    "ipsec user": "ipsecUser",
    "timestamping": "timeStamping",
    "ocsp signing": "OCSPSigning",
    "microsoft sgc": "msSGC",
    "netscape sgc": "nsSGC",
}
"""Those that are purposes in the extension extendedKeyUsage."""


@dataclass(frozen=True)
class Signer:
    """One signer: what it is for, and the purpose that its certificates have."""

    name: str
    purpose: str
    usage: str

    def usages(self, algorithm: str) -> tuple[str, ...]:
        """The usages to ask it for with a key of *algorithm*: encipherment is for RSA alone (RFC 5480, section 3)."""
        return ("digital signature", *(("key encipherment",) if algorithm == "rsa" else ()), self.usage)

    def violation(self, request: Request, usages: tuple[str, ...]) -> str | None:
        """Return what it finds first to be wrong with *request* and *usages*, in its own words; None if nothing is."""
        wrong = self._wrong_for_client(usages) if self.name == CLIENT else self._wrong_for_kubelet(request, usages)
        return next(wrong, None)

    def _wrong_for_client(self, usages: tuple[str, ...]) -> Iterator[str]:
        for usage in usages:
            if usage not in ("digital signature", "key encipherment", self.usage):
                yield f"invalid usage for client certificate: {usage}"
        if self.usage not in usages:
            yield f"missing required usage for client certificate: {self.usage}"

    def _wrong_for_kubelet(self, request: Request, usages: tuple[str, ...]) -> Iterator[str]:
        is_server = self.name == KUBELET_SERVING
        if request.subject.organizations != (NODES,):
            yield "subject organization is not system:nodes"
        kinds = {name.type for name in request.alt_names}
        if is_server and not kinds & {"DNS", "IP"}:
            yield "DNS or IP subjectAltName is required"
        for kind in ("email", "URI") if is_server else ("DNS", "email", "IP", "URI"):
            if kind in kinds:
                yield f"{'Email' if kind == 'email' else kind} subjectAltNames are not allowed"
        most = {"digital signature", "key encipherment", self.usage}
        is_fit = set(usages) in (most, most - {"key encipherment"})
        is_node = (request.subject.common_name or "").startswith(NODE_PREFIX)
        # Each signer looks at the two in an order of its own.
        if not is_node and (is_fit or not is_server):
            yield "subject common name does not begin with system:node:"
        if not is_fit:
            yield f"usages did not match [{' '.join(sorted(most))}]"


SIGNERS = {
    signer.name: signer
    for signer in (
        Signer(CLIENT, "clients of the API server: people, programs, components", "client auth"),
        Signer(KUBELET_CLIENT, "kubelets, as clients of the API server", "client auth"),
        Signer(KUBELET_SERVING, "kubelets, as servers", "server auth"),
    )
}
"""The signers that kcert can play, by name."""


def full_name(signer: str) -> str:
    """The signer's whole name: ``kubelet-serving`` is short for ``kubernetes.io/kubelet-serving``."""
    return signer if "/" in signer or not signer else f"{DOMAIN}{signer}"


def fitting(request: Request) -> str:
    """Return the signer for a request like this."""
    node = (request.subject.common_name or "").startswith(NODE_PREFIX) and NODES in request.subject.organizations
    if not node:
        return CLIENT
    return KUBELET_SERVING if request.alt_names else KUBELET_CLIENT


def forbidden(signer: str, request: Request) -> str | None:
    """Return why the API server would not even take the object (its admission plugin CertificateSubjectRestriction)."""
    if signer == CLIENT and MASTERS in request.subject.organizations:
        return f"use of {signer} signer with {MASTERS} group is not allowed"
    return None


def as_extensions(usages: Iterable[str]) -> Usages:
    """The usages of the API as a certificate has them."""
    wanted = tuple(usages)
    key = tuple(dict.fromkeys(KEY_USAGES[usage] for usage in wanted if usage in KEY_USAGES))
    extended = tuple(dict.fromkeys(EXTENDED_USAGES[usage] for usage in wanted if usage in EXTENDED_USAGES))
    return Usages(key or None, extended or None)


# --- Certificates to request


_STEMS = {KUBELET_CLIENT: "kubelet-client-", KUBELET_SERVING: "kubelet-serving-"}
"""The names of the files of a kubelet's request, up to the node's name, by signer."""


def subject_for(
    cluster: Cluster, name: str, groups: tuple[str, ...], names: tuple[str, ...], signer: str
) -> Certificate:
    """Return the certificate to request for *name*: with a request file and no certificate file.

    A name that kcert.yaml or the profile knows keeps its subject; with a kubelet's *signer* it is a node's; any other
    becomes a user in *groups* with the SANs *names*. Raises InputError for what cannot be.
    """
    alt_names = tuple(dict.fromkeys(san(name_value) for name_value in names))
    if signer in _STEMS:
        return _kubelet(cluster, name, groups, alt_names, signer)
    if known := _described(cluster, name):
        check_signer(known, signer)
        assert known.subject
        if groups and set(groups) != set(known.subject.organizations):
            listed = ", ".join(known.subject.organizations) or "no group"
            raise InputError(f"--group: kcert.yaml, or the profile, has {known.name} in {listed}.")
        return unissued(replace(known, alt_names=alt_names or known.alt_names))
    for group in groups:
        if why := check_group_name(group):
            raise InputError(f"--group {group!a} is invalid: {why}.")
    if why := check_user_name(name):
        raise InputError(f"{name!a} is not a valid user name: {why}.")
    return unissued(replace(profiles.user(cluster, name, groups), alt_names=alt_names))


def of_name(cluster: Cluster, name: str, signer: str | None = None, *, by_root: bool = False) -> Certificate:
    """Return the certificate whose request is in the PKI folder under *name*, and where its answer belongs.

    With a kubelet's *signer* the name is a node's, as for ``subject_for``. Raises InputError for a name that is not
    accepted, and for what the Certificates API does not sign; with *by_root* that may be a CA, which a root outside
    the cluster has signed.
    """
    signer = full_name(signer or "")
    if signer in _STEMS:
        name = f"{_STEMS[signer]}{name.removeprefix(NODE_PREFIX).removeprefix(_STEMS[signer])}"
    if known := _described(cluster, name, by_root=by_root):
        return known
    if why := check_user_name(name):
        raise InputError(f"{name!a} is not a valid name: {why}.")
    return profiles.user(cluster, name, ())


def _described(cluster: Cluster, name: str, *, by_root: bool = False) -> Certificate | None:
    """Return the certificate that kcert.yaml and the profile have as *name*; None if they have none.

    Raises InputError for a role of several, and for what the Certificates API does not sign (*by_root*: but a CA).
    """
    known = profiles.named(profiles.certificates(cluster), name)
    if not known:
        return None
    certificate, *others = known
    if others:
        listed = ", ".join(cert.name for cert in known)
        raise InputError(f"{certificate.role} is the role of several certificates: {listed}. Specify one.")
    if certificate.kind is Kind.KEY_PAIR or (certificate.kind is Kind.CA and not by_root):
        what = "a CA" if certificate.kind is Kind.CA else "a bare key pair"
        raise InputError(f"{certificate.name} is {what}, which the Certificates API does not sign.")
    return certificate


def other_signer(root: Path, cluster: Cluster, name: str) -> str | None:
    """Return the kubelet signer for which a request of the node *name* is in the folder *root*, else None."""
    if check_host_name(name):
        return None
    for signer in _STEMS:
        csr = of_name(cluster, name, signer).files.csr
        if csr and (root / csr).is_file():
            return signer.removeprefix(DOMAIN)
    return None


def host_of(cluster: Cluster, node: str) -> Host | None:
    """Return the node or control-plane host called *node* of the cluster; None if there is none."""
    return next((host for host in (*cluster.nodes, *cluster.control_plane) if host.name == node), None)


def host_sans(host: Host) -> tuple[AltName, ...]:
    """Return the SANs of a kubelet's serving certificate: the host's name and addresses."""
    return (AltName("DNS", host.name), *(AltName("IP", address) for address in host.addresses))


def _kubelet(
    cluster: Cluster, node: str, groups: tuple[str, ...], names: tuple[AltName, ...], signer: str
) -> Certificate:
    node = node.removeprefix(NODE_PREFIX)
    if why := check_host_name(node):
        raise InputError(f"{node!a} is not the name of a node: {why}.")
    if set(groups) - {NODES}:
        raise InputError(f"--group: a kubelet is in {NODES} and in no other group.")
    serving = signer == KUBELET_SERVING
    if names and not serving:
        raise InputError(f"--san: {signer} signs no SANs; {KUBELET_SERVING} does.")
    if serving and not names:
        host = host_of(cluster, node)
        if host is None:
            raise InputError(f"{node} is not a node of this cluster, so specify its SANs: --san NAME, --san ADDRESS.")
        names = host_sans(host)
    return unissued(
        replace(
            of_name(cluster, node, signer),
            role=Role.KUBELET_SERVER if serving else Role.KUBELET_CLIENT,
            subject=Subject(f"{NODE_PREFIX}{node}", (NODES,)),
            alt_names=names,
            host=node,
        )
    )


def check_signer(certificate: Certificate, signer: str) -> None:
    """Raise InputError where *signer* would make a client certificate for a server."""
    if certificate.kind.is_server and signer in (CLIENT, KUBELET_CLIENT):
        raise InputError(
            f"{certificate.name} is a server, and {signer} signs for clients only; of servers, Kubernetes signs for "
            f"kubelets only ({KUBELET_SERVING}). `kcert {certificate.chapter}` creates it where the CA's key "
            f"is. For your own signer, use --signer."
        )


def san(value: str) -> AltName:
    """Return the SAN that *value* is, a DNS name or an address; raises InputError if it is neither."""
    if check_address(value) is None:
        return AltName("IP", str(ipaddress.ip_address(value)))
    if why := check_dns_name(value):
        raise InputError(f"--san {value!a} is neither a DNS name nor an address: {why}.")
    return AltName("DNS", value)
