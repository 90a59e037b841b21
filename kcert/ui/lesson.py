"""The lesson: each certificate's reason, then each step's reason, command and result, as it happens."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.context import OWNERS, Reporter, StoppedError
from kcert.quoting import folder_argument
from kcert.store import SECRET_MODE
from kcert.ui.console import INDENT, block, clean, clean_line, command_line, heading, say, screen
from kcert.ui.quiet import in_no_group
from kcert.ui.results import show_issued, show_kept

if TYPE_CHECKING:
    from kcert.issue.context import Context, Result, Work
    from kcert.issue.plan import IssuancePlan
    from kcert.issue.steps import Step
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


class Lesson(Reporter):
    """Tells of everything on standard output; with *explain* also why, with *step* only when asked to go on."""

    def __init__(self, *, explain: bool, step: bool) -> None:
        self._explain = explain
        self._step = step
        self._ctx: Context | None = None
        self._total = 0
        self._begun: list[str] = []
        self._generating_keys = False
        self._told: set[str] = set()

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        say(f"Another kcert is at work in this folder: {clean_line(holder)}. Waiting for it to end.", "notice")
        screen().print()

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Say what is about to happen, and in which folder the commands would be typed."""
        self._ctx, self._total, self._begun = ctx, len(work.plans), []
        cluster = ctx.cluster
        if cluster.profile:
            say(f"Cluster {cluster.name}, profile {cluster.profile}; its {ctx.label} is {clean_line(str(ctx.root))}.")
        else:
            say(f"No kcert.yaml describes {clean_line(str(ctx.root))}: each certificate keeps its content and its CA.")
        if cluster.defaults:
            where = f"{cluster.source} leaves to kcert" if cluster.source else "There is no kcert.yaml, so kcert takes"
            say(f"{where}: {', '.join(cluster.defaults)}.", "quiet")
        for remark in work.remarks:
            say(remark, "notice")
        if self._total:
            screen().print()
            say(f"To repeat by hand what follows, stand in the {ctx.label}:")
            screen().print()
            command_line(("cd", folder_argument(ctx.root)))
            self._passphrases(work)
        screen().print()
        generated = [plan for plan in work.plans if not plan.keeps_key]
        self._generating_keys = ctx.jobs > 1 and bool(generated)
        if self._generating_keys:
            self._keys(generated, ctx.jobs)

    def _passphrases(self, work: Work) -> None:
        """Say where the commands that follow find the passphrases of encrypted keys."""
        for owner in OWNERS:
            if not any(owner.in_environment in step.argv for plan in work.plans for step in plan.steps):
                continue
            whose = owner.whose.replace("the", "The", 1)
            screen().print()
            say(f"{whose} key is encrypted. openssl finds its passphrase in the environment; by hand, in bash:")
            screen().print()
            command_line(("IFS=", "read", "-rs", owner.variable))
            command_line(("export", owner.variable))

    def _keys(self, plans: list[IssuancePlan], jobs: int) -> None:
        """Show the commands that generate the keys, several at a time, before all else."""
        heading(f"The keys of {len(plans)} certificates, {jobs} at a time")
        if self._explain:
            say(self._reason("", "key"))
        screen().print()
        for plan in plans:
            command_line(plan.steps[0].argv)
        screen().print()

    def on_step(self, plan: IssuancePlan, step: Step) -> None:
        """Show the reason for a step, and its command, before it runs; before the first, what the certificate is."""
        if plan.certificate.name not in self._begun:
            self._heading(plan)
        reason = f" {self._reason(plan.role_of(step), step.action)}" if self._explain else ""
        if step.argv:
            if reason:
                say(f"{_NAMES[step.action]}.{reason}")
                screen().print()
            command_line(step.argv)
            self._wait()
        else:
            say(f"{_NAMES[step.action]}: {step.summary}.{reason}")
            screen().print()
            if step.preview:
                block(step.preview, "config")
                screen().print()

    def _heading(self, plan: IssuancePlan) -> None:
        """Say for what a certificate is and why it exists."""
        certificate = plan.certificate
        if self._generating_keys:
            self._generating_keys = False
            screen().print()
        self._begun.append(certificate.name)
        title = lessons.lesson(certificate.role).title
        heading(f"[{len(self._begun)}/{self._total}] {certificate.name}: {title}")
        if self._explain:
            say(lessons.why(certificate.role))
        for note in plan.notes:
            say(note, "notice")
        if plan.keeps_key and not plan.replaces and not plan.is_import:
            say(f"The key {certificate.files.key} is there already: it is kept, and certified.", "notice")
        if plan.is_shortened:
            say(
                f"The CA has {plan.days} days left, so this certificate gets {plan.days} days rather than "
                f"{certificate.days}: nothing can be valid longer than what vouches for it.",
                "notice",
            )
        screen().print()

    def _reason(self, role: str, action: str) -> str:
        """Return why this step; in a few words where the same was said in this run already."""
        reason = lessons.reason(role, action)
        if reason in self._told:
            return lessons.reminder(action)
        self._told.add(reason)
        return reason

    def on_step_done(self, plan: IssuancePlan, step: Step, outcome: Outcome | None) -> None:
        """Show what the program said, and the file it made."""
        if outcome is None:
            return
        block(clean(outcome.output).splitlines(), "said", "| ")
        for name in step.makes if outcome.succeeded else ():
            secret = name == plan.certificate.files.key
            what = f"-> {name}" + (f"  (mode {SECRET_MODE:04o}: for its owner's eyes only)" if secret else "")
            block([what], "file")
        if not self._generating_keys:
            screen().print()

    def on_end(self, result: Result | None, /) -> None:
        """Say what was made, for whom and until when; what stayed; and what to type next."""
        if result is None:
            return
        assert self._ctx
        show_issued(result.issued)
        show_kept(result.kept, self._ctx.signing_option)
        if result.stopped:
            left = ", ".join(plan.certificate.name for plan in result.left)
            say(f"Stopped. Not made: {left}. The same command goes on from here.", "notice")
            return
        if words := in_no_group(self._ctx.cluster, result.issued):
            say(words, "notice")
        if words := _next(self._ctx, result):
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


_CHAPTERS = {
    "ca": "the authority that signs the others",
    "client": "the certificates of those who dial",
    "etcd": "the certificates of the cluster's memory",
    "apiserver": "the certificates of the one that all others dial",
    "kubelet": "the certificates of the nodes",
    "service-account": "the key pair that signs the tokens of pods",
}
"""What each chapter makes, in a few words, for whoever has finished another."""


def _next(ctx: Context, result: Result) -> str:
    """What to type next: the chapter of the first certificate that is missing, or how to use what is there."""
    chapter, option = ctx.command.removeprefix("kcert "), ctx.folder_option
    if chapter != "all" and chapter not in _CHAPTERS:
        return ""
    made = [one.plan.certificate for one in result.issued]
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
        if any(one.files.kubeconfig for one in ctx.specs)
        else f"`kcert kubeconfig{option}` puts them into kubeconfigs, "
    )
    return (
        f"The cluster has every certificate that it needs. Next: {kubeconfigs}`kcert flags COMPONENT{option}` tells "
        f"each component where its files are, `kcert plan{option}` shows how they stand."
    )
