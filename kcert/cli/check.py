"""`kcert check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import (
    DEFAULT_FILE,
    DEFAULT_FOLDER,
    ConfigFile,
    Folder,
    Program,
)


def command(
    *,
    where: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHERE]...",
            help="Files, folders, HOST:PORT of running servers, or - for the output of kubectl get -o yaml; without "
            "any, where clusters keep such things, and where they keep none, the PKI folder.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FOLDER", help="A folder that stands for /: a copy of another machine."),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "short", "json", "markdown", "html"], typer.Option("--format", help="How to print it.")
    ] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="End with status 1 for warnings too.")] = False,
    expiring_in: Annotated[
        str,
        typer.Option("--expiring-in", metavar="TIME", help="What ends within 30d, 8w … is expiring-soon."),
    ] = "30d",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="RULE", help="Judge by this rule alone; may be repeated.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="RULE", help="Leave this rule out; may be repeated.")
    ] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002 - the option's name
    config: ConfigFile = None,
    openssl: Program = "openssl",
) -> None:
    """Judge certificates: what is wrong, why, and the commands that mend it. Nothing is changed."""
    from kcert.check.checking import chosen, judge, wanted_at
    from kcert.durations import duration
    from kcert.openssl import program
    from kcert.store import OWN_FOLDER
    from kcert.ui import check

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
    check.show(judgement, format, looked_around=not where)
    raise typer.Exit(check.status(judgement, strict=strict))
