"""Fixes that more than one command of kcert ends: for nodes, kubeconfigs, keys of tokens, CAs and modes of files.

Each fault is built in a folder of each kind, the printed proof shows it, and the printed commands end it.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import re
import shlex
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.diagnose import diagnose
from tests.clusters import PROFILES
from tests.diagnose.repairing import bash, files
from tests.recorded.pki import CLIENT, HERE, NOW, SERVER, YEAR, Authority, authority, leaf
from tests.recorded.programs import api_server, said
from tests.running import program, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key

    from tests.clusters import Pki
    from tests.running import Kcert

COMMANDS = re.compile(
    r"(?:kcert|openssl|chmod|chown|rmdir|kubectl config|kubectl create secret|sudo install|\(umask) ?"
)


class Folder(NamedTuple):
    """A PKI folder of a kind, the kcert that runs beside it, and an empty folder."""

    kcert: Kcert
    own: Pki
    elsewhere: Path

    @property
    def pki(self) -> Path:
        """Where the certificates are."""
        return self.own.folder

    @property
    def is_kubeadm(self) -> bool:
        """True for the profile that has certificates in kubeconfigs."""
        return self.own.profile == "kubeadm"

    def signer(self, ca: Path) -> Authority:
        """The CA with its key."""
        return Authority(x509.load_pem_x509_certificate(ca.read_bytes()), _key(ca.with_suffix(".key")))

    def found(self, log: str, cause: str) -> dict[str, str]:
        """What `kcert diagnose` says in this folder."""
        assert [
            found.explanation.name for found in diagnose([f"{line}\n".encode() for line in log.split("\n")]).findings
        ] == [cause]
        [finding] = json.loads(self.kcert("diagnose", "--format", "json", stdin=log.encode()).stdout)
        return finding  # type: ignore[no-any-return]

    def run(self, repair: str, words: dict[str, str], kind: str = "kcert") -> str:
        """Run the printed commands: those of *kind*, and those for every kind; return what they print."""
        before, *sections = re.split(r"^# with (\w+).*\n", repair, flags=re.MULTILINE)
        chosen = dict(zip(sections[::2], sections[1::2], strict=True))
        script = before + chosen.get(kind, "")
        for word, value in words.items():
            script = re.sub(rf"\b{word}\b", value, script)
        printed = []
        commands = [line.partition(" #")[0] for line in script.replace("\\\n", "").splitlines()]
        commands = [command for command in commands if COMMANDS.match(command)]
        assert commands, repair
        for command in commands:
            if command.startswith("kcert "):
                printed.append(self.kcert.done(*shlex.split(command)[1:]).stdout)
            else:
                printed.append(bash(f"set -e\n{command} || echo FAILED", self.pki))
        assert "FAILED" not in "\n".join(printed), printed
        return "\n".join(printed)


@pytest.fixture
def folder(kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, profile: str) -> Folder:
    (tmp_path / "elsewhere").mkdir()
    return Folder(kcert, own_pki(profile), tmp_path / "elsewhere")


def _key(path: Path) -> Key:
    return serialization.load_pem_private_key(path.read_bytes(), None)  # type: ignore[return-value]


def _cells(causes: list[str], kind: Callable[[str], str] = str) -> pytest.MarkDecorator:
    """Every cause in every kind of folder; `make test` runs each *kind* of cause once, the next one in another."""
    turned = [(cause, PROFILES[(place + turn) % 3]) for place, cause in enumerate(causes) for turn in range(3)]
    cells = representatives(turned, lambda cell: kind(cell[0]))
    return pytest.mark.parametrize(
        ("cause", "profile"),
        [pytest.param(*cell.values[0], marks=cell.marks, id="-".join(cell.values[0])) for cell in cells],  # type: ignore[misc,arg-type]
    )


# --- kubelets

NODE_FAULTS = {
    "kubelet-certificate-expired": "part of the existing bootstrap client certificate is expired: "
    "2020-12-06 18:55:55 +0000 UTC",
    "other-node": 'nodes "node01" is forbidden: node "other" is not allowed to modify node "node01"',
    "not-a-node": 'Unable to register node: nodes "node01" is forbidden: could not determine node from user',
    "forbidden-node": 'pods is forbidden: User "system:node:node01" cannot list resource "pods" at the cluster scope',
    "anonymous": 'kubelet[7]: nodes is forbidden: User "system:anonymous" cannot create resource "nodes"',
}


def _client_in(kubeconfig: Path) -> Path:
    """The client's certificate in a kubeconfig, as a file with its key beside it."""
    found = dict(re.findall(r"client-(certificate|key)-data: (\S+)", kubeconfig.read_text()))
    for part, suffix in (("certificate", ".crt"), ("key", ".key")):
        kubeconfig.with_suffix(suffix).write_bytes(base64.b64decode(found[part]))
    return kubeconfig.with_suffix(".crt")


