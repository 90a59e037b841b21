"""`kcert explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcert.cli.options import Force

if TYPE_CHECKING:
    from kcert.lessons import Lesson
    from kcert.ui.report import Target


def _topics(incomplete: str) -> list[str]:
    """Return the topics and chapters that the shell may complete *incomplete* to."""
    from kcert import lessons

    return [name for name in (*lessons.topics(), *lessons.CHAPTERS) if name.startswith(incomplete)]


def command(
    *,
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]...",
            help="Explain these topics or chapters, or search for a word. Default: list all topics.",
            autocompletion=_topics,
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", "-s", metavar="WORDS", help="List the lessons that contain these words.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Print every lesson, in the order of a course.")] = False,
    format: Annotated[
        Literal["text", "markdown", "html"], typer.Option("--format", help="Print the lessons in this format.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is standard output.")
    ] = None,
    force: Force = False,
    own: Annotated[
        Path | None,
        typer.Option(
            "--lessons",
            envvar="KCERT_LESSONS",
            metavar="FOLDER",
            help="Use the lessons in this folder before the built-in ones.",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FOLDER", help="Write all lessons into a new folder."),
    ] = None,
) -> None:
    """Print the lessons: every command, certificate, step and rule, with the reason for it."""
    import os

    from kcert import lessons
    from kcert.errors import InputError
    from kcert.ui import explain
    from kcert.ui.report import Target

    chosen = [name for name, value in (("TOPIC", topics), ("--search", search), ("--all", all)) if value]
    if len(chosen) > 1:
        raise InputError(f"{chosen[0]} cannot be combined with {chosen[1]}.")
    if own is not None:
        os.environ[lessons.VARIABLE] = str(own)
    target = None if output is None or str(output) == "-" else Target(output, force)
    if export is not None:
        explain.show_exported(export, lessons.export(export))
    elif search is not None:
        explain.show_found(search, _searched(search), format, target)
    elif topics:
        _show(topics, format, target)
    elif all:
        explain.show_course(lessons.by_chapter(), format, target)
    else:
        explain.show_topics(lessons.by_chapter(), format, target)


def _show(topics: list[str], form: str, target: Target | None) -> None:
    """Show the lessons of topics and chapters; a single word that is neither is searched for."""
    from kcert import lessons
    from kcert.practice import guard, labs
    from kcert.ui import explain

    for topic in topics:
        if topic in labs.NAMES:
            guard.refuse_if_running(f"explain {topic}")
    known = lessons.topics()
    is_word = len(topics) == 1 and topics[0] not in known and not lessons.chapter(topics[0])
    if is_word and (results := lessons.search(topics[0])):
        explain.show_found(topics[0], results, form, target)
        return
    found: list[Lesson] = []
    for topic in topics:
        found += (topic not in known and lessons.chapter(topic)) or (lessons.lesson(topic),)
    explain.show(found, form, target)


def _searched(words: str) -> tuple[Lesson, ...]:
    """Return the lessons with *words*; raises InputError where there is none."""
    from kcert import lessons
    from kcert.errors import InputError

    if found := lessons.search(words):
        return found
    raise InputError(f"no lesson contains {words!a}. `kcert explain` lists all topics.")
