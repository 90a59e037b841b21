"""Certificate requests approved and signed without a cluster.

A CertificateSigningRequest in a manifest is treated as the API server and kube-controller-manager do it; a bare
request is signed as the certificate of kcert.yaml that it is for, and never as what only the request asks for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from kcert import profiles
from kcert.certificates import Certificate, Files, Key, Kind, Role
from kcert.errors import InputError, ProgramError, VerdictError
from kcert.issue import steps
from kcert.issue.checks import days_within, require_ca, with_passphrases
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.status import drift, status_of
from kcert.issue.steps import Step
from kcert.kubernetes import signers
from kcert.kubernetes.manifests import by_hand, load
from kcert.kubernetes.signing_request import (
    APPROVED,
    DENIED,
    FAILED,
    SigningRequest,
    requested,
    text,
)
from kcert.openssl import commands
from kcert.openssl.commands import render, render_signer, writable
from kcert.openssl.program import adds_identifiers, key_belongs
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import SECURE_RSA, X509, PublicKey, Request
from kcert.quoting import format_command, quote
from kcert.store import PUBLIC_MODE, Staging, Workspace, atomic

BACKDATED = timedelta(minutes=5)
"""For clocks that run slow: there a certificate that begins now would not be valid yet."""

SHORT = timedelta(hours=8)
"""Only from this lifetime on the five minutes are taken off at the end."""

SIGNER = PurePosixPath("signer")
"""The folder of all that `openssl ca` reads and writes but the CA: an object may have any name, the CA's as well."""

LIST, SERIAL = SIGNER / "index.txt", SIGNER / "serial"
"""The files with the certificates signed before and with the next serial number, as in openssl_templates/sign.cnf."""

SERIAL_BYTES = 16
"""kube-controller-manager draws 128 bits."""


# --- What the API server does


def decide(path: Path, decision: str, openssl: str = "openssl") -> tuple[SigningRequest, SigningRequest]:
    """Put the condition *decision*, Approved or Denied, into the manifest at *path*, as `kubectl certificate` does.

    Return the object before it and after it; once is enough. Raises VerdictError for what the API server forbids,
    InputError where the opposite was decided.
    """
    before = load(path)
    verb, opposite = ("approve", DENIED) if decision == APPROVED else ("deny", APPROVED)
    if decision == APPROVED:
        _check_admission(before, requested(openssl, before))
    if before.condition(opposite):
        raise InputError(
            f'certificate signing request "{before.name}" is already {opposite}, which the API server never '
            "undoes. To decide again, create an object with another name."
        )
    if before.condition(decision):
        return before, before
    message = f"This CSR was {decision.lower()} by kubectl certificate {verb}."
    after = before.with_condition(decision, f"Kubectl{verb.capitalize()}", message)
    _save(path, after)
    return before, after


def _save(path: Path, csr: SigningRequest) -> None:
    atomic.edit_file(path, text(csr).encode("utf-8"))


def _check_admission(csr: SigningRequest, request: Request) -> None:
    if why := signers.forbidden(csr.signer, request):
        raise VerdictError(
            f'certificatesigningrequests.certificates.k8s.io "{csr.name}" is forbidden: {why}. (This is what the API '
            "server answers when the object is created.)"
        )


# --- What kube-controller-manager does