def _node(folder: Folder) -> tuple[Path, Path]:
    """The file of the node's client certificate, and the kubeconfig that contains it."""
    if folder.is_kubeadm:
        kubeconfig = folder.pki / "hosts/node01/kubelet.conf"
        return _client_in(kubeconfig) if kubeconfig.is_file() else kubeconfig, kubeconfig
    name = "node01" if folder.own.profile == "hardway" else "kubelet-client-node01"
    return folder.pki / f"{name}.crt", folder.pki / f"{name}.kubeconfig"


@_cells([*NODE_FAULTS], lambda _: "the same fix")
def test_a_kubelet_gets_the_certificate_of_its_node_again(folder: Folder, cause: str) -> None:
    crt, kubeconfig = _node(folder)
    ca = files(folder.kcert, folder.own, "admin" if not folder.is_kubeadm else "apiserver").ca
    key = _key(crt.with_suffix(".key"))
    subject = {
        "kubelet-certificate-expired": {"cn": "system:node:node01", "group": "system:nodes"},
        "other-node": {"cn": "system:node:other", "group": "system:nodes"},
        "forbidden-node": {"cn": "system:node:node01"},
    }.get(cause, {"cn": "kubernetes"})
    start = NOW - 2 * YEAR if cause == "kubelet-certificate-expired" else NOW
    leaf(
        crt.parent,
        crt.stem,
        folder.signer(ca),
        usages=(CLIENT, SERVER),
        sans=("node01", *HERE),
        key=key,
        start=start,
        cn=subject["cn"],
        group=subject.get("group", ""),
    )
    if folder.is_kubeadm:
        wrong = base64.b64encode(crt.read_bytes()).decode()
        kubeconfig.write_text(re.sub(r"(client-certificate-data: )\S+", rf"\g<1>{wrong}", kubeconfig.read_text()))

    finding = folder.found(NODE_FAULTS[cause], cause)
    proof = finding["proof"].replace("/var/lib/kubelet/pki/kubelet-client-current.pem", str(crt))
    shown = bash(proof.replace("CLIENT_CERT", str(crt)), folder.pki)
    assert ("notAfter=" if cause == "kubelet-certificate-expired" else str(subject["cn"])) in shown
    if cause == "anonymous":  # no certificate at all
        kubeconfig.unlink(missing_ok=True)
        for file in () if folder.is_kubeadm else crt.parent.glob(f"{crt.stem}.*"):
            file.unlink()

    folder.run(finding["repair"], {"NODE": "node01"})
    crt, kubeconfig = _node(folder)
    client = x509.load_pem_x509_certificate(crt.read_bytes())
    assert "CN=system:node:node01" in client.subject.rfc4514_string()
    assert "O=system:nodes" in client.subject.rfc4514_string()
    assert client.not_valid_after_utc > NOW
    assert base64.b64encode(crt.read_bytes()).decode() in kubeconfig.read_text()


# --- kubeconfigs


def _in_quotes(kubeconfig: Path) -> None:
    kubeconfig.write_text(re.sub(r"(certificate-authority-data: )(\S+)", r'\1"<\2>"', kubeconfig.read_text()))


def _no_pem(kubeconfig: Path) -> None:
    kubeconfig.write_text(re.sub(r"(client-certificate-data: )(\S+)", r"\1aGVsbG8K", kubeconfig.read_text()))


def _open(kubeconfig: Path) -> None:
    kubeconfig.chmod(0o644)


