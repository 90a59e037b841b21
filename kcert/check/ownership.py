"""The owner of a CA: the cluster, etcd or the front proxy.

The name of a CA proves nothing, because tools use different names. A CA belongs to etcd if it signed the certificate
that etcd presents, and to the cluster if it signed those of the API server and its clients. If one CA signs everything,
every option is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.roles import ROLES
from kcert.scan.fs import cluster_root_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcert.check.rule import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509, Name


@dataclass(frozen=True)
class Owners:
    """The CAs by owner, for each of the clusters that were found together.

    ``clusters`` maps every ``cluster_root_of`` to the folder that represents its cluster; ``populated`` are the
    clusters that have certificates of their own.
    """

    clusters: Mapping[Path, Path]
    known: Mapping[Path, Mapping[Role, X509]]
    populated: frozenset[Path]

    def near(self, path: Path) -> Mapping[Role, X509]:
        """The CAs of the cluster that the file at *path* is of; of the only one there is, if it is alone."""
        home = cluster_root_of(path)
        cluster = self.clusters.get(home, home)
        if cluster not in self.populated and len(self.known) == 1:
            return next(iter(self.known.values()))
        return self.known.get(cluster, {})


def owners(ctx: RuleContext) -> Owners:
    """Return the CAs by owner: the CA that signed most of the owner's certificates, else the one in the usual place."""
    clusters = _clusters(ctx)
    by_name: dict[Name, dict[str, CertificateInstance]] = defaultdict(dict)
    for cert in ctx.authorities:
        by_name[cert.certificate.subject].setdefault(cert.certificate.sha256, cert)
    pairs = [
        (leaf, ca.certificate)
        for leaf in ctx.leaves
        if any(ROLES[role].ca for role in leaf.roles)
        for ca in by_name[leaf.certificate.issuer].values()
    ]
    ctx.signatures.expect((leaf.certificate, (issuer,), ()) for leaf, issuer in pairs)
    votes: dict[Path, dict[Role, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for leaf, issuer in pairs:
        if ctx.signatures.verdict(leaf.certificate, (issuer,)) is None:
            for ca in {ca for role in leaf.roles if (ca := ROLES[role].ca)}:
                votes[clusters[cluster_root_of(leaf.path)]][ca][issuer.sha256] += 1
    authorities = {cert.certificate.sha256: cert.certificate for cert in ctx.authorities}
    known: dict[Path, dict[Role, X509]] = defaultdict(dict)
    for cluster, counts in votes.items():
        known[cluster] = {role: authorities[count.most_common(1)[0][0]] for role, count in counts.items()}
    for cert in ctx.authorities:
        here = place(cert.path)
        if here is not None and cert.has_file:
            known[clusters[cluster_root_of(cert.path)]].setdefault(here, cert.certificate)
    return Owners(clusters, dict(known), frozenset(clusters[cluster_root_of(leaf.path)] for leaf in ctx.leaves))


def _clusters(ctx: RuleContext) -> dict[Path, Path]:
    """Map each folder to the one that represents its cluster: files that one configuration names are one cluster."""
    next_of: dict[Path, Path] = {}

    def last(home: Path) -> Path:
        while next_of.setdefault(home, home) != home:
            home = next_of[home]
        return home

    named = dict.fromkeys((ref.path, ref.source) for ref in ctx.scan.uses)
    named |= dict.fromkeys((problem.path, problem.source) for problem in ctx.scan.problems)
    for path, source in named:
        next_of[last(cluster_root_of(path))] = last(cluster_root_of(source or path))
    return {home: last(home) for home in tuple(next_of)}


def place(path: Path) -> Role | None:
    """Return the owner of a CA by its place in kubeadm's folder; None if the place does not show it."""
    if path.stem == "front-proxy-ca":
        return Role.FRONT_PROXY_CA
    if path.stem == "ca" and path.parent.name == "etcd" and path.parent.parent.name == "pki":
        return Role.ETCD_CA
    return Role.CLUSTER_CA if path.stem == "ca" and path.parent.name == "pki" else None
