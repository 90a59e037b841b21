"""What a log tells about certificates and access: causes, proofs, repairs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from kcert.ui.console import block, clean_line, heading, say, screen

if TYPE_CHECKING:
    from kcert.diagnose import Diagnosis, Finding

SHOWN_OF_LINE = 400
"""Characters of a log line on the screen; JSON has all of it."""


def show(diagnosis: Diagnosis, form: str) -> None:
    """Print what was found: as prose, or as JSON."""
    if form == "json":
        sys.stdout.write(json.dumps([_record(one) for one in diagnosis.findings], indent=2) + "\n")
        return
    for number, one in enumerate(diagnosis.findings, 1):
        _finding(number, one)
    _total(diagnosis)


def _record(finding: Finding) -> dict[str, object]:
    """A finding as JSON has it; ``lines`` are the first few of ``count``."""
    return {
        "lines": [{"number": line.number, "text": line.text} for line in finding.lines],
        "count": finding.count,
        "cause": finding.meaning.cause,
        "proof": finding.meaning.proof,
        "repair": finding.meaning.repair,
        "lesson": finding.lesson,
    }


def _finding(number: int, finding: Finding) -> None:
    say(f"{number}. {clean_line(finding.meaning.cause)}", style="heading")
    screen().print()
    first = finding.lines[0]
    times = f", and {finding.count - 1} more like it" if finding.count > 1 else ""
    say(f"Line {first.number}{times}:")
    block([_shortened(first.text)], "said")
    screen().print()
    for name, text in (("Proof", finding.meaning.proof), ("Repair", finding.meaning.repair)):
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
            "If a connection fails all the same, read the other side's log: the side that refuses a certificate "
            "knows why."
        )
        return
    heading(f"{_counted(len(diagnosis.findings), 'cause')} in {lines}")
    if diagnosis.left_out:
        say(f"{_counted(diagnosis.left_out, 'line')} of other faults had no room here: mend these first.", "notice")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
