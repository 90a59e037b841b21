"""The object CertificateSigningRequest (certificates.k8s.io/v1): read from a manifest with care, and written."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from kcert import plain_yaml
from kcert.config import check_host_name
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT
from kcert.kubernetes import signers
from kcert.openssl.pem import armoured, pem_blocks
from kcert.openssl.reader import read_request
from kcert.openssl.x509 import Request, refusals
from kcert.shell import Command, read

API_VERSION, KIND = "certificates.k8s.io/v1", "CertificateSigningRequest"

_LABEL = "CERTIFICATE REQUEST"

SHORTEST = 600
"""Seconds; the API server refuses a shorter expirationSeconds."""

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"


@dataclass(frozen=True)
class SigningRequest:
    """A CertificateSigningRequest.

    ``request`` and ``certificate`` are PEM; ``conditions`` have the keys that the API has. ``source`` is where it was
    read, for messages; ``document`` is all that stood there, so that nothing of it is lost when it is written again
    (None: a bare request), and ``content`` is the same as bytes.
    """

    name: str
    request: bytes
    signer: str
    usages: tuple[str, ...]
    expires: int | None = None
    conditions: tuple[Mapping[str, str], ...] = ()
    certificate: bytes | None = None
    source: str = ""
    document: Mapping[str, Any] | None = None
    content: bytes = field(default=b"", repr=False, compare=False)

    @property
    def username(self) -> str:
        """Return the user who created the object, as the API server wrote it there; empty if it did not."""
        return str((self.document or {}).get("spec", {}).get("username") or "")

    @property
    def true_conditions(self) -> list[Mapping[str, str]]:
        """Return the conditions that are true."""
        return [condition for condition in self.conditions if condition["status"] == "True"]

    def condition(self, kind: str) -> Mapping[str, str] | None:
        """Return the condition of this type, if it is true."""
        return next((condition for condition in self.true_conditions if condition["type"] == kind), None)

    def with_condition(self, kind: str, reason: str, message: str) -> SigningRequest:
        """Return the same with one more condition, which has just become true."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        condition |= {"lastUpdateTime": now, "lastTransitionTime": now}
        return replace(self, conditions=(*self.conditions, condition))


object_name = check_host_name
"""Return why a text cannot be the name of an object of Kubernetes; None if it can (a DNS subdomain, RFC 1123)."""


def parse(content: bytes, source: str) -> SigningRequest:
    """Return the object in the manifest *content*; *source* is the file or the cluster, for messages.

    Raises InputError for what the API server would not take, with its reason.
    """
    return replace(parse_object(_document(content, source), source), content=content)


