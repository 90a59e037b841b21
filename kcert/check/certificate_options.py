"""Rules about options that name a certificate and its key: each has to name the pair that was made for it.

What an option names by mistake is right for its own use: the option is changed, and no certificate is re-created.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from kcert.check import corrections, placing
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.openssl.program import key_belongs
from kcert.roles import CA_ROLES
from kcert.scan import CertificateRef, KeyFile
from kcert.scan.fs import cluster_root_of
from kcert.scan.layouts import FILE_OPTIONS, possible_keys


def wrong_certificate_option(ctx: RuleContext) -> Iterator[Violation]:
    """Yield options that name the certificate of another use."""
    for use, right in ctx.scan.misnamed:
        if use.configuration is None or use.source is None or right.key_path is None:
            continue
        values, key_option = use.configuration.options, key_option_of(use)
        changes = [(use.option or "", values.get(use.option or "", ""), use.path, right.path)]
        if use.key_path not in (None, right.key_path) and values.get(key_option):
            changes.append((key_option, values[key_option], use.key_path, right.key_path))
        options = " and ".join(f"{option} should name {path}" for option, *_, path in changes)
        message = (
            f"{use.option} of {use.component} is set to {changes[0][1]}, which was made for another use "
            f"({use.certificate.subject}): {options}."
        )
        fix = placing.options_changed(
            use.source, *((option, old, placing.as_written(old, *paths)) for option, old, *paths in changes)
        )
        yield Violation(use.source, message, f"{use.option}={changes[0][1]}: {use.certificate.subject}", fix)


def as_named(ctx: RuleContext, faults: Callable[[RuleContext], int]) -> RuleContext:
    """Return the context in which each option names the certificate that was made for it.

    An option may as well name another one that serves: it is taken for a mistake only where a CA is presented, or
    where *faults*, the number of faults, gets no larger although the mistake counts as one.
    """
    candidates = [(use, cert) for use in ctx.scan.uses if (cert := _made_for(ctx, use))]
    while candidates:
        open_before, candidates = candidates, []
        for use, cert in open_before:
            corrected = _corrected(ctx, use, cert)
            if use.certificate.ca or faults(corrected) <= faults(ctx):
                ctx = corrected
            else:
                candidates.append((use, cert))
        # Of two options that name each other's certificates one may be seen only once the other is corrected.
        if len(candidates) == len(open_before):
            break
    return ctx


def _made_for(ctx: RuleContext, use: CertificateRef) -> CertificateInstance | None:
    """Return the certificate that the option of *use* should name; None if its own has no other place, or is alone."""
    if not key_option_of(use) or use.configuration is None or use.position or use.role in {None, *CA_ROLES}:
        return None
    if corrections.role_by_place(ctx, use.path, use.certificate) in (None, use.role):
        return None
    home = cluster_root_of(use.path)
    return next(
        (
            cert
            for cert in ctx.found
            if cert.has_file
            and not cert.use.position
            and not cert.certificate.ca
            and cluster_root_of(cert.path) == home
            if corrections.role_by_place(ctx, cert.path, cert.certificate) is use.role and own_key(ctx, cert)
        ),
        None,
    )


def _corrected(ctx: RuleContext, use: CertificateRef, cert: CertificateInstance) -> RuleContext:
    key, other = own_key(ctx, cert), cert.use
    right = replace(
        use,
        certificate=cert.certificate,
        path=cert.path,
        key_path=key.path if key else None,
        key=key,
        key_fits=True,
        chain=other.chain,
        issuers=other.issuers if other.role is use.role else use.issuers,
        issuer_path=other.issuer_path if other.role is use.role else use.issuer_path,
    )
    named = (use.path, use.option, use.source)
    rest = (other for other in ctx.scan.uses if (other.path, other.option, other.source) != named)
    scan = replace(ctx.scan, uses=[right, *rest], misnamed=(*ctx.scan.misnamed, (use, right)))
    return replace(ctx, scan=scan)


def key_option_of(use: CertificateRef) -> str:
    """Return the option for the key beside the option that names *use*; empty if there is none."""
    option = FILE_OPTIONS.get(use.component or "", {}).get(use.option or "")
    return option.key or "" if option else ""


def own_key(ctx: RuleContext, cert: CertificateInstance) -> KeyFile | None:
    """Return the key in a usual place beside *cert* that belongs to it."""
    keys = (ctx.scan.keys.get(path) for path in possible_keys(cert.path))
    return next((key for key in keys if key and key_belongs(key.pem, cert.certificate.public_key)), None)


RULES = (error("wrong-certificate-option", wrong_certificate_option),)