def _a_folder(kubeconfig: Path) -> None:
    kubeconfig.rename(f"{kubeconfig}.kept")
    kubeconfig.mkdir()


def _insecure(kubeconfig: Path) -> None:
    program("kubectl")
    [name] = re.findall(r"cluster: (\S+)", kubeconfig.read_text())[:1]
    bash(
        f"kubectl config set clusters.{name}.insecure-skip-tls-verify true --kubeconfig {kubeconfig}", kubeconfig.parent
    )


def _without_key(kubeconfig: Path) -> None:
    text = kubeconfig.read_text()
    for ending, field in (("crt", "client-certificate-data"), ("key", "client-key-data")):
        [data] = re.findall(rf"{field}: (\S+)", text)
        kubeconfig.with_name(f"of-admin.{ending}").write_bytes(base64.b64decode(data))
    kubeconfig.write_text(re.sub(r" *client-key-data: \S+\n", "", text))


def _other_context(kubeconfig: Path) -> None:
    kubeconfig.write_text(re.sub(r"(current-context: )\S+", r"\1gone", kubeconfig.read_text()))


KUBECONFIGS = {
    "kubeconfig-without-key": (
        _without_key,
        "error: client-key-data or client-key must be specified for admin to use the clientCert authentication method.",
        "client-certificate-data: ",
    ),
    "kubeconfig-context": (
        _other_context,
        "Error in configuration: context was not found for specified context: gone",
        "^CURRENT +NAME",
    ),
    "kubeconfig-base64": (
        _in_quotes,
        'error: Error loading config file "{}": illegal base64 data at input byte 0',
        '"<',
    ),
    "kubeconfig-pem": (
        _no_pem,
        "kubeconfig error:0909006C:PEM routines:get_name:no start line",
        "(?i)unable to load|could not",
    ),
    "kubeconfig-open-to-others": (
        _open,
        "WARNING: Kubernetes configuration file is group-readable. Location: {}",
        "rw-r--r--",
    ),
    "folder-in-place-of-file": (
        _a_folder,
        'invalid kubeconfig: error loading config file "{}": read {}: is a directory',
        "^d",
    ),
    "insecure-with-a-ca": (
        _insecure,
        "error: specifying a root certificates file with the insecure flag is not allowed",
        "insecure-skip-tls-verify: true",
    ),
}


@_cells([*KUBECONFIGS], lambda _: "a kubeconfig")
def test_a_kubeconfig_is_put_right(folder: Folder, cause: str) -> None:
    build, log, shows = KUBECONFIGS[cause]
    kubeconfig = folder.pki / ("admin.conf" if folder.is_kubeadm else "admin.kubeconfig")
    folder.kcert.done("kubeconfig", "admin")
    right = kubeconfig.read_text()
    build(kubeconfig)

    finding = folder.found(log.replace("{}", str(kubeconfig)), cause)
    assert re.search(shows, bash(finding["proof"].replace("KUBECONFIG", str(kubeconfig)), folder.pki), re.MULTILINE)

    [cluster] = re.findall(r"cluster: (\S+)", right)[:1]
    [context] = re.findall(r"current-context: (\S+)", right)
    own = {
        f"CLIENT_{word}": str(kubeconfig.with_name(f"of-admin.{end}"))
        for word, end in (("CERT", "crt"), ("KEY", "key"))
    }
    names = {"NAME": "admin", "KUBECONFIG": str(kubeconfig), "CLUSTER": cluster, "USER": "root", "CONTEXT": context}
    folder.run(finding["repair"], names | own)
    if cause == "folder-in-place-of-file":
        kubeconfig.with_name(f"{kubeconfig.name}.kept").rename(kubeconfig)  # "put the file there"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    shown = json.loads(bash(f"kubectl config view --raw -o json --kubeconfig {kubeconfig}", folder.pki))
    [of_cluster] = [entry["cluster"] for entry in shown["clusters"] if entry["name"] == cluster]
    assert not of_cluster.get("insecure-skip-tls-verify")
    assert base64.b64decode(of_cluster["certificate-authority-data"]).startswith(b"-----BEGIN CERTIFICATE-----")
    data = base64.b64decode(shown["users"][0]["user"]["client-certificate-data"])
    assert x509.load_pem_x509_certificate(data).not_valid_after_utc > NOW
    assert b"PRIVATE KEY" in base64.b64decode(shown["users"][0]["user"]["client-key-data"])
    assert shown["current-context"] == context


