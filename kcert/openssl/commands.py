"""The openssl commands that make certificates, as argv lists."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from kcert.certificates import AltName, Certificate, Key, Kind, Usages
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, filled, read_optional

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kcert.openssl.x509 import X509

EXTENSIONS = "v3_req"
"""The section that every template has, and that the signing command names."""

CA_USAGES = ("keyCertSign", "cRLSign", "digitalSignature")
"""The key usage of a CA, as in the templates."""

AUTHORITY_KEY = "keyid, issuer"
"""The way a certificate names its CA's key, as in every template: by the key's identifier alone. If the CA has none
(libraries omit it by default, version 1 has no room for it), the CA's issuer and serial number name it.

With ``keyid`` alone, OpenSSL 3.0 does not sign for such a CA, and 1.1.1 names nothing
(https://docs.openssl.org/3.0/man5/x509v3_config/#authority-key-identifier).
"""


def built_in_templates() -> Path:
    """The folder of the templates that kcert brings: inside an installed kcert, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "openssl_templates"
    return installed if installed.is_dir() else package.parent / "openssl_templates"


def render(certificate: Certificate, templates: Path | None = None) -> str:
    """The openssl.cnf of *certificate*, from the template of its kind in *templates* (default: kcert's own).

    Raises InputError for a template that is missing, unreadable, or asks for what kcert does not know.
    """
    # Only an RSA key can encrypt the key of a session (RFC 5480, section 3).
    encrypts = ", keyEncipherment" if certificate.key.algorithm == "rsa" else ""
    values = {"key_usage": f"digitalSignature{encrypts}", "alt_names": alt_names(certificate.alt_names)}
    if certificate.usages:
        values["extensions"] = _extensions(
            certificate.usages,
            certificate.alt_names,
            is_ca=certificate.kind is Kind.CA,
            is_signed=certificate.issuer is not None,
        )
    return _filled(_template(certificate, templates), values)


def render_request(names: tuple[AltName, ...]) -> str:
    """The openssl.cnf of a request that asks for *names*."""
    return _filled(built_in_templates() / "request.cnf", {"alt_names": alt_names(names)})


def render_signer(usages: Usages, names: tuple[AltName, ...], ca: X509, *, nothing: str) -> str:
    """The openssl.cnf with which `openssl ca` signs for *usages* and *names*, as kube-controller-manager would.

    What Go's x509.CreateCertificate makes of it, in that order: the hash that goes with the key of *ca*, its
    key named if it has an identifier, and none for the new key, since only CAs get one. *nothing* is how this
    openssl is configured to leave an identifier out.
    """
    values = {
        "keyUsage": f"critical, {', '.join(usages.key)}" if usages.key else "",
        "extendedKeyUsage": ", ".join(usages.extended or ()),
        "basicConstraints": "critical, CA:FALSE",
        "subjectKeyIdentifier": nothing,
        "authorityKeyIdentifier": "keyid" if ca.subject_key_id else nothing,
        "subjectAltName": "@alt_names" if names else "",
    }
    digest = {"P-384": "sha384", "P-521": "sha512"}.get(ca.public_key.curve or "", "sha256")
    filled = {"extensions": _lines(values), "alt_names": alt_names(names), "digest": digest}
    return _filled(built_in_templates() / "sign.cnf", filled)


def render_dated(certificate: Certificate) -> str:
    """The openssl.cnf with which `openssl ca` signs, with the extensions of the template of *certificate*."""
    extensions = render(certificate).partition(f"[ {EXTENSIONS} ]")[2]
    values = {"extensions": extensions, "alt_names": "", "digest": "sha256"}
    return _filled(built_in_templates() / "sign.cnf", values)


def render_section(usages: Usages, names: tuple[AltName, ...], *, is_ca: bool, is_signed: bool) -> str:
    """The part of an openssl.cnf that a signature reads, short enough for a command line."""
    sections = {EXTENSIONS: _extensions(usages, names, is_ca=is_ca, is_signed=is_signed), "alt_names": alt_names(names)}
    return "".join(f"[ {section} ]\n{lines}\n" for section, lines in sections.items() if lines)


def writable(name: AltName) -> bool:
    """Return whether *name*, from a foreign certificate or request, has no special meaning in an openssl.cnf."""
    if name.type == "email" and name.value in _SUBJECT_EMAIL:
        return False
    return name.type in ("DNS", "IP", "email", "URI") and _PLAIN.fullmatch(name.value) is not None


_SUBJECT_EMAIL = ("copy", "move")
"""As an e-mail SAN, openssl replaces these with the e-mail addresses of the subject (x509v3_config(5))."""

_PLAIN = re.compile(r"[A-Za-z0-9*_.:/@?&=+,~%-]+")
"""A dollar sign, a quote, a backslash or a # would mean something else."""


def _filled(path: Path, values: Mapping[str, str]) -> str:
    content = read_optional(path, LARGEST_DOCUMENT)
    if content is None:
        raise InputError(
            f"{path} does not exist: a folder of templates contains ca.cnf, client.cnf, server.cnf and peer.cnf "
            f"(kcert's own, to start from, are in {built_in_templates()})."
        )
    try:
        template = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8: byte {error.start + 1} is not valid.") from None
    return filled(template, values, str(path))


def _template(certificate: Certificate, templates: Path | None) -> Path:
    """The template of its kind; where usages are given word for word there is one for all.

    That one, and the one for an intermediate CA, are kcert's own where the folder has none.
    """
    folder = templates or built_in_templates()
    if certificate.usages is None and not certificate.intermediate:
        return folder / f"{certificate.kind.value}.cnf"
    name = "given.cnf" if certificate.usages else "intermediate.cnf"
    own = folder / name
    return own if own.is_file() else built_in_templates() / name


def _extensions(usages: Usages, names: tuple[AltName, ...], *, is_ca: bool, is_signed: bool) -> str:
    """The extensions that say *usages*, a line each."""
    length = "" if usages.path_length is None else f", pathlen:{usages.path_length}"
    values = {
        "basicConstraints": f"critical, CA:TRUE{length}" if is_ca else "critical, CA:FALSE",
        "keyUsage": ", ".join((*(("critical",) if usages.critical else ()), *usages.key)) if usages.key else "",
        "extendedKeyUsage": ", ".join(usages.extended or ()),
        "subjectAltName": "@alt_names" if names else "",
        "subjectKeyIdentifier": usages.key_id or "hash",
        "authorityKeyIdentifier": AUTHORITY_KEY if is_signed else "",
    }
    return _lines(values)


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name:<22} = {value}" for name, value in values.items() if value)


