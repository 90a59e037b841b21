"""Certificates in a PKI folder that kcert.yaml does not ask for: made by `kcert client`, or by others."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert import profiles
from kcert.adoption import adopted
from kcert.config import names as accepted
from kcert.errors import InputError
from kcert.issue.taking_over import as_it_is
from kcert.kubeconfig import opened
from kcert.openssl.reader import certificate_pems, read_certificate
from kcert.openssl.x509 import X509
from kcert.store import OWN_FOLDER
from kcert.store.history import entries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster


def newcomers(
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
    found = (_newcomer(root, cluster, name) for name in dict.fromkeys(wanted) if name not in taken)
    return tuple(one for one in found if one)


def as_they_are(
    root: Path, cluster: Cluster, wanted: Iterable[Certificate], groups: tuple[str, ...], *, option: str
) -> dict[str, Certificate]:
    """Those of *wanted* whom kcert.yaml does not name and who are in *root* already, by name.

    Nothing but the certificate says in which groups they are; raises InputError where other *groups* are asked for.
    *option* belongs behind a command on the same folder and cluster.
    """
    named = {user.name for user in cluster.users}
    found: dict[str, Certificate] = {}
    for certificate in wanted:
        if certificate.role != "user" or certificate.name in named:
            continue
        one = _newcomer(root, cluster, certificate.name)
        if one is None or one.subject is None or one.subject.common_name != certificate.name:
            continue
        if groups and set(groups) != set(one.subject.organizations):
            listed = ", ".join(one.subject.organizations) or "no group"
            described = f"{cluster.source}" if cluster.source else "kcert.yaml (`kcert init` writes one)"
            user = f"{{name: {certificate.name}, groups: [{', '.join(groups)}]}}"
            raise InputError(
                f"--group: {certificate.name} has a certificate already, in {listed}, and it is left alone. To change "
                f"the groups, write the user with them into {described}, under users: `- {user}`; then "
                f"`kcert renew {certificate.name} --stale{option}` brings the certificate in line."
            )
        found[certificate.name] = one
    return found


def _newcomer(root: Path, cluster: Cluster, name: str) -> Certificate | None:
    if accepted.user_name(name):
        return None
    try:
        (certificate,) = adopted(root, (profiles.user(cluster, name, ()),))
    except InputError:
        return None  # a name that something else has here
    files = certificate.files
    path = root / files.proof
    if not path.is_file():
        return None
    content = path.read_bytes()
    if files.kubeconfig:
        inside = opened(content)
        content = inside.crt if inside else b""
    pems = certificate_pems(content)
    one = read_certificate(pems[0]) if pems else None
    if not isinstance(one, X509) or one.ca:
        return None
    return as_it_is(certificate, one)
