"""The certificate of a CertificateSigningRequest: fetched, validated, put into the PKI folder."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from kcert.certificates import Certificate, Kind, chain_of
from kcert.errors import InputError, MachineError, ProgramError, VerdictError
from kcert.files import read_input, read_optional, read_regular
from kcert.issue import steps
from kcert.issue.context import Context, IssuancePlan
from kcert.issue.execute import Executor
from kcert.issue.status import CertificateStatus, names_issuer, status_of
from kcert.issue.steps import Kubeconfigs
from kcert.kubeconfig import opened
from kcert.kubernetes.manifests import contents, kubectl, looked_up
from kcert.kubernetes.signers import SIGNERS, as_extensions, fitting
from kcert.kubernetes.signing import unlike
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, SigningRequest, read_asked
from kcert.openssl.reader import certificate_pems, read_certificate, readable_certificates
from kcert.openssl.x509 import X509, Request
from kcert.quoting import quote
from kcert.store import PUBLIC_MODE, Workspace, atomic

POLL_SECONDS = 1.0
"""Between two questions to the API server, with --wait."""


class PendingError(VerdictError):
    """There is no certificate yet, but there may still be one."""


def certificate_of(csr: SigningRequest, *, offline: bool) -> bytes:
    """Return the certificate of *csr* as PEM.

    Raises PendingError if it is not approved or not signed yet, VerdictError where it was denied or has failed.
    """
    if csr.certificate is not None:
        return csr.certificate
    name = csr.name
    if denied := csr.condition(DENIED):
        raise VerdictError(
            f"{name} was denied ({denied['reason']}: {ascii(denied['message'])[1:-1].rstrip('.')}). A decision cannot "
            "be changed: create an object with another name."
        )
    if failed := csr.condition(FAILED):
        raise VerdictError(
            f"{name} was approved, but its signer rejected it ({failed['reason']}: {ascii(failed['message'])[1:-1]}). "
            "Correct that, and create an object with another name."
        )
    if not csr.condition(APPROVED):
        how = f"kcert csr approve {f'--file {quote(csr.source)}' if offline else quote(name)}"
        raise PendingError(f"{name} is not approved yet: an administrator approves it with `{how}`.")
    if offline:
        raise PendingError(
            f"{name} is approved, but not signed yet: `kcert csr sign --file {quote(csr.source)}` signs it."
        )
    raise PendingError(
        f"{name} is approved, but not signed. kube-controller-manager signs it: check that it runs, has "
        "--cluster-signing-cert-file and --cluster-signing-key-file, and the controller csrsigning among its "
        f"--controllers; and that {ascii(csr.signer)[1:-1]} is one of its signers."
    )


def read_issued(csr: SigningRequest) -> X509:
    """Return the certificate in the object *csr*; InputError if it cannot be read."""
    x509 = read_certificate(certificate_pems(csr.certificate or b"")[0])
    if not isinstance(x509, X509):
        raise InputError(f"{csr.source}: status.certificate is not a certificate that can be read: {x509}.")
    return x509


def from_cluster(
    name: str,
    kubectl_get: Callable[[str, str], tuple[str, ...]],
    wait: float,
    shows: Callable[[tuple[str, ...]], None],
    waits: Callable[[str], None],
) -> bytes:
    """Return the certificate of the object *name*, asked of the API server until it is there, at most *wait* seconds.

    *kubectl_get* is the command that prints the object in a format. *shows* hears of each command before it first
    runs, *waits* of what there is to wait for, each time that it is something else. Raises what ``certificate_of``
    raises, when the time is over.
    """
    asks, why = kubectl_get(name, "jsonpath={.status.certificate}"), kubectl_get(name, "yaml")
    shows(asks)
    deadline, last_reason = time.monotonic() + wait, ""
    while not (output := kubectl(asks).stdout.strip()):
        if not last_reason:
            shows(why)
        try:
            return certificate_of(looked_up(why, name), offline=False)
        except PendingError as pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            if str(pending) != last_reason:
                last_reason = str(pending)
                waits(last_reason)
            time.sleep(min(POLL_SECONDS, left))
    try:
        return base64.b64decode(output, validate=True)
    except ValueError:
        raise ProgramError(f"what the cluster has as the certificate of {name} is not base64.") from None


@dataclass(frozen=True)
class IssuedCertificate:
    """A validated certificate: what it says, its PEM, and its key, if that is here.

    Once it is kept in the file ``path``, ``is_new`` says whether it was put there, ``verified`` whether the CA in the
    folder has signed it (None: there is no CA), and ``issuer`` is that CA. ``updated`` are the kubeconfigs that hold a
    renewed CA now, None if no CA was renewed.
    """

    x509: X509
    pem: bytes
    key: bytes | None = field(default=None, repr=False)
    path: Path = Path()
    is_new: bool = True
    verified: bool | None = None
    issuer: X509 | None = None
    updated: tuple[PurePosixPath, ...] | None = None


def validate_issued(
    pem: bytes, certificate: Certificate, ctx: Context, usages: tuple[str, ...] | None = None
) -> IssuedCertificate:
    """Return *pem* as the answer to the request of *certificate* in the PKI folder.

    *usages* are those of the object, as the API calls them; None if they are not known. Raises InputError for a
    certificate that does not belong to key and request, that lacks a usage, or that is not valid now.
    """
    root, openssl, option = ctx.root, ctx.openssl, ctx.folder_option
    files = certificate.files
    pems = certificate_pems(pem)
    x509 = read_certificate(pems[0]) if pems else None
    if not isinstance(x509, X509):
        raise InputError(f"what was issued for {certificate.name} is not a certificate that openssl can read.")
    csr = root / certificate.csr
    if not csr.is_file():
        makes, besides = f"`kcert csr new {quote(certificate.name)}{option}`", ""
        if certificate.kind is Kind.CA:
            makes = f"`kcert {certificate.chapter} --csr-only{option}`"
            besides = f" (A self-signed CA needs no request: copy its certificate to {root / certificate.crt}.)"
        raise InputError(
            f"{csr} does not exist, so kcert cannot compare the certificate with its request. Fetch the certificate on "
            f"the machine with the request, or create a request with {makes}.{besides}"
        )
    request = read_asked(openssl, contents(csr), str(csr))
    key = _key(root / files.key, root / files.kubeconfig if files.kubeconfig else None)
    reasons = unlike(x509, request, key, of_ca=certificate.kind is Kind.CA)
    if certificate.kind.is_server and not x509.allows("serverAuth"):
        reasons += (f"it is for clients, but {certificate.name} is a server certificate",)
    elif x509.extended_key_usage is not None and "anyExtendedKeyUsage" not in x509.extended_key_usage:
        has = x509.extended_key_usage
        if missing := [usage for usage in _asked(certificate, request, usages) if usage not in has]:
            lacks = f"{' and '.join(missing)} is missing, which was requested"
            reasons += (f"its extended key usage is {', '.join(has) or 'empty'}, and {lacks}",)
    if reasons:
        raise InputError(f"the certificate does not belong to {csr}: {'; '.join(reasons)}. It was not saved.")
    _check_dates(x509, datetime.now(timezone.utc))
    return IssuedCertificate(x509, "".join(pems).encode("ascii"), key)


def _asked(certificate: Certificate, request: Request, usages: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the extended key usages that were asked for; by default those of the signer."""
    if usages is not None:
        return as_extensions(usages).extended or ()
    if request.extended_key_usage or certificate.kind is Kind.CA:
        return request.extended_key_usage or ()
    if certificate.kind.is_server:
        return ("clientAuth",) if certificate.kind.is_client else ()
    return as_extensions((SIGNERS[fitting(request)].usage,)).extended or ()