# --- keys that sign tokens

TOKENS = {
    "token-of-another-key": "invalid bearer token, go-jose/go-jose: error in cryptographic primitive",
    "service-account-key-unreadable": "error reading public key file {}: data does not contain any valid RSA or "
    "ECDSA public keys",
}


@_cells([*TOKENS])
def test_the_public_key_for_tokens_is_written_from_the_private_key(folder: Folder, cause: str) -> None:
    private = folder.pki / ("pki/sa.key" if folder.is_kubeadm else "service-account.key")
    public = private.parent / "sa.pub"
    if cause == "token-of-another-key":
        leaf(folder.elsewhere, "other", None, usages=())
        bash(f"openssl pkey -in {folder.elsewhere}/other.key -pubout -out {public}", folder.pki)
    else:
        public.write_text("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ== root@cp1\n")

    log = f'"Unable to authenticate the request" err="[{TOKENS[cause]}]"' if "of-another" in cause else TOKENS[cause]
    finding = folder.found(log.format(public), cause)
    proof = (
        finding["proof"]
        .replace("/etc/kubernetes/pki/sa.key", str(private))
        .replace("/etc/kubernetes/pki", str(public.parent))
    )
    shown = bash(proof, folder.pki)
    assert len(set(shown.splitlines())) == 2 if "of-another" in cause else "ssh-rsa" in shown

    finding["repair"] = re.sub(
        r"^kubectl delete .*\n", "", finding["repair"], flags=re.MULTILINE
    )  # the pods of a cluster
    words = {"service-account\\.key": str(private), "(?<!/)sa\\.pub": str(public)}
    folder.run(finding["repair"], words, kind="openssl")
    wanted = bash(f"openssl pkey -in {private} -pubout", folder.pki)
    assert public.read_text() == wanted


# --- CAs


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
def test_a_ca_without_ca_true_is_signed_again_with_its_key(folder: Folder) -> None:
    server = files(folder.kcert, folder.own, "apiserver" if folder.is_kubeadm else "kube-apiserver")
    verify = f"openssl verify -CAfile {server.ca} {server.crt}"
    (folder.elsewhere / "cnf").write_text("basicConstraints = critical, CA:FALSE\nsubjectKeyIdentifier = hash\n")
    ca, key = server.ca, server.ca.with_suffix(".key")
    again = f"openssl x509 -req -signkey {key} -days 99 -extfile {folder.elsewhere}/cnf -out {ca}"
    bash(f"openssl x509 -x509toreq -in {ca} -signkey {key} | {again}", folder.pki)
    assert ": OK" not in bash(verify, folder.pki)

    why = "x509: invalid signature: parent certificate cannot sign this kind of certificate"
    candidate = 'while trying to verify candidate authority certificate "x"'
    log = f'x509: certificate signed by unknown authority (possibly because of "{why}" {candidate})'
    finding = folder.found(log, "issuer-is-no-ca")
    assert "CA:TRUE" not in bash(finding["proof"].replace("CA_FILE", str(server.ca)), folder.pki)
    folder.run(finding["repair"], {"CA_FILE": str(server.ca)})
    assert ": OK" in bash(verify, folder.pki)


SIGNING = {
    "ca-key-mismatch": "CA certificate and CA private key do not match",
    "ca-private-key-unusable": "unable to load CA Private Key",
}


