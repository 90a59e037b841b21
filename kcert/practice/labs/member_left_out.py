"""A member of etcd has a certificate that can answer and not dial."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """Three members, and which of them it is."""
    cluster = draw.cluster(control_planes=3)
    members = {f"etcd-peer-{one.name}": one for one in cluster.etcd}
    name = draw.pick(tuple(members))
    wishes = chosen(cluster, "ca", *members)
    wish = next(one for one in wishes if one.name == name)
    others = [one for one in members if one != name]
    witness = members[draw.pick(others)]
    values = {
        "name": name,
        "member": members[name].name,
        "member_ip": members[name].addresses[0],
        "witness": witness.name,
        "client_port": str(draw.number(33000, 60000)),
    }
    return Scenario(
        cluster, draw.now, wishes, {name: replace(wish, kind=Kind.SERVER)}, {**values_of(cluster), **values}
    )


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The certificates with which the members talk to each other."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """Each member dials each other one, under its address."""
    for dialling in scene.cluster.etcd:
        for answering in scene.cluster.etcd:
            if dialling != answering:
                what = f"{dialling.name} dials {answering.name} and is let in"
                names = f"etcd-peer-{answering.name}", f"etcd-peer-{dialling.name}"
                yield bench.talk(what, *names, answering.addresses[0])
    yield from bench.sound(scene.values["name"])
    yield bench.rules()


LAB = Lab("member-left-out", draws, builds, judges)
