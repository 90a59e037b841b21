"""`kcert show`: one thing, the command that reads it, and what its fields mean."""

from __future__ import annotations

import base64
import inspect
import json
import re
import shlex
import shutil
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from kcert import lessons
from kcert.scan import describe, fields, files
from tests.running import Kcert, output, program
from tests.scan.conftest import Kubeadm, kcert, put
from tests.scan.made import CLIENT, NOW, SERVER, Pair, authority, certificate, name, new_key
from tests.zoo import kinds

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
    """Return what it prints, as one line of words."""
    done = kcert("show", *arguments, folder=folder)
    assert done.status == 0, done.stderr
    return " ".join(done.stdout.split())


def test_a_client_certificate(pki: Path) -> None:
    text = shown("jane.crt", folder=pki)
    assert "openssl x509 -in jane.crt -text -noout" in text
    assert "openssl verify -CAfile ca.crt jane.crt" in text
    assert "user (CN): jane" in text
    assert "groups (O): developers" in text
    assert "OU: system:masters Kubernetes ignores the OU" in text
    assert "(openssl verify with ca.crt: OK)" in text
    assert "key file: jane.key matches this certificate" in text
    assert "permissions: everything" not in text


@pytest.mark.parametrize("form", ["PEM", "DER", "base64"])
def test_certificates_of_standard_input(form: str, pki: Path) -> None:
    pem = (pki / "web.crt").read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    data = {"PEM": pem + (pki / "ca.crt").read_bytes(), "DER": der, "base64": base64.b64encode(pem)}[form]
    text = " ".join(Kcert(pki)("show", "-", stdin=data).stdout.split())
    assert "openssl x509 -text -noout" in text
    assert "SANs: DNS:web.example, IP:10.0.0.1" in text
    assert ("standard input, certificate 2 of 2" in text) == (form == "PEM")


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_standard_input_without_a_certificate_ends_with_an_error(data: bytes, tmp_path: Path) -> None:
    ended = Kcert(tmp_path)("show", "-", stdin=data)
    assert ended.status == 2
    assert "standard input contains no certificate" in ended.stderr


@pytest.fixture
def negative(tmp_path: Path) -> Path:
    """kubeadm's apiserver.crt with a negative serial number."""
    folder = tmp_path / "etc/kubernetes/pki"
    folder.mkdir(parents=True)
    argv = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "apiserver.key", "-out", "apiserver.crt"]
    more = ["-subj", "/CN=kube-apiserver", "-set_serial", "-0x44556677"]
    subprocess.run(["openssl", *argv, *more], cwd=folder, check=True, capture_output=True)
    return folder / "apiserver.crt"


def test_no_command_of_kubeadm_renews_a_ca(kubeadm: Kubeadm) -> None:
    text = shown(kubeadm.kubernetes / "pki/ca.crt", "--no-explain")
    assert "renewed by: nothing: kubeadm does not renew CAs" in text
    assert "kubeadm upgrade" not in text
    assert "renewed by: kubeadm certs renew apiserver" in shown(kubeadm.kubernetes / "pki/apiserver.crt")


def test_a_negative_serial_number_has_one_form_and_the_versions_that_reject_it(negative: Path) -> None:
    text = shown(negative)
    assert "rejects it: its serial number is negative (-0x44556677), which Kubernetes 1.32 and newer (Go 1.23)" in text
    assert "serial: -0x44556677 " in text


def test_kubeadm_does_not_renew_what_it_cannot_parse(negative: Path) -> None:
    text = shown(negative)
    assert "cluster: kubeadm" in text
    assert "renewed by" not in text


def test_a_server_certificate(pki: Path) -> None:
    text = shown(pki / "web.crt")
    assert "SANs: DNS:web.example, IP:10.0.0.1" in text
    assert "user (CN)" not in text


def test_without_explanations(pki: Path) -> None:
    assert "Kubernetes ignores the OU" not in shown(pki / "jane.crt", "--no-explain")


def test_openssl_s_own_output(pki: Path) -> None:
    assert "X509v3 Extended Key Usage" not in shown(pki / "jane.crt")
    assert "X509v3 Extended Key Usage" in shown(pki / "jane.crt", "--text")


