"""The API server's certificate has expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def _between(scenario: Scenario) -> tuple[datetime, datetime]:
    ended = scenario.now.replace(microsecond=0) - timedelta(minutes=int(scenario.values["minutes_ago"]))
    return ended - timedelta(days=int(scenario.values["days"])), ended


def generate(rng: ScenarioRng) -> Scenario:
    """Choose how long ago it expired."""
    cluster = rng.cluster(users=1)
    user = cluster.users[0].name
    specs = select_specs(cluster, "ca", "admin", user, "kube-apiserver", "apiserver-kubelet-client")
    values = {**values_of(cluster), "minutes_ago": str(rng.number(45, 300))}
    ended = _between(Scenario(cluster, rng.now, values=values))[1]
    values |= {"ended": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "asked": f"{rng.now:%Y-%m-%dT%H:%M:%SZ}"}
    return Scenario(cluster, rng.now, specs, {}, values)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make a certificate of last year."""
    builder.lay_out(scenario, {"kube-apiserver": _between(scenario)})


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that clients accept the API server again, by all its names."""
    for name in ("admin", scenario.values["user"]):
        yield grader.connects(f"{name} reaches the API server", "kube-apiserver", name, scenario.values["api_ip"])
    yield from grader.all_work("kube-apiserver")
    yield grader.no_check_errors()


LAB = Lab("since-this-morning", generate, setup, grade)
