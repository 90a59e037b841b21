"""CertificateSigningRequests outside kcert: as manifests that are composed, read and decided, and in a cluster.

kubectl talks to the cluster; its failures are put into words that say what to do.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from kcert import plain_yaml
from kcert.certificates import Certificate
from kcert.config import Cluster
from kcert.errors import InputError, KcertError, ProgramError, UnansweredError, VerdictError, sentence
from kcert.files import LARGEST_DOCUMENT, open_at_once
from kcert.issue.context import Context
from kcert.kubernetes import FAILURES, signers
from kcert.kubernetes.signing_request import (
    KIND,
    SigningRequest,
    check_expires,
    check_usages,
    is_pem,
    object_name,
    parse,
    parse_object,
    read_asked,
    requested,
    signer_trouble,
    text,
)
from kcert.openssl.x509 import Request
from kcert.quoting import format_command, quote
from kcert.roles import NODE_PREFIX
from kcert.shell import Command, Reading, find, read
from kcert.store import PUBLIC_MODE, Workspace, atomic


def contents(path: Path) -> bytes:
    """Return the content of a file, or a little more than LARGEST_DOCUMENT of it; InputError if it is unreadable."""
    try:
        with open_at_once(path) as file:
            return file.read(LARGEST_DOCUMENT + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def load(path: Path) -> SigningRequest:
    """Return the object in the manifest at *path*; raises InputError if there is none."""
    return parse(contents(path), str(path))


def by_hand(csr: SigningRequest, field: Literal["request", "certificate"], folder: Path | None = None) -> str:
    """Return the bash command, typed in *folder* (None: here), that prints a field of *csr*, which is in a manifest.

    Empty if the manifest does not have the field on one line, is a bare request, or came through a pipe.
    """
    content = csr.request if field == "request" else csr.certificate or b""
    key, line = f" {field}:", f"{field}: {base64.b64encode(content).decode('ascii')}"
    if [row.strip(" ") for row in csr.content.decode("utf-8", "replace").split("\n") if key in row] != [line]:
        return ""  # grep would find something else: a comment or an annotation may have such a line, too
    if not Path(csr.source).is_file():
        return ""
    path = csr.source if folder is None else os.path.relpath(csr.source, folder)
    return f"grep '{key}' {quote(path)} | cut -d : -f 2 | tr -d ' ' | base64 -d"


def decoding(argv: tuple[str, ...]) -> str:
    """Return the bash command that decodes the base64 that *argv* prints."""
    return f"{format_command(argv)} | base64 -d"


def compose(  # noqa: PLR0917 - one for each option
    ctx: Context,
    certificate: Certificate,
    signer: str | None,
    usages: Sequence[str],
    expires: int | None,
    name: str | None,
) -> SigningRequest:
    """Return the object for the request of *certificate* in the PKI folder.

    *signer*, *usages* and *name* follow from the request where they are not given. Raises InputError for a request
    that is none, and for what the API server would not take.
    """
    path = ctx.root / certificate.csr
    if not path.is_file():
        command = f"`kcert csr new {quote(certificate.name)}{ctx.folder_option}`"
        raise InputError(f"{path} does not exist: {command} creates key and request.")
    content = contents(path)
    request = read_asked(ctx.openssl, content, str(path))
    name = name or certificate.csr.stem
    if why := object_name(name):
        raise InputError(f"{name!a} cannot be the name of an object of Kubernetes: {why}. Give it another with --name.")
    signer = signers.full_name(signer) if signer else signers.fitting(request)
    if why := signer_trouble(signer):
        raise InputError(f"--signer {signer!a}: {why}.")
    signers.check_signer(certificate, signer)
    played = signers.SIGNERS.get(signer, signers.SIGNERS[signers.CLIENT])
    usages = usages or played.usages(request.public_key.algorithm)
    if expires is not None:
        check_expires(expires, "--expires")
    return SigningRequest(name, content, signer, check_usages(usages, "--usage"), expires, source=str(path))


def write(ctx: Context, csr: SigningRequest, output: Path | None) -> tuple[Path, SigningRequest | None]:
    """Write the manifest into the PKI folder, where what it replaces is backed up, or to *output*.

    Return its path, and what is there already if that is the same request: it stays, with all that was decided.
    """
    content = text(csr).encode("utf-8")
    if output is not None:
        atomic.create_file(output, content, PUBLIC_MODE)
        return output, None
    name = PurePosixPath(f"{csr.name}-csr.yaml")
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        existing = existing_manifest(ctx.root, csr.name)
        if existing and replace(existing, conditions=(), certificate=None, source=csr.source, document=None) == csr:
            return ctx.root / name, existing
        staging = workspace.stage((), (name,))
        staging.write(name, content)
        workspace.publish(staging, (name,), ())
    return ctx.root / name, None


def existing_manifest(root: Path, name: str) -> SigningRequest | None:
    """Return the object *name* of the manifest in the PKI folder *root*; None if there is none that can be read."""
    path = root / f"{name}-csr.yaml"
    try:
        return load(path) if path.is_file() else None
    except InputError:
        return None  # whatever that is, it is backed up


def named(root: Path, name: str, option: str = "") -> Path:
    """Return the manifest that *name* means: a file, or the one in the PKI folder that was made for it."""
    path = Path(name)
    if "/" in name or path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return path
    made = root / f"{name.replace(':', '-')}-csr.yaml"
    if not made.is_file():
        raise InputError(f"{made} does not exist: `kcert csr manifest {quote(name)}{option}` writes it.")
    return made


def looked_at(path: Path) -> SigningRequest:
    """Return the object of a manifest, or one for a bare request."""
    content = contents(path)
    if is_pem(content):
        return SigningRequest(name=path.stem, request=content, signer="", usages=(), source=str(path))
    return parse(content, str(path))


def looked_up(argv: tuple[str, ...], name: str) -> SigningRequest:
    """Return the object *name*, which the command *argv* of kubectl prints."""
    return parse(kubectl(argv).stdout, f"the object {name}")


def kubectl(argv: tuple[str, ...]) -> Reading:
    """Run a command line of kubectl for what it prints.

    Raises UnansweredError where kubectl is missing or finds no cluster, and ProgramError where it fails otherwise,
    with what can be done about it.
    """
    if find("kubectl") is None:
        raise UnansweredError(
            "kubectl is not installed, and kcert connects to a cluster through it. Install it, or work without "
            "a cluster: approve, deny, sign and fetch take --file FILE."
        )
    reading = read(Command(argv, asks=True))  # a plugin of the kubeconfig may ask who the user is
    if not reading.succeeded:
        raise _failure(argv, reading)
    return reading


def _failure(argv: tuple[str, ...], reading: Reading) -> KcertError:
    lines = [line.strip() for line in reading.stderr.splitlines() if line.strip()]
    message = next((line for line in reversed(lines) if "rror" in line or ":" in line), lines[-1] if lines else "")
    known = [cause for cause in plain_yaml.load(FAILURES.read_bytes())["kubectl"] if cause["says"] in reading.stderr]
    advice = known[0]["advice"] if known else ""
    what = f"`{format_command(argv[:3])}` failed with status {reading.status}"
    message = ascii(message)[1:-1]
    kind = UnansweredError if any("unanswered" in cause for cause in known) else ProgramError
    return kind(f"{what}: {sentence(message)} {advice}".strip())


# --- What is requested


_BOOTSTRAP_PREFIX = "system:bootstrap:"
"""The beginning of the user name of a bootstrap token; the token's ID follows."""


