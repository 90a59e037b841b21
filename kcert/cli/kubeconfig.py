"""`kcert kubeconfig`."""

from __future__ import annotations

from dataclasses import replace as replace_field
from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli import completion
from kcert.cli import context as contexts
from kcert.cli.options import DryRun, Explain, Quiet, ReadOptions, ResultFormat, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Write the kubeconfig of admin, a component, a node or a user. Default: all of them.",
            autocompletion=completion.clients,
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", metavar="URL|HOST:PORT", help="Connect to this API server.", show_default="by profile"
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="Name the context.", show_default="NAME@CLUSTER"),
    ] = None,
    embed: Annotated[bool, typer.Option(help="Put the CA, certificate and key inside, or only their paths.")] = True,
    path_prefix: Annotated[
        str | None,
        typer.Option("--path-prefix", metavar="FOLDER", help="Use this folder in the paths of --no-embed."),
    ] = None,
    via: Annotated[
        Literal["kcert", "kubectl"],
        typer.Option("--via", help="Write the file with kcert, or by running the kubectl commands shown."),
    ] = "kcert",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write to this file or folder; - is standard output.",
            show_default="NAME.kubeconfig in the PKI folder",
        ),
    ] = None,
    merge: Annotated[
        Path | None, typer.Option("--merge", metavar="FILE", help="Add the context to this kubeconfig, or create it.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Update an existing context of the file of --merge."),
    ] = False,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
    dry_run: DryRun = False,
) -> None:
    """Write kubeconfigs: the URL of the API server, the CA that verifies it, and the client certificate and key."""
    from kcert.kubernetes import kubeconfigs
    from kcert.ui.kubeconfig import KubeconfigReporter

    elsewhere = output is not None or merge is not None
    if output is not None and merge is not None:
        raise InputError("--output cannot be combined with --merge: --output writes a new file, --merge changes one.")
    if replace and merge is None:
        raise InputError("--replace needs --merge FILE: it updates a context of that file.")
    if elsewhere and via == "kubectl":
        raise InputError("--via kubectl cannot be combined with --output or --merge: it writes to the PKI folder.")
    if dry_run and (elsewhere or quiet):
        raise InputError(
            "--dry-run cannot be combined with --output, --merge or --quiet: it prints a script for the PKI folder."
        )
    ctx = contexts.read_context(looking, "kubeconfig")
    options = kubeconfigs.KubeconfigOptions(server, context, embed, path_prefix)
    left = () if names or elsewhere else kubeconfigs.foreign_kubeconfigs(ctx)
    drafts = kubeconfigs.drafts(ctx, names or (), options, left)
    reporter = KubeconfigReporter(ctx, explain=explain, quiet=quiet, form=format, named=bool(names))
    if dry_run:
        reporter.dry_run(drafts)
        return
    if output is not None and str(output) == "-":
        reporter.screen(kubeconfigs.for_screen(ctx, drafts))
    elif output is not None:
        reporter.put(drafts, kubeconfigs.put(ctx, drafts, output))
        reporter.records()
    elif merge is not None:
        written, updated = kubeconfigs.merge(ctx, drafts, merge, reporter.waits_for, replace=replace)
        reporter.merged(drafts[0], written, updated)
        reporter.records()
    else:
        kubeconfigs.keep(replace_field(ctx, reporter=reporter), drafts, reporter, kubectl=via == "kubectl")
        reporter.left(left)
        reporter.ends()
        reporter.records()
