"""`kcert explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import Force


def _topics(incomplete: str) -> list[str]:
    """The topics that the shell may complete what was typed to."""
    from kcert import lessons

    return [topic for topic in lessons.topics() if topic.startswith(incomplete)]


def command(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="Without one: the list of topics.", autocompletion=_topics),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every lesson, in the order of a course.")] = False,  # noqa: A002 - the option's name
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "markdown", "html"], typer.Option("--format", help="How to print it.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is the screen.")
    ] = None,
    force: Force = False,
) -> None:
    """The lessons: every command, certificate, step and rule, and why it is so."""
    from kcert import lessons
    from kcert.errors import InputError
    from kcert.ui import explain
    from kcert.ui.report import Target

    if topic and all:
        raise InputError(f"{topic!a} is one topic and --all is every one: leave one of them out.")
    if topic:
        from kcert.practice import guard, labs

        if topic in labs.NAMES:
            guard.refuse_if_running(f"explain {topic}")
    target = None if output is None or str(output) == "-" else Target(output, force)
    if topic:
        explain.show([lessons.lesson(topic)], format, target)
    elif all:
        explain.show_course(lessons.by_chapter(), format, target)
    else:
        explain.show_topics(lessons.by_chapter(), format, target)
