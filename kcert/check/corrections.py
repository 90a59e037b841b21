"""The fields that a certificate should have.

If the certificate can be read, these are its own fields with every known fault corrected. If it is missing or damaged,
they are the fields that its place requires; the fix uses them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path

from kcert.certificates import AltName, Key, Kind, Role, Subject, Usages
from kcert.check import bash, sans
from kcert.check.rule import CertificateInstance, RuleContext
from kcert.clusters import KINDS, cluster_kind_of
from kcert.issue.status import is_equivalent
from kcert.openssl.commands import CA_USAGES, render_section, writable
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import public_part
from kcert.openssl.x509 import LONGEST_RSA, SECURE_RSA, X509, Name, PublicKey
from kcert.quoting import Raw
from kcert.roles import ADMINISTRATORS, KUBELET_ROLES, MASTERS, NODE_PREFIX, NODES, ROLES, kubeconfig_role
from kcert.scan import CertificateRef, KeyFile, KubeconfigUse, Problem, layouts
from kcert.scan.fs import cluster_root_of
from kcert.scan.layouts import FILE_OPTIONS

MANY = 600
"""With more SANs than this a command is no longer readable."""


def subject(ctx: RuleContext, cert: CertificateInstance) -> tuple[tuple[str, str], ...]:
    """The subject as it should be; only the fix for a user with too many permissions removes a group."""
    if cert.is_authority:
        return cert.certificate.subject.parts  # what it signed names it
    if wanted := other_subject(cert):
        return wanted.parts
    parts = [
        ("O", value) if kind == "OU" and is_group(cert, value) else (kind, value)
        for kind, value in cert.certificate.subject.parts
    ]
    if cert.demoted:
        parts = [part for part in parts if part != ("O", MASTERS)]
    parts = _with_group(cert, parts)
    name = right_common_name(ctx, cert)
    if name is not None:
        if _user_role(cert.certificate) is Role.ADMIN and any(demand.fixed_name for demand in cert.demands):
            # An administrator's certificate in the place of a component's: the component needs no such rights.
            parts = [part for part in parts if part[1] not in ADMINISTRATORS]
        # The course gives each component a group with its own name.
        old = cert.certificate.subject.common_name
        parts = [("O", name) if part == ("O", old) else part for part in parts]
        parts = [("CN", name), *(part for part in parts if part[0] != "CN")]
    return tuple(parts)


def other_subject(cert: CertificateInstance) -> Subject | None:
    """The subject that kcert planned, if the certificate's subject does not have the same effect; otherwise None."""
    wanted = cert.wanted
    if wanted is None or wanted.subject is None or wanted.role == "service-account":
        return None
    return None if is_equivalent(wanted, cert.certificate) else wanted.subject


