"""The owner of a CA (the cluster, etcd or the front proxy), and options that name the CA of another owner.

The name of a CA proves nothing, because tools use different names. A CA belongs to etcd if it signed the certificate
that etcd presents, and to the cluster if it signed those of the API server and its clients. If one CA signs everything,
every option is right.
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
from kcert.check.sans import answers_to
from kcert.openssl.program import key_belongs
from kcert.roles import ROLES
from kcert.scan.fs import Content, cluster_root_of, lexists, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509, Name
    from kcert.scan.result import CertificateRef


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
        if here is not None and not cert.embedded:
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


_NAMES = {Role.CLUSTER_CA: "the cluster's CA", Role.ETCD_CA: "etcd's CA", Role.FRONT_PROXY_CA: "the front proxy's CA"}


def wrong_ca_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options that name the wrong CA."""
    replaced: set[Path] = set()
    for use in _authority_options(ctx):
        right, belongs = _right(ctx, use), _owner(ctx, use)
        if right is None or use.role is None or use.source is None or not _is_wrong(ctx, use):
            continue
        named = _value(use)
        what = _NAMES[belongs] if belongs else "a CA that signed nothing here"
        message = (
            f"{use.option} of {use.component} is set to {named}, which is {what}; it must be "
            f"{_NAMES[use.role]}. Certificates signed by {_NAMES[use.role]} are rejected."
        )
        evidence = f"{use.option}={named}, which is {use.certificate.subject}"
        fix = _option_set(ctx, use, right)
        if belongs is None and any(_names_same(use, other) for other in _authority_options(ctx)):
            if use.path in replaced:
                continue
            replaced.add(use.path)
            message += (
                " Other options name this file too, so the CA was replaced, but not the certificates that it signed: "
                "restore the former CA with its key, or sign every certificate again with the new one."
            )
            fix = ""
        yield Violation(use.source, message, evidence, fix)
    yield from _signing_bundles(ctx)
    yield from _other_hosts(ctx)
    yield from _kubelets_of_another_ca(ctx)
    yield from _wrong_bundles(ctx)


def _names_same(use: CertificateRef, other: CertificateRef) -> bool:
    return other.path == use.path and (other.component, other.option) != (use.component, use.option)


