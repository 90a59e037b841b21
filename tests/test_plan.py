"""`kcert plan`: a line a certificate, the rest when it is asked for, and a status for scripts."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests import judge, running
from tests.refusals import assert_refused
from tests.terminal import on_terminal
from tests.test_faults import fake_openssl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert


def test_a_line_a_certificate_fits_eighty_columns(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    short, wide = kcert("plan"), kcert("plan", "--wide")

    assert short.lines[0].split() == ["state", "certificate", "expires", "days", "why"]
    assert max(map(len, short.lines)) <= 80
    assert [line.split()[:2] for line in short.lines] == [line.split()[:2] for line in wide.lines]
    assert "CN=kube-admin, O=system:masters" in wide.stdout
    assert kcert("plan", "-o", "wide").stdout == wide.stdout


def test_certificates_with_one_reason_share_a_command(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    kcert.done("renew", "ca", "--new-key", "-q", "-d", folder)

    said = " ".join(on_terminal(kcert, "plan", "-d", str(folder)).plain.split())

    assert said.count("the outgoing CA signed it") == 1
    assert "Each of admin, kube-scheduler, " in said
    typed = said.partition("kcert renew admin ")[2].partition(" --stale")[0].replace("\\", "").split()
    assert "service-account" in typed
    kcert.done("renew", "admin", *typed, "--stale", "-q", "-d", folder)
    planned = json.loads(kcert.done("plan", "--format", "json", "-d", folder).stdout)
    assert {one["state"] for one in planned} == {"current"}


def test_a_date_is_said_once(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    pki = own_pki("course")
    kcert.done("renew", "admin", "--days", "10", "--quiet")
    until = f"{judge.load(pki.folder / 'admin.crt').not_valid_after_utc:%Y-%m-%d}"

    planned, kept = (" ".join(on_terminal(kcert, command).plain.split()) for command in ("plan", "all"))

    assert f" admin expires on {until}. kcert renew admin " in planned
    assert f" admin expires on {until}. Not changed; kcert renew admin renews it." in kept


def test_a_line_in_a_pipe_is_narrow_and_counts_what_it_cuts(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    names = ", ".join(f"{letter}.example.com" for letter in "abcdefghijklmnop")
    with own_pki("course").config.open("a", encoding="utf-8") as config:
        config.write(f"api_server: {{extra_sans: [{names}]}}\n")

    short, wide = kcert("plan"), kcert("plan", "--wide")

    assert max(map(len, short.lines)) <= 80
    assert re.search(r"it lacks DNS:a\S* \+15 more$", short.stdout, re.MULTILINE)
    assert re.search(r"it lacks DNS:a\.example\.com, .*, DNS:p\.example\.com$", wide.stdout, re.MULTILINE)


def test_strict_tells_a_script_that_something_is_missing(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    whole = kcert("plan", "--strict")
    (folder / "admin.crt").unlink()

    lacking, told = kcert("plan", "--strict"), kcert("plan")

    assert (whole.status, lacking.status, told.status) == (0, 1, 0)
    assert lacking.stdout == told.stdout


def test_a_user_who_is_not_in_kcert_yaml_is_in_the_plan(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")
    assert kcert("client", "bob", "-g", "dev", "-q").status == 0

    planned = kcert("plan")

    assert planned.lines[-1].split()[:2] == ["current", "bob"]


def _other_public_key(pki: Path) -> None:
    key = running.output(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]).stdout
    (pki / "pki/sa.pub").write_text(running.output(["openssl", "pkey", "-pubout"], stdin=key).stdout)


def _public_key_cut_short(pki: Path) -> None:
    path = pki / "pki/sa.pub"
    path.write_bytes(path.read_bytes()[:-60])


def _encrypted_key(pki: Path) -> None:
    key = pki / "pki/apiserver.key"
    argv = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret"]
    key.write_text(running.output(argv).stdout)


def _negative_serial(pki: Path) -> None:
    crt, ca, config = (str(pki / "pki" / name) for name in ("front-proxy-client", "front-proxy-ca", "config"))
    (pki / "pki/config").write_text("basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")
    asking = ["openssl", "x509", "-in", f"{crt}.crt", "-x509toreq", "-signkey", f"{crt}.key"]
    signing = ["openssl", "x509", "-req", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-set_serial", "-77"]
    request = running.output(asking).stdout
    signed = running.output([*signing, "-days", "90", "-extfile", config], stdin=request)
    (pki / "pki/front-proxy-client.crt").write_text(signed.stdout)


def _kubeconfig_of_another_ca(pki: Path) -> None:
    own, other = (base64.b64encode((pki / f"pki/{name}.crt").read_bytes()).decode() for name in ("ca", "etcd/ca"))
    path = pki / "admin.conf"
    path.write_text(path.read_text().replace(own, other))


@pytest.mark.parametrize(
    ("breaks", "name", "reason", "fix"),
    [
        (_other_public_key, "sa", "pki/sa.pub is not the public key of pki/sa.key", "--stale"),
        (_public_key_cut_short, "sa", "pki/sa.pub is damaged", "--stale"),
        (_encrypted_key, "apiserver", "its key pki/apiserver.key is encrypted", "--new-key"),
        (_negative_serial, "front-proxy-client", "its serial number is negative (-0x4d)", "--stale"),
        (_kubeconfig_of_another_ca, "admin", "is not the cluster's CA ('CN=etcd-ca')", "--stale"),
    ],
    ids=["sa.pub", "half of sa.pub", "encrypted", "serial", "kubeconfig"],
)
def test_what_no_component_can_use_is_not_current(  # noqa: PLR0917 - four of them are one case
    own_pki: Callable[..., Pki], kcert: Kcert, breaks: Callable[[Path], None], name: str, reason: str, fix: str
) -> None:
    pki = own_pki("kubeadm").folder
    signing_key = (pki / "pki/sa.key").read_bytes()
    breaks(pki)

    planned = {entry["name"]: entry for entry in json.loads(kcert.done("plan", "--format", "json").stdout)}
    kcert.done("renew", name, fix, "-q")

    assert planned[name]["state"] == "stale"
    assert not planned[name]["usable"]
    assert reason in planned[name]["reasons"][0]
    assert planned[name]["fix"] == f"kcert renew {name} {fix}"
    assert [other for other in planned if planned[other]["state"] != "current"] == [name]
    assert kcert("plan", "--strict").status == 0
    assert (pki / "pki/sa.key").read_bytes() == signing_key


@pytest.mark.parametrize("command", ["plan", "all", "renew --all", "kubeconfig", "client bob"])
def test_a_folder_below_a_file_is_wrong_use(kcert: Kcert, command: str) -> None:
    (kcert.folder / "file").write_text("mine", encoding="utf-8")

    assert_refused(kcert(*command.split(), "--dir", "file/pki"), 2, "file")


def test_what_the_command_line_asks_for_is_remembered_and_kept(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    for name in ("kube-apiserver", "admin"):
        (folder / f"{name}.crt").unlink()
        (folder / f"{name}.key").unlink()

    made = kcert("apiserver", "--san", "vip.example", "--san", "10.9.8.7", "--days", "90", "-q")
    named = kcert("client", "admin", "--cn", "root@example", "--key", "ecdsa:P-384", "-q")
    planned = json.loads(kcert.done("plan", "--format", "json").stdout)
    renewed = kcert("renew", "kube-apiserver", "-q")

    assert [ended.status for ended in (made, named, renewed)] == [0, 0, 0], made.stderr + named.stderr
    assert {one["name"]: one["state"] for one in planned if one["state"] != "current"} == {}
    server, admin = (judge.judged(judge.load(folder / f"{name}.crt")) for name in ("kube-apiserver", "admin"))
    assert {"DNS:vip.example", "IP:10.9.8.7"} <= set(server.names)
    assert server.days == 90
    assert "root@example" in str(admin)


@pytest.mark.parametrize(
    "request_",
    [
        {"sans": 5},
        {"sans": [["DNS", "a\nopenssl_conf = planted"]]},
        {"sans": [["DNS", ["a"]]]},
        {"sans": [["dirName", "planted"]]},
        {"days": True},
        {"days": 10**12},
        {"cn": ""},
        {"cn": "admin\x1b[31m"},
        {"key": ["rsa:2048"]},
    ],
    ids=str,
)
def test_what_the_command_line_cannot_ask_for_is_not_remembered(
    own_pki: Callable[..., Pki], kcert: Kcert, request_: dict[str, object]
) -> None:
    """A folder can come from someone else, with a record of requests that kcert did not write."""
    folder = own_pki("course").folder
    memory = {"example": True, "requests": {"admin": request_}}
    (folder / ".kcert/remembered.json").write_text(json.dumps(memory), encoding="utf-8")
    before = (folder / "openssl-admin.cnf").read_bytes()

    planned = json.loads(kcert.done("plan", "--format", "json").stdout)
    shown = on_terminal(kcert, "plan").plain
    (folder / "admin.crt").unlink()
    kcert.done("client", "admin", "-q")

    assert {one["state"] for one in planned} == {"current"}
    assert "planted" not in shown
    assert "\x1b[31m" not in shown
    assert (folder / "openssl-admin.cnf").read_bytes() == before


def test_what_the_command_line_asked_for_is_remembered_where_a_later_certificate_fails(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    for path in (*folder.glob("kube-apiserver.*"), *folder.glob("apiserver-etcd-client.*")):
        path.unlink()
    broken = fake_openssl(kcert.folder, 'case "$*" in *"-out apiserver-etcd-client.crt"*) exit 1;; esac')

    ended = kcert("apiserver", "--san", "vip.example", "--openssl", broken)
    planned = json.loads(kcert.done("plan", "--format", "json").stdout)

    assert_refused(ended, 3, "while apiserver-etcd-client was made")
    assert {one["name"]: one["state"] for one in planned if one["state"] != "current"} == {
        "apiserver-etcd-client": "missing"
    }


def test_a_clients_sans_and_a_group_with_a_blank(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder

    ended = kcert("client", "bob", "--san", "bob.example", "-g", "Acme Corp", "-q")

    assert ended.status == 0, ended.stderr
    found = judge.load(folder / "bob.crt")
    assert found.subject.rfc4514_string() == "O=Acme Corp,CN=bob"
    assert "DNS:bob.example" in judge.judged(found).names


@pytest.mark.parametrize("cn", ["bob", "robert"])
def test_groups_are_changed_only_when_that_is_asked_for(own_pki: Callable[..., Pki], kcert: Kcert, cn: str) -> None:
    folder = own_pki("course").folder
    kcert.done("client", "bob", "-q", *(() if cn == "bob" else ("--cn", cn)))
    before = (folder / "bob.key").read_bytes()

    refused = kcert("client", "bob", "-g", "dev", "-q")
    kept = judge.load(folder / "bob.crt").subject.rfc4514_string()
    replaced = kcert("client", "bob", "-g", "dev", "--replace", "-q")

    assert_refused(refused, 2, "--replace")
    assert (kept, replaced.status) == (f"CN={cn}", 0)
    assert judge.load(folder / "bob.crt").subject.rfc4514_string() == f"O=dev,CN={cn}"
    assert (folder / "bob.key").read_bytes() == before


def test_an_administrator_is_warned_of(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    warned, usual = kcert("client", "eve", "-g", "system:masters", "-q"), kcert("client", "bob", "-g", "dev", "-q")

    assert "members of system:masters may do everything" in warned.stderr
    assert usual.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("client --san x.example", "Specify one"),
        ("ca --san x.example", "is a CA"),
        ("client bob --key dsa:1", "rsa:2048"),
        ("client bob --key rsa:1024", "rsa:2048"),
        ("client bob --san a/b", "neither a DNS name nor an address"),
        ("client bob --cn a/b", "--cn"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(kcert: Kcert, arguments: str, said: str) -> None:
    assert_refused(kcert(*arguments.split()), 2, said)


@pytest.mark.parametrize(
    ("profile", "name", "file"),
    [
        ("course", "admin", "admin.key"),
        pytest.param("kubeadm", "sa", "pki/sa.key", marks=pytest.mark.thorough),
    ],
)
def test_a_key_that_is_cut_short_is_stale_and_the_plan_says_what_mends_it(
    own_pki: Callable[..., Pki], kcert: Kcert, profile: str, name: str, file: str
) -> None:
    folder = own_pki(profile).folder
    key = folder / file
    key.write_bytes(key.read_bytes()[:-60])

    planned = {one["name"]: one for one in json.loads(kcert.done("plan", "--format", "json", "-d", folder).stdout)}
    kept = kcert("all", "-q", "-d", folder)
    fixed = kcert("renew", name, "--new-key", "-q", "-d", folder)
    after = {one["name"]: one for one in json.loads(kcert.done("plan", "--format", "json", "-d", folder).stdout)}

    assert (planned[name]["state"], planned[name]["usable"]) == ("stale", False)
    assert "damaged" in planned[name]["reasons"][0]
    assert f"kcert renew {name} --new-key" in kept.stdout
    assert (fixed.status, after[name]["state"]) == (0, "current"), fixed.stderr
