"""Quiet work: one line for each certificate, in the order of the plan, whatever order they are finished in."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from kcert.issue.status import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.context import IssueContext, Made, Prepared
    from kcert.issue.plan import IssuancePlan, Step
    from kcert.issue.status import CertificateStatus
    from kcert.shell import Outcome


class Quiet:
    """Prints plain lines; rich is not even imported, because a line a certificate needs none of it."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._order: list[str] = []
        self._finished = 0
        self._made: list[Made] = []
        self._cluster: Cluster | None = None
        self._counts = sys.stderr.isatty()

    def waits(self, holder: str) -> None:
        """Say who holds the folder."""
        self._note(f"waiting for {ascii(holder)[1:-1]}, which is at work in this folder.")

    def opens(self, order: IssueContext, prepared: Prepared) -> None:
        """What is kept has its line at once."""
        self._cluster = cluster = order.cluster
        if cluster.defaults and not cluster.source:
            self._note(f"no kcert.yaml, so the built-in example: {', '.join(cluster.defaults)}.")
        for remark in prepared.remarks:
            self._note(remark)
        self._order = [one.certificate.name for one in prepared.statuses]
        for standing in prepared.kept:
            self._lines[standing.certificate.name] = _kept(standing, order.signing_option)
        self._print()

    def ahead(self, procedures: Sequence[IssuancePlan], jobs: int) -> None:
        """Keys make no line of their own."""

    def begins(self, procedure: IssuancePlan) -> None:
        """Nothing is printed before it is in place."""

    def before(self, procedure: IssuancePlan, step: Step) -> None:
        """Nothing is printed before it is in place."""

    def after(self, procedure: IssuancePlan, step: Step, outcome: Outcome | None) -> None:
        """Nothing is printed before it is in place."""

    def made(self, made: Made) -> None:
        """A line, once all before it have theirs."""
        certificate = made.procedure.certificate
        until = f"until {made.found.not_after:%Y-%m-%d}" if made.found else without_end(certificate)
        cut = (
            f"  (all that its CA has left: {made.procedure.days} days)"
            if made.procedure.days < certificate.days
            else ""
        )
        verb = "renewed" if made.procedure.replaces else "made"
        self._lines[certificate.name] = f"{verb}  {certificate.name}  {until}  {certificate.files.proof}{cut}"
        self._finished += 1
        self._made.append(made)
        self._print()

    def ends(self) -> None:
        """Whatever there was to say is said; the counter goes."""
        self._clear()
        if self._cluster and (words := in_no_group(self._cluster, self._made)):
            self._note(words)

    def _note(self, text: str) -> None:
        """A remark on standard error, apart from the lines; on a terminal wrapped as its width wants it."""
        line = f"kcert: {text}"
        if sys.stderr.isatty():
            line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _print(self) -> None:
        self._clear()
        while self._order and self._order[0] in self._lines:
            sys.stdout.write(self._lines.pop(self._order.pop(0)) + "\n")
        sys.stdout.flush()
        if self._counts and self._order:
            sys.stderr.write(f"{self._finished} made, {len(self._order)} to go")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._counts:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def without_end(certificate: Certificate) -> str:
    """What that is which has no date to end on: it is no certificate."""
    return "a request" if certificate.files.csr else "a key pair"


def in_no_group(cluster: Cluster, made: Sequence[Made]) -> str:
    """A sentence on the users who were made without any group, which may be a slip; not on those in kcert.yaml."""
    described = {user.name for user in cluster.users}
    names = [
        one.name
        for one in (made_.procedure.certificate for made_ in made if not made_.procedure.replaces)
        if one.role == "user" and one.name not in described and one.subject and not one.subject.organizations
    ]
    if not names:
        return ""
    listed = f"{', '.join(names[:-1])} and {names[-1]} are" if names[1:] else f"{names[0]} is"
    return f"{listed} in no group: --group GROUP puts whoever is made into one."


def _kept(standing: CertificateStatus, folder_option: str) -> str:
    name = standing.certificate.name
    if standing.state is State.CURRENT:
        return f"kept  {name}  current"
    return f"kept  {name}  {standing.state.value}: {standing.reason} ({standing.mended_by(folder_option)})"
