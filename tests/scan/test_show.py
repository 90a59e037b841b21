"""`kcert show`: one thing, the command that reads it, and what its fields mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kcert import lessons
from kcert.scan import showing
from tests.scan.conftest import Kubeadm, kcert, put
from tests.scan.made import CLIENT, SERVER, Pair, authority, certificate, name, new_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    ca = authority()
    ca.put(tmp_path / "ca.crt")
    certificate(name("jane", "developers", units=["system:masters"]), ca, uses=[CLIENT]).put(tmp_path / "jane.crt")
    certificate(name("web"), ca, uses=[SERVER], names=["web.example", "10.0.0.1"]).put(tmp_path / "web.crt")
    return tmp_path


def shown(*arguments: str | Path, folder: Path | None = None) -> str:
    """What it prints, as one line of words."""
    done = kcert("show", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_a_client_certificate(pki: Path) -> None:
    text = shown("jane.crt", folder=pki)
    assert "openssl x509 -in jane.crt -text -noout" in text
    assert "openssl verify -CAfile ca.crt jane.crt" in text
    assert "user (CN): jane" in text
    assert "groups (O): developers" in text
    assert "OU: system:masters An OU counts for nothing" in text
    assert "openssl verify with ca.crt confirms it" in text
    assert "key file: jane.key belongs to it" in text
    assert "rights: everything" not in text


def test_a_server_certificate(pki: Path) -> None:
    text = shown(pki / "web.crt")
    assert "names: DNS:web.example, IP:10.0.0.1" in text
    assert "user (CN)" not in text


def test_without_explanations(pki: Path) -> None:
    assert "counts for nothing" not in shown(pki / "jane.crt", "--no-explain")


def test_openssl_s_own_output(pki: Path) -> None:
    assert "X509v3 Extended Key Usage" not in shown(pki / "jane.crt")
    assert "X509v3 Extended Key Usage" in shown(pki / "jane.crt", "--text")


def test_a_certificate_that_its_ca_did_not_sign(pki: Path) -> None:
    certificate(name("jane"), authority(), uses=[CLIENT]).put(pki / "jane.crt")
    assert "says no" in shown(pki / "jane.crt")


def test_a_key_is_checked_and_never_printed(pki: Path) -> None:
    for arguments in ((), ("--text",)):
        done = kcert("show", "jane.key", *arguments, folder=pki)
        assert "openssl pkey -in jane.key -check -noout" in done.stdout
        assert "belongs to: jane.crt" in done.stdout
        assert "mode: 0600" in done.stdout
        secret = "".join((pki / "jane.key").read_text().splitlines()[1:-1])
        assert secret[20:60] not in "".join(done.stdout.split())


def test_an_rsa_key_is_checked_with_rsa(pki: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    certificate(name("r"), key=rsa.generate_private_key(65537, 2048)).put(pki / "r.crt")
    assert "openssl rsa -in r.key -check -noout" in shown("r.key", folder=pki)


def test_a_damaged_key_ends_with_status_1(pki: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    der = bytearray(
        key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    der[-3] ^= 0xFF
    from kcert.openssl.pem import armoured

    put(pki / "bad.key", armoured(bytes(der), "RSA PRIVATE KEY"))
    done = kcert("show", pki / "bad.key")
    assert done.returncode == 1
    assert "no sound key" in " ".join(done.stderr.split())


def test_an_encrypted_key_asks_for_nothing(pki: Path) -> None:
    put(
        pki / "locked.key",
        Pair(x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes()), new_key()).key_in(
            serialization.PrivateFormat.PKCS8, b"secret"
        ),
    )
    assert "encrypted: yes" in shown(pki / "locked.key")


def test_a_request(pki: Path) -> None:
    made = x509.CertificateSigningRequestBuilder().subject_name(name("jane", "developers"))
    pem = made.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    put(pki / "jane.csr", pem)
    text = shown("jane.csr", folder=pki)
    assert "openssl req -in jane.csr -text -noout -verify" in text
    assert "groups (O): developers" in text
    assert "subject: CN=jane, O=developers" in text
    assert "UID" not in text
    assert "signature: made with the key that it is about" in text


def test_a_request_that_carries_a_uid(pki: Path) -> None:
    uid = x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), "root-uid")
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*name("eve"), uid]))
    put(pki / "eve.csr", made.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    text = shown("eve.csr", folder=pki)

    assert "UID: root-uid" in text
    assert "subject: CN=eve, 1.3.6.1.4.1.57683.2=root-uid" in text


def test_a_kubeconfig(kubeadm: Kubeadm) -> None:
    text = shown("admin.conf", folder=kubeadm.kubernetes)
    assert "server: https://cp1:6443" in text
    assert "trusts: CN=kubernetes (inside the file)" in text
    assert "user (CN): kubernetes-admin" in text
    assert "base64 -d | openssl x509 -text -noout" in text
    assert "key file: admin.conf belongs to it" in text


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("tls-server-name: kubernetes", "expects: kubernetes"),
        ("insecure-skip-tls-verify: true", "verifies the server: no"),
    ],
)
def test_what_a_kubeconfig_compares_the_server_with(field: str, shown: str, tmp_path: Path) -> None:
    cluster = f"clusters:\n- name: c\n  cluster:\n    server: https://cp1:6443\n    {field}\n"
    (tmp_path / "config").write_text(
        f"kind: Config\n{cluster}contexts:\n- name: x\n  context: {{cluster: c, user: u}}\n"
    )
    done = kcert("show", tmp_path / "config")
    assert shown in done.stdout
    assert "The name or address in this URL" not in done.stdout


def test_a_unit_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "etcd.service").write_text("[Service]\nExecStart=/usr/bin/etcd\n")
    done = kcert("show", tmp_path / "etcd.service")
    assert done.returncode == 2
    assert "starts a component" in " ".join(done.stderr.split())


def test_the_file_that_a_kubeconfig_names_in_vain_is_named(tmp_path: Path) -> None:
    user = "users:\n- name: u\n  user:\n    client-certificate: gone.crt\n"
    (tmp_path / "config").write_text(f"kind: Config\n{user}contexts:\n- name: x\n  context: {{user: u}}\n")
    done = kcert("show", "config", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "kcert: gone.crt is not there.\n")


def test_the_command_that_is_shown_for_a_kubeconfig_runs(kubeadm: Kubeadm) -> None:
    import subprocess

    done = kcert("show", "admin.conf", folder=kubeadm.kubernetes)
    line = next(line.strip() for line in done.stdout.splitlines() if line.strip().startswith("awk"))
    ran = subprocess.run(["bash", "-c", line], cwd=kubeadm.kubernetes, capture_output=True, text=True, check=True)
    assert re.search("CN ?= ?kubernetes-admin", ran.stdout)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere.crt", "is not there"),
        ("empty.crt", "is empty"),
        ("der.crt", "openssl x509 -inform DER"),
        ("x.yaml", "kcert inventory"),
    ],
)
def test_what_cannot_be_shown_is_said_with_a_way_out(pki: Path, what: str, said: str) -> None:
    put(pki / "empty.crt", b"")
    put(pki / "der.crt", authority().certificate.public_bytes(serialization.Encoding.DER))
    put(pki / "x.yaml", "kind: Pod\n")
    done = kcert("show", pki / what)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_a_hostile_certificate_stays_words(tmp_path: Path) -> None:
    nasty = "jane\x1b]0;x\x07, O=system:masters"
    certificate(name(nasty, "a, system:masters"), names=["a, DNS:b\n\x1b[31m"], uses=[CLIENT, SERVER]).put(
        tmp_path / "c.crt"
    )
    done = kcert("show", tmp_path / "c.crt", "--text")
    assert "\x1b" not in done.stdout
    assert "rights: everything" not in done.stdout
    assert "groups (O): a\\, system:masters" in done.stdout
    assert "names: DNS:a\\, DNS:b" in done.stdout


def test_every_meaning_has_its_words() -> None:
    source = __import__("inspect").getsource(showing)
    known = lessons.lesson("reading-a-certificate").sections
    used = set(re.findall(r'"([A-Z][A-Za-z0-9 ]+)"', source))
    assert {"User", "Masters", "Any use"} <= used
    every_lesson_has = {"Command", "How it fails", "Read on"}
    assert known.keys() - every_lesson_has <= used, "every section is used"


def test_of_a_file_with_very_many_certificates_the_first_hundred_are_shown(tmp_path: Path) -> None:
    certificate(name("many"), authority("ca"), uses=[CLIENT]).put(tmp_path / "one.crt")
    (tmp_path / "many.crt").write_bytes((tmp_path / "one.crt").read_bytes() * 2000)

    shown = kcert("show", "many.crt", folder=tmp_path).stdout

    assert "many.crt, certificate 100\n" in shown
    assert "many.crt, certificate 101\n" not in shown
    assert "1900 more certificates are in it: `kcert inventory" in " ".join(shown.split())
