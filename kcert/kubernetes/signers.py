"""The signers of the Certificates API that kube-controller-manager runs, and the rules that each has.

Sources: Kubernetes, "Certificates and Certificate Signing Requests", and what the API server and the signing
controllers answer; where they refuse, kcert gives their own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kcert.certificates import Usages
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
    """One signer: what it is for, which usages it takes, and what it finds wrong with a request."""

    name: str
    purpose: str
    usage: str
    violation: Callable[[Request, tuple[str, ...]], str | None]

    def usages(self, algorithm: str) -> tuple[str, ...]:
        """The usages to ask it for with a key of *algorithm*: encipherment is for RSA alone (RFC 5480, section 3)."""
        return ("digital signature", *(("key encipherment",) if algorithm == "rsa" else ()), self.usage)


def _client(_request: Request, usages: tuple[str, ...]) -> str | None:
    foreign = next(
        (usage for usage in usages if usage not in ("digital signature", "key encipherment", "client auth")), None
    )
    if foreign:
        return f"invalid usage for client certificate: {foreign}"
    return None if "client auth" in usages else "missing required usage for client certificate: client auth"


def _kubelet_client(request: Request, usages: tuple[str, ...]) -> str | None:
    if request.subject.organizations != (NODES,):
        return "subject organization is not system:nodes"
    kinds = {name.type for name in request.alt_names}
    for kind, label in (("DNS", "DNS"), ("email", "Email"), ("IP", "IP"), ("URI", "URI")):
        if kind in kinds:
            return f"{label} subjectAltNames are not allowed"
    if not (request.subject.common_name or "").startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return _exactly(usages, "client auth")


def _kubelet_serving(request: Request, usages: tuple[str, ...]) -> str | None:
    if request.subject.organizations != (NODES,):
        return "subject organization is not system:nodes"
    kinds = {name.type for name in request.alt_names}
    if not kinds & {"DNS", "IP"}:
        return "DNS or IP subjectAltName is required"
    for kind, label in (("email", "Email"), ("URI", "URI")):
        if kind in kinds:
            return f"{label} subjectAltNames are not allowed"
    if unfit := _exactly(usages, "server auth"):
        return unfit
    if not (request.subject.common_name or "").startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return None


def _exactly(usages: tuple[str, ...], purpose: str) -> str | None:
    least = {"digital signature", purpose}
    if set(usages) in (least, least | {"key encipherment"}):
        return None
    return f"usages did not match [{' '.join(sorted(least | {'key encipherment'}))}]"


SIGNERS = {
    signer.name: signer
    for signer in (
        Signer(CLIENT, "clients of the API server: people, programs, components", "client auth", _client),
        Signer(KUBELET_CLIENT, "kubelets, as clients of the API server", "client auth", _kubelet_client),
        Signer(KUBELET_SERVING, "kubelets, as servers", "server auth", _kubelet_serving),
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
