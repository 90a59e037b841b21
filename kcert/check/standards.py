"""What a certificate would say that is missing or cannot be read any more: for fixes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import AltName, Kind, Role
from kcert.check import sans
from kcert.check.context import CertificateInstance
from kcert.openssl.pem import pem_blocks
from kcert.openssl.x509 import X509, Name, PublicKey
from kcert.roles import NODE_PREFIX, NODES, ROLES, kubeconfig_role
from kcert.scan import layouts
from kcert.scan.components import FILE_OPTIONS
from kcert.scan.result import CertificateRef, Problem

if TYPE_CHECKING:
    from kcert.check.context import RuleContext
    from kcert.scan.result import KeyFile, KubeconfigUse

_RSA_OID = bytes.fromhex("06092a864886f70d0101")


def role_of(ctx: RuleContext, problem: Problem) -> Role | None:
    """What the file of *problem* is for: by its option, or by its place among the others."""
    if problem.option and problem.component:
        option = FILE_OPTIONS.get(problem.component, {}).get(problem.option)
        if option is not None:
            return option.role
    if problem.option and problem.option.startswith("client-"):
        by_component = kubeconfig_role(problem.component)
        return by_component or layouts.kubeconfig_role(problem.source or problem.path, None)
    if problem.option and problem.option.startswith("certificate-authority"):
        return Role.CLUSTER_CA
    folder = problem.path.parent
    beside = {use.path.stem for use in ctx.scan.uses if use.path.parent == folder}
    beside |= {key.path.stem for key in ctx.scan.keys if key.path.parent == folder}
    blank = _blank(ctx, Name(), (), PublicKey("rsa", 2048, None, ""))
    return layouts.role_of(problem.path, blank, frozenset(beside | {problem.path.stem}))


def as_it_should_be(
    ctx: RuleContext, problem: Problem, role: Role | None, key: KeyFile | None
) -> CertificateInstance | None:
    """Return a certificate for *role* in the place of *problem*; None where nothing tells whose it was."""
    wanted = ctx.wanted_at(problem.path)
    if wanted is not None and wanted.subject is not None:
        name = Name((("CN", wanted.subject.common_name), *(("O", group) for group in wanted.subject.organizations)))
    else:
        named = _subject(problem, role)
        if named is None:
            return None
        name = named
    embedded = problem.path == problem.source
    authorities = ctx.belonging(problem.source or problem.path)
    authority = authorities.get(ROLES[role].ca or Role.CLUSTER_CA if role else Role.CLUSTER_CA)
    authority = authority or authorities.get(Role.CLUSTER_CA)
    kind = wanted.kind if wanted else ROLES[role].kind if role else Kind.CLIENT
    use = CertificateRef(
        component=problem.component,
        kind=kind,
        certificate=_blank(ctx, name, _names(ctx, problem, role), _public_key(key)),
        path=problem.path,
        option=problem.option,
        source=problem.source,
        key_path=key.path if key else None,
        role=role,
        embedded=embedded,
        issuers=(authority,) if authority else (),
        key=key,
        kubeconfig=_only_user(ctx, problem) if embedded else None,
    )
    return CertificateInstance((use,), wanted)


def _only_user(ctx: RuleContext, problem: Problem) -> KubeconfigUse | None:
    """Return the context of a kubeconfig with one user; of several nothing tells whose certificate is damaged."""
    users = {
        kubeconfig.user_name: kubeconfig
        for kubeconfig in ctx.scan.kubeconfigs
        if kubeconfig.path == problem.path and kubeconfig.user_name
    }
    return next(iter(users.values())) if len(users) == 1 else None


def _subject(problem: Problem, role: Role | None) -> Name | None:
    if role is None:
        return None
    if role in (Role.KUBELET, Role.KUBELET_CLIENT):
        return Name((("CN", f"{NODE_PREFIX}{_node(problem, role)}"), ("O", NODES)))
    if role is Role.KUBELET_SERVER:
        return Name((("CN", _node(problem, role)),))
    spec = ROLES[role]
    if spec.kind is Kind.CA or not spec.common_name:
        return None
    return Name((("CN", spec.common_name), *(("O", group) for group in spec.organizations)))


def _node(problem: Problem, role: Role) -> str:
    return (layouts.node_of(problem.path, role) or problem.path.stem).lower()


def _names(ctx: RuleContext, problem: Problem, role: Role | None) -> tuple[AltName, ...]:
    if role is None or not ROLES[role].kind.is_server:
        return ()
    hosts = sans.usual_names(ctx, role, problem.path)
    return hosts or (AltName("DNS", _node(problem, role)),)


def _public_key(key: KeyFile | None) -> PublicKey:
    """As much of the key as an extension depends on: whether it is RSA."""
    blocks = [block for block in pem_blocks(key.pem) if block.is_key] if key else []
    elliptic = bool(blocks) and blocks[0].label != "RSA PRIVATE KEY" and _RSA_OID not in blocks[0].der[:64]
    return PublicKey("ec", 256, "P-256", "") if elliptic else PublicKey("rsa", 2048, None, "")


def _blank(ctx: RuleContext, name: Name, names: tuple[AltName, ...], key: PublicKey) -> X509:
    return X509(
        version=1,
        serial="",
        signature_algorithm="",
        issuer=Name(),
        subject=name,
        not_before=ctx.now,
        not_after=ctx.now,
        public_key=key,
        ca=None,
        path_length=None,
        key_usage=None,
        extended_key_usage=None,
        alt_names=names,
        subject_key_id=None,
        authority_key_id=None,
        sha256="",
        pem="",
    )
