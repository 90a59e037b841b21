"""kube-apiserver is given the wrong CA to know etcd by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.practice.draw import ScenarioRng, values_of
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.labs import kubeadm_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

RIGHT = "/etc/kubernetes/pki/etcd/ca.crt"


def draws(draw: ScenarioRng) -> Scenario:
    """One of the other two CAs, or a certificate that is no CA at all (etcd's own would do: Go takes it for a root)."""
    cluster = draw.cluster("kubeadm")
    wrong = draw.pick(("ca.crt", "ca.crt", "front-proxy-ca.crt", "apiserver.crt"))
    values = {**values_of(cluster), "wrong": f"/etc/kubernetes/pki/{wrong}", "restarts": str(draw.number(7, 48))}
    return Scenario(cluster, draw.now, kubeadm_host.wishes(cluster), values=values, folder=kubeadm_host.FOLDER)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The host's /etc/kubernetes, with one option changed."""
    swap = (f"--etcd-cafile={RIGHT}", f"--etcd-cafile={scene.values['wrong']}")
    kubeadm_host.lay_out(scene, ground, {"kube-apiserver": [swap]})


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """It reaches etcd with what its manifest names, and nothing else has changed."""
    yield kubeadm_host.reaches_etcd(bench)
    yield bench.kubeadms_own("kube-apiserver")
    yield bench.as_planned("kube-apiserver", "--etcd-cafile")
    yield bench.as_planned("etcd")
    yield bench.static_pods()
    yield from bench.sound()
    yield kubeadm_host.rules(bench)


LAB = Lab("apiserver-without-etcd", draws, builds, judges)
