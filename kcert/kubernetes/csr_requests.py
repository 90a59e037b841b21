"""Requests: subject and SANs for the Certificates API, those of kubelets, and those for a CA on another machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from kcert import plain_yaml, profiles
from kcert.certificates import AltName, Certificate, Files, Kind, Role, Subject
from kcert.config import (
    Cluster,
    Host,
    check_address,
    check_dns_name,
    check_group_name,
    check_host_name,
    check_user_name,
)
from kcert.errors import InputError, ProgramError, VerdictError
from kcert.issue import steps
from kcert.issue.context import Context, CsrTarget
from kcert.issue.status import State, status_of
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import KIND, SigningRequest, parse_object, requested
from kcert.openssl.x509 import Request
from kcert.quoting import format_command
from kcert.roles import NODE_PREFIX, NODES

_STEMS = {signers.KUBELET_CLIENT: "kubelet-client-", signers.KUBELET_SERVING: "kubelet-serving-"}
"""The names of the files of a kubelet's request, up to the node's name, by signer."""


def subject_for(
    cluster: Cluster, name: str, groups: tuple[str, ...], names: tuple[str, ...], signer: str
) -> Certificate:
    """Return the certificate to request for *name*: with a request file and no certificate file.

    A name that kcert.yaml or the profile knows keeps its subject; with a kubelet's *signer* it is a node's; any other
    becomes a user in *groups* with the SANs *names*. Raises InputError for what cannot be.
    """
    alt_names = tuple(dict.fromkeys(san(name_value) for name_value in names))
    if signer in _STEMS:
        return _kubelet(cluster, name, groups, alt_names, signer)
    known = profiles.named(profiles.certificates(cluster), name)
    if known:
        check_signer(known[0], signer)
        return _known(known, groups, alt_names)
    for group in groups:
        if why := check_group_name(group):
            raise InputError(f"--group {group!a} is invalid: {why}.")
    if why := check_user_name(name):
        raise InputError(f"{name!a} is not a valid user name: {why}.")
    return _unissued(replace(profiles.user(cluster, name, groups), alt_names=alt_names))


def of_name(cluster: Cluster, name: str, signer: str | None = None, *, by_root: bool = False) -> Certificate:
    """Return the certificate whose request is in the PKI folder under *name*, and where its answer belongs.

    With a kubelet's *signer* the name is a node's, as for ``subject_for``. Raises InputError for a name that is not
    accepted, and for what the Certificates API does not sign; with *by_root* that may be a CA, which a root outside
    the cluster has signed.
    """
    if signer in _STEMS:
        name = f"{_STEMS[signer]}{name.removeprefix(NODE_PREFIX).removeprefix(_STEMS[signer])}"
    known = profiles.named(profiles.certificates(cluster), name)
    if not known and (why := check_user_name(name)):
        raise InputError(f"{name!a} is not a valid name: {why}.")
    if known and not (by_root and known[0].kind is Kind.CA):
        _check_signable(known[0])
    return known[0] if known else profiles.user(cluster, name, ())


def other_signer(root: Path, cluster: Cluster, name: str) -> str | None:
    """Return the kubelet signer for which a request of the node *name* is in the folder *root*, else None."""
    if check_host_name(name):
        return None
    for signer in _STEMS:
        csr = of_name(cluster, name, signer).files.csr
        if csr and (root / csr).is_file():
            return signer.removeprefix(signers.DOMAIN)
    return None


def host_of(cluster: Cluster, node: str) -> Host | None:
    """Return the node or control-plane host called *node* of the cluster; None if there is none."""
    return next((host for host in (*cluster.nodes, *cluster.control_plane) if host.name == node), None)


def host_sans(host: Host) -> tuple[AltName, ...]:
    """Return the SANs of a kubelet's serving certificate: the host's name and addresses."""
    return (AltName("DNS", host.name), *(AltName("IP", address) for address in host.addresses))


def _kubelet(
    cluster: Cluster, node: str, groups: tuple[str, ...], names: tuple[AltName, ...], signer: str
) -> Certificate:
    node = node.removeprefix(NODE_PREFIX)
    if why := check_host_name(node):
        raise InputError(f"{node!a} is not the name of a node: {why}.")
    if set(groups) - {NODES}:
        raise InputError(f"--group: a kubelet is in {NODES} and in no other group.")
    serving = signer == signers.KUBELET_SERVING
    if names and not serving:
        raise InputError(f"--san: {signer} signs no SANs; {signers.KUBELET_SERVING} does.")
    if serving and not names:
        host = host_of(cluster, node)
        if host is None:
            raise InputError(f"{node} is not a node of this cluster, so specify its SANs: --san NAME, --san ADDRESS.")
        names = host_sans(host)
    return _unissued(
        replace(
            of_name(cluster, node, signer),
            role=Role.KUBELET_SERVER if serving else Role.KUBELET_CLIENT,
            subject=Subject(f"{NODE_PREFIX}{node}", (NODES,)),
            alt_names=names,
            host=node,
        )
    )


def _known(known: tuple[Certificate, ...], groups: tuple[str, ...], names: tuple[AltName, ...]) -> Certificate:
    certificate = known[0]
    if len(known) > 1:
        raise InputError(
            f"{certificate.role} is the role of several certificates: "
            f"{', '.join(cert.name for cert in known)}. Specify one."
        )
    _check_signable(certificate)
    assert certificate.subject
    if groups and set(groups) != set(certificate.subject.organizations):
        listed = ", ".join(certificate.subject.organizations) or "no group"
        raise InputError(f"--group: kcert.yaml, or the profile, has {certificate.name} in {listed}.")
    return _unissued(replace(certificate, alt_names=names or certificate.alt_names))


def check_signer(certificate: Certificate, signer: str) -> None:
    """Raise InputError where *signer* would make a client certificate for a server."""
    if certificate.kind.is_server and signer in (signers.CLIENT, signers.KUBELET_CLIENT):
        raise InputError(
            f"{certificate.name} is a server, and {signer} signs for clients only; of servers, Kubernetes signs for "
            f"kubelets only ({signers.KUBELET_SERVING}). `kcert {certificate.chapter}` creates it where the CA's key "
            f"is. For your own signer, use --signer."
        )


def _check_signable(certificate: Certificate) -> None:
    if certificate.kind in (Kind.CA, Kind.KEY_PAIR):
        what = "a CA" if certificate.kind is Kind.CA else "a bare key pair"
        raise InputError(f"{certificate.name} is {what}, which the Certificates API does not sign.")


def _unissued(certificate: Certificate) -> Certificate:
    """Return the same without a certificate file and a kubeconfig, which come with the answer; a key pair has none."""
    if certificate.kind is Kind.KEY_PAIR:
        return certificate
    return replace(certificate, files=replace(certificate.files, crt=None, kubeconfig=None))


def san(value: str) -> AltName:
    """Return the SAN that *value* is, a DNS name or an address; raises InputError if it is neither."""
    if check_address(value) is None:
        return AltName("IP", str(ipaddress.ip_address(value)))
    if why := check_dns_name(value):
        raise InputError(f"--san {value!a} is neither a DNS name nor an address: {why}.")
    return AltName("DNS", value)


# --- Requests that kubelets make themselves


_BOOTSTRAP_PREFIX = "system:bootstrap:"
"""The beginning of the user name of a bootstrap token; the token's ID follows."""


