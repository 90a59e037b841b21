"""The API server's certificate has expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def _between(scene: Scenario) -> tuple[datetime, datetime]:
    ended = scene.now.replace(microsecond=0) - timedelta(minutes=int(scene.values["minutes_ago"]))
    return ended - timedelta(days=int(scene.values["days"])), ended


def draws(draw: ScenarioRng) -> Scenario:
    """How long ago it was."""
    cluster = draw.cluster(users=1)
    user = cluster.users[0].name
    wishes = chosen(cluster, "ca", "admin", user, "kube-apiserver", "apiserver-kubelet-client")
    values = {**values_of(cluster), "minutes_ago": str(draw.number(45, 300))}
    ended = _between(Scenario(cluster, draw.now, values=values))[1]
    values |= {"ended": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "asked": f"{draw.now:%Y-%m-%dT%H:%M:%SZ}"}
    return Scenario(cluster, draw.now, wishes, {}, values)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """A certificate of last year."""
    ground.lay_out(scene, {"kube-apiserver": _between(scene)})


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """The API server is believed again, by its clients and under all its names."""
    for name in ("admin", scene.values["user"]):
        yield bench.talk(f"{name} reaches the API server", "kube-apiserver", name, scene.values["api_ip"])
    yield from bench.sound("kube-apiserver")
    yield bench.rules()


LAB = Lab("since-this-morning", draws, builds, judges)
