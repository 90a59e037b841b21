"""`kcert init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kcert.cli.options import DEFAULT_FILE, complete_profiles


def command(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="Write to this file.", metavar="FILE")] = DEFAULT_FILE,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Describe the PKI that is in this folder."),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="Use the file names and subjects of course, hardway, kelsey or kubeadm.",
            metavar="NAME",
            autocompletion=complete_profiles,
        ),
    ] = "course",
    control_plane: Annotated[
        list[str] | None,
        typer.Option("--control-plane", metavar="NAME=IP", help="Add a control-plane host; repeatable."),
    ] = None,
    node: Annotated[list[str] | None, typer.Option("--node", metavar="NAME=IP", help="Add a node; repeatable.")] = None,
    load_balancer: Annotated[
        str | None,
        typer.Option(
            "--load-balancer", metavar="NAME=IP", help="Set the load balancer in front of several API servers."
        ),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option("--service-cidr", metavar="CIDR", help="Set the IP addresses of Services; twice for dual stack."),
    ] = None,
    kubernetes_version: Annotated[
        str | None, typer.Option("--kubernetes-version", metavar="1.X", help="Set the release of Kubernetes.")
    ] = None,
    fix_known_issues: Annotated[
        bool, typer.Option("--fix-known-issues", help="Fix the known mistakes of the guide that the profile follows.")
    ] = False,
) -> None:
    """Write a commented kcert.yaml for an example cluster or for the given machines. An existing file is kept."""
    from kcert import profiles
    from kcert.config import version
    from kcert.ui import plan

    if source is not None:
        _describe(config, source)
        return
    machines = profiles.Machines(
        tuple(control_plane or ()), tuple(node or ()), load_balancer, tuple(service_cidr or ())
    )
    release = version(kubernetes_version) if kubernetes_version else None
    cluster = profiles.write_example(config, profile, machines, release, fix_known_issues=fix_known_issues)
    plan.wrote_example(config)
    plan.known_issues(profiles.PROFILES[profile].known_issues(cluster), profile)


def _describe(config: Path, source: Path) -> None:
    """Write the kcert.yaml that describes the PKI folder *source*, and report how well it fits."""
    from kcert import profiles
    from kcert.config import example
    from kcert.issue.describe import describe
    from kcert.ui import plan

    described = describe(source, profiles.load(None))
    text = described.text()
    example.write(config, text)
    plan.described(config, described, *described.matching())
