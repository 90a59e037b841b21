"""The fields of certificates, requests and public keys: plain records, filled in by ``kcert.openssl.reader``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from kcert.certificates import AltName


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason for which Go, and so every Kubernetes component, refuses a certificate or a request.

    ``stage`` says what fails: "parse" (Go cannot read the certificate, and rejects the whole file that holds it);
    "verify" (no program that uses Go trusts it); or "key" (it can be read and trusted, but not used in TLS or to sign).
    ``error`` is Go's own text, as logs have it; ``reason`` is a clause that says what is wrong: ``its serial number is
    negative (-0x4d)``.
    """

    stage: Literal["parse", "verify", "key"]
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name: short type names (CN, O, OU …) and their values, in the certificate's own order.

    A value that is not text to Go, and so counts for nothing in Kubernetes, is written as in RFC 4514: its type in
    dots, its DER as ``#hex``. ``der`` are the bytes: Go takes two names for the same only where these are equal.
    """

    parts: tuple[tuple[str, str], ...] = ()
    der: bytes = field(default=b"", compare=False, repr=False)

    def values(self, kind: str) -> tuple[str, ...]:
        """All values of one type, in order."""
        return tuple(value for type_, value in self.parts if type_ == kind)

    @property
    def common_name(self) -> str | None:
        """The CN, which Kubernetes takes for the user's name; the last one where there are several, as Go does."""
        names = self.values("CN")
        return names[-1] if names else None

    @property
    def organizations(self) -> tuple[str, ...]:
        """Every O: the groups of a user of Kubernetes."""
        return self.values("O")

    @property
    def uids(self) -> tuple[str, ...]:
        """The user's UID, which Kubernetes reads there from 1.33 on (k8s.io/apimachinery/pkg/apis/asn1, X509UID)."""
        return self.values("1.3.6.1.4.1.57683.2")

    def __str__(self) -> str:
        return listed(f"{kind}={value}" for kind, value in self.parts)


