"""Requests that kubelets make themselves: what each is, and whether a serving one asks for its node's names alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert import plain_yaml
from kcert.errors import InputError, ProgramError, VerdictError
from kcert.kubernetes import signers
from kcert.kubernetes.csr_subject import host_of, host_sans
from kcert.kubernetes.signing_request import SigningRequest, parse_object, requested
from kcert.quoting import format_command
from kcert.roles import NODE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster
    from kcert.openssl.x509 import Request

BOOTSTRAP_PREFIX = "system:bootstrap:"
"""What the user name of a bootstrap token begins with; the token's ID follows."""


def described(content: bytes, openssl: str) -> Iterator[tuple[str, str]]:
    """Yield name and purpose of each object of a kubelet in *content*, what ``kubectl get csr -o yaml`` printed."""
    try:
        items = plain_yaml.load(content)["items"]
    except (plain_yaml.NotPlainError, KeyError, TypeError):
        raise ProgramError("kubectl printed something other than a list of objects.") from None
    for item in items:
        try:
            one = parse_object(item, "the object")
            purpose = purpose_of(one, requested(openssl, one))
        except InputError:  # a signer of its own may take what kcert does not
            continue
        if purpose:
            yield one.name, purpose


def purpose_of(one: SigningRequest, request: Request) -> str | None:
    """Return what a request of a kubelet is for, as a sentence; None for any other request."""
    name = request.subject.common_name or ""
    node, user = name.removeprefix(NODE_PREFIX), one.username
    foreign = f" {user} created it, not this kubelet." if user not in ("", name) else ""
    if one.signer == signers.KUBELET_SERVING:
        return f"The kubelet of {node} asks for a serving certificate, which an administrator has to approve.{foreign}"
    if one.signer != signers.KUBELET_CLIENT:
        return None
    if user.startswith(BOOTSTRAP_PREFIX):
        return (
            f"TLS bootstrapping: a kubelet asks for its first client certificate, as the node {node}, with the "
            f"bootstrap token {user.removeprefix(BOOTSTRAP_PREFIX)}. The cluster approves it where the token's group "
            "is bound to the ClusterRole system:certificates.k8s.io:certificatesigningrequests:nodeclient."
        )
    return f"The kubelet of {node} {'renews its' if user == name else 'asks for a'} client certificate.{foreign}"


def check_serving(cluster: Cluster, one: SigningRequest, request: Request) -> None:
    """Raise VerdictError where a kubelet's serving request is not its own, or asks for foreign SANs."""
    name = request.subject.common_name or ""
    host = host_of(cluster, name.removeprefix(NODE_PREFIX))
    if not name.startswith(NODE_PREFIX) or host is None:
        why = f"it is for {name!a}, which is not a node of kcert.yaml"
    elif one.username != name:
        why = f"it is for {name!a}, and {one.username!a} created it"
    elif more := [ascii(str(san))[1:-1] for san in request.alt_names if san not in host_sans(host)]:
        has = ", ".join(str(san) for san in host_sans(host))
        why = f"it asks for {', '.join(more)}, and in kcert.yaml {host.name} has {has}"
    else:
        return
    command = format_command(("kubectl", "certificate", "approve", one.name))
    raise VerdictError(f"{one.name} is not approved: {why}. If this is intended, `{command}` approves it.")
