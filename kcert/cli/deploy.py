"""`kcert flags`, `bundle`, `export`, `encryption-config`: what the hosts need to use the certificates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from kcert.cli import context
from kcert.cli.options import (
    Explain,
    Force,
    Output,
    Quiet,
    ReadOptions,
    Subcommands,
    WriteOptions,
    argument,
    check_format,
    complete_components,
    complete_hosts,
    load_cluster,
    option,
)
from kcert.config import STABLE
from kcert.errors import InputError, did_you_mean

KubernetesVersion = Annotated[
    str | None,
    option(
        "--kubernetes-version 1.X",
        "Use the options and file formats of this release.",
        show_default=f"kubernetes_version in kcert.yaml, else {STABLE}",
    ),
]


def bundle(
    options: WriteOptions,
    *,
    hosts: Annotated[
        list[str] | None, argument("HOST", "Pack for these hosts. Default: all hosts.", complete_hosts)
    ] = None,
    scp: Annotated[bool, option("--scp", "Print the commands that copy the files, and pack nothing.")] = False,
    certificates_only: Annotated[
        bool,
        option("--certificates-only", "Omit units, manifests and configuration files, for example after a renewal."),
    ] = False,
    output: Annotated[
        Path | None,
        option(
            "--output,-o PATH",
            "Write the archives to this folder, or a single archive to this file; - is standard output.",
            show_default="bundles/HOST.tar.gz",
        ),
    ] = None,
    kubernetes_version: KubernetesVersion = None,
) -> None:
    """Pack one archive for each host, with only the files that it needs, their paths and their modes."""
    from kcert.config import version
    from kcert.kubernetes import bundles
    from kcert.ui import deploy, print_lines

    if scp and output is not None:
        raise InputError("--scp cannot be combined with --output: it packs nothing.")
    if options.dry_run and scp:
        raise InputError("--dry-run cannot be combined with --scp, which changes nothing either.")
    options.check_dry_run(output)
    check_format(options.format, output)
    ctx = context.read_context(options, "bundle")
    release = version(kubernetes_version) if kubernetes_version else ctx.cluster.version
    made = bundles.bundles(ctx, hosts or (), release)
    if certificates_only:
        made = tuple(bundle.certificates_only for bundle in made)
    if scp:
        deploy.show_commands(ctx, made)
        return
    if options.dry_run:
        bundles.require_one_file(made, output)
        print_lines((*bundles.PACKING_HEAD, *bundles.archives_script(ctx, made, output, bundles.FOLDER)))
        return
    if output is not None and str(output) == "-":
        deploy.stream_archive(made)
        return
    written = bundles.pack(made, output)
    if options.format == "json":
        deploy.bundles_as_json(made, written)
    elif options.quiet:
        deploy.print_paths(written)
    else:
        deploy.show_bundles(ctx, made, written, explain=options.explain)
    deploy.warn_of_release(release)


def flags(
    options: ReadOptions,
    *,
    component: Annotated[
        str,
        argument(
            "COMPONENT",
            "Choose etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy or kubelet.",
            complete_components,
        ),
    ],
    host: Annotated[
        str | None, option("--host NAME", "Print the options for this host.", autocompletion=complete_hosts)
    ] = None,
    format: Annotated[
        Literal["text", "flags", "systemd", "manifest", "config", "json"],
        option(
            "--format",
            "Print only the arguments, a systemd unit, the manifest of a static pod, or a configuration file.",
        ),
    ] = "text",
    output: Output = None,
    force: Force = False,
    kubernetes_version: KubernetesVersion = None,
    path_prefix: Annotated[
        str | None,
        option(
            "--path-prefix FOLDER",
            "Print the paths of the files in FOLDER, which is the PKI folder or a copy of it.",
            show_default="the paths on the host",
        ),
    ] = None,
    explain: Explain = True,
    quiet: Quiet = False,
) -> None:
    """Print the options that a component needs, with the reason for each."""
    from kcert.issue.adopt import require_described
    from kcert.kubernetes import components, install
    from kcert.ui import deploy, print_text
    from kcert.ui.report import written_to

    cluster = load_cluster(options.config)
    require_described(cluster, options.dir)
    state = components.folder_state(options.dir, cluster)
    instance = components.placement(cluster, component, host, kubernetes_version, path_prefix, state)
    with written_to(output, force=force):
        if format == "json":
            deploy.options_as_json(instance)
        elif format != "text" or quiet:
            print_text(install.render(instance, "flags" if format == "text" else format))
        else:
            deploy.show_options(instance, explain=explain)
    deploy.warn_of_issues(instance)
    deploy.warn_of_release(instance.version)
    unfit = components.unfit(options.dir, instance)
    deploy.warn(instance, unfit, context.folder_option(options.dir, options.config))


class _Targets(TyperGroup):
    """The targets; the error for an unknown one lists them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the target that *args* begin with; InputError for an unknown target."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands:
            hint = did_you_mean(name, self.commands, f"the targets are {' and '.join(self.commands)}.", 2)
            raise InputError(f"{name!a} is not a target of kcert export; {hint}")
        return super().resolve_command(ctx, args)


