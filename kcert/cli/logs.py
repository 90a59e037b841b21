"""`kcert logs`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert.logs import COMPONENTS, Via


def _components(incomplete: str) -> list[str]:
    """The components that the shell may complete what was typed to."""
    return [one for one in COMPONENTS if one.startswith(incomplete)]


def command(
    component: Annotated[str, typer.Argument(help="etcd, kubelet, kube-apiserver, ...", autocompletion=_components)],
    *,
    via: Annotated[
        Via | None,
        typer.Option("--via", help="The program to ask, whatever the installation looks like."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines; Ctrl-C ends it.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="No further back than this: 30s, 10m, 1h, 2d.", metavar="TIME")
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Print what the log means in place of the log, as `kcert diagnose`.")
    ] = False,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json"], typer.Option("--format", help="How to print what --diagnose finds.")
    ] = "text",
) -> None:
    """The log of a component: finds out how the cluster is installed, shows the command that prints it, and runs it."""
    from kcert import logs
    from kcert.errors import FOUND, InputError
    from kcert.ui import logs as view

    if follow and diagnose:
        raise InputError("--diagnose reads a log to its end, and with --follow it has none: leave one of them out.")
    if format == "json" and not diagnose:
        raise InputError("--format json is for what --diagnose finds: add it, or leave --format out.")
    wanted = logs.Wanted(logs.component(component), via, follow, logs.back(since) if since is not None else "")
    found = logs.locate(wanted)
    if not diagnose:
        view.announce(wanted, found)
        logs.show(found.command)
        return
    from kcert.diagnose import diagnose as judge
    from kcert.ui import diagnosis

    if format == "text":
        view.announce(wanted, found)
    judged = judge(logs.read_lines(found.command))
    diagnosis.show(judged, format)
    if judged.findings:
        raise typer.Exit(FOUND)
