"""Certificates that kcert may not have made: the types that rules and reports read, and the flat list of all uses.

``kcert.scan.discovery`` fills them. Paths are as the user named them (below ``--root`` where one was
given), so that a message can name a file which the user can open.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kcert.certificates import Kind, Role
from kcert.clusters.kind import ClusterKind
from kcert.openssl.x509 import X509, Name
from kcert.scan.documents import Context

ProblemKind = Literal[
    "missing", "unreadable", "denied", "dangling", "special", "unreachable", "elsewhere", "second manifest"
]
Expected = Literal["certificate", "key", "request", "kubeconfig", "configuration", "folder", "server"]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a private key inside: a key file, or a kubeconfig with ``client-key-data``.

    ``mode`` is the file's permission bits, the link followed; ``pem`` the key as bytes, for
    ``kcert.openssl.read.key_belongs``; it is never printed.
    """

    path: Path
    mode: int
    pem: bytes = field(repr=False)
    embedded: bool = False
    encrypted: bool = False
    source: Path | None = None
    option: str | None = None


@dataclass(frozen=True)
class Configuration:
    """The start of one component: a static-pod manifest, a unit, a KubeletConfiguration, a KubeProxyConfiguration.

    ``options`` maps names as they are written (``--service-cluster-ip-range``, ``clientCAFile``) to values; an
    option with an empty value is there with ``""``, a flag without one with ``"true"``. ``resolved`` gives, for each
    option that names a file, the path to open. ``node`` is the kubelet's node name if it is known. ``incomplete`` is
    True if there may be options that are not here.
    """

    component: str
    source: Path
    options: Mapping[str, str]
    resolved: Mapping[str, Path] = field(default_factory=dict)
    node: str | None = None
    incomplete: bool = False


@dataclass(frozen=True, kw_only=True)
class KubeconfigUse(Context):
    """One context of the kubeconfig at *path*: the CA that it trusts, and its user.

    ``authorities`` are the CA certificates, embedded or from ``ca_path``. ``user`` is the client certificate (None:
    a token, or none that can be read), ``component`` whose file it is if that is known.
    """

    path: Path
    authorities: tuple[X509, ...] = ()
    ca_path: Path | None = None
    user: X509 | None = None
    user_path: Path | None = None
    key_path: Path | None = None
    component: str | None = None
    source: Path | None = None

    @property
    def ca_embedded(self) -> bool:
        """True if the kubeconfig itself contains the CA."""
        return self.authority is not None and self.authority.embedded


@dataclass(frozen=True, slots=True)
class CertificateRef:
    """One use of one certificate: a file that three options name is three of these.

    ``path`` is the file to open (the kubeconfig where the data is embedded; for a live server the text of ``live``,
    ``host:port``). ``option`` and ``source`` name the option that uses it and the file that sets the option.
    ``position`` counts the certificates of one file from 0. ``role`` is None if nothing shows what the
    certificate is for. ``issuers`` are the certificates in ``issuer_path``: one of them has to have signed this,
    or the last of ``chain``, the certificates that follow it in its file.
    ``key`` is what was found at ``key_path``; ``key_fits`` says whether it belongs, None if that cannot be determined.
    ``node`` is the node's name where the use is a kubelet's and the name is known. ``group`` counts the places of the
    command line.
    """

    component: str | None
    kind: Kind
    certificate: X509
    path: Path
    option: str | None = None
    source: Path | None = None
    key_path: Path | None = None
    issuer_path: Path | None = None
    position: int = 0
    role: Role | None = None
    embedded: bool = False
    live: str | None = None
    issuers: tuple[X509, ...] = ()
    chain: tuple[X509, ...] = ()
    key: KeyFile | None = None
    key_fits: bool | None = None
    node: str | None = None
    configuration: Configuration | None = None
    kubeconfig: KubeconfigUse | None = None
    group: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be what it has to be.

    ``what``: ``missing`` (named, and not there); ``unreadable`` (damaged, empty, DER, not PEM); ``denied`` (this user
    may not read it); ``dangling`` (a link to nothing); ``special`` (a FIFO, a device); ``unreachable`` (a live server);
    ``second manifest`` (of a component that another file of the folder starts).
    ``reason`` is a clause that can follow the path. ``expects`` is what should have been inside.
    """

    path: Path
    what: ProblemKind
    reason: str
    source: Path | None = None
    option: str | None = None
    component: str | None = None
    expects: Expected = "certificate"


@dataclass(frozen=True)
class PublicKeyFile:
    """Keys that verify tokens: kubeadm's ``sa.pub``, or --service-account-key-file, which takes private keys too."""

    path: Path
    pem: bytes
    source: Path | None = None
    option: str | None = None


