"""The content of one file: certificates, keys, a format that no component reads, or nothing that anybody can read."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kcert.openssl.der import BIT_STRING, INTEGER, OID, SEQUENCE, DerError, Reader
from kcert.openssl.pem import Block, armoured, is_der, only_certificate, pem_blocks
from kcert.openssl.program import public_part
from kcert.openssl.reader import read_certificate, read_public_key, read_request
from kcert.openssl.x509 import X509, Request
from kcert.quoting import Raw, format_command, quote
from kcert.scan.documents import NotADocumentError, as_utf8, documents, from_base64, list_at, text_at, value_at
from kcert.scan.fs import Content, ReadError, read_file

_OBJECT = (
    rb"(?:Secret|ConfigMap|(?:Validating|Mutating)WebhookConfiguration|APIService|CustomResourceDefinition|)(?:List)?"
)
_DOCUMENT = re.compile(
    rb"^[ \t]*kind:[ \t]*[\"']?" + _OBJECT + rb"[\"']?[ \t]*\r?$|\"kind\":[ \t]*\"(?:" + _OBJECT + rb"|Config)\"|"
    rb"^[ \t]*\"?kind\"?[ \t]*:[ \t]*[\"']?(Config|Pod|WebhookAdmission"
    rb"|(?:Kubelet|KubeProxy|KubeScheduler|Admission|WebhookAdmission|Authorization|EgressSelector)Configuration)\b"
    rb"|^(?:clusters|imagePolicy|(?:client|peer)-transport-security):",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Inside:
    """A file as far as certificates go.

    ``certificates`` are PEM blocks, each by itself; ``faults`` say what is wrong with the damaged ones; ``key`` is the
    file's first private key and ``public_key`` its public ones, as PEM; ``text`` is kept for units and YAML alone.
    """

    certificates: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)
    encrypted: bool = False
    public_key: bytes | None = None
    labels: tuple[str, ...] = ()
    mode: int = 0
    identity: tuple[int, int] = (0, 0)
    trouble: ReadError | None = None
    nothing: str | None = None
    text: bytes | None = field(default=None, repr=False)

    @property
    def why_no_certificate(self) -> str:
        """A clause that can follow the path of a file in which a certificate should be."""
        if self.trouble:
            return self.trouble.reason
        if self.faults:
            return self.faults[0]
        if self.nothing:
            return self.nothing
        if self.labels:
            return f"contains no certificate, but a block {self.labels[0]}"
        return "is not PEM: no line in it begins a certificate"


def look_into(path: Path) -> Inside:
    """Read *path* and return what is inside."""
    read = read_file(path)
    if isinstance(read, ReadError):
        return Inside(trouble=read)
    return inside(read)


def inside(content: Content) -> Inside:
    """Return what a file's content holds."""
    data, opened = content.data, Inside(mode=content.mode, identity=content.identity)
    if (der := only_certificate(data)) is not None:
        return replace(opened, certificates=(armoured(der),), labels=("CERTIFICATE",))
    if not data.strip():
        return replace(opened, nothing="is empty")
    if is_der(data):
        return replace(opened, nothing="is DER, not PEM, which Kubernetes does not read")
    start = as_utf8(data[:1_000_000])
    if _DOCUMENT.search(start) or (b"[Service]" in data and b"ExecStart" in data):
        return replace(opened, text=data)
    blocks = pem_blocks(data)
    certificates = [block for block in blocks if block.is_certificate]
    keys = [block for block in blocks if block.is_key and block.recognized]
    public = [block.pem for block in blocks if block.is_public_key and not block.fault]
    return replace(
        opened,
        certificates=tuple(block.pem for block in certificates if not block.fault),
        faults=tuple(block.fault for block in blocks if block.fault),
        # The headers of an encrypted PKCS#1 key are no part of its DER: only the file's own text will do for openssl.
        key=(data if keys[0].encrypted else keys[0].pem.encode()) if keys else None,
        encrypted=bool(keys and keys[0].encrypted),
        public_key="".join(public).encode() or None,
        labels=tuple(block.label for block in blocks),
        nothing=_other_form(data, blocks),
    )