@pytest.mark.parametrize("profile", representatives(["hardway", "course"], lambda _: None))
@pytest.mark.parametrize("cause", SIGNING)
def test_a_certificate_is_signed_with_the_key_of_the_ca(folder: Folder, cause: str) -> None:
    """kubeadm's folder has no requests beside the certificates; its own commands sign there."""
    other = authority(folder.elsewhere, "other-ca", "Another-CA")
    key, kept = folder.pki / "ca.key", (folder.pki / "ca.key").read_bytes()
    if cause == "ca-key-mismatch":
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key.write_bytes(other.key.private_bytes(*form))
    else:
        key.unlink()
    (folder.pki / "admin.crt").unlink()

    finding = folder.found(SIGNING[cause], cause)
    words = {"CA_FILE": "ca.crt", "KEY_FILE": "ca.key", "NAME": "admin"}
    proof = finding["proof"]
    for word, value in words.items():
        proof = proof.replace(word, value)
    shown = bash(proof, folder.pki)
    assert len(set(re.findall(r"= (\w{64})", shown))) == 2 if cause == "ca-key-mismatch" else "No such file" in shown
    key.write_bytes(kept)  # the folder that has the key
    folder.run(finding["repair"], words, kind="openssl")
    assert ": OK" in bash("openssl verify -CAfile ca.crt -purpose sslclient admin.crt", folder.pki)


@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
def test_the_first_of_two_cas_is_taken_to_sign(folder: Folder) -> None:
    ca = files(folder.kcert, folder.own, "apiserver" if folder.is_kubeadm else "kube-apiserver").ca
    authority(folder.elsewhere, "old", "old-ca")
    both = folder.elsewhere / "both.crt"
    both.write_bytes(ca.read_bytes() + (folder.elsewhere / "old.crt").read_bytes())
    finding = folder.found(f'error reading CA cert file "{both}": expected 1 certificate, found 2', "two-signing-cas")
    assert bash(finding["proof"], folder.elsewhere).startswith("2\n")

    folder.run(finding["repair"], {"ca-new\\.crt": str(folder.elsewhere / "ca-new.crt")}, kind="openssl")
    taken = x509.load_pem_x509_certificates((folder.elsewhere / "ca-new.crt").read_bytes())
    assert taken == [x509.load_pem_x509_certificate(ca.read_bytes())]


@pytest.mark.thorough
def test_a_secret_of_a_ca_issuer_gets_a_ca(tmp_path: Path, kcert: Kcert) -> None:
    program("kubectl")
    [finding] = json.loads(
        kcert("diagnose", "Error getting keypair for CA issuer: certificate is not a CA", "--format", "json").stdout
    )
    (tmp_path / "CONFIG").write_text(
        "[req]\ndistinguished_name = dn\n[dn]\n[v3_ca]\nbasicConstraints = critical, CA:TRUE\n"
        "keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n"
    )
    make, write = [line for line in finding["repair"].splitlines() if not line.startswith("#")]
    bash(make, tmp_path)
    secret = bash(write.partition(" | kubectl apply")[0].replace("SECRET", "ca").replace("NAMESPACE", "x"), tmp_path)
    [data] = re.findall(r"tls\.crt: (\S+)", secret)
    made = x509.load_pem_x509_certificate(base64.b64decode(data))
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


# --- what openssl and curl read

FORMATS = {
    "no-start-line": "7:error:0906D06C:PEM routines:PEM_read_bio:no start line:pem_lib.c:703:Expecting: CERTIFICATE",
    "openssl-cannot-load": "unable to load certificate",
    "openssl-cannot-use-file": "Could not read certificate from {}",
}


@_cells([*FORMATS])
def test_a_file_in_der_is_found_and_converted(folder: Folder, cause: str) -> None:
    server = files(folder.kcert, folder.own, "apiserver" if folder.is_kubeadm else "kube-apiserver")
    right = server.crt.read_text()
    bash(f"openssl x509 -in {server.crt} -outform DER -out der && mv der {server.crt}", folder.pki)
    finding = folder.found(FORMATS[cause].format(server.crt), cause)
    bash(f"LC_ALL=C; {finding['proof'].replace('FILE', str(server.crt))}", folder.pki)

    checked = folder.kcert("check").stdout
    assert "kcert check" in finding["repair"]
    assert server.crt.name in checked
    if cause != "openssl-cannot-use-file":
        assert "one in DER is read with -inform DER" in finding["repair"]
        bash(f"openssl x509 -inform DER -in {server.crt} -out pem && mv pem {server.crt}", folder.pki)
        assert server.crt.read_text() == right


