"""What became of a CertificateSigningRequest: its certificate, or the reason why there is none."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.errors import InputError, MachineError, ProgramError, VerdictError
from kcert.files import open_at_once, read_regular
from kcert.kubeconfig import opened
from kcert.kubernetes.kubectl import Cluster, kubectl
from kcert.kubernetes.signers import SIGNERS, as_extensions, fitting
from kcert.kubernetes.signing import unlike
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, LARGEST, SigningRequest, parse, read_asked
from kcert.openssl.reader import certificate_pems, read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.openssl.x509 import Request

POLL_SECONDS = 1.0
"""Between two questions to the API server, with --wait."""


class PendingError(VerdictError):
    """There is no certificate yet, but there may still be one."""


def load(path: Path) -> SigningRequest:
    """The object in the manifest at *path*; raises InputError where there is none."""
    return parse(contents(path), str(path))


def contents(path: Path) -> bytes:
    """A file of a sensible size; raises InputError where it cannot be read."""
    try:
        with open_at_once(path) as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def certificate_of(one: SigningRequest, *, offline: bool) -> bytes:
    """The certificate of *one* as PEM.

    Raises PendingError where it is not approved or not signed yet, VerdictError where it was denied or has failed.
    """
    if one.certificate is not None:
        return one.certificate
    name = one.name
    if denied := one.condition(DENIED):
        raise VerdictError(
            f"{name} was denied ({denied.reason}: {ascii(denied.message)[1:-1].rstrip('.')}). The API server never "
            "takes that back: ask again with an object of another name."
        )
    if failed := one.condition(FAILED):
        raise VerdictError(
            f"{name} was approved, but its signer refused it ({failed.reason}: {ascii(failed.message)[1:-1]}). Correct "
            "that, and ask again with an object of another name."
        )
    if not one.condition(APPROVED):
        how = f"kcert csr approve {f'--file {quote(one.source)}' if offline else quote(name)}"
        raise PendingError(f"{name} is not approved yet: an administrator does that, with `{how}`.")
    if offline:
        raise PendingError(
            f"{name} is approved, but not signed yet: `kcert csr sign --file {quote(one.source)}` does that."
        )
    raise PendingError(
        f"{name} is approved, but nobody has signed it. That is kube-controller-manager's part: look whether it runs, "
        "has --cluster-signing-cert-file and --cluster-signing-key-file, and the controller csrsigning among its "
        f"--controllers; and whether {ascii(one.signer)[1:-1]} is one of its signers."
    )


def from_cluster(
    name: str,
    cluster: Cluster,
    wait: float,
    shows: Callable[[tuple[str, ...]], None],
    waits: Callable[[str], None],
) -> bytes:
    """The certificate of the object *name*, asked of the API server until it is there, at most *wait* seconds.

    *shows* hears of each command before it first runs, *waits* of what there is to wait for, each time that it is
    something else. Raises what ``certificate_of`` raises, when the time is over.
    """
    asks = cluster.command("get", "csr", name, "-o", "jsonpath={.status.certificate}")
    why = cluster.command("get", "csr", name, "-o", "yaml")
    shows(asks)
    deadline = time.monotonic() + wait
    shown, told = False, ""
    while True:
        said = kubectl(asks).stdout.strip()
        if said:
            return _decoded(said, name)
        if not shown:
            shows(why)
            shown = True
        try:
            return certificate_of(parse(kubectl(why).stdout, f"the object {name}"), offline=False)
        except PendingError as pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            if str(pending) != told:
                told = str(pending)
                waits(told)
            time.sleep(min(POLL_SECONDS, left))


def _decoded(said: bytes, name: str) -> bytes:
    try:
        return base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raise ProgramError(f"what the cluster has as the certificate of {name} is not base64.") from None


@dataclass(frozen=True)
class Answer:
    """A certificate that was found to belong: what it says, its PEM, and its key, if that is here."""

    found: X509
    pem: bytes
    key: bytes | None = field(default=None, repr=False)


def accepted(  # noqa: PLR0917 - one call
    pem: bytes,
    certificate: Certificate,
    root: Path,
    openssl: str,
    option: str = "",
    usages: tuple[str, ...] | None = None,
) -> Answer:
    """*pem* as the answer to the request of *certificate* in the folder *root*, for which commands need *option*.

    *usages* are those of the object that asked, as the API calls them; None where that is not known. Raises InputError
    for a certificate that is none, that does not belong to key and request, that must not do what it was asked for,
    or that holds no longer, or not yet.
    """
    files = certificate.files
    pems = certificate_pems(pem)
    found = read_certificate(pems[0]) if pems else None
    if not isinstance(found, X509):
        raise InputError(f"what was issued for {certificate.name} is no certificate that openssl can read.")
    assert files.csr
    csr = root / files.csr
    if not csr.is_file():
        makes, besides = f"`kcert csr new {quote(certificate.name)}{option}`", ""
        if certificate.kind is Kind.CA:
            makes = f"`kcert {certificate.chapter} --csr-only{option}`"
            besides = f" (A CA that asks nobody needs no answer: its certificate is copied to {root / str(files.crt)}.)"
        raise InputError(
            f"{csr} is not here, so it cannot be told whether the certificate is the answer to it: fetch it where the "
            f"request was made, or make one with {makes}.{besides}"
        )
    request = read_asked(openssl, contents(csr), str(csr))
    key = _key(root / files.key, root / files.kubeconfig if files.kubeconfig else None)
    reasons = unlike(found, request, key, authority=certificate.kind is Kind.CA)
    if certificate.kind.is_server and not found.may_serve:
        reasons += (f"it is for clients, and {certificate.name} has to serve",)
    elif missing := _missing_usages(found, _asked(certificate, request, usages)):
        has = ", ".join(found.extended_key_usage or ()) or "empty"
        reasons += (f"its extended key usage is {has}, and {' and '.join(missing)} is missing, which was asked for",)
    if reasons:
        raise InputError(f"the certificate does not belong to {csr}: {'; '.join(reasons)}. It is not kept.")
    _check_dates(found, datetime.now(timezone.utc))
    return Answer(found, "".join(pems).encode("ascii"), key)


def _asked(certificate: Certificate, request: Request, usages: tuple[str, ...] | None) -> tuple[str, ...]:
    """The extended key usages that were asked for; where neither object nor request says it, the signer's own."""
    if usages is not None:
        return as_extensions(usages).extended or ()
    if request.extended_key_usage or certificate.kind is Kind.CA:
        return request.extended_key_usage or ()
    if certificate.kind.is_server:
        return ("clientAuth",) if certificate.kind.is_client else ()
    return as_extensions((SIGNERS[fitting(request)].usage,)).extended or ()


def _missing_usages(found: X509, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those of *asked* that *found* does not allow; without the extension it allows all."""
    has = found.extended_key_usage
    if has is None or "anyExtendedKeyUsage" in has:
        return ()
    return tuple(one for one in asked if one not in has)


def _check_dates(found: X509, now: datetime) -> None:
    if found.not_after <= now:
        raise InputError(
            f"the certificate expired on {found.not_after:%Y-%m-%d %H:%M} UTC: whoever is shown it refuses the "
            "connection. It is not kept."
        )
    if found.not_before > now:
        raise InputError(
            f"the certificate is not valid yet: it begins on {found.not_before:%Y-%m-%d %H:%M} UTC, and this machine's "
            f"time is {now:%Y-%m-%d %H:%M} UTC. It is not kept: fetch it again then, or set the clock right."
        )


def _key(path: Path, inside: Path | None) -> bytes | None:
    """The private key as it lies there, or as it is inside a kubeconfig; None where it is elsewhere."""
    try:
        if inside is not None and not path.exists() and inside.is_file():
            found = opened(read_regular(inside))
            return found.key if found else None
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}.") from None
