"""The user name of a kubelet is not exactly the name of its node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Subject
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
    """Choose the node, and how its name is written."""
    cluster = rng.cluster(nodes=2)
    node = rng.pick(cluster.nodes)
    name = f"kubelet-client-{node.name}"
    specs = select_specs(cluster, "ca", "kube-apiserver", *(f"kubelet-client-{host.name}" for host in cluster.nodes))
    spec = next(spec for spec in specs if spec.name == name)
    assert spec.subject
    written = rng.pick((node.name.upper(), node.name.capitalize()))
    made = {name: replace(spec, subject=Subject(f"system:node:{written}", spec.subject.organizations))}
    values = {**values_of(cluster), "node": node.name, "node_ip": node.addresses[0], "written": written, "name": name}
    return Scenario(cluster, rng.now, specs, made, values)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the client certificates of the kubelets."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the kubelet as its own node."""
    name, node = scenario.values["name"], scenario.values["node"]
    yield grader.connects(
        f"the kubelet of {node} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"]
    )
    yield from grader.all_work(name)
    yield grader.no_check_errors()


LAB = Lab("node-not-ready", generate, setup, grade)
