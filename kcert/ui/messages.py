"""Single sentences: errors, and what a small command did."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kcert.issue.describe import Description
    from kcert.profiles.profile import KnownIssue


LONGEST = 690
"""Characters of an error; only a very long value makes one longer."""


def error(message: str) -> None:
    """An error, as one paragraph on standard error; one that is too long to be read loses its middle."""
    from kcert.ui.console import error_screen, say

    words = f"kcert: {message}"
    if len(words) > LONGEST:
        words = f"{words[:400]} ... {words[400 - LONGEST + 5 :]}"
    say(words, to=error_screen())


def print_json(content: object) -> None:
    """Print a JSON document, in ASCII: no control character of a foreign name reaches a terminal."""
    sys.stdout.write(f"{json.dumps(content, indent=2)}\n")


def warning(message: str) -> None:
    """Something that is no error and has to be known, as one paragraph on standard error."""
    from kcert.ui.console import error_screen, say

    say(f"kcert: {message}", "notice", to=error_screen())


def wrote_example(path: Path) -> None:
    """kcert.yaml was written."""
    from kcert.ui.console import say

    say(f"{path} describes a cluster, with a comment for each key.")
    option = _option(path)
    say(f"Edit it, then see what the cluster needs with `kcert plan{option}`, and make it with `kcert all{option}`.")


def known_issues(issues: Sequence[KnownIssue], profile: str) -> None:
    """Say what the book that *profile* follows gets wrong, and how to have it corrected."""
    from kcert.ui.console import block, say

    if not issues:
        return
    say(f"The guide that the profile {profile} follows has known issues:", "notice")
    for issue in issues:
        block([f"- {issue.component}: {issue.problem}"])
    say("`fix_known_issues: true` in kcert.yaml (`kcert init --fix-known-issues` writes it) fixes them:")
    block([f"- {issue.component}: {issue.fix}." for issue in issues])


def _option(path: Path) -> str:
    from kcert.quoting import quote

    return "" if str(path) == "kcert.yaml" else f" --config {quote(str(path))}"


def reads_keyboard() -> None:
    """A command waits for what is typed or pasted."""
    from kcert.ui.console import error_screen, say

    say("Paste log lines here, then press Ctrl-D on a line of its own.", to=error_screen())


def described(path: Path, description: Description, count: int, others: Sequence[str]) -> None:
    """kcert.yaml describes a PKI folder; *count* certificates are as it says, *others* differ."""
    from kcert.quoting import format_command
    from kcert.ui.console import block, say

    say(f"{path} describes the certificates in {description.root}: {count} match it.", "good")
    for other in others:
        say(f"Different: {other}.", "notice")
    for note in description.unknown:
        say(f"Not certain: {note}", "notice")
    say("Check it, then compare it with the certificates:")
    folder = () if str(description.root) == "pki" else ("--dir", str(description.root))
    file = () if str(path) == "kcert.yaml" else ("--config", str(path))
    block([format_command(("kcert", "plan", *folder, *file))], "command")
