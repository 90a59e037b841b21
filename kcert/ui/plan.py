"""The plan, with the state of every certificate, and the kcert.yaml that it follows."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kcert.certificates import Certificate, Kind
from kcert.issue.status import CertificateStatus, State
from kcert.quoting import format_command, quote
from kcert.store.history import Memory, command_options
from kcert.ui import print_json, print_lines
from kcert.ui.console import PIPE_WIDTH, abridged, block, command_line, draw, in_columns, say, screen, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kcert.config import Cluster
    from kcert.issue.describe import Description
    from kcert.profiles.profile import KnownIssue

WIDE = 150
"""Columns from which on all of it fits into a table; on a smaller terminal each certificate is a paragraph."""

_STYLES = {
    State.MISSING: "quiet",
    State.CURRENT: "good",
    State.STALE: "notice",
    State.EXPIRING: "notice",
    State.EXPIRED: "bad",
}
_COLUMNS = ("state", "certificate", "use", "subject", "issuer", "files", "SANs")


_SHORT_COLUMNS = ("state", "certificate", "expires", "days", "why")
_LEAST = 24
"""Columns of a reason beside names that leave it no room."""


def show(  # noqa: PLR0917 - one call
    cluster: Cluster,
    root: Path,
    statuses: Sequence[CertificateStatus],
    form: str,
    folder_option: str,
    wide: bool,
    memory: Memory,
) -> None:
    """Print the plan: a line a certificate, or with *wide* all of it; as a table, as JSON or as Markdown."""
    if form == "json":
        print_json([_record(status, folder_option) for status in statuses])
    elif form == "markdown":
        print_lines(_markdown(statuses))
    elif not screen().is_terminal:
        sys.stdout.write(in_columns(_wide_rows(statuses) if wide else _narrow(_short_rows(statuses))))
    else:
        _terminal(cluster, root, statuses, folder_option, wide=wide)
        _asked_for(statuses, memory)


def _record(status: CertificateStatus, folder_option: str) -> dict[str, object]:
    certificate = status.certificate
    subject = certificate.subject
    return {
        "name": certificate.name,
        "state": status.state.value,
        "reasons": list(status.reasons),
        "fix": status.fix_command(folder_option) if status.reasons else None,
        "usable": status.usable,
        "kind": certificate.kind.value,
        "cn": subject.common_name if subject else None,
        "organizations": list(subject.organizations) if subject else [],
        "sans": [str(name) for name in certificate.alt_names],
        "san": [str(name) for name in certificate.alt_names],  # its name until the next release
        "issuer": certificate.issuer,
        "usages": list(usages(certificate)),
        "key": str(certificate.key),
        "days": certificate.days or None,
        "files": [str(path) for path in certificate.files.kept],
        "not_after": f"{status.x509.not_after:%Y-%m-%dT%H:%M:%SZ}" if status.x509 else None,
        "made_by": f"kcert {certificate.chapter}",
    }


def usages(certificate: Certificate) -> tuple[str, ...]:
    """Return the usages of *certificate*, as its template has them: the key usages, then the extended ones."""
    if certificate.kind is Kind.KEY_PAIR:
        return ()
    if certificate.kind is Kind.CA:
        return ("keyCertSign", "cRLSign", "digitalSignature")
    encrypts = ("keyEncipherment",) if certificate.key.algorithm == "rsa" else ()
    served = ("serverAuth",) if certificate.kind.is_server else ()
    return ("digitalSignature", *encrypts, *served, *(("clientAuth",) if certificate.kind.is_client else ()))


def _row(status: CertificateStatus) -> tuple[str, ...]:
    certificate = status.certificate
    subject = certificate.subject
    parts = [f"CN={subject.common_name}", *(f"O={group}" for group in subject.organizations)] if subject else []
    return (
        status.state.value,
        certificate.name,
        certificate.kind.value,
        ", ".join(parts),
        certificate.issuer or "itself" if certificate.kind is not Kind.KEY_PAIR else "",
        " ".join(str(path) for path in _files(certificate)),
        ", ".join(str(name) for name in certificate.alt_names),
    )


def _files(certificate: Certificate) -> list[str]:
    """Key and certificate: the files that users need; request and config are beside them."""
    files = certificate.files
    return [str(path) for path in files.kept if path not in (files.csr, files.cnf)]


def _markdown(statuses: Sequence[CertificateStatus]) -> list[str]:
    heading, *rows = _wide_rows(statuses, empty="")
    lines = (" | ".join(cell.replace("|", r"\|") for cell in row) for row in (heading, ("---",) * len(heading), *rows))
    return [f"| {line} |" for line in lines]


def _wide_rows(statuses: Sequence[CertificateStatus], empty: str = "-") -> list[tuple[str, ...]]:
    """Return a row a certificate, with the heading: all that `plan` has of it; *empty* is a cell without content."""
    rows = ((*_row(status), status.reason) for status in statuses)
    return [(*_COLUMNS, "why"), *(tuple(cell or empty for cell in row) for row in rows)]


def _short_rows(statuses: Sequence[CertificateStatus]) -> list[tuple[str, ...]]:
    """Return a row a certificate, with the heading: state, name, when it expires, and why it is not current."""
    rows: list[tuple[str, ...]] = [_SHORT_COLUMNS]
    now = datetime.now(timezone.utc)
    for status in statuses:
        expires = status.x509.not_after if status.x509 else None
        days = str((expires - now).days) if expires else "-"
        date = f"{expires:%Y-%m-%d}" if expires else "-"
        rows.append((status.state.value, status.certificate.name, date, days, status.reason or "-"))
    return rows


def _narrow(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return *rows* with their last column, a list, cut to what 80 columns have room for."""
    before = sum(max(len(row[column]) for row in rows) + 2 for column in range(len(rows[0]) - 1))
    return [(*row[:-1], abridged(row[-1], max(PIPE_WIDTH - before, _LEAST))) for row in rows]


