"""Rules about options that name a CA: each has to name the one that signed what the option verifies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kcert.certificates import Role
from kcert.check import bash, corrections, sans
from kcert.check.placing import as_written, options_changed
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.openssl.program import key_belongs
from kcert.openssl.x509 import X509
from kcert.roles import CA_ROLES, ROLES
from kcert.scan import CertificateRef
from kcert.scan.fs import cluster_root_of, lexists

_NAMES = {Role.CLUSTER_CA: "the cluster's CA", Role.ETCD_CA: "etcd's CA", Role.FRONT_PROXY_CA: "the front proxy's CA"}


def wrong_ca_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options that name the wrong CA."""
    replaced: set[Path] = set()
    options = _authority_options(ctx)
    for use in options:
        right, belongs = _right(ctx, use), _owner(ctx, use)
        if right is None or use.role is None or use.source is None or not _is_wrong(ctx, use):
            continue
        named = _value(use)
        what = _NAMES[belongs] if belongs else "a CA that signed nothing here" if use.certificate.ca else "not a CA"
        message = (
            f"{use.option} of {use.component} is set to {named}, which is {what}; it must be "
            f"{_NAMES[use.role]}. Certificates signed by {_NAMES[use.role]} are rejected."
        )
        signs_others = belongs is None and ctx.has_signed(use.certificate)
        if signs_others:
            message = (
                f"{use.option} of {use.component} is set to {named}, which signed none of the certificates that this "
                f"option verifies: they are rejected. {right.subject} signed them."
            )
        evidence = f"{use.option}={named}, which is {use.certificate.subject}"
        fix = _option_set(ctx, use, right)
        users = {(ref.component, ref.option) for ref in options if ref.path == use.path}
        if belongs is None and not signs_others and len(users) > 1:
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
        key = ctx.scan.keys.get(path) if path else None
        signer = next((ca for ca in in_file if key and key_belongs(key.pem, ca.certificate.public_key)), None)
        fix = ""
        alone = use.path.with_name(f"{use.path.stem}-signing.crt")
        if signer and not lexists(alone):
            new = as_written(_value(use), use.path, alone)
            option = options_changed(use.source, (use.option or "", _value(use), new))
            written = f"{bash.joined(bash.literal(signer.certificate.pem))} > {bash.word(alone)}"
            fix = option and bash.then(written, option)
        evidence = f"{use.option}={_value(use)}: {len(in_file)} certificates"
        yield Violation(use.source, message, evidence, fix)


def _other_hosts(ctx: RuleContext) -> Iterator[Violation]:
    """Yield control-plane hosts whose API server trusts another CA for etcd than that of the cluster's other hosts."""
    first: dict[str, CertificateRef] = {}
    for use in _authority_options(ctx):
        cluster = ctx.owners.near(use.source or use.path).get(Role.CLUSTER_CA)
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
    """Yield kubelets whose client CA is another one than the CA that signed their certificate and the API server's."""
    for use in _authority_options(ctx):
        home, trusted = cluster_root_of(use.source or use.path), ctx.certs_by_file.get((use.path, None), ())
        cas = tuple(cert.certificate for cert in trusted)
        known = {ca.public_key for ca in cas}
        if use.component != "kubelet" or use.source is None or not use.certificate.ca or _is_wrong(ctx, use):
            continue
        if any(cluster_root_of(cert.path) == home for cert in ctx.api_servers):
            continue  # what that presents shows which file is wrong
        for kubeconfig in ctx.scan.kubeconfigs:
            user, authorities = kubeconfig.user, kubeconfig.authorities
            if kubeconfig.component != "kubelet" or cluster_root_of(kubeconfig.path) != home or user is None:
                continue
            if not authorities or known & {ca.public_key for ca in authorities}:
                continue
            if ctx.signatures.verdict(user, authorities):
                continue
            same_name = user.issuer == cas[0].subject
            other = "another CA with the same name as" if same_name else f"another CA ({cas[0].subject}) than"
            message = (
                f"{use.option} of kubelet is set to {_value(use)}, which is {other} the CA "
                f"that {kubeconfig.path} trusts, and that signed the kubelet's own certificate: if the API server's "
                "client certificate is from the latter, kubectl logs and kubectl exec fail."
            )
            if same_name:
                message += " One of the two files belongs to another cluster, or to this one before it was re-created."
            evidence = f"two CAs: SHA-256 {cas[0].sha256[:16]}… and {authorities[0].sha256[:16]}…"
            yield Violation(use.source, message, evidence, "")


def _wrong_bundles(ctx: RuleContext) -> Iterator[Violation]:
    """Yield webhooks whose caBundle contains no CA that signed the certificate of their service."""
    for path, host in ctx.scan.webhooks:
        trusted = tuple(cert.certificate for cert in ctx.found if cert.path == path)
        shown = [cert for cert in ctx.found if cert.path != path and sans.answers_to(cert.certificate, host)]
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
    if corrections.role_by_place(ctx, use.path, use.certificate) in CA_ROLES:
        # The option names the CA's place: another certificate has been written there.
        uses = [other for cert in ctx.certs_by_file.get((use.path, None), ()) for other in cert.uses]
        if not use.certificate.ca or any(other.key_fits is False for other in uses):
            return False
    return belongs is not use.role if belongs else _rejects_all(ctx, use, right)


def _rejects_all(ctx: RuleContext, use: CertificateRef, right: X509) -> bool:
    """True if an option names CAs that signed none of the certificates that it verifies, and *right* signed one."""
    trusted = tuple(cert.certificate for cert in ctx.certs_by_file.get((use.path, None), ()))
    verified = [
        cert
        for cert in ctx.leaves
        if cluster_root_of(cert.path) == cluster_root_of(use.source or use.path)
        and any((use.component, use.option) in ROLES[role].verified_by for role in cert.roles)
    ]
    if any(ctx.signatures.verdict(cert.certificate, trusted, cert.use.chain) is None for cert in verified):
        return False
    return any(ctx.signatures.verdict(cert.certificate, (right,)) is None for cert in verified)


def _right(ctx: RuleContext, use: CertificateRef) -> X509 | None:
    return ctx.owners.near(use.source or use.path).get(use.role) if use.role else None


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
    known = ctx.owners.near(use.source or use.path)
    owners = [role for role, ca in known.items() if ca.public_key == use.certificate.public_key]
    return owners[0] if len(owners) == 1 else None


def _value(use: CertificateRef) -> str:
    configuration = use.configuration
    value = configuration.options.get(use.option or "") if configuration else None
    return value or str(use.path)


def _option_set(ctx: RuleContext, use: CertificateRef, right: X509) -> str:
    places = [cert for cert in ctx.copies.get(right.sha256, ()) if cert.has_file]
    copy = min(places, key=lambda cert: cert.use.position, default=None)
    if copy is None or use.source is None:
        return ""
    old = _value(use)
    new = as_written(old, use.path, copy.path)
    return options_changed(use.source, (use.option or "", old, new))


def is_misnamed(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True if an option names *cert*, which has another use, where a CA has to be."""
    return not cert.certificate.ca and any(_is_wrong(ctx, use) for use in _authority_options(ctx) if use in cert.uses)


def right_authority(ctx: RuleContext, cert: CertificateInstance) -> str:
    """For an option that names a certificate that is not a CA: the CA that it should name."""
    for use in cert.uses:
        right = _right(ctx, use)
        if right is not None and use.source is not None and use.option and use.configuration is not None:
            return _option_set(ctx, use, right)
    return ""


RULES = (error("wrong-ca-option", wrong_ca_option),)
