"""`kcert explain`, `help`, `version`, `completion`: the lessons, and the program itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
import typer.main

from kcert import __version__
from kcert.cli import refuse_in_exam
from kcert.cli.options import Force, Output, argument, completes, option
from kcert.errors import InputError

if TYPE_CHECKING:
    from kcert.lessons import Lesson


def _topics(_ctx: typer.Context) -> Sequence[str]:
    """Return the topics and chapters of one word: bash would not quote the spaces of the others."""
    from kcert import lessons

    return (*lessons.topics(), *(chapter for chapter in lessons.CHAPTERS if " " not in chapter))


def explain(
    *,
    topics: Annotated[
        list[str] | None,
        argument(
            "TOPIC",
            "Explain these topics or chapters, or search for a word. Default: list all topics.",
            completes(_topics),
        ),
    ] = None,
    search: Annotated[str | None, option("--search,-s WORDS", "List the lessons that contain these words.")] = None,
    all: Annotated[bool, option("--all", "Print every lesson, in the order of a course.")] = False,
    format: Annotated[
        Literal["text", "markdown", "html"], option("--format", "Print the lessons in this format.")
    ] = "text",
    output: Output = None,
    force: Force = False,
    own: Annotated[
        Path | None,
        option("--lessons FOLDER", "Use the lessons in this folder before the built-in ones.", envvar="KCERT_LESSONS"),
    ] = None,
    export: Annotated[
        Path | None, option("--export FOLDER", "Write all lessons into a new folder, to edit or translate them.")
    ] = None,
) -> None:
    """Print the lessons on every command, certificate, step and rule."""
    from kcert import lessons
    from kcert.ui import explain
    from kcert.ui.report import written_to

    chosen = [name for name, value in (("TOPIC", topics), ("--search", search), ("--all", all)) if value]
    if len(chosen) > 1:
        raise InputError(f"{chosen[0]} cannot be combined with {chosen[1]}.")
    if own is not None:
        os.environ[lessons.VARIABLE] = str(own)
        _check_own()
    if all or export is not None:
        refuse_in_exam("explain --all" if all else "explain --export")
    if export is not None:
        from kcert.store.directory import refuse_foreign_link

        refuse_foreign_link(export)
        explain.show_exported(export, lessons.export(export))
        return
    with written_to(output, force=force):
        if search is not None:
            explain.show_found(search, _searched(search), format)
        elif topics:
            _show(topics, format)
        elif all:
            explain.show_course(lessons.by_chapter(), format)
        else:
            explain.show_topics(lessons.by_chapter(), format)


def _check_own() -> None:
    """Raise InputError for the first lesson, or text of a lab, in KCERT_LESSONS that is not right."""
    from datetime import datetime, timezone

    from kcert import lessons
    from kcert.practice import lab, labs, session

    lessons.check_own()
    for name in labs.NAMES:
        if lessons.file_of(f"labs/{name}.md").parent != lab.FOLDER:
            scenario = session.scenario_of(labs.lab(name), 1, datetime.now(timezone.utc))
            lab.words(name, **scenario.values)


def _show(topics: list[str], form: str) -> None:
    """Show the lessons of topics and chapters; a single word that is neither is searched for."""
    from kcert import lessons
    from kcert.ui import explain

    known = lessons.topics()
    is_word = len(topics) == 1 and topics[0] not in known and not lessons.chapter(topics[0])
    if is_word and (results := lessons.search(topics[0])):
        explain.show_found(topics[0], _allowed(results, topics[0]), form)
        return
    chosen: list[Lesson] = []
    for topic in topics:
        chosen += (topic not in known and lessons.chapter(topic)) or (lessons.lesson(topic),)
    explain.show(_allowed(chosen, topics[0]), form)


def _allowed(chosen: Sequence[Lesson], topic: str) -> Sequence[Lesson]:
    """Return *chosen*, without the lessons of labs during a sealed exam; raises InputError if none is left."""
    from kcert import practice
    from kcert.practice import labs

    others = [lesson for lesson in chosen if lesson.topic not in labs.NAMES]
    if len(others) == len(chosen) or not practice.may_be_in_exam():
        return chosen
    if not others:
        refuse_in_exam(f"explain {topic}")
    from kcert.practice import state

    return others if state.running() else chosen


def _searched(words: str) -> Sequence[Lesson]:
    """Return the lessons with *words*; raises InputError if there is none."""
    from kcert import lessons

    if results := lessons.search(words):
        return _allowed(results, f"--search {words}")
    raise InputError(f"no lesson contains {words!a}. `kcert explain` lists all topics.")


def _commands(ctx: typer.Context) -> Iterable[str]:
    """Return the commands, or those of the command that was typed before."""
    from kcert import cli

    words = ctx.params.get("words") or ()
    return getattr(cli.load(words[0]), "commands", ()) if words and words[0] in cli.COMMANDS else cli.COMMANDS


def help_(
    words: Annotated[
        list[str] | None, argument("COMMAND", "Show the help of this command.", completes(_commands))
    ] = None,
) -> None:
    """Show the help of kcert, or of a command."""
    from kcert import cli

    typer.main.get_command(cli.app)([*(words or ()), "--help"], prog_name="kcert", standalone_mode=False)


def version() -> None:
    """Print the version."""
    typer.echo(f"kcert {__version__}")


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], argument("bash|zsh|fish", "Choose the shell.")],
) -> None:
    """Print the script that completes commands, options and names in a shell.

    Add a line to the start file of your shell.

    bash, in ~/.bashrc: `eval "$(kcert completion bash)"`

    zsh, in ~/.zshrc, after compinit: `eval "$(kcert completion zsh)"`

    fish, in ~/.config/fish/config.fish: `kcert completion fish | source`
    """
    from kcert import cli

    os.environ["_KCERT_COMPLETE"] = f"source_{shell}"  # what the script itself asks with, but for "complete_"
    typer.main.get_command(cli.app)(prog_name="kcert")
