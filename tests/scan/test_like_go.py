"""kcert reads and refuses certificates, requests and chains as Go does: generated and mutated ones, checked by both."""

from __future__ import annotations

import base64
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.errors import InputError
from kcert.kubernetes.signing_request import read_asked
from kcert.openssl.extensions import KEY_USAGES
from kcert.openssl.pem import armoured
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request, Unreadable, refusals
from tests.scan import test_pem
from tests.scan.made import authority, certificate, name
from tests.scan.odd import encode, mutated, parse, sound, sound_requests, tlv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.gojudge import GoJudge
    from tests.scan.odd import Node

CA = authority()


def refused(record: X509 | Request | Unreadable, *stages: str) -> list[str]:
    return [one.error for one in refusals(record) if one.stage in (stages or ("parse",))]


def fields(record: X509 | Request) -> dict[str, Any]:
    """Return what Go says of a certificate or request too, in its words."""
    names = {
        kind: [one.value for one in record.alt_names if one.type == kind] for kind in ("DNS", "IP", "email", "URI")
    }
    key = record.public_key
    kinds = {"rsa": f"rsa {key.bits}", "ec": f"ec {key.curve}", "ed25519": "ed25519", "dsa": "other"}
    subject = record.subject
    said = {
        "cn": subject.common_name or "",
        "o": list(subject.organizations),
        "ou": list(subject.values("OU")),
        "dns": names["DNS"],
        "ips": names["IP"],
        "emails": names["email"],
        "uris": len(names["URI"]),
        "key": kinds.get(key.algorithm, ""),
    }
    if isinstance(record, X509):
        usages = record.key_usage or ()
        said |= {
            "version": record.version,
            "serial": f"{int(record.serial, 16):x}",
            "issuer": record.issuer.common_name or "",
            "not_before": int(record.not_before.timestamp()),
            "not_after": int(record.not_after.timestamp()),
            "ca": record.ca,
            "path_length": record.path_length,
            "key_usage": sum(1 << KEY_USAGES.index(usage) for usage in usages),
            "purposes": len(record.extended_key_usage or ()),
            "ski": record.subject_key_id or "",
            "aki": record.authority_key_id or "",
        }
    return said


def go_fields(said: dict[str, Any]) -> dict[str, Any]:
    subject = said["subject"]
    flat = {key: said[key] for key in said if key not in ("subject", "issuer", "unhandled", "signature")}
    flat |= {"cn": subject["cn"], "o": subject["o"] or [], "ou": subject["ou"] or [], "issuer": said["issuer"]["cn"]}
    flat |= {key: said[key] or [] for key in ("dns", "ips", "emails")}
    return flat | {key: base64.b64decode(said[key] or "").hex() for key in ("ski", "aki")}


def certificate_differences(go: GoJudge, cases: Sequence[bytes]) -> Iterator[str]:
    """Yield what kcert and Go do not agree on, of certificates in DER."""
    answers = go.answers({"op": "certificate", "data": case} for case in cases)
    for case, answer in zip(cases, answers, strict=True):
        record = read_certificate(armoured(case))
        errors, error = refused(record), answer.get("error")
        if bool(errors) != bool(error):
            yield f"{case.hex()}: Go {error or 'reads it'}, kcert {errors or 'reads it'}"
        elif not error and isinstance(record, X509):
            (said,) = answer["certificates"]
            if (mine := fields(record)) != (theirs := go_fields(said)):
                yield f"{case.hex()}: Go {theirs}, kcert {mine}"
            unhandled = "x509: unhandled critical extension" in refused(record, "verify")
            signature = "cannot verify signature" in " ".join(refused(record, "verify")) or record.self_signed
            unusable = any(error.startswith("tls: unknown") for error in refused(record, "key"))
            if unhandled != bool(said["unhandled"]) or unusable != (said["key"] in ("", "other")):
                yield f"{case.hex()}: Go {said}, kcert {refusals(record)}"
            if said["signature"] and not signature:
                yield f"{case.hex()}: Go does not verify its signature: {said['signature']}"


