"""`kcert init`, `kcert plan`: the kcert.yaml of a cluster, and the certificates that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kcert import profiles
from kcert.cli import context
from kcert.cli.options import (
    DEFAULT_FILE,
    Force,
    ReadOptions,
    WideOutput,
    complete_profiles,
    load_cluster,
    wide_and_file,
)
from kcert.issue.status import State


def plan(
    options: ReadOptions,
    *,
    format: Annotated[
        Literal["text", "table", "json", "markdown"], typer.Option("--format", help="Print the plan in this format.")
    ] = "text",
    wide: Annotated[
        bool, typer.Option("--wide", help="Print subjects, issuers, files and SANs as well; also -o wide.")
    ] = False,
    output: WideOutput = None,
    force: Force = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if a certificate is missing, stale or expired.")
    ] = False,
) -> None:
    """List every certificate that the cluster needs: its state, its expiry, and why it is not current."""
    from kcert.issue.adopt import certificates_in, require_described
    from kcert.issue.status import status_of
    from kcert.store import OWN_FOLDER
    from kcert.store.history import recall
    from kcert.ui import plan
    from kcert.ui.report import written_to

    context.require_folder_path(options.dir)
    cluster = load_cluster(options.config)
    require_described(cluster, options.dir)
    statuses = tuple(status_of(options.dir, certificates_in(options.dir, cluster)).values())
    option = context.folder_option(options.dir, options.config)
    wide, file = wide_and_file(wide, output)
    with written_to(file, force=force):
        plan.show(cluster, options.dir, statuses, format, option, wide, recall(options.dir / OWN_FOLDER))
    if strict and any(status.state not in (State.CURRENT, State.EXPIRING) for status in statuses):
        raise typer.Exit(1)


def init(
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
        typer.Option(
            "--service-cidr", metavar="CIDR", help="Set the IP range of Services; repeat the option for dual stack."
        ),
    ] = None,
    kubernetes_version: Annotated[
        str | None, typer.Option("--kubernetes-version", metavar="1.X", help="Set the release of Kubernetes.")
    ] = None,
    fix_known_issues: Annotated[
        bool, typer.Option("--fix-known-issues", help="Fix the known mistakes of the guide that the profile follows.")
    ] = False,
) -> None:
    """Write a commented kcert.yaml for an example cluster or for the given machines. An existing file is kept."""
    from kcert import lessons
    from kcert.config import version
    from kcert.ui import plan

    if source is not None:
        _describe(config, source)
        return
    lessons.check_own()
    cluster = profiles.write_example(
        config,
        profile,
        control_plane=control_plane or (),
        nodes=node or (),
        load_balancer=load_balancer,
        service_cidrs=service_cidr or (),
        version=version(kubernetes_version) if kubernetes_version else None,
        fix_known_issues=fix_known_issues,
    )
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
