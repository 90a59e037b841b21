"""`kcert flags`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kcert.cli import completion, context
from kcert.cli.options import Explain, Force, Output, ReadOptions, takes
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
            help="Choose etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy or kubelet.",
            autocompletion=completion.components,
        ),
    ],
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="NAME", help="Print the options for this host.", autocompletion=completion.hosts
        ),
    ] = None,
    format: Annotated[
        Literal["text", "flags", "systemd", "manifest", "config", "json"],
        typer.Option(
            "--format",
            help="Print only the arguments, a systemd unit, the manifest of a static pod, or a configuration file.",
        ),
    ] = "text",
    output: Output = None,
    force: Force = False,
    kubernetes_version: KubernetesVersion = None,
    path_prefix: Annotated[
        str | None,
        typer.Option(
            "--path-prefix",
            metavar="FOLDER",
            help="Use the paths of the PKI folder, below FOLDER (for example the PKI folder itself).",
            show_default="the paths on the host",
        ),
    ] = None,
    explain: Explain = True,
) -> None:
    """Print the options that a component needs, with the reason for each."""
    from kcert.issue.adopt import require_described
    from kcert.kubernetes import components
    from kcert.ui import flags
    from kcert.ui.report import written_to

    cluster = context.cluster(looking.config)
    require_described(cluster, looking.dir)
    state = components.folder_state(looking.dir, cluster)
    instance = components.placement(cluster, component, host, kubernetes_version, path_prefix, state)
    with written_to(output, force=force):
        if format == "text":
            flags.show(instance, explain=explain)
        elif format == "json":
            flags.as_json(instance)
        else:
            flags.print_form(instance, format)
    flags.warn_of_issues(instance)
    flags.warn_of_release(instance.version)
    unfit = components.unfit(looking.dir, instance)
    flags.warn(instance, unfit, context.folder_option(looking.dir, looking.config))
