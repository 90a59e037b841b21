"""The kcert.yaml that `kcert init` writes: an example cluster with a comment for each key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from kcert.config import Cluster, Host
from kcert.errors import InputError, MachineError
from kcert.files import filled_file
from kcert.store import PUBLIC_MODE
from kcert.store.atomic import atomic_replace
from kcert.store.directory import refuse_foreign_link

_FIX = """
# Correct the mistakes of the book that this profile follows (`kcert explain hard-way-{profile}` lists them).
fix_known_issues: {fix}
"""


def text(cluster: Cluster, profiles: Iterable[str], *, has_issues: bool) -> str:
    """Return the kcert.yaml that describes *cluster*; *profiles* are the names of all, *has_issues* adds its key."""
    server = cluster.api_server
    lines = [f"host: {server.host}"] if server.host else []
    lines += [f"ip: {_one_or_more(server.addresses)}"] if server.addresses else []
    lines += [f"port: {server.port}", f"extra_sans: {_list(name.value for name in server.extra_sans)}"]
    version, key = cluster.kubernetes_version, cluster.key
    size = f"bits: {key.bits}" if key.algorithm == "rsa" else f"curve: {key.curve}"
    written = filled_file(
        Path(__file__).with_name("example.yaml"),
        name=cluster.name,
        profile=cluster.profile,
        profiles=", ".join(profiles),
        api_server="\n".join(f"  {line}" for line in lines),
        service_cidr=_one_or_more(cluster.service_cidrs),
        dns_domain=cluster.dns_domain,
        control_plane=_hosts(cluster.control_plane),
        nodes=_hosts(cluster.nodes),
        etcd=_hosts(() if cluster.etcd == cluster.control_plane else cluster.etcd),
        users=_items(
            f"{{name: {json.dumps(user.name)}, groups: {json.dumps(list(user.groups))}}}" for user in cluster.users
        ),
        key=f"{{algorithm: {key.algorithm}, {size}}}",
        ca=str(cluster.days.ca),
        leaf=str(cluster.days.leaf),
        version=f'kubernetes_version: "{version}"' if version else '# kubernetes_version: "1.36"',
    )
    fix = _FIX.format(profile=cluster.profile, fix=str(cluster.fix_known_issues).lower())
    return written + fix if has_issues else written


def _hosts(hosts: Iterable[Host]) -> str:
    return _items(f"{{name: {host.name}, ip: {_one_or_more(host.addresses)}}}" for host in hosts)


def _items(items: Iterable[str]) -> str:
    return "".join(f"\n  - {item}" for item in items) or " []"


def _one_or_more(values: tuple[str, ...]) -> str:
    return _scalar(values[0]) if len(values) == 1 else _list(values)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(value: str) -> str:
    """Return a validated name, address or network as YAML reads it back: a colon or a star needs quotes."""
    return f'"{value}"' if ":" in value or value.startswith("*") else value


def write(path: Path, content: str) -> None:
    """Write *content* to *path*, whole or not at all; raises InputError where something is there already."""
    try:
        refuse_foreign_link(path)
        if os.path.lexists(path):
            raise InputError(
                f"{path} exists already, and kcert does not replace it. Specify another file with --config."
            )
        atomic_replace(path, content.encode("utf-8"), PUBLIC_MODE)
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror}.") from None
