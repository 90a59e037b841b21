"""What the API server and kube-controller-manager do with a CertificateSigningRequest, done on a manifest instead."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.errors import InputError, ProgramError, VerdictError
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, Condition, SigningRequest, requested
from kcert.openssl import cnf, commands
from kcert.openssl.keys import key_belongs
from kcert.openssl.program import adds_identifiers
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.shell import Command, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from kcert.certificates import AltName
    from kcert.issue.passphrase import Passphrase
    from kcert.openssl.x509 import Request
    from kcert.shell import Outcome
    from kcert.store import Workspace

BACKDATED = timedelta(minutes=5)
"""For clocks that run slow: a certificate that begins now would be refused by whoever lives in the past."""

SHORT = timedelta(hours=8)
"""Only from this lifetime on the five minutes are taken off at the end."""

SIGNER = PurePosixPath("signer")
"""Where all that `openssl ca` reads and writes lies but the CA: an object may have any name, the CA's as well."""

LIST = SIGNER / "index.txt"
"""What was signed before; openssl_templates/sign.cnf names it, too."""

SERIAL = SIGNER / "serial"
"""The next serial number; openssl_templates/sign.cnf names it, too."""

SERIAL_BYTES = 16
"""kube-controller-manager draws 128 bits."""

SIGNING_DURATION = timedelta(days=365)
"""kube-controller-manager's --cluster-signing-duration, unless it is told otherwise."""


def approve(one: SigningRequest, openssl: str) -> SigningRequest:
    """*one* with the condition Approved, as `kubectl certificate approve` sets it; unchanged where it has that already.

    Raises VerdictError for what the API server forbids, InputError where it was denied.
    """
    _check_admission(one, requested(openssl, one))
    _check_undecided(one, DENIED)
    if one.condition(APPROVED):
        return one
    words = "This CSR was approved by kubectl certificate approve."
    return one.with_condition(Condition.now(APPROVED, "KubectlApprove", words))


def deny(one: SigningRequest) -> SigningRequest:
    """*one* with the condition Denied, as `kubectl certificate deny` sets it; unchanged where it has that already."""
    _check_undecided(one, APPROVED)
    if one.condition(DENIED):
        return one
    words = "This CSR was denied by kubectl certificate deny."
    return one.with_condition(Condition.now(DENIED, "KubectlDeny", words))


def _check_undecided(one: SigningRequest, other: str) -> None:
    if one.condition(other):
        raise InputError(
            f'certificate signing request "{one.name}" is already {other}, and the API server never takes that back: a '
            "new object with another name can be decided anew."
        )


def _check_admission(one: SigningRequest, request: Request) -> None:
    if why := signers.forbidden(one.signer, request):
        raise VerdictError(
            f'certificatesigningrequests.certificates.k8s.io "{one.name}" is forbidden: {why}. (This is what the API '
            "server answers when the object is created.)"
        )


@dataclass(frozen=True)
class Signing:
    """How a request will be signed: the settings, the command, and the file names that it uses in its folder.

    ``asked`` is what the request inside says, ``names`` are the SANs that the certificate gets.
    """

    request: SigningRequest
    asked: Request
    names: tuple[AltName, ...]
    settings: str
    argv: tuple[str, ...]
    authority: tuple[PurePosixPath, PurePosixPath]
    files: tuple[PurePosixPath, PurePosixPath, PurePosixPath]
    ends: datetime


def judge(one: SigningRequest, openssl: str) -> SigningRequest | None:
    """*one* with the condition Failed, where its signer refuses it; None where there is something to sign.

    Raises VerdictError for what a signer does not look at: not approved, denied, failed; InputError for a
    signer that kcert cannot play.
    """
    if one.condition(DENIED):
        raise VerdictError(f"{one.name} was denied, so no signer looks at it.")
    if failed := one.condition(FAILED):
        raise VerdictError(f"{one.name} has failed already ({failed.reason}: {failed.message!a}); it stays like that.")
    if not one.condition(APPROVED):
        raise VerdictError(
            f"{one.name} is not approved, and signers only look at what is: `kcert csr approve --file` comes first."
        )
    signer = signers.SIGNERS.get(one.signer)
    if signer is None:
        raise InputError(
            f"{one.source}: {one.signer!a} is a signer of its own, which kube-controller-manager leaves alone; kcert "
            f"plays {', '.join(signers.SIGNERS)}."
        )
    request = requested(openssl, one)
    _check_admission(one, request)
    violation = signer.violation(request, one.usages)
    if violation is None:
        return None
    return one.with_condition(Condition.now(FAILED, "SignerValidationFailure", violation))


