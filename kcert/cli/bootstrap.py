"""`kcert bootstrap`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from kcert.cli import context
from kcert.cli.options import DryRun, Explain, Quiet, ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="Create a new token valid for this long.")] = "24h",
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Replace the token, even if it has not expired.")
    ] = False,
    explain: Explain = True,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Write the bootstrap token, the RBAC objects and the kubeconfig with which nodes request their certificates."""
    from kcert.durations import duration
    from kcert.kubernetes import bootstrap
    from kcert.ui.bootstrap import BootstrapReporter

    if quiet and dry_run:
        raise InputError("--dry-run cannot be combined with --quiet.")
    lifetime = duration(ttl, "--ttl")
    if lifetime.total_seconds() < bootstrap.SHORTEST:
        raise InputError(f"--ttl {ttl!a} is too short: expected {bootstrap.SHORTEST} seconds or more.")
    ctx = context.read_context(looking, "bootstrap")
    if dry_run:
        typer.echo("\n".join(bootstrap.script(ctx, lifetime, new_token=new_token)))
        return
    reporter = BootstrapReporter(ctx, explain=explain, quiet=quiet)
    reporter.ends(bootstrap.make(replace(ctx, reporter=reporter), lifetime, new_token=new_token))
