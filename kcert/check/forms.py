"""Rules about the form of a certificate: its version, its signature, its serial number.

And what Go, and so every component of Kubernetes, does not accept although openssl reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kcert.check import bash
from kcert.check.placing import target_of
from kcert.check.repairs import reissue_commands, reissued, replace_ca
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error, warning
from kcert.openssl.x509 import Refusal, refusals, weakness

_BROKEN_DIGESTS = ("md2", "md4", "md5", "sha1", "sha-1")


def weak_signature(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates signed with a digest that can be forged."""
    for cert in ctx.deduplicated:
        algorithm = cert.certificate.signature_algorithm
        if any(digest in algorithm.lower() for digest in _BROKEN_DIGESTS):
            if cert.is_root:
                if not _is_the_cluster_s(ctx, cert):
                    continue
                why = "No client verifies the signature of a root, but rejects what it signs in the same way."
            else:
                why = "Go, and so Kubernetes, has rejected it since Go 1.18."
            message = f"{cert.description} is signed with {algorithm}, which can be forged. {why}"
            yield reissued(ctx, cert, message, f"signature algorithm: {algorithm}")


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
            "for, so it may be used for anything. It was signed without -extfile."
        )
        yield reissued(ctx, cert, message, f"version: {certificate.version}")


def duplicate_serial(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with a serial number that their CA has already used."""
    issued: dict[tuple[str, str, str], list[CertificateInstance]] = defaultdict(list)
    for cert in ctx.leaves:
        certificate = cert.certificate
        if not certificate.self_signed:
            key = (str(certificate.issuer), certificate.authority_key_id or "", certificate.serial)
            issued[key].append(cert)
    for group in issued.values():
        first = min(group, key=lambda cert: (cert.certificate.not_before, str(cert.path)))
        for cert in group:
            if cert.certificate.sha256 == first.certificate.sha256:
                continue
            message = (
                f"{cert.description} has the serial number of {first.path}, and both are from the same CA: a CA must "
                "not use a serial number twice, and some programs reject the second certificate."
            )
            evidence = f"serial {cert.certificate.serial}, issuer {cert.certificate.issuer}"
            yield reissued(ctx, cert, message, evidence)


def refused_certificates(ctx: RuleContext) -> Iterator[Violation]:
    """Certificates that Go rejects; one that it cannot parse makes it reject its whole file."""
    for cert in ctx.deduplicated:
        refusal = next((reason for reason in refusals(cert.certificate) if not _has_its_own_rule(cert, reason)), None)
        if refusal is None:
            continue
        others = ", and with it the whole file" if refusal.stage == "parse" and ctx.has_siblings(cert) else ""
        message = f"{cert.description} is rejected by Kubernetes{others}: {refusal.reason}. openssl accepts it."
        # Go parses no certificate whose key is on a curve that it does not know.
        new_key = refusal.stage == "key" or "elliptic curve" in refusal.error
        replaces = new_key and cert.is_root
        fix = replace_ca(ctx, cert) if replaces else reissue_commands(ctx, cert, new_key=new_key)
        yield Violation(cert.path, message, refusal.error, fix, cert.is_authority)


def _has_its_own_rule(cert: CertificateInstance, refusal: Refusal) -> bool:
    """True for what ``weak-key`` and ``weak-signature`` report."""
    key = cert.certificate.public_key
    if weakness(key) and (refusal.stage == "key" or "curve" in refusal.error):
        return True
    return refusal.stage == "verify" and "insecure" in refusal.error


def encrypted_keys(ctx: RuleContext) -> Iterator[Violation]:
    """Keys with a passphrase that a component has to load: none of them can ask for one."""
    embedded = (use.key for use in ctx.scan.uses if use.key and use.key.embedded)
    for key in dict.fromkeys((*ctx.scan.keys.values(), *embedded)):
        if not key.encrypted:
            continue
        if key.source is not None and key.option:
            use = f"{key.option} of {key.source} names it"
        else:
            # A CA's key may have one: a person signs with it.
            owners = (cert for cert in ctx.leaves if cert.roles and any(use.key_path == key.path for use in cert.uses))
            owner = next(owners, None)
            if owner is None:
                continue
            use = f"it is the key of {owner.description}"
        message = (
            f"{key.path} is encrypted, and {use}. No component of Kubernetes can ask "
            "for a passphrase: it does not start."
        )
        path = bash.unquoted(target_of(key.path))
        opened = bash.command("openssl", "pkey", "-in", path, "-out", f"{path}.new")
        fix = "" if key.embedded else bash.then(opened, bash.command("mv", f"{path}.new", path))
        yield Violation(key.path, message, f"{key.path} contains an encrypted private key", fix)


RULES = (
    error("weak-signature", weak_signature, renewed=True, cluster_renews=True),
    error("duplicate-serial", duplicate_serial, renewed=True, cluster_renews=True),
    warning("version-1", version_1, suppressed_by=("missing-san", "self-signed-leaf"), updated=True),
)
