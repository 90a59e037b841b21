"""The peer certificate of an etcd member cannot be used as a client."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
    """Choose one of three members."""
    cluster = rng.cluster(control_planes=3)
    members = {f"etcd-peer-{host.name}": host for host in cluster.etcd}
    name = rng.pick(tuple(members))
    specs = select_specs(cluster, "ca", *members)
    spec = next(spec for spec in specs if spec.name == name)
    others = [member for member in members if member != name]
    witness = members[rng.pick(others)]
    values = {
        "name": name,
        "member": members[name].name,
        "member_ip": members[name].addresses[0],
        "witness": witness.name,
        "client_port": str(rng.number(33000, 60000)),
    }
    return Scenario(cluster, rng.now, specs, {name: replace(spec, kind=Kind.SERVER)}, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """The certificates with which the members talk to each other."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that each member connects to each other member, by its address."""
    for connecting in scenario.cluster.etcd:
        for answering in scenario.cluster.etcd:
            if connecting != answering:
                what = f"{connecting.name} connects to {answering.name}"
                names = f"etcd-peer-{answering.name}", f"etcd-peer-{connecting.name}"
                yield grader.connects(what, *names, answering.addresses[0])
    yield from grader.all_work(scenario.values["name"])
    yield grader.no_check_errors()


LAB = Lab("member-left-out", generate, setup, grade)
