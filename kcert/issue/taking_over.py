"""What an old certificate says, as a wish for a new one; and whether kcert made it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Key, Kind, Subject, Usages
from kcert.errors import InputError, MachineError
from kcert.files import read_regular
from kcert.kubeconfig import opened
from kcert.openssl.cnf import writable
from kcert.store import OWN_FOLDER
from kcert.store.history import entries

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import AltName, Certificate
    from kcert.openssl.x509 import X509, PublicKey

_AUTHORITY_USES = ("keyCertSign", "cRLSign", "digitalSignature")


def as_it_is(certificate: Certificate, found: X509) -> Certificate:
    """*certificate* with subject, names, usages and key as *found*, the old one, has them.

    Raises InputError for an old one that is of another nature than it should be, or that cannot be written
    down for openssl again.
    """
    name = certificate.name
    if bool(found.ca) and certificate.kind is not Kind.CA:
        raise InputError(
            f"what lies there as {name} is the certificate of a CA, which {name} must not be: "
            f"`kcert renew {name} --stale` makes it as kcert.yaml wants it."
        )
    for one in found.alt_names:
        _check(name, one)
    kind = _kind(found) if certificate.kind is not Kind.CA else Kind.CA
    subject = Subject(found.subject.common_name or "", found.subject.organizations)
    if subject.parts != found.subject.parts:
        subject = replace(subject, given=found.subject.parts)
    taken = replace(
        certificate, kind=kind, subject=subject, alt_names=tuple(dict.fromkeys(found.alt_names)), key=key_of(found)
    )
    return taken if _is_usual(taken, found) else replace(taken, usages=_usages(taken, found))


def key_of(found: X509) -> Key:
    """The key of a certificate, as one would ask for it."""
    public = found.public_key
    return Key("rsa", public.bits) if public.algorithm == "rsa" else Key("ecdsa", curve=str(public.curve))


def known_files(root: Path) -> frozenset[str]:
    """The SHA-256 of every file that kcert made in the PKI folder *root*, as its history has them."""
    digests = (digest for entry in entries(root / OWN_FOLDER) for digest in entry.files.values())
    return frozenset(digest for digest in digests if digest)


def made_here(root: Path, certificate: Certificate, known: frozenset[str]) -> bool:
    """Whether what lies there is among the *known* files, those that kcert made."""
    files = certificate.files
    path = root / files.proof
    try:
        content = read_regular(path)
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}.") from None
    if files.kubeconfig:
        inside = opened(content)
        content = inside.crt if inside else b""
    return hashlib.sha256(content).hexdigest() in known


def _check(name: str, one: AltName) -> None:
    if not writable(one):
        raise InputError(
            f"the old certificate of {name} has the name {str(one)!a}, which cannot be written into an openssl.cnf: "
            "renew it with the tool that made it."
        )


def _kind(found: X509) -> Kind:
    if found.may_serve and found.may_dial:
        return Kind.PEER
    return Kind.SERVER if found.may_serve else Kind.CLIENT


def _is_usual(taken: Certificate, found: X509) -> bool:
    """Whether the template of its kind says just what *found* says."""
    if not (found.basic_constraints_critical and found.key_usage_critical and found.path_length is None):
        return False
    uses, extended = set(found.key_usage or ()), set(found.extended_key_usage or ())
    if taken.kind is Kind.CA:
        # Leaves name their CA's key by its identifier, and openssl's way to make one is not the only one.
        usual = uses == set(_AUTHORITY_USES) and found.subject_key_id == _identifier(found.public_key)
        return usual and not extended and not taken.alt_names
    return (
        uses == ({"digitalSignature", "keyEncipherment"} if taken.key.algorithm == "rsa" else {"digitalSignature"})
        and extended == {use for use, has in _EXTENDED.items() if getattr(taken.kind, has)}
        and bool(taken.alt_names) == taken.kind.is_server
    )


_EXTENDED = {"serverAuth": "is_server", "clientAuth": "is_client"}


def _identifier(public: PublicKey) -> str:
    """The subject key identifier that openssl writes: SHA-1 of the public key (RFC 5280, section 4.2.1.2, method 1)."""
    material = bytes.fromhex(public.material)
    if public.algorithm == "rsa":
        # A list of modulus and exponent, which nearly always is 65537; of another the identifier is kept as it is.
        material = _der(0x30, _der(0x02, b"\0" + material) + _der(0x02, b"\x01\0\x01"))
    return hashlib.sha1(material, usedforsecurity=False).hexdigest()


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _usages(taken: Certificate, found: X509) -> Usages:
    if taken.kind is Kind.CA:
        uses = found.key_usage if found.key_usage and "keyCertSign" in found.key_usage else _AUTHORITY_USES
        return Usages(uses, found.extended_key_usage, True, found.path_length, found.subject_key_id)
    return Usages(found.key_usage, found.extended_key_usage, found.key_usage_critical, None)
