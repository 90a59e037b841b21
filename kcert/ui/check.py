"""The findings of `kcert check` with their fixes, worst first, or as a report."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from kcert.check import CheckResult, Finding, Severity
from kcert.clusters import COMPONENTS
from kcert.errors import FOUND, INPUT
from kcert.ui import print_json
from kcert.ui.console import (
    block,
    clean,
    clean_line,
    counted,
    error_screen,
    first_few,
    in_columns,
    say,
    screen,
)
from kcert.ui.report import code, document, literal

STYLES = {Severity.ERROR: "bad", Severity.WARNING: "notice"}

_SHOWN = 5
"""The number of unreadable files that are named."""


def show(judgement: CheckResult, form: str, *, looked_around: bool) -> None:
    """Print the findings in *form*, and on standard error what could not be checked."""
    if form == "json":
        print_json({"checked": judgement.checked, "findings": [_record(finding) for finding in judgement.findings]})
    elif form in _REPORTS:
        sys.stdout.write(_REPORTS[form](judgement))
    else:
        if looked_around:
            from kcert.ui.inventory import introduce

            introduce(judgement.scan, looked_around=True)
            screen().print()
        _write_text(judgement)
    _not_judged(judgement)


def status(judgement: CheckResult, *, strict: bool) -> int:
    """Return the exit status: 1 for errors (*strict*: for warnings too), 2 if a server did not answer, else 0."""
    severities = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    if any(judgement.count(severity) for severity in severities):
        return FOUND
    return INPUT if judgement.not_checked("unreachable") else 0


# ---------------------------------------------------------------- for people


@dataclass(frozen=True)
class _Group:
    """One finding, with all the files in which it is the same."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The finding that is shown for all of them."""
        return self.findings[0]

    @property
    def paths(self) -> list[str]:
        """The files, each once."""
        return list(dict.fromkeys(clean_line(str(finding.path)) for finding in self.findings))

    @property
    def fixes(self) -> list[str]:
        """The commands of the fixes, each once."""
        return [clean(fix) for fix in dict.fromkeys(finding.commands for finding in self.findings) if fix]

    @property
    def message(self) -> str:
        """The fault, said of all the files at once if there are several."""
        message = self.first.message
        if len(self.paths) > 1:
            message = message.replace(str(self.first.path), "each of them")
        begins_with_path = message.startswith(str(self.first.path))
        return clean_line(message if begins_with_path else message[:1].upper() + message[1:])


def _groups(findings: Sequence[Finding]) -> list[_Group]:
    same: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        path = str(finding.path)
        same[finding.rule, finding.message.replace(path, ""), finding.evidence.replace(path, "")].append(finding)
    return [_Group(tuple(some)) for some in same.values()]


def _write_text(judgement: CheckResult) -> None:
    groups = _groups(judgement.findings)
    _summary(judgement, groups)
    fixed_by: dict[tuple[str, ...], str] = {}
    for group in groups:
        fixes = tuple(group.fixes)
        _finding(group, fixed_by.get(fixes, ""))
        if fixes:
            fixed_by.setdefault(fixes, group.first.rule)
    kind, names = judgement.scan.kind, {name for finding in judgement.findings for name in finding.restart}
    if names:
        listed = ", ".join(name for name in COMPONENTS if name in names)
        say(f"After the fixes, restart the components that read these files only when they start: {listed}.")
        if kind and kind.restart:
            say(f"With {kind.title}: {kind.restart}.")
        screen().print()
    if groups:
        say("Explanations:")
        block([f"kcert explain {rule}" for rule in dict.fromkeys(group.first.rule for group in groups)], "command")


def _summary(judgement: CheckResult, groups: Sequence[_Group]) -> None:
    checked = counted(judgement.checked, "certificate")
    if not groups:
        good = f"{checked} checked, no problems found." if judgement.checked else "No certificates found."
        say(good, "good" if judgement.checked else "notice")
        return
    say(_counts(judgement), "bad" if judgement.count(Severity.ERROR) else "notice")
    rows = []
    for group in groups:
        files = group.paths[0] if len(group.paths) == 1 else f"{len(group.paths)} files"
        rows.append((group.first.severity.value, group.first.rule, files))
    for group, line in zip(groups, in_columns(rows).splitlines(), strict=True):
        text = Text(f"  {line}", style=STYLES[group.first.severity])
        text.stylize("not bold", 2 + len(group.first.severity.value))
        screen().print(text, soft_wrap=True)
    screen().print()


