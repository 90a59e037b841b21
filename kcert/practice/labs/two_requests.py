"""Two people ask the cluster for a certificate, and one of them asks to be somebody else."""

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
"""CN and O of what the stranger asks for (None: his own). None of it is refused when the object is created."""


def generate(rng: ScenarioRng) -> Scenario:
    """Who asks, and what the stranger wants to become."""
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
    kept = tuple(f"{FOLDER}/{one}.csr" for one in (good.name, stranger))
    return Scenario(cluster, rng.now, specs, values=values, kept=kept)


def asked(scenario: Scenario) -> tuple[Certificate, Certificate]:
    """What the two ask for, the good one first; their files lie among the requests."""
    good = scenario.spec(scenario.values["user"])
    stranger = scenario.values["stranger"]
    subject = Subject(scenario.values["wants_name"], (scenario.values["wants_group"],))
    return _in_folder(good, good.name), _in_folder(replace(good, name=stranger, subject=subject), stranger)


def _in_folder(one: Certificate, stem: str) -> Certificate:
    files = replace(
        one.files,
        key=PurePosixPath(f"{stem}.key"),
        csr=PurePosixPath(f"{stem}.csr"),
        crt=None,
        cnf=PurePosixPath(f"openssl-{stem}.cnf"),
    )
    return replace(one, files=files)


def setup(scenario: Scenario, builder: LabBuilder) -> None:
    """The CA, and the two objects as kubectl gives them. The keys are not here: their owners have them."""
    builder.describe(scenario)
    builder.make([Make(scenario.spec("ca"))])
    builder.write("pki/openssl-client.cnf", render(scenario.spec(scenario.values["user"])))
    requests = builder.root / FOLDER
    for one in asked(scenario):
        builder.ask(one, FOLDER)
        (requests / one.files.key).unlink()
        assert one.files.cnf
        (requests / one.files.cnf).unlink()
        assert one.files.csr
        pem = (requests / one.files.csr).read_bytes()
        made = SigningRequest(one.name, pem, signers.CLIENT, signers.SIGNERS[signers.CLIENT].usages("ec"))
        builder.write(f"{FOLDER}/{one.name}-csr.yaml", text(made))


def grade(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """The one has the certificate that was asked for, the other has a plain no."""
    good, stranger = scenario.values["user"], scenario.values["stranger"]
    yield grader.check(f"{good}'s request is decided as it should be", lambda: _undecided(grader, good, APPROVED))
    yield grader.check(f"{stranger}'s request is decided as it should be", lambda: _undecided(grader, stranger, DENIED))
    yield grader.check(f"{good} can get the certificate that was asked for", lambda: _not_given(grader, good))
    yield grader.check(f"{stranger} gets no certificate", lambda: _given(grader, stranger))
    yield grader.kept("both requests are as they came")
    yield grader.authority()
    yield grader.private_keys_protected()


def _object(grader: Grader, name: str) -> SigningRequest:
    path = grader.root / FOLDER / f"{name}-csr.yaml"
    try:
        found = parse(grader.content(path), grader.name(path))
    except InputError as error:
        raise AbsentError(str(error).rstrip(".")) from None
    if found.request.strip() != grader.content(path.with_name(f"{name}.csr")).strip():
        raise AbsentError(f"{grader.name(path)} holds another request than {name} made")
    return found


def _decisions(request: SigningRequest) -> list[str]:
    """Return how *request* was decided; raises NotYetError while it is pending."""
    decisions = [kind for kind in (APPROVED, DENIED) if request.condition(kind)]
    if not decisions:
        raise NotYetError("it is neither approved nor denied")
    return decisions


def _undecided(grader: Grader, name: str, right: str) -> str | None:
    decisions = _decisions(_object(grader, name))
    if len(decisions) > 1:
        return "it is approved and denied, which the API server never allows"
    return None if decisions == [right] else "the decision is not the right one"


def _given(grader: Grader, name: str) -> str | None:
    request = _object(grader, name)
    if request.certificate:
        return "there is one in the object"
    _decisions(request)
    return None


def _not_given(grader: Grader, name: str) -> str | None:
    found = _object(grader, name)
    if found.certificate is None:
        raise NotYetError("there is none in the object")
    certificate = read_certificate(found.certificate.decode("ascii", "replace"))
    request = read_request(found.request.decode("ascii", "replace"))
    if not isinstance(certificate, X509) or not isinstance(request, Request):
        return "what is in the object is not a certificate"
    if certificate.public_key.material != request.public_key.material:
        return "it is for another key than the request"
    if certificate.subject != request.subject:
        return f"it makes its holder {user(certificate.subject.common_name, certificate.subject.organizations)}"
    if certificate.ca or not certificate.may_dial or certificate.may_serve:
        return "it is not for a client alone"
    return short_lived(certificate, grader.now) or _unsigned(grader, certificate)


def _unsigned(grader: Grader, certificate: X509) -> str | None:
    said = read(
        Command((grader.openssl, "verify", "-purpose", "sslclient", "-CAfile", str(grader.pki / "ca.crt"))),
        certificate.pem.encode(),
    )
    return None if said.succeeded else "the cluster's CA does not vouch for it"


LAB = Lab("two-requests", generate, setup, grade)
