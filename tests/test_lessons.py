"""The words: there is a lesson for everything, each is whole, and what they show can be typed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert import cli, lessons, profiles
from kcert.certificates import Certificate, Key, Kind
from kcert.config import Cluster, User
from kcert.errors import InputError
from kcert.issue.context import Context
from kcert.issue.service import issue, plan_new
from tests.clusters import made_once
from tests.lesson_commands import DESIGNED, PROGRAMS, RULES, lines, programs
from tests.running import output, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark.structures import ParameterSet

    from kcert.issue.context import IssuancePlan

OPENING_WORDS = 60
"""What a reader takes in, standing before the first command of a certificate."""

PASSPHRASE = "correct horse battery staple"

ORDER = (
    "Command",
    "Key",
    "Public key",
    "Config",
    "Request",
    "Signature",
    "Check",
    "Kubeconfig",
    "How it fails",
    "Fix",
    "What's next",
)

ACTIONS = ("key", "public-key", "settings", "request", "signature", "self-signature", "verify", "kubeconfig")

TOPICS = lessons.topics()
LESSONS = {topic: lessons.lesson(topic) for topic in TOPICS}
ROLE_TOPICS = [topic for topic in TOPICS if LESSONS[topic].chapter == "Certificates"]
COMMAND_LINES = [(topic, line) for topic in TOPICS for line in lines(topic)]


def cluster(profile: str, *, several: bool = False) -> Cluster:
    described = replace(profiles.load(None), profile=profile, users=(User("jane", ("developers", "operators")),))
    if not several:
        return described
    hosts = (*described.control_plane, replace(described.control_plane[0], name="controlplane02", addresses=("::2",)))
    return replace(described, control_plane=hosts, etcd=hosts)


def wanted() -> list[Certificate]:
    return [
        certificate
        for profile in profiles.PROFILES
        for several in (False, True)
        for certificate in profiles.certificates(cluster(profile, several=several))
    ]


def procedures() -> list[IssuancePlan]:
    made = []
    for profile in profiles.PROFILES:
        described = cluster(profile, several=True)
        known = {one.name: one for one in profiles.certificates(described)}
        ctx = Context(described, Path(), tuple(known.values()))
        for one in known.values():
            issuer = known[one.issuer] if one.issuer else None
            made.append(plan_new(ctx, one, issuer, days=one.days))
    return made


def bash(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line with a user who answers every question for a passphrase with the same one.

    It has no terminal, where openssl would ask the one who runs the tests.
    """
    variables = {**os.environ, "KCERT_CA_PASSPHRASE": PASSPHRASE}
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        input=f"{PASSPHRASE}\n" * 3,
        check=False,
        start_new_session=True,
    )


# --- there is a lesson for everything


def test_every_role_kind_and_step_has_a_lesson() -> None:
    assert {lessons.lesson(cert.role).chapter for cert in wanted()} == {"Certificates"}
    assert {lessons.lesson(f"kind-{kind.value}").chapter for kind in Kind if kind is not Kind.KEY_PAIR} == {
        "Certificate types"
    }
    assert {lessons.lesson(f"step-{action}").chapter for action in ACTIONS} == {"Steps"}


def test_the_actions_are_those_of_the_plan() -> None:
    assert {step.action for one in procedures() for step in one.steps} == set(ACTIONS)


def test_every_command_and_every_rule_has_a_lesson() -> None:
    for command in {*DESIGNED, *cli.COMMANDS}:
        assert f"kcert {command}" in "\n".join(lines(command)), command
    assert {*TOPICS} >= RULES


# --- each lesson is whole


def test_a_lesson_opens_with_what_and_why() -> None:
    for topic, lesson in LESSONS.items():
        assert lesson.title, topic
        assert lesson.chapter in lessons.CHAPTERS, topic
        assert len(lesson.opening.split()) > 25, topic
        assert not lesson.opening.startswith("    "), topic


def test_the_sections_are_in_order() -> None:
    for topic, lesson in LESSONS.items():
        assert {"Command", "How it fails", "What's next"} <= set(lesson.sections), topic
        assert all(words.strip() for words in lesson.sections.values()), topic
        # An idea may have sections of its own, before the command.
        ends = ("Command", "How it fails", "What's next")
        has_own = lesson.chapter == "Concepts" or topic in lessons.PARTS
        order = [name for name in lesson.sections if name not in ends] if has_own else []
        order += [name for name in (ends if has_own else ORDER) if name in lesson.sections]
        assert list(lesson.sections) == order, topic