export = Subcommands(
    cls=_Targets,
    no_args_is_help=True,
    help="Export the cluster's certificates for cert-manager, which renews them in the cluster, or for Ansible.",
)


@export.command("cert-manager")
def cert_manager(
    options: WriteOptions,
    *,
    namespace: Annotated[str, option("--namespace NAME", "Put all objects into this namespace.")] = "cluster-pki",
    name: Annotated[
        str | None,
        option("--name NAME", "Start the names of the objects with this prefix.", show_default="cluster in kcert.yaml"),
    ] = None,
    everything: Annotated[
        bool,
        option(
            "--all", "Include certificates that components read from the host's disk, where a Secret cannot put them."
        ),
    ] = False,
    secret: Annotated[
        bool,
        typer.Option(help="Include the CA keys as Secrets. Without them, the file can be committed to a repository."),
    ] = True,
    output: Annotated[
        Path | None,
        option(
            "--output,-o FILE", "Write to this file; - is standard output.", show_default="export/cert-manager.yaml"
        ),
    ] = None,
) -> None:
    """Write a Secret and an Issuer for each CA, and a Certificate for each certificate that cert-manager can manage."""
    from kcert.kubernetes import bundles
    from kcert.kubernetes.export import FOLDER
    from kcert.kubernetes.export import cert_manager as target
    from kcert.store.atomic import write_files
    from kcert.ui import deploy, print_lines

    wanted = target.Options(namespace, name, on_disk=everything, secret=secret)
    ctx = context.read_context(options, "export cert-manager")
    options.check_dry_run(output)
    check_format(options.format, output)
    made = target.export(ctx, wanted)
    if options.dry_run:
        print_lines((*bundles.PACKING_HEAD, *bundles.files_script(ctx, made.files, output, FOLDER)))
        return
    if output is not None and str(output) == "-":
        deploy.stream_export(made)
        return
    written = write_files(made.files, output, FOLDER)
    if options.quiet or options.format == "json":
        deploy.print_paths(written, options.format)
        return
    deploy.show_export(made, written, explain=options.explain)
    deploy.apply(written[0].path, namespace, secret=secret)


@export.command("ansible")
def ansible(
    options: WriteOptions,
    *,
    output: Annotated[
        Path | None, option("--output,-o FOLDER", "Write the files to this folder.", show_default="export/ansible")
    ] = None,
) -> None:
    """Write an inventory of the hosts, a playbook that installs the bundle of each host, and the bundles."""
    from kcert.kubernetes import bundles
    from kcert.kubernetes.export import ansible as target
    from kcert.ui import deploy, print_lines

    if output is not None and str(output) == "-":
        raise InputError("--output - is not possible: the export consists of several files. Specify a folder.")
    options.check_dry_run(output)
    ctx = context.read_context(options, "export ansible")
    packed = target.packed(ctx)
    if options.dry_run:
        export_folder = target.folder_for(output)
        texts = bundles.files_script(ctx, target.texts(ctx, packed), None, export_folder)
        archives = bundles.archives_script(ctx, packed, None, export_folder / "bundles")
        print_lines((*bundles.PACKING_HEAD, *texts, *archives))
        return
    made = target.export(ctx, packed)
    export_folder, written = target.put(made, output)
    if options.quiet or options.format == "json":
        deploy.print_paths(written, options.format)
        return
    deploy.show_export(made, written, explain=options.explain)
    deploy.play(export_folder, ctx, target.signs_with(ctx))


def encryption_config(
    options: WriteOptions,
    *,
    provider: Annotated[
        Literal["aescbc", "secretbox"] | None,
        option("--provider", "Use this cipher in a new file.", show_default="aescbc"),
    ] = None,
    rotate: Annotated[
        bool, option("--rotate", "Rotate the key in two steps: the first run adds a new key, the second puts it first.")
    ] = False,
    finish: Annotated[bool, option("--finish", "Remove the old key, after all Secrets have been rewritten.")] = False,
) -> None:
    """Write the EncryptionConfiguration with which the API server encrypts Secrets in etcd, or rotate its key."""
    from kcert.kubernetes import encryption
    from kcert.ui import print_lines
    from kcert.ui.deploy import EncryptionReporter

    if rotate and finish:
        raise InputError("--rotate cannot be combined with --finish: each is one step of the rotation.")
    if provider and (rotate or finish):
        raise InputError("--provider is for a new file: a rotation keeps the provider.")
    options.check_dry_run()
    ctx = context.read_context(options, "encryption-config")
    action: encryption.Action = "rotate" if rotate else "finish" if finish else "create"
    if options.dry_run:
        print_lines(encryption.script(ctx, action, provider or "aescbc"))
        return
    reporter = EncryptionReporter(ctx, explain=options.explain, quiet=options.quiet, form=options.format)
    reporter.ends(*encryption.update(replace(ctx, reporter=reporter), action, provider or "aescbc"))
