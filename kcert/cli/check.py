"""`kcert check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli import completion
from kcert.cli.options import (
    DEFAULT_FILE,
    DEFAULT_FOLDER,
    WHERE_HELP,
    ConfigFile,
    Folder,
    Force,
    Output,
    Program,
)


def command(
    *,
    where: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHERE]...",
            help=WHERE_HELP,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FOLDER", help="Treat this folder as /, for example a copy of another machine."),
    ] = None,
    format: Annotated[
        Literal["text", "short", "json", "markdown", "html"],
        typer.Option("--format", help="Print the findings in this format."),
    ] = "text",
    output: Output = None,
    force: Force = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 on warnings as well.")] = False,
    expiring_in: Annotated[
        str,
        typer.Option(
            "--expiring-in", metavar="TIME", help="Report what expires within this time: 30, 30d, 8w, 12h, 1y."
        ),
    ] = "30d",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="RULE", help="Check only this rule; repeatable.", autocompletion=completion.rules
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="RULE", help="Skip this rule; repeatable.", autocompletion=completion.rules),
    ] = None,
    dir: Folder = DEFAULT_FOLDER,
    config: ConfigFile = None,
    openssl: Program = "openssl",
) -> None:
    """Check certificates, explain the problems and print the commands that fix them. Nothing is changed."""
    from kcert.check import chosen, judge, wanted_at
    from kcert.durations import duration
    from kcert.openssl import program
    from kcert.store import OWN_FOLDER
    from kcert.ui import check
    from kcert.ui.report import written_to

    described = config is not None or (DEFAULT_FILE.exists() and dir.is_dir())
    planned = {}
    if described or (dir / OWN_FOLDER).is_dir():
        from kcert import profiles

        cluster = profiles.load((config or DEFAULT_FILE) if described else None)
        planned = wanted_at(dir, profiles.certificates(cluster))
    judgement = judge(
        where or (),
        root,
        rules=chosen(only or (), skip or ()),
        soon=duration(expiring_in, "--expiring-in", bare="d"),
        wanted=planned if described else {},
        assumed=planned,
        openssl=program.openssl(openssl),
        otherwise=dir,
    )
    with written_to(output, force=force):
        check.show(judgement, format, looked_around=not where)
    raise typer.Exit(check.status(judgement, strict=strict))
