"""The slow, unambiguous way to read: names that openssl escapes, and parts that openssl locates."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import takewhile

from kcert.certificates import AltName
from kcert.openssl.asn1 import (
    ALT_NAME_TAGS,
    CRITICAL_FIELDS,
    EXTENSIONS,
    PURPOSE_OIDS,
    USAGES,
    Extensions,
    MismatchError,
    after,
    dotted,
    inside,
)
from kcert.openssl.pem import announced_length
from kcert.openssl.x509 import Name
from kcert.shell import Command, read

UNAMBIGUOUS = "utf8,esc_2253,esc_ctrl,esc_msb,sname,sep_comma_plus"
"""Values escaped as in RFC 2253, so that a separator inside a value cannot be taken for one between two values."""

_ASN1_LINE = re.compile(rb"^ *(\d+):d= *(\d+) +hl= *(\d+) +l= *(\d+) (prim|cons): ", re.MULTILINE)


@dataclass(frozen=True)
class _Piece:
    """One element as asn1parse found it: how deep, its tag, its content."""

    depth: int
    tag: int
    content: bytes


_ESCAPED = re.compile(r"\\([0-9A-F]{2})|\\(.)|([^\\])", re.DOTALL)
_PAIR = re.compile(r"([A-Za-z0-9.-]+)=((?:\\.|[^\\,+])*)(?:[,+]|$)", re.DOTALL)


def escaped_name(text: str) -> Name:
    """A name that openssl wrote with every doubtful character escaped."""
    text = text.removeprefix(" ")
    parts, at = [], 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if not found:
            raise MismatchError
        parts.append((found[1], _unescaped(found[2])))
        at = found.end()
    return Name(tuple(parts))


def _unescaped(value: str) -> str:
    raw = bytearray()
    for byte, escaped, plain in _ESCAPED.findall(value):
        raw += bytes.fromhex(byte) if byte else (escaped or plain).encode("latin-1")
    return raw.decode("utf-8", "replace")


def _pieces(openssl: str, der: bytes) -> list[_Piece]:
    """The elements of *der*, where ``openssl asn1parse`` says they are.

    It prints text values as they are, so a value can hold lines that look like its own. A line counts only
    where it continues the one before, and where the bytes at that place have the header that it names;
    a forged line could only repeat what is true. Contents are always cut from the bytes.
    """
    reading = read(Command((openssl, "asn1parse", "-inform", "DER")), der)
    found: list[_Piece] = []
    expected = 0
    for line in _ASN1_LINE.finditer(reading.stdout):
        at, depth, header, length = (int(line[group]) for group in (1, 2, 3, 4))
        if at != expected or inside(der, at) != at + header or after(der, at) != at + header + length:
            continue
        if (line[5] == b"cons") != bool(der[at] & 0x20):
            continue
        found.append(_Piece(depth, der[at], der[at + header : at + header + length]))
        expected = at + header if line[5] == b"cons" else at + header + length
    if expected != len(der):
        raise MismatchError
    return found


def parsed_extensions(openssl: str, der: bytes) -> Extensions:
    """What the extensions of a certificate say; DoubtError where that makes no sense."""
    # RFC 5280, 4.1: [3] at depth 2, in it a list (3) of extensions (4) of identifier, critical and value (5).
    return _extensions(openssl, _within(_pieces(openssl, der), 2, 0xA3), 5)


def requested_extensions(openssl: str, der: bytes) -> Extensions:
    """What the extensions that a certificate request asks for say."""
    # RFC 2986, 4.1: [0] at depth 2, in it attributes (3) of a type and a set (4), of one list (5) of extensions (6).
    attributes = _within(_pieces(openssl, der), 2, 0xA0)
    starts = [index for index, piece in enumerate(attributes) if piece.depth == 3]
    for start, end in zip(starts, [*starts[1:], len(attributes)], strict=False):
        if attributes[start + 1 : start + 2] and attributes[start + 1].content == _EXTENSION_REQUEST:
            return _extensions(openssl, attributes[start:end], 7)
    return Extensions()


_EXTENSION_REQUEST = bytes.fromhex("2a864886f70d01090e")


def _within(pieces: list[_Piece], depth: int, tag: int) -> list[_Piece]:
    """The pieces inside the element with this tag at this depth."""
    for index, piece in enumerate(pieces):
        if (piece.depth, piece.tag) == (depth, tag):
            deeper = list(takewhile(lambda one: one.depth > depth, pieces[index + 1 :]))
            # A version number stands in [0] as well; it is followed by more, and extensions are not.
            if len(deeper) > 1 or tag != 0xA0:
                return deeper
    return []


def _extensions(openssl: str, pieces: list[_Piece], depth: int) -> Extensions:
    said: dict[str, object] = {}
    names = {oid[2:]: name for name, oid in EXTENSIONS.items()}
    for index, piece in enumerate(pieces):
        name = names.get(piece.content) if (piece.tag, piece.depth) == (0x06, depth) else None
        if name is None:
            continue
        critical = pieces[index + 1 : index + 2] != [] and pieces[index + 1].tag == 0x01
        value = pieces[index + 2 if critical else index + 1 :][:1]
        if not value or (value[0].tag, value[0].depth) != (0x04, depth):
            raise MismatchError
        read_so = _EXTENSION_READERS[name](openssl, value[0].content)
        if said.keys() & read_so.keys():
            raise MismatchError  # RFC 5280, 4.2: no extension stands twice
        said |= read_so
        if name in CRITICAL_FIELDS:
            said[CRITICAL_FIELDS[name]] = critical and pieces[index + 1].content != b"\0"
    return Extensions(**said)  # type: ignore[arg-type]


def _parsed_constraints(_openssl: str, octets: bytes) -> dict[str, object]:
    found = re.fullmatch(rb"\x30.(?P<ca>\x01\x01.)?(?:\x02[\x01-\x04](?P<limit>.{1,4}))?", octets, re.DOTALL)
    if not found:
        raise MismatchError
    limit = int.from_bytes(found["limit"], "big") if found["limit"] is not None else None
    return {"ca": bool(found["ca"] and found["ca"][2]), "path_length": limit}


def _parsed_usage(_openssl: str, octets: bytes) -> dict[str, object]:
    if octets[:1] != b"\x03" or len(octets) < 3:
        raise MismatchError
    bits = "".join(f"{byte:08b}" for byte in octets[3:])
    return {"key_usage": tuple(name for name, bit in zip(USAGES, bits, strict=False) if bit == "1")}


def _parsed_purposes(openssl: str, octets: bytes) -> dict[str, object]:
    oids = [piece.content for piece in _pieces(openssl, octets) if piece.tag == 0x06]
    return {"extended_key_usage": tuple(PURPOSE_OIDS.get(oid) or dotted(oid) for oid in oids)}


def _parsed_alt_names(openssl: str, octets: bytes) -> dict[str, object]:
    return {"alt_names": tuple(_alt_name(piece) for piece in _pieces(openssl, octets) if piece.depth == 1)}


_OTHER_ALT_NAMES = {0xA0: "othername", 0xA3: "X400Name", 0xA4: "DirName", 0xA5: "EdiPartyName", 0x88: "RID"}


def _alt_name(piece: _Piece) -> AltName:
    for kind, tag in ALT_NAME_TAGS.items():
        if piece.tag != tag:
            continue
        if kind != "IP Address":
            return AltName(kind, piece.content.decode("utf-8", "backslashreplace"))
        if len(piece.content) in (4, 16):
            return AltName("IP", str(ipaddress.ip_address(piece.content)))
        return AltName("IP", f"<invalid: {piece.content.hex()}>")
    kind = _OTHER_ALT_NAMES.get(piece.tag, f"[{piece.tag & 0x1F}]")
    return AltName(kind, dotted(piece.content) if kind == "RID" else piece.content.hex())


def _parsed_subject_key(_openssl: str, octets: bytes) -> dict[str, object]:
    if octets[:1] != b"\x04" or announced_length(octets) != len(octets):
        raise MismatchError
    return {"subject_key_id": octets[inside(octets, 0) :].hex()}


def _parsed_authority_key(openssl: str, octets: bytes) -> dict[str, object]:
    identifiers = [piece.content for piece in _pieces(openssl, octets) if piece.tag == 0x80 and piece.depth == 1]
    return {"authority_key_id": identifiers[0].hex()} if identifiers else {}


_EXTENSION_READERS = {
    "Basic Constraints": _parsed_constraints,
    "Key Usage": _parsed_usage,
    "Extended Key Usage": _parsed_purposes,
    "Subject Alternative Name": _parsed_alt_names,
    "Subject Key Identifier": _parsed_subject_key,
    "Authority Key Identifier": _parsed_authority_key,
}
