"""What kcert reads, checked against `cryptography` and openssl; and certificates that make openssl's text wrong."""

from __future__ import annotations

import ipaddress
import random
import subprocess
from datetime import timezone
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from kcert.certificates import AltName
from kcert.openssl.pem import armoured
from kcert.openssl.program import key_belongs, same_key
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request, Unreadable
from tests.scan.made import CLIENT, SERVER, Pair, authority, certificate, name

if TYPE_CHECKING:
    from pathlib import Path

FORGED = "good\n            X509v3 Basic Constraints: critical\n                CA:TRUE\n"


@pytest.fixture(scope="module")
def ca() -> Pair:
    return authority()


def known(pem: bytes | str) -> X509:
    found = read_certificate(pem.decode() if isinstance(pem, bytes) else pem)
    assert isinstance(found, X509), found
    return found


def agrees(pair: Pair) -> X509:
    """Every field that cryptography reads as well is the same."""
    found, judge = known(pair.pem), pair.certificate
    assert int(found.serial, 16) == judge.serial_number
    assert [value for _, value in found.subject.parts] == [one.value for one in judge.subject]
    assert [value for _, value in found.issuer.parts] == [one.value for one in judge.issuer]
    assert found.not_before == judge.not_valid_before_utc
    assert found.not_after == judge.not_valid_after_utc
    assert found.not_after.tzinfo is timezone.utc
    assert found.sha256 == judge.fingerprint(hashes.SHA256()).hex()
    extensions = {extension.oid: extension.value for extension in judge.extensions}
    names = extensions.get(x509.SubjectAlternativeName.oid, [])
    assert [one.value for one in found.alt_names] == [str(one.value) for one in names]
    constraints = extensions.get(x509.BasicConstraints.oid)
    assert found.ca == (constraints.ca if constraints else None)
    return found


def test_a_server_certificate_field_by_field(ca: Pair) -> None:
    found = agrees(
        certificate(
            name("kube-apiserver", "Kubernetes"), ca, uses=[SERVER], names=["kubernetes", "10.96.0.1", "fd00::1"]
        )
    )
    assert found.version == 3
    assert found.subject.common_name == "kube-apiserver"
    assert found.subject.organizations == ("Kubernetes",)
    assert str(found.issuer) == "CN=Kubernetes-CA"
    assert found.alt_names == (AltName("DNS", "kubernetes"), AltName("IP", "10.96.0.1"), AltName("IP", "fd00::1"))
    assert found.extended_key_usage == ("serverAuth",)
    assert found.allows("serverAuth")
    assert not found.allows("clientAuth")
    assert found.public_key.algorithm == "ec"
    assert found.public_key.curve == "P-256"
    assert found.authority_key_id == known(ca.pem).subject_key_id


def test_a_ca_with_its_key_usage_and_path_length(ca: Pair) -> None:
    limited = certificate(
        name("limited"), ca, ca=None, extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)]
    )
    assert agrees(limited).path_length == 0
    found = agrees(ca)
    assert found.ca is True
    assert found.path_length is None
    assert found.key_usage == ("digitalSignature", "keyCertSign", "cRLSign")
    assert found.key_usage_critical
    assert found.self_signed


def test_no_extended_key_usage_means_any_use(ca: Pair) -> None:
    found = agrees(certificate(name("node-0"), ca))
    assert found.extended_key_usage is None
    assert found.allows("serverAuth")
    assert found.allows("clientAuth")


