"""`kcert ca`, `client`, `etcd`, `apiserver`, `kubelet`, `service-account`, `all`: issue what is missing."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from kcert import profiles
from kcert.certificates import Certificate, Kind, Role
from kcert.cli import context
from kcert.cli.options import CaChapter, Chapter, complete_clients, complete_nodes, load_cluster
from kcert.config import Cluster
from kcert.errors import InputError
from kcert.issue.adopt import describes, key_of_text, undescribed, with_request
from kcert.issue.context import Renewal
from kcert.roles import MASTERS
from kcert.ui import warning


def ca(options: CaChapter) -> None:
    """Create the CA certificates, which every component of the cluster trusts."""
    _issue_chapter(options, "ca")


def client(
    options: Chapter,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Create the certificates of admin, kube-scheduler, kube-controller-manager, kube-proxy or any other "
            "user. Default: all clients that the cluster needs.",
            autocompletion=complete_clients,
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group", "-g", metavar="GROUP", help="Add the user to this group (an O of the subject); repeatable."
        ),
    ] = None,
    replace_groups: Annotated[
        bool, typer.Option("--replace", help="Replace the certificate of a user who is in other groups.")
    ] = False,
) -> None:
    """Create client certificates for components and users."""
    from kcert.issue.adopt import unmanaged_users

    cluster = load_cluster(options.config)
    wanted_groups = tuple(groups or ())
    known, wanted = profiles.clients(cluster, names or (), wanted_groups)
    if MASTERS in wanted_groups:
        warning(
            f"members of {MASTERS} may do everything, and no RBAC rule can restrict them until the certificate "
            "expires. If this is not intended, use another group and a ClusterRoleBinding."
        )
    replaced: list[str] = []

    def replaces(name: str, groups: tuple[str, ...]) -> bool:
        listed = ", ".join(groups) or "no group"
        question = f"{name} already has a certificate, in {listed}. Replace it by one in {', '.join(wanted_groups)}?"
        if replace_groups or (sys.stdin.isatty() and not options.terse and typer.confirm(question)):
            replaced.append(name)
            return True
        return False

    existing_users = unmanaged_users(options.dir, cluster, wanted, wanted_groups, replaces)
    known, wanted = (tuple(existing_users.get(spec.name, spec) for spec in specs) for specs in (known, wanted))
    kept = tuple(spec for spec in wanted if spec.name not in replaced)
    if kept or not replaced:
        _issue(options, "client", cluster, known, kept)
    if replaced:
        ctx = context.issue_context(options, "client", cluster, known)
        specs = tuple(spec for spec in ctx.specs if spec.name in replaced)
        context.run(replace(ctx, renewal=Renewal(named=True, stale=True)), specs)


def etcd(options: Chapter) -> None:
    """Create the certificates of etcd: the serving certificate, and the peer certificates of several members."""
    _issue_chapter(options, "etcd")


def apiserver(options: Chapter) -> None:
    """Create the API server's serving certificate, and its client certificates for etcd and the kubelets."""
    _issue_chapter(options, "apiserver")


def kubelet(
    options: Chapter,
    nodes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NODE",
            help="Create the certificates of these nodes. Default: all nodes.",
            autocompletion=complete_nodes,
        ),
    ] = None,
) -> None:
    """Create the certificates of the kubelets."""
    cluster = load_cluster(options.config)
    known = profiles.certificates(cluster)
    _issue(options, "kubelet", cluster, known, profiles.kubelets(cluster, known, nodes or ()))


def service_account(options: Chapter) -> None:
    """Create the key pair that signs and verifies the tokens of service accounts."""
    _issue_chapter(options, "service-account")


def everything(options: CaChapter) -> None:
    """Create every certificate that the cluster needs and does not have yet."""
    cluster = load_cluster(options.config)
    known = profiles.certificates(cluster)
    _issue(options, "all", cluster, known, known)


def _requests(options: Chapter, specs: tuple[Certificate, ...]) -> dict[str, dict[str, Any]]:
    """Return what the options ask for, by the name of the certificate; raises InputError for what cannot be.

    Lifetime and key are for all of *specs*, SANs and common name for the one that has them: the only one, or the
    only server.
    """
    requests: dict[str, dict[str, Any]] = {}
    leaves = [spec for spec in specs if spec.kind is not Kind.KEY_PAIR]
    if options.key is not None and key_of_text(options.key) is None:
        raise InputError(f"--key {options.key!a}: rsa:2048 to rsa:8192, ecdsa:P-256 and ecdsa:P-384 are accepted.")
    for spec in leaves:
        common = {"key": options.key, "days": options.days}
        requests[spec.name] = {name: value for name, value in common.items() if value is not None}
    if options.cn is not None or options.san:
        from kcert.config import check_user_name
        from kcert.kubernetes.signers import san

        servers = [spec for spec in leaves if spec.kind.is_server]
        single = leaves if len(leaves) == 1 else servers
        if len(single) != 1:
            listed = ", ".join(spec.name for spec in leaves)
            raise InputError(
                f"--cn and --san apply to a single certificate, but this command creates {listed}. Specify one."
            )
        if options.cn is not None:
            if why := check_user_name(options.cn):
                raise InputError(f"--cn {options.cn!a} is invalid: {why}.")
            requests[single[0].name]["cn"] = options.cn
        if options.san and single[0].kind is Kind.CA:
            raise InputError(f"--san: {single[0].name} is a CA, and no client connects to a CA.")
        if options.san:
            names = [san(name) for name in options.san]
            requests[single[0].name]["sans"] = [[name.type, name.value] for name in names]
    return {name: request for name, request in requests.items() if request}


def _with_requests(specs: tuple[Certificate, ...], requests: dict[str, dict[str, Any]]) -> tuple[Certificate, ...]:
    return tuple(with_request(spec, requests.get(spec.name, {})) for spec in specs)


def _issue_chapter(options: Chapter, chapter: str) -> None:
    cluster = load_cluster(options.config)
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
    if requests := _requests(options, specs):
        ctx, specs = (
            replace(ctx, specs=_with_requests(ctx.specs, requests), requests=requests),
            _with_requests(specs, requests),
        )
    if not options.csr_only:
        result = context.run(ctx, specs)
        if command == "all" and result and not (result.stopped or options.terse or options.dry_run):
            from kcert.ui import plan

            plan.known_issues(profiles.PROFILES[cluster.profile].known_issues(cluster), cluster.profile)
        return
    from kcert.issue import external_ca

    if options.ca_dir is not None:
        raise InputError("--csr-only cannot be combined with --ca-dir: requests are for a CA on another machine.")
    result = context.run(*external_ca.for_requests(ctx, specs))
    if result and not result.stopped and not options.terse:
        from kcert.ui import renewal

        issued = [issued.plan.certificate for issued in result.issued]
        renewal.to_be_signed(ctx, (*(status.certificate for status in result.kept), *issued))
