"""The findings of `kcert check` with their fixes, worst first, and the fields of `kcert show`."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from rich.text import Text

from kcert import lessons
from kcert.check import Severity
from kcert.clusters import COMPONENTS
from kcert.errors import FOUND, INPUT
from kcert.quoting import format_command
from kcert.ui import print_json
from kcert.ui.console import (
    INDENT,
    MOST_WIDTH,
    block,
    clean,
    clean_line,
    command_line,
    error_screen,
    heading,
    say,
    screen,
)
from kcert.ui.report import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.check import CheckResult, Finding
    from kcert.scan.fields import Description, Field, Part


STYLES = {Severity.ERROR: "bad", Severity.WARNING: "notice"}

_SHOWN = 5
"""The number of unreadable files that are named."""


def show_findings(judgement: CheckResult, form: str, *, looked_around: bool) -> None:
    """Print the findings in *form*, and on standard error what could not be checked."""
    if form in _REPORTS:
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
    counted = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    if any(judgement.count(severity) for severity in counted):
        return FOUND
    return INPUT if judgement.unreachable else 0


# ---------------------------------------------------------------- for people


@dataclass(frozen=True)
class _Group:
    """One finding, with all the files in which it is the same."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The finding that stands for all."""
        return self.findings[0]

    @property
    def paths(self) -> list[str]:
        """The files, each once."""
        return list(dict.fromkeys(clean_line(str(finding.path)) for finding in self.findings))

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
    for group in groups:
        _finding(group)
    _restarts(judgement)
    if groups:
        say("Explanations:")
        block([f"kcert explain {rule}" for rule in dict.fromkeys(group.first.rule for group in groups)], "command")


def _restarts(judgement: CheckResult) -> None:
    """Say which components use the fixed files only after a restart."""
    kind = judgement.scan.kind
    names = {name for finding in judgement.findings for name in finding.restart}
    if names:
        listed = ", ".join(name for name in COMPONENTS if name in names)
        say(f"After the fixes, restart the components that read these files only when they start: {listed}.")
        if kind and kind.restart:
            say(f"With {kind.title}: {kind.restart}.")
        screen().print()


def _summary(judgement: CheckResult, groups: Sequence[_Group]) -> None:
    checked = _counted(judgement.checked, "certificate")
    if not groups:
        good = f"{checked} checked, no problems found." if judgement.checked else "No certificates found."
        say(good, "good" if judgement.checked else "notice")
        return
    say(_counts(judgement), "bad" if judgement.count(Severity.ERROR) else "notice")
    widths = [max(map(len, column)) for column in zip(*map(_row, groups), strict=True)]
    for group in groups:
        severity, rule, files = _row(group)
        line = Text(f"  {severity:<{widths[0]}}  ", style=STYLES[group.first.severity])
        screen().print(line.append(f"{rule:<{widths[1]}}  {files}", style="not bold"), soft_wrap=True)
    screen().print()


def _row(group: _Group) -> tuple[str, str, str]:
    paths = group.paths
    return group.first.severity.value, group.first.rule, paths[0] if len(paths) == 1 else f"{len(paths)} files"


def _counts(judgement: CheckResult) -> str:
    parts = [_counted(count, severity.value) for severity in Severity if (count := judgement.count(severity))]
    return f"{_counted(judgement.checked, 'certificate')} checked: {' and '.join(parts) or 'no problems found'}."


def _finding(group: _Group) -> None:
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