def test_only_a_certificate_has_reasons_for_steps() -> None:
    steps = set(ORDER[1:-3])
    for topic, lesson in LESSONS.items():
        assert lesson.chapter in ("Certificates", "Concepts") or not steps & set(lesson.sections), topic


def test_a_lesson_is_plain_text_for_any_screen() -> None:
    for topic in TOPICS:
        text = (lessons.FOLDER / f"{topic}.md").read_text(encoding="ascii")
        assert text.endswith("\n"), topic
        assert not text.endswith("\n\n"), topic
        assert not re.search(r"[ \t]$|\t", text, re.MULTILINE), topic
        assert "```" not in text, topic
        prose = [line for line in text.splitlines() if not line.startswith(("    ", "- http"))]
        assert max(len(line) for line in prose) <= 110, topic


def test_no_comment_beside_a_command_is_broken_at_80_columns() -> None:
    """A lesson's block is printed with the indent that it has in its file, and a terminal breaks within words."""
    for path in lessons.FOLDER.rglob("*.md"):
        comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("    #")]
        assert not [line for line in comments if len(line) > 80], path.name


def test_no_link_between_lessons_is_dead() -> None:
    for topic, lesson in LESSONS.items():
        bullets = re.findall(r"^- (`.*)", lesson.sections["What's next"], re.MULTILINE)
        named = [name for bullet in bullets for name in re.findall(r"`([^`]+)`", bullet.split(":")[0])]
        assert named, f"{topic}: a reader wants to know where to go on"
        assert set(named) <= {*TOPICS, *RULES}, topic
        assert topic not in named


def test_official_documentation_is_named_over_https() -> None:
    for topic, lesson in LESSONS.items():
        for address in re.findall(r"https?://\S+", lesson.sections["What's next"]):
            assert re.fullmatch(r"https://[a-z0-9.-]+/(\S*[A-Za-z0-9/])?", address), topic


def test_no_two_lessons_have_one_title() -> None:
    titles = [lessons.lesson(topic).title for topic in TOPICS]
    assert len(titles) == len(set(titles))


# --- what is read before the steps of a certificate


def test_why_can_be_read_in_one_breath() -> None:
    for role in ROLE_TOPICS:
        assert 10 < len(lessons.why(role).split()) <= OPENING_WORDS, role
        assert "\n" not in lessons.why(role), role


def test_every_step_of_every_profile_has_a_reason() -> None:
    for one in procedures():
        for step in one.steps:
            reason = lessons.reason(one.certificate.role, step.action)
            assert 5 < len(reason.split()) <= OPENING_WORDS
            assert "\n" not in reason
            assert len(re.findall(r"[.?](?= |$)", reason)) <= 3, reason


def test_a_certificate_has_its_own_words_for_a_step() -> None:
    assert "system:kube-scheduler" in lessons.reason("kube-scheduler", "request")
    assert lessons.reason("kube-scheduler", "key") == lessons.reason("", "key")


# --- the loader


def test_an_unknown_topic_is_answered_with_the_near_ones() -> None:
    with pytest.raises(InputError, match="no lesson on 'kubelt'; did you mean kubelet"):
        lessons.lesson("kubelt")


@pytest.mark.parametrize("topic", ["../pyproject", "", "/etc/passwd", "no\nsuch\x1b[31m"])
def test_a_topic_is_never_a_path(topic: str) -> None:
    with pytest.raises(InputError) as raised:
        lessons.lesson(topic)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Title\nchapter: Concepts\n\nwords\n", ":1: a lesson begins with its title"),
        ("# Title\nplace: 3\n\nwords\n", ":2: the second line of a lesson names its chapter"),
        ("# Title\nchaptr: Concepts\n\nwords\n", ":2: expected chapter: NAME or place: NUMBER"),
        ("# Title\nchapter: Concepts\n\n## Command\n\n    ls\n", "opens with what it is about"),
    ],
)
def test_a_lesson_that_was_edited_badly_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    (tmp_path / "broken-one.md").write_text(text)
    monkeypatch.setattr(lessons, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=complaint):
        lessons.lesson("broken-one")


def test_chapters_come_in_the_order_of_a_course() -> None:
    chapters = lessons.by_chapter()
    assert next(iter(chapters)) == "Concepts"
    assert chapters["Concepts"][0].topic == "tls-in-one-page"
    assert sorted(one.topic for found in chapters.values() for one in found) == sorted(TOPICS)


# --- what a lesson shows can be typed


