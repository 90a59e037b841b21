"""A rule: what it looks at, and the violations that it yields.

A rule is a function that takes a ``RuleContext``, and one ``Rule`` in its module's ``RULES``; ``kcert.check`` gathers
the modules. To add one: write the function, add the line, and write ``kcert/lessons/NAME.md``.
"""

from __future__ import annotations

import enum
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from kcert.certificates import Certificate, Kind, Role
from kcert.check import ownership, placing
from kcert.openssl.verify import Signatures
from kcert.openssl.x509 import X509, Name
from kcert.roles import CA_ROLES, ROLES, RoleSpec
from kcert.scan import CertificateRef, ScanResult
from kcert.scan.fs import cluster_root_of


@dataclass(frozen=True)
class CertificateInstance:
    """One certificate in one place, with all its uses there.

    ``wanted`` is what kcert planned for it, if that is known. ``demoted`` is True if the fix removes it from
    system:masters.
    """

    uses: tuple[CertificateRef, ...]
    wanted: Certificate | None = None
    demoted: bool = False

    @property
    def use(self) -> CertificateRef:
        """The first of its uses."""
        return self.uses[0]

    @property
    def certificate(self) -> X509:
        """Return what it says."""
        return self.use.certificate

    @property
    def path(self) -> Path:
        """The file to open."""
        return self.use.path

    @property
    def embedded(self) -> bool:
        """True inside a kubeconfig."""
        return self.use.embedded

    @property
    def live(self) -> bool:
        """True if a server presented it: there is no file to fix."""
        return self.use.live is not None

    @property
    def has_file(self) -> bool:
        """True if commands can name its file: it is not inside a kubeconfig, an object of the API, or a server."""
        return not (self.embedded or self.live)

    @property
    def roles(self) -> frozenset[Role]:
        """All that it is for."""
        return frozenset(use.role for use in self.uses if use.role is not None)

    @property
    def demands(self) -> tuple[RoleSpec, ...]:
        """Return what its roles ask of it, one after the other."""
        return tuple(ROLES[role] for role in sorted(self.roles, key=lambda role: role.value))

    @property
    def is_authority(self) -> bool:
        """True if it is used as a CA, or has CA:TRUE in a place for which kcert planned no other certificate."""
        if self.wanted is not None and self.wanted.kind is not Kind.CA:
            return any(use.option for use in self.uses if use.kind is Kind.CA)
        return any(use.kind is Kind.CA for use in self.uses) or bool(self.roles & CA_ROLES)

    @property
    def is_root(self) -> bool:
        """True for a self-signed CA: no client verifies that signature."""
        return self.is_authority and self.certificate.self_signed

    @property
    def holder(self) -> tuple[Path, str | None]:
        """The file that holds it, and the field of it if that is a kubeconfig."""
        return self.path, self.use.option if self.embedded else None

    @property
    def only_service_account(self) -> bool:
        """True if only its key is used, to sign the tokens of service accounts."""
        return self.roles == {Role.SERVICE_ACCOUNT}

    @property
    def made_by_kubelet(self) -> bool:
        """True for the serving certificate that a kubelet creates itself if its configuration names none."""
        own = self.certificate.self_signed or any(use.issuer_path == self.path for use in self.uses)
        return own and self.roles == {Role.KUBELET_SERVER} and not any(use.option for use in self.uses)

    @property
    def is_server(self) -> bool:
        """True if a server presents it."""
        if self.wanted is not None and self.wanted.kind.is_server:
            return True
        return any(demand.kind.is_server for demand in self.demands) or self._named_as(Kind.SERVER, Kind.PEER)

    @property
    def is_client(self) -> bool:
        """True if it is presented to a server."""
        if self.wanted is not None and self.wanted.kind.is_client and not self.only_service_account:
            return True
        return any(demand.is_client for demand in self.demands) or self._named_as(Kind.CLIENT, Kind.PEER)

    def _named_as(self, *kinds: Kind) -> bool:
        """True if an option uses it as one of *kinds*; a file that was found in a folder is not a request."""
        return any(use.option and use.position == 0 and use.kind in kinds for use in self.uses if use.role is None)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes whose kubelet uses it, if they are known."""
        return tuple(dict.fromkeys(use.node for use in self.uses if use.node))

    @property
    def description(self) -> str:
        """Its place in words that can begin a sentence: which part of which file."""
        if self.embedded:
            return f"the {self.use.option} of {self.path}"
        return str(self.path) if self.use.position == 0 else f"certificate {self.use.position + 1} of {self.path}"


@dataclass
class RuleContext:
    """Everything that a rule can look at.

    ``soon`` is how near an expiry counts as near. ``wanted`` is what kcert planned, by the file's absolute path;
    ``described`` is True if a kcert.yaml says so, and False if kcert made the certificates without one.
    """

    scan: ScanResult
    now: datetime
    soon: timedelta = timedelta(days=30)
    wanted: Mapping[Path, Certificate] = field(default_factory=dict)
    openssl: str = "openssl"
    described: bool = False
    _hashes: dict[Path, list[str]] = field(default_factory=dict, init=False)

    @cached_property
    def found(self) -> tuple[CertificateInstance, ...]:
        """Every certificate once for each place in which it was found, in the order of discovery."""
        places: dict[tuple[Path, int, str], list[CertificateRef]] = defaultdict(list)
        for use in self.scan.uses:
            places[use.path, use.position, use.certificate.sha256].append(use)
        return tuple(
            CertificateInstance(tuple(uses), self.wanted_at(path) if position == 0 else None)
            for (path, position, _), uses in places.items()
        )

    @property
    def plan(self) -> str:
        """The name of what kcert planned the certificates from."""
        return "kcert.yaml" if self.described else "the built-in example"

    def wanted_at(self, path: Path) -> Certificate | None:
        """Return what kcert planned for the certificate at *path*."""
        return self.wanted.get(path.absolute()) if self.wanted else None

    @cached_property
    def leaves(self) -> tuple[CertificateInstance, ...]:
        """Return the certificates that are not CAs."""
        return tuple(cert for cert in self.found if not cert.is_authority)

    @cached_property
    def authorities(self) -> tuple[CertificateInstance, ...]:
        """Every CA."""
        return tuple(cert for cert in self.found if cert.is_authority)

    @cached_property
    def deduplicated(self) -> tuple[CertificateInstance, ...]:
        """``found`` with each CA once, beside its key if that is here; without a kubelet's own CA, and unused CAs."""
        nearest = {
            sha256: min((cert for cert in places if cert.is_authority), key=_distance_from_source, default=None)
            for sha256, places in self.copies.items()
            if sha256 not in self.unused_cas
        }
        own = {cert.path for cert in self.leaves if cert.made_by_kubelet}
        return tuple(
            cert
            for cert in self.found
            if not cert.is_authority or (nearest.get(cert.certificate.sha256) is cert and cert.path not in own)
        )

    @cached_property
    def copies(self) -> Mapping[str, tuple[CertificateInstance, ...]]:
        """All places of a certificate, by its SHA-256."""
        return _grouped(self.found, lambda cert: cert.certificate.sha256)

    @cached_property
    def certs_by_file(self) -> Mapping[tuple[Path, str | None], tuple[CertificateInstance, ...]]:
        """The certificates of each file, and of each field of a kubeconfig, that holds some."""
        return _grouped(self.found, lambda cert: cert.holder)

    @cached_property
    def cas_by_name(self) -> Mapping[Name, tuple[CertificateInstance, ...]]:
        """Every certificate with CA:TRUE, by its subject."""
        return _grouped((cert for cert in self.found if cert.certificate.ca), lambda cert: cert.certificate.subject)

    def number_of(self, cert: CertificateInstance) -> int:
        """Return which certificate of its file, or of its field, it is, counted from 1 as awk counts."""
        hashes = self._hashes_beside(cert)
        sha256 = cert.certificate.sha256
        return hashes.index(sha256) + 1 if sha256 in hashes else cert.use.position + 1

    def has_siblings(self, cert: CertificateInstance) -> bool:
        """True if its file, or its field of a kubeconfig, contains other certificates, even damaged ones."""
        hashes = self._hashes_beside(cert)
        # What a damaged one should have been has no hash: it is the first of its file.
        if cert.certificate.sha256 in hashes or not cert.certificate.sha256:
            return len(hashes) > 1
        return len({cert.use.position for cert in self.certs_by_file.get(cert.holder, ())}) > 1

    def _hashes_beside(self, cert: CertificateInstance) -> list[str]:
        """The hashes of all certificates in the file of *cert*; a CA's is asked for with each that it signed."""
        if cert.embedded or cert.live:
            return []
        if cert.path not in self._hashes:
            blocks = placing.certificate_blocks(cert.path)
            self._hashes[cert.path] = [hashlib.sha256(block.der).hexdigest() for block in blocks]
        return self._hashes[cert.path]

    def has_signed(self, ca: X509) -> bool:
        """True if a certificate that was found names *ca* as its issuer."""
        return bool(self._named_issuers & {(ca.subject, ca.subject_key_id), (ca.subject, None)})

    @cached_property
    def _named_issuers(self) -> frozenset[tuple[Name, str | None]]:
        certificates = (use.certificate for use in self.scan.uses)
        return frozenset((cert.issuer, cert.authority_key_id) for cert in certificates if not cert.self_signed)

    @cached_property
    def unused_cas(self) -> frozenset[str]:
        """CAs (by SHA-256) that are trusted beside others, and that nothing here depends on.

        A CA that was replaced stays in the bundle until the last certificate that it signed is gone; so does what the
        old CA signed for the new one (`k3s certificate rotate-ca`). The bundle of a whole distribution contains roots
        that expired long ago. All are harmless.
        """
        unused: set[str] = set()
        for members in self.certs_by_file.values():
            in_use = any(use.option or use.role for cert in members for use in cert.uses)
            others = [cert for cert in members if cert.is_authority and cert.certificate.not_after > self.now]
            if not in_use or len(members) < 2:
                continue
            for cert in members:
                alone = all(other.certificate.sha256 == cert.certificate.sha256 for other in others)
                is_spare = cert.is_root and not alone and not _has_key(cert) and not self.has_signed(cert.certificate)
                if is_spare or any(_supersedes(other.certificate, cert.certificate) for other in others):
                    unused.add(cert.certificate.sha256)
        return frozenset(unused)

    @cached_property
    def signatures(self) -> Signatures:
        """Signatures between certificates, as openssl verifies them."""
        return Signatures(self.openssl, [(use.certificate, use.issuers, use.chain) for use in self.scan.uses])

    @cached_property
    def owners(self) -> ownership.Owners:
        """The CAs of the cluster, etcd and the front proxy: the certificates that a CA signed show which it is."""
        return ownership.owners(self)

    def issuer_of(self, cert: CertificateInstance) -> CertificateInstance | None:
        """Return the CA that should have signed *cert*, preferably from a file with its key; None if no CA is known."""
        for use in cert.uses:
            candidates = [copy for issuer in use.issuers for copy in self.copies.get(issuer.sha256, ())]
            if candidates:
                # The one whose key is here is the one that can sign.
                return min(
                    candidates,
                    key=lambda copy: (
                        self.signatures.verdict(cert.certificate, (copy.certificate,)) is not None,
                        not copy.has_file,
                        not _has_key(copy),
                        copy.path != cert.use.issuer_path,
                        copy.use.position,
                    ),
                )
        return None

    def option(self, component: str, name: str, near: CertificateInstance | Path) -> str | None:
        """Return the value of an option of the component in the cluster of *near*; None if it is not set or empty.

        If several clusters were found, the configuration that names the certificate decides, then the one in the same
        cluster folder; None if there is neither and the values differ.
        """
        path, uses = (near.path, near.uses) if isinstance(near, CertificateInstance) else (near, ())
        known = [other for other in self.scan.configurations if other.component == component]
        known = [other for other in known if other.options.get(name)]
        likeliest = [other for other in known if any(use.configuration is other for use in uses)]
        likeliest = likeliest or [other for other in known if cluster_root_of(other.source) == cluster_root_of(path)]
        if not likeliest and len({other.options[name] for other in known}) == 1:
            likeliest = known
        return likeliest[0].options[name] if likeliest else None

    @cached_property
    def api_servers(self) -> tuple[CertificateInstance, ...]:
        """The certificates that API servers present; one that does not start, for lack of their keys, presents none."""
        return tuple(
            cert
            for cert in self.found
            if any(use.role is Role.APISERVER and use.key_fits is not False for use in cert.uses)
        )


