"""Labs in which something has to be signed: a CA, a client's certificate, the requests of users."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from kcert.certificates import Files, Subject
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import APPROVED, DENIED, SigningRequest, parse, text
from kcert.openssl.commands import render, signature
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request
from kcert.practice.grader import AbsentError, Check, Grader, NotYetError, short_lived, user
from kcert.practice.handshakes import Client, Credentials, Server
from kcert.practice.lab import Lab, grade
from kcert.practice.scenario import LabBuilder, Scenario, ScenarioRng
from kcert.shell import Command, read

# A new cluster has a plan, and no CA yet.


def generate_make_the_ca(rng: ScenarioRng) -> Scenario:
    """Choose the layout, from which the CA's name follows, and a user whose request waits."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    scenario = rng.scenario(cluster, "ca", cluster.users[0].name)
    subject = scenario.subject("ca")
    return scenario.saying(
        subject=str(subject),
        said=", ".join(f"{kind} {value}" for kind, value in subject.parts),
        years=f"{cluster.days.ca} days",
        when=rng.pick(("on Monday", "tomorrow", "after lunch", "at three o'clock")),
    )


def setup_make_the_ca(scenario: Scenario, builder: LabBuilder) -> None:
    """Write the config of the CA, and the request that waits."""
    builder.describe()
    builder.ask(scenario.spec(scenario.values["user"]))
    builder.write("pki/openssl-ca.cnf", render(scenario.spec("ca")))


def grade_make_the_ca(scenario: Scenario, grader: Grader) -> Iterator[Check]:
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
    """Return why it does not say that it is a CA; openssl and Go accept a root of version 1, which cannot say it."""
    ca = grader.certificate("ca")
    if ca.version != 3:
        return f"it is version {ca.version}, which has no extensions, so it cannot contain CA:TRUE"
    return None if ca.ca else "basicConstraints does not say CA:TRUE"


def _misnamed(scenario: Scenario, grader: Grader) -> str | None:
    subject = grader.certificate("ca").subject
    right = sorted(subject.parts) == sorted(scenario.subject("ca").parts)
    return None if right else f"its name is {subject or 'empty'}"


def _not_alone(grader: Grader) -> str | None:
    count = grader.count_of_cas()
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

    spec = scenario.spec(scenario.values["user"])
    grader.certificate("ca")
    csr, key = grader.content(grader.pki / str(spec.files.csr)), grader.content(grader.pki / spec.files.key)
    with tempfile.TemporaryDirectory(prefix="kcert-") as name:
        folder = Path(name)
        for file in ("ca.crt", "ca.key"):
            (folder / file).write_bytes(grader.content(grader.pki / file))
        (folder / "client.csr").write_bytes(csr)
        (folder / "client.cnf").write_text(render(spec), encoding="utf-8")
        argv = signature(grader.openssl, "client.csr", "client.crt", 90, "client.cnf", key="ca.key", ca="ca.crt")
        if not read(Command(argv, folder)).succeeded:
            return "openssl cannot sign with it"
        leaf = Credentials((folder / "client.crt").read_bytes(), key)
    return grader.tls.refusal(Server(leaf, grader.trusted()), Client(None, leaf), "localhost")


# A cluster without an administrator needs a client certificate: key, request, signature.


def generate_admins_certificate(rng: ScenarioRng) -> Scenario:
    """Choose one of two layouts of the cluster."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    scenario = rng.scenario(cluster, "ca", "admin", "kube-apiserver", colleague=cluster.users[0].name)
    subject, api_ip = scenario.subject("admin"), scenario.values["api_ip"]
    scenario = scenario.connecting("kubectl reaches the API server", "admin", "kube-apiserver", api_ip)
    return scenario.saying(who=subject.common_name, groups=subject.organizations[0], subject=str(subject))


def setup_admins_certificate(scenario: Scenario, builder: LabBuilder) -> None:
    """Make all but the administrator's certificate: the CA, the API server, the config of a client."""
    builder.describe()
    builder.make([spec for spec in scenario.specs if spec.name != "admin"])
    builder.write("pki/openssl-client.cnf", render(scenario.spec("admin")))


def grade_admins_certificate(scenario: Scenario, grader: Grader) -> Iterator[Check]:
    """Check that the API server accepts the certificate as the administrator's."""
    yield from grade(scenario, grader, "admin")


# Two users request a certificate, and one of them requests the identity of another.


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


def generate_two_requests(rng: ScenarioRng) -> Scenario:
    """Choose the two users, and the identity that the second one requests."""
    cluster = rng.cluster(users=1)
    good = cluster.users[0]
    stranger = rng.pick(_STRANGERS)
    name, group = rng.pick(_WANTS_TO_BE)
    own = rng.group()
    wanted = ((name or stranger).format(plane=cluster.control_plane[0].name), group or own)
    scenario = rng.scenario(
        cluster,
        *("ca", good.name),
        stranger=stranger,
        strangers_group=own,
        wants_name=wanted[0],
        wants_group=wanted[1],
        minutes=str(rng.number(12, 55)),
        good_cell=good.name.ljust(13),
        stranger_cell=stranger.ljust(13),
    )
    return replace(scenario, kept=tuple(f"{FOLDER}/{name}.csr" for name in (good.name, stranger)))


def setup_two_requests(scenario: Scenario, builder: LabBuilder) -> None:
    """Make the CA and the two objects as kubectl prints them, without the keys, which the users keep."""
    builder.describe()
    builder.make([scenario.spec("ca")])
    builder.write("pki/openssl-client.cnf", render(scenario.spec(scenario.values["user"])))
    good, stranger = scenario.spec(scenario.values["user"]), scenario.values["stranger"]
    subject = Subject(scenario.values["wants_name"], (scenario.values["wants_group"],))
    for name, asked in ((good.name, good), (stranger, replace(good, subject=subject))):
        key, csr, cnf = (PurePosixPath(file) for file in (f"{name}.key", f"{name}.csr", f"openssl-{name}.cnf"))
        builder.ask(replace(asked, name=name, files=Files(key, cnf, csr)), FOLDER)
        for path in (key, cnf):
            (builder.root / FOLDER / path).unlink()
        pem = (builder.root / FOLDER / csr).read_bytes()
        made = SigningRequest(name, pem, signers.CLIENT, signers.SIGNERS[signers.CLIENT].usages("ec"))
        builder.write(f"{FOLDER}/{name}-csr.yaml", text(made))


def grade_two_requests(scenario: Scenario, grader: Grader) -> Iterator[Check]:
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
    reading = read(
        Command((grader.openssl, "verify", "-purpose", "sslclient", "-CAfile", str(grader.pki / "ca.crt"))),
        certificate.pem.encode(),
    )
    return None if reading.succeeded else "the CA of the cluster has not signed it"


LABS = (
    Lab("make-the-ca", generate_make_the_ca, setup_make_the_ca, grade_make_the_ca),
    Lab("admins-certificate", generate_admins_certificate, setup_admins_certificate, grade_admins_certificate),
    Lab("two-requests", generate_two_requests, setup_two_requests, grade_two_requests),
)
