"""`kcert practice`: labs, exams, the report on a class, and the quiz."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcert.cli import refuse_in_exam
from kcert.cli.options import (
    FORMAT,
    Force,
    Output,
    Program,
    Quiet,
    ResultFormat,
    Subcommands,
    argument,
    completes,
    option,
)
from kcert.errors import FOUND, InputError
from kcert.practice import DEFAULT_FOLDER, OWN_FOLDER, enclosing

if TYPE_CHECKING:
    from kcert.practice.session import Session

app = Subcommands(
    no_args_is_help=True,
    help="Practice in labs: fix small clusters, each with one fault.",
    epilog="Begin with `kcert practice list`, then `kcert practice start LAB`.",
)

DEFAULT_LAB = Path(DEFAULT_FOLDER)

LONGEST_NAME = 64
"""Characters of a learner's name."""

LabFolder = Annotated[Path, option("--dir,-d FOLDER", "Use this folder for the lab.", envvar="KCERT_LAB")]


Learner = Annotated[str | None, option("--name NAME", "Name the learner, for `kcert practice report`.")]


def _labs(_ctx: typer.Context) -> Iterable[str]:
    from kcert.practice.labs import NAMES

    return NAMES


def _seed(same: str) -> Any:
    """Return the option --seed, which repeats *same*."""
    return option("--seed N", f"Use this seed: the same number gives the same {same}.", show_default="a random one")


@app.command("list")
def list_(*, format: ResultFormat = "text") -> None:
    """List the labs, with their level and time, and mark those that were solved in the folders below this one."""
    from kcert.practice import session
    from kcert.ui import practice

    practice.show_list(session.listed(Path()), format)


@app.command("start")
def start(
    *,
    lab: Annotated[str, argument("LAB", "Start this lab (see `kcert practice list`).", completes(_labs))],
    dir: LabFolder = DEFAULT_LAB,
    seed: Annotated[int | None, _seed("names, addresses and fault")] = None,
    replace: Annotated[bool, option("--replace", "Delete the lab that is in the folder, with all changes.")] = False,
    name: Learner = None,
    quiet: Quiet = False,
    openssl: Program = "openssl",
) -> None:
    """Build a lab in a folder, and print its story."""
    from kcert.openssl import program
    from kcert.practice import session, state
    from kcert.ui import practice

    refuse_in_exam("practice start")
    session.refuse_nested(root := _found(dir, state.FILE) if replace else dir)
    _keep_current_folder(root)
    begun = session.begin(
        lab, root, seed=seed, openssl=program.openssl(openssl), replaces=replace, learner=_learner(name)
    )
    practice.show_start(begun, _option(dir), quiet=quiet)


@app.command("hint")
def hint(*, dir: LabFolder = DEFAULT_LAB) -> None:
    """Print the next hint, from a small hint to the full answer; each hint is counted."""
    from kcert.ui import practice

    lab = _resumed(dir)
    number, text = lab.hint()
    practice.show_hint(lab, number, text, _option(dir))


@app.command("check")
def check(
    *, dir: LabFolder = DEFAULT_LAB, format: ResultFormat = "text", quiet: Quiet = False, openssl: Program = "openssl"
) -> None:
    """Check what has to work: status 0 if the lab is solved, 1 if not."""
    from kcert.ui import practice

    lab = _resumed(dir, openssl)
    result = lab.check()
    practice.show_check(lab, result, format, _option(dir), quiet=quiet)
    raise typer.Exit(0 if result.solved else FOUND)


@app.command("solution")
def solution(
    *,
    dir: LabFolder = DEFAULT_LAB,
    format: Annotated[
        Literal["text", "sh"],
        option("--format", "Print the result in this format; sh is a bash script for the lab's folder."),
    ] = "text",
) -> None:
    """Print the commands that solve the lab, each with its reason."""
    from kcert.ui import practice

    refuse_in_exam("practice solution")
    lab = _resumed(dir)
    practice.show_solution(lab.show_solution(), lab.state.seed, format)


@app.command("answer")
def answer(
    *,
    number: Annotated[int, argument("N", "Choose the question by its number.")],
    text: Annotated[str, argument("TEXT", "Give the answer, in quotes if it contains spaces.")],
    dir: LabFolder = DEFAULT_LAB,
) -> None:
    """Answer a question: status 0 if the answer is right, 1 if not."""
    from kcert.ui import practice

    lab = _resumed(dir)
    right = lab.answer(number, text)
    practice.show_answer(number, lab.question(), _option(dir), right=right)
    raise typer.Exit(0 if right else FOUND)


@app.command("reset")
def reset(*, dir: LabFolder = DEFAULT_LAB, openssl: Program = "openssl") -> None:
    """Start the same lab again, with the same seed; all changes in its folder are deleted."""
    from kcert.practice import session
    from kcert.ui import practice

    lab = _resumed(dir, openssl)
    _keep_current_folder(lab.root)
    practice.show_start(session.reset(lab), _option(dir))


