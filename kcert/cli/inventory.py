"""`kcert inventory`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import DEFAULT_FOLDER, Folder, Force, Program


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
        Literal["table", "csv", "xlsx", "json", "markdown", "html", "prometheus", "tree", "mermaid"],
        typer.Option("--format", help="How to write it."),
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file; - is the screen.")
    ] = None,
    force: Force = False,
    sort: Annotated[
        Literal["expiry", "component", "path", "cn", "issuer", "kind"] | None,
        typer.Option("--sort", help="What to sort by.", show_default="the order in which they are found"),
    ] = None,
    expiring_in: Annotated[
        str | None,
        typer.Option("--expiring-in", metavar="TIME", help="Only what ends within 30d, 8w …, or has ended."),
    ] = None,
    dir: Folder = DEFAULT_FOLDER,  # noqa: A002 - the option's name
    openssl: Program = "openssl",
) -> None:
    """All certificates of a cluster: whose they are, what they say, how long they last."""
    from kcert.durations import duration
    from kcert.openssl import program
    from kcert.scan.discovery import survey
    from kcert.scan.inventory import ORDERS, ending_within, inventory
    from kcert.ui.inventory import present, status
    from kcert.ui.report import Target

    within = duration(expiring_in, "--expiring-in", bare="d") if expiring_in is not None else None
    found = survey(where or (), root, program.openssl(openssl), otherwise=dir)
    entries = inventory(found)
    if within is not None:
        entries = ending_within(entries, within)
    if sort is not None:
        entries.sort(key=ORDERS[sort])
    present(entries, found, format, Target(output, force) if output else None, looked_around=not where, openssl=openssl)
    raise typer.Exit(status(found))
