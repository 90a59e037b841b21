"""The checks that grade a lab: handshakes, openssl's reading of certificates, and the rules of ``kcert check``.

Only the outcome counts. A repair that makes something else worse does not pass: another CA, a key that other users can
read, a certificate that expires tomorrow, rights for every client.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kcert import kubeconfig
from kcert.certificates import Certificate, Kind
from kcert.errors import InputError
from kcert.files import read_regular
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import same_key
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.practice.handshakes import Credentials, Side, client_refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import ParamSpec

    from kcert.openssl.x509 import Name
    from kcert.practice.scenario import Connection, Scenario
    from kcert.scan import ScanResult

    P = ParamSpec("P")

MIN_REMAINING = timedelta(days=90)
"""The shortest time for which a repair has to last; the 30 days of openssl without -days are too few."""


class AbsentError(Exception):
    """Something that is needed does not exist, or is not what it has to be; the message is a clause."""


class NotYetError(AbsentError):
    """Something that the learner still has to make does not exist."""


@dataclass(frozen=True)
class Check:
    """A thing that has to work: ``what`` in the present tense, and ``why`` it does not.

    Neither says how to fix it. ``pending``: it cannot be checked yet, because something it needs does not exist.
    """

    what: str
    works: bool
    why: str = ""
    pending: bool = False

    @property
    def status(self) -> str:
        """One of ``works``, ``not yet``, ``fails``."""
        return "works" if self.works else "not yet" if self.pending else "fails"


@dataclass
class Grader:
    """Checks of a lab's folder. ``marks`` are fingerprints of the CAs when the lab was built, by name."""

    root: Path
    scenario: Scenario
    marks: Mapping[str, str] = field(default_factory=dict)
    openssl: str = "openssl"
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def pki(self) -> Path:
        """The PKI folder."""
        return self.root / self.scenario.folder

    # ------------------------------------------------------------ files

    def content(self, path: Path) -> bytes:
        """Return the content of a file; raises AbsentError if it cannot be read."""
        name = self.name(path)
        try:
            return read_regular(path)
        except FileNotFoundError:
            raise NotYetError(f"{name} does not exist") from None
        except OSError as error:
            raise AbsentError(f"{name} cannot be read: {error.strerror or error}") from None

    def name(self, path: Path) -> str:
        """Return *path* as a learner in the lab's folder would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def presented(self, name: str) -> Credentials:
        """Return the certificate and key called *name*, from their files or its kubeconfig; raises AbsentError."""
        spec = self.scenario.spec(name)
        files = spec.files
        if files.kubeconfig:
            inside = kubeconfig.opened(self.content(self.pki / files.kubeconfig))
            if inside is None:
                raise AbsentError(
                    f"{self.name(self.pki / files.kubeconfig)} is not a kubeconfig with key and certificate inside"
                )
            return Credentials(inside.crt, inside.key)
        return Credentials(self.content(self.pki / spec.crt), self.content(self.pki / files.key))

    def trusted(self, ca: str = "ca") -> bytes:
        """Return the content of the file of the CA called *ca*."""
        return self.content(self.pki / self.scenario.spec(ca).crt)

    def count_of_cas(self, ca: str = "ca") -> int:
        """Return the number of certificates in the file of the CA called *ca*."""
        return sum(1 for block in pem_blocks(self.trusted(ca)) if block.is_certificate)

    def certificate(self, name: str) -> X509:
        """Return the certificate called *name*; raises AbsentError."""
        spec = self.scenario.spec(name)
        content = self.trusted(name) if spec.kind is Kind.CA else self.presented(name).crt
        blocks = [block for block in pem_blocks(content) if block.is_certificate and not block.fault]
        if not blocks:
            raise AbsentError(f"{spec.files.primary} contains no certificate")
        certificate = read_certificate(blocks[0].pem)
        if not isinstance(certificate, X509):
            raise AbsentError(f"{name} {certificate.reason}")
        return certificate

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of what must not change: the files that are kept, and the CAs that exist."""
        cas = [spec for spec in self.scenario.specs if spec.kind is Kind.CA]
        made = [spec.name for spec in cas if (self.pki / str(spec.files.crt)).exists()]
        return {name: self._digest(name) for name in self.scenario.kept} | {name: self.mark(name) for name in made}

    def _digest(self, name: str) -> str:
        return hashlib.sha256(self.content(self.root / name)).hexdigest()

    def mark(self, name: str = "ca") -> str:
        """Return the fingerprint of a CA, which its renewal does not change: its subject and its key, hashed."""
        ca = self.certificate(name)
        return hashlib.sha256(f"{ca.subject}\n{ca.public_key.material}".encode()).hexdigest()

    # ------------------------------------------------------------ checks

    def check(self, what: str, why: Callable[P, str | None], *args: P.args, **keywords: P.kwargs) -> Check:
        """Return the check *what*, which works if *why*, called with what follows, returns no reason against it."""
        try:
            reason = why(*args, **keywords)
        except AbsentError as error:
            return Check(what, works=False, why=str(error), pending=isinstance(error, NotYetError))
        return Check(what, reason is None, reason or "")

    def connects(self, connection: Connection) -> Check:
        """Check that the client connects to the server; both trust the CA."""
        return self.check(connection.what, self.refused, connection)

    def refused(
        self, connection: Connection, presents: Grader | None = None, trusts: Grader | None = None
    ) -> str | None:
        """Return why the client does not connect to the server; None if it does.

        The client may present the certificate, or trust the CA, of another folder than the server's.
        """
        name, ca = connection.client, (trusts or self).trusted()
        server = Side(self.presented(connection.server), self.trusted() if name else None)
        client = Side((presents or self).presented(name) if name else None, ca)
        return refusal(server, client, connection.server_name)

    @cached_property
    def survey(self) -> ScanResult:
        """The scan of the PKI folder, as `kcert check` makes it; raises AbsentError if the folder does not exist."""
        from kcert.scan.discovery import survey

        try:
            return survey([str(self.pki)], None, self.openssl)
        except InputError as error:
            raise AbsentError(str(error).rstrip(".")) from None

    def kept(self, what: str) -> Check:
        """Return the check *what*: no file that has to stay was changed."""
        return self.check(what, self._changed)

    def _changed(self) -> str | None:
        changed = (name for name in self.scenario.kept if self._digest(name) != self.marks.get(name))
        return next((f"{name} was changed" for name in changed), None)

    def same_ca(self, name: str = "ca") -> Check:
        """Check that the CA is the one that every machine has had since the lab began."""
        file = self.name(self.pki / str(self.scenario.spec(name).files.crt))
        return self.check(f"{file} is the CA that every machine of the cluster has", self._other_ca, name)

    def _other_ca(self, name: str) -> str | None:
        if self.mark(name) != self.marks.get(name):
            return "it is not the CA that the machines have"
        count = self.count_of_cas(name)
        return f"the file contains {count - 1} more certificates" if count > 1 else None

    def no_check_errors(self, *where: str) -> Check:
        """Check that `kcert check` finds no error in *where*, below the lab's folder."""
        names = where or (self.scenario.folder,)
        return self.check(f"`kcert check {' '.join(names)}` finds no error", self._check_errors, names)

    def _check_errors(self, names: tuple[str, ...]) -> str | None:
        from kcert.check import Severity, run_checks, wanted_at

        if gone := [name for name in names if not (self.root / name).exists()]:
            return f"{gone[0]} does not exist"
        wanted, places = wanted_at(self.pki, self.scenario.specs), [str(self.root / name) for name in names]
        try:
            findings = run_checks(places, None, wanted=wanted, openssl=self.openssl).findings
        except InputError as error:
            return str(error).rstrip(".")
        errors = [f"{item.rule} ({self.name(item.path)})" for item in findings if item.severity is Severity.ERROR]
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        return f"it finds {', '.join(errors[:3])}{more}" if errors else None

    def private_keys_protected(self) -> Check:
        """Check that only the owner can read the files with private keys, copies and backups too."""
        return self.check("only their owner can read the private keys", self._readable_keys)

    def _readable_keys(self) -> str | None:
        names = [self.name(path) for path in sorted(self.root.rglob("*")) if _is_open(path) and self._has_key(path)]
        return f"other users can read {', '.join(names[:3])}" if names else None

    def _has_key(self, path: Path) -> bool:
        try:
            content = self.content(path)
        except AbsentError:
            return False
        return b"PRIVATE KEY-----" in content or b"client-key-data" in content

    def leaf(self, name: str) -> Iterator[Check]:
        """Check a certificate: its key, its SANs, its usages, its user and groups, its dates."""
        spec = self.scenario.spec(name)
        label = self.name(self.pki / spec.files.primary)
        yield self.check(
            f"{label} and its key belong together", lambda: self.key_mismatch(self.presented(name).key, name)
        )
        if spec.kind.is_server:
            yield self.check(f"{label} is accepted for every name that clients connect to", self._unknown_name, spec)
        if spec.kind.is_client:
            yield self.check(f"{label} is accepted from a client", self._refused_client, spec)
        if spec.kind is Kind.CLIENT and spec.chapter in ("client", "kubelet", "apiserver"):
            yield self.check(f"{label} is the right user, in the right groups", self._wrong_user, spec)
        yield self.check(f"{label} is not a CA, and does not expire soon", self._short_lived, name)

    def all_work(self, *focus: str) -> Iterator[Check]:
        """Everything about the certificates *focus*; of all others, in one trial, that they still work."""
        leaves = [spec for spec in self.scenario.specs if spec.kind not in (Kind.CA, Kind.KEY_PAIR)]
        yield from (self.same_ca(spec.name) for spec in self.scenario.specs if spec.kind is Kind.CA)
        for name in focus:
            yield from self.leaf(name)
        if others := [spec for spec in leaves if spec.name not in focus]:
            listed = ", ".join(spec.name for spec in others)
            yield self.still_works(f"what worked before still works: {listed}", "not true any more", *others)
        yield self.private_keys_protected()

    def grade(self, *focus: str) -> Iterator[Check]:
        """Check that all connections succeed, and that the certificates *focus*, or those with a fault, are right."""
        yield from map(self.connects, self.scenario.connections)
        yield from self.all_work(*(focus or (*self.scenario.made, *self.scenario.between)))
        yield self.no_check_errors()

    def still_works(self, what: str, why: str, *specs: Certificate) -> Check:
        """Return the check *what*: everything about *specs* works. *why* introduces what does not."""
        broken = next((check for spec in specs for check in self.leaf(spec.name) if not check.works), None)
        return Check(what, broken is None, f"{why}: {broken.what} ({broken.why})" if broken else "")

    def key_mismatch(self, key: bytes, name: str) -> str | None:
        """Return why *key* (PEM) does not fit the certificate called *name*; None if it belongs to it."""
        if any(block.encrypted for block in pem_blocks(key) if block.is_key):
            return "the key is encrypted with a passphrase"
        fits = same_key(self.openssl, key, self.certificate(name).public_key)
        return None if fits else "the key belongs to another certificate"

    def _unknown_name(self, spec: Certificate) -> str | None:
        server, client = Side(self.presented(spec.name)), Side(None, self.trusted(spec.issuer or "ca"))
        for name in (name for name in spec.alt_names if name not in spec.optional_sans):
            if refused := refusal(server, client, name.value):
                return f"connecting to {name.value}, {refused}"
        return None

    def _refused_client(self, spec: Certificate) -> str | None:
        return client_refusal(self.presented(spec.name), self.trusted(spec.issuer or "ca"))

    def _wrong_user(self, spec: Certificate) -> str | None:
        subject = self.certificate(spec.name).subject
        assert spec.subject
        right = (spec.subject.common_name, set(spec.subject.organizations))
        is_right = (subject.common_name, set(subject.organizations)) == right
        return None if is_right else f"it is {user(subject)}"

    def _short_lived(self, name: str) -> str | None:
        certificate = self.certificate(name)
        return "it can sign other certificates" if certificate.ca else short_lived(certificate, self.now)


def _is_open(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and bool(path.stat().st_mode & 0o077)


def short_lived(certificate: X509, now: datetime, lasts: timedelta = MIN_REMAINING) -> str | None:
    """Return why a certificate is not valid from now on for at least *lasts*; None if it is."""
    if certificate.not_before > now:
        return f"it is not valid before {certificate.not_before:%Y-%m-%d}"
    needed = f"it must be valid until {now + lasts:%Y-%m-%d} or later, {lasts.days} days from now"
    if certificate.not_after <= now:
        return f"it expired on {certificate.not_after:%Y-%m-%d}; {needed}"
    if certificate.not_after - now < lasts:
        return f"it expires on {certificate.not_after:%Y-%m-%d}, within {lasts.days} days; {needed}"
    return None


def user(subject: Name) -> str:
    """Return how the API server sees a client: ``the user jane, in the group developers``."""
    name, groups = subject.common_name, subject.organizations
    who = f"the user {name}" if name else "a user without a name (there is no CN)"
    if not groups:
        return f"{who}, in no group"
    return f"{who}, in the group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"
