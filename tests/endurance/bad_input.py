"""Generated bad configurations and command lines: a refusal in words, the right exit status, nothing written.

They run in this process, by the thousand; one in fifty runs as a program of its own as well, and has to end in the
same way with the same words.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kcert import lessons
from kcert.cli import COMMANDS
from tests.endurance.inside import in_process
from tests.endurance.trial import Check, Part
from tests.refusals import assert_refused, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.endurance.trial import LabBuilder
    from tests.running import Ended, Kcert

A_TRIAL = 250
"""Cases in one trial."""

AS_A_PROGRAM = 50
"""One case in so many runs as a program of its own as well."""

VALID: dict[str, Any] = {
    "cluster": "kubernetes",
    "profile": "course",
    "api_server": {"host": "loadbalancer", "ip": "192.168.56.30", "port": 6443, "extra_sans": ["vip.example.com"]},
    "service_cidr": "10.96.0.0/16",
    "dns_domain": "cluster.local",
    "control_plane": [{"name": "controlplane01", "ip": "192.168.56.11"}],
    "nodes": [{"name": "node01", "ip": "192.168.56.21"}],
    "users": [{"name": "jane", "groups": ["developers"]}],
    "key": {"algorithm": "rsa", "bits": 2048},
    "days": {"ca": 3650, "leaf": 365},
}

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
evil = st.sampled_from(
    [
        *(
            "../../x",
            "/etc/passwd",
            "a/b",
            "a\nb",
            "a\rb",
            "\x1b[31mred",
            "$(id)",
            "${ENV::HOME}",
            "[v3_req]",
            "a,DNS:b",
        ),
        *(
            "a=b",
            "a+O=system:masters",
            "a/O=system:masters",
            "\u202egnp",
            "n\u043ede",
            "é",
            "日本",
            "a\\b",
            '"',
            "'",
            "#",
        ),
    ]
)
no_host = st.one_of(
    evil,
    st.builds("{}{}{}".format, anything, st.sampled_from('ABCXYZ _/+,="$[]\\\n\t\x00\x7f\xe9\u0430@:;'), anything),
    st.integers(64, 5000).map(lambda length: "n" * length),
    st.sampled_from(["-a", "a-", "a..b", ".a", "", "192.0.2.1", "fd00::1"]),
)
no_name_at_all = st.builds("{}{}{}".format, anything, st.sampled_from('/+\\,="$[]\n\x00\x1b\x7f\xe9'), anything)
no_user = no_name_at_all | st.integers(65, 5000).map(lambda length: "u" * length)
structure = st.recursive(
    st.lists(anything, max_size=3), lambda inside: st.dictionaries(anything, inside, max_size=3), max_leaves=8
)


def _no_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return True
    return False


no_address = st.one_of(
    anything.filter(_no_address),
    evil,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.ip_addresses(v=4).map(lambda one: f"{one}/24"),
    st.ip_addresses(v=6).map(lambda one: f"{one}%eth0"),
)
no_range = st.one_of(anything.filter(lambda text: "/" not in text), evil, st.integers(), st.booleans(), st.lists(evil))
no_number = st.one_of(
    anything.filter(lambda text: not text.isdecimal()), st.floats(), st.booleans(), st.dates(), st.lists(st.integers())
)
no_choice = st.one_of(
    anything.filter(lambda text: text not in ("course", "hardway", "kubeadm", "rsa", "ecdsa")), st.integers(), structure
)

CORRUPTIONS: dict[tuple[str | int, ...], st.SearchStrategy[Any]] = {
    ("cluster",): no_name_at_all | st.integers() | st.booleans() | structure,
    ("profile",): no_choice,
    ("api_server",): st.lists(anything, min_size=1) | anything.filter(bool),
    ("api_server", "host"): no_host | st.integers() | structure,
    ("api_server", "ip"): no_address,
    ("api_server", "port"): no_number | st.integers(max_value=0) | st.integers(min_value=65536),
    ("api_server", "extra_sans"): st.lists(no_name_at_all, min_size=1, max_size=3),
    ("service_cidr",): no_range,
    ("dns_domain",): no_host.filter(lambda name: len(name) > 255 or not re.fullmatch(r"[a-z0-9.:-]+", name)),
    ("control_plane",): st.just([]) | anything.filter(bool) | st.integers(),
    ("control_plane", 0, "name"): no_host,
    ("control_plane", 0, "ip"): no_address,
    ("nodes", 0, "name"): no_host,
    ("nodes", 0, "ip"): no_address,
    ("users", 0, "name"): no_user | st.integers() | st.booleans(),
    ("users", 0, "groups"): st.lists(no_user, min_size=1, max_size=3) | anything.filter(bool),
    ("key", "algorithm"): no_choice,
    ("key", "bits"): no_number | st.integers(max_value=2047) | st.integers(min_value=8193),
    ("days", "ca"): no_number | st.integers(max_value=0) | st.integers(min_value=36501),
    ("days", "leaf"): no_number | st.integers(max_value=0) | st.integers(min_value=3651),
}
"""Where something else is put in, and what: nothing of it is ever right there."""


@st.composite
def corrupted(draw: st.DrawFn) -> bytes:
    """A kcert.yaml with one thing in it that is never right."""
    content = yaml.safe_load(yaml.safe_dump(VALID))
    if draw(st.integers(0, 9)) == 0:
        keys = anything.filter(lambda key: key not in VALID and key != "etcd")
        content[draw(keys)] = draw(anything | structure)
    else:
        where = draw(st.sampled_from(sorted(CORRUPTIONS, key=str)))
        inside = content
        for step in where[:-1]:
            inside = inside[step]
        inside[where[-1]] = draw(CORRUPTIONS[where])
    text = yaml.safe_dump(content, allow_unicode=draw(st.booleans()), sort_keys=False)
    return text.encode("utf-8")


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A kcert.yaml in which characters and lines were moved about; it may be right by chance."""
    text = yaml.safe_dump(VALID, sort_keys=False)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        text = (
            text[:at]
            + draw(anything | st.sampled_from(["\n", ": ", "- ", "{", "]", "&a ", "*a", "!!", "\t"]))
            + text[at + length :]
        )
    return text.encode("utf-8", "surrogatepass")


