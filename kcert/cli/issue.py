"""`kcert ca`, `client`, `etcd`, `apiserver`, `kubelet`, `service-account`, `all`: issue what is missing; `renew`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kcert import profiles
from kcert.certificates import Certificate, Kind, Role
from kcert.cli import context
from kcert.cli.options import (
    CaChapter,
    Chapter,
    Days,
    Groups,
    Renewing,
    argument,
    complete_certificates,
    complete_clients,
    complete_nodes,
    load_cluster,
    option,
)
from kcert.config import Cluster
from kcert.errors import InputError
from kcert.issue.adopt import describes, key_of_text, undescribed, unmanaged, unmanaged_users, with_request
from kcert.issue.context import Context, Renewal
from kcert.issue.status import CertificateStatus, status_of
from kcert.openssl.program import openssl
from kcert.roles import MASTERS
from kcert.ui import warning

if TYPE_CHECKING:
    from kcert.issue.discovery import FolderContent


def ca(options: CaChapter) -> None:
    """Create the CA certificates, which every component of the cluster trusts."""
    _issue_chapter(options, "ca")


def client(
    options: Chapter,
    names: Annotated[
        list[str] | None,
        argument(
            "NAME",
            "Create the certificates of admin, kube-scheduler, kube-controller-manager, kube-proxy or any other "
            "user. Default: all clients that the cluster needs.",
            complete_clients,
        ),
    ] = None,
    groups: Groups = None,
    replace_groups: Annotated[
        bool, option("--replace", "Replace the certificate of a user who is in other groups.")
    ] = False,
) -> None:
    """Create client certificates for components and users."""
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
        argument("NODE", "Create the certificates of these nodes. Default: all nodes.", complete_nodes),
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
    _issue_chapter(options, "all")


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
    _issue(options, chapter, cluster, known, tuple(spec for spec in known if chapter in ("all", spec.chapter)))


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


def renew(
    options: Renewing,
    *,
    names: Annotated[
        list[str] | None,
        argument("NAME", "Renew these certificates, by the names of `kcert plan`.", complete_certificates),
    ] = None,
    expiring_in: Annotated[
        str | None,
        option(
            "--expiring-in TIME",
            "Renew certificates that have expired or expire within this time: 30, 30d, 8w, 12h, 1y.",
        ),
    ] = None,
    stale: Annotated[
        bool, option("--stale", "Renew certificates that no longer match kcert.yaml, and update them to match.")
    ] = False,
    everything: Annotated[bool, option("--all", "Renew every certificate except the CAs.")] = False,
    new_key: Annotated[
        bool, option("--new-key", "Generate a new key as well; for a CA, this starts a CA rotation.")
    ] = False,
    finish: Annotated[bool, option("--finish", "Finish a CA rotation: the old CA is no longer trusted.")] = False,
    csr_only: Annotated[
        bool, option("--csr-only", "Create the request with which an external root CA signs an intermediate CA again.")
    ] = False,
    days: Days = None,
) -> None:
    """Renew certificates: same subject, SANs, usages and key, new dates. The old files are kept as a backup."""
    from kcert.durations import duration

    named = tuple(dict.fromkeys(names or ()))
    _check_selection(named, expiring_in=expiring_in, stale=stale, everything=everything, finish=finish)
    if finish and (new_key or stale or days):
        raise InputError("--finish cannot be combined with --new-key, --stale or --days: it removes the old CA.")
    if csr_only and (new_key or stale or finish or not named or options.root_dir or options.ca_dir):
        raise InputError(
            "--csr-only needs the name of a CA, as in `kcert renew ca --csr-only`, and cannot be combined with "
            "--new-key, --stale, --finish, --root-dir or --ca-dir."
        )
    if options.encrypt_ca_key and not (new_key and named):
        raise InputError(
            "--encrypt-ca-key needs a new CA key: `kcert renew ca --new-key --encrypt-ca-key`. An existing key is not "
            "changed."
        )
    within = None if expiring_in is None else duration(expiring_in, "--expiring-in", bare="d")
    _renew(options, named, Renewal(bool(named), everything, within, stale, new_key, days, finish, csr_only))


def _renew(options: Renewing, names: tuple[str, ...], renewal: Renewal) -> None:
    """Renew what *names* or *renewal* select, and print what has to be done next."""
    context.require_folder_path(options.dir)
    if not options.dir.is_dir():
        raise InputError(f"{options.dir} does not exist, so nothing can be renewed. `kcert all` creates certificates.")
    cluster = load_cluster(options.config)
    if describes(cluster, options.dir):
        known = profiles.certificates(cluster)
        known += unmanaged(options.dir, cluster, known, names)
        ctx = context.issue_context(options, "renew", cluster, known)
        specs = profiles.select(ctx.specs, names, cluster) if names else ctx.specs
    else:
        ctx, specs, left_out = _undescribed(options, cluster, names, renewal)
        renewal = replace(renewal, left_out=left_out)
    ctx = replace(ctx, renewal=renewal)
    leaves = [spec.name for spec in specs if spec.kind is not Kind.CA]
    if renewal.csr_only and leaves:
        raise InputError(f"--csr-only is for CAs; {', '.join(leaves)} is not a CA.")
    result = context.run(ctx, specs)
    if result is None or options.terse:
        return
    if renewal.csr_only:
        if not result.stopped:
            from kcert.ui.renewal import to_be_signed_again

            to_be_signed_again(ctx, [issued.plan.certificate for issued in result.issued])
        return
    from kcert.ui.renewal import follows

    follows(ctx, result, None if result.issued else _first_to_expire(ctx))


def _undescribed(
    options: Renewing, cluster: Cluster, names: tuple[str, ...], renewal: Renewal
) -> tuple[Context, tuple[Certificate, ...], tuple[str, ...]]:
    """Return what to renew in a folder that no kcert.yaml describes, and a sentence on each that cannot be renewed.

    Every certificate is known by what it says, and by the CA of the folder that has signed it.
    """
    from kcert.issue.discovery import FolderContent, named

    if renewal.stale:
        raise InputError(undescribed(options.dir))
    content = FolderContent(options.dir, openssl(options.openssl))
    specs: dict[str, Certificate] = {}
    for name in names:
        matching = named(content.specs, name)
        if not matching:
            raise InputError(_why_not(content, name))
        specs |= {spec.name: spec for spec in matching}
    unknown = replace(cluster, name="", profile="", defaults=(), users=())  # nothing says what the folder is for
    ctx = context.issue_context(options, "renew", unknown, content.specs)
    ctx = replace(ctx, specs=content.specs)
    left_out = tuple(f"Not renewed: {reason}." for reason in (*content.left_out, *content.kubeconfigs_above()))
    return ctx, tuple(specs.values()) if names else content.specs, left_out


def _why_not(content: FolderContent, name: str) -> str:
    """Return why *name* cannot be renewed in a folder that no kcert.yaml describes."""
    for reason in content.left_out:
        if PurePath(reason.partition(": ")[0]).with_suffix("").name == PurePath(name).name:
            return f"{reason}, so it cannot be renewed"
    listed = ", ".join(spec.name for spec in content.specs) or "none"
    return f"{name!a} is not a certificate in {content.root}. There are: {listed}."


def _first_to_expire(ctx: Context) -> CertificateStatus | None:
    statuses = status_of(ctx.root, ctx.specs).values()
    expiries = [(status.x509.not_after, status.certificate.name, status) for status in statuses if status.x509]
    return min(expiries)[2] if expiries else None


def _check_selection(
    names: Sequence[str], *, expiring_in: str | None, stale: bool, everything: bool, finish: bool
) -> None:
    if everything and names:
        raise InputError(f"--all cannot be combined with names ({', '.join(names)}): it renews every certificate.")
    if everything and (stale or expiring_in):
        raise InputError("--all cannot be combined with --stale or --expiring-in, which renew only some certificates.")
    if names and expiring_in:
        raise InputError("--expiring-in cannot be combined with names: a named certificate is always renewed.")
    if finish and not names:
        raise InputError("--finish needs the name of a CA: `kcert renew ca --finish`.")
    if not (names or everything or stale or expiring_in):
        raise InputError("specify what to renew: names (see `kcert plan`), --expiring-in 30d, --stale or --all.")
