"""The description that `kcert show` gives of one certificate, key, request, kubeconfig, server, or other file.

The fields of a certificate are in ``kcert.scan.fields``, other formats in ``kcert.scan.files``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from kcert.clusters import KUBEADM, cluster_kind_of
from kcert.errors import InputError, VerdictError
from kcert.files import LARGEST
from kcert.kubeconfig import read_command
from kcert.openssl.pem import Block, armoured, is_der, pem_blocks
from kcert.openssl.program import public_part
from kcert.openssl.reader import certificate_pems, read_certificate, read_request
from kcert.openssl.verify import Signatures
from kcert.openssl.x509 import X509, Request, Unreadable, key_refusals, refusals
from kcert.quoting import format_command, quote
from kcert.roles import ROLES
from kcert.scan import CertificateRef, KubeconfigUse
from kcert.scan.discovery import find_beside, survey
from kcert.scan.documents import NotADocumentError, documents, is_kubeconfig
from kcert.scan.fields import CommandResult, Description, Field, Part, certificate_fields, key_fields, request_fields
from kcert.scan.files import Embedded, Inside, embedded, inside, look_into, recognize, unwrapped
from kcert.scan.fs import Content, ReadError, Server, certificates_of, read_file, s_client, server_in
from kcert.scan.units import is_unit
from kcert.shell import Command, read

SHOWN = 100
"""Certificates of one file: more than anyone reads, and a screen of each."""


def describe(what: str, openssl: str) -> Description:
    """Describe a file, a ``host:port``, or ``-``, the certificates of standard input.

    Raises InputError if there is nothing to describe.
    """
    if what == "-":
        return _standard_input(openssl)
    path = Path(what)
    server = None if path.exists() or path.is_symlink() else server_in(what)
    if server is not None:
        return _server(server, openssl)
    content = read_file(path)
    if isinstance(content, ReadError):
        raise InputError(
            f"{what} {content.reason}. WHAT is a file, HOST:PORT of a running server, or - (standard input)."
        )
    opened = inside(content)
    if opened.text is not None:
        return _document(path, opened.text, openssl)
    return _blocks(path, content, opened, openssl) or _other(path, content, opened, openssl)


def _blocks(path: Path, content: Content, opened: Inside, openssl: str) -> Description | None:
    blocks = pem_blocks(content.data)
    if any(block.is_certificate and block.der for block in blocks):
        return _certificates(path, [block for block in blocks if block.is_certificate], openssl)
    if request := next((block for block in blocks if block.is_request and block.der), None):
        return _request(path, request, openssl)
    key = next((block for block in blocks if block.is_key), None)
    if key is not None and opened.key is not None and key.label != "OPENSSH PRIVATE KEY":
        return _key(path, key, opened, openssl)
    if key := next((block for block in blocks if "PUBLIC KEY" in block.label), None):
        return _public_key(path, key, openssl)
    return None


def _other(path: Path, content: Content, opened: Inside, openssl: str) -> Description:
    if document := embedded(content.data):
        return _embedded(path, *document, openssl)
    known = recognize(path, content.data, openssl)
    if known is None:
        raise InputError(f"{path} {opened.why_no_certificate}.")
    commands = tuple(CommandResult(argv, "", succeeded=True) for argv in known.commands)
    fields = [Field("format", known.name, known.meaning)]
    if known.block is not None and known.block.is_certificate:
        fields += certificate_fields(_readable(path, read_certificate(known.block.pem)))
    elif known.block is not None and known.block.is_request:
        fields += request_fields(_readable(path, read_request(known.block.pem)))
    elif known.block is not None and (key := public_part(known.block)):
        fields += key_fields(key)
    return _whole(path, fields, commands)


def _whole(
    path: Path, fields: Iterable[Field], commands: tuple[CommandResult, ...] = (), fault: str | None = None
) -> Description:
    """Describe a file as one part; *fault* is what is wrong with it."""
    part = Part(str(path), tuple(fields), commands)
    return Description(str(path), (part,), f"{path}: {fault}" if fault else None)


def _refused(fault: str | None) -> tuple[Field, ...]:
    return (Field("Kubernetes", fault, "Refused"),) if fault else ()


def _embedded(path: Path, kind: str, values: list[Embedded], openssl: str) -> Description:
    parts = []
    for value in values:
        for record in map(read_certificate, certificate_pems(value.content)[:SHOWN]):
            certificate = _readable(path, record)
            argv = (openssl, "x509", "-text", "-noout")
            print_content = value.command(path)
            by_hand = f"{print_content} | {format_command(argv)}" if print_content else None
            commands = (_run(argv, certificate.pem, by_hand),) if by_hand else ()
            fields = (Field("format", kind, "Document"), *certificate_fields(certificate))
            parts.append(Part(f"{path}, {value.key}", fields, commands))
    if not parts:
        raise InputError(f"{path} is a {kind} without a certificate that kcert can show.")
    return Description(str(path), tuple(parts))


Record = TypeVar("Record", X509, Request)


def _readable(path: Path, record: Record | Unreadable) -> Record:
    if isinstance(record, Unreadable):
        raise InputError(f"{path} {record.reason}.")
    return record


def _certificates(path: Path, blocks: list[Block], openssl: str) -> Description:
    # With thousands of certificates, reading what belongs to each takes seconds.
    beside = find_beside(path, openssl).uses if len(blocks) <= SHOWN else ()
    uses = {use.position: use for use in reversed(beside) if use.path == path}
    parts, position = [], 0
    for number, block in enumerate(blocks[:SHOWN]):
        if not block.der:
            raise InputError(f"{path}: {block.fault}.")
        certificate = _readable(path, read_certificate(block.pem))
        use = None
        if block.fault is None:
            use, position = uses.get(position), position + 1
        commands: list[CommandResult] = []
        if number == 0:
            commands.append(_run((openssl, "x509", "-in", str(path), "-text", "-noout")))
            if use is not None and use.issuer_path is not None and use.issuer_path != path:
                commands.append(_run((openssl, "verify", "-CAfile", str(use.issuer_path), str(path))))
        title = str(path) if len(blocks) == 1 else f"{path}, certificate {number + 1}"
        cluster = _cluster_fields(path, certificate, use) if number == 0 else ()
        fields = (*_refused(block.fault), *certificate_fields(certificate, use, commands), *cluster)
        parts.append(Part(title, fields, tuple(commands)))
    faults = [f"{path}: {block.fault}" for block in blocks if block.fault]
    return Description(str(path), tuple(parts), faults[0] if faults else None, max(0, len(blocks) - SHOWN))


def _cluster_fields(path: Path, certificate: X509, use: CertificateRef | None) -> tuple[Field, ...]:
    """Return what the table of kinds of clusters knows of a file: whose it is, and what renews it.

    The cluster's command cannot renew a certificate that Go does not parse.
    """
    whole = path.absolute()
    kind = cluster_kind_of(whole) or (KUBEADM if "/etc/kubernetes/" in str(whole) and KUBEADM.knows(whole) else None)
    if kind is None:
        return ()
    component = ROLES[use.role].component if use is not None and use.role is not None else ""
    parsed = all(refusal.stage != "parse" for refusal in refusals(certificate))
    renewal = (kind.renewal_command(whole) or kind.renewal) if parsed else None
    if renewal and certificate.ca and kind.renew == KUBEADM.renew:
        renewal = "nothing: kubeadm does not renew CAs"
    return (
        Field("cluster", f"{kind.title}, {component}" if component else kind.title),
        *([Field("renewed by", renewal)] if renewal else []),
    )


def _key(path: Path, block: Block, opened: Inside, openssl: str) -> Description:
    mode = f"{opened.mode:04o}"
    if block.encrypted or not block.der:
        locked = [Field("encrypted", "yes", "Encrypted key")] if block.encrypted else []
        return _whole(path, (*_refused(block.fault), *locked, Field("mode", mode, "Private key")), fault=block.fault)
    key = public_part(replace(block, fault=None))
    command = "rsa" if key is not None and key.algorithm == "rsa" else "pkey"
    run = _run((openssl, command, "-in", str(path), "-check", "-noout"))
    # openssl rsa -check ends with 0 whatever it finds; what it says is what counts.
    sound = run.succeeded and re.search(r"^(?:RSA key ok|Key is valid)$", run.output, re.MULTILINE) is not None
    refused = key_refusals(key) if key is not None else ()
    fields = [
        *_refused(block.fault),
        *[Field("Kubernetes", f"rejects it: {refusal.reason} ({refusal.error})", "Refused") for refusal in refused],
        Field("private key", str(key) if key is not None else "of a kind that kcert does not know"),
        Field("check", "sound" if sound else "openssl says no"),
        Field("mode", mode, "Private key"),
    ]
    fields += [
        Field("belongs to", f"{use.path} ({use.certificate.subject})")
        for use in find_beside(path, openssl).uses
        if use.key_path == path and use.key_fits
    ]
    description = _whole(path, fields, (run,), block.fault)
    return description if sound or block.fault else replace(description, fault=f"{path} is not a sound key")


def _public_key(path: Path, block: Block, openssl: str) -> Description:
    run = _run((openssl, "pkey", "-pubin", "-in", str(path), "-text", "-noout"))
    key = public_part(replace(block, fault=None))
    fields = key_fields(key) if key is not None else [Field("public key", "of a kind that kcert does not know", "Key")]
    if re.match(r"sa\b|service-account", path.name):
        fields.append(Field("used for", "verifying the tokens of service accounts (--service-account-key-file)"))
    beside = path.with_suffix(".key")
    if key is not None and (key_content := look_into(beside).key):
        own = public_part(next(block for block in pem_blocks(key_content) if block.is_key))
        fields.append(Field("private key", f"{beside} {'matches' if own == key else 'does not match'} this public key"))
    return _whole(path, fields, (run,), block.fault)


def _request(path: Path, block: Block, openssl: str) -> Description:
    run = _run((openssl, "req", "-in", str(path), "-text", "-noout", "-verify"))
    fields = request_fields(_readable(path, read_request(armoured(block.der, "CERTIFICATE REQUEST"))), run)
    return _whole(path, (*_refused(block.fault), *fields), (run,))


def _document(path: Path, content: bytes, openssl: str) -> Description:
    if is_unit(content):
        raise _starts_a_component(path)
    try:
        kubeconfigs = [document for document in documents(content) if is_kubeconfig(document)]
    except NotADocumentError as error:
        raise InputError(f"{path} {error}.") from None
    if not kubeconfigs:
        if document := embedded(content):
            return _embedded(path, *document, openssl)
        raise _starts_a_component(path)
    looked = survey([str(path)], None, openssl)
    parts = [_context(kubeconfig, looked.uses, openssl) for kubeconfig in looked.kubeconfigs]
    if not parts:
        raise InputError(f"{path} is a kubeconfig without a cluster or a user.")
    faults = [f"{problem.path} {problem.reason}" for problem in looked.problems]
    return Description(str(path), tuple(parts), faults[0] if faults else None)


def _starts_a_component(path: Path) -> InputError:
    return InputError(
        f"{path} starts a component; it is not a certificate itself. "
        f"`kcert inventory {quote(str(path))}` lists those it names."
    )


def _context(kubeconfig: KubeconfigUse, uses: list[CertificateRef], openssl: str) -> Part:
    current = ", the current one" if kubeconfig.current else ""
    fields = [Field("context", f"{kubeconfig.name or '(none)'}{current}", "Kubeconfig")]
    if kubeconfig.server:
        own = kubeconfig.verifies and not kubeconfig.server_name
        fields.append(Field("server", kubeconfig.server, "Server address" if own else None))
    if not kubeconfig.verifies:
        fields.append(Field("verifies the server", "no", "No verification"))
    elif kubeconfig.server_name:
        fields.append(Field("expects", kubeconfig.server_name, "Expected name"))
    for authority in kubeconfig.authorities:
        where = "inside the file" if kubeconfig.ca_embedded else str(kubeconfig.ca_path)
        fields.append(Field("trusts", f"{authority.subject} ({where})", "Issuer"))
    commands: list[CommandResult] = []
    if kubeconfig.user is not None:
        use = next((ref for ref in uses if ref.kubeconfig == kubeconfig and ref.certificate is kubeconfig.user), None)
        use = use or next((ref for ref in uses if ref.certificate == kubeconfig.user), None)
        commands.append(_user_text(kubeconfig, openssl))
        fields += certificate_fields(kubeconfig.user, use)
        if kubeconfig.authorities:
            signatures = Signatures(openssl, [(kubeconfig.user, kubeconfig.authorities, ())])
            same = signatures.verdict(kubeconfig.user, kubeconfig.authorities) is None
            fields.append(
                Field("signed by", "the CA that this file trusts" if same else "another CA than this file trusts")
            )
    return Part(f"{kubeconfig.path}, user {kubeconfig.user_name or '(none)'}", tuple(fields), tuple(commands))


def _user_text(kubeconfig: KubeconfigUse, openssl: str) -> CommandResult:
    assert kubeconfig.user is not None
    if kubeconfig.user_path != kubeconfig.path:
        return _run((openssl, "x509", "-in", str(kubeconfig.user_path), "-text", "-noout"))
    argv = (openssl, "x509", "-text", "-noout")
    # With --minify, the first user is the one of the context.
    view = (*read_command(kubeconfig.path, "client-certificate"), "--minify", "--context", kubeconfig.name)
    by_hand = f"{format_command(view)} | base64 -d | {format_command(argv)}"
    return _run(argv, kubeconfig.user.pem, by_hand)


def _server(server: Server, openssl: str) -> Description:
    shown, reason = certificates_of(openssl, server)
    if reason:
        raise VerdictError(f"{server} {reason}.")
    certificates = []
    for certificate in map(read_certificate, shown):
        if isinstance(certificate, Unreadable):
            raise VerdictError(f"{server} presents something that is not a certificate: it {certificate.reason}.")
        certificates.append(certificate)
    text = _run((openssl, "x509", "-text", "-noout"), certificates[0].pem)
    live = Field("server", str(server), "Live")
    return _listed(str(server), certificates, replace(text, argv=s_client(openssl, server).argv), live)


def _standard_input(openssl: str) -> Description:
    data, path = sys.stdin.buffer.read(LARGEST), Path("standard input")
    data = unwrapped(data) or data
    pems = (armoured(data),) if is_der(data) else inside(Content(data, 0o600, (0, 0))).certificates
    if not pems:
        raise InputError(f"{path} contains no certificate. `kcert show FILE` shows keys, requests and kubeconfigs.")
    certificates = [_readable(path, read_certificate(pem)) for pem in pems[:SHOWN]]
    text = _run((openssl, "x509", "-text", "-noout"), certificates[0].pem)
    return replace(_listed(str(path), certificates, text), left_out=max(0, len(pems) - SHOWN))


def _listed(title: str, certificates: list[X509], text: CommandResult, *fields: Field) -> Description:
    """Describe certificates that are in no file; *text* and *fields* belong to the first."""
    parts = [
        Part(
            title if len(certificates) == 1 else f"{title}, certificate {number} of {len(certificates)}",
            (*(fields if number == 1 else ()), *certificate_fields(certificate)),
            (text,) if number == 1 else (),
        )
        for number, certificate in enumerate(certificates, 1)
    ]
    return Description(title, tuple(parts))


def _run(argv: tuple[str, ...], stdin: str = "", by_hand: str | None = None) -> CommandResult:
    reading = read(Command(argv), stdin.encode())
    return CommandResult(argv, reading.stdout.decode("utf-8", "replace") + reading.stderr, reading.succeeded, by_hand)
