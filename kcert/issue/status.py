"""The status of each certificate of a PKI folder, compared with what the cluster needs; nothing here writes."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kcert import kubeconfig
from kcert.certificates import Certificate, Files, Key, Kind
from kcert.errors import MachineError
from kcert.files import read_optional
from kcert.openssl.pem import pem_blocks, private_key
from kcert.openssl.program import key_belongs, public_part
from kcert.openssl.reader import first_certificate, readable_certificates
from kcert.openssl.x509 import X509, refusals, weakness
from kcert.roles import CLUSTER_ADMINS, MASTERS, NODES, ROLES

EXPIRING_DAYS = 30
"""A certificate with fewer days left is called expiring."""


class State(enum.Enum):
    """The state of a certificate that the cluster needs."""

    MISSING = "missing"
    CURRENT = "current"
    STALE = "stale"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Reason:
    """A reason why a certificate is not current: a clause, ``it lacks example.com``.

    If it does no harm, no client or server notices it: another CA name, missing optional SANs, an outgoing CA.
    ``about`` is empty for what kcert.yaml says of its content; else ``issuer``, ``key``, ``other key`` (it belongs to
    another certificate) or ``unusable key``.
    """

    text: str
    harms: bool = True
    about: str = ""

    def __str__(self) -> str:
        """Return the clause."""
        return self.text


@dataclass(frozen=True)
class CertificateStatus:
    """One certificate and its state.

    ``reasons`` say why it is not current. ``x509`` is the existing certificate, if it can be read; ``has_key``
    says whether its key exists. ``previous_cas`` are the others in a CA's file, trusted until the rotation ends.
    ``links`` is True for a kubeconfig with paths in it, as a kubelet has that renews its own certificate.
    """

    certificate: Certificate
    state: State
    reasons: tuple[Reason, ...] = ()
    x509: X509 | None = None
    has_key: bool = False
    previous_cas: tuple[X509, ...] = ()
    links: bool = False

    @property
    def usable(self) -> bool:
        """True if it works, whatever made it: it is there, it has not expired, and what differs is cosmetic."""
        if self.state in (State.MISSING, State.EXPIRED):
            return False
        return self.state is not State.STALE or not self.blocking

    def clause(self, reasons: str) -> str:
        """Return what follows its name to say *reasons*: ``is stale: it lacks ...``, ``expires on 2027-01-31``."""
        return reasons if self.state in (State.EXPIRING, State.EXPIRED) else f"is {self.state.value}: {reasons}"

    @property
    def blocking(self) -> str:
        """The reasons that count, in one line."""
        return "; ".join(reason.text for reason in self.reasons if reason.harms)

    def fix_command(self, folder_option: str) -> str:
        """Return the command that fixes it: what is stale is updated to match kcert.yaml, the rest is renewed."""
        is_ca = self.certificate.kind is Kind.CA
        about = {reason.about for reason in self.reasons}
        unusable = "unusable key" in about
        new_key = self.is_other_ca if is_ca else unusable or "other key" in about
        options = [" --new-key"] if new_key else []
        options += [" --stale"] if self.state is State.STALE and (is_ca or not unusable) else []
        return f"kcert renew {self.certificate.name}{''.join(options)}{folder_option}"

    @property
    def is_other_ca(self) -> bool:
        """True for a CA of another name or key than kcert.yaml has: only a CA rotation changes that."""
        spec, x509 = self.certificate, self.x509
        if spec.kind is not Kind.CA or x509 is None or spec.subject is None or not (x509.ca or x509.self_signed):
            return False
        return sorted(spec.subject.parts) != sorted(x509.subject.parts) or str(key_of(x509)) != str(spec.key)

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        return "; ".join(map(str, self.reasons))


@dataclass(frozen=True)
class _Content:
    """The bytes of a certificate's parts (None for a missing part), and what is read of its file.

    ``x509`` is the first certificate, which programs present, ``others`` are those behind it in a CA's file, where
    every one is trusted. For a kubeconfig, ``server`` is the URL of the API server, and ``ca`` contains the CAs that it
    trusts. ``links`` is True if it contains paths, not the files.
    """

    key: bytes | None
    crt: bytes | None
    server: str | None = None
    ca: bytes | None = None
    links: bool = False
    x509: X509 | None = None
    others: tuple[X509, ...] = ()


def status_of(root: Path, wanted: Iterable[Certificate], now: datetime | None = None) -> dict[str, CertificateStatus]:
    """Return the status of each certificate of *wanted* in the PKI folder *root*, by name.

    *wanted* must include the CAs of its other certificates. A CA is an intermediate one in its status where its
    certificate says that another CA signed it. Raises MachineError for an unreadable file; invalid content
    is stale.
    """
    specs, moment = tuple(wanted), now or datetime.now(timezone.utc)
    contents = {spec.name: _read(root, spec) for spec in specs}
    return {
        spec.name: _status(root, spec, contents[spec.name], contents.get(spec.issuer or ""), moment) for spec in specs
    }


def _read(root: Path, certificate: Certificate) -> _Content:
    content = _content(root, certificate.files)
    crt = content.crt or b""
    first = first_certificate(crt)
    others = readable_certificates(crt)[1:] if first and certificate.kind is Kind.CA else ()
    return replace(content, x509=first, others=tuple(others))


def _content(root: Path, files: Files) -> _Content:
    if files.kubeconfig:
        content = read_optional(root / files.kubeconfig, error=MachineError)
        if content is None:
            return _Content(None, None)
        inside = kubeconfig.opened(content)
        if inside is None:
            named = re.search(rb"^[ ]*client-certificate:[ ]*[\"']?([^\"'\r\n]+)", content, re.MULTILINE)
            return _Content(None, _linked(root, os.fsdecode(named[1])) if named else b"", links=named is not None)
        return _Content(inside.key, inside.crt, inside.server, inside.ca)
    public = files.crt or files.public_key
    assert public
    key, crt = (read_optional(root / path, error=MachineError) for path in (files.key, public))
    return _Content(key, crt)


def _linked(root: Path, named: str) -> bytes:
    """Return the certificate that a kubeconfig names; in the copy of a host, paths are below the copy's own ``/``."""
    whole, below = str(root.absolute()), "/etc/kubernetes"
    host = whole.removesuffix(below) if whole.endswith(below) else ""
    if "\0" in named:  # no file has such a name
        return b""
    path = root / named
    for _ in range(2):  # the file that the kubelet renews is a link
        if path.is_absolute() and not str(path).startswith(host):
            path = Path(f"{host}{path}")
        if path.is_symlink():
            path = path.parent / path.readlink()
    return read_optional(path, error=MachineError) or b""


