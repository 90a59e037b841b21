"""The rules of ``kcert check``: one module a group, all of one shape (``kcert.check.rule``)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.check import (
    bash,
    dates,
    files,
    forms,
    identities,
    keys,
    kubeconfigs,
    names,
    signers,
    usages,
)
from kcert.check.context import RuleContext
from kcert.check.renewals import AT_ONCE, Renewals, cluster_command, readers
from kcert.check.rule import Finding, Rule, Severity, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RULES: dict[str, Rule] = {
    rule.name: rule
    for group in (files, signers, dates, keys, names, usages, identities, kubeconfigs, forms)
    for rule in group.RULES
}
"""Every rule by its name, the worst trouble first."""


def check(ctx: RuleContext, rules: Iterable[str] = RULES) -> tuple[Finding, ...]:
    """Apply *rules* to *ctx* and return the findings: errors first, a CA before what it signed.

    A finding that another on the same file explains is left out: a version 1 server without names is one fault. Where
    two files are swapped, that comes first, and the others are those that remain once they are exchanged.
    """
    ctx = _as_meant(ctx)
    chosen = [RULES[name] for name in RULES if name in set(rules)]
    violations = {rule.name: list(rule.judge(ctx)) for rule in chosen}
    accused: dict[str, set[Path]] = defaultdict(set)
    for name, faults in violations.items():
        accused[name] = {fault.path for fault in faults}
    renewals = Renewals(ctx)
    findings = [
        _finding(ctx, renewals, rule, fault)
        for rule in chosen
        for fault in violations[rule.name]
        if not any(fault.path in accused[better] for better in rule.yields_to)
    ]
    swapped = {first for first, _ in ctx.scan.swapped}
    ordered = sorted(dict.fromkeys(findings), key=_badness)
    return tuple(sorted(ordered, key=lambda finding: finding.rule != "key-mismatch" or finding.path not in swapped))


def _as_meant(ctx: RuleContext) -> RuleContext:
    """Return the context in which swapped files are in their places; *ctx* where nothing tells which are swapped."""
    contexts = [ctx, *(replace(ctx, scan=scan) for scan in ctx.scan.as_meant)]
    if len(contexts) == 1:
        return ctx
    counts = [sum(1 for rule in RULES.values() for _ in rule.judge(other)) for other in contexts]
    return contexts[counts.index(min(counts))] if counts.count(min(counts)) == 1 else ctx


def _finding(ctx: RuleContext, renewals: Renewals, rule: Rule, fault: Violation) -> Finding:
    kind, own = cluster_command(ctx, fault, rule.name)
    short = renewals.command(fault, rule.name)
    return Finding(
        rule.name,
        rule.severity,
        fault.path,
        fault.message,
        fault.evidence,
        bash.without_nul(fault.fix),
        authority=fault.authority,
        cluster_fix=own,
        cluster=kind.title if kind and own else "",
        kcert_fix=short,
        restart=readers(ctx, fault.path) if (fault.fix or own or short) and rule.name not in AT_ONCE else (),
    )


def _badness(finding: Finding) -> tuple[bool, bool, int, str]:
    order = list(RULES).index(finding.rule)
    return finding.severity is Severity.WARNING, not finding.authority, order, str(finding.path)


__all__ = ["RULES", "Finding", "RuleContext", "Severity", "check"]
