"""A new CA for a cluster that goes on working: judged by the sets of files that were rolled out, one after the other.

While a set is rolled out, machines that have it talk to machines that have the one before. So of two neighbouring sets
each has to accept the other, both ways. Which steps somebody takes, and how many, does not matter.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.openssl.pem import pem_blocks
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.grading import Grader, mark
from kcert.practice.handshakes import Client, Server
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.ground import LabBuilder

MOST = 20
"""So many sets are looked at."""

_REASONS = (
    "the laptop of a colleague who had a copy of ca.key was stolen on the train",
    "somebody put ca.key into a git repository, and it was public for a weekend",
    "the company that set up the cluster has left, and took a copy of ca.key along",
)


@dataclass(frozen=True)
class Conversation:
    """Who dials whom, and by which name."""

    client: str
    server: str
    dialled: str


def draws(draw: ScenarioRng) -> Scenario:
    """A cluster with two servers, and clients of each."""
    cluster = draw.cluster(users=1)
    caller = draw.pick(("admin", "kube-scheduler", cluster.users[0].name))
    wishes = chosen(cluster, "ca", caller, "etcd-server", "kube-apiserver", "apiserver-etcd-client")
    leaves = " ".join(one.name for one in wishes if one.kind is not Kind.CA)
    values = {**values_of(cluster), "caller": caller, "reason": draw.pick(_REASONS), "leaves": leaves}
    return Scenario(cluster, draw.now, wishes, values=values)


def conversations(scene: Scenario) -> tuple[Conversation, ...]:
    """All that is said in the cluster."""
    api, etcd = scene.values["api_ip"], scene.cluster.etcd[0].addresses[0]
    return (
        Conversation(scene.values["caller"], "kube-apiserver", api),
        Conversation("apiserver-etcd-client", "etcd-server", etcd),
        Conversation("etcd-server", "etcd-server", "127.0.0.1"),  # etcd's gateway dials etcd itself
    )


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The PKI folder, and a copy of it: what the machines have now."""
    ground.lay_out(scene)
    for path in sorted((ground.root / "pki").iterdir()):
        ground.put(f"rollouts/0/{path.name}", path.read_bytes(), path.stat().st_mode & 0o777)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """Each roll-out goes with the one before, and the last one knows the new CA alone."""
    sets = rolled_out(bench)
    first, last = sets[0], sets[-1]
    yield bench.trial("rollouts/0 is what the machines had when it began", lambda: _not_the_first(bench, first))
    yield from (_gone_over(*pair) for pair in itertools.pairwise(sets))
    where = bench.name(last.pki)
    yield bench.trial(f"in {where} a new CA is trusted, and it alone", lambda: _not_new_alone(bench, last))
    for wish in scene.wishes:
        if wish.kind is not Kind.CA:
            broken = [trial for trial in last.leaf(wish.name) if not trial.works]
            why = f"not so: {broken[0].what} ({broken[0].why})" if broken else ""
            yield Check(f"in {where} {wish.name} does all that it has to", not broken, why)
    yield bench.trial("what the old CA signed is refused at the end", lambda: _still_accepted(first, last))
    yield bench.trial(f"pki holds what was rolled out last, {where}", lambda: _differs(bench, last))
    yield bench.trial(
        "ca.key in pki is the key of the CA that is trusted",
        lambda: bench.unfit(bench.content(bench.pki / "ca.key"), "ca"),
    )
    yield bench.closed()
    yield bench.rules("pki")


def rolled_out(bench: Grader) -> list[Grader]:
    """Every set of files, in the order of their numbers, each on a bench of its own; at least the first."""
    folder = bench.root / "rollouts"
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal() and len(path.name) < 5]
    return [_set(bench, number) for number in sorted(numbers)[:MOST]] or [_set(bench, 0)]


def _set(bench: Grader, number: int) -> Grader:
    return replace(bench, scene=replace(bench.scene, folder=f"rollouts/{number}"))


def _not_the_first(bench: Grader, first: Grader) -> str | None:
    if first.pki.name != "0":
        return "rollouts/0 is not there"
    known = mark(first.certificate("ca")) == bench.marks.get("ca") and len(_authorities(first)) == 1
    if not known:
        return "it was changed"
    refused = [refusal for one in conversations(bench.scene) if (refusal := _refusal(first, first, one))]
    return refused[0] if refused else None


def _gone_over(before: Grader, after: Grader) -> Check:
    """The change from one set to the next, machine by machine."""

    def cut_off() -> str | None:
        for one in conversations(before.scene):
            for dialling, serving in ((after, after), (before, after), (after, before)):
                if refusal := _refusal(dialling, serving, one):
                    return refusal
        return None

    old, new = before.name(before.pki), after.name(after.pki)
    return before.trial(f"from {old} to {new} nobody is cut off, whichever machine comes first", cut_off)


def _refusal(dialling: Grader, serving: Grader, one: Conversation) -> str | None:
    """Why a client with the files of one set and a server with those of another do not come together."""
    scene = dialling.scene
    server = Server(serving.shown(scene.wish(one.server)), serving.trusted())
    client = Client(dialling.trusted(), dialling.shown(scene.wish(one.client)))
    refused = dialling.ring.refusal(server, client, one.dialled)
    if refused is None:
        return None
    here, there = dialling.name(dialling.pki), serving.name(serving.pki)
    return f"{one.client} with {here} dials {one.server} with {there}: {refused}"


def _authorities(bench: Grader) -> list[str]:
    return [block.pem for block in pem_blocks(bench.trusted()) if block.is_certificate]


def _not_new_alone(bench: Grader, last: Grader) -> str | None:
    count = len(_authorities(last))
    if count != 1:
        return f"ca.crt holds {count} certificates"
    found = last.certificate("ca")
    old = bench.marks.get("ca", "")
    if mark(found) == old or found.public_key.material == _first_key(bench):
        return "it is still the old CA's key"
    if not found.ca:
        return "what ca.crt holds may not sign certificates"
    return None


def _first_key(bench: Grader) -> str:
    return _set(bench, 0).certificate("ca").public_key.material


def _still_accepted(first: Grader, last: Grader) -> str | None:
    """Whether a certificate of the first set is good for anything in the last."""
    for one in conversations(first.scene):
        server = Server(last.shown(last.scene.wish(one.server)), last.trusted())
        if (
            last.ring.refusal(server, Client(last.trusted(), first.shown(first.scene.wish(one.client))), one.dialled)
            is None
        ):
            return f"{one.server} still lets in {one.client} with its old certificate"
    return None


def _differs(bench: Grader, last: Grader) -> str | None:
    for wish in bench.scene.wishes:
        name = str(wish.files.crt)
        if bench.content(bench.pki / name) != last.content(last.pki / name):
            return f"{name} differs"
    return None


LAB = Lab("rotate-the-ca", draws, builds, judges)
