"""Which certificates a cluster needs: one module a profile, all of one shape (``kcert.profiles.profile``)."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Kind
from kcert.cluster import User, file, names
from kcert.errors import InputError
from kcert.profiles import course, hardway, kubeadm

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.cluster import Cluster
    from kcert.profiles.profile import Profile

PROFILES: dict[str, Profile] = {profile.NAME: profile for profile in (course, hardway, kubeadm)}
"""Every profile by its name, the default first."""


def load(path: Path | None) -> Cluster:
    """The cluster of the kcert.yaml at *path*, or the built-in example, with all that it needs found sound.

    Raises InputError for what the file has wrong, and for names that would share a file.
    """
    cluster = file.read(path, {name: profile.LIFETIMES for name, profile in PROFILES.items()})
    certificates(cluster)
    return cluster


def certificates(cluster: Cluster) -> tuple[Certificate, ...]:
    """Every certificate that *cluster* needs, in the order in which they are made; no two share a file."""
    wanted = tuple(PROFILES[cluster.profile].certificates(cluster))
    for certificate in wanted:
        _check_lengths(cluster, certificate)
    _check_files(cluster, wanted)
    return wanted


def user(cluster: Cluster, name: str, groups: tuple[str, ...]) -> Certificate:
    """The certificate of a user who is not in kcert.yaml, but made as if he were."""
    widened = replace(cluster, users=(*cluster.users, User(name, groups)))
    return next(one for one in certificates(widened) if one.role == "user" and one.name == name)


def select(wanted: Iterable[Certificate], names: Iterable[str], cluster: Cluster) -> tuple[Certificate, ...]:
    """Those of *wanted* that the user named: by name, by what they are for, or as a kubeconfig's file.

    ``kube-scheduler`` is the scheduler's certificate in every profile, however its file is called there.
    Raises InputError for a name that is nobody's, with the near ones.
    """
    wanted = tuple(wanted)
    chosen: dict[str, Certificate] = {}
    for name in names:
        found = named(wanted, name)
        if not found:
            why = PROFILES[cluster.profile].without(name)
            raise InputError(
                f"{name!a}: {why}." if why else f"{name!a} is no certificate of this cluster{near(name, wanted)}"
            )
        chosen.update((one.name, one) for one in found)
    return tuple(one for one in wanted if one.name in chosen)


def named(wanted: Iterable[Certificate], name: str) -> tuple[Certificate, ...]:
    """Those of *wanted* that *name* can mean; none if it means nothing."""
    wanted = tuple(wanted)
    exact = tuple(one for one in wanted if name in (one.name, f"{one.name}.conf"))
    return exact or tuple(one for one in wanted if one.role == name and name != "user")


def near(name: str, wanted: Iterable[Certificate]) -> str:
    """The end of a sentence: which names are like *name*, or all there are."""
    known = [one.name for one in wanted]
    close = difflib.get_close_matches(name, known, 3)
    return f"; did you mean {', '.join(close)}?" if close else f". There are: {', '.join(known)}."


def _check_lengths(cluster: Cluster, certificate: Certificate) -> None:
    name = certificate.subject.common_name if certificate.subject else ""
    if len(name) > names.COMMON_NAME_LENGTH:
        raise InputError(
            f"{_place(cluster, certificate)}the common name {name!a} has {len(name)} characters, a certificate holds "
            f"{names.COMMON_NAME_LENGTH}: a shorter name is needed."
        )


def _check_files(cluster: Cluster, wanted: tuple[Certificate, ...]) -> None:
    by_name: dict[str, Certificate] = {}
    by_file: dict[str, Certificate] = {}
    for certificate in wanted:
        other = by_name.setdefault(certificate.name, certificate)
        if other is not certificate:
            raise InputError(
                f"{_place(cluster, certificate)}{_called(certificate)} and {_called(other)} would both be called "
                f"{certificate.name}: one of them needs another name."
            )
        for path in _names_on_disk(certificate):
            # macOS does not tell Jane.key from jane.key.
            other = by_file.setdefault(path.casefold(), certificate)
            if other is not certificate:
                raise InputError(
                    f"{_place(cluster, certificate)}{_called(certificate)} and {_called(other)} would both be kept in "
                    f"{path}: one of them needs another name."
                )


def _names_on_disk(certificate: Certificate) -> list[str]:
    files = certificate.files
    paths = [str(path) for path in dict.fromkeys((files.key, files.crt, *files.kept)) if path]
    if certificate.kind is not Kind.KEY_PAIR and certificate.kind.dials and not files.kubeconfig:
        paths.append(f"{str(files.key).removesuffix('.key')}.kubeconfig")
    return paths


def _called(certificate: Certificate) -> str:
    what = {"user": "the user", "kubelet-server": "the node", "kubelet": "the node"}.get(certificate.role)
    return f"{what} {certificate.host or certificate.name}" if what else f"the certificate {certificate.name}"


def _place(cluster: Cluster, certificate: Certificate) -> str:
    return cluster.place(_line(cluster, certificate))


def _line(cluster: Cluster, certificate: Certificate) -> int:
    if certificate.role == "user":
        return next((user.line for user in cluster.users if user.name == certificate.name), 0)
    hosts = (*cluster.nodes, *cluster.etcd, *cluster.control_plane)
    return next((host.line for host in hosts if host.name == certificate.host), 0)