def summaries(content: bytes, openssl: str) -> Iterator[dict[str, Any]]:
    """Yield what each object in *content* asks for, which ``kubectl get csr -o yaml`` printed.

    Of an object that kcert cannot read, yield its name and the reason.
    """
    items = None
    with contextlib.suppress(plain_yaml.NotPlainError, KeyError, TypeError):
        items = plain_yaml.load(content)["items"]
    if not isinstance(items, list):
        raise ProgramError("`kubectl get csr -o yaml` printed something other than a list of objects.")
    for item in items:
        try:
            csr = parse_object(item, "the object")
            yield summary(csr, requested(openssl, csr))
        except InputError as error:  # noqa: PERF203 - a signer of its own may take what kcert does not
            name = None
            with contextlib.suppress(KeyError, TypeError):
                name = item["metadata"]["name"]
            yield {"kind": KIND, "name": str(name), "error": str(error)}


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
    host = signers.host_of(cluster, name.removeprefix(NODE_PREFIX))
    if not name.startswith(NODE_PREFIX) or host is None:
        why = f"it is for {name!a}, which is not a node of kcert.yaml"
    elif csr.username != name:
        why = f"it is for {name!a}, and {csr.username!a} created it"
    elif more := [ascii(str(san))[1:-1] for san in request.alt_names if san not in signers.host_sans(host)]:
        has = ", ".join(str(san) for san in signers.host_sans(host))
        why = f"it asks for {', '.join(more)}, and in kcert.yaml {host.name} has {has}"
    else:
        return
    command = format_command(("kubectl", "certificate", "approve", csr.name))
    raise VerdictError(f"{csr.name} is not approved: {why}. If this is intended, `{command}` approves it.")
