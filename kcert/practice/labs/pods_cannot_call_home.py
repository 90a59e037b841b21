"""The API server's certificate lacks the address to which every pod connects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import AltName
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, service_address, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader

_DEFAULT = AltName("IP", "10.96.0.1")
"""The service address of kubeadm's default range, which most tutorials have."""


def generate(rng: ScenarioRng) -> Scenario:
    """Choose whether the address is missing, or replaced by that of another range."""
    cluster = rng.cluster()
    specs = select_specs(cluster, "ca", "admin", "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == "kube-apiserver")
    service = AltName("IP", service_address(cluster))
    others = tuple(name for name in spec.alt_names if name != service)
    names = rng.pick((others, (*others, _DEFAULT)))
    if service in names:
        names = others
    values = {
        "addresses": ", ".join(name.value for name in names if name.type == "IP"),
        "next": str(len(names) + 1),
        "pod": rng.pick(("coredns-5d78c9869d", "metrics-server-6f6cdbf67d", "kube-state-metrics-7c8b8dd9c6")),
    }
    made = {spec.name: replace(spec, alt_names=names)}
    return Scenario(cluster, rng.now, specs, made, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the certificate, and its config."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is accepted inside and outside of the cluster."""
    yield grader.connects(
        "a pod reaches the API server at the service address", "kube-apiserver", None, scenario.values["service_ip"]
    )
    yield grader.connects("kubectl reaches it from outside", "kube-apiserver", "admin", scenario.values["api_ip"])
    yield from grader.all_work("kube-apiserver")
    yield grader.no_check_errors()


LAB = Lab("pods-cannot-call-home", generate, setup, grade)
