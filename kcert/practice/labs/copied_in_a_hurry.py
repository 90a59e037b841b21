"""One certificate's key was copied over another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.openssl.program import same_key
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of
from kcert.store import SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader

_NAMES = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "apiserver-kubelet-client")
"""Certificates whose programs print the error of client-go that the story quotes."""


def generate(rng: ScenarioRng) -> Scenario:
    """Choose the key that was lost, and the one that replaced it."""
    cluster = rng.cluster()
    lost, copied = rng.several(_NAMES, 2)
    specs = select_specs(cluster, "ca", "kube-apiserver", lost, copied)
    subject = next(str(spec.subject) for spec in specs if spec.name == lost)
    values = {"lost": lost, "copied": copied, "subject": subject, "minutes": str(rng.number(5, 50))}
    return Scenario(cluster, rng.now, specs, {}, {**values_of(cluster), **values})


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make all certificates, and copy one key over another."""
    builder.lay_out(scenario)
    pki = builder.root / scenario.folder
    key = (pki / f"{scenario.values['copied']}.key").read_bytes()
    builder.put(f"{scenario.folder}/{scenario.values['lost']}.key", key, SECRET_MODE)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that both clients connect with keys of their own."""
    lost, copied = scenario.values["lost"], scenario.values["copied"]

    def shared() -> str | None:
        key = grader.shown(scenario.spec(copied)).key
        return "they have the same key" if same_key(grader.openssl, key, grader.certificate(lost).public_key) else None

    for name in (lost, copied):
        yield grader.connects(f"a client with {name}.crt connects", "kube-apiserver", name, scenario.values["api_ip"])
    yield grader.check(f"{lost} and {copied} have different keys", shared)
    yield from grader.all_work(lost)
    yield grader.no_check_errors()


LAB = Lab("copied-in-a-hurry", generate, setup, grade)
