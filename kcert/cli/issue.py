"""`kcert ca`, `client`, `etcd`, `apiserver`, `kubelet`, `service-account`, `all`: issue what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from kcert import profiles
from kcert.certificates import Role
from kcert.cli import context
from kcert.cli.options import Chapter, MakingAuthorities, takes
from kcert.errors import InputError
from kcert.issue.described import describes, undescribed
from kcert.ui import messages

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.config import Cluster


@takes(MakingAuthorities)
def ca(options: MakingAuthorities) -> None:
    """Make the certificate authority, which everyone in the cluster trusts."""
    _issue_chapter(options, "ca")


@takes(Chapter)
def client(
    options: Chapter,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="admin, kube-scheduler, kube-controller-manager, kube-proxy, or anybody else; without a name, "
            "all clients that the cluster needs.",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", metavar="GROUP", help="A group of the user (an O of the subject); repeatable."),
    ] = None,
) -> None:
    """Make client certificates: for the components by their names, for people with their groups."""
    from kcert.issue.adopt import unmanaged_users

    cluster = context.cluster(options.config)
    wanted_groups = tuple(groups or ())
    known, wanted = profiles.clients(cluster, names or (), wanted_groups)
    option = context.folder_option(options.dir, options.config)
    there = unmanaged_users(options.dir, cluster, wanted, wanted_groups, option=option)
    known, wanted = (tuple(there.get(spec.name, spec) for spec in specs) for specs in (known, wanted))
    _issue(options, "client", cluster, known, wanted)


@takes(Chapter)
def etcd(options: Chapter) -> None:
    """Make the certificates of etcd: its server's, and its peers' where it has several members."""
    _issue_chapter(options, "etcd")


@takes(Chapter)
def apiserver(options: Chapter) -> None:
    """Make the API server's own certificate, and those with which it dials etcd and the kubelets."""
    _issue_chapter(options, "apiserver")


@takes(Chapter)
def kubelet(
    options: Chapter,
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="The nodes; without any, all.")] = None,
) -> None:
    """Make the certificates of the kubelets."""
    cluster = context.cluster(options.config)
    known = profiles.certificates(cluster)
    _issue(options, "kubelet", cluster, known, profiles.kubelets(known, nodes or ()))


@takes(Chapter)
def service_account(options: Chapter) -> None:
    """Make the key pair with which service accounts' tokens are signed and checked."""
    _issue_chapter(options, "service-account")


@takes(MakingAuthorities)
def everything(options: MakingAuthorities) -> None:
    """Make every certificate that the cluster needs and does not have yet."""
    cluster = context.cluster(options.config)
    known = profiles.certificates(cluster)
    _issue(options, "all", cluster, known, known)


def _issue_chapter(options: Chapter, chapter: str) -> None:
    cluster = context.cluster(options.config)
    known = profiles.certificates(cluster)
    _issue(options, chapter, cluster, known, tuple(spec for spec in known if spec.chapter == chapter))


def _issue(
    options: Chapter, command: str, cluster: Cluster, known: tuple[Certificate, ...], wanted: tuple[Certificate, ...]
) -> None:
    """Issue *wanted* of *known*, or with --csr-only make requests, and say how these become certificates."""
    ctx = context.issue_context(options, command, cluster, known)
    described = describes(cluster, options.dir)
    if not described and any(spec.role is not Role.USER for spec in wanted):
        raise InputError(undescribed(options.dir))
    ctx = replace(ctx, is_example=described and cluster.source is None)
    by_name = {spec.name: spec for spec in ctx.specs}
    specs = tuple(by_name[spec.name] if spec in known else spec for spec in wanted)
    if not options.csr_only:
        result = context.run(ctx, specs)
        if command == "all" and result and not (result.stopped or options.quiet or options.dry_run):
            messages.known_issues(profiles.PROFILES[cluster.profile].known_issues(cluster), cluster.profile)
        return
    from kcert.kubernetes import offline

    if options.ca_dir is not None:
        raise InputError("--csr-only is for a CA that is not here, --ca-dir for one that is: leave one of them out.")
    result = context.run(*offline.for_requests(ctx, specs))
    if result and not result.stopped and not options.quiet:
        from kcert.ui import csr

        issued = [issued.plan.certificate for issued in result.issued]
        csr.to_be_signed(ctx, (*(status.certificate for status in result.kept), *issued))
