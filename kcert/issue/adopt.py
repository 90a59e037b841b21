"""Existing certificates: as specs for new ones, and those that kcert.yaml does not name."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from kcert import profiles
from kcert.certificates import AltName, Certificate, Files, Key, Kind, Subject, Usages, key_names
from kcert.config import LONGEST_LIFE, Cluster, check_address, check_dns_name, check_user_name, is_offered
from kcert.errors import InputError, MachineError
from kcert.files import read_input, read_regular
from kcert.issue.status import status_of
from kcert.kubeconfig import opened
from kcert.openssl.reader import first_certificate
from kcert.quoting import quote
from kcert.store import OWN_FOLDER
from kcert.store.history import entries, recall


def detect_files(root: Path, certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return *certificates* with their files in the PKI folder *root*, whatever tool named the files.

    Options of the command line that are recorded in the folder override kcert.yaml. If kcert.yaml does not say whether
    another tool made the certificates, the CA decides.
    """
    requests = remembered(root)
    named = (
        replace(spec, files=_files_at(root, spec)) if spec.files.crt and not spec.files.kubeconfig else spec
        for spec in certificates
    )
    return mark_adopted(root, [with_request(spec, requests.get(spec.name, {})) for spec in named])


def mark_adopted(root: Path, certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return *certificates* as made by another tool, if a CA shows that and kcert.yaml does not decide it."""
    specs = tuple(certificates)
    if any(spec.adopted is None and _is_foreign_ca(root, spec) for spec in specs if spec.kind is Kind.CA):
        return tuple(replace(spec, adopted=True) if spec.adopted is None else spec for spec in specs)
    return specs


def _is_foreign_ca(root: Path, ca: Certificate) -> bool:
    """Return True if *ca* has a different subject than kcert gives it, and kcert did not create its key.

    A different subject alone could also mean that kcert.yaml was changed later.
    """
    try:
        x509 = first_certificate(read_regular(root / ca.files.primary))
    except OSError:  # its status says what is wrong with it
        return False
    if x509 is None or not x509.ca or ca.subject is None or sorted(ca.subject.parts) == sorted(x509.subject.parts):
        return False
    return not any(str(ca.files.key) in entry.files for entry in entries(root / OWN_FOLDER))


SAN_CHECKS = {"DNS": check_dns_name, "IP": check_address}
"""The types of SANs that kcert issues, and the function that says why a value cannot be one; None if it can."""

_OPTIONS = {"cn": "--cn", "sans": "--san", "key": "--key", "days": "--days"}


def remembered(root: Path) -> dict[str, dict[str, Any]]:
    """Return the options of the command line that are recorded in *root*, by the name of the certificate.

    What the command line rejects is left out: the record may have been edited by hand, or come with the folder from
    someone else, and its values become lines of an openssl.cnf.
    """
    return {name: _accepted(request) for name, request in recall(root / OWN_FOLDER).requests.items()}


def _accepted(request: Mapping[str, Any]) -> dict[str, Any]:
    cn, sans, key, days = map(request.get, _OPTIONS)
    accepted = {
        "cn": isinstance(cn, str) and not check_user_name(cn),
        "sans": isinstance(sans, list) and all(map(_is_san, sans)),
        "key": isinstance(key, str) and key_of_text(key) is not None,
        "days": type(days) is int and 1 <= days <= LONGEST_LIFE,
    }
    return {name: request[name] for name, is_accepted in accepted.items() if is_accepted}


def _is_san(san: object) -> bool:
    if not isinstance(san, list) or len(san) != 2 or not all(isinstance(part, str) for part in san):
        return False
    return san[0] in SAN_CHECKS and SAN_CHECKS[san[0]](san[1]) is None


def command_options(request: Mapping[str, Any]) -> list[str]:
    """Return the options of the command line that *request* came from."""
    words: list[str] = []
    for name in (name for name in _OPTIONS if name in request):
        values = [value for _, value in request["sans"]] if name == "sans" else [request[name]]
        for value in values:
            words += [_OPTIONS[name], quote(str(value))]
    return words


def with_request(spec: Certificate, request: Mapping[str, Any]) -> Certificate:
    """Return *spec* with the options of the command line in *request*: ``cn``, ``sans``, ``key`` and ``days``."""
    subject = spec.subject
    if subject and "cn" in request:
        subject = Subject(request["cn"], subject.organizations)
    sans = [AltName(*san) for san in request.get("sans", ())]
    key = key_of_text(request.get("key", "")) or spec.key
    usages = spec.usages
    if sans and spec.kind is Kind.CLIENT and usages is None:
        # The openssl.cnf of a client has no SANs.
        encrypts = ("keyEncipherment",) if key.algorithm == "rsa" else ()
        usages = Usages(("digitalSignature", *encrypts), ("clientAuth",))
    return replace(
        spec,
        usages=usages,
        subject=subject,
        alt_names=tuple(dict.fromkeys((*spec.alt_names, *sans))),
        key=key,
        days=request.get("days", spec.days),
    )


def key_of_text(text: str) -> Key | None:
    """Return the key that ``rsa:4096`` or ``ecdsa:P-256`` asks for; None if it is neither."""
    match = re.fullmatch(r"rsa:([0-9]{4})|ecdsa:(.+)", text)
    key = match and (Key("rsa", int(match[1])) if match[1] else Key("ecdsa", curve=match[2]))
    return key if key and is_offered(key) else None


def _files_at(root: Path, certificate: Certificate) -> Files:
    files, crt = certificate.files, certificate.crt
    if (root / files.key).exists():
        return files
    cfssl = replace(files, crt=crt.with_suffix(".pem"), key=crt.with_name(f"{crt.stem}-key.pem"))
    easy_rsa = {"crt": f"issued/{crt.name}", "key": f"private/{crt.stem}.key", "csr": f"reqs/{crt.stem}.req"}
    for named in (files, cfssl, replace(files, **{part: crt.parent / path for part, path in easy_rsa.items()})):
        assert named.crt
        key = next((path for path in key_names(named.crt) if (root / path).exists()), None)
        # A CA's key is often somewhere else; a leaf in one file with its key is not cfssl's.
        if (root / named.crt).exists() and (key or certificate.kind is Kind.CA or named is not cfssl):
            return replace(named, key=key or named.key)
    return files


def known_files(root: Path) -> frozenset[str]:
    """The SHA-256 of every file that kcert made in the PKI folder *root*, as its history has them."""
    digests = (digest for entry in entries(root / OWN_FOLDER) for digest in entry.files.values())
    return frozenset(digest for digest in digests if digest)


def made_here(root: Path, certificate: Certificate, known: frozenset[str]) -> bool:
    """Return True if the file, or for a kubeconfig the certificate in it, is among the *known* ones."""
    return hashlib.sha256(_certificate_in(root, certificate)).hexdigest() in known


def _certificate_in(root: Path, certificate: Certificate) -> bytes:
    content = read_input(root / certificate.files.primary, error=MachineError)
    inside = opened(content) if certificate.files.kubeconfig else None
    return content if certificate.files.kubeconfig is None else inside.crt if inside else b""


def certificates_in(root: Path, cluster: Cluster) -> tuple[Certificate, ...]:
    """Return the certificates of *cluster* and the ``unmanaged`` ones in *root*, with their files there."""
    known = profiles.certificates(cluster)
    return detect_files(root, (*known, *unmanaged(root, cluster, known, ())))


def unmanaged(
    root: Path, cluster: Cluster, known: Iterable[Certificate], names: Iterable[str]
) -> tuple[Certificate, ...]:
    """Return the certificates in *root* that are not *known*: those that kcert created, and those of *names*.

    Each spec has the content of its certificate, because nothing else says what that should be.
    """
    known = tuple(known)
    made = {
        PurePosixPath(file).stem
        for entry in entries(root / OWN_FOLDER)
        for file in entry.files
        if PurePosixPath(file).suffix == ".crt" and "/" not in file
    }
    wanted = [name for name in dict.fromkeys((*names, *sorted(made))) if not profiles.named(known, name)]
    return tuple(_users_in(root, cluster, wanted).values())


def unmanaged_users(
    root: Path,
    cluster: Cluster,
    wanted: Iterable[Certificate],
    groups: tuple[str, ...],
    replace_groups: Callable[[str, tuple[str, ...]], bool],
) -> dict[str, Certificate]:
    """Return those of *wanted* that kcert.yaml does not name and that are in *root* already, by name.

    Nothing but the certificate says in which groups they are. Where other *groups* are asked for, *replace_groups* is
    given the name and the groups that it has, and says whether they are to be replaced; raises InputError if not.
    """
    named = {user.name for user in cluster.users}
    unnamed = [spec.name for spec in wanted if spec.role == "user" and spec.name not in named]
    users, requests = {}, remembered(root)
    for name, spec in _users_in(root, cluster, unnamed).items():
        if spec.subject is None or spec.subject.common_name not in (name, requests.get(name, {}).get("cn")):
            continue
        if groups and set(groups) != set(spec.subject.organizations):
            if replace_groups(name, spec.subject.organizations):
                continue
            listed = ", ".join(spec.subject.organizations) or "no group"
            raise InputError(
                f"--group: {name} already has a certificate, in {listed}, which stays as it is. "
                "Use --replace to create one with other groups."
            )
        users[name] = spec
    return users


def _users_in(root: Path, cluster: Cluster, names: Iterable[str]) -> dict[str, Certificate]:
    """Return those users of *names* who have a certificate in *root*, with its content, by name."""
    specs = []
    for name in names:
        if not check_user_name(name):
            with contextlib.suppress(InputError):  # a name that something else has here
                specs.append(profiles.user(cluster, name, ()))
    users = {}
    for spec in detect_files(root, specs):
        is_there = (root / spec.files.primary).is_file()
        x509 = first_certificate(_certificate_in(root, spec)) if is_there else None
        if x509 and not x509.ca:
            from kcert.issue.discovery import spec_from_x509

            users[spec.name] = spec_from_x509(spec, x509)
    return users


def describes(cluster: Cluster, root: Path) -> bool:
    """Return True if *cluster* is the cluster of the PKI folder *root*, as far as that is known.

    A kcert.yaml is trusted to be the right one. The built-in example fits a folder without certificates, a folder that
    kcert created for the example, and a folder whose certificates match the example. A server certificate with other
    SANs, or a CA or server that the example does not have, belongs to another cluster.
    """
    if cluster.source is not None or not root.is_dir() or recall(root / OWN_FOLDER).example:
        return True
    from kcert.issue.discovery import read_folder

    specs = detect_files(root, profiles.certificates(cluster))
    present = [(status.certificate, x509) for status in status_of(root, specs).values() if (x509 := status.x509)]
    if any(set(spec.alt_names) - set(spec.optional_sans) - set(x509.alt_names) for spec, x509 in present):
        return False
    files = read_folder(root)
    if not files:
        return True  # what kcert's own folder holds is read under its lock, which refuses links
    known, made = {spec.files.primary for spec in specs}, known_files(root)
    others = (file.x509 for file in files if file.name not in known and file.sha256 not in made)
    if any(x509.ca or "serverAuth" in (x509.extended_key_usage or ()) for x509 in others):
        return False
    return bool(present)


def require_described(cluster: Cluster, root: Path) -> None:
    """Raise InputError if there is no kcert.yaml, and *root* holds the certificates of another cluster."""
    if not describes(cluster, root):
        raise InputError(undescribed(root))


def undescribed(root: Path) -> str:
    """Return what to do about a PKI folder that no kcert.yaml describes."""
    return (
        f"the certificates in {root} are not those of the built-in example, and there is no kcert.yaml that describes "
        f"them. Use --config FILE to name it, or write one: `kcert init --from {quote(str(root))}`."
    )
