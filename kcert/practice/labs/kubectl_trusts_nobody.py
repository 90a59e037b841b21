"""A kubeconfig still holds the CA that there was before the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.ground import Make
from kcert.practice.handshakes import Server
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """Whose kubeconfig it is, and when the CA was changed."""
    cluster = draw.cluster(users=1)
    name = draw.pick(("admin", cluster.users[0].name))
    wishes = chosen(cluster, "ca", "kube-apiserver", name)
    values = {"name": name, "old": draw.pick(("old", "before", "yesterday", "backup"))}
    return Scenario(cluster, draw.now, wishes, {}, {**values_of(cluster), **values})


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The new PKI, the old CA's certificate in a folder beside it, and a kubeconfig with that one inside."""
    name, old = scene.values["name"], scene.values["old"]
    ground.lay_out(scene)
    ground.make([Make(scene.wish("ca"))], old)
    for path in (ground.root / old).iterdir():
        if path.name != "ca.crt":
            path.unlink()
    ground.kubeconfig(scene, scene.wish(name), f"../{old}/ca.crt", f"{name}.kubeconfig")


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """What the kubeconfig holds is enough to reach the API server, and the API server lets it in."""
    name = scene.values["name"]
    path = bench.pki / f"{name}.kubeconfig"

    def refused() -> str | None:
        use = bench.kubeconfig(path)
        there = Server(bench.shown(scene.wish("kube-apiserver")), bench.trusted())
        return bench.ring.refusal(there, bench.kubectl(use), use.server_name or scene.values["api_ip"])

    def looks_away() -> str | None:
        return None if bench.kubeconfig(path).verifies else "it was told to look away"

    def elsewhere() -> str | None:
        server = bench.kubeconfig(path).server
        return None if server == scene.values["server"] else f"it dials {server!a}"

    yield bench.trial(f"kubectl with {bench.name(path)} reaches the API server", refused)
    yield bench.trial("it looks at the certificate that it is shown", looks_away)
    yield bench.trial(f"it dials {scene.values['server']}", elsewhere)
    yield from bench.sound(name)
    yield bench.rules()


LAB = Lab("kubectl-trusts-nobody", draws, builds, judges)