def _check_dates(x509: X509, now: datetime) -> None:
    if x509.not_after <= now:
        raise InputError(
            f"the certificate expired on {x509.not_after:%Y-%m-%d %H:%M} UTC: every server rejects it. It "
            "was not saved."
        )
    if x509.not_before > now:
        raise InputError(
            f"the certificate is not valid yet: it becomes valid on {x509.not_before:%Y-%m-%d %H:%M} UTC, and "
            f"this machine's time is {now:%Y-%m-%d %H:%M} UTC. It was not saved: fetch it again then, or correct the "
            "clock."
        )


def _key(path: Path, inside: Path | None) -> bytes | None:
    """Return the private key in the file *path*, or inside a kubeconfig; None if it is elsewhere."""
    if inside is not None and not path.exists() and inside.is_file():
        embedded = opened(read_input(inside, error=MachineError))
        return embedded.key if embedded else None
    return read_optional(path, error=MachineError)


def keep(
    ctx: Context, certificate: Certificate, issued: IssuedCertificate, output: Path | None, *, needs_ca: bool = False
) -> IssuedCertificate:
    """Put a certificate where it belongs in the PKI folder, or to *output*.

    Where its CA's certificate is in the folder, it is verified with that; with *needs_ca* InputError is raised where
    there is none, or if it has not signed it. Where the profile keeps key and certificate inside a kubeconfig,
    that is written, and the loose key deleted.
    """
    files, crt = certificate.files, certificate.crt
    if output is not None:
        atomic.create_file(output, issued.pem, PUBLIC_MODE)
        return replace(issued, path=output)
    if certificate.kind is Kind.CA:
        return _keep_ca(ctx, certificate, issued)
    # What asks through the Certificates API and is in no profile is signed by the cluster's CA.
    ca = ctx.known[certificate.issuer or "ca"]
    ca_file = ctx.root / ca.crt
    if needs_ca and not ca_file.is_file():
        raise InputError(
            f"{ca_file} does not exist, so the certificate cannot be verified. Copy the CA's certificate, without its "
            f"key: `cp {quote(ca.crt.name)} {quote(str(ca_file))}`, then fetch it again."
        )
    verified = issuer = None
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as store:
        staging, executor = store.stage((ca.crt,), (crt,)), Executor(ctx, store)
        executor.run_step(staging, steps.save_issued(crt, issued.pem))
        if ca_file.is_file():
            outcome = executor.run_step(staging, steps.verify(ctx.openssl, ca, crt))
            verified = outcome is not None and outcome.succeeded
            if needs_ca and not verified:
                raise InputError(
                    f"the CA in {ca_file} has not signed the certificate. Either another CA has, or the file is not "
                    "that of the CA that did. It was not saved."
                )
            issuer = _issuer(issued.x509, read_regular(ca_file)) if verified else None
        target, loose = crt, tuple[PurePosixPath, ...]()
        if files.kubeconfig and issued.key and ca_file.is_file():
            target, loose = files.kubeconfig, (files.key,)
            staging.write(files.key, issued.key, secret=True)
            executor.run_step(staging, steps.write_kubeconfig(certificate, ca, ctx.cluster.name))
        path = ctx.root / target
        is_new = not path.is_file() or read_regular(path) != staging.path(target).read_bytes()
        if is_new:
            secret = (target,) if loose else ()
            executor.finish(staging, (), secret)
            store.publish(staging, (target,), secret, loose)
        else:
            store.discard(staging)
    return replace(issued, path=path, is_new=is_new, verified=verified, issuer=issuer)


