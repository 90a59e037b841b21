"""What ``kcert check`` found: as prose with the repairs, worst first, or as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.check import Severity
from kcert.errors import FOUND, INPUT
from kcert.ui.console import block, clean, clean_line, error_screen, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.check import Finding
    from kcert.check.checking import Judgement

STYLES = {Severity.ERROR: "bad", Severity.WARNING: "notice"}

_SHOWN = 5
"""How many files that could not be read are named."""


def show(judgement: Judgement, form: str, *, looked_around: bool) -> None:
    """Print the findings in *form*, and on standard error what could not be judged."""
    if form == "json":
        _write_json(judgement)
    else:
        if looked_around:
            from kcert.ui.inventory import table

            table.found(judgement.survey, looked_around=True)
            screen().print()
        _write_text(judgement)
    _not_judged(judgement)


def status(judgement: Judgement, *, strict: bool) -> int:
    """The exit status: 1 for errors (*strict*: for warnings too), 2 where a server did not answer, else 0."""
    counted = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    if any(judgement.count(severity) for severity in counted):
        return FOUND
    return INPUT if judgement.unreachable else 0


def _write_json(judgement: Judgement) -> None:
    findings = [
        {
            "rule": finding.rule,
            "severity": finding.severity.value,
            "path": str(finding.path),
            "message": finding.message,
            "evidence": finding.evidence,
            "fix": finding.fix,
        }
        for finding in judgement.findings
    ]
    # ASCII: whatever a certificate says, no control character reaches a terminal.
    sys.stdout.write(json.dumps({"checked": judgement.checked, "findings": findings}, indent=2) + "\n")


def _write_text(judgement: Judgement) -> None:
    for finding in judgement.findings:
        _finding(finding)
    _summary(judgement)


def _finding(finding: Finding) -> None:
    console = screen()
    title = Text(finding.severity.value, style=STYLES[finding.severity])
    title.append(f" {finding.rule}", style="heading")
    console.print(title, soft_wrap=True)
    console.print(Text(clean_line(str(finding.path)), style="file"), soft_wrap=True)
    console.print()
    say(clean_line(finding.message))
    say(f"Proof: {clean_line(finding.evidence)}", "quiet")
    console.print()
    if finding.fix:
        block(clean(finding.fix).splitlines(), "command")
    else:
        say(f"What to type depends on what is not to be seen from here; `kcert explain {finding.rule}` says more.")
    console.print()


def _summary(judgement: Judgement) -> None:
    checked = _counted(judgement.checked, "certificate")
    if not judgement.findings:
        good = f"{checked} judged, and nothing is wrong." if judgement.checked else "There was no certificate to judge."
        say(good, "good" if judgement.checked else "notice")
        return
    parts = [_counted(count, severity.value) for severity in Severity if (count := judgement.count(severity))]
    say(f"{checked} judged: {' and '.join(parts)}.", "bad" if judgement.count(Severity.ERROR) else "notice")
    rules = list(dict.fromkeys(finding.rule for finding in judgement.findings))
    say("Why, and what else helps:")
    block([f"kcert explain {rule}" for rule in rules], "command")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _not_judged(judgement: Judgement) -> None:
    """On standard error, so that JSON stays JSON: a check that saw half must not look like a whole one."""
    for problem in judgement.unreachable:
        say(f"kcert: {clean_line(str(problem.path))} {clean_line(problem.reason)}.", to=error_screen())
    if denied := judgement.denied:
        say(
            f"kcert: not judged, because this user may not read it: {_listed([str(one.path) for one in denied])}. "
            "Root may.",
            to=error_screen(),
        )
    if elsewhere := list(dict.fromkeys(str(one.path) for one in judgement.elsewhere)):
        say(
            f"kcert: not judged, because they are not on this machine: {_listed(elsewhere)}. Kubeconfigs name them for "
            "the hosts that they go to.",
            to=error_screen(),
        )


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(clean_line(path) for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