def _json(judgement: CheckResult) -> str:
    findings = [
        {
            "rule": finding.rule,
            "severity": finding.severity.value,
            "path": str(finding.path),
            "message": finding.message,
            "evidence": finding.evidence,
            "fix": finding.commands,
            "restart": list(finding.restart),
        }
        for finding in judgement.findings
    ]
    # ASCII: whatever a certificate says, no control character reaches a terminal.
    return json.dumps({"checked": judgement.checked, "findings": findings}, indent=2) + "\n"


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
        parts.append("\n".join(f"- {_code(path)}" for path in group.paths))
        parts += [_escaped(group.message), f"Evidence: {_escaped(clean_line(first.evidence))}"]
        commands = [finding.commands for finding in group.findings]
        lines = [line for fix in dict.fromkeys(commands) if fix for line in clean(fix).splitlines()]
        if lines:
            parts.append("\n".join(f"    {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)


_STYLE = """
body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
pre { overflow-x: auto; background: #f4f4f4; padding: 1em; }
.error { color: #b00020; }
.warning { color: #8a5a00; }
"""


def _html(judgement: CheckResult) -> str:
    body = [f"<h1>Certificate check</h1>\n<p>{escape(_counts(judgement))}</p>"]
    for group in _groups(judgement.findings):
        first = group.first
        body.append(
            f'<h2 class="{first.severity.value}">{first.severity.value.capitalize()}: {escape(first.rule)}</h2>'
        )
        body.append("<ul>" + "".join(f"<li><code>{escape(path)}</code></li>" for path in group.paths) + "</ul>")
        body.append(f"<p>{escape(group.message)}</p>\n<p>Evidence: {escape(clean_line(first.evidence))}</p>")
        commands = [finding.commands for finding in group.findings]
        body += [f"<pre>{escape(clean(fix))}</pre>" for fix in dict.fromkeys(commands) if fix]
    return page("Certificate check", _STYLE, "\n".join(body))


_REPORTS = {"json": _json, "short": _short, "markdown": _markdown, "html": _html}


# ---------------------------------------------------------------- what was left out


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _not_judged(judgement: CheckResult) -> None:
    """On standard error, so that JSON stays JSON: a check that saw half must not look like a whole one."""
    for problem in judgement.unreachable:
        say(f"kcert: {clean_line(str(problem.path))} {clean_line(problem.reason)}.", to=error_screen())
    if denied := judgement.denied:
        say(
            f"kcert: not checked, because this user may not read it: {_listed([str(file.path) for file in denied])}. "
            "Root may.",
            to=error_screen(),
        )
    if elsewhere := list(dict.fromkeys(str(problem.path) for problem in judgement.elsewhere)):
        say(
            f"kcert: not checked, because they are not on this machine: {_listed(elsewhere)}. Kubeconfigs name them "
            "for the hosts that they go to.",
            to=error_screen(),
        )


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(clean_line(path) for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"


MEANINGS = "reading-a-certificate"
"""The lesson whose sections say what each field means."""

TEXT = "openssl-text"
"""The lesson whose sections say what each line of ``openssl x509 -text`` means."""

COLUMN, WIDEST = 56, 130
"""The columns at which notes beside openssl's text begin and end."""

LONGEST = 2000  # characters of one value on the screen: a certificate may have ten thousand names
_BLANK = re.compile(r"\{(\w+)\}")


def show_description(description: Description, *, text: bool, explain: bool) -> None:
    """Print all of it; *text* adds openssl's own output, *explain* the meaning of each field."""
    if explain:
        lessons.check_own()
    for number, part in enumerate(description.parts):
        if number:
            screen().print()
        _part(part, text=text, explain=explain)
    if description.left_out:
        screen().print()
        say(f"{description.left_out:,} more certificates are in {description.what}. List all with:")
        command_line(("kcert", "inventory", description.what))


def description_as_json(description: Description, *, explain: bool) -> None:
    """Print all of it as JSON; *explain* adds the meaning of each field."""
    parts = [
        {
            "title": part.title,
            "commands": [command.by_hand or format_command(command.argv) for command in part.commands],
            "fields": [
                {
                    "name": field.name,
                    "value": field.value,
                    "meaning": _meaning(field) if explain and field.meaning else None,
                }
                for field in part.fields
            ],
        }
        for part in description.parts
    ]
    content = {
        "what": description.what,
        "parts": parts,
        "left_out": description.left_out,
        "fault": description.fault,
    }
    print_json(content)


def _part(part: Part, *, text: bool, explain: bool) -> None:
    heading(clean_line(part.title))
    screen().print()
    for command in part.commands:
        if command.by_hand:
            block([clean_line(command.by_hand)], "command")
        else:
            command_line(command.argv)
        if text and explain and command.succeeded:
            _annotated(clean(command.output))
        elif text or not command.succeeded:
            block(clean(command.output).splitlines(), "said")
    if part.commands:
        screen().print()
    said: set[str] = set()
    for field in part.fields:
        _field(field, explain=explain and field.meaning not in said)
        said |= {field.meaning} if field.meaning else set()


def _annotated(output: str) -> None:
    """Print what openssl said, with the meaning of each line beside it, or below on a narrow screen."""
    notes = dict(lessons.lesson(TEXT).sections)
    console = screen()
    width = min(console.width, WIDEST)
    for line in output.splitlines():
        whole = f"{INDENT}{line}".rstrip()
        note = _note(line, notes)
        beside = f"{whole:<{COLUMN}}  # {note}"
        if not note:
            block([line], "said")
        elif len(beside) <= width:
            console.print(Text.assemble((whole.ljust(COLUMN), "said"), (f"  # {note}", "code")), soft_wrap=True)
        else:
            block([line], "said")
            indent = INDENT + " " * (len(line) - len(line.lstrip())) + "# "
            _wrapped(Text(note, style="code"), max(width - len(indent), 20), indent)


def _note(line: str, notes: dict[str, str]) -> str:
    """Return the meaning of a line, once for each heading: *notes* loses those that are used."""
    label = re.sub(r"^RSA (?=Public-Key)", "", line.strip().partition(":")[0].strip())
    values = [value.strip() for value in line.strip().split(",")]
    meanings = [notes.pop(heading) for heading in (label, *values) if heading in notes]
    if line.rstrip().endswith(": critical"):
        meanings += [notes.pop("critical")] if "critical" in notes else []
    return "; ".join(" ".join(note.split()) for note in meanings)


def _field(field: Field, *, explain: bool) -> None:
    value = clean_line(field.value)
    if len(value) > LONGEST:
        value = f"{value[:LONGEST]} … ({len(value) - LONGEST} characters more; --text prints all)"
    width = min(screen().width, MOST_WIDTH)
    _wrapped(Text.assemble((f"{field.name}: ", "heading"), value), width)
    if explain and field.meaning:
        _wrapped(Text(_meaning(field)), width - len(INDENT), INDENT)


def _wrapped(text: Text, width: int, indent: str = "") -> None:
    for line in text.wrap(screen(), width):
        line.rstrip()
        screen().print(Text(indent) + line)


def _meaning(field: Field) -> str:
    words = " ".join(lessons.lesson(MEANINGS).sections[field.meaning or ""].split())
    return _BLANK.sub(lambda match: clean_line(field.words.get(match[1], match[0])), words)
