"""`kcert check` as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from cryptography import x509

from tests.running import program, representatives, without_privileges
from tests.zoo import course, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Ended, Kcert

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["checked", "findings"],
    "properties": {
        "checked": {"type": "integer", "minimum": 0},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["rule", "severity", "path", "message", "evidence", "fix", "restart"],
                "properties": {
                    "rule": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                    "severity": {"enum": ["error", "warning"]},
                    **{name: {"type": "string"} for name in ("path", "message", "evidence", "fix")},
                    "restart": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}


def found(ended: Ended) -> list[dict[str, Any]]:
    report = json.loads(ended.stdout)
    jsonschema.validate(report, SCHEMA)
    findings: list[dict[str, Any]] = report["findings"]
    return findings


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    """A folder with an error and two warnings."""
    recipes = changed(
        course.RECIPES,
        kube_apiserver={"begins": -400},
        jane={"subject": "CN=jane/O=system:masters", "days": 20},
    )
    course.lay_out(tmp_path / "pki", recipes)
    return tmp_path / "pki"


# ---------------------------------------------------------------- the three outcomes


@pytest.mark.parametrize("size", [pytest.param("small", marks=pytest.mark.thorough), "large"])
@pytest.mark.parametrize("profile", representatives(["kubeadm", "course", "hardway"]))
def test_what_kcert_makes_is_found_good_and_fits_its_own_kcert_yaml(
    profile: str, size: str, kcert: Kcert, own_pki: Callable[..., Pki]
) -> None:
    own_pki(profile, size)
    # Found by ./kcert.yaml and ./pki, where every command looks.
    ended = kcert("check", "pki", "--format", "json", "--strict")
    assert found(ended) == []
    assert ended.status == 0
    assert json.loads(ended.stdout)["checked"] > 9


def test_errors_end_with_status_1(kcert: Kcert, sick: Path) -> None:
    ended = kcert("check", sick, "--format", "json")
    assert ended.status == 1
    assert [(one["rule"], one["severity"]) for one in found(ended)] == [
        ("expired", "error"),
        ("expiring-soon", "warning"),
        ("powerful-user", "warning"),
    ]
    assert {one["path"] for one in found(ended)} == {str(sick / "kube-apiserver.crt"), str(sick / "jane.crt")}


def test_warnings_end_with_status_1_only_if_strict(kcert: Kcert, sick: Path) -> None:
    lenient = kcert("check", sick, "--skip", "expired", "--format", "json")
    strict = kcert("check", sick, "--skip", "expired", "--format", "json", "--strict")
    assert (lenient.status, strict.status) == (0, 1)
    assert {one["severity"] for one in found(lenient)} == {"warning"}
    assert strict.stdout == lenient.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["pki", "--only", "expird"], "did you mean expired?"),
        (["pki", "--skip", "everything"], "is not a rule; the rules are missing-file"),
        (["pki", "--expiring-in", "soon"], "--expiring-in 'soon' is not a duration"),
        (["pki", "--format", "yaml"], "yaml"),
        (["--root", "pki/ca.crt"], "is not a folder"),
        (["--root", "empty"], "there is no certificate where clusters keep them"),
        (["pki", "--openssl", "/nowhere/openssl"], "is not installed"),
    ],
)
def test_a_check_that_cannot_run_ends_with_status_2(
    arguments: list[str], complaint: str, kcert: Kcert, sick: Path
) -> None:
    (sick.parent / "empty").mkdir()
    ended = kcert("check", *arguments)
    status = 3 if "--openssl" in arguments else 2
    assert ended.status == status
    assert complaint in " ".join(ended.stderr.split())
    assert ended.stdout == ""


@pytest.mark.thorough
def test_where_no_cluster_is_set_up_the_pki_folder_is_judged(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    own = own_pki("course")
    assert found(kcert("check", "--format", "json")) == []
    (own.folder / "admin.key").chmod(0o644)
    ended = kcert("check", "--format", "json")
    assert ([one["rule"] for one in found(ended)], ended.status) == (["key-permissions"], 1)
    assert "pki/admin.crt" in kcert("inventory", "--format", "json").stdout


def test_an_empty_folder_has_nothing_wrong_with_it_and_that_is_said(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = kcert("check", "empty")
    assert ended.status == 0
    assert "No certificates found" in ended.stdout


def test_a_server_that_does_not_answer_could_not_be_judged(kcert: Kcert, sick: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert kcert("check", address).status == 2
        both = kcert("check", address, sick, "--only", "weak-key")
    assert both.status == 2
    assert address in both.stderr


# ---------------------------------------------------------------- switches


def test_one_rule_alone(kcert: Kcert, sick: Path) -> None:
    ended = kcert("check", sick, "--only", "powerful-user", "--only", "expiring-soon", "--format", "json")
    assert {one["rule"] for one in found(ended)} == {"powerful-user", "expiring-soon"}


def test_how_near_an_expiry_counts_as_near(kcert: Kcert, sick: Path) -> None:
    def expiring(within: str) -> set[str]:
        ended = kcert("check", sick, "--only", "expiring-soon", "--expiring-in", within, "--format", "json")
        return {one["path"].rpartition("/")[2] for one in found(ended)}

    assert expiring("10d") == set()
    assert expiring("4w") == {"jane.crt"}
    assert "admin.crt" in expiring("2y")


@pytest.mark.thorough
def test_a_repair_makes_it_last_longer_than_what_counts_as_near(kcert: Kcert, tmp_path: Path) -> None:
    course.lay_out(tmp_path / "pki")
    check = ("check", "pki", "--only", "expiring-soon", "--expiring-in", "2y", "--format", "json")
    fixes = "\n".join(one["fix"] for one in found(kcert(*check)))
    subprocess.run(["bash", "-e", "-c", fixes], cwd=tmp_path, check=True, capture_output=True)
    assert found(kcert(*check)) == []


# ---------------------------------------------------------------- what kcert.yaml says


def test_a_name_that_kcert_yaml_asks_for_is_missed(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    own = own_pki("course")
    own.config.write_text(own.config.read_text() + "dns_domain: other.local\n")
    ended = kcert("check", "pki", "--format", "json")
    assert {(one["rule"], one["path"].rpartition("/")[2]) for one in found(ended)} == {
        ("missing-san", "kube-apiserver.crt")
    }
    subprocess.run(["bash", "-e", "-c", found(ended)[0]["fix"]], cwd=own.home, check=True, capture_output=True)
    assert kcert("check", "pki").status == 0


# ---------------------------------------------------------------- while a CA is replaced


@pytest.mark.thorough
def test_a_repair_brings_the_new_ca_and_the_old_while_one_replaces_the_other(
    kcert: Kcert, own_pki: Callable[..., Pki]
) -> None:
    """A component with only one of the two rejects half of the cluster; kube-controller-manager accepts only one."""
    own = own_pki("course")
    host = own.home / "host"
    kcert.done("kubeconfig", "admin", "--no-embed", "--path-prefix", host, "--no-explain")

    for step in (["ca", "--new-key"], ["--all"]):
        kcert.done("renew", *step, "--quiet")
        manifest = kcert.done("flags", "kube-controller-manager", "--format", "manifest").stdout
        (own.home / "kube-controller-manager.yaml").write_text(manifest.replace("/etc/kubernetes/pki", str(host)))
        findings = found(kcert("check", "pki", "kube-controller-manager.yaml", "--format", "json"))
        fixes = {one["path"]: one["fix"] for one in findings if one["rule"] == "missing-file"}
        host.mkdir()
        for name in ("ca.crt", "ca-new.crt"):
            subprocess.run(["bash", "-e", "-c", fixes[str(host / name)]], cwd=own.home, check=True)
            assert (host / name).read_bytes() == (own.folder / name).read_bytes()
        shutil.rmtree(host)


# ---------------------------------------------------------------- several clusters, and half of one


@pytest.mark.thorough
@pytest.mark.parametrize("sick", representatives(["one", "two"]))
def test_of_two_clusters_the_sick_one_is_found_and_mended_with_its_own_ca(
    tmp_path: Path, kcert: Kcert, sick: str
) -> None:
    """Both have CAs of the same names."""
    program("patch")
    for name in ("one", "two"):
        wrong = {"kube-apiserver": {"--etcd-cafile": f"{kubeadm.PKI}/ca.crt"}} if name == sick else {}
        kubeadm.lay_out(tmp_path / "tree" / name, options=wrong)

    findings = found(kcert("check", "tree", "--format", "json"))

    assert [(one["rule"], one["path"]) for one in findings] == [
        ("wrong-ca-option", f"tree/{sick}/etc/kubernetes/manifests/kube-apiserver.yaml")
    ]
    subprocess.run(["bash", "-e", "-c", findings[0]["fix"]], cwd=tmp_path, check=True)
    assert found(kcert("check", "tree", "--format", "json")) == []
    assert f"tree/{sick}/" in findings[0]["fix"]


@pytest.mark.parametrize("sick", representatives(["one", "two"]))
def test_a_ca_that_cannot_be_read_is_not_replaced_by_another_clusters(tmp_path: Path, kcert: Kcert, sick: str) -> None:
    for name in ("one", "two"):
        kubeadm.lay_out(tmp_path / "tree" / name)
    (tmp_path / f"tree/{sick}/etc/kubernetes/pki/ca.crt").write_bytes(b"damaged")
    other = "one" if sick == "two" else "two"

    findings = found(kcert("check", "tree", "--format", "json"))

    (one,) = (one for one in findings if one["rule"] == "unreadable")
    assert f"tree/{sick}/" in one["fix"]
    assert f"tree/{other}/" not in "".join(one["fix"] for one in findings)


def test_who_signed_a_lone_api_servers_certificate_is_not_guessed(tmp_path: Path, kcert: Kcert) -> None:
    """A server CA beside the client CA is as good; it is not among the files, and nothing here trusts another."""
    recipes = {**kubeadm.RECIPES, "server-ca": Recipe("CN=server-ca", None, ca=True)}
    kubeadm.lay_out(tmp_path / "whole", changed(recipes, apiserver={"issuer": "server-ca"}))
    alone = tmp_path / "alone/etc/kubernetes"
    (alone / "manifests").mkdir(parents=True)
    shutil.copy(tmp_path / "whole/etc/kubernetes/manifests/kube-apiserver.yaml", alone / "manifests")
    shutil.copytree(tmp_path / "whole/etc/kubernetes/pki", alone / "pki")

    lone = kcert("check", "alone/etc/kubernetes/manifests/kube-apiserver.yaml", "--format", "json")
    whole = kcert("check", "whole", "--format", "json")

    assert found(lone) == []
    assert ("wrong-issuer", "whole/etc/kubernetes/pki/apiserver.crt") in [
        (one["rule"], one["path"]) for one in found(whole)
    ]


def test_behind_a_damaged_block_the_right_certificate_is_replaced(tmp_path: Path, kcert: Kcert) -> None:
    """The bundle holds half of a certificate, one that has expired, and its CA."""
    workshop = course.lay_out(tmp_path / "pki", changed(course.RECIPES, jane={"days": 0.5, "begins": -1}))
    bundle = tmp_path / "pki/jane.crt"
    cut = workshop["admin"].crt[:200] + b"\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(cut + workshop["jane"].crt + workshop["ca"].crt)

    (ended,) = (one for one in found(kcert("check", "pki", "--format", "json")) if one["rule"] == "expired")
    subprocess.run(["bash", "-e", "-c", ended["fix"]], cwd=tmp_path, check=True, capture_output=True)

    after = bundle.read_bytes()
    assert after.startswith(cut)
    assert after.endswith(workshop["ca"].crt)
    assert workshop["jane"].crt not in after
    assert [one["rule"] for one in found(kcert("check", "pki", "--format", "json"))] == ["unreadable"]


@pytest.mark.parametrize("name", ["kube-apiserver.crt", "admin.crt"])
def test_a_damaged_first_block_is_made_again_and_the_others_stay(name: str, tmp_path: Path, kcert: Kcert) -> None:
    workshop = course.lay_out(tmp_path / "pki", course.RECIPES)
    bundle = tmp_path / "pki" / name
    old = bundle.read_bytes()
    bundle.write_bytes(old[:200] + b"\n-----END CERTIFICATE-----\n" + workshop["ca"].crt)

    (damaged,) = found(kcert("check", "pki", "--format", "json"))
    subprocess.run(["bash", "-e", "-c", damaged["fix"]], cwd=tmp_path, check=True, capture_output=True)

    assert damaged["rule"] == "unreadable"
    assert bundle.read_bytes().endswith(workshop["ca"].crt)
    assert bundle.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert [one["rule"] for one in found(kcert("check", "pki", "--format", "json"))] == []


ETCD_CONFIGURATION = """\
name: controlplane01
listen-client-urls: https://192.168.56.11:2379
client-transport-security:
  cert-file: /etc/kubernetes/pki/etcd/server.crt
  key-file: /etc/kubernetes/pki/etcd/server.key
  client-cert-auth: true
  trusted-ca-file: /etc/kubernetes/pki/{trusted}
