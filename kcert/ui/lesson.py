"""The lesson: each certificate's reason, then each step's reason, command and result, as it happens."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.context import StoppedError
from kcert.issue.passphrase import OWNERS
from kcert.issue.plan import Concatenate, ExtractFromKubeconfig, Run, UpdateKubeconfigs, Write, WriteKubeconfig, role_of
from kcert.shell import folder_argument, quote
from kcert.store import SECRET_MODE
from kcert.ui.console import INDENT, block, clean, clean_line, command_line, heading, say, screen
from kcert.ui.quiet import in_no_group
from kcert.ui.results import show_kept, show_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.issue.context import IssueContext, Made, Prepared, Result
    from kcert.issue.plan import IssuancePlan, Step
    from kcert.shell import Outcome

_NAMES = {
    "key": "The key",
    "public-key": "The public key",
    "settings": "The settings",
    "request": "The request",
    "signature": "The signature",
    "self-signature": "The signature",
    "verify": "The check",
    "kubeconfig": "The kubeconfig",
    "request-again": "The request",
    "take-out": "What is in the kubeconfig",
    "rewrite": "The kubeconfigs",
    "both-authorities": "Both CAs",
    "one-authority": "The new CA alone",
    "bring": "The CA's certificate",
    "chain": "The chain",
}


class Lesson:
    """Tells of everything on standard output; with *explain* also why, with *step* only when asked to go on."""

    def __init__(self, *, explain: bool, step: bool) -> None:
        self._explain = explain
        self._step = step
        self._order: IssueContext | None = None
        self._total = 0
        self._begun = 0
        self._ahead = False
        self._told: set[str] = set()

    def waits(self, holder: str) -> None:
        """Say who holds the folder."""
        say(f"Another kcert is at work in this folder: {clean_line(holder)}. Waiting for it to end.", "notice")
        screen().print()

    def opens(self, order: IssueContext, prepared: Prepared) -> None:
        """Say what is about to happen, and in which folder the commands would be typed."""
        self._order, self._total = order, len(prepared.procedures)
        cluster = order.cluster
        where = clean_line(str(order.root))
        say(f"Cluster {cluster.name}, profile {cluster.profile}; its {order.place} is {where}.")
        if cluster.defaults:
            where = f"{cluster.source} leaves to kcert" if cluster.source else "There is no kcert.yaml, so kcert takes"
            say(f"{where}: {', '.join(cluster.defaults)}.", "quiet")
        for remark in prepared.remarks:
            say(remark, "notice")
        if self._total:
            screen().print()
            say(f"To repeat by hand what follows, stand in the {order.place}:")
            screen().print()
            command_line(("cd", folder_argument(order.root)))
            self._passphrase(prepared)
        screen().print()

    def _passphrase(self, prepared: Prepared) -> None:
        """Where the commands that follow find the passphrases of encrypted keys."""
        steps = [step for procedure in prepared.procedures for step in procedure.steps if isinstance(step, Run)]
        for owner in OWNERS:
            if not any(owner.in_environment in step.argv for step in steps):
                continue
            whose = owner.whose.replace("the", "The", 1)
            screen().print()
            say(f"{whose} key is encrypted. openssl finds its passphrase in the environment; by hand, in bash:")
            screen().print()
            command_line(("IFS=", "read", "-rs", owner.variable))
            command_line(("export", owner.variable))

    def ahead(self, procedures: Sequence[IssuancePlan], jobs: int) -> None:
        """The keys come first, several at a time."""
        heading(f"The keys of {len(procedures)} certificates, {jobs} at a time")
        if self._explain:
            say(self._reason("", "key"))
        screen().print()
        for procedure in procedures:
            step = procedure.steps[0]
            assert isinstance(step, Run)
            command_line(step.argv)
        screen().print()
        self._ahead = True

    def begins(self, procedure: IssuancePlan) -> None:
        """The head of a certificate: who it is for and why it exists."""
        if self._ahead:
            self._ahead = False
            screen().print()
        self._begun += 1
        certificate = procedure.certificate
        heading(f"[{self._begun}/{self._total}] {certificate.name}: {lessons.lesson(certificate.role).title}")
        if self._explain:
            say(lessons.why(certificate.role))
        for note in procedure.notes:
            say(note, "notice")
        if procedure.keeps_key and not procedure.replaces and not procedure.brought:
            say(f"The key {certificate.files.key} is there already: it is kept, and certified.", "notice")
        if certificate.issuer and procedure.days < certificate.days:
            say(
                f"The CA has {procedure.days} days left, so this certificate gets {procedure.days} days rather than "
                f"{certificate.days}: nothing can be valid longer than what vouches for it.",
                "notice",
            )
        screen().print()

    def before(self, procedure: IssuancePlan, step: Step) -> None:
        """The reason for a step, and its command, before it runs."""
        reason = f" {self._reason(role_of(procedure.certificate, step), step.action)}" if self._explain else ""
        if isinstance(step, Run):
            if reason:
                say(f"{_NAMES[step.action]}.{reason}")
                screen().print()
            command_line(step.argv)
            self._wait()
        else:
            say(f"{_NAMES[step.action]}: {_what(step)}.{reason}")
            screen().print()
            if content := _content(step):
                block(content, "config")
                screen().print()

    def _reason(self, role: str, action: str) -> str:
        """Why this step; in a few words where the same was said in this run already."""
        reason = lessons.reason(role, action)
        if reason in self._told:
            return lessons.reminder(action)
        self._told.add(reason)
        return reason

    def after(self, procedure: IssuancePlan, step: Step, outcome: Outcome | None) -> None:
        """What the program said, and the file it made."""
        if outcome:
            block(clean(outcome.output).splitlines(), "said", "| ")
        for name in step.makes if isinstance(step, Run) and outcome and outcome.succeeded else ():
            secret = name == procedure.certificate.files.key
            what = f"-> {name}" + (f"  (mode {SECRET_MODE:04o}: for its owner's eyes only)" if secret else "")
            block([what], "file")
        if isinstance(step, Run) and not self._ahead:
            screen().print()

    def made(self, made: Made) -> None:
        """Nothing more to say: the check has said it."""

    def ends(self, result: Result) -> None:
        """What was made, for whom and until when; what stayed; and what to type next."""
        assert self._order
        show_made(result.made)
        show_kept(result.kept, self._order.signing_option)
        if result.stopped:
            left = ", ".join(one.certificate.name for one in result.left)
            say(f"Stopped. Not made: {left}. The same command goes on from here.", "notice")
            return
        if words := in_no_group(self._order.cluster, result.made):
            say(words, "notice")
        if words := _next(self._order, result):
            say(words)

    def _wait(self) -> None:
        """Wait for Enter; q, or the end of the input, stops."""
        if not self._step:
            return
        screen().print(f"{INDENT}[Enter runs it, q stops] ", end="", style="quiet")
        answer = _typed()
        if not sys.stdin.isatty():
            screen().print()
        if not answer or answer.strip().lower() in ("q", "quit"):
            raise StoppedError


def _typed() -> str:
    """A line from the keyboard, or from whatever stands in for it; empty at the end of the input.

    Python notices a Ctrl-C that comes between its last look and the read only when the read returns, which it
    then never does. A descriptor that every signal writes to wakes the wait for the keyboard in any case:
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """
    if sys.stdin.isatty():
        signalled, woken_by = os.pipe()
        os.set_blocking(woken_by, False)
        before = signal.set_wakeup_fd(woken_by)
        try:
            select.select([sys.stdin, signalled], [], [])
        finally:
            signal.set_wakeup_fd(before)
            os.close(signalled)
            os.close(woken_by)
    return sys.stdin.readline()


def _what(step: Step) -> str:
    """What a step that kcert does itself makes, and of what."""
    if isinstance(step, ExtractFromKubeconfig):
        return f"{step.path}, out of {step.source} ({step.part}-data, which is base64)"
    if isinstance(step, Concatenate) and len(step.parts) == 1:
        return f"{step.path}, a copy of {step.parts[0]}"
    if isinstance(step, Concatenate):
        return f"{step.path}, made of {' and, after it, '.join(str(part) for part in step.parts)}"
    if isinstance(step, UpdateKubeconfigs):
        paths = ", ".join(str(path) for path in step.paths)
        if len(step.paths) == 1:
            return f"{paths} has the old file inside, and gets the new one"
        return f"{paths} have the old file inside, and get the new one"
    assert not isinstance(step, Run)
    return str(step.path)


def _content(step: Step) -> list[str]:
    if isinstance(step, Write):
        return step.text.splitlines()
    if isinstance(step, WriteKubeconfig):
        return step.kubeconfig.embedded(lambda name: f"<{name} in base64>").splitlines()
    if isinstance(step, Concatenate) and len(step.parts) == 1:
        return [f"cp {quote(str(step.parts[0]))} {quote(str(step.path))}"]
    if isinstance(step, UpdateKubeconfigs):
        return [f"{swap.part}-data: <{swap.new} in base64>" for swap in step.swaps]
    return []


_CHAPTERS = {
    "ca": "the authority that signs the others",
    "client": "the certificates of those who dial",
    "etcd": "the certificates of the cluster's memory",
    "apiserver": "the certificates of the one that all others dial",
    "kubelet": "the certificates of the nodes",
    "service-account": "the key pair that signs the tokens of pods",
}
"""What each chapter makes, in a few words, for whoever has finished another."""


def _next(order: IssueContext, result: Result) -> str:
    """What to type next: the chapter of the first certificate that is missing, or how to use what is there."""
    chapter, option = order.doing.removeprefix("kcert "), order.folder_option
    if chapter != "all" and chapter not in _CHAPTERS:
        return ""
    made = [one.procedure.certificate for one in result.made]
    if made and all(one.role == "user" and not one.files.kubeconfig for one in made):
        names = " ".join(one.name for one in made)
        return f"Next: `kcert kubeconfig {names}{option}` puts key and certificate into a kubeconfig."
    if result.missing:
        chapter = result.missing[0].chapter
        return f"Next: `kcert {chapter}{option}`, {_CHAPTERS[chapter]}; or `kcert all{option}`, whatever is missing."
    if not all(one.usable for one in result.kept):
        return f"Next: `kcert plan{option}` shows how each of them stands."
    kubeconfigs = (
        ""
        if any(one.files.kubeconfig for one in order.known)
        else f"`kcert kubeconfig{option}` puts them into kubeconfigs, "
    )
    return (
        f"The cluster has every certificate that it needs. Next: {kubeconfigs}`kcert flags COMPONENT{option}` tells "
        f"each component where its files are, `kcert plan{option}` shows how they stand."
    )