def _check_signable(path: Path, csr: SigningRequest, openssl: str) -> Request:
    """Return the request in *csr*.

    Raises VerdictError for an object that no signer looks at, or that its signer refuses: then the manifest *path* gets
    the condition Failed. Raises InputError for a signer that kcert does not have.
    """
    if csr.condition(DENIED):
        raise VerdictError(f"{csr.name} was denied, so no signer processes it.")
    if failed := csr.condition(FAILED):
        raise VerdictError(
            f"{csr.name} has failed already ({failed['reason']}: {failed['message']!a}); this cannot be changed."
        )
    if not csr.condition(APPROVED):
        raise VerdictError(
            f"{csr.name} is not approved, and signers only look at what is: `kcert csr approve --file "
            f"{quote(csr.source)}` comes first."
        )
    signer = signers.SIGNERS.get(csr.signer)
    if signer is None:
        raise InputError(
            f"{csr.source}: {csr.signer!a} is not a signer of kube-controller-manager; kcert signs as "
            f"{', '.join(signers.SIGNERS)}."
        )
    request = requested(openssl, csr)
    _check_admission(csr, request)
    if violation := signer.violation(request, csr.usages):
        _save(path, csr.with_condition(FAILED, "SignerValidationFailure", violation))
        raise VerdictError(
            f"the signer {csr.signer} rejects {csr.name}: {violation}. {path} has the condition Failed now, as it "
            "would have in a cluster."
        )
    return request


def sign_object(ctx: Context, path: Path, csr_object: SigningRequest, longest: timedelta) -> X509:
    """Sign *csr_object*, the object in the manifest *path*, with the cluster's CA, for *longest* at most.

    Return what the certificate says, which the manifest has then. Raises VerdictError where the signer refuses it,
    InputError where the CA is not fit to sign.
    """
    name, request = csr_object.name, _check_signable(path, csr_object, ctx.openssl)
    if not ctx.root.is_dir():
        raise InputError(
            f"{ctx.root}, the folder of the CA, does not exist: `kcert ca{ctx.folder_option}` creates one."
        )
    # A real signer copies these four kinds and drops all others.
    names = tuple(san for san in request.alt_names if san.type in ("DNS", "IP", "email", "URI"))
    for san in names:
        if not writable(san):
            raise InputError(
                f"{csr_object.source} asks for the name {str(san)!a}, which cannot be written into an openssl.cnf, so "
                "kcert cannot sign it; a cluster would."
            )
    csr, crt, cnf = SIGNER / f"{name}.csr", SIGNER / f"{name}.crt", SIGNER / f"openssl-{name}.cnf"
    files = Files(SIGNER / f"{name}.key", cnf, csr, crt)

    def issue(spec: Certificate, ca: X509, now: datetime) -> tuple[Step, ...]:
        between = _validity(csr_object, longest, ca, now)
        nothing = "none" if adds_identifiers(ctx.openssl) else ""
        settings = render_signer(signers.as_extensions(csr_object.usages), names, ca, nothing=nothing)
        argv = commands.signature_between(ctx.openssl, csr, ca=spec, out=crt, between=between, cnf=cnf)
        return (
            steps.write_config(cnf, settings),
            _signer_files(csr_object, csr, by_hand(csr_object, "request", ctx.root)),
            Step("issue", (crt,), argv),
        )

    certificate = replace(ctx.known["ca"], name=name, issuer="ca", alt_names=names, files=files)
    pem, x509, _ = _signed(ctx, certificate, request, issue)
    _save(path, replace(csr_object, certificate=pem))
    return x509


_BY_HAND = (
    "To repeat this by hand, change to the PKI folder, extract the request from the manifest, create an empty database "
    "of signed certificates, and generate the serial number:"
)


def _signer_files(csr_object: SigningRequest, csr: PurePosixPath, extraction: str) -> Step:
    """Put the request, an empty list of what was signed, and a random serial number beside each other."""

    def perform(staging: Staging, _root: Path) -> None:
        staging.write(csr, csr_object.request)
        staging.write(LIST, "")
        staging.write(SERIAL, secrets.token_hex(SERIAL_BYTES))

    drawn = f"openssl rand -hex {SERIAL_BYTES} > {SERIAL}"
    script = (f"mkdir -p {SIGNER}", f"{extraction} > {quote(str(csr))}", f": > {LIST}", drawn) if extraction else ()
    return Step("signer-files", (csr, LIST, SERIAL), summary=_BY_HAND, script=script, perform=perform)


