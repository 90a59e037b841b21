"""What a rule is, and what it says.

A rule is a function that fits ``Judge``, and one ``Rule`` in its module's ``RULES``; ``kcert.check`` gathers
the modules. To add one: write the function, add the line, and write ``kcert/lessons/NAME.md``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.check.context import RuleContext


class Severity(enum.Enum):
    """An error breaks something, today or the next time somebody looks; a warning will, or is a risk."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Violation:
    """What a rule found: the file that a person would open to mend it, and why.

    ``message`` is a sentence or two, ``evidence`` the fact that proves it, ``fix`` commands for bash that clear it
    (empty where none can be known: the certificate of a live server, say). ``authority`` is True where the fault is
    a CA's, which has to be mended before what it signed.
    """

    path: Path
    message: str
    evidence: str
    fix: str
    authority: bool = False


@dataclass(frozen=True)
class Finding:
    """A fault, under the name of its rule.

    ``cluster_fix`` is the command of the cluster's own tool that renews the file, ``cluster`` the name of that tool.
    """

    rule: str
    severity: Severity
    path: Path
    message: str
    evidence: str
    fix: str
    authority: bool = False
    cluster_fix: str = ""
    cluster: str = ""


class Judge(Protocol):
    """Looks at the whole case, and yields each fault of one sort."""

    def __call__(self, case: RuleContext, /) -> Iterator[Violation]:
        """Yield the faults."""


@dataclass(frozen=True)
class Rule:
    """One rule. ``yields_to`` names the rules whose finding on the same file already says it, and says it better."""

    name: str
    severity: Severity
    judge: Judge
    yields_to: tuple[str, ...] = ()


def error(name: str, judge: Judge, *, yields_to: tuple[str, ...] = ()) -> Rule:
    """A rule whose findings are errors."""
    return Rule(name, Severity.ERROR, judge, yields_to)


def warning(name: str, judge: Judge, *, yields_to: tuple[str, ...] = ()) -> Rule:
    """A rule whose findings are warnings."""
    return Rule(name, Severity.WARNING, judge, yields_to)
