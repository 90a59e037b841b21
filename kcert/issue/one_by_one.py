"""One certificate after the other, one command after the other, as a lesson shows it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert import shell
from kcert.issue.plan import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.issue.plan import IssuancePlan
    from kcert.issue.workbench import Executor, Work
    from kcert.shell import Outcome


@dataclass
class OneByOne:
    """Makes certificates in order; with several jobs the keys are generated first, so many at a time."""

    bench: Executor

    def run(self, procedures: Sequence[IssuancePlan]) -> None:
        """Make all of *procedures*, or as many as come before the first trouble."""
        works = self._keys_ahead(procedures) if self.bench.order.jobs > 1 else {}
        for procedure in procedures:
            self.bench.narrator.begins(procedure)
            work = works.get(procedure.certificate.name) or self.bench.stage(procedure)
            while (step := work.step) is not None:
                self.bench.narrator.before(procedure, step)
                if isinstance(step, Run):
                    outcome = shell.run(self.bench.command(work, step))
                    self.bench.record(work, step, outcome)
                    self.bench.narrator.after(procedure, step, outcome)
                    self.bench.insist(work, step, outcome)
                else:
                    self.bench.write(work, step)
                    self.bench.narrator.after(procedure, step, None)
                work.at += 1
            self.bench.finish([work])

    def _keys_ahead(self, procedures: Sequence[IssuancePlan]) -> dict[str, Work]:
        """Generate the keys several at a time, before the rest of the lesson."""
        keyed = [one for one in procedures if not one.keeps_key]
        if not keyed:
            return {}
        self.bench.narrator.ahead(keyed, self.bench.order.jobs)
        waiting = deque(self.bench.stage(one) for one in keyed)
        works = {one.certificate.name: one for one in waiting}
        running: dict[shell.Command, Work] = {}

        def next_key() -> shell.Command | None:
            if not waiting:
                return None
            work = waiting.popleft()
            assert isinstance(work.step, Run)
            command = self.bench.command(work, work.step)
            running[command] = work
            return command

        def ended(outcome: Outcome) -> None:
            work = running.pop(outcome.command)
            assert isinstance(work.step, Run)
            self.bench.record(work, work.step, outcome)
            self.bench.narrator.after(work.procedure, work.step, outcome)
            self.bench.insist(work, work.step, outcome)
            work.at += 1

        shell.run_many(next_key, ended, self.bench.order.jobs)
        return works
