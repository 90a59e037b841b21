"""Reading certificates with openssl: thousands with one process, and nothing believed that is not there.

openssl's ``-text`` is made for people. A certificate can be made so that its text says more than the
certificate: a comma and ``DNS:`` inside one name, or a newline and the lines of an extension that does not
exist. So the text is only a claim here. ``_proven`` encodes what the text claims as the certificate would
have to say it (X.690 DER, RFC 5280) and compares that with the certificate's own bytes. Whatever does not agree to the byte is read
again by itself, slowly, from what ``openssl asn1parse`` says about where each part lies.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from kcert.certificates import AltName
from kcert.errors import ProgramError
from kcert.openssl.pem import Block, announced_length, armoured, pem_blocks
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH = 500
"""Certificates for one openssl process: enough that starting it costs nothing, few enough to stay small in memory."""


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name: short type names (CN, O, OU …) and their values, in the certificate's own order."""

    parts: tuple[tuple[str, str], ...] = ()

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
    def units(self) -> tuple[str, ...]:
        """Every OU, which Kubernetes does not look at."""
        return self.values("OU")

    def __str__(self) -> str:
        return ", ".join(f"{kind}={value}" for kind, value in self.parts)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: ``algorithm`` is ``rsa``, ``ec``, ``ed25519`` …, ``bits`` its size, ``curve`` as openssl names it.

    ``material`` is what makes the key this key: the RSA modulus without leading zeros, or the point of an
    elliptic curve, as lower-case hex. Two keys belong together where it is equal.
    """

    algorithm: str
    bits: int
    curve: str | None
    material: str


@dataclass(frozen=True, slots=True)
class X509:
    """What a certificate says.

    ``ca`` is None where there are no basic constraints, ``key_usage`` and ``extended_key_usage`` are None
    where the extension is missing (then any use is allowed). Usages have openssl's configuration names
    (``digitalSignature``, ``serverAuth``), or a dotted OID where there is none. Alternative names are in the
    certificate's order, addresses in canonical form. ``serial``, ``sha256`` and the key identifiers are
    lower-case hex without colons; ``sha256`` is the hash of the DER. ``version`` counts from 1.
    """

    version: int
    serial: str
    signature_algorithm: str
    issuer: Name
    subject: Name
    not_before: datetime
    not_after: datetime
    public_key: PublicKey
    ca: bool | None
    path_length: int | None
    basic_constraints_critical: bool
    key_usage: tuple[str, ...] | None
    key_usage_critical: bool
    extended_key_usage: tuple[str, ...] | None
    alt_names: tuple[AltName, ...]
    subject_key_id: str | None
    authority_key_id: str | None
    sha256: str
    pem: str

    @property
    def self_issued(self) -> bool:
        """True where subject and issuer are the same name; whether it signed itself, openssl verify says."""
        return self.subject == self.issuer

    @property
    def may_serve(self) -> bool:
        """True where the extended key usage lets it stand for a server (none at all means any use)."""
        return _allows(self.extended_key_usage, "serverAuth")

    @property
    def may_dial(self) -> bool:
        """True where the extended key usage lets it stand for a client (none at all means any use)."""
        return _allows(self.extended_key_usage, "clientAuth")


@dataclass(frozen=True, slots=True)
class Request:
    """What a certificate signing request asks for; fields as in X509."""

    subject: Name
    public_key: PublicKey
    signature_algorithm: str
    alt_names: tuple[AltName, ...]
    key_usage: tuple[str, ...] | None
    extended_key_usage: tuple[str, ...] | None
    ca: bool | None
    pem: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A block that is no certificate after all; ``reason`` is a clause that can follow a file's name."""

    reason: str
    pem: str = ""


def _allows(usages: tuple[str, ...] | None, usage: str) -> bool:
    return usages is None or usage in usages or "anyExtendedKeyUsage" in usages


# ---------------------------------------------------------------- certificates