def request_differences(go: GoJudge, cases: Sequence[bytes]) -> Iterator[str]:
    """Yield what kcert and Go do not agree on, of certificate requests in DER."""
    pems = [armoured(case, "CERTIFICATE REQUEST") for case in cases]
    answers = go.answers({"op": "request", "data": pem.encode()} for pem in pems)
    for case, pem, answer in zip(cases, pems, answers, strict=True):
        record = read_request(pem)
        errors, error = refused(record), answer.get("error")
        if bool(errors) != bool(error):
            yield f"{case.hex()}: Go {error or 'reads it'}, kcert {errors or 'reads it'}"
        elif not error and isinstance(record, Request):
            theirs = {key: value for key, value in go_fields(answer["request"]).items() if key in fields(record)}
            if (mine := fields(record)) != theirs:
                yield f"{case.hex()}: Go {theirs}, kcert {mine}"


ODD_NAMES = {
    "IPv4 mapped to IPv6": tlv(0x87, bytes(10), b"\xff\xff", bytes(4)),
    "IP of 5 bytes": tlv(0x87, bytes(5)),
    "an umlaut": tlv(0x82, "bücher.example".encode()),
    "a full-width comma": tlv(0x82, "lb.example\uff0c10.0.0.5".encode()),
    "a blank": tlv(0x82, b"lb example"),
    "empty": tlv(0x82),
    "a dot at the end": tlv(0x82, b"example.com."),
    "an underscore": tlv(0x82, b"my_lb.example.com"),
    "constructed": tlv(0xA2, tlv(0x16, b"a")),
    "URI with a blank in the host": tlv(0x86, b"http://a b/"),
    "URI with a port in words": tlv(0x86, b"http://a:x/"),
    "URI without a scheme": tlv(0x86, b":a"),
    "URI of an IPv6 address": tlv(0x86, b"https://[fd00::1]:6443/x"),
    "URI with a bad escape": tlv(0x86, b"http://a/%zz"),
    "URI with a dot behind its host": tlv(0x86, b"http://a.example./"),
    "URN": tlv(0x86, b"urn:x:y"),
    "URI relative": tlv(0x86, b"a/b:c"),
    "URI with a colon in its first part": tlv(0x86, b"1a:b/c"),
}


@pytest.mark.parametrize("san", ODD_NAMES.values(), ids=ODD_NAMES)
def test_odd_sans(san: bytes, go: GoJudge) -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), tlv(0x30, tlv(0x82, b"first"), san))
    made = certificate(name("odd"), CA, extensions=[(extension, False)]).certificate
    assert list(certificate_differences(go, [made.public_bytes(serialization.Encoding.DER)])) == []


def with_part(der: bytes, old: bytes, new: bytes) -> bytes:
    """A certificate with one element put in place of another; lengths are made to fit."""
    nodes = parse(der)
    assert nodes is not None
    assert replaced(nodes, old, new)
    return encode(nodes)


def replaced(nodes: list[Node], old: bytes, new: bytes) -> bool:
    for at, (_, content) in enumerate(nodes):
        if encode([nodes[at]]) == old:
            nodes[at : at + 1] = parse(new) or []
            return True
        if isinstance(content, list) and replaced(content, old, new):
            return True
    return False


