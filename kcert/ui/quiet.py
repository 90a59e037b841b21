"""Quiet work: one line for each certificate, in the order of the plan, whatever order they are finished in."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from kcert.issue.context import Reporter
from kcert.issue.status import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.context import Context, Issued, Result, Work
    from kcert.issue.status import CertificateStatus


class Quiet(Reporter):
    """Prints plain lines; rich is not even imported, because a line a certificate needs none of it."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._order: list[str] = []
        self._finished = 0
        self._issued: list[Issued] = []
        self._cluster: Cluster | None = None
        self._counts = sys.stderr.isatty()

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        self._note(f"waiting for {ascii(holder)[1:-1]}, which is at work in this folder.")

    def on_plan(self, ctx: Context, work: Work) -> None:
        """What is kept has its line at once."""
        self._cluster = cluster = ctx.cluster
        if cluster.defaults and not cluster.source:
            self._note(f"no kcert.yaml, so the built-in example: {', '.join(cluster.defaults)}.")
        for remark in work.remarks:
            self._note(remark)
        self._order = [one.certificate.name for one in work.statuses]
        for standing in work.kept:
            self._lines[standing.certificate.name] = _kept(standing, ctx.signing_option)
        self._print()

    def on_issued(self, issued: Issued) -> None:
        """A line, once all before it have theirs."""
        plan, certificate = issued.plan, issued.plan.certificate
        until = f"until {issued.x509.not_after:%Y-%m-%d}" if issued.x509 else without_end(certificate)
        cut = f"  (all that its CA has left: {plan.days} days)" if plan.days < certificate.days else ""
        verb = "renewed" if plan.replaces else "made"
        self._lines[certificate.name] = f"{verb}  {certificate.name}  {until}  {certificate.files.primary}{cut}"
        self._finished += 1
        self._issued.append(issued)
        self._print()

    def on_end(self, _result: Result | None, /) -> None:
        """Whatever there was to say is said; the counter goes."""
        self._clear()
        if self._cluster and (words := in_no_group(self._cluster, self._issued)):
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
    """What that is which has no date to end on: it is not a certificate."""
    return "a request" if certificate.files.csr else "a key pair"


def in_no_group(cluster: Cluster, issued: Sequence[Issued]) -> str:
    """A sentence on the users who were made without any group, which may be a slip; not on those in kcert.yaml."""
    described = {user.name for user in cluster.users}
    names = [
        spec.name
        for spec in (one.plan.certificate for one in issued if not one.plan.replaces)
        if spec.role == "user" and spec.name not in described and spec.subject and not spec.subject.organizations
    ]
    if not names:
        return ""
    listed = f"{', '.join(names[:-1])} and {names[-1]} are" if names[1:] else f"{names[0]} is"
    return f"{listed} in no group: --group GROUP puts whoever is made into one."


def _kept(standing: CertificateStatus, folder_option: str) -> str:
    name = standing.certificate.name
    if standing.state is State.CURRENT:
        return f"kept  {name}  current"
    return f"kept  {name}  {standing.state.value}: {standing.reason} ({standing.fix_command(folder_option)})"