def _counts(judgement: CheckResult) -> str:
    parts = [counted(count, severity.value) for severity in Severity if (count := judgement.count(severity))]
    return f"{counted(judgement.checked, 'certificate')} checked: {' and '.join(parts) or 'no problems found'}."


def _finding(group: _Group, earlier: str) -> None:
    """Print one finding; *earlier* is the rule of a finding whose commands, which are the same, were printed before."""
    console, first = screen(), group.first
    title = Text(first.severity.value, style=STYLES[first.severity])
    title.append(f" {first.rule}", style="heading")
    console.print(title, soft_wrap=True)
    for path in group.paths:
        console.print(Text(path, style="file"), soft_wrap=True)
    console.print()
    say(group.message)
    say(f"Evidence: {clean_line(first.evidence)}", "quiet")
    console.print()
    if earlier:
        say(f"The commands for {earlier}, above, fix this too.")
        console.print()
        return
    own, short, fixes = (
        list(dict.fromkeys(text for finding in group.findings if (text := getattr(finding, field))))
        for field in ("cluster_fix", "kcert_fix", "fix")
    )
    if own:
        say(f"With {first.cluster}, on the machine itself:")
        block(own, "command")
    if short:
        say("With kcert:" if own else "Fix it with kcert:")
        block([clean_line(command) for command in short], "command")
    if fixes:
        if own or short:
            say("With openssl:")
        block([line for fix in fixes for line in clean(fix).splitlines()], "command")
    elif not own and not short:
        say(f"The fix depends on information that kcert does not have; `kcert explain {first.rule}` says more.")
    console.print()


# ---------------------------------------------------------------- for programs and documents


def _record(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "path": str(finding.path),
        "message": finding.message,
        "evidence": finding.evidence,
        "fix": finding.commands,
        "restart": list(finding.restart),
    }


def _short(judgement: CheckResult) -> str:
    """Return a line for each finding, as compilers and linters print them."""
    lines = [
        f"{clean_line(str(finding.path))}: {finding.severity.value}: {finding.rule}: {clean_line(finding.message)}\n"
        for finding in judgement.findings
    ]
    return "".join([*lines, f"{_counts(judgement)}\n"])


def _markdown(judgement: CheckResult) -> str:
    parts = ["# Certificate check", _counts(judgement)]
    for group in _groups(judgement.findings):
        first = group.first
        parts.append(f"## {first.severity.value.capitalize()}: {first.rule}")
        parts.append("\n".join(f"- {code(path)}" for path in group.paths))
        parts += [literal(group.message), f"Evidence: {literal(first.evidence)}"]
        if lines := [line for fix in group.fixes for line in fix.splitlines()]:
            parts.append("\n".join(f"    {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def _html(judgement: CheckResult) -> str:
    shown = document("Certificate check", _markdown(judgement))
    return re.sub("<h2>(Error|Warning):", lambda match: f'<h2 class="{match[1].lower()}">{match[1]}:', shown)


_REPORTS = {"short": _short, "markdown": _markdown, "html": _html}


# ---------------------------------------------------------------- what was left out


def _not_judged(judgement: CheckResult) -> None:
    """On standard error, so that JSON stays JSON: a check that saw half must not look like a whole one."""
    for problem in judgement.not_checked("unreachable"):
        say(f"kcert: {clean_line(str(problem.path))} {clean_line(problem.reason)}.", to=error_screen())
    if denied := first_few([problem.path for problem in judgement.not_checked("denied")], _SHOWN):
        say(f"kcert: not checked, because this user may not read it: {denied}. Run it as root.", to=error_screen())
    if elsewhere := first_few(
        list(dict.fromkeys(problem.path for problem in judgement.not_checked("elsewhere"))), _SHOWN
    ):
        say(
            f"kcert: not checked, because they are not on this machine: {elsewhere}. Kubeconfigs name them for the "
            "hosts that they go to.",
            to=error_screen(),
        )
