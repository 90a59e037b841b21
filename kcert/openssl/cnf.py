"""openssl.cnf files, from the templates in ``openssl_templates/``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcert.certificates import AltName, Certificate, Usages
    from kcert.openssl.x509 import X509

EXTENSIONS = "v3_req"
"""The section that every template has, and that the signing command names."""

AUTHORITY_KEY = "keyid, issuer"
"""How a certificate names its CA's key, as in every template: by the key's identifier alone, and where the CA has none
(libraries leave it out unless they are told, version 1 has no room for it) by the CA's issuer and serial number.

Where ``keyid`` stands by itself, OpenSSL 3.0 does not sign for such a CA, and 1.1.1 names nothing
(https://docs.openssl.org/3.0/man5/x509v3_config/#authority-key-identifier).
"""

_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


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


def render_signer(usages: Usages, names: tuple[AltName, ...], authority: X509, *, nothing: str) -> str:
    """The openssl.cnf with which `openssl ca` signs for *usages* and *names*, as kube-controller-manager would.

    What Go's x509.CreateCertificate makes of it, in that order: the hash that goes with the key of *authority*, its
    key named where it has an identifier, and none for the new key, since only CAs get one. *nothing* is how this
    openssl is told to leave an identifier out.
    """
    values = {
        "keyUsage": f"critical, {', '.join(usages.key)}" if usages.key else "",
        "extendedKeyUsage": ", ".join(usages.extended or ()),
        "basicConstraints": "critical, CA:FALSE",
        "subjectKeyIdentifier": nothing,
        "authorityKeyIdentifier": "keyid" if authority.subject_key_id else nothing,
        "subjectAltName": "@alt_names" if names else "",
    }
    digest = {"P-384": "sha384", "P-521": "sha512"}.get(authority.public_key.curve or "", "sha256")
    filled = {"extensions": _lines(values), "alt_names": alt_names(names), "digest": digest}
    return _filled(built_in_templates() / "sign.cnf", filled)


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
            f"{path} is not there: a folder of templates holds ca.cnf, client.cnf, server.cnf and peer.cnf "
            f"(kcert's own, to start from, are in {built_in_templates()})."
        )
    try:
        template = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8: byte {error.start + 1} is none of it.") from None

    def filled(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in values:
            line = template[: found.start()].count("\n") + 1
            raise InputError(f"{path}:{line}: {found.group()} is not known; there are {', '.join(values)}.")
        return values[name]

    return _PLACEHOLDER.sub(filled, template)


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
    authority = certificate.kind is Kind.CA
    length = "" if usages.path_length is None else f", pathlen:{usages.path_length}"
    values = {
        "basicConstraints": f"critical, CA:TRUE{length}" if authority else "critical, CA:FALSE",
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
