"""Issue certificates: read the status, plan what follows from it, carry the plans out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from kcert.certificates import ROOT, Certificate, Kind
from kcert.errors import InputError
from kcert.files import read_regular
from kcert.issue import checks, steps
from kcert.issue.context import Context, CsrTarget, IssuancePlan, Result, StoppedError, Work
from kcert.issue.execute import Executor
from kcert.issue.status import CertificateStatus, State, status_of
from kcert.openssl.commands import render, render_request
from kcert.openssl.program import same_key
from kcert.openssl.reader import read_request
from kcert.openssl.x509 import Request
from kcert.store import Workspace
from kcert.store.history import recall


def plan(ctx: Context, specs: tuple[Certificate, ...]) -> Work:
    """Plan what *specs* need: what is missing, or what *ctx* says about a renewal or about requests.

    Raises InputError for a CA or a key that cannot be used, and for a template that cannot.
    """
    ctx, specs = checks.with_passphrases(ctx, specs)
    if ctx.renewal:
        from kcert.issue.renewal import plan_renewals  # most commands renew nothing

        return plan_renewals(ctx, specs, ctx.renewal)
    return _plan_requests(ctx, specs) if ctx.csr_target else _plan_missing(ctx, specs)


def _plan_missing(ctx: Context, specs: tuple[Certificate, ...]) -> Work:
    """Plan what is missing of *specs*; what is there already is kept as it is."""
    known, now = ctx.known, datetime.now(timezone.utc)
    issuers = {spec.issuer: known[spec.issuer] for spec in specs if spec.issuer}
    needed = {**issuers, **{spec.name: spec for spec in specs}}
    statuses = status_of(ctx.root, needed.values(), now)
    remarks: tuple[str, ...] = ()
    if any(spec.is_external_ca for spec in ctx.specs):
        from kcert.issue import external_ca

        statuses |= {
            name: external_ca.status_in_ca_dir(ctx, status.certificate)
            for name, status in statuses.items()
            if status.certificate.is_external_ca and status.x509 is None
        }
        remarks = tuple(external_ca.remarks(ctx))
    # The certificate of a CA that signs has to be in the PKI folder, to be handed on.
    external = [ca for ca in issuers.values() if ca.is_external_ca and ca not in specs]
    plans: list[IssuancePlan] = []
    planned: set[str] = set()
    for spec in (*external, *specs):
        status = statuses[spec.name]
        if spec.is_external_ca:
            if not (ctx.root / str(spec.files.crt)).exists():
                plans.append(_plan_import(ctx, spec, status, planned, spec in specs))
        elif status.state is State.MISSING:
            checks.refuse_orphans(ctx, status)
            checks.refuse_pending_ca(ctx, status)
            plans.append(_plan_one(ctx, spec, statuses, planned, now))
            planned.add(spec.name)
    return Work(tuple(statuses[spec.name] for spec in specs), tuple(plans), remarks)


def _plan_one(
    ctx: Context, spec: Certificate, statuses: Mapping[str, CertificateStatus], planned: set[str], now: datetime
) -> IssuancePlan:
    """Plan one that is missing; *planned* are the CAs that will be there by then."""
    days, issuer = spec.days, None
    if spec.issuer:
        status = statuses[spec.issuer]
        issuer = status.certificate
        if spec.issuer not in planned:
            days = checks.days_within(spec, checks.require_ca(ctx, spec, status, now), now)
    has_key = statuses[spec.name].has_key
    if has_key:
        checks.check_kept_key(ctx, spec)
    elif spec.passphrase:
        ctx.passphrases.of(spec).value(ctx.root / spec.files.key, is_new=True)
    return plan_new(ctx, spec, issuer, days=days, keeps_key=has_key)


def plan_new(
    ctx: Context, spec: Certificate, issuer: Certificate | None, *, days: int, keeps_key: bool = False
) -> IssuancePlan:
    """Plan *spec*, signed by *issuer* (None: by itself) for *days* days.

    Raises InputError for a template that cannot be used.
    """
    if spec.kind is Kind.KEY_PAIR:
        return IssuancePlan(spec, None, steps.key_pair(spec, ctx.openssl, keeps_key=keeps_key), days, keeps_key)
    ca, files = issuer or spec, spec.files
    made = [
        *steps.request(spec, ctx.openssl, render(spec, ctx.templates), keeps_key=keeps_key),
        steps.sign(spec, ca, ctx.openssl, days),
        steps.verify(ctx.openssl, ca, spec.crt),
        *steps.chain(spec, issuer),
    ]
    if files.kubeconfig:
        made.append(steps.write_kubeconfig(spec, ca, ctx.cluster.name))
    return IssuancePlan(spec, ca, tuple(made), days, keeps_key)


def _plan_import(
    ctx: Context, ca: Certificate, status: CertificateStatus, planned: set[str], requested: bool
) -> IssuancePlan:
    from kcert.issue import external_ca

    if status.state is State.MISSING:
        if not requested and ca.name != ROOT:
            raise InputError(
                f"{ca.files.key.parent} has no {external_ca.source(ca).name}: it is not the folder of this cluster's "
                f"CA, or nothing is mounted there. `kcert ca --ca-dir FOLDER{ctx.folder_option}` makes a CA in a "
                "folder."
            )
        planned.add(ca.name)  # a script makes it there first
    return external_ca.plan_import(ctx, status.certificate)


def _plan_requests(ctx: Context, specs: tuple[Certificate, ...]) -> Work:
    """Plan a request for each of *specs*, except where one like it is there; a key is kept.

    A CA that signs takes the usages from the openssl.cnf; a signer of the cluster learns them in another way.
    """
    statuses, plans = [], []
    for spec in specs:
        if spec.kind is Kind.KEY_PAIR:
            statuses.append(CertificateStatus(spec, State.MISSING))
            plans.append(plan_new(ctx, spec, None, days=spec.days))
            continue
        key = checks.check_kept_key(ctx, spec)
        if key is not None and _has_request(ctx, spec, key):
            statuses.append(CertificateStatus(spec, State.CURRENT, has_key=True))
            continue
        if key is None and spec.passphrase:
            ctx.passphrases.of(spec).value(ctx.root / spec.files.key, is_new=True)
        statuses.append(CertificateStatus(spec, State.MISSING, has_key=key is not None))
        whole = ctx.csr_target is CsrTarget.CA or not spec.alt_names
        cnf = render(spec, ctx.templates) if whole else render_request(spec.alt_names)
        made = steps.request(spec, ctx.openssl, cnf, keeps_key=key is not None)
        plans.append(IssuancePlan(spec, None, made, spec.days, keeps_key=key is not None))
    return Work(tuple(statuses), tuple(plans))


def _has_request(ctx: Context, spec: Certificate, key: bytes) -> bool:
    """Return whether the request that is there has the same subject, names and key."""
    assert spec.subject
    path = ctx.root / spec.csr
    if not path.is_file():
        return False
    request = read_request(read_regular(path).decode("ascii", "replace"))
    if not isinstance(request, Request) or request.subject.parts != spec.subject.parts:
        return False
    if set(request.alt_names) != set(spec.alt_names):
        return False
    if spec.passphrase:
        return checks.open_key(ctx, spec, key) == request.public_key.material
    return same_key(ctx.openssl, key, request.public_key) is True


def issue(ctx: Context, specs: tuple[Certificate, ...]) -> Result | None:
    """Issue what *specs* need, in the PKI folder and in the folders of external CAs, and leave alone what is there.

    Return what came of it in the PKI folder (None: the reporter only prints the plans). Raises a KcertError for
    whatever fails; what was finished before is kept, and nothing else.
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
    the leaves that may prevent it are in the PKI folder.
    """
    if ctx.root_dir is None and ctx.ca_dir is None:
        yield ctx, specs
        return
    from kcert.issue import external_ca  # most clusters' CAs are in their PKI folder

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
    with_ca_dir = external_ca.in_ca_dir(ctx, specs, ctx.ca_dir)
    without_keys = external_ca.without_ca_keys(ctx, specs, ctx.ca_dir)
    if ctx.renewal and ctx.renewal.complete_rotation:
        yield without_keys
        yield with_ca_dir
        return
    if with_ca_dir[1]:
        yield with_ca_dir
    yield without_keys


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
        if not ctx.root.exists() or any(spec.passphrase for spec in checks.with_passphrases(ctx, specs)[0].specs):
            # No empty folder is left behind, and no other kcert waits until a passphrase is typed.
            plan(ctx, specs)
        with Workspace.open(ctx.root, ctx.command, reporter.on_lock_wait) as store:
            work = plan(ctx, specs)
            reporter.on_plan(ctx, work)
            executor = Executor(ctx, store)
            try:
                with contextlib.suppress(StoppedError):
                    (executor.run_in_parallel if ctx.parallel else executor.run)(work.plans)
            except BaseException:
                done = executor.done
                _remember(ctx, store, executor, {name: ctx.requests[name] for name in done if name in ctx.requests})
                raise
            _remember(ctx, store, executor, ctx.requests)
        done = executor.done
        left = tuple(plan for plan in work.plans if plan.certificate.name not in done)
        missing = tuple(spec for spec in ctx.specs if not (ctx.root / spec.files.primary).exists())
        result = Result(tuple(executor.issued), work.kept, left, missing)
    finally:
        reporter.on_end(result)
    return result


def _remember(ctx: Context, store: Workspace, executor: Executor, asked_for: Mapping[str, Mapping[str, Any]]) -> None:
    """Record that the folder belongs to the built-in example, and what was *asked_for* on the command line."""
    memory = recall(store.own)
    requests = {name: {**memory.requests.get(name, {}), **request} for name, request in asked_for.items()}
    example = memory.example or (ctx.is_example and bool(executor.issued))
    store.remember(replace(memory, example=example, requests={**memory.requests, **requests}))
