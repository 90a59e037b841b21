"""The owner of a CA (the cluster's, etcd's, the front proxy's), and options that name the CA of another owner.

A CA's name tells nothing: kubeadm calls them so, others otherwise. A CA is etcd's because it signed what etcd shows,
and the cluster's because it signed what the API server and its clients show. Where one CA does everything, every
option is right.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.check import bash
from kcert.check.rule import Violation
from kcert.roles import ROLES
from kcert.scan.fs import Content, cluster_root_of, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509, Name
    from kcert.scan.result import CertificateRef


@dataclass(frozen=True)
class Owners:
    """The CA of each sort, for each of the clusters that were found together.

    ``clusters`` maps every ``cluster_root_of`` to the one that stands for its cluster, ``populated`` are the clusters
    that have certificates of their own.
    """

    clusters: Mapping[Path, Path]
    known: Mapping[Path, Mapping[Role, X509]]
    populated: frozenset[Path]

    def near(self, path: Path) -> Mapping[Role, X509]:
        """The CAs of the cluster that the file at *path* is of; of the only one there is, where it stands alone."""
        home = cluster_root_of(path)
        cluster = self.clusters.get(home, home)
        if cluster not in self.populated and len(self.known) == 1:
            return next(iter(self.known.values()))
        return self.known.get(cluster, {})


def owners(ctx: RuleContext) -> Owners:
    """The CA of each sort: the one that signed most of what answers to that sort, or else the one in its place."""
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
        if here is not None and not cert.embedded:
            known[clusters[cluster_root_of(cert.path)]].setdefault(here, cert.certificate)
    return Owners(clusters, dict(known), frozenset(clusters[cluster_root_of(leaf.path)] for leaf in ctx.leaves))


def _clusters(ctx: RuleContext) -> dict[Path, Path]:
    """Each home, with the one that stands for its cluster: what one configuration names is of one cluster."""
    next_of: dict[Path, Path] = {}

    def last(home: Path) -> Path:
        while next_of.setdefault(home, home) != home:
            home = next_of[home]
        return home

    named = [(ref.path, ref.source) for ref in ctx.scan.uses]
    named += [(problem.path, problem.source) for problem in ctx.scan.problems]
    for path, source in named:
        next_of[last(cluster_root_of(path))] = last(cluster_root_of(source or path))
    return {home: last(home) for home in tuple(next_of)}


def place(path: Path) -> Role | None:
    """Return which CA this is by its place in kubeadm's folder, where the place alone tells."""
    if path.stem == "front-proxy-ca":
        return Role.FRONT_PROXY_CA
    if path.stem == "ca" and path.parent.name == "etcd" and path.parent.parent.name == "pki":
        return Role.ETCD_CA
    return Role.CLUSTER_CA if path.stem == "ca" and path.parent.name == "pki" else None


_NAMES = {Role.CLUSTER_CA: "the cluster's CA", Role.ETCD_CA: "etcd's CA", Role.FRONT_PROXY_CA: "the front proxy's CA"}


def wrong_ca_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options that name the wrong CA."""
    for use in _authority_options(ctx):
        right, belongs = _right(ctx, use), _owner(ctx, use)
        if right is None or use.role is None or belongs is None or use.source is None:
            continue
        if belongs is use.role or right.public_key == use.certificate.public_key:
            continue
        named = _value(use)
        message = (
            f"{use.option} of {use.component} is set to {named}, which is {_NAMES[belongs]}; it must be "
            f"{_NAMES[use.role]}. Certificates signed by {_NAMES[use.role]} are rejected."
        )
        evidence = f"{use.option}={named}, which is {use.certificate.subject}"
        yield Violation(use.source, message, evidence, _option_set(ctx, use, right))


def is_blamed(ctx: RuleContext, ca: Path | None, certificate: X509) -> bool:
    """True if *certificate* does not lead to the CA in the file *ca* only because an option names the wrong CA."""
    blamed = [use for use in _authority_options(ctx) if use.path == ca and _is_wrong(ctx, use)]
    rights = [right for use in blamed if (right := _right(ctx, use))]
    return any(ctx.signatures.verdict(certificate, (right,)) is None for right in rights)


def _is_wrong(ctx: RuleContext, use: CertificateRef) -> bool:
    right, belongs = _right(ctx, use), _owner(ctx, use)
    wrong = right is not None and belongs not in (None, use.role) and right.public_key != use.certificate.public_key
    return wrong and use.source is not None


def _right(ctx: RuleContext, use: CertificateRef) -> X509 | None:
    """The CA that its option should name, in its cluster."""
    return ctx.belonging(use.source or use.path).get(use.role) if use.role else None


def _authority_options(ctx: RuleContext) -> list[CertificateRef]:
    """Every option that names a CA, once; a kubeconfig's CA has a rule of its own."""
    return [
        use
        for use in ctx.scan.uses
        if use.role in _NAMES
        and use.option
        and use.position == 0
        and use.configuration is not None
        and not use.embedded
    ]


