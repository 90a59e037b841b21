"""The fields of a certificate or a request, as `kcert show` names them, with the section that explains each.

The sections are those of the lesson *reading-a-certificate*, which has the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from kcert.openssl.x509 import X509, Name, PublicKey, Request, listed, refusals, weakness
from kcert.scan import SOON, CertificateRef


@dataclass(frozen=True)
class Field:
    """One field: its name, its value, and the heading of what it means; ``words`` fill that in."""

    name: str
    value: str
    meaning: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """A command that was run, and its output; ``by_hand`` is how a person would type it where that differs."""

    argv: tuple[str, ...]
    output: str
    succeeded: bool
    by_hand: str | None = None


@dataclass(frozen=True)
class Part:
    """One thing among those that a file holds."""

    title: str
    fields: tuple[Field, ...]
    commands: tuple[CommandResult, ...] = ()


@dataclass(frozen=True)
class Description:
    """All that is shown of one WHAT: ``fault`` is what is wrong with it, ``left_out`` counts further certificates."""

    what: str
    parts: tuple[Part, ...]
    fault: str | None = None
    left_out: int = 0


def certificate_fields(
    certificate: X509, use: CertificateRef | None = None, commands: list[CommandResult] | None = None
) -> tuple[Field, ...]:
    """Return the fields of a certificate; *use* and the *commands* that were run say of its key and its issuer."""
    fields = [*_refused(certificate), *_who(certificate), *_names(certificate), _use(certificate)]
    fields += [_issuer(certificate, use, commands or []), _validity(certificate)]
    fields += key_fields(certificate.public_key)
    if use is not None and use.key_path is not None:
        answers = {
            True: "matches this certificate",
            False: "does not match this certificate",
            None: "cannot be compared (a passphrase?)",
        }
        fields.append(Field("key file", f"{use.key_path} {answers[use.key_fits]}"))
    fields.append(Field("signed with", certificate.signature_algorithm))
    fields.append(Field("version", str(certificate.version), "Version 1" if certificate.version == 1 else None))
    fields.append(Field("serial", re.sub(r"^-", "-0x", certificate.serial)))
    fields.append(Field("SHA-256", certificate.sha256))
    return tuple(fields)


def _refused(record: X509 | Request) -> list[Field]:
    return [
        Field("Kubernetes", f"rejects it: {refusal.reason} ({refusal.error})", "Refused")
        for refusal in refusals(record)
    ]


def _who(certificate: X509) -> list[Field]:
    """The subject, and what it makes of its holder: a user with groups, a server, a CA."""
    subject = certificate.subject
    if certificate.ca:
        return [Field("subject", str(subject), "CA name")]
    if not certificate.allows("clientAuth"):
        return [Field("subject", str(subject) or "(empty)", "Server name" if certificate.alt_names else None)]
    return [*_user(subject), Field("subject", str(subject))]


def _user(subject: Name) -> list[Field]:
    name = subject.common_name
    return [
        Field("user (CN)", name, "User", {"user": name}) if name else Field("user (CN)", "none", "No user"),
        *_groups(subject.organizations, name),
        *[Field("OU", unit, "Unit") for unit in subject.values("OU")],
        *[Field("UID", uid) for uid in subject.uids],
    ]


def _groups(groups: tuple[str, ...], user: str | None) -> list[Field]:
    if not groups:
        return [Field("groups (O)", "none", "No groups", {"user": user})] if user else []
    fields = [Field("groups (O)", listed(groups), "Groups", {"groups": listed(groups)})]
    if "system:masters" in groups:
        fields.append(Field("permissions", "everything", "Masters"))
    return fields


def _names(certificate: X509) -> list[Field]:
    if certificate.alt_names:
        return [Field("SANs", listed(str(name) for name in certificate.alt_names), "Alternative names")]
    if certificate.ca or not certificate.allows("serverAuth") or certificate.extended_key_usage is None:
        return []
    return [Field("SANs", "none", "No alternative names")]


def _use(certificate: X509) -> Field:
    if certificate.ca:
        return Field("usages", ", ".join(certificate.key_usage or ("CA",)), "CA use")
    usages = certificate.extended_key_usage
    words = ", ".join((*(certificate.key_usage or ()), *(usages or ())))
    if usages is None:
        old_root = certificate.version == 1 and certificate.self_signed
        return Field("usages", words or "any", "Old CA" if old_root else "Any use")
    meanings = {(True, True): "Both uses", (True, False): "Server use", (False, True): "Client use"}
    return Field(
        "usages", words, meanings.get((certificate.allows("serverAuth"), certificate.allows("clientAuth")), "Other use")
    )


def _issuer(certificate: X509, use: CertificateRef | None, commands: list[CommandResult]) -> Field:
    if certificate.self_signed:
        return Field("issuer", "itself", "Itself")
    value = str(certificate.issuer)
    checked = next((command for command in commands if command.argv[1] == "verify"), None)
    if checked is not None and use is not None:
        verdict = "OK" if checked.succeeded else _complaint(checked.output)
        value += f" (openssl verify with {use.issuer_path}: {verdict})"
    return Field("issuer", value, "Issuer")


def _complaint(output: str) -> str:
    match = re.search(r"error \d+ at \d+ depth lookup: ?(.+)", output)
    return match[1].strip() if match else "it could not check"


def _validity(certificate: X509) -> Field:
    now = datetime.now(timezone.utc)
    begins, ends = certificate.not_before, certificate.not_after
    span = f"{begins:%Y-%m-%d %H:%M:%S} to {ends:%Y-%m-%d %H:%M:%S} UTC"
    days = abs(ends - now) // timedelta(days=1)
    if now > ends:
        return Field("valid", f"{span}, expired {days} days ago", "Expired")
    if now < begins:
        return Field("valid", span, "Not yet valid")
    return Field("valid", f"{span}, {days} days left", "Expiring" if days < SOON else "Valid")


def key_fields(key: PublicKey) -> list[Field]:
    """Return the kind and the size of a public key."""
    return [Field("public key", str(key), "Weak key" if weakness(key) else "Key")]


def request_fields(request: Request, check: CommandResult | None = None) -> tuple[Field, ...]:
    """Return the fields of a request; *check* is openssl's verification of its signature."""
    fits = check is None or check.succeeded
    signature = "made with the key in the request" if fits else "does not match the key in the request"
    return (
        *_refused(request),
        *_user(request.subject),
        Field("subject", str(request.subject) or "(empty)"),
        Field("requested SANs", listed(str(san) for san in request.alt_names) or "none"),
        Field(
            "requested usages", ", ".join((*(request.key_usage or ()), *(request.extended_key_usage or ()))) or "none"
        ),
        *key_fields(request.public_key),
        *([Field("signature", signature, "Request")] if check is not None else []),
    )