@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
@pytest.mark.parametrize(
    "cause", ["no-client-certificate", "handshake-failure", "client-key-unusable", "ca-file-of-curl"]
)
def test_curl_connects_with_the_files_that_the_fix_names(folder: Folder, cause: str) -> None:
    program("curl")
    name = "apiserver" if folder.is_kubeadm else "kube-apiserver"
    server, client = (files(folder.kcert, folder.own, role) for role in (name, "apiserver-kubelet-client"))
    key = folder.elsewhere / "client.key"
    shutil.copy(client.key, key)
    if cause == "client-key-unusable":
        bash(f"openssl pkey -in {client.key} -aes256 -passout pass:secret -out {key}", folder.pki)
    log = {
        "no-client-certificate": 'Get "https://{}/": remote error: tls: certificate required',
        "handshake-failure": "Unable to connect to the server: remote error: tls: handshake failure",
        "client-key-unusable": "curl: (58) unable to load client key: -8178 (SEC_ERROR_BAD_KEY)",
        "ca-file-of-curl": "curl: (77) error setting certificate verify locations:\n  CAfile: /no/such/ca.crt",
    }[cause]
    with api_server(server.crt.parent, server.crt.stem, mutual=True) as address:
        begun = f"curl -sS --max-time 10 https://localhost:{address.partition(':')[2]}/ "
        wrong = {"ca-file-of-curl": f"--cacert /no/such/ca.crt --cert {client.crt} --key {key}"}
        wrong["client-key-unusable"] = f"--cacert {server.ca} --cert {client.crt} --key {key} --pass wrong"
        assert "curl: (" in bash(begun + wrong.get(cause, f"--cacert {server.ca}"), folder.pki)
        lines = log.format(address)
        finding = folder.found(lines.splitlines()[0] if cause != "ca-file-of-curl" else lines, cause)
        words = {"CA_FILE": str(server.ca), "CLIENT_CERT": str(client.crt), "CLIENT_KEY": str(key), "NAME": "unlocked"}
        if cause == "client-key-unusable":
            [command] = [line for line in finding["repair"].splitlines() if line.startswith("(umask")]
            command = command.replace("CLIENT_KEY", f"{key} -passin pass:secret").replace(
                "NAME.key", str(key.with_name("unlocked.key"))
            )
            bash(command, folder.pki)
            words["CLIENT_KEY"] = str(key.with_name("unlocked.key"))
        options = re.findall(r"--(?:cacert|cert|key) [A-Z_]+", finding["repair"])
        assert options, finding["repair"]
        given = " ".join(
            [
                *options,
                *(f"--{o} {w}" for o, w in (("cacert", "CA_FILE"), ("cert", "CLIENT_CERT"), ("key", "CLIENT_KEY"))),
            ]
        )
        for word, value in words.items():
            given = re.sub(rf"\b{word}\b", value, given)
        assert bash(begun + given, folder.pki) == "{}"


@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
def test_a_key_is_given_to_the_user_of_the_program(folder: Folder) -> None:
    server = files(folder.kcert, folder.own, "etcd-server", "etcd-ca" if folder.is_kubeadm else "ca")
    server.key.chmod(0)
    finding = folder.found(f"open {server.key}: permission denied", "unreadable-file")
    assert "----------" in bash(finding["proof"], folder.pki)

    user = pwd.getpwuid(65534 if os.getuid() == 0 else os.getuid())
    folder.run(finding["repair"], {"USER": user.pw_name}, kind="openssl")
    assert (server.key.stat().st_uid, server.key.stat().st_mode & 0o777) == (user.pw_uid, 0o600)


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
def test_a_revoked_certificate_is_renewed(folder: Folder) -> None:
    name = "apiserver" if folder.is_kubeadm else "kube-apiserver"
    server = files(folder.kcert, folder.own, name)
    signer, crl = folder.signer(server.ca), folder.elsewhere / "crl.pem"
    config = f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder.elsewhere}/index\ncrlnumber = {folder.elsewhere}/number\n"
    (folder.elsewhere / "ca.cnf").write_text(config + "default_md = sha256\ndefault_crl_days = 30\n")
    (folder.elsewhere / "index").write_text("")
    (folder.elsewhere / "number").write_text("01\n")
    options = f"-config {folder.elsewhere}/ca.cnf -cert {server.ca} -keyfile {server.ca.with_suffix('.key')}"
    bash(f"openssl ca {options} -revoke {server.crt} && openssl ca {options} -gencrl -out {crl}", folder.pki)
    verify = f"openssl verify -crl_check -CAfile {server.ca} -CRLfile {crl} {server.crt}"
    assert "revoked" in bash(verify, folder.pki)
    assert signer.certificate

    log = f"error 23 at 0 depth lookup: certificate revoked\nerror {server.crt}: verification failed"
    finding = folder.found(log, "revoked")
    shown = bash(finding["proof"].replace("FILE", str(crl)), folder.pki)
    [serial] = re.findall(r"^serial=(\w+)", shown, re.MULTILINE)
    assert serial in shown.partition("Revoked Certificates")[2]
    folder.run(finding["repair"], {"NAME": name})
    assert ": OK" in bash(verify, folder.pki)


