"""Output that does without rich: errors, warnings, JSON, and sentences on what was issued."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.context import Issued

LONGEST = 690
"""Characters of an error; only a very long value makes one longer."""


def error(message: str) -> None:
    """Print an error as one paragraph on standard error; one that is too long to be read loses its middle."""
    from kcert.ui.console import error_screen, say

    words = f"kcert: {message}"
    if len(words) > LONGEST:
        words = f"{words[:400]} ... {words[400 - LONGEST + 5 :]}"
    say(words, to=error_screen())


def warning(message: str) -> None:
    """Print something that is not an error but has to be known, as one paragraph on standard error."""
    from kcert.ui.console import error_screen, say

    say(f"kcert: {message}", "notice", to=error_screen())


def print_json(content: object) -> None:
    """Print a JSON document, in ASCII: no control character of a foreign name reaches a terminal."""
    sys.stdout.write(f"{json.dumps(content, indent=2)}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print *lines* as they are, without rich: a script, a document."""
    sys.stdout.write("\n".join(lines) + "\n")


def print_text(text: str) -> None:
    """Print *text* alone, for another program to read."""
    sys.stdout.write(text)


def print_path(path: Path) -> None:
    """Print the path of a file or folder, alone on its line."""
    from kcert.ui.console import clean_line

    sys.stdout.write(f"{clean_line(str(path))}\n")


def defaults_used(cluster: Cluster) -> str:
    """Return a sentence on the defaults that *cluster* uses; "" if it uses none."""
    if not cluster.defaults:
        return ""
    where = f"{cluster.source} does not set everything" if cluster.source else "There is no kcert.yaml"
    return f"{where}, so kcert uses these defaults: {', '.join(cluster.defaults)}."


def without_end(certificate: Certificate) -> str:
    """Return what the files of *certificate* are, if they are not a certificate."""
    return "a request" if certificate.files.csr else "a key pair"


def in_no_group(cluster: Cluster, issued: Sequence[Issued]) -> str:
    """Return a sentence on users that were created without a group and are not in kcert.yaml; "" if there are none."""
    described = {user.name for user in cluster.users}
    names = [
        spec.name
        for spec in (result.plan.certificate for result in issued if not result.plan.replaces)
        if spec.role == "user" and spec.name not in described and spec.subject and not spec.subject.organizations
    ]
    if not names:
        return ""
    listed = f"{', '.join(names[:-1])} and {names[-1]} are" if names[1:] else f"{names[0]} is"
    return f"{listed} not in any group. Use --group GROUP to add one."
