"""What a log says about certificates and access: causes, proofs and fixes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert.files import defer_signals
from kcert.ui import print_json
from kcert.ui.console import block, clean_line, error_screen, say, screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.diagnose import Diagnoser, Diagnosis, Finding

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
        say(f"Cause {number}: {_counted(finding.count, 'line')}")
    _total(result)


def _record(finding: Finding) -> dict[str, object]:
    """Return a finding as JSON has it; ``lines`` are the first few of ``count``."""
    return {
        "lines": [{"number": line.number, "text": line.text} for line in finding.lines],
        "count": finding.count,
        "cause": finding.explanation.cause,
        "evidence": finding.explanation.proof,
        "fix": finding.explanation.repair,
        "proof": finding.explanation.proof,  # the names of evidence and fix until the next release
        "repair": finding.explanation.repair,
        "lesson": finding.lesson,
    }


def _finding(number: int, finding: Finding) -> None:
    say(f"{number}. {clean_line(finding.explanation.cause)}", style="heading")
    screen().print()
    first = finding.lines[0]
    times = f", and {finding.count - 1} more like it" if finding.count > 1 else ""
    say(f"Line {first.number}{times}:")
    block([_shortened(first.text)], "said")
    screen().print()
    for name, text in (("Confirm with", finding.explanation.proof), ("Fix", finding.explanation.repair)):
        say(f"{name}:")
        for line in text.splitlines():
            block([clean_line(line)], "quiet" if line.lstrip().startswith("#") else "command")
        screen().print()
    say(f"Lesson: `kcert explain {finding.lesson}`")
    screen().print()


def _shortened(text: str) -> str:
    shown = clean_line(text[:SHOWN_OF_LINE])
    return shown if len(text) <= SHOWN_OF_LINE else f"{shown} ..."


def _total(diagnosis: Diagnosis) -> None:
    lines = _counted(diagnosis.read, "line")
    if not diagnosis.findings:
        say(f"Nothing about certificates or access in {lines}.")
        say(
            "If a connection fails all the same, read the log of the other side: the side that rejects a certificate "
            "knows the reason."
        )
        return
    say(f"{_counted(len(diagnosis.findings), 'cause')} in {lines}", style="heading")
    if diagnosis.left_out:
        say(f"{_counted(diagnosis.left_out, 'line')} of other causes left out: fix these first.", "notice")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def reads_keyboard() -> None:
    """Say that the command waits for what is typed or pasted."""
    say("Paste log lines here, then press Ctrl-D on a line of its own.", to=error_screen())
