"""Rules about kubeconfigs: which server they connect to, and which CA they trust."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from kcert.certificates import is_address
from kcert.check import bash, placing, sans
from kcert.check.identities import listed
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error, warning
from kcert.clusters import cluster_kind_of
from kcert.openssl.x509 import X509
from kcert.quoting import in_sentence
from kcert.scan import KubeconfigUse


def server_not_in_san(ctx: RuleContext) -> Iterator[Violation]:
    """Yield kubeconfigs that connect to the API server at a name that its certificate does not have."""
    for kubeconfig in _once(ctx):
        host = kubeconfig.server_name or sans.host_of(kubeconfig.server or "")
        own = [cert for cert in ctx.api_servers if kubeconfig.verifies and _trusts(ctx, kubeconfig, cert)]
        if not host or not own or any(sans.answers_to(cert.certificate, host) for cert in own):
            continue
        if not any(cert.certificate.alt_names for cert in own):
            continue  # the certificate is to blame, and missing-san says so
        if any(name.value == host for cert in own for name in sans.connected_hosts(ctx, cert)):
            continue  # likewise
        names, kind = own[0].certificate.alt_names, cluster_kind_of(own[0].path) or ctx.scan.kind
        shown, server = in_sentence(host), in_sentence(kubeconfig.server or "")
        does = f"expects {shown} (tls-server-name)" if kubeconfig.server_name else f"connects to {server}"
        message = (
            f"{kubeconfig.path} {does}, and {shown} is not among the SANs of the API server's certificate "
            f"({own[0].path}): kubectl rejects it. A new certificate with this SAN is the other way to fix it"
            f"{f': {kind.sans}' if kind and kind.sans else ''}."
        )
        yield Violation(kubeconfig.path, message, f"subjectAltName: {listed(names)}", _server_set(ctx, kubeconfig, own))


def _server_set(ctx: RuleContext, kubeconfig: KubeconfigUse, own: list[CertificateInstance]) -> str:
    server = kubeconfig.server or ""
    host = _reachable(ctx, own, sans.host_of(server))
    if host is None:
        return ""
    if kubeconfig.server_name:
        return _cluster_set(kubeconfig, f"--tls-server-name={host}")
    port = urlsplit(server).port
    new = f"https://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return _cluster_set(kubeconfig, f"--server={new}")


def _reachable(ctx: RuleContext, own: list[CertificateInstance], old: str) -> str | None:
    """Return the best host: of other kubeconfigs, else the API server's own address, else any other SAN.

    localhost replaces only an *old* host that was localhost too: on other machines no API server answers there.
    """
    certificates = [cert.certificate for cert in own]
    for host in sans.hosts_in_use(ctx, own[0]):
        if sans.is_loopback(host) and not sans.is_loopback(old):
            continue
        if host and any(sans.answers_to(certificate, host) for certificate in certificates):
            return host
    service = {name.value for cert in own for name in sans.service_addresses(ctx, cert)}
    names = [name for certificate in certificates for name in certificate.alt_names]
    addresses = [name.value for name in names if name.type == "IP" and is_address(name.value)]
    hosts = [name.value for name in names if name.type == "DNS" and not name.value.startswith(("kubernetes", "*"))]
    # Where no option sets the range of services, an address that could be its first is not reached from outside.
    inside = service or {value for value in addresses if sans.is_first(value)}
    outside = [value for value in addresses if value not in inside and not sans.is_loopback(value)]
    likely = [*outside, *hosts, *(value for value in addresses if sans.is_loopback(value))]
    return next((host for host in likely if sans.is_loopback(old) or not sans.is_loopback(host)), None)


def wrong_ca(ctx: RuleContext) -> Iterator[Violation]:
    """Yield kubeconfigs with a CA that did not sign the API server's certificate."""
    for kubeconfig in _once(ctx):
        if not (kubeconfig.verifies and kubeconfig.authorities and ctx.api_servers):
            continue
        if any(_trusts(ctx, kubeconfig, cert) or _is_to_blame(ctx, kubeconfig, cert) for cert in ctx.api_servers):
            continue
        host = kubeconfig.server_name or sans.host_of(kubeconfig.server or "")
        same_cluster = any(sans.answers_to(cert.certificate, host) for cert in ctx.api_servers)
        if kubeconfig.component in (None, "kubectl") and not same_cluster:
            continue  # a person's kubeconfig may be for another cluster
        shown = ctx.api_servers[0]
        trusted, issuer = kubeconfig.authorities[0], shown.certificate.issuer
        signer = _signer_of(ctx, shown)
        does, by = f"trusts {trusted.subject}", str(issuer)
        if trusted.subject == issuer:
            does = f"trusts another CA with the same name ({issuer}, SHA-256 {trusted.sha256[:16]}…)"
            by = f"the CA with SHA-256 {signer.certificate.sha256[:16]}…" if signer else "a CA that is not here"
        message = (
            f"{kubeconfig.path} {does}, but the API server's certificate ({shown.path}) was signed by {by}: kubectl "
            "reports that it is signed by an unknown CA."
        )
        sha256 = kubeconfig.authorities[0].sha256[:16]
        evidence = f"the CA of cluster {in_sentence(kubeconfig.cluster or '(without a name)')} has sha256 {sha256}…"
        fix = _authority_set(ctx, kubeconfig, shown)
        if _is_of_another_cluster(ctx, kubeconfig):
            message += (
                " That CA signed its client certificate too: the file belongs to another cluster, or to this one "
                "before it was re-created. Replace the whole file."
            )
            fix = _replaced(ctx, kubeconfig)
        yield Violation(kubeconfig.path, message, evidence, fix)


