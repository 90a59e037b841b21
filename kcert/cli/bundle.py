"""`kcert bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli import context
from kcert.cli.flags import KubernetesVersion
from kcert.cli.options import ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="Pack for these hosts; without a name, for all.")
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
            help="Write to this folder, or one archive to this file; - is standard output.",
            show_default="bundles/HOST.tar.gz",
        ),
    ] = None,
    kubernetes_version: KubernetesVersion = None,
    explain: Annotated[bool, typer.Option(help="Explain what each file is for.")] = True,
) -> None:
    """Pack for each host one archive with just the files that it needs, where they go, and their modes."""
    from kcert.config import version
    from kcert.kubernetes import bundles
    from kcert.ui import bundle, flags

    if scp and output is not None:
        raise InputError("--scp cannot be combined with --output: it packs nothing.")
    folder = context.folder(looking)
    release = version(kubernetes_version) if kubernetes_version else folder.cluster.version
    made = bundles.bundles(folder, hosts or (), release)
    if certificates_only:
        made = tuple(bundle.certificates_only for bundle in made)
    if scp:
        bundle.show_commands(folder, made)
    elif output is not None and str(output) == "-":
        bundle.stream(made)
    else:
        bundle.show(folder, made, bundles.pack(made, output), explain=explain)
    flags.warn_of_release(release)
