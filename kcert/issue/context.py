"""What issuing works with (Context), what comes of it (Result), and who is told about it (Reporter)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kcert.certificates import ROOT
from kcert.issue.passphrase import ROOT_KEY, Passphrase
from kcert.issue.plan import ToolConfig
from kcert.issue.status import CertificateStatus, State
from kcert.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.plan import IssuancePlan
    from kcert.issue.steps import Step
    from kcert.openssl.x509 import X509
    from kcert.shell import Outcome


class StoppedError(Exception):
    """The user stops the run; raised by a reporter, and not an error."""


class SkippedError(Exception):
    """The user leaves out a certificate; raised by a reporter, and not an error."""


class CsrTarget(enum.Enum):
    """Who signs a request: one of the cluster's signers, who learns the usages otherwise, or the CA's own machine."""

    CLUSTER = "cluster"
    CA = "ca"


@dataclass(frozen=True)
class Renewal:
    """Which of the specs are renewed, and how.

    With ``named`` the user named each of them; otherwise it is those that expire ``within`` a time, are ``stale``,
    or, with ``every``, all but the CAs. What is stale is updated to match kcert.yaml, the rest keeps its content.
    ``days`` is another lifetime than the usual one. ``complete_rotation`` ends the rotation of a CA. With
    ``csr_only`` a CA is not renewed yet: a request is made, for its signer. ``left_out`` says what cannot be renewed.
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
class Passphrases:
    """The passphrases of the ``ca`` keys and of the ``root`` key above them; with ``encrypt`` new CA keys get one."""

    ca: Passphrase = field(default_factory=Passphrase)
    root: Passphrase = field(default_factory=lambda: Passphrase(ROOT_KEY))
    encrypt: bool = False

    def of(self, ca: Certificate) -> Passphrase:
        """Return the passphrase of the key of *ca*."""
        return self.root if ca.name == ROOT else self.ca

    def environment_of(self, argv: Sequence[str]) -> dict[str, str]:
        """Return what the command *argv* needs in its environment, by the names of the variables."""
        return self.ca.handed_to(argv) | self.root.handed_to(argv)


class Reporter:
    """Told of everything as it happens; this one says nothing. ``on_step`` may raise StoppedError or SkippedError.

    One with ``executes`` False is given the plans, and nothing runs: it prints what would.
    """

    executes = True

    def on_lock_wait(self, holder: str) -> None:
        """Another kcert, *holder*, works in the folder."""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """The plans are made; the keys of new ones are generated first where *ctx* allows several jobs."""

    def on_step(self, plan: IssuancePlan, step: Step) -> None:
        """*step* is about to run."""

    def on_step_done(self, plan: IssuancePlan, step: Step, outcome: Outcome | None) -> None:
        """*step* is done; what kcert does itself has no outcome."""

    def on_issued(self, issued: Issued) -> None:
        """A certificate is in place."""

    def on_end(self, _result: Result | None, /) -> None:
        """The run is over; without a result it has failed."""


@dataclass(frozen=True)
class Context:
    """Where and with what certificates are issued.

    ``root`` is the PKI folder, ``specs`` are all certificates that the cluster needs (CAs among them). ``command``
    is what another kcert is told while it waits, ``folder_option`` what a printed command needs to work on the same
    folder for the same cluster (`` --dir lab``). ``ca_dir`` is where the CAs are, ``root_dir`` where a root above
    them is, if that is elsewhere; ``label`` names the folder. With a ``renewal`` it is about certificates that are
    there, with a ``csr_target`` only requests are made; otherwise what is missing is issued. With ``parallel`` whole
    certificates are made at once, otherwise in sequence; ``jobs`` is how many processes may run at a time. With
    ``is_example`` the folder is made for the built-in example, and remembers that, as it remembers ``requests``: what
    was asked for on the command line, by the name of the certificate.
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
    def tools(self) -> ToolConfig:
        """What plans are made with."""
        return ToolConfig(self.openssl, self.templates, self.cluster.name)

    @property
    def signing_option(self) -> str:
        """What a printed command needs to sign with the same CA in the same folder."""
        return self.folder_option + (f" --ca-dir {quote(str(self.ca_dir))}" if self.ca_dir else "")


@dataclass(frozen=True)
class Work:
    """The status of what was asked for, the plans that follow from it, and what has to be said first."""

    statuses: tuple[CertificateStatus, ...]
    plans: tuple[IssuancePlan, ...]
    remarks: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[CertificateStatus, ...]:
        """What is there already and stays as it is."""
        planned = {plan.certificate.name for plan in self.plans}
        return tuple(
            status
            for status in self.statuses
            if status.state is not State.MISSING and status.certificate.name not in planned
        )


@dataclass(frozen=True)
class Issued:
    """A certificate that is in place; ``found`` is what is read back (None: a bare key pair, or a request)."""

    plan: IssuancePlan
    found: X509 | None


@dataclass(frozen=True)
class Result:
    """What came of a run; ``left`` is what was planned and not issued, because the user stopped or nothing runs.

    ``missing`` is what the cluster needs besides, and does not have yet.
    """

    issued: tuple[Issued, ...]
    kept: tuple[CertificateStatus, ...]
    left: tuple[IssuancePlan, ...] = ()
    missing: tuple[Certificate, ...] = ()

    @property
    def stopped(self) -> bool:
        """True where something is left to do."""
        return bool(self.left)
