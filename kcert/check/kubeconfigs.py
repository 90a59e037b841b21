"""Rules about kubeconfigs: where they dial, and whom they trust there."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kcert.check import bash, corrections
from kcert.check.names import listed
from kcert.check.rule import Violation, error, warning
from kcert.scan.fs import cluster_root_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.x509 import X509
    from kcert.scan.result import KubeconfigUse


def server_not_in_san(case: RuleContext) -> Iterator[Violation]:
    """It dials the API server by a name that is not in the API server's certificate."""
    for one in _once(case):
        host = one.server_name or corrections.host_of(one.server or "")
        own = [found for found in case.api_servers if one.verifies and _trusts(case, one, found)]
        if not host or not own or any(answers_to(found.certificate, host) for found in own):
            continue
        if not any(found.certificate.alt_names for found in own):
            continue  # the certificate is to blame, and missing-san says so
        names = own[0].certificate.alt_names
        does = f"expects {host} (tls-server-name)" if one.server_name else f"dials {one.server}"
        message = (
            f"{one.path} {does}, and {host} is not among the names of the API server's certificate "
            f"({own[0].path}): kubectl refuses it. The other way out is a certificate that has this name too."
        )
        yield Violation(one.path, message, f"subjectAltName: {listed(names)}", _server_set(case, one, own))


def answers_to(certificate: X509, host: str) -> bool:
    """True where *certificate* has the name or the address; one of the wrong type is ``san-type``'s business."""
    values = {name.value.lower() for name in certificate.alt_names}
    host = host.lower()
    return host in values or f"*.{host.partition('.')[2]}" in values


def _server_set(case: RuleContext, one: KubeconfigUse, own: list[CertificateInstance]) -> str:
    server = one.server or ""
    host = _reachable(case, own)
    if host is None:
        return ""
    if one.server_name:
        return _cluster_set(one, f"--tls-server-name={bash.word(host)}")
    port = urlsplit(server).port
    new = f"https://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return _cluster_set(one, f"--server={bash.word(new)}")


def _reachable(case: RuleContext, own: list[CertificateInstance]) -> str | None:
    """The name that fits best: what other kubeconfigs dial, then the API server's own address, then any other."""
    certificates = [found.certificate for found in own]
    dialled = [corrections.host_of(one.server or "") for one in case.survey.kubeconfigs]
    dialled.append(case.option("kube-apiserver", "--advertise-address", own[0]) or "")
    for host in dialled:
        if host and any(answers_to(certificate, host) for certificate in certificates):
            return host
    service = {name.value for found in own for name in corrections.service_addresses(case, found)}
    names = [name for certificate in certificates for name in certificate.alt_names]
    addresses = [name.value for name in names if name.type == "IP" and corrections.is_address(name.value)]
    hosts = [name.value for name in names if name.type == "DNS" and not name.value.startswith(("kubernetes", "*"))]
    outside = [value for value in addresses if value not in service and not ipaddress.ip_address(value).is_loopback]
    return next(iter([*outside, *hosts, *addresses]), None)


def wrong_ca(case: RuleContext) -> Iterator[Violation]:
    """It trusts a CA that did not sign what the API server shows."""
    for one in _once(case):
        if not (one.verifies and one.authorities and case.api_servers):
            continue
        if any(_trusts(case, one, found) or _is_to_blame(case, one, found) for found in case.api_servers):
            continue
        host = one.server_name or corrections.host_of(one.server or "")
        same_cluster = any(answers_to(found.certificate, host) for found in case.api_servers)
        if one.component in (None, "kubectl") and not same_cluster:
            continue  # a person's kubeconfig may be for another cluster
        shown = case.api_servers[0]
        message = (
            f"{one.path} trusts {one.authorities[0].subject}, but the API server's certificate ({shown.path}) was "
            f"signed by {shown.certificate.issuer}: kubectl answers that it was signed by unknown authority."
        )
        evidence = f"the CA of cluster {one.cluster or '(without a name)'} has sha256 {one.authorities[0].sha256[:16]}…"
        yield Violation(one.path, message, evidence, _authority_set(case, one, shown))


