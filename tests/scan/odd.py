"""Odd certificates and requests: sound ones of many kinds, and the same with a part of their DER changed."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.x509.oid import AttributeOID, AuthorityInformationAccessOID, NameOID

from tests.scan.made import CLIENT, SERVER, authority, certificate, name

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from typing import Any

Node = tuple[int, "bytes | list[Node]"]
"""An element: its tag, and its content as bytes or as the elements in it."""


def tlv(tag: int, *contents: bytes) -> bytes:
    """One DER element."""
    content = b"".join(contents)
    length = len(content)
    if length < 128:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *others = map(int, dotted.split("."))
    content = b""
    for number in (40 * first + second, *others):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        content += bytes(reversed(septets))
    return tlv(6, content)


def parse(der: bytes) -> list[Node] | None:
    """The elements of *der* as a tree, those inside octet strings included; None where it is not DER."""
    nodes: list[Node] = []
    at = 0
    while at < len(der):
        if at + 2 > len(der) or der[at] & 0x1F == 0x1F:
            return None
        length, start = der[at + 1], at + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[at + 2 : start], "big")
        content = der[start : start + length]
        if len(content) != length:
            return None
        children = parse(content) if der[at] & 0x20 or (der[at] == 4 and content[:1] in b"\x30\x04\x03") else None
        nodes.append((der[at], content if children is None else children))
        at = start + length
    return nodes


def encode(nodes: Sequence[Node]) -> bytes:
    return b"".join(tlv(tag, content if isinstance(content, bytes) else encode(content)) for tag, content in nodes)


def mutated(rng: random.Random, der: bytes) -> bytes:
    """*der* with one to three parts changed: an element's tag, content, place or number; or plain bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        nodes = parse(der)
        if not nodes or rng.random() < 0.25:
            der = _damaged(rng, der)
        else:
            lists = [nodes]
            for inside in lists:
                lists += [content for _, content in inside if isinstance(content, list)]
            _change(rng, rng.choice([inside for inside in lists if inside] or [nodes]))
            der = encode(nodes)
    return der


TAGS = bytes.fromhex("010203040506 0a0c1213141617181a1c1e 3031 8081828687 a0a1a2a3a4")
CONTENTS = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\x01",
        b"\x80",
        b"\x7f",
        b"a",
        b"a.b",
        b"\xc3\xa9",
        b"system:masters",
        b"\0\0",
        b"\xff\xff",
    ),
    *(bytes(4), bytes(16), b"http://a b/", b"\x2a\x03", b"2501010000Z"),
    *(b"250101000000Z", b"20250101000000Z", b"20250101000000.5Z", b"2501010000+0100", b"250231000000Z"),
    *(b"99991231235959Z", b"00000101000000Z"),
)


def _change(rng: random.Random, nodes: list[Node]) -> None:
    at = rng.randrange(len(nodes))
    tag, content = nodes[at]
    match rng.randrange(8):
        case 0:
            nodes[at] = rng.choice(TAGS), content
        case 1 | 2:
            nodes[at] = tag, rng.choice(CONTENTS)
        case 3:
            del nodes[at]
        case 4:
            nodes.insert(at, nodes[at])
        case 5:
            other = rng.randrange(len(nodes))
            nodes[at], nodes[other] = nodes[other], nodes[at]
        case 6:
            nodes.insert(at, (rng.choice(TAGS), rng.choice(CONTENTS)))
        case _:
            raw = content if isinstance(content, bytes) else encode(content)
            nodes[at] = tag, _damaged(rng, raw)


def _damaged(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randint(0, len(raw))
    match rng.randrange(5):
        case 0 | 1 if raw:
            changed = bytearray(raw)
            changed[at % len(raw)] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case 2:
            return raw[:at]
        case 3:
            return raw[:at] + raw[at + rng.randint(1, 4) :]
    return raw[:at] + rng.randbytes(rng.randint(1, 3)) + raw[at:]


@functools.cache
def sound() -> tuple[bytes, ...]:
    """Certificates of many kinds, none of them wrong."""
    ca = authority()
    keys: dict[str, Any] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "rsa-1024": rsa.generate_private_key(65537, 1024),  # noqa: S505 - it is to be told
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "p224": ec.generate_private_key(ec.SECP224R1()),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "brainpool": ec.generate_private_key(ec.BrainpoolP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "x25519": x25519.X25519PrivateKey.generate(),
    }
    names = ["kubernetes", "*.example.com", "10.96.0.1", "fd00::1"]
    more: list[x509.GeneralName] = [
        x509.RFC822Name("a@b.example"),
        x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a?x=1#y"),
        x509.UniformResourceIdentifier("http://user@example.com:80/%20"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
        x509.DirectoryName(name("other")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01x"),
    ]
    made = [
        certificate(name(kind, "a group"), ca, key=key, uses=[SERVER, CLIENT], names=names)
        for kind, key in keys.items()
    ]
    made.append(certificate(name("names"), ca, names=[*names, *more]))
    made.append(certificate(_many_parts(), ca, ca=None))
    made.append(certificate(name("everything"), ca, names=names, extensions=_every_extension()))
    return (
        ca.certificate.public_bytes(serialization.Encoding.DER),
        *(one.certificate.public_bytes(serialization.Encoding.DER) for one in made),
    )


def _many_parts() -> x509.Name:
    types = (
        (NameOID.COUNTRY_NAME, "DE"), (NameOID.EMAIL_ADDRESS, "a@b.example"), (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.USER_ID, "u"), (NameOID.SERIAL_NUMBER, "1"), (NameOID.STREET_ADDRESS, "a, b + c"),
        (NameOID.POSTAL_CODE, "1"), (NameOID.GIVEN_NAME, "Ü"), (x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), "uid"),
        (NameOID.COMMON_NAME, "many"),
    )  # fmt: skip
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in types])


def _every_extension() -> list[tuple[x509.ExtensionType, bool]]:
    url = x509.UniformResourceIdentifier("http://example.com/x")
    network = ipaddress.ip_network("10.0.0.0/8")
    permitted = [x509.DNSName("example.com"), x509.IPAddress(network), x509.RFC822Name(".example.com")]
    return [
        (x509.NameConstraints(permitted, [x509.DNSName("a.example.com"), x509.UniformResourceIdentifier("b.c")]), True),
        (x509.CRLDistributionPoints([x509.DistributionPoint([url], None, None, None)]), False),
        (
            x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)]),
            False,
        ),
        (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)]), False),
        (x509.PolicyConstraints(1, 2), True),
        (x509.InhibitAnyPolicy(1), True),
        (x509.KeyUsage(*[True] * 9), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), False),
    ]


@functools.cache
def sound_requests() -> tuple[bytes, ...]:
    """Certificate signing requests of several kinds, signed with their own keys."""
    made = []
    builder = x509.CertificateSigningRequestBuilder()
    names = x509.SubjectAlternativeName([x509.DNSName("a"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    keys: list[Any] = [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
    for key in keys:
        for one in (
            builder.subject_name(name("jane", "developers")),
            builder.subject_name(name("system:node:n", "system:nodes")).add_extension(names, critical=False),
            builder.subject_name(_many_parts())
            .add_extension(names, critical=True)
            .add_extension(x509.ExtendedKeyUsage([CLIENT]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret"),
        ):
            made.append(one.sign(key, hashes.SHA256()))  # noqa: PERF401 - a comprehension would be a riddle
    return tuple(request.public_bytes(serialization.Encoding.DER) for request in made)
