"""Labs in which something has to be signed: a CA, a client's certificate, the requests of users, a new CA."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from kcert.certificates import Files, Kind, Subject
from kcert.errors import InputError
from kcert.kubernetes import signers
from kcert.kubernetes.signing_request import APPROVED, DENIED, SigningRequest, parse, text
from kcert.openssl.commands import render, signature
from kcert.openssl.reader import read_certificate, read_request
from kcert.openssl.x509 import X509, Request
from kcert.practice.grader import AbsentError, Check, Grader, NotYetError, short_lived, user
from kcert.practice.handshakes import Credentials, client_refusal
from kcert.practice.lab import Lab
from kcert.practice.scenario import GROUPS, LabBuilder, Scenario, ScenarioRng
from kcert.shell import Command, read

# A new cluster has a plan, and no CA yet.


def make_the_ca(rng: ScenarioRng) -> Scenario:
    """Choose the layout, from which the CA's name follows, and a user whose request waits."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    scenario = rng.scenario(cluster, "ca", cluster.users[0].name)
    subject = scenario.subject("ca")
    return scenario.with_values(
        subject=str(subject),
        said=", ".join(f"{kind} {value}" for kind, value in subject.parts),
        years=f"{cluster.days.ca} days",
        when=rng.pick(("on Monday", "tomorrow", "after lunch", "at three o'clock")),
    )


def _setup_make_the_ca(builder: LabBuilder) -> None:
    builder.write_config()
    builder.make_request(builder.scenario.spec(builder.scenario.values["user"]))
    builder.write("pki/openssl-ca.cnf", render(builder.scenario.spec("ca")))


def _grade_make_the_ca(grader: Grader) -> Iterator[Check]:
    yield _key_of_the_ca(grader, "pki/ca.key is the key of pki/ca.crt")
    yield grader.check("pki/ca.crt has the agreed name", _misnamed, grader)
    yield grader.check("pki/ca.crt is self-signed", _not_self_signed, grader)
    yield grader.check("pki/ca.crt is valid for the agreed time", _short_lived, grader)
    yield grader.check("pki/ca.crt is an X.509 version 3 certificate with CA:TRUE", _not_a_ca, grader)
    yield grader.check("a certificate that it signs is accepted", _rejected_signature, grader)
    if (grader.pki / "ca.key").exists():
        yield grader.private_keys_protected()
    if (grader.pki / "ca.crt").exists():
        yield grader.no_check_errors("pki")


def _key_of_the_ca(grader: Grader, what: str) -> Check:
    return grader.check(what, lambda: grader.key_mismatch(grader.content(grader.pki / "ca.key"), "ca"))


def _not_a_ca(grader: Grader) -> str | None:
    """Return why it does not say that it is a CA; openssl and Go accept a root of version 1, which cannot say it."""
    ca = grader.certificate("ca")
    if ca.version != 3:
        return f"it is version {ca.version}, which has no extensions, so it cannot contain CA:TRUE"
    return None if ca.ca else "basicConstraints does not say CA:TRUE"


def _misnamed(grader: Grader) -> str | None:
    subject = grader.certificate("ca").subject
    right = sorted(subject.parts) == sorted(grader.scenario.subject("ca").parts)
    return None if right else f"its name is {subject or 'empty'}"


def _not_self_signed(grader: Grader) -> str | None:
    count = grader.count_of_cas()
    if count != 1:
        return f"the file contains {count} certificates"
    ca = grader.certificate("ca")
    return None if ca.self_signed else f"its issuer is {ca.issuer}"


def _short_lived(grader: Grader) -> str | None:
    ca, days = grader.certificate("ca"), grader.scenario.cluster.days.ca
    if ca.not_after - grader.now > timedelta(days=days + 2):
        return f"it expires only on {ca.not_after:%Y-%m-%d}"
    return short_lived(ca, grader.now, timedelta(days=days - 30))


def _rejected_signature(grader: Grader) -> str | None:
    """Return why a certificate that this CA signs for the waiting request is not accepted; None if it is.

    It is signed outside the lab, with an openssl.cnf of kcert's own: the one in the folder may say anything.
    """
    spec = grader.scenario.spec(grader.scenario.values["user"])
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
    return client_refusal(leaf, grader.trusted())


# A cluster without an administrator needs a client certificate: key, request, signature.


def admins_certificate(rng: ScenarioRng) -> Scenario:
    """Choose one of two layouts of the cluster."""
    cluster = rng.cluster(rng.pick(("course", "hardway")), users=1)
    scenario = rng.scenario(cluster, "ca", "admin", "kube-apiserver", colleague=cluster.users[0].name)
    subject = scenario.subject("admin")
    scenario = scenario.with_connection("kubectl reaches the API server", "admin")
    return scenario.with_values(who=subject.common_name, groups=subject.organizations[0], subject=str(subject))


def _setup_admins_certificate(builder: LabBuilder) -> None:
    builder.write_config()
    builder.make(spec for spec in builder.scenario.specs if spec.name != "admin")
    builder.write("pki/openssl-client.cnf", render(builder.scenario.spec("admin")))


