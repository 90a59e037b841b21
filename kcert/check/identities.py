"""Rules about what a certificate says of its owner: the names of a server, the user, and what it may be used for.

Clients compare the name that they connect to with the SANs. The CN is the user, each O a group, and OU is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kcert.certificates import AltName, Role
from kcert.check import corrections, sans
from kcert.check.placing import exchanged, options_added
from kcert.check.repairs import reissue_commands, reissued
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error, warning
from kcert.roles import ADMINISTRATORS, KUBELET_ROLES, MASTERS

_SHOWN = 6
"""How many names a message lists."""


def missing_san(ctx: RuleContext) -> Iterator[Violation]:
    """Yield servers whose certificate lacks a name that clients connect to."""
    for cert in ctx.leaves:
        client_name = sans.allowed_hostname(ctx, cert)
        if not (cert.is_server or cert.wanted or client_name) or cert.live or cert.only_service_account:
            continue
        names = cert.certificate.alt_names
        missing = sans.missing_names(ctx, cert, {name.value for name in names})
        if sans.stale_service_addresses(ctx, cert):
            # It has the address of another range: service-cidr-mismatch reports that.
            needed = sans.service_addresses(ctx, cert)
            missing = [name for name in missing if name not in needed]
        demand = sans.kubelet_demand(ctx, cert)
        if not missing and not demand:
            continue
        misspelled = sans.misspelled_names(cert)
        if client_name in missing and not cert.is_server:
            message = (
                f"{cert.description} has no SAN {client_name}, and etcd accepts no other clients "
                "(--client-cert-allowed-hostname): the API server cannot connect to etcd."
            )
        elif demand:
            kind, name = demand[0]
            message = (
                f"{cert.description} has no {name or kind} among its SANs, and the API server "
                "connects to the kubelet there (--kubelet-preferred-address-types) and checks the certificate "
                "(--kubelet-certificate-authority): kubectl logs and kubectl exec fail."
            )
        elif misspelled:
            message = (
                f"{cert.description} has the SAN {misspelled[0][0].value}, which no client uses: "
                f"{misspelled[0][1].value} was meant, and clients that connect to that name reject the certificate."
            )
        elif names:
            message = (
                f"{cert.description} has no {listed(missing)} among its SANs: clients that connect to that name "
                "reject the certificate."
            )
        else:
            message = (
                f"{cert.description} has no SANs. Clients compare the name that they connect to only with "
                "the SANs, never with the CN."
            )
        fix = reissue_commands(ctx, cert) if missing else ""
        yield Violation(cert.path, message, f"subjectAltName: {listed(names) or 'none'}", fix)
    yield from _webhook_without_sans(ctx)


def _webhook_without_sans(ctx: RuleContext) -> Iterator[Violation]:
    hosts = {host for _, host in ctx.scan.webhooks}
    for cert in ctx.found:
        name = cert.certificate.subject.common_name
        if cert.use.key is not None and name in hosts and not cert.certificate.alt_names:
            message = (
                f"{cert.description} has no SANs, and the API server calls the webhook as {name}: clients compare that "
                "name only with the SANs, never with the CN."
            )
            yield Violation(cert.path, message, "subjectAltName: none", "")


def san_type(ctx: RuleContext) -> Iterator[Violation]:
    """Yield SANs of the wrong type."""
    for cert in ctx.leaves:
        names = cert.certificate.alt_names
        # Some write an address under both types, for clients of long ago: then the right one is there.
        addresses = {name.value for name in names if name.type == "IP"}
        wrong = [
            name
            for name in names
            if (right := sans.right_type(name)) != name and (right is None or right.value not in addresses)
        ]
        if not wrong:
            continue
        if wrong[0].type == "DNS":
            message = (
                f"{cert.description} has the address {wrong[0].value} under DNS. Clients that connect to an address "
                "look for it only under IP, and reject the certificate."
            )
        else:
            message = f"{cert.description} has something under IP that is not an address: it never matches."
        yield reissued(ctx, cert, message, f"subjectAltName: {listed(wrong)}")


def service_cidr_mismatch(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates whose service address is not in the API server's service range."""
    for cert in ctx.leaves:
        if Role.APISERVER not in cert.roles or cert.live:
            continue
        stale = sans.stale_service_addresses(ctx, cert)
        if not stale:
            continue
        address = sans.service_addresses(ctx, cert)[0].value
        for component in ("kube-apiserver", "kube-controller-manager"):
            value = ctx.option(component, "--service-cluster-ip-range", cert)
            if value is not None:
                break
        message = (
            f"{cert.description} was created for a different range of service addresses: pods connect to the API "
            f"server at {address}, but the certificate has {', '.join(sorted(stale))}."
        )
        evidence = f"--service-cluster-ip-range={value} of {component}; subjectAltName has no IP:{address}"
        yield reissued(ctx, cert, message, evidence)


_DEFAULT_RANGE = "10.0.0.0/24"
"""The API server's default for --service-cluster-ip-range."""


