"""The folder of a lab while it is being built: certificates that the core plans and executes, and files.

No history of it stays: it would show what was broken. An interrupted lab is deleted and built from the start.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Certificate
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.plan import IssuancePlan, plan_new, plan_request
from kcert.issue.steps import Step
from kcert.openssl import commands
from kcert.practice.scenario import as_yaml
from kcert.store import OWN_FOLDER, PUBLIC_MODE, Staging, Workspace
from kcert.store.atomic import atomic_replace

SIGNER = PurePosixPath("signer")
"""The folder of `openssl ca`, as in openssl_templates/sign.cnf."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from kcert.config import Cluster
    from kcert.practice.scenario import Scenario


@dataclass(frozen=True)
class LabBuilder:
    """The folder of a lab, the cluster, and the openssl that builds there."""

    root: Path
    cluster: Cluster
    openssl: str = "openssl"

    def lay_out(self, scenario: Scenario) -> None:
        """Write kcert.yaml, and make every certificate of *scenario*, the broken ones as they have to be broken."""
        self.describe()
        certificates = [scenario.made.get(spec.name, spec) for spec in scenario.specs]
        self.make(certificates, scenario.folder, scenario.between)

    def describe(self) -> None:
        """Write kcert.yaml, the plan of the cluster."""
        self.write("kcert.yaml", as_yaml(self.cluster))

    def write(self, name: str, text: str, mode: int = PUBLIC_MODE) -> None:
        """Write a file below the lab's folder."""
        self.put(name, text.encode("utf-8"), mode)

    def put(self, name: str, content: bytes, mode: int = PUBLIC_MODE) -> None:
        """Write a file below the lab's folder; its mode is set before its content."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_replace(path, content, mode):
            pass

    def make(
        self,
        certificates: Iterable[Certificate],
        folder: str = "pki",
        between: Mapping[str, tuple[datetime, datetime]] | None = None,
    ) -> None:
        """Make *certificates*, a CA before what it signs, in *folder*; some are valid *between* two moments."""
        by_name = {certificate.name: certificate for certificate in certificates}
        ctx = self._context(folder, tuple(by_name.values()))
        plans = [plan_new(spec, by_name.get(spec.issuer or ""), ctx.tools) for spec in ctx.specs]
        dated = between or {}
        self._execute(ctx, [_dated(plan, self.openssl, dated.get(plan.certificate.name)) for plan in plans])

    def ask(self, certificate: Certificate, folder: str = "pki") -> None:
        """Make the key and the request of *certificate*, which the learner signs."""
        ctx = self._context(folder, ())
        asked = replace(certificate, files=replace(certificate.files, crt=None))
        self._execute(ctx, [plan_request(asked, ctx.tools, keeps_key=False, usages_in_config=True)])

    def _context(self, folder: str, specs: tuple[Certificate, ...]) -> Context:
        jobs = os.cpu_count() or 1
        return Context(self.cluster, self.root / folder, specs, "kcert practice", self.openssl, jobs=jobs)

    def _execute(self, ctx: Context, plans: list[IssuancePlan]) -> None:
        with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as store:
            Executor(ctx, store).run_in_parallel(plans)
        shutil.rmtree(ctx.root / OWN_FOLDER)


def _dated(plan: IssuancePlan, openssl: str, between: tuple[datetime, datetime] | None) -> IssuancePlan:
    """Return *plan* with a signature for exactly this time, which only `openssl ca` can give; None: as it is."""
    if between is None:
        return plan
    certificate, issuer = plan.certificate, plan.issuer
    files = certificate.files
    assert issuer and issuer.files.crt and files.csr and files.crt
    config = SIGNER / "openssl.cnf"

    def perform(staging: Staging, _root: Path) -> None:
        staging.write(config, commands.render_dated(certificate))
        staging.write(SIGNER / "index.txt", "")
        staging.write(SIGNER / "serial", secrets.token_hex(16))

    ca = (issuer.files.crt, issuer.files.key)
    argv = commands.signature_between(openssl, files.csr, ca=ca, out=files.crt, between=between, cnf=config)
    instead = {
        "signature": (Step("signer-files", perform=perform), Step("signature", (files.crt,), argv)),
        "verify": (),  # one that has expired does not verify
    }
    return replace(plan, steps=tuple(new for step in plan.steps for new in instead.get(step.action, (step,))))
