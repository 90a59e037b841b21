"""Whether a certificate's bytes say what its text says.

openssl's ``-text`` is made for people, and a certificate can be made so that its text says more than the
certificate does. So what the text claims is encoded here as the certificate would have to say it, and
compared with the certificate's own bytes. What does not agree to the byte raises DoubtError.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from kcert.certificates import AltName
from kcert.openssl.asn1 import (
    ALT_NAME_TAGS,
    CRITICAL_FIELDS,
    EXTENSIONS,
    NAME_TYPES,
    PURPOSES,
    USAGES,
    Extensions,
    MismatchError,
    after,
    element,
    inside,
)
from kcert.openssl.text import serial
from kcert.openssl.x509 import Name

_PLAIN_STRINGS = frozenset(b"\x0c\x13\x16")  # UTF8String, PrintableString, IA5String
_ESCAPED = re.compile(rb"\\x([0-9A-F]{2})")  # how openssl prints whatever is not plain ASCII
_PART = re.compile(r"(?:^|, |/)([A-Za-z]+) ?= ?")

_USAGE_TEXT = {
    "Digital Signature": 0, "Non Repudiation": 1, "Key Encipherment": 2, "Data Encipherment": 3,
    "Key Agreement": 4, "Certificate Sign": 5, "CRL Sign": 6, "Encipher Only": 7, "Decipher Only": 8,
}  # fmt: skip
_PURPOSE_TEXT = {text: name for name, (text, _) in PURPOSES.items()}

_EXTENSION = re.compile(
    r"^ {12}X509v3 (" + "|".join(EXTENSIONS) + r"):( critical)? *\n((?: {16}[^\n]*\n)*)", re.MULTILINE
)


_EXTENSION_OIDS = {oid: name for name, oid in EXTENSIONS.items()}


def prove_head(head: re.Match[str], der: bytes) -> int:
    """Walk from the first byte to the end of the subject, which is where the answer points.

    Each part has to be there, and the serial number and the names have to be what the text says.
    """
    at = inside(der, inside(der, 0))
    if der[at : at + 1] == b"\xa0":
        at = after(der, at)
    number = serial(head)
    if number.startswith("-") or der[at : at + 1] != b"\x02":
        raise MismatchError
    if der[inside(der, at) : after(der, at)].lstrip(b"\0") != bytes.fromhex(number).lstrip(b"\0"):
        raise MismatchError
    at = after(der, after(der, at))  # the serial number, then the signature algorithm
    at = _prove_name(head["issuer"], der, at)
    at = after(der, at)  # validity
    return _prove_name(head["subject"], der, at)


def _prove_name(text: str, der: bytes, at: int) -> int:
    """Where the name at *at* ends, having compared it with what *text* says."""
    _, encoded, tags = guess_name(text)
    found = der[at : at + len(encoded)]
    if found != encoded:
        # The text does not say which of the string types a value has: any of those that mean plain characters will do.
        expected = bytearray(encoded)
        if len(found) != len(encoded):
            raise MismatchError
        for tag in tags:
            if found[tag] in _PLAIN_STRINGS:
                expected[tag] = found[tag]
        if found != expected:
            raise MismatchError
    return at + len(encoded)


@lru_cache(maxsize=4096)
def guess_name(text: str) -> tuple[Name, bytes, tuple[int, ...]]:
    """A name as its text suggests it, its encoding with UTF8Strings, and where in that the string types stand."""
    text = text.strip()
    starts = list(_PART.finditer(text))
    if text and (not starts or starts[0].start() != 0):
        raise MismatchError
    parts, encoded, tags = [], b"", []
    for start, following in zip(starts, [*starts[1:], None], strict=False):
        kind, value = start[1], text[start.end() : following.start() if following else len(text)]
        raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), value.encode("latin-1"))
        try:
            value = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise MismatchError from None
        if kind not in NAME_TYPES:
            raise MismatchError
        string = element(0x0C, raw)
        pair = element(0x30, element(0x06, bytes.fromhex(NAME_TYPES[kind])) + string)
        encoded += element(0x31, pair)
        if value.isascii():  # in a UTF8String alone do the other bytes mean what they mean here
            tags.append(len(encoded) - len(string))
        parts.append((kind, value))
    outer = element(0x30, encoded)
    header = len(outer) - len(encoded)
    return Name(tuple(parts)), outer, tuple(header + tag for tag in tags)


def prove_extensions(text: str, der: bytes, at: int) -> Extensions:
    """What *text* says after the public key, compared with the extensions; *at* is where the subject ends in *der*."""
    claims: dict[str, tuple[bool, str]] = {}
    for found in _EXTENSION.finditer(text):
        if found[1] in claims:
            raise MismatchError
        claims[found[1]] = bool(found[2]), found[3].strip()
    there = _extensions(der, at)
    if there.keys() != claims.keys():
        raise MismatchError
    said: dict[str, object] = {}
    for name, (critical, claim) in claims.items():
        value, encodings = _CLAIMS[name](claim)
        octets = there[name][1]
        if critical != there[name][0]:
            raise MismatchError
        if octets not in encodings and not _begins_with_key(name, octets, encodings[0]):
            raise MismatchError
        said |= value
        if name in CRITICAL_FIELDS:
            said[CRITICAL_FIELDS[name]] = critical
    return Extensions(**said)  # type: ignore[arg-type]


def _extensions(der: bytes, at: int) -> dict[str, tuple[bool, bytes]]:
    """Where the bytes have each extension that matters here: whether it is critical, and its inside."""
    there: dict[str, tuple[bool, bytes]] = {}
    end = after(der, inside(der, 0))
    at = after(der, at)  # the public key
    while at < end and der[at] != 0xA3:
        at = after(der, at)  # unique identifiers, which nobody writes
    if at == end:
        return there
    end = after(der, at)
    at = inside(der, inside(der, at))
    while at < end:
        identifier = inside(der, at)
        value = after(der, identifier)
        name = _EXTENSION_OIDS.get(der[identifier:value])
        critical = der[value : value + 3] == b"\x01\x01\xff"
        value = after(der, value) if der[value] == 0x01 else value
        if der[value] != 0x04 or name in there:
            raise MismatchError
        if name is not None:
            there[name] = critical, der[inside(der, value) : after(der, value)]
        at = after(der, at)
    return there


def _claim_constraints(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    found = re.fullmatch(r"CA:(TRUE|FALSE)(?:, pathlen:(\d+))?", claim)
    if not found:
        raise MismatchError
    ca, length = found[1] == "TRUE", int(found[2]) if found[2] else None
    limit = b"" if length is None else element(0x02, length.to_bytes(length.bit_length() // 8 + 1, "big"))
    flags = (b"\x01\x01\xff",) if ca else (b"", b"\x01\x01\x00")
    return {"ca": ca, "path_length": length}, tuple(element(0x30, flag + limit) for flag in flags)


def _claim_usage(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    try:
        bits = sorted(_USAGE_TEXT[word] for word in claim.split(", ") if word)
    except KeyError:
        raise MismatchError from None
    number = sum(0x8000 >> bit for bit in bits).to_bytes(2, "big")
    content = number if number[1] else number[:1]
    unused = 7 - (bits[-1] % 8) if bits else 0
    usages = tuple(USAGES[bit] for bit in bits)
    return {"key_usage": usages}, (element(0x03, bytes((unused,)) + (content if bits else b"")),)


def _claim_purposes(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    try:
        names = tuple(_PURPOSE_TEXT[word] for word in claim.split(", "))
    except KeyError:
        raise MismatchError from None
    oids = b"".join(element(0x06, bytes.fromhex(PURPOSES[name][1])) for name in names)
    return {"extended_key_usage": names}, (element(0x30, oids),)


@lru_cache(maxsize=4096)
def _known(kind: str, value: str) -> AltName:
    """The same object for the same name: ``localhost`` stands in every other certificate."""
    return AltName(kind, value)


def _claim_alt_names(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    names, encoded = [], b""
    for word in claim.split(", "):
        kind, separator, value = word.partition(":")
        if not separator or kind not in ALT_NAME_TAGS or not value.isascii():
            raise MismatchError
        if kind == "IP Address":
            try:
                address = ipaddress.ip_address(value)
            except ValueError:
                raise MismatchError from None
            names.append(_known("IP", str(address)))
            encoded += element(ALT_NAME_TAGS[kind], address.packed)
        else:
            names.append(_known(kind, value))
            encoded += element(ALT_NAME_TAGS[kind], value.encode("ascii"))
    return {"alt_names": tuple(names)}, (element(0x30, encoded),)


def _claim_subject_key(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    identifier = _hex(claim)
    return {"subject_key_id": identifier.hex()}, (element(0x04, identifier),)


def _claim_authority_key(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    identifier = _hex(claim.partition("\n")[0].removeprefix("keyid:"))
    return {"authority_key_id": identifier.hex()}, (element(0x30, element(0x80, identifier)),)


def _begins_with_key(name: str, octets: bytes, encoded: bytes) -> bool:
    """True where an authority key identifier goes on with the issuer's name and serial, as easy-rsa's does."""
    return name == "Authority Key Identifier" and octets[inside(octets, 0) :].startswith(encoded[2:])


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise MismatchError from None


_CLAIMS = {
    "Basic Constraints": _claim_constraints,
    "Key Usage": _claim_usage,
    "Extended Key Usage": _claim_purposes,
    "Subject Alternative Name": _claim_alt_names,
    "Subject Key Identifier": _claim_subject_key,
    "Authority Key Identifier": _claim_authority_key,
}