MAKING = (["all", "--quiet"], ["all"], ["ca"], ["kubeconfig"], ["renew", "--all"], ["bundle"], ["csr", "new", "bob"])
LOOKING = (["plan"], ["plan", "--format", "json"], ["all", "--dry-run"], ["flags", "kube-apiserver"])

_bytes = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0") | _bytes, max_size=30)
"""Arguments as a shell can give them: anything but NUL, bytes that are no text among them."""

unknown = words.filter(lambda word: word not in COMMANDS and not word.startswith("-"))
unknown_option = words.filter(lambda word: re.match(r"[a-z]", word) and not word.startswith("help")).map(
    lambda word: f"--no-such-{word}"
)
no_name = no_host.filter(lambda name: "\0" not in name and not name.startswith("-"))
no_user_name = no_user.filter(lambda name: "\0" not in name and not name.startswith("-"))
no_integer = words.filter(lambda word: not re.fullmatch(r"\s*[+-]?[\d_]+\s*", word))
no_time = words.filter(lambda word: not re.search(r"\d", word))

TAKING_NAMES = ("client", "etcd", "kubelet", "renew", "kubeconfig", "bundle", "flags", "explain")
TAKING_OPTIONS = ("ca", "client", "etcd", "apiserver", "kubelet", "service-account", "all", "renew")

bad_line = st.one_of(
    st.tuples(unknown),
    st.tuples(st.sampled_from(sorted(COMMANDS)), unknown_option),
    st.tuples(st.sampled_from(TAKING_NAMES), st.just("--"), no_name).filter(
        lambda line: line[0] != "explain" or not lessons.search(line[-1])  # a word of a lesson is searched for
    ),
    st.tuples(st.sampled_from(TAKING_OPTIONS), st.just("--jobs"), no_integer),
    st.tuples(st.sampled_from(TAKING_OPTIONS), st.just("--jobs"), st.integers(max_value=0).map(str)),
    st.tuples(st.sampled_from(TAKING_OPTIONS), st.just("-j"), st.integers(min_value=257).map(str)),
    st.tuples(st.sampled_from(TAKING_OPTIONS), st.just("--config"), words.filter(bool).map("no such {}".format)),
    st.tuples(st.just("renew"), st.just("--expiring-in"), no_time),
    st.tuples(st.just("renew"), st.just("--all"), st.just("--days"), no_integer | st.integers(max_value=0).map(str)),
    st.tuples(st.sampled_from(("plan", "inventory", "check", "history")), st.just("--format"), words.map("x{}".format)),
    st.tuples(st.just("show"), words.filter(bool).map("no such/{}".format)),
    st.tuples(st.just("kubeconfig"), st.just("admin"), st.just("--server"), words.map("ftp://{}".format)),
    st.tuples(st.just("csr"), st.just("new"), st.just("--"), no_user_name),
    st.tuples(st.just("csr"), st.just("sign"), st.just("--file"), words.filter(bool).map("no such {}".format)),
    st.tuples(st.just("diagnose"), words.filter(lambda word: word and " " not in word).map("nowhere/{}".format)),
)

