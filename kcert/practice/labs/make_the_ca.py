"""A new cluster has a plan, and no CA yet."""

from __future__ import annotations

import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.openssl.pem import pem_blocks
from kcert.practice.grader import short_lived
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader


def generate(rng: ScenarioRng) -> Scenario:
    """Choose the layout, from which the CA's name follows, and a user whose request waits."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    specs = select_specs(cluster, "ca", cluster.users[0].name)
    ca = specs[0]
    assert ca.subject
    values = {
        **values_of(cluster),
        "subject": str(ca.subject),
        "said": ", ".join(f"{kind} {value}" for kind, value in ca.subject.parts),
        "years": f"{cluster.days.ca} days",
        "when": rng.pick(("on Monday", "tomorrow", "after lunch", "at three o'clock")),
    }
    return Scenario(cluster, rng.now, specs, values=values)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Write the config of the CA, and the request that waits."""
    from kcert.openssl.commands import render

    builder.describe(scenario)
    builder.write("pki/openssl-ca.cnf", render(scenario.spec("ca")))
    builder.ask(scenario.spec(scenario.values["user"]))
    (builder.root / "pki").chmod(0o700)


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that it is a CA, that it has the agreed name and dates, and that its signatures are accepted."""
    yield grader.check(
        "pki/ca.key is the key of pki/ca.crt", lambda: grader.unfit(grader.content(grader.pki / "ca.key"), "ca")
    )
    yield grader.check("pki/ca.crt has the agreed name", lambda: _misnamed(scenario, grader))
    yield grader.check("pki/ca.crt is self-signed", lambda: _not_alone(grader))
    yield grader.check("pki/ca.crt is valid for the agreed time", lambda: _short_lived(scenario, grader))
    yield grader.check("pki/ca.crt is an X.509 version 3 certificate with CA:TRUE", lambda: _not_a_ca(grader))
    yield grader.check("a certificate that it signs is accepted", lambda: _signs_in_vain(scenario, grader))
    if (grader.pki / "ca.key").exists():
        yield grader.private_keys_protected()
    if (grader.pki / "ca.crt").exists():
        yield grader.no_check_errors("pki")


def _not_a_ca(grader: Grader) -> str | None:
    """Return why it is not a CA. OpenSSL before 3.5 accepts a version 1 certificate as a CA; Kubernetes does not."""
    ca = grader.certificate("ca")
    if ca.version != 3:
        return f"it is version {ca.version}, which has no extensions"
    return None if ca.ca else "basicConstraints does not say CA:TRUE"


def _misnamed(scenario: Scenario, grader: Grader) -> str | None:
    subject = grader.certificate("ca").subject
    spec = scenario.spec("ca").subject
    assert spec
    if sorted(subject.parts) == sorted(spec.parts):
        return None
    return f"its name is {subject or 'empty'}"


def _not_alone(grader: Grader) -> str | None:
    count = sum(1 for block in pem_blocks(grader.trusted()) if block.is_certificate)
    if count != 1:
        return f"the file contains {count} certificates"
    ca = grader.certificate("ca")
    return None if ca.self_issued else f"its issuer is {ca.issuer}"


def _short_lived(scenario: Scenario, grader: Grader) -> str | None:
    ca, days = grader.certificate("ca"), scenario.cluster.days.ca
    if ca.not_after - grader.now > timedelta(days=days + 2):
        return f"it expires only on {ca.not_after:%Y-%m-%d}"
    return short_lived(ca, grader.now, timedelta(days=days - 30))


def _signs_in_vain(scenario: Scenario, grader: Grader) -> str | None:
    """Return why a certificate that this CA signs for the waiting request is not accepted; None if it is.

    It is signed outside the lab, with an openssl.cnf of kcert's own: the one in the folder may say anything.
    """

    from kcert.openssl.commands import render
    from kcert.shell import Command, read

    spec = scenario.spec(scenario.values["user"])
    grader.certificate("ca")
    csr, key = grader.content(grader.pki / str(spec.files.csr)), grader.content(grader.pki / spec.files.key)
    with tempfile.TemporaryDirectory(prefix="kcert-") as name:
        folder = Path(name)
        for file in ("ca.crt", "ca.key"):
            (folder / file).write_bytes(grader.content(grader.pki / file))
        (folder / "openssl.cnf").write_text(render(spec), encoding="utf-8")
        argv = (
            *(grader.openssl, "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "90"),
            *("-set_serial", str(secrets.randbits(60)), "-extensions", "v3_req", "-extfile", "openssl.cnf"),
        )
        signed = read(Command(argv, folder), csr)
    if not signed.succeeded:
        return "openssl cannot sign with it"
    leaf = Credentials(signed.stdout, key)
    return grader.tls.refusal(Server(leaf, grader.trusted()), Client(None, leaf), "localhost")


LAB = Lab("make-the-ca", generate, setup, grade)
