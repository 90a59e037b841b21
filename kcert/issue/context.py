"""The context of issuing (Context), its outcome (Result), and the events that it reports (Reporter)."""

from __future__ import annotations

import enum
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kcert.certificates import ROOT, Certificate
from kcert.errors import InputError
from kcert.files import foreign_owner, is_writable_by_others, read_regular
from kcert.issue.plan import IssuancePlan, ToolConfig
from kcert.issue.status import CertificateStatus, State
from kcert.quoting import quote
from kcert.shell import PASSPHRASE_VARIABLE, ROOT_PASSPHRASE_VARIABLE, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from kcert.config import Cluster
    from kcert.issue.steps import Step
    from kcert.openssl.x509 import X509


@dataclass(frozen=True)
class Owner:
    """``whose`` key a passphrase is for, and by which ``variable`` and ``option`` it is given."""

    whose: str
    variable: str
    option: str

    @property
    def in_environment(self) -> str:
        """As openssl's -passin and -passout take it (openssl-passphrase-options(1))."""
        return f"env:{self.variable}"


CA_KEY = Owner("the CA's", PASSPHRASE_VARIABLE, "--ca-passphrase-file")
ROOT_KEY = Owner("the root's", ROOT_PASSPHRASE_VARIABLE, "--root-passphrase-file")

OWNERS = (ROOT_KEY, CA_KEY)
"""In the order in which their keys are needed: the root signs the CA."""

SHORTEST = 8
"""Characters of a passphrase that a key is made with: NIST SP 800-63B, section 5.1.1.1, asks for as many at least."""

LONGEST = 1000
"""Bytes; openssl cuts off, without a word, what does not fit into its 1024."""


class Prompt(Protocol):
    """Asks at the terminal; raises InputError if there is none."""

    def __call__(self, owner: Owner, key: str, *, twice: bool) -> str:
        """The passphrase of the file *key*; *twice* for one that is new, so that a slip of the finger shows."""


class Passphrase:
    """The passphrase of all keys of an *owner*: from a *file*, the environment, or asked for, once, when first needed.

    Without *asks* kcert does not ask, and what is not known stays unknown: a script that is printed asks by itself.
    """

    def __init__(self, owner: Owner = CA_KEY, file: Path | None = None, asks: Prompt | None = None) -> None:
        self.owner = owner
        self._file = None if file is None else file.absolute()
        self._asks = asks
        self._value: str | None = None

    @property
    def argument(self) -> str:
        """Return the argument of -passin or -passout of an openssl command."""
        return self.owner.in_environment if self._file is None else f"file:{self._file}"

    @property
    def is_known(self) -> bool:
        """Return True if a file or the environment contains the passphrase, so that kcert does not ask for it."""
        return self._file is not None or self.owner.variable in os.environ

    def __repr__(self) -> str:
        """Return where it comes from; never what it is."""
        return f"Passphrase({self.argument})"

    def opening(self, key: Path) -> str | None:
        """The passphrase for a key that is there; None if it is not known and kcert may not ask."""
        return self._learnt(key, new=False)

    def locking(self, key: Path) -> str | None:
        """Return the passphrase for a new key; raises InputError for one that gives no protection."""
        value = self._learnt(key, new=True)
        if value is not None and len(value) < SHORTEST:
            raise InputError(
                f"the passphrase for {key} has {len(value)} characters, which is too easy to guess: expected "
                f"{SHORTEST} or more. Use several words that do not belong together."
            )
        return value

    def handed_to(self, argv: Sequence[str]) -> dict[str, str]:
        """Return what has to be in the environment of the command *argv*: the passphrase, if it looks for it there."""
        if self._value is None or self.owner.in_environment not in argv:
            return {}
        return {self.owner.variable: self._value}

    def _learnt(self, key: Path, *, new: bool) -> str | None:
        if self._value is None:
            self._value = self._given()
        if self._value is None and self._asks is not None:
            self._value = _checked(self._asks(self.owner, str(key), twice=new), "the passphrase")
        return self._value

    def _given(self) -> str | None:
        if self._file is not None:
            return _checked(_first_line(self._file, self.owner), str(self._file))
        if (value := os.environ.get(self.owner.variable)) is not None:
            return _checked(value, self.owner.variable)
        return None


def roots(own: Passphrase, ca: Passphrase) -> Passphrase:
    """Return what opens the root's key: its *own* passphrase, or that of the CA where that alone is known."""
    return ca if ca.is_known and not own.is_known else own


def _first_line(path: Path, owner: Owner) -> str:
    """The first line of the file, which is what openssl takes of it, as often as a command is run."""
    try:
        content = read_regular(path)
        faults = list(_exposed(path))
    except OSError as error:
        raise InputError(
            f"the passphrase cannot be read from {path}: {error.strerror}. A pipe is not possible, because each "
            f'command reads the file again: use {owner.variable}="$(COMMAND)" instead.'
        ) from None
    if faults:
        raise InputError(f"{path} holds a passphrase, and other users can read or replace it ({faults[0]}.")
    line = content.split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise InputError(
            f"the first line of {path} ends with a carriage return (a Windows line ending), which openssl would "
            f"treat as part of the passphrase. Save the file with Unix line endings."
        )
    return os.fsdecode(line)


def _exposed(path: Path) -> Iterator[str]:
    """Yield how others can read the passphrase in the file at *path*, or replace the file, and what ends that.

    Where it is a link (Kubernetes mounts secrets so), link and file both count, and all folders above both: who can
    rename a folder can replace what is in it. A user who works through sudo may use a file of their own. Raises OSError
    where that cannot be looked at.
    """
    real, named = Path(os.path.realpath(path)), path.absolute()
    mode = stat.S_IMODE(real.stat().st_mode)
    if mode & 0o077:
        yield f"mode {mode:04o}): `chmod 600 {quote(str(path))}`"
    folders = dict.fromkeys((*real.parents, *named.parents))
    for exposed in dict.fromkeys((real, named, *folders)):
        what = "it" if exposed in (real, named) else f"its folder {exposed}"
        if owner := foreign_owner(exposed, follow=exposed != named, sudo=True):
            yield f"{what} belongs to {owner}): `chown {os.geteuid()} {quote(str(exposed))}`, or use your own file"
    for folder in folders:
        status = folder.stat()
        # With the sticky bit, as in /tmp, no user can replace the files of another (unlink(2)).
        if is_writable_by_others(status) and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            yield f"its folder {folder} has mode {mode:04o}): `chmod go-w {quote(str(folder))}`"


def _checked(value: str, source: str) -> str:
    if not value:
        raise InputError(f"{source} is empty: a passphrase has at least one character.")
    if any(character in value for character in "\n\r\0"):
        raise InputError(f"{source} contains a line break, which ends the passphrase for openssl.")
    if len(os.fsencode(value)) > LONGEST:
        raise InputError(f"{source} is longer than {LONGEST} bytes, and openssl would truncate it without a warning.")
    return value


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
    def tools(self) -> ToolConfig:
        """Return what plans are made with."""
        return ToolConfig(self.openssl, self.templates, self.cluster.name)

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
        return tuple(
            status
            for status in self.statuses
            if status.state is not State.MISSING and status.certificate.name not in planned
        )


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