def openssl_text(path: Path) -> list[str]:
    argv = ["openssl", "x509", "-in", str(path), "-text", "-noout"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_each_line_of_openssl_s_text_is_explained_under_it(pki: Path) -> None:
    done = kcert("show", "jane.crt", "--text", folder=pki)
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("TLS Web Client Authentication")
    assert lines[at + 1] == "# clientAuth: a client may present it"
    text = subprocess.run(
        ["openssl", "x509", "-in", pki / "jane.crt", "-text", "-noout"], capture_output=True, check=True
    )
    own = [line.strip() for line in text.stdout.decode().splitlines()]
    shown_lines = iter(lines)
    assert all(line in shown_lines for line in own), "openssl's text is whole, and in its order"


def test_openssl_s_text_without_explanations_is_as_it_is(pki: Path) -> None:
    done = kcert("show", "jane.crt", "--text", "--no-explain", folder=pki)
    text = subprocess.run(
        ["openssl", "x509", "-in", pki / "jane.crt", "-text", "-noout"], capture_output=True, check=True
    )
    assert "\n".join(f"    {line}".rstrip() for line in text.stdout.decode().splitlines()) in done.stdout


FORMATS = {
    "a.der": ("certificate in DER", "openssl x509 -inform DER -in a.der -out a.der.pem"),
    "r.der": ("certificate request in DER", "openssl req -inform DER -in r.der -out r.der.pem"),
    "k.der": ("private key in DER", "openssl pkey -inform DER -in k.der -out k.der.pem"),
    "e.der": ("encrypted private key in DER", "openssl pkey -inform DER -in e.der -out e.der.pem"),
    "p.der": ("public key in DER", "openssl pkey -pubin -inform DER -in p.der -out p.der.pem"),
    "b.crt": ("base64 of PEM", "openssl base64 -d -A -in b.crt -out b.crt.pem"),
    "a.p12": ("keystore in PKCS#12", "openssl pkcs12 -in a.p12 -nokeys"),
    "a.p7b": ("certificates in PKCS#7", "openssl pkcs7 -in a.p7b -print_certs"),
    "b.p7b": ("certificates in PKCS#7, in DER", "openssl pkcs7 -inform DER -in b.p7b -print_certs"),
}


@pytest.mark.thorough
def test_other_formats_are_named_with_the_command_that_opens_them(pki: Path) -> None:
    for argv in (
        "x509 -in jane.crt -outform DER -out a.der",
        "req -new -key jane.key -subj /CN=jane -outform DER -out r.der",
        "pkey -in jane.key -outform DER -out k.der",
        "pkcs8 -topk8 -in jane.key -v2 aes256 -passout pass:x -outform DER -out e.der",
        "pkey -in jane.key -pubout -outform DER -out p.der",
        "pkcs12 -export -in jane.crt -inkey jane.key -passout pass:x -out a.p12",
        "crl2pkcs7 -nocrl -certfile jane.crt -out a.p7b",
        "crl2pkcs7 -nocrl -certfile jane.crt -outform DER -out b.p7b",
    ):
        subprocess.run(["openssl", *argv.split()], cwd=pki, check=True, capture_output=True)
    put(pki / "b.crt", base64.b64encode((pki / "jane.crt").read_bytes()))
    for name_of, (said, command) in FORMATS.items():
        done = kcert("show", name_of, folder=pki)
        assert (done.status, done.stderr) == (0, ""), name_of
        assert f"format: {said}" in done.stdout, name_of
        assert command in [line.strip() for line in done.stdout.splitlines()], name_of
        ran = subprocess.run(
            [*command.split(), "-passin", "pass:x"] if name_of in ("a.p12", "e.der") else command.split(),
            cwd=pki, capture_output=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, (name_of, ran.stderr)
        checked = " ".join(kcert("check", name_of, folder=pki).stdout.split())
        converts = "openssl x509 -inform DER -in a.der" in checked or "openssl base64 -d -A -in b.crt" in checked
        assert converts if name_of in ("a.der", "b.crt") else f"its format is {said}" in checked, name_of
        assert converts or f"`{command}`" in checked, name_of
    for name_of in ("a.der", "b.crt"):
        assert "groups (O): developers" in shown(name_of, folder=pki)


def test_the_key_of_ssh_is_named_and_nothing_else_is_said_of_it(pki: Path) -> None:
    form = serialization.PrivateFormat.OpenSSH
    key = ed25519.Ed25519PrivateKey.generate()
    put(pki / "id", key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    done = kcert("show", "id", "--no-explain", folder=pki)
    assert (done.status, done.stdout.split("\n\n")[1:]) == (
        0,
        ["    ssh-keygen -y -f id", "format: private key of OpenSSH\n"],
    )


def test_a_java_keystore(pki: Path) -> None:
    put(pki / "a.jks", b"\xfe\xed\xfe\xed\0\0\0\2" + bytes(40))
    text = shown("a.jks", folder=pki)
    assert "format: Java keystore (JKS)" in text
    command = "keytool -importkeystore -srckeystore a.jks -destkeystore a.jks.p12 -deststoretype pkcs12"
    assert command in text.replace("\\ ", "")


@pytest.mark.thorough
def test_certificates_in_documents_are_shown_and_keys_are_not(pki: Path) -> None:
    crt, ca, key = (base64.b64encode((pki / one).read_bytes()).decode() for one in ("jane.crt", "ca.crt", "jane.key"))
    secret = {"kind": "Secret", "metadata": {"name": "x-tls"}, "data": {"tls.crt": crt, "tls.key": key}}
    put(pki / "secret.yaml", f"kind: Secret\nmetadata: {{name: x-tls}}\ndata:\n  tls.crt: {crt}\n  tls.key: {key}\n")
    put(pki / "dynamic-cert.json", json.dumps(secret))
    put(pki / "list.yaml", yaml.safe_dump({"kind": "List", "items": [secret]}, width=10**6))
    put(
        pki / "talosconfig",
        f"context: t\ncontexts:\n  t:\n    endpoints: [10.0.0.2]\n    ca: {ca}\n    crt: {crt}\n    key: {key}\n",
    )
    put(pki / "secrets.yaml", f"cluster: {{id: x}}\ncerts:\n  etcd: {{crt: {ca}, key: {key}}}\n")
    shutil.copy(pki / "secret.yaml", pki / "FS=secret.yaml")
    for document, said in {
        "FS=secret.yaml": "format: Secret",
        "dynamic-cert.json": "format: Secret",
        "list.yaml": "format: Secret",
        "talosconfig": "format: talosconfig",
        "secrets.yaml": "format: secrets.yaml of Talos",
    }.items():
        done = kcert("show", document, "--text", folder=pki)
        assert done.status == 0, done.stderr
        assert said in done.stdout
        assert ("user (CN): jane" in done.stdout) == (document != "secrets.yaml")
        assert key[100:160] not in "".join(done.stdout.split())
    for document in ("secret.yaml", "FS=secret.yaml"):
        line = next(one.strip() for one in kcert("show", document, folder=pki).stdout.splitlines() if "awk" in one)
        assert re.search("CN ?= ?jane", output(["bash", "-c", line], folder=pki).stdout)


@pytest.mark.thorough
def test_the_first_hundred_of_a_bundle_and_how_many_more_there_are(pki: Path) -> None:
    put(pki / "bundle.crt", (pki / "ca.crt").read_bytes() * 2_000)
    done = kcert("show", "bundle.crt", "--no-explain", folder=pki)
    assert done.status == 0, done.stderr
    assert "bundle.crt, certificate 100" in done.stdout
    assert "bundle.crt, certificate 101" not in done.stdout
    assert "1,900 more certificates are in bundle.crt" in done.stdout
    assert "kcert inventory bundle.crt" in [line.strip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-algorithm", "ed448"], "Ed448"),
        (["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], "RSASSA-PSS 2048"),
        (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "ECDSA secp256k1"),
    ],
)
def test_keys_that_go_does_not_have_are_named_and_said_to_be_refused(pki: Path, options: list[str], said: str) -> None:
    request = ["req", "-x509", "-key", "odd.key", "-subj", "/CN=odd", "-out", "odd.crt"]
    for argv in (["genpkey", *options, "-out", "odd.key"], request):
        subprocess.run(["openssl", *argv], cwd=pki, check=True, capture_output=True)
    key, crt = shown("odd.key", folder=pki), shown("odd.crt", folder=pki)
    assert f"private key: {said}" in key
    assert f"public key: {said}" in crt
    assert "Kubernetes: rejects it: its key is" in crt


@pytest.mark.parametrize(
    "change", [("BEGIN CERT", "BEGIN X509 CERT", "END CERT", "END X509 CERT"), ("-----BEGIN", "  -----BEGIN")]
)
def test_a_certificate_that_openssl_alone_reads_is_shown_and_found_wrong(pki: Path, change: tuple[str, ...]) -> None:
    text = (pki / "jane.crt").read_text()
    for old, new in zip(change[::2], change[1::2], strict=True):
        text = text.replace(old, new)
    put(pki / "odd.crt", text)
    done = kcert("show", "odd.crt", folder=pki)
    assert done.status == 1
    assert "user (CN): jane" in done.stdout
    assert "Kubernetes: the block that begins on line 1 is" in " ".join(done.stdout.split())
    assert "the block that begins on line 1 is" in done.stderr


def test_a_certificate_that_its_ca_did_not_sign(pki: Path) -> None:
    certificate(name("jane"), authority(), uses=[CLIENT]).put(pki / "jane.crt")
    text = shown("jane.crt", folder=pki)
    assert "(openssl verify with ca.crt: OK)" not in text
    assert re.search(r"openssl verify with ca.crt: (?!OK)\w", text), text


def test_the_days_since_a_certificate_expired_are_whole_ones(pki: Path) -> None:
    begun = NOW - timedelta(days=90)
    certificate(name("jane"), authority(), uses=[CLIENT], days=-60.2, before=begun).put(pki / "late.crt")

    assert "expired 60 days ago" in shown("late.crt", folder=pki)
    tree = kcert("inventory", "late.crt", "--format", "tree", folder=pki).stdout
    assert "expired 60 days ago" in " ".join(tree.split())
    assert "60 days ago" in kcert("inventory", "late.crt", folder=pki, columns=100).stdout


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
    assert done.status == 1
    assert "is not a sound key" in " ".join(done.stderr.split())


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
    assert "signature: made with the key in the request" in text


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
    assert "key file: admin.conf matches this certificate" in text


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
    assert done.status == 2
    assert "starts a component" in " ".join(done.stderr.split())


def test_the_file_that_a_kubeconfig_names_in_vain_is_named(tmp_path: Path) -> None:
    user = "users:\n- name: u\n  user:\n    client-certificate: gone.crt\n"
    (tmp_path / "config").write_text(f"kind: Config\n{user}contexts:\n- name: x\n  context: {{user: u}}\n")
    done = kcert("show", "config", folder=tmp_path)
    assert (done.status, done.stderr) == (1, "kcert: gone.crt does not exist.\n")


@pytest.mark.thorough
def test_the_command_that_is_shown_for_a_kubeconfig_prints_the_certificate_of_its_context(kubeadm: Kubeadm) -> None:
    program("kubectl")
    both, scheduler = (
        yaml.safe_load((kubeadm.kubernetes / f"{name}.conf").read_text(encoding="utf-8"))
        for name in ("admin", "scheduler")
    )
    both["users"].insert(0, {**scheduler["users"][0], "name": "another"})
    (kubeadm.kubernetes / "env=two.conf").write_text(yaml.safe_dump(both), encoding="utf-8")
    for file in ("admin.conf", "env=two.conf"):
        shown = kcert("show", file, folder=kubeadm.kubernetes).stdout.splitlines()
        line = next(line.strip() for line in shown if line.strip().startswith("kubectl"))
        ran = output(["bash", "-c", line], folder=kubeadm.kubernetes)
        assert re.search("CN ?= ?kubernetes-admin", ran.stdout), ran.stderr


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere.crt", "does not exist"),
        ("empty.crt", "is empty"),
        ("x.yaml", "kcert inventory"),
    ],
)
def test_what_cannot_be_shown_is_said_with_a_way_out(pki: Path, what: str, said: str) -> None:
    put(pki / "empty.crt", b"")
    put(pki / "x.yaml", "kind: Pod\n")
    done = kcert("show", pki / what)
    assert done.status == 2
    assert said in " ".join(done.stderr.split())


def test_a_hostile_certificate_stays_words(tmp_path: Path) -> None:
    nasty = "jane\x1b]0;x\x07, O=system:masters"
    certificate(name(nasty, "a, system:masters"), names=["a, DNS:b\n\x1b[31m"], uses=[CLIENT, SERVER]).put(
        tmp_path / "c.crt"
    )
    done = kcert("show", tmp_path / "c.crt", "--text")
    assert "\x1b" not in done.stdout
    assert "permissions: everything" not in done.stdout
    assert "groups (O): a\\, system:masters" in done.stdout
    assert "SANs: DNS:a\\, DNS:b" in done.stdout


def test_every_meaning_has_its_words() -> None:
    source = "".join(inspect.getsource(module) for module in (describe, fields, files))
    known = lessons.lesson("reading-a-certificate").sections
    used = set(re.findall(r'"([A-Z][A-Za-z0-9 ]+)"', source))
    assert {"User", "Masters", "Any use"} <= used
    every_lesson_has = {"Command", "How it fails", "What's next"}
    assert known.keys() - every_lesson_has <= used, "every section is used"


@pytest.mark.thorough
def test_a_request_with_java_s_label_is_read(tmp_path: Path) -> None:
    make = "openssl req -new -newkey rsa:2048 -nodes -keyout k -subj /CN=jane -out r.csr"
    subprocess.run(shlex.split(make), cwd=tmp_path, check=True, capture_output=True)
    request = tmp_path / "r.csr"
    request.write_text(request.read_text().replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"))
    text = shown("r.csr", folder=tmp_path)
    assert "labelled NEW CERTIFICATE REQUEST" in text
    assert "user (CN): jane" in text


def test_the_kind_of_cluster_and_its_command_are_shown(tmp_path: Path) -> None:
    kinds.lay_out("k3s", tmp_path)
    text = shown("serving-kube-apiserver.crt", folder=tmp_path / "var/lib/rancher/k3s/server/tls")
    assert "cluster: K3s, kube-apiserver" in text
    assert "k3s certificate rotate --service api-server" in text
