"""`kcert renew`."""

from __future__ import annotations

import dataclasses
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from kcert import profiles
from kcert.certificates import Certificate, Kind
from kcert.cli import context
from kcert.cli.options import Renewing, complete_certificates, load_cluster
from kcert.durations import duration
from kcert.errors import InputError
from kcert.issue.adopt import describes, undescribed
from kcert.issue.status import CertificateStatus, status_of
from kcert.openssl.program import openssl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.config import Cluster
    from kcert.issue.context import Context, Renewal
    from kcert.issue.discovery import FolderContent


def renew(  # noqa: PLR0917 - each is an option
    options: Renewing,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Renew these certificates, by the names of `kcert plan`.",
            autocompletion=complete_certificates,
        ),
    ] = None,
    expiring_in: Annotated[
        str | None,
        typer.Option(
            "--expiring-in",
            metavar="TIME",
            help="Renew certificates that have expired or expire within this time: 30, 30d, 8w, 12h, 1y.",
        ),
    ] = None,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Renew certificates that no longer match kcert.yaml, and update them to match."),
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Renew every certificate except the CAs.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Generate a new key as well; for a CA, this starts a CA rotation.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Finish a CA rotation: the old CA is no longer trusted.")
    ] = False,
    csr_only: Annotated[
        bool,
        typer.Option(
            "--csr-only", help="Create the request with which an external root CA signs an intermediate CA again."
        ),
    ] = False,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=36500, metavar="N", help="Set the lifetime in days."),
    ] = None,
) -> None:
    """Renew certificates: same subject, SANs, usages and key, new dates. The old files are kept as a backup."""
    from kcert.issue.context import Renewal

    named = tuple(dict.fromkeys(names or ()))
    _check(named, expiring_in=expiring_in, stale=stale, everything=everything, finish=finish)
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
    from kcert.issue.adopt import unmanaged

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
        renewal = dataclasses.replace(renewal, left_out=left_out)
    ctx = dataclasses.replace(ctx, renewal=renewal)
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
    ctx = context.issue_context(options, "renew", content.unnamed(cluster), content.specs)
    ctx = dataclasses.replace(ctx, specs=content.specs)
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


def _check(names: Sequence[str], *, expiring_in: str | None, stale: bool, everything: bool, finish: bool) -> None:
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
