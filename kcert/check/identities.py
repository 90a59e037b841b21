"""Rules about who a certificate says its holder is: the CN is the user, each O a group, and OU is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.check import corrections
from kcert.check.repairs import reissue_commands
from kcert.check.rule import Violation, error, warning
from kcert.roles import ADMINISTRATORS, KUBELET_ROLES, MASTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.check.context import CertificateInstance, RuleContext


def wrong_cn(case: RuleContext) -> Iterator[Violation]:
    """The API server takes its holder for somebody else."""
    for found in case.leaves:
        right = corrections.right_common_name(case, found)
        if right is None:
            continue
        name = found.certificate.subject.common_name
        is_now = f"has the CN {name}" if name else "has no CN"
        if found.roles & KUBELET_ROLES:
            why = "the node authorizer knows a kubelet by exactly system:node: and its node's name, in lower case"
        elif Role.FRONT_PROXY_CLIENT in found.roles:
            why = "--requestheader-allowed-names of the API server lets nobody else in"
        elif found.wanted is not None:
            why = "kcert.yaml says so"
        else:
            why = "the roles that Kubernetes brings are bound to that name"
        message = f"{found.description} {is_now}, and needs {right}: {why}."
        yield Violation(found.path, message, f"subject: {found.certificate.subject}", reissue_commands(case, found))


def wrong_organization(case: RuleContext) -> Iterator[Violation]:
    """It lacks the group from which its rights come."""
    for found in case.leaves:
        groups = _needed(found)
        subject = found.certificate.subject
        if not groups or set(groups) & set(subject.organizations):
            continue
        has = ", ".join(subject.organizations)
        message = (
            f"{found.description} is in {f'the group {has}' if has else 'no group'}, and needs O={groups[0]}: "
            "without it the API server knows who it is, and allows it nothing."
        )
        yield Violation(found.path, message, f"subject: {subject}", reissue_commands(case, found))


def _needed(found: CertificateInstance) -> tuple[str, ...]:
    """The groups of which it needs one."""
    wanted = corrections.other_subject(found)
    if wanted and wanted.organizations and found.dials and not found.serves:
        return wanted.organizations
    if corrections.asks_for_administrators(found):
        return ADMINISTRATORS
    return next((demand.groups for demand in found.demands if demand.groups), ())


def group_in_ou(case: RuleContext) -> Iterator[Violation]:
    """The group stands in OU, where many notes and slides put it."""
    for found in case.leaves:
        subject = found.certificate.subject
        groups = [
            unit for unit in subject.units if corrections.is_group(found, unit) and unit not in subject.organizations
        ]
        if groups:
            message = (
                f"{found.description} has its group {', '.join(groups)} in OU. The API server reads O alone: its "
                "holder is in no such group."
            )
            yield Violation(found.path, message, f"subject: {subject}", reissue_commands(case, found))


def powerful_user(case: RuleContext) -> Iterator[Violation]:
    """It may do everything, for as long as it lasts, and nobody can take that away."""
    for found in case.leaves:
        subject = found.certificate.subject
        if (
            MASTERS not in subject.organizations
            or corrections.may_be_powerful(case, found)
            or found.only_service_account
        ):
            continue
        message = (
            f"{found.description} makes {subject.common_name} a member of system:masters, who may do everything: no "
            "RBAC rule limits that group, and nobody can take it away before the certificate ends."
        )
        others = (
            one.certificate.subject != subject and set(one.certificate.subject.organizations) & set(ADMINISTRATORS)
            for one in case.leaves
        )
        fix = reissue_commands(case, found) if any(others) else ""
        if not fix:
            message += " No other administrator's certificate was found: make one before you take the group away."
        yield Violation(found.path, message, f"subject: {subject}", fix)


RULES = (
    error("wrong-cn", wrong_cn),
    error("group-in-ou", group_in_ou),
    error("wrong-organization", wrong_organization, yields_to=("group-in-ou",)),
    warning("powerful-user", powerful_user),
)
