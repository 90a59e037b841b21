"""The folder that the CKA course leaves behind: everything flat, one CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.zoo import hardway
from tests.zoo.issuing import Recipe, Workshop, put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECIPES: dict[str, Recipe] = {
    "ca": Recipe("CN=Kubernetes-CA", None, ca=True, days=3650),
    "admin": Recipe("CN=kube-admin/O=system:masters", usages=("clientAuth",)),
    **{name: hardway.RECIPES[name] for name in ("kube-scheduler", "kube-controller-manager", "kube-proxy")},
    "etcd-server": Recipe(
        "CN=etcd-server", usages=("serverAuth", "clientAuth"), names=hardway.RECIPES["etcd-server"].names
    ),
    "kube-apiserver": Recipe(
        "CN=kube-apiserver", usages=("serverAuth",), names=hardway.RECIPES["kube-apiserver"].names
    ),
    "apiserver-etcd-client": Recipe("CN=kube-apiserver-etcd-client", usages=("clientAuth",)),
    "apiserver-kubelet-client": Recipe("CN=kube-apiserver-kubelet-client/O=system:masters", usages=("clientAuth",)),
    "node01": Recipe("CN=node01", usages=("serverAuth",), names=("DNS:node01", "IP:192.168.56.21")),
    "kubelet-client-node01": Recipe("CN=system:node:node01/O=system:nodes", usages=("clientAuth",)),
    "service-account": Recipe("CN=service-accounts", usages=("clientAuth",)),
    "jane": Recipe("CN=jane/O=developers", usages=("clientAuth",)),
}


def lay_out(folder: Path, recipes: Mapping[str, Recipe] = RECIPES, *, workshop: Workshop | None = None) -> Workshop:
    """The certificates and keys of *recipes* in *folder*, out of a *workshop* that may know more than these."""
    workshop = workshop or Workshop(recipes)
    for name in recipes:
        put(folder / f"{name}.crt", workshop[name].crt)
        put(folder / f"{name}.key", workshop[name].pkcs8, 0o600)
    return workshop
