"""Certificates, certificate requests and public keys, read from their PEM or DER in this process.

Only the fields are read here: signatures are made and verified by openssl alone, and the text that ``kcert show``
prints is openssl's. The reading follows Go's crypto/x509, because Kubernetes sees a certificate as Go does: what Go
ignores is ignored here, and what Go refuses is either unreadable or, where the fields still make sense, ``malformed``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from kcert.openssl import der
from kcert.openssl.der import DerError, Reader
from kcert.openssl.extensions import SUBJECT_ALT_NAME, Extension, read_extensions
from kcert.openssl.pem import Block, armoured, pem_blocks
from kcert.openssl.x509 import X509, Name, PublicKey, Refusal, Request, Unreadable

_NAME_TYPES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN",
    "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip
"""Object identifiers of the parts of a name, with openssl's short names."""

_SIGNATURES = {
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption", "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss", "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.113549.1.1.14": "sha224WithRSAEncryption", "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224", "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448", "1.2.840.10040.4.3": "dsaWithSHA1", "2.16.840.1.101.3.4.3.2": "dsa_with_SHA256",
}  # fmt: skip
"""Signature algorithms, as ``openssl x509 -text`` calls them."""

_CURVES = {
    "1.2.840.10045.3.1.1": ("P-192", 192), "1.3.132.0.33": ("P-224", 224), "1.2.840.10045.3.1.7": ("P-256", 256),
    "1.3.132.0.34": ("P-384", 384), "1.3.132.0.35": ("P-521", 521), "1.3.132.0.10": ("secp256k1", 256),
    "1.3.132.0.32": ("secp224k1", 224), "1.3.132.0.31": ("secp192k1", 192), "1.3.132.0.9": ("secp160k1", 160),
    "1.3.132.0.6": ("secp112r1", 112), "1.3.132.0.28": ("secp128r1", 128), "1.3.132.0.8": ("secp160r1", 160),
    "1.3.36.3.3.2.8.1.1.3": ("brainpoolP192r1", 192), "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256),
    "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384), "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
    "1.2.156.10197.1.301": ("SM2", 256),
}  # fmt: skip
"""Named curves: openssl's name (NIST's if there is one) and the size in bits."""

_OTHER_KEYS = {
    "1.3.101.110": ("x25519", 253), "1.3.101.111": ("x448", 448),
    "1.3.101.112": ("ed25519", 253), "1.3.101.113": ("ed448", 456),
}  # fmt: skip
RSA, RSA_PSS, EC, _DSA = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1", "1.2.840.10040.4.1"

_P521_B = (
    "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109"
    "e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00"
)
_PRIME_CURVES = {
    "P-224": (2**224 - 2**96 + 1, "b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4"),
    "P-256": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    ),
    "P-384": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    ),
    "P-521": (2**521 - 1, _P521_B),
}
"""The curves that Go has, y^2 = x^3 - 3x + b (SP 800-186, 3.2.1): the prime, and b in hex."""

_Record = TypeVar("_Record", X509, Request)
_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"


def certificate_pems(content: bytes) -> list[str]:
    """Return the certificate blocks of a PEM file, each by itself; a damaged one is an empty block."""
    return [armoured(b"") if block.fault else block.pem for block in pem_blocks(content) if block.is_certificate]


def readable_certificates(content: bytes) -> list[X509]:
    """Return the certificates of a PEM file that can be read."""
    return [record for record in map(read_certificate, certificate_pems(content)) if isinstance(record, X509)]


def read_certificate(pem: str) -> X509 | Unreadable:
    """Read the first certificate of *pem*."""
    return _read(pem, "certificate", lambda block: block.is_certificate, _certificate)


def first_certificate(content: bytes) -> X509 | None:
    """Return the first certificate of a PEM file, which programs present; None if it cannot be read."""
    block = next((block for block in pem_blocks(content) if block.is_certificate), None)
    record = read_certificate(block.pem) if block and not block.fault else None
    return record if isinstance(record, X509) else None


def read_request(pem: str) -> Request | Unreadable:
    """Read the first certificate signing request of *pem*."""
    return _read(pem, "certificate request", lambda block: block.is_request, _request)


def read_public_key(content: bytes) -> PublicKey | None:
    """Read a public key, a SubjectPublicKeyInfo in DER; None if it is not one."""
    try:
        return _public_key(Reader(content).read(der.SEQUENCE, "malformed spki"))[0]
    except DerError:
        return None


