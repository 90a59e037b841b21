"""Chapters alone and in any order, clients of every sort, and what is stale, expiring or expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import judge
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki


@pytest.mark.parametrize("profile", representatives(["kubeadm", "course", "hardway"]))
def test_chapters_in_any_order_make_what_all_makes(kcert: Kcert, profile: str, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(f"profile: {profile}\nkey: {{algorithm: ecdsa}}\n", encoding="utf-8")

    for chapter in ("ca", "service-account", "kubelet", "apiserver", "etcd", "client"):
        assert kcert.done(chapter, "--quiet").stdout

    assert all(line.endswith("current") for line in kcert.done("all", "--quiet").lines)


@pytest.mark.parametrize("chapter", ["client", "etcd", "apiserver", "kubelet"])
def test_a_chapter_that_needs_the_ca_says_so_and_offers_the_command(kcert: Kcert, chapter: str) -> None:
    assert_refused(kcert(chapter, "--dir", "my pki"), 2, "kcert ca --dir 'my pki'")


def test_a_client_of_any_name_gets_its_groups_in_their_order(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")

    kcert.done("client", "jane", "system:joe", "--group", "b:2", "--group", "a", "--quiet")

    for name, stem in (("jane", "jane"), ("system:joe", "system-joe")):
        seen = judge.judged(judge.load(own.folder / f"{stem}.crt"))
        assert seen.subject == (f"CN={name}", "O=b:2", "O=a")


@pytest.mark.parametrize("command", ["ca", "all"])
def test_a_lost_ca_is_not_made_anew_beside_what_it_signed(
    own_pki: Callable[..., Pki], kcert: Kcert, command: str
) -> None:
    folder = own_pki("course").folder
    key = (folder / "ca.key").read_bytes()
    for name in ("ca.crt", "ca.key"):
        (folder / name).unlink()
    before = snapshot(folder)

    assert_refused(kcert(command), 2, "certificates that it signed do: admin.crt", "from a backup")
    assert snapshot(folder) == before

    (folder / "ca.key").touch(0o600)
    (folder / "ca.key").write_bytes(key)
    assert "made  ca" in kcert.done(command, "--quiet").stdout


def test_what_to_type_next_is_what_the_folder_lacks(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")

    def next_up(*arguments: str) -> str:
        return " ".join(kcert.done(*arguments, "--no-explain").stdout.split()).partition("Next: ")[2]

    assert next_up("client", "jane").startswith("`kcert kubeconfig jane` ")
    assert next_up("all").startswith("`kcert kubeconfig` ")
    (own.folder / "node01.crt").unlink()
    assert next_up("etcd").startswith("`kcert kubelet`: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["admin", "--group", "developers"], "cannot be put into other groups"),
        (["--group", "developers"], "no user is specified"),
        (["system:node:node01"], "the certificate kubelet-client-node01, which `kcert kubelet` creates"),
        (["kube-admin"], "the certificate admin, which `kcert client admin` creates"),
        (["kube-apiserver"], "kcert apiserver"),
        (["node01"], "kcert kubelet"),
        (["ca"], "kcert ca"),
    ],
)
def test_a_client_that_cannot_be_is_refused(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: list[str], said: str
) -> None:
    before = snapshot(own_pki("course").folder)

    assert_refused(kcert("client", *arguments), 2, said)
    assert snapshot(kcert.folder / "pki") == before


@pytest.mark.parametrize("profile", ["course", "kubeadm", "hardway"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kube-schduler", "did you mean kube-scheduler? To create a user with this name, use --group GROUP."),
        ("admn", "did you mean admin? To create a user with this name, use --group GROUP."),
        ("kube-apiservr", "did you mean kube-apiserver, which `kcert apiserver` creates? To create a user"),
        ("system:kube-schduler", "did you mean system:kube-scheduler?"),
        ("node1", "did you mean node01, which `kcert kubelet"),
        ("etcd", "etcd is created by `kcert etcd`."),
        ("node01", "is created by `kcert kubelet"),
    ],
)
def test_what_is_nearly_the_clusters_own_is_no_new_user(
    own_pki: Callable[..., Pki], kcert: Kcert, profile: str, name: str, said: str
) -> None:
    before = snapshot(own_pki(profile).folder)

    assert_refused(kcert("client", name, "--quiet"), 2, said)
    assert snapshot(kcert.folder / "pki") == before


def test_kubelet_is_sent_to_its_own_command(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    before = snapshot(own_pki("course").folder)

    assert_refused(kcert("client", "kubelet"), 2, "kubelet is created by `kcert kubelet`.")
    assert snapshot(kcert.folder / "pki") == before


@pytest.mark.thorough
def test_names_that_are_like_a_users_or_come_with_a_group_are_made(kcert: Kcert, tmp_path: Path) -> None:
    config = tmp_path / "kcert.yaml"
    config.write_text("key: {algorithm: ecdsa}\nusers: [{name: jane}]\n", encoding="utf-8")
    kcert.done("ca", "--quiet")

    made = kcert.done("client", "jane", "jan", "janet", "adam", "cal", "--quiet").lines
    grouped = kcert.done("client", "admn", "--group", "developers", "--quiet").lines

    assert [line.split()[1] for line in (*made, *grouped)] == ["jane", "jan", "janet", "adam", "cal", "admn"]


@pytest.mark.thorough
def test_whoever_is_made_without_a_group_is_told_of(kcert: Kcert, tmp_path: Path) -> None:
    config = tmp_path / "kcert.yaml"
    config.write_text("key: {algorithm: ecdsa}\nusers: [{name: jane}]\n", encoding="utf-8")
    kcert.done("ca", "--quiet")

    lesson = kcert.done("client", "bob", "developers", "--no-explain").stdout
    quiet = kcert("client", "carla", "jane", "--quiet")
    others = [
        kcert(*words, "--quiet")
        for words in (("client", "dora", "--group", "a"), ("client", "carla"), ("renew", "carla"), ("client", "admin"))
    ]

    assert "bob and developers are not in any group. Use --group GROUP to add one." in lesson
    assert quiet.stderr == "kcert: carla is not in any group. Use --group GROUP to add one.\n"
    assert not [one.stderr for one in others if "no group" in one.stderr or one.status]


def _resigned(folder: Path, *dates: str) -> None:
    """Sign admin's request once more, with other dates."""
    said = output(
        [
            *("openssl", "x509", "-req", "-in", "admin.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out", "admin.crt"),
            *("-set_serial", "77", "-extensions", "v3_req", "-extfile", "openssl-admin.cnf", *dates),
        ],
        folder,
    )
    assert said.status == 0, said.stderr


