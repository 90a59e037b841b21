"""How a certificate puts into bytes what its text says: as much of X.690 and RFC 5280 as checking openssl's text needs.

Nothing here reads a certificate: openssl does that. These are the encodings with which ``kcert.openssl.proof`` compares
what openssl says, and with which ``kcert.openssl.parts`` names the parts that openssl finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.openssl.pem import announced_length

if TYPE_CHECKING:
    from kcert.certificates import AltName

NAME_TYPES = {
    "CN": "550403", "SN": "550404", "serialNumber": "550405", "C": "550406", "L": "550407", "ST": "550408",
    "street": "550409", "O": "55040a", "OU": "55040b", "title": "55040c", "GN": "55042a",
    "emailAddress": "2a864886f70d010901", "DC": "0992268993f22c640119", "UID": "0992268993f22c640101",
}  # fmt: skip
USAGES = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip
PURPOSES = {
    "serverAuth": ("TLS Web Server Authentication", "2b06010505070301"),
    "clientAuth": ("TLS Web Client Authentication", "2b06010505070302"),
    "codeSigning": ("Code Signing", "2b06010505070303"),
    "emailProtection": ("E-mail Protection", "2b06010505070304"),
    "timeStamping": ("Time Stamping", "2b06010505070308"),
    "OCSPSigning": ("OCSP Signing", "2b06010505070309"),
    "anyExtendedKeyUsage": ("Any Extended Key Usage", "551d2500"),
}
PURPOSE_OIDS = {bytes.fromhex(oid): name for name, (_, oid) in PURPOSES.items()}

EXTENSIONS = {
    "Subject Key Identifier": b"\x06\x03\x55\x1d\x0e",
    "Key Usage": b"\x06\x03\x55\x1d\x0f",
    "Subject Alternative Name": b"\x06\x03\x55\x1d\x11",
    "Basic Constraints": b"\x06\x03\x55\x1d\x13",
    "Authority Key Identifier": b"\x06\x03\x55\x1d\x23",
    "Extended Key Usage": b"\x06\x03\x55\x1d\x25",
}
CRITICAL_FIELDS = {"Basic Constraints": "basic_constraints_critical", "Key Usage": "key_usage_critical"}
ALT_NAME_TAGS = {"email": 0x81, "DNS": 0x82, "URI": 0x86, "IP Address": 0x87}


class MismatchError(Exception):
    """The text and the bytes do not agree, or not provably."""


@dataclass(frozen=True)
class Extensions:
    """What the extensions say; the defaults are those of a certificate without any."""

    ca: bool | None = None
    path_length: int | None = None
    basic_constraints_critical: bool = False
    key_usage: tuple[str, ...] | None = None
    key_usage_critical: bool = False
    extended_key_usage: tuple[str, ...] | None = None
    alt_names: tuple[AltName, ...] = ()
    subject_key_id: str | None = None
    authority_key_id: str | None = None


def element(tag: int, content: bytes) -> bytes:
    """One DER element (X.690, 8.1): tag, length, content."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def inside(der: bytes, at: int) -> int:
    """Where the content of the element at *at* begins."""
    if at + 2 > len(der):
        raise MismatchError
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)


def after(der: bytes, at: int) -> int:
    """Where the element at *at* ends."""
    length = announced_length(der[at : at + 6])
    if length is None or at + length > len(der):
        raise MismatchError
    return at + length


def dotted(oid: bytes) -> str:
    """An object identifier in dots (X.690, 8.19)."""
    numbers, value = [], 0
    for byte in oid:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))
