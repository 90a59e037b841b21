"""`kcert inventory`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import DEFAULT_FOLDER, WHERE_HELP, Folder, Force, Program


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
        Literal["text", "table", "csv", "xlsx", "json", "markdown", "html", "prometheus", "tree", "mermaid", "svg"],
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Print text (the same as table), csv, xlsx, json, markdown, html, prometheus, tree, mermaid or svg.",
        ),
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is standard output.")
    ] = None,
    force: Force = False,
    sort: Annotated[
        Literal["expiry", "component", "path", "cn", "issuer", "kind"] | None,
        typer.Option("--sort", help="Sort by this field.", show_default="the order of discovery"),
    ] = None,
    expiring_in: Annotated[
        str | None,
        typer.Option(
            "--expiring-in",
            metavar="TIME",
            help="List only what has expired or expires within this time: 30, 30d, 8w, 12h, 1y.",
        ),
    ] = None,
    dir: Folder = DEFAULT_FOLDER,
    openssl: Program = "openssl",
) -> None:
    """List all certificates of a cluster: the owner, the names and the expiry of each."""
    from kcert.durations import duration
    from kcert.openssl import program
    from kcert.scan.discovery import survey
    from kcert.scan.inventory import ORDERS, ending_within, inventory
    from kcert.ui.inventory import present, status
    from kcert.ui.report import Target

    within = duration(expiring_in, "--expiring-in", bare="d") if expiring_in is not None else None
    scan = survey(where or (), root, program.openssl(openssl), otherwise=dir)
    entries = inventory(scan)
    if within is not None:
        entries = ending_within(entries, within)
    if sort is not None:
        entries.sort(key=ORDERS[sort])
    present(entries, scan, format, Target(output, force) if output else None, looked_around=not where, openssl=openssl)
    raise typer.Exit(status(scan))