def summaries(content: bytes, openssl: str) -> Iterator[dict[str, Any]]:
    """Yield what each object in *content* asks for, which ``kubectl get csr -o yaml`` printed.

    Of an object that kcert cannot read, yield its name and the reason.
    """
    try:
        items = plain_yaml.load(content)["items"]
    except (plain_yaml.NotPlainError, KeyError, TypeError):
        raise ProgramError("`kubectl get csr -o json` printed something other than a list of objects.") from None
    for item in items:
        try:
            csr = parse_object(item, "the object")
            yield summary(csr, requested(openssl, csr))
        except InputError as error:  # noqa: PERF203 - a signer of its own may take what kcert does not
            yield {"kind": KIND, "name": str(item.get("metadata", {}).get("name")), "error": str(error)}


def purpose_of(csr: SigningRequest, request: Request) -> str | None:
    """Return what a request of a kubelet is for, as a sentence; None for any other request."""
    name = request.subject.common_name or ""
    node, user = name.removeprefix(NODE_PREFIX), csr.username
    foreign = f" {user} created it, not this kubelet." if user not in ("", name) else ""
    if csr.signer == signers.KUBELET_SERVING:
        return f"The kubelet of {node} asks for a serving certificate, which an administrator has to approve.{foreign}"
    if csr.signer != signers.KUBELET_CLIENT:
        return None
    if user.startswith(_BOOTSTRAP_PREFIX):
        return (
            f"TLS bootstrapping: a kubelet asks for its first client certificate, as the node {node}, with the "
            f"bootstrap token {user.removeprefix(_BOOTSTRAP_PREFIX)}. The cluster approves it where the token's group "
            "is bound to the ClusterRole system:certificates.k8s.io:certificatesigningrequests:nodeclient."
        )
    return f"The kubelet of {node} {'renews its' if user == name else 'asks for a'} client certificate.{foreign}"


