"""Certificates made with `cryptography`, sound and hostile ones, which openssl's commands would not make."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime.now(timezone.utc).replace(microsecond=0)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key_in(serialization.PrivateFormat.PKCS8)

    def key_in(self, form: serialization.PrivateFormat, passphrase: bytes | None = None) -> bytes:
        lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            lock = serialization.BestAvailableEncryption(passphrase)
        return self.key.private_bytes(serialization.Encoding.PEM, form, lock)

    def put(self, certificate: Path, key: Path | None = None) -> Pair:
        """Write both; the key beside the certificate unless another place is given."""
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_bytes(self.pem)
        place = key or certificate.with_suffix(".key")
        place.write_bytes(self.key_pem)
        place.chmod(0o600)
        return self


def name(common_name: str | None = None, *organizations: str, units: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name is not None else []
    parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, one) for one in units]
    return x509.Name(parts)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: x509.Name,
    issuer: Pair | None = None,
    *,
    key: Key | None = None,
    ca: bool | None = False,
    uses: Sequence[x509.ObjectIdentifier] | None = (),
    names: Sequence[str | x509.GeneralName] = (),
    days: float = 365,
    before: datetime = NOW - timedelta(hours=1),
    serial: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Pair:
    """A certificate, signed by *issuer* or by itself; names are ``DNS`` or ``IP``, whatever they look like."""
    key = key or new_key()
    signer = issuer.key if issuer else key
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial if serial is not None else x509.random_serial_number())
        .not_valid_before(before)
        .not_valid_after(NOW + timedelta(days=days))
    )
    if ca is not None:
        made = made.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if uses:
        made = made.add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([_alt_name(one) for one in names]), critical=False)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if issuer is not None:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        made = made.add_extension(authority, critical=False)
    for extension, critical in extensions:
        made = made.add_extension(extension, critical=critical)
    return Pair(made.sign(signer, hashes.SHA256()), key)


def authority(common_name: str = "Kubernetes-CA") -> Pair:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return certificate(name(common_name), ca=True, days=3650, extensions=[(usage, True)])


def _alt_name(text: str | x509.GeneralName) -> x509.GeneralName:
    if isinstance(text, x509.GeneralName):
        return text
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
