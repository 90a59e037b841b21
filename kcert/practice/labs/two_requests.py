"""Two users request a certificate, and one of them requests the identity of another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Subject
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import APPROVED, DENIED, SigningRequest, parse, text
from kcert.openssl.commands import render
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request
from kcert.practice.builder import Make
from kcert.practice.grader import AbsentError, NotYetError, short_lived, user
from kcert.practice.lab import Check, Lab, Scenario
from kcert.practice.rng import ScenarioRng, select_specs, values_of
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import Certificate
    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader

FOLDER = "requests"

_STRANGERS = ("agent-smith", "agent-jones", "agent-brown", "mr-smith", "neo", "trinity")

_WANTS_TO_BE = (
    (None, "kubeadm:cluster-admins"),
    ("system:kube-controller-manager", None),
    ("system:kube-scheduler", "system:kube-scheduler"),
    ("system:node:{plane}", "system:nodes"),
    ("kubernetes-admin", "kubeadm:cluster-admins"),
)
"""CN and O that the second user requests (None: their own). The API server accepts all of these objects."""


def generate(rng: ScenarioRng) -> Scenario:
    """Choose the two users, and the identity that the second one requests."""
    cluster = rng.cluster(users=1)
    good = cluster.users[0]
    stranger = rng.pick(_STRANGERS)
    name, group = rng.pick(_WANTS_TO_BE)
    own = rng.group()
    wanted = ((name or stranger).format(plane=cluster.control_plane[0].name), group or own)
    values = {
        **values_of(cluster),
        "stranger": stranger,
        "strangers_group": own,
        "wants_name": wanted[0],
        "wants_group": wanted[1],
        "minutes": str(rng.number(12, 55)),
        "good_cell": good.name.ljust(13),
        "stranger_cell": stranger.ljust(13),
    }
    specs = select_specs(cluster, "ca", good.name)
    kept = tuple(f"{FOLDER}/{name}.csr" for name in (good.name, stranger))
    return Scenario(cluster, rng.now, specs, values=values, kept=kept)


def asked(scenario: Scenario) -> tuple[Certificate, Certificate]:
    """Return what the two users request, the good one first, with their files in the folder of requests."""
    good = scenario.spec(scenario.values["user"])
    stranger = scenario.values["stranger"]
    subject = Subject(scenario.values["wants_name"], (scenario.values["wants_group"],))
    return _in_folder(good, good.name), _in_folder(replace(good, name=stranger, subject=subject), stranger)


def _in_folder(certificate: Certificate, stem: str) -> Certificate:
    files = replace(
        certificate.files,
        key=PurePosixPath(f"{stem}.key"),
        csr=PurePosixPath(f"{stem}.csr"),
        crt=None,
        cnf=PurePosixPath(f"openssl-{stem}.cnf"),
    )
    return replace(certificate, files=files)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the CA and the two objects as kubectl prints them, without the keys, which the users keep."""
    builder.describe(scenario)
    builder.make([Make(scenario.spec("ca"))])
    builder.write("pki/openssl-client.cnf", render(scenario.spec(scenario.values["user"])))
    requests = builder.root / FOLDER
    for certificate in asked(scenario):
        builder.ask(certificate, FOLDER)
        (requests / certificate.files.key).unlink()
        assert certificate.files.cnf
        (requests / certificate.files.cnf).unlink()
        assert certificate.files.csr
        pem = (requests / certificate.files.csr).read_bytes()
        made = SigningRequest(certificate.name, pem, signers.CLIENT, signers.SIGNERS[signers.CLIENT].usages("ec"))
        builder.write(f"{FOLDER}/{certificate.name}-csr.yaml", text(made))


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that one request has its certificate, and that the other is denied."""
    good, stranger = scenario.values["user"], scenario.values["stranger"]
    yield grader.check(f"{good}'s request has the right decision", lambda: _undecided(grader, good, APPROVED))
    yield grader.check(f"{stranger}'s request has the right decision", lambda: _undecided(grader, stranger, DENIED))
    yield grader.check(f"{good} can get the certificate that was asked for", lambda: _not_given(grader, good))
    yield grader.check(f"{stranger} gets no certificate", lambda: _given(grader, stranger))
    yield grader.kept("both requests are unchanged")
    yield grader.same_ca()
    yield grader.private_keys_protected()


def _object(grader: Grader, name: str) -> SigningRequest:
    path = grader.root / FOLDER / f"{name}-csr.yaml"
    try:
        request = parse(grader.content(path), grader.name(path))
    except InputError as error:
        raise AbsentError(str(error).rstrip(".")) from None
    if request.request.strip() != grader.content(path.with_name(f"{name}.csr")).strip():
        raise AbsentError(f"{grader.name(path)} contains another request than the one of {name}")
    return request


def _decisions(request: SigningRequest) -> list[str]:
    """Return how *request* was decided; raises NotYetError while it is pending."""
    decisions = [kind for kind in (APPROVED, DENIED) if request.condition(kind)]
    if not decisions:
        raise NotYetError("it is neither approved nor denied")
    return decisions


def _undecided(grader: Grader, name: str, right: str) -> str | None:
    decisions = _decisions(_object(grader, name))
    if len(decisions) > 1:
        return "it is approved and denied, which the API server does not allow"
    return None if decisions == [right] else "the decision is not the right one"


def _given(grader: Grader, name: str) -> str | None:
    request = _object(grader, name)
    if request.certificate:
        return "the object contains one"
    _decisions(request)
    return None


def _not_given(grader: Grader, name: str) -> str | None:
    csr = _object(grader, name)
    if csr.certificate is None:
        raise NotYetError("the object contains no certificate")
    certificate = read_certificate(csr.certificate.decode("ascii", "replace"))
    request = read_request(csr.request.decode("ascii", "replace"))
    if not isinstance(certificate, X509) or not isinstance(request, Request):
        return "the content of the object is not a certificate"
    if certificate.public_key.material != request.public_key.material:
        return "it has another key than the request"
    if certificate.subject != request.subject:
        return f"its owner is {user(certificate.subject.common_name, certificate.subject.organizations)}"
    if certificate.ca or not certificate.allows_client_auth or certificate.allows_server_auth:
        return "it is not only for a client"
    return short_lived(certificate, grader.now) or _unsigned(grader, certificate)


def _unsigned(grader: Grader, certificate: X509) -> str | None:
    said = read(
        Command((grader.openssl, "verify", "-purpose", "sslclient", "-CAfile", str(grader.pki / "ca.crt"))),
        certificate.pem.encode(),
    )
    return None if said.succeeded else "the CA of the cluster has not signed it"


LAB = Lab("two-requests", generate, setup, grade)
