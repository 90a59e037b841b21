"""`kcert logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import Force
from kcert.clusters import COMPONENTS
from kcert.logs import Via


def _components(incomplete: str) -> list[str]:
    """Return the components that begin with *incomplete*, for the shell."""
    return [name for name in COMPONENTS if name.startswith(incomplete)]


def command(
    component: Annotated[
        str,
        typer.Argument(
            metavar="COMPONENT|FILE",
            help="Show the log of etcd, kubelet, kube-apiserver, ... or this log file.",
            autocompletion=_components,
        ),
    ],
    *,
    via: Annotated[
        Via | None,
        typer.Option("--via", help="Read the log with this program, whatever the installation."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Show only lines of the last 30s, 10m, 1h, 2d.", metavar="TIME")
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, help="Show only this many lines at the end.", metavar="LINES")
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Explain the log instead of printing it, as `kcert diagnose` does.")
    ] = False,
    format: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Print the findings of --diagnose in this format.")
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the findings of --diagnose to this file; - is standard output.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Print the log of a component, with the command for this installation."""
    from kcert import logs
    from kcert.errors import FOUND, InputError
    from kcert.ui import logs as view

    if follow and diagnose:
        raise InputError(
            "--diagnose cannot be combined with --follow; use `journalctl -f -u COMPONENT | kcert diagnose`."
        )
    for option, is_set in (("--format json", format == "json"), ("--output", output is not None)):
        if is_set and not diagnose:
            raise InputError(f"{option} needs --diagnose.")
    back = logs.back(since) if since is not None else ""
    request = logs.LogRequest(logs.component(component), via, follow, back, tail)
    source = logs.locate(request)
    if not diagnose:
        view.announce(request, source)
        logs.show(source.command)
        return
    from kcert.cli.diagnose import roles_here
    from kcert.diagnose import diagnose as diagnose_log
    from kcert.diagnose.context import kind_of_machine
    from kcert.ui import diagnosis
    from kcert.ui.report import written_to

    if format == "text":
        view.announce(request, source)
    machine = kind_of_machine()
    result = diagnose_log(logs.read_lines(source.command), machine=machine, roles=roles_here(machine))
    with written_to(output, force=force):
        diagnosis.show(result, format)
    if result.findings:
        raise typer.Exit(FOUND)