def summary(csr: SigningRequest, request: Request) -> dict[str, Any]:
    """Return what an object, or a bare request, asks for, as plain values."""
    signer = signers.SIGNERS.get(csr.signer)
    return {
        "kind": KIND if csr.document is not None else "CertificateRequest",
        "name": csr.name,
        "common_name": request.subject.common_name,
        "organizations": list(request.subject.organizations),
        "subject": str(request.subject),
        "sans": [str(name) for name in request.alt_names],
        "key": f"{request.public_key.algorithm} {request.public_key.curve or request.public_key.bits}",
        "signer": csr.signer or None,
        "usages": list(csr.usages),
        "expiration_seconds": csr.expires,
        "username": csr.username or None,
        "purpose": purpose_of(csr, request),
        "violation": signer.violation(request, csr.usages) if signer else None,
        "conditions": [
            {field: condition[field] for field in ("type", "reason", "message")} for condition in csr.true_conditions
        ],
        "issued": csr.certificate is not None,
    }


def check_serving(cluster: Cluster, csr: SigningRequest, request: Request) -> None:
    """Raise VerdictError where a kubelet's serving request is not its own, or asks for foreign SANs."""
    name = request.subject.common_name or ""
    host = host_of(cluster, name.removeprefix(NODE_PREFIX))
    if not name.startswith(NODE_PREFIX) or host is None:
        why = f"it is for {name!a}, which is not a node of kcert.yaml"
    elif csr.username != name:
        why = f"it is for {name!a}, and {csr.username!a} created it"
    elif more := [ascii(str(san))[1:-1] for san in request.alt_names if san not in host_sans(host)]:
        has = ", ".join(str(san) for san in host_sans(host))
        why = f"it asks for {', '.join(more)}, and in kcert.yaml {host.name} has {has}"
    else:
        return
    command = format_command(("kubectl", "certificate", "approve", csr.name))
    raise VerdictError(f"{csr.name} is not approved: {why}. If this is intended, `{command}` approves it.")


# --- Requests for a CA on another machine


def for_requests(ctx: Context, specs: tuple[Certificate, ...]) -> tuple[Context, tuple[Certificate, ...]]:
    """Return *ctx* and *specs* for requests in place of certificates: of all that is wanted and not current.

    A request for a CA is made only where nothing else is wanted: then an external root CA is to sign it.
    """
    everything = {spec.name: spec for spec in (*ctx.specs, *specs)}
    statuses = status_of(ctx.root, everything.values())
    leaves = [spec for spec in specs if spec.kind is not Kind.CA]
    requested = leaves or [replace(spec, intermediate=True) for spec in specs]
    wanted = tuple(_unissued(spec) for spec in requested if statuses[spec.name].state is not State.CURRENT)
    return replace(ctx, csr_target=CsrTarget.CA, command=f"{ctx.command} --csr-only"), wanted


def manual(certificate: Certificate, ca: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command that signs its request by hand, where CA, request and openssl.cnf are in one folder."""
    files, ca_files = certificate.files, ca.files
    assert files.csr and files.cnf and files.crt and ca_files.crt
    csr, config, crt = (PurePosixPath(path.name) for path in (files.csr, files.cnf, files.crt))
    flat = replace(files, csr=csr, cnf=config, crt=crt)
    flat_ca = replace(
        ca, files=replace(ca_files, crt=PurePosixPath(ca_files.crt.name), key=PurePosixPath(ca_files.key.name))
    )
    return steps.sign(replace(certificate, files=flat), flat_ca, openssl, certificate.days).argv


def by_root(ca: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command with which an external root CA signs a CA of the cluster."""
    files = Files(key=PurePosixPath("root.key"), crt=PurePosixPath("root.crt"))
    return manual(ca, replace(ca, name="root", files=files, passphrase=""), openssl)
