"""The scheduler is somebody whom RBAC has never heard of."""

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

_NEARLY = ("kube-scheduler", "system:scheduler", "system-kube-scheduler", "system:kube-schedular", "scheduler")
"""Common names that people type for system:kube-scheduler, which alone has the scheduler's rights."""


def draws(draw: ScenarioRng) -> Scenario:
    """A CN that is nearly right."""
    cluster = draw.cluster()
    wishes = chosen(cluster, "ca", "kube-scheduler", "kube-controller-manager", "kube-apiserver")
    wish = next(one for one in wishes if one.name == "kube-scheduler")
    assert wish.subject
    taken_for = draw.pick(_NEARLY)
    made = {wish.name: replace(wish, subject=Subject(taken_for, wish.subject.organizations))}
    resource, kind = draw.pick((("pods", "Pod"), ("nodes", "Node"), ("services", "Service")))
    values = {
        "taken_for": taken_for,
        "resource": resource,
        "kind": kind,
        "pods": str(draw.number(3, 40)),
        "hour": str(draw.number(7, 11)),
    }
    return Scenario(cluster, draw.now, wishes, made, {**values_of(cluster), **values})


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """Certificates alone: the scheduler's kubeconfig names them by path."""
    ground.lay_out(scene)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """The scheduler is let in, and is the one whom RBAC knows."""
    yield bench.talk("the scheduler reaches the API server", "kube-apiserver", "kube-scheduler", scene.values["api_ip"])
    yield from bench.sound("kube-scheduler")
    yield bench.rules()


LAB = Lab("pods-stay-pending", draws, builds, judges)