def _status(
    root: Path, certificate: Certificate, content: _Content, issuer: _Content | None, now: datetime
) -> CertificateStatus:
    x509, has_key = content.x509, content.key is not None
    if certificate.kind is Kind.CA and x509 and not x509.self_signed:
        certificate = replace(certificate, intermediate=True)
    if content.crt is None:
        return CertificateStatus(certificate, State.MISSING, has_key=has_key)
    if certificate.kind is Kind.KEY_PAIR:
        return _key_pair_status(certificate, content.key, content.crt)
    expired = (Reason(f"expired on {x509.not_after:%Y-%m-%d}"),) if x509 and x509.not_after <= now else ()
    if certificate.adopted and content.links:  # a kubelet that renews its own
        state = State.EXPIRED if expired else State.CURRENT
        return CertificateStatus(certificate, state, expired, x509, has_key=True, links=True)
    if x509 is None or content.links:
        why = "names the files of its certificate" if content.links else "cannot be read as what it should be"
        name = (root / certificate.files.primary).name
        reason = Reason(f"{name} {why}")
        return CertificateStatus(certificate, State.STALE, (reason,), x509, has_key, links=content.links)
    cas = (issuer.x509, *issuer.others) if issuer and issuer.x509 else ()
    differs = [
        *_unlike(certificate, x509),
        *_key_trouble(certificate, content, x509),
        *_not_from(x509, cas),
        *(
            Reason(f"Kubernetes rejects it: {refusal.reason}", about="key" if refusal.stage == "key" else "")
            for refusal in refusals(x509)
        ),
    ]
    reasons = [reason for reason in differs if reason.harms or not certificate.adopted]
    reasons += _kubeconfig_trouble(certificate, content, cas)
    state = State.EXPIRED if expired else State.STALE if reasons else State.CURRENT
    if state is State.CURRENT and x509.not_after <= now + timedelta(days=EXPIRING_DAYS):
        state, reasons = State.EXPIRING, [Reason(f"expires on {x509.not_after:%Y-%m-%d}")]
    return CertificateStatus(certificate, state, (*expired, *reasons), x509, has_key, content.others)


