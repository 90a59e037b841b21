"""What is to be made, what came of it, and who hears of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kcert.certificates import ROOT
from kcert.issue.passphrase import ROOT_KEY, Passphrase
from kcert.issue.status import CertificateStatus, State
from kcert.shell import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.plan import IssuancePlan, Step
    from kcert.openssl.read import X509
    from kcert.shell import Outcome


class StoppedError(Exception):
    """The user wants no more; raised by a narrator, and no error."""


class CsrTarget(enum.Enum):
    """Whom a request is for: one of the cluster's signers, who is told the usages apart, or the CA's own machine."""

    CLUSTER = "cluster"
    AUTHORITY = "authority"


@dataclass(frozen=True)
class Renewal:
    """What of an order's certificates is to be renewed, and how.

    ``named`` tells that the user named each of them; otherwise those are meant that end ``within`` a time, are
    ``stale``, or, with ``every``, all but the CAs. What is stale is brought in line with kcert.yaml, the rest
    stays as it is. ``days`` is a lifetime other than the usual. ``finish`` ends the change-over of a CA. With ``asks``
    a CA is not renewed yet: a request is made, for whoever signed it.
    """

    named: bool = False
    every: bool = False
    within: timedelta | None = None
    stale: bool = False
    new_key: bool = False
    days: int | None = None
    finish: bool = False
    asks: bool = False


@dataclass(frozen=True)
class IssueContext:
    """What is to be made, where, and with what.

    ``wanted`` is to be made, ``known`` is all that the cluster needs (CAs among it). ``doing`` is the
    command as another kcert is told of it, ``folder_option`` what belongs behind a command that is to work
    on the same folder for the same cluster (`` --dir lab``), ``ca_dir`` where the CAs are kept if that is elsewhere.
    With ``side_by_side`` whole certificates are made at once,
    otherwise one by one; ``jobs`` is how many processes may run at a time. With a ``renewal`` it is about
    certificates that are there, otherwise about those that are missing; with ``asks`` only requests are made, for
    a cluster's signer or for the CA itself.
    ``place`` is what the folder is called. ``passphrase`` opens the CAs' keys where they are encrypted,
    ``root_passphrase`` that of a root above them; with ``encrypts`` those of CAs that are made will be.
    """

    cluster: Cluster
    wanted: tuple[Certificate, ...]
    known: tuple[Certificate, ...]
    root: Path
    doing: str
    openssl: str = "openssl"
    templates: Path | None = None
    folder_option: str = ""
    ca_dir: Path | None = None
    jobs: int = 1
    side_by_side: bool = False
    renewal: Renewal | None = None
    asks: CsrTarget | None = None
    place: str = "PKI folder"
    passphrase: Passphrase = field(default_factory=Passphrase)
    root_passphrase: Passphrase = field(default_factory=lambda: Passphrase(ROOT_KEY))
    encrypts: bool = False

    @property
    def signing_option(self) -> str:
        """What belongs behind a command that is to sign with the same CA in the same folder."""
        return self.folder_option + (f" --ca-dir {quote(str(self.ca_dir))}" if self.ca_dir else "")

    def passphrase_of(self, authority: Certificate) -> Passphrase:
        """What opens, or locks, the key of *authority*."""
        return self.root_passphrase if authority.name == ROOT else self.passphrase

    def passphrases_for(self, argv: Sequence[str]) -> dict[str, str]:
        """What has to be in the environment of the command *argv*, by the names of the variables."""
        return self.passphrase.handed_to(argv) | self.root_passphrase.handed_to(argv)


@dataclass(frozen=True)
class Prepared:
    """How things stand, what there is to do about it, and what has to be said first."""

    statuses: tuple[CertificateStatus, ...]
    procedures: tuple[IssuancePlan, ...]
    remarks: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[CertificateStatus, ...]:
        """What is there already and stays as it is."""
        done = {one.certificate.name for one in self.procedures}
        return tuple(
            one for one in self.statuses if one.state is not State.MISSING and one.certificate.name not in done
        )


@dataclass(frozen=True)
class Made:
    """A certificate that is in place; ``found`` is what openssl reads back (None: a bare key pair, or a request)."""

    procedure: IssuancePlan
    found: X509 | None


@dataclass(frozen=True)
class Result:
    """What came of an order; ``stopped`` tells that the user ended it before all was made.

    ``missing`` is what the cluster needs besides, and has not got yet.
    """

    made: tuple[Made, ...]
    kept: tuple[CertificateStatus, ...]
    left: tuple[IssuancePlan, ...] = ()
    missing: tuple[Certificate, ...] = ()

    @property
    def stopped(self) -> bool:
        """True where something is left to do."""
        return bool(self.left)


class Reporter(Protocol):
    """Hears of everything as it happens. ``before`` may raise StoppedError."""

    def waits(self, holder: str) -> None:
        """Another kcert is at work in the folder."""

    def opens(self, order: IssueContext, prepared: Prepared) -> None:
        """What will be made, and what is kept."""

    def ahead(self, procedures: Sequence[IssuancePlan], jobs: int) -> None:
        """The keys of *procedures* will be generated now, *jobs* at a time."""

    def begins(self, procedure: IssuancePlan) -> None:
        """The steps of a certificate begin."""

    def before(self, procedure: IssuancePlan, step: Step) -> None:
        """*step* is about to run."""

    def after(self, procedure: IssuancePlan, step: Step, outcome: Outcome | None) -> None:
        """*step* is done; a file that kcert wrote has no outcome."""

    def made(self, made: Made) -> None:
        """A certificate is in place."""
