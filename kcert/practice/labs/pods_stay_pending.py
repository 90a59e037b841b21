"""The user name of the scheduler is not the one that has its rights."""

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

_NEARLY = ("kube-scheduler", "system:scheduler", "system-kube-scheduler", "system:kube-schedular", "scheduler")
"""Mistaken common names for system:kube-scheduler, the only one with the scheduler's rights."""


def generate(rng: ScenarioRng) -> Scenario:
    """Choose a CN that is nearly right."""
    cluster = rng.cluster()
    specs = select_specs(cluster, "ca", "kube-scheduler", "kube-controller-manager", "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == "kube-scheduler")
    assert spec.subject
    taken_for = rng.pick(_NEARLY)
    made = {spec.name: replace(spec, subject=Subject(taken_for, spec.subject.organizations))}
    resource, kind = rng.pick((("pods", "Pod"), ("nodes", "Node"), ("services", "Service")))
    values = {
        "taken_for": taken_for,
        "resource": resource,
        "kind": kind,
        "pods": str(rng.number(3, 40)),
        "hour": str(rng.number(7, 11)),
    }
    return Scenario(cluster, rng.now, specs, made, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the certificates; the scheduler's kubeconfig names them by path."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the scheduler as the right user."""
    yield grader.connects(
        "the scheduler reaches the API server", "kube-apiserver", "kube-scheduler", scenario.values["api_ip"]
    )
    yield from grader.all_work("kube-scheduler")
    yield grader.no_check_errors()


LAB = Lab("pods-stay-pending", generate, setup, grade)