def _key_pair_status(certificate: Certificate, key: bytes | None, public_key: bytes) -> CertificateStatus:
    """Return the status of a bare key pair: both halves have to be whole."""
    files, has_key = certificate.files, key is not None
    if key is None:
        return CertificateStatus(certificate, State.STALE, (Reason(f"{files.key} does not exist", about="key"),))
    publics = [block for block in pem_blocks(public_key) if "PUBLIC KEY" in block.label]
    reasons = [Reason(f"{files.key} is {trouble}", about="unusable key")] if (trouble := _unusable(key)) else []
    if not publics or publics[0].fault:
        fault = publics[0].fault if publics else "it holds no public key"
        reasons.append(Reason(f"{files.public_key} is damaged ({fault})"))
    elif not reasons:
        # It may hold several, so that the tokens of an earlier key are still accepted.
        read = [public for block in publics if (public := public_part(block))]
        if read and all(key_belongs(key, public) is False for public in read):
            reasons.append(Reason(f"{files.public_key} is not the public key of {files.key}"))
    return CertificateStatus(certificate, State.STALE if reasons else State.CURRENT, tuple(reasons), has_key=has_key)


def drift(certificate: Certificate, x509: X509, ca: X509 | None) -> tuple[str, ...]:
    """Return how *x509*, just created, differs from what *certificate* requests; *ca* is its CA (None: itself).

    The issuer of an intermediate CA is not compared if *ca* is None, because its CA is elsewhere.
    """
    cas = () if certificate.intermediate and ca is None else (ca or x509,)
    return tuple(map(str, (*_unlike(certificate, x509), *_not_from(x509, cas))))


def _unlike(certificate: Certificate, x509: X509) -> Iterator[Reason]:
    """Yield each difference of *x509*."""
    subject = certificate.subject
    assert subject
    # Signers may reorder what a subject holds; what it means stays.
    if sorted(subject.parts) != sorted(x509.subject.parts):
        yield Reason(f"its subject is {str(x509.subject)!a}", not is_equivalent(certificate, x509))
    yield from _unlike_names(certificate, x509)
    if bool(x509.ca) != (certificate.kind is Kind.CA):
        yield Reason("it is not a CA" if certificate.kind is Kind.CA else "it is a CA")
    yield from _unlike_usages(certificate, x509)
    key = str(key_of(x509))
    if key != str(certificate.key):
        text = f"its key is {key!a}, not {certificate.key}".replace("'", "")
        yield Reason(text, weakness(x509.public_key) is not None, "key")


def key_of(x509: X509) -> Key:
    """Return the key of a certificate, as one would ask for it."""
    public = x509.public_key
    return Key("rsa", public.bits) if public.algorithm == "rsa" else Key("ecdsa", curve=str(public.curve))


def _unlike_names(certificate: Certificate, x509: X509) -> Iterator[Reason]:
    wanted, has = set(certificate.alt_names), set(x509.alt_names)
    missing = [name for name in certificate.alt_names if name not in has]
    if missing:
        harms = not set(missing) <= set(certificate.optional_sans)
        yield Reason(f"it lacks {', '.join(map(str, missing))}", harms)
    if more := [ascii(str(name))[1:-1] for name in x509.alt_names if name not in wanted]:
        yield Reason(f"it has the extra SANs {', '.join(more)}", harms=False)