def read_certificates(openssl: str, pems: Iterable[str]) -> Iterator[X509 | Unreadable]:
    """Read one certificate from each of *pems*, in their order, with few processes of *openssl*.

    An iterator goes in and one comes out: only a batch is held in memory. A damaged certificate becomes an
    Unreadable in its place.
    """
    source = iter(pems)
    while batch := list(islice(source, BATCH)):
        yield from _read_batch(openssl, batch)


def read_certificate(openssl: str, pem: str) -> X509 | Unreadable:
    """Read one certificate."""
    return next(read_certificates(openssl, [pem]))


def _read_batch(openssl: str, pems: list[str]) -> Iterator[X509 | Unreadable]:
    blocks = [_certificate_block(pem) for pem in pems]
    results: list[X509 | Unreadable | None] = [block if isinstance(block, Unreadable) else None for block in blocks]
    # A certificate ends with its signature, and so does its text: that tells which text is whose.
    waiting: dict[str, list[int]] = {}
    for index, block in enumerate(blocks):
        if isinstance(block, Block):
            waiting.setdefault(block.der[-_TAIL:].hex(), []).append(index)
    if waiting:
        sent = "".join(block.pem for block in blocks if isinstance(block, Block))
        reading = read(Command((openssl, "storeutl", "-noout", "-text", "-certs", "/dev/stdin")), sent.encode())
        for text in _RECORD.split(reading.stdout.decode("latin-1"))[1:]:
            for index in waiting.get(_tail(text), ()):
                block = blocks[index]
                if results[index] is None and isinstance(block, Block):
                    results[index] = _proven(text, block)
    for block, result in zip(blocks, results, strict=True):
        if result is not None:
            yield result
        elif isinstance(block, Block):
            yield _read_slowly(openssl, block)


def _certificate_block(pem: str) -> Block | Unreadable:
    blocks = [block for block in pem_blocks(pem.encode("utf-8", "replace")) if block.is_certificate]
    if not blocks:
        return Unreadable("holds no certificate", pem)
    if blocks[0].fault:
        return Unreadable(blocks[0].fault, pem)
    return blocks[0]


# ---------------------------------------------------------------- the text: a claim

_RECORD = re.compile(r"^\d+: Certificate\n", re.MULTILINE)
_TAIL = 16
_SIGNATURE = re.compile(
    r"\n    Signature Value: *\n((?: +[0-9a-f:]+\n)+)|\n    Signature Algorithm: [^\n]*\n((?: {9,}[0-9a-f:]+\n)+)"
)

_HEAD = re.compile(
    r"Version: (?P<version>\d+)[^\n]*\n"
    r"\s+Serial Number:\s*(?:-?\d+ \((?P<small_minus>-?)0x(?P<small>[0-9a-f]+)\)|(?P<minus> ?\(Negative\)\s*)?(?P<serial>[0-9a-f:]+))\n"
    r"\s+Signature Algorithm: (?P<signature>[^\n]+)\n"
    r"(?:(?!\s+Issuer:)[^\n]*\n)*?"  # parameters of RSA-PSS
    r"\s+Issuer:(?P<issuer>[^\n]*)\n"
    r"\s+Validity\n"
    r"\s+Not Before: (?P<not_before>[^\n]+)\n"
    r"\s+Not After : (?P<not_after>[^\n]+)\n"
    r"\s+Subject:(?P<subject>[^\n]*)\n"
    r"(?P<key>\s+Subject Public Key Info:\n)"
)
_REQUEST_HEAD = re.compile(r"\s+Subject:(?P<subject>[^\n]*)\n(?P<key>\s+Subject Public Key Info:\n)")
_KEY = re.compile(
    r"\s+Public Key Algorithm: (?P<algorithm>[^\n]+)\n"
    r"(?:\s+(?:[A-Z0-9-]+ )?Public-Key:(?: \((?P<bits>\d+) bit\))?\n)?"
    r"(?:\s+(?:Modulus|pub|Public-Key|Public key):\s*\n(?P<material>(?:\s+[0-9a-f:]+\n)+))?"
)
_CURVE = re.compile(r"\s+ASN1 OID: (?P<oid>\S+)\n(?:\s+NIST CURVE: (?P<nist>\S+)\n)?")
_ALGORITHMS = {
    "rsaEncryption": "rsa",
    "id-ecPublicKey": "ec",
    "rsassaPss": "rsa-pss",
    "ED25519": "ed25519",
    "ED448": "ed448",
    "dsaEncryption": "dsa",
}
_FIXED_BITS = {"ed25519": 253, "ed448": 456}
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_TIME = re.compile(r"(\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{1,4}) GMT")


