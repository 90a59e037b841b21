"""`kcert practice`: labs, from the list to the solution, and the exam."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcert.cli.options import Program
from kcert.errors import FOUND, InputError

if TYPE_CHECKING:
    from kcert.practice.session import Session

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Labs: a small cluster with one thing broken, a story, hints, and a judge who tries your repair.",
)

DEFAULT_LAB = Path("lab")

LONGEST_NAME = 64
"""Characters of a learner's name."""

LabFolder = Annotated[Path, typer.Option("--dir", "-d", envvar="KCERT_LAB", metavar="FOLDER", help="The lab's folder.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Names, addresses and what is broken.", show_default="a random one"),
]
Learner = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Who works on it, for `kcert practice report`.")
]
Format = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")]


def _labs(incomplete: str) -> list[str]:
    """The labs that the shell may complete what was typed to."""
    from kcert.practice.labs import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


@app.command("list")
def list_(*, format: Format = "text") -> None:
    """Every lab: what it is about, how hard, how long, and whether it was solved in a folder below this one."""
    from kcert.practice import session
    from kcert.ui import practice

    practice.show_list(session.listed(Path()), format)


@app.command("start")
def start(
    *,
    lab: Annotated[str, typer.Argument(metavar="LAB", help="A name from `kcert practice list`.", autocompletion=_labs)],
    dir: LabFolder = DEFAULT_LAB,
    seed: Seed = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let the lab that is in the folder go, with all that was done in it.")
    ] = False,
    name: Learner = None,
    openssl: Program = "openssl",
) -> None:
    """Build a lab in a folder, and tell its story."""
    from kcert.openssl import program
    from kcert.practice import session
    from kcert.ui import practice

    _refuse_in_exam("practice start")
    begun = session.begin(
        lab, dir, seed=seed, openssl=program.openssl(openssl), replaces=replace, learner=_learner(name)
    )
    practice.show_start(begun, _option(dir))


@app.command("hint")
def hint(*, dir: LabFolder = DEFAULT_LAB) -> None:
    """The next hint, from a nudge to the answer; each is counted."""
    from kcert.ui import practice

    found = _resumed(dir)
    number, text = found.hint()
    practice.show_hint(found, number, text, _option(dir))


@app.command("check")
def check(*, dir: LabFolder = DEFAULT_LAB, format: Format = "text", openssl: Program = "openssl") -> None:
    """Try what has to work: status 0 where the lab is solved, 1 where not."""
    from kcert.openssl import program
    from kcert.ui import practice

    found = _resumed(dir, program.openssl(openssl))
    judged = found.check()
    practice.show_check(found, judged, format, _option(dir))
    raise typer.Exit(0 if judged.solved else FOUND)


@app.command("solution")
def solution(
    *,
    dir: LabFolder = DEFAULT_LAB,
    format: Annotated[
        Literal["text", "sh"], typer.Option("--format", help="sh: a bash script to be run in the lab's folder.")
    ] = "text",
) -> None:
    """The commands that solve it, each with its reason."""
    from kcert.ui import practice

    _refuse_in_exam("practice solution")
    found = _resumed(dir)
    practice.show_solution(found.show_solution(), found.state.seed, format)


@app.command("answer")
def answer(
    *,
    number: Annotated[int, typer.Argument(metavar="N", help="The question's number.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The answer, in quotes where it has blanks.")],
    dir: LabFolder = DEFAULT_LAB,
) -> None:
    """Answer a question: status 0 where it is right, 1 where not."""
    from kcert.ui import practice

    found = _resumed(dir)
    answered = found.answer(number, text)
    practice.show_answer(answered, _option(dir))
    raise typer.Exit(0 if answered.right else FOUND)


@app.command("reset")
def reset(*, dir: LabFolder = DEFAULT_LAB, openssl: Program = "openssl") -> None:
    """Begin the same lab again: same seed, all files as they were; what you added is gone."""
    from kcert.openssl import program
    from kcert.practice import session
    from kcert.ui import practice

    practice.show_start(session.reset(_resumed(dir, program.openssl(openssl))), _option(dir))