def furnish(root: Path) -> None:
    """Make the files that lessons name: the course's beside kubeadm's. Only the key that signs tokens is RSA."""
    for profile in ("kubeadm", "course"):
        known = tuple(
            cert if cert.kind is Kind.KEY_PAIR else replace(cert, key=Key("ecdsa"))
            for cert in profiles.certificates(cluster(profile))
        )
        issue(Context(cluster=cluster(profile), specs=known, root=root, jobs=2, parallel=True), known)
    shutil.copy(root / "ca.crt", root / "ca-chain.crt")  # as if a root had signed it


@pytest.fixture(scope="session")
def workshop(shared: Path) -> Path:
    """A folder with the files that lessons name, made once in a test run; it is for looking at only."""
    return made_once(shared, "workshop", lambda home: furnish(home / "pki")) / "pki"


def test_every_command_line_is_one_that_bash_reads() -> None:
    """One bash reads each as the body of a function that it never calls."""
    reads = """for line; do
        eval "body() {
        $line
        }" || echo "refused: $line"
    done"""
    said = output(["bash", "-c", reads, "bash", *(line for _, line in COMMAND_LINES)])

    assert {(topic, line) for topic, line in COMMAND_LINES if not set(programs(line)) <= PROGRAMS} == set()
    assert (said.stdout, said.stderr) == ("", "")


def _with_openssl() -> Iterator[ParameterSet]:
    """The topics that run openssl; `make test` takes those with a command or an option that no topic before has."""
    seen: set[tuple[str, str]] = set()
    for topic in TOPICS:
        words = [line.split() for line in lines(topic) if programs(line)[0] == "openssl"]
        options = {(name, word) for _, name, *rest in words for word in ("", *rest) if not word or word[0] == "-"}
        if any("openssl" in line for line in lines(topic)):
            yield pytest.param(topic, marks=() if options - seen else pytest.mark.thorough)
        seen |= options


@pytest.mark.parametrize("topic", [*_with_openssl()])
def test_openssl_takes_every_line_of_a_lesson(topic: str, workshop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(workshop, folder)
    for line in lines(topic):
        if programs(line)[0] != "openssl":
            continue
        ended = bash(line, folder)
        # No server answers here, but openssl reports wrong options before it connects.
        said_well = "Connection refused" in ended.stderr if "s_client" in line else ended.returncode == 0
        assert said_well, f"{line}\n{ended.stdout}{ended.stderr}"


@pytest.mark.thorough
def test_kcert_takes_every_line_of_a_lesson() -> None:
    for topic, line in COMMAND_LINES:
        if programs(line)[-1] == "kcert":
            name, *arguments = shlex.split(line.rpartition("kcert ")[2])
            assert name in DESIGNED, topic
            if name in cli.COMMANDS:
                cli.load(name).make_context(name, arguments)


@pytest.mark.thorough
@pytest.mark.parametrize("topic", ["step-kubeconfig", "kubeconfig"])
def test_kubectl_makes_the_kubeconfig_of_a_lesson(topic: str, workshop: Path, tmp_path: Path) -> None:
    program("kubectl")
    folder = tmp_path / "pki"
    shutil.copytree(workshop, folder)
    shutil.copy(folder / "jane.key", folder / "admin.key")
    shutil.copy(folder / "jane.crt", folder / "admin.crt")
    name = "jane.kubeconfig" if topic == "kubeconfig" else "admin.conf"
    (folder / name).unlink(missing_ok=True)
    for line in lines(topic):
        if programs(line)[0] == "kubectl":
            subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, check=True)
    assert f"current-context: {name.split('.', maxsplit=1)[0]}@kubernetes" in (folder / name).read_text()


# --- the errors that lessons quote are those that openssl gives


