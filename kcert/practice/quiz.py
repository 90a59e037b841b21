"""Short questions about certificates that are made for them: read what openssl prints, and choose an answer.

A kind of question is a function in ``KINDS``: it makes certificates in a temporary folder, runs the openssl command
that answers the question, and returns what it printed with the choices.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from kcert.certificates import Certificate, Subject
from kcert.errors import ProgramError
from kcert.practice.builder import LabBuilder, Make
from kcert.practice.rng import ScenarioRng, select_specs, service_address
from kcert.shell import Command, read

MOST = 50
"""Questions in one go."""


@dataclass(frozen=True)
class Question:
    """A question: the *commands* that were run with what they printed, the choices, and which is right (from 0)."""

    commands: tuple[tuple[tuple[str, ...], str], ...]
    text: str
    choices: tuple[str, ...]
    right: int
    why: str


@dataclass(frozen=True)
class Desk:
    """The tools to prepare a question: a folder of its own, a generator of its own, and openssl."""

    builder: LabBuilder
    rng: ScenarioRng

    def run(self, *argv: str) -> tuple[tuple[str, ...], str]:
        """Run openssl in the folder; return the command as it is shown, and what it printed."""
        reading = read(Command((self.builder.openssl, *argv), self.builder.root / "pki"))
        if not reading.succeeded:
            raise ProgramError(f"openssl {argv[0]} failed while a question was prepared (status {reading.status}).")
        return ("openssl", *argv), reading.stdout.decode("utf-8", "replace").rstrip()

    def question(
        self, commands: tuple[tuple[tuple[str, ...], str], ...], text: str, right: str, wrong: list[str], why: str
    ) -> Question:
        """Return the question with its choices in random order."""
        choices = self.rng.several([right, *wrong], len(wrong) + 1)
        return Question(commands, text, tuple(choices), choices.index(right), why)


def questions(seed: int, count: int, openssl: str) -> Iterator[Question]:
    """Yield *count* questions; the same *seed* asks the same ones, with new keys."""
    rng = ScenarioRng("quiz", seed, datetime.now(timezone.utc))
    order: list[Callable[[Desk], Question]] = []
    while len(order) < count:
        order += rng.several(KINDS, len(KINDS))
    for number, kind in enumerate(order[:count]):
        with tempfile.TemporaryDirectory(prefix="kcert-quiz-") as folder:
            yield kind(Desk(LabBuilder(Path(folder), openssl), ScenarioRng(f"quiz {number}", seed, rng.now)))


def _signed(desk: Desk, spec: Certificate, ca: Certificate, *more: Make) -> None:
    desk.builder.make([Make(ca), Make(spec, ca), *more])


def _missing_san(desk: Desk) -> Question:
    cluster = desk.rng.cluster()
    ca, api = select_specs(cluster, "ca", "kube-apiserver")
    service, host = service_address(cluster), cluster.control_plane[0].addresses[0]
    gone, who = desk.rng.pick(
        (
            (service, f"A pod connects to the API server at https://{service}:443"),
            (host, f"kubectl connects to https://{host}:6443"),
            ("kubernetes.default.svc", "A webhook connects to https://kubernetes.default.svc"),
        )
    )
    _signed(desk, replace(api, alt_names=tuple(name for name in api.alt_names if name.value != gone)), ca)
    shown = desk.run("x509", "-in", "kube-apiserver.crt", "-noout", "-ext", "subjectAltName")
    others = [name.value for name in api.alt_names if name.value != gone]
    return desk.question(
        (shown,),
        f"{who} and rejects the certificate. Which name is missing?",
        gone,
        desk.rng.several(others, 3),
        f"A client compares the name it connects to with the SANs only. {gone} is not among them.",
    )


def _which_key(desk: Desk) -> Question:
    cluster = desk.rng.cluster()
    ca, *specs = select_specs(cluster, "ca", "admin", "kube-scheduler", "kube-proxy")
    desk.builder.make([Make(ca), *(Make(spec, ca) for spec in specs)])
    owner = desk.rng.pick(specs)
    shown = [desk.run("x509", "-in", str(owner.files.crt), "-noout", "-pubkey")]
    files = desk.rng.several([str(spec.files.key) for spec in specs], len(specs))
    names = {file: f"key-{number}.pem" for number, file in enumerate(files, start=1)}
    for file, name in names.items():
        (desk.builder.root / "pki" / file).rename(desk.builder.root / "pki" / name)
        shown.append(desk.run("pkey", "-in", name, "-pubout"))
    right = names[str(owner.files.key)]
    return desk.question(
        tuple(shown),
        f"Which private key belongs to {owner.files.crt}?",
        right,
        [name for name in names.values() if name != right],
        f"A certificate holds the public half of its key: {right} has the same public key.",
    )


def _which_user(desk: Desk) -> Question:
    cluster = desk.rng.cluster(users=1)
    ca, user = select_specs(cluster, "ca", cluster.users[0].name)
    assert user.subject
    name, group = user.subject.common_name, user.subject.organizations[0]
    other = desk.rng.pick(("system:masters", "system:nodes", "operators"))
    swapped = replace(user, subject=Subject(group, (name,)))
    spec = desk.rng.pick((user, swapped))
    _signed(desk, spec, ca)
    shown = desk.run("x509", "-in", str(spec.files.crt), "-noout", "-subject")
    assert spec.subject
    seen, groups = spec.subject.common_name, spec.subject.organizations[0]
    return desk.question(
        (shown,),
        "As which user, in which group, does the API server see the owner of this certificate?",
        f"user {seen}, group {groups}",
        [f"user {groups}, group {seen}", f"user {seen}, group {other}", f"user {seen}, in no group"],
        f"The CN is the user name, each O is a group: user {seen}, group {groups}.",
    )


def _what_for(desk: Desk) -> Question:
    cluster = desk.rng.cluster()
    name, right = desk.rng.pick(
        (("kube-apiserver", "only as a server"), ("admin", "only as a client"), ("etcd-server", "as both"))
    )
    ca, spec = select_specs(cluster, "ca", name)
    _signed(desk, spec, ca)
    shown = desk.run("x509", "-in", str(spec.files.crt), "-noout", "-ext", "keyUsage,extendedKeyUsage")
    return desk.question(
        (shown,),
        "How can this certificate be used in a TLS connection?",
        right,
        [choice for choice in ("only as a server", "only as a client", "as both", "not at all") if choice != right],
        "Extended Key Usage decides: serverAuth is for the side that is connected to, clientAuth for the side that "
        "connects.",
    )


def _which_ca(desk: Desk) -> Question:
    cluster = desk.rng.cluster()
    ca, spec = select_specs(cluster, "ca", "kube-scheduler")
    other = replace(
        ca, files=replace(ca.files, key=ca.files.key.with_name("ca-old.key"), crt=PurePosixPath("ca-old.crt"))
    )
    desk.builder.make([Make(ca), Make(other), Make(spec, ca)])
    extension = ("-noout", "-ext", "subjectKeyIdentifier,authorityKeyIdentifier")
    shown = [desk.run("x509", "-in", "kube-scheduler.crt", "-noout", "-issuer")]
    shown += [desk.run("x509", "-in", file, *extension) for file in ("kube-scheduler.crt", "ca.crt", "ca-old.crt")]
    return desk.question(
        tuple(shown),
        "Both CAs have the same name. Which one signed kube-scheduler.crt?",
        "ca.crt",
        ["ca-old.crt", "kube-scheduler.crt itself"],
        "The `Authority Key Identifier` of a certificate is the Subject Key Identifier of the CA that signed it.",
    )


def _is_it_valid(desk: Desk) -> Question:
    cluster = desk.rng.cluster()
    ca, spec = select_specs(cluster, "ca", "admin")
    now = desk.rng.now.replace(microsecond=0)
    right, begin, end = desk.rng.pick(
        (
            ("no, it has expired", -400, -35),
            ("no, it is not valid yet", 3, 368),
            ("yes", -30, 335),
        )
    )
    between = (now + timedelta(days=begin), now + timedelta(days=end))
    desk.builder.make([Make(ca), Make(spec, ca, between)])
    shown = desk.run("x509", "-in", "admin.crt", "-noout", "-dates")
    return desk.question(
        (shown,),
        f"Today is {now:%Y-%m-%d}. Does the API server accept this certificate?",
        right,
        [choice for choice in ("yes", "no, it has expired", "no, it is not valid yet") if choice != right],
        "A certificate is accepted between notBefore and notAfter, by the clock of the side that checks it.",
    )


KINDS: tuple[Callable[[Desk], Question], ...] = (
    _missing_san,
    _which_key,
    _which_user,
    _what_for,
    _which_ca,
    _is_it_valid,
)
