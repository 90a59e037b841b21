"""The openssl commands that make certificates, as argv lists."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import AltName, Certificate, Key, Kind, Subject, Usages
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, filled, read_optional

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kcert.openssl.x509 import X509

EXTENSIONS = "v3_req"
"""The section that every template has, and that the signing command names."""

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
    values = {"key_usage": _key_usage(certificate), "alt_names": alt_names(certificate.alt_names)}
    if certificate.usages:
        values["extensions"] = _extensions(certificate, certificate.usages)
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


def _extensions(certificate: Certificate, usages: Usages) -> str:
    """The extensions that say *usages*, a line each."""
    is_ca = certificate.kind is Kind.CA
    length = "" if usages.path_length is None else f", pathlen:{usages.path_length}"
    values = {
        "basicConstraints": f"critical, CA:TRUE{length}" if is_ca else "critical, CA:FALSE",
        "keyUsage": ", ".join((*(("critical",) if usages.critical else ()), *usages.key)) if usages.key else "",
        "extendedKeyUsage": ", ".join(usages.extended or ()),
        "subjectAltName": "@alt_names" if certificate.alt_names else "",
        "subjectKeyIdentifier": usages.key_id or "hash",
        "authorityKeyIdentifier": "" if certificate.issuer is None else AUTHORITY_KEY,
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


def _key_usage(certificate: Certificate) -> str:
    """keyEncipherment is for RSA: only an RSA key can encrypt the key of a session (RFC 5480, section 3)."""
    return "digitalSignature, keyEncipherment" if certificate.key.algorithm == "rsa" else "digitalSignature"


CURVES = {"P-256": "prime256v1", "P-384": "secp384r1"}
"""openssl's names of the curves that FIPS 186 calls P-256 and P-384."""


def private_key(openssl: str, key: Key, out: PurePosixPath, passphrase: str = "") -> tuple[str, ...]:
    """Generate a private key into *out*; openssl writes it readable by its owner alone.

    With a *passphrase* (``env:…``, ``file:…``; see openssl-passphrase-options(1)) it is encrypted before it is written.
    """
    if key.algorithm == "rsa":
        locked = (CIPHER, "-passout", passphrase) if passphrase else ()
        return (openssl, "genrsa", *locked, "-out", str(out), str(key.bits))
    curve = CURVES[key.curve]
    if passphrase:
        # `openssl ecparam -genkey` has no way to encrypt what it writes.
        options = ("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}")
        return (openssl, "genpkey", *options, CIPHER, "-pass", passphrase, "-out", str(out))
    return (openssl, "ecparam", "-name", curve, "-genkey", "-noout", "-out", str(out))


CIPHER = "-aes256"
"""AES-256 in CBC mode, which every openssl of ours can read again."""


def _unlocking(passphrase: str) -> tuple[str, ...]:
    """Return how a command opens the key that it reads."""
    return ("-passin", passphrase) if passphrase else ()


def public_key(openssl: str, key: Key, path: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write the public half of the *key* in *path* into *out*."""
    command = "rsa" if key.algorithm == "rsa" else "pkey"
    return (openssl, command, "-in", str(path), "-pubout", "-out", str(out))


def request(
    openssl: str,
    key: PurePosixPath,
    subject: Subject,
    *,
    cnf: PurePosixPath,
    out: PurePosixPath,
    passphrase: str = "",
) -> tuple[str, ...]:
    """Write a certificate signing request for *key*, which *passphrase* opens, and *subject*."""
    beyond_ascii = () if str(subject).isascii() else ("-utf8",)
    return (
        *(openssl, "req", "-new", *beyond_ascii, "-key", str(key), *_unlocking(passphrase)),
        *("-subj", str(subject), "-config", str(cnf), "-out", str(out)),
    )


def request_again(
    openssl: str, crt: PurePosixPath, key: PurePosixPath, out: PurePosixPath, passphrase: str = ""
) -> tuple[str, ...]:
    """Write a request for the subject of the certificate *crt*, byte for byte, and its *key*."""
    return (
        *(openssl, "x509", "-x509toreq", "-in", str(crt)),
        *("-signkey", str(key), *_unlocking(passphrase), "-out", str(out)),
    )


def copy(openssl: str, crt: PurePosixPath, out: PurePosixPath) -> tuple[str, ...]:
    """Write the first certificate of the file *crt*, and nothing else, into *out*."""
    return (openssl, "x509", "-in", str(crt), "-out", str(out))


def signature(
    openssl: str,
    csr: PurePosixPath,
    *,
    ca: tuple[PurePosixPath, PurePosixPath],
    out: PurePosixPath,
    days: int,
    cnf: PurePosixPath,
    passphrase: str = "",
) -> tuple[str, ...]:
    """Sign a request with the CA's certificate and key (*ca*), which *passphrase* opens."""
    crt, key = ca
    return (
        *(openssl, "x509", "-req", "-in", str(csr)),
        *("-CA", str(crt), "-CAkey", str(key), *_unlocking(passphrase), "-CAcreateserial", "-out", str(out)),
        *("-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def self_signature(
    openssl: str,
    csr: PurePosixPath,
    *,
    key: PurePosixPath,
    out: PurePosixPath,
    days: int,
    cnf: PurePosixPath,
    passphrase: str = "",
    serial: str = "",
) -> tuple[str, ...]:
    """Sign a CA's request with its own key; *serial* is a number to keep, in hexadecimal (empty: a random one)."""
    kept = ("-set_serial", f"0x{serial}") if serial else ()
    return (
        *(openssl, "x509", "-req", "-in", str(csr), "-signkey", str(key), *_unlocking(passphrase), *kept),
        *("-out", str(out), "-days", str(days), "-extensions", EXTENSIONS, "-extfile", str(cnf)),
    )


def signature_between(
    openssl: str,
    csr: PurePosixPath,
    *,
    ca: tuple[PurePosixPath, PurePosixPath],
    out: PurePosixPath,
    between: tuple[datetime, datetime],
    cnf: PurePosixPath,
    passphrase: str = "",
) -> tuple[str, ...]:
    """Sign a request for an exact time, with the subject of the request."""
    crt, key = ca
    begins, ends = (f"{moment:%Y%m%d%H%M%SZ}" for moment in between)
    return (
        *(openssl, "ca", "-batch", "-config", str(cnf), "-in", str(csr), "-out", str(out), "-notext"),
        *(
            "-cert",
            str(crt),
            "-keyfile",
            str(key),
            *_unlocking(passphrase),
            "-preserveDN",
            "-startdate",
            begins,
            "-enddate",
            ends,
        ),
    )


def verification(openssl: str, ca: PurePosixPath, *crts: PurePosixPath, intermediate: bool = False) -> tuple[str, ...]:
    """Verify each of *crts* with the CA's certificate *ca*.

    Openssl trusts a CA that another CA signed (an *intermediate*) only with an option; Go's programs always do.
    """
    partial = ("-partial_chain",) if intermediate else ()
    return (openssl, "verify", *partial, "-CAfile", str(ca), *(str(crt) for crt in crts))
