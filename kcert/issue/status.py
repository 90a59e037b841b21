"""How the certificates of a PKI folder stand against what the cluster needs.

Nothing here writes. Certificates are read in batches, so that a thousand of them cost a few processes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from kcert import kubeconfig
from kcert.certificates import Kind
from kcert.errors import MachineError
from kcert.files import read_regular
from kcert.roles import CLUSTER_ADMINS, MASTERS, NODES, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.openssl.x509 import X509, PublicKey

EXPIRING_DAYS = 30
"""A certificate with fewer days left is called expiring."""

SHORTEST_RSA = 2048
"""Fewer bits do not withstand a well-funded attacker any more (NIST SP 800-57 part 1, table 2)."""


class State(enum.Enum):
    """What can be said of a certificate that the cluster needs."""

    MISSING = "missing"
    CURRENT = "current"
    STALE = "stale"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True)
class CertificateStatus:
    """One certificate and how it stands.

    ``reasons`` are clauses that tell why it is not current, ``cosmetic`` those among them that nobody who uses it
    would notice: other tools give CAs other names, and leave out what is not needed; a CA that goes out is still
    believed. ``found`` is what lies there now, if it can be read; ``has_key`` tells whether its private key is there.
    ``previous_cas`` are the other certificates of a CA's file: those whose leaves are still accepted while the CA is
    being replaced.
    """

    certificate: Certificate
    state: State
    reasons: tuple[str, ...] = ()
    found: X509 | None = None
    has_key: bool = False
    previous_cas: tuple[X509, ...] = ()
    cosmetic: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """True where it does its work, whoever made it: it is there, it has not ended, and what differs is cosmetic."""
        if self.state in (State.MISSING, State.EXPIRED):
            return False
        return self.state is not State.STALE or set(self.reasons) <= set(self.cosmetic)

    @property
    def blocking(self) -> str:
        """The reasons that count, in one line."""
        return "; ".join(reason for reason in self.reasons if reason not in self.cosmetic)

    def fix_command(self, folder_option: str) -> str:
        """The command that mends it: what is stale has to be brought in line with kcert.yaml, the rest is renewed."""
        in_line = " --stale" if self.state is State.STALE else ""
        damaged = any(f" is {_DAMAGED} (" in reason for reason in self.reasons)
        if damaged and self.certificate.kind is not Kind.CA:
            return f"kcert renew {self.certificate.name} --new-key{folder_option}"
        anew = " --new-key" if in_line and self.is_other_ca else ""
        return f"kcert renew {self.certificate.name}{anew}{in_line}{folder_option}"

    @property
    def is_other_ca(self) -> bool:
        """Whether it is a CA of another name or key than kcert.yaml has: it becomes that by a change-over alone."""
        one, found = self.certificate, self.found
        if one.kind is not Kind.CA or found is None or one.subject is None or not (found.ca or found.self_issued):
            return False
        return sorted(one.subject.parts) != sorted(found.subject.parts) or _kind_of(found.public_key) != str(one.key)

    @property
    def lacks_sans(self) -> bool:
        """True where clients would not find a name or address in it that they connect to."""
        wanted, found = self.certificate, self.found
        return bool(found) and bool(
            set(wanted.alt_names) - set(wanted.optional_sans) - set(found.alt_names if found else ())
        )

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


@dataclass(frozen=True)
class _Content:
    """The bytes of a certificate's parts as they lie there; None for what does not.

    ``links`` is True for a kubeconfig that names files instead of holding them.
    """

    key: bytes | None
    crt: bytes | None
    server: str | None = None
    links: bool = False


def status_of(root: Path, wanted: Iterable[Certificate], now: datetime | None = None) -> dict[str, CertificateStatus]:
    """How each of *wanted* stands in the PKI folder *root*, by name.

    *wanted* has to hold the CAs of whatever else is in it. Raises MachineError for a file that may not be
    read; one that holds nonsense is stale.
    """
    from kcert.openssl.reader import certificate_pems, read_certificate
    from kcert.openssl.x509 import X509

    wanted = tuple(wanted)
    contents = {one.name: _read(root, one) for one in wanted}
    pems: dict[tuple[str, int], str] = {}
    for one in wanted:
        content = contents[one.name].crt
        blocks = certificate_pems(content) if content else []
        # Whoever shows a certificate shows the first; a CA's file vouches with every one in it.
        for place, pem in enumerate(blocks if one.kind is Kind.CA else blocks[:1]):
            pems[one.name, place] = pem
    read = {key: read_certificate(pem) for key, pem in pems.items()}
    found = {name: one for (name, place), one in read.items() if isinstance(one, X509) and place == 0}
    previous_cas: dict[str, tuple[X509, ...]] = {}
    for (name, place), other in read.items():
        if place and isinstance(other, X509):
            previous_cas[name] = (*previous_cas.get(name, ()), other)
    moment = now or datetime.now(timezone.utc)
    return {one.name: _standing(root, one, contents[one.name], (found, previous_cas), moment) for one in wanted}


def mark_intermediate(ca: Certificate, status: CertificateStatus) -> Certificate:
    """Return *ca* as an intermediate CA where its certificate says that another one signed it."""
    if ca.kind is Kind.CA and status.found and not status.found.self_issued:
        return replace(ca, intermediate=True)
    return ca


def _read(root: Path, certificate: Certificate) -> _Content:
    files = certificate.files
    if files.kubeconfig:
        content = _bytes(root / files.kubeconfig)
        if content is None:
            return _Content(None, None)
        inside = kubeconfig.opened(content)
        if inside is None:
            return _Content(None, b"", links=b"client-certificate:" in content)
        return _Content(inside.key, inside.crt, inside.server)
    public = files.crt or files.public_key
    assert public
    return _Content(_bytes(root / files.key), _bytes(root / public))


def _bytes(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}.") from None


def _standing(
    root: Path,
    certificate: Certificate,
    content: _Content,
    read: tuple[Mapping[str, X509], Mapping[str, tuple[X509, ...]]],
    now: datetime,
) -> CertificateStatus:
    found, previous_cas = read
    has_key = content.key is not None
    proof = root / certificate.files.primary
    if content.crt is None:
        return CertificateStatus(certificate, State.MISSING, has_key=has_key)
    if certificate.kind is Kind.KEY_PAIR:
        return _key_pair_status(certificate, content.key, content.crt)
    one = found.get(certificate.name)
    if one is None and certificate.adopted and content.links:
        return CertificateStatus(certificate, State.CURRENT, has_key=True)  # a kubelet that renews its own
    if one is None:
        why = "names the files of its certificate" if content.links else "cannot be read as what it should be"
        return CertificateStatus(certificate, State.STALE, (f"{proof.name} {why}",), has_key=has_key)
    differs = [
        *_unlike(certificate, one),
        *_key_trouble(certificate, content, one),
        *_not_from(certificate, one, found, previous_cas),
    ]
    reasons = [said for said, _ in differs]
    cosmetic = tuple(said for said, harms in differs if not harms)
    if certificate.adopted:
        reasons = [reason for reason in reasons if reason not in cosmetic]
    if certificate.server and content.server != certificate.server:
        reasons.append(f"it talks to {content.server!a}, not to {certificate.server}")
    others = previous_cas.get(certificate.name, ())
    if one.not_after <= now:
        expired = f"it ended on {one.not_after:%Y-%m-%d}"
        return CertificateStatus(certificate, State.EXPIRED, (expired, *reasons), one, has_key, others, cosmetic)
    if reasons:
        return CertificateStatus(certificate, State.STALE, tuple(reasons), one, has_key, others, cosmetic)
    if one.not_after <= now + timedelta(days=EXPIRING_DAYS):
        return CertificateStatus(
            certificate, State.EXPIRING, (f"it ends on {one.not_after:%Y-%m-%d}",), one, has_key, others
        )
    return CertificateStatus(certificate, State.CURRENT, (), one, has_key, others)


def _key_pair_status(certificate: Certificate, key: bytes | None, public_key: bytes) -> CertificateStatus:
    """Return the status of a bare key pair: both halves have to be whole."""
    from kcert.openssl.pem import pem_blocks

    files, has_key = certificate.files, key is not None
    if key is None:
        return CertificateStatus(certificate, State.STALE, (f"{files.key} is not there",))
    public = next((block for block in pem_blocks(public_key) if "PUBLIC KEY" in block.label), None)
    reasons = [f"{files.key} is {_DAMAGED} ({fault})"] if (fault := _damage(key)) else []
    if public is None or public.fault:
        reasons.append(f"{files.public_key} is {_DAMAGED} ({public.fault if public else 'it holds no public key'})")
    return CertificateStatus(certificate, State.STALE if reasons else State.CURRENT, tuple(reasons), has_key=has_key)


def drift(certificate: Certificate, one: X509, authority: X509 | None) -> tuple[str, ...]:
    """In what *one*, freshly made, is not what *certificate* asks for; *authority* is its CA's (None: its own).

    Who signed an intermediate CA is not known here where that is not at hand.
    """
    unlike = tuple(said for said, _ in _unlike(certificate, one))
    if certificate.intermediate and authority is None:
        return unlike
    return (*unlike, *issuer_mismatch(one, authority or one))


def _unlike(certificate: Certificate, one: X509) -> list[tuple[str, bool]]:
    """In what *one* differs, and of each difference whether it harms."""
    subject = certificate.subject
    assert subject
    reasons: list[tuple[str, bool]] = []
    # Signers may reorder what a subject holds; what it means stays.
    if sorted(subject.parts) != sorted(one.subject.parts):
        reasons.append((f"its subject is {str(one.subject)!a}", not is_equivalent(certificate, one)))
    reasons += _unlike_names(certificate, one)
    if bool(one.ca) != (certificate.kind is Kind.CA):
        reasons.append(("it is no CA" if certificate.kind is Kind.CA else "it is a CA", True))
    reasons += _unlike_usages(certificate, one)
    key = one.public_key
    is_now = _kind_of(key)
    if is_now != str(certificate.key):
        weak = key.algorithm == "rsa" and key.bits < SHORTEST_RSA
        reasons.append((f"its key is {is_now!a}, not {certificate.key}".replace("'", ""), weak))
    return reasons


def _kind_of(key: PublicKey) -> str:
    return f"RSA {key.bits}" if key.algorithm == "rsa" else f"ECDSA {key.curve}"


def _unlike_names(certificate: Certificate, one: X509) -> Iterator[tuple[str, bool]]:
    wanted, has = set(certificate.alt_names), set(one.alt_names)
    missing = [name for name in certificate.alt_names if name not in has]
    if missing:
        harms = not set(missing) <= set(certificate.optional_sans)
        yield f"it lacks {', '.join(map(str, missing))}", harms
    if more := [ascii(str(name))[1:-1] for name in one.alt_names if name not in wanted]:
        yield f"it also answers to {', '.join(more)}", False


def is_equivalent(certificate: Certificate, one: X509) -> bool:
    """Whether another subject does the same work.

    A CA may have any name, and nobody looks at a server's, or at that of a client of etcd or of a kubelet. The API
    server takes the CN for the user and each O for a group: of a person both count as they were asked for, of a
    component its CN and the groups that Kubernetes itself knows, and of an administrator that it is one.
    """
    subject = certificate.subject
    assert subject
    if certificate.chapter not in ("client", "kubelet") or not certificate.kind.is_client:
        return True
    groups, has = set(subject.organizations), set(one.subject.organizations)
    same_name = subject.common_name == one.subject.common_name
    if certificate.role == "user":
        return same_name and groups == has
    if MASTERS in groups:
        return MASTERS in has
    if CLUSTER_ADMINS in groups:
        return bool(has & {CLUSTER_ADMINS, MASTERS})
    return same_name and groups & {NODES} <= has


def _unlike_usages(certificate: Certificate, one: X509) -> list[tuple[str, bool]]:
    if given := certificate.usages:
        pairs = ((given.key, one.key_usage), (given.extended, one.extended_key_usage))
        if any(sorted(asked or ()) != sorted(has or ()) for asked, has in pairs):
            return [("it has other usages than were asked for", True)]
        return []
    reasons = []
    if certificate.kind.is_server and not one.may_serve:
        # Kelsey Hightower's book lets clients of the API server be servers as well, which none of them is.
        reasons.append(("it may not be used by a server", ROLES[certificate.role].kind.is_server))
    if certificate.kind.is_client and not one.may_dial:
        reasons.append(("it may not be used by a client", True))
    return reasons


def _not_from(
    certificate: Certificate, one: X509, found: Mapping[str, X509], previous_cas: Mapping[str, tuple[X509, ...]]
) -> list[tuple[str, bool]]:
    if certificate.issuer is None or (authority := found.get(certificate.issuer)) is None:
        return []
    trouble = issuer_mismatch(one, authority)
    if trouble and any(not issuer_mismatch(one, other) for other in previous_cas.get(certificate.issuer, ())):
        return [("the CA that goes out signed it", False)]  # whoever has the CA's file with both still believes it
    return [(said, True) for said in trouble]


def issuer_mismatch(one: X509, authority: X509) -> list[str]:
    """The reason why *authority* cannot have signed *one*, in a list; an empty one where nothing speaks against it."""
    same_key = one.authority_key_id in (None, authority.subject_key_id)
    if one.issuer == authority.subject and same_key:
        return []
    return ["another CA signed it"]


_DAMAGED = "damaged"


def _damage(key: bytes) -> str | None:
    """Return what is wrong with a private key's file as a file; None where it can be read, or is encrypted."""
    from kcert.openssl.pem import pem_blocks

    keys = [block for block in pem_blocks(key) if block.is_key]
    if not keys:
        return "it holds no private key"
    return keys[0].fault or None


def _key_trouble(certificate: Certificate, content: _Content, one: X509) -> list[tuple[str, bool]]:
    from kcert.openssl.program import key_belongs

    if content.key is None:
        if certificate.kind is Kind.CA:
            return []  # it signs elsewhere, and whoever trusts it needs its certificate alone
        return [(f"its key {certificate.files.key} is not there", True)]
    if fault := _damage(content.key):
        return [(f"its key {certificate.files.secret} is {_DAMAGED} ({fault})", True)]
    if key_belongs(content.key, one.public_key) is False:
        return [(f"{certificate.files.secret} holds another key than the certificate's", True)]
    return []