def _with_group(cert: CertificateInstance, parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    organizations = {value for kind, value in parts if kind == "O"}
    for demand in cert.demands:
        if demand.groups and not organizations & set(demand.groups):
            return [*(part for part in parts if part[0] != "O"), ("O", demand.groups[0])]
    if asks_for_administrators(cert) and not organizations:
        return [*parts, ("O", MASTERS)]
    return parts


def is_group(cert: CertificateInstance, unit: str) -> bool:
    """True if an OU can only have been meant as a group."""
    if cert.is_authority or cert.only_service_account:
        return False
    if cert.wanted is not None and cert.wanted.subject is not None and unit in cert.wanted.subject.organizations:
        return True
    return unit.startswith(("system:", "kubeadm:")) or any(unit in demand.groups for demand in cert.demands)


def may_be_powerful(ctx: RuleContext, cert: CertificateInstance) -> bool:
    """True if membership in system:masters is normal: for administrators, and roles whose ``masters`` is True."""
    if any(demand.masters for demand in cert.demands):
        return True
    kind = cluster_kind_of(cert.path) or ctx.scan.kind
    if kind is not None and cert.certificate.subject.common_name in kind.powerful:
        return True
    if cert.wanted is not None:
        return cert.wanted.subject is not None and MASTERS in cert.wanted.subject.organizations
    # Where nothing else shows it, an administrator is who is called so.
    name = cert.certificate.subject.common_name or ""
    if kind is None and any(name in other.powerful for other in KINDS.values()):
        return True  # in a copy of the folder of its kind
    return not cert.demands and re.search(r"(^|[^a-z])(cluster-?)?admin", name.lower()) is not None


def asks_for_administrators(cert: CertificateInstance) -> bool:
    """True for the API server's client certificate for the kubelets, if it has the usual file name."""
    is_called_so = Role.APISERVER_KUBELET_CLIENT in cert.roles and cert.path.stem == "apiserver-kubelet-client"
    # Since 1.36.1 kubeadm gives it no group: a ClusterRoleBinding names the user instead.
    return is_called_so and not cert.path.with_name("apiserver.crt").exists()


def right_common_name(ctx: RuleContext, cert: CertificateInstance) -> str | None:
    """Return the common name that it must have; None if its own is accepted, or if the right one is unknown."""
    name = cert.certificate.subject.common_name or ""
    if wanted := other_subject(cert):
        return None if wanted.common_name == name else wanted.common_name
    if cert.roles & KUBELET_ROLES:
        return _right_node_name(ctx, cert, name)
    for demand in cert.demands:
        if demand.fixed_name and demand.common_name != name:
            return demand.common_name
    if Role.FRONT_PROXY_CLIENT in cert.roles:
        allowed = (ctx.option("kube-apiserver", "--requestheader-allowed-names", cert) or "").split(",")
        return None if name in allowed or not any(allowed) else allowed[0].strip()
    if cert.roles & sans.ETCD_CLIENTS and (only := ctx.option("etcd", "--client-cert-allowed-cn", cert)):
        return None if name in (allowed_names := only.split(",")) else allowed_names[0]
    return None


def swapped_kubeconfigs(ctx: RuleContext) -> list[tuple[Path, Path]]:
    """Return pairs of kubeconfigs of one folder of which each contains the user that belongs in the other."""
    folders: dict[Path, dict[Path, tuple[Role, Role]]] = defaultdict(dict)
    for use in ctx.scan.uses:
        if use.kubeconfig and use.kind is Kind.CLIENT:
            path = use.kubeconfig.path
            by_path, user = layouts.kubeconfig_role(path, None), _user_role(use.certificate)
            if by_path and user and by_path is not user:
                folders[path.parent][path] = by_path, user
    return [
        (first, second)
        for roles in folders.values()
        for first, second in combinations(sorted(roles), 2)
        if roles[first] == roles[second][::-1]
    ]


def _user_role(certificate: X509) -> Role | None:
    """Return the role that user name and groups prove; None for people, and for names that prove nothing."""
    name = certificate.subject.common_name or ""
    if name.startswith(NODE_PREFIX):
        return Role.KUBELET_CLIENT
    if set(certificate.subject.organizations) & set(ADMINISTRATORS):
        return Role.ADMIN
    return next((role for role, spec in ROLES.items() if spec.fixed_name and spec.common_name == name), None)


def _node_beside(ctx: RuleContext, cert: CertificateInstance) -> str | None:
    """Return the node whose kubelet has another certificate on the host of *cert*; None for none or several."""
    home, names = cluster_root_of(cert.path), set()
    for other in ctx.leaves:
        name = other.certificate.subject.common_name or ""
        if other.roles & KUBELET_ROLES and cluster_root_of(other.path) == home and not other.embedded:
            # The kubelet calls the certificate that it creates itself NODE@TIME.
            names.add(name.removeprefix(NODE_PREFIX).partition("@")[0].lower())
    return names.pop() if len(names) == 1 else None


def _right_node_name(ctx: RuleContext, cert: CertificateInstance, name: str) -> str | None:
    if _user_role(cert.certificate) not in (None, Role.KUBELET_CLIENT) and not cert.nodes:
        node = _node_beside(ctx, cert)  # of another user's name no part is a node's
        return f"{NODE_PREFIX}{node}" if node else None
    copies = {node for copy in ctx.copies.get(cert.certificate.sha256, ()) for node in copy.nodes}
    if nodes := cert.nodes or (tuple(copies) if len(copies) == 1 else ()):
        right = f"{NODE_PREFIX}{nodes[0].lower()}"
    elif name.lower().startswith(NODE_PREFIX) and len(name) > len(NODE_PREFIX):
        right = name.lower()
    elif name.startswith(NODE_PREFIX):
        return None  # system:node: without a name: which node it is, nothing shows
    else:
        # node01, or system:nodes:node01: the part that can be a host's name.
        right = f"{NODE_PREFIX}{name.rsplit(':', 1)[-1].lower()}"
    return None if right == name else right


def extended_usages(ctx: RuleContext, cert: CertificateInstance) -> tuple[str, ...]:
    """The extended key usage as it should be; empty if there is none to be."""
    places = [copy for copy in ctx.copies.get(cert.certificate.sha256, ()) if not copy.is_authority] or [cert]
    needed = []
    if any(copy.is_server for copy in places):
        needed.append("serverAuth")
    if any(copy.is_client for copy in places):
        needed.append("clientAuth")
    own = cert.certificate.extended_key_usage
    if own is None:
        # None at all means any use, and that is how the guides that omit it mean it.
        return tuple(needed) if cert.certificate.version < 3 or not cert.roles else ()
    return tuple(dict.fromkeys([*own, *(usage for usage in needed if "anyExtendedKeyUsage" not in own)]))


def key(cert: CertificateInstance) -> Key:
    """The key to generate: the planned one, or one of the same sort that is strong enough."""
    if cert.wanted is not None:
        return cert.wanted.key
    public = cert.certificate.public_key
    if public.algorithm.startswith("rsa"):
        return Key("rsa", min(max(SECURE_RSA, public.bits), LONGEST_RSA))
    return Key("ecdsa", curve=public.curve if public.curve in ("P-384", "P-521") else "P-256")


def config(ctx: RuleContext, cert: CertificateInstance, *, rsa: bool = False, is_signed: bool = True) -> list[str]:
    """The lines of the openssl.cnf, for an RSA key if *rsa*; if there are hundreds of SANs, bash reads them."""
    if cert.is_authority:
        usages = Usages(CA_USAGES, None, path_length=cert.certificate.path_length)
        return render_section(usages, (), is_ca=True, is_signed=is_signed).splitlines()
    usages = Usages(("digitalSignature", *(("keyEncipherment",) if rsa else ())), extended_usages(ctx, cert))
    names = tuple(filter(writable, sans.names(ctx, cert)))
    own = cert.certificate.alt_names
    # openssl's text is taken only where no name in it can be mistaken for two.
    plain = names[: len(own)] == own and not any("," in name.value for name in names)
    if len(own) <= MANY or cert.embedded or not plain:
        return render_section(usages, names, is_ca=False, is_signed=True).splitlines()
    shown = bash.command("openssl", "x509", "-in", cert.path, "-noout", "-ext", "subjectAltName")
    all_names = [f"$({shown} | sed -n '2{{s/ //g;s/IPAddress:/IP:/g;p}}')", *map(str, names[len(own) :])]
    lines = render_section(usages, (), is_ca=False, is_signed=True).splitlines()
    return [*lines, Raw(f'"subjectAltName = {", ".join(all_names)}"')]


def role_of(ctx: RuleContext, problem: Problem) -> Role | None:
    """Return the role of the file of *problem*: by the option that names it, or by its place among other files."""
    if problem.option and problem.component:
        option = FILE_OPTIONS.get(problem.component, {}).get(problem.option)
        if option is not None:
            return option.role
    if problem.option and problem.option.startswith("client-"):
        by_component = kubeconfig_role(problem.component)
        return by_component or layouts.kubeconfig_role(problem.source or problem.path, None)
    if problem.option and problem.option.startswith("certificate-authority"):
        return Role.CLUSTER_CA
    return role_by_place(ctx, problem.path, _blank(ctx, Name(), (), PublicKey("rsa", 2048, None, "")))


def role_by_place(ctx: RuleContext, path: Path, certificate: X509) -> Role | None:
    """Return the role of *certificate* by its place among other files, whatever option names it."""
    return layouts.role_of(path, certificate, ctx.scan.names_in.get(path.parent, frozenset()) | {path.stem})


def expected_certificate(
    ctx: RuleContext, problem: Problem, role: Role | None, key: KeyFile | None, name: Name | None = None
) -> CertificateInstance | None:
    """Return a certificate for *role* in the place of *problem*; None if its owner, or *name*, is not known."""
    wanted = ctx.wanted_at(problem.path)
    if name is None:
        subject = (wanted.subject if wanted else None) or _expected_subject(problem, role)
        if subject is None:
            return None
        name = Name(subject.parts)
    embedded = problem.path == problem.source
    authorities = ctx.owners.near(problem.source or problem.path)
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
    """Return the context of a kubeconfig with one user; of several nothing shows whose certificate is damaged."""
    own = [kubeconfig for kubeconfig in ctx.scan.kubeconfigs if kubeconfig.path == problem.path]
    users = {kubeconfig.user_name: kubeconfig for kubeconfig in own if kubeconfig.user_name}
    return next(iter(users.values())) if len(users) == 1 else None


def _expected_subject(problem: Problem, role: Role | None) -> Subject | None:
    if role is None:
        return None
    if role in (Role.KUBELET, Role.KUBELET_CLIENT):
        return Subject(f"{NODE_PREFIX}{_node(problem, role)}", (NODES,))
    if role is Role.KUBELET_SERVER:
        return Subject(_node(problem, role))
    spec = ROLES[role]
    return Subject(spec.common_name, spec.organizations) if spec.kind is not Kind.CA and spec.common_name else None


def _node(problem: Problem, role: Role) -> str:
    return (layouts.node_of(problem.path, role) or problem.path.stem).lower()


def _names(ctx: RuleContext, problem: Problem, role: Role | None) -> tuple[AltName, ...]:
    if role is None or not ROLES[role].kind.is_server:
        return ()
    hosts = sans.usual_names(ctx, role, problem.path)
    return hosts or (AltName("DNS", _node(problem, role)),)


def _public_key(key: KeyFile | None) -> PublicKey:
    blocks = [block for block in pem_blocks(key.pem) if block.is_key] if key else []
    return (public_part(blocks[0]) if blocks else None) or PublicKey("rsa", 2048, None, "")


def _blank(ctx: RuleContext, name: Name, names: tuple[AltName, ...], key: PublicKey) -> X509:
    return X509(1, "", "", Name(), name, ctx.now, ctx.now, key, "", "", alt_names=names)
