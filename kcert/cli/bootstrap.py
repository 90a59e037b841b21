"""`kcert bootstrap`."""

from __future__ import annotations

from typing import Annotated

import typer

from kcert.cli import context
from kcert.cli.options import Explain, ReadOptions, takes
from kcert.errors import InputError


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="Make a new token valid for this long.")] = "24h",
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Replace the token, even if it has not expired.")
    ] = False,
    explain: Explain = True,
) -> None:
    """Write the bootstrap token, the RBAC objects and the kubeconfig with which nodes request their certificates."""
    from kcert.durations import duration
    from kcert.kubernetes import bootstrap
    from kcert.ui.bootstrap import Telling

    lifetime = duration(ttl, "--ttl")
    if lifetime.total_seconds() < bootstrap.SHORTEST:
        raise InputError(f"--ttl {ttl!a} is too short: expected {bootstrap.SHORTEST} seconds or more.")
    folder = context.folder(looking)
    telling = Telling(folder, explain=explain)
    telling.ends(bootstrap.make(folder, lifetime, telling, new_token=new_token))
