"""The lesson: each certificate's reason, then each step's reason, command and result, as it happens."""

from __future__ import annotations

import difflib
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from kcert import lessons
from kcert.issue.context import Context, IssuancePlan, Issued, Reporter, Result, SkippedError, StoppedError, Work
from kcert.issue.passphrases import OWNERS
from kcert.issue.status import CertificateStatus, State
from kcert.issue.steps import Step
from kcert.quoting import folder_argument
from kcert.shell import Outcome
from kcert.store import SECRET_MODE
from kcert.ui import defaults_used, in_no_group, without_end
from kcert.ui.console import (
    INDENT,
    block,
    clean_line,
    command_line,
    draw,
    error_screen,
    heading,
    say,
    say_apart,
    say_paragraphs,
    screen,
    show_file,
    show_output,
)

_KEYS = (
    "Enter  continue: run this command, or write this file",
    "s      skip this certificate: none of its files is kept",
    "r      run the rest without stopping",
    "e      explain this step in more detail",
    "q      stop here",
)
"""The keys at the prompt of --step."""

_REASON_LINES = 10
"""Lines of a screen that the reason for a file, what was shown before it, and the prompt may take."""


class OutputOfCommands(Reporter):
    """Show each command before it runs, and what it printed; without *explain* only what a failed one printed."""

    def __init__(self, *, explain: bool) -> None:
        self._explain = explain

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        say(f"Waiting for another kcert in this folder: {clean_line(holder)}.", "notice", to=error_screen())

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:  # noqa: ARG002 - as the reporter
        """Show the command."""
        if self._explain and step.argv:
            command_line(step.argv)

    def on_step_done(self, step: Step, outcome: Outcome | None) -> None:  # noqa: ARG002 - as the reporter
        """Show what it printed."""
        if outcome and (self._explain or not outcome.succeeded):
            show_output(outcome.output)


class ResultReporter(OutputOfCommands):
    """Show the opening of a lesson and each step as it happens; when *quiet* or as JSON (*form*) only the result."""

    LESSON: str
    PARAGRAPHS: int
    """The number of paragraphs of the lesson that are shown."""

    def __init__(self, ctx: Context, *, explain: bool, quiet: bool, form: str) -> None:
        super().__init__(explain=explain and not quiet and form == "text")
        self._ctx = ctx
        self._quiet = quiet
        self._form = form
        if self._explain:
            lessons.check_own()
            say_paragraphs(lessons.lesson(self.LESSON).opening, self.PARAGRAPHS)


