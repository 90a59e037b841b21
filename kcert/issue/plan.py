"""From a certificate to the ordered steps that make it.

What is shown and what runs are the same because both read the records made here. Paths are relative to the
PKI folder, in which a reader would type the commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Kind, chain_of
from kcert.kubeconfig import Kubeconfig
from kcert.openssl import cnf, commands
from kcert.shell import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from kcert.certificates import Key
    from kcert.kubeconfig import Part, Swap
    from kcert.openssl.x509 import X509

SECONDS_FOR_LONG_KEYS = 900.0
"""Primes for 8192 bits can take minutes, and how many is chance."""


@dataclass(frozen=True)
class Run:
    """A command. ``action`` names its reason (a lesson's topic); ``limit`` is in seconds."""

    action: str
    argv: tuple[str, ...]
    reads: tuple[PurePosixPath, ...]
    makes: tuple[PurePosixPath, ...] = ()
    limit: float = DEFAULT_TIMEOUT


@dataclass(frozen=True)
class Write:
    """A file that kcert writes itself: the openssl.cnf that the next commands read."""

    action: str
    path: PurePosixPath
    text: str


@dataclass(frozen=True)
class WriteKubeconfig:
    """A kubeconfig that takes key and certificate in; the loose ones are gone after it."""

    action: str
    path: PurePosixPath
    kubeconfig: Kubeconfig


@dataclass(frozen=True)
class ExtractFromKubeconfig:
    """Key or certificate taken out of the kubeconfig in which it lives, so that a command can read it."""

    action: str
    path: PurePosixPath
    source: PurePosixPath
    part: Part


@dataclass(frozen=True)
class Concatenate:
    """A file made of others, one after the other: a CA file that vouches for the leaves of two CAs."""

    action: str
    path: PurePosixPath
    parts: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class UpdateKubeconfigs:
    """Kubeconfigs that have an old file inside get the new one; nothing else in them changes."""

    action: str
    paths: tuple[PurePosixPath, ...]
    swaps: tuple[Swap, ...]


Step = Run | Write | WriteKubeconfig | ExtractFromKubeconfig | Concatenate | UpdateKubeconfigs


@dataclass(frozen=True)
class IssuancePlan:
    """How one certificate is made.

    ``issuer`` is its CA's (its own, where it signs itself; None for a bare key pair); ``keeps_key`` tells
    that the key is there already; ``days`` is the lifetime it gets, which can be less than it asks for.
    ``replaces`` is what is renewed. ``brings`` are other files of the PKI folder that its commands read,
    ``copies`` those that they would write over (where each lies, and what it is called while they run), ``retires``
    those that are not needed after it, ``notes`` what has to be said before it begins. With
    ``brought`` a CA's certificate is copied from where its key is kept, and nothing is made.
    """

    certificate: Certificate
    issuer: Certificate | None
    steps: tuple[Step, ...]
    days: int
    keeps_key: bool = False
    replaces: X509 | None = None
    brings: tuple[PurePosixPath, ...] = ()
    copies: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    retires: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    brought: bool = False

    @property
    def puts(self) -> tuple[PurePosixPath, ...]:
        """The files that it puts into place, in this order; what lies elsewhere stays there."""
        rewritten = [path for step in self.steps if isinstance(step, UpdateKubeconfigs) for path in step.paths]
        joined = [step.path for step in self.steps if isinstance(step, Concatenate)]
        all_of_them = dict.fromkeys((*self.certificate.files.kept, *joined, *rewritten))
        return tuple(path for path in all_of_them if not path.is_absolute())

    @property
    def secrets(self) -> frozenset[PurePosixPath]:
        """Those of them that hold a private key."""
        rewritten = {path for step in self.steps if isinstance(step, UpdateKubeconfigs) for path in step.paths}
        own = self.certificate.files.secret
        return frozenset({*(() if own.is_absolute() else (own,)), *rewritten})


def procedure(
    certificate: Certificate,
    issuer: Certificate | None,
    *,
    cluster_name: str,
    openssl: str = "openssl",
    templates: Path | None = None,
    days: int | None = None,
    keeps_key: bool = False,
) -> IssuancePlan:
    """The steps for *certificate*, signed by *issuer* (None: by itself) for *days* days (None: as it asks).

    Raises InputError for a template that cannot be used.
    """
    lifetime = certificate.days if days is None else days
    files = certificate.files
    steps: list[Step] = []
    if not keeps_key:
        steps.append(new_key(certificate, openssl))
    if certificate.kind is Kind.KEY_PAIR:
        assert files.public_key
        argv = commands.public_key(openssl, files.key, files.public_key)
        steps.append(Run("public-key", argv, reads=(files.key,), makes=(files.public_key,)))
        return IssuancePlan(certificate, None, tuple(steps), lifetime, keeps_key)
    steps += _certify(certificate, issuer or certificate, openssl, cnf.render(certificate, templates), lifetime)
    steps += chained(certificate, issuer)
    if files.kubeconfig:
        steps.append(
            WriteKubeconfig(
                "kubeconfig", files.kubeconfig, kubeconfig(certificate, issuer or certificate, cluster_name)
            )
        )
    return IssuancePlan(certificate, issuer or certificate, tuple(steps), lifetime, keeps_key)


def chained(certificate: Certificate, issuer: Certificate | None) -> tuple[Step, ...]:
    """For a CA that another one signed: the file that has both, for programs that trust roots alone."""
    crt = certificate.files.crt
    if certificate.kind is not Kind.CA or issuer is None or issuer is certificate:
        return ()
    assert crt and issuer.files.crt
    return (Concatenate("chain", chain_of(crt), (crt, issuer.files.crt)),)


def brought(
    certificate: Certificate,
    files: Mapping[PurePosixPath, PurePosixPath],
    openssl: str,
    *,
    leaves: tuple[PurePosixPath, ...] = (),
    rewrite: UpdateKubeconfigs | None = None,
    replaces: X509 | None = None,
) -> IssuancePlan:
    """The steps that copy the certificate of a CA that is kept apart: *files* of the PKI folder, and where each lies.

    It has to vouch for *leaves*; *rewrite* are the kubeconfigs that have the one before inside.
    """
    assert certificate.files.crt
    steps: list[Step] = [Concatenate("bring", path, (source,)) for path, source in files.items()]
    steps.append(verified(openssl, certificate, certificate.files.crt, *leaves))
    if rewrite:
        steps.append(rewrite)
    return IssuancePlan(
        certificate,
        certificate,
        tuple(steps),
        certificate.days,
        keeps_key=True,
        replaces=replaces,
        brings=leaves,
        brought=True,
    )


def asking(
    certificate: Certificate, *, openssl: str, templates: Path | None, keeps_key: bool, usages_apart: bool
) -> IssuancePlan:
    """The steps that end with a request, for somebody else to sign: *certificate* has no ``crt``.

    With *usages_apart* the signer is told in another way what it may be used for; otherwise that stands in its
    settings, and the CA's machine needs them.
    """
    files = certificate.files
    csr, config = files.csr, files.cnf
    assert csr and config and certificate.subject
    names = certificate.alt_names
    settings = cnf.render_request(names) if names and usages_apart else cnf.render(certificate, templates)
    secret = certificate.passphrase
    argv = commands.request(openssl, files.key, certificate.subject, cnf=config, out=csr, passphrase=secret)
    steps: list[Step] = [] if keeps_key else [new_key(certificate, openssl)]
    steps += [Write("settings", config, settings), Run("request", argv, reads=(files.key, config), makes=(csr,))]
    return IssuancePlan(certificate, None, tuple(steps), certificate.days, keeps_key)


def new_key(certificate: Certificate, openssl: str) -> Run:
    """The step that generates its key."""
    path = certificate.files.key
    argv = commands.private_key(openssl, certificate.key, path, certificate.passphrase)
    return Run("key", argv, reads=(), makes=(path,), limit=_seconds(certificate.key))


def kubeconfig(certificate: Certificate, issuer: Certificate, cluster_name: str) -> Kubeconfig:
    """The kubeconfig in which *certificate* lives: its user is called as the API server will call him."""
    assert certificate.subject
    crt, key, ca = certificate.files.crt, certificate.files.key, issuer.files.crt
    assert crt and ca
    return Kubeconfig(
        cluster=cluster_name,
        server=certificate.server,
        user=certificate.subject.common_name,
        context=cluster_name,
        ca=ca,
        crt=crt,
        key=key,
    )


def _certify(certificate: Certificate, issuer: Certificate, openssl: str, settings: str, days: int) -> list[Step]:
    """Request, signature, proof; the settings stand before the first command that reads them."""
    files, subject = certificate.files, certificate.subject
    csr, config = files.csr, files.cnf
    assert csr and config and subject
    asked = Run(
        "request",
        commands.request(openssl, files.key, subject, cnf=config, out=csr, passphrase=certificate.passphrase),
        reads=(files.key, config),
        makes=(csr,),
    )
    return [Write("settings", config, settings), asked, *signed(certificate, issuer, openssl, days)]


def signed(
    certificate: Certificate, issuer: Certificate, openssl: str, days: int, *, serial: str = ""
) -> tuple[Run, Run]:
    """The signature under a request that is there, by *issuer* (which may be itself), and the proof of it.

    *serial* is what a CA that signs itself keeps.
    """
    files = certificate.files
    csr, crt, config, authority = files.csr, files.crt, files.cnf, issuer.files.crt
    assert csr and crt and config and authority
    if issuer is certificate:
        signature = Run(
            "self-signature",
            commands.self_signature(
                openssl,
                csr,
                key=files.key,
                out=crt,
                days=days,
                cnf=config,
                passphrase=certificate.passphrase,
                serial=serial,
            ),
            reads=(csr, files.key, config),
            makes=(crt,),
        )
    else:
        signature = Run(
            "signature",
            commands.signature(
                openssl,
                csr,
                authority=(authority, issuer.files.key),
                out=crt,
                days=days,
                cnf=config,
                passphrase=issuer.passphrase,
            ),
            reads=(csr, authority, issuer.files.key, config),
            makes=(crt,),
        )
    return signature, verified(openssl, issuer, crt)


def verified(openssl: str, issuer: Certificate, *crts: PurePosixPath) -> Run:
    """The proof that the CA *issuer* vouches for each of *crts*."""
    authority = issuer.files.crt
    assert authority
    argv = commands.verification(openssl, authority, *crts, intermediate=issuer.intermediate)
    return Run("verify", argv, reads=tuple(dict.fromkeys((authority, *crts))))


def _seconds(key: Key) -> float:
    return SECONDS_FOR_LONG_KEYS if key.algorithm == "rsa" and key.bits > 4096 else DEFAULT_TIMEOUT


def role_of(certificate: Certificate, step: Step) -> str:
    """Whose reason for a step is told: the check of a CA that another one signed is like everybody's."""
    return "" if certificate.intermediate and step.action == "verify" else certificate.role


def serial_file(issuer: Certificate) -> PurePosixPath:
    """Where -CAcreateserial leaves the serial: the CA's file name, ending in .srl."""
    assert issuer.files.crt
    return issuer.files.crt.with_suffix(".srl")
