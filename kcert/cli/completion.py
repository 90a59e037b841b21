"""The names that a shell completes: certificates, clients, nodes, hosts, components, rules, profiles, signers.

Each function takes typer's context, whose ``--dir`` and ``--config`` it obeys, and what was typed so far. A folder or
a kcert.yaml that cannot be read gives no names: an error would appear in the middle of a command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kcert.cli.options import DEFAULT_FOLDER, ReadOptions
from kcert.errors import KcertError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kcert.issue.context import Context


def _completes(names: Callable[[typer.Context], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in dict.fromkeys(names(ctx)) if name.startswith(incomplete)]
        except (KcertError, OSError):
            return []

    return complete


def _context(ctx: typer.Context) -> Context:
    from kcert.cli.context import cluster, signing_context

    root = ctx.params.get("dir") or os.environ.get("KCERT_DIR") or DEFAULT_FOLDER
    config = ctx.params.get("config")
    return signing_context(ReadOptions(Path(root)), "", cluster(Path(config) if config else None), "openssl")


@_completes
def certificates(ctx: typer.Context) -> Iterable[str]:
    """Return every certificate of `kcert plan`."""
    from kcert.issue.adopt import unmanaged

    folder = _context(ctx)
    known = folder.known
    return [*known, *(spec.name for spec in unmanaged(folder.root, folder.cluster, known.values(), ()))]


@_completes
def clients(ctx: typer.Context) -> Iterable[str]:
    """Return the clients of the API server, users that kcert made among them."""
    from kcert.kubernetes import credentials

    return [spec.name for spec in credentials.clients(_context(ctx))]


@_completes
def nodes(ctx: typer.Context) -> Iterable[str]:
    """Return the nodes."""
    return [node.name for node in _context(ctx).cluster.nodes]


@_completes
def hosts(ctx: typer.Context) -> Iterable[str]:
    """Return every host of the cluster."""
    cluster = _context(ctx).cluster
    return [host.name for host in (*cluster.control_plane, *cluster.etcd, *cluster.nodes)]


@_completes
def components(_ctx: typer.Context) -> Iterable[str]:
    """Return the components that `kcert flags` knows."""
    from kcert.kubernetes.components import COMPONENTS

    return COMPONENTS


@_completes
def rules(_ctx: typer.Context) -> Iterable[str]:
    """Return the rules of `kcert check`."""
    from kcert.check import RULES

    return RULES


@_completes
def profiles(_ctx: typer.Context) -> Iterable[str]:
    """Return the profiles."""
    from kcert.profiles import PROFILES

    return PROFILES


@_completes
def signers(_ctx: typer.Context) -> Iterable[str]:
    """Return the signers by the names that --signer takes."""
    from kcert.kubernetes.signers import SIGNERS

    return [name.rpartition("/")[2] for name in SIGNERS]
