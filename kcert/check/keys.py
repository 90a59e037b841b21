"""Rules about private keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kcert.check import bash, placing
from kcert.check.options import own_key
from kcert.check.placing import holds_a_key
from kcert.check.recreate import recreated_in
from kcert.check.repairs import reissue_commands, reissued, replace_ca
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error, warning
from kcert.check.token_keys import token_keys
from kcert.clusters import cluster_kind_of
from kcert.openssl.program import key_belongs
from kcert.openssl.x509 import weakness
from kcert.scan import CertificateRef, KeyFile
from kcert.scan.layouts import key_option

_OTHERS = 0o066
"""Read and write for the group and for others (CIS Kubernetes Benchmark: keys and kubeconfigs are 600)."""

_DEEDS = {0o004: "read", 0o002: "change"}
"""The action that a single permission allows."""


def key_mismatch(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates whose private key does not match."""
    yield from _swapped_files(ctx)
    for cert in ctx.found:
        use = next((use for use in cert.uses if use.key_fits is False and use.key_path is not None), None)
        if use is None or (cert.embedded and use.key is None):
            continue
        where = "the client-key-data beside it" if use.key and use.key.embedded else str(use.key_path)
        message = (
            f"{cert.description} and {where} do not match: a program that is configured with both stops with "
            '"private key does not match public key".'
        )
        evidence = f"the public key in the certificate is not the one of {where}"
        if violation := _option_of_another_key(ctx, cert, use):
            yield violation
            continue
        owner = _owner_of_key(ctx, cert, use.key)
        if owner is not None and owner.holder == cert.holder:
            message += (
                f" The key belongs to certificate {ctx.number_of(owner)} of the file: the certificate that belongs to "
                "the key has to come first, and the CAs after it."
            )
            yield Violation(cert.path, message, evidence, _in_order(ctx, cert, owner), alone=not cert.embedded)
            continue
        if owner is not None and cert.is_authority and owner.embedded and ctx.has_signed(owner.certificate):
            message += (
                f" The certificate that belongs to the key is in {owner.path}, and signed the other certificates "
                f"here: this file contains another certificate instead."
            )
            fix = placing.into_place(ctx, cert, bash.literal(owner.certificate.pem), program="cp")
            yield Violation(cert.path, message, evidence, fix, authority=True, alone=True)
            continue
        if fix := _put_back(ctx, cert, use, owner):
            message += " This file contains the certificate of another file instead."
            yield Violation(cert.path, message, evidence, fix, authority=True, alone=True)
            continue
        # Where the key belongs to another certificate, making this one for it would have them share it.
        borrowed = use.key is not None and any(
            key_belongs(use.key.pem, other.certificate.public_key) for other in ctx.found
        )
        # What the lost key of a root signed ends with it, unless a backup has that key.
        fix = (replace_ca if cert.is_root else reissue_commands)(ctx, cert, new_key=borrowed)
        yield Violation(cert.path, message, evidence, fix, cert.is_authority)
    yield from token_keys(ctx)


def _put_back(
    ctx: RuleContext, cert: CertificateInstance, use: CertificateRef, owner: CertificateInstance | None
) -> str:
    """The commands that bring back what a certificate of another file was written over; empty if it was not."""
    if not cert.has_file or not is_of_another_file(ctx, cert):
        return ""
    if owner is not None and owner.has_file:
        same = owner.path.name == cert.path.name
        return placing.into_place(ctx, cert, bash.literal(owner.certificate.pem), program="cp") if same else ""
    return recreated_in(ctx, use)