def _supersedes(new: X509, old: X509) -> bool:
    """Return True if *new* is a CA certificate with the name and key of *old*, and a root, or valid for longer."""
    same = (new.subject, new.public_key) == (old.subject, old.public_key)
    return same and (new.self_signed, new.not_after) > (old.self_signed, old.not_after)


def _has_key(cert: CertificateInstance) -> bool:
    return any(use.key for use in cert.uses)


def _distance_from_source(ca: CertificateInstance) -> tuple[bool, bool, int]:
    return not ca.has_file, not _has_key(ca), ca.use.position


Key = TypeVar("Key")


def _grouped(
    certs: Iterable[CertificateInstance], key: Callable[[CertificateInstance], Key]
) -> dict[Key, tuple[CertificateInstance, ...]]:
    groups: dict[Key, list[CertificateInstance]] = defaultdict(list)
    for cert in certs:
        groups[key(cert)].append(cert)
    return {value: tuple(group) for value, group in groups.items()}


class Severity(enum.Enum):
    """An error breaks something now or at the next handshake; a warning will break something later, or is a risk."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Violation:
    """A fault that a rule found: the file that a person would open to fix it, and why.

    ``message`` is a sentence or two, ``evidence`` the fact that proves it, ``fix`` commands for bash that clear it
    (empty if none can be known: the certificate of a live server, say). ``authority`` is True if the fault is a CA's,
    or a file's that holds what belongs in another, and has to be fixed first. ``alone`` is True if the file does not
    hold what it should: other findings are about something that is there by mistake.
    """

    path: Path
    message: str
    evidence: str
    fix: str
    authority: bool = False
    alone: bool = False


Check = Callable[[RuleContext], Iterator[Violation]]


@dataclass(frozen=True)
class Rule:
    """One rule; a finding is dropped if a rule in ``suppressed_by`` has a finding on the same file.

    ``renewed`` is True if its findings end with a new certificate that says the same as the old one. ``updated`` is
    True if they end with the certificate that kcert planned. ``cluster_renews`` is True if they end when the cluster's
    own tool renews the certificate, with a new key and its own CA. ``restarts`` is False if the fix changes nothing
    that a component has read.
    """

    name: str
    check: Check
    suppressed_by: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    renewed: bool = False
    updated: bool = False
    cluster_renews: bool = False
    restarts: bool = True


error = Rule
"""A rule whose findings are errors."""

warning = partial(Rule, severity=Severity.WARNING)
"""A rule whose findings are warnings."""
