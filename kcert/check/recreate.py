"""Commands that make a file again which is missing, damaged, or holds what belongs in another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kcert.certificates import Key, Role
from kcert.check import bash, corrections, placing, repairs
from kcert.check.placing import (
    MOST_BESIDE,
    NOT_FOR_KUBECTL,
    field_replaced,
    written_into_kubeconfig,
)
from kcert.check.rule import CertificateInstance, RuleContext
from kcert.openssl import commands
from kcert.openssl.x509 import X509
from kcert.quoting import Raw
from kcert.roles import CA_ROLES, ROLES
from kcert.scan import CertificateRef, KeyFile, Problem
from kcert.scan.fs import cluster_root_of
from kcert.scan.layouts import key_option, possible_keys

_SIGNING = "--cluster-signing-cert-file"
"""The option for a CA's certificate that takes a single one."""


def recreated(ctx: RuleContext, problem: Problem) -> str:
    """Return the commands that make the file of *problem* as it should be; empty if that is not known."""
    if problem.expects == "key":
        return _key_made(ctx, problem)
    if problem.expects != "certificate":
        return ""
    role = corrections.role_of(ctx, problem)
    blocks = [] if problem.path == problem.source else placing.certificate_blocks(problem.path)
    damaged = [block.fault is not None for block in blocks]
    if any(damaged) and not damaged[0]:
        return ""  # the first is whole, and nothing shows which CA followed it
    if role in CA_ROLES:
        return _authority_made(ctx, problem, role, [block.pem for block in blocks[1:]] if any(damaged) else [])
    key = _key_for(ctx, problem)
    cert = corrections.expected_certificate(ctx, problem, role, key)
    if cert is None:
        return ""
    if key is None:
        named = _named_keys(ctx, problem)
        return repairs.reissue_commands(ctx, cert, new_key=True, key=named[0]) if named else ""
    made = repairs.reissue_commands(ctx, cert)
    if made and problem.path == problem.source and problem.reason.endswith(NOT_FOR_KUBECTL):
        # kubectl loads the file again once the field is empty.
        emptied = field_replaced(problem, '""')
        return bash.then(emptied, made) if emptied else ""
    return made


def _key_for(ctx: RuleContext, problem: Problem) -> KeyFile | None:
    """The key that belongs to a certificate: the one its component names, or the one beside it."""
    keys = ctx.scan.keys
    if problem.path == problem.source:
        return keys.get(problem.path)
    for path in _named_keys(ctx, problem):
        if path in keys:
            return keys[path]
    for kubeconfig in ctx.scan.kubeconfigs:
        if kubeconfig.path == problem.source and kubeconfig.key_path in keys:
            return keys[kubeconfig.key_path]
    return next((keys[path] for path in possible_keys(problem.path) if path in keys and path != problem.path), None)


def _named_keys(ctx: RuleContext, problem: Problem) -> list[Path]:
    """Return the keys that configurations name beside the missing certificate."""
    own = (configuration for configuration in ctx.scan.configurations if configuration.source == problem.source)
    keys = (configuration.resolved.get(key_option(problem.option)) for configuration in own)
    return [key for key in keys if key is not None]


def _key_made(ctx: RuleContext, problem: Problem) -> str:
    path = problem.path
    if path == problem.source:
        owner = next((cert for cert in ctx.leaves if cert.path == path and cert.embedded), None)
        return repairs.reissue_commands(ctx, owner, new_key=True) if owner else ""
    private = path.with_suffix(".key")
    if path.suffix == ".pub":
        argv = commands.public_key("openssl", bash.unquoted(private), bash.unquoted(path))
        return bash.command(*argv) if private.is_file() else ""
    owners = [cert for cert in ctx.found if any(use.key_path == path for use in cert.uses)]
    owners += [
        cert for cert in ctx.found if not cert.embedded and cert not in owners and path in possible_keys(cert.path)
    ]
    if not owners:
        return _made_with_its_certificate(ctx, problem) or _signing_key_made(path)
    if owners[0].is_authority:
        return ""
    return repairs.reissue_commands(ctx, owners[0], new_key=True, key=path)


def _made_with_its_certificate(ctx: RuleContext, problem: Problem) -> str:
    """Point to the repair of the certificate, if it is missing as well: that repair makes the key first."""
    for other in ctx.scan.problems:
        names_both = other.source is not None and (other.source, other.component) == (problem.source, problem.component)
        if names_both and other.expects == "certificate" and key_option(other.option) == problem.option:
            return f"# The repair of {bash.word(other.path)} makes this key as well." if recreated(ctx, other) else ""
    return ""


