"""`kcert export`: to what goes on where kcert ends; one command a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from kcert.cli import context
from kcert.cli.options import Explain, Quiet, ReadOptions, ResultFormat, takes
from kcert.errors import InputError, did_you_mean


class _Targets(typer.core.TyperGroup):
    """The targets; the error for an unknown one lists them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the target that *args* begin with; InputError for an unknown target."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands:
            hint = did_you_mean(name, self.commands, f"the targets are {' and '.join(self.commands)}.", 2)
            raise InputError(f"{name!a} is not a target of kcert export; {hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Targets,
    add_completion=False,
    no_args_is_help=True,
    help="Export the cluster's certificates for cert-manager, which renews them in the cluster, or for Ansible.",
)


@app.command("cert-manager")
@takes(ReadOptions)
def cert_manager(
    looking: ReadOptions,
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAME", help="Put every object into this namespace.")
    ] = "cluster-pki",
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Start the names of the objects with this prefix.",
            show_default="cluster in kcert.yaml",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Include certificates that components read from the host's disk, which a Secret does not reach.",
        ),
    ] = False,
    secret: Annotated[
        bool,
        typer.Option(help="Include the CA keys as Secrets. Without them, the file can be committed to a repository."),
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to this file; - is standard output.",
            show_default="export/cert-manager.yaml",
        ),
    ] = None,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Write a Secret and an Issuer for each CA, and a Certificate for each certificate that cert-manager can manage."""
    from kcert.kubernetes.export import cert_manager as target
    from kcert.kubernetes.export import put_file
    from kcert.ui import export

    options = target.Options(namespace, name, on_disk=everything, secret=secret)
    made = target.export(context.read_context(looking, "export cert-manager"), options)
    if output is not None and str(output) == "-":
        export.stream(made)
        return
    written = put_file(made, output)
    if quiet or format == "json":
        export.paths((written,), format)
        return
    export.show(made, (written,), explain=explain)
    export.apply(written.path, namespace, secret=secret)


@app.command("ansible")
@takes(ReadOptions)
def ansible(
    looking: ReadOptions,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write the files to this folder.",
            show_default="export/ansible",
        ),
    ] = None,
    explain: Explain = True,
    quiet: Quiet = False,
    format: ResultFormat = "text",
) -> None:
    """Write an inventory of the hosts, a playbook that installs the bundle of each host, and the bundles."""
    from kcert.kubernetes.export import ansible as target
    from kcert.kubernetes.export import put_folder
    from kcert.ui import export

    if output is not None and str(output) == "-":
        raise InputError("--output - is not accepted: the export consists of several files. Specify a folder.")
    ctx = context.read_context(looking, "export ansible")
    made = target.export(ctx)
    place, written = put_folder(made, output)
    if quiet or format == "json":
        export.paths(written, format)
        return
    export.show(made, written, explain=explain)
    export.play(place, ctx, target.signs_with(ctx))