ODD_PARTS = {
    "negative serial": (tlv(2, b"\x4d"), tlv(2, b"\xb3")),
    "serial zero": (tlv(2, b"\x4d"), tlv(2, b"\0")),
    "serial of 40 bytes": (tlv(2, b"\x4d"), tlv(2, b"\x01" * 40)),
    "version 4": (tlv(0xA0, tlv(2, b"\x02")), tlv(0xA0, tlv(2, b"\x03"))),
    "version 1 with extensions": (tlv(0xA0, tlv(2, b"\x02")), tlv(0xA0, tlv(2, b"\0"))),
    **{
        f"a group as {kind}": (tlv(0x0C, b"odd group"), tlv(tag, b"odd group"))
        for kind, tag in {"T61": 0x14, "Visible": 0x1A, "IA5": 0x16, "Numeric": 0x12, "Octet": 4, "BMP": 0x1E}.items()
    },
    "a group as UniversalString": (tlv(0x0C, b"odd group"), tlv(0x1C, "system:masters".encode("utf-32-be"))),
    "a group in UTF-16 of a surrogate": (tlv(0x0C, b"odd group"), tlv(0x1E, b"\xd8\x3d\xde\0")),
    "a group with its end in UTF-16": (tlv(0x0C, b"odd group"), tlv(0x1E, "system:masters\0".encode("utf-16-be"))),
    "a group with an at sign in a PrintableString": (tlv(0x0C, b"odd group"), tlv(0x13, b"a@b")),
    "a group of bytes that are not UTF-8": (tlv(0x0C, b"odd group"), tlv(0x0C, b"\xff")),
    "a group of numbers": (tlv(0x0C, b"odd group"), tlv(2, b"\x05")),
}


@pytest.mark.parametrize("part", ODD_PARTS.values(), ids=ODD_PARTS)
def test_odd_parts(part: tuple[bytes, bytes], go: GoJudge) -> None:
    made = certificate(name("odd", "odd group"), CA, serial=77, names=["a"]).certificate
    case = with_part(made.public_bytes(serialization.Encoding.DER), *part)
    assert list(certificate_differences(go, [case])) == []


def test_certificates(go: GoJudge) -> None:
    rng = random.Random(18)  # noqa: S311 - the same cases in every run
    cases = [*sound(), *(mutated(rng, rng.choice(sound())) for _ in range(600))]
    assert list(certificate_differences(go, cases)) == []


def test_requests(go: GoJudge) -> None:
    rng = random.Random(19)  # noqa: S311 - the same cases in every run
    cases = [*sound_requests(), *(mutated(rng, rng.choice(sound_requests())) for _ in range(400))]
    assert list(request_differences(go, cases)) == []


def disguised(rng: random.Random) -> bytes:
    """One or two requests in PEM, their BEGIN and END lines and their base64 changed at a few places."""
    pems = [armoured(rng.choice(sound_requests()), "CERTIFICATE REQUEST") for _ in range(rng.randint(1, 2))]
    lines = "".join(pems).splitlines(keepends=True)
    for _ in range(rng.randint(0, 2)):
        at = rng.choice([0, 1, -1, rng.randrange(len(lines))])
        lines[at] = test_pem.changed(rng, lines[at]).decode()
    return "".join(lines).encode()


def request_form_differences(go: GoJudge, cases: list[bytes]) -> list[bytes]:
    """Return those of *cases* of which kcert accepts a request, and Go or openssl reads another one, or none."""
    answers = go.answers({"op": "pem", "data": case} for case in cases)
    wrong = []
    for case, answer in zip(cases, answers, strict=True):
        try:
            accepted = read_asked("openssl", case, "a file")
        except InputError:
            continue
        der = base64.b64decode("".join(accepted.pem.splitlines()[1:-1]))
        by_go = [base64.b64decode(block["der"]) for block in answer.get("blocks", [])]
        by_openssl = subprocess.run(["openssl", "req", "-outform", "DER"], input=case, capture_output=True, check=True)
        if by_go != [der] or by_openssl.stdout != der:
            wrong.append(case)
    return wrong


@pytest.mark.thorough
def test_a_request_that_is_accepted_is_the_only_one_that_go_and_openssl_read(go: GoJudge) -> None:
    rng = random.Random(20)  # noqa: S311 - the same cases in every run
    assert request_form_differences(go, [disguised(rng) for _ in range(120)]) == []
