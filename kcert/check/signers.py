"""Rules about who signed what, and who may sign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kcert.certificates import Role
from kcert.check import bash, sans
from kcert.check.placing import as_written, holds_a_key, option_changed, rewritten
from kcert.check.repairs import reissue_commands, reissued
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.openssl.program import key_belongs
from kcert.openssl.x509 import X509
from kcert.roles import ROLES
from kcert.scan import CertificateRef
from kcert.scan.fs import cluster_root_of, lexists


def wrong_issuer(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates from a CA that their clients or servers do not trust."""
    for cert in ctx.leaves:
        if cert.only_service_account or _is_self_made(ctx, cert):
            continue
        for use in cert.uses:
            verdict = ctx.signatures.verdict(use.certificate, use.issuers, use.chain) if use.issuers else None
            if verdict is None or ctx.signatures.signed_itself(cert.certificate):
                continue
            if _is_blamed(ctx, use.issuer_path, use.certificate):
                continue  # an option names the wrong CA
            message, certain = _why_refused(cert, use, verdict)
            fix = reissue_commands(ctx, cert) if certain else ""
            yield next(_incomplete(ctx, cert, use), Violation(cert.path, message, verdict, fix))
            break
        else:
            yield from _signed_otherwise(ctx, cert)
            yield from _unknown_to_the_api_server(ctx, cert)


def _incomplete(ctx: RuleContext, cert: CertificateInstance, use: CertificateRef) -> Iterator[Violation]:
    """Yield the fault that the file lacks the intermediate CA, for each known one with which the chain is right."""
    for ca in ctx.cas_by_name.get(use.certificate.issuer, ()):
        if ca.certificate in use.issuers:
            continue  # what is trusted does not verify it
        if ctx.signatures.verdict(use.certificate, use.issuers, (*use.chain, ca.certificate)):
            continue
        message = (
            f"{cert.description} was signed by the intermediate CA {ca.certificate.subject}, whose certificate has to "
            f"follow it in the file (a copy is in {ca.path}): clients and servers trust only {use.issuer_path}."
        )
        pems = dict.fromkeys((use.certificate.pem, *(link.pem for link in use.chain), ca.certificate.pem))
        certain = not cert.embedded and not cert.live and not holds_a_key(cert.path)
        fix = rewritten(cert.path, bash.joined(bash.literal(*pems))) if certain else ""
        yield Violation(cert.path, message, f"the chain lacks {use.certificate.issuer}", fix, authority=True)


def _unknown_to_the_api_server(ctx: RuleContext, cert: CertificateInstance) -> Iterator[Violation]:
    """Yield users of kubeconfigs whose certificate no CA in the API server's --client-ca-file signed."""
    use, kubeconfig = cert.use, cert.use.kubeconfig
    if kubeconfig is None or use.issuers or use.position or not (use.option or "").startswith("client-certificate"):
        return
    host = kubeconfig.server_name or sans.host_of(kubeconfig.server or "")
    for shown in ctx.api_servers:
        # Every host has a loopback address, so that one says nothing.
        if sans.is_loopback(host) or not sans.answers_to(shown.certificate, host) or not kubeconfig.authorities:
            continue
        configuration = next((other.configuration for other in shown.uses if other.option == "--tls-cert-file"), None)
        path = configuration.resolved.get("--client-ca-file") if configuration else None
        trusted = tuple(ca.certificate for ca in ctx.certs_by_file.get((path, None), ())) if path else ()
        if not trusted or ctx.signatures.verdict(shown.certificate, kubeconfig.authorities, shown.use.chain):
            continue
        if verdict := ctx.signatures.verdict(cert.certificate, trusted, use.chain):
            message = (
                f"{cert.description} was signed by {cert.certificate.issuer}, which is not in {path} (--client-ca-file "
                "of kube-apiserver): the API server answers Unauthorized. Have a CA of that file sign it, or add its "
                "CA to the file."
            )
            yield Violation(cert.path, message, verdict, "")
            return


def _signed_otherwise(ctx: RuleContext, cert: CertificateInstance) -> Iterator[Violation]:
    """Yield a certificate that another CA signed than the one in kcert.yaml, if no other evidence shows the fault."""
    wanted = cert.wanted
    ca = next((ca for ca in ctx.authorities if wanted and ca.wanted and ca.wanted.name == wanted.issuer), None)
    if wanted is None or ca is None or ctx.signatures.signed_itself(cert.certificate):
        return
    trusted = tuple(ca_certificate.certificate for ca_certificate in ctx.certs_by_file[ca.holder])
    verdict = ctx.signatures.verdict(cert.certificate, trusted, cert.use.chain)
    if verdict is not None:
        message = (
            f"{cert.description} should be signed by {ca.path}, as {ctx.plan} says, but {cert.certificate.issuer} "
            f"signed it. `kcert renew {wanted.name} --stale` makes it match."
        )
        yield Violation(cert.path, message, verdict, "")


