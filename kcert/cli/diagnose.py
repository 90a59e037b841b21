"""`kcert logs`, `diagnose`, `doctor`: the log of a component, what it says about certificates, and the programs."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert.cli.options import Force, Output, Program, ResultFormat, argument, completes, load_cluster, option
from kcert.clusters import COMPONENTS, KINDS
from kcert.errors import FOUND, InputError, KcertError
from kcert.logs import Via

_KINDS = ("kcert", *KINDS)
"""The names that --cluster takes."""


def roles_here(machine: str) -> list[str]:
    """Return the roles of the certificates of ./kcert.yaml; none if the machine has no PKI folder of kcert."""
    from kcert import profiles
    from kcert.diagnose.context import KCERT_FOLDER

    if machine == KCERT_FOLDER:
        with contextlib.suppress(KcertError):
            return [certificate.role.value for certificate in profiles.certificates(load_cluster(None))]
    return []


def diagnose(
    log: Annotated[
        str, argument("FILE|LINE|-", "Read this log, or explain this line of a log, in quotes; - is standard input.")
    ] = "-",
    *,
    cluster: Annotated[
        str,
        option(
            "--cluster KIND",
            "Print the fixes for this kind of cluster: kubeadm, k3s, rke2, hardway, kcert, ...",
            autocompletion=completes(lambda _ctx: _KINDS),
        ),
    ] = "",
    format: Annotated[Literal["text", "json"], option("--format", "Print the findings in this format.")] = "text",
    output: Output = None,
    force: Force = False,
) -> None:
    """Explain log lines about TLS, certificates and access, with commands that confirm and fix the problem."""
    from kcert.diagnose import Diagnoser, follow
    from kcert.diagnose.context import kind_of_machine
    from kcert.diagnose.reading import live_lines, log_file
    from kcert.ui.diagnose import reads_keyboard, show, show_live
    from kcert.ui.report import written_to

    if cluster and cluster not in _KINDS:
        raise InputError(f"--cluster {cluster!a} is not a kind of cluster that kcert knows: {', '.join(_KINDS)}.")
    machine = kind_of_machine()
    diagnoser = Diagnoser(cluster, machine, roles_here(machine))
    if log != "-":
        pasted = (line.encode(errors="surrogateescape") for line in log.splitlines(keepends=True))
        lines = pasted if _is_line(log) else log_file(Path(log))
        for _ in follow(lines, diagnoser):
            pass
    elif format == "text" and output is None:
        if sys.stdin.isatty():
            reads_keyboard()
        show_live(follow(live_lines(sys.stdin.fileno()), diagnoser), diagnoser)
        raise typer.Exit(FOUND if diagnoser.result().findings else 0)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            for _ in follow(live_lines(sys.stdin.fileno()), diagnoser):
                pass
    with written_to(output, force=force):
        show(diagnoser.result(), format)
    if diagnoser.result().findings:
        raise typer.Exit(FOUND)


def _is_line(log: str) -> bool:
    """True for a line of a log in the place of a file: no such file exists, and it reads like a message."""
    from kcert.diagnose import explain

    if os.path.lexists(log):
        return False
    return explain(log.encode(errors="surrogateescape")) is not None or (
        " " in log.strip() and not log.startswith(("/", "./", "~"))
    )


def logs(
    component: Annotated[
        str,
        argument(
            "COMPONENT|FILE",
            "Show the log of etcd, kubelet, kube-apiserver, ... or this log file.",
            completes(lambda _ctx: COMPONENTS),
        ),
    ],
    *,
    via: Annotated[
        Via | None, option("--via", "Read the log with this program, not with the one that fits the installation.")
    ] = None,
    follow: Annotated[bool, option("--follow,-f", "Wait for more lines until Ctrl-C.")] = False,
    since: Annotated[str | None, option("--since TIME", "Show only lines of the last 30s, 10m, 1h, 2d.")] = None,
    tail: Annotated[int | None, option("--tail LINES", "Show only this many lines at the end.", min=0)] = None,
    diagnose: Annotated[
        bool, option("--diagnose", "Explain the log instead of printing it, as `kcert diagnose` does.")
    ] = False,
    format: Annotated[
        Literal["text", "json"], option("--format", "Print the findings of --diagnose in this format.")
    ] = "text",
    output: Annotated[
        Path | None, option("--output,-o FILE", "Write the findings of --diagnose to this file; - is standard output.")
    ] = None,
    force: Force = False,
) -> None:
    """Show the log of a component, and the command that reads it in this installation."""
    from kcert import logs
    from kcert.ui.diagnose import announce, show

    if follow and diagnose:
        raise InputError(
            "--diagnose cannot be combined with --follow; use `journalctl -f -u COMPONENT | kcert diagnose`."
        )
    for name, is_set in (("--format json", format == "json"), ("--output", output is not None)):
        if is_set and not diagnose:
            raise InputError(f"{name} needs --diagnose.")
    back = logs.back(since) if since is not None else ""
    request = logs.LogRequest(logs.component(component), via, follow, back, tail)
    source = logs.locate(request)
    if not diagnose:
        announce(request, source)
        logs.show(source.command)
        return
    from kcert.diagnose import diagnose as diagnose_log
    from kcert.diagnose.context import kind_of_machine
    from kcert.ui.report import written_to

    if format == "text":
        announce(request, source)
    machine = kind_of_machine()
    result = diagnose_log(logs.read_lines(source.command), machine=machine, roles=roles_here(machine))
    with written_to(output, force=force):
        show(result, format)
    if result.findings:
        raise typer.Exit(FOUND)


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
