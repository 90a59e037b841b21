"""`kcert renew`: new dates and nothing else new, whatever tool made the old certificate; and what follows from it."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert import profiles
from kcert.kubernetes.components import restarts
from tests import judge, running
from tests.running import representatives
from tests.test_certificates import conf, parts
from tests.zoo import kubeadm
from tests.zoo.issuing import Recipe, Workshop, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert


def but_dates(certificate: x509.Certificate) -> judge.Seen:
    """Return what a certificate says, but for its dates and its serial number."""
    return replace(judge.judged(certificate), serial=0, days=0)


def backups(pki: Path, name: str) -> list[Path]:
    """Return what the backup has of the file *name*, oldest first."""
    return sorted((pki / ".kcert/backup").glob(f"*/{name}"))


def files_of(pki: Path) -> dict[str, bytes]:
    """Every file of a PKI folder, kcert's own folder apart."""
    return {
        str(path.relative_to(pki)): path.read_bytes()
        for path in sorted(pki.rglob("*"))
        if path.is_file() and ".kcert" not in path.parts
    }


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """The files that are new, gone or other than before."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def public_der(certificate: x509.Certificate) -> bytes:
    """The public key, as bytes to compare."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("profile", "name", "file"),
    [
        ("course", "admin", "admin.crt"),
        ("course", "kube-apiserver", "kube-apiserver.crt"),
        ("hardway", "etcd-server", "etcd-server.crt"),
        ("kubeadm", "apiserver", "pki/apiserver.crt"),
        ("kubeadm", "admin", "admin.conf"),
    ],
)
def test_a_renewed_certificate_is_the_old_one_with_new_dates(
    own_pki: Callable[..., Pki], kcert: Kcert, profile: str, name: str, file: str
) -> None:
    folder = own_pki(profile).folder
    before, key = parts(folder, file)
    old = (folder / file).read_bytes()

    kcert.done("renew", name, "--days", "10")

    after, same_key = parts(folder, file)
    assert but_dates(after) == but_dates(before)
    assert after.subject.public_bytes() == before.subject.public_bytes()
    assert judge.judged(after).days == pytest.approx(10)
    assert after.serial_number != before.serial_number
    assert same_key == key
    assert backups(folder, file)[-1].read_bytes() == old


