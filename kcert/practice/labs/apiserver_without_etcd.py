"""kube-apiserver verifies etcd with the wrong CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.labs import kubeadm_host
from kcert.practice.rng import ScenarioRng, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader

RIGHT = "/etc/kubernetes/pki/etcd/ca.crt"


def generate(rng: ScenarioRng) -> Scenario:
    """Choose another CA, or a certificate that is not a CA (not etcd's own, which Go accepts as a root)."""
    cluster = rng.cluster("kubeadm")
    wrong = rng.pick(("ca.crt", "ca.crt", "front-proxy-ca.crt", "apiserver.crt"))
    values = {**values_of(cluster), "wrong": f"/etc/kubernetes/pki/{wrong}", "restarts": str(rng.number(7, 48))}
    return Scenario(cluster, rng.now, kubeadm_host.specs(cluster), values=values, folder=kubeadm_host.FOLDER)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the host's /etc/kubernetes, with one option changed."""
    swap = (f"--etcd-cafile={RIGHT}", f"--etcd-cafile={scenario.values['wrong']}")
    kubeadm_host.lay_out(scenario, builder, {"kube-apiserver": [swap]})


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it reaches etcd with the files of its manifest, and that nothing else has changed."""
    yield kubeadm_host.reaches_etcd(grader)
    yield kubeadm_host.kubeadms_own(grader, "kube-apiserver")
    yield kubeadm_host.as_planned(grader, "kube-apiserver", "--etcd-cafile")
    yield kubeadm_host.as_planned(grader, "etcd")
    yield kubeadm_host.static_pods(grader)
    yield from grader.all_work()
    yield kubeadm_host.no_check_errors(grader)


LAB = Lab("apiserver-without-etcd", generate, setup, grade)