def _read(
    pem: str, what: str, fits: Callable[[Block], bool], read: Callable[[bytes, str], _Record]
) -> _Record | Unreadable:
    block = next((block for block in pem_blocks(pem.encode("utf-8", "replace")) if fits(block)), None)
    if block is None:
        return Unreadable(f"holds no {what}", pem)
    if block.fault:
        return Unreadable(block.fault, pem)
    # A PEM that is as openssl writes it is kept as it is: no second copy in memory.
    text = pem if block.pem == pem else block.pem
    try:
        return read(block.der, text)
    except DerError as error:
        return Unreadable(f"holds a malformed {what} ({error})", text, f"x509: {error}")


def _certificate(content: bytes, pem: str) -> X509:
    """RFC 5280, 4.1. Bytes behind what is known are passed over, as Go does."""
    outer = Reader(content).sequence("malformed certificate")
    tbs = outer.sequence("malformed tbs certificate")
    malformed: list[Refusal] = []
    if (version := _version(tbs)) > 3:
        malformed.append(_refusal("invalid version", f"its version is {version}, and 3 is the last one"))
    number = tbs.integer("malformed serial number")
    if number < 0:
        reason = f"its serial number is negative (-0x{_hex(-number)}), which Kubernetes 1.32 and newer (Go 1.23) reject"
        malformed.append(_refusal("negative serial number", reason))
    algorithm = tbs.read(der.SEQUENCE, "malformed signature algorithm identifier")
    if outer.read(der.SEQUENCE, "malformed algorithm identifier") != algorithm:
        error = "inner and outer signature algorithm identifiers don't match"
        malformed.append(_refusal(error, "it names two different signature algorithms"))
    signature = algorithm_of(algorithm)[0]
    issuer = _name(tbs.raw(der.SEQUENCE, "malformed issuer"), malformed)
    validity = tbs.sequence("malformed validity")
    not_before, not_after = validity.time(), validity.time()
    subject = _name(tbs.raw(der.SEQUENCE, "malformed issuer"), malformed)
    key, refusal = _public_key(tbs.read(der.SEQUENCE, "malformed spki"))
    malformed += refusal
    extensions = _extensions(tbs, version)
    malformed += [extension.refusal for extension in extensions if extension.refusal]
    outer.bits("malformed signature")
    return X509(
        version=version,
        serial=f"-{_hex(-number)}" if number < 0 else _hex(number),
        signature_algorithm=_SIGNATURES.get(signature, signature),
        issuer=issuer,
        subject=subject,
        not_before=not_before,
        not_after=not_after,
        public_key=key,
        critical=tuple(extension.oid for extension in extensions if extension.critical),
        malformed=tuple(malformed),
        sha256=hashlib.sha256(content).hexdigest(),
        pem=pem,
        **_fields(extensions),
    )


def _fields(extensions: list[Extension], *wanted: str) -> dict[str, Any]:
    """Return the fields that *extensions* set, or only those *wanted*."""
    return {
        name: value
        for extension in extensions
        for name, value in extension.fields.items()
        if not wanted or name in wanted
    }


def _refusal(error: str, reason: str) -> Refusal:
    return Refusal("parse", f"x509: {error}", reason)


def _hex(number: int) -> str:
    """*number* as ``openssl x509 -serial`` gives it, in lower case: whole bytes, so 1 is ``01``."""
    digits = f"{number:x}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def _version(tbs: Reader) -> int:
    explicit = tbs.optional(0xA0, "malformed version")
    if explicit is None:
        return 1
    inside = Reader(explicit)
    version = inside.integer("malformed version")
    if inside.more or not 0 <= version < 1 << 63:
        raise DerError("malformed version")
    return version + 1


def _extensions(tbs: Reader, version: int) -> list[Extension]:
    if version > 1:
        tbs.optional(0x81, "malformed issuerUniqueID")
        tbs.optional(0x82, "malformed subjectUniqueID")
    explicit = tbs.optional(0xA3, "malformed extensions") if version > 2 else None
    if explicit is None:
        return []
    extensions = read_extensions(Reader(explicit).sequence("malformed extensions"))
    if oid := _duplicate(extensions):
        raise DerError(f'certificate contains duplicate extension with OID "{oid}"')
    return extensions