def listed(values: Iterable[str]) -> str:
    """*values* in one line, with a comma inside a value escaped: ``a\\, O=b`` cannot be taken for two of them."""
    return ", ".join(value.replace("\\", "\\\\").replace(",", "\\,") for value in values)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: ``algorithm`` is ``rsa``, ``ec``, ``ed25519`` …, ``bits`` its size, ``curve`` as openssl names it.

    ``material`` is what makes the key this key: the RSA modulus without leading zeros, or the point of an
    elliptic curve, as lower-case hex. Two keys belong together if it is equal. ``exponent`` is that of an RSA key.
    """

    algorithm: str
    bits: int
    curve: str | None
    material: str
    exponent: int = 0

    def __str__(self) -> str:
        known = {"rsa": "RSA", "rsa-pss": "RSASSA-PSS", "ec": "ECDSA", "ed25519": "Ed25519", "ed448": "Ed448"}
        kind = known.get(self.algorithm, self.algorithm)
        return kind if self.algorithm.startswith("ed") else f"{kind} {self.curve or self.bits or ''}".rstrip()


@dataclass(frozen=True, slots=True)
class X509:
    """The fields of a certificate.

    ``ca`` is None if there are no basic constraints, ``key_usage`` and ``extended_key_usage`` are None
    where the extension is missing (then any use is allowed). Usages have openssl's configuration names
    (``digitalSignature``, ``serverAuth``), or a dotted OID if there is none. Alternative names are in the
    certificate's order, addresses in canonical form. ``serial``, ``sha256`` and the key identifiers are
    lower-case hex without colons; ``sha256`` is the hash of the DER. ``version`` counts from 1. ``critical`` are the
    OIDs of the critical extensions. ``malformed`` is what Go refuses to parse; ``refusals`` says what else it
    refuses.
    """

    version: int
    serial: str
    signature_algorithm: str
    issuer: Name
    subject: Name
    not_before: datetime
    not_after: datetime
    public_key: PublicKey
    sha256: str
    pem: str
    ca: bool | None = None
    path_length: int | None = None
    key_usage: tuple[str, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    alt_names: tuple[AltName, ...] = ()
    subject_key_id: str | None = None
    authority_key_id: str | None = None
    critical: tuple[str, ...] = ()
    malformed: tuple[Refusal, ...] = ()

    @property
    def key_usage_critical(self) -> bool:
        """True if the key usage is there and critical."""
        return "2.5.29.15" in self.critical

    @property
    def self_signed(self) -> bool:
        """True if it names itself as its issuer; whether it signed itself, openssl verify says.

        The name alone does not: in many guides etcd's CA and etcd's certificate have the same one.
        """
        keys = {self.subject_key_id, self.authority_key_id}
        return self.subject == self.issuer and (None in keys or len(keys) == 1)

    def outlives(self, issuer: X509) -> timedelta:
        """By how much it is good for longer than *issuer*; none if that is no more than a day.

        mmumshad's pages give the CA and its leaves the same days: the leaves end minutes after it.
        """
        late = self.not_after - issuer.not_after
        return late if late > timedelta(days=1) else timedelta(0)

    def allows(self, usage: str) -> bool:
        """Return True if the extended key usage allows *usage*, as ``serverAuth``; none at all means any use."""
        usages = self.extended_key_usage
        return usages is None or usage in usages or "anyExtendedKeyUsage" in usages


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of a certificate signing request, as in X509.

    The extensions are those of all its extensionRequest attributes, as Go reads them; ``extension_requests`` is how
    many there are (openssl reads only one).
    """

    subject: Name
    public_key: PublicKey
    signature_algorithm: str
    pem: str
    alt_names: tuple[AltName, ...] = ()
    key_usage: tuple[str, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    ca: bool | None = None
    malformed: tuple[Refusal, ...] = ()
    extension_requests: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A block that cannot be read; ``reason`` is a clause that can follow a file's name, ``error`` is Go's own text."""

    reason: str
    pem: str = ""
    error: str = ""


SHORTEST_RSA, LONGEST_RSA = 1024, 8192
"""Bits: crypto/rsa refuses shorter keys, crypto/tls longer ones in a certificate."""

SECURE_RSA, SECURE_CURVE = 2048, 224
"""Bits that NIST SP 800-57 part 1 counts as 112 bits of security, the least that it allows; Go has no smaller curve."""

_VERIFIED = frozenset(
    {
        "sha256WithRSAEncryption", "sha384WithRSAEncryption", "sha512WithRSAEncryption", "rsassaPss", "ED25519",
        "ecdsa-with-SHA256", "ecdsa-with-SHA384", "ecdsa-with-SHA512",
    }
)  # fmt: skip
_INSECURE = {"md5WithRSAEncryption": "MD5-RSA", "sha1WithRSAEncryption": "SHA1-RSA", "ecdsa-with-SHA1": "ECDSA-SHA1"}


def refusals(record: X509 | Request | Unreadable) -> tuple[Refusal, ...]:
    """Return why Go refuses a certificate or a request, what Go stops at first; empty if it does not.

    >>> for refusal in refusals(cert):
    ...     print(f"{path} is refused because {refusal.reason} ({refusal.error})")

    ``refusal.stage`` says what fails: "parse" is a certificate that costs every file it is in (a CA bundle with one
    such certificate is refused whole); "verify" is one that no program with Go trusts; "key" is one whose key
    crypto/tls and crypto/x509 cannot use, whether it is a server's, a client's or a CA's. Dates, usages, names and
    who signed it are not looked at.
    """
    if isinstance(record, Unreadable):
        return (Refusal("parse", record.error or record.reason, f"it {record.reason}"),)
    return (*record.malformed, *key_refusals(record.public_key), *_signature(record))


def _signature(record: X509 | Request) -> Iterator[Refusal]:
    """Look at the algorithm: that of a root does not matter, and a request may be signed with SHA-1."""
    name = record.signature_algorithm
    is_root = isinstance(record, X509) and record.self_signed
    is_sha1_request = not isinstance(record, X509) and name in ("sha1WithRSAEncryption", "ecdsa-with-SHA1")
    if name in _VERIFIED or is_root or is_sha1_request:
        return
    kind = f"insecure algorithm {_INSECURE[name]}" if name in _INSECURE else "algorithm unimplemented"
    because = "which is insecure" if name in _INSECURE else "which Go does not know"
    yield Refusal("verify", f"x509: cannot verify signature: {kind}", f"it is signed with {name}, {because}")


def weakness(key: PublicKey) -> str | None:
    """Return which key it is, if it is so short that an attacker may be able to compute the private key."""
    if key.algorithm.startswith("rsa") and 0 < key.bits < SECURE_RSA:
        return f"RSA {key.bits} bits"
    if key.algorithm == "ec" and 0 < key.bits < SECURE_CURVE:
        return f"{key.curve or 'a curve'}, {key.bits} bits"
    return f"DSA {key.bits} bits" if key.algorithm == "dsa" else None


def key_refusals(key: PublicKey) -> tuple[Refusal, ...]:
    """Return why Go cannot use a key that it can parse: for TLS, for signing, or as a service account's."""
    if key.algorithm not in ("rsa", "ec", "ed25519"):
        return (
            Refusal("key", "tls: unknown public key algorithm", f"its key is {key}, and Go has RSA, ECDSA and Ed25519"),
        )
    if key.algorithm != "rsa" or not key.bits:
        return ()
    if key.bits < SHORTEST_RSA:
        error = f"crypto/rsa: {key.bits}-bit keys are insecure"
        return (Refusal("key", error, f"its RSA key has {key.bits} bits, and Go demands {SHORTEST_RSA}"),)
    if key.bits > LONGEST_RSA:
        error = f"tls: server sent certificate containing RSA key larger than {LONGEST_RSA} bits"
        return (Refusal("key", error, f"its RSA key has {key.bits} bits, and Go takes {LONGEST_RSA} at most"),)
    if key.exponent % 2 == 0 or key.exponent < 3:
        return (Refusal("key", "crypto/rsa: invalid exponent", f"its RSA exponent is {key.exponent}"),)
    return ()