class Lesson(OutputOfCommands):
    """Print every step on standard output, with *explain* its reason too; with *step* wait for Enter before each."""

    def __init__(self, *, explain: bool, step: bool, full: bool) -> None:
        super().__init__(explain=explain)
        lessons.check_own()
        self._step = step
        self._full = full
        self._configs: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._ctx: Context | None = None
        self._total = 0
        self._begun: list[str] = []
        self._generating_keys = False
        self._once = lessons.Once()
        self._elapsed = _Elapsed()

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Say what is about to happen, and in which folder the commands would be typed."""
        self._ctx, self._total, self._begun = ctx, len(work.plans), []
        cluster = ctx.cluster
        if cluster.profile:
            say(f"Cluster {cluster.name}, profile {cluster.profile}; its {ctx.label} is {clean_line(str(ctx.root))}.")
        else:
            say(f"No kcert.yaml describes {clean_line(str(ctx.root))}: each certificate keeps its content and its CA.")
        if words := defaults_used(cluster):
            say(words)
        for remark in work.remarks:
            say(remark, "notice")
        if self._total:
            screen().print()
            say_apart(f"kcert runs each command below for you. To type them yourself, first change to the {ctx.label}:")
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
            say_apart(f"{whose} key is encrypted. openssl finds its passphrase in the environment; by hand, in bash:")
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
        self._elapsed.start()

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """Show the reason for a step, and its command, before it runs; before the first, what the certificate is."""
        assert plan
        self._elapsed.stop()
        if plan.certificate.name not in self._begun:
            self._heading(plan)
        title = lessons.lesson(f"step-{step.action}").title
        reason = self._reason(plan.role_of(step), step.action) if self._explain else ""
        if step.argv:
            if self._explain:
                say_apart(f"{title}. {reason}" if reason else f"{title}:")
            command_line(step.argv)
            if self._step:
                self._wait(plan, step, "runs it")
            self._elapsed.start()
            return
        say_apart(f"{title}: {step.summary}. {reason}")
        if self._step and len(step.preview) + _REASON_LINES > screen().height:
            self._wait(plan, step, "shows it")
        if step.preview:
            self._config(step)
        if self._step:
            self._wait(plan, step, "writes it")
            screen().print()

    def _config(self, step: Step) -> None:
        """Show a config file; of one made from a template that was shown before, only what differs."""
        name, before = self._configs.setdefault(step.preview[0], (step.makes[0].name, step.preview))
        if self._full or before is step.preview:
            block(step.preview, "config")
        elif changes := [line for line in difflib.ndiff(before, step.preview) if line.startswith(("+", "-"))]:
            say_apart(f"Lines that differ from {name} (- only in that file, + only in this one); --full prints all:")
            block(changes, "config")
        else:
            say(f"The file is the same as {name}; --full prints it.")
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
            say(f"The key {certificate.files.key} exists already: it is kept, and gets a certificate.", "notice")
        if plan.is_shortened:
            say(
                f"The CA has {plan.days} days left, so this certificate gets {plan.days} days rather than "
                f"{certificate.days}: a certificate cannot be valid for longer than its CA.",
                "notice",
            )
        screen().print()

    def _reason(self, role: str, action: str) -> str:
        """Return why this step; empty if the same was said in this run already, unless all is to be printed."""
        reason = lessons.reason(role, action)
        return reason if self._full else self._once(reason)

    def on_step_done(self, step: Step, outcome: Outcome | None) -> None:
        """Show what the program said, and the file it made."""
        self._elapsed.stop()
        if outcome is None:
            return
        show_output(outcome.output)
        for name in step.makes if outcome.succeeded else ():
            show_file(name, f"  (mode {SECRET_MODE:04o}: only its owner can read it)" if step.secret else "")
        if self._generating_keys:
            self._elapsed.start()
        else:
            screen().print()

    def on_end(self, result: Result | None, /) -> None:
        """Say what was made, for whom and until when; what stayed; and what to type next."""
        self._elapsed.stop()
        if result is None:
            return
        assert self._ctx
        show_issued(result.issued)
        show_kept(result.kept, self._ctx.signing_option)
        if result.stopped:
            left = ", ".join(plan.certificate.name for plan in result.left)
            say(f"Not made: {left}. The same command continues from here.", "notice")
            return
        if words := in_no_group(self._ctx.cluster, result.issued):
            say(words, "notice")
        if words := _next(self._ctx, result):
            say(words)

    def _wait(self, plan: IssuancePlan, step: Step, does: str) -> None:
        """Wait for a key of ``_KEYS``. The end of the input stops; any other input runs nothing.

        *does* is what Enter does.
        """
        from kcert.ui.keyboard import keys  # only --step waits

        while True:
            with keys() as key:
                screen().print(f"{INDENT}[Enter {does}, q stops, ? lists the keys] ", end="", style="code")
                answer = key()
                screen().print(clean_line(answer.strip("\r\n\x04")) if sys.stdin.isatty() else "")
            match answer.strip("\r\n").lower():
                case "" if answer:
                    return
                case "" | "\x04" | "q":
                    raise StoppedError
                case "s":
                    say_apart(f"Skipped: {plan.certificate.name}.", "notice")
                    raise SkippedError
                case "r":
                    self._step = False
                    return
                case "e":
                    self._explain_more(plan, step)
                case _:
                    block(_KEYS)

    def _explain_more(self, plan: IssuancePlan, step: Step) -> None:
        """Print the lesson of a step up to its first section, and the command again."""
        topic = f"step-{step.action}"
        screen().print()
        from kcert.ui.explain import passage  # few ask for more

        passage(lessons.lesson(topic).opening)
        screen().print()
        say_apart(f"More: `kcert explain {topic}`, `kcert explain {plan.role_of(step)}`.")
        if step.argv:
            command_line(step.argv)


class _Elapsed:
    """A line at a terminal with the seconds that a command has been running, from the first one on.

    A timer signal writes it: while ``sh`` forks there can be no thread, which a progress display would start.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._is_shown = False

    def start(self) -> None:
        """Begin to count, if standard output is a terminal."""
        if screen().is_terminal:
            self._since = time.monotonic()
            signal.signal(signal.SIGALRM, self._show)
            signal.setitimer(signal.ITIMER_REAL, 1, 1)

    def stop(self) -> None:
        """Delete the line."""
        if self._since:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            if self._is_shown:
                self._write("\r\x1b[K")
        self._since, self._is_shown = 0.0, False

    def _show(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_shown = True
        self._write(f"\r{INDENT}running: {time.monotonic() - self._since:.0f} s")

    @staticmethod
    def _write(text: str) -> None:
        screen().file.write(text)
        screen().file.flush()


_CHAPTERS = ("ca", "client", "etcd", "apiserver", "kubelet", "service-account")
"""The commands that make a chapter of the cluster."""


def _next(ctx: Context, result: Result) -> str:
    """Return what to type next: the chapter of the first missing certificate, or how to use what is there."""
    chapter, option = ctx.command.removeprefix("kcert "), ctx.folder_option
    if chapter not in ("all", *_CHAPTERS):
        return ""
    made = [issued.plan.certificate for issued in result.issued]
    if made and all(spec.role == "user" and not spec.files.kubeconfig for spec in made):
        names = " ".join(spec.name for spec in made)
        return f"Next: `kcert kubeconfig {names}{option}` puts key and certificate into a kubeconfig."
    if result.missing:
        chapter = result.missing[0].chapter
        title = lessons.lesson(chapter).title.rpartition(": ")[2]
        return f"Next: `kcert {chapter}{option}`: {title}. Or `kcert all{option}` for everything that is missing."
    if not all(status.usable for status in result.kept):
        return f"Next: `kcert plan{option}` lists the state of each certificate."
    has_kubeconfigs = any(spec.files.kubeconfig for spec in ctx.specs)
    kubeconfigs = "" if has_kubeconfigs else f"`kcert kubeconfig{option}` puts them into kubeconfigs, "
    return (
        f"The cluster has every certificate that it needs. Next: {kubeconfigs}`kcert flags COMPONENT{option}` prints "
        f"the options that name the files, `kcert plan{option}` lists the state of each certificate."
    )


WORDS_WIDTH = 30
"""Columns that the rest of a table of certificates needs, so that no file name is wrapped."""


def show_issued(issued: Sequence[Issued]) -> None:
    """Print a table of the certificates that were issued: the file, the owner, the expiry."""
    if not issued:
        return
    verb = "Renewed" if issued[0].plan.replaces else "Created"
    heading(verb if len(issued) == 1 else f"{verb}: {len(issued)} certificates")
    rows = [("file", "what it is", "valid until")]
    for result in issued:
        certificate = result.plan.certificate
        until = f"{result.x509.not_after:%Y-%m-%d}" if result.x509 else f"({without_end(certificate)})"
        title = lessons.lesson(certificate.role).title
        whose = certificate.name if certificate.role == "user" else certificate.host
        rows.append((str(certificate.files.primary), f"{title}: {whose}" if whose else title, until))
    longest = max(len(row[0]) for row in rows[1:])
    draw(rows, whole=int(longest + WORDS_WIDTH <= screen().width))
    screen().print()


def show_kept(kept: Sequence[CertificateStatus], folder_option: str) -> None:
    """Print what existed before: one line for all that is current, and a line each for the others."""
    current = [status.certificate.name for status in kept if status.state is State.CURRENT]
    if current and all(status.certificate.files.crt is None for status in kept):
        say(f"Kept, because they request the same certificate: {', '.join(current)}.")
    elif current:
        say(f"Kept, because they are current: {', '.join(current)}.")
    for status in kept:
        if status.state is not State.CURRENT:
            command = f"`{status.fix_command(folder_option)}`"
            name, works = status.certificate.name, status.state is State.STALE and status.usable
            is_now = f"is stale, but works: {status.reason}" if works else status.clause(status.reason)
            does = "would rotate the cluster to another CA" if status.is_other_ca else "renews it"
            say(f"{name} {is_now}. Not changed; {command} {does}.", "notice")
    if kept:
        screen().print()
