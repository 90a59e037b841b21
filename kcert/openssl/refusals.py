"""What Go refuses, and so every Kubernetes component: certificates, requests, keys, and chains that a CA constrains."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from kcert.openssl.x509 import X509, Refusal, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import AltName
    from kcert.openssl.x509 import PublicKey, Request

SHORTEST_RSA, LONGEST_RSA = 1024, 8192
"""Bits: crypto/rsa refuses shorter keys, crypto/tls longer ones in a certificate."""

_VERIFIED = frozenset(
    {
        "sha256WithRSAEncryption", "sha384WithRSAEncryption", "sha512WithRSAEncryption", "rsassaPss", "ED25519",
        "ecdsa-with-SHA256", "ecdsa-with-SHA384", "ecdsa-with-SHA512",
    }
)  # fmt: skip
_INSECURE = {"md5WithRSAEncryption": "MD5-RSA", "sha1WithRSAEncryption": "SHA1-RSA", "ecdsa-with-SHA1": "ECDSA-SHA1"}


def refusals(record: X509 | Request | Unreadable) -> tuple[Refusal, ...]:
    """Return why Go refuses a certificate or a request, what Go stops at first; empty where it does not.

    >>> for refusal in refusals(cert):
    ...     print(f"{path} is refused because {refusal.reason} ({refusal.error})")

    ``refusal.stage`` tells what fails: "parse" is a certificate that costs every file it is in (a CA bundle with one
    such certificate is refused whole); "verify" is one that no program with Go trusts; "key" is one whose key
    crypto/tls and crypto/x509 cannot use, whether it is a server's, a client's or a CA's. Dates, usages and names
    are not looked at, nor who signed it: see ``violation`` for what a CA's name constraints forbid.
    """
    if isinstance(record, Unreadable):
        return (Refusal("parse", record.error or record.reason, f"it {record.reason}"),)
    return (*record.malformed, *key_refusals(record.public_key), *_signature(record))


def _signature(record: X509 | Request) -> Iterator[Refusal]:
    """Look at the algorithm: that of a root does not matter, and a request may be signed with SHA-1."""
    name = record.signature_algorithm
    is_root = isinstance(record, X509) and record.self_issued
    is_sha1_request = not isinstance(record, X509) and name in ("sha1WithRSAEncryption", "ecdsa-with-SHA1")
    if name in _VERIFIED or is_root or is_sha1_request:
        return
    kind = f"insecure algorithm {_INSECURE[name]}" if name in _INSECURE else "algorithm unimplemented"
    because = "which is insecure" if name in _INSECURE else "which Go does not know"
    yield Refusal("verify", f"x509: cannot verify signature: {kind}", f"it is signed with {name}, {because}")


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


def violation(ca: X509, cert: X509) -> str | None:
    """Return why the name constraints of *ca* forbid a SAN of *cert*: a clause, or None.

    Go applies the constraints of every certificate in a chain but the leaf's own to the SANs of the leaf (and not to
    its CN).
    """
    limits = ca.name_constraints
    if limits is None:
        return None
    for name in cert.alt_names:
        alike = [one for one in limits.permitted if one.type == name.type]
        if excluded := next((one for one in limits.excluded if one.type == name.type and _excludes(one, name)), None):
            return f"the CA excludes {excluded}, and {name} is within it"
        if alike and not any(_covers(one, name) for one in alike):
            return f"the CA permits only {', '.join(map(str, alike))}, and {name} is not within it"
    return None


def _excludes(constraint: AltName, name: AltName) -> bool:
    """True where a SAN is within *constraint*; a wildcard is already where one of the names it stands for is."""
    if name.type == "DNS" and name.value.startswith("*."):
        parent = constraint.value.lower().removeprefix(".").partition(".")[2]
        if parent and name.value[2:].lower() == parent:
            return True
    return _covers(constraint, name)


def _covers(constraint: AltName, name: AltName) -> bool:
    limit, value = constraint.value.lower(), name.value.lower()
    match name.type:
        case "IP":
            network, address = ipaddress.ip_network(limit), ipaddress.ip_address(value)
            return address.version == network.version and address in network
        case "email" if "@" in limit:
            return limit == value
        case "email":
            value = value.rpartition("@")[2]
        case "URI":
            value = value.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    # Go lets a constraint without a dot before it cover subdomains in e-mail addresses and URIs too.
    inside = value.endswith(f".{limit.removeprefix('.')}")
    return not limit or inside or value == limit
