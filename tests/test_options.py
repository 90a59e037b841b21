"""One grammar of options: the same spelling and the same meaning in every command."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from kcert import __version__, cli
from tests.refusals import assert_refused
from tests.running import Kcert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki

SPELLINGS = {
    "--output": "-o",
    "--quiet": "-q",
    "--dry-run": "-n",
    "--dir": "-d",
    "--config": "-c",
    "--group": "-g",
    "--jobs": "-j",
    "--file": "-f",
}


def options() -> Iterator[tuple[str, Any]]:
    """Every option of every command."""
    for name in cli.COMMANDS:
        command = cli.load(name)
        for sub, leaf in getattr(command, "commands", {"": command}).items():
            yield from ((f"{name} {sub}".strip(), option) for option in leaf.params if option.opts[0].startswith("-"))


def choices(option: Any) -> list[str]:
    """Return what a shell offers for the option."""
    return [item.value for item in option.shell_complete(typer.Context(typer.main.get_command(cli.app)), "")]


def test_an_option_has_one_short_form_in_all_commands() -> None:
    wrong = [
        f"{command}: {option.opts}"
        for command, option in options()
        for long, short in SPELLINGS.items()
        if long in option.opts and short not in option.opts
    ]
    assert not wrong


def test_no_command_has_a_spelling_for_two_options() -> None:
    given = Counter((command, spelling) for command, option in options() for spelling in option.opts)

    assert not [named for named, times in given.items() if times > 1]


def test_quiet_prints_the_result_alone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")
    for words in ("csr new amy -g dev", "csr manifest amy", "csr new joe -g dev", "csr manifest joe"):
        kcert.done(*words.split(), "-q")

    assert kcert.done("csr", "approve", "--file", "pki/amy-csr.yaml", "-q").stdout == "pki/amy-csr.yaml\n"
    assert kcert.done("csr", "deny", "--file", "pki/joe-csr.yaml", "-q").stdout == "pki/joe-csr.yaml\n"
    flags = kcert.done("flags", "kube-scheduler", "-q").stdout
    assert flags == kcert.done("flags", "kube-scheduler", "--format", "flags").stdout
    assert kcert.done("practice", "start", "make-the-ca", "--dir", "lab", "-q").stdout == "lab\n"
    assert kcert("practice", "check", "--dir", "lab", "-q").stdout == "Not solved.\n"


def test_the_default_format_is_text_and_json_has_a_short_form() -> None:
    by_command: dict[str, set[str]] = {}
    for command, option in options():
        by_command.setdefault(command, set()).update(option.opts)
    formats = {command: option for command, option in options() if "--format" in option.opts}

    assert not [command for command, option in formats.items() if option.default != "text"]
    assert not [
        command
        for command, option in formats.items()
        if ("json" in choices(option)) != ("--json" in by_command[command])
    ]


@pytest.mark.parametrize(
    "time", ["36600", "99y", *(pytest.param(time, marks=pytest.mark.thorough) for time in ("2000w", "876000h"))]
)
def test_expiring_in_takes_the_same_durations_everywhere(own_pki: Callable[..., Pki], kcert: Kcert, time: str) -> None:
    own_pki("course")
    if time == "36600":
        for command in (("check", "pki"), ("inventory", "pki"), ("renew", "-n")):
            assert_refused(kcert(*command, "--expiring-in", time), 2, "more than a hundred years")
        return

    assert len(json.loads(kcert("check", "pki", "--json", "--expiring-in", time).stdout)["findings"]) > 5
    assert len(json.loads(kcert.done("inventory", "pki", "--json", "--expiring-in", time).stdout)) > 5
    assert "openssl" in kcert.done("renew", "-n", "--expiring-in", time).stdout


@pytest.mark.thorough
def test_a_bare_number_is_a_number_of_days(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    for command in (("check", "pki"), ("inventory", "pki")):
        in_days = kcert(*command, "--json", "--expiring-in", "400").stdout
        assert in_days == kcert(*command, "--json", "--expiring-in", "400d").stdout
        assert in_days != kcert(*command, "--json", "--expiring-in", "1h").stdout
    assert "openssl" in kcert.done("renew", "-n", "--expiring-in", "400").stdout
    assert "Nothing to renew" in kcert.done("renew", "--expiring-in", "12h").stdout


def test_variables_set_the_format_and_turn_explanations_off(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    assert json.loads(kcert.done("plan", variables={"KCERT_FORMAT": "json"}).stdout)
    assert kcert.done("plan", "--format", "text", variables={"KCERT_FORMAT": "json"}).stdout.startswith("state")
    assert kcert.done("history", "--head", variables={"KCERT_FORMAT": "csv"}).stdout
    assert_refused(kcert("plan", variables={"KCERT_FORMAT": "yaml"}), 2, "KCERT_FORMAT 'yaml' is not a format")
    assert_refused(
        kcert("check", "pki", "--json", "--format", "html"), 2, "--json cannot be combined with --format html"
    )
    quiet = kcert.done("kubeconfig", "admin", variables={"KCERT_EXPLAIN": "no"}).stdout
    assert "kubectl config" not in quiet
    assert "admin.kubeconfig" in quiet


def test_help_and_version_are_commands_too(kcert: Kcert) -> None:
    assert kcert.done("version").stdout == kcert.done("--version").stdout == f"kcert {__version__}\n"
    assert kcert.done("help").stdout == kcert.done("-h").stdout == kcert.done("--help").stdout
    assert kcert.done("help", "csr", "new").stdout == kcert.done("csr", "new", "-h").stdout
    assert_refused(kcert("help", "pln"), 2, "pln")


@pytest.mark.thorough
def test_a_report_is_written_to_a_file_and_over_nothing_but_a_report(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki("course")
    key = (made.folder / "admin.key").read_bytes()

    for words in ("plan", "check pki", "history", "show pki/admin.crt", "flags etcd", "doctor", "inventory pki"):
        for more in ([], ["--json"]):
            file = made.home / f"{words.split()[0]}{len(more)}"
            kcert(*words.split(), *more, "--output", file.name)
            first = file.read_text(encoding="utf-8")
            again = kcert(*words.split(), *more, "-o", file.name)
            assert (again.status, bool(first)) == (0, True), (words, again.stderr)
            assert first[:10] in kcert(*words.split(), *more, "-o", "-").stdout
        refused = kcert(*words.split(), "--output", "pki/admin.key")
        assert_refused(refused, 2, "pki/admin.key exists and is not a report of kcert")
    assert (made.folder / "admin.key").read_bytes() == key


@pytest.mark.thorough
def test_a_user_whom_only_the_folder_knows_is_in_every_list(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki("course")
    kcert.done("client", "bob", "--group", "dev", "--quiet")

    kcert.done("kubeconfig", "--quiet")
    assert (made.folder / "bob.kubeconfig").is_file()
    for words in (("kubeconfig", "nobody"), ("call", "/version", "--as", "nobody"), ("renew", "nobody")):
        assert_refused(kcert(*words), 2, ", bob")
    assert "bob" in {record["name"] for record in json.loads(kcert.done("plan", "--json").stdout)}


@pytest.mark.thorough
def test_a_config_like_one_before_is_printed_by_its_differences(kcert: Kcert) -> None:
    kcert.done("init", "--node", "node01=10.0.0.1", "--node", "node02=10.0.0.2")
    kcert.done("ca", "--quiet")

    clients = kcert.done("client", "bob", "jane").stdout
    assert clients.count("[ req_distinguished_name ]") == 1
    assert "The file is the same as openssl-bob.cnf" in " ".join(clients.split())
    assert " ".join(clients.split()).count("Everything else depends on the private key") == 1, "a reason is told once"
    assert kcert.done("client", "eve", "dan", "--full").stdout.count("[ req_distinguished_name ]") == 2
    kubelets = kcert.done("kubelet").stdout
    assert re.search(r"^ +- .*node01$", kubelets, re.MULTILINE)
    assert re.search(r"^ +\+ .*node02$", kubelets, re.MULTILINE)
    assert (
        len(re.findall(r"^ +\+ ", kubelets, re.MULTILINE))
        == len(re.findall(r"^ +\+ .*(?:node02|10\.0\.0\.2)$", kubelets, re.MULTILINE))
        == 2
    )


def test_errors_lead_to_a_command_that_works(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    assert_refused(kcert("show", "admin"), 2, "`kcert show pki/admin.crt`")
    assert_refused(kcert("show", "admin.crt"), 2, "`kcert show pki/admin.crt`")
    for name in ("etcd", "apiserver", "ca"):
        assert_refused(kcert("kubeconfig", name), 2, "is not a client of the API server. The clients are: admin,")
    assert_refused(kcert("kubeconfig", "eve"), 2, "`kcert client eve`")
    for name in ("kubelet", "scheduler", "node01"):
        kcert.done("kubeconfig", name, "--quiet")
    kcert.done("csr", "new", "node01", "--signer", "kubelet-serving", "--quiet")
    assert kcert.done("csr", "manifest", "node01", "--signer", "kubelet-serving", "--quiet").stdout.endswith(".yaml\n")
    assert "no problems found" in kcert.done("check", "pki/admin.crt").stdout
    kcert.done("kubeconfig", "admin", "--server", "10.0.0.1:6443", "--merge", "new.conf", "--quiet")
    assert "server: https://10.0.0.1:6443" in (kcert.folder / "new.conf").read_text(encoding="utf-8")
    assert "members of system:masters" in kcert.done("client", "eve", "-g", "system:masters", "--quiet").stderr
    assert "O=dev ops" in kcert.done("client", "dan", "-g", "dev ops", "--no-explain").stdout


@pytest.mark.parametrize(
    "arguments",
    [("plan",), ("client", "jane"), ("renew", "admin"), ("all", "--quiet"), ("history",), ("kubeconfig", "admin")],
    ids=lambda arguments: arguments[0],
)
def test_in_the_pki_folder_no_second_one_is_made(own_pki: Callable[..., Pki], arguments: tuple[str, ...]) -> None:
    folder = own_pki("course", "small").folder
    before = sorted(folder.iterdir())

    ended = Kcert(folder)(*arguments)

    assert (ended.status, ended.stdout) == (2, "")
    assert "the current folder is itself a PKI folder" in " ".join(ended.stderr.split())
    assert sorted(folder.iterdir()) == before
    assert Kcert(folder)("history", "--dir", ".").status == 0
