"""The result of a run: a table of what was made and of what was not changed, and signatures one by one or as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.status import State
from kcert.ui.console import clean_line, draw, heading, say, screen, table
from kcert.ui.messages import print_json
from kcert.ui.quiet import without_end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.issue.context import Issued
    from kcert.issue.status import CertificateStatus
    from kcert.openssl.x509 import X509


WORDS_WIDTH = 30
"""Columns that the rest of a table of certificates needs, so that no file name is wrapped."""


def signed_record(name: str, path: Path, x509: X509, *, changed: bool) -> dict[str, object]:
    """Return a certificate that was signed or fetched as JSON has it: its file, and who it makes its owner."""
    return {
        "name": name,
        "path": str(path),
        "changed": changed,
        "subject": str(x509.subject),
        "common_name": x509.subject.common_name,
        "organizations": list(x509.subject.organizations),
        "sans": [str(name) for name in x509.alt_names],
        "not_after": f"{x509.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }


class SignatureResults:
    """The results of signatures: each is shown as it comes, or all of them at the end as JSON, also after an error."""

    def __init__(self, form: str, *, quiet: bool) -> None:
        self.terse = quiet or form == "json"
        self._records: list[dict[str, object]] | None = [] if form == "json" else None

    def __enter__(self) -> SignatureResults:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def add(self, name: str, path: Path, x509: X509, show: Callable[[], None], *, changed: bool = True) -> None:
        """Add the certificate *name*, which is in the file *path*; *show* explains it."""
        if self._records is not None:
            self._records.append(signed_record(name, path, x509, changed=changed))
        elif self.terse:
            sys.stdout.write(f"{clean_line(str(path))}\n")
        else:
            show()

    def __exit__(self, *_error: object) -> None:
        if self._records is not None:
            print_json(self._records)


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