# Two users request a certificate, and one of them requests the identity of another.


FOLDER = "requests"

_CONTRACTORS = ("agent-smith", "agent-jones", "agent-brown", "mr-smith", "neo", "trinity")

_WANTS_TO_BE = (
    (None, "kubeadm:cluster-admins"),
    ("system:kube-controller-manager", None),
    ("system:kube-scheduler", "system:kube-scheduler"),
    ("system:node:{plane}", "system:nodes"),
    ("kubernetes-admin", "kubeadm:cluster-admins"),
)
"""CN and O that the second user requests (None: their own). The API server accepts all of these objects."""


def two_requests(rng: ScenarioRng) -> Scenario:
    """Choose the two users, and the identity that the second one requests."""
    cluster = rng.cluster(users=1)
    good = cluster.users[0].name
    contractor = rng.pick(_CONTRACTORS)
    name, group = rng.pick(_WANTS_TO_BE)
    own = rng.pick(GROUPS)
    scenario = rng.scenario(cluster, "ca", good).with_values(
        contractor=contractor,
        contractors_group=own,
        wants_name=(name or contractor).format(plane=cluster.control_plane[0].name),
        wants_group=group or own,
        minutes=str(rng.number(12, 55)),
        good_cell=good.ljust(13),
        contractor_cell=contractor.ljust(13),
    )
    return replace(scenario, kept=tuple(f"{FOLDER}/{name}.csr" for name in (good, contractor)))


def _setup_two_requests(builder: LabBuilder) -> None:
    """Make the CA and the two objects as kubectl prints them, without the keys, which the users keep."""
    values = builder.scenario.values
    good, contractor = builder.scenario.spec(values["user"]), values["contractor"]
    builder.write_config()
    builder.make([builder.scenario.spec("ca")])
    builder.write("pki/openssl-client.cnf", render(good))
    subject = Subject(values["wants_name"], (values["wants_group"],))
    for name, asked in ((good.name, good), (contractor, replace(good, subject=subject))):
        key, csr, cnf = (PurePosixPath(file) for file in (f"{name}.key", f"{name}.csr", f"openssl-{name}.cnf"))
        builder.make_request(replace(asked, name=name, files=Files(key, cnf, csr)), FOLDER)
        for path in (key, cnf):
            (builder.root / FOLDER / path).unlink()
        pem = (builder.root / FOLDER / csr).read_bytes()
        made = SigningRequest(name, pem, signers.CLIENT, signers.SIGNERS[signers.CLIENT].usages("ec"))
        builder.write(f"{FOLDER}/{name}-csr.yaml", text(made))


def _grade_two_requests(grader: Grader) -> Iterator[Check]:
    good, contractor = (grader.scenario.values[name] for name in ("user", "contractor"))
    for name, right in ((good, APPROVED), (contractor, DENIED)):
        yield grader.check(f"{name}'s request has the right decision", _wrong_decision, grader, name, right)
    yield grader.check(f"{good} can get the certificate that was asked for", _unsuitable_certificate, grader, good)
    yield grader.check(f"{contractor} gets no certificate", _certificate_issued, grader, contractor)
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


def _wrong_decision(grader: Grader, name: str, right: str) -> str | None:
    decisions = _decisions(_object(grader, name))
    if len(decisions) > 1:
        return "it is approved and denied, which the API server does not allow"
    return None if decisions == [right] else "the decision is not the right one"


def _certificate_issued(grader: Grader, name: str) -> str | None:
    request = _object(grader, name)
    if request.certificate:
        return "the object contains one"
    _decisions(request)
    return None


def _unsuitable_certificate(grader: Grader, name: str) -> str | None:
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
        return f"its owner is {user(certificate.subject)}"
    if certificate.ca or not certificate.allows("clientAuth") or certificate.allows("serverAuth"):
        return "it is not only for a client"
    verify = (grader.openssl, "verify", "-purpose", "sslclient", "-CAfile", str(grader.pki / "ca.crt"))
    if why := short_lived(certificate, grader.now):
        return why
    verified = read(Command(verify), certificate.pem.encode()).succeeded
    return None if verified else "the CA of the cluster has not signed it"


# A new CA without an outage. The checks compare the sets of files that were rolled out, one after the other: while a
# set is rolled out, machines that have it talk to machines that have the one before, so each of two consecutive sets
# has to accept the other. The steps, and their number, are up to the learner.


MOST = 20
"""The most sets that are checked."""

_REASONS = (
    "the laptop of a colleague who had a copy of ca.key was stolen on the train",
    "someone pushed ca.key to a git repository, and it was public for a weekend",
    "the company that set up the cluster has left, and took a copy of ca.key along",
)


