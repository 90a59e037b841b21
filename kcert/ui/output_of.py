"""Commands on the screen as they run, for what is not a certificate of the cluster."""

from __future__ import annotations

from kcert import lessons
from kcert.issue.context import Context, IssuancePlan, Reporter
from kcert.issue.steps import Step
from kcert.shell import Outcome
from kcert.ui.console import command_line, say_paragraphs, say_waiting, show_output


class OutputOfCommands(Reporter):
    """Shows each command before it runs, and what it printed; without *explain* only what a failed one printed."""

    def __init__(self, *, explain: bool) -> None:
        self._explain = explain

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        say_waiting(holder)

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:  # noqa: ARG002 - as the reporter
        """Show the command."""
        if self._explain and step.argv:
            command_line(step.argv)

    def on_step_done(self, step: Step, outcome: Outcome | None) -> None:  # noqa: ARG002 - as the reporter
        """Show what it printed."""
        if outcome and (self._explain or not outcome.succeeded):
            show_output(outcome.output)


class ResultReporter(OutputOfCommands):
    """Shows the opening of a lesson and each step as it happens; when *quiet* or as JSON (*form*) only the result."""

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