def _other_form(data: bytes, blocks: list[Block]) -> str | None:
    """Return, as a clause, in which form certificates may be that are no PEM of their own; None for anything else."""
    if not blocks and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is in UTF-16, and Kubernetes reads only UTF-8"
    if not blocks and (encoded := unwrapped(data)) is not None:
        return (
            "has no lines BEGIN and END around its base64, so it is not PEM"
            if is_der(encoded)
            else "is PEM in base64, as kubeconfigs and Secrets embed it; Kubernetes reads a file only as PEM itself"
        )
    if blocks and all(block.label == "PKCS7" for block in blocks):
        return "holds its certificates in PKCS#7, which Kubernetes does not read"
    return None


def unwrapped(data: bytes) -> bytes | None:
    """Return the PEM or DER that *data* is the base64 of; None if it is anything else."""
    if not _ENCODED.match(data) or not (decoded := from_base64(data)):
        return None
    return decoded if pem_blocks(decoded) or is_der(decoded) else None


def unwrap(openssl: str, data: bytes, source: str, target: str = "") -> tuple[str, ...]:
    """Return the command that decodes the base64 *data* of the file *source*, into *target* if that is given."""
    # Without -A openssl reads no long lines, and with it only one.
    one_line = ["-A"] if len(data.split()) == 1 else []
    return (openssl, "base64", "-d", *one_line, "-in", source, *(["-out", target] if target else []))


@dataclass(frozen=True)
class Format:
    """The format of a file, the section of the lesson that explains it, and the commands that open it.

    ``block`` is what is inside, where kcert reads it as well.
    """

    name: str
    meaning: str
    commands: tuple[tuple[str, ...], ...]
    block: Block | None = None


@dataclass(frozen=True)
class Embedded:
    """PEM inside a document: the key that it is under, the content, and the line of the file, if it is alone on one."""

    key: str
    content: bytes
    line: int | None

    def command(self, path: Path) -> str | None:
        """Return the beginning of a pipe that prints the content; None if that needs a parser of YAML."""
        # As an argument of awk, a name such as x=y.yaml would be an assignment.
        return None if self.line is None else f"awk 'NR == {self.line} {{print $2}}' < {quote(str(path))} | base64 -d"


_ENCODED = re.compile(rb"\s*(?:LS0tLS1CRUdJTi|MI|MH|MF|MC)")
"""The base64 of -----BEGIN, or of the first bytes of a SEQUENCE, as certificates and keys in DER begin."""

_SIGNED_DATA, _DATA = "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.1"
_ENCRYPTIONS = ("1.2.840.113549.1.5.", "1.2.840.113549.1.12.")  # PKCS#5 and PKCS#12
_KEYSTORES = {b"\xfe\xed\xfe\xed": "Java keystore (JKS)", b"\xce\xce\xce\xce": "Java keystore (JCEKS)"}
_PEM_FORMATS = {
    "PKCS7": ("certificates in PKCS#7", ("pkcs7", "-print_certs")),
    "X509 CRL": ("list of revoked certificates (CRL)", ("crl", "-text", "-noout")),
    "X9.42 DH PARAMETERS": ("Diffie-Hellman parameters", ("dhparam", "-text", "-noout")),
    "DH PARAMETERS": ("Diffie-Hellman parameters", ("dhparam", "-text", "-noout")),
    "EC PARAMETERS": ("name of an elliptic curve", ("ecparam", "-text", "-noout")),
}


