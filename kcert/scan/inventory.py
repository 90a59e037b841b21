"""The inventory: every use of a certificate as one flat entry, for lists, spreadsheets and monitoring."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kcert.certificates import Role
    from kcert.openssl.x509 import Name
    from kcert.scan.result import CertificateRef, ScanResult

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
    """One use of a certificate. ``days_left`` counts whole days, and is negative for one that has expired.

    ``role`` and ``issuer_sha256`` (the certificate that signed this one, where it was found) are not part of
    the lists, but of the drawings.
    """

    component: str | None
    kind: str
    path: str
    option: str | None
    source: str | None
    subject: str
    cn: str | None
    organizations: tuple[str, ...]
    san: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    days_left: int
    ca: bool
    issuer_path: str | None
    key_path: str | None
    serial: str
    sha256: str
    validity: Validity
    role: Role | None
    issuer_sha256: str | None


def inventory(scan: ScanResult, now: datetime | None = None) -> list[Entry]:
    """An entry for each use of a certificate, in the order in which they were found."""
    moment = now or datetime.now(timezone.utc)
    signers = _signers(scan)
    return [_entry(use, moment, signers) for use in scan.uses]


def ending_within(entries: Iterable[Entry], within: timedelta, now: datetime | None = None) -> list[Entry]:
    """Return the entries whose certificates expire *within* this time, or have expired."""
    last = (now or datetime.now(timezone.utc)) + within
    return [entry for entry in entries if entry.not_after <= last]


ORDERS: dict[str, Callable[[Entry], tuple[Any, ...]]] = {
    "expiry": lambda entry: (entry.not_after, entry.path),
    "component": lambda entry: (entry.component is None, entry.component or "", entry.path),
    "path": lambda entry: (entry.path, entry.option or ""),
    "cn": lambda entry: (entry.cn is None, entry.cn or "", entry.path),
    "issuer": lambda entry: (entry.issuer, entry.path),
    "kind": lambda entry: (entry.kind, entry.path),
}
"""What an inventory can be sorted by."""


def _entry(use: CertificateRef, now: datetime, signers: dict[Name, list[tuple[str | None, str]]]) -> Entry:
    certificate = use.certificate
    return Entry(
        component=use.component,
        kind=use.kind.value,
        path=str(use.path),
        option=use.option,
        source=str(use.source) if use.source else None,
        subject=str(certificate.subject),
        cn=certificate.subject.common_name,
        organizations=certificate.subject.organizations,
        san=tuple(str(name) for name in certificate.alt_names),
        issuer=certificate.issuer.common_name or str(certificate.issuer),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        days_left=(certificate.not_after - now) // timedelta(days=1),
        ca=certificate.ca is True,
        issuer_path=str(use.issuer_path) if use.issuer_path else None,
        key_path=str(use.key_path) if use.key_path else None,
        serial=certificate.serial,
        sha256=certificate.sha256,
        validity=_validity(certificate.not_before, certificate.not_after, now),
        role=use.role,
        issuer_sha256=_signer(use, signers),
    )


def _validity(not_before: datetime, not_after: datetime, now: datetime) -> Validity:
    if now > not_after:
        return Validity.EXPIRED
    if now < not_before:
        return Validity.NOT_YET
    return Validity.EXPIRING if not_after - now < timedelta(days=SOON) else Validity.GOOD


def _signers(scan: ScanResult) -> dict[Name, list[tuple[str | None, str]]]:
    """The CAs that were found, by name: key identifier and hash of each."""
    signers: dict[Name, dict[str, str | None]] = {}
    for use in scan.uses:
        if use.kind.value == "ca":
            certificate = use.certificate
            signers.setdefault(certificate.subject, {})[certificate.sha256] = certificate.subject_key_id
    return {name: [(key, sha256) for sha256, key in known.items()] for name, known in signers.items()}


def _signer(use: CertificateRef, signers: dict[Name, list[tuple[str | None, str]]]) -> str | None:
    """The CA that has the name and the key identifier which the certificate gives for its issuer."""
    certificate = use.certificate
    wanted = certificate.authority_key_id
    for key, sha256 in signers.get(certificate.issuer, []):
        if wanted is None or key is None or wanted == key:
            return None if sha256 == certificate.sha256 else sha256
    return None
