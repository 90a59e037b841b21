"""One letter is wrong in one of the six paths of etcd's manifest."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.practice.draw import ScenarioRng, values_of
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.labs import kubeadm_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

OPTIONS = {
    "--cert-file": "server.crt",
    "--key-file": "server.key",
    "--trusted-ca-file": "ca.crt",
    "--peer-cert-file": "peer.crt",
    "--peer-key-file": "peer.key",
    "--peer-trusted-ca-file": "ca.crt",
}


def draws(draw: ScenarioRng) -> Scenario:
    """Which option, and how its path is mistyped: a letter lost, two swapped, another folder or ending."""
    cluster = draw.cluster("kubeadm")
    option = draw.pick(tuple(OPTIONS))
    right = PurePosixPath("/etc/kubernetes/pki/etcd", OPTIONS[option])
    stem = right.stem
    lost = draw.number(0, len(stem) - 1)
    wrong = draw.pick(
        (
            right.with_name(f"{stem[:lost]}{stem[lost + 1 :]}{right.suffix}"),
            right.with_name(f"{stem[1]}{stem[0]}{stem[2:]}{right.suffix}"),
            right.with_suffix(".pem"),
            right.parent.with_name("etdc") / right.name,
            right.with_name(f"etcd-{right.name}"),
        )
    )
    values = {**values_of(cluster), "option": option, "right": str(right), "wrong": str(wrong)}
    return Scenario(cluster, draw.now, kubeadm_host.wishes(cluster), values=values, folder=kubeadm_host.FOLDER)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The host's /etc/kubernetes, with one path mistyped."""
    values = scene.values
    swap = (f"- {values['option']}={values['right']}", f"- {values['option']}={values['wrong']}")
    kubeadm_host.lay_out(scene, ground, {"etcd": [swap]})


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """Every file that etcd names is there and the right one, and nothing else has changed."""
    yield bench.trial("etcd finds every file that its manifest names", lambda: _missing(bench))
    yield kubeadm_host.reaches_etcd(bench)
    yield kubeadm_host.meets_peers(bench)
    yield bench.kubeadms_own("etcd")
    yield bench.as_planned("etcd", scene.values["option"])
    yield bench.as_planned("kube-apiserver")
    yield bench.static_pods()
    yield from bench.sound()
    yield kubeadm_host.rules(bench)


def _missing(bench: Grader) -> None:
    for option in OPTIONS:
        bench.named("etcd", option)


LAB = Lab("etcd-does-not-start", draws, builds, judges)
