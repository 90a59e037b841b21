"""The kcert.yaml that `kcert init` writes: an example cluster with a comment for each key."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from kcert.errors import InputError, MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.config import Cluster, Host, User

_TEXT = """\
# What the cluster looks like. kcert works without this file, too: then it describes a built-in example.

# The cluster's name; contexts in kubeconfigs are called NAME@CLUSTER.
cluster: {name}

# Which certificates there are and how they are called: {profiles}.
profile: {profile}

# Where clients reach the API server: a host name, an address (or a list of them), or both. With several
# control-plane hosts this is their load balancer. extra_sans are further names that it answers to.
api_server:
{api_server}

# The addresses of services; the API server always has the first. A list of two for dual stack.
service_cidr: {service_cidr}
dns_domain: {dns_domain}

# The machines. ip is an address or a list of addresses, IPv4 or IPv6. One machine may be in several
# lists, with the same name and addresses in each. A node with bootstrap: true gets its certificates
# from the cluster, with a token (`kcert bootstrap`).
control_plane:
{control_plane}
nodes:{nodes}

# Where etcd runs; an empty list means: on the control-plane hosts.
etcd: []

# People and programs with certificates of their own, for example:
#   - {{name: jane, groups: [developers]}}
users: []

# rsa with bits from 2048 to 8192, or ecdsa with curve P-256 or P-384.
key: {{{key}}}

# How many days certificates are valid: the CAs, and what they sign.
days: {{ca: {ca}, leaf: {leaf}}}

# The release of Kubernetes, which decides options and file formats. Without it: the newest that kcert knows.
{version}
"""

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
    written = _TEXT.format(
        name=cluster.name,
        profile=cluster.profile,
        profiles=", ".join(profiles),
        api_server="\n".join(f"  {line}" for line in lines),
        service_cidr=_one_or_more(cluster.service_cidrs),
        dns_domain=cluster.dns_domain,
        control_plane=hosts(cluster.control_plane),
        nodes=f"\n{hosts(cluster.nodes)}" if cluster.nodes else " []",
        key=f"algorithm: {key.algorithm}, "
        + (f"bits: {key.bits}" if key.algorithm == "rsa" else f"curve: {key.curve}"),
        ca=cluster.days.ca,
        leaf=cluster.days.leaf,
        version=f'kubernetes_version: "{version}"' if version else '# kubernetes_version: "1.36"',
    )
    fix = _FIX.format(profile=cluster.profile, fix=str(cluster.fix_known_issues).lower())
    return written + fix if has_issues else written


def hosts(machines: Iterable[Host]) -> str:
    """Return a list of hosts, a line each."""
    return "\n".join(f"  - {{name: {host.name}, ip: {_one_or_more(host.addresses)}}}" for host in machines)


def users(people: Iterable[User]) -> str:
    """Return a list of users, a line each."""
    lines = (f"{{name: {json.dumps(user.name)}, groups: {json.dumps(list(user.groups))}}}" for user in people)
    return "\n".join(f"  - {line}" for line in lines)


def _one_or_more(values: tuple[str, ...]) -> str:
    return _scalar(values[0]) if len(values) == 1 else _list(values)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(value: str) -> str:
    """Return a validated name, address or network as YAML reads it back: a colon or a star needs quotes."""
    return f'"{value}"' if ":" in value or value.startswith("*") else value


def write(path: Path, content: str) -> None:
    """Write *content* to *path*; raises InputError where something is there already."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise InputError(
            f"{path} exists already, and kcert does not replace it. Specify another file with --config."
        ) from None
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror}.") from None
