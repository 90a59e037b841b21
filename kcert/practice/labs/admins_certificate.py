"""Somebody needs a client certificate from the beginning: key, request, signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.openssl import cnf
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.ground import Make
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """The administrator of a cluster that was set up one way or the other."""
    cluster = draw.cluster(draw.pick(("course", "hardway")), users=1)
    wishes = chosen(cluster, "ca", "admin", "kube-apiserver")
    wish = next(one for one in wishes if one.name == "admin")
    assert wish.subject
    values = {
        **values_of(cluster),
        "who": wish.subject.common_name,
        "groups": wish.subject.organizations[0],
        "subject": str(wish.subject),
        "colleague": cluster.users[0].name,
    }
    return Scenario(cluster, draw.now, wishes, values=values)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """Everything but what is asked for: the CA, the API server, the settings of a client."""
    ground.describe(scene)
    ca = scene.wish("ca")
    ground.make([Make(one, None if one.kind is Kind.CA else ca) for one in scene.wishes if one.name != "admin"])
    ground.write("pki/openssl-client.cnf", cnf.render(scene.wish("admin")))


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """The API server lets him in, and takes him for the administrator."""
    yield bench.talk("kubectl reaches the API server", "kube-apiserver", "admin", scene.values["api_ip"])
    yield from bench.sound("admin")
    yield bench.rules()


LAB = Lab("admins-certificate", draws, builds, judges)