def invalid(case: RuleContext) -> Iterator[Violation]:
    """kubectl does not accept it, or does not use what is in it."""
    seen = set()
    for one in case.survey.kubeconfigs:
        for clause in one.refused:
            if (one.path, clause) not in seen:
                seen.add((one.path, clause))
                fix = ""
                if "insecure-skip-tls-verify" in clause:
                    fix = _cluster_set(one, "--insecure-skip-tls-verify=false")
                yield Violation(one.path, f"{one.path} {clause}.", f"{one.path} {clause.split(':')[0]}", fix)


def insecure(case: RuleContext) -> Iterator[Violation]:
    """Nobody checks who answers."""
    for one in _once(case):
        if one.server and one.server.startswith("http://") and (one.authorities or one.user):
            message = (
                f"{one.path} connects to {one.server} without TLS: its certificates are not used, and everything is "
                "readable on the network. Set the server to https://."
            )
            yield Violation(one.path, message, f"server: {one.server}", "")
        if not one.verifies and not one.authorities:
            message = (
                f"{one.path} has insecure-skip-tls-verify for the cluster {one.cluster}: kubectl trusts any "
                f"server that answers at {one.server}, and sends it the user's token. Give kubectl the CA that "
                "signed the API server's certificate instead (certificate-authority); that turns the option off."
            )
            signer = next((place for place in case.authorities if _has_signed_api_server(case, place)), None)
            content = f"cat {bash.literal(signer.certificate.pem)}" if signer and one.cluster else ""
            fix = content and bash.embedded(
                one.path, "set-cluster", bash.word(one.cluster), certificate_authority=content
            )
            yield Violation(one.path, message, "insecure-skip-tls-verify: true", fix)


def _has_signed_api_server(case: RuleContext, ca: CertificateInstance) -> bool:
    return any(
        ca.certificate.subject == shown.certificate.issuer and _leads_to(case, shown, (ca.certificate,))
        for shown in case.api_servers
        if cluster_root_of(shown.path) == cluster_root_of(ca.path)
    )


def _cluster_set(one: KubeconfigUse, *options: str) -> str:
    """The kubectl command that changes the cluster of a context; kubectl keeps everything else in the file."""
    return bash.kubectl_config(one.path, "set-cluster", bash.word(one.cluster), *options) if one.cluster else ""


def _once(case: RuleContext) -> Iterator[KubeconfigUse]:
    """Each cluster of each kubeconfig once, however many contexts and options name it."""
    seen: set[tuple[Path, str]] = set()
    for one in case.survey.kubeconfigs:
        if (one.path, one.cluster) not in seen:
            seen.add((one.path, one.cluster))
            yield one


def _trusts(case: RuleContext, one: KubeconfigUse, shown: CertificateInstance) -> bool:
    return bool(one.authorities) and _leads_to(case, shown, one.authorities)


def _leads_to(case: RuleContext, shown: CertificateInstance, authorities: tuple[X509, ...]) -> bool:
    """True where a server's certificate leads to one of *authorities*, through the chain that is sent along."""
    return case.signatures.verdict(shown.certificate, authorities, shown.use.chain) is None


def _is_to_blame(case: RuleContext, one: KubeconfigUse, shown: CertificateInstance) -> bool:
    """True where it is the API server's certificate that comes from the wrong CA: another rule says so."""
    right = {issuer.public_key for issuer in shown.use.issuers}
    from_elsewhere = bool(right) and not _leads_to(case, shown, shown.use.issuers)
    return from_elsewhere and any(authority.public_key in right for authority in one.authorities)


def _authority_set(case: RuleContext, one: KubeconfigUse, shown: CertificateInstance) -> str:
    """Let the kubeconfig trust the CA that signed what the API server shows, wherever that lies."""
    signers = [
        place
        for place in case.authorities
        if place.certificate.subject == shown.certificate.issuer
        and case.signatures.verdict(shown.certificate, (place.certificate,)) is None
    ]
    if not signers:
        return ""
    signer = min(signers, key=lambda place: place.embedded)
    if not one.ca_embedded and one.ca_path is not None:
        return "" if signer.embedded else f"cp {bash.word(signer.path)} {bash.word(one.ca_path)}"
    content = f"cat {bash.literal(signer.certificate.pem)}"
    return bash.embedded(one.path, "set-cluster", bash.word(one.cluster), certificate_authority=content)


RULES = (
    error("kubeconfig-server-not-in-san", server_not_in_san),
    error("kubeconfig-wrong-ca", wrong_ca),
    error("kubeconfig-invalid", invalid),
    warning("kubeconfig-insecure", insecure),
)
