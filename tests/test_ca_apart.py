"""The external CA: used from its own folder, or on another machine that signs requests."""

from __future__ import annotations

import re
import shlex
import shutil
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests import judge
from tests.clusters import PROFILES, SMALL, Pki, made_once
from tests.guarded import AUTHORITIES, WITH_IT, copied, opens
from tests.refusals import assert_refused, snapshot
from tests.running import Ended, Kcert, output, program, representatives
from tests.test_certificates import parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def apart(shared: Path) -> Callable[[str], Pki]:
    """``apart("course")``: a PKI whose CAs are in the folder ``stick`` beside it, for looking at only."""

    def made(profile: str) -> Pki:
        def make(home: Path) -> None:
            (home / "kcert.yaml").write_text(SMALL.format(profile=profile), encoding="utf-8")
            Kcert(home).done("all", "--quiet", "--ca-dir", "stick")

        return Pki(made_once(shared, f"apart-{profile}", make), profile, "small")

    return made


@pytest.fixture
def own(apart: Callable[[str], Pki], tmp_path: Path) -> Path:
    """A PKI folder of one's own, with ``stick`` beside it."""
    return copied(apart("course"), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_the_pki_folder_has_the_certificate_and_never_the_key(
    apart: Callable[[str], Pki], kcert: Kcert, profile: str
) -> None:
    made = apart(profile)
    stick = made.home / "stick"

    for name in AUTHORITIES[profile]:
        assert not list(made.folder.rglob(f"{name.rpartition('/')[2]}.key"))
        assert (made.folder / f"{name}.crt").read_bytes() == (stick / f"{name}.crt").read_bytes()
        key = (stick / f"{name}.key").read_bytes()
        assert judge.matches(key, judge.load(stick / f"{name}.crt"))
        # Neither in a backup nor in what a run left behind.
        assert not [path for path in made.folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert kcert.done("check", made.folder).stdout.endswith("no problems found.\n")
    plan = kcert.done("plan", "--dir", made.folder, "--config", made.config).lines[1:]
    assert {line.split()[0] for line in plan} == {"current"}


def test_commands_name_the_key_by_its_whole_path_and_can_be_copied(own: Path, kcert: Kcert) -> None:
    said = re.sub(r" *\\\n *", " ", kcert.done("client", "bob", "--no-explain", "--ca-dir", "stick").stdout)

    signature = next(line.strip() for line in said.splitlines() if "openssl x509 -req -in bob.csr" in line)
    assert f"-CA ca.crt -CAkey {own.parent / 'stick/ca.key'} " in signature
    (own / "bob.crt").unlink()
    assert output(["bash", "-c", signature], own).status == 0
    certificate, _ = parts(own, "bob.crt")
    certificate.verify_directly_issued_by(judge.load(own / "ca.crt"))


def test_without_the_option_the_error_names_both_ways(own: Path, kcert: Kcert) -> None:
    ended = kcert("client", "bob")

    assert_refused(
        ended, 2, "pki/ca.key does not exist", "--ca-dir", "`kcert client --csr-only`", "kcert csr fetch bob"
    )
    assert not (own / "bob.key").exists()


def test_a_certificate_that_is_not_here_yet_is_brought(own: Path, kcert: Kcert) -> None:
    shutil.rmtree(own)

    kcert.done("client", "admin", "--quiet", "--ca-dir", "stick")

    assert (own / "ca.crt").read_bytes() == (own.parent / "stick/ca.crt").read_bytes()
    assert judge.load(own / "admin.crt").issuer == judge.load(own / "ca.crt").subject


@pytest.fixture
def answered(own: Path, kcert: Kcert) -> Callable[..., Ended]:
    """bob's certificate, signed with openssl for so many days and for that use, is fetched."""
    kcert.done("client", "bob", "--csr-only", "--quiet")

    def fetched(usage: str, days: int) -> Ended:
        settings = own.parent / "bob.cnf"
        settings.write_text(f"[v3]\nextendedKeyUsage = {usage}\n", encoding="utf-8")
        authority = ("-CA", "stick/ca.crt", "-CAkey", "stick/ca.key", "-set_serial", "77")
        signed = (*authority, "-days", str(days), "-extfile", settings, "-extensions", "v3", "-out", "bob.crt")
        assert output(["openssl", "x509", "-req", "-in", own / "bob.csr", *signed], own.parent).status == 0
        return kcert("csr", "fetch", "bob", "--file", "bob.crt")

    return fetched


def test_a_certificate_that_may_not_do_what_was_asked_for_is_refused(answered: Callable[..., Ended], own: Path) -> None:
    assert_refused(answered("serverAuth", 30), 2, "extended key usage is serverAuth, and clientAuth is missing")

    assert not (own / "bob.crt").exists()


def test_a_certificate_that_has_expired_is_refused_for_that(answered: Callable[..., Ended], own: Path) -> None:
    assert_refused(answered("clientAuth", 0), 2, "the certificate expired on", "It was not saved")

    assert not (own / "bob.crt").exists()


def signed_for(own: Path, begin: datetime) -> bytes:
    """bob's certificate for one day from *begin*: `openssl x509` has had options for dates only since 3.4."""
    authority = judge.load(own.parent / "stick/ca.crt")
    key = serialization.load_pem_private_key((own.parent / "stick/ca.key").read_bytes(), None)
    assert isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))
    request = x509.load_pem_x509_csr((own / "bob.csr").read_bytes())
    made = (
        x509.CertificateBuilder(authority.subject, request.subject, request.public_key(), 77)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_that_is_not_valid_yet_is_refused_with_the_day(own: Path, kcert: Kcert) -> None:
    kcert.done("client", "bob", "--csr-only", "--quiet")
    (own.parent / "bob.crt").write_bytes(signed_for(own, datetime(2099, 1, 1, tzinfo=timezone.utc)))

    ended = kcert("csr", "fetch", "bob", "--file", "bob.crt")

    assert_refused(ended, 2, "is not valid yet: it becomes valid on 2099-01-01 00:00 UTC", "or correct the clock")
    assert not (own / "bob.crt").exists()


def test_a_certificate_that_outlives_its_ca_is_kept_and_told_of(answered: Callable[..., Ended], own: Path) -> None:
    ended = answered("serverAuth, clientAuth", 9000)

    said = " ".join(ended.stdout.split())
    assert (ended.status, "The certificate bob expires" in said, "after its CA" in said) == (0, True, True)
    assert (own / "bob.crt").exists()


def test_minutes_longer_than_the_ca_are_not_told_of(answered: Callable[..., Ended]) -> None:
    """Who gives the leaves the CA's days signs them a little later."""
    ended = answered("clientAuth", 3650)

    assert (ended.status, "after its CA" in " ".join(ended.stdout.split())) == (0, False)


def test_a_folder_without_a_ca_is_no_folder_to_sign_with(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()

    ended = kcert("client", "admin", "--ca-dir", "mnt")

    assert_refused(ended, 2, "mnt has no ca.crt", "nothing is mounted there", "kcert ca --ca-dir")
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("pki", "is the PKI folder itself"),
        ("stick/../pki", "is the PKI folder itself"),
        ("kcert.yaml", "is a file"),
        ("other", "are two different files"),
    ],
)
def test_a_folder_that_will_not_do_is_named(
    own: Path, apart: Callable[[str], Pki], kcert: Kcert, folder: str, said: str
) -> None:
    shutil.copytree(apart("hardway").home / "stick", own.parent / "other")
    before = snapshot(own.parent)

    ended = kcert("client", "bob", "--ca-dir", folder)

    assert_refused(ended, 2, said)
    assert snapshot(own.parent) == before


