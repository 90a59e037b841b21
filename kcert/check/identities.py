"""Rules about the identity in a certificate, and about its usages.

The CN is the user, each O a group, and OU is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kcert.certificates import Role
from kcert.check import corrections
from kcert.check.context import CertificateInstance, RuleContext
from kcert.check.repairs import reissue_commands
from kcert.check.rule import Violation, error, warning
from kcert.roles import ADMINISTRATORS, KUBELET_ROLES, MASTERS


def wrong_cn(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with the wrong user name."""
    for cert in ctx.leaves:
        right = corrections.right_common_name(ctx, cert)
        if right is None:
            continue
        name = cert.certificate.subject.common_name
        is_now = f"has the CN {name}" if name else "has no CN"
        if cert.roles & KUBELET_ROLES:
            why = "the node authorizer accepts only system:node: followed by the name of the node, in lower case"
        elif Role.FRONT_PROXY_CLIENT in cert.roles:
            why = "--requestheader-allowed-names of the API server allows no other"
        elif cert.wanted is not None:
            why = f"{ctx.plan} says so"
        else:
            why = "the default roles of Kubernetes are bound to that name"
        message = f"{cert.description} {is_now}, but needs {right}: {why}."
        # Another file with this certificate keeps the key: two names must not share one.
        holders = {other.holder for other in ctx.copies.get(cert.certificate.sha256, ())}
        fix = reissue_commands(ctx, cert, new_key=len(holders) > 1)
        yield Violation(cert.path, message, f"subject: {cert.certificate.subject}", fix)


def wrong_organization(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates without the group that has the permissions they need."""
    for cert in ctx.leaves:
        groups = _needed(cert)
        subject = cert.certificate.subject
        if not groups or set(groups) & set(subject.organizations):
            continue
        has = ", ".join(subject.organizations)
        message = (
            f"{cert.description} is in {f'the group {has}' if has else 'no group'}, but needs O={groups[0]}: "
            "without this group, the API server authenticates the client but authorizes no requests."
        )
        yield Violation(cert.path, message, f"subject: {subject}", reissue_commands(ctx, cert))


def _needed(cert: CertificateInstance) -> tuple[str, ...]:
    """Return the groups of which the certificate needs one."""
    wanted = corrections.other_subject(cert)
    if wanted and wanted.organizations and cert.is_client and not cert.is_server:
        return wanted.organizations
    if corrections.asks_for_administrators(cert):
        return ADMINISTRATORS
    return next((demand.groups for demand in cert.demands if demand.groups), ())


def group_in_ou(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with their group in OU, where many notes and slides put it."""
    for cert in ctx.leaves:
        subject = cert.certificate.subject
        groups = [
            unit for unit in subject.units if corrections.is_group(cert, unit) and unit not in subject.organizations
        ]
        if groups:
            message = (
                f"{cert.description} has its group {', '.join(groups)} in OU. The API server reads only O, so its "
                "owner is not in that group."
            )
            yield Violation(cert.path, message, f"subject: {subject}", reissue_commands(ctx, cert))


def powerful_user(ctx: RuleContext) -> Iterator[Violation]:
    """Yield users who may do everything for as long as their certificate is valid."""
    for cert in ctx.leaves:
        subject = cert.certificate.subject
        if MASTERS not in subject.organizations or corrections.may_be_powerful(ctx, cert) or cert.only_service_account:
            continue
        message = (
            f"{cert.description} makes {subject.common_name} a member of system:masters, which may do everything: "
            "no RBAC rule limits that group, and the membership cannot be revoked before the certificate expires."
        )
        others = (
            cert.certificate.subject != subject and set(cert.certificate.subject.organizations) & set(ADMINISTRATORS)
            for cert in ctx.leaves
        )
        fix = reissue_commands(ctx, replace(cert, demoted=True)) if any(others) else ""
        if not fix:
            message += " No other administrator's certificate was found: create one before you remove the group."
        yield Violation(cert.path, message, f"subject: {subject}", fix)


def missing_server_auth(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates of servers that lack serverAuth."""
    for cert in ctx.leaves:
        if cert.is_server and not cert.certificate.allows_server_auth:
            message = (
                f"{cert.description} is presented by a server, but its extended key usage does not include serverAuth."
            )
            yield _fault(ctx, cert, message, "serverAuth")


def missing_client_auth(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates of clients that lack clientAuth."""
    for cert in ctx.leaves:
        if cert.is_client and not cert.certificate.allows_client_auth:
            if cert.roles & {Role.ETCD_SERVER, Role.ETCD_PEER}:
                message = (
                    f"{cert.description} is also presented by etcd as a client, to its peers and to itself, but its "
                    "extended key usage does not include clientAuth."
                )
            else:
                message = (
                    f"{cert.description} is presented by a client, but its extended key usage does not include "
                    "clientAuth."
                )
            yield _fault(ctx, cert, message, "clientAuth")


def _fault(ctx: RuleContext, cert: CertificateInstance, message: str, missing: str) -> Violation:
    usages = ", ".join(cert.certificate.extended_key_usage or ()) or "empty"
    return Violation(
        cert.path, message, f"extendedKeyUsage: {usages}; {missing} is missing", reissue_commands(ctx, cert)
    )


RULES = (
    error("missing-server-auth", missing_server_auth),
    error("missing-client-auth", missing_client_auth),
    error("wrong-cn", wrong_cn),
    error("group-in-ou", group_in_ou),
    error("wrong-organization", wrong_organization, suppressed_by=("group-in-ou",)),
    warning("powerful-user", powerful_user),
)
