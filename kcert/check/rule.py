"""The shape of a rule, and of its findings.

A rule is a function that fits ``CheckFunction``, and one ``Rule`` in its module's ``RULES``; ``kcert.check`` gathers
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
    """An error breaks something now or at the next handshake; a warning will break something later, or is a risk."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Violation:
    """A fault that a rule found: the file that a person would open to fix it, and why.

    ``message`` is a sentence or two, ``evidence`` the fact that proves it, ``fix`` commands for bash that clear it
    (empty if none can be known: the certificate of a live server, say). ``authority`` is True if the fault is
    a CA's, or two swapped files', which has to be fixed before everything else. ``alone`` is True if the file does not
    hold what it should: other findings are about something that is there by mistake.
    """

    path: Path
    message: str
    evidence: str
    fix: str
    authority: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Finding:
    """A fault, under the name of its rule.

    ``fix`` is the commands with openssl, ``cluster_fix`` the command of the cluster's own tool that renews the file,
    ``cluster`` the name of that tool, and ``kcert_fix`` the command of kcert. Each is empty if there is none.
    ``restart`` are the components that read the file only when they start.
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
    kcert_fix: str = ""
    restart: tuple[str, ...] = ()

    @property
    def commands(self) -> str:
        """All of them for one shell: openssl's run, and the shorter ones, which need the cluster or kcert, as comments.

        Without openssl's there are comments alone.
        """
        short = [(self.cluster, self.cluster_fix), ("kcert", self.kcert_fix)]
        lines = [f"# With {tool}: {line}" for tool, text in short for line in text.splitlines()]
        return "\n".join([*lines, *([self.fix] if self.fix else [])])


class CheckFunction(Protocol):
    """A function that examines everything that was found, and yields the violations of one rule."""

    def __call__(self, ctx: RuleContext, /) -> Iterator[Violation]:
        """Yield the faults."""


@dataclass(frozen=True)
class Rule:
    """One rule; a finding is dropped if a rule in ``suppressed_by`` has a finding on the same file."""

    name: str
    severity: Severity
    check: CheckFunction
    suppressed_by: tuple[str, ...] = ()


def error(name: str, check: CheckFunction, *, suppressed_by: tuple[str, ...] = ()) -> Rule:
    """A rule whose findings are errors."""
    return Rule(name, Severity.ERROR, check, suppressed_by)


def warning(name: str, check: CheckFunction, *, suppressed_by: tuple[str, ...] = ()) -> Rule:
    """A rule whose findings are warnings."""
    return Rule(name, Severity.WARNING, check, suppressed_by)
