"""The object CertificateSigningRequest (certificates.k8s.io/v1): read from a manifest with care, and written."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kcert import plain_yaml
from kcert.config.names import host_name
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.openssl.pem import pem_blocks
from kcert.openssl.read import Request, read_request
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

API_VERSION, KIND = "certificates.k8s.io/v1", "CertificateSigningRequest"
LARGEST = 1024 * 1024
"""Bytes; etcd takes no larger object."""

SHORTEST = 600
"""Seconds; the API server refuses a shorter expirationSeconds."""

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"


@dataclass(frozen=True)
class Condition:
    """One condition of its status; times are UTC as the API writes them."""

    type: str
    status: str
    reason: str
    message: str
    updated: str
    changed: str

    @classmethod
    def now(cls, kind: str, reason: str, message: str) -> Condition:
        """A condition that has just become true."""
        moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(kind, "True", reason, message, moment, moment)


@dataclass(frozen=True)
class SigningRequest:
    """A CertificateSigningRequest.

    ``request`` and ``certificate`` are PEM. ``source`` is where it was read, for messages; ``document`` is all that
    stood there, so that nothing of it is lost when it is written again.
    """

    name: str
    request: bytes
    signer: str
    usages: tuple[str, ...]
    expires: int | None = None
    conditions: tuple[Condition, ...] = ()
    certificate: bytes | None = None
    source: str = ""
    document: Mapping[str, Any] | None = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, where it is true."""
        return next((one for one in self.conditions if (one.type, one.status) == (kind, "True")), None)

    def with_condition(self, condition: Condition) -> SigningRequest:
        """The same with one more condition."""
        return replace(self, conditions=(*self.conditions, condition))


def object_name(value: str) -> str | None:
    """Why *value* cannot be the name of an object of Kubernetes; None if it can (a DNS subdomain, RFC 1123)."""
    return host_name(value)


def parse(content: bytes, source: str) -> SigningRequest:
    """The object in the manifest *content*; *source* is the file or the cluster, for messages.

    Raises InputError for what the API server would not take, with its reason.
    """
    document = _document(content, source)
    _check_version(document, source)
    metadata, spec, status = (_section(document, key, source) for key in ("metadata", "spec", "status"))
    name = metadata.get("name")
    if not isinstance(name, str) or (why := object_name(name)):
        raise InputError(
            f"{source}: metadata.name {name!a} is no name of an object: {why if name else 'it is missing'}."
        )
    found = SigningRequest(
        name=name,
        request=_base64(spec.get("request"), "spec.request", source),
        signer=_text(spec.get("signerName"), "spec.signerName", source),
        usages=_usages(spec.get("usages"), source),
        expires=_expires(spec.get("expirationSeconds"), source),
        conditions=_conditions(status.get("conditions"), source),
        certificate=_base64(status["certificate"], "status.certificate", source) if status.get("certificate") else None,
        source=source,
        document=document,
    )
    _check_signer(found.signer, source)
    if found.certificate is not None and not any(one.is_certificate for one in pem_blocks(found.certificate)):
        raise InputError(f"{source}: status.certificate holds no certificate.")
    return found


def text(one: SigningRequest) -> str:
    """The object as a manifest: YAML, the request and the certificate each on one line."""
    import yaml

    document: dict[str, Any] = dict(one.document or {})
    document |= {"apiVersion": API_VERSION, "kind": KIND}
    document["metadata"] = {**document.get("metadata", {}), "name": one.name}
    spec: dict[str, Any] = {
        **document.get("spec", {}),
        "request": base64.b64encode(one.request).decode("ascii"),
        "signerName": one.signer,
    }
    if one.expires is not None:
        spec["expirationSeconds"] = one.expires
    document["spec"] = {**spec, "usages": list(one.usages)}
    status: dict[str, Any] = dict(document.get("status") or {})
    if one.certificate is not None:
        status["certificate"] = base64.b64encode(one.certificate).decode("ascii")
    if one.conditions:
        status["conditions"] = [
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "lastUpdateTime": condition.updated,
                "lastTransitionTime": condition.changed,
            }
            for condition in one.conditions
        ]
    if status:
        document["status"] = status
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=2**31)


def requested(openssl: str, one: SigningRequest) -> Request:
    """What the request inside asks for.

    Raises InputError where it is none, is signed by another key than its own, or names nobody.
    """
    blocks = pem_blocks(one.request)
    if not blocks or blocks[0].label != "CERTIFICATE REQUEST":
        raise InputError(f"{one.source}: the request is none: a PEM block of type CERTIFICATE REQUEST belongs there.")
    return read_asked(openssl, one.request, one.source)


def read_asked(openssl: str, pem: bytes, source: str) -> Request:
    """The certificate request in *pem*, proven to be signed with its own key, and made by somebody with a name."""
    found = read_request(openssl, pem.decode("ascii", "replace"))
    if not isinstance(found, Request):
        raise InputError(f"{source} {found.reason}: `openssl req -new` makes one.")
    verdict = read(Command((openssl, "req", "-noout", "-verify")), found.pem.encode("ascii"))
    if not verdict.succeeded or "OK" not in verdict.stderr + verdict.stdout.decode(errors="replace"):
        raise InputError(
            f"{source} holds a request that another key has signed than the one inside: whoever made it does not hold "
            "the private key, or the request was changed."
        )
    if not (found.subject.common_name or "").strip():
        raise InputError(
            f"{source} holds a request without a CN, so its certificate would be nobody's: name one with -subj."
        )
    return found


