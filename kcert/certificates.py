"""Certificates as they have to be: the types that every layer shares.

A ``Certificate`` is a specification, not a file: profiles list them, plan turns them into steps, the store holds
what came of them. Paths are relative to the PKI folder throughout.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import Literal, TypeVar


class Kind(enum.Enum):
    """The four kinds of certificate, each with its template in ``openssl_templates/``; and the bare key pair."""

    CA = "ca"
    CLIENT = "client"
    SERVER = "server"
    PEER = "peer"
    KEY_PAIR = "key pair"

    @property
    def is_server(self) -> bool:
        """Return True if clients connect to its owner, so that it needs SANs."""
        return self in (Kind.SERVER, Kind.PEER)

    @property
    def is_client(self) -> bool:
        """Return True if its owner presents it to a server."""
        return self in (Kind.CLIENT, Kind.PEER)


class Role(str, enum.Enum):
    """The purpose of a certificate; the value is the name of its lesson."""

    ROOT = "root"
    CLUSTER_CA = "ca"
    ETCD_CA = "etcd-ca"
    FRONT_PROXY_CA = "front-proxy-ca"
    APISERVER = "kube-apiserver"
    APISERVER_KUBELET_CLIENT = "apiserver-kubelet-client"
    APISERVER_ETCD_CLIENT = "apiserver-etcd-client"
    FRONT_PROXY_CLIENT = "front-proxy-client"
    ETCD_SERVER = "etcd-server"
    ETCD_PEER = "etcd-peer"
    ETCD_CLIENT = "etcd-healthcheck-client"  # and any other program that asks etcd
    CONTROLLER_MANAGER = "kube-controller-manager"
    CONTROLLER_MANAGER_SERVER = "kube-controller-manager-server"
    SCHEDULER = "kube-scheduler"
    SCHEDULER_SERVER = "kube-scheduler-server"
    PROXY = "kube-proxy"
    KUBELET_CLIENT = "kubelet-client"
    KUBELET_SERVER = "kubelet-server"
    KUBELET = "kubelet"  # one certificate for both sides, as in the hard way
    ADMIN = "admin"
    SUPER_ADMIN = "super-admin"
    USER = "user"
    SERVICE_ACCOUNT = "service-account"
    SERVICE_ACCOUNT_KEY = "service-account-key"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Key:
    """The key to generate: RSA with its length in bits, or ECDSA with its curve (P-256, P-384)."""

    algorithm: Literal["rsa", "ecdsa"] = "rsa"
    bits: int = 2048
    curve: str = "P-256"

    def __str__(self) -> str:
        return f"RSA {self.bits}" if self.algorithm == "rsa" else f"ECDSA {self.curve}"


@dataclass(frozen=True)
class Subject:
    """The subject: the common name first, then each organization (O), in this order.

    ``given`` holds all its parts, type and value, where another tool made it and it has more than these, or
    another order; then the two fields before only repeat what is in it.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Each part, type and value, in order."""
        return self.given or (("CN", self.common_name), *(("O", group) for group in self.organizations))

    def __str__(self) -> str:
        """Return the value of -subj; a slash or a plus sign inside a value is escaped."""
        return "".join(f"/{kind}={re.sub(_SEPARATOR, _ESCAPED, value)}" for kind, value in self.parts)


_SEPARATOR, _ESCAPED = re.compile(r"[/+\\]"), r"\\\g<0>"


@dataclass(frozen=True)
class Usages:
    """The usages of a certificate, if they differ from those of its kind.

    An old certificate that is renewed, or a request, says it instead. The names are openssl's
    (``digitalSignature``, ``clientAuth``); None means that the extension is left out, and any use allowed.
    ``key_id`` is the subject key identifier as hex (None: a hash of the key).
    """

    key: tuple[str, ...] | None
    extended: tuple[str, ...] | None
    critical: bool = True
    path_length: int | None = None
    key_id: str | None = None


@dataclass(frozen=True)
class AltName:
    """One subject alternative name: ``DNS``, ``IP``, ``email`` or ``URI``, and its value.

    An address is in its canonical form (``fd00::1``), so that equal addresses compare equal.
    """

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


def is_address(text: str) -> bool:
    """Return whether *text* is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Files:
    """The paths of the parts of a certificate. Without ``crt`` it is requested, and another CA signs.

    With ``kubeconfig``, key and certificate live inside that file alone, and ``key`` and ``crt`` name what
    they are called while they are made. A bare key pair has ``public_key`` and neither request nor certificate.
    """

    key: PurePosixPath
    cnf: PurePosixPath | None = None
    csr: PurePosixPath | None = None
    crt: PurePosixPath | None = None
    public_key: PurePosixPath | None = None
    kubeconfig: PurePosixPath | None = None

    @property
    def kept(self) -> tuple[PurePosixPath, ...]:
        """The files that stay, in the order in which they are put into place: the key before its certificate."""
        inside = self.kubeconfig is not None
        key, crt = (None, None) if inside else (self.key, self.crt)
        parts = (self.cnf, self.csr, key, self.public_key, crt, self.kubeconfig)
        return tuple(part for part in parts if part is not None)

    @property
    def primary(self) -> PurePosixPath:
        """The file whose existence says that the certificate, or the request for it, exists."""
        last = self.kubeconfig or self.crt or self.public_key or self.csr
        assert last is not None
        return last

    @property
    def secret(self) -> PurePosixPath:
        """The file that holds the private key."""
        return self.kubeconfig or self.key