def test_a_key_that_lies_in_the_pki_folder_as_well_is_told_of(own: Path, kcert: Kcert) -> None:
    shutil.copy(own.parent / "stick/ca.key", own)

    said = " ".join(kcert.done("client", "bob", "--ca-dir", "stick").stdout.split())

    assert "pki/ca.key is in the PKI folder as well" in said


@pytest.mark.thorough
def test_the_ca_is_renewed_where_it_is_and_its_certificate_follows(own: Path, kcert: Kcert) -> None:
    stick = own.parent / "stick"
    kcert.done("kubeconfig", "admin")
    old = judge.load(own / "ca.crt")

    kcert.done("renew", "ca", "--quiet", "--ca-dir", "stick", "--days", "900")
    same_key = judge.load(own / "ca.crt")
    assert same_key.public_key() == old.public_key()
    assert judge.judged(same_key).days == pytest.approx(900)

    kcert.done("renew", "ca", "--new-key", "--quiet", "--ca-dir", "stick")
    kcert.done("renew", "--all", "--quiet", "--ca-dir", "stick")
    kcert.done("renew", "ca", "--finish", "--quiet", "--ca-dir", "stick")

    new = judge.load(own / "ca.crt")
    assert new.public_key() != old.public_key()
    assert (own / "ca.crt").read_bytes() == (stick / "ca.crt").read_bytes()
    assert (own / "ca.crt").read_bytes().count(b"BEGIN CERTIFICATE") == 1
    assert judge.matches((stick / "ca.key").read_bytes(), new)
    assert not (own / "ca.key").exists()
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    for folder in ("pki", "stick"):
        assert "is unchanged" in kcert.done("history", "--verify", "--dir", folder).stdout