@dataclass
class ScanResult:
    """All that was found. ``kind`` is the kind of cluster, ``looked`` the places that were searched, in order.

    ``webhooks`` are the places of CAs (``caBundle``), each with the name at which the API server calls the service.

    Where two files may have changed places, ``as_meant`` holds what would be found if they had not; ``swapped`` names
    the files in each of these. ``misnamed`` is how ``kcert.check`` reads options that name the certificate of another
    use: each with the use that was meant, which then is among ``uses`` in its place.
    """

    uses: list[CertificateRef] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    configurations: list[Configuration] = field(default_factory=list)
    kubeconfigs: list[KubeconfigUse] = field(default_factory=list)
    keys: dict[Path, KeyFile] = field(default_factory=dict)
    public_keys: dict[Path, PublicKeyFile] = field(default_factory=dict)
    webhooks: list[tuple[Path, str]] = field(default_factory=list)
    kind: ClusterKind | None = None
    looked: list[str] = field(default_factory=list)
    as_meant: Sequence[ScanResult] = ()
    swapped: Sequence[tuple[Path, Path]] = ()
    misnamed: Sequence[tuple[CertificateRef, CertificateRef]] = ()

    @cached_property
    def names_in(self) -> Mapping[Path, frozenset[str]]:
        """The names, without ending, of the certificates and keys in each folder."""
        names: dict[Path, set[str]] = defaultdict(set)
        for path in (*(use.path for use in self.uses), *self.keys):
            names[path.parent].add(path.stem)
        return {folder: frozenset(stems) for folder, stems in names.items()}


SOON = 30
"""Days: what ends sooner is marked, and `kcert check` warns of it."""


class Validity(enum.Enum):
    """The stage of a certificate's life."""

    NOT_YET = "not yet valid"
    GOOD = "valid"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Entry:
    """A use of a certificate at one moment. ``days_left`` counts whole days, and is negative once it has expired.

    ``issuer_sha256`` is the certificate that signed this one, where it was found.
    """

    use: CertificateRef
    days_left: int
    validity: Validity
    issuer_sha256: str | None

    @property
    def certificate(self) -> X509:
        """The certificate that is used."""
        return self.use.certificate

    @property
    def path(self) -> str:
        """The file to open, as text."""
        return str(self.use.path)

    @property
    def cn(self) -> str:
        """The common name; empty if there is none."""
        return self.certificate.subject.common_name or ""

    @property
    def sans(self) -> tuple[str, ...]:
        """The SANs, each with its type."""
        return tuple(map(str, self.certificate.alt_names))

    @property
    def issuer(self) -> str:
        """The CN of the issuer, or its whole name."""
        return self.certificate.issuer.common_name or str(self.certificate.issuer)

    @property
    def whole_days(self) -> int:
        """Whole days left, or days since it expired. ``days_left`` is rounded down: it is -1 an hour after the end."""
        return self.days_left if self.days_left >= 0 else -1 - self.days_left


def inventory(scan: ScanResult) -> list[Entry]:
    """An entry for each use of a certificate, in the order in which they were found."""
    now = datetime.now(timezone.utc)
    signers = _signers(scan)
    return [
        Entry(
            use,
            (use.certificate.not_after - now) // timedelta(days=1),
            _validity(use.certificate, now),
            _signer(use.certificate, signers),
        )
        for use in scan.uses
    ]


def ending_within(entries: Iterable[Entry], within: timedelta) -> list[Entry]:
    """Return the entries whose certificates expire *within* this time, or have expired."""
    last = datetime.now(timezone.utc) + within
    return [entry for entry in entries if entry.certificate.not_after <= last]


ORDERS: dict[str, Callable[[Entry], tuple[Any, ...]]] = {
    "expiry": lambda entry: (entry.certificate.not_after, entry.path),
    "component": lambda entry: (entry.use.component is None, entry.use.component or "", entry.path),
    "path": lambda entry: (entry.path, entry.use.option or ""),
    "cn": lambda entry: (entry.certificate.subject.common_name is None, entry.cn, entry.path),
    "issuer": lambda entry: (entry.issuer, entry.path),
    "kind": lambda entry: (entry.use.kind.value, entry.path),
}
"""The fields by which an inventory can be sorted."""


def _validity(certificate: X509, now: datetime) -> Validity:
    if now > certificate.not_after:
        return Validity.EXPIRED
    if now < certificate.not_before:
        return Validity.NOT_YET
    return Validity.EXPIRING if certificate.not_after - now < timedelta(days=SOON) else Validity.GOOD


def _signers(scan: ScanResult) -> dict[Name, dict[str, X509]]:
    signers: dict[Name, dict[str, X509]] = defaultdict(dict)
    for use in scan.uses:
        if use.kind is Kind.CA:
            signers[use.certificate.subject][use.certificate.sha256] = use.certificate
    return signers


def _signer(certificate: X509, signers: dict[Name, dict[str, X509]]) -> str | None:
    """The CA that has the name and the key identifier which the certificate gives for its issuer."""
    wanted = certificate.authority_key_id
    for sha256, ca in signers.get(certificate.issuer, {}).items():
        if wanted is None or ca.subject_key_id in (None, wanted):
            return None if sha256 == certificate.sha256 else sha256
    return None