def _validity(csr: SigningRequest, longest: timedelta, ca: X509, now: datetime) -> tuple[datetime, datetime]:
    """Return begin and end, in whole seconds: backdated, for the shorter of what is asked for and what is allowed."""
    requested = longest if csr.expires is None else timedelta(seconds=csr.expires)
    lifetime = min(requested, longest)
    now = now.replace(microsecond=0)
    end = now + lifetime - (BACKDATED if lifetime >= SHORT else timedelta(0))
    return now - BACKDATED, min(end, ca.not_after)


def _signed(
    ctx: Context,
    certificate: Certificate,
    request: Request,
    issue: Callable[[Certificate, X509, datetime], tuple[Step, ...]],
) -> tuple[bytes, X509, X509]:
    """Return the *certificate* that its CA makes of *request*, what it says, and the CA; *issue* returns the steps.

    Raises InputError where the CA is not fit to sign, ProgramError if openssl fails.
    """
    ctx, _ = with_passphrases(ctx, ())
    spec, now = ctx.known[certificate.issuer or "ca"], datetime.now(timezone.utc)
    status = status_of(ctx.root, [spec], now)[spec.name]
    key = ctx.root / spec.files.key
    if status.x509 and not key.exists():
        raise InputError(
            f"{key} does not exist, and without the CA's key nothing can be signed. If it is kept in another folder, "
            "specify it with --ca-dir; if it is on another machine, run `kcert csr sign --file` there."
        )
    ca, spec = require_ca(ctx, certificate, status, now), status.certificate
    made = issue(spec, ca, now)
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as store:
        staging = store.stage((spec.crt, spec.files.key), [path for step in made for path in step.makes])
        Executor(ctx, store).run_all(staging, made, certificate.name)
        pem = staging.path(certificate.crt).read_bytes()
        store.discard(staging)
    x509 = read_certificate(pem.decode("ascii", "replace"))
    if not isinstance(x509, X509) or unlike(x509, request, None) or set(x509.alt_names) != set(certificate.alt_names):
        raise ProgramError(
            f"openssl made a certificate that is not what {certificate.name} asks for. It was not saved."
        )
    return pem, x509, ca


def unlike(x509: X509, request: Request, key: bytes | None, *, of_ca: bool = False) -> tuple[str, ...]:
    """Return why *x509* cannot be the answer to *request* (with *of_ca* a CA's), or is not of *key*."""
    reasons = []
    if x509.public_key.material != request.public_key.material:
        reasons.append("it is not for the key of the request")
    elif key is not None and key_belongs(key, x509.public_key) is False:
        reasons.append("it is not for the key in this folder")
    if sorted(x509.subject.parts) != sorted(request.subject.parts):
        reasons.append(f"its subject is {str(x509.subject)!a}, the request's {str(request.subject)!a}")
    if more := [ascii(str(name))[1:-1] for name in x509.alt_names if name not in request.alt_names]:
        reasons.append(f"it has SANs that the request does not have: {', '.join(more)}")
    if bool(x509.ca) != of_ca:
        reasons.append("it is not a CA (no CA:TRUE)" if of_ca else "it is a CA's")
    return tuple(reasons)


# --- What a CA of its own does


