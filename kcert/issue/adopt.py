"""Certificates that are there already: as specs for new ones, and those that kcert.yaml does not name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.adoption import adopted
from kcert.certificates import Key, Kind, Subject, Usages
from kcert.config import names as config_names
from kcert.errors import InputError, MachineError
from kcert.files import read_input, read_regular
from kcert.kubeconfig import opened
from kcert.openssl.cnf import writable
from kcert.openssl.reader import certificate_pems, read_certificate
from kcert.openssl.x509 import X509
from kcert.store import OWN_FOLDER
from kcert.store.history import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kcert.certificates import AltName, Certificate
    from kcert.config import Cluster
    from kcert.openssl.x509 import PublicKey

_CA_USES = ("keyCertSign", "cRLSign", "digitalSignature")


def spec_from_x509(certificate: Certificate, found: X509) -> Certificate:
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
    kind = kind_of(found) if certificate.kind is not Kind.CA else Kind.CA
    taken = replace(
        certificate,
        kind=kind,
        subject=subject_of(found),
        alt_names=tuple(dict.fromkeys(found.alt_names)),
        key=key_of(found),
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
    path = root / files.primary
    content = read_input(path, error=MachineError)
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


def subject_of(found: X509) -> Subject:
    """Return the subject of a certificate, with parts that kcert does not make word for word."""
    subject = Subject(found.subject.common_name or "", found.subject.organizations)
    return subject if subject.parts == found.subject.parts else replace(subject, given=found.subject.parts)


def kind_of(found: X509) -> Kind:
    """Return the kind of a leaf by what it may be used for."""
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
        usual = uses == set(_CA_USES) and found.subject_key_id == _identifier(found.public_key)
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
        uses = found.key_usage if found.key_usage and "keyCertSign" in found.key_usage else _CA_USES
        return Usages(uses, found.extended_key_usage, True, found.path_length, found.subject_key_id)
    return Usages(found.key_usage, found.extended_key_usage, found.key_usage_critical, None)


def unmanaged(
    root: Path, cluster: Cluster, known: Iterable[Certificate], names: Iterable[str]
) -> tuple[Certificate, ...]:
    """Those in *root* that are not among *known*: kcert's own, by its history, and whatever lies there under *names*.

    Each is as it is in its certificate, because nothing else says what it should be.
    """
    known = tuple(known)
    taken = {one.name for one in known}
    made = {
        PurePosixPath(file).stem
        for entry in entries(root / OWN_FOLDER)
        for file in entry.files
        if PurePosixPath(file).suffix == ".crt" and "/" not in file
    }
    wanted = [name for name in (*names, *sorted(made)) if not profiles.named(known, name)]
    found = (_unmanaged(root, cluster, name) for name in dict.fromkeys(wanted) if name not in taken)
    return tuple(one for one in found if one)


def unmanaged_users(
    root: Path,
    cluster: Cluster,
    wanted: Iterable[Certificate],
    groups: tuple[str, ...],
    replace_groups: Callable[[str, tuple[str, ...]], bool],
) -> dict[str, Certificate]:
    """Those of *wanted* whom kcert.yaml does not name and who are in *root* already, by name.

    Nothing but the certificate says in which groups they are. Where other *groups* are asked for, *replace_groups* is
    told the name and the groups that it has, and says whether they are to be replaced; raises InputError if not.
    """
    named = {user.name for user in cluster.users}
    found: dict[str, Certificate] = {}
    for certificate in wanted:
        if certificate.role != "user" or certificate.name in named:
            continue
        one = _unmanaged(root, cluster, certificate.name)
        if one is None or one.subject is None or one.subject.common_name != certificate.name:
            continue
        if groups and set(groups) != set(one.subject.organizations):
            if replace_groups(certificate.name, one.subject.organizations):
                continue
            listed = ", ".join(one.subject.organizations) or "no group"
            raise InputError(
                f"--group: {certificate.name} has a certificate already, in {listed}, and it is left alone. "
                "Use --replace to make one with other groups."
            )
        found[certificate.name] = one
    return found


def _unmanaged(root: Path, cluster: Cluster, name: str) -> Certificate | None:
    if config_names.user_name(name):
        return None
    try:
        (certificate,) = adopted(root, (profiles.user(cluster, name, ()),))
    except InputError:
        return None  # a name that something else has here
    files = certificate.files
    path = root / files.primary
    if not path.is_file():
        return None
    content = read_regular(path)
    if files.kubeconfig:
        inside = opened(content)
        content = inside.crt if inside else b""
    pems = certificate_pems(content)
    one = read_certificate(pems[0]) if pems else None
    if not isinstance(one, X509) or one.ca:
        return None
    return spec_from_x509(certificate, one)