def is_of_another_file(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True for a certificate that does not match the key beside it, and matches the one beside another copy."""
    copies = ctx.copies.get(cert.certificate.sha256, ())
    return any(use.key_fits is False for use in cert.uses) and any(
        copy.path.name != cert.path.name or ctx.has_signed(cert.certificate)
        for copy in copies
        if copy.path != cert.path and any(use.key_fits for use in copy.uses)
    )


def _option_of_another_key(ctx: RuleContext, cert: CertificateInstance, use: CertificateRef) -> Violation | None:
    """Return the fault that an option names the key of another pair; None if the files themselves are at fault."""
    own, own_option = own_key(ctx, cert), key_option(use.option)
    if own is None or use.configuration is None or use.key_path in (None, own.path):
        return None
    value, source = use.configuration.options.get(own_option), use.configuration.source
    if not value:
        return None
    message = (
        f"{use.option} and {own_option} of {use.component} name files that do not belong together: {use.component} "
        f'stops with "private key does not match public key". The key of {cert.path} is {own.path}.'
    )
    fix = placing.options_changed(source, (own_option, value, placing.as_written(value, use.key_path, own.path)))
    return Violation(source, message, f"the public key in {cert.path} is not the one of {use.key_path}", fix)


def _owner_of_key(ctx: RuleContext, cert: CertificateInstance, key: KeyFile | None) -> CertificateInstance | None:
    """Return the certificate that *key* belongs to instead of *cert*, preferably one in the same file."""
    owners = [other for other in ctx.found if key and key_belongs(key.pem, other.certificate.public_key)]
    return min(
        owners,
        key=lambda other: (other.holder != cert.holder, not other.is_authority, not other.has_file),
        default=None,
    )


def _in_order(ctx: RuleContext, cert: CertificateInstance, owner: CertificateInstance) -> str:
    """Return the commands that write the file again with *owner* first; empty where that is not certain."""
    if not cert.has_file or holds_a_key(cert.path):
        return ""
    in_file = sorted(ctx.certs_by_file[cert.holder], key=lambda other: (other != owner, other.use.position))
    pems = dict.fromkeys(other.certificate.pem for other in in_file)
    return placing.rewritten(cert.path, bash.joined(bash.literal(*pems)))


def _swapped_files(ctx: RuleContext) -> Iterator[Violation]:
    for first, second in ctx.scan.swapped:
        message = (
            f"{first} and {second} are swapped: each contains what belongs in the other. Neither certificate matches "
            'the key beside it, and a program that loads such a pair stops with "private key does not match public '
            'key". Exchange the two files before any other fix.'
        )
        fix, evidence = placing.exchanged(first, second), f"the keys of {first} and {second} are swapped"
        yield Violation(first, message, evidence, fix, authority=True)


def weak_key(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with a key that is too short."""
    for cert in ctx.deduplicated:
        short = weakness(cert.certificate.public_key)
        if short is not None:
            message = (
                f"{cert.description} has a key that is too short ({short}): some current programs reject it, and an "
                "attacker may be able to compute the private key."
            )
            yield reissued(ctx, cert, message, f"public key: {short}", new_key=True)


def key_permissions(ctx: RuleContext) -> Iterator[Violation]:
    """Yield files with a private key that users other than the owner can read."""
    for key in ctx.scan.keys.values():
        kind = cluster_kind_of(key.path)
        if not key.mode & _OTHERS & ~(kind.key_mode if kind else 0):
            continue
        what = "contains a private key" if not key.embedded else "contains its user's private key"
        who = "every user of this machine" if key.mode & 0o006 else "every member of its group"
        can = _DEEDS.get(key.mode & 0o006 or (key.mode & 0o060) >> 3, "read and change")
        message = f"{key.path} {what}, and {who} can {can} it. Anyone with the key can act as its owner."
        yield Violation(key.path, message, f"mode {key.mode & 0o7777:04o}", bash.command("chmod", "600", key.path))


def shared_key(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates that share a key."""
    holders: dict[tuple[str, str], list[CertificateInstance]] = defaultdict(list)
    for cert in ctx.deduplicated:
        key = cert.certificate.public_key
        if key.material and not cert.live:
            holders[key.algorithm, key.material].append(cert)
    for group in holders.values():
        by_name: dict[str, list[CertificateInstance]] = defaultdict(list)
        for cert in group:
            by_name[_holder(cert)].append(cert)
        if len(by_name) < 2:
            continue
        # A CA keeps its key: what it signed hangs on it. Otherwise the first one found does.
        first = min(group, key=lambda cert: not cert.is_authority)
        for cert in group:
            if _holder(cert) == _holder(first):
                continue
            message = (
                f"{cert.description} has the same key as {first.path}: anyone who steals the key can impersonate both, "
                "and neither key can be replaced without the other."
            )
            evidence = f"one public key in {cert.certificate.subject} and {first.certificate.subject}"
            yield Violation(cert.path, message, evidence, reissue_commands(ctx, cert, new_key=True))


def _holder(cert: CertificateInstance) -> str:
    """Return the owner of a certificate: a user with different groups is the same owner."""
    subject = cert.certificate.subject
    return subject.common_name or str(subject)


RULES = (
    error("key-mismatch", key_mismatch, updated=True, cluster_renews=True),
    error("weak-key", weak_key, updated=True),
    error("key-permissions", key_permissions, restarts=False),
    warning("shared-key", shared_key, suppressed_by=("weak-key",)),
)
