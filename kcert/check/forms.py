"""Rules about the form of a certificate: its version, its signature, its serial number."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kcert.check import corrections
from kcert.check.repairs import authority_made_again, reissue_commands
from kcert.check.rule import Violation, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.check.context import CertificateInstance, RuleContext

_BROKEN_DIGESTS = ("md2", "md4", "md5", "sha1", "sha-1")


def weak_signature(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates signed with a digest that can be forged."""
    for cert in ctx.deduplicated:
        algorithm = cert.certificate.signature_algorithm
        if any(digest in algorithm.lower() for digest in _BROKEN_DIGESTS):
            if cert.is_root:
                if not _is_the_cluster_s(ctx, cert):
                    continue
                why = "No client verifies the signature of a root, but what it signs the same way is rejected."
            else:
                why = "Go, and so Kubernetes, has rejected it since Go 1.18."
            message = f"{cert.description} is signed with {algorithm}, which can be forged. {why}"
            fix = reissue_commands(ctx, cert)
            yield Violation(cert.path, message, f"signature algorithm: {algorithm}", fix, cert.is_authority)


def _is_the_cluster_s(ctx: RuleContext, root: CertificateInstance) -> bool:
    """False for a root that is only trusted, as those that come with a distribution: its signature does no harm."""
    copies = ctx.copies[root.certificate.sha256]
    return any(copy.roles or any(use.key for use in copy.uses) for copy in copies) or ctx.has_signed(root.certificate)


def version_1(ctx: RuleContext) -> Iterator[Violation]:
    """Yield version 1 certificates, which have no extensions."""
    for cert in ctx.deduplicated:
        certificate = cert.certificate
        if certificate.version >= 3:
            continue
        message = (
            f"{cert.description} is a version {certificate.version} certificate: it cannot say what it may be used "
            "for, so that it may be used for anything. It was signed without -extfile."
        )
        if cert.is_authority and certificate.self_issued:
            fix = authority_made_again(ctx, cert, extensions=corrections.AUTHORITY)
        else:
            fix = reissue_commands(ctx, cert)
        yield Violation(cert.path, message, f"version: {certificate.version}", fix, cert.is_authority)


def duplicate_serial(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with a serial number that their CA has already used."""
    issued: dict[tuple[str, str, str], list[CertificateInstance]] = defaultdict(list)
    for cert in ctx.leaves:
        certificate = cert.certificate
        if not certificate.self_issued:
            key = (str(certificate.issuer), certificate.authority_key_id or "", certificate.serial)
            issued[key].append(cert)
    for group in issued.values():
        first = min(group, key=lambda cert: (cert.certificate.not_before, str(cert.path)))
        for cert in group:
            if cert.certificate.sha256 == first.certificate.sha256:
                continue
            message = (
                f"{cert.description} has the serial number of {first.path}, and both are from one CA: a CA must not "
                "use a number twice, and some programs reject the second."
            )
            evidence = f"serial {cert.certificate.serial}, issuer {cert.certificate.issuer}"
            yield Violation(cert.path, message, evidence, reissue_commands(ctx, cert))


RULES = (
    error("weak-signature", weak_signature),
    error("duplicate-serial", duplicate_serial),
    warning("version-1", version_1, yields_to=("missing-san", "self-signed-leaf")),
)