def _owner(ctx: RuleContext, use: CertificateRef) -> Role | None:
    """Return whose CA it is, in the cluster of the option; None if nothing tells, or if it is more than one's."""
    known = ctx.belonging(use.source or use.path)
    owners = [role for role, ca in known.items() if ca.public_key == use.certificate.public_key]
    return owners[0] if len(owners) == 1 else None


def _value(use: CertificateRef) -> str:
    configuration = use.configuration
    value = configuration.options.get(use.option or "") if configuration else None
    return value or str(use.path)


def _option_set(ctx: RuleContext, use: CertificateRef, right: X509) -> str:
    """Return the command that sets the option to the right file."""
    places = [cert for cert in ctx.copies.get(right.sha256, ()) if not cert.embedded]
    copy = min(places, key=lambda cert: cert.use.position, default=None)
    if copy is None or use.source is None:
        return ""
    old = _value(use)
    new = as_written(old, use.path, copy.path)
    return option_changed(use.source, use.option or "", old, new)


def as_written(old: str, resolved: Path, target: Path) -> str:
    """Return *target* as it is written in place of *old*, which means *resolved*: without the --root before it."""
    text = str(resolved)
    if old.startswith("/") and text.endswith(old):
        root = text[: len(text) - len(old)]
        return str(target).removeprefix(root) if root else str(target)
    try:
        return str(target.relative_to(Path(text.removesuffix(old))))
    except ValueError:
        return str(target)


def option_changed(source: Path, option: str, old: str, new: str) -> str:
    """The command that gives an option of a manifest, a unit or a configuration another value; empty if none can."""
    read = read_file(source)
    if not isinstance(read, Content):
        return ""
    try:
        text = read.data.decode()
    except UnicodeDecodeError:
        return ""
    name = option.rsplit(".", 1)[-1]
    if name.startswith("--") and name not in text:
        # etcd's configuration file has no dashes, and a section for peers.
        name = name.removeprefix("--peer-").removeprefix("--")
    # The value ends where the word does: ca.crt must not match in ca.crt.old.
    changed = re.sub(
        rf'({re.escape(name)}[=: ] *"?){re.escape(old)}(?=["\s]|$)',
        lambda match: match[1] + new,
        text,
        flags=re.MULTILINE,
    )
    # A line of context must never be that of a key.
    return bash.patched(source, text, changed, context=0 if "-data" in text else 1) if changed != text else ""


def option_added(source: Path, beside: str, added: str) -> str:
    """The command that adds an option, ``--name=value``, before *beside*; empty if that is not alone on its line."""
    read = read_file(source)
    text = read.data.decode("utf-8", "replace") if isinstance(read, Content) else ""
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if f"{beside}=" in line]
    if len(places) != 1 or lines[places[0]].count("--") != 1:
        return ""
    new = re.sub(rf"{re.escape(beside)}=[^\s\"']+", lambda _: added, lines[places[0]])
    changed = [*lines[: places[0]], new, *lines[places[0] :]]
    return bash.patched(source, text, "\n".join(changed))


def right_authority(ctx: RuleContext, cert: CertificateInstance) -> str:
    """For an option that names a certificate that is not a CA: the CA that it should name."""
    for use in cert.uses:
        right = _right(ctx, use)
        if right is not None and use.source is not None and use.option and use.configuration is not None:
            return _option_set(ctx, use, right)
    return ""
