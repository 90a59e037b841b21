"""The plan: every certificate and how it stands."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kcert.certificates import Kind
from kcert.issue.status import State
from kcert.ui.console import draw, in_columns, say, screen, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.issue.status import CertificateStatus

WIDE = 150
"""Columns from which on all of it fits into a table; on a smaller terminal each certificate is a paragraph."""

_STYLES = {
    State.MISSING: "quiet",
    State.CURRENT: "good",
    State.STALE: "notice",
    State.EXPIRING: "notice",
    State.EXPIRED: "bad",
}
_COLUMNS = ("state", "certificate", "use", "subject", "issuer", "files", "names")


def show(cluster: Cluster, root: Path, statuses: Sequence[CertificateStatus], form: str, folder_option: str) -> None:
    """Print the plan as a table, as JSON or as Markdown."""
    if form == "json":
        sys.stdout.write(json.dumps([_record(one) for one in statuses], indent=2) + "\n")
    elif form == "markdown":
        sys.stdout.write("\n".join(_markdown(statuses)) + "\n")
    elif not screen().is_terminal:
        _plain(statuses)
    else:
        _terminal(cluster, root, statuses, folder_option)


def _record(standing: CertificateStatus) -> dict[str, object]:
    certificate = standing.certificate
    subject = certificate.subject
    return {
        "name": certificate.name,
        "state": standing.state.value,
        "reasons": list(standing.reasons),
        "usable": standing.usable,
        "kind": certificate.kind.value,
        "cn": subject.common_name if subject else None,
        "organizations": list(subject.organizations) if subject else [],
        "san": [str(name) for name in certificate.alt_names],
        "issuer": certificate.issuer,
        "usages": list(usages(certificate)),
        "key": str(certificate.key),
        "days": certificate.days or None,
        "files": [str(path) for path in certificate.files.kept],
        "not_after": f"{standing.found.not_after:%Y-%m-%dT%H:%M:%SZ}" if standing.found else None,
        "made_by": f"kcert {certificate.chapter}",
    }


def usages(certificate: Certificate) -> tuple[str, ...]:
    """What it may be used for, as its templates say it: the key usages, then the extended ones."""
    if certificate.kind is Kind.KEY_PAIR:
        return ()
    if certificate.kind is Kind.CA:
        return ("keyCertSign", "cRLSign", "digitalSignature")
    encrypts = ("keyEncipherment",) if certificate.key.algorithm == "rsa" else ()
    served = ("serverAuth",) if certificate.kind.is_server else ()
    return ("digitalSignature", *encrypts, *served, *(("clientAuth",) if certificate.kind.is_client else ()))


def _row(standing: CertificateStatus) -> tuple[str, ...]:
    certificate = standing.certificate
    subject = certificate.subject
    parts = [f"CN={subject.common_name}", *(f"O={group}" for group in subject.organizations)] if subject else []
    return (
        standing.state.value,
        certificate.name,
        certificate.kind.value,
        ", ".join(parts),
        certificate.issuer or "itself" if certificate.kind is not Kind.KEY_PAIR else "",
        " ".join(str(path) for path in _files(certificate)),
        ", ".join(str(name) for name in certificate.alt_names),
    )


def _files(certificate: Certificate) -> list[str]:
    """Key and certificate: what others ask for; request and settings lie beside them."""
    files = certificate.files
    return [str(path) for path in files.kept if path not in (files.csr, files.cnf)]


def _markdown(statuses: Sequence[CertificateStatus]) -> list[str]:
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(_row(one) for one in statuses)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _plain(statuses: Sequence[CertificateStatus]) -> None:
    """One line a certificate, in columns, for other programs to read."""
    rows = [_COLUMNS, *(tuple(cell or "-" for cell in _row(one)) for one in statuses)]
    sys.stdout.write(in_columns(rows))


def _terminal(cluster: Cluster, root: Path, statuses: Sequence[CertificateStatus], folder_option: str) -> None:
    say(f"Cluster {cluster.name}, profile {cluster.profile}: {len(statuses)} certificates and keys in {root}.")
    if cluster.defaults:
        where = f"{cluster.source} leaves to kcert" if cluster.source else "There is no kcert.yaml, so kcert takes"
        say(f"{where}: {', '.join(cluster.defaults)}.", "quiet")
    screen().print()
    if screen().width >= WIDE:
        _table(statuses)
    else:
        _paragraphs(statuses)
    counts = [(state, sum(one.state is state for one in statuses)) for state in State]
    say(f"{', '.join(f'{count} {state.value}' for state, count in counts if count)}.")
    works = [one.certificate.name for one in statuses if one.state is State.STALE and one.usable]
    if works:
        say(f"Stale, and good for their work as they are: {', '.join(works)}.")
    if any(one.state is State.MISSING for one in statuses):
        say(f"`kcert all{folder_option}` makes what is missing.")


def _table(statuses: Sequence[CertificateStatus]) -> None:
    rows = table(*_COLUMNS)
    for one in statuses:
        state, *rest = _row(one)
        rows.add_row(Text(state, style=_STYLES[one.state]), *(Text(cell) for cell in rest))
    draw(rows)
    for one in statuses:
        if one.reasons:
            say(f"{one.certificate.name}: {one.reason}.", "notice")
    screen().print()


def _paragraphs(statuses: Sequence[CertificateStatus]) -> None:
    for one in statuses:
        state, name, *rest = _row(one)
        screen().print(Text.assemble((name, "heading"), "  ", (state, _STYLES[one.state])))
        if one.reasons:
            say(f"    {one.reason}", "notice")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="quiet")
        grid.add_column(overflow="fold")
        for label, cell in zip(_COLUMNS[2:], rest, strict=True):
            if cell:
                grid.add_row(f"    {label}", Text(cell))
        screen().print(grid)
        screen().print()