def rotate_the_ca(rng: ScenarioRng) -> Scenario:
    """Make a cluster with two servers, and clients of each."""
    cluster = rng.cluster(users=1)
    caller = rng.pick(("admin", "kube-scheduler", cluster.users[0].name))
    scenario = rng.scenario(cluster, "ca", caller, "etcd-server", "kube-apiserver", "apiserver-etcd-client")
    leaves = " ".join(spec.name for spec in scenario.specs if spec.kind is not Kind.CA)
    scenario = scenario.with_connection("", caller)
    scenario = scenario.with_connection("", "apiserver-etcd-client", "etcd-server", cluster.etcd[0].addresses[0])
    scenario = scenario.with_connection("", "etcd-server", "etcd-server", "127.0.0.1")  # etcd's gateway
    return scenario.with_values(caller=caller, reason=rng.pick(_REASONS), leaves=leaves)


def _setup_rotate_the_ca(builder: LabBuilder) -> None:
    """Make the PKI folder, and a copy of it: the files that the machines have now."""
    builder.build()
    for path in sorted((builder.root / "pki").iterdir()):
        builder.write(f"rollouts/0/{path.name}", path.read_bytes(), path.stat().st_mode & 0o777)


def _grade_rotate_the_ca(grader: Grader) -> Iterator[Check]:
    """Check that each set of files works with the one before, and that the last one trusts only the new CA."""
    sets = _rolled_out(grader)
    first, last = sets[0], sets[-1]
    rejected = "certificates of the old CA are rejected at the end"
    yield grader.check("rollouts/0 contains the files that the machines had at the start", _not_the_first, first)
    for before, after in itertools.pairwise(sets):
        change = f"from {before.scenario.folder} to {after.scenario.folder}"
        what = f"{change} every client stays connected, whichever machine comes first"
        yield grader.check(what, _disconnected, (after, after), (before, after), (after, before))
    if len(sets) == 1:  # the last set does not exist yet
        for what in ("the last set of files trusts only a new CA", rejected):
            yield Check(what, works=False, why="there is no set of files after rollouts/0", pending=True)
        return
    where = last.scenario.folder
    yield grader.check(f"{where} trusts only a new CA", _not_new_alone, first, last)
    for spec in last.scenario.specs:
        if spec.kind is not Kind.CA:
            yield last.still_works(f"{spec.name} in {where} works", "this fails", spec)
    yield grader.check(rejected, _still_accepted, first, last)
    yield grader.check(f"pki contains the last set of files, {where}", _differs, grader, last)
    yield _key_of_the_ca(grader, "pki/ca.key is the key of the trusted CA")
    yield grader.private_keys_protected()
    yield grader.no_check_errors("pki")


def _rolled_out(grader: Grader) -> list[Grader]:
    """Return a grader for every set of files, in the order of their numbers; at least the first."""
    paths = (grader.root / "rollouts").glob("*")
    numbers = sorted(int(path.name) for path in paths if path.name.isdecimal() and len(path.name) < 5)
    folders = (f"rollouts/{number}" for number in numbers[:MOST] or [0])
    return [replace(grader, scenario=replace(grader.scenario, folder=folder)) for folder in folders]


def _not_the_first(first: Grader) -> str | None:
    if first.pki.name != "0":
        return "rollouts/0 does not exist"
    if first.mark() != first.marks.get("ca") or first.count_of_cas() != 1:
        return "it was changed"
    return _disconnected((first, first))


def _disconnected(*pairs: tuple[Grader, Grader]) -> str | None:
    """Return which client with one set of files does not connect to a server with another, and why; None if all do."""
    for connection, (connecting, serving) in itertools.product(pairs[0][0].scenario.connections, pairs):
        if refused := serving.refused(connection, connecting, connecting):
            sides = (connection.client, connecting), (connection.server, serving)
            client, server = (f"{name} with {grader.scenario.folder}" for name, grader in sides)
            return f"{client} connects to {server}: {refused}"
    return None


def _not_new_alone(first: Grader, last: Grader) -> str | None:
    count = last.count_of_cas()
    if count != 1:
        return f"ca.crt contains {count} certificates"
    ca = last.certificate("ca")
    if last.mark() == last.marks.get("ca") or ca.public_key == first.certificate("ca").public_key:
        return "it still has the key of the old CA"
    return None if ca.ca else "the certificate in ca.crt is not a CA"


def _still_accepted(first: Grader, last: Grader) -> str | None:
    """Return which certificate of the first set a server of the last set still accepts; None if it accepts none."""
    for connection in last.scenario.connections:
        if last.refused(connection, first) is None:
            return f"{connection.server} still accepts {connection.client} with its old certificate"
    return None


def _differs(grader: Grader, last: Grader) -> str | None:
    for spec in grader.scenario.specs:
        name = str(spec.files.crt)
        if grader.content(grader.pki / name) != last.content(last.pki / name):
            return f"{name} differs"
    return None


LABS = (
    Lab("make-the-ca", make_the_ca, _setup_make_the_ca, _grade_make_the_ca),
    Lab("admins-certificate", admins_certificate, _setup_admins_certificate, lambda grader: grader.grade("admin")),
    Lab("two-requests", two_requests, _setup_two_requests, _grade_two_requests),
    Lab("rotate-the-ca", rotate_the_ca, _setup_rotate_the_ca, _grade_rotate_the_ca),
)
