"""A kubeconfig still contains the previous CA."""

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
    """Choose the user of the kubeconfig, and the folder of the previous CA."""
    cluster = rng.cluster(users=1)
    name = rng.pick(("admin", cluster.users[0].name))
    specs = select_specs(cluster, "ca", "kube-apiserver", name)
    values = {"name": name, "old": rng.pick(("old", "before", "yesterday", "backup"))}
    return Scenario(cluster, rng.now, specs, {}, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the new PKI, the certificate of the previous CA in a folder beside it, and a kubeconfig with that one."""
    name, old = scenario.values["name"], scenario.values["old"]
    builder.lay_out(scenario)
    builder.make([Make(scenario.spec("ca"))], old)
    for path in (builder.root / old).iterdir():
        if path.name != "ca.crt":
            path.unlink()
    builder.kubeconfig(scenario, scenario.spec(name), f"../{old}/ca.crt", f"{name}.kubeconfig")


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that kubectl connects with the kubeconfig, and verifies the server."""
    name = scenario.values["name"]
    path = grader.pki / f"{name}.kubeconfig"

    def refused() -> str | None:
        use = grader.kubeconfig(path)
        there = Server(grader.shown(scenario.spec("kube-apiserver")), grader.trusted())
        return grader.tls.refusal(there, grader.kubectl(use), use.server_name or scenario.values["api_ip"])

    def unverified() -> str | None:
        return None if grader.kubeconfig(path).verifies else "insecure-skip-tls-verify is set"

    def elsewhere() -> str | None:
        server = grader.kubeconfig(path).server
        return None if server == scenario.values["server"] else f"it connects to {server!a}"

    yield grader.check(f"kubectl with {grader.name(path)} reaches the API server", refused)
    yield grader.check("kubectl verifies the certificate of the server", unverified)
    yield grader.check(f"kubectl connects to {scenario.values['server']}", elsewhere)
    yield from grader.all_work(name)
    yield grader.no_check_errors()


LAB = Lab("kubectl-trusts-nobody", generate, setup, grade)
