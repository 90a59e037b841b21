"""Kinds of clusters: the table of what is known of each, and which kind a path or a machine is of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kcert.clusters.kind import ClusterKind, at_root
from kcert.clusters.table import (
    COMPONENTS,
    HARD_WAY,
    K0S,
    K3S,
    KIND,
    KINDS,
    KOPS,
    KUBEADM,
    KUBEADM_NAMES,
    KUBESPRAY,
    MICROK8S,
    MINIKUBE,
    OPENSHIFT,
    RKE1,
    RKE2,
    TYPHOON,
)  # fmt: skip

_HOMES = {home: kind for kind in KINDS.values() for home in kind.homes}
_PART = re.compile("|".join(re.escape(part) for part in sorted(_HOMES, key=len, reverse=True)))


def cluster_kind_of(path: Path) -> ClusterKind | None:
    """Return the kind whose files are at *path*, as far as the path alone shows it; None if it does not."""
    return _kind_of(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118 - a quarter of what Path.absolute takes


@cache
def _kind_of(path: str) -> ClusterKind | None:
    match = _PART.search(path)
    return _HOMES[match[0]] if match else None


def kind_of_machine(root: Path, homes: Iterable[Path]) -> ClusterKind | None:
    """Return the kind of cluster that is installed on the machine whose ``/`` is at *root*; None for no known one."""
    folders = tuple(homes)
    return next((kind for kind in KINDS.values() if kind.is_on(root, folders)), None)


__all__ = [
    "COMPONENTS", "HARD_WAY", "K0S", "K3S", "KIND", "KINDS", "KOPS", "KUBEADM", "KUBEADM_NAMES", "KUBESPRAY",
    "MICROK8S", "MINIKUBE", "OPENSHIFT", "RKE1", "RKE2", "TYPHOON", "ClusterKind", "at_root", "cluster_kind_of",
    "kind_of_machine",
]  # fmt: skip
