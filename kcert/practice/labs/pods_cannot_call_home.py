"""The API server's certificate lacks the address under which every pod dials it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import AltName
from kcert.practice.draw import ScenarioRng, chosen, service_address, values_of
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

_EVERYBODYS = AltName("IP", "10.96.0.1")
"""The service address of kubeadm's default range, which stands in every tutorial."""


def draws(draw: ScenarioRng) -> Scenario:
    """The address is missing, or it is the one of another cluster's range."""
    cluster = draw.cluster()
    wishes = chosen(cluster, "ca", "admin", "kube-apiserver")
    wish = next(one for one in wishes if one.name == "kube-apiserver")
    service = AltName("IP", service_address(cluster))
    others = tuple(one for one in wish.alt_names if one != service)
    names = draw.pick((others, (*others, _EVERYBODYS)))
    if service in names:
        names = others
    values = {
        "addresses": ", ".join(one.value for one in names if one.type == "IP"),
        "next": str(len(names) + 1),
        "pod": draw.pick(("coredns-5d78c9869d", "metrics-server-6f6cdbf67d", "kube-state-metrics-7c8b8dd9c6")),
    }
    made = {wish.name: replace(wish, alt_names=names)}
    return Scenario(cluster, draw.now, wishes, made, {**values_of(cluster), **values})


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The certificate, and the settings that it was made with."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """It answers to those inside and to those outside."""
    yield bench.talk(
        "a pod reaches the API server at the service address", "kube-apiserver", None, scene.values["service_ip"]
    )
    yield bench.talk("kubectl reaches it from outside", "kube-apiserver", "admin", scene.values["api_ip"])
    yield from bench.sound("kube-apiserver")
    yield bench.rules()


LAB = Lab("pods-cannot-call-home", draws, builds, judges)
