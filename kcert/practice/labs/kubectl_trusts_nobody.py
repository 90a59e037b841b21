"""A kubeconfig still holds the CA that there was before the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.practice.builder import Make
from kcert.practice.handshakes import Server
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
    """Whose kubeconfig it is, and when the CA was changed."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    specs = select_specs(cluster, "ca", "kube-apiserver", name)
    values = {"name": name, "old": rng.pick(("old", "before", "yesterday", "backup"))}
    return Scenario(cluster, rng.now, specs, {}, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """The new PKI, the old CA's certificate in a folder beside it, and a kubeconfig with that one inside."""
    name, old = scenario.values["name"], scenario.values["old"]
    builder.lay_out(scenario)
    builder.make([Make(scenario.spec("ca"))], old)
    for path in (builder.root / old).iterdir():
        if path.name != "ca.crt":
            path.unlink()
    builder.kubeconfig(scenario, scenario.spec(name), f"../{old}/ca.crt", f"{name}.kubeconfig")


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """What the kubeconfig holds is enough to reach the API server, and the API server lets it in."""
    name = scenario.values["name"]
    path = grader.pki / f"{name}.kubeconfig"

    def refused() -> str | None:
        use = grader.kubeconfig(path)
        there = Server(grader.shown(scenario.spec("kube-apiserver")), grader.trusted())
        return grader.tls.refusal(there, grader.kubectl(use), use.server_name or scenario.values["api_ip"])

    def looks_away() -> str | None:
        return None if grader.kubeconfig(path).verifies else "it was told to look away"

    def elsewhere() -> str | None:
        server = grader.kubeconfig(path).server
        return None if server == scenario.values["server"] else f"it dials {server!a}"

    yield grader.check(f"kubectl with {grader.name(path)} reaches the API server", refused)
    yield grader.check("it looks at the certificate that it is shown", looks_away)
    yield grader.check(f"it dials {scenario.values['server']}", elsewhere)
    yield from grader.all_work(name)
    yield grader.no_check_errors()


LAB = Lab("kubectl-trusts-nobody", generate, setup, grade)
