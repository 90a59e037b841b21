"""Two people ask the cluster for a certificate, and one of them asks to be somebody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Subject
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import APPROVED, DENIED, SigningRequest, parse, text
from kcert.openssl import cnf
from kcert.openssl.read import X509, Request, read_certificate, read_request
from kcert.practice.draw import ScenarioRng, chosen, values_of
from kcert.practice.grading import AbsentError, short_lived, user
from kcert.practice.ground import Make
from kcert.practice.lab import Check, Lab, Scenario
from kcert.shell import Command, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.certificates import Certificate
    from kcert.practice.grading import Grader
    from kcert.practice.ground import LabBuilder

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


def draws(draw: ScenarioRng) -> Scenario:
    """Who asks, and what the stranger wants to become."""
    cluster = draw.cluster(users=1)
    good = cluster.users[0]
    stranger = draw.pick(_STRANGERS)
    name, group = draw.pick(_WANTS_TO_BE)
    own = draw.group()
    wanted = ((name or stranger).format(plane=cluster.control_plane[0].name), group or own)
    values = {
        **values_of(cluster),
        "stranger": stranger,
        "strangers_group": own,
        "wants_name": wanted[0],
        "wants_group": wanted[1],
        "minutes": str(draw.number(12, 55)),
        "good_cell": good.name.ljust(13),
        "stranger_cell": stranger.ljust(13),
    }
    wishes = chosen(cluster, "ca", good.name)
    kept = tuple(f"{FOLDER}/{one}.csr" for one in (good.name, stranger))
    return Scenario(cluster, draw.now, wishes, values=values, kept=kept)


def asked(scene: Scenario) -> tuple[Certificate, Certificate]:
    """What the two ask for, the good one first; their files lie among the requests."""
    good = scene.wish(scene.values["user"])
    stranger = scene.values["stranger"]
    subject = Subject(scene.values["wants_name"], (scene.values["wants_group"],))
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


def builds(scene: Scenario, ground: LabBuilder) -> None:
    """The CA, and the two objects as kubectl gives them. The keys are not here: their owners have them."""
    ground.describe(scene)
    ground.make([Make(scene.wish("ca"))])
    ground.write("pki/openssl-client.cnf", cnf.render(scene.wish(scene.values["user"])))
    requests = ground.root / FOLDER
    for one in asked(scene):
        ground.ask(one, FOLDER)
        (requests / one.files.key).unlink()
        assert one.files.cnf
        (requests / one.files.cnf).unlink()
        assert one.files.csr
        pem = (requests / one.files.csr).read_bytes()
        made = SigningRequest(one.name, pem, signers.CLIENT, signers.SIGNERS[signers.CLIENT].usages("ec"))
        ground.write(f"{FOLDER}/{one.name}-csr.yaml", text(made))


def judges(scene: Scenario, bench: Grader) -> Iterator[Check]:
    """The one has the certificate that was asked for, the other has a plain no."""
    good, stranger = scene.values["user"], scene.values["stranger"]
    yield bench.trial(f"{good}'s request is decided as it should be", lambda: _undecided(bench, good, APPROVED))
    yield bench.trial(f"{stranger}'s request is decided as it should be", lambda: _undecided(bench, stranger, DENIED))
    yield bench.trial(f"{good} can get the certificate that was asked for", lambda: _not_given(bench, good))
    yield bench.trial(f"{stranger} gets no certificate", lambda: _given(bench, stranger))
    yield bench.kept("both requests are as they came")
    yield bench.authority()
    yield bench.closed()


def _object(bench: Grader, name: str) -> SigningRequest:
    path = bench.root / FOLDER / f"{name}-csr.yaml"
    try:
        found = parse(bench.content(path), bench.name(path))
    except InputError as error:
        raise AbsentError(str(error).rstrip(".")) from None
    if found.request.strip() != bench.content(path.with_name(f"{name}.csr")).strip():
        raise AbsentError(f"{bench.name(path)} holds another request than {name} made")
    return found


def _undecided(bench: Grader, name: str, right: str) -> str | None:
    found = _object(bench, name)
    decisions = [kind for kind in (APPROVED, DENIED) if found.condition(kind)]
    if not decisions:
        return "nobody has decided about it"
    if len(decisions) > 1:
        return "it is approved and denied, which the API server never allows"
    return None if decisions == [right] else "the decision is not the right one"


def _given(bench: Grader, name: str) -> str | None:
    return "there is one in the object" if _object(bench, name).certificate else None


def _not_given(bench: Grader, name: str) -> str | None:
    found = _object(bench, name)
    if found.certificate is None:
        return "there is none in the object"
    certificate = read_certificate(bench.openssl, found.certificate.decode("ascii", "replace"))
    request = read_request(bench.openssl, found.request.decode("ascii", "replace"))
    if not isinstance(certificate, X509) or not isinstance(request, Request):
        return "what is in the object is no certificate"
    if certificate.public_key.material != request.public_key.material:
        return "it is for another key than the request"
    if certificate.subject != request.subject:
        return f"it makes its holder {user(certificate.subject.common_name, certificate.subject.organizations)}"
    if certificate.ca or not certificate.may_dial or certificate.may_serve:
        return "it is not for a client alone"
    return short_lived(certificate, bench.now) or _unsigned(bench, certificate)


def _unsigned(bench: Grader, certificate: X509) -> str | None:
    said = read(
        Command((bench.openssl, "verify", "-purpose", "sslclient", "-CAfile", str(bench.pki / "ca.crt"))),
        certificate.pem.encode(),
    )
    return None if said.succeeded else "the cluster's CA does not vouch for it"


LAB = Lab("two-requests", draws, builds, judges)