def service_range_not_set(ctx: RuleContext) -> Iterator[Violation]:
    """Yield API servers with the default service range and a certificate for a different one."""
    for cert in ctx.leaves:
        if Role.APISERVER not in cert.roles or cert.live:
            continue
        own = [use.configuration for use in cert.uses if use.configuration and use.option == "--tls-cert-file"]
        if not own or any(configuration.options.get("--service-cluster-ip-range") for configuration in own):
            continue
        address = sans.first_address(_DEFAULT_RANGE)
        values = {name.value for name in cert.certificate.alt_names}
        if address in values:
            continue
        other = ctx.option("kube-controller-manager", "--service-cluster-ip-range", cert)
        others = f", while kube-controller-manager has {other}" if other else ""
        message = (
            f"{own[0].source} does not set --service-cluster-ip-range for the API server, so it uses {_DEFAULT_RANGE}"
            f"{others}. Pods connect to it at {address}, which is not among the SANs of {cert.path}. Set "
            f"--service-cluster-ip-range{f'={other}' if other else ''} for the API server."
        )
        fits = other is not None and sans.first_address(other) in values
        added = f"--service-cluster-ip-range={other}"
        fix = options_added(own[0].source, "--tls-cert-file", added) if fits else ""
        yield Violation(own[0].source, message, f"subjectAltName has no IP:{address}", fix)


def listed(names: tuple[AltName, ...] | list[AltName]) -> str:
    """Return some of the names, for a sentence."""
    shown = ", ".join(str(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


_NO_HOST = re.compile(r"|[A-Za-z0-9._*-]+\.|[A-Za-z0-9._*-]+( +[A-Za-z0-9._*-]+)+")
"""A DNS name that no client can connect to: empty, with a dot at the end, or two names with a blank between them."""


def malformed_san(ctx: RuleContext) -> Iterator[Violation]:
    """Yield SANs that are not valid DNS names."""
    for cert in ctx.leaves:
        dns_names = (name for name in cert.certificate.alt_names if name.type == "DNS" and name.value.isascii())
        names = [name for name in dns_names if _NO_HOST.fullmatch(name.value)]
        if not names:
            continue
        values = ", ".join(repr(name.value) for name in names)
        message = (
            f"{cert.description} has a SAN that is not a valid DNS name: {values}. "
            "No client can match it, and some releases of Go (1.25.2) reject the whole certificate because of it."
        )
        yield reissued(ctx, cert, message, f"subjectAltName: {listed(names)}")


def wrong_cn(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates with the wrong user name."""
    swapped = corrections.swapped_kubeconfigs(ctx)
    for first, second in swapped:
        message = f"{first} and {second} are swapped: each contains the user that belongs in the other."
        fix = exchanged(first, second, secret=True)
        yield Violation(first, message, f"the users of {first} and {second} are swapped", fix, authority=True)
    for cert in ctx.leaves:
        right = corrections.right_common_name(ctx, cert)
        if right is None or _is_in(cert, swapped):
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
        yield reissued(ctx, cert, message, f"subject: {cert.certificate.subject}", new_key=len(holders) > 1)


def _is_in(cert: CertificateInstance, kubeconfigs: list[tuple[Path, Path]]) -> bool:
    paths = {path for pair in kubeconfigs for path in pair}
    return any(use.kubeconfig is not None and use.kubeconfig.path in paths for use in cert.uses)


def wrong_organization(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates without the group that has the permissions they need."""
    swapped = corrections.swapped_kubeconfigs(ctx)
    for cert in ctx.leaves:
        groups = _needed(cert)
        subject = cert.certificate.subject
        if not groups or set(groups) & set(subject.organizations) or _is_in(cert, swapped):
            continue
        has = ", ".join(subject.organizations)
        message = (
            f"{cert.description} is in {f'the group {has}' if has else 'no group'}, but needs O={groups[0]}: "
            "without this group, the API server authenticates the client but authorizes no requests."
        )
        yield reissued(ctx, cert, message, f"subject: {subject}")


def _needed(cert: CertificateInstance) -> tuple[str, ...]:
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
            unit
            for unit in subject.values("OU")
            if corrections.is_group(cert, unit) and unit not in subject.organizations
        ]
        if groups:
            message = (
                f"{cert.description} has its group {', '.join(groups)} in OU. The API server reads only O, so its "
                "owner is not in that group."
            )
            yield reissued(ctx, cert, message, f"subject: {subject}")


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
        if cert.is_server and not cert.certificate.allows("serverAuth"):
            yield _without_usage(ctx, cert, "is presented by a server", "serverAuth")


def missing_client_auth(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates of clients that lack clientAuth."""
    for cert in ctx.leaves:
        if cert.is_client and not cert.certificate.allows("clientAuth"):
            etcd = bool(cert.roles & {Role.ETCD_SERVER, Role.ETCD_PEER})
            does = "is also presented by etcd as a client, to its peers and to itself" if etcd else ""
            yield _without_usage(ctx, cert, does or "is presented by a client", "clientAuth")


def _without_usage(ctx: RuleContext, cert: CertificateInstance, does: str, missing: str) -> Violation:
    usages = ", ".join(cert.certificate.extended_key_usage or ()) or "empty"
    message = f"{cert.description} {does}, but its extended key usage does not include {missing}."
    return reissued(ctx, cert, message, f"extendedKeyUsage: {usages}; {missing} is missing")


RULES = (
    error("missing-san", missing_san, updated=True),
    error("san-type", san_type, updated=True),
    error("service-cidr-mismatch", service_cidr_mismatch, updated=True),
    warning("service-range-not-set", service_range_not_set),
    warning("malformed-san", malformed_san, suppressed_by=("unreadable",), updated=True),
    error("missing-server-auth", missing_server_auth, updated=True),
    error("missing-client-auth", missing_client_auth, updated=True),
    error("wrong-cn", wrong_cn, updated=True),
    error("group-in-ou", group_in_ou, updated=True),
    error("wrong-organization", wrong_organization, suppressed_by=("group-in-ou",), updated=True),
    warning("powerful-user", powerful_user, updated=True),
)
