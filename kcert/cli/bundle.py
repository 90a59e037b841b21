"""`kcert bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli import context
from kcert.cli.options import ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="The hosts; without a name, all of them.")
    ] = None,
    scp: Annotated[bool, typer.Option("--scp", help="Pack nothing; print the commands that copy the files.")] = False,
    certificates_only: Annotated[
        bool,
        typer.Option(
            "--certificates-only",
            help="Leave out units, manifests and configuration, after a renewal for example.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The folder for the archives, or the file for one; - for standard output.",
            show_default="bundles/HOST.tar.gz",
        ),
    ] = None,
    explain: Annotated[bool, typer.Option(help="Say what each file is for.")] = True,
) -> None:
    """Pack for each host one archive with just the files that it needs, where they go, and their modes."""
    from kcert.kubernetes import bundles
    from kcert.ui import bundle

    if scp and output is not None:
        raise InputError("--scp packs nothing, so there is nothing to put to --output: leave one of them out.")
    folder = context.folder(looking)
    made = bundles.bundles(folder, hosts or ())
    if certificates_only:
        made = tuple(bundle.certificates_only for bundle in made)
    if scp:
        bundle.show_commands(folder, made)
    elif output is not None and str(output) == "-":
        bundle.stream(made)
    else:
        bundle.show(folder, made, bundles.pack(made, output), explain=explain)
