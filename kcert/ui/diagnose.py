"""A log, what it says about certificates and access, and the programs that kcert needs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.errors import VerdictError
from kcert.files import defer_signals
from kcert.quoting import quote
from kcert.ui import print_json
from kcert.ui.console import block, clean_line, counted, error_screen, say, say_apart, say_commands, screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kcert.diagnose import Diagnoser, Diagnosis, Finding
    from kcert.doctor import ToolCheck
    from kcert.logs import LogRequest, LogSource


SHOWN_OF_LINE = 400
"""Characters of a log line on the screen; JSON has all of it."""


def show(diagnosis: Diagnosis, form: str) -> None:
    """Print the findings: as prose, or as JSON."""
    if form == "json":
        print_json([_record(finding) for finding in diagnosis.findings])
        return
    for number, finding in enumerate(diagnosis.findings, 1):
        _finding(number, finding)
    _total(diagnosis)


def show_live(findings: Iterable[Finding | None], diagnoser: Diagnoser) -> None:
    """Print the findings of a log that may be followed: as soon as it pauses (None), and then each as it comes.

    A log that ends without a pause is printed as a whole. Ctrl-C ends a log that is followed, and is raised where
    nothing has been read.
    """
    shown = 0
    paused = False
    try:
        for finding in findings:
            paused = paused or (finding is None and diagnoser.read > 0)
            if paused:
                with defer_signals():  # a finding is printed as a whole
                    for new in diagnoser.result().findings[shown:]:
                        shown += 1
                        _finding(shown, new)
                    sys.stdout.flush()
    except KeyboardInterrupt:
        if not diagnoser.read:
            raise
    result = diagnoser.result()
    if not paused:
        show(result, "text")
        return
    for number, finding in enumerate(result.findings[shown:], shown + 1):
        _finding(number, finding)
    for number, finding in enumerate(result.findings, 1):
        say(f"Cause {number}: {counted(finding.count, 'line')}")
    _total(result)


def _record(finding: Finding) -> dict[str, object]:
    """Return a finding for JSON; ``lines`` are the first few of ``count``."""
    explained = finding.explanation
    return {
        "lines": [{"number": line.number, "text": line.text} for line in finding.lines],
        "count": finding.count,
        "name": explained.name,
        "cause": explained.cause,
        "evidence": explained.proof,
        "fix": explained.repair,
        "proof": explained.proof,  # the names of evidence and fix until the next release
        "repair": explained.repair,
        "lesson": explained.lesson,
    }


def _finding(number: int, finding: Finding) -> None:
    explained = finding.explanation
    say_apart(f"{number}. {clean_line(explained.cause)}", style="heading")
    first = finding.lines[0]
    times = f", and {finding.count - 1} more like it" if finding.count > 1 else ""
    say(f"Line {first.number}{times}:")
    block([clean_line(first.text[:SHOWN_OF_LINE]) + (" ..." if first.text[SHOWN_OF_LINE:] else "")], "said")
    screen().print()
    for name, text in (("Confirm with", explained.proof), ("Fix", explained.repair)):
        say(f"{name}:")
        block([clean_line(line) for line in text.splitlines()], "command")
        screen().print()
    say_apart(f"Lesson: `kcert explain {explained.lesson}`")


def _total(diagnosis: Diagnosis) -> None:
    lines = counted(diagnosis.read, "line")
    if not diagnosis.findings:
        say(f"No errors about certificates or access in {lines}.")
        say(
            "If a connection still fails, read the log of the other side: the side that rejects a certificate "
            "logs the reason."
        )
        return
    say(f"{counted(len(diagnosis.findings), 'cause')} in {lines}", style="heading")
    if diagnosis.left_out:
        say(f"Fix these causes first: {counted(diagnosis.left_out, 'line')} with other causes not shown.", "notice")


def reads_keyboard() -> None:
    """Say that the command waits for what is typed or pasted."""
    say("Paste log lines here, then press Ctrl-D on a line of its own.", to=error_screen())


def announce(request: LogRequest, source: LogSource) -> None:
    """Say which command comes and why, before it prints anything itself."""
    for command in source.asked:
        say_commands("Which one is it?", command.argv)
    say_commands(
        f"The log of {request.component}, with {source.command.argv[0]}: {clean_line(source.why)}.", source.command.argv
    )
    sys.stdout.flush()  # what the program prints does not go through kcert, and must not come first


def show_tools(tools: Sequence[ToolCheck], overrides: Mapping[str, str], form: str) -> None:
    """Print every program, and the variables that change what openssl does."""
    if form == "json":
        programs = [
            {
                "name": tool.program.name,
                "state": "unfit" if tool.trouble and tool.path else "missing" if tool.path is None else "ok",
                "path": tool.path,
                "version": tool.version or None,
                "used_for": tool.program.used_for,
                "without": tool.program.without,
                "reason": tool.trouble,
            }
            for tool in tools
        ]
        variables = [{"name": name, "value": os.environ[name], "effect": effect} for name, effect in overrides.items()]
        print_json({"programs": programs, "environment": variables})
        return
    rows = [(tool.program.name, *_state(tool)) for tool in tools]
    names, states = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    for name, state, style, lines in rows:
        bullet = Text.assemble((f"{name:<{names}}", "heading"), (f"{state:<{states}}", style))
        for line in lines:
            say(line, bullet=bullet)
            bullet = Text(" " * len(bullet))
    for name, effect in overrides.items():
        screen().print()
        say(f"{name} is set ({quote(os.environ[name])}): {effect}. Is this intended?", "notice")


def require_openssl(tools: Sequence[ToolCheck]) -> None:
    """Raise VerdictError if openssl, the only required program, is missing or unfit."""
    openssl = tools[0]
    if openssl.trouble:
        raise VerdictError(f"{openssl.program.name}: {openssl.trouble}. Without it {openssl.program.without}.")


def _state(tool: ToolCheck) -> tuple[str, str, tuple[str, ...]]:
    """Return whether *tool* is there, the style for that, and what there is to say."""
    used_for = tool.program.used_for
    if tool.path is None:
        style = "bad" if tool.trouble else "notice"
        return "missing", style, (f"{used_for}; without it {tool.program.without}",)
    if tool.trouble:
        return "unfit", "bad", (f"{tool.path}: {tool.trouble}",)
    return "found", "good", (tool.version, f"{tool.path}: {used_for}")
