"""The context of issuing (Context), its outcome (Result), and the events that it reports (Reporter)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kcert.certificates import Certificate
from kcert.config import Cluster
from kcert.issue.passphrases import Passphrases
from kcert.issue.status import CertificateStatus, State
from kcert.openssl.x509 import X509
from kcert.quoting import quote
from kcert.shell import Outcome

if TYPE_CHECKING:
    from kcert.issue.steps import Step


class StoppedError(Exception):
    """The user stops the run; raised by a reporter, and not an error."""


class SkippedError(Exception):
    """The user skips a certificate; raised by a reporter, and not an error."""


class CsrTarget(enum.Enum):
    """The signer of a request: one of the cluster's signers, which learns the usages otherwise, or a CA elsewhere."""

    CLUSTER = "cluster"
    CA = "ca"


@dataclass(frozen=True)
class Renewal:
    """The certificates to renew, and how to renew them.

    With ``named`` the user named each of them; otherwise they are those that expire ``within`` a time, those that are
    ``stale``, or, with ``every``, all except the CAs. With ``stale`` they are updated to match kcert.yaml; otherwise
    they keep their content. ``days`` replaces the usual lifetime. ``complete_rotation`` completes a CA rotation. With
    ``csr_only`` only a request for the CA's signer is created. ``left_out`` says which certificates cannot be renewed.
    """

    named: bool = False
    every: bool = False
    within: timedelta | None = None
    stale: bool = False
    new_key: bool = False
    days: int | None = None
    complete_rotation: bool = False
    csr_only: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class IssuancePlan:
    """The steps that create one certificate, the files that they read, and the files that they leave.

    ``issuer`` is its CA (the certificate itself if self-signed; None for a bare key pair or a request). With
    ``keeps_key`` the existing key is used. ``days`` is its actual lifetime, which can be shorter than requested.
    ``replaces`` is the certificate that is renewed. ``inputs`` are other files of the PKI folder that the commands
    read; ``copies`` are files that the commands would overwrite (where each is, and its name while they run);
    ``removes`` are files that are no longer needed afterwards; ``notes`` are printed before the first step. With
    ``is_import`` a CA's certificate is brought from elsewhere (the folder of its key, an external root CA), and nothing
    is created.
    """

    certificate: Certificate
    issuer: Certificate | None
    steps: tuple[Step, ...]
    days: int
    keeps_key: bool = False
    replaces: X509 | None = None
    inputs: tuple[PurePosixPath, ...] = ()
    copies: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    removes: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    is_import: bool = False

    @property
    def outputs(self) -> tuple[PurePosixPath, ...]:
        """The files that the plan puts into place, in this order; files outside the PKI folder are left out."""
        joined = [path for step in self.steps if not (step.argv or step.scratch) for path in step.makes]
        return tuple(path for path in dict.fromkeys((*self.certificate.files.kept, *joined)) if not path.is_absolute())

    @property
    def secrets(self) -> frozenset[PurePosixPath]:
        """Return those of its outputs that hold a private key."""
        secret = {path for step in self.steps if step.secret for path in step.makes} | {self.certificate.files.secret}
        return frozenset(secret & set(self.outputs))

    @property
    def is_shortened(self) -> bool:
        """True if its lifetime is shorter than usual because its CA expires earlier."""
        return self.certificate.issuer is not None and self.days < self.certificate.days

    def role_of(self, step: Step) -> str:
        """Return the role whose lesson explains *step*; the check of an intermediate CA has the general one."""
        return "" if self.certificate.intermediate and step.action == "verify" else self.certificate.role


class Reporter:
    """Receives progress events; this base class ignores them. ``on_step`` may raise StoppedError or SkippedError.

    If ``executes`` is False, the reporter gets the plans and prints them, and no step runs.
    """

    executes = True

    def on_lock_wait(self, holder: str) -> None:
        """Another kcert, *holder*, works in the folder."""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """The plans are made; the keys of new ones are generated first where *ctx* allows several jobs."""

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """*step* is about to run; without a *plan* it makes no certificate that the cluster needs."""

    def on_step_done(self, step: Step, outcome: Outcome | None) -> None:
        """*step* is done; what kcert does itself has no outcome."""

    def on_issued(self, issued: Issued) -> None:
        """A certificate is in place."""

    def on_end(self, _result: Result | None, /) -> None:
        """The run is over; without a result it has failed."""


@dataclass(frozen=True)
class Context:
    """The folder, the cluster and the tools with which certificates are issued.

    ``root`` is the PKI folder; ``specs`` are all certificates that the cluster needs, including the CAs. ``command`` is
    what another kcert prints while it waits; ``folder_option`` is the option that a printed command needs for the same
    folder and cluster (`` --dir lab``). ``ca_dir`` is the folder of an external CA, ``root_dir`` that of a root CA
    above it; ``label`` names the folder in messages. With ``renewal`` existing certificates are renewed, with
    ``csr_target`` only requests are created; otherwise missing certificates are issued. With ``parallel`` several
    certificates are created at once; ``jobs`` is the number of processes that may run at once. With ``is_example`` the
    folder is for the built-in example, which kcert records there. It records ``requests`` as well: the options of the
    command line, by the name of the certificate.
    """

    cluster: Cluster
    root: Path
    specs: tuple[Certificate, ...]
    command: str = "kcert"
    openssl: str = "openssl"
    templates: Path | None = None
    folder_option: str = ""
    ca_dir: Path | None = None
    root_dir: Path | None = None
    label: str = "PKI folder"
    renewal: Renewal | None = None
    csr_target: CsrTarget | None = None
    jobs: int = 1
    parallel: bool = False
    is_example: bool = False
    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    passphrases: Passphrases = field(default_factory=Passphrases)
    reporter: Reporter = field(default_factory=Reporter)

    @property
    def known(self) -> dict[str, Certificate]:
        """All certificates that the cluster needs, by name."""
        return {spec.name: spec for spec in self.specs}

    @property
    def signing_option(self) -> str:
        """Return what a printed command needs to sign with the same CA in the same folder."""
        return self.folder_option + (f" --ca-dir {quote(str(self.ca_dir))}" if self.ca_dir else "")


@dataclass(frozen=True)
class Work:
    """The status of what was asked for, the plans that follow from it, and what has to be said first."""

    statuses: tuple[CertificateStatus, ...]
    plans: tuple[IssuancePlan, ...]
    remarks: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[CertificateStatus, ...]:
        """Return what is there already and stays as it is."""
        planned = {plan.certificate.name for plan in self.plans}
        present = (status for status in self.statuses if status.state is not State.MISSING)
        return tuple(status for status in present if status.certificate.name not in planned)


@dataclass(frozen=True)
class Issued:
    """A certificate that is in place; ``x509`` is what is read back (None: a bare key pair, or a request)."""

    plan: IssuancePlan
    x509: X509 | None


@dataclass(frozen=True)
class Result:
    """The outcome of a run; ``left`` is what was planned and not issued, because the user stopped or nothing runs.

    ``missing`` is what the cluster needs besides, and does not have yet.
    """

    issued: tuple[Issued, ...]
    kept: tuple[CertificateStatus, ...]
    left: tuple[IssuancePlan, ...] = ()
    missing: tuple[Certificate, ...] = ()

    @property
    def stopped(self) -> bool:
        """True if something is left to do."""
        return bool(self.left)