def test_nothing_but_the_certificate_its_request_and_its_settings_is_touched(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    before = files_of(folder)

    kcert.done("renew", "kube-proxy")

    assert changed(before, files_of(folder)) == {"kube-proxy.crt", "kube-proxy.csr"}


def test_with_new_key_the_key_is_another_and_fits(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    before, old_key = parts(folder, "admin.crt")

    kcert.done("renew", "admin", "--new-key")

    after, key = parts(folder, "admin.crt")
    assert key != old_key
    assert judge.matches(key, after)
    assert after.subject == before.subject
    assert backups(folder, "admin.key")[-1].read_bytes() == old_key
    assert (folder / "admin.key").stat().st_mode & 0o777 == 0o600


def test_in_a_conf_the_new_key_takes_the_place_of_the_old_one(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("kubeadm").folder
    old = conf(folder / "admin.conf")

    kcert.done("renew", "admin", "--new-key")

    new = conf(folder / "admin.conf")
    certificate, key = parts(folder, "admin.conf")
    assert judge.matches(key, certificate)
    assert new["key"] != old["key"]
    assert {**new, "crt": "", "key": ""} == {**old, "crt": "", "key": ""}
    assert not (folder / "admin.key").exists()
    assert not (folder / "admin.crt").exists()


@pytest.mark.parametrize("profile", running.representatives(["kubeadm", "course", "hardway"]))
def test_all_is_every_certificate_but_the_cas(own_pki: Callable[..., Pki], kcert: Kcert, profile: str) -> None:
    folder = own_pki(profile).folder
    before = {path: path.read_bytes() for path in (*folder.rglob("*.crt"), *folder.rglob("*.conf"))}
    authorities = {path for path in before if path.name in ("ca.crt", "front-proxy-ca.crt")}

    ended = kcert.done("renew", "--all", "--quiet")

    same = {path for path, content in before.items() if path.read_bytes() == content}
    assert same == authorities
    assert len(ended.lines) == len(before) - len(authorities)
    assert all(line.startswith("renewed  ") for line in ended.lines)
    states = {line.split()[0] for line in kcert.done("plan").lines[1:]}
    assert states == {"current"}


def kubeconfig_of(folder: Path, *users: str) -> str:
    """A kubeconfig with several users, with a comment that has to stay."""
    authority = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    lines = [
        "# written by hand",
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        "- name: here",
        f"  cluster: {{server: 'https://10.0.0.1:6443', certificate-authority-data: {authority}}}",
        "contexts: [{name: here, context: {cluster: here, user: admin}}]",
        "current-context: here",
        "users:",
    ]
    for user in users:
        crt, key = (base64.b64encode((folder / f"{user}.{end}").read_bytes()).decode() for end in ("crt", "key"))
        lines += [f"- name: {user}", "  user:", f"    client-certificate-data: {crt}", f"    client-key-data: {key}"]
    return "\n".join([*lines, ""])


def embedded(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """Certificate and key of each user of a kubeconfig."""
    users = yaml.safe_load(path.read_text(encoding="utf-8"))["users"]
    return {
        one["name"]: (
            base64.b64decode(one["user"]["client-certificate-data"]),
            base64.b64decode(one["user"]["client-key-data"]),
        )
        for one in users
    }


def test_a_kubeconfig_with_the_old_certificate_inside_gets_the_new_one(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    written = folder / "team.kubeconfig"
    written.write_text(kubeconfig_of(folder, "kube-proxy", "admin"), encoding="utf-8")
    others = (folder / "kube-proxy.crt").read_bytes(), (folder / "kube-proxy.key").read_bytes()
    old_lines = written.read_text(encoding="utf-8").splitlines()

    kcert.done("renew", "admin", "--new-key")

    pair = (folder / "admin.crt").read_bytes(), (folder / "admin.key").read_bytes()
    assert embedded(written) == {"kube-proxy": others, "admin": pair}
    new_lines = written.read_text(encoding="utf-8").splitlines()
    assert sum(old != new for old, new in zip(old_lines, new_lines, strict=True)) == 2
    assert written.stat().st_mode & 0o777 == 0o600
    assert backups(folder, "team.kubeconfig")


@pytest.mark.thorough
def test_two_renewals_at_once_both_reach_the_kubeconfig_that_they_share(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    written = folder / "team.kubeconfig"
    written.write_text(kubeconfig_of(folder, "kube-proxy", "admin"), encoding="utf-8")

    kcert.done("renew", "--all", "--quiet", "--jobs", "4")

    for user, (crt, _) in embedded(written).items():
        assert crt == (folder / f"{user}.crt").read_bytes()


def test_what_is_stale_is_brought_in_line_and_the_rest_is_left_alone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    pki = own_pki("course")
    with pki.config.open("a", encoding="utf-8") as config:
        config.write("api_server: {host: cp, ip: 127.0.0.1, extra_sans: [api.example.com]}\n")
    before = files_of(pki.folder)

    kcert.done("renew", "--stale", "--quiet")

    assert {name for name in changed(before, files_of(pki.folder)) if name.endswith(".crt")} == {"kube-apiserver.crt"}
    assert "DNS:api.example.com" in judge.judged(judge.load(pki.folder / "kube-apiserver.crt")).names
    assert "Nothing to renew" in kcert.done("renew", "--stale").stdout


@pytest.mark.parametrize("san", ["api.example.com", "keycloak.example.com"])
def test_renewed_by_name_it_stays_as_it_is_and_that_is_said(
    own_pki: Callable[..., Pki], kcert: Kcert, san: str
) -> None:
    pki = own_pki("course")
    with pki.config.open("a", encoding="utf-8") as config:
        config.write(f"api_server: {{host: cp, ip: 127.0.0.1, extra_sans: [{san}]}}\n")
    names = judge.judged(judge.load(pki.folder / "kube-apiserver.crt")).names

    ended = kcert.done("renew", "kube-apiserver")

    assert judge.judged(judge.load(pki.folder / "kube-apiserver.crt")).names == names
    said = " ".join(ended.stdout.split())
    assert san in said
    assert "`kcert renew kube-apiserver --stale`" in said


def test_with_stale_another_kind_of_key_is_made(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    pki = own_pki("course")
    pki.config.write_text("profile: course\nkey: {algorithm: ecdsa, curve: P-384}\n", encoding="utf-8")

    kcert.done("renew", "admin", "--stale")

    assert judge.judged(judge.load(pki.folder / "admin.crt")).key == "secp384r1"


def test_a_certificate_whose_key_is_lost_gets_a_new_one(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    (folder / "admin.key").unlink()

    ended = kcert.done("renew", "--stale")

    assert judge.matches((folder / "admin.key").read_bytes(), judge.load(folder / "admin.crt"))
    assert "admin.key does not exist, so a new one is generated" in " ".join(ended.stdout.split())


@pytest.mark.parametrize("names", [("admin",), ("ca",), ("--all",)])
def test_fewer_days_by_wish_are_not_blamed_on_the_ca(
    own_pki: Callable[..., Pki], kcert: Kcert, names: tuple[str, ...]
) -> None:
    own_pki("course")

    said = kcert.done("renew", *names, "--days", "40", "--quiet").stdout

    assert "renewed" in said
    assert "its CA has left" not in said


def test_those_that_end_soon_are_renewed_and_no_others(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    kcert.done("renew", "admin", "kube-proxy", "--days", "20", "--quiet")

    ended = kcert.done("renew", "--expiring-in", "30d", "--quiet")

    assert [line.split()[1] for line in ended.lines] == ["admin", "kube-proxy"]
    assert judge.judged(judge.load(folder / "admin.crt")).days == pytest.approx(365)
    quiet = kcert.done("renew", "--expiring-in", "30d").stdout
    assert "Nothing to renew" in quiet
    assert "The first to expire is" in quiet


@pytest.mark.thorough
def test_somebody_who_is_not_in_kcert_yaml_is_renewed_by_his_name(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    kcert.done("client", "bob", "--group", "builders", "--quiet")
    before = judge.load(folder / "bob.crt")

    kcert.done("renew", "bob")

    assert but_dates(judge.load(folder / "bob.crt")) == but_dates(before)
    assert "bob" in {line.split()[1] for line in kcert.done("renew", "--all", "--quiet").lines}


@pytest.mark.parametrize(
    ("profile", "arguments"),
    [
        pytest.param("course", ("admin", "--new-key"), marks=pytest.mark.thorough),
        pytest.param("course", ("--all",), marks=pytest.mark.thorough),
        pytest.param("course", ("ca",), marks=pytest.mark.thorough),
        pytest.param("course", ("ca", "--new-key"), marks=pytest.mark.thorough),
        pytest.param("kubeadm", ("admin", "apiserver"), marks=pytest.mark.thorough),
        ("kubeadm", ("super-admin", "--new-key")),
        pytest.param("kubeadm", ("ca",), marks=pytest.mark.thorough),
    ],
)
def test_the_script_of_a_dry_run_does_the_same_by_hand(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, profile: str, arguments: tuple[str, ...]
) -> None:
    running.program("kubectl")
    folder = own_pki(profile).folder
    if profile == "course":
        (folder / "admin.kubeconfig").write_text(kubeconfig_of(folder, "admin"), encoding="utf-8")
    shutil.copytree(folder, tmp_path / "by-hand" / "pki")

    script = kcert.done("renew", *arguments, "--dry-run").stdout
    assert files_of(folder) == files_of(tmp_path / "by-hand" / "pki")
    done = running.output(["bash", "-s"], tmp_path / "by-hand", stdin=script)
    assert done.status == 0, done.stderr
    kcert.done("renew", *arguments, "--quiet")

    hand = tmp_path / "by-hand" / "pki"
    assert files_of(folder).keys() == files_of(hand).keys()
    for file in files_of(folder):
        if file.endswith(".crt"):
            assert but_same_key(folder / file) == but_same_key(hand / file)
    for path in (*folder.rglob("*.kubeconfig"), *folder.rglob("*.conf")):
        if ".kcert" not in path.parts:
            file = str(path.relative_to(folder))
            certificate, key = parts(hand, file) if profile == "kubeadm" else parts_of_first(hand / file)
            assert judge.matches(key, certificate)
            assert path.stat().st_mode == (hand / file).stat().st_mode
    assert backups(hand, "*") or list((hand / ".kcert/backup").rglob("*.c*"))


def but_same_key(path: Path) -> object:
    """Return what a certificate says, but for what is drawn at random."""
    return replace(but_dates(judge.load(path)), subject_key_id="", authority_key_id="")


def parts_of_first(path: Path) -> tuple[x509.Certificate, bytes]:
    """Certificate and key of the first user of a kubeconfig."""
    (crt, key), *_ = embedded(path).values()
    return x509.load_pem_x509_certificate(crt), key


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody",), "'nobody' is not a certificate of this cluster"),
        ((), "specify what to renew"),
        (("admin", "--all"), "--all cannot be combined with names"),
        (("--all", "--stale"), "--all cannot be combined with --stale"),
        (("admin", "--expiring-in", "30d"), "--expiring-in cannot be combined with names"),
        (("--expiring-in", "soon"), "not a duration"),
        (("admin", "--days", "9999"), "a certificate is not valid longer than its CA"),
        (("ca", "admin"), "a CA and the certificates that it signed cannot be renewed in one command"),
        (("admin", "--finish"), "admin is not a CA"),
        (("--finish", "--all"), "--finish needs the name of a CA"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], words: str
) -> None:
    folder = own_pki("course").folder
    before = files_of(folder)

    ended = kcert("renew", *arguments)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())
    assert files_of(folder) == before


def test_without_the_cas_key_it_is_said_how_to_do_it_where_the_key_is(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    (folder / "ca.key").unlink()

    ended = kcert("renew", "kube-scheduler")

    assert ended.status == 2
    said = " ".join(ended.stderr.split())
    assert "ca.key does not exist" in said
    assert "its request kube-scheduler.csr is here already, `kcert csr sign --file`" in said
    assert "`kcert csr fetch kube-scheduler --file` fetches the certificate" in said


@pytest.mark.parametrize("name", ["kube-apiserver", "admin"])
def test_what_the_certificates_api_does_not_sign_is_signed_by_openssl_where_the_key_is(
    own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path, name: str
) -> None:
    """A server's certificate, and one in system:masters: the line that is printed makes the same again."""
    folder, there = own_pki("course").folder, tmp_path / "there"
    there.mkdir()
    (folder / "ca.key").rename(there / "ca.key")
    before = judge.judged(judge.load(folder / f"{name}.crt"))

    said = " ".join(kcert("renew", name).stderr.split())
    for file in ("ca.crt", f"{name}.csr", f"openssl-{name}.cnf"):
        (there / file).write_bytes((folder / file).read_bytes())
    by_hand = re.search(r"`(openssl x509 -req [^`]*)`", said)
    assert by_hand
    assert f"copy {name}.csr and openssl-{name}.cnf" in said
    made = running.output(["bash", "-c", f"cd {there} && {by_hand[1]}"])

    assert made.status == 0, made.stderr
    after = judge.judged(judge.load(there / f"{name}.crt"))
    assert (set(after.subject), after.names, after.purposes) == (set(before.subject), before.names, before.purposes)
    assert judge.matches((folder / f"{name}.key").read_bytes(), judge.load(there / f"{name}.crt"))


def test_a_certificate_that_is_not_there_yet_is_made_by_its_chapter(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    (folder / "node01.crt").unlink()

    ended = kcert("renew", "node01")

    assert ended.status == 2
    assert "`kcert kubelet` creates it" in " ".join(ended.stderr.split())


def test_a_certificate_that_cannot_be_read_is_made_anew_as_kcert_yaml_wants_it(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    folder = own_pki("course").folder
    (folder / "admin.crt").write_text("rubbish", encoding="ascii")

    assert "`kcert renew admin --stale`" in " ".join(kcert("renew", "admin").stderr.split())
    kcert.done("renew", "admin", "--stale")

    assert judge.matches((folder / "admin.key").read_bytes(), judge.load(folder / "admin.crt"))


def test_under_an_expired_ca_nothing_is_renewed_until_the_ca_is(tmp_path: Path, kcert: Kcert) -> None:
    recipes = {
        "ca": Recipe("CN=Kubernetes-CA", None, ca=True, begins=-100, days=50),
        "admin": Recipe("CN=kube-admin/O=system:masters", usages=("clientAuth",)),
    }
    workshop = Workshop(recipes)
    for name in recipes:
        put(tmp_path / f"pki/{name}.crt", workshop[name].crt)
        put(tmp_path / f"pki/{name}.key", workshop[name].traditional, 0o600)

    refused = kcert("renew", "admin")
    kcert.done("renew", "ca")
    kcert.done("renew", "admin")

    assert refused.status == 2
    assert "`kcert renew ca` renews it" in " ".join(refused.stderr.split())
    verdict = running.output(["openssl", "verify", "-CAfile", "ca.crt", "admin.crt"], tmp_path / "pki")
    assert verdict.stdout == "admin.crt: OK\n"


@pytest.fixture
def adopted(tmp_path: Path) -> Path:
    """A control-plane host as kubeadm itself lays it out, with a kcert.yaml beside it; its /etc/kubernetes."""
    kubeadm.lay_out(tmp_path / "root")
    (tmp_path / "kcert.yaml").write_text("profile: kubeadm\nkey: {algorithm: ecdsa}\n", encoding="utf-8")
    return tmp_path / "root/etc/kubernetes"


def test_in_kubeadms_own_folder_a_renewal_keeps_what_kubeadm_made(adopted: Path, kcert: Kcert) -> None:
    before, old_key = parts(adopted, "pki/apiserver.crt")
    old = conf(adopted / "admin.conf")

    kcert.done("renew", "apiserver", "admin", "--dir", adopted)

    after, key = parts(adopted, "pki/apiserver.crt")
    assert after.subject.public_bytes() == before.subject.public_bytes()
    assert judge._names(after) == judge._names(before)
    assert judge._usages(after) == judge._usages(before)
    assert judge._purposes(after) == judge._purposes(before)
    assert (key, public_der(after)) == (old_key, public_der(before))
    new = conf(adopted / "admin.conf")
    assert {**new, "crt": ""} == {**old, "crt": ""}
    assert new["crt"] != old["crt"]


def test_a_foreign_ca_keeps_its_name_to_the_byte_so_that_its_leaves_stay_valid(adopted: Path, kcert: Kcert) -> None:
    before = judge.load(adopted / "pki/ca.crt")

    kcert.done("renew", "ca", "--dir", adopted)

    after = judge.load(adopted / "pki/ca.crt")
    assert after.subject.public_bytes() == before.subject.public_bytes()
    assert public_der(after) == public_der(before)
    assert after.not_valid_after_utc > before.not_valid_after_utc
    leaves = ["apiserver.crt", "apiserver-kubelet-client.crt"]
    verdict = running.output(["openssl", "verify", "-CAfile", "ca.crt", *leaves], adopted / "pki")
    assert verdict.lines == [f"{leaf}: OK" for leaf in leaves]
    assert conf(adopted / "controller-manager.conf")["ca"] == (adopted / "pki/ca.crt").read_text(encoding="ascii")


BY_HAND = """\
[req]
prompt = no
distinguished_name = dn
string_mask = default
x509_extensions = ca
[dn]
O = Here
CN = by hand
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = 0102030405
"""


def test_a_name_in_printable_letters_stays_in_them(tmp_path: Path, kcert: Kcert) -> None:
    """Go, and so Kubernetes, compares issuer and subject byte by byte."""
    pki = tmp_path / "pki"
    pki.mkdir(0o700)
    (pki / "by-hand.cnf").write_text(BY_HAND, encoding="ascii")
    key = running.output(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key"], pki)
    made = running.output(
        [
            *[
                "openssl",
                "req",
                "-new",
                "-x509",
                "-key",
                "ca.key",
                "-days",
                "5",
                "-config",
                "by-hand.cnf",
                "-out",
                "ca.crt",
            ]
        ],
        pki,
    )
    assert (key.status, made.status) == (0, 0)
    before = judge.load(pki / "ca.crt")

    kcert.done("renew", "ca")

    after = judge.load(pki / "ca.crt")
    assert after.subject.public_bytes() == before.subject.public_bytes()
    assert judge.judged(after).subject_key_id == "0102030405"
    assert judge.judged(after).usages == {"keyCertSign", "cRLSign", "digitalSignature"}


def test_what_kcert_did_not_make_is_not_brought_in_line_unless_it_is_named(adopted: Path, kcert: Kcert) -> None:
    before = files_of(adopted)

    ended = kcert.done("renew", "--stale", "--dir", adopted)

    assert files_of(adopted) == before
    assert "kcert did not make apiserver" in " ".join(ended.stdout.split())
    kcert.done("renew", "apiserver", "--stale", "--dir", adopted)
    assert "DNS:localhost" in judge.judged(judge.load(adopted / "pki/apiserver.crt")).names


@pytest.mark.thorough
def test_all_in_kubeadms_folder_leaves_the_kubelets_own_conf_alone(adopted: Path, kcert: Kcert) -> None:
    own = (adopted / "kubelet.conf").read_bytes()

    ended = kcert.done("renew", "--all", "--dir", adopted)

    assert (adopted / "kubelet.conf").read_bytes() == own
    assert "the kubelet renews that certificate by itself" in " ".join(ended.stdout.split())


@pytest.mark.thorough
def test_at_the_end_of_a_change_over_the_kubelets_own_certificate_is_spoken_of(adopted: Path, kcert: Kcert) -> None:
    kcert.done("renew", "ca", "--new-key", "--quiet", "--dir", adopted)
    kcert.done("renew", "--all", "--quiet", "--dir", adopted)

    ended = kcert.done("renew", "ca", "--finish", "--dir", adopted)

    assert "kubelet-client-current.pem" in ended.stdout
    assert "kubelet.conf names its files" in " ".join(ended.stdout.split())


def test_chapters_add_what_is_missing_to_a_folder_that_others_made(adopted: Path, kcert: Kcert) -> None:
    (adopted / "pki/front-proxy-client.crt").unlink()
    (adopted / "pki/front-proxy-client.key").unlink()
    before = files_of(adopted)

    kcert.done("apiserver", "--quiet", "--dir", adopted)

    new = changed(before, files_of(adopted))
    assert all(name not in before for name in new)
    assert "pki/front-proxy-client.crt" in new


def shown(lesson: str) -> list[str]:
    """The commands of a lesson, each on one line."""
    lines = "\n".join(lesson.splitlines()).replace(" \\\n        ", " ").splitlines()
    return [line.strip() for line in lines if line.startswith("    openssl ")]


def recorded(kcert: Kcert, *arguments: str | Path) -> list[str]:
    """The commands of the history, each on one line."""
    script = kcert.done("history", "--format", "sh", *arguments).stdout.replace(" \\\n    ", " ")
    return [line for line in script.splitlines() if line.startswith("openssl ")]


@pytest.mark.parametrize("profile", ["course", "kubeadm"])
def test_what_the_lesson_shows_is_what_the_history_has(own_pki: Callable[..., Pki], kcert: Kcert, profile: str) -> None:
    own_pki(profile)
    already = len(recorded(kcert))

    lesson = kcert.done("renew", "admin", "--new-key").stdout

    assert shown(lesson) == recorded(kcert)[already:]
    assert len(shown(lesson)) == 4


def test_who_has_to_be_started_anew_is_listed_by_profile(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("hardway")

    said = " ".join(kcert.done("renew", "etcd-server").stdout.split())

    assert "etcd on controlplane01 kube-apiserver on controlplane01" in said
    assert "sudo systemctl restart" in said


@pytest.mark.thorough
def test_what_notices_a_new_certificate_is_started_anew_only_to_be_sure(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own_pki("course")

    noticed = " ".join(kcert.done("renew", "etcd-server", "kube-apiserver").stdout.split())
    both = " ".join(kcert.done("renew", "kube-apiserver", "kube-scheduler").stdout.split())

    assert "only at start:" not in noticed
    assert "restart these in a maintenance window: etcd on controlplane01 kube-apiserver on controlplane01" in noticed
    assert "only at start: kube-scheduler on controlplane01" in both
    assert "in a maintenance window: kube-apiserver on controlplane01" in both


def test_a_component_is_listed_once_as_to_be_started_anew(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """A kubelet notices what it serves with, and not what it has in its kubeconfig."""
    own_pki("course")

    said = " ".join(kcert.done("renew", "node01", "kubelet-client-node01").stdout.split())

    assert "only at start: kubelet on node01" in said
    assert "in a quiet hour" not in said


# --- Folders of other tools


@pytest.fixture
def foreign(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """A PKI folder with the CA and an administrator, under the names that another tool gives its files."""

    def lay_out(names: dict[str, str]) -> Path:
        workshop = Workshop(
            {
                "ca": Recipe("CN=Kubernetes", None, ca=True, days=800),
                "admin": Recipe("O=system:masters/CN=admin", usages=("clientAuth",)),
            }
        )
        pki = tmp_path / "pki"
        for name in ("ca", "admin"):
            put(pki / names[f"{name}.crt"], workshop[name].crt)
            put(pki / names[f"{name}.key"], workshop[name].traditional, 0o600)
        return pki

    return lay_out


CFSSL = {"ca.crt": "ca.pem", "ca.key": "ca-key.pem", "admin.crt": "admin.pem", "admin.key": "admin-key.pem"}
EASY_RSA = {
    "ca.crt": "ca.crt",
    "ca.key": "private/ca.key",
    "admin.crt": "issued/admin.crt",
    "admin.key": "private/admin.key",
}


@pytest.mark.thorough
@pytest.mark.parametrize("names", representatives([EASY_RSA, CFSSL]), ids=["easy-rsa", "cfssl"])
def test_in_another_tools_folder_each_file_keeps_its_name(
    foreign: Callable[[dict[str, str]], Path], kcert: Kcert, names: dict[str, str]
) -> None:
    pki = foreign(names)
    keys = {name: (pki / file).read_bytes() for name, file in names.items() if name.endswith(".key")}
    before = judge.load(pki / names["admin.crt"])

    kcert.done("renew", "admin", "--quiet")
    kcert.done("apiserver", "--quiet")
    kcert.done("renew", "ca", "--quiet")

    after = judge.load(pki / names["admin.crt"])
    assert after.subject == before.subject
    assert after.not_valid_before_utc > before.not_valid_before_utc
    assert {name: (pki / names[name]).read_bytes() for name in keys} == keys
    assert not (pki / "admin.crt").exists()
    leaves = [names["admin.crt"], "kube-apiserver.crt"]
    verdict = running.output(["openssl", "verify", "-CAfile", names["ca.crt"], *leaves], pki)
    assert verdict.lines == [f"{leaf}: OK" for leaf in leaves]
    planned = kcert.done("plan", "--wide").stdout
    assert f"{names['admin.key']} {names['admin.crt']}" in planned


def test_a_second_ca_is_never_put_beside_one_of_cfssl(foreign: Callable[[dict[str, str]], Path], kcert: Kcert) -> None:
    pki = foreign(CFSSL)
    (pki / "ca-key.pem").unlink()
    before = files_of(pki)

    kcert.done("ca")
    refused = kcert("client", "jane")

    assert files_of(pki) == before
    assert refused.status == 2
    assert "pki/ca-key.pem does not exist" in " ".join(refused.stderr.split())


CONTROL_PLANE = ("cp1", "cp2", "cp3.example.com")
NODES = ("node01", "node02", "node03.example.com")
MEMBERS = ("etcd1", "etcd2", "etcd3")
API_SERVER, CONTROLLERS = ("kube-apiserver", CONTROL_PLANE), ("kube-controller-manager", CONTROL_PLANE)
SCHEDULER, ETCD = ("kube-scheduler", CONTROL_PLANE), ("etcd", MEMBERS)


@pytest.mark.parametrize(
    ("profile", "name", "restarted"),
    [
        (
            "course",
            "ca",
            [ETCD, API_SERVER, CONTROLLERS, SCHEDULER, ("kube-proxy", NODES), ("kubelet", NODES)],
        ),
        ("course", "etcd-peer-etcd2", [("etcd", ("etcd2",))]),
        ("course", "node01", [("kubelet", ("node01",))]),
        ("course", "service-account", [API_SERVER, CONTROLLERS]),
        ("course", "admin", []),
        ("hardway", "etcd-server", [ETCD, API_SERVER]),
        ("hardway", "kube-proxy", [("kube-proxy", NODES)]),
        ("kubeadm", "ca", [API_SERVER, CONTROLLERS, SCHEDULER, ("kubelet", (*NODES, *CONTROL_PLANE))]),
        ("kubeadm", "etcd-ca", [ETCD, API_SERVER]),
        ("kubeadm", "front-proxy-ca", [API_SERVER, CONTROLLERS]),
        ("kubeadm", "scheduler-cp2", [("kube-scheduler", ("cp2",))]),
        ("kubeadm", "etcd-healthcheck-client", []),
        ("kubeadm", "sa", [API_SERVER, CONTROLLERS]),
    ],
)
def test_what_reads_a_certificate_is_restarted(
    pki: Callable[[str, str], Pki], profile: str, name: str, restarted: list[tuple[str, tuple[str, ...]]]
) -> None:
    cluster = profiles.load(pki(profile, "large").config)
    cert = next(cert for cert in profiles.certificates(cluster) if cert.name == name)

    assert list(restarts(cluster, [cert]).items()) == restarted


def test_a_leaf_in_the_cas_place_is_told_of_and_the_ca_made_again_for_its_key(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own = own_pki("course")
    was = judge.load(own.folder / "ca.crt")
    (own.folder / "ca.crt").write_bytes((own.folder / "kube-apiserver.crt").read_bytes())

    ended = kcert("renew", "ca", "--stale")

    assert ended.status == 2
    said = " ".join(ended.stderr.split())
    assert "pki/ca.crt is the certificate of 'CN=kube-apiserver', which is not a CA" in said
    assert "move it away: `kcert ca` creates one for the existing key." in said
    (own.folder / "ca.crt").unlink()
    kcert.done("ca", "--quiet")
    assert judge.load(own.folder / "ca.crt").public_key() == was.public_key()
