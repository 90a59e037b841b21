"""Short questions about certificates that are made for them: read what openssl prints, and choose an answer.

A kind of question is a function in ``KINDS``: it makes certificates in a temporary folder, runs the openssl command
that answers the question, and returns what it printed with the choices. The words are in the lesson `quiz`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from kcert import lessons
from kcert.certificates import Certificate, Subject
from kcert.errors import ProgramError
from kcert.practice.scenario import LabBuilder, ScenarioRng, service_address
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
class QuestionBuilder(LabBuilder):
    """A question while it is prepared, in a folder of its own: its random choices, and the commands that were run."""

    rng: ScenarioRng
    commands: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    @property
    def pki(self) -> Path:
        """The folder with the certificates."""
        return self.root / self.scenario.folder

    def prepare(self, *specs: Certificate, **between: tuple[datetime, datetime]) -> None:
        """Make the CA and *specs*; some are valid *between* two moments."""
        dated = replace(self, scenario=replace(self.scenario, between=between))
        dated.make([self.scenario.spec("ca"), *specs])

    def show(self, *argv: str) -> None:
        """Run openssl in the folder; the question shows the command, and what it printed."""
        reading = read(Command((self.openssl, *argv), self.pki))
        if not reading.succeeded:
            raise ProgramError(f"openssl {argv[0]} failed while a question was prepared (status {reading.status}).")
        self.commands.append((("openssl", *argv), reading.stdout.decode("utf-8", "replace").rstrip()))

    def question(self, heading: str, right: str, wrong: list[str], **values: str) -> Question:
        """Return the question under *heading* in the lesson, filled with *values*, its choices in random order."""
        choices = self.rng.several([right, *wrong], len(wrong) + 1)
        why = _words(f"{heading.partition(':')[0]}: explanation", **values)
        return Question(tuple(self.commands), _words(heading, **values), tuple(choices), choices.index(right), why)


def _words(heading: str, **values: str) -> str:
    return lessons.section("quiz", heading, **values)


def questions(seed: int, count: int, openssl: str) -> Iterator[Question]:
    """Yield *count* questions; the same *seed* asks the same ones, with new keys."""
    rng = ScenarioRng("quiz", seed, datetime.now(timezone.utc))
    order: list[Callable[[QuestionBuilder], Question]] = []
    while len(order) < count:
        order += rng.several(KINDS, len(KINDS))
    for number, kind in enumerate(order[:count]):
        with tempfile.TemporaryDirectory(prefix="kcert-quiz-") as folder:
            own = ScenarioRng(f"quiz {number}", seed, rng.now)
            cluster = own.cluster(users=1)
            scenario = own.scenario(cluster, *_NAMES, cluster.users[0].name)
            yield kind(QuestionBuilder(Path(folder), scenario, openssl, own))


_NAMES = ("ca", "admin", "kube-scheduler", "kube-proxy", "kube-apiserver", "etcd-server")
"""The certificates of the questions, besides that of a user."""


def _missing_san(builder: QuestionBuilder) -> Question:
    api, cluster = builder.scenario.spec("kube-apiserver"), builder.scenario.cluster
    service, host = service_address(cluster), cluster.control_plane[0].addresses[0]
    missing, client = builder.rng.pick(((service, "pod"), (host, "kubectl"), ("kubernetes.default.svc", "webhook")))
    names = tuple(name for name in api.alt_names if name.value != missing)
    builder.prepare(replace(api, alt_names=names))
    builder.show("x509", "-in", "kube-apiserver.crt", "-noout", "-ext", "subjectAltName")
    others = builder.rng.several([name.value for name in names], 3)
    return builder.question(f"missing-san: {client}", missing, others, missing=missing)


def _which_key(builder: QuestionBuilder) -> Question:
    specs = [spec for spec in builder.scenario.specs if spec.name in ("admin", "kube-scheduler", "kube-proxy")]
    builder.prepare(*specs)
    owner = builder.rng.pick(specs)
    builder.show("x509", "-in", str(owner.files.crt), "-noout", "-pubkey")
    files = builder.rng.several([str(spec.files.key) for spec in specs], len(specs))
    names = {file: f"key-{number}.pem" for number, file in enumerate(files, start=1)}
    for file, name in names.items():
        (builder.pki / file).rename(builder.pki / name)
        builder.show("pkey", "-in", name, "-pubout")
    right = names[str(owner.files.key)]
    wrong = [name for name in names.values() if name != right]
    return builder.question("which-key", right, wrong, file=str(owner.files.crt), key=right)


def _which_user(builder: QuestionBuilder) -> Question:
    user = builder.scenario.spec(builder.scenario.values["user"])
    name, group = builder.scenario.values["user"], builder.scenario.values["group"]
    other = builder.rng.pick(("system:masters", "system:nodes", "operators"))
    name, group = builder.rng.pick(((name, group), (group, name)))
    builder.prepare(replace(user, subject=Subject(name, (group,))))
    builder.show("x509", "-in", str(user.files.crt), "-noout", "-subject")
    right, *wrong = (
        _words("user and group", user=name, group=group),
        _words("user and group", user=group, group=name),
        _words("user and group", user=name, group=other),
        _words("user without a group", user=name),
    )
    return builder.question("which-user", right, wrong, user=name, group=group)


def _what_for(builder: QuestionBuilder) -> Question:
    uses = ("only as a server", "only as a client", "as both", "not at all")
    name, right = builder.rng.pick(tuple(zip(("kube-apiserver", "admin", "etcd-server"), uses, strict=False)))
    spec = builder.scenario.spec(name)
    builder.prepare(spec)
    builder.show("x509", "-in", str(spec.files.crt), "-noout", "-ext", "keyUsage,extendedKeyUsage")
    return builder.question("what-for", _words(right), [_words(use) for use in uses if use != right])


def _which_ca(builder: QuestionBuilder) -> Question:
    ca, spec = builder.scenario.spec("ca"), builder.scenario.spec("kube-scheduler")
    builder.prepare(spec)
    files = replace(ca.files, key=ca.files.key.with_name("ca-old.key"), crt=PurePosixPath("ca-old.crt"))
    builder.make([replace(ca, files=files)])
    extension = ("-noout", "-ext", "subjectKeyIdentifier,authorityKeyIdentifier")
    builder.show("x509", "-in", "kube-scheduler.crt", "-noout", "-issuer")
    for file in ("kube-scheduler.crt", "ca.crt", "ca-old.crt"):
        builder.show("x509", "-in", file, *extension)
    leaf = str(spec.files.crt)
    wrong = ["ca-old.crt", _words("the certificate itself", file=leaf)]
    return builder.question("which-ca", "ca.crt", wrong, file=leaf)


def _is_it_valid(builder: QuestionBuilder) -> Question:
    now = builder.rng.now.replace(microsecond=0)
    answers = {"yes": (-30, 335), "no, it has expired": (-400, -35), "no, it is not valid yet": (3, 368)}
    right = builder.rng.pick(("no, it has expired", "no, it is not valid yet", "yes"))
    begin, end = (now + timedelta(days=days) for days in answers[right])
    builder.prepare(builder.scenario.spec("admin"), admin=(begin, end))
    builder.show("x509", "-in", "admin.crt", "-noout", "-dates")
    wrong = [_words(answer) for answer in answers if answer != right]
    return builder.question("is-it-valid", _words(right), wrong, today=f"{now:%Y-%m-%d}")


KINDS: tuple[Callable[[QuestionBuilder], Question], ...] = (
    _missing_san,
    _which_key,
    _which_user,
    _what_for,
    _which_ca,
    _is_it_valid,
)