@pytest.mark.parametrize("bits", [1024, 2048])
def test_an_rsa_key_is_told_by_its_modulus(ca: Pair, bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    found = agrees(certificate(name("rsa"), ca, key=key))
    assert found.public_key.algorithm == "rsa"
    assert found.public_key.bits == bits
    assert int(found.public_key.material, 16) == key.public_key().public_numbers().n


def test_an_ed25519_key(ca: Pair) -> None:
    found = known(certificate(name("ed"), ca, key=ed25519.Ed25519PrivateKey.generate()).pem)  # type: ignore[arg-type]
    assert found.public_key.algorithm == "ed25519"
    assert len(found.public_key.material) == 64


def test_an_empty_subject(ca: Pair) -> None:
    found = agrees(certificate(name(), ca, names=["only.a.name"]))
    assert found.subject.common_name is None
    assert str(found.subject) == ""


def test_serial_zero(ca: Pair, tmp_path: Path) -> None:
    key, request, made = tmp_path / "k", tmp_path / "r", tmp_path / "c"
    key.write_bytes(ca.key_pem)
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=kubernetes", "-out", request], check=True)
    subprocess.run(
        ["openssl", "x509", "-req", "-in", request, "-signkey", key, "-set_serial", "0", "-out", made],
        check=True,
        capture_output=True,
    )
    found = known(made.read_bytes())
    assert found.serial == "00"
    assert found.ca is None


def test_an_authority_key_identifier_with_name_and_serial_as_easy_rsa_writes_it(ca: Pair) -> None:
    key = ca.key.public_key()
    identifier = x509.AuthorityKeyIdentifier(
        x509.SubjectKeyIdentifier.from_public_key(key).digest, [x509.DirectoryName(name("Easy-RSA CA"))], 4711
    )
    made = certificate(name("server"), extensions=[(identifier, False)])
    found = agrees(made)
    assert found.authority_key_id == known(ca.pem).subject_key_id


# ---------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    "text",
    [
        "a, DNS:b",
        "a, IP Address:10.0.0.1",
        FORGED,
        "\x1b[31mred\x1b[0m",
        "a\r\nb",
        "DNS:DNS:a",
        "",
        "tab\there",
        'quote"and\\backslash',
        "a,DNS:b",
    ],
)
def test_a_name_that_looks_like_two_is_one(ca: Pair, text: str) -> None:
    found = agrees(certificate(name("hostile"), ca, names=[x509.DNSName(text)]))
    assert found.alt_names == (AltName("DNS", text),)
    assert found.ca is False


@pytest.mark.parametrize(
    "text",
    [
        "a, O=system:masters",
        "a/O=system:masters",
        "a\n        Subject: CN=b",
        "a+O=system:masters",
        "\x1b]0;title\x07",
        "é, O=système",
        "a\\, O=b",
        "a\\x41",
        "a\\xC3\\xA9",
        " leading and trailing ",
        "#00",
        "x" * 64,
        "\u202egnp.exe",
    ],
)
def test_a_common_name_that_looks_like_more_is_one(ca: Pair, text: str) -> None:
    found = agrees(certificate(name(text), ca))
    assert found.subject.parts == (("CN", text),)
    assert found.subject.organizations == ()


def test_a_line_in_another_extension_makes_no_ca(ca: Pair) -> None:
    comment = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.16.840.1.113730.1.13"), bytes([0x16, len(FORGED)]) + FORGED.encode()
    )
    # The very bytes of the extension that the text claims, inside another: looking for them is not enough.
    bytes_of_it = bytes.fromhex("0603551d130101ff040530030101ff")
    decoy = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), bytes_of_it)
    made = certificate(name("user"), ca, ca=None, extensions=[(comment, False), (decoy, False)])
    text = subprocess.run(
        ["openssl", "x509", "-text", "-noout"], input=made.pem, capture_output=True, check=True
    ).stdout
    assert b"CA:TRUE" in text
    assert known(made.pem).ca is None


def test_an_extension_identifier_among_the_names_is_no_extension(ca: Pair) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "user"),
            x509.NameAttribute(x509.ObjectIdentifier("2.5.29.19"), "0\x03\x01\x01\x7f"),
        ]
    )
    found = known(certificate(subject, ca, ca=None).pem)
    assert found.ca is None
    assert found.subject.common_name == "user"


def test_several_values_in_one_part_of_a_name(ca: Pair) -> None:
    pair = x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b")]
    )
    found = known(certificate(x509.Name([pair]), ca).pem)
    assert sorted(found.subject.parts) == [("CN", "a"), ("O", "b")]


