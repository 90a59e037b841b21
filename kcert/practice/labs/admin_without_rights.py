"""The group is in OU, which the API server ignores."""

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
    """Choose the administrator, or a user whose group has rights."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    specs = select_specs(cluster, "ca", name, "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == name)
    assert spec.subject
    common_name, groups = spec.subject.common_name, spec.subject.organizations
    given = (("CN", common_name), *(("OU", group) for group in groups))
    made = {name: replace(spec, subject=Subject(common_name, (), given))}
    values = {
        **values_of(cluster),
        "name": name,
        "who": common_name,
        "groups": groups[0],
        "resource": rng.pick(("nodes", "namespaces", "persistentvolumes")) if name == "admin" else "pods",
    }
    scope = "at the cluster scope" if name == "admin" else f'in the namespace "{groups[0]}"'
    return Scenario(cluster, rng.now, specs, made, {**values, "scope": scope})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the certificates."""
    builder.lay_out(scenario)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is the same user as before, and in the right group."""
    name, who = scenario.values["name"], scenario.values["who"]
    yield grader.connects(f"{who} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"])
    yield from grader.all_work(name)
    yield grader.no_check_errors()


LAB = Lab("admin-without-rights", generate, setup, grade)
