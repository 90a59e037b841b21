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
from kcert.practice.grader import Grader, mark
from kcert.practice.handshakes import Client, Server
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder

MOST = 20
"""So many sets are looked at."""

_REASONS = (
    "the laptop of a colleague who had a copy of ca.key was stolen on the train",
    "someone pushed ca.key to a git repository, and it was public for a weekend",
    "the company that set up the cluster has left, and took a copy of ca.key along",
)


@dataclass(frozen=True)
class Conversation:
    """Who dials whom, and by which name."""

    client: str
    server: str
    server_name: str


def generate(rng: ScenarioRng) -> Scenario:
    """A cluster with two servers, and clients of each."""
    cluster = rng.cluster(users=1)
    caller = rng.pick(("admin", "kube-scheduler", cluster.users[0].name))
    specs = select_specs(cluster, "ca", caller, "etcd-server", "kube-apiserver", "apiserver-etcd-client")
    leaves = " ".join(one.name for one in specs if one.kind is not Kind.CA)
    values = {**values_of(cluster), "caller": caller, "reason": rng.pick(_REASONS), "leaves": leaves}
    return Scenario(cluster, rng.now, specs, values=values)


def conversations(scenario: Scenario) -> tuple[Conversation, ...]:
    """All that is said in the cluster."""
    api, etcd = scenario.values["api_ip"], scenario.cluster.etcd[0].addresses[0]
    return (
        Conversation(scenario.values["caller"], "kube-apiserver", api),
        Conversation("apiserver-etcd-client", "etcd-server", etcd),
        Conversation("etcd-server", "etcd-server", "127.0.0.1"),  # etcd's gateway dials etcd itself
    )


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """The PKI folder, and a copy of it: what the machines have now."""
    builder.lay_out(scenario)
    for path in sorted((builder.root / "pki").iterdir()):
        builder.put(f"rollouts/0/{path.name}", path.read_bytes(), path.stat().st_mode & 0o777)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Each roll-out goes with the one before, and the last one knows the new CA alone."""
    sets = rolled_out(grader)
    first, last = sets[0], sets[-1]
    yield grader.check("rollouts/0 is what the machines had when it began", lambda: _not_the_first(grader, first))
    yield from (_gone_over(*pair) for pair in itertools.pairwise(sets))
    if len(sets) == 1:
        yield from _not_begun()
        return
    where = grader.name(last.pki)
    yield grader.check(f"in {where} a new CA is trusted, and it alone", lambda: _not_new_alone(grader, last))
    for spec in scenario.specs:
        if spec.kind is not Kind.CA:
            broken = [check for check in last.leaf(spec.name) if not check.works]
            why = f"not so: {broken[0].what} ({broken[0].why})" if broken else ""
            yield Check(f"in {where} {spec.name} does all that it has to", not broken, why)
    yield grader.check("what the old CA signed is refused at the end", lambda: _still_accepted(first, last))
    yield grader.check(f"pki holds what was rolled out last, {where}", lambda: _differs(grader, last))
    yield grader.check(
        "ca.key in pki is the key of the CA that is trusted",
        lambda: grader.unfit(grader.content(grader.pki / "ca.key"), "ca"),
    )
    yield grader.private_keys_protected()
    yield grader.no_check_errors("pki")


def _not_begun() -> Iterator[Check]:
    """Before the first new set of files nothing can be said about the end."""
    for what in ("the last set of files trusts a new CA, and it alone", "what the old CA signed is refused at the end"):
        yield Check(what, works=False, why="there is no set of files after rollouts/0", pending=True)


def rolled_out(grader: Grader) -> list[Grader]:
    """Every set of files, in the order of their numbers, each on a bench of its own; at least the first."""
    folder = grader.root / "rollouts"
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal() and len(path.name) < 5]
    return [_set(grader, number) for number in sorted(numbers)[:MOST]] or [_set(grader, 0)]


def _set(grader: Grader, number: int) -> Grader:
    return replace(grader, scenario=replace(grader.scenario, folder=f"rollouts/{number}"))


def _not_the_first(grader: Grader, first: Grader) -> str | None:
    if first.pki.name != "0":
        return "rollouts/0 is not there"
    known = mark(first.certificate("ca")) == grader.marks.get("ca") and len(_authorities(first)) == 1
    if not known:
        return "it was changed"
    refused = [refusal for one in conversations(grader.scenario) if (refusal := _refusal(first, first, one))]
    return refused[0] if refused else None


def _gone_over(before: Grader, after: Grader) -> Check:
    """The change from one set to the next, machine by machine."""

    def cut_off() -> str | None:
        for one in conversations(before.scenario):
            for connecting, serving in ((after, after), (before, after), (after, before)):
                if refusal := _refusal(connecting, serving, one):
                    return refusal
        return None

    old, new = before.name(before.pki), after.name(after.pki)
    return before.check(f"from {old} to {new} nobody is cut off, whichever machine comes first", cut_off)


def _refusal(connecting: Grader, serving: Grader, one: Conversation) -> str | None:
    """Why a client with the files of one set and a server with those of another do not come together."""
    scenario = connecting.scenario
    server = Server(serving.shown(scenario.spec(one.server)), serving.trusted())
    client = Client(connecting.trusted(), connecting.shown(scenario.spec(one.client)))
    refused = connecting.tls.refusal(server, client, one.server_name)
    if refused is None:
        return None
    here, there = connecting.name(connecting.pki), serving.name(serving.pki)
    return f"{one.client} with {here} dials {one.server} with {there}: {refused}"


def _authorities(grader: Grader) -> list[str]:
    return [block.pem for block in pem_blocks(grader.trusted()) if block.is_certificate]


def _not_new_alone(grader: Grader, last: Grader) -> str | None:
    count = len(_authorities(last))
    if count != 1:
        return f"ca.crt holds {count} certificates"
    found = last.certificate("ca")
    old = grader.marks.get("ca", "")
    if mark(found) == old or found.public_key.material == _first_key(grader):
        return "it is still the old CA's key"
    if not found.ca:
        return "what ca.crt holds may not sign certificates"
    return None


def _first_key(grader: Grader) -> str:
    return _set(grader, 0).certificate("ca").public_key.material


def _still_accepted(first: Grader, last: Grader) -> str | None:
    """Whether a certificate of the first set is good for anything in the last."""
    for one in conversations(first.scenario):
        server = Server(last.shown(last.scenario.spec(one.server)), last.trusted())
        if (
            last.tls.refusal(
                server, Client(last.trusted(), first.shown(first.scenario.spec(one.client))), one.server_name
            )
            is None
        ):
            return f"{one.server} still lets in {one.client} with its old certificate"
    return None


def _differs(grader: Grader, last: Grader) -> str | None:
    for spec in grader.scenario.specs:
        name = str(spec.files.crt)
        if grader.content(grader.pki / name) != last.content(last.pki / name):
            return f"{name} differs"
    return None


LAB = Lab("rotate-the-ca", generate, setup, grade)