def _signing_bundles(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options for the CA that signs requests with a file of several CAs: kube-controller-manager takes one.

    Source: pkg/controller/certificates/signer/ca_provider.go.
    """
    for use in _authority_options(ctx):
        in_file = ctx.certs_by_file.get((use.path, None), ())
        if not (use.option or "").startswith("--cluster-signing") or len(in_file) < 2 or use.source is None:
            continue
        message = (
            f"{use.option} of {use.component} is set to {_value(use)}, which contains {len(in_file)} certificates. "
            f"{use.component} accepts one certificate there, and signs no request until the file has only the CA of "
            "--cluster-signing-key-file. Other options may name a file with several CAs."
        )
        resolved = use.configuration.resolved if use.configuration else {}
        path = resolved.get((use.option or "").replace("-cert-", "-key-"))
        key = next((key for key in ctx.scan.keys if key.path == path), None)
        signer = next((ca for ca in in_file if key and key_belongs(key.pem, ca.certificate.public_key)), None)
        fix = ""
        alone = use.path.with_name(f"{use.path.stem}-signing.crt")
        if signer and not lexists(alone):
            option = option_changed(use.source, use.option or "", _value(use), as_written(_value(use), use.path, alone))
            fix = option and f"cat {bash.literal(signer.certificate.pem)} > {bash.word(alone)} &&\n{option}"
        evidence = f"{use.option}={_value(use)}: {len(in_file)} certificates"
        yield Violation(use.source, message, evidence, fix)


def _other_hosts(ctx: RuleContext) -> Iterator[Violation]:
    """Yield control-plane hosts whose API server trusts another CA for etcd than that of the cluster's other hosts."""
    first: dict[str, CertificateRef] = {}
    for use in _authority_options(ctx):
        cluster = ctx.belonging(use.source or use.path).get(Role.CLUSTER_CA)
        if use.option != "--etcd-cafile" or cluster is None or use.source is None:
            continue
        other = first.setdefault(cluster.sha256, use)
        same = {cert.certificate.public_key for cert in ctx.certs_by_file.get((other.path, None), ())}
        if cluster_root_of(other.path) == cluster_root_of(use.path) or use.certificate.public_key in same:
            continue
        message = (
            f"{use.option} of {use.component} is set to {_value(use)}, and {use.path} is another CA than {other.path}, "
            "although both hosts have the same CA of the cluster: the members of etcd reject each other. Copy the CA "
            "of etcd, with its key, from the correct host, and re-create the certificates of etcd on this one."
        )
        evidence = f"two CAs: SHA-256 {other.certificate.sha256[:16]}… and {use.certificate.sha256[:16]}…"
        yield Violation(use.source, message, evidence, "")


def _kubelets_of_another_ca(ctx: RuleContext) -> Iterator[Violation]:
    """Yield kubelets whose client CA has the name of their kubeconfig's CA, but is a different CA."""
    for use in _authority_options(ctx):
        home, trusted = cluster_root_of(use.source or use.path), ctx.certs_by_file.get((use.path, None), ())
        cas = tuple(cert.certificate for cert in trusted)
        if use.component != "kubelet" or use.source is None or any(map(ctx.has_signed, cas)) or _is_wrong(ctx, use):
            continue
        for kubeconfig in ctx.scan.kubeconfigs:
            user, authorities = kubeconfig.user, kubeconfig.authorities
            if kubeconfig.component != "kubelet" or cluster_root_of(kubeconfig.path) != home or user is None:
                continue
            if user.issuer != cas[0].subject or not authorities or ctx.signatures.verdict(user, authorities):
                continue
            message = (
                f"{use.option} of kubelet is set to {_value(use)}, which is another CA with the same name as the CA "
                f"that {kubeconfig.path} trusts, and that signed the kubelet's own certificate: if the API server's "
                "client certificate is from the latter, kubectl logs and kubectl exec fail. One of the two files "
                "belongs to another cluster, or to this one before it was re-created."
            )
            evidence = f"two CAs: SHA-256 {cas[0].sha256[:16]}… and {authorities[0].sha256[:16]}…"
            yield Violation(use.source, message, evidence, "")


def _wrong_bundles(ctx: RuleContext) -> Iterator[Violation]:
    """Yield webhooks whose caBundle contains no CA that signed the certificate of their service."""
    for path, host in ctx.scan.webhooks:
        trusted = tuple(cert.certificate for cert in ctx.found if cert.path == path)
        shown = [cert for cert in ctx.found if cert.path != path and answers_to(cert.certificate, host)]
        shown = [cert for cert in shown if cert.use.key is not None]
        if not trusted or not shown:
            continue
        if any(ctx.signatures.verdict(cert.certificate, trusted, cert.use.chain) is None for cert in shown):
            continue
        message = (
            f"{path} did not sign the certificate of the service {host} ({shown[0].path}): the API server cannot call "
            "the webhook, and reports that the certificate is signed by an unknown CA. Put the CA that signed the "
            "certificate into caBundle; where cert-manager's cainjector does that, check its annotation and its log."
        )
        evidence = f"caBundle: {trusted[0].subject}; issuer of the certificate: {shown[0].certificate.issuer}"
        yield Violation(path, message, evidence, "")


def is_blamed(ctx: RuleContext, ca: Path | None, certificate: X509) -> bool:
    """True if *certificate* is rejected with the CA in the file *ca* only because an option names the wrong CA."""
    blamed = [use for use in _authority_options(ctx) if use.path == ca and _is_wrong(ctx, use)]
    rights = [right for use in blamed if (right := _right(ctx, use))]
    return any(ctx.signatures.verdict(certificate, (right,)) is None for right in rights)


def _is_wrong(ctx: RuleContext, use: CertificateRef) -> bool:
    right, belongs = _right(ctx, use), _owner(ctx, use)
    if right is None or use.source is None or right.public_key == use.certificate.public_key:
        return False
    return belongs is not use.role if belongs else _rejects_all(ctx, use, right)


def _rejects_all(ctx: RuleContext, use: CertificateRef, right: X509) -> bool:
    """True if an option names CAs that signed no certificate here, and *right* signed those that it has to verify."""
    trusted = tuple(cert.certificate for cert in ctx.certs_by_file.get((use.path, None), ()))
    verified = [
        cert
        for cert in ctx.leaves
        if cluster_root_of(cert.path) == cluster_root_of(use.source or use.path)
        and any((use.component, use.option) in ROLES[role].verified_by for role in cert.roles)
    ]
    if any(map(ctx.has_signed, trusted)):
        return False
    return any(ctx.signatures.verdict(cert.certificate, (right,)) is None for cert in verified)


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
    """Return the owner of the CA in the cluster of the option; None if it is unknown or there is more than one."""
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