def _ended() -> tuple[str, ...]:
    """Return the options that create an expired certificate: a new openssl accepts no -days below 0."""
    told = "-not_after" in output(["openssl", "x509", "-help"]).stderr
    return ("-not_before", "20200101000000Z", "-not_after", "20210101000000Z") if told else ("-days", "-1")


@pytest.mark.parametrize(("days", "state"), [("", "expired"), ("29", "expiring"), ("32", "current")])
def test_what_ends_soon_or_has_ended_is_named_and_left_alone(
    own_pki: Callable[..., Pki], kcert: Kcert, days: str, state: str
) -> None:
    own = own_pki("course")
    _resigned(own.folder, *(("-days", days) if days else _ended()))
    before = snapshot(own.folder)

    lines = kcert.done("all", "--quiet").lines

    (line,) = (one for one in lines if one.startswith("kept  admin  "))
    assert state in line
    assert ("kcert renew admin" in line) == (state != "current")
    assert snapshot(own.folder) == before


def test_a_certificate_that_no_longer_fits_the_cluster_is_stale(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    with own.config.open("a", encoding="utf-8") as config:
        config.write("api_server: {host: lb.example.com, ip: 192.0.2.30}\n")
    before = snapshot(own.folder)

    said = " ".join(kcert.done("all", "--quiet").stdout.split())

    assert "kube-apiserver stale: it lacks DNS:lb.example.com, IP:192.0.2.30" in said
    assert snapshot(own.folder) == before


@pytest.mark.thorough
def test_a_client_whom_nobody_knows_stays_in_the_groups_of_the_certificate(kcert: Kcert, tmp_path: Path) -> None:
    config = tmp_path / "kcert.yaml"
    config.write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")
    kcert.done("ca", "--quiet")
    kcert.done("client", "zoe", "--group", "a", "--quiet")
    before = snapshot(tmp_path)

    again = kcert.done("client", "zoe", "--quiet").stdout
    same = kcert.done("client", "zoe", "--group", "a", "--quiet").stdout
    other = kcert("client", "zoe", "--group", "b", "--quiet")

    assert again == same == "kept  zoe  current\n"
    assert_refused(other, 2, "zoe already has a certificate, in a", "--replace")
    assert snapshot(tmp_path) == before
    # kcert.yaml is another way.
    config.write_text("key: {algorithm: ecdsa}\nusers: [{name: zoe, groups: [b]}]\n", encoding="utf-8")
    kcert.done("renew", "zoe", "--stale", "--quiet")
    assert judge.judged(judge.load(tmp_path / "pki/zoe.crt")).subject == ("CN=zoe", "O=b")


def test_what_to_type_is_about_the_same_folder_and_the_same_cluster(kcert: Kcert, tmp_path: Path) -> None:
    """A command without --config would be about another cluster, and `renew` would bring the folder in line with it."""
    config = tmp_path / "my lab.yaml"
    config.write_text("key: {algorithm: ecdsa}\nusers: [{name: jane}]\n", encoding="utf-8")
    lab = ("--dir", "lab", "--config", config.name)
    words = "--dir lab --config 'my lab.yaml'`"

    assert_refused(kcert("client", "jane", *lab), 2, f"`kcert ca {words}")
    made = " ".join(kcert.done("ca", *lab).stdout.split())
    config.write_text("key: {algorithm: ecdsa}\nprofile: hardway\n", encoding="utf-8")
    kept = " ".join(kcert.done("ca", *lab).stdout.split())

    assert f"`kcert all {words}" in made
    assert f"`kcert renew ca --new-key --stale {words}" in kept


def test_a_leaf_gets_what_its_ca_has_left_and_kcert_says_so(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course")
    said = output(
        [
            *("openssl", "x509", "-req", "-in", "ca.csr", "-signkey", "ca.key", "-out", "ca.crt", "-days", "40"),
            *("-extensions", "v3_req", "-extfile", "openssl-ca.cnf"),
        ],
        own.folder,
    )
    assert said.status == 0, said.stderr
    for path in own.folder.glob("*admin.crt"):
        path.unlink()

    lines = kcert.done("client", "admin", "--quiet").lines

    authority, leaf = judge.load(own.folder / "ca.crt"), judge.load(own.folder / "admin.crt")
    assert any("the rest of its CA" in line for line in lines)
    assert leaf.not_valid_after_utc <= authority.not_valid_after_utc
    assert judge.judged(leaf).days in (39, 40)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("all", "--dir", ""), "the argument after --dir is empty"),
        (("all", "--dir="), "--dir= has no value"),
        (("ca", "--ca-dir", ""), "the argument after --ca-dir is empty"),
        (("kubeconfig", "admin", "--output="), "--output= has no value"),
        (("csr", "new", ""), "the argument after new is empty"),
        (("client", "--", ""), "the argument after -- is empty"),
        (("check", ""), "the argument after check is empty"),
        (("", "check"), "the first argument is empty"),
    ],
)
def test_a_variable_that_is_not_set_is_no_folder(
    kcert: Kcert, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """``--dir "$PKI"`` must not put keys into the current folder."""
    assert_refused(kcert(*arguments), 2, f"{said}: is a variable not set?")

    assert list(tmp_path.iterdir()) == []
