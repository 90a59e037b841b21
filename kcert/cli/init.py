"""`kcert init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli.options import DEFAULT_FILE


def command(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.", metavar="FILE")] = DEFAULT_FILE,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Describe the PKI that is in this folder."),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="course, hardway, kelsey or kubeadm.", metavar="NAME")
    ] = "course",
    control_plane: Annotated[
        list[str] | None,
        typer.Option("--control-plane", metavar="NAME=IP", help="A control-plane host. May be given several times."),
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option("--node", metavar="NAME=IP", help="A node. May be given several times.")
    ] = None,
    load_balancer: Annotated[
        str | None,
        typer.Option("--load-balancer", metavar="NAME=IP", help="Where clients reach the API server of several hosts."),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option("--service-cidr", metavar="CIDR", help="The addresses of services; twice for dual stack."),
    ] = None,
    kubernetes_version: Annotated[
        str | None, typer.Option("--kubernetes-version", metavar="1.X", help="The release of Kubernetes.")
    ] = None,
    fix_known_issues: Annotated[
        bool, typer.Option("--fix-known-issues", help="Correct the mistakes of the book that the profile follows.")
    ] = False,
) -> None:
    """Write a commented kcert.yaml, which describes an example cluster or the machines given; never replace one."""
    from kcert import profiles
    from kcert.config import version
    from kcert.ui import messages

    if source is not None:
        _describe(config, source)
        return
    machines = profiles.Machines(
        tuple(control_plane or ()), tuple(node or ()), load_balancer, tuple(service_cidr or ())
    )
    release = version(kubernetes_version) if kubernetes_version else None
    cluster = profiles.write_example(config, profile, machines, release, fix_known_issues=fix_known_issues)
    messages.wrote_example(config)
    messages.known_issues(profiles.PROFILES[profile].known_issues(cluster), profile)


def _describe(config: Path, source: Path) -> None:
    """Write the kcert.yaml that describes the PKI folder *source*, and say how well it fits."""
    from kcert import profiles
    from kcert.config import example
    from kcert.issue.describe import describe
    from kcert.ui import messages

    described = describe(source, profiles.load(None))
    text = described.text()
    example.write(config, text)
    messages.described(config, described, *described.matching())