wild_line = st.lists(
    st.one_of(
        st.sampled_from(sorted(set(COMMANDS) - {"logs", "call", "explain", "doctor", "diagnose"})),
        st.sampled_from(
            ["-q", "--quiet", "-j", "--jobs", "--all", "--dry-run", "--format", "json", "--", "-", "--help"]
        ),
        st.sampled_from(
            ["--dir", "-d", "-c", "--config", "admin", "node01", "2", "0", "--new-key", "--days", "--group"]
        ),
        words,
        evil,
    ),
    max_size=6,
)


class Runner:
    """kcert in this process, in a folder of its own; one in fifty lines as a program too."""

    def __init__(self, kcert: Kcert) -> None:
        self.kcert, self.count = kcert, 0

    def __call__(self, argv: list[str]) -> Ended:
        """Return how kcert ends with *argv*."""
        self.count += 1
        ended = in_process(argv, self.kcert.folder)
        if self.count % AS_A_PROGRAM == 1 and ended.status != 0:
            program = self.kcert(*argv)
            assert (program.status, program.stderr) == (ended.status, ended.stderr), argv
        return ended

    def config(self, content: bytes) -> None:
        """Make the folder empty but for *content* in kcert.yaml."""
        for left in self.kcert.folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        (self.kcert.folder / "kcert.yaml").write_bytes(content)


def _refuses(kcert: Runner, argv: list[str], *statuses: int) -> None:
    """kcert ends with one of *statuses*: unless that is 0, it says why, and nothing is written."""
    before = snapshot(kcert.kcert.folder)
    ended = kcert(argv)
    try:
        assert ended.status in statuses
        assert "Traceback" not in ended.stdout + ended.stderr
        # `kcert` and `kcert csr` alone print their help.
        if ended.status != 0 and not ended.stdout.lstrip().startswith("Usage: "):
            assert_refused(ended, ended.status)
        if ended.status != 0:
            assert snapshot(kcert.kcert.folder) == before
            assert not (kcert.kcert.folder / "pki").exists()
    except AssertionError as error:
        raise AssertionError(f"{argv} ended with {ended.status}: {ended.stderr!r} {error}") from None


def _configurations(kcert: Runner) -> Callable[[], None]:
    @given(st.one_of(corrupted(), corrupted(), mangled(), anything.map(str.encode), st.binary(max_size=200)), st.data())
    def one(content: bytes, data: st.DataObject) -> None:
        kcert.config(content)
        _refuses(kcert, data.draw(st.sampled_from(LOOKING)), 0, 2)

    return one


def _corruptions(kcert: Runner) -> Callable[[], None]:
    @given(corrupted(), st.sampled_from((*MAKING, *LOOKING)))
    def one(content: bytes, argv: list[str]) -> None:
        kcert.config(content)
        _refuses(kcert, argv, 2)

    return one


def _lines(kcert: Runner) -> Callable[[], None]:
    @given(bad_line)
    def one(argv: tuple[str, ...]) -> None:
        kcert.config(b"key: {algorithm: ecdsa}\n")
        _refuses(kcert, list(argv), 2)

    return one


def _wild(kcert: Runner) -> Callable[[], None]:
    @given(wild_line)
    def one(argv: list[str]) -> None:
        kcert.config(b"key: {algorithm: ecdsa}\n")
        _refuses(kcert, argv, 0, 1, 2, 3)

    return one


def _course(name: str, kind: Callable[[Runner], Callable[[], None]]) -> Callable[[LabBuilder, int], Iterator[Check]]:
    def course(ground: LabBuilder, times: int) -> Iterator[Check]:
        for number in range((times + A_TRIAL - 1) // A_TRIAL):
            cases = min(A_TRIAL, times - number * A_TRIAL)
            with ground.trial(name, number) as (trial, kcert, _):
                trial.repeat, trial.cases = f"{name} --seed {ground.seed + number} --times {cases}", cases
                fair = settings(
                    max_examples=cases,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                    report_multiple_bugs=False,
                )
                try:
                    seed(ground.seed + number)(fair(kind(Runner(kcert))))()
                except Exception as error:  # noqa: BLE001 - a finding, with the smallest example in its notes
                    trial.wrong.append("\n".join([str(error), *getattr(error, "__notes__", ())]))
            yield trial

    return course


PARTS = (
    Part("configs", "kcert.yaml with one thing in it that is never right", _course("configs", _corruptions), 2000, 100),
    Part("mangled", "kcert.yaml mangled, text, bytes", _course("mangled", _configurations), 1000, 50),
    Part("lines", "command lines that are never right", _course("lines", _lines), 1500, 100),
    Part("wild", "command lines of any words", _course("wild", _wild), 500, 30),
)
