"""The executor: stage a plan, run its steps, record and check them, publish what they made.

In sequence, as a lesson shows it, commands run one after the other (``kcert.shell.run``); in parallel, several
certificates are made at once (``kcert.shell.run_many``). Both run the same steps in the same staging folders.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kcert import shell
from kcert.certificates import Certificate, Kind
from kcert.errors import InputError, ProgramError
from kcert.files import read_regular
from kcert.issue.checks import open_key
from kcert.issue.context import Context, IssuancePlan, Issued, SkippedError
from kcert.issue.status import drift, status_of
from kcert.issue.steps import Step
from kcert.openssl import commands
from kcert.openssl.pem import private_key
from kcert.openssl.program import key_belongs
from kcert.openssl.reader import first_certificate, read_request
from kcert.openssl.x509 import X509, Request
from kcert.quoting import quote
from kcert.shell import Outcome
from kcert.store import Staging, Workspace
from kcert.store.history import Prepared

STAGED_AHEAD = 32
"""Certificates that may wait with a finished key: keys take long, and there is always one to begin."""

VERIFY_BATCH = 16
"""Certificates that one `openssl verify` checks."""


@dataclass
class Job:
    """A plan in its staging folder; ``done`` counts the steps that are done."""

    plan: IssuancePlan
    staging: Staging
    done: int = 0

    @property
    def certificate(self) -> Certificate:
        """Return what is being made."""
        return self.plan.certificate

    @property
    def step(self) -> Step | None:
        """The step that comes next; None when all are done."""
        return self.plan.steps[self.done] if self.done < len(self.plan.steps) else None

    def text(self, name: PurePosixPath) -> str:
        """Return the content of a file."""
        return self.staging.path(name).read_text(encoding="utf-8", errors="replace")


@dataclass
class Executor:
    """Carries out plans in the PKI folder *store*; ``issued`` is what is in place so far."""

    ctx: Context
    store: Workspace
    issued: list[Issued] = field(default_factory=list)
    _ca_certificates: dict[str, X509 | None] = field(default_factory=dict)
    _prepared: defaultdict[Path, list[Prepared]] = field(default_factory=lambda: defaultdict(list))
    """Steps of kcert itself in each staging folder, for the record of the next command there."""

    @property
    def done(self) -> set[str]:
        """The names of the certificates that are in place."""
        return {issued.plan.certificate.name for issued in self.issued}

    def run(self, plans: Sequence[IssuancePlan]) -> None:
        """Carry out *plans* in order; with several jobs the keys are generated first, so many at a time."""
        jobs = self._generate_keys(plans) if self.ctx.jobs > 1 else {}
        skipped: set[str | None] = set()
        for plan in plans:
            ca = plan.issuer.files.crt if plan.issuer else None
            if plan.certificate.issuer in skipped and not (ca and (self.ctx.root / ca).exists()):
                continue
            job = jobs.get(plan.certificate.name) or self.stage(plan)
            try:
                for step in plan.steps[job.done :]:
                    if outcome := self.run_step(job.staging, step, plan):
                        self.check_outcome(job.staging, step, outcome, plan.certificate.name)
            except SkippedError:
                skipped.add(plan.certificate.name)
            else:
                self.publish(job)

    def run_step(self, staging: Staging, step: Step, plan: IssuancePlan | None = None) -> Outcome | None:
        """Report *step*, do it in *staging*, and record it; return the outcome of its command, whatever that is."""
        self.ctx.reporter.on_step(step, plan)
        outcome = shell.run(self.command(staging, step)) if step.argv else None
        self._done(staging, step, outcome)
        return outcome

    def run_all(self, staging: Staging, steps: Iterable[Step], name: str) -> None:
        """Do *steps*, which make *name*, in *staging*; raises ProgramError if a command fails."""
        for step in steps:
            if outcome := self.run_step(staging, step):
                self.check_outcome(staging, step, outcome, name)

    def _done(self, staging: Staging, step: Step, outcome: Outcome | None) -> None:
        """Do what kcert does itself, or record the command that ended as *outcome*, and report the step."""
        if outcome:
            self._record(staging, step.action, step.makes, step.makes if step.secret else (), outcome)
        elif not step.late:  # one that is late waits for ``publish``
            self._perform(staging, step)
        self.ctx.reporter.on_step_done(step, outcome)

    def _perform(self, staging: Staging, step: Step) -> None:
        if step.perform:
            step.perform(staging, self.ctx.root)
            makes, reads = tuple(map(str, step.makes)), tuple(map(str, step.reads))
            self._prepared[staging.folder].append(Prepared(step.action, makes, reads, step.script))

    def _record(
        self,
        staging: Staging,
        action: str,
        makes: Iterable[PurePosixPath],
        secrets: Container[PurePosixPath],
        outcome: Outcome | None,
    ) -> None:
        """Record a command, or (without an *outcome*) only what kcert did itself after the last one in *staging*."""
        hashes = {str(path): None if path in secrets else staging.sha256(path) for path in makes}
        self.store.history.append(outcome, self.store.root, hashes, action, self._prepared.pop(staging.folder, ()))

    def _generate_keys(self, plans: Sequence[IssuancePlan]) -> dict[str, Job]:
        """Generate the keys several at a time, before the rest of the lesson."""
        jobs = [self.stage(plan) for plan in plans if not plan.keeps_key]
        running = {self.command(job.staging, step): job for job in jobs if (step := job.step)}
        waiting = iter(running)
        shell.run_many(
            lambda: next(waiting, None),
            lambda outcome: self.complete([running[outcome.command]], outcome),
            self.ctx.jobs,
        )
        return {job.certificate.name: job for job in jobs}

    def run_in_parallel(self, plans: Sequence[IssuancePlan]) -> None:
        """Carry out *plans*, several at once."""
        queue = _Queue(self, plans)
        shell.run_many(queue.next_command, queue.ended, self.ctx.jobs)

    def stage(self, plan: IssuancePlan) -> Job:
        """Return *plan* in a staging folder, with the CA, and a key that is kept, in reach."""
        certificate, issuer = plan.certificate, plan.issuer
        files = certificate.files
        if not plan.keeps_key and (path := self.ctx.root / files.key).is_symlink():
            # A key that is kept elsewhere is so for its safety: a plain file in place of the link would undo that.
            raise InputError(
                f"{path} is a link to {path.readlink()}: the key is kept elsewhere, and a new one would replace the "
                "link. Remove the link if that is intended; for a CA with its key in another folder use --ca-dir."
            )
        links: list[PurePosixPath] = []
        if issuer and issuer is not certificate:
            links += [issuer.crt, issuer.files.key]
        extracted = {path for step in plan.steps if step.scratch for path in step.makes}
        if plan.keeps_key and files.key not in extracted:
            links.append(files.key)
        made = [path for path in (files.key, files.crt, *plan.outputs) if path]
        self.store.check_writable(made)
        staging = self.store.stage([*links, *plan.inputs], made)
        for source, name in plan.copies:
            staging.write(name, read_regular(self.ctx.root / source))
            if source != name:
                script = f"cp {quote(str(source))} {quote(str(name))}"
                self._prepared[staging.folder].append(Prepared("copy", (str(name),), (str(source),), (script,)))
        return Job(plan, staging)

    def command(self, staging: Staging, step: Step) -> shell.Command:
        """Return *step* as a command in the folder *staging*."""
        environment = self.ctx.passphrases.environment_of(step.argv)
        return shell.Command(step.argv, staging.folder, step.limit, environment)

    def complete(self, jobs: Sequence[Job], outcome: Outcome | None) -> None:
        """Do, or record and check, the next step of all *jobs*, whose command ended as *outcome*."""
        step = jobs[0].step
        assert step
        self._done(jobs[0].staging, step, outcome)
        if outcome:
            self.check_outcome(jobs[0].staging, step, outcome, jobs[0].certificate.name)
        for job in jobs:
            job.done += 1

    def check_outcome(self, staging: Staging, step: Step, outcome: Outcome, name: str) -> None:
        """Raise ProgramError where the command, which makes *name*, failed or did not leave the files of *step*."""
        if not outcome.succeeded:
            how = f"status {outcome.status}" if outcome.status >= 0 else f"signal {-outcome.status}"
            lines = [line for line in outcome.output.splitlines() if line.strip()]
            last = f": {ascii(lines[-1].strip())[1:-1]}" if lines else ""
            raise ProgramError(
                f"{' '.join(step.argv[:2])} failed ({how}) while {name} was made{last}. None of its files were put "
                f"into {self.ctx.root}; certificates that were finished before are there."
            )
        for path in map(staging.path, step.makes):
            if not path.is_file() or path.stat().st_size == 0:
                raise ProgramError(
                    f"{' '.join(step.argv[:2])} reported success, but did not create "
                    f"{path.relative_to(staging.folder)}. Is the disk full, or is {step.argv[0]} a different program?"
                )

    def publish(self, job: Job) -> None:
        """Check what was made against what was asked for, and put it into place."""
        plan, crt = job.plan, job.certificate.files.crt
        x509 = first_certificate(job.staging.path(crt).read_bytes()) if crt else None
        self._check(job, x509)
        self.finish(job.staging, plan.steps, plan.secrets)
        existing = [name for name in plan.outputs if job.staging.path(name).exists()]
        self.store.publish(job.staging, existing, plan.secrets, plan.removes)
        issued = Issued(plan, x509)
        self.issued.append(issued)
        self.ctx.reporter.on_issued(issued)

    def finish(self, staging: Staging, steps: Iterable[Step], secrets: Container[PurePosixPath]) -> None:
        """Do those of *steps* that are late, and record what kcert did itself since the last command."""
        for step in filter(lambda step: step.late, steps):
            self._perform(staging, step)
        if own := self._prepared.get(staging.folder):
            makes = dict.fromkeys(PurePosixPath(name) for prepared in own for name in prepared.files)
            self._record(staging, own[-1].step, makes, secrets, None)

    def _check(self, job: Job, x509: X509 | None) -> None:
        """A template or an openssl with ideas of its own must not go unnoticed."""
        certificate, files, path = job.certificate, job.certificate.files, job.staging.path
        if job.plan.is_import:
            if x509 is None or not x509.ca:
                raise InputError(f"{files.key.with_suffix('.crt')} is not the certificate of a CA, or cannot be read.")
            return
        if job.plan.removes and (certificate.passphrase or not path(files.key).exists()):
            return  # the end of a rotation makes nothing new, and a CA's key may be in a safe
        key = path(files.key).read_bytes()
        block = private_key(key)
        if block.fault:
            raise ProgramError(f"openssl created a damaged {files.key}: is the disk full?")
        if certificate.passphrase and not block.encrypted:
            raise ProgramError(f"openssl did not encrypt {files.key}. The key was discarded.")
        if certificate.kind is not Kind.KEY_PAIR:
            self._check_public(job, key, x509)

    def _check_public(self, job: Job, key: bytes, x509: X509 | None) -> None:
        """The request, or the certificate, has to be the key's, and what was asked for."""
        certificate, files = job.certificate, job.certificate.files
        if files.crt is None:
            request = read_request(job.text(certificate.csr))
            if not isinstance(request, Request) or key_belongs(key, request.public_key) is False:
                raise ProgramError(f"openssl created a {files.csr} that is not a request of {files.key}.")
            return
        if x509 is None:
            belongs = False
        elif certificate.passphrase:  # only openssl can look into it
            belongs = open_key(self.ctx, certificate, key) == x509.public_key.material
        else:
            belongs = key_belongs(key, x509.public_key) is not False
        if x509 is None or not belongs:
            raise ProgramError(f"openssl created a {files.crt} that is not a certificate of {files.key}.")
        if wrong := drift(certificate, x509, self._ca_of(certificate)):
            what = f"{files.crt} is not what was requested: {'; '.join(wrong)}."
            if self.ctx.templates:
                raise InputError(f"{what} Correct the templates in {self.ctx.templates}.")
            raise ProgramError(f"{what} The files were discarded.")

    def _ca_of(self, certificate: Certificate) -> X509 | None:
        """Return the certificate of its CA in the PKI folder; None for one that signs itself."""
        name = certificate.issuer
        if name and name not in self._ca_certificates:
            self._ca_certificates[name] = status_of(self.ctx.root, [self.ctx.known[name]])[name].x509
        return self._ca_certificates[name] if name else None


