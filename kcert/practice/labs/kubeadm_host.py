"""The files of a control-plane host that kubeadm set up, for the labs about static pods."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kcert.kubernetes.components import instances
from kcert.kubernetes.render import manifest
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.rng import select_specs
from kcert.store import SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader
    from kcert.practice.lab import Check, Scenario

FOLDER = "etc/kubernetes"

_NAMES = (
    *("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"),
    *("etcd-ca", "etcd-server", "etcd-peer", "apiserver-etcd-client", "sa"),
)
_STATIC_PODS = ("kube-apiserver", "etcd")


def specs(cluster: Cluster) -> tuple[Certificate, ...]:
    """Return the certificates that kube-apiserver and etcd read on the first control-plane host."""
    return select_specs(cluster, *_NAMES)


def files(specs: Sequence[Certificate]) -> tuple[str, ...]:
    """Return every file of the host, relative to the lab's folder."""
    pki = [path for one in specs for path in (one.files.key, one.files.crt, one.files.public_key) if path]
    return (*(f"{FOLDER}/{path}" for path in pki), *(f"{FOLDER}/manifests/{name}.yaml" for name in _STATIC_PODS))


def lay_out(
    scenario: Scenario,
    builder: LabBuilder,
    swaps: Mapping[str, Sequence[tuple[str, str]]],
    between: Mapping[str, tuple[datetime, datetime]] | None = None,
) -> None:
    """Write /etc/kubernetes; *swaps* are texts to replace in the manifest of a component, with their replacements.

    *between* is as for ``LabBuilder.lay_out``.
    """
    builder.lay_out(scenario, between)
    shutil.rmtree(builder.root / scenario.folder / "requests")  # kubeadm keeps none
    for component in _STATIC_PODS:
        text = manifest(instances(scenario.cluster, component)[0])
        for right, instead in swaps.get(component, ()):
            text = text.replace(right, instead)
        builder.write(f"{scenario.folder}/manifests/{component}.yaml", text, SECRET_MODE)


def no_check_errors(grader: Grader) -> Check:
    """Check that `kcert check` finds no error in the folders that are read; copies elsewhere do not count."""
    return grader.no_check_errors(f"{FOLDER}/pki", f"{FOLDER}/manifests")


def reaches_etcd(grader: Grader) -> Check:
    """Check that kube-apiserver connects to etcd, each with the files of its manifest."""

    def refused() -> str | None:
        def read(component: str, crt: str, key: str) -> Credentials:
            return Credentials(grader.named(component, crt), grader.named(component, key))

        etcd = Server(read("etcd", "--cert-file", "--key-file"), grader.named("etcd", "--trusted-ca-file"))
        shown = read("kube-apiserver", "--etcd-certfile", "--etcd-keyfile")
        return grader.tls.refusal(etcd, Client(grader.named("kube-apiserver", "--etcd-cafile"), shown), "127.0.0.1")

    return grader.check("kube-apiserver reaches etcd, each with the files that its manifest names", refused)


def meets_peers(grader: Grader) -> Check:
    """Check that an etcd member connects to another with the files for peers."""

    def refused() -> str | None:
        shown = Credentials(grader.named("etcd", "--peer-cert-file"), grader.named("etcd", "--peer-key-file"))
        ca = grader.named("etcd", "--peer-trusted-ca-file")
        address = grader.scenario.cluster.control_plane[0].addresses[0]
        return grader.tls.refusal(Server(shown, ca), Client(ca, shown), address)

    return grader.check("etcd members connect to each other, with the files that the manifest names", refused)
