"""`kcert kubeconfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli import context as contexts
from kcert.cli.options import ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="admin, a component, a node, a user; without a name, all of them."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL|HOST:PORT", help="The API server to talk to.", show_default="by profile"),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="The context's name.", show_default="NAME@CLUSTER"),
    ] = None,
    embed: Annotated[bool, typer.Option(help="Put CA, certificate and key inside, or name their paths.")] = True,
    path_prefix: Annotated[
        str | None,
        typer.Option("--path-prefix", metavar="FOLDER", help="With --no-embed: where the files will lie on the host."),
    ] = None,
    via: Annotated[
        Literal["kcert", "kubectl"], typer.Option("--via", help="Who writes the file: kcert, or the commands shown.")
    ] = "kcert",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write it there, - for the screen.",
            show_default="NAME.kubeconfig in the PKI folder",
        ),
    ] = None,
    merge: Annotated[
        Path | None, typer.Option("--merge", metavar="FILE", help="Add the context to this kubeconfig, or create it.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="With --merge: a context that is there already is brought up to date."),
    ] = False,
    explain: Annotated[bool, typer.Option(help="Say why, and show the kubectl commands.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="One line for each kubeconfig, nothing else.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; print a bash script that does the same with kubectl.")
    ] = False,
) -> None:
    """Write kubeconfigs: where the API server is, the CA to recognise it by, the certificate and key to show."""
    from kcert.kubernetes import kubeconfigs
    from kcert.ui.kubeconfig import Reporter

    elsewhere = output is not None or merge is not None
    if output is not None and merge is not None:
        raise InputError("--output writes a file of its own, --merge adds to one: leave one of them out.")
    if replace and merge is None:
        raise InputError("--replace brings a context of another kubeconfig up to date: it goes with --merge FILE.")
    if elsewhere and via == "kubectl":
        raise InputError("--via kubectl makes the file in the PKI folder: it does not go with --output and --merge.")
    if dry_run and (elsewhere or quiet):
        raise InputError("--dry-run prints a script for the PKI folder: it excludes --output, --merge and --quiet.")
    folder = contexts.folder(looking)
    options = kubeconfigs.KubeconfigOptions(server, context, embed, path_prefix)
    left = () if names or elsewhere else kubeconfigs.foreign_kubeconfigs(folder)
    drafts = kubeconfigs.drafts(folder, names or (), options, left)
    reporter = Reporter(folder, explain=explain, quiet=quiet)
    if dry_run:
        reporter.dry_run(drafts)
        return
    if output is not None and str(output) == "-":
        reporter.screen(kubeconfigs.for_screen(folder, drafts))
    elif output is not None:
        reporter.put(drafts, kubeconfigs.put(folder, drafts, output))
    elif merge is not None:
        written, updated = kubeconfigs.merge(folder, drafts, merge, reporter.waits_for, replace=replace)
        reporter.merged(drafts[0], written, updated)
    else:
        kubeconfigs.keep(folder, drafts, reporter, kubectl=via == "kubectl")
        reporter.left(left)
        reporter.ends()