def is_equivalent(certificate: Certificate, x509: X509) -> bool:
    """Return True if a different subject has the same effect as the one that *certificate* requests.

    A CA may have any name, and no component reads the subject of a server, or of a client of etcd or of a kubelet. The
    API server takes the CN as the user and each O as a group. For a person, the CN and all groups must be as requested;
    for a component, the CN and the groups that Kubernetes itself uses; for an administrator, only the permissions of
    one.
    """
    subject = certificate.subject
    assert subject
    if certificate.chapter not in ("client", "kubelet") or not certificate.kind.is_client:
        return True
    groups, has = set(subject.organizations), set(x509.subject.organizations)
    same_name = subject.common_name == x509.subject.common_name
    if certificate.role == "user":
        return same_name and groups == has
    if MASTERS in groups:
        return MASTERS in has
    if CLUSTER_ADMINS in groups:
        return bool(has & {CLUSTER_ADMINS, MASTERS})
    return same_name and groups & {NODES} <= has


def _unlike_usages(certificate: Certificate, x509: X509) -> Iterator[Reason]:
    if given := certificate.usages:
        pairs = ((given.key, x509.key_usage), (given.extended, x509.extended_key_usage))
        if any(sorted(wanted or ()) != sorted(has or ()) for wanted, has in pairs):
            yield Reason("its usages differ from those that were requested")
        return
    if certificate.kind.is_server and not x509.allows("serverAuth"):
        # Kelsey Hightower's book lets clients of the API server be servers as well, which none of them is.
        yield Reason("it may not be used by a server", ROLES[certificate.role].kind.is_server)
    if certificate.kind.is_client and not x509.allows("clientAuth"):
        yield Reason("it may not be used by a client")


def _not_from(x509: X509, cas: tuple[X509, ...]) -> Iterator[Reason]:
    """Yield that the CA, the first of *cas*, has not signed *x509*; the others are outgoing ones."""
    if not cas or names_issuer(x509, cas[0]):
        return
    if any(names_issuer(x509, other) for other in cas[1:]):
        # Programs with both in the CA's file still trust it.
        yield Reason("the outgoing CA signed it", harms=False, about="issuer")
    else:
        yield Reason("another CA signed it", about="issuer")


def names_issuer(x509: X509, ca: X509) -> bool:
    """Return True if *x509* says that *ca* signed it; openssl alone can verify that."""
    return x509.issuer == ca.subject and x509.authority_key_id in (None, ca.subject_key_id)


def _kubeconfig_trouble(certificate: Certificate, content: _Content, cas: tuple[X509, ...]) -> Iterator[Reason]:
    """Yield what is wrong with a kubeconfig besides its certificate; *cas* are the cluster's, as far as known."""
    if certificate.server and content.server != certificate.server:
        yield Reason(f"it connects to {content.server!a}, not to {certificate.server}")
    if content.ca is None or not cas:
        return
    trusted = readable_certificates(content.ca)
    # A renewed CA has the name and the key of the old one; the root above an intermediate CA is as good.
    known = {(ca.subject, ca.public_key) for ca in cas}
    if not any((ca.subject, ca.public_key) in known or ca.subject == cas[0].issuer != cas[0].subject for ca in trusted):
        names = ", ".join(dict.fromkeys(ascii(str(ca.subject)) for ca in trusted)) or "no certificate"
        yield Reason(f"its certificate-authority-data is not the cluster's CA ({names})")


def _unusable(key: bytes, *, is_ca: bool = False) -> str | None:
    block = private_key(key)
    if block.fault:
        return f"damaged ({block.fault})"
    return "encrypted, and no component can enter a passphrase" if block.encrypted and not is_ca else None


def _key_trouble(certificate: Certificate, content: _Content, x509: X509) -> Iterator[Reason]:
    files, is_ca = certificate.files, certificate.kind is Kind.CA
    if content.key is None:
        if not is_ca:  # a CA signs elsewhere, and to trust it takes its certificate alone
            yield Reason(f"its key {files.key} does not exist", about="key")
    elif trouble := _unusable(content.key, is_ca=is_ca):
        yield Reason(f"its key {files.secret} is {trouble}", about="unusable key")
    elif key_belongs(content.key, x509.public_key) is False:
        yield Reason(f"{files.secret} does not match the certificate", about="other key")
