"""The kubelet's name is written otherwise than the node's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Subject
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """Which of the nodes, and how its name is written."""
    cluster = draw.cluster(nodes=2)
    node = draw.pick(cluster.nodes)
    name = f"kubelet-client-{node.name}"
    wishes = chosen(cluster, "ca", "kube-apiserver", *(f"kubelet-client-{one.name}" for one in cluster.nodes))
    wish = next(one for one in wishes if one.name == name)
    assert wish.subject
    written = draw.pick((node.name.upper(), node.name.capitalize()))
    made = {name: replace(wish, subject=Subject(f"system:node:{written}", wish.subject.organizations))}
    values = {**values_of(cluster), "node": node.name, "node_ip": node.addresses[0], "written": written, "name": name}
    return Scenario(cluster, draw.now, wishes, made, values)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The kubelets' client certificates."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """The kubelet is let in, and is its own node."""
    name, node = scene.values["name"], scene.values["node"]
    yield bench.talk(f"the kubelet of {node} reaches the API server", "kube-apiserver", name, scene.values["api_ip"])
    yield from bench.sound(name)
    yield bench.rules()


LAB = Lab("node-not-ready", draws, builds, judges)
