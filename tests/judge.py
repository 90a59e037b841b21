"""An independent check of certificates: the package ``cryptography``, which kcert itself does not use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

_SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
}
_PURPOSES = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}


@dataclass(frozen=True)
class Seen:
    """What a certificate says. Extensions are told with ``critical`` in front where they are."""

    subject: tuple[str, ...]
    issuer: tuple[str, ...]
    names: tuple[str, ...]
    basic: str
    usages: frozenset[str]
    purposes: tuple[str, ...]
    extensions: frozenset[str]
    subject_key_id: str
    authority_key_id: str | None
    days: float
    serial: int
    hash: str
    key: str
    version: int


def load(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def judged(certificate: x509.Certificate) -> Seen:
    """Return what *certificate* says."""
    critical = {extension.oid: extension.critical for extension in certificate.extensions}
    digest = certificate.signature_hash_algorithm
    return Seen(
        subject=_parts(certificate.subject),
        issuer=_parts(certificate.issuer),
        names=_names(certificate),
        basic=_basic(certificate),
        usages=_usages(certificate),
        purposes=_purposes(certificate),
        extensions=frozenset(
            f"{'critical ' if is_critical else ''}{_called(oid)}" for oid, is_critical in critical.items()
        ),
        subject_key_id=_subject_key_id(certificate),
        authority_key_id=_authority_key_id(certificate),
        # openssl looks at the clock for each of the two, and a second may begin in between.
        days=round((certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() / 86400, 3),
        serial=certificate.serial_number,
        hash=digest.name if digest else "none",
        key=described(certificate.public_key()),
        version=certificate.version.value + 1,
    )


def described(key: object) -> str:
    """A public or private key in two words: ``RSA 2048``, ``secp256r1``."""
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return f"RSA {key.key_size}"
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return key.curve.name
    return type(key).__name__


def matches(key_pem: bytes, certificate: x509.Certificate) -> bool:
    """Return whether the private key *key_pem* is the one of *certificate*."""
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = serialization.load_pem_private_key(key_pem, password=None)
    return private.public_key().public_bytes(*spki) == certificate.public_key().public_bytes(*spki)


def _parts(name: x509.Name) -> tuple[str, ...]:
    return tuple(f"{_SHORT.get(part.oid, part.oid.dotted_string)}={part.value!s}" for part in name)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        f"DNS:{name.value}"
        if isinstance(name, x509.DNSName)
        else f"IP:{name.value}"
        if isinstance(name, x509.IPAddress)
        else repr(name)
        for name in found
    )


def _basic(certificate: x509.Certificate) -> str:
    found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    length = "" if found.path_length is None else f", pathlen:{found.path_length}"
    return f"CA:{str(found.ca).upper()}{length}"


def _usages(certificate: x509.Certificate) -> frozenset[str]:
    found = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    return frozenset(said for attribute, said in _USAGES.items() if getattr(found, attribute))


def _purposes(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_PURPOSES.get(oid, oid.dotted_string) for oid in found)


def _subject_key_id(certificate: x509.Certificate) -> str:
    """Return the subject key identifier; empty if there is none, as in certificates of the Certificates API."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return ""


def _authority_key_id(certificate: x509.Certificate) -> str | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    return found.key_identifier.hex() if found.key_identifier else None


def _called(oid: x509.ObjectIdentifier) -> str:
    return {
        ExtensionOID.BASIC_CONSTRAINTS: "basicConstraints",
        ExtensionOID.KEY_USAGE: "keyUsage",
        ExtensionOID.EXTENDED_KEY_USAGE: "extendedKeyUsage",
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: "subjectAltName",
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    }.get(oid, oid.dotted_string)
