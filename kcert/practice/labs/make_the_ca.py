"""A cluster begins: it has a plan, and no CA yet."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from kcert.openssl.pem import pem_blocks
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.grading import short_lived
from kcert.practice.handshakes import Client, Server, Shown
from kcert.practice.lab import Check, Lab, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder


def draws(draw: ScenarioRng) -> Scenario:
    """What the CA is called follows from the way in which the cluster is set up; what waits for it does, too."""
    cluster = draw.cluster(draw.pick(("course", "hardway")), users=1)
    wishes = chosen(cluster, "ca", cluster.users[0].name)
    ca = wishes[0]
    assert ca.subject
    values = {
        **values_of(cluster),
        "subject": str(ca.subject),
        "said": ", ".join(f"{kind} {value}" for kind, value in ca.subject.parts),
        "years": f"{cluster.days.ca} days",
        "when": draw.pick(("on Monday", "tomorrow", "after lunch", "at three o'clock")),
    }
    return Scenario(cluster, draw.now, wishes, values=values)


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The settings, and somebody's request that waits."""
    from kcert.openssl import cnf

    ground.describe(scene)
    ground.write("pki/openssl-ca.cnf", cnf.render(scene.wish("ca")))
    ground.ask(scene.wish(scene.values["user"]))
    (ground.root / "pki").chmod(0o700)


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """It is a CA, it is the one that was asked for, and what it signs is accepted."""
    yield bench.trial(
        "pki/ca.key is the key of pki/ca.crt", lambda: bench.unfit(bench.content(bench.pki / "ca.key"), "ca")
    )
    yield bench.trial("pki/ca.crt is called as it was agreed", lambda: _misnamed(scene, bench))
    yield bench.trial("pki/ca.crt has signed itself", lambda: _not_alone(bench))
    yield bench.trial("it lasts as long as it was agreed", lambda: _short_lived(scene, bench))
    yield bench.trial("what it signs is accepted", lambda: _signs_in_vain(scene, bench))
    yield bench.closed()
    yield bench.rules("pki")


def _misnamed(scene: Scenario, bench: Grader) -> str | None:
    found = bench.certificate("ca").subject
    wish = scene.wish("ca").subject
    assert wish
    if sorted(found.parts) == sorted(wish.parts):
        return None
    return f"it is called {found or 'nothing'}"


def _not_alone(bench: Grader) -> str | None:
    count = sum(1 for block in pem_blocks(bench.trusted()) if block.is_certificate)
    if count != 1:
        return f"the file holds {count} certificates"
    found = bench.certificate("ca")
    return None if found.self_issued else f"its issuer is {found.issuer}"


def _short_lived(scene: Scenario, bench: Grader) -> str | None:
    found, days = bench.certificate("ca"), scene.cluster.days.ca
    if found.not_after - bench.now > timedelta(days=days + 2):
        return f"it ends only on {found.not_after:%Y-%m-%d}"
    return short_lived(found, bench.now, timedelta(days=days - 30))


def _signs_in_vain(scene: Scenario, bench: Grader) -> str | None:
    """Have it sign the request that waits, and let somebody dial with that."""
    from kcert.shell import Command, read

    wish = scene.wish(scene.values["user"])
    bench.certificate("ca")
    shown = bench.content(bench.pki / str(wish.files.csr)), bench.content(bench.pki / wish.files.key)
    signed = read(
        Command(
            (
                *(bench.openssl, "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "90"),
                *("-set_serial", str(secrets.randbits(60)), "-extensions", "v3_req", "-extfile", str(wish.files.cnf)),
            ),
            bench.pki,
        ),
        shown[0],
    )
    if not signed.succeeded:
        return "openssl cannot sign with it"
    leaf = Shown(signed.stdout, shown[1])
    return bench.ring.refusal(Server(leaf, bench.trusted()), Client(None, leaf), "localhost")


LAB = Lab("make-the-ca", draws, builds, judges)
