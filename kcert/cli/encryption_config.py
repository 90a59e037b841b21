"""`kcert encryption-config`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert.cli import context
from kcert.cli.options import Explain, ReadOptions, takes
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
) -> None:
    """Write the EncryptionConfiguration with which the API server encrypts Secrets in etcd, or rotate its key."""
    from kcert.kubernetes import encryption
    from kcert.openssl.program import openssl
    from kcert.ui.encryption import Telling

    if rotate and finish:
        raise InputError("--rotate cannot be combined with --finish: each is one step of the rotation.")
    if provider and (rotate or finish):
        raise InputError("--provider is for a new file: a rotation keeps the provider.")
    folder = context.folder(looking)
    telling = Telling(folder, explain=explain)
    program = openssl(looking.openssl)
    if rotate:
        config, change = encryption.rotate(folder.root, program, telling)
    elif finish:
        config, change = encryption.finish(folder.root, program, telling)
    else:
        config, change = encryption.create(folder.root, program, provider or "aescbc", telling)
    telling.ends(config, change)
