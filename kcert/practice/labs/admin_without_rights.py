"""The group stands in OU, and the API server does not look there."""

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
    """The administrator, or a user whose group has rights."""
    cluster = draw.cluster(users=1)
    name = draw.pick(("admin", cluster.users[0].name))
    wishes = chosen(cluster, "ca", name, "kube-apiserver")
    wish = next(one for one in wishes if one.name == name)
    assert wish.subject
    common_name, groups = wish.subject.common_name, wish.subject.organizations
    given = (("CN", common_name), *(("OU", group) for group in groups))
    made = {name: replace(wish, subject=Subject(common_name, (), given))}
    values = {
        **values_of(cluster),
        "name": name,
        "who": common_name,
        "groups": groups[0],
        "resource": draw.pick(("nodes", "namespaces", "persistentvolumes")) if name == "admin" else "pods",
    }
    scope = "at the cluster scope" if name == "admin" else f'in the namespace "{groups[0]}"'
    return Scenario(cluster, draw.now, wishes, made, {**values, "scope": scope})


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The certificate, and the kubeconfig that it is shown from."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """It is the same user as before, and now in its group."""
    name, who = scene.values["name"], scene.values["who"]
    yield bench.talk(f"{who} reaches the API server", "kube-apiserver", name, scene.values["api_ip"])
    yield from bench.sound(name)
    yield bench.rules()


LAB = Lab("admin-without-rights", draws, builds, judges)
