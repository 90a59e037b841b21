"""What Go, and so every component of Kubernetes, does not accept although openssl reads it.

Sources: crypto/x509 (parser.go: names that are no IA5String, negative serial numbers, curves and key algorithms) and
crypto/tls (X509KeyPair: encrypted keys) of Go 1.23 and newer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.check import bash
from kcert.check.repairs import authority_replaced, reissue_commands
from kcert.check.rule import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import AltName
    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509, PublicKey

_CURVES = frozenset({"P-224", "P-256", "P-384", "P-521"})
_ALGORITHMS = frozenset({"rsa", "ec", "ed25519", "x25519", "dsa"})
_HOST = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)*")


def refused_certificates(case: RuleContext) -> Iterator[Violation]:
    """Certificates that Go does not parse; one of them makes Go reject its whole file."""
    for found in case.deduplicated:
        reason, new_key = refusal(found.certificate)
        if not reason:
            continue
        others = " and with it the whole file" if case.has_company(found) else ""
        message = f"{found.description} {reason}: openssl reads it, but Kubernetes rejects it{others}."
        fix = _signed_again(case, found, new_key=new_key)
        yield Violation(found.path, message, _evidence(found.certificate, reason), fix, found.is_authority)


def _signed_again(case: RuleContext, found: CertificateInstance, *, new_key: bool) -> str:
    if not (new_key and found.is_root):
        return reissue_commands(case, found, new_key=new_key)
    return authority_replaced(case, found)


def refusal(certificate: X509) -> tuple[str, bool]:
    """Return a clause that says why Go rejects *certificate* (empty: it does not), and True where its key is why."""
    if certificate.serial.startswith("-"):
        return "has a negative serial number", False
    if reason := _refused_key(certificate.public_key):
        return reason, True
    for name in certificate.alt_names:
        if not name.value.isascii():
            return f"has the SAN {name}, which is not plain ASCII", False
    return "", False


def _refused_key(key: PublicKey) -> str:
    if key.algorithm == "ec" and key.bits and key.curve not in _CURVES:
        return f"has a key on the curve {key.curve or 'that it describes itself'}, which Go does not know"
    if key.algorithm == "rsa-pss":
        return "has an RSASSA-PSS key, which Go does not know"
    if key.bits and not key.algorithm.startswith("rsa") and key.algorithm not in _ALGORITHMS:
        return f"has a key of the type {key.algorithm}, which Go does not know"
    return ""


def _evidence(certificate: X509, reason: str) -> str:
    if "serial" in reason:
        return f"serial: {certificate.serial}"
    if "SAN" in reason:
        return f"subjectAltName: {next(name for name in certificate.alt_names if not name.value.isascii())}"
    key = certificate.public_key
    return f"public key: {key.algorithm}, {key.curve or f'{key.bits} bit'}"


def malformed_names(certificate: X509) -> list[AltName]:
    """Return the DNS names that no client can connect to: empty, with a blank, or with a dot at the end."""
    names = (name for name in certificate.alt_names if name.type == "DNS" and name.value.isascii())
    return [name for name in names if not _HOST.fullmatch(name.value)]


def encrypted_keys(case: RuleContext) -> Iterator[Violation]:
    """Keys with a passphrase that a component has to load: none of them can ask for one."""
    for key in case.survey.keys:
        if not key.encrypted or key.source is None or not key.option:
            continue
        message = (
            f"{key.path} is encrypted, and {key.option} of {key.source} names it. No component of Kubernetes can ask "
            "for a passphrase: it does not start."
        )
        path = bash.word(key.path)
        fix = "" if key.embedded else f"openssl pkey -in {path} -out {path}.new &&\n  mv {path}.new {path}"
        yield Violation(key.path, message, f"{key.path} holds an encrypted private key", fix)
