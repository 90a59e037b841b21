"""Manifests of CertificateSigningRequests as files: composed, decided, signed, and the answer kept."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from kcert.certificates import Kind, chain_of
from kcert.errors import InputError, VerdictError
from kcert.files import read_regular
from kcert.issue.checks import require_ca, with_passphrases
from kcert.issue.embedded import Kubeconfigs
from kcert.issue.plan import kubeconfig_for
from kcert.issue.status import status_of
from kcert.kubernetes import signers, signing
from kcert.kubernetes.csr_subject import check_signer
from kcert.kubernetes.issued import contents, load
from kcert.kubernetes.kubectl import kubectl
from kcert.kubernetes.signing_request import (
    SigningRequest,
    check_expires,
    check_usages,
    is_pem,
    object_name,
    parse,
    read_asked,
    signer_trouble,
    text,
)
from kcert.openssl import commands
from kcert.openssl.reader import certificate_pems, read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import quote
from kcert.shell import Command, run
from kcert.store import PUBLIC_MODE, Workspace, atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kcert.certificates import Certificate
    from kcert.issue.context import Context
    from kcert.issue.status import CertificateStatus
    from kcert.kubernetes.issued import Answer
    from kcert.shell import Outcome


@dataclass(frozen=True)
class Wish:
    """What the user says about an object; None and nothing leave it to the request."""

    signer: str | None = None
    usages: tuple[str, ...] = ()
    expires: int | None = None
    name: str | None = None


def object_name_of(certificate: Certificate) -> str:
    """What the object of *certificate* is called, where nothing else is said: as its request is."""
    assert certificate.files.csr
    return certificate.files.csr.stem


def compose(root: Path, certificate: Certificate, wish: Wish, openssl: str, option: str = "") -> SigningRequest:
    """The object for the request of *certificate* in the PKI folder *root*, for which commands need *option*.

    Raises InputError for a request that is none, and for a *wish* that the API server would not take.
    """
    assert certificate.files.csr
    path = root / certificate.files.csr
    if not path.is_file():
        raise InputError(
            f"{path} is not there: `kcert csr new {quote(certificate.name)}{option}` makes key and request."
        )
    content = contents(path)
    request = read_asked(openssl, content, str(path))
    name = wish.name or object_name_of(certificate)
    if why := object_name(name):
        raise InputError(f"{name!a} cannot be the name of an object of Kubernetes: {why}. Give it another with --name.")
    signer = signers.full_name(wish.signer) if wish.signer else signers.fitting(request)
    if why := signer_trouble(signer):
        raise InputError(f"--signer {signer!a}: {why}.")
    check_signer(certificate, signer)
    played = signers.SIGNERS.get(signer, signers.SIGNERS[signers.CLIENT])
    usages = wish.usages or played.usages(request.public_key.algorithm)
    if wish.expires is not None:
        check_expires(wish.expires, "--expires")
    return SigningRequest(
        name=name,
        request=content,
        signer=signer,
        usages=check_usages(list(usages), "--usage"),
        expires=wish.expires,
        source=str(path),
    )


def write(
    root: Path, one: SigningRequest, output: Path | None, waits: Callable[[str], None]
) -> tuple[Path, SigningRequest | None]:
    """Write the manifest into the PKI folder *root*, where what it replaces is kept, or to *output*.

    Its path, and what lies there already, where that is the same request: then it stays, with all that was decided.
    """
    content = text(one).encode("utf-8")
    if output is not None:
        atomic.create_file(output, content, PUBLIC_MODE)
        return output, None
    name = PurePosixPath(f"{one.name}-csr.yaml")
    with Workspace.open(root, "kcert csr manifest", waits) as workspace:
        there = _there(root / name)
        if there and _spec(there) == _spec(one):
            return root / name, there
        staging = workspace.stage((), (name,))
        staging.put(name, content)
        workspace.publish(staging, (name,), ())
    return root / name, None


def usages_asked(root: Path, name: str) -> tuple[str, ...] | None:
    """The usages that the manifest of the object *name* in the PKI folder *root* asks for; None where there is none."""
    there = _there(root / f"{name}-csr.yaml")
    return there.usages if there else None


def _there(path: Path) -> SigningRequest | None:
    try:
        return load(path) if path.is_file() else None
    except InputError:
        return None  # whatever that is, it goes to the backup


def _spec(one: SigningRequest) -> tuple[object, ...]:
    return one.name, one.request, one.signer, one.usages, one.expires


def named(root: Path, name: str, option: str = "") -> Path:
    """The manifest that *name* means: a file, or the one in the PKI folder that was made for it."""
    path = Path(name)
    if "/" in name or path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return path
    made = root / f"{name.replace(':', '-')}-csr.yaml"
    if not made.is_file():
        raise InputError(f"{made} is not there: `kcert csr manifest {quote(name)}{option}` writes it.")
    return made


def looked_at(path: Path) -> SigningRequest:
    """What to show of a manifest, or of a request that is in none yet."""
    content = contents(path)
    if is_pem(content):
        return SigningRequest(name=path.stem, request=content, signer="", usages=(), source=str(path))
    return parse(content, str(path))


def looked_up(argv: tuple[str, ...], name: str) -> SigningRequest:
    """The object that kubectl gives."""
    return parse(kubectl(argv).stdout, f"the object {name}")


def decide(path: Path, decision: Callable[[SigningRequest], SigningRequest]) -> tuple[SigningRequest, SigningRequest]:
    """Put a *decision* into the manifest at *path*; the object before it and after it."""
    before = load(path)
    after = decision(before)
    if after != before:
        atomic.edit_file(path, text(after).encode("utf-8"))
    return before, after


class Reporter(Protocol):
    """Hears how a manifest is signed, or a certificate kept."""

    def waits(self, holder: str) -> None:
        """Another kcert is at work in the folder."""

    def begins(self, how: signing.Signing, root: Path) -> None:
        """The command is about to run, as if in the PKI folder *root*."""

    def ended(self, outcome: Outcome) -> None:
        """A command has ended."""

    def done(self, one: SigningRequest, found: X509) -> None:
        """The manifest has its certificate."""

    def there(self, one: SigningRequest) -> None:
        """It had one already."""


def sign(desk: Context, path: Path, longest: timedelta, narrator: Reporter) -> None:
    """Do what kube-controller-manager would do with the manifest at *path*, with the cluster's CA of the PKI folder.

    Raises VerdictError where the signer refuses; then that stands in the manifest, too.
    """
    one = load(path)
    if one.certificate is not None:
        narrator.there(one)
        return
    if failed := signing.judge(one, desk.openssl):
        atomic.edit_file(path, text(failed).encode("utf-8"))
        condition = failed.conditions[-1]
        raise VerdictError(
            f"the signer {one.signer} refuses {one.name}: {condition.message}. {path} has the condition Failed now, as "
            "it would have in a cluster."
        )
    desk, _ = with_passphrases(desk, ())
    certificate = next(one for one in desk.specs if one.name == "ca")
    now = datetime.now(timezone.utc)
    if not desk.root.is_dir():
        raise InputError(
            f"{desk.root} is not there, and in it would be the CA: `kcert ca{desk.folder_option}` makes one."
        )
    standing = status_of(desk.root, [certificate], now)[certificate.name]
    ca = require_ca(desk, replace(certificate, name=one.name), standing, now)
    assert certificate.files.crt
    how = signing.prepare(
        one,
        openssl=desk.openssl,
        authority=(certificate.files.crt, certificate.files.key, ca),
        passphrase=certificate.passphrase,
        duration=longest,
        now=now,
    )
    with Workspace.open(desk.root, desk.command, narrator.waits) as workspace:
        narrator.begins(how, desk.root)
        signed, found = signing.sign(how, workspace, desk.passphrases.ca, narrator.ended)
    atomic.edit_file(path, text(signed).encode("utf-8"))
    narrator.done(signed, found)


def _kept_authority(desk: Context, certificate: Certificate, answer: Answer, keeper: Keeper) -> tuple[Path, bool]:
    """Put a CA's certificate into the PKI folder; with what is above it, if that is known, as the chain.

    Where it renews the one that is here, the kubeconfigs that hold that get it as well.
    """
    crt, new = certificate.files.crt, answer.found
    assert crt
    pems = certificate_pems(answer.pem)
    with Workspace.open(desk.root, desk.command, keeper.waits) as workspace:
        old = _renewed_by(new, status_of(desk.root, [certificate])[certificate.name], desk.root / crt)
        if old and old.sha256 == new.sha256 and len(pems) == 1:
            return desk.root / crt, False
        rewrite = Kubeconfigs.below(desk.root).of_ca(certificate, (old,)) if old else None
        rewritten = rewrite.makes if rewrite else ()
        if len(pems) == 1 and old and (old.issuer, old.authority_key_id) == (new.issuer, new.authority_key_id):
            chain = desk.root / chain_of(crt)
            pems += certificate_pems(read_regular(chain))[1:] if chain.is_file() else []
        staging = workspace.stage((), (crt, *rewritten))
        staging.write(crt, pems[0])
        if len(pems) > 1:
            staging.write(chain_of(crt), "".join(pems))
        if rewrite and rewrite.perform:
            rewrite.perform(staging, desk.root)
        workspace.publish(staging, [crt, *([chain_of(crt)] if len(pems) > 1 else []), *rewritten], rewritten)
    if old:
        keeper.renews(rewritten)
    return desk.root / crt, True


def _renewed_by(new: X509, standing: CertificateStatus, path: Path) -> X509 | None:
    """The CA at *path*, where *new* is the same with new dates; None where it is none, or another.

    Raises InputError where what it signed would not find its issuer again.
    """
    old = standing.found
    if standing.previous_cas:
        raise InputError(f"{path} holds two CAs, because a change-over is under way: end that first. It is not kept.")
    if old is None or old.public_key.material != new.public_key.material or old.subject.parts != new.subject.parts:
        return None
    if old.subject_key_id != new.subject_key_id:
        raise InputError(
            f"the certificate calls its key by another identifier (subjectKeyIdentifier) than {path}, and what that "
            "signed names its CA by this: whoever signs has to use the settings that lie beside the request. It is not "
            "kept."
        )
    return old


def _issuer(found: X509, authorities: bytes) -> X509 | None:
    """The CA that has signed *found*, the one that ends last where it was renewed; a file may hold several."""
    read = [read_certificate(pem) for pem in certificate_pems(authorities)]
    fitting = [
        one
        for one in read
        if isinstance(one, X509)
        and one.subject == found.issuer
        and found.authority_key_id in (None, one.subject_key_id)
    ]
    return max(fitting, key=lambda one: one.not_after, default=None)


class Keeper(Protocol):
    """Hears how a certificate is put into the PKI folder."""

    def waits(self, holder: str) -> None:
        """Another kcert is at work in the folder."""

    def ended(self, outcome: Outcome) -> None:
        """The command that compares it with the CA has ended."""

    def outlives(self, certificate: Certificate, late: timedelta, issuer: X509) -> None:
        """It is good for *late* longer than the CA that has signed it."""

    def renews(self, kubeconfigs: Sequence[PurePosixPath]) -> None:
        """A CA is in the place of the one that it renews, and in *kubeconfigs* that held that."""


def keep(
    desk: Context,
    certificate: Certificate,
    answer: Answer,
    output: Path | None,
    keeper: Keeper,
    *,
    insists: bool = False,
) -> tuple[Path, bool]:
    """Put the certificate where it belongs in the PKI folder, or to *output*; its path, and whether it is new there.

    Where its CA's certificate is in the folder, `openssl verify` says whether that vouches for it; with *insists* it
    has to be there, and to vouch, or InputError is raised. Where the profile keeps key and certificate inside a
    kubeconfig, that is written, and the loose key goes.
    """
    crt = certificate.files.crt
    assert crt
    if output is not None:
        atomic.create_file(output, answer.pem, PUBLIC_MODE)
        return output, True
    if certificate.kind is Kind.CA:
        return _kept_authority(desk, certificate, answer, keeper)
    # What asks through the Certificates API and is in no profile is signed by the cluster's CA.
    ca = next(one for one in desk.specs if one.name == (certificate.issuer or "ca"))
    authority, files = ca.files.crt, certificate.files
    assert authority
    if insists and not (desk.root / authority).is_file():
        place = desk.root / authority
        raise InputError(
            f"{place} is not here, so nobody can tell whether the CA has signed it. The CA's certificate has to come "
            f"along, without its key: `cp {quote(authority.name)} {quote(str(place))}`, then fetch it again."
        )
    with Workspace.open(desk.root, desk.command, keeper.waits) as workspace:
        staging = workspace.stage((authority,), (crt,))
        staging.put(crt, answer.pem)
        if (desk.root / authority).is_file():
            argv = commands.verification(desk.openssl, authority, crt)
            outcome = run(Command(argv, staging.folder))
            workspace.record(outcome, staging, (crt,), set())
            if insists and not outcome.succeeded:
                raise InputError(
                    f"{desk.root / authority} does not vouch for it: another CA has signed it, or that is not the file "
                    "of the CA that did. It is not kept."
                )
            keeper.ended(outcome)
            issuer = _issuer(answer.found, read_regular(desk.root / authority))
            if outcome.succeeded and issuer and (late := answer.found.outlives(issuer)):
                keeper.outlives(certificate, late, issuer)
        kept = crt
        if files.kubeconfig and answer.key and (desk.root / authority).is_file():
            kept = files.kubeconfig
            staging.put(files.key, answer.key, secret=True)
            text_of = kubeconfig_for(certificate, ca, desk.cluster.name).embedded(
                lambda name: base64.b64encode(staging.path(name).read_bytes()).decode("ascii")
            )
            staging.write(kept, text_of, secret=True)
        path = desk.root / kept
        new = not path.is_file() or read_regular(path) != staging.path(kept).read_bytes()
        if new:
            inside = kept == files.kubeconfig
            workspace.publish(staging, (kept,), (kept,) if inside else (), (files.key,) if inside else ())
        else:
            workspace.discard(staging)
    return path, new
