"""`kcert bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli import completion, context
from kcert.cli.flags import KubernetesVersion
from kcert.cli.options import Explain, Quiet, ReadOptions, ResultFormat, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    hosts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST]...", help="Pack for these hosts. Default: all hosts.", autocompletion=completion.hosts
        ),
    ] = None,
    scp: Annotated[
        bool, typer.Option("--scp", help="Print the commands that copy the files, and pack nothing.")
    ] = False,
    certificates_only: Annotated[
        bool,
        typer.Option(
            "--certificates-only",
            help="Leave out units, manifests and configuration files, for example after a renewal.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write the archives to this folder, or a single archive to this file; - is standard output.",
            show_default="bundles/HOST.tar.gz",
        ),
    ] = None,
    kubernetes_version: KubernetesVersion = None,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Pack one archive for each host, with only the files that it needs, their paths and their modes."""
    from kcert.config import version
    from kcert.kubernetes import bundles
    from kcert.ui import bundle, flags

    if scp and output is not None:
        raise InputError("--scp cannot be combined with --output: it packs nothing.")
    ctx = context.read_context(looking, "bundle")
    release = version(kubernetes_version) if kubernetes_version else ctx.cluster.version
    made = bundles.bundles(ctx, hosts or (), release)
    if certificates_only:
        made = tuple(bundle.certificates_only for bundle in made)
    if scp:
        bundle.show_commands(ctx, made)
        return
    if output is not None and str(output) == "-":
        bundle.stream(made)
        return
    written = bundles.pack(made, output)
    if format == "json":
        bundle.as_json(made, written)
    elif quiet:
        bundle.paths(written)
    else:
        bundle.show(ctx, made, written, explain=explain)
    flags.warn_of_release(release)