def _duplicate(extensions: list[Extension]) -> str | None:
    """Return the OID of an extension that is there twice (RFC 5280, 4.2, forbids it)."""
    oids = [extension.oid for extension in extensions]
    return next((oid for oid in oids if oids.count(oid) > 1), None) if len(set(oids)) < len(oids) else None


@lru_cache(maxsize=256)
def algorithm_of(content: bytes) -> tuple[str, bytes]:
    """Return the OID and the parameters, their header included, of an AlgorithmIdentifier's content."""
    inside = Reader(content)
    oid = inside.oid("malformed OID")
    if not inside.more:
        return oid, b""
    at = inside.at
    inside.any("malformed parameters")
    return oid, inside.der[at : inside.at]


def _name(raw: bytes, malformed: list[Refusal]) -> Name:
    name, fault = _parsed_name(raw)
    if fault:
        malformed.append(_refusal(f"invalid RDNSequence: invalid attribute value: {fault[0]}", fault[1]))
    return name


@lru_cache(maxsize=1024)
def _parsed_name(raw: bytes) -> tuple[Name, tuple[str, str] | None]:
    """Return a name and, where a value in it is malformed, Go's error and the reason."""
    what = "invalid RDNSequence"
    parts, fault = [], None
    for attributes in Reader(raw).sequence(what).each(der.SET, what):
        for attribute in attributes.each(der.SEQUENCE, f"{what}: invalid attribute"):
            oid = attribute.oid(f"{what}: invalid attribute type")
            at = attribute.at
            tag, content = attribute.any(f"{what}: invalid attribute value: invalid ASN.1 element")
            value, error = der.text(tag, content)
            if value is None:
                parts.append((oid, f"#{attribute.der[at : attribute.at].hex()}"))
                error = der.scalar_fault(attribute.der[at : attribute.at])
            else:
                parts.append((_NAME_TYPES.get(oid, oid), value))
            if error and not fault:
                fault = error, f"the value {parts[-1][1]!a} of {parts[-1][0]} in a name is malformed: {error}"
    return Name(tuple(parts), raw), fault


@lru_cache(maxsize=256)
def _public_key(spki: bytes) -> tuple[PublicKey, list[Refusal]]:
    """Read the content of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7)."""
    inside = Reader(spki)
    oid, parameters = algorithm_of(inside.read(der.SEQUENCE, "malformed public key algorithm identifier"))
    content, unused = inside.bits("malformed subjectPublicKey")
    if unused:
        content = (int.from_bytes(content, "big") >> unused).to_bytes(len(content), "big")
    return key_fields(oid, parameters, content)


def key_fields(oid: str, parameters: bytes, content: bytes) -> tuple[PublicKey, list[Refusal]]:
    """Return the key that an algorithm, its parameters (DER) and the key's bits make, and why Go does not parse it."""
    if oid in (RSA, RSA_PSS):
        return _rsa(content, parameters, pss=oid == RSA_PSS)
    if oid == EC:
        return _ec(content, parameters)
    algorithm, bits = _OTHER_KEYS.get(oid, ("dsa" if oid == _DSA else oid, 0))
    malformed = []
    if algorithm == "ed25519" and parameters:
        error = "Ed25519 key encoded with illegal parameters"
        malformed.append(_refusal(error, "its Ed25519 key has parameters, and may not"))
    elif algorithm == "ed25519" and len(content) != 32:
        malformed.append(_refusal("wrong Ed25519 public key size", f"its Ed25519 key has {len(content)} bytes, not 32"))
    elif algorithm == "dsa":
        malformed += _dsa_faults(content, parameters)
    return PublicKey(algorithm, bits, None, content.hex()), malformed


def _rsa(content: bytes, parameters: bytes, *, pss: bool) -> tuple[PublicKey, list[Refusal]]:
    malformed = []
    if not pss and parameters != b"\x05\x00":
        malformed.append(_refusal("RSA key missing NULL parameters", "its RSA key lacks the parameters NULL"))
    try:
        key = Reader(content).sequence("invalid RSA public key")
        modulus = key.integer("invalid RSA modulus")
        exponent = key.integer("invalid RSA public exponent")
        fault = "invalid RSA public exponent" if exponent >= 1 << 63 else None
        fault = "RSA public exponent is not a positive number" if exponent <= 0 else fault
        fault = "RSA modulus is not a positive number" if modulus <= 0 else fault
    except DerError as error:
        modulus = exponent = 0
        fault = str(error)
    if fault and not pss:
        malformed.append(_refusal(fault, f"its RSA key is malformed: {fault}"))
    material = _hex(modulus) if modulus > 0 else ""
    return PublicKey("rsa-pss" if pss else "rsa", modulus.bit_length(), None, material, exponent), malformed


