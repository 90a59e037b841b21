"""Whose a CA is: the cluster's, etcd's, or the front proxy's.

A CA's name tells nothing: kubeadm calls them so, others otherwise. A CA is etcd's because it signed what etcd shows,
and the cluster's because it signed what the API server and its clients show.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kcert.inspect.components import CA_ROLES
from kcert.inspect.survey import Role

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.inspect.rules.case import Case
    from kcert.openssl.x509 import X509


def belonging(case: Case) -> dict[Role, X509]:
    """The CA of each sort: the one that signed most of what answers to that sort, or else the one in its place."""
    authorities = {one.certificate.sha256: one.certificate for one in case.authorities}
    by_name = {one.subject: one for one in authorities.values()}
    pairs = [
        (leaf, by_name[leaf.certificate.issuer])
        for leaf in case.leaves
        if leaf.roles & CA_ROLES.keys() and leaf.certificate.issuer in by_name
    ]
    case.signatures.expect((leaf.certificate, (issuer,)) for leaf, issuer in pairs)
    votes: dict[Role, Counter[str]] = {role: Counter() for role in CA_ROLES.values()}
    for leaf, issuer in pairs:
        if case.signatures.verdict(leaf.certificate, (issuer,)) is None:
            for role in leaf.roles & CA_ROLES.keys():
                votes[CA_ROLES[role]][issuer.sha256] += 1
    known = {role: authorities[count.most_common(1)[0][0]] for role, count in votes.items() if count}
    for one in case.authorities:
        here = place(one.path)
        if here is not None and not one.embedded:
            known.setdefault(here, one.certificate)
    return known


def place(path: Path) -> Role | None:
    """Which CA lies here in kubeadm's folder, where the place alone tells."""
    if path.stem == "front-proxy-ca":
        return Role.FRONT_PROXY_CA
    if path.stem == "ca" and path.parent.name == "etcd" and path.parent.parent.name == "pki":
        return Role.ETCD_CA
    return Role.CLUSTER_CA if path.stem == "ca" and path.parent.name == "pki" else None