def _is_of_another_cluster(ctx: RuleContext, kubeconfig: KubeconfigUse) -> bool:
    """Return True for a person's kubeconfig if only the CA inside it signed its certificate, and no CA in a file."""
    user = kubeconfig.user
    if user is None or kubeconfig.component not in (None, "kubectl"):
        return False
    cas = [
        ca.certificate for ca in ctx.authorities if ca.path != kubeconfig.path and ca.certificate.subject == user.issuer
    ]
    signed_here = any(ctx.signatures.verdict(user, (ca,)) is None for ca in cas)
    return not signed_here and ctx.signatures.verdict(user, kubeconfig.authorities) is None


def _replaced(ctx: RuleContext, kubeconfig: KubeconfigUse) -> str:
    """Copy this cluster's kubeconfig of the same user; empty if there is none, or if this one has other contexts."""
    if sum(other.path == kubeconfig.path for other in ctx.scan.kubeconfigs) > 1 or kubeconfig.user is None:
        return ""
    for other in ctx.scan.kubeconfigs:
        same = other.user is not None and other.user.subject == kubeconfig.user.subject
        if same and other.path != kubeconfig.path and any(_trusts(ctx, other, cert) for cert in ctx.api_servers):
            return bash.command("cp", other.path, kubeconfig.path)
    return ""


def invalid(ctx: RuleContext) -> Iterator[Violation]:
    """Yield kubeconfigs that kubectl rejects or ignores in part."""
    seen = set()
    for kubeconfig in ctx.scan.kubeconfigs:
        for clause in kubeconfig.refused:
            if (kubeconfig.path, clause) not in seen:
                seen.add((kubeconfig.path, clause))
                fix = ""
                if "insecure-skip-tls-verify" in clause:
                    fix = _cluster_set(kubeconfig, "--insecure-skip-tls-verify=false")
                elif clause.startswith("has current-context"):
                    names = {other.name for other in ctx.scan.kubeconfigs if other.path == kubeconfig.path} - {""}
                    only = names.pop() if len(names) == 1 else ""
                    fix = bash.kubectl_config(kubeconfig.path, "use-context", only) if only else ""
                yield Violation(
                    kubeconfig.path, f"{kubeconfig.path} {clause}.", f"{kubeconfig.path} {clause.split(':')[0]}", fix
                )