def _tail(text: str) -> str:
    """The last bytes of the signature, as hex, out of a certificate's text."""
    found = None
    for found in _SIGNATURE.finditer(text[-4096:]):
        pass
    return (found[1] or found[2]).translate(_NO_SEPARATORS)[-2 * _TAIL :] if found else ""


_NO_SEPARATORS = {ord(character): None for character in ": \n"}


def _time(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    if not found or found[1] not in _MONTHS:
        return None
    try:
        return datetime(
            int(found[6]),
            _MONTHS[found[1]],
            int(found[2]),
            *(int(found[part]) for part in (3, 4, 5)),
            tzinfo=timezone.utc,
        )
    except ValueError:
        return None


def _public_key(text: str, start: int) -> PublicKey:
    """The public key out of the text from *start*; everything before the extensions is openssl's own words."""
    found = _KEY.match(text, start)
    if not found:
        return PublicKey("unknown", 0, None, "")
    algorithm = _ALGORITHMS.get(found["algorithm"], found["algorithm"].lower())
    material = (found["material"] or "").translate(_NO_SEPARATORS)
    if algorithm.startswith("rsa"):
        material = material.lstrip("0") if len(material.lstrip("0")) % 2 == 0 else "0" + material.lstrip("0")
    bits = int(found["bits"]) if found["bits"] else _FIXED_BITS.get(algorithm, 0)
    curve = None
    if algorithm == "ec" and (named := _CURVE.match(text, found.end())):
        curve = named["nist"] or named["oid"]
    return PublicKey(algorithm, bits, curve, material)


def _serial(head: re.Match[str]) -> str:
    digits = head["small"] or head["serial"].replace(":", "")
    sign = "-" if head["minus"] or head["small_minus"] else ""
    return sign + (digits if len(digits) % 2 == 0 else "0" + digits)


# ---------------------------------------------------------------- the proof

_OIDS = {
    "CN": "550403", "SN": "550404", "serialNumber": "550405", "C": "550406", "L": "550407", "ST": "550408",
    "street": "550409", "O": "55040a", "OU": "55040b", "title": "55040c", "GN": "55042a",
    "emailAddress": "2a864886f70d010901", "DC": "0992268993f22c640119", "UID": "0992268993f22c640101",
}  # fmt: skip
_TYPES = {bytes.fromhex(oid): name for name, oid in _OIDS.items()}
_PLAIN_STRINGS = frozenset(b"\x0c\x13\x16")  # UTF8String, PrintableString, IA5String
_PART = re.compile(r"(?:^|, |/)([A-Za-z]+) ?= ?")

_USAGE_BITS = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip
_USAGE_TEXT = {
    "Digital Signature": 0, "Non Repudiation": 1, "Key Encipherment": 2, "Data Encipherment": 3,
    "Key Agreement": 4, "Certificate Sign": 5, "CRL Sign": 6, "Encipher Only": 7, "Decipher Only": 8,
}  # fmt: skip
_PURPOSES = {
    "serverAuth": ("TLS Web Server Authentication", "2b06010505070301"),
    "clientAuth": ("TLS Web Client Authentication", "2b06010505070302"),
    "codeSigning": ("Code Signing", "2b06010505070303"),
    "emailProtection": ("E-mail Protection", "2b06010505070304"),
    "timeStamping": ("Time Stamping", "2b06010505070308"),
    "OCSPSigning": ("OCSP Signing", "2b06010505070309"),
    "anyExtendedKeyUsage": ("Any Extended Key Usage", "551d2500"),
}
_PURPOSE_TEXT = {text: name for name, (text, _) in _PURPOSES.items()}
_PURPOSE_OIDS = {bytes.fromhex(oid): name for name, (_, oid) in _PURPOSES.items()}

_EXTENSIONS = {
    "Subject Key Identifier": b"\x06\x03\x55\x1d\x0e",
    "Key Usage": b"\x06\x03\x55\x1d\x0f",
    "Subject Alternative Name": b"\x06\x03\x55\x1d\x11",
    "Basic Constraints": b"\x06\x03\x55\x1d\x13",
    "Authority Key Identifier": b"\x06\x03\x55\x1d\x23",
    "Extended Key Usage": b"\x06\x03\x55\x1d\x25",
}
_EXTENSION = re.compile(
    r"^ {12}X509v3 (" + "|".join(_EXTENSIONS) + r"):( critical)? *\n((?: {16}[^\n]*\n)*)", re.MULTILINE
)


class _Doubt(Exception):
    """The text and the bytes do not agree, or not provably."""


@dataclass(frozen=True)
class _Extensions:
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


def _element(tag: int, content: bytes) -> bytes:
    """One DER element (X.690, 8.1): tag, length, content."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def _proven(text: str, block: Block) -> X509 | None:
    """What *text* says of the certificate, if the bytes bear it out; None where that is in doubt."""
    head = _HEAD.search(text)
    if head is None:
        return None
    try:
        _prove_head(head, block.der)
        said = _prove_extensions(text[head.end() :], block.der)
        return _x509(head, text, _guess_name(head["issuer"])[0], _guess_name(head["subject"])[0], said, block)
    except _Doubt:
        return None


def _x509(head: re.Match[str], text: str, issuer: Name, subject: Name, said: _Extensions, block: Block) -> X509:
    not_before, not_after = _time(head["not_before"]), _time(head["not_after"])
    if not_before is None or not_after is None:
        raise _Doubt
    return X509(
        version=int(head["version"]),
        serial=_serial(head),
        signature_algorithm=head["signature"],
        issuer=issuer,
        subject=subject,
        not_before=not_before,
        not_after=not_after,
        public_key=_public_key(text, head.end()),
        ca=said.ca,
        path_length=said.path_length,
        basic_constraints_critical=said.basic_constraints_critical,
        key_usage=said.key_usage,
        key_usage_critical=said.key_usage_critical,
        extended_key_usage=said.extended_key_usage,
        alt_names=said.alt_names,
        subject_key_id=said.subject_key_id,
        authority_key_id=said.authority_key_id,
        sha256=hashlib.sha256(block.der).hexdigest(),
        pem=block.pem,
    )


def _prove_head(head: re.Match[str], der: bytes) -> None:
    """Walk from the first byte to the subject; each part has to be there, and be what the text says."""
    at = _inside(der, _inside(der, 0))
    if der[at : at + 1] == b"\xa0":
        at = _after(der, at)
    if der[at : at + 1] != b"\x02" or der[_inside(der, at) : _after(der, at)].lstrip(b"\0").hex() != _unsigned(head):
        raise _Doubt
    at = _after(der, _after(der, at))  # the serial number, then the signature algorithm
    at = _prove_name(head["issuer"], der, at)
    at = _after(der, at)  # validity
    _prove_name(head["subject"], der, at)


def _unsigned(head: re.Match[str]) -> str:
    serial = _serial(head)
    if serial.startswith("-"):
        raise _Doubt
    return bytes.fromhex(serial).lstrip(b"\0").hex()


def _inside(der: bytes, at: int) -> int:
    """Where the content of the element at *at* begins."""
    if at + 2 > len(der):
        raise _Doubt
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)


def _after(der: bytes, at: int) -> int:
    """Where the element at *at* ends."""
    length = announced_length(der[at : at + 6])
    if length is None or at + length > len(der):
        raise _Doubt
    return at + length


def _prove_name(text: str, der: bytes, at: int) -> int:
    """Where the name at *at* ends, having compared it with what *text* says."""
    _, encoded, tags = _guess_name(text)
    found = der[at : at + len(encoded)]
    if found != encoded:
        # The text does not say which of the string types a value has: any of those that mean plain characters will do.
        expected = bytearray(encoded)
        if len(found) != len(encoded):
            raise _Doubt
        for tag in tags:
            if found[tag] in _PLAIN_STRINGS:
                expected[tag] = found[tag]
        if found != expected:
            raise _Doubt
    return at + len(encoded)


@lru_cache(maxsize=4096)
def _guess_name(text: str) -> tuple[Name, bytes, tuple[int, ...]]:
    """A name as its text suggests it, its encoding with UTF8Strings, and where in that the string types stand."""
    text = text.strip()
    starts = list(_PART.finditer(text))
    if text and (not starts or starts[0].start() != 0):
        raise _Doubt
    parts, encoded, tags = [], b"", []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        kind, value = start[1], text[start.end() : following.start() if following else len(text)]
        if kind not in _OIDS or not value.isascii():
            raise _Doubt
        string = _element(0x0C, value.encode("ascii"))
        pair = _element(0x30, _element(0x06, bytes.fromhex(_OIDS[kind])) + string)
        encoded += _element(0x31, pair)
        tags.append(len(encoded) - len(string))
        parts.append((kind, value))
    outer = _element(0x30, encoded)
    header = len(outer) - len(encoded)
    return Name(tuple(parts)), outer, tuple(header + tag for tag in tags)


def _prove_extensions(text: str, der: bytes) -> _Extensions:
    claims: dict[str, tuple[bool, str]] = {}
    for found in _EXTENSION.finditer(text):
        if found[1] in claims:
            raise _Doubt
        claims[found[1]] = bool(found[2]), found[3].strip()
    said: dict[str, object] = {}
    for name, oid in _EXTENSIONS.items():
        # The identifier has to stand there once where there is a claim, and nowhere where there is none: a second one
        # might be a forgery inside another extension.
        if der.count(oid) != (name in claims):
            raise _Doubt
        if name in claims:
            critical, claim = claims[name]
            value, encodings = _CLAIMS[name](claim)
            octets = _octets(der, der.find(oid) + len(oid), critical=critical)
            if octets not in encodings and not _begins_with_key(name, octets, encodings[0]):
                raise _Doubt
            said |= value
            if name in _CRITICAL:
                said[_CRITICAL[name]] = critical
    return _Extensions(**said)  # type: ignore[arg-type]


_CRITICAL = {"Basic Constraints": "basic_constraints_critical", "Key Usage": "key_usage_critical"}


def _octets(der: bytes, at: int, *, critical: bool) -> bytes:
    """What is inside the extension whose identifier ends at *at*."""
    if critical:
        if der[at : at + 3] != b"\x01\x01\xff":
            raise _Doubt
        at += 3
    if der[at : at + 1] != b"\x04":
        raise _Doubt
    return der[_inside(der, at) : _after(der, at)]


def _claim_constraints(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    found = re.fullmatch(r"CA:(TRUE|FALSE)(?:, pathlen:(\d+))?", claim)
    if not found:
        raise _Doubt
    ca, length = found[1] == "TRUE", int(found[2]) if found[2] else None
    limit = b"" if length is None else _element(0x02, length.to_bytes(length.bit_length() // 8 + 1, "big"))
    flags = (b"\x01\x01\xff",) if ca else (b"", b"\x01\x01\x00")
    return {"ca": ca, "path_length": length}, tuple(_element(0x30, flag + limit) for flag in flags)


def _claim_usage(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    try:
        bits = sorted(_USAGE_TEXT[word] for word in claim.split(", ") if word)
    except KeyError:
        raise _Doubt from None
    number = sum(0x8000 >> bit for bit in bits).to_bytes(2, "big")
    content = number if number[1] else number[:1]
    unused = 7 - (bits[-1] % 8) if bits else 0
    usages = tuple(_USAGE_BITS[bit] for bit in bits)
    return {"key_usage": usages}, (_element(0x03, bytes((unused,)) + (content if bits else b"")),)


def _claim_purposes(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    try:
        names = tuple(_PURPOSE_TEXT[word] for word in claim.split(", "))
    except KeyError:
        raise _Doubt from None
    oids = b"".join(_element(0x06, bytes.fromhex(_PURPOSES[name][1])) for name in names)
    return {"extended_key_usage": names}, (_element(0x30, oids),)


def _claim_alt_names(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    names, encoded = [], b""
    for word in claim.split(", "):
        kind, separator, value = word.partition(":")
        if not separator or kind not in _ALT_TAGS or not value.isascii():
            raise _Doubt
        if kind == "IP Address":
            try:
                address = ipaddress.ip_address(value)
            except ValueError:
                raise _Doubt from None
            names.append(AltName("IP", str(address)))
            encoded += _element(_ALT_TAGS[kind], address.packed)
        else:
            names.append(AltName(kind, value))
            encoded += _element(_ALT_TAGS[kind], value.encode("ascii"))
    return {"alt_names": tuple(names)}, (_element(0x30, encoded),)


_ALT_TAGS = {"email": 0x81, "DNS": 0x82, "URI": 0x86, "IP Address": 0x87}


def _claim_subject_key(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    identifier = _hex(claim)
    return {"subject_key_id": identifier.hex()}, (_element(0x04, identifier),)


def _claim_authority_key(claim: str) -> tuple[dict[str, object], tuple[bytes, ...]]:
    identifier = _hex(claim.partition("\n")[0].removeprefix("keyid:"))
    return {"authority_key_id": identifier.hex()}, (_element(0x30, _element(0x80, identifier)),)


def _begins_with_key(name: str, octets: bytes, encoded: bytes) -> bool:
    """True where an authority key identifier goes on with the issuer's name and serial, as easy-rsa's does."""
    return name == "Authority Key Identifier" and octets[_inside(octets, 0) :].startswith(encoded[2:])


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise _Doubt from None


_CLAIMS = {
    "Basic Constraints": _claim_constraints,
    "Key Usage": _claim_usage,
    "Extended Key Usage": _claim_purposes,
    "Subject Alternative Name": _claim_alt_names,
    "Subject Key Identifier": _claim_subject_key,
    "Authority Key Identifier": _claim_authority_key,
}


# ---------------------------------------------------------------- the slow way

_UNAMBIGUOUS = "utf8,esc_2253,esc_ctrl,esc_msb,sname,sep_comma_plus"
"""Values escaped as in RFC 2253, so that a separator inside a value cannot be taken for one between two values."""

_ASN1_LINE = re.compile(rb"^ *(\d+):d= *(\d+) +hl= *(\d+) +l= *(\d+) (prim|cons): ", re.MULTILINE)


@dataclass(frozen=True)
class _Piece:
    """One element as asn1parse found it: how deep, its tag, its content."""

    depth: int
    tag: int
    content: bytes


def _read_slowly(openssl: str, block: Block) -> X509 | Unreadable:
    reading = read(Command((openssl, "x509", "-noout", "-text", "-nameopt", _UNAMBIGUOUS)), block.pem.encode())
    text = reading.stdout.decode("latin-1")
    head = _HEAD.search(text)
    if not reading.succeeded or head is None:
        return Unreadable(f"openssl cannot read the certificate that begins on line {block.line}", block.pem)
    try:
        issuer, subject = _escaped_name(head["issuer"]), _escaped_name(head["subject"])
        return _x509(head, text, issuer, subject, _parsed_extensions(openssl, block.der), block)
    except _Doubt:
        return Unreadable("holds a certificate whose parts contradict each other", block.pem)


def read_request(openssl: str, pem: str) -> Request | Unreadable:
    """Read the first certificate signing request of *pem*."""
    blocks = [block for block in pem_blocks(pem.encode("utf-8", "replace")) if block.is_request]
    if not blocks:
        return Unreadable("holds no certificate request", pem)
    block = blocks[0]
    if block.fault:
        return Unreadable(block.fault, pem)
    reading = read(Command((openssl, "req", "-noout", "-text", "-nameopt", _UNAMBIGUOUS)), block.pem.encode())
    text = reading.stdout.decode("latin-1")
    head = _REQUEST_HEAD.search(text)
    if not reading.succeeded or head is None:
        return Unreadable("holds a certificate request that openssl cannot read", pem)
    signature = re.findall(r"^    Signature Algorithm: ([^\n]+)$", text, re.MULTILINE)
    try:
        said = _parsed_extensions(openssl, block.der)
        return Request(
            subject=_escaped_name(head["subject"]),
            public_key=_public_key(text, head.end()),
            signature_algorithm=signature[-1] if signature else "",
            alt_names=said.alt_names,
            key_usage=said.key_usage,
            extended_key_usage=said.extended_key_usage,
            ca=said.ca,
            pem=block.pem,
        )
    except _Doubt:
        return Unreadable("holds a certificate request whose parts contradict each other", pem)


_ESCAPED = re.compile(r"\\([0-9A-F]{2})|\\(.)|([^\\])", re.DOTALL)
_PAIR = re.compile(r"([A-Za-z0-9.-]+)=((?:\\.|[^\\,+])*)(?:[,+]|$)", re.DOTALL)


def _escaped_name(text: str) -> Name:
    """A name that openssl wrote with every doubtful character escaped."""
    text = text[1:] if text.startswith(" ") else text
    parts, at = [], 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if not found:
            raise _Doubt
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
        if at != expected or _inside(der, at) != at + header or _after(der, at) != at + header + length:
            continue
        if (line[5] == b"cons") != bool(der[at] & 0x20):
            continue
        found.append(_Piece(depth, der[at], der[at + header : at + header + length]))
        expected = at + header if line[5] == b"cons" else at + header + length
    if expected != len(der):
        raise _Doubt
    return found


def _parsed_extensions(openssl: str, der: bytes) -> _Extensions:
    said: dict[str, object] = {}
    pieces = _pieces(openssl, der)
    names = {oid[2:]: name for name, oid in _EXTENSIONS.items()}
    for index, piece in enumerate(pieces):
        name = names.get(piece.content) if piece.tag == 0x06 else None
        following = [one for one in pieces[index + 1 : index + 3] if one.depth == piece.depth]
        if name is None or not following:
            continue
        critical = following[0].tag == 0x01 and following[0].content == b"\xff"
        octets = following[-1] if following[0].tag == 0x01 else following[0]
        if octets.tag != 0x04:
            continue
        value = _EXTENSION_READERS[name](openssl, octets.content)
        if any(key in said for key in value):
            raise _Doubt  # RFC 5280, 4.2: no extension stands twice
        said |= value
        if name in _CRITICAL:
            said[_CRITICAL[name]] = critical
    return _Extensions(**said)  # type: ignore[arg-type]


def _parsed_constraints(_openssl: str, octets: bytes) -> dict[str, object]:
    found = re.fullmatch(rb"\x30.(?P<ca>\x01\x01.)?(?:\x02[\x01-\x04](?P<limit>.{1,4}))?", octets, re.DOTALL)
    if not found:
        raise _Doubt
    limit = int.from_bytes(found["limit"], "big") if found["limit"] is not None else None
    return {"ca": bool(found["ca"] and found["ca"][2]), "path_length": limit}


def _parsed_usage(_openssl: str, octets: bytes) -> dict[str, object]:
    if octets[:1] != b"\x03" or len(octets) < 3:
        raise _Doubt
    bits = "".join(f"{byte:08b}" for byte in octets[3:])
    return {"key_usage": tuple(name for name, bit in zip(_USAGE_BITS, bits, strict=False) if bit == "1")}


def _parsed_purposes(openssl: str, octets: bytes) -> dict[str, object]:
    oids = [piece.content for piece in _pieces(openssl, octets) if piece.tag == 0x06]
    return {"extended_key_usage": tuple(_PURPOSE_OIDS.get(oid) or _dotted(oid) for oid in oids)}


def _parsed_alt_names(openssl: str, octets: bytes) -> dict[str, object]:
    return {"alt_names": tuple(_alt_name(piece) for piece in _pieces(openssl, octets) if piece.depth == 1)}


_OTHER_ALT_NAMES = {0xA0: "othername", 0xA3: "X400Name", 0xA4: "DirName", 0xA5: "EdiPartyName", 0x88: "RID"}


def _alt_name(piece: _Piece) -> AltName:
    for kind, tag in _ALT_TAGS.items():
        if piece.tag != tag:
            continue
        if kind != "IP Address":
            return AltName(kind, piece.content.decode("utf-8", "backslashreplace"))
        if len(piece.content) in (4, 16):
            return AltName("IP", str(ipaddress.ip_address(piece.content)))
        return AltName("IP", f"<invalid: {piece.content.hex()}>")
    kind = _OTHER_ALT_NAMES.get(piece.tag, f"[{piece.tag & 0x1F}]")
    return AltName(kind, _dotted(piece.content) if kind == "RID" else piece.content.hex())


def _parsed_subject_key(_openssl: str, octets: bytes) -> dict[str, object]:
    if octets[:1] != b"\x04" or announced_length(octets) != len(octets):
        raise _Doubt
    return {"subject_key_id": octets[_inside(octets, 0) :].hex()}


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


def _dotted(oid: bytes) -> str:
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


# ---------------------------------------------------------------- keys

_RSA = bytes.fromhex("06092a864886f70d0101")  # rsaEncryption and its relatives, in PKCS#8
_EC_POINT = re.compile(rb"\x03[\x22-\x7f\x81]\x00?[\x02-\x04]|\xa1.\x03", re.DOTALL)


def key_belongs(key_pem: bytes, public_key: PublicKey) -> bool | None:
    """Whether the private (or public) key in *key_pem* is the one of *public_key*.

    No process is started: an RSA key holds its modulus, and most EC keys hold their point, so it is enough to
    look for those bytes. None where that cannot tell: an encrypted key, one without its public part, no key
    at all. Then ``public_material`` asks openssl.
    """
    keys = [block for block in pem_blocks(key_pem) if block.is_key or block.label == "PUBLIC KEY"]
    if not keys or keys[0].fault or keys[0].encrypted or not public_key.material:
        return None
    key = keys[0]
    if bytes.fromhex(public_key.material) in key.der:
        return True
    if key.label == "RSA PRIVATE KEY" or _RSA in key.der[:64] or key.label == "PUBLIC KEY":
        return False
    # An EC key may leave its point out (RFC 5915: publicKey is optional), and may hold it compressed.
    return False if b"\x00\x04" in key.der and _has_whole_point(key.der) else None


def _has_whole_point(der: bytes) -> bool:
    """True where a BIT STRING with an uncompressed point ends the key, as openssl, cfssl and Go write it."""
    return any(
        der[-size - 3 : -size] in (bytes((0x03, size + 1, 0x00)), bytes((0x81, size + 1, 0x00))) and der[-size] == 0x04
        for size in (65, 97, 133)  # P-256, P-384, P-521
        if len(der) > size + 3
    )


def public_material(openssl: str, key_pem: bytes) -> str | None:
    """The ``material`` of the key in *key_pem*, asked of openssl; None where it cannot be read (a passphrase, no key)."""
    key = ("pkey", "-in", "/dev/stdin", "-noout", "-text_pub", "-passin", "pass:")
    reading = read(Command((openssl, *key)), key_pem)
    found = re.search(r"(?:Modulus|pub):\s*\n((?:\s+[0-9a-f:]+\n)+)", reading.stdout.decode("latin-1"))
    if not reading.succeeded or not found:
        return None
    material = found[1].translate(_NO_SEPARATORS)
    return material.removeprefix("00") if "Modulus" in found[0] else material


def same_key(openssl: str, key_pem: bytes, public_key: PublicKey) -> bool | None:
    """``key_belongs``, and where that cannot tell, openssl's answer; None where openssl cannot read the key either."""
    cheap = key_belongs(key_pem, public_key)
    if cheap is not None:
        return cheap
    try:
        material = public_material(openssl, key_pem)
    except ProgramError:
        return None
    return None if material is None or not public_key.material else material == public_key.material


def certificate_pems(content: bytes) -> list[str]:
    """The certificate blocks of a PEM file, each by itself; a damaged one keeps what is needed to say so."""
    return [
        block.pem if block.der else armoured(b"", block.label) for block in pem_blocks(content) if block.is_certificate
    ]