def _keep_ca(ctx: Context, certificate: Certificate, issued: IssuedCertificate) -> IssuedCertificate:
    """Put a CA's certificate into the PKI folder; with the one above it, if that is known, as the chain.

    Where it renews the one that is here, the kubeconfigs that have that inside get it as well.
    """
    crt, new = certificate.crt, issued.x509
    path, pems = ctx.root / crt, certificate_pems(issued.pem)
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as store:
        old = _renewed_by(new, status_of(ctx.root, [certificate])[certificate.name], path)
        if old and old.sha256 == new.sha256 and len(pems) == 1:
            return replace(issued, path=path, is_new=False)
        rewrite = Kubeconfigs(ctx.root).of_ca(certificate, (old,)) if old else ()
        updated = tuple(path for step in rewrite for path in step.makes)
        if len(pems) == 1 and old and (old.issuer, old.authority_key_id) == (new.issuer, new.authority_key_id):
            chain = ctx.root / chain_of(crt)
            pems += certificate_pems(read_regular(chain))[1:] if chain.is_file() else []
        files = {crt: pems[0]} | ({chain_of(crt): "".join(pems)} if len(pems) > 1 else {})
        saved = [steps.save_issued(name, content.encode("ascii")) for name, content in files.items()]
        plan = IssuancePlan(certificate, None, (*saved, *rewrite), 0, keeps_key=True, is_import=True)
        Executor(ctx, store).run((plan,))
    return replace(issued, path=path, updated=updated if old else None)


def _renewed_by(new: X509, status: CertificateStatus, path: Path) -> X509 | None:
    """Return the CA at *path*, where *new* is the same with new dates; None if it is none, or another.

    Raises InputError where the certificates that it signed would not find their issuer any more.
    """
    old = status.x509
    if status.previous_cas:
        raise InputError(
            f"{path} holds two CAs, because a CA rotation is under way: complete it first. It was not saved."
        )
    if old is None or old.public_key.material != new.public_key.material or old.subject.parts != new.subject.parts:
        return None
    if old.subject_key_id != new.subject_key_id:
        raise InputError(
            f"the certificate has another subjectKeyIdentifier than {path}, by which the certificates that this signed "
            "name their CA: it has to be signed with the openssl.cnf that is beside the request. It was not saved."
        )
    return old


def _issuer(x509: X509, ca_pems: bytes) -> X509 | None:
    """Return the CA that has signed *x509*; of several in one file the one that expires last."""
    return max(
        (ca for ca in readable_certificates(ca_pems) if names_issuer(x509, ca)),
        key=lambda ca: ca.not_after,
        default=None,
    )
