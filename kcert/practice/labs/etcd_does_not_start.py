"""One letter is wrong in one of the six paths of etcd's manifest."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.labs import kubeadm_host
from kcert.practice.rng import ScenarioRng, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader

OPTIONS = {
    "--cert-file": "server.crt",
    "--key-file": "server.key",
    "--trusted-ca-file": "ca.crt",
    "--peer-cert-file": "peer.crt",
    "--peer-key-file": "peer.key",
    "--peer-trusted-ca-file": "ca.crt",
}


def generate(rng: ScenarioRng) -> Scenario:
    """Choose the option, and how its path is mistyped: a letter missing, two swapped, another folder or ending."""
    cluster = rng.cluster("kubeadm")
    option = rng.pick(tuple(OPTIONS))
    right = PurePosixPath("/etc/kubernetes/pki/etcd", OPTIONS[option])
    stem = right.stem
    lost = rng.number(0, len(stem) - 1)
    wrong = rng.pick(
        (
            right.with_name(f"{stem[:lost]}{stem[lost + 1 :]}{right.suffix}"),
            right.with_name(f"{stem[1]}{stem[0]}{stem[2:]}{right.suffix}"),
            right.with_suffix(".pem"),
            right.parent.with_name("etdc") / right.name,
            right.with_name(f"etcd-{right.name}"),
        )
    )
    values = {**values_of(cluster), "option": option, "right": str(right), "wrong": str(wrong)}
    return Scenario(cluster, rng.now, kubeadm_host.specs(cluster), values=values, folder=kubeadm_host.FOLDER)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the host's /etc/kubernetes, with one path mistyped."""
    values = scenario.values
    swap = (f"- {values['option']}={values['right']}", f"- {values['option']}={values['wrong']}")
    kubeadm_host.lay_out(scenario, builder, {"etcd": [swap]})


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that etcd names the right files, and that nothing else has changed."""
    yield grader.check("etcd finds every file that its manifest names", lambda: _missing(grader))
    yield kubeadm_host.reaches_etcd(grader)
    yield kubeadm_host.meets_peers(grader)
    yield kubeadm_host.kubeadms_own(grader, "etcd")
    yield kubeadm_host.as_planned(grader, "etcd", scenario.values["option"])
    yield kubeadm_host.as_planned(grader, "kube-apiserver")
    yield kubeadm_host.static_pods(grader)
    yield from grader.all_work()
    yield kubeadm_host.no_check_errors(grader)


def _missing(grader: Grader) -> None:
    for option in OPTIONS:
        kubeadm_host.named(grader, "etcd", option)


LAB = Lab("etcd-does-not-start", generate, setup, grade)