def test_the_end_of_a_change_over_waits_for_the_leaves_here(own: Path, kcert: Kcert) -> None:
    kcert.done("renew", "ca", "--new-key", "--quiet", "--ca-dir", "stick")
    before = snapshot(own.parent / "stick")

    ended = kcert("renew", "ca", "--finish", "--ca-dir", "stick")

    assert_refused(ended, 2, "certificates signed by the outgoing CA are still in use: admin")
    assert snapshot(own.parent / "stick") == before


@pytest.mark.thorough
@pytest.mark.parametrize("options", representatives([(), ("--encrypt-ca-key",), ("--root-dir", "safe")]), ids=" ".join)
def test_the_script_does_it_in_both_folders(kcert: Kcert, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="kubeadm"))
    script = kcert.done("all", "--dry-run", "--no-explain", "--ca-dir", "stick", *options).stdout
    (tmp_path / "script.sh").write_text(script)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kcert.yaml", "script.sh"]

    ended = output(["bash", "script.sh"], tmp_path, **WITH_IT)

    assert ended.status == 0, ended.stderr
    assert output([program("shellcheck"), "script.sh"], tmp_path).stdout == ""
    assert not list((tmp_path / "pki").rglob("*ca.key"))
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    assert opens(tmp_path / "stick/pki/ca.key", None) == ("--encrypt-ca-key" not in options)


# --- requests that go to the CA


@pytest.fixture
def here(apart: Callable[[str], Pki], kcert: Kcert, tmp_path: Path) -> Callable[[str], Path]:
    """``here("kubeadm")``: a PKI folder with the CAs' certificates, keys and requests; the CAs are in ``stick``."""

    def prepared(profile: str) -> Path:
        made = apart(profile)
        shutil.copytree(made.home / "stick", tmp_path / "stick")
        shutil.copy(made.config, tmp_path)
        folder = tmp_path / "pki"
        for name in AUTHORITIES[profile]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made.folder / f"{name}.crt", folder / f"{name}.crt")
        kcert.done("all", "--csr-only", "--quiet")
        return folder

    return prepared