def match_request(ctx: Context, csr: SigningRequest, name: str | None) -> tuple[Certificate, Request]:
    """Return the certificate of the cluster that the bare request *csr* is for: its subject, and exactly its SANs.

    What has more rights than a user has to be asked for by *name*, or be what the file is called: the subject alone
    is the choice of the sender. Raises InputError for a request that matches nothing, and for a weak key.
    """
    request, path = requested(ctx.openssl, csr), Path(csr.source)
    leaves = [cert for cert in ctx.specs if cert.kind not in (Kind.CA, Kind.KEY_PAIR) and cert.subject]
    if name is not None:
        leaves = list(profiles.select(leaves, (name,), ctx.cluster))
    same = [cert for cert in leaves if cert.subject and sorted(cert.subject.parts) == sorted(request.subject.parts)]
    if not same:
        asks_for = f"{path} asks for the subject {str(request.subject)!a}"
        if name is not None:
            raise InputError(f"{asks_for}, and {name} has {', '.join(repr(str(cert.subject)) for cert in leaves)}.")
        raise InputError(
            f"{asks_for}, which none of this cluster's certificates has. Add a user to `users` in kcert.yaml; for "
            f"any other client, use `kcert csr manifest` and `kcert csr approve`."
        )
    matching = [cert for cert in same if set(cert.alt_names) == set(request.alt_names)]
    if not matching:
        raise InputError(f"{path} asks for {same[0].name} with other SANs: {_compared(same[0], request)}.")
    named = [cert for cert in matching if name is not None or (cert.files.csr and cert.files.csr.name == path.name)]
    certificate = (named or matching)[0]
    assert certificate.subject
    identities = (certificate.subject.common_name, *certificate.subject.organizations)
    is_system = any(identity.startswith(("system:", "kubeadm:")) for identity in identities)
    if not named and (certificate.role != Role.USER or is_system):
        command = format_command(("kcert", "csr", "sign", "--file", str(path), "--as", certificate.name))
        raise InputError(
            f"{path} asks for {certificate.name} ({str(request.subject)!a}), which has more permissions than a user "
            f"and is signed only by its name. If this is intended: `{command}{ctx.folder_option}`."
        )
    return replace(certificate, key=_key(request.public_key, path)), request


def sign_request(ctx: Context, path: Path, certificate: Certificate, request: Request) -> tuple[Path, X509]:
    """Sign the *request* at *path* as *certificate*, into NAME.crt beside it; return that path, and what it says."""
    csr, crt, cnf, pem = certificate.csr, certificate.crt, certificate.files.cnf, request.pem.encode("ascii")
    assert cnf
    target = path.with_name(crt.name)
    if target.exists():
        raise InputError(f"{target} exists already: move it away, then sign {path} again.")

    def issue(spec: Certificate, ca: X509, now: datetime) -> tuple[Step, ...]:
        return (
            Step("request", (csr,), perform=lambda staging, _root: staging.write(csr, pem)),
            steps.write_config(cnf, render(certificate)),
            steps.sign(certificate, spec, ctx.openssl, days_within(certificate, ca, now)),
            steps.verify(ctx.openssl, spec, crt),
        )

    content, x509, ca = _signed(ctx, certificate, request, issue)
    if wrong := drift(certificate, x509, ca):
        raise ProgramError(f"openssl made a certificate that is not what was asked for: {'; '.join(wrong)}.")
    atomic.create_file(target, content, PUBLIC_MODE)
    return target, x509


def _compared(certificate: Certificate, request: Request) -> str:
    """Say which SANs only one of kcert.yaml and the request has."""
    here, asked = certificate.alt_names, request.alt_names
    missing = [ascii(str(name))[1:-1] for name in here if name not in asked]
    more = [ascii(str(name))[1:-1] for name in asked if name not in here]
    differs = [f"it lacks {', '.join(missing)}"] if missing else []
    differs += [f"it also asks for {', '.join(more)}"] if more else []
    return f"{' and '.join(differs)}; the kcert.yaml here and the one that it was made with have to be the same"


def _key(public: PublicKey, path: Path) -> Key:
    if public.algorithm == "rsa" and public.bits >= SECURE_RSA:
        return Key("rsa", public.bits)
    if public.curve in ("P-256", "P-384"):
        return Key("ecdsa", curve=public.curve)
    what = f"RSA {public.bits}" if public.algorithm == "rsa" else ascii(public.curve or public.algorithm)
    raise InputError(f"{path} has a key of {what}: RSA of {SECURE_RSA} bits or more, P-256 and P-384 are signed here.")