def _document(content: bytes, source: str) -> dict[str, Any]:
    """The YAML in *content* as plain data: small, one document, no aliases, no key twice."""
    if len(content) > LARGEST:
        raise InputError(f"{source} has more than {LARGEST // 1024} KiB: that is no CertificateSigningRequest.")
    try:
        documents = plain_yaml.every(content)
        if len(documents) != 1 or not isinstance(documents[0], dict):
            raise InputError(f"{source} is no manifest with one object in it.")
        if root := plain_yaml.composed(content):
            _refuse_twins(root, source)
    except plain_yaml.AliasError:
        raise InputError(f"{source} uses YAML aliases (*name), which no CertificateSigningRequest needs.") from None
    except plain_yaml.NotPlainError as error:
        raise InputError(f"{source} is no manifest: it {error}.") from None
    return documents[0]


def _refuse_twins(node: yaml.Node, source: str) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                line = key.start_mark.line + 1
                raise InputError(f"{source}:{line}: the key {str(key.value)!a} stands there twice.")
            seen.add(str(key.value))
            _refuse_twins(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twins(item, source)


def _check_version(document: Mapping[str, Any], source: str) -> None:
    kind, version = document.get("kind"), document.get("apiVersion")
    if kind != KIND:
        raise InputError(f"{source}: kind {kind!a} is not {KIND}.")
    if version == "certificates.k8s.io/v1beta1":
        raise InputError(
            f"{source}: certificates.k8s.io/v1beta1 was removed in Kubernetes 1.22. In v1 signerName has to be there, "
            "and legacy-unknown is no signer any more; usages have to be there, each once and each a known one."
        )
    if version != API_VERSION:
        raise InputError(f"{source}: apiVersion {version!a} is not {API_VERSION}.")


def _section(document: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    found = document.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"{source}: {key} is not a group of keys.")
    return found


def _text(value: object, field: str, source: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{source}: {field} is missing, or is no text.")
    return value


def _base64(value: object, field: str, source: str) -> bytes:
    packed = "".join(_text(value, field, source).split())
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{source}: {field} is not base64: `cat jane.csr | base64 | tr -d '\\n'` makes it.") from None


def _usages(value: object, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{source}: spec.usages is missing: v1 wants them listed.")
    return check_usages([str(one) for one in value], f"{source}: spec.usages:")


def check_usages(usages: list[str], where: str) -> tuple[str, ...]:
    """*usages* as the API server takes them: each known, and each once."""
    known = (*signers.KEY_USAGES, *signers.EXTENDED_USAGES)
    for one in usages:
        if one not in known:
            raise InputError(f"{where} {one!a} is no usage. There are: {', '.join(known)}.")
        if usages.count(one) > 1:
            raise InputError(f"{where} {one!a} stands there twice.")
    return tuple(usages)


def _expires(value: object, source: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{source}: spec.expirationSeconds {value!a} is no whole number.")
    check_expires(value, f"{source}: spec.expirationSeconds")
    return value


def check_expires(seconds: int, where: str) -> None:
    """Raise InputError for what the API server refuses as expirationSeconds."""
    if seconds < SHORTEST:
        raise InputError(f"{where} {seconds}: may not specify a duration less than 600 seconds (10 minutes).")
    if seconds >= 2**31:
        raise InputError(f"{where} {seconds} is more than the API can hold.")


_QUALIFIED = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def _check_signer(signer: str, source: str) -> None:
    if why := signer_trouble(signer):
        raise InputError(f"{source}: spec.signerName {signer!a}: {why}.")


def signer_trouble(signer: str) -> str | None:
    """Why there can be no signer of this name; None if there can, though perhaps not one that kcert plays."""
    known = ", ".join(signers.SIGNERS)
    if signer == signers.LEGACY:
        return f"the legacy signerName is not allowed via this API version; there are {known}"
    if signer in signers.SIGNERS:
        return None
    if signer.startswith(signers.DOMAIN):
        return f"Kubernetes has no such signer; there are {known}"
    if not _QUALIFIED.fullmatch(signer) or "." not in signer.split("/", maxsplit=1)[0]:
        return f"a signer's name is a domain, a slash and a name; Kubernetes has {known}"
    return None


def _conditions(value: object, source: str) -> tuple[Condition, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{source}: status.conditions is not a list of conditions.")
    found = tuple(
        Condition(
            type=_text(one.get("type"), "status.conditions.type", source),
            status=str(one.get("status", "True")),
            reason=str(one.get("reason", "")),
            message=str(one.get("message", "")),
            updated=str(one.get("lastUpdateTime") or ""),
            changed=str(one.get("lastTransitionTime") or one.get("lastUpdateTime") or ""),
        )
        for one in value
    )
    kinds = [one.type for one in found]
    if APPROVED in kinds and DENIED in kinds:
        raise InputError(f"{source}: it has the conditions Approved and Denied, and the API server takes one alone.")
    return found
