"""The plan, with the state of every certificate, and the kcert.yaml that it follows."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.text import Text

from kcert.certificates import Certificate, Kind
from kcert.issue.adopt import command_options
from kcert.issue.status import CertificateStatus, State
from kcert.quoting import format_command, quote
from kcert.ui import defaults_used, print_json
from kcert.ui.console import PIPE_WIDTH, Row, abridged, block, command_line, draw, in_columns, say, screen
from kcert.ui.report import facts, markdown_table, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

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

_LEAST = 24
"""Columns of a reason beside names that leave it no room."""


def _subject(status: CertificateStatus) -> str:
    subject = status.certificate.subject
    return ", ".join([f"CN={subject.common_name}", *(f"O={name}" for name in subject.organizations)]) if subject else ""


def _files(status: CertificateStatus) -> str:
    """Return key and certificate: the files that users need; request and config are beside them."""
    files = status.certificate.files
    return " ".join(str(path) for path in files.kept if path not in (files.csr, files.cnf))


_COLUMNS: dict[str, Callable[[CertificateStatus], str]] = {
    "state": lambda status: status.state.value,
    "certificate": lambda status: status.certificate.name,
    "use": lambda status: status.certificate.kind.value,
    "subject": _subject,
    "issuer": lambda status: "" if status.certificate.kind is Kind.KEY_PAIR else status.certificate.issuer or "itself",
    "files": _files,
    "SANs": lambda status: ", ".join(map(str, status.certificate.alt_names)),
    "expires": lambda status: f"{status.x509.not_after:%Y-%m-%d}" if status.x509 else "",
    "days": lambda status: str((status.x509.not_after - datetime.now(timezone.utc)).days) if status.x509 else "",
    "why": lambda status: status.reason,
}
_SHORT = ("state", "certificate", "expires", "days", "why")
_WIDE = ("state", "certificate", "use", "subject", "issuer", "files", "SANs", "why")


def show(  # noqa: PLR0917 - one call
    cluster: Cluster,
    root: Path,
    statuses: Sequence[CertificateStatus],
    form: str,
    folder_option: str,
    wide: bool,
    requests: Mapping[str, Mapping[str, Any]],
) -> None:
    """Print the plan: a line a certificate, or with *wide* all of it; as a table, as JSON or as Markdown."""
    if form == "json":
        print_json([_record(status, folder_option) for status in statuses])
    elif form == "markdown":
        sys.stdout.write(markdown_table(rows_of(statuses, _COLUMNS, _WIDE)))
    elif not screen().is_terminal:
        rows = rows_of(statuses, _COLUMNS, _WIDE if wide else _SHORT, "-")
        if not wide:  # the last column is a list, of which 80 columns have room for a part
            before = sum(max(map(len, column)) + 2 for column in [*zip(*rows, strict=True)][:-1])
            rows = [(*row[:-1], abridged(row[-1], max(PIPE_WIDTH - before, _LEAST))) for row in rows]
        sys.stdout.write(in_columns(rows))
    else:
        _terminal(cluster, root, statuses, folder_option, wide=wide)
        for status in statuses:
            if request := requests.get(status.certificate.name):
                options = " ".join(command_options(request))
                say(f"{status.certificate.name} was asked for with {options}.")


def _record(status: CertificateStatus, folder_option: str) -> dict[str, object]:
    certificate = status.certificate
    subject = certificate.subject
    return {
        "name": certificate.name,
        "state": status.state.value,
        "reasons": list(map(str, status.reasons)),
        "fix": status.fix_command(folder_option) if status.reasons else None,
        "usable": status.usable,
        "kind": certificate.kind.value,
        "cn": subject.common_name if subject else None,
        "organizations": list(subject.organizations) if subject else [],
        "sans": [str(name) for name in certificate.alt_names],
        "san": [str(name) for name in certificate.alt_names],  # its name until the next release
        "issuer": certificate.issuer,
        "usages": list(_usages(certificate)),
        "key": str(certificate.key),
        "days": certificate.days or None,
        "files": [str(path) for path in certificate.files.kept],
        "not_after": f"{status.x509.not_after:%Y-%m-%dT%H:%M:%SZ}" if status.x509 else None,
        "made_by": f"kcert {certificate.chapter}",
    }


def _usages(certificate: Certificate) -> tuple[str, ...]:
    """Return the usages of *certificate*, as its template has them: the key usages, then the extended ones."""
    if certificate.kind is Kind.KEY_PAIR:
        return ()
    if certificate.kind is Kind.CA:
        return ("keyCertSign", "cRLSign", "digitalSignature")
    encrypts = ("keyEncipherment",) if certificate.key.algorithm == "rsa" else ()
    served = ("serverAuth",) if certificate.kind.is_server else ()
    return ("digitalSignature", *encrypts, *served, *(("clientAuth",) if certificate.kind.is_client else ()))


def _terminal(
    cluster: Cluster, root: Path, statuses: Sequence[CertificateStatus], folder_option: str, *, wide: bool
) -> None:
    say(f"Cluster {cluster.name}, profile {cluster.profile}: {len(statuses)} certificates and keys in {root}.")
    if words := defaults_used(cluster):
        say(words)
    screen().print()
    if not wide:
        _short(statuses, folder_option)
    elif screen().width >= WIDE:
        draw(_coloured(statuses, _WIDE[:-1]), whole=0)
        for status in statuses:
            if status.reasons:
                say(f"{status.certificate.name}: {status.reason}.", "notice")
        screen().print()
    else:
        for status in statuses:
            _paragraph(status)
    counts = [(state, sum(status.state is state for status in statuses)) for state in State]
    say(f"{', '.join(f'{count} {state.value}' for state, count in counts if count)}.")
    works = [status.certificate.name for status in statuses if status.state is State.STALE and status.usable]
    if works:
        say(f"Stale, but still usable: {', '.join(works)}.")
    if any(status.state is State.MISSING for status in statuses):
        say(f"`kcert all{folder_option}` creates the missing certificates.")


def _coloured(statuses: Sequence[CertificateStatus], headings: Sequence[str], empty: str = "") -> list[Row]:
    rows: list[Row] = [*rows_of(statuses, _COLUMNS, headings, empty)]
    for number, status in enumerate(statuses, start=1):
        state, *rest = rows[number]
        rows[number] = (Text(str(state), style=_STYLES[status.state]), *rest)
    return rows


def _short(statuses: Sequence[CertificateStatus], folder_option: str) -> None:
    """Print a line a certificate, with as many columns as the screen has room for, and what can be done below."""
    longest = max((len(status.certificate.name) for status in statuses), default=0)
    shown = next((count for count, need in ((4, 34), (3, 26)) if screen().width >= longest + need), 2)
    draw(_coloured(statuses, _SHORT[:shown], "-"), whole=shown)
    screen().print()
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for status in statuses:
        if status.reasons:
            _, _, name, *options = shlex.split(status.fix_command(folder_option))
            alike.setdefault((status.clause(status.reason), (*options,)), []).append(name)
    for (clause, more), names in alike.items():
        what = names[0] if len(names) == 1 else f"Each of {', '.join(names)}"
        say(f"{what} {clause}.", "notice")
        command_line(("kcert", "renew", *names, *more))
        screen().print()


def _paragraph(status: CertificateStatus) -> None:
    state = (status.state.value, _STYLES[status.state])
    screen().print(Text.assemble((status.certificate.name, "heading"), "  ", state))
    if status.reasons:
        say(f"    {status.reason}", "notice")
    screen().print(facts(((f"    {name}", _COLUMNS[name](status)) for name in _WIDE[2:-1]), gap=2))
    screen().print()


def wrote_example(path: Path) -> None:
    """Say what `kcert init` wrote, and what to do with it."""
    say(f"{path} describes a cluster, with a comment for each key.")
    option = "" if str(path) == "kcert.yaml" else f" --config {quote(str(path))}"
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