@pytest.mark.parametrize(
    ("topic", "faulty"),
    [
        ("step-key", "head -2 admin.key > cut.key; cp cut.key admin.key; openssl pkey -in admin.key -noout"),
        ("step-public-key", "openssl rsa -in pki/ca.crt -pubout"),
        (
            "step-settings",
            (
                "sed 's/^IP.1.*/IP.1 =/' openssl-kube-apiserver.cnf > e.cnf; "
                "openssl req -new -key admin.key -subj /CN=x -config e.cnf"
            ),
        ),
        (
            "step-settings",
            (
                "openssl x509 -req -in admin.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extensions v3_reg "
                "-extfile openssl-admin.cnf"
            ),
        ),
        ("step-request", "openssl req -new -key admin.key -subj CN=a -config openssl-admin.cnf"),
        ("step-request", "openssl req -new -key admin.key -subj /CN=a/0=b -config openssl-admin.cnf"),
        ("step-signature", "openssl x509 -req -in admin.csr -CA ca.crt -CAkey jane.key -CAcreateserial"),
        (
            "step-signature",
            (
                "openssl x509 -req -in ca.csr -signkey ca.key -out v1.crt; openssl x509 -req -in admin.csr -CA v1.crt "
                "-CAkey ca.key -CAcreateserial -extensions v3_req -extfile <(sed 's/, issuer//' openssl-admin.cnf)"
            ),
        ),
        ("step-self-signature", "openssl verify ca.crt"),
        ("step-verify", "openssl verify -CAfile pki/ca.crt admin.crt"),
        ("step-verify", "openssl verify -CAfile ca.crt -attime 4102444800 admin.crt"),
        ("step-verify", "openssl verify -CAfile ca.crt -attime 946684800 admin.crt"),
        ("step-verify", "openssl verify -CAfile ca.crt -purpose sslserver admin.crt"),
        ("step-verify", "openssl verify -CAfile ca.crt -verify_hostname nobody kube-apiserver.crt"),
        (
            "kind-ca",
            (
                "openssl x509 -req -in jane.csr -CA admin.crt -CAkey admin.key -CAcreateserial -out x.crt "
                "-extensions v3_req -extfile openssl-jane.cnf; cat ca.crt admin.crt > both.crt; "
                "openssl verify -CAfile both.crt x.crt"
            ),
        ),
        ("days-and-expiry", "openssl verify -CAfile ca.crt -attime 946684800 admin.crt"),
        ("show", "openssl x509 -in admin.key -noout"),
        ("unreadable", "head -c 300 admin.crt > cut; cp cut admin.crt; openssl x509 -in admin.crt -noout"),
        ("wrong-issuer", "openssl verify -CAfile pki/ca.crt admin.crt"),
        (
            "self-signed-leaf",
            "openssl req -x509 -key admin.key -subj /CN=a -days 9 -out x.crt; openssl verify -CAfile ca.crt x.crt",
        ),
        (
            "not-a-ca",
            (
                "openssl x509 -in ca.crt -signkey ca.key -clrext -extfile openssl-admin.cnf -extensions v3_req -out x; "
                "openssl verify -CAfile x admin.crt"
            ),
        ),
        ("not-yet-valid", "openssl verify -partial_chain -CAfile admin.crt -attime 946684800 admin.crt"),
        ("missing-server-auth", "openssl verify -CAfile ca.crt -purpose sslserver admin.crt"),
        (
            "issuer-expires-first",
            (
                "openssl x509 -in ca.crt -signkey ca.key -days 30 -out x; "
                'openssl verify -CAfile x -attime "$(date -d +100days +%s)" admin.crt'
            ),
        ),
        (
            "san-type",
            (
                "sed 's/^IP.1.*/IP.1 = kubernetes/' openssl-kube-apiserver.cnf > e.cnf; "
                "openssl req -new -key admin.key -subj /CN=x -config e.cnf"
            ),
        ),
        ("key-mismatch", "openssl s_server -accept 0 -cert admin.crt -key jane.key"),
        (
            "weak-key",
            (
                "openssl req -new -newkey rsa:1024 -nodes -keyout k -subj /CN=a | openssl x509 -req -CA ca.crt "
                "-CAkey ca.key -CAcreateserial -out x; openssl verify -auth_level 2 -CAfile ca.crt x; "
                "openssl s_server -accept 0 -cert x -key k -cipher DEFAULT@SECLEVEL=2"
            ),
        ),
        (
            "version-1",
            (
                "openssl x509 -req -in admin.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out v1; "
                "openssl x509 -req -in jane.csr -CA v1 -CAkey admin.key -CAcreateserial -out x; "
                "openssl verify -CAfile ca.crt -untrusted v1 x"
            ),
        ),
    ],
)
def test_openssl_says_what_the_lesson_quotes(topic: str, faulty: str, workshop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    shutil.copytree(workshop, folder)
    ended = bash(faulty, folder)
    said = ended.stdout + ended.stderr
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("OpenSSL 3.0"):
        pytest.skip(f"the lessons quote OpenSSL 3.0, and this is {version.strip()}")
    quoted = [
        line.strip() for line in lessons.lesson(topic).sections["How it fails"].splitlines() if line[:4] == "    "
    ]
    # Three dots stand for what differs from one machine to the next.
    assert any(all(part.strip() in said for part in line.split("...") if part.strip()) for line in quoted), said


def test_no_lesson_has_two_sections_of_one_name() -> None:
    """The second would be told in the place of the first."""
    for path in sorted(Path(lessons.__file__).parent.glob("*.md")):
        headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(headings) == len(set(headings)), path.name
