"""Several certificates at once, for when nobody reads along."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kcert import shell
from kcert.certificates import Kind
from kcert.issue.plan import Run
from kcert.openssl import commands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.issue.plan import IssuancePlan
    from kcert.issue.workbench import Executor, Work
    from kcert.shell import Outcome

AHEAD = 32
"""Certificates that may wait with a finished key: keys are what takes long, and there is always one to begin."""

BATCH = 16
"""Certificates that one `openssl verify` looks at."""


class SideBySide:
    """Which command comes next when several certificates are made at once.

    Keys come first, because they take long and hold nobody up; a certificate waits with its signature until
    its CA is in place; and `openssl verify` looks at many leaves at a time.
    """

    def __init__(self, bench: Executor, procedures: Iterable[IssuancePlan]) -> None:
        self.bench = bench
        self.waiting = deque(procedures)
        self.coming = {one.certificate.name for one in self.waiting}  # not in place yet
        self.ready: deque[Work] = deque()
        self.held: list[Work] = []  # until their CA is in place
        self.unverified: list[Work] = []
        self.running: dict[shell.Command, list[Work]] = {}

    def next_command(self) -> shell.Command | None:
        """What to run next, if anything can be run now."""
        while self.waiting and len(self.ready) + len(self.held) < AHEAD:
            work = self.bench.stage(self.waiting.popleft())
            self.bench.narrator.begins(work.procedure)
            if work.procedure.keeps_key:
                self._go_on(work)
            else:
                return self._start(work)
        if self.ready:
            return self._start(self.ready.popleft())
        if self.unverified and (not self.running or len(self.unverified) >= BATCH):
            return self._verify()
        return None

    def ended(self, outcome: Outcome) -> None:
        """Take up what a command that ended has made possible."""
        works = self.running.pop(outcome.command)
        step = works[0].step
        assert isinstance(step, Run)
        self.bench.record(works[0], step, outcome)
        self.bench.insist(works[0], step, outcome)
        for work in works:
            work.at += 1
            self._go_on(work)
        done = [work for work in works if work.step is None]
        if done:
            self._in_place(done)

    def _start(self, work: Work) -> shell.Command:
        step = work.step
        assert isinstance(step, Run)
        command = self.bench.command(work, step)
        self.running[command] = [work]
        return command

    def _go_on(self, work: Work) -> None:
        """Do what kcert does itself, and put the work where its next command is taken from."""
        while work.step is not None and not isinstance(work.step, Run):
            self.bench.write(work, work.step)
            work.at += 1
        step = work.step
        if not isinstance(step, Run):
            return
        if step.action == "signature" and work.issuer in self.coming:
            self.held.append(work)
        elif step.action == "verify" and work.certificate.kind is not Kind.CA:
            self.unverified.append(work)
        else:
            self.ready.append(work)

    def _verify(self) -> shell.Command:
        """One command for all that wait for it and have the same CA."""
        issuer = self.unverified[0].issuer
        works = [work for work in self.unverified if work.issuer == issuer]
        self.unverified = [work for work in self.unverified if work.issuer != issuer]
        authority = works[0].procedure.issuer
        assert authority
        assert authority.files.crt
        crts = [work.certificate.files.crt for work in works if work.certificate.files.crt]
        staging = self.bench.workspace.stage([authority.files.crt], crts)
        for work, crt in zip(works, crts, strict=True):
            staging.link(crt, work.staging.path(crt))
        argv = commands.verification(
            self.bench.order.openssl, authority.files.crt, *crts, intermediate=authority.intermediate
        )
        command = shell.Command(argv, staging.folder)
        self.running[command] = works
        return command

    def _in_place(self, works: list[Work]) -> None:
        self.bench.finish(works)
        self.coming -= {work.certificate.name for work in works}
        free = [work for work in self.held if work.issuer not in self.coming]
        self.held = [work for work in self.held if work.issuer in self.coming]
        self.ready.extend(free)