def recognize(path: Path, data: bytes, openssl: str) -> Format | None:
    """Return what the file at *path*, with the content *data*, is; None for what kcert does not know."""
    keystore = _KEYSTORES.get(data[:4])
    if keystore:
        p12 = f"{path}.p12"
        convert = ("keytool", "-importkeystore", "-srckeystore", str(path), "-destkeystore", p12)
        return Format(
            keystore, "Keystore", ((*convert, "-deststoretype", "pkcs12"), (openssl, "pkcs12", "-in", p12, "-nokeys"))
        )
    if re.match(rb"(ssh-|ecdsa-sha2-)[a-z0-9-]+ AAAA", data):
        return Format("public key of OpenSSH", "OpenSSH", (("ssh-keygen", "-l", "-f", str(path)),))
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in data:
        return Format("private key of OpenSSH", "OpenSSH", (("ssh-keygen", "-y", "-f", str(path)),))
    if is_der(data) or data[:2] == b"\x30\x80":  # the second begins what Windows and Java write
        return _der(path, str(path), data, openssl)
    if (encoded := unwrapped(data)) is not None:
        source = Raw(f"<({format_command(unwrap(openssl, data, str(path)))})")
        if is_der(encoded):
            inner = _der(path, source, encoded, openssl)
            return replace(inner, name=f"{inner.name}, in base64 without the lines BEGIN and END", meaning="Base64")
        block, target = pem_blocks(encoded)[0], f"{path}.pem"
        # What openssl base64 writes, every user may read.
        key_decoded = (openssl, "pkey", "-in", source, "-out", target)
        argv = key_decoded if block.is_key else unwrap(openssl, data, str(path), target)
        return Format("base64 of PEM", "Base64", (argv,), block)
    for label, (name, (command, *options)) in _PEM_FORMATS.items():
        if f"-----BEGIN {label}-----".encode() in data:
            return Format(name, "Other format", ((openssl, command, "-in", str(path), *options),))
    return None


def _der(path: Path, source: str, data: bytes, openssl: str) -> Format:
    """Return the format of *data* in DER, from the file *path* or the argument *source*."""

    def format_of(name: str, *command: str, block: Block | None = None) -> Format:
        return Format(name, "DER", ((openssl, *command),), block)

    target = f"{path}.pem"
    convert = ("-inform", "DER", "-in", source, "-out", target)
    certificate, request = (Block(label, data) for label in ("CERTIFICATE", "CERTIFICATE REQUEST"))
    if isinstance(read_certificate(certificate.pem), X509):
        return format_of("certificate in DER", "x509", *convert, block=certificate)
    if isinstance(read_request(request.pem), Request):
        return format_of("certificate request in DER", "req", *convert, block=request)
    for label in ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"):
        if public_part(Block(label, data)):
            return format_of("private key in DER", "pkey", *convert, block=Block(label, data))
    if read_public_key(data):
        return format_of("public key in DER", "pkey", "-pubin", *convert, block=Block("PUBLIC KEY", data))
    return _container(path, source, data, openssl) or format_of("something in DER", "asn1parse", "-i", *convert[:4])


def _container(path: Path, source: str, data: bytes, openssl: str) -> Format | None:
    inform = ("-inform", "DER", "-in", source)
    match _outline(data):
        case [("INTEGER", 3), ("SEQUENCE", oid), *_] if oid in (_DATA, _SIGNED_DATA):
            pkcs12 = (openssl, "pkcs12", "-in", source)
            commands = ((*pkcs12, "-nokeys"), (*pkcs12, "-nocerts", "-nodes"))
            return Format("keystore in PKCS#12 (.p12, .pfx)", "Keystore", commands)
        case [("OID", oid), *_] if oid == _SIGNED_DATA:
            return Format("certificates in PKCS#7, in DER", "DER", ((openssl, "pkcs7", *inform, "-print_certs"),))
        case [("SEQUENCE", oid), ("OCTET STRING", _)] if str(oid).startswith(_ENCRYPTIONS):
            return Format("encrypted private key in DER", "DER", ((openssl, "pkey", *inform, "-out", f"{path}.pem"),))
        case [("SEQUENCE", _), ("SEQUENCE", _), ("BIT STRING", _)]:
            name = "list of revoked certificates (CRL) in DER"
            return Format(name, "DER", ((openssl, "crl", *inform, "-text", "-noout"),))
    return None