def alt_names(names: tuple[AltName, ...]) -> str:
    """The lines of an ``[ alt_names ]`` section; openssl wants each type counted on its own."""
    counts: Counter[str] = Counter()
    lines = []
    for name in names:
        counts[name.type] += 1
        lines.append(f"{name.type}.{counts[name.type]} = {name.value}")
    return "\n".join(lines)


CURVES = {"P-256": "prime256v1", "P-384": "secp384r1"}
"""openssl's names of the curves that FIPS 186 calls P-256 and P-384."""

CIPHER = "-aes256"
"""AES-256 in CBC mode, which every openssl of ours can read again."""

Word: TypeAlias = "str | PurePosixPath"
"""An argument: a path, a text, or what bash expands (``kcert.quoting.Raw``)."""


def _argv(*words: Word) -> tuple[str, ...]:
    return tuple(word if isinstance(word, str) else str(word) for word in words)


def private_key(openssl: str, key: Key, out: Word, *, passphrase: str = "") -> tuple[str, ...]:
    """Generate a private key; openssl writes it readable by its owner alone. Without *out* it prints it.

    With a passphrase (``env:…``, ``file:…``; see openssl-passphrase-options(1)) it is encrypted before it is written.
    """
    written = ("-out", out) if out else ()
    if key.algorithm == "rsa":
        locked = (CIPHER, "-passout", passphrase) if passphrase else ()
        return _argv(openssl, "genrsa", *locked, *written, str(key.bits))
    curve = {**CURVES, "P-521": "secp521r1"}[key.curve]
    if passphrase:
        # `openssl ecparam -genkey` has no way to encrypt what it writes.
        options = ("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
        return _argv(openssl, "genpkey", *options, CIPHER, "-pass", passphrase, *written)
    return _argv(openssl, "ecparam", "-name", curve, "-genkey", "-noout", *written)


def _unlocking(passphrase: str) -> tuple[str, ...]:
    """Return how a command opens the key that it reads."""
    return ("-passin", passphrase) if passphrase else ()


def public_key(openssl: str, key: Word, out: Word, *, algorithm: str = "") -> tuple[str, ...]:
    """Write the public half of the private key in the file *key*."""
    return _argv(openssl, "rsa" if algorithm == "rsa" else "pkey", "-in", key, "-pubout", "-out", out)


def request(
    openssl: str, key: Word, subject: str, out: Word, *, cnf: Word = "", passphrase: str = ""
) -> tuple[str, ...]:
    """Write a certificate signing request for *key* and *subject*, with the openssl.cnf *cnf* or openssl's own."""
    beyond_ascii = () if subject.isascii() else ("-utf8",)
    config = ("-config", cnf) if cnf else ()
    opened = ("-key", key, *_unlocking(passphrase))
    return _argv(openssl, "req", "-new", *beyond_ascii, *opened, "-subj", subject, *config, "-out", out)


def request_again(openssl: str, crt: Word, key: Word, out: Word, *, passphrase: str = "") -> tuple[str, ...]:
    """Write a request for *key* and the subject that the certificate *crt* has, byte for byte."""
    return _argv(openssl, "x509", "-x509toreq", "-in", crt, "-signkey", key, *_unlocking(passphrase), "-out", out)


def copy(openssl: str, crt: Word, out: Word) -> tuple[str, ...]:
    """Write the first certificate of the file *crt*, and nothing else, into *out*."""
    return _argv(openssl, "x509", "-in", crt, "-out", out)


def signature(
    openssl: str,
    csr: Word,
    out: Word,
    days: int,
    cnf: Word,
    *,
    key: Word,
    ca: Word = "",
    passphrase: str = "",
    serial: str = "",
    public_key: Word = "",
) -> tuple[str, ...]:
    """Sign the request *csr* with *key*, the key of the certificate *ca*; without *ca* the certificate signs itself.

    *serial* is the number that it gets (empty: openssl's choice), *public_key* the file of the key that it is for
    (empty: that of the request).
    """
    numbered = ("-set_serial", serial) if serial else ("-CAcreateserial",) if ca else ()
    signer = ("-CA", ca, "-CAkey", key) if ca else ("-signkey", key)
    own = ("-force_pubkey", public_key) if public_key else ()
    return _argv(
        *(openssl, "x509", "-req", "-in", csr, *signer, *_unlocking(passphrase), *numbered, *own, "-out", out),
        *("-days", str(days), "-extensions", EXTENSIONS, "-extfile", cnf),
    )


def signature_again(openssl: str, crt: Word, key: Word, out: Word, days: int, *, cnf: Word = "") -> tuple[str, ...]:
    """Sign a root CA again with its own *key*; name and serial number stay, with *cnf* the extensions do not."""
    changed = ("-clrext", "-extensions", EXTENSIONS, "-extfile", cnf) if cnf else ()
    return _argv(openssl, "x509", "-in", crt, "-signkey", key, "-days", str(days), *changed, "-out", out)


def signature_between(
    openssl: str,
    csr: PurePosixPath,
    *,
    ca: Certificate,
    out: PurePosixPath,
    between: tuple[datetime, datetime],
    cnf: PurePosixPath,
) -> tuple[str, ...]:
    """Sign a request with *ca* for an exact time, with the subject of the request."""
    begins, ends = (f"{moment:%Y%m%d%H%M%SZ}" for moment in between)
    return (
        *(openssl, "ca", "-batch", "-config", str(cnf), "-in", str(csr), "-out", str(out), "-notext"),
        *("-cert", str(ca.files.crt), "-keyfile", str(ca.files.key), *_unlocking(ca.passphrase)),
        *("-preserveDN", "-startdate", begins, "-enddate", ends),
    )


def verification(openssl: str, ca: Certificate, *crts: PurePosixPath) -> tuple[str, ...]:
    """Verify each of *crts* with the certificate of *ca*.

    Openssl trusts a CA that another CA signed (an intermediate) only with an option; Go's programs always do.
    """
    partial = ("-partial_chain",) if ca.intermediate else ()
    return (openssl, "verify", *partial, "-CAfile", str(ca.files.crt), *map(str, crts))