def prepare(
    one: SigningRequest,
    *,
    openssl: str,
    authority: tuple[PurePosixPath, PurePosixPath, X509],
    duration: timedelta = SIGNING_DURATION,
    now: datetime | None = None,
    passphrase: str = "",
) -> Signing:
    """How kube-controller-manager would sign *one* now.

    *authority* are the CA's certificate and key in the PKI folder, and what the certificate says; *duration* is
    --cluster-signing-duration; *passphrase* is how openssl gets the one that opens the key.
    """
    crt, key, ca = authority
    request = requested(openssl, one)
    # A real signer takes over these four kinds and drops all others.
    names = tuple(name for name in request.alt_names if name.type in ("DNS", "IP", "email", "URI"))
    for name in names:
        if not cnf.writable(name):
            raise InputError(
                f"{one.source} asks for the name {str(name)!a}, which cannot be written into an openssl.cnf, so kcert "
                "cannot sign it; a cluster would."
            )
    begins, ends = _validity(one, duration, ca, now or datetime.now(timezone.utc))
    csr, out, config = (SIGNER / name for name in (f"{one.name}.csr", f"{one.name}.crt", f"openssl-{one.name}.cnf"))
    argv = commands.signature_between(
        openssl,
        csr,
        authority=(crt, key),
        out=out,
        between=(begins, ends),
        cnf=config,
        passphrase=passphrase,
    )
    nothing = "none" if adds_identifiers(openssl) else ""
    settings = cnf.render_signer(signers.as_extensions(one.usages), names, ca, nothing=nothing)
    return Signing(one, request, names, settings, argv, (crt, key), (csr, config, out), ends)


def _validity(one: SigningRequest, duration: timedelta, ca: X509, now: datetime) -> tuple[datetime, datetime]:
    """From when until when, in whole seconds: backdated, the shorter of what is asked for and what is allowed."""
    asked = duration if one.expires is None else timedelta(seconds=one.expires)
    lifetime = min(max(asked, 2 * BACKDATED), duration)
    now = now.replace(microsecond=0)
    ends = now + lifetime - (BACKDATED if lifetime >= SHORT else timedelta(0))
    return now - BACKDATED, min(ends, ca.not_after)


def sign(
    signing: Signing, workspace: Workspace, passphrase: Passphrase, ended: Callable[[Outcome], None]
) -> tuple[SigningRequest, X509]:
    """Sign in a staging folder of *workspace*: the object with its certificate, and what that says.

    *ended* hears of the command. Raises ProgramError where openssl fails, and then nothing is changed.
    """
    one = signing.request
    csr, config, out = signing.files
    staging = workspace.stage(signing.authority, signing.files)
    staging.put(csr, one.request)
    staging.write(config, signing.settings)
    staging.write(LIST, "")
    staging.write(SERIAL, secrets.token_hex(SERIAL_BYTES))
    outcome = run(Command(signing.argv, staging.folder, passphrases=passphrase.handed_to(signing.argv)))
    workspace.record(outcome, staging, (out,), set())
    ended(outcome)
    if not outcome.succeeded:
        last = [line for line in outcome.output.splitlines() if line.strip()][-1:]
        raise ProgramError(f"openssl ca failed with status {outcome.status} while {one.name} was signed: {last!a}.")
    pem = staging.path(out).read_bytes()
    workspace.discard(staging)
    found = read_certificate(pem.decode("ascii", "replace"))
    if not isinstance(found, X509) or unlike(found, signing.asked, None) or set(found.alt_names) != set(signing.names):
        raise ProgramError(
            f"openssl ca made a certificate that is not what {one.name} asks for: nothing of it is kept."
        )
    return replace(one, certificate=pem), found


def unlike(found: X509, request: Request, key: bytes | None, *, authority: bool = False) -> tuple[str, ...]:
    """Why the certificate *found* cannot be the answer to *request*, or is not *key*'s; nothing where it can be.

    *authority* tells that a CA asked.
    """
    reasons = []
    if found.public_key.material != request.public_key.material:
        reasons.append("it is for another key than the request's")
    elif key is not None and key_belongs(key, found.public_key) is False:
        reasons.append("it is for another key than the one that lies here")
    if sorted(found.subject.parts) != sorted(request.subject.parts):
        reasons.append(f"its subject is {str(found.subject)!a}, the request's {str(request.subject)!a}")
    if more := [ascii(str(name))[1:-1] for name in found.alt_names if name not in request.alt_names]:
        reasons.append(f"it answers to names that the request does not have: {', '.join(more)}")
    if bool(found.ca) != authority:
        reasons.append("it is no CA (no CA:TRUE)" if authority else "it is a CA's")
    return tuple(reasons)