_KINDS = {INTEGER: "INTEGER", BIT_STRING: "BIT STRING", 4: "OCTET STRING", OID: "OID", SEQUENCE: "SEQUENCE"}


def _outline(data: bytes) -> list[tuple[str, object]]:
    """Return the kinds of the elements in *data*, with the number or the OID that each is or begins with."""
    if data[:2] == b"\x30\x80":
        match = re.match(
            rb"\x30\x80(?:\x02\x01\x03\x30\x80)?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07([\x01\x02])", data
        )
        oid = f"1.2.840.113549.1.7.{match[1][0]}" if match else ""
        return [("INTEGER", 3), ("SEQUENCE", oid)] if data[2:3] == b"\x02" else [("OID", oid)]
    outline: list[tuple[str, object]] = []
    try:
        inside = Reader(Reader(data).read(SEQUENCE, ""))
        while inside.more:
            tag, content = inside.any("")
            value: object = None
            if tag == INTEGER:
                value = int.from_bytes(content, "big")
            elif tag == OID or content[:1] == b"\x06":
                value = Reader(content if tag != OID else bytes((OID, len(content))) + content).oid("")
            outline.append((_KINDS.get(tag, ""), value))
    except DerError:
        return []
    return outline


def embedded(data: bytes) -> tuple[str, list[Embedded]] | None:
    """Return what a YAML or JSON document of certificates is, and its PEM; None if it is another document.

    Known are Secrets (one, or several in a List; k3s keeps its dynamic certificate in one too), and Talos' talosconfig
    and secrets.yaml.
    """
    try:
        parsed = documents(data)
    except NotADocumentError:
        return None
    for kind, values in filter(None, map(_values, parsed)):
        texts = ((key, text, from_base64(text) or b"") for key, text in values if isinstance(text, str))
        return kind, [
            Embedded(key, content, _line_of(data, text))
            for key, text, content in texts
            if b"-----BEGIN CERTIFICATE-----" in content  # private keys are never shown
        ]
    return None


def _values(document: dict[str, Any]) -> tuple[str, list[tuple[str, object]]] | None:
    """Return what a document is, and the values that may be base64 of a certificate."""
    objects = [item for item in list_at(document, "items") if isinstance(item, dict)] or [document]
    secrets = [item for item in objects if item.get("kind") == "Secret"]
    if secrets:
        return "Secret", [
            (f"{text_at(secret, 'metadata', 'name') or 'Secret'}, {key}", value)
            for secret in secrets
            for key, value in _items(secret.get("data"))
        ]
    contexts = _items(document.get("contexts"), dict)
    if contexts and all({"endpoints", "crt"} & context.keys() for _, context in contexts):
        return "talosconfig", [
            (f"{name}, {key}", context.get(key)) for name, context in contexts for key in ("crt", "ca")
        ]
    certs = _items(value_at(document, "certs"), dict)
    if certs and any("crt" in entry for _, entry in certs):
        return "secrets.yaml of Talos", [(f"certs.{name}.crt", entry.get("crt")) for name, entry in certs]
    return None


def _items(value: object, kind: type = str) -> list[tuple[str, Any]]:
    return (
        [(str(key), item) for key, item in value.items() if isinstance(item, kind)] if isinstance(value, dict) else []
    )


def _line_of(data: bytes, value: str) -> int | None:
    match = re.search(rb"^[ \t]*[\w.-]+: " + re.escape(value.encode()) + rb"[ \t]*\r?$", data, re.MULTILINE)
    return data.count(b"\n", 0, match.start()) + 1 if match else None
