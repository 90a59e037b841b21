"""A PKI folder of another cluster, without kcert.yaml: it is renewed as it is, and never taken for the example's."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.running import representatives
from tests.test_renew import but_dates, changed, files_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert

LEAVES = {
    "apiserver": "ca",
    "apiserver-kubelet-client": "ca",
    "front-proxy-client": "front-proxy-ca",
    "apiserver-etcd-client": "etcd/ca",
    "etcd/server": "etcd/ca",
    "etcd/peer": "etcd/ca",
    "etcd/healthcheck-client": "etcd/ca",
}
"""What `kubeadm certs renew` renews in kubeadm's pki folder, and the CA that signs it."""


@pytest.fixture
def etc(own_pki: Callable[..., Pki]) -> Path:
    """A folder like /etc/kubernetes, as kubeadm leaves it: no kcert.yaml, nothing that kcert remembers."""
    made = own_pki("kubeadm", "large")
    made.config.unlink()
    shutil.rmtree(made.folder / ".kcert")
    for path in made.folder.rglob("*"):
        if path.suffix in {".csr", ".cnf"}:
            path.unlink()
    return made.folder


def read(path: Path) -> x509.Certificate:
    """The first certificate of a file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.thorough
def test_all_of_kubeadms_pki_is_renewed_by_the_cas_that_signed_it(etc: Path, kcert: Kcert) -> None:
    pki = etc / "pki"
    before, old = files_of(pki), {name: read(pki / f"{name}.crt") for name in LEAVES}

    ended = kcert("renew", "--all", "-q", "--dir", pki)

    assert (ended.status, len(ended.lines)) == (0, len(LEAVES)), ended.stderr
    assert f"kcert renew --all --dir {etc}" in " ".join(ended.stderr.split())  # the kubeconfigs are there
    for name, ca in LEAVES.items():
        new = read(pki / f"{name}.crt")
        assert but_dates(new) == but_dates(old[name]), name
        assert new.serial_number != old[name].serial_number, name
        new.verify_directly_issued_by(read(pki / f"{ca}.crt"))
    kept = {name for name in changed(before, files_of(pki)) if name.endswith((".key", ".pub")) or "ca.crt" in name}
    assert not kept


@pytest.mark.parametrize("name", ["etcd-server", "etcd/server", "etcd/server.crt"])
def test_a_certificate_is_named_as_kubeadm_names_it(etc: Path, kcert: Kcert, name: str) -> None:
    before = files_of(etc / "pki")

    ended = kcert("renew", name, "-q", "--dir", etc / "pki")

    assert (ended.status, ended.lines[0].split()[:2]) == (0, ["renewed", "etcd/server"]), ended.stderr
    assert {one for one in changed(before, files_of(etc / "pki")) if one.endswith(".crt")} == {"etcd/server.crt"}


@pytest.mark.parametrize(
    ("copy", "named"),
    [("pki/issued/apiserver.crt", "issued/apiserver"), ("pki/apiserver.pem", "apiserver.pem")],
)
def test_two_certificates_of_one_name_are_told_apart(etc: Path, kcert: Kcert, copy: str, named: str) -> None:
    """The second is another certificate, of which --all must not lose one."""
    old, second = read(etc / "pki/apiserver.crt"), etc / copy
    second.parent.mkdir(exist_ok=True)
    (second.with_suffix(".key")).write_bytes((etc / "pki/apiserver.key").read_bytes())
    pki = etc / "pki"
    requests = ("openssl", "x509", "-x509toreq", "-in", pki / "apiserver.crt", "-signkey", pki / "apiserver.key")
    request = subprocess.run(requests, check=True, capture_output=True).stdout
    signs = ("openssl", "x509", "-req", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-set_serial", "7")
    subprocess.run((*signs, "-days", "9", "-out", second), input=request, check=True, capture_output=True)
    before = second.read_bytes()

    every = kcert("renew", "--all", "-q", "--dir", etc / "pki")

    assert every.status == 0, every.stderr
    assert read(etc / "pki/apiserver.crt").serial_number != old.serial_number
    assert second.read_bytes() != before
    before = second.read_bytes()
    kcert.done("renew", named, "-q", "--dir", etc / "pki")
    assert second.read_bytes() != before


def test_a_kubeconfig_keeps_its_key_and_its_group(etc: Path, kcert: Kcert) -> None:
    before = (etc / "admin.conf").read_text()

    ended = kcert("renew", "admin.conf", "-q", "--dir", etc)

    after = (etc / "admin.conf").read_text()
    other = [line for line in after.splitlines() if line not in before]
    assert ended.status == 0, ended.stderr
    assert [line.split(":")[0].strip() for line in other] == ["client-certificate-data"]


def test_of_two_certificates_of_a_ca_the_one_with_the_key_signs(etc: Path, kcert: Kcert) -> None:
    ca, old = etc / "pki/ca", etc / "pki/a-ca.crt"
    argv = ("openssl", "x509", "-in", f"{ca}.crt", "-signkey", f"{ca}.key", "-days", "99", "-out", old)
    subprocess.run(argv, check=True, capture_output=True)

    ended = kcert("renew", "apiserver", "-q", "--dir", etc / "pki")

    assert (ended.status, ended.lines[0].split()[:2]) == (0, ["renewed", "apiserver"]), ended.stderr
    read(etc / "pki/apiserver.crt").verify_directly_issued_by(read(etc / "pki/ca.crt"))


@pytest.mark.thorough
def test_without_the_ca_that_signed_it_nothing_is_renewed(etc: Path, kcert: Kcert) -> None:
    (etc / "pki/front-proxy-ca.crt").unlink()
    before = files_of(etc)

    named = kcert("renew", "front-proxy-client", "--dir", etc / "pki")
    everything = kcert("renew", "--expiring-in", "9999d", "-q", "--dir", etc / "pki", "--dry-run")
    rest = kcert("renew", "--expiring-in", "9999d", "-q", "--dir", etc / "pki")

    assert named.status == 2
    assert "front-proxy-ca" in named.stderr
    assert everything.status == 2  # --quiet and --dry-run
    assert rest.status == 0
    assert "front-proxy-client.crt: the CA that signed it" in " ".join(rest.stderr.split())
    assert "pki/front-proxy-client.crt" not in changed(before, files_of(etc))


@pytest.mark.parametrize("arguments", ["apiserver", "apiserver --new-key", "apiserver-kubelet-client", "--all"])
def test_swapped_certificates_are_named_and_no_leaf_becomes_a_ca(etc: Path, kcert: Kcert, arguments: str) -> None:
    pki = etc / "pki"
    ca, leaf = (pki / "ca.crt").read_bytes(), (pki / "apiserver.crt").read_bytes()
    (pki / "ca.crt").write_bytes(leaf)
    (pki / "apiserver.crt").write_bytes(ca)
    before = files_of(etc)

    ended = kcert("renew", *arguments.split(), "--dir", pki)

    said = " ".join(ended.stderr.split())
    assert ended.status == 2
    assert "apiserver.key belongs to ca.crt" in said
    assert "the two certificates are swapped" in said
    assert "--new-key" not in said
    assert changed(before, files_of(etc)) == set()


def test_the_name_of_a_leaf_is_never_a_ca(etc: Path, kcert: Kcert) -> None:
    pki = etc / "pki"
    for ending in ("crt", "key"):
        shutil.copy(pki / f"front-proxy-ca.{ending}", pki / f"apiserver.{ending}")
        (pki / f"front-proxy-ca.{ending}").unlink()
    before = files_of(etc)

    ended = kcert("renew", "apiserver", "--new-key", "--dir", pki)

    assert (ended.status, changed(before, files_of(etc))) == (2, set())
    assert "a file of this name is never a CA's" in " ".join(ended.stderr.split())


def _sign_with(folder: Path, name: str, ca: str) -> None:
    """Have the certificate *name* in *folder* signed by *ca*, whatever signed it before."""
    old, signer = read(folder / f"{name}.crt"), read(folder / f"{ca}.crt")
    made = x509.CertificateBuilder(
        signer.subject, old.subject, old.public_key(), 7, old.not_valid_before_utc, old.not_valid_after_utc
    )
    for extension in old.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            made = made.add_extension(extension.value, extension.critical)
    signed = made.sign(_key(folder / f"{ca}.key"), hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("apiserver-etcd-client", "ca", "etcd/ca"),
        ("etcd/server", "ca", "etcd/ca"),
        ("front-proxy-client", "etcd/ca", "front-proxy-ca"),
    ],
)
def test_what_the_wrong_ca_of_kubeadm_signed_is_not_signed_by_it_again(
    etc: Path, kcert: Kcert, name: str, wrong: str, right: str
) -> None:
    pki = etc / "pki"
    _sign_with(pki, name, wrong)
    before = files_of(etc)

    ended = [kcert("renew", name, "--dir", pki, *option) for option in ((), ("--dry-run",))]

    for run in ended:
        assert (run.status, run.stdout) == (2, "")
        assert f"was signed by {wrong}.crt" in " ".join(run.stderr.split())
        assert f"is {right}.crt" in " ".join(run.stderr.split())
    assert changed(before, files_of(etc)) == set()


@pytest.mark.thorough
def test_the_wrong_ca_is_refused_before_anything_runs_where_kcert_yaml_names_another(
    own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    pki = own_pki("kubeadm").folder
    _sign_with(pki / "pki", "apiserver-etcd-client", "ca")

    ended = [kcert("renew", "apiserver-etcd-client", *option) for option in ((), ("--dry-run",))]
    updated = kcert("renew", "apiserver-etcd-client", "--stale", "-q")

    for run in ended:
        assert (run.status, run.stdout) == (2, "")
        assert "kcert renew apiserver-etcd-client --stale" in " ".join(run.stderr.split())
    assert updated.status == 0, updated.stderr
    read(pki / "pki/apiserver-etcd-client.crt").verify_directly_issued_by(read(pki / "pki/etcd/ca.crt"))


def test_a_renewal_under_another_ca_of_kcert_yaml_is_refused(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    pki = own_pki("course").folder
    before = (pki / "admin.crt").read_bytes()
    assert kcert("ca", "-q", "--dir", "other").status == 0
    for ending in ("crt", "key"):
        shutil.copy(kcert.folder / f"other/ca.{ending}", pki / f"ca.{ending}")

    ended = kcert("renew", "admin", "--dir", pki, "--config", "kcert.yaml")

    assert ended.status == 2
    assert "no certificate of that CA" in " ".join(ended.stderr.split())
    assert "kcert renew admin --stale" in " ".join(ended.stderr.split())
    assert (pki / "admin.crt").read_bytes() == before


def test_a_chain_stays_behind_the_renewed_certificate(etc: Path, kcert: Kcert) -> None:
    pki = etc / "pki"
    crt = pki / "apiserver.crt"
    crt.write_bytes(crt.read_bytes() + (pki / "ca.crt").read_bytes())

    ended = kcert("renew", "apiserver", "-q", "--dir", pki)

    found = x509.load_pem_x509_certificates(crt.read_bytes())
    assert ended.status == 0, ended.stderr
    assert found[1:] == [read(pki / "ca.crt")]
    found[0].verify_directly_issued_by(found[1])


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "all",
        "apiserver",
        "client",
        "renew --stale",
        "renew admin --stale",
        "kubeconfig",
        "flags kube-apiserver",
        "bundle",
        "export ansible",
    ],
)
def test_nothing_is_done_from_the_example(etc: Path, kcert: Kcert, command: str) -> None:
    before = files_of(etc)

    ended = kcert(*command.split(), "--dir", etc / "pki")

    assert (ended.status, ended.stdout) == (2, "")
    assert "not those of the built-in example" in " ".join(ended.stderr.split())
    assert f"kcert init --from {etc / 'pki'}" in " ".join(ended.stderr.split())
    assert changed(before, files_of(etc)) == set()


@pytest.mark.thorough
def test_a_folder_remembers_that_it_was_made_for_the_example(kcert: Kcert) -> None:
    assert kcert("ca", "-q").status == 0
    folder = kcert.folder / "pki"
    # A server with other SANs, by another tool: without its memory the folder would be another cluster's.
    assert kcert("apiserver", "-q", "--dir", "other", "--config", _config(kcert)).status == 2  # no CA there
    made = kcert("plan", "--format", "json")
    shutil.copy(folder / "ca.crt", folder / "another-ca.crt")

    remembered = kcert("plan", "--format", "json")
    shutil.rmtree(folder / ".kcert")
    (folder / "another-ca.crt").write_text(_self_signed("another"))
    forgotten = kcert("plan", "--format", "json")

    assert (made.status, remembered.stdout, forgotten.status) == (0, made.stdout, 2)


def _config(kcert: Kcert) -> Path:
    path = kcert.folder / "other.yaml"
    path.write_text("cluster: other\nnodes: []\ncontrol_plane: [{name: cp1, ip: 10.0.0.1}]\n")
    return path


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def _self_signed(name: str) -> str:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    subject = _name((NameOID.COMMON_NAME, name))
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 5, now, now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def test_a_nul_in_a_subject_is_never_cut_off(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    pki = own_pki("course").folder
    ca_key, key = (_key(pki / f"{name}.key") for name in ("ca", "admin"))
    old, ca = read(pki / "admin.crt"), read(pki / "ca.crt")
    subject = _name((NameOID.COMMON_NAME, "kube-admin"), (NameOID.ORGANIZATION_NAME, "system:masters\0x"))
    builder = x509.CertificateBuilder(
        ca.subject, subject, key.public_key(), 77, old.not_valid_before_utc, old.not_valid_after_utc
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    (pki / "admin.crt").write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    before = files_of(pki)

    refused = [kcert("renew", "admin", "--new-key", "--dir", pki, *more) for more in ((), ("--dry-run",))]
    unchanged = changed(before, files_of(pki))
    kept = kcert("renew", "admin", "-q", "--dir", pki)

    assert ([one.status for one in refused], unchanged) == ([2, 2], set())
    assert all("NUL" in one.stderr and not one.stdout for one in refused)
    assert kept.status == 0, kept.stderr
    assert read(pki / "admin.crt").subject == subject


MADE = """\
cluster: prod-eu
profile: {profile}
api_server: {{host: api.example.com, ip: 192.168.56.30, port: 8443, extra_sans: [vip.example.com]}}
service_cidr: 10.32.0.0/24
dns_domain: prod.example
control_plane:
  - {{name: cp1, ip: 192.168.56.11}}
  - {{name: cp2, ip: 192.168.56.12}}