def insecure(ctx: RuleContext) -> Iterator[Violation]:
    """Yield kubeconfigs with which the server is not verified."""
    for kubeconfig in _once(ctx):
        server, plain = in_sentence(kubeconfig.server or ""), (kubeconfig.server or "").startswith("http://")
        if plain and (kubeconfig.authorities or kubeconfig.user):
            message = (
                f"{kubeconfig.path} connects to {server} without TLS: its certificates are not used, and "
                "everything is readable on the network. Set the server to https://."
            )
            host = sans.host_of(kubeconfig.server or "")
            serves = any(sans.answers_to(cert.certificate, host) for cert in ctx.api_servers)
            secure = (kubeconfig.server or "").replace("http://", "https://", 1)
            fix = _cluster_set(kubeconfig, f"--server={secure}") if serves else ""
            yield Violation(kubeconfig.path, message, f"server: {server}", fix)
        if not kubeconfig.verifies and not kubeconfig.authorities:
            message = (
                f"{kubeconfig.path} has insecure-skip-tls-verify for the cluster {in_sentence(kubeconfig.cluster)}: "
                f"kubectl trusts any server that answers at {server}, and sends it the user's token. Give kubectl the "
                "CA that signed the API server's certificate instead (certificate-authority); that turns the option "
                "off."
            )
            signer = next(filter(None, (_signer_of(ctx, shown) for shown in ctx.api_servers)), None)
            fix = _ca_embedded(kubeconfig, signer) if signer and kubeconfig.cluster else ""
            yield Violation(kubeconfig.path, message, "insecure-skip-tls-verify: true", fix)


def _cluster_set(kubeconfig: KubeconfigUse, *options: str) -> str:
    if not kubeconfig.cluster:
        return ""
    return bash.kubectl_config(kubeconfig.path, "set-cluster", kubeconfig.cluster, *options)


def _once(ctx: RuleContext) -> Iterator[KubeconfigUse]:
    """Each cluster of each kubeconfig once, however many contexts and options name it."""
    seen: set[tuple[Path, str]] = set()
    for kubeconfig in ctx.scan.kubeconfigs:
        if (kubeconfig.path, kubeconfig.cluster) not in seen:
            seen.add((kubeconfig.path, kubeconfig.cluster))
            yield kubeconfig


def _trusts(ctx: RuleContext, kubeconfig: KubeconfigUse, shown: CertificateInstance) -> bool:
    return bool(kubeconfig.authorities) and _leads_to(ctx, shown, kubeconfig.authorities)


def _leads_to(ctx: RuleContext, shown: CertificateInstance, trusted: tuple[X509, ...]) -> bool:
    return ctx.signatures.verdict(shown.certificate, trusted, shown.use.chain) is None


def _is_to_blame(ctx: RuleContext, kubeconfig: KubeconfigUse, shown: CertificateInstance) -> bool:
    """True if the wrong CA signed the API server's certificate: another rule reports that."""
    right = {issuer.public_key for issuer in shown.use.issuers}
    from_elsewhere = bool(right) and not _leads_to(ctx, shown, shown.use.issuers)
    return from_elsewhere and any(authority.public_key in right for authority in kubeconfig.authorities)


def _signer_of(ctx: RuleContext, shown: CertificateInstance) -> CertificateInstance | None:
    """Return the CA that signed a server's certificate, best from a file of its own; None if it is not here."""
    signers = [
        ca
        for ca in ctx.authorities
        if ca.certificate.subject == shown.certificate.issuer
        and ctx.signatures.verdict(shown.certificate, (ca.certificate,)) is None
    ]
    return min(signers, key=lambda ca: not ca.has_file, default=None)


def _authority_set(ctx: RuleContext, kubeconfig: KubeconfigUse, shown: CertificateInstance) -> str:
    """Let the kubeconfig trust the CA that signed the certificate of the API server, wherever that CA is."""
    signer = _signer_of(ctx, shown)
    if signer is None:
        return ""
    if not kubeconfig.ca_embedded and kubeconfig.ca_path is not None:
        if signer.has_file and not ctx.has_siblings(signer):
            return bash.command("cp", signer.path, kubeconfig.ca_path)
        return placing.rewritten(kubeconfig.ca_path, bash.joined(bash.literal(signer.certificate.pem)))
    return _ca_embedded(kubeconfig, signer)


def _ca_embedded(kubeconfig: KubeconfigUse, ca: CertificateInstance) -> str:
    content = bash.joined(bash.literal(ca.certificate.pem))
    return bash.embedded(kubeconfig.path, "certificate-authority", kubeconfig.cluster, content)


RULES = (
    error("kubeconfig-server-not-in-san", server_not_in_san),
    error("kubeconfig-wrong-ca", wrong_ca),
    error("kubeconfig-invalid", invalid),
    warning("kubeconfig-insecure", insecure),
)
