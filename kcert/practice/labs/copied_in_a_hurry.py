"""One certificate's key was copied over another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.openssl.keys import same_key
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.lab import Check, Lab, Scenario
from kcert.store import SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

_NAMES = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "apiserver-kubelet-client")
"""Those whose programs say it in the words of client-go, which the story has."""


def draws(draw: ScenarioRng) -> Scenario:
    """Whose key was lost, and whose lies in its place."""
    cluster = draw.cluster()
    lost, copied = draw.several(_NAMES, 2)
    wishes = chosen(cluster, "ca", "kube-apiserver", lost, copied)
    subject = next(str(one.subject) for one in wishes if one.name == lost)
    values = {"lost": lost, "copied": copied, "subject": subject, "minutes": str(draw.number(5, 50))}
    return Scenario(cluster, draw.now, wishes, {}, {**values_of(cluster), **values})


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """All is well, until somebody tidies up."""
    ground.lay_out(scene)
    pki = ground.root / scene.folder
    key = (pki / f"{scene.values['copied']}.key").read_bytes()
    ground.put(f"{scene.folder}/{scene.values['lost']}.key", key, SECRET_MODE)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """Both dial with a key of their own."""
    lost, copied = scene.values["lost"], scene.values["copied"]

    def shared() -> str | None:
        key = bench.shown(scene.wish(copied)).key
        return "they have the same key" if same_key(bench.openssl, key, bench.certificate(lost).public_key) else None

    for name in (lost, copied):
        yield bench.talk(f"a client shows {name}.crt and is let in", "kube-apiserver", name, scene.values["api_ip"])
    yield bench.trial(f"{lost} and {copied} have a key each", shared)
    yield from bench.sound(lost)
    yield bench.rules()


LAB = Lab("copied-in-a-hurry", draws, builds, judges)
