"""A kubeconfig still contains the previous CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.practice.builder import Make
from kcert.practice.grader import AbsentError
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader
    from kcert.scan.result import KubeconfigUse


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
        use = _kubeconfig(grader, path)
        there = Server(grader.shown(scenario.spec("kube-apiserver")), grader.trusted())
        return grader.tls.refusal(there, _kubectl(grader, use), use.server_name or scenario.values["api_ip"])

    def unverified() -> str | None:
        return None if _kubeconfig(grader, path).verifies else "insecure-skip-tls-verify is set"

    def elsewhere() -> str | None:
        server = _kubeconfig(grader, path).server
        return None if server == scenario.values["server"] else f"it connects to {server!a}"

    yield grader.check(f"kubectl with {grader.name(path)} reaches the API server", refused)
    yield grader.check("kubectl verifies the certificate of the server", unverified)
    yield grader.check(f"kubectl connects to {scenario.values['server']}", elsewhere)
    yield from grader.all_work(name)
    yield grader.no_check_errors()


def _kubeconfig(grader: Grader, path: Path) -> KubeconfigUse:
    """Return what kubectl reads from the kubeconfig at *path*; raises AbsentError."""
    grader.content(path)
    uses = [use for use in grader.survey.kubeconfigs if use.path == path]
    if not uses or not uses[0].server:
        raise AbsentError(f"{grader.name(path)} is not a kubeconfig that kubectl can use")
    return next((use for use in uses if use.current), uses[0])


def _kubectl(grader: Grader, use: KubeconfigUse) -> Client:
    """Return kubectl with a kubeconfig, embedded or with paths; raises AbsentError where a file is missing."""
    if not use.authorities:
        raise AbsentError(f"{grader.name(use.path)} names no CA")
    if use.user is None:
        raise AbsentError(f"{grader.name(use.path)} has no client certificate")
    # A CA file that is named by its path may have its key beside it, which is not the key that kubectl uses.
    own = (ref.key for ref in grader.survey.uses if ref.kubeconfig == use and ref.certificate == use.user)
    key = next((key.pem for key in own if key), b"")
    trusted = "".join(ca.pem for ca in use.authorities).encode("ascii")
    return Client(trusted, Credentials(use.user.pem.encode("ascii"), key))


LAB = Lab("kubectl-trusts-nobody", generate, setup, grade)
