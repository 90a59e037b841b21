"""Rules about who signed what, and who may sign."""

from __future__ import annotations

from collections.abc import Iterator

from kcert.certificates import Role
from kcert.check import bash, ca_options, sans
from kcert.check.keys import is_of_another_file
from kcert.check.placing import holds_a_key, rewritten
from kcert.check.recreate import in_place_of, recreated
from kcert.check.repairs import reissue_commands, reissued
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.openssl.program import key_belongs
from kcert.scan import CertificateRef
from kcert.scan.fs import cluster_root_of


def wrong_issuer(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates from a CA that their clients or servers do not trust."""
    for cert in ctx.leaves:
        if cert.only_service_account or _is_self_made(ctx, cert):
            continue
        for use in cert.uses:
            verdict = ctx.signatures.verdict(use.certificate, use.issuers, use.chain) if use.issuers else None
            if verdict is None or ctx.signatures.signed_itself(cert.certificate):
                continue
            if ca_options.is_blamed(ctx, use.issuer_path, use.certificate) or _is_of_the_key(ctx, use):
                continue  # an option names the wrong CA, or the CA's file holds another one than its key's
            message, certain = _why_refused(cert, use, verdict)
            fix = reissue_commands(ctx, cert) if certain else ""
            yield next(_incomplete(ctx, cert, use), Violation(cert.path, message, verdict, fix))
            break
        else:
            yield from _signed_otherwise(ctx, cert)
            yield from _unknown_to_the_api_server(ctx, cert)
    yield from _replaced(ctx)


def _replaced(ctx: RuleContext) -> Iterator[Violation]:
    """Yield CAs that were created again: what is beside them is from an earlier one, which kubeconfigs contain."""
    for ca in ctx.authorities:
        # What an option names has a rule of its own.
        if not ca.has_file or Role.CLUSTER_CA not in ca.roles or any(use.option for use in ca.uses):
            continue
        home = cluster_root_of(ca.path)
        named = [
            cert
            for cert in ctx.leaves
            if cert.certificate.issuer == ca.certificate.subject and cluster_root_of(cert.path) == home
        ]
        blamed = any(use.issuer_path == ca.path for cert in named for use in cert.uses)
        if blamed or any(ctx.signatures.verdict(cert.certificate, (ca.certificate,)) is None for cert in named):
            continue
        earlier = {
            (cert.path, other.path)
            for cert in named
            for other in ctx.cas_by_name[ca.certificate.subject]
            if other.embedded and ctx.signatures.verdict(cert.certificate, (other.certificate,)) is None
        }
        if earlier:
            signed, trusting = (sorted({pair[side] for pair in earlier}) for side in (0, 1))
            message = (
                f"{ca.path} was created again: it has the name of the CA that signed {signed[0]}, and that "
                f"{trusting[0]} trusts, but another key. A component that is configured with this file rejects every "
                "certificate of the former CA. Restore that CA with its key, or re-create every certificate and "
                "kubeconfig with the new one."
            )
            evidence = f"{ca.path} signed none of {len(signed)} certificates that name {ca.certificate.subject}"
            yield Violation(ca.path, message, evidence, "", authority=True)


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
        certain = cert.has_file and not holds_a_key(cert.path)
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
        if certificate.version == 1 and certificate.self_signed:
            continue  # there were no extensions then, and a root of version 1 is still taken
        if _is_trusted_itself(ctx, cert) or ca_options.is_misnamed(ctx, cert):
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
        right = "" if certificate.self_signed else ca_options.right_authority(ctx, cert)
        # Only a leaf has an extended key usage: it has been written over the CA.
        is_leaf = not certificate.self_signed and certificate.extended_key_usage is not None
        fix = right or (recreated(ctx, in_place_of(cert.use)) if is_leaf else reissue_commands(ctx, cert))
        yield Violation(cert.path, message, evidence, fix, authority=True)


def _is_trusted_itself(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True for a server's self-signed certificate that clients trust as it is: Go takes it without CA:TRUE."""
    certificate = cert.certificate
    names_server = bool(certificate.alt_names) and certificate.allows("serverAuth")
    if certificate.extended_key_usage is None:
        names_server &= any(not copy.is_authority for copy in ctx.copies[certificate.sha256])
    only_clients = all(use.kubeconfig is not None or use.live for use in cert.uses)
    return certificate.self_signed and names_server and only_clients


def _is_of_the_key(ctx: RuleContext, use: CertificateRef) -> bool:
    """True if the key beside the CA signed it, or may have: only the CA's certificate is another one."""
    cas = ctx.certs_by_file.get((use.issuer_path, None), ()) if use.issuer_path else ()
    if any(is_of_another_file(ctx, ca) for ca in cas):
        return True
    keys = [other.key for ca in cas for other in ca.uses if other.key and other.key_fits is False]
    if keys and len(cas) == 1 and cas[0].certificate.subject == use.certificate.issuer:
        return True  # until the file and the key belong together, nothing shows which of them is right
    return any(
        key_belongs(key.pem, ca.certificate.public_key)
        and ctx.signatures.verdict(use.certificate, (ca.certificate,)) is None
        for key in keys
        for ca in ctx.cas_by_name.get(use.certificate.issuer, ())
    )


RULES = (
    error("wrong-issuer", wrong_issuer, updated=True, cluster_renews=True),
    error("self-signed-leaf", self_signed_leaf, suppressed_by=("key-mismatch",), updated=True),
    error("not-a-ca", not_a_ca),
)
