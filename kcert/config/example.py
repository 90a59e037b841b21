"""The kcert.yaml that `kcert init` writes: the built-in example, with a comment for each key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kcert.errors import InputError, MachineError

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.config import Lifetimes

_TEXT = """\
# What the cluster looks like. kcert works without this file, too: then all of it is as written here.

# The cluster's name, which is also the context's name in kubeconfigs.
cluster: kubernetes

# Which certificates there are and how they are called: course, hardway or kubeadm.
profile: {profile}

# Where clients reach the API server: a host name, an address (or a list of them), or both. With several
# control-plane hosts this is their load balancer. extra_sans are further names that it answers to.
api_server:
  host: controlplane01
  ip: 127.0.0.1
  port: 6443
  extra_sans: []

# The addresses of services; the API server always has the first. A list of two for dual stack.
service_cidr: 10.96.0.0/16
dns_domain: cluster.local

# The machines. ip is an address or a list of addresses, IPv4 or IPv6. One machine may stand in several
# lists, with the same name and addresses in each.
control_plane:
  - {{name: controlplane01, ip: 127.0.0.1}}
nodes:
  - {{name: node01, ip: 127.0.0.1}}

# Where etcd runs; an empty list means: on the control-plane hosts.
etcd: []

# People and programs with certificates of their own, for example:
#   - {{name: jane, groups: [developers]}}
users: []

# rsa with bits from 2048 to 8192, or ecdsa with curve P-256 or P-384.
key: {{algorithm: rsa, bits: 2048}}

# How many days certificates are valid: the CAs, and what they sign.
days: {{ca: {ca}, leaf: {leaf}}}
"""


def write(path: Path, profile: str, lifetimes: Lifetimes) -> None:
    """Write the example for *profile* to *path*; raises InputError where something is there already."""
    text = _TEXT.format(profile=profile, ca=lifetimes.ca, leaf=lifetimes.leaf)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(
            f"{path} is there already, and kcert does not replace it. Name another with --config."
        ) from None
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror}.") from None
