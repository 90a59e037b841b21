"""`kcert flags`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert.cli import context
from kcert.cli.options import ReadOptions, takes
from kcert.config import STABLE

KubernetesVersion = Annotated[
    str | None,
    typer.Option(
        "--kubernetes-version",
        metavar="1.X",
        help="Print the options and formats of this release.",
        show_default=f"kubernetes_version in kcert.yaml, else {STABLE}",
    ),
]


@takes(ReadOptions)
def command(
    looking: ReadOptions,
    *,
    component: Annotated[
        str,
        typer.Argument(
            metavar="COMPONENT",
            help="Choose kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet or etcd.",
        ),
    ],
    host: Annotated[str | None, typer.Option("--host", metavar="NAME", help="Choose the host that it runs on.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["flags", "systemd", "manifest", "config"] | None,
        typer.Option(
            "--format",
            help="Print bare arguments, a systemd unit, a static pod's manifest, or the configuration file.",
            show_default="each option with its reason",
        ),
    ] = None,
    kubernetes_version: KubernetesVersion = None,
    path_prefix: Annotated[
        str | None,
        typer.Option(
            "--path-prefix",
            metavar="FOLDER",
            help="Use the file names of the PKI folder, below FOLDER (the PKI folder itself, for example).",
            show_default="where they go on a host",
        ),
    ] = None,
    explain: Annotated[bool, typer.Option(help="Explain each option.")] = True,
) -> None:
    """Print the options that a component needs, with the reason for each."""
    from kcert.issue.adopt import require_described
    from kcert.kubernetes import placement
    from kcert.ui import flags

    cluster = context.cluster(looking.config)
    require_described(cluster, looking.dir)
    state = placement.folder_state(looking.dir, cluster)
    instance = placement.placement(cluster, component, host, kubernetes_version, path_prefix, state)
    if format:
        flags.print_form(instance, format)
    else:
        flags.show(instance, explain=explain)
    flags.warn_of_issues(instance)
    flags.warn_of_release(instance.version)
    unfit = placement.unfit(looking.dir, instance)
    flags.warn(instance, unfit, context.folder_option(looking.dir, looking.config))