peer-transport-security:
  cert-file: /etc/kubernetes/pki/etcd/peer.crt
  key-file: /etc/kubernetes/pki/etcd/peer.key
  trusted-ca-file: /etc/kubernetes/pki/etcd/ca.crt
"""


@pytest.mark.parametrize("place", representatives(["manifest", "unit"]))
def test_what_etcds_configuration_file_names_is_followed_and_judged(tmp_path: Path, kcert: Kcert, place: str) -> None:
    program("patch")
    root = tmp_path / "root"
    kubeadm.lay_out(root)
    manifest = root / "etc/kubernetes/manifests/etcd.yaml"
    if place == "manifest":
        manifest.write_text(kubeadm.manifest("etcd", {"--config-file": f"{kubeadm.PKI}/etcd.yml"}))
    else:
        manifest.unlink()
        unit = root / "etc/systemd/system/etcd.service"
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(f"[Service]\nExecStart=/usr/bin/etcd --config-file {kubeadm.PKI}/etcd.yml\n")
    configuration = root / "etc/kubernetes/pki/etcd.yml"
    configuration.write_text(ETCD_CONFIGURATION.format(trusted="ca.crt"))

    uses = json.loads(kcert.done("inventory", "--root", "root", "--format", "json").stdout)
    findings = found(kcert("check", "--root", "root", "--format", "json"))

    named = {(one["option"], one["source"]) for one in uses if one["component"] == "etcd"}
    assert ("--peer-cert-file", "root/etc/kubernetes/pki/etcd.yml") in named
    assert [(one["rule"], one["path"]) for one in findings] == [("wrong-ca-option", "root/etc/kubernetes/pki/etcd.yml")]
    subprocess.run(["bash", "-e", "-c", findings[0]["fix"]], cwd=tmp_path, check=True)
    assert configuration.read_text() == ETCD_CONFIGURATION.format(trusted="etcd/ca.crt")


# ---------------------------------------------------------------- the words


def test_the_worst_comes_first_with_repairs_that_can_be_copied_whole(kcert: Kcert, sick: Path) -> None:
    ended = kcert("check", "pki")
    titles = [line for line in ended.lines if line.startswith(("error ", "warning "))]
    assert titles == ["error expired", "warning expiring-soon", "warning powerful-user"]
    assert "13 certificates checked: 1 error and 2 warnings." in ended.stdout
    assert "    kcert explain expired" in ended.lines
    lines = [line.strip() for line in ended.lines if line.startswith("    ")]
    short = [line for line in lines if line.startswith("kcert renew ")]
    assert len(short) == 2
    commands = "\n".join(line for line in ended.lines if line.startswith("    ") and line.strip()[:6] != "kcert ")
    subprocess.run(["bash", "-e", "-c", commands], cwd=sick.parent, check=True, capture_output=True)
    assert kcert("check", "pki", "--strict").status == 0


def test_prose_fits_a_narrow_terminal_and_only_commands_and_paths_are_longer(kcert: Kcert, sick: Path) -> None:
    ended = kcert("check", "pki", variables={"COLUMNS": "80"})
    assert sick.is_dir()
    prose = [line for line in ended.lines if not line.startswith(("    ", "pki/"))]
    assert max(len(line) for line in prose) <= 80


def test_without_a_place_the_kind_of_installation_is_named_first(kcert: Kcert, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "host")
    ended = kcert("check", "--root", "host")
    assert ended.lines[0].startswith("This looks like a cluster made by kubeadm")
    assert ended.status == 0


def test_nothing_that_a_certificate_says_reaches_the_terminal_as_a_command(kcert: Kcert, tmp_path: Path) -> None:
    subject = "CN=\x1b]0;owned\x07\x1b[31mjane\nerror nothing/O=system:masters"
    recipes = changed(course.RECIPES, jane={"subject": subject, "begins": -400})
    course.lay_out(tmp_path / "pki", recipes)
    for form in ("text", "json"):
        ended = kcert("check", "pki", "--format", form)
        assert ended.status == 1
        assert not any(character in ended.stdout for character in "\x1b\x07")
    assert "error nothing" not in [line.strip() for line in ended.lines]
    fix = next(one["fix"] for one in found(ended) if one["rule"] == "expired")
    subprocess.run(["bash", "-e", "-c", fix], cwd=tmp_path, check=True, capture_output=True)
    assert {one["rule"] for one in found(kcert("check", "pki", "--format", "json"))} <= {"powerful-user"}


def test_files_that_only_wait_or_lead_round_in_a_circle_are_named_and_set_aside(kcert: Kcert, tmp_path: Path) -> None:
    course.lay_out(tmp_path / "pki")
    os.mkfifo(tmp_path / "pki/fifo.crt")
    (tmp_path / "pki/loop.crt").symlink_to("loop.crt")
    (tmp_path / "pki/again").symlink_to("..")
    (tmp_path / "pki/rubbish.crt").write_bytes(bytes(range(256)) * 4096)
    findings = found(kcert("check", "pki", "--format", "json"))
    assert {(one["rule"], one["path"]) for one in findings} == {
        ("missing-file", "pki/loop.crt"),
        ("unreadable", "pki/fifo.crt"),
        ("unreadable", "pki/rubbish.crt"),
    }
    for one in findings:
        subprocess.run(["bash", "-e", "-c", one["fix"]], cwd=tmp_path, check=True, capture_output=True)
    assert kcert("check", "pki").status == 0


@pytest.mark.parametrize("name", ["it's $(touch pwned)", "`touch pwned`", '"; touch pwned #', "a\nb", "-rf"])
def test_a_repair_takes_names_as_they_are(name: str, kcert: Kcert, tmp_path: Path) -> None:
    recipes = {
        **course.RECIPES,
        name: Recipe(f"CN={name}", begins=-400, usages=("clientAuth",), names=("DNS:$x", "DNS:a, DNS:b")),
    }
    course.lay_out(tmp_path / "pki", recipes)
    for one in found(kcert("check", "pki", "--format", "json")):
        assert one["rule"] == "expired"
        subprocess.run(["bash", "-e", "-c", one["fix"]], cwd=tmp_path, check=True, capture_output=True)
    assert kcert("check", "pki").status == 0
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.thorough
def test_thousands_of_names_are_not_printed(kcert: Kcert, tmp_path: Path) -> None:
    names = tuple(f"DNS:n{number}.example" for number in range(3000))
    course.lay_out(tmp_path / "pki", changed(course.RECIPES, kube_apiserver={"names": names}))
    ended = kcert("check", "pki", "--format", "json")
    (only,) = found(ended)
    assert len(ended.stdout) < 3000
    subprocess.run(["bash", "-e", "-c", only["fix"]], cwd=tmp_path, check=True, capture_output=True)
    assert kcert("check", "pki").status == 0


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
def test_what_this_user_may_not_read_is_named_and_not_taken_for_good(kcert: Kcert, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "host")
    closed = [tmp_path / "host/etc/kubernetes" / name for name in ("admin.conf", "manifests/etcd.yaml", "pki/ca.key")]
    for path in closed:
        path.chmod(0)

    ended = kcert("check", "--root", "host", preexec=without_privileges)

    assert "not checked, because this user may not read it" in ended.stderr
    assert all(f"host/{path.relative_to(tmp_path / 'host')}" in " ".join(ended.stderr.split()) for path in closed)
    assert "expired" not in ended.stdout


@pytest.mark.thorough
def test_json_to_a_reader_that_goes_away_is_no_traceback(kcert: Kcert, sick: Path) -> None:
    with kcert.started("check", str(sick), "--format", "json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.thorough
@pytest.mark.parametrize("name", representatives(["kube-apiserver", "etcd-server"]))
@pytest.mark.parametrize("described", representatives([True, False]), ids=["kcert.yaml", "built-in"])
def test_what_a_repair_makes_is_what_the_plan_wants(
    tmp_path: Path, kcert: Kcert, name: str, *, described: bool
) -> None:
    folder = tmp_path / "pki"
    if described:
        (tmp_path / "kcert.yaml").write_text("key: {algorithm: ecdsa}\n", encoding="utf-8")
    for chapter in ("ca", "etcd" if name == "etcd-server" else "apiserver"):
        kcert.done(chapter)
    names = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes()).extensions
    wanted = names.get_extension_for_class(x509.SubjectAlternativeName).value
    # As many guides sign: without -extfile.
    signing = f"-req -in {name}.csr -CA ca.crt -CAkey ca.key -set_serial 7 -days 90 -out {name}.crt"
    subprocess.run(["openssl", "x509", *signing.split()], cwd=folder, capture_output=True, check=True)

    findings = found(kcert("check", "--format", "json", folder))
    for one in findings:
        subprocess.run(["bash", "-e"], cwd=tmp_path, input=one["fix"], text=True, capture_output=True, check=True)

    assert {one["rule"] for one in findings} >= {"missing-san"}
    assert found(kcert.done("check", "--format", "json", folder)) == []
    names = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes()).extensions
    assert set(names.get_extension_for_class(x509.SubjectAlternativeName).value) == set(wanted)
    if described:
        planned = {one["name"]: one["state"] for one in json.loads(kcert.done("plan", "--format", "json").stdout)}
        assert planned[name] == "current"


def test_a_path_for_another_host_is_not_judged_and_told_of(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()
    kcert.done("kubeconfig", "admin", "--no-embed", "--path-prefix", "/srv/of-another-host/pki")
    kcert.done("renew", "ca", "--new-key", "--quiet")

    ended = kcert("check", "pki")

    assert (ended.status, "no problems found" in ended.stdout) == (0, True)
    told = " ".join(ended.stderr.split())
    assert "not checked, because they are not on this machine: /srv/of-another-host/pki/ca.crt," in told


def test_a_path_beside_files_that_are_here_is_judged(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("kubeconfig", "admin", "--no-embed", "--path-prefix", str(made.home / "none"))

    ended = kcert("check", "pki")

    assert ended.status == 1
    assert "missing-file" in ended.stdout


def test_a_certificate_from_another_ca_than_kcert_yaml_names(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    folder = own_pki("course", "large").folder
    recipe = Recipe("CN=jane/O=developers/O=team:blue", "ca", usages=("clientAuth",))
    other = Workshop({"ca": Recipe("CN=other", None, ca=True), "jane": recipe})["jane"]
    (folder / "jane.crt").write_bytes(other.crt)
    (folder / "jane.key").write_bytes(other.traditional)
    (finding,) = found(kcert("check", "pki", "--format", "json", "--only", "wrong-issuer"))
    assert (
        "pki/jane.crt should be signed by pki/ca.crt, as kcert.yaml says, but CN=other signed it." in finding["message"]
    )
    assert finding["restart"] == []


@pytest.mark.thorough
def test_the_report_ends_with_the_components_to_restart(kcert: Kcert, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "root", changed(kubeadm.RECIPES, scheduler={"begins": -400}))
    ended = kcert("check", "--root", "root")
    said = " ".join(ended.stdout.split())
    assert "restart the components that read these files only when they start: kube-scheduler. With kubeadm:" in said
    assert found(kcert("check", "--root", "root", "--format", "json"))[0]["restart"] == ["kube-scheduler"]
