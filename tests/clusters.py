"""The clusters that the tests make certificates for, as kcert.yaml has them; and their PKIs, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.running import Kcert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROFILES = ("course", "hardway", "kubeadm")

SMALL = """\
profile: {profile}
key: {{algorithm: ecdsa, curve: P-256}}
"""
"""The built-in cluster with keys that are quickly made."""

LARGE = """\
cluster: prod-eu
profile: {profile}
api_server:
  host: api.example.com
  ip: [192.168.56.30, "fd00:56::30"]
  port: 8443
  extra_sans: [vip.example.com, "*.api.example.com", 203.0.113.7]
service_cidr: [10.32.0.0/24, "fd00:10:96::/112"]
dns_domain: prod.example
control_plane:
  - {{name: cp1, ip: [192.168.56.11, "fd00:56::11"]}}
  - {{name: cp2, ip: [192.168.56.12, "fd00:56::12"]}}
  - {{name: cp3.example.com, ip: 192.168.56.13}}
etcd:
  - {{name: etcd1, ip: [192.168.56.41, "fd00:56::41"]}}
  - {{name: etcd2, ip: 192.168.56.42}}
  - {{name: etcd3, ip: "fd00:56::43"}}
nodes:
  - {{name: node01, ip: [192.168.56.21, "fd00:56::21"]}}
  - {{name: node02, ip: 192.168.56.22}}
  - {{name: node03.example.com, ip: "fd00:56::23"}}
users:
  - {{name: jane, groups: [developers, "team:blue"]}}
  - {{name: "ci:deployer"}}
key: {{algorithm: ecdsa, curve: P-384}}
days: {{ca: 2000, leaf: 200}}
"""
"""Three control-plane hosts, etcd apart, both families of addresses, users with several groups and with none."""

BOOK = """\
cluster: kubernetes-the-hard-way
profile: {profile}
api_server: {{host: server.kubernetes.local, extra_sans: [api-server.kubernetes.local]}}
service_cidr: 10.32.0.0/24
control_plane: [{{name: server, ip: 192.168.56.10}}]
nodes: [{{name: node-0, ip: 192.168.56.20}}, {{name: node-1, ip: 192.168.56.21}}]
key: {{algorithm: rsa, bits: 2048}}
"""
"""The machines of Kelsey Hightower's Kubernetes the hard way, with keys half as long."""

FIXED = BOOK + "fix_known_issues: true\n"
"""The same, with the mistakes of the book corrected."""

SIZES = {"small": SMALL, "large": LARGE, "book": BOOK, "fixed": FIXED}


@dataclass(frozen=True)
class Pki:
    """A PKI that the real command line made, in ``home/pki``; a test that changes it works on a copy."""

    home: Path
    profile: str
    size: str

    @property
    def folder(self) -> Path:
        """The PKI folder."""
        return self.home / "pki"

    @property
    def config(self) -> Path:
        """The kcert.yaml that it was made from."""
        return self.home / "kcert.yaml"

    def copied_to(self, home: Path) -> Pki:
        """A copy of it, with its kcert.yaml, below *home*."""
        home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.folder, home / "pki", symlinks=True)
        if self.config.exists():
            shutil.copy(self.config, home)
        return Pki(home, self.profile, self.size)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one test run have in common, also where pytest-xdist is switched off."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder *name* below *shared*, made by the first worker that asks; the others wait for it."""
    home = shared / f"made-{name}"
    with (shared / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home / ".made"
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            make(home)
            done.touch()
    return home


def make_pki(home: Path, profile: str, size: str) -> None:
    """Make the PKI of a cluster in ``home/pki``; ``rsa`` is the built-in cluster as it is, without a file."""
    if size != "rsa":
        (home / "kcert.yaml").write_text(SIZES[size].format(profile=profile), encoding="utf-8")
    elif profile != "course":
        pytest.fail("the built-in cluster has the profile course")
    Kcert(home).done("all", "--quiet")