class _Queue:
    """The order of commands when several certificates are made at once.

    Keys come first, because they take long and nothing waits for them; a certificate waits with its signature until
    its CA is in place; and `openssl verify` checks many leaves at a time.
    """

    def __init__(self, executor: Executor, plans: Iterable[IssuancePlan]) -> None:
        self.executor = executor
        self.waiting = deque(plans)
        self.unpublished = {plan.certificate.name for plan in self.waiting}
        self.ready: deque[Job] = deque()
        self.held: list[Job] = []  # until their CA is in place
        self.unverified: list[Job] = []
        self.running: dict[shell.Command, list[Job]] = {}

    def next_command(self) -> shell.Command | None:
        """Return what to run next, if anything can be run now."""
        while self.waiting and len(self.ready) + len(self.held) < STAGED_AHEAD:
            job = self.executor.stage(self.waiting.popleft())
            if not job.plan.keeps_key:
                return self._start(job)
            self._enqueue(job)
        if self.ready:
            return self._start(self.ready.popleft())
        if self.unverified and (not self.running or len(self.unverified) >= VERIFY_BATCH):
            return self._verify()
        return None

    def ended(self, outcome: Outcome) -> None:
        """Take up what a command that ended has made possible."""
        jobs = self.running.pop(outcome.command)
        self.executor.complete(jobs, outcome)
        for job in jobs:
            self._enqueue(job)
        for job in jobs:
            if job.step is None:
                self.executor.publish(job)
                self.unpublished.discard(job.certificate.name)
        self.ready.extend(job for job in self.held if job.certificate.issuer not in self.unpublished)
        self.held = [job for job in self.held if job.certificate.issuer in self.unpublished]

    def _start(self, job: Job) -> shell.Command:
        assert job.step
        command = self.executor.command(job.staging, job.step)
        self.running[command] = [job]
        return command

    def _enqueue(self, job: Job) -> None:
        """Do what kcert does itself, and put the job where its next command is taken from."""
        while (step := job.step) is not None and not step.argv:
            self.executor.complete([job], None)
        if step is None:
            return
        if step.action == "signature" and job.certificate.issuer in self.unpublished:
            self.held.append(job)
        elif step.action == "verify" and job.certificate.kind is not Kind.CA:
            self.unverified.append(job)
        else:
            self.ready.append(job)

    def _verify(self) -> shell.Command:
        """Return one command for all that wait for it and have the same CA."""
        issuer = self.unverified[0].certificate.issuer
        jobs = [job for job in self.unverified if job.certificate.issuer == issuer]
        self.unverified = [job for job in self.unverified if job.certificate.issuer != issuer]
        ca = jobs[0].plan.issuer
        assert ca
        crts = [job.certificate.files.crt for job in jobs if job.certificate.files.crt]
        staging = self.executor.store.stage([ca.crt], crts)
        for job, crt in zip(jobs, crts, strict=True):
            staging.link(crt, job.staging.path(crt))
        command = shell.Command(commands.verification(self.executor.ctx.openssl, ca, *crts), staging.folder)
        self.running[command] = jobs
        return command