# --- etcd


@pytest.mark.thorough
@pytest.mark.parametrize("profile", representatives(PROFILES, lambda _: None))
def test_an_etcd_member_gets_its_address_again(folder: Folder) -> None:
    name = "etcd-peer" if folder.is_kubeadm else "etcd-server"
    member = files(folder.kcert, folder.own, name, "etcd-ca" if folder.is_kubeadm else "ca")
    key = _key(member.key)
    leaf(
        member.crt.parent,
        member.crt.stem,
        folder.signer(member.ca),
        sans=("localhost",),
        usages=(SERVER, CLIENT),
        key=key,
    )
    why = 'tls: \\"127.0.0.1\\" does not match any of DNSNames [\\"localhost\\"]'
    log = f'embed: rejected connection from "127.0.0.1:5" (error "{why}")'
    finding = folder.found(log, "peer-address-not-in-certificate")
    assert "127.0.0.1" not in bash(finding["proof"].replace("CERT_FILE", str(member.crt)), folder.pki)

    folder.run(finding["repair"], {})
    assert "IP Address:127.0.0.1" in bash(finding["proof"].replace("CERT_FILE", str(member.crt)), folder.pki)


@pytest.mark.thorough
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("cause", ["etcd-without-files", "files-switched"])
def test_etcd_starts_with_the_options_that_the_fix_prints(folder: Folder, cause: str) -> None:
    etcd = program("etcd")
    options = [
        word for word in folder.kcert.done("flags", "etcd").stdout.replace("\\\n", " ").split() if word.startswith("--")
    ]
    of_files = {word.partition("=")[0]: word.partition("=")[2] for word in options if "-file=" in word or "-ca" in word}
    assert {"--cert-file", "--key-file", "--peer-cert-file", "--peer-key-file"} <= of_files.keys()
    here = [
        f"{option}={next(folder.pki.rglob('/'.join(path.split('/')[-1:])))}"
        for option, path in of_files.items()
        if path.startswith("/")
    ]
    urls = ["--listen-client-urls=https://127.0.0.1:0", "--advertise-client-urls=https://127.0.0.1:0"]
    urls += ["--listen-peer-urls=http://127.0.0.1:0", f"--data-dir={folder.elsewhere}/data"]
    if cause == "etcd-without-files":
        said_by_etcd = said(etcd, *urls, cwd=folder.elsewhere)
    else:
        pair = dict(option.split("=", 1) for option in here)
        switched = [f"--cert-file={pair['--key-file']}", f"--key-file={pair['--cert-file']}"]
        said_by_etcd = said(etcd, *urls, *switched, cwd=folder.elsewhere)
    log = folder.elsewhere / "log"
    log.write_text(said_by_etcd)
    found = json.loads(folder.kcert("diagnose", str(log), "--format", "json").stdout)
    assert [
        finding.explanation.name for finding in diagnose(said_by_etcd.encode().splitlines(keepends=True)).findings
    ] == [cause]
    [repair] = [finding["repair"] for finding in found]
    assert "kcert flags" in repair
    assert "ready to serve client requests" in said(etcd, *urls, *here, cwd=folder.elsewhere)
