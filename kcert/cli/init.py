"""`kcert init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli.options import DEFAULT_FILE


def command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.", metavar="FILE")] = DEFAULT_FILE,
    profile: Annotated[str, typer.Option("--profile", help="course, hardway or kubeadm.", metavar="NAME")] = "course",
) -> None:
    """Write a commented kcert.yaml, which describes the built-in example cluster; never replaces one."""
    from kcert import profiles
    from kcert.ui import messages

    profiles.write_example(config, profile)
    messages.wrote_example(config)