def _ec(content: bytes, parameters: bytes) -> tuple[PublicKey, list[Refusal]]:
    dotted = der.oid(parameters[2:]) if parameters[:1] == b"\x06" else None
    curve, bits = _CURVES.get(dotted or "", (dotted or "explicit parameters", (len(content) - 1) // 2 * 8))
    refusal = None
    if dotted is None:
        reason = "its key has a curve with explicit parameters, without a name"
        refusal = _refusal("invalid ECDSA parameters", reason)
    elif curve not in _PRIME_CURVES:
        reason = f"its key is on the curve {curve}, and Go has only {', '.join(_PRIME_CURVES)}"
        refusal = _refusal("unsupported elliptic curve", reason)
    elif content[:1] != b"\x04":
        refusal = Refusal("parse", "ecdsa: invalid uncompressed public key", "its ECDSA key is compressed")
    elif not _on_curve(curve, bits, content[1:]):
        reason = f"its key is not a point of the curve {curve}"
        refusal = Refusal("parse", "ecdsa: invalid public key", reason)
    return PublicKey("ec", bits, curve, content.hex()), [refusal] if refusal else []


def _on_curve(curve: str, bits: int, point: bytes) -> bool:
    (prime, b), size = _PRIME_CURVES[curve], (bits + 7) // 8
    x, y = int.from_bytes(point[:size], "big"), int.from_bytes(point[size:], "big")
    return len(point) == 2 * size and max(x, y) < prime and (y * y - x**3 + 3 * x - int(b, 16)) % prime == 0


def _dsa_faults(content: bytes, parameters: bytes) -> list[Refusal]:
    try:
        numbers = [Reader(content).integer("invalid DSA public key")]
        inside = Reader(parameters).sequence("invalid DSA parameters")
        numbers += [inside.integer("invalid DSA parameters") for _ in range(3)]
    except DerError as error:
        return [_refusal(str(error), f"its DSA key is malformed: {error}")]
    return [_refusal("zero or negative DSA parameter", "its DSA key is malformed")] if min(numbers) <= 0 else []


def _request(content: bytes, pem: str) -> Request:
    """RFC 2986, 4.1."""
    outer = Reader(content).sequence("malformed certificate request")
    information = outer.sequence("malformed certificate request")
    malformed: list[Refusal] = []
    information.integer("malformed version", int64=True)
    subject = _name(information.raw(der.SEQUENCE, "invalid RDNSequence"), malformed)
    key, refusal = _public_key(information.read(der.SEQUENCE, "malformed spki"))
    malformed += refusal
    requested = _requested(Reader(information.read(0xA0, "no attributes: [0] is missing")))
    extensions = [extension for extensions in requested for extension in extensions]
    if _duplicate(extensions):
        raise DerError("certificate request contains duplicate requested extensions")
    # Of the extensions that a request asks for, Go reads the SANs alone.
    sans = next((extension.refusal for extension in extensions if extension.oid == SUBJECT_ALT_NAME), None)
    malformed += [sans] if sans and sans.stage == "parse" else []
    signature = algorithm_of(outer.read(der.SEQUENCE, "malformed algorithm identifier"))[0]
    outer.bits("malformed signature")
    return Request(
        subject=subject,
        public_key=key,
        signature_algorithm=_SIGNATURES.get(signature, signature),
        malformed=tuple(malformed),
        extension_requests=len(requested),
        pem=pem,
        **_fields(extensions, "alt_names", "key_usage", "extended_key_usage", "ca"),
    )


def _requested(attributes: Reader) -> list[list[Extension]]:
    """Read the extensions of each extensionRequest: like Go, of its first value, and not of a malformed attribute."""
    requested, what = [], "malformed attribute"
    for tag, content in attributes.all(what):
        attribute = Reader(content)
        try:
            oid, values = attribute.oid(what), attribute.read(der.SET, what)
            list(Reader(values).all(what))
        except DerError:
            continue
        if tag == der.SEQUENCE and oid == _EXTENSION_REQUEST and values:
            requested.append(read_extensions(Reader(values).sequence("malformed extensions")))
    return requested
