"""Making certificates: what is missing is planned, run step by step, checked, and put into place.

A lesson runs one command after the other (``kcert.shell.run``); quiet work runs the certificates side by
side (``kcert.shell.run_many``). Both run the same steps in the same staging folders.
"""

from __future__ import annotations

from datetime import datetime, timezone

from kcert import shell
from kcert.issue.context import CsrTarget, IssueContext, Made, Prepared, Renewal, Reporter, Result, StoppedError
from kcert.issue.one_by_one import OneByOne
from kcert.issue.planner import locked, prepare_missing
from kcert.issue.side_by_side import SideBySide
from kcert.issue.workbench import Executor
from kcert.store import Workspace

__all__ = [
    "CsrTarget",
    "IssueContext",
    "Made",
    "Prepared",
    "Renewal",
    "Reporter",
    "Result",
    "StoppedError",
    "make",
    "prepare",
]


def prepare(order: IssueContext, now: datetime | None = None) -> Prepared:
    """Look at the folder and plan what is missing; nothing is written.

    Raises InputError for a CA or a key that cannot be used, and for a template that cannot.
    """
    moment = now or datetime.now(timezone.utc)
    order = locked(order)
    if order.renewal:
        from kcert.issue.renewal import prepare_renewal

        return prepare_renewal(order, order.renewal, moment)
    if order.asks:
        from kcert.issue.asking import prepare_requests

        return prepare_requests(order)
    return prepare_missing(order, moment)


def make(order: IssueContext, narrator: Reporter) -> Result:
    """Make what is missing of the order, and leave alone what is there.

    Raises a KcertError for whatever stands in the way; what was finished before stays, and nothing else.
    """
    if Workspace.is_unfinished(order.root):
        with Workspace.open(order.root, order.doing, narrator.waits):
            pass  # what was stopped half-way is completed before anybody judges what is there
    if not order.root.exists() or any(one.passphrase for one in locked(order).known):
        # What cannot be made must not leave an empty folder behind; and nobody waits for a passphrase to be typed.
        prepare(order)
    with Workspace.open(order.root, order.doing, narrator.waits) as workspace:
        prepared = prepare(order)
        narrator.opens(order, prepared)
        bench = Executor(order, workspace, narrator)
        try:
            if order.side_by_side:
                batch = SideBySide(bench, prepared.procedures)
                shell.run_many(batch.next_command, batch.ended, order.jobs)
            else:
                OneByOne(bench).run(prepared.procedures)
        except StoppedError:
            pass
    done = {made.procedure.certificate.name for made in bench.made}
    left = tuple(one for one in prepared.procedures if one.certificate.name not in done)
    missing = tuple(one for one in order.known if not (order.root / one.files.proof).exists())
    return Result(tuple(bench.made), prepared.kept, left, missing)