def test_names_of_every_type(ca: Pair) -> None:
    names = [
        x509.RFC822Name("a@b.c"),
        x509.UniformResourceIdentifier("spiffe://cluster/ns"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
        x509.DirectoryName(name("x, DNS:y")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01x"),
        x509.IPAddress(ipaddress.ip_address("fd00::1")),
    ]
    found = known(certificate(name("all"), ca, names=names).pem)
    assert [one.type for one in found.alt_names] == ["email", "URI", "RID", "DirName", "othername", "IP"]
    assert found.alt_names[2].value == "1.2.3.4"
    assert found.alt_names[5].value == "fd00::1"


def test_ten_thousand_names(ca: Pair) -> None:
    found = agrees(certificate(name("many"), ca, names=[f"host-{number}.example" for number in range(10_000)]))
    assert len(found.alt_names) == 10_000


def test_a_damaged_block_does_not_cost_the_others(ca: Pair) -> None:
    good = [certificate(name(f"user-{number}"), ca) for number in range(4)]
    broken = bytearray(good[1].certificate.public_bytes(serialization.Encoding.DER))
    broken[8] ^= 0xFF  # no version any more, and no serial number in its place
    pems = [
        good[0].pem.decode(),
        armoured(bytes(broken)),
        good[1].pem.decode(),
        armoured(good[2].certificate.public_bytes(serialization.Encoding.DER)[:-20]),
        "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
        "nothing at all",
        good[3].pem.decode(),
        good[3].pem.decode(),
    ]
    found = list(map(read_certificate, pems))
    assert [one.subject.common_name if isinstance(one, X509) else None for one in found] == [
        "user-0", None, "user-1", None, None, None, "user-3", "user-3",
    ]  # fmt: skip
    reasons = [one.reason for one in found if isinstance(one, Unreadable)]
    assert "cut short" in reasons[1]
    assert "base64" in reasons[2]


def test_flipped_bits_are_never_believed_twice(ca: Pair) -> None:
    """Whatever a damaged certificate is read as, cryptography reads the same, or openssl refused it."""
    whole = certificate(name("user", "group"), ca, names=["a.b", "10.0.0.1"]).certificate
    der = whole.public_bytes(serialization.Encoding.DER)
    shuffled = random.Random(4)  # noqa: S311 - the same bits in every run
    damaged = []
    for _ in range(60):
        flipped = bytearray(der)
        flipped[shuffled.randrange(len(flipped))] ^= 1 << shuffled.randrange(8)
        damaged.append(bytes(flipped))
    for copy, found in zip(damaged, map(read_certificate, map(armoured, damaged)), strict=True):
        if isinstance(found, X509):
            try:
                judge = x509.load_der_x509_certificate(copy)
                values = [one.value for one in judge.subject]
            except (ValueError, TypeError):
                continue
            assert [value for _, value in found.subject.parts] == values


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("kind", ["rsa", "P-256", "P-384", "P-521"])
def test_a_key_knows_its_certificate_and_no_other(ca: Pair, form: str, kind: str) -> None:
    curves: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

    def key() -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(curves[kind]) if kind in curves else rsa.generate_private_key(65537, 2048)

    mine, other = certificate(name("mine"), ca, key=key()), certificate(name("other"), ca, key=key())
    pem = mine.key_in(getattr(serialization.PrivateFormat, form))
    assert key_belongs(pem, known(mine.pem).public_key) is True
    assert key_belongs(pem, known(other.pem).public_key) is False
    assert key_belongs(pem, known(ca.pem).public_key) is False


def test_an_encrypted_key_cannot_be_told(ca: Pair) -> None:
    pem = ca.key_in(serialization.PrivateFormat.PKCS8, b"secret")
    assert key_belongs(pem, known(ca.pem).public_key) is None
    assert same_key("openssl", pem, known(ca.pem).public_key) is None


def test_a_key_without_its_public_part_is_asked_of_openssl(ca: Pair, tmp_path: Path) -> None:
    key, bare = tmp_path / "key", tmp_path / "bare"
    key.write_bytes(ca.key_pem)
    argv = ["openssl", "ec", "-in", str(key), "-no_public", "-out", str(bare)]
    subprocess.run(argv, check=True, capture_output=True)
    assert key_belongs(bare.read_bytes(), known(ca.pem).public_key) is None
    assert same_key("openssl", bare.read_bytes(), known(ca.pem).public_key) is True
    assert same_key("openssl", bare.read_bytes(), known(authority().pem).public_key) is False


# ---------------------------------------------------------------- requests


def test_a_request_and_what_it_asks_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name("jane, O=system:masters", "developers"))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a, DNS:b")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([CLIENT]), critical=False)
        .sign(key, hashes.SHA256())
    )
    found = read_request(made.public_bytes(serialization.Encoding.PEM).decode())
    assert isinstance(found, Request)
    assert found.subject.common_name == "jane, O=system:masters"
    assert found.subject.organizations == ("developers",)
    assert found.alt_names == (AltName("DNS", "a, DNS:b"),)
    assert found.extended_key_usage == ("clientAuth",)
    assert found.public_key.curve == "P-256"


def test_a_request_without_extensions() -> None:
    made = x509.CertificateSigningRequestBuilder().subject_name(name("jane"))
    pem = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    found = read_request(pem.decode())
    assert isinstance(found, Request)
    assert found.alt_names == ()
    assert found.extended_key_usage is None