nodes:
  - {{name: node01, ip: 192.168.56.21}}
users:
  - {{name: jane, groups: [developers, "team:blue"]}}
key: {{algorithm: ecdsa, curve: P-256}}
days: {{ca: 2000, leaf: 200}}
"""


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(["kubeadm", "course", "hardway"]))
def test_init_from_a_folder_describes_it(kcert: Kcert, profile: str) -> None:
    (kcert.folder / "made.yaml").write_text(MADE.format(profile=profile))
    assert kcert("all", "-q", "--config", "made.yaml").status == 0
    kcert("kubeconfig", "--config", "made.yaml")
    shutil.rmtree(kcert.folder / "pki/.kcert")

    written = kcert("init", "--from", "pki")
    planned = kcert("plan", "--format", "json")

    assert (written.status, planned.status) == (0, 0), written.stderr + planned.stderr
    states = {one["name"]: one["state"] for one in json.loads(planned.stdout)}
    there = {name: state for name, state in states.items() if state != "missing"}
    assert len(there) > 10
    assert {name: state for name, state in there.items() if state != "current"} == {}


def test_init_from_a_folder_without_certificates_is_refused(kcert: Kcert) -> None:
    (kcert.folder / "empty").mkdir()

    ended = kcert("init", "--from", "empty")

    assert ended.status == 2
    assert "no certificate was found" in ended.stderr
    assert not (kcert.folder / "kcert.yaml").exists()
