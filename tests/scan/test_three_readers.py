"""kcert, `cryptography` and ``openssl x509 -text`` read the same; damaged certificates are never a crash."""

from __future__ import annotations

import random
import re
import subprocess
import time
import warnings
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from cryptography import x509

from kcert.openssl.extensions import KEY_USAGES
from kcert.openssl.pem import armoured
from kcert.openssl.reader import read_certificate, read_public_key, read_request
from kcert.openssl.x509 import X509, Unreadable
from tests.scan.odd import mutated, sound, sound_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECONDS = 0.5
"""Of the processor. No reading takes a hundredth of it."""

_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_NAMES: dict[type, str] = {
    x509.DNSName: "DNS",
    x509.RFC822Name: "email",
    x509.UniformResourceIdentifier: "URI",
    x509.IPAddress: "IP",
}


def kcert_fields(record: X509) -> dict[str, Any]:
    return {
        "serial": int(record.serial, 16),
        "subject": [value for _, value in record.subject.parts],
        "issuer": [value for _, value in record.issuer.parts],
        "dates": (record.not_before, record.not_after),
        "ca": (record.ca, record.path_length),
        "key usage": [one for one in record.key_usage or () if one not in KEY_USAGES[7:]],
        "purposes": len(record.extended_key_usage or ()),
        "names": [(one.type, one.value) for one in record.alt_names if one.type in _NAMES.values()],
        "key ids": (record.subject_key_id, record.authority_key_id),
    }


def cryptography_fields(certificate: x509.Certificate) -> dict[str, Any]:
    found = {extension.oid: extension.value for extension in certificate.extensions}
    constraints: Any = found.get(x509.BasicConstraints.oid)
    usage: Any = found.get(x509.KeyUsage.oid)
    names: Any = found.get(x509.SubjectAlternativeName.oid, ())
    ski: Any = found.get(x509.SubjectKeyIdentifier.oid)
    aki: Any = found.get(x509.AuthorityKeyIdentifier.oid)
    purposes: Any = found.get(x509.ExtendedKeyUsage.oid, ())
    identifiers = ski.digest if ski else None, aki.key_identifier if aki else None
    return {
        "serial": certificate.serial_number,
        "subject": [attribute.value for attribute in certificate.subject],
        "issuer": [attribute.value for attribute in certificate.issuer],
        "dates": (certificate.not_valid_before_utc, certificate.not_valid_after_utc),
        "ca": (constraints.ca, constraints.path_length) if constraints else (None, None),
        "key usage": [mine for theirs, mine in _USAGES.items() if usage is not None and getattr(usage, theirs)],
        "purposes": len(list(purposes)),
        "names": [(_NAMES[type(one)], str(one.value)) for one in names if type(one) in _NAMES],
        "key ids": tuple(identifier.hex() if identifier is not None else None for identifier in identifiers),
    }


def by_cryptography(der: bytes) -> dict[str, Any] | None:
    """Return what `cryptography` reads; None where it refuses the certificate or a part of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what it reads all the same
            return cryptography_fields(x509.load_der_x509_certificate(der))
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType, x509.DuplicateExtension, x509.InvalidVersion):
        return None


def by_openssl(der: bytes) -> dict[str, Any] | None:
    """Return what ``openssl x509 -text`` says, as far as its text is unambiguous; None where it cannot read it."""
    names = "utf8,esc_2253,esc_ctrl,esc_msb,dump_nostr,dump_der,sname,sep_comma_plus"
    argv = ["openssl", "x509", "-inform", "DER", "-noout", "-text", "-nameopt", names]
    done = subprocess.run(argv, input=der, capture_output=True, check=False)
    text = done.stdout.decode("latin-1")
    found = re.search(
        r"Serial Number:\s*(?:(-?\d+) \(-?0x[0-9a-f]+\)|( ?\(Negative\)\s*)?([0-9a-f:]+))\n.*?"
        r"Not Before: ([^\n]+)\n\s+Not After : ([^\n]+)\n\s+Subject:([^\n]*)\n",
        text,
        re.DOTALL,
    )
    if done.returncode or not found:
        return None
    small, minus, digits, begins, ends, subject = found.groups()
    ca = re.search(r"X509v3 Basic Constraints:[^\n]*\n {16}(?:CA:(TRUE|FALSE))?", text)
    return {
        "serial": int(small) if small else int(digits.replace(":", ""), 16) * (-1 if minus else 1),
        "dates": (_date(begins), _date(ends)),
        "subject": len(re.findall(r"(?<!\\)[,+]", subject)) + 1 if subject.strip() else 0,
        # Bytes behind the constraints: openssl shows hex, Go passes over them.
        **({} if ca and not ca[1] else {"ca": ca[1] == "TRUE" if ca else None}),
    }


def _date(text: str) -> datetime | str:
    try:
        return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=timezone.utc)
    except ValueError:
        return text


def differences(cases: Sequence[bytes]) -> Iterator[str]:
    """Yield what the three do not agree on, unless it is a known difference."""
    for der in cases:
        record = read_certificate(armoured(der))
        theirs, text = by_cryptography(der), by_openssl(der)
        if isinstance(record, Unreadable):
            # Go refuses it as well (see test_like_go); whether others are as strict does not matter.
            continue
        mine = kcert_fields(record)
        if theirs is not None and not _explained(record):
            wrong = {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}
            if wrong:
                yield f"{der.hex()}: kcert, cryptography: {wrong}"
        if text is not None:
            flat = mine | {"subject": len(record.subject.parts), "ca": record.ca}
            wrong = {key: (flat[key], text[key]) for key in text if flat[key] != text[key]}
            if record.version != 3 or record.malformed:
                wrong.pop("ca", None)  # Go, and so kcert, reads extensions of version 3 alone
            if wrong:
                yield f"{der.hex()}: kcert, openssl: {wrong}"


def _explained(record: X509) -> bool:
    """Return where `cryptography` differs: strings that Go refuses or passes over, extensions before version 3."""
    parts = (*record.subject.parts, *record.issuer.parts)
    return record.version != 3 or bool(record.malformed) or any(value.startswith("#") for _, value in parts)


def test_odd_certificates_are_read_the_same() -> None:
    rng = random.Random(13)  # noqa: S311 - the same cases in every run
    cases = [*sound(), *(mutated(rng, rng.choice(sound())) for _ in range(40))]
    assert list(differences(cases)) == []


def crashes(rng: random.Random, count: int) -> Iterator[str]:
    """Yield the damaged certificates, requests and keys on which a reader fails, or takes too long."""
    for number in range(count):
        der = mutated(rng, rng.choice(sound() if number % 2 else sound_requests()))
        began = time.process_time()
        try:
            read_certificate(armoured(der))
            read_request(armoured(der, "CERTIFICATE REQUEST"))
            read_public_key(der)
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            yield f"{der.hex()}: {error!r}"
        if time.process_time() - began > SECONDS:
            yield f"{der.hex()}: took too long"


def test_damaged_ones_are_no_crash() -> None:
    assert list(crashes(random.Random(100), 1000)) == []  # noqa: S311 - the same cases in every run
