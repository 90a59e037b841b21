"""`kcert encryption-config`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from kcert.cli import context
from kcert.cli.options import DryRun, Explain, Quiet, ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    provider: Annotated[
        Literal["aescbc", "secretbox"] | None,
        typer.Option("--provider", help="Use this cipher in a new file.", show_default="aescbc"),
    ] = None,
    rotate: Annotated[
        bool,
        typer.Option(
            "--rotate", help="Rotate the key in two steps: the first run adds a new key, the second puts it first."
        ),
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Remove the old key, after all Secrets have been rewritten.")
    ] = False,
    explain: Explain = True,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Write the EncryptionConfiguration with which the API server encrypts Secrets in etcd, or rotate its key."""
    from kcert.kubernetes import encryption
    from kcert.ui.encryption import EncryptionReporter

    if rotate and finish:
        raise InputError("--rotate cannot be combined with --finish: each is one step of the rotation.")
    if provider and (rotate or finish):
        raise InputError("--provider is for a new file: a rotation keeps the provider.")
    if quiet and dry_run:
        raise InputError("--dry-run cannot be combined with --quiet.")
    ctx = context.read_context(looking, "encryption-config")
    action: encryption.Action = "rotate" if rotate else "finish" if finish else "create"
    if dry_run:
        typer.echo("\n".join(encryption.script(ctx, action, provider or "aescbc")))
        return
    reporter = EncryptionReporter(ctx, explain=explain, quiet=quiet)
    reporter.ends(encryption.update(replace(ctx, reporter=reporter), action, provider or "aescbc"))
