"""`kcert kubeconfig`, `bootstrap`, `call`: how users and nodes reach the API server."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.context import read_context
from kcert.cli.options import (
    DryRun,
    Explain,
    Quiet,
    ReadOptions,
    ResultFormat,
    WriteOptions,
    argument,
    check_format,
    complete_clients,
    option,
)
from kcert.errors import InputError


def kubeconfig(
    options: ReadOptions,
    *,
    names: Annotated[
        list[str] | None,
        argument(
            "NAME",
            "Write the kubeconfig of admin, a component, a node or a user. Default: all of them.",
            complete_clients,
        ),
    ] = None,
    server: Annotated[
        str | None, option("--server URL|HOST:PORT", "Connect to this API server.", show_default="by profile")
    ] = None,
    context: Annotated[str | None, option("--context NAME", "Name the context.", show_default="NAME@CLUSTER")] = None,
    embed: Annotated[
        bool, typer.Option(help="Write the CA, certificate and key into the file, or only their paths.")
    ] = True,
    path_prefix: Annotated[
        str | None, option("--path-prefix FOLDER", "Start the paths of --no-embed with this folder.")
    ] = None,
    via: Annotated[
        Literal["kcert", "kubectl"],
        option("--via", "Write the file with kcert, or by running the kubectl commands shown."),
    ] = "kcert",
    output: Annotated[
        Path | None,
        option(
            "--output,-o PATH",
            "Write to this file or folder; - is standard output.",
            show_default="NAME.kubeconfig in the PKI folder",
        ),
    ] = None,
    merge: Annotated[Path | None, option("--merge FILE", "Add the context to this kubeconfig, or create it.")] = None,
    replace: Annotated[bool, option("--replace", "Update a context that is already in the file of --merge.")] = False,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
    dry_run: DryRun = False,
) -> None:
    """Write kubeconfigs: the URL of the API server, the CA that verifies it, and the client certificate and key."""
    from kcert.kubernetes import kubeconfigs
    from kcert.ui import access, print_text

    check_format(format, output)
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
    ctx = read_context(options, "kubeconfig")
    left = () if names or elsewhere else kubeconfigs.foreign_kubeconfigs(ctx)
    drafts = kubeconfigs.drafts(
        ctx, names or (), server=server, context=context, embed=embed, prefix=path_prefix, without=left
    )
    if dry_run:
        access.print_script(ctx, drafts)
        return
    reporter = access.KubeconfigReporter(ctx, explain=explain, quiet=quiet, form=format, named=bool(names))
    if output is not None and str(output) == "-":
        print_text(kubeconfigs.for_screen(ctx, drafts))
    elif output is not None:
        reporter.put(drafts, kubeconfigs.put(ctx, drafts, output))
    elif merge is not None:
        written, updated = kubeconfigs.merge(ctx, drafts, merge, reporter.waits_for, replace=replace)
        reporter.merged(drafts[0], written, updated)
    else:
        kubeconfigs.require_writable(drafts, server, context, kubectl=via == "kubectl")
        reporter.on_drafts(drafts)
        for draft, state in kubeconfigs.keep(
            dataclasses.replace(ctx, reporter=reporter), drafts, kubectl=via == "kubectl"
        ):
            reporter.on_kubeconfig(draft, state)
        reporter.ends(left)


def bootstrap(
    options: WriteOptions,
    *,
    ttl: Annotated[str, option("--ttl TIME", "Create a new token that is valid for this long.")] = "24h",
    new_token: Annotated[bool, option("--new-token", "Replace the token, even if it has not expired.")] = False,
) -> None:
    """Write the bootstrap token, the RBAC objects and the kubeconfig with which nodes request their certificates."""
    from kcert.durations import duration
    from kcert.kubernetes import bootstrap
    from kcert.ui import print_lines
    from kcert.ui.access import BootstrapReporter

    options.check_dry_run()
    lifetime = duration(ttl, "--ttl")
    if lifetime.total_seconds() < bootstrap.SHORTEST:
        raise InputError(f"--ttl {ttl!a} is too short: expected {bootstrap.SHORTEST} seconds or more.")
    ctx = read_context(options, "bootstrap")
    if options.dry_run:
        print_lines(bootstrap.script(ctx, lifetime, new_token=new_token))
        return
    reporter = BootstrapReporter(ctx, explain=options.explain, quiet=options.quiet, form=options.format)
    reporter.ends(bootstrap.make(dataclasses.replace(ctx, reporter=reporter), lifetime, new_token=new_token))


def call(
    options: ReadOptions,
    *,
    path: Annotated[str, argument("PATH", "Get this path: /version, /api/v1/namespaces …")],
    name: Annotated[
        str,
        option(
            "--as NAME",
            "Present the certificate of admin, a component, a node or a user.",
            autocompletion=complete_clients,
        ),
    ],
    server: Annotated[
        str | None, option("--server URL", "Call this server.", show_default="as in NAME's kubeconfig")
    ] = None,
    explain: Explain = True,
    quiet: Quiet = False,
) -> None:
    """Call the API with curl and a certificate, and explain a failure.

    Exit status 1: the server responded with an error (401, 403, 404 …). Exit status 3: the server did not respond.
    """
    from kcert.kubernetes import call
    from kcert.ui import access

    api_call = call.call(read_context(options, "call"), name, path, server)
    if not quiet:
        access.show_call(api_call, explain=explain)
    access.show_answer(api_call, call.run(api_call), quiet=quiet)