def _signing_key_made(path: Path) -> str:
    """Return the commands for a new service account key; tokens that the old key signed become invalid."""
    if path.stem not in ("sa", "service-account", "service-accounts"):
        return ""
    new, public = f"{bash.unquoted(placing.target_of(path))}.new", path.with_suffix(".pub")
    made = [bash.command(*commands.private_key("openssl", Key(), new)), placing.key_into_place(path)]
    if public.exists():
        new_public = f"{bash.unquoted(public)}.new"
        made.insert(1, bash.command(*commands.public_key("openssl", new, new_public)))
        made.append(bash.command("mv", new_public, public))
    return f"{repairs.TOKENS_END}\n{bash.then(*made)}"


def _authority_made(ctx: RuleContext, problem: Problem, role: Role | None, behind: list[str]) -> str:
    """Copy the CA if another file has it; else re-create it with its key and the issuer name of its certificates.

    *behind* are the certificates (PEM) that follow a damaged one in the file.
    """
    right = ctx.owners.near(problem.source or problem.path).get(role) if role else None
    origin = _origin(ctx, problem, right) if right else None
    if problem.path == problem.source:
        return written_into_kubeconfig(ctx, problem, [origin.certificate.pem]) if origin is not None else ""
    if origin is not None and behind:
        whole = bash.joined(bash.literal(origin.certificate.pem, *behind))
        return placing.rewritten(problem.path, whole) if len(behind) <= MOST_BESIDE else ""
    if origin is not None:
        source = _copied(ctx, problem, origin) if origin.has_file else bash.literal(origin.certificate.pem)
        if isinstance(source, Raw):
            return placing.rewritten(problem.path, bash.joined(source))
        return bash.command("cp", source, problem.path)
    return _authority_of_key(ctx, problem, role)


def _authority_of_key(ctx: RuleContext, problem: Problem, role: Role | None) -> str:
    """Re-create a CA with its key, and the name that most certificates of its roles give for their issuer."""
    key = next((key for key in ctx.scan.keys.values() if key.path in possible_keys(problem.path)), None)
    leaves = [cert for cert in ctx.leaves if not cert.certificate.self_signed]
    of_role = [cert for cert in leaves if role and any(ROLES[own].ca is role for own in cert.roles)]
    near = [cert for cert in of_role if cluster_root_of(cert.path) == cluster_root_of(problem.path)]
    near = near or [cert for cert in leaves if cert.path.parent == problem.path.parent]
    names = Counter(cert.certificate.issuer for cert in near)
    if key is None or not names:
        return ""
    cert = corrections.expected_certificate(ctx, problem, role, key, names.most_common(1)[0][0])
    return repairs.issued(ctx, cert, None) if cert else ""


def in_place_of(use: CertificateRef) -> Problem:
    """Return the problem that the file of *use* lacks what belongs in it: it holds the certificate of another."""
    return Problem(use.path, "missing", "", use.source, use.option, use.component)


def recreated_in(ctx: RuleContext, use: CertificateRef) -> str:
    """Return the commands that make what belongs in the file of *use*, with the key that is beside it."""
    problem = in_place_of(use)
    role = corrections.role_of(ctx, problem)
    return _authority_of_key(ctx, problem, role) if role in CA_ROLES else recreated(ctx, problem)


def _origin(ctx: RuleContext, problem: Problem, right: X509) -> CertificateInstance | None:
    """Return where to copy the CA *right* from: preferably a file of the same name, with all certificates of the CA.

    During a CA rotation, a CA's file contains the new and the old certificate, which have the same name, and the file
    beside it contains only the new one.
    """
    places = ctx.copies.get(right.sha256, ())
    company = [other for cert in places for other in ctx.certs_by_file[cert.holder] if _is_named_as(right, other)]
    generations = dict.fromkeys(cert.certificate.sha256 for cert in company)
    return min(
        (
            cert
            for sha256 in generations
            for cert in ctx.copies[sha256]
            if cert.path != problem.path or problem.path == problem.source
        ),
        key=lambda cert: (
            not cert.has_file,
            cert.path.name != problem.path.name,
            -sum(_is_named_as(right, other) for other in ctx.certs_by_file[cert.holder]),
            cert.use.position,
        ),
        default=None,
    )


def _copied(ctx: RuleContext, problem: Problem, origin: CertificateInstance) -> str:
    """Return what to copy: the whole file if it contains only the CA (or two during a rotation), else only the CA.

    A file of the same name is copied whole, whatever CAs it contains. kube-controller-manager needs a file with one CA.
    """
    company = ctx.certs_by_file[origin.holder]
    if not all(cert.is_authority for cert in company):
        return placing.alone(ctx, origin)
    one_name = all(_is_named_as(origin.certificate, cert) for cert in company)
    if origin.path.name == problem.path.name or (one_name and problem.option != _SIGNING):
        return bash.unquoted(origin.path)
    return placing.alone(ctx, origin)


def _is_named_as(authority: X509, cert: CertificateInstance) -> bool:
    return cert.is_authority and cert.certificate.subject == authority.subject
