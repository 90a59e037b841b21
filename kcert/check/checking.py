"""``kcert check``: find certificates, apply the rules, and report what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from kcert.check import RULES, RuleContext, Severity, check
from kcert.errors import InputError, did_you_mean
from kcert.scan.discovery import survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.check import Finding
    from kcert.scan.result import Problem, ScanResult


@dataclass(frozen=True)
class Judgement:
    """What came of a check. ``checked`` counts certificates; the same one in two files is two."""

    scan: ScanResult
    checked: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def unreachable(self) -> tuple[Problem, ...]:
        """The servers that did not answer."""
        return tuple(problem for problem in self.scan.problems if problem.what == "unreachable")

    @property
    def denied(self) -> tuple[Problem, ...]:
        """What this user may not read."""
        return tuple(problem for problem in self.scan.problems if problem.what == "denied")

    @property
    def elsewhere(self) -> tuple[Problem, ...]:
        """What is on the machine that a kubeconfig is meant for."""
        return tuple(problem for problem in self.scan.problems if problem.what == "elsewhere")


def judge(
    where: Sequence[str],
    root: Path | None,
    *,
    rules: Iterable[str] = RULES,
    soon: timedelta = timedelta(days=30),
    wanted: Mapping[Path, Certificate] | None = None,
    assumed: Mapping[Path, Certificate] | None = None,
    openssl: str = "openssl",
    otherwise: Path | None = None,
) -> Judgement:
    """Check all that is found at *where*, or *otherwise* (see ``survey``); an expiry within *soon* days counts as near.

    *wanted* says what kcert.yaml asks for, by absolute path, and *assumed* what kcert makes without one. Raises
    InputError where nothing could be checked.
    """
    scan = survey(where, root, openssl, otherwise=otherwise, with_cas=True)
    ctx = RuleContext(scan, datetime.now(timezone.utc), soon, wanted or {}, openssl, assumed or {})
    judgement = Judgement(scan, len(ctx.found), check(ctx, rules))
    if not judgement.checked and not judgement.findings:
        _complain_of_nothing(judgement, looked_around=not where)
    return judgement


def _complain_of_nothing(judgement: Judgement, *, looked_around: bool) -> None:
    if judgement.denied:
        first = judgement.denied[0].path
        raise InputError(
            f"nothing could be checked: this user may not read {first}. Run it as root: sudo kcert check …"
        )
    if judgement.unreachable:
        first = judgement.unreachable[0].path
        raise InputError(f"nothing could be checked: {first} {judgement.unreachable[0].reason}.")
    if looked_around:
        raise InputError(
            "nothing to check: there is no certificate where clusters keep them. Name a folder: kcert check FOLDER."
        )


def chosen(only: Iterable[str], skip: Iterable[str]) -> tuple[str, ...]:
    """Return the rules to apply: *only* those, or all, without those to *skip*.

    Raises InputError for a rule that does not exist, with the near ones.
    """
    only, skip = tuple(only), frozenset(skip)
    for name in (*only, *sorted(skip)):
        if name not in RULES:
            hint = did_you_mean(name, RULES, f"the rules are {', '.join(RULES)}.")
            raise InputError(f"{name!a} is not a rule; {hint}")
    return tuple(name for name in RULES if (not only or name in only) and name not in skip)


def wanted_at(folder: Path, certificates: Iterable[Certificate]) -> dict[Path, Certificate]:
    """What kcert.yaml asks for, by the absolute path of the file that holds it in the PKI *folder*."""
    whole = folder.absolute()
    return {
        whole / path: certificate
        for certificate in certificates
        if (path := certificate.files.kubeconfig or certificate.files.crt) is not None
    }
