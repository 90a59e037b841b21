"""One thing looked at closely: what `kcert show` says of a certificate, a key, a request, a kubeconfig, a server.

A ``Field`` is a field, its value, and the name of the section of the lesson *reading-a-certificate* that
says what it means for Kubernetes; the words stand there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.errors import InputError, VerdictError
from kcert.files import read_regular
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request, Unreadable, listed
from kcert.quoting import quote
from kcert.scan.discovery import find_beside, survey
from kcert.scan.documents import NotADocumentError, documents
from kcert.scan.files import look_into
from kcert.scan.inventory import SOON
from kcert.scan.kubeconfigs import is_kubeconfig
from kcert.scan.live import certificates_of, s_client, server_in
from kcert.scan.units import is_unit
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcert.openssl.x509 import PublicKey
    from kcert.scan.files import Inside
    from kcert.scan.live import Server
    from kcert.scan.result import CertificateRef, KubeconfigUse

SHORTEST_RSA = 2048

MOST_SHOWN = 100
"""Certificates of one file that are shown field by field."""


@dataclass(frozen=True)
class Field:
    """One field: its name, its value, and the heading of what it means; ``words`` fill that in."""

    name: str
    value: str
    meaning: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """A command that was run, and what it said; ``by_hand`` is how a person would type it where that differs."""

    argv: tuple[str, ...]
    said: str
    succeeded: bool
    by_hand: str | None = None


@dataclass(frozen=True)
class Part:
    """One thing among those that a file holds."""

    title: str
    facts: tuple[Field, ...]
    ran: tuple[CommandResult, ...] = ()


@dataclass(frozen=True)
class Description:
    """All that is to be shown of one WHAT. ``fault`` is why it was found wrong, or None; ``left`` counts the rest."""

    what: str
    parts: tuple[Part, ...]
    fault: str | None = None
    left: int = 0


def look_at(what: str, openssl: str) -> Description:
    """Look at a file or a ``host:port``; InputError where there is nothing to look at."""
    path = Path(what)
    server = None if path.exists() or path.is_symlink() else server_in(what)
    if server is not None:
        return _server(server, openssl)
    opened = look_into(path)
    if opened.trouble:
        raise InputError(f"{what} {opened.trouble.reason}. WHAT is a file, or HOST:PORT of a running server.")
    if opened.text is not None:
        return _document(path, opened.text, openssl)
    if opened.certificates:
        return _certificates(path, opened, openssl)
    if any("CERTIFICATE REQUEST" in name for name in opened.labels):
        return _request(path, openssl)
    if opened.key is not None:
        return _key(path, opened, openssl)
    if opened.public_key is not None:
        return _public_key(path, openssl)
    hint = ""
    if opened.nothing and opened.nothing.startswith("is DER"):
        hint = (
            f" `openssl x509 -inform DER -in {quote(what)} -out {quote(what + '.pem')}` turns a certificate into PEM."
        )
    raise InputError(f"{what} {opened.why_no_certificate}.{hint}")


# ---------------------------------------------------------------- certificates


def _certificates(path: Path, opened: Inside, openssl: str) -> Description:
    beside = find_beside(path, openssl)
    uses = {use.position: use for use in reversed(beside.uses) if use.path == path}
    parts = []
    for number, certificate in enumerate(map(read_certificate, opened.certificates[:MOST_SHOWN])):
        if isinstance(certificate, Unreadable):
            raise InputError(f"{path} {certificate.reason}.")
        use = uses.get(number)
        ran: list[CommandResult] = []
        if number == 0:
            ran.append(_ran((openssl, "x509", "-in", str(path), "-text", "-noout")))
            if use is not None and use.issuer_path is not None and use.issuer_path != path:
                ran.append(_ran((openssl, "verify", "-CAfile", str(use.issuer_path), str(path))))
        title = str(path) if len(opened.certificates) == 1 else f"{path}, certificate {number + 1}"
        parts.append(Part(title, _facts(certificate, use, ran), tuple(ran)))
    return Description(str(path), tuple(parts), left=len(opened.certificates) - len(parts))


def _facts(
    certificate: X509, use: CertificateRef | None = None, ran: list[CommandResult] | None = None
) -> tuple[Field, ...]:
    facts = [*_who(certificate), *_names(certificate), _use(certificate), _issuer(certificate, use, ran or [])]
    facts.append(_validity(certificate))
    facts += _public(certificate.public_key)
    if use is not None and use.key_path is not None:
        answers = {True: "belongs to it", False: "does not belong to it", None: "cannot be compared (a passphrase?)"}
        facts.append(Field("key file", f"{use.key_path} {answers[use.key_fits]}"))
    facts.append(Field("signed with", certificate.signature_algorithm))
    facts.append(Field("version", str(certificate.version), "Version 1" if certificate.version == 1 else None))
    facts.append(Field("serial", certificate.serial))
    facts.append(Field("SHA-256", certificate.sha256))
    return tuple(facts)


def _who(certificate: X509) -> list[Field]:
    """The subject, and what it makes of its holder: a user with groups, a server, a CA."""
    subject = certificate.subject
    name = subject.common_name
    if certificate.ca:
        return [Field("subject", str(subject), "CA name")]
    if not certificate.may_dial:
        return [Field("subject", str(subject) or "(empty)", "Server name" if certificate.alt_names else None)]
    return [
        Field("user (CN)", name, "User", {"user": name}) if name else Field("user (CN)", "none", "No user"),
        *_groups(subject.organizations, name),
        *[Field("OU", unit, "Unit") for unit in subject.units],
        *[Field("UID", uid) for uid in subject.uids],
        Field("subject", str(subject)),
    ]


def _groups(groups: tuple[str, ...], user: str | None) -> list[Field]:
    if not groups:
        return [Field("groups (O)", "none", "No groups", {"user": user})] if user else []
    found = [Field("groups (O)", listed(groups), "Groups", {"groups": listed(groups)})]
    if "system:masters" in groups:
        found.append(Field("rights", "everything", "Masters"))
    return found


def _names(certificate: X509) -> list[Field]:
    if certificate.alt_names:
        return [Field("names", listed(str(name) for name in certificate.alt_names), "Alternative names")]
    if certificate.ca or not certificate.may_serve or certificate.extended_key_usage is None:
        return []
    return [Field("names", "none", "No alternative names")]


def _use(certificate: X509) -> Field:
    if certificate.ca:
        return Field("use", ", ".join(certificate.key_usage or ("CA",)), "CA use")
    usages = certificate.extended_key_usage
    words = ", ".join((*(certificate.key_usage or ()), *(usages or ())))
    if usages is None:
        old_root = certificate.version == 1 and certificate.self_issued
        return Field("use", words or "any", "Old CA" if old_root else "Any use")
    meanings = {(True, True): "Both uses", (True, False): "Server use", (False, True): "Client use"}
    return Field("use", words, meanings.get((certificate.may_serve, certificate.may_dial), "Other use"))


def _issuer(certificate: X509, use: CertificateRef | None, ran: list[CommandResult]) -> Field:
    if certificate.self_issued:
        return Field("signed by", "itself", "Itself")
    value = str(certificate.issuer)
    checked = next((one for one in ran if one.argv[1] == "verify"), None)
    if checked is not None and use is not None:
        verdict = "confirms it" if checked.succeeded else f"says no: {_complaint(checked.said)}"
        value += f"; openssl verify with {use.issuer_path} {verdict}"
    return Field("signed by", value, "Issuer")


def _complaint(said: str) -> str:
    found = re.search(r"error \d+ at \d+ depth lookup: ?(.+)", said)
    return found[1].strip() if found else "it could not check"


def _validity(certificate: X509) -> Field:
    now = datetime.now(timezone.utc)
    begins, ends = certificate.not_before, certificate.not_after
    span = f"{begins:%Y-%m-%d %H:%M:%S} to {ends:%Y-%m-%d %H:%M:%S} UTC"
    days = abs((ends - now) // timedelta(days=1))
    if now > ends:
        return Field("valid", f"{span}, ended {days} days ago", "Expired")
    if now < begins:
        return Field("valid", span, "Not yet valid")
    return Field("valid", f"{span}, {days} days left", "Expiring" if days < SOON else "Valid")


def _public(key: PublicKey) -> list[Field]:
    size = f"{key.curve or key.bits}"
    name = "ECDSA" if key.algorithm == "ec" else key.algorithm.upper()
    weak = key.algorithm == "rsa" and key.bits < SHORTEST_RSA
    return [Field("public key", f"{name} {size}", "Weak key" if weak else "Key")]


# ---------------------------------------------------------------- keys and requests


def _key(path: Path, opened: Inside, openssl: str) -> Description:
    mode = f"{opened.mode:04o}"
    if opened.encrypted:
        locked = (Field("encrypted", "yes", "Encrypted key"), Field("mode", mode, "Private key"))
        return Description(str(path), (Part(str(path), locked),))
    described = read(Command((openssl, "pkey", "-in", str(path), "-noout", "-text_pub"))).stdout.decode("latin-1")
    ran = _ran((openssl, "rsa" if "Modulus" in described else "pkey", "-in", str(path), "-check", "-noout"))
    size = re.search(r"\((\d+) bit", described)
    curve = re.search(r"NIST CURVE: (\S+)", described)
    kind = "RSA" if "Modulus" in described else "ECDSA" if "ASN1 OID" in described else described.split(" ")[0]
    # openssl rsa -check ends with 0 whatever it finds; what it says is what counts.
    sound = ran.succeeded and re.search(r"^(?:RSA key ok|Key is valid)$", ran.said, re.MULTILINE) is not None
    facts = [
        Field("private key", f"{kind} {curve[1] if curve else size[1] if size else ''}".strip()),
        Field("check", "sound" if sound else "openssl says no"),
        Field("mode", mode, "Private key"),
    ]
    facts += [
        Field("belongs to", f"{use.path} ({use.certificate.subject})")
        for use in find_beside(path, openssl).uses
        if use.key_path == path and use.key_fits
    ]
    fault = None if sound else f"{path} is no sound key"
    return Description(str(path), (Part(str(path), tuple(facts), (ran,)),), fault)


def _public_key(path: Path, openssl: str) -> Description:
    ran = _ran((openssl, "pkey", "-pubin", "-in", str(path), "-text", "-noout"))
    found = re.search(r"\((\d+) bit", ran.said)
    value = f"{found[1]} bits" if found else "openssl cannot read it"
    return Description(str(path), (Part(str(path), (Field("public key", value, "Key"),), (ran,)),))


def _request(path: Path, openssl: str) -> Description:
    ran = _ran((openssl, "req", "-in", str(path), "-text", "-noout", "-verify"))
    request = read_request(read_regular(path).decode("latin-1"))
    if isinstance(request, Unreadable):
        raise InputError(f"{path} {request.reason}.")
    return Description(str(path), (Part(str(path), _request_facts(request, ran), (ran,)),))


def _request_facts(request: Request, ran: CommandResult) -> tuple[Field, ...]:
    name = request.subject.common_name
    signature = "made with the key that it is about" if ran.succeeded else "does not fit its key"
    return (
        Field("user (CN)", name, "User", {"user": name}) if name else Field("user (CN)", "none", "No user"),
        *_groups(request.subject.organizations, name),
        *[Field("OU", unit, "Unit") for unit in request.subject.units],
        *[Field("UID", uid) for uid in request.subject.uids],
        Field("subject", str(request.subject) or "(empty)"),
        Field("names asked for", listed(str(one) for one in request.alt_names) or "none"),
        Field("uses asked for", ", ".join((*(request.key_usage or ()), *(request.extended_key_usage or ()))) or "none"),
        *_public(request.public_key),
        Field("signature", signature, "Request"),
    )


# ---------------------------------------------------------------- kubeconfigs and servers


def _document(path: Path, content: bytes, openssl: str) -> Description:
    if is_unit(content):
        raise _starts_a_component(path)
    try:
        found = [document for document in documents(content) if is_kubeconfig(document)]
    except NotADocumentError as error:
        raise InputError(f"{path} {error}.") from None
    if not found:
        raise _starts_a_component(path)
    looked = survey([str(path)], None, openssl)
    parts = [_context(one, looked.uses, openssl) for one in looked.kubeconfigs]
    if not parts:
        raise InputError(f"{path} is a kubeconfig without a cluster or a user.")
    faults = [f"{problem.path} {problem.reason}" for problem in looked.problems]
    return Description(str(path), tuple(parts), faults[0] if faults else None)


def _starts_a_component(path: Path) -> InputError:
    return InputError(
        f"{path} starts a component; it is no certificate itself. "
        f"`kcert inventory {quote(str(path))}` lists those it names."
    )


def _context(kubeconfig: KubeconfigUse, uses: tuple[CertificateRef, ...], openssl: str) -> Part:
    current = ", the current one" if kubeconfig.current else ""
    facts = [Field("context", f"{kubeconfig.name or '(none)'}{current}", "Kubeconfig")]
    if kubeconfig.server:
        own = kubeconfig.verifies and not kubeconfig.server_name
        facts.append(Field("server", kubeconfig.server, "Server address" if own else None))
    if not kubeconfig.verifies:
        facts.append(Field("verifies the server", "no", "No verification"))
    elif kubeconfig.server_name:
        facts.append(Field("expects", kubeconfig.server_name, "Expected name"))
    for authority in kubeconfig.authorities:
        where = "inside the file" if kubeconfig.ca_embedded else str(kubeconfig.ca_path)
        facts.append(Field("trusts", f"{authority.subject} ({where})", "Issuer"))
    ran: list[CommandResult] = []
    if kubeconfig.user is not None:
        use = next((one for one in uses if one.kubeconfig == kubeconfig and one.certificate is kubeconfig.user), None)
        use = use or next((one for one in uses if one.certificate == kubeconfig.user), None)
        ran.append(_user_text(kubeconfig, openssl))
        facts += _facts(kubeconfig.user, use)
    return Part(f"{kubeconfig.path}, user {kubeconfig.user_name or '(none)'}", tuple(facts), tuple(ran))


def _user_text(kubeconfig: KubeconfigUse, openssl: str) -> CommandResult:
    assert kubeconfig.user is not None
    if kubeconfig.user_path != kubeconfig.path:
        return _ran((openssl, "x509", "-in", str(kubeconfig.user_path), "-text", "-noout"))
    argv = (openssl, "x509", "-text", "-noout")
    by_hand = (
        f"awk '/client-certificate-data:/ {{print $2}}' {quote(str(kubeconfig.path))} | base64 -d | {' '.join(argv)}"
    )
    reading = read(Command(argv), kubeconfig.user.pem.encode())
    return CommandResult(argv, reading.stdout.decode("utf-8", "replace"), reading.succeeded, by_hand)


def _server(server: Server, openssl: str) -> Description:
    command = s_client(openssl, server)
    shown, reason = certificates_of(openssl, server)
    if reason:
        raise VerdictError(f"{server} {reason}.")
    parts = []
    for number, certificate in enumerate(map(read_certificate, shown)):
        if isinstance(certificate, Unreadable):
            raise VerdictError(f"{server} shows something that is no certificate: it {certificate.reason}.")
        ran: tuple[CommandResult, ...] = ()
        extra: tuple[Field, ...] = ()
        if number == 0:
            text = read(Command((openssl, "x509", "-text", "-noout")), shown[0].encode())
            ran = (CommandResult(command.argv, text.stdout.decode("utf-8", "replace"), succeeded=True),)
            extra = (Field("server", str(server), "Live"),)
        title = str(server) if len(shown) == 1 else f"{server}, certificate {number + 1} of {len(shown)}"
        parts.append(Part(title, (*extra, *_facts(certificate)), ran))
    return Description(str(server), tuple(parts))


def _ran(argv: tuple[str, ...]) -> CommandResult:
    reading = read(Command(argv))
    return CommandResult(argv, reading.stdout.decode("utf-8", "replace") + reading.stderr, reading.succeeded)
