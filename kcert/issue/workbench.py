"""The workbench: stage a procedure, run its steps, check what came out, put it into place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kcert import shell
from kcert.certificates import Kind
from kcert.errors import InputError, KcertError, ProgramError
from kcert.issue.context import IssueContext, Made, Reporter
from kcert.issue.plan import (
    Concatenate,
    ExtractFromKubeconfig,
    IssuancePlan,
    Run,
    Step,
    UpdateKubeconfigs,
    Write,
    WriteKubeconfig,
)
from kcert.issue.planner import opened as opened_key
from kcert.issue.status import CertificateStatus, drift, status_of
from kcert.kubeconfig import opened, swapped
from kcert.openssl.pem import pem_blocks
from kcert.openssl.read import X509, Request, key_belongs, read_certificates, read_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePosixPath

    from kcert.certificates import Certificate
    from kcert.shell import Outcome
    from kcert.store import Staging, Workspace


@dataclass
class Work:
    """A procedure in its staging folder; ``at`` counts the steps that are done."""

    procedure: IssuancePlan
    staging: Staging
    at: int = 0

    @property
    def certificate(self) -> Certificate:
        """What is being made."""
        return self.procedure.certificate

    @property
    def step(self) -> Step | None:
        """The step that comes next; None when all are done."""
        steps = self.procedure.steps
        return steps[self.at] if self.at < len(steps) else None

    @property
    def issuer(self) -> str | None:
        """The name of the CA, where that is another certificate."""
        return self.certificate.issuer


@dataclass
class Executor:
    """Where the certificates of one order are made; ``made`` is what is in place so far."""

    order: IssueContext
    workspace: Workspace
    narrator: Reporter
    made: list[Made] = field(default_factory=list)

    def stage(self, procedure: IssuancePlan) -> Work:
        """A staging folder for *procedure*, with the CA, and a key that is kept, in reach."""
        certificate, issuer = procedure.certificate, procedure.issuer
        if not procedure.keeps_key:
            self._refuse_to_replace_a_link(certificate.files.key)
        links: list[PurePosixPath] = []
        if issuer and issuer is not certificate:
            assert issuer.files.crt
            links += [issuer.files.crt, issuer.files.key]
        taken_out = {step.path for step in procedure.steps if isinstance(step, ExtractFromKubeconfig)}
        if procedure.keeps_key and certificate.files.key not in taken_out:
            links.append(certificate.files.key)
        links += procedure.brings
        files = certificate.files
        places = [path for path in (files.key, files.crt, *procedure.puts) if path]
        self.workspace.check_writable(places)
        staging = self.workspace.stage(links, places)
        for source, name in procedure.copies:
            staging.put(name, (self.order.root / source).read_bytes())
        return Work(procedure, staging)

    def _refuse_to_replace_a_link(self, key: PurePosixPath) -> None:
        """Whoever keeps a key elsewhere does so for its safety: a plain file in its place would undo that."""
        path = self.order.root / key
        if path.is_symlink():
            raise InputError(
                f"{path} is a link to {path.readlink()}: the key is kept elsewhere, and a new one would lie here in "
                "the place of the link. Take the link away if it may; a CA whose key lies elsewhere is what --ca-dir "
                "is for."
            )

    def command(self, work: Work, step: Run) -> shell.Command:
        """*step* as a command in its staging folder."""
        return shell.Command(step.argv, work.staging.folder, step.limit, self.order.passphrases_for(step.argv))

    def record(self, work: Work, step: Run, outcome: Outcome) -> None:
        """Write what was run into the history."""
        self.workspace.record(outcome, work.staging, step.makes, {str(work.certificate.files.key)})

    def insist(self, work: Work, step: Run, outcome: Outcome) -> None:
        """The step has to have succeeded, and left what it was to make."""
        if not outcome.succeeded:
            raise ProgramError(self._failure(work, step, outcome))
        for name in step.makes:
            path = work.staging.path(name)
            if not path.is_file() or path.stat().st_size == 0:
                raise ProgramError(
                    f"{' '.join(step.argv[:2])} says that all went well, but left no {name}. Is the disk full, or "
                    f"is {step.argv[0]} not what it seems?"
                )

    def _failure(self, work: Work, step: Run, outcome: Outcome) -> str:
        how = f"status {outcome.status}" if outcome.status >= 0 else f"signal {-outcome.status}"
        said = [line for line in outcome.output.splitlines() if line.strip()]
        what = f"{' '.join(step.argv[:2])} failed ({how}) while {work.certificate.name} was made"
        last = f": {ascii(said[-1].strip())[1:-1]}" if said else ""
        return f"{what}{last}. Nothing of it was put into {self.order.root}; what was finished before is there."

    def write(
        self, work: Work, step: Write | WriteKubeconfig | ExtractFromKubeconfig | Concatenate | UpdateKubeconfigs
    ) -> None:
        """Do a step that kcert does itself."""
        staging = work.staging
        if isinstance(step, Write):
            staging.write(step.path, step.text)
        elif isinstance(step, WriteKubeconfig):
            staging.write(step.path, step.kubeconfig.embedded(staging.base64_of), secret=True)
        elif isinstance(step, ExtractFromKubeconfig):
            inside = opened((self.order.root / step.source).read_bytes())
            if inside is None:
                raise InputError(f"{self.order.root / step.source} was changed while it was being renewed.")
            staging.put(step.path, inside.key if step.part == "client-key" else inside.crt, secret=True)
        elif isinstance(step, Concatenate):
            staging.put(step.path, b"".join(_ended(staging.path(part).read_bytes()) for part in step.parts))
        # A Rewrite is done when all else is, because others may be changing the same kubeconfig: see finish.

    def _rewrite(self, work: Work, step: UpdateKubeconfigs) -> None:
        for path in step.paths:
            content = (self.order.root / path).read_bytes()
            new = swapped(content, step.swaps, work.staging.base64_of)
            work.staging.put(path, new, secret=True)

    def finish(self, works: Sequence[Work]) -> None:
        """Check what was made against what was asked for, and put it into place."""
        signed = [work for work in works if work.certificate.files.crt]
        read = read_certificates(self.order.openssl, [self._text(work, work.certificate.files.crt) for work in signed])
        found = {work.certificate.name: one for work, one in zip(signed, read, strict=True)}
        for work in works:
            one = found.get(work.certificate.name)
            self._check(work, one if isinstance(one, X509) else None)
            for step in work.procedure.steps:
                if isinstance(step, UpdateKubeconfigs):
                    self._rewrite(work, step)
            procedure = work.procedure
            there = [name for name in procedure.puts if work.staging.path(name).exists()]
            self.workspace.publish(work.staging, there, procedure.secrets, procedure.retires)
            made = Made(work.procedure, one if isinstance(one, X509) else None)
            self.made.append(made)
            self.narrator.made(made)

    def _text(self, work: Work, name: PurePosixPath | None) -> str:
        assert name
        return work.staging.path(name).read_text(encoding="utf-8", errors="replace")

    def _check(self, work: Work, found: X509 | None) -> None:
        """A template or an openssl with ideas of its own must not go unnoticed."""
        certificate = work.certificate
        if work.procedure.brought:
            self._check_brought(work, found)
            return
        if work.procedure.retires and (certificate.passphrase or not work.staging.path(certificate.files.key).exists()):
            return  # the end of a change-over makes nothing new, and a CA's key may lie in a safe
        key = work.staging.path(certificate.files.key).read_bytes()
        blocks = [block for block in pem_blocks(key) if block.is_key]
        if not blocks or blocks[0].fault:
            raise ProgramError(f"openssl left a damaged {certificate.files.key}: is the disk full?")
        if certificate.passphrase and not blocks[0].encrypted:
            raise ProgramError(f"openssl left {certificate.files.key} without encrypting it. Nothing of it was kept.")
        if certificate.kind is Kind.KEY_PAIR:
            return
        if certificate.files.crt is None:
            self._check_request(work, key)
            return
        if found is None or self._is_another(key, certificate, found):
            raise ProgramError(
                f"openssl left a {certificate.files.crt} that is no certificate of {certificate.files.key}."
            )
        authority = self._authority_of(work)
        if wrong := drift(certificate, found, authority):
            raise self._not_as_asked(f"{certificate.files.crt} is not what was asked for: {'; '.join(wrong)}.")

    def _check_brought(self, work: Work, found: X509 | None) -> None:
        if found is None or not found.ca:
            lies = work.certificate.files.key.with_suffix(".crt")
            raise InputError(f"{lies} is not the certificate of a CA, or cannot be read.")

    def _is_another(self, key: bytes, certificate: Certificate, found: X509) -> bool:
        """Whether the certificate is not the key's. Only openssl can look into an encrypted one."""
        if not certificate.passphrase:
            return key_belongs(key, found.public_key) is False
        return opened_key(self.order, certificate, key) != found.public_key.material

    def _check_request(self, work: Work, key: bytes) -> None:
        csr = work.certificate.files.csr
        found = read_request(self.order.openssl, self._text(work, csr))
        if not isinstance(found, Request) or key_belongs(key, found.public_key) is False:
            raise ProgramError(f"openssl left a {csr} that is no request of {work.certificate.files.key}.")

    def _not_as_asked(self, what: str) -> KcertError:
        if self.order.templates:
            return InputError(f"{what} Correct the templates in {self.order.templates}.")
        return ProgramError(f"{what} Nothing of it was kept.")

    def _authority_of(self, work: Work) -> X509 | None:
        """The CA's certificate as read when it was made or found; None for one that signs itself."""
        if work.issuer is None:
            return None
        for made in self.made:
            if made.procedure.certificate.name == work.issuer:
                return made.found
        known = {one.name: one for one in self.order.known}
        return self._standing_of(known[work.issuer]).found

    def _standing_of(self, authority: Certificate) -> CertificateStatus:
        if authority.name not in self._authorities:
            self._authorities |= status_of(self.order.root, [authority], self.order.openssl)
        return self._authorities[authority.name]

    _authorities: dict[str, CertificateStatus] = field(default_factory=dict)


def _ended(content: bytes) -> bytes:
    """*content* with a line end, so that what follows begins on a line of its own."""
    return content if content.endswith(b"\n") else content + b"\n"