def _asked_for(statuses: Sequence[CertificateStatus], memory: Memory) -> None:
    """Say what the folder remembers of the command line."""
    for status in statuses:
        if request := memory.requests.get(status.certificate.name):
            options = " ".join(command_options(request))
            say(f"{status.certificate.name} was asked for with {options}.")


def _short(statuses: Sequence[CertificateStatus], folder_option: str) -> None:
    """Print a line a certificate, with as many columns as the screen has room for, and what can be done below."""
    heading, *rows = _short_rows(statuses)
    longest = max((len(row[1]) for row in rows), default=0)
    shown = next((count for count, need in ((4, 34), (3, 26)) if screen().width >= longest + need), 2)
    lines = table(*heading[:shown])
    for column in lines.columns:
        column.no_wrap = True
    for status, row in zip(statuses, rows, strict=True):
        state, *rest = row[:shown]
        lines.add_row(Text(state, style=_STYLES[status.state]), *(Text(cell) for cell in rest))
    draw(lines)
    screen().print()
    for status in statuses:
        if status.reasons:
            say(f"{status.certificate.name} is {status.state.value}: {status.reason}.", "notice")
            command_line(tuple(shlex.split(status.fix_command(folder_option))))
            screen().print()


def _terminal(
    cluster: Cluster, root: Path, statuses: Sequence[CertificateStatus], folder_option: str, *, wide: bool
) -> None:
    say(f"Cluster {cluster.name}, profile {cluster.profile}: {len(statuses)} certificates and keys in {root}.")
    if cluster.defaults:
        where = f"{cluster.source} does not set everything" if cluster.source else "There is no kcert.yaml"
        say(f"{where}, so kcert uses these defaults: {', '.join(cluster.defaults)}.")
    screen().print()
    if not wide:
        _short(statuses, folder_option)
    elif screen().width >= WIDE:
        _table(statuses)
    else:
        _paragraphs(statuses)
    counts = [(state, sum(status.state is state for status in statuses)) for state in State]
    say(f"{', '.join(f'{count} {state.value}' for state, count in counts if count)}.")
    works = [status.certificate.name for status in statuses if status.state is State.STALE and status.usable]
    if works:
        say(f"Stale, but still usable: {', '.join(works)}.")
    if any(status.state is State.MISSING for status in statuses):
        say(f"`kcert all{folder_option}` creates the missing certificates.")


def _table(statuses: Sequence[CertificateStatus]) -> None:
    rows = table(*_COLUMNS)
    for status in statuses:
        state, *rest = _row(status)
        rows.add_row(Text(state, style=_STYLES[status.state]), *(Text(cell) for cell in rest))
    draw(rows)
    for status in statuses:
        if status.reasons:
            say(f"{status.certificate.name}: {status.reason}.", "notice")
    screen().print()


def _paragraphs(statuses: Sequence[CertificateStatus]) -> None:
    for status in statuses:
        state, name, *rest = _row(status)
        screen().print(Text.assemble((name, "heading"), "  ", (state, _STYLES[status.state])))
        if status.reasons:
            say(f"    {status.reason}", "notice")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="quiet")
        grid.add_column(overflow="fold")
        for label, cell in zip(_COLUMNS[2:], rest, strict=True):
            if cell:
                grid.add_row(f"    {label}", Text(cell))
        screen().print(grid)
        screen().print()


def wrote_example(path: Path) -> None:
    """Say what `kcert init` wrote, and what to do with it."""
    say(f"{path} describes a cluster, with a comment for each key.")
    option = _option(path)
    say(f"Edit it, then see what the cluster needs with `kcert plan{option}`, and make it with `kcert all{option}`.")


def described(path: Path, description: Description, count: int, others: Sequence[str]) -> None:
    """Say that kcert.yaml describes a PKI folder; *count* certificates are as it says, *others* differ."""
    say(f"{path} describes the certificates in {description.root}: {count} match it.", "good")
    for other in others:
        say(f"Different: {other}.", "notice")
    for note in description.unknown:
        say(f"Not certain: {note}", "notice")
    say("Check it, then compare it with the certificates:")
    folder = () if str(description.root) == "pki" else ("--dir", str(description.root))
    file = () if str(path) == "kcert.yaml" else ("--config", str(path))
    block([format_command(("kcert", "plan", *folder, *file))], "command")


def known_issues(issues: Sequence[KnownIssue], profile: str) -> None:
    """Say what the book that *profile* follows gets wrong, and how to have it corrected."""
    if not issues:
        return
    from kcert.ui.explain import passage  # two commands need it

    screen().print()
    say(f"The guide that the profile {profile} follows has known issues:", "notice")
    passage("\n".join(f"- {issue.component}: {issue.problem}" for issue in issues))
    screen().print()
    say("`fix_known_issues: true` in kcert.yaml (`kcert init --fix-known-issues` writes it) fixes them:")
    passage("\n".join(f"- {issue.component}: {issue.fix}." for issue in issues))


def _option(path: Path) -> str:
    return "" if str(path) == "kcert.yaml" else f" --config {quote(str(path))}"