@app.command("exam")
def exam(
    *,
    dir: LabFolder = DEFAULT_LAB,
    minutes: Annotated[int | None, option("--minutes N", "Set the time limit.", show_default="30")] = None,
    labs: Annotated[int | None, option("--labs N", "Set the number of labs.", show_default="6")] = None,
    seed: Annotated[int | None, _seed("labs")] = None,
    finish: Annotated[
        bool, option("--finish", "End the exam before the deadline: status 1 below the pass mark.")
    ] = False,
    replace: Annotated[
        bool, option("--replace", "Delete the labs or the exam in the folder, and start a new exam.")
    ] = False,
    name: Learner = None,
    seal: Annotated[
        bool, option("--seal", "Hide which labs the tasks are, and sign the results; asks for a passphrase.")
    ] = False,
    format: ResultFormat = "text",
    openssl: Program = "openssl",
) -> None:
    """Start several labs with a time limit, or print the time that is left, or the score, of the exam in the folder."""
    from kcert.openssl import program
    from kcert.practice import exam as exams
    from kcert.practice import session, state
    from kcert.ui import practice

    openssl = program.openssl(openssl)
    if replace:
        state.refuse_to_replace(dir)
    root = dir if replace else _found(dir, state.EXAM_FILE)
    running = None if replace else exams.load(root, openssl)
    if running:
        exams.require_same_options(running, root, minutes=minutes, count=labs, seed=None if running.sealed else seed)
        result = exams.evaluate(root, running, openssl, hand_in=finish)
        practice.show_exam(result, root, format)
        raise typer.Exit(FOUND if finish and not result.passed else 0)
    if finish:
        raise InputError(f"--finish: {root} contains no exam.")
    session.refuse_nested(root)
    begun = exams.begin(
        root,
        seed=seed,
        minutes=exams.MINUTES if minutes is None else minutes,
        count=exams.LABS if labs is None else labs,
        setup=practice.begins,
        openssl=openssl,
        replaces=replace,
        learner=_learner(name),
        seal=state.new_seal(_passphrase(new=True), openssl) if seal else None,
    )
    practice.show_exam(begun, root, format)


@app.command("report")
def report(
    *,
    folders: Annotated[
        list[Path],
        argument("FOLDER", "Read the labs in these folders, one for each learner, or in the one folder of a class."),
    ],
    seal: Annotated[
        bool, option("--seal", "Ask for the passphrase of the sealed exams, and verify their seals.")
    ] = False,
    format: Annotated[Literal["text", "table", "csv", "json", "html"], FORMAT] = "text",
    output: Output = None,
    force: Force = False,
    openssl: Program = "openssl",
) -> None:
    """List which learner solved which lab, when, how fast, and with how much help."""
    from kcert.openssl import program
    from kcert.practice import exam as exams
    from kcert.ui import practice
    from kcert.ui.report import written_to

    results = list(exams.lines(folders, program.openssl(openssl), _passphrase(new=False) if seal else None))
    with written_to(output, force=force):
        practice.show_class(results, format)


@app.command("quiz")
def quiz(
    *,
    count: Annotated[int, option("--count N", "Set the number of questions.")] = 6,
    seed: Annotated[int | None, _seed("questions")] = None,
    openssl: Program = "openssl",
) -> None:
    """Answer short questions about certificates: status 0 if all answers are right, 1 if not."""
    from kcert.openssl import program
    from kcert.practice import quiz as quizzes
    from kcert.practice import session
    from kcert.ui.keyboard import ask_questions

    if not 1 <= count <= quizzes.MOST:
        raise InputError(f"--count {count} is invalid: expected 1 to {quizzes.MOST}.")
    seed = session.chosen_seed(seed)
    right = ask_questions(quizzes.questions(seed, count, program.openssl(openssl)), seed, count)
    raise typer.Exit(0 if right == count else FOUND)


def _learner(name: str | None) -> str | None:
    """Return *name*; raises InputError for a name that a report cannot contain."""
    if name is not None and (not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME):
        raise InputError(f"--name {name!a} is invalid: expected 1 to {LONGEST_NAME} printable characters.")
    return name


def _passphrase(*, new: bool) -> str:
    """Return the teacher's passphrase, from the environment or typed at the terminal; twice if it is *new*."""
    import os

    from kcert.practice.state import SEAL_VARIABLE
    from kcert.ui.keyboard import ask_for_seal

    return os.environ.get(SEAL_VARIABLE) or ask_for_seal(SEAL_VARIABLE, twice=new)


def _resumed(folder: Path, openssl: str | None = None) -> Session:
    from kcert.openssl import program
    from kcert.practice import session, state

    openssl = program.openssl(openssl) if openssl else "openssl"
    return session.resume(_found(folder, state.FILE, state.EXAM_FILE), openssl)


def _found(folder: Path, *names: str) -> Path:
    """Return *folder*, or if it is the default and not in use, the one of the lab or exam that the user is in."""
    if folder == DEFAULT_LAB and not (folder / OWN_FOLDER).is_dir():
        return enclosing(Path(), *names) or folder
    return folder


def _keep_current_folder(root: Path) -> None:
    """Raise InputError if the current folder is inside the lab *root*, where it would be deleted."""
    if root.resolve() in Path.cwd().parents:
        raise InputError(f"this would delete the current folder. Change to the folder of the lab first: cd {root}.")


def _option(folder: Path) -> str:
    """Return the option with which a command works on the same lab: nothing, or `` --dir FOLDER``."""
    from kcert.quoting import quote

    return "" if folder == DEFAULT_LAB else f" --dir {quote(str(folder))}"
