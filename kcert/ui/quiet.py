"""Quiet work: one line for each certificate, in the order of the plan, whatever order they are finished in."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from kcert.issue.context import Reporter
from kcert.issue.status import State
from kcert.ui import in_no_group, print_json, without_end

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        self._statuses: Sequence[CertificateStatus] = ()
        self._option = ""

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        self._note(f"waiting for another kcert in this folder: {ascii(holder)[1:-1]}.")

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
        cut = f"  (the rest of its CA's lifetime: {plan.days} days)" if plan.days < certificate.days else ""
        verb = "renewed" if plan.replaces else "made"
        self._lines[certificate.name] = f"{verb}  {certificate.name}  {until}  {certificate.files.primary}{cut}"
        self._finished += 1
        self._issued.append(issued)
        self._print()

    def on_end(self, result: Result | None, /) -> None:  # noqa: ARG002 - as the reporter
        """Delete the counter, and name users without a group."""
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


class Json(Quiet):
    """Prints a JSON list with an object for each certificate, when all of them are issued."""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Keep the order of the plan, and what is not issued again."""
        self._cluster = ctx.cluster
        self._statuses = work.statuses
        self._option = ctx.signing_option
        for remark in work.remarks:
            self._note(remark)

    def on_issued(self, issued: Issued) -> None:
        """Keep the certificate for the end."""
        self._issued.append(issued)

    def on_end(self, result: Result | None, /) -> None:
        """Print the list; after a failure, the list of what was issued before it."""
        issued = {one.plan.certificate.name: one for one in self._issued}
        records = []
        for status in self._statuses:
            made = issued.get(status.certificate.name)
            if made or (result and status in result.kept):
                records.append(_record(status, made, self._option))
        print_json(records)
        if words := in_no_group(self._cluster, self._issued) if self._cluster else "":
            self._note(words)


def _record(status: CertificateStatus, issued: Issued | None, folder_option: str) -> dict[str, object]:
    """Return a certificate as JSON: what was done, its state before, and its files."""
    spec = issued.plan.certificate if issued else status.certificate
    found = issued.x509 if issued else status.x509
    action = "kept" if issued is None else "renewed" if issued.plan.replaces else "made"
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "action": action,
        "state": State.CURRENT.value if issued else status.state.value,
        "reason": None if issued else status.reason or None,
        "fix": None if issued or status.state is State.CURRENT else status.fix_command(folder_option),
        "not_after": f"{found.not_after:%Y-%m-%dT%H:%M:%SZ}" if found else None,
        "files": [str(path) for path in spec.files.kept],
    }


def _kept(standing: CertificateStatus, folder_option: str) -> str:
    name = standing.certificate.name
    if standing.state is State.CURRENT:
        return f"kept  {name}  current"
    return f"kept  {name}  {standing.state.value}: {standing.reason} ({standing.fix_command(folder_option)})"
