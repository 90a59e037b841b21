"""Rules about time: when a certificate is valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kcert.certificates import Role
from kcert.check import bash, placing
from kcert.check.repairs import reissued
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error, warning
from kcert.openssl.x509 import X509
from kcert.scan.fs import cluster_root_of, lexists


def expired(ctx: RuleContext) -> Iterator[Violation]:
    """Yield expired certificates."""
    for cert in ctx.deduplicated:
        end = cert.certificate.not_after
        if end <= ctx.now:
            message = f"{_whose(cert)} expired {_span(ctx.now - end)} ago: connections with it are rejected."
            evidence = f"not after {stamp(end)}"
            if rotated := _rotated(ctx, cert):
                message += (
                    f" The kubelet has a valid one in {rotated.path}: set the kubeconfig to that file, and rotation "
                    "continues."
                )
                yield Violation(cert.path, message, evidence, _named_in(cert))
            elif cert.is_authority and (renewed := _renewed(ctx, cert)):
                message += f" {renewed.path} is the renewed one, with the same key."
                for copy in ctx.copies[cert.certificate.sha256]:
                    fix = placing.into_place(ctx, copy, bash.literal(renewed.certificate.pem), program="cp")
                    yield Violation(copy.path, message, evidence, fix, authority=True)
            else:
                yield reissued(ctx, cert, message, evidence)


def _renewed(ctx: RuleContext, ca: CertificateInstance) -> CertificateInstance | None:
    """Return the valid certificate with the name and the key of an expired CA, in a file of its own."""
    cert = ca.certificate
    if ca.use.key:
        return None
    return next(
        (
            other
            for other in ctx.authorities
            if other.has_file
            and other.certificate.not_after > ctx.now
            and (other.certificate.subject, other.certificate.public_key) == (cert.subject, cert.public_key)
        ),
        None,
    )


_CURRENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def _rotated(ctx: RuleContext, cert: CertificateInstance) -> CertificateInstance | None:
    """Return the certificate that the kubelet renewed by itself, where its kubeconfig still contains an old one."""
    if not cert.embedded or not cert.use.kubeconfig or Role.KUBELET_CLIENT not in cert.roles:
        return None
    for client in ctx.found:
        same = client.certificate.subject == cert.certificate.subject and client.certificate.not_after > ctx.now
        current = client.path.parent / "kubelet-client-current.pem"
        near = cluster_root_of(client.path) == cluster_root_of(cert.path)
        if same and near and lexists(current) and str(current.absolute()).endswith(_CURRENT):
            return client
    return None


def _named_in(cert: CertificateInstance) -> str:
    user = cert.use.kubeconfig.user_name if cert.use.kubeconfig else ""
    files = (f"--client-certificate={_CURRENT}", f"--client-key={_CURRENT}")
    return bash.kubectl_config(cert.path, "set-credentials", user, *files)


def not_yet_valid(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates that are not valid yet."""
    for cert in ctx.deduplicated:
        start = cert.certificate.not_before
        if start > ctx.now:
            message = (
                f"{_whose(cert)} is not valid yet: it becomes valid in {_span(start - ctx.now)}. Either it was "
                f"created on a machine whose clock was fast, or the clock of this machine is slow."
            )
            yield reissued(ctx, cert, message, f"not before {stamp(start)}; this machine's time is {stamp(ctx.now)}")


def expiring_soon(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates that expire soon."""
    for cert in ctx.deduplicated:
        end = cert.certificate.not_after
        if ctx.now < end <= ctx.now + ctx.soon:
            message = f"{_whose(cert)} expires in {_span(end - ctx.now)}."
            yield reissued(ctx, cert, message, f"not after {stamp(end)}")


def issuer_expires_first(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates that expire after their CA."""
    for cert in ctx.found:
        issuer = _signer(ctx, cert)
        if issuer is None or issuer.not_after <= ctx.now + ctx.soon:
            continue  # the expiry of the CA is reported instead
        if cert.certificate.sha256 in ctx.unused_cas:
            continue
        if late := cert.certificate.outlives(issuer):
            message = f"{_whose(cert)} {ends_late(late, issuer)}"
            evidence = f"not after {stamp(cert.certificate.not_after)}; the CA {stamp(issuer.not_after)}"
            yield reissued(ctx, cert, message, evidence)


def ends_late(late: timedelta, issuer: X509) -> str:
    """Return what a message says of a certificate that expires *late* after *issuer*."""
    name = issuer.subject.common_name or str(issuer.subject)
    return f"expires {_span(late)} after its CA {name}, and is rejected once the CA expires."


def _signer(ctx: RuleContext, cert: CertificateInstance) -> X509 | None:
    for use in cert.uses:
        for issuer in use.issuers:
            named = issuer.subject == use.certificate.issuer and issuer.sha256 != use.certificate.sha256
            if named and ctx.signatures.verdict(use.certificate, use.issuers, use.chain) is None:
                return issuer
    return None


def _whose(cert: CertificateInstance) -> str:
    what = "The CA certificate" if cert.is_authority else "The certificate"
    name = cert.certificate.subject.common_name or str(cert.certificate.subject) or "without a name"
    return f"{what} {name}"


def stamp(time: datetime) -> str:
    """Format a time for a message."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _span(time: timedelta) -> str:
    for size, unit in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if (count := time // size) >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


RULES = (
    error("expired", expired, renewed=True, cluster_renews=True),
    error("not-yet-valid", not_yet_valid, renewed=True, cluster_renews=True),
    warning("expiring-soon", expiring_soon, renewed=True, cluster_renews=True),
    warning("issuer-expires-first", issuer_expires_first),
)
