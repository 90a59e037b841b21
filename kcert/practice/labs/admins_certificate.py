"""A cluster without an administrator needs a client certificate: key, request, signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.openssl.commands import render
from kcert.practice.builder import Make
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
    """Choose one of two layouts of the cluster."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    specs = select_specs(cluster, "ca", "admin", "kube-apiserver")
    spec = next(spec for spec in specs if spec.name == "admin")
    assert spec.subject
    values = {
        **values_of(cluster),
        "who": spec.subject.common_name,
        "groups": spec.subject.organizations[0],
        "subject": str(spec.subject),
        "colleague": cluster.users[0].name,
    }
    return Scenario(cluster, rng.now, specs, values=values)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make all but the administrator's certificate: the CA, the API server, the config of a client."""
    builder.describe(scenario)
    ca = scenario.spec("ca")
    builder.make([Make(spec, None if spec.kind is Kind.CA else ca) for spec in scenario.specs if spec.name != "admin"])
    builder.write("pki/openssl-client.cnf", render(scenario.spec("admin")))


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the certificate as the administrator's."""
    yield grader.connects("kubectl reaches the API server", "kube-apiserver", "admin", scenario.values["api_ip"])
    yield from grader.all_work("admin")
    yield grader.no_check_errors()


LAB = Lab("admins-certificate", generate, setup, grade)