@pytest.mark.parametrize("profile", representatives(PROFILES))
def test_requests_go_there_and_certificates_come_back(
    here: Callable[[str], Path], pki: Callable[[str, str], Pki], kcert: Kcert, tmp_path: Path, profile: str
) -> None:
    folder = here(profile)
    requests = sorted(folder.rglob("*.csr"))
    there = tmp_path / "there"
    for request in requests:
        (there / request.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(request, there / request.relative_to(folder))
    said = kcert.done("all", "--csr-only").stdout

    kcert.done(
        *("csr", "sign", "--no-explain", "--dir", "stick"),
        *(word for request in requests for word in ("--file", there / request.relative_to(folder))),
    )
    # What the lesson says is typed, word for word.
    lines = re.sub(r" *\\\n *", " ", said).splitlines()
    fetches = [line.split() for line in lines if line.strip().startswith("kcert csr fetch ")]
    for _, *words, path in fetches:
        kcert.done(*words, there / path)

    assert len(fetches) == len(requests)
    made, like = (_certificates(one) for one in (folder, pki(profile, "small").folder))
    assert made.keys() == like.keys()
    assert made == like
    assert not list(folder.rglob("*ca.key"))
    assert kcert.done("check", "pki").stdout.endswith("no problems found.\n")
    assert {line.split()[0] for line in kcert.done("plan").lines[1:]} == {"current"}


def _certificates(folder: Path) -> dict[str, object]:
    """What each certificate of a PKI folder says, keys and dates apart; and whether its key is the one beside it."""
    found: dict[str, object] = {}
    for path in [*folder.rglob("*.crt"), *folder.rglob("*.conf")]:
        name = str(path.relative_to(folder))
        if ".kcert" in path.parts or name.removesuffix(".crt") in {*sum(AUTHORITIES.values(), ())}:
            continue
        certificate, key = parts(folder, name)
        seen = judge.judged(certificate)
        told = (seen.subject, seen.issuer, seen.names, seen.usages, seen.purposes, seen.extensions)
        found[name] = (*told, judge.matches(key, certificate))
    return found


@pytest.mark.thorough
def test_a_request_says_how_it_is_signed_by_hand(here: Callable[[str], Path], kcert: Kcert, tmp_path: Path) -> None:
    folder = here("course")
    said = re.sub(r" *\\\n *", " ", kcert.done("apiserver", "--csr-only").stdout)
    by_hand = next(line.strip() for line in said.splitlines() if "openssl x509 -req -in kube-apiserver.csr" in line)
    for name in ("kube-apiserver.csr", "openssl-kube-apiserver.cnf"):
        shutil.copy(folder / name, tmp_path / "stick")

    assert output(["bash", "-c", by_hand], tmp_path / "stick").status == 0
    kcert.done("csr", "fetch", "kube-apiserver", "--file", "stick/kube-apiserver.crt")

    names = judge.judged(judge.load(folder / "kube-apiserver.crt")).names
    assert {"DNS:kubernetes", "IP:10.96.0.1"} <= set(names)


def test_a_stale_certificate_asks_anew_with_its_key(own: Path, kcert: Kcert, tmp_path: Path) -> None:
    with (tmp_path / "kcert.yaml").open("a") as file:
        file.write("api_server: {ip: 127.0.0.1, extra_sans: [vip.example.com]}\n")
    key = (own / "kube-apiserver.key").read_bytes()

    said = kcert.done("all", "--csr-only", "--quiet").lines
    shutil.copy(own / "kube-apiserver.csr", tmp_path)
    kcert.done("csr", "sign", "--file", "kube-apiserver.csr", "--ca-dir", "stick")
    kcert.done("csr", "fetch", "kube-apiserver", "--file", "kube-apiserver.crt")

    assert [line.split()[1] for line in said] == ["kube-apiserver"]
    certificate, same = parts(own, "kube-apiserver.crt")
    assert same == key
    assert "DNS:vip.example.com" in judge.judged(certificate).names
    assert list((own / ".kcert/backup").glob("*/kube-apiserver.crt"))


@pytest.mark.thorough
def test_the_ca_signs_no_more_names_than_kcert_yaml_gives(
    here: Callable[[str], Path], kcert: Kcert, tmp_path: Path
) -> None:
    folder = here("course")
    settings = (folder / "openssl-kube-apiserver.cnf").read_text().replace("DNS.1 = kubernetes", "DNS.1 = evil.com")
    (tmp_path / "evil.cnf").write_text(settings)
    made = output(
        [
            *("openssl", "req", "-new", "-key", folder / "kube-apiserver.key", "-subj", "/CN=kube-apiserver"),
            *("-config", "evil.cnf", "-out", "kube-apiserver.csr"),
        ],
        tmp_path,
    )
    assert made.status == 0, made.stderr

    ended = kcert("csr", "sign", "--file", "kube-apiserver.csr", "--dir", "stick")

    assert_refused(ended, 2, "with other SANs", "lacks DNS:kubernetes", "also asks for DNS:evil.com")
    assert not (tmp_path / "kube-apiserver.crt").exists()


@pytest.mark.parametrize(
    ("subject", "key", "said"),
    [
        ("/CN=kube-admin/O=system:masters", "rsa:1024", "has a key of RSA 1024"),
        pytest.param(
            *("/CN=mallory/O=system:masters", "rsa:2048", "none of this cluster's certificates has"),
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_the_ca_refuses_who_is_not_in_kcert_yaml_and_weak_keys(  # noqa: PLR0917 - three of them are the case
    here: Callable[[str], Path], kcert: Kcert, tmp_path: Path, subject: str, key: str, said: str
) -> None:
    here("course")
    made = output(
        ["openssl", "req", "-new", "-newkey", key, "-nodes", "-keyout", "k", "-subj", subject, "-out", "a.csr"],
        tmp_path,
    )
    assert made.status == 0, made.stderr

    by_name = ("--as", "admin") if "kube-admin" in subject else ()
    assert_refused(kcert("csr", "sign", "--file", "a.csr", "--dir", "stick", *by_name), 2, "a.csr", said)
    assert not list(tmp_path.glob("*.crt"))


def test_a_folder_apart_that_others_can_get_at_is_told(own: Path, kcert: Kcert) -> None:
    stick = own.parent / "stick"
    stick.chmod(0o777)
    (stick / "ca.key").chmod(0o644)

    ended = kcert.done("client", "bob", "--quiet", "--ca-dir", "stick")

    said = " ".join(ended.stderr.split())
    assert "others can write to stick" in said
    assert "stick/ca.key is accessible to other users (mode 0644)" in said


def test_what_has_rights_is_signed_only_by_its_name(here: Callable[[str], Path], kcert: Kcert, tmp_path: Path) -> None:
    folder = here("course")
    shutil.copy(folder / "admin.csr", tmp_path / "it's jane.csr")
    sign = ("csr", "sign", "--dir", "stick", "--no-explain", "--file")

    refused = kcert(*sign, "it's jane.csr")
    assert_refused(refused, 2, "asks for admin", "kube-admin", "system:masters", "signed only by its name")
    with (tmp_path / "kcert.yaml").open("a", encoding="utf-8") as config:
        config.write("users: [{name: jane, groups: ['kubeadm:cluster-admins']}]\n")
    kcert.done("client", "jane", "--csr-only", "-q")
    for name in ("kube-apiserver", "jane"):
        shutil.copy(folder / f"{name}.csr", tmp_path / "renamed.csr")
        assert_refused(kcert(*sign, "renamed.csr"), 2, f"asks for {name}", "signed only by its name")
    assert not list(tmp_path.glob("*.crt"))
    assert_refused(kcert(*sign, "it's jane.csr", "--as", "kube-proxy"), 2, "asks for the subject", "kube-proxy has")
    assert_refused(kcert(*sign, "it's jane.csr", *sign[-1:], "b.csr", "--as", "admin"), 2, "there are 2 files")

    (command,) = re.findall(r"`kcert (.*)`", " ".join(refused.stderr.split()))
    said = " ".join(kcert.done(*shlex.split(command)).stdout.split())
    assert "Anyone with the key is the user kube-admin, in the group system:masters" in said
    assert "Attention: system:masters has all permissions" in said
    assert (tmp_path / "admin.crt").is_file()
    shutil.copy(folder / "kube-proxy.csr", tmp_path)
    said = " ".join(kcert.done(*sign, "kube-proxy.csr").stdout.split())
    assert "Attention: system:kube-proxy is a component of Kubernetes" in said


@pytest.mark.thorough
def test_the_cas_certificate_has_to_come_first(here: Callable[[str], Path], kcert: Kcert, tmp_path: Path) -> None:
    folder = here("course")
    (folder / "ca.crt").rename(tmp_path / "ca.crt")
    shutil.copy(folder / "admin.csr", tmp_path)
    kcert.done("csr", "sign", "--file", "admin.csr", "--dir", "stick")

    said = kcert.done("client", "admin", "--csr-only").lines
    ended = kcert("csr", "fetch", "admin", "--file", "admin.crt")

    assert "    cp ca.crt pki/ca.crt" in said
    assert_refused(ended, 2, "pki/ca.crt does not exist", "`cp ca.crt pki/ca.crt`")
    assert not (folder / "admin.crt").exists()
    assert_refused(
        kcert("csr", "fetch", "ca", "--file", "ca.crt"), 2, "pki/ca.csr does not exist", "its certificate to pki/ca.crt"
    )


@pytest.mark.thorough
def test_another_cas_certificate_is_not_taken_in(here: Callable[[str], Path], kcert: Kcert, tmp_path: Path) -> None:
    folder = here("course")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/kcert.yaml").write_text(SMALL.format(profile="course"))
    Kcert(tmp_path / "other").done("ca", "--quiet")
    shutil.copy(folder / "admin.csr", tmp_path)
    kcert.done("csr", "sign", "--file", "admin.csr", "--dir", "other/pki")

    ended = kcert("csr", "fetch", "admin", "--file", "admin.crt")

    assert_refused(ended, 2, "the CA in pki/ca.crt has not signed the certificate")
    assert not (folder / "admin.crt").exists()


@pytest.mark.thorough
def test_another_requests_certificate_is_not_taken_in(
    here: Callable[[str], Path], apart: Callable[[str], Pki], kcert: Kcert
) -> None:
    folder = here("course")

    ended = kcert("csr", "fetch", "admin", "--file", apart("course").folder / "admin.crt")

    assert_refused(ended, 2, "does not belong to pki/admin.csr", "it is not for the key of the request")
    assert not (folder / "admin.crt").exists()


def test_options_that_contradict_each_other_are_refused(own: Path, kcert: Kcert) -> None:
    assert_refused(kcert("all", "--csr-only", "--ca-dir", "stick"), 2, "--csr-only cannot be combined with --ca-dir")
    assert own.exists()


# --- the rotation of an external CA


@pytest.mark.thorough
def test_each_step_of_a_change_over_names_the_folder_of_the_ca(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("all", "--quiet", "--ca-dir", "stick")

    assert_refused(kcert("renew", "ca", "--quiet"), 2, "`kcert renew ca --ca-dir FOLDER`")
    said = " ".join(kcert.done("renew", "ca", "--new-key", "--no-explain", "--ca-dir", "stick").stdout.split())
    assert "The file of the CA ca now contains the new and the old CA" in said
    assert "`kcert renew --all --ca-dir stick`" in said
    assert "`kcert renew ca --finish --ca-dir stick`" in said
    early = kcert("renew", "ca", "--finish", "--quiet", "--ca-dir", "stick")
    assert_refused(early, 2, "Renew them first: `kcert renew --all --ca-dir stick`")
    kcert.done("renew", "--all", "--quiet", "--ca-dir", "stick")
    stopped = kcert("renew", "ca", "--finish", "--step", "--ca-dir", "stick", stdin="q\n")
    assert stopped.status == 0
    assert stopped.stdout.count("Not made: ca.") == 1
    assert "[Enter " not in stopped.stdout.partition("Not made: ca.")[2]
    said = " ".join(kcert.done("renew", "ca", "--finish", "--no-explain", "--ca-dir", "stick").stdout.split())
    assert "The key of the old CA is still in stick/.kcert/backup" in said
    assert list((tmp_path / "stick/.kcert/backup").rglob("ca.key"))


@pytest.mark.thorough
def test_a_ca_of_another_name_there_is_not_renewed(kcert: Kcert, tmp_path: Path) -> None:
    """It was re-created here, for example because the stick was forgotten: nothing there is changed."""
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("all", "--quiet", "--ca-dir", "stick")
    kcert.done("renew", "ca", "--new-key", "--quiet")
    kcert.done("renew", "--all", "--quiet")
    before = snapshot(tmp_path / "stick")

    assert_refused(kcert("renew", "ca", "--quiet", "--ca-dir", "stick"), 2, "are two different CAs")

    assert snapshot(tmp_path / "stick") == before


def test_a_key_in_the_certificates_file_there_does_not_come_along(kcert: Kcert, tmp_path: Path) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("ca", "--quiet", "--dir", "stick")
    with (tmp_path / "stick/ca.crt").open("ab") as crt:
        crt.write((tmp_path / "stick/ca.key").read_bytes())

    assert_refused(kcert("client", "admin", "--quiet", "--ca-dir", "stick"), 2, "stick/ca.crt holds a private key")

    assert not (tmp_path / "pki/ca.crt").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("renew", "kube-apiserver", "--stale"), "`kcert apiserver --csr-only` creates a key and a request here"),
        *(
            pytest.param(arguments, said, marks=pytest.mark.thorough)
            for arguments, said in (
                (("renew", "kube-apiserver", "--new-key"), "move kube-apiserver.key out of the folder"),
                (("renew", "kube-apiserver"), "its request kube-apiserver.csr is here already"),
            )
        ),
    ],
)
def test_a_renewal_whose_ca_is_elsewhere_goes_there_as_a_request(
    kcert: Kcert, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "kcert.yaml").write_text(SMALL.format(profile="course"), encoding="utf-8")
    kcert.done("all", "--quiet")
    shutil.copytree(tmp_path / "pki", tmp_path / "there/pki")
    (tmp_path / "pki/ca.key").unlink()
    shutil.copy(tmp_path / "kcert.yaml", tmp_path / "there")

    assert_refused(
        kcert(*arguments, "--quiet"), 2, said, "`kcert csr fetch kube-apiserver --file` fetches the certificate"
    )

    if "--new-key" in arguments:
        old = (tmp_path / "pki/kube-apiserver.key").read_bytes()
        (tmp_path / "pki/kube-apiserver.key").unlink()
        kcert.done("apiserver", "--csr-only", "--quiet")
        assert (tmp_path / "pki/kube-apiserver.key").read_bytes() != old
    shutil.copy(tmp_path / "pki/kube-apiserver.csr", tmp_path / "there")
    there = Kcert(tmp_path / "there")
    there.done("csr", "sign", "--file", "kube-apiserver.csr")
    kcert.done("csr", "fetch", "kube-apiserver", "--file", "there/kube-apiserver.crt")
    assert judge.matches(
        (tmp_path / "pki/kube-apiserver.key").read_bytes(), judge.load(tmp_path / "pki/kube-apiserver.crt")
    )


def test_a_ca_folder_that_is_not_there_is_said_to_be_so(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    (folder / "ca.key").unlink()
    (folder / "admin.crt").unlink()
    before = snapshot(folder)

    for command in (
        ("renew", "ca"),
        ("renew", "--all"),
        ("client", "admin"),
        ("all",),
        ("all", "--dry-run"),
        ("csr", "sign", "--file", "pki/admin.csr"),
    ):
        refused = kcert(*command, "--ca-dir", "not-mounted")
        assert_refused(refused, 2, "--ca-dir not-mounted: no such folder", "check that it is mounted")
        assert "kcert ca" not in " ".join(refused.stderr.split())
        assert not (kcert.folder / "not-mounted").exists()
    assert snapshot(folder) == before