def parse_object(document: Any, source: str) -> SigningRequest:
    """Return the object that *document* is, as plain values; raises InputError as ``parse`` does."""
    if not isinstance(document, dict):
        raise InputError(f"{source} is not a manifest with one object in it.")
    _check_version(document, source)
    metadata, spec, status = (_section(document, key, source) for key in ("metadata", "spec", "status"))
    name = metadata.get("name")
    if not isinstance(name, str) or (why := object_name(name)):
        raise InputError(
            f"{source}: metadata.name {name!a} is not a valid object name: {why if name else 'it is missing'}."
        )
    csr = SigningRequest(
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
    if why := signer_trouble(csr.signer):
        raise InputError(f"{source}: spec.signerName {csr.signer!a}: {why}.")
    if csr.certificate is not None and not any(block.is_certificate for block in pem_blocks(csr.certificate)):
        raise InputError(f"{source}: status.certificate holds no certificate.")
    return csr


def text(csr: SigningRequest) -> str:
    """Return the object as a manifest: YAML, the request and the certificate each on one line."""
    before = csr.document or {}
    request = base64.b64encode(csr.request).decode("ascii")
    spec = {**before.get("spec", {}), "request": request, "signerName": csr.signer}
    if csr.expires is not None:
        spec["expirationSeconds"] = csr.expires
    status: dict[str, Any] = dict(before.get("status") or {})
    if csr.certificate is not None:
        status["certificate"] = base64.b64encode(csr.certificate).decode("ascii")
    if csr.conditions:
        status["conditions"] = list(csr.conditions)
    metadata = {**before.get("metadata", {}), "name": csr.name}
    document = {**before, "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    document["spec"] = {**spec, "usages": list(csr.usages)}
    return plain_yaml.dump(document | ({"status": status} if status else {}))


def requested(openssl: str, csr: SigningRequest) -> Request:
    """Read the request inside the object, as ``read_asked`` does."""
    return read_asked(openssl, csr.request, csr.source)


def read_asked(openssl: str, content: bytes, source: str) -> Request:
    """Read the only certificate request in *content*, which comes from *source*.

    Raises InputError if *content* is anything but one PEM block in canonical form. Also if the request is signed
    with another key than its own, if Go's crypto/x509 (and so the API server) rejects it, and if it has no CN.
    """
    request = read_request(_only_request(content, source))
    if not isinstance(request, Request):
        raise InputError(f"{source} {request.reason}. `openssl req -new` creates a certificate request.")
    check = read(Command((openssl, "req", "-noout", "-verify")), request.pem.encode("ascii"))
    if not check.succeeded or "OK" not in check.stderr + check.stdout.decode(errors="replace"):
        raise InputError(
            f"{source}: the request is not signed with its own private key. Either its author does not have that key, "
            "or the request was changed afterwards."
        )
    if refused := refusals(request):
        raise InputError(f"{source}: the API server rejects the request: {refused[0].reason}.")
    if request.extension_requests > 1:
        raise InputError(
            f"{source}: the request has several lists of requested extensions, of which programs read the first, the "
            "last or all."
        )
    if not (request.subject.common_name or "").strip():
        raise InputError(
            f"{source}: the request has no CN, and the CN is the user's name. Create it with -subj /CN=NAME."
        )
    return request


def is_pem(content: bytes) -> bool:
    """Return True for a file that is PEM, not a manifest: the base64 in a manifest has no BEGIN lines."""
    return re.search(rb"^-----BEGIN ", content, re.MULTILINE) is not None


def _only_request(content: bytes, source: str) -> str:
    """Return the PEM of the one certificate request that *content* is.

    PEM readers differ in what they take for a block: with text around it, or with a second block, openssl, Go and
    kcert could each see another request. So nothing but the form that openssl writes is accepted (line ends may be
    CRLF, and the last one may be missing).
    """
    text = content.replace(b"\r\n", b"\n").rstrip(b"\n").decode("ascii", "replace") + "\n"
    with contextlib.suppress(ValueError):
        der = base64.b64decode("".join(text.split("\n")[1:-2]), validate=True)
        if der and armoured(der, _LABEL) == text:
            return text
    labels = [label.decode() for label in re.findall(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----", content)]
    expected = f"expected exactly one PEM block of type {_LABEL}"
    if not labels:
        raise InputError(f"{source}: {expected}, but there is no PEM block.")
    if labels != [_LABEL]:
        listed = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
        counted = "is a block of type" if len(labels) == 1 else f"are {len(labels)} blocks:"
        raise InputError(f"{source}: {expected}, but there {counted} {listed}.")
    raise InputError(
        f"{source}: {expected}, in the form that openssl writes: without other text, in lines of 64 characters. In "
        "any other form, kcert, openssl and the API server could each read a different request."
    )


def _document(content: bytes, source: str) -> Any:
    """Return the manifest *content* as plain values: small, no aliases, no key twice; None for several documents."""
    if len(content) > LARGEST_DOCUMENT:
        raise InputError(
            f"{source} has more than {LARGEST_DOCUMENT // 1024} KiB: that is not a CertificateSigningRequest."
        )
    try:
        documents = plain_yaml.load_all(content)
        if len(documents) != 1:
            return None
        plain_yaml.check_unique_keys(content)
    except plain_yaml.AliasError:
        raise InputError(f"{source} uses YAML aliases (*name), which no CertificateSigningRequest needs.") from None
    except plain_yaml.NotPlainError as error:
        raise InputError(f"{source} is not a manifest: it {error}.") from None
    return documents[0]


def _check_version(document: Mapping[str, Any], source: str) -> None:
    kind, version = document.get("kind"), document.get("apiVersion")
    if kind != KIND:
        raise InputError(f"{source}: kind {kind!a} is not {KIND}.")
    if version == "certificates.k8s.io/v1beta1":
        raise InputError(
            f"{source}: certificates.k8s.io/v1beta1 was removed in Kubernetes 1.22. In v1 signerName is required, "
            "and legacy-unknown is not a signer any more; usages are required, each once and each a known one."
        )
    if version != API_VERSION:
        raise InputError(f"{source}: apiVersion {version!a} is not {API_VERSION}.")


def _section(document: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    section = document.get(key) or {}
    if not isinstance(section, dict):
        raise InputError(f"{source}: {key} is not a group of keys.")
    return section


def _text(value: object, field: str, source: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{source}: {field} is missing, or is not text.")
    return value


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _base64(value: object, field: str, source: str) -> bytes:
    """Decode *value* as Go's encoding/json does: standard base64 with padding; only line breaks are skipped."""
    packed = re.sub(r"[\r\n]", "", _text(value, field, source))
    if _BASE64.fullmatch(packed):
        return base64.b64decode(packed)
    if packed.startswith("-----BEGIN"):
        why = "is PEM, and the API server expects the base64 of it"
    elif re.search(r"[ \t]", packed.strip()):
        why = "has blanks inside its base64, and the API server rejects that (illegal base64 data)"
    else:
        why = "is not base64 (illegal base64 data)"
    raise InputError(f"{source}: {field} {why}. `base64 < jane.csr | tr -d '\\n'` prints it in the right form.")


def _usages(value: object, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{source}: spec.usages is missing: v1 wants them listed.")
    return check_usages([str(usage) for usage in value], f"{source}: spec.usages:")


def check_usages(usages: Sequence[str], where: str) -> tuple[str, ...]:
    """Return *usages* if the API server takes them: each known, and each once."""
    known = (*signers.KEY_USAGES, *signers.EXTENDED_USAGES)
    for usage in usages:
        if usage not in known:
            raise InputError(f"{where} {usage!a} is not a usage. The usages are: {', '.join(known)}.")
        if usages.count(usage) > 1:
            raise InputError(f"{where} {usage!a} is a duplicate.")
    return tuple(usages)


def _expires(value: object, source: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{source}: spec.expirationSeconds {value!a} is not a whole number.")
    check_expires(value, f"{source}: spec.expirationSeconds")
    return value


def check_expires(seconds: int, where: str) -> None:
    """Raise InputError for what the API server refuses as expirationSeconds."""
    if seconds < SHORTEST:
        raise InputError(f"{where} {seconds}: may not specify a duration less than 600 seconds (10 minutes).")
    if seconds >= 2**31:
        raise InputError(f"{where} {seconds} is more than the API can hold.")


_QUALIFIED = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def signer_trouble(signer: str) -> str | None:
    """Return why there can be no signer of this name; None if there can, though perhaps not one that kcert plays."""
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


def _conditions(value: object, source: str) -> tuple[Mapping[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(condition, dict) for condition in value):
        raise InputError(f"{source}: status.conditions is not a list of conditions.")
    conditions = tuple(
        {
            "type": _text(condition.get("type"), "status.conditions.type", source),
            "status": str(condition.get("status", "True")),
            "reason": str(condition.get("reason", "")),
            "message": str(condition.get("message", "")),
            # The API server rejects an empty time.
            **{key: str(condition[key]) for key in ("lastUpdateTime", "lastTransitionTime") if condition.get(key)},
        }
        for condition in value
    )
    kinds = [condition["type"] for condition in conditions]
    if APPROVED in kinds and DENIED in kinds:
        raise InputError(f"{source}: it has the conditions Approved and Denied, and the API server takes one alone.")
    return conditions