def _why_refused(cert: CertificateInstance, use: CertificateRef, verdict: str) -> tuple[str, bool]:
    """Return why a certificate is rejected, and True if a new signature is certain to fix it."""
    ca = use.issuers[0].subject
    issuer = cert.certificate.issuer
    signers = [ca for ca in use.issuers if ca.subject == issuer]
    key_ids = {ca.subject_key_id for ca in signers}
    if verdict.startswith(_NAME_CONSTRAINTS):
        return (
            f"The name constraints of the CA in {use.issuer_path} do not allow a SAN of {cert.description}: every "
            "client rejects it. A new certificate with the same SANs is rejected as well: give it names that the CA "
            "permits, or use a CA without these constraints."
        ), False
    if verdict.startswith(_PATH_LENGTH):
        return (
            f"{cert.description} was signed by an intermediate CA, and the CA above it ({use.issuer_path}) has a "
            "pathlen that allows none: every client rejects the chain. Sign the certificate with the CA itself, or "
            "re-create the CA with a larger pathlen."
        ), False
    if cert.certificate.authority_key_id is not None and cert.certificate.authority_key_id in key_ids:
        return (
            f"The signature of {cert.description} does not match its content, although it names the key of the CA in "
            f"{use.issuer_path}: the file is damaged, or the certificate was changed after it was signed."
        ), True
    if signers:
        return (
            f"{cert.description} says that {issuer} signed it, but not with the key of the CA in "
            f"{use.issuer_path}: it was signed by an earlier CA with the same name."
        ), True
    return (
        f"{cert.description} was signed by {issuer}, but the other side of the connection trusts {ca} "
        f"({use.issuer_path})."
    ), True


_NAME_CONSTRAINTS = tuple(f"error {number}:" for number in (47, 48, 49, 50, 51, 52, 53))
_PATH_LENGTH = "error 25:"
"""openssl's numbers (X509_V_ERR_PERMITTED_VIOLATION and those after it, X509_V_ERR_PATH_LENGTH_EXCEEDED)."""


def self_signed_leaf(ctx: RuleContext) -> Iterator[Violation]:
    """Yield leaf certificates that are signed with their own key."""
    for cert in ctx.leaves:
        if not (cert.roles or cert.is_client) or cert.only_service_account or _is_self_made(ctx, cert):
            continue
        if ctx.signatures.signed_itself(cert.certificate):
            message = (
                f"{cert.description} is signed with its own key, not by a CA: every client and server that "
                "trusts the cluster's CA rejects it."
            )
            evidence = f"subject and issuer are both {cert.certificate.subject}"
            yield reissued(ctx, cert, message, evidence)


def _is_self_made(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True for a kubelet's own serving certificate, which is verified only with --kubelet-certificate-authority."""
    return cert.roles == {Role.KUBELET_SERVER} and not ctx.option(
        "kube-apiserver", "--kubelet-certificate-authority", cert
    )


def not_a_ca(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates that are used as a CA but are not a CA."""
    for cert in ctx.deduplicated:
        if not cert.is_authority or cert.use.position:
            continue  # other parts of a chain do not count
        certificate = cert.certificate
        usage = certificate.key_usage
        if certificate.version == 1 and certificate.self_issued:
            continue  # there were no extensions then, and a root of version 1 is still taken
        if _is_trusted_itself(ctx, cert):
            continue
        if not certificate.ca:
            evidence = "basicConstraints CA:FALSE" if certificate.ca is False else "no basicConstraints"
        elif usage is not None and "keyCertSign" not in usage:
            evidence = f"keyUsage {', '.join(usage) or 'empty'}, without keyCertSign"
        else:
            continue
        message = (
            f"{cert.description} is used as a CA, but its extensions do not allow this: certificates that it signed "
            f"are rejected."
        )
        right = "" if certificate.self_issued else _right_authority(ctx, cert)
        fix = right or reissue_commands(ctx, cert)
        yield Violation(cert.path, message, evidence, fix, authority=True)


def _is_trusted_itself(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True for a server's self-signed certificate that clients trust as it is: Go takes it without CA:TRUE."""
    certificate = cert.certificate
    names_server = bool(certificate.alt_names) and certificate.allows("serverAuth")
    if certificate.extended_key_usage is None:
        names_server &= any(not copy.is_authority for copy in ctx.copies[certificate.sha256])
    only_clients = all(use.kubeconfig is not None or use.live for use in cert.uses)
    return certificate.self_issued and names_server and only_clients


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
        what = _NAMES[belongs] if belongs else "a CA that signed nothing here"
        message = (
            f"{use.option} of {use.component} is set to {named}, which is {what}; it must be "
            f"{_NAMES[use.role]}. Certificates signed by {_NAMES[use.role]} are rejected."
        )
        evidence = f"{use.option}={named}, which is {use.certificate.subject}"
        fix = _option_set(ctx, use, right)
        if belongs is None and len({(ref.component, ref.option) for ref in options if ref.path == use.path}) > 1:
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
            option = option_changed(use.source, use.option or "", _value(use), as_written(_value(use), use.path, alone))
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


def _is_blamed(ctx: RuleContext, ca: Path | None, certificate: X509) -> bool:
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
    places = [cert for cert in ctx.copies.get(right.sha256, ()) if not cert.embedded]
    copy = min(places, key=lambda cert: cert.use.position, default=None)
    if copy is None or use.source is None:
        return ""
    old = _value(use)
    new = as_written(old, use.path, copy.path)
    return option_changed(use.source, use.option or "", old, new)


def _right_authority(ctx: RuleContext, cert: CertificateInstance) -> str:
    """For an option that names a certificate that is not a CA: the CA that it should name."""
    for use in cert.uses:
        right = _right(ctx, use)
        if right is not None and use.source is not None and use.option and use.configuration is not None:
            return _option_set(ctx, use, right)
    return ""


RULES = (
    error("wrong-issuer", wrong_issuer, updated=True, cluster_renews=True),
    error("self-signed-leaf", self_signed_leaf, suppressed_by=("key-mismatch",), updated=True),
    error("not-a-ca", not_a_ca),
    error("wrong-ca-option", wrong_ca_option),
)
