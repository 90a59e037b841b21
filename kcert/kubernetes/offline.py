"""The CA on another machine: requests made here, signed there, and their certificates brought back.

What such a certificate may be used for, kcert.yaml on the CA's machine says, and never the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from kcert import profiles
from kcert.certificates import Files, Key, Kind
from kcert.errors import InputError, ProgramError
from kcert.issue import steps
from kcert.issue.checks import days_within, require_ca, with_passphrases
from kcert.issue.context import CsrTarget
from kcert.issue.external_ca import mark_intermediate
from kcert.issue.status import State, drift, status_of
from kcert.kubernetes.issued import contents
from kcert.kubernetes.signing_request import is_pem, read_asked
from kcert.openssl import cnf
from kcert.openssl.pem import pem_blocks
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import format_command
from kcert.shell import Command, run
from kcert.store import PUBLIC_MODE, Workspace, atomic

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.issue.context import Context
    from kcert.issue.steps import Step
    from kcert.openssl.x509 import PublicKey, Request
    from kcert.shell import Outcome

SHORTEST_RSA = 2048
"""Bits; NIST SP 800-57 part 1 has no shorter RSA key since 2014."""


def for_requests(ctx: Context, specs: tuple[Certificate, ...]) -> tuple[Context, tuple[Certificate, ...]]:
    """Return *ctx* and *specs* for requests in place of certificates: of all that is wanted and not current.

    A request for a CA is made only where nothing else is wanted: then somebody else's root is to sign it.
    """
    everything = {spec.name: spec for spec in (*ctx.specs, *specs)}
    found = status_of(ctx.root, everything.values())
    leaves = [spec for spec in specs if spec.kind is not Kind.CA]
    requested = leaves or [replace(spec, intermediate=True) for spec in specs]
    wanted = tuple(_without_crt(spec) for spec in requested if found[spec.name].state is not State.CURRENT)
    return replace(ctx, csr_target=CsrTarget.CA, command=f"{ctx.command} --csr-only"), wanted


def _without_crt(one: Certificate) -> Certificate:
    """Without a certificate file, and without a kubeconfig to be put into: that comes with the answer."""
    if one.kind is Kind.KEY_PAIR:
        return one
    return replace(one, files=replace(one.files, crt=None, kubeconfig=None))


def is_request(path: Path) -> bool:
    """Whether the file at *path* is a bare request, and no manifest; raises InputError where it cannot be read."""
    return is_pem(contents(path))


def is_certificate(path: Path) -> bool:
    """Whether the file at *path* is a certificate, and no manifest; raises InputError where it cannot be read."""
    return any(block.is_certificate for block in pem_blocks(contents(path)))


@dataclass(frozen=True)
class CsrSigning:
    """How a request is signed: the certificate that it becomes, its settings, and the commands."""

    certificate: Certificate
    settings: str
    steps: tuple[Step, ...]


class Reporter(Protocol):
    """Hears how a request is signed."""

    def waits(self, holder: str) -> None:
        """Another kcert is at work in the folder."""

    def begins(self, how: CsrSigning) -> None:
        """The settings are known."""

    def before(self, step: Step) -> None:
        """A command is about to run."""

    def ended(self, outcome: Outcome) -> None:
        """It has ended."""

    def done(self, certificate: Certificate, found: X509, path: Path) -> None:
        """The certificate lies at *path*."""


def sign(desk: Context, path: Path, narrator: Reporter, name: str | None = None) -> Path:
    """Sign the request at *path* as the certificate *name* (None: as the file is called); return NAME.crt beside it.

    Raises InputError for a request that matches no certificate of kcert.yaml, or a weak key.
    """
    desk, _ = with_passphrases(desk, ())
    request = read_asked(desk.openssl, contents(path), str(path))
    certificate = _wanted(desk, request, path, name)
    assert certificate.issuer and certificate.files.crt and certificate.files.cnf and certificate.files.csr
    authority = next(one for one in desk.specs if one.name == certificate.issuer)
    now = datetime.now(timezone.utc)
    standing = status_of(desk.root, [authority], now)[authority.name]
    found = require_ca(desk, certificate, standing, now)
    authority = mark_intermediate(authority, standing)
    days = days_within(certificate, found, now)
    commands = (
        steps.sign(certificate, authority, desk.openssl, days),
        steps.verify(desk.openssl, authority, certificate.files.crt),
    )
    how = CsrSigning(certificate, cnf.render(certificate), commands)
    target = path.with_name(certificate.files.crt.name)
    if target.exists():
        raise InputError(f"{target} is there already: move it away, for {path} to be signed.")
    with Workspace.open(desk.root, desk.command, narrator.waits) as workspace:
        pem = _signed(how, desk, workspace, authority, request, narrator)
    made = read_certificate(pem.decode("ascii", "replace"))
    if not isinstance(made, X509) or (wrong := drift(certificate, made, found)):
        said = "it cannot be read" if not isinstance(made, X509) else "; ".join(wrong)
        raise ProgramError(f"openssl made a certificate that is not what was asked for: {said}. It was not kept.")
    atomic.create_file(target, pem, PUBLIC_MODE)
    narrator.done(certificate, made, target)
    return target


def _signed(  # noqa: PLR0917 - one call
    how: CsrSigning,
    desk: Context,
    workspace: Workspace,
    authority: Certificate,
    request: Request,
    narrator: Reporter,
) -> bytes:
    files, ca = how.certificate.files, authority.files
    assert files.crt and files.cnf and files.csr and ca.crt
    staging = workspace.stage((ca.crt, ca.key), [files.crt, files.cnf, files.csr])
    staging.put(files.csr, request.pem.encode("ascii"))
    staging.write(files.cnf, how.settings)
    narrator.begins(how)
    for step in how.steps:
        narrator.before(step)
        outcome = run(Command(step.argv, staging.folder, step.limit, desk.passphrases.environment_of(step.argv)))
        workspace.record(outcome, staging, step.makes, set())
        narrator.ended(outcome)
        if not outcome.succeeded:
            what = " ".join(step.argv[:2])
            raise ProgramError(f"{what} failed (status {outcome.status}) while {how.certificate.name} was signed.")
    pem = staging.path(files.crt).read_bytes()
    workspace.discard(staging)
    return pem


def _wanted(desk: Context, request: Request, path: Path, name: str | None) -> Certificate:
    """Return the certificate of the cluster that *request* is for: the one with its subject and exactly its SANs.

    What has more rights than a user has to be asked for by *name*, or be what the file is called: the subject alone
    is the choice of whoever sent the request.
    """
    leaves = [one for one in desk.specs if one.kind not in (Kind.CA, Kind.KEY_PAIR) and one.subject]
    if name is not None:
        leaves = list(profiles.select(leaves, (name,), desk.cluster))
    same = [one for one in leaves if one.subject and sorted(one.subject.parts) == sorted(request.subject.parts)]
    if not same:
        asked = f"{path} asks for the subject {str(request.subject)!a}"
        if name is not None:
            raise InputError(f"{asked}, and {name} has {', '.join(repr(str(one.subject)) for one in leaves)}.")
        raise InputError(
            f"{asked}, which none of this cluster's certificates has. Add a user to `users` in kcert.yaml; for any "
            "other client there are `kcert csr manifest` and `kcert csr approve`."
        )
    matching = [one for one in same if set(one.alt_names) == set(request.alt_names)]
    if not matching:
        raise InputError(f"{path} asks for {same[0].name} with other names: {_compared(same[0], request)}.")
    named = [one for one in matching if name is not None or (one.files.csr and one.files.csr.name == path.name)]
    certificate = (named or matching)[0]
    if not named and _is_privileged(certificate):
        command = format_command(("kcert", "csr", "sign", "--file", str(path), "--as", certificate.name))
        raise InputError(
            f"{path} asks for {certificate.name} ({str(request.subject)!a}), which has more rights than a user and is "
            f"signed only by its name. If you meant that: `{command}{desk.folder_option}`."
        )
    return replace(certificate, key=_key(request.public_key, path))


def _is_privileged(certificate: Certificate) -> bool:
    """Return True for an administrator, a component or a node."""
    assert certificate.subject
    identities = (certificate.subject.common_name, *certificate.subject.organizations)
    return certificate.role != "user" or any(one.startswith(("system:", "kubeadm:")) for one in identities)


def _compared(certificate: Certificate, request: Request) -> str:
    """What kcert.yaml here and the request do not have in common."""
    wanted, asked = set(certificate.alt_names), set(request.alt_names)
    told = []
    if missing := [str(one) for one in certificate.alt_names if one not in asked]:
        told.append(f"it lacks {', '.join(missing)}")
    if more := [ascii(str(one))[1:-1] for one in request.alt_names if one not in wanted]:
        told.append(f"it also wants {', '.join(more)}")
    return f"{' and '.join(told)}; the kcert.yaml here and the one that it was made with have to be the same"


def _key(public: PublicKey, path: Path) -> Key:
    if public.algorithm == "rsa" and public.bits >= SHORTEST_RSA:
        return Key("rsa", public.bits)
    if public.curve in ("P-256", "P-384"):
        return Key("ecdsa", curve=public.curve)
    what = f"RSA {public.bits}" if public.algorithm == "rsa" else ascii(public.curve or public.algorithm)
    raise InputError(
        f"{path} has a key of {what}: RSA of {SHORTEST_RSA} bits or more, P-256 and P-384 are signed here."
    )


def manual(certificate: Certificate, authority: Certificate, openssl: str) -> tuple[str, ...]:
    """The command that signs its request by hand, where the CA, the request and its settings lie in one folder."""
    files, ca = certificate.files, authority.files
    assert files.csr and files.cnf and files.crt and ca.crt
    csr, config, crt = (PurePosixPath(path.name) for path in (files.csr, files.cnf, files.crt))
    flat = replace(files, csr=csr, cnf=config, crt=crt)
    there = replace(authority, files=replace(ca, crt=PurePosixPath(ca.crt.name), key=PurePosixPath(ca.key.name)))
    return steps.sign(replace(certificate, files=flat), there, openssl, certificate.days).argv


def by_root(authority: Certificate, openssl: str) -> tuple[str, ...]:
    """The command with which somebody else's root signs a CA of the cluster."""
    files = Files(key=PurePosixPath("root.key"), crt=PurePosixPath("root.crt"))
    return manual(authority, replace(authority, name="root", files=files, passphrase=""), openssl)
