"""Issue certificates: read the status, plan what follows from it, carry the plans out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.issue import external_ca
from kcert.issue.checks import with_passphrases
from kcert.issue.context import Context, Result, StoppedError
from kcert.issue.execute import Executor
from kcert.issue.planner import plan
from kcert.store import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import Certificate


def issue(ctx: Context, specs: tuple[Certificate, ...]) -> Result | None:
    """Issue what *specs* need, in the PKI folder and in the folders of external CAs, and leave alone what is there.

    Return what came of it in the PKI folder (None: the reporter only prints the plans). Raises a KcertError for
    whatever stands in the way; what was finished before stays, and nothing else.
    """
    result = None
    for part, wanted in _parts(ctx, specs):
        done = _execute(part, wanted)
        if part.root == ctx.root:
            result = done
        if done and done.stopped:
            return done
    return result


def _parts(ctx: Context, specs: tuple[Certificate, ...]) -> Iterator[tuple[Context, tuple[Certificate, ...]]]:
    """Return what is to be done, folder by folder.

    What concerns the CAs themselves is done in their folder first; the end of a rotation there comes last, because
    the leaves that may stand in its way are in the PKI folder.
    """
    if ctx.root_dir is not None:
        above, roots = external_ca.root_context(ctx, specs, ctx.root_dir)
        ctx, specs = external_ca.with_root(ctx, specs, above)
        if roots:
            if ctx.reporter.executes:  # what cannot be made under it must not leave a root behind
                plan(*(external_ca.in_ca_dir(ctx, specs, ctx.ca_dir) if ctx.ca_dir else (ctx, specs)))
            yield above, roots
    if ctx.ca_dir is None:
        yield ctx, specs
        return
    there = external_ca.in_ca_dir(ctx, specs, ctx.ca_dir)
    here = external_ca.without_ca_keys(ctx, specs, ctx.ca_dir)
    if ctx.renewal and ctx.renewal.complete_rotation:
        yield here
        yield there
        return
    if there[1]:
        yield there
    yield here


def _execute(ctx: Context, specs: tuple[Certificate, ...]) -> Result | None:
    """Plan *specs* and carry the plans out, in one folder; a reporter that executes nothing is given the plans."""
    reporter = ctx.reporter
    if not reporter.executes:
        reporter.on_plan(ctx, plan(ctx, specs))
        return None
    result = None
    try:
        if Workspace.is_unfinished(ctx.root):
            with Workspace.open(ctx.root, ctx.command, reporter.on_lock_wait):
                pass  # what was stopped half-way is completed before the status is read
        if not ctx.root.exists() or any(spec.passphrase for spec in with_passphrases(ctx, specs)[0].specs):
            # What cannot be made must not leave an empty folder behind; and nobody waits for a passphrase to be typed.
            plan(ctx, specs)
        with Workspace.open(ctx.root, ctx.command, reporter.on_lock_wait) as store:
            work = plan(ctx, specs)
            reporter.on_plan(ctx, work)
            executor = Executor(ctx, store)
            with contextlib.suppress(StoppedError):
                (executor.run_in_parallel if ctx.parallel else executor.run)(work.plans)
            _remember(ctx, store, executor)
        done = {issued.plan.certificate.name for issued in executor.issued}
        left = tuple(plan for plan in work.plans if plan.certificate.name not in done)
        missing = tuple(spec for spec in ctx.specs if not (ctx.root / spec.files.primary).exists())
        result = Result(tuple(executor.issued), work.kept, left, missing)
    finally:
        reporter.on_end(result)
    return result


def _remember(ctx: Context, store: Workspace, executor: Executor) -> None:
    """Keep what the folder is made for, and what was asked for on the command line."""
    memory = store.memory
    requests = {name: {**memory.requests.get(name, {}), **request} for name, request in ctx.requests.items()}
    example = memory.example or (ctx.is_example and bool(executor.issued))
    store.remember(replace(memory, example=example, requests={**memory.requests, **requests}))
