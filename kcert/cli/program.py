"""`kcert help`, `version`, `completion`, `doctor`: the program itself, and the programs that it needs."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer
import typer.main

from kcert import __version__
from kcert.cli.options import Force, Output, Program, ResultFormat


def _commands(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the commands, or those of the command that was typed before."""
    from kcert import cli

    words = ctx.params.get("words") or ()
    names = getattr(cli.load(words[0]), "commands", ()) if words and words[0] in cli.COMMANDS else cli.COMMANDS
    return [name for name in names if name.startswith(incomplete)]


def help_(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Show the help of this command.", autocompletion=_commands),
    ] = None,
) -> None:
    """Show the help of kcert, or of a command."""
    from kcert import cli

    typer.main.get_command(cli.app)([*(words or ()), "--help"], prog_name="kcert", standalone_mode=False)


def version() -> None:
    """Print the version."""
    typer.echo(f"kcert {__version__}")


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="Choose the shell.")],
) -> None:
    """Print the script that completes commands, options and names in a shell.

    Add a line to the start file of your shell.

    bash, in ~/.bashrc: `eval "$(kcert completion bash)"`

    zsh, in ~/.zshrc, after compinit: `eval "$(kcert completion zsh)"`

    fish, in ~/.config/fish/config.fish: `kcert completion fish | source`
    """
    from kcert import cli

    os.environ["_KCERT_COMPLETE"] = f"source_{shell}"  # what the script itself asks with, but for "complete_"
    typer.main.get_command(cli.app)(prog_name="kcert")


def doctor(
    format: ResultFormat = "text",
    output: Output = None,
    force: Force = False,
    openssl: Program = "openssl",
) -> None:
    """Check which programs are installed, and what works without the others."""
    from kcert import doctor as checks
    from kcert.ui import diagnose
    from kcert.ui.report import written_to

    tools, overrides = checks.check_tools(openssl), checks.openssl_env_overrides()
    with written_to(output, force=force):
        diagnose.show_tools(tools, overrides, format)
    diagnose.require_openssl(tools)