@app.command("exam")
def exam(
    *,
    dir: LabFolder = DEFAULT_LAB,
    minutes: Annotated[
        int | None, typer.Option("--minutes", metavar="N", help="How long it goes on.", show_default="30")
    ] = None,
    labs: Annotated[int | None, typer.Option("--labs", metavar="N", help="How many labs.", show_default="6")] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Which labs, and their seeds.", show_default="a random one"),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Hand it in before the time is up.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let what was begun in the folder go, and begin a new exam.")
    ] = False,
    name: Learner = None,
    seal: Annotated[
        bool,
        typer.Option(
            "--seal", help="Hide what the tasks are until the exam is over; asks for a word that proves the results."
        ),
    ] = False,
    format: Format = "text",
    openssl: Program = "openssl",
) -> None:
    """Several labs against the clock; run it again to see what is left, and in the end the score."""
    from kcert.openssl import program
    from kcert.practice import exam as exams
    from kcert.practice import seal as seals
    from kcert.practice import session
    from kcert.ui import exam as view

    openssl = program.openssl(openssl)
    found = None if replace else exams.load(dir, openssl)
    if found:
        exams.insist_on(found, dir, minutes=minutes, count=labs, seed=None if found.sealed else seed)
        result = exams.look(dir, found, openssl, hand_in=finish)
        view.show(result, dir, format)
        raise typer.Exit(FOUND if finish and not result.passed else 0)
    if finish:
        raise InputError(f"there is no exam in {dir} that could be handed in.")
    begun = exams.begin(
        dir,
        seed=session.random_seed() if seed is None else seed,
        minutes=exams.MINUTES if minutes is None else minutes,
        count=exams.LABS if labs is None else labs,
        setup=view.begins,
        openssl=openssl,
        replaces=replace,
        learner=_learner(name),
        seal=seals.new(_word(new=True), openssl) if seal else None,
    )
    view.show(begun, dir, format)


@app.command("report")
def report(
    *,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders with labs, one for each learner.")],
    seal: Annotated[
        bool, typer.Option("--seal", help="Ask for the word of the sealed exams, and check their seals with it.")
    ] = False,
    format: Annotated[
        Literal["text", "csv", "json", "html"], typer.Option("--format", help="How to print it.")
    ] = "text",
    openssl: Program = "openssl",
) -> None:
    """List who solved which lab, when, how fast, and with how much help."""
    from kcert.openssl import program
    from kcert.practice import report as reports
    from kcert.ui import class_report as view

    found = reports.lines(folders, program.openssl(openssl), _word(new=False) if seal else None)
    view.show(list(found), format)


@app.command("quiz")
def quiz(
    *,
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many questions.")] = 6,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Which questions.", show_default="a random one")
    ] = None,
    openssl: Program = "openssl",
) -> None:
    """Answer short questions about certificates: status 0 where all answers are right, 1 where not."""
    from kcert.openssl import program
    from kcert.practice import quiz as quizzes
    from kcert.practice import session
    from kcert.ui import quiz as view

    if not 1 <= count <= quizzes.MOST:
        raise InputError(f"--count {count} is not accepted: 1 to {quizzes.MOST}.")
    seed = session.random_seed() if seed is None else seed
    session.check_seed(seed)
    right = view.ask(quizzes.questions(seed, count, program.openssl(openssl)), seed, count)
    raise typer.Exit(0 if right == count else FOUND)


def _refuse_in_exam(command: str) -> None:
    from kcert.practice import guard

    guard.refuse_if_running(command)


def _learner(name: str | None) -> str | None:
    """Return *name* as it is; raises InputError for one that could not stand in a report."""
    if name is not None and (not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME):
        raise InputError(f"--name {name!a} is not accepted: 1 to {LONGEST_NAME} printable characters.")
    return name


def _word(*, new: bool) -> str:
    """Return the teacher's word, from the environment or typed at the terminal; twice if it is *new*."""
    import os

    from kcert.practice.seal import WORD_VARIABLE
    from kcert.ui.passphrase import ask_word

    return os.environ.get(WORD_VARIABLE) or ask_word(WORD_VARIABLE, twice=new)


def _resumed(folder: Path, openssl: str = "openssl") -> Session:
    from kcert.practice import session, state

    # Whoever works in the lab's folder types there, too.
    if folder == DEFAULT_LAB and not folder.exists() and state.is_lab(Path()):
        folder = Path()
    return session.resume(folder, openssl)


def _option(folder: Path) -> str:
    """What belongs behind a command that is to work on the same lab: nothing, or `` --dir FOLDER``."""
    from kcert.quoting import quote

    return "" if folder == DEFAULT_LAB else f" --dir {quote(str(folder))}"
