"""The result of a run: a table of what was made, and a word on what was not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.status import State
from kcert.ui.console import draw, heading, say, screen, table
from kcert.ui.quiet import without_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.certificates import Certificate
    from kcert.issue.context import Issued
    from kcert.issue.status import CertificateStatus


WORDS_WIDTH = 30
"""Columns that the rest of a table of certificates needs, so that no file name is wrapped."""


def show_issued(issued: Sequence[Issued]) -> None:
    """A table of what is in place now: for whom, until when, in which files."""
    if not issued:
        return
    verb = "Renewed" if issued[0].plan.replaces else "Created"
    heading(verb if len(issued) == 1 else f"{verb}: {len(issued)} certificates")
    rows = table("file", "what it is", "valid until")
    longest = max(len(str(one.plan.certificate.files.primary)) for one in issued)
    if screen().width >= longest + WORDS_WIDTH:
        rows.columns[0].min_width = longest
    for one in issued:
        certificate = one.plan.certificate
        until = f"{one.x509.not_after:%Y-%m-%d}" if one.x509 else f"({without_end(certificate)})"
        rows.add_row(str(certificate.files.primary), _what(certificate), until)
    draw(rows)
    screen().print()


def _what(certificate: Certificate) -> str:
    """What it is, and for whom where there are others like it."""
    title = lessons.lesson(certificate.role).title
    whom = certificate.name if certificate.role == "user" else certificate.host
    return f"{title}: {whom}" if whom else title


def show_kept(kept: Sequence[CertificateStatus], folder_option: str) -> None:
    """What was there already: a line where all is well, and a line each for what is not."""
    current = [one.certificate.name for one in kept if one.state is State.CURRENT]
    if current and all(one.certificate.files.crt is None for one in kept):
        say(f"Kept, because they request the same certificate: {', '.join(current)}.")
    elif current:
        say(f"Kept, because they are current: {', '.join(current)}.")
    for one in kept:
        if one.state is not State.CURRENT:
            command = f"`{one.fix_command(folder_option)}`"
            name, works = one.certificate.name, one.state is State.STALE and one.usable
            is_now = "is stale, but works" if works else f"is {one.state.value}"
            does = "would rotate the cluster to another CA" if one.is_other_ca else "renews it"
            say(f"{name} {is_now}: {one.reason}. Not changed; {command} {does}.", "notice")
    if kept:
        screen().print()