@dataclass(frozen=True)
class Certificate:
    """One certificate that a cluster needs.

    ``name`` is what the user types; ``role`` names what it is for and so its lesson (``node`` for every
    kubelet); ``chapter`` is the command that makes it; ``issuer`` is the name of its CA (None: it signs
    itself, or has nothing to sign); ``days`` is its lifetime in whole days; ``server`` is the API server's
    URL, for a certificate that lives in a kubeconfig; ``host`` is the machine it belongs to, where it
    belongs to one alone; ``usages`` replace those of its kind, where something else says them. ``passphrase``
    is how openssl gets the one that opens its key (``env:NAME``, ``file:PATH``), where that is a CA's and encrypted.
    ``intermediate`` is a CA that another one, outside the cluster, has signed. ``optional_sans`` are those of its
    SANs that other tools omit, because nothing in a cluster has to connect to them. ``adopted``: another tool
    made it, and what no client notices does not make it stale; None: nothing has said so yet.
    """

    name: str
    role: Role
    chapter: str
    kind: Kind
    subject: Subject | None
    key: Key
    files: Files
    days: int = 0
    alt_names: tuple[AltName, ...] = ()
    issuer: str | None = None
    server: str = ""
    host: str | None = None
    usages: Usages | None = None
    passphrase: str = ""
    intermediate: bool = False
    optional_sans: tuple[AltName, ...] = ()
    adopted: bool | None = None

    @property
    def crt(self) -> PurePosixPath:
        """The file of its certificate, which all but a request and a bare key pair have."""
        assert self.files.crt
        return self.files.crt

    @property
    def csr(self) -> PurePosixPath:
        """The file of its request, which all but a bare key pair have."""
        assert self.files.csr
        return self.files.csr

    @property
    def is_external_ca(self) -> bool:
        """True for a CA whose key is outside the PKI folder."""
        return self.files.key.is_absolute()


ROOT = "root"
"""The name of the root CA above the cluster's own CA."""


_Place = TypeVar("_Place", bound=PurePath)


def key_names(crt: _Place) -> tuple[_Place, ...]:
    """Return where the key of the certificate *crt* may be, likeliest first: as openssl, cfssl and easy-rsa have it."""
    beside = (crt.with_name(f"{crt.stem}{ending}") for ending in (".key", "-key.pem", "_key.pem"))
    return (*beside, *(folder / "private" / f"{crt.stem}.key" for folder in (crt.parent, crt.parent.parent)))


def root_beside(crt: PurePosixPath) -> PurePosixPath:
    """Return the path of the certificate of the root that signed the CA with the certificate *crt*."""
    return crt.with_name(f"{ROOT}.crt")


def chain_of(crt: PurePosixPath) -> PurePosixPath:
    """The file with the CA's certificate *crt* and, after it, that of the CA above it."""
    return crt.with_name(f"{crt.stem}-chain{crt.suffix}")


def new_ca_only_path(crt: PurePosixPath) -> PurePosixPath:
    """Return the path of the new CA alone while the CA's own file *crt* holds two."""
    return crt.with_name(f"{crt.stem}-new{crt.suffix}")
