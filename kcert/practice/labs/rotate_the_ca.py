"""A new CA without an outage: the checks compare the sets of files that were rolled out, one after the other.

While a set is rolled out, machines that have it talk to machines that have the one before. So each of two consecutive
sets has to accept the other. The steps, and their number, are up to the learner.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.practice.grader import Check, Grader, mark
from kcert.practice.handshakes import Client, Server
from kcert.practice.lab import Lab
from kcert.practice.scenario import Connection, Scenario, ScenarioRng

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.scenario import LabBuilder

MOST = 20
"""The most sets that are checked."""

_REASONS = (
    "the laptop of a colleague who had a copy of ca.key was stolen on the train",
    "someone pushed ca.key to a git repository, and it was public for a weekend",
    "the company that set up the cluster has left, and took a copy of ca.key along",
)


def generate(rng: ScenarioRng) -> Scenario:
    """Make a cluster with two servers, and clients of each."""
    cluster = rng.cluster(users=1)
    caller = rng.pick(("admin", "kube-scheduler", cluster.users[0].name))
    scenario = rng.scenario(cluster, "ca", caller, "etcd-server", "kube-apiserver", "apiserver-etcd-client")
    leaves = " ".join(spec.name for spec in scenario.specs if spec.kind is not Kind.CA)
    connections = (
        Connection(caller, "kube-apiserver", scenario.values["api_ip"]),
        Connection("apiserver-etcd-client", "etcd-server", cluster.etcd[0].addresses[0]),
        Connection("etcd-server", "etcd-server", "127.0.0.1"),  # etcd's gateway
    )
    return replace(scenario, connections=connections).saying(caller=caller, reason=rng.pick(_REASONS), leaves=leaves)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the PKI folder, and a copy of it: the files that the machines have now."""
    builder.lay_out(scenario)
    for path in sorted((builder.root / "pki").iterdir()):
        builder.put(f"rollouts/0/{path.name}", path.read_bytes(), path.stat().st_mode & 0o777)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that each set of files works with the one before, and that the last one trusts only the new CA."""
    sets = rolled_out(grader)
    first, last = sets[0], sets[-1]
    yield grader.check(
        "rollouts/0 contains the files that the machines had at the start", lambda: _not_the_first(grader, first)
    )
    yield from (_gone_over(*pair) for pair in itertools.pairwise(sets))
    if len(sets) == 1:  # the last set does not exist yet
        for what in (
            "the last set of files trusts only a new CA",
            "certificates of the old CA are rejected at the end",
        ):
            yield Check(what, works=False, why="there is no set of files after rollouts/0", pending=True)
        return
    where = grader.name(last.pki)
    yield grader.check(f"{where} trusts only a new CA", lambda: _not_new_alone(grader, last))
    for spec in scenario.specs:
        if spec.kind is not Kind.CA:
            yield last.still_works(f"{spec.name} in {where} works", "this fails", spec)
    yield grader.check("certificates of the old CA are rejected at the end", lambda: _still_accepted(first, last))
    yield grader.check(f"pki contains the last set of files, {where}", lambda: _differs(grader, last))
    yield grader.check(
        "pki/ca.key is the key of the trusted CA",
        lambda: grader.unfit(grader.content(grader.pki / "ca.key"), "ca"),
    )
    yield grader.private_keys_protected()
    yield grader.no_check_errors("pki")


def rolled_out(grader: Grader) -> list[Grader]:
    """Return a grader for every set of files, in the order of their numbers; at least the first."""
    folder = grader.root / "rollouts"
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal() and len(path.name) < 5]
    return [_set(grader, number) for number in sorted(numbers)[:MOST]] or [_set(grader, 0)]


def _set(grader: Grader, number: int) -> Grader:
    return replace(grader, scenario=replace(grader.scenario, folder=f"rollouts/{number}"))


def _not_the_first(grader: Grader, first: Grader) -> str | None:
    if first.pki.name != "0":
        return "rollouts/0 does not exist"
    if mark(first.certificate("ca")) != grader.marks.get("ca") or first.count_of_cas() != 1:
        return "it was changed"
    return next(filter(None, (_refusal(first, first, each) for each in grader.scenario.connections)), None)


def _gone_over(before: Grader, after: Grader) -> Check:
    """Check the change from one set to the next, machine by machine."""

    def cut_off() -> str | None:
        for connection in before.scenario.connections:
            for connecting, serving in ((after, after), (before, after), (after, before)):
                if refusal := _refusal(connecting, serving, connection):
                    return refusal
        return None

    old, new = before.name(before.pki), after.name(after.pki)
    return before.check(f"from {old} to {new} every client stays connected, whichever machine comes first", cut_off)


def _refusal(connecting: Grader, serving: Grader, connection: Connection) -> str | None:
    """Return why a client with one set of files does not connect to a server with another; None if it does."""
    scenario = connecting.scenario
    server = Server(serving.shown(scenario.spec(connection.server)), serving.trusted())
    client = Client(connecting.trusted(), connecting.shown(scenario.spec(connection.client)))
    refused = connecting.tls.refusal(server, client, connection.server_name)
    if refused is None:
        return None
    client_name, server_name = connecting.name(connecting.pki), serving.name(serving.pki)
    return f"{connection.client} with {client_name} connects to {connection.server} with {server_name}: {refused}"


def _not_new_alone(grader: Grader, last: Grader) -> str | None:
    count = last.count_of_cas()
    if count != 1:
        return f"ca.crt contains {count} certificates"
    ca = last.certificate("ca")
    old = grader.marks.get("ca", "")
    if mark(ca) == old or ca.public_key == _set(grader, 0).certificate("ca").public_key:
        return "it still has the key of the old CA"
    if not ca.ca:
        return "the certificate in ca.crt is not a CA"
    return None


def _still_accepted(first: Grader, last: Grader) -> str | None:
    """Return which certificate of the first set a server of the last set still accepts; None if it accepts none."""
    for each in first.scenario.connections:
        server = Server(last.shown(last.scenario.spec(each.server)), last.trusted())
        client = Client(last.trusted(), first.shown(first.scenario.spec(each.client)))
        if last.tls.refusal(server, client, each.server_name) is None:
            return f"{each.server} still accepts {each.client} with its old certificate"
    return None


def _differs(grader: Grader, last: Grader) -> str | None:
    for spec in grader.scenario.specs:
        name = str(spec.files.crt)
        if grader.content(grader.pki / name) != last.content(last.pki / name):
            return f"{name} differs"
    return None


LABS = (Lab("rotate-the-ca", generate, setup, grade),)
