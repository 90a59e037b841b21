"""Faults of clients, etcd, the front proxy, keys and requests: the verification shows each, the printed fix ends it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.clusters import KUBEADM_NAMES
from kcert.diagnose import Finding, diagnose
from tests.clusters import PROFILES
from tests.diagnose.repairing import Files, bash, files, filled_in
from tests.diagnose.test_posted import EACH_ANSWER, findings
from tests.recorded.pki import CLIENT, ELSEWHERE, HERE, NOW, SERVER, YEAR, Authority, authority, leaf
from tests.recorded.programs import api_server
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from tests.clusters import Pki
    from tests.running import Kcert


class Fault(NamedTuple):
    """A message, with {crt}, {key} and {address} in it, and what its verification has to show."""

    says: str
    shown: str


EXPIRED = (
    "x509: certificate has expired or is not yet valid: current time 2026-05-01T00:00:00Z is after 2026-04-01T00:00:00Z"
)
UNKNOWN = "x509: certificate signed by unknown authority"
SAME_NAME = (
    f'{UNKNOWN} (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority '
    'certificate "kubernetes-ca")'
)
USAGE = "x509: certificate specifies an incompatible key usage"
REJECTED = '"Unable to authenticate the request" err="[{}]"'
MISMATCH = 'failed to load file "{crt}" and "{key}": tls: private key does not match public key'

CLIENT_FAULTS = {
    "expired": Fault(REJECTED.format(EXPIRED), "notAfter="),
    "another-ca": Fault(REJECTED.format(UNKNOWN), "unable to get local issuer certificate"),
    "same-name": Fault(REJECTED.format(SAME_NAME), "verification failed"),
    "wrong-usage": Fault(REJECTED.format(USAGE), "TLS Web Server Authentication"),
    "wrong-key": Fault(MISMATCH, "(stdin)= "),
}
SERVER_FAULTS = {
    "expired": Fault(EXPIRED, "notAfter="),
    "another-ca": Fault(UNKNOWN, "unable to get local issuer certificate"),
    "elsewhere": Fault("x509: certificate is valid for 192.168.56.11, not 127.0.0.1", "IP address mismatch"),
    "wrong-usage": Fault(USAGE, "TLS Web Client Authentication"),
}


def break_it(files: Files, fault: str, *, server: bool, elsewhere: Path) -> None:
    """Put a certificate with the *fault* into the place of the right one, or another key beside it."""
    key = serialization.load_pem_private_key(files.ca.with_suffix(".key").read_bytes(), None)
    own = Authority(x509.load_pem_x509_certificate(files.ca.read_bytes()), key)  # type: ignore[arg-type]
    elsewhere.mkdir()
    if fault == "wrong-key":
        leaf(elsewhere, "other", own, usages=(CLIENT,))
        files.key.write_bytes((elsewhere / "other.key").read_bytes())
        return
    names = own.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    issuers = {"another-ca": "Another-CA", "same-name": str(names[0].value)}
    issuer = authority(elsewhere, "other-ca", issuers[fault]) if fault in issuers else own
    leaf(
        files.crt.parent,
        files.crt.stem,
        issuer,
        sans=ELSEWHERE if fault == "elsewhere" else HERE,
        usages=(CLIENT if server else SERVER,) if fault == "wrong-usage" else (SERVER, CLIENT),
        start=NOW - 2 * YEAR if fault == "expired" else NOW,
    )


def is_right(files: Files, purpose: str) -> bool:
    """True for a certificate that its CA signed for this purpose, and that belongs to its key."""
    verify = ["openssl", "verify", "-CAfile", str(files.ca), "-purpose", purpose, str(files.crt)]
    if purpose == "sslserver":
        verify[4:4] = ["-verify_ip", "127.0.0.1"]
    verified = subprocess.run(verify, capture_output=True, check=False).returncode == 0
    certificate = x509.load_pem_x509_certificate(files.crt.read_bytes())
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    return verified and key.public_key() == certificate.public_key()


def run_fix(kcert: Kcert, finding: Finding, files: Files, name: str) -> None:
    """Run what the fix has for kcert: the commands that renew and write kubeconfigs."""
    commands = filled_in(finding.explanation.repair.partition("# with openssl\n")[0], files, name)
    lines = [line.partition(" #")[0].split() for line in commands.splitlines() if line.startswith("kcert renew")]
    assert lines, commands
    for line in lines:
        kcert.done(*line[1:])


def _cases(faults: Iterable[str]) -> list[ParameterSet]:
    """Every fault in every profile; `make test` runs each fault in one of them, and each time in another."""
    turned = [(fault, PROFILES[(number + turn) % 3]) for number, fault in enumerate(faults) for turn in range(3)]
    return representatives(turned, lambda case: case[0])


@pytest.mark.parametrize("case", _cases(CLIENT_FAULTS), ids="-".join)
def test_a_clients_fault_is_shown_and_ended(
    kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, case: tuple[str, str]
) -> None:
    fault, profile = case
    name = "apiserver-kubelet-client"
    client = files(kcert, own_pki(profile), name)
    assert is_right(client, "sslclient")
    break_it(client, fault, server=False, elsewhere=tmp_path / "elsewhere")
    assert not is_right(client, "sslclient")

    log = CLIENT_FAULTS[fault].says.format(crt=client.crt, key=client.key)
    [finding] = diagnose([log.encode()], "kcert").findings
    said = bash(filled_in(finding.explanation.proof, client, name), client.crt.parent)
    assert CLIENT_FAULTS[fault].shown in said
    if fault == "wrong-key":
        first, second = (line for line in said.splitlines() if "(stdin)= " in line)
        assert first != second

    run_fix(kcert, finding, client, name)
    assert is_right(client, "sslclient")


@pytest.mark.parametrize("case", _cases(SERVER_FAULTS), ids="-".join)
def test_a_fault_of_etcds_certificate_is_shown_and_ended(
    kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, case: tuple[str, str]
) -> None:
    fault, profile = case
    etcd = files(kcert, own_pki(profile), "etcd-server", "etcd-ca" if profile == "kubeadm" else "ca")
    assert is_right(etcd, "sslserver")
    break_it(etcd, fault, server=True, elsewhere=tmp_path / "elsewhere")
    assert not is_right(etcd, "sslserver")

    with api_server(etcd.crt.parent, etcd.crt.stem) as address:
        log = f'etcdctl: Get "https://{address}/health": {SERVER_FAULTS[fault].says}'
        [finding] = diagnose([log.encode()], "kcert").findings
        said = bash(filled_in(finding.explanation.proof, etcd, "etcd-server"), etcd.crt.parent)
    assert SERVER_FAULTS[fault].shown in said

    run_fix(kcert, finding, etcd, "etcd-server")
    assert is_right(etcd, "sslserver")
    assert is_right(etcd, "sslclient")


PEER = f"rafthttp: health check for peer c1 could not connect: {EXPIRED}"
REFUSED = 'Get "https://10.0.0.2:2379/": remote error: tls: bad certificate'


@pytest.mark.parametrize(
    "case",
    representatives(
        [
            (("kubeadm", "etcd-peer", "etcd-ca"), PEER),
            (("hardway", "etcd-server", "ca"), PEER),
            (("kubeadm", "apiserver-etcd-client", "etcd-ca"), REFUSED),
            (("course", "apiserver-etcd-client", "ca"), REFUSED),
            (("hardway", "etcd-server", "ca"), REFUSED),
            (
                ("kubeadm", "front-proxy-client", "front-proxy-ca"),
                REJECTED.format(SAME_NAME.replace("kubernetes-ca", "front-proxy-ca")),
            ),
        ],
        lambda case: case[1],
    ),
)
def test_the_fix_names_a_certificate_that_the_folder_has(
    kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, case: tuple[tuple[str, str, str], str]
) -> None:
    (profile, name, ca), log = case
    broken = files(kcert, own_pki(profile), name, ca)
    break_it(broken, "expired", server=False, elsewhere=tmp_path / "elsewhere")
    [finding] = json.loads(kcert("diagnose", log, "--format", "json").stdout)

    proof = finding["proof"].replace("/etc/kubernetes/pki", str(broken.ca.parent))
    said = bash(filled_in(proof, broken, name), tmp_path)
    assert "notAfter=" in said or "certificate has expired" in said or "HOST" in proof
    lines = [line.partition(" #")[0].split() for line in finding["repair"].splitlines()]
    renewals = [line for line in lines if line[:2] == ["kcert", "renew"]]
    assert [line[2] for line in renewals] == [name]
    kcert.done(*renewals[0][1:])
    assert is_right(broken, "sslclient")


@pytest.mark.thorough
@pytest.mark.thorough
def test_a_request_with_the_header_of_keytool_is_shown_and_rewritten(tmp_path: Path) -> None:
    bash("openssl req -new -newkey rsa:2048 -nodes -keyout k -subj /CN=jane -out jane.csr", tmp_path)
    request = (tmp_path / "jane.csr").read_text()
    (tmp_path / "FILE").write_text(request.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"))
    log = b'The CertificateSigningRequest "jane" is invalid: spec.request: PEM block type must be CERTIFICATE REQUEST'
    [finding] = diagnose([log], "openssl").findings

    assert "BEGIN NEW CERTIFICATE REQUEST" in bash(finding.explanation.proof, tmp_path)
    bash(finding.explanation.repair.replace("NAME.csr", "new.csr"), tmp_path)
    assert (tmp_path / "new.csr").read_text() == request


@pytest.mark.thorough
def test_every_command_of_kubeadm_is_one_that_kubeadm_has() -> None:
    """kubeadm cannot run here; these are its commands and their arguments, from its own help."""
    phases = {"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd-ca", "sa"}
    phases |= {"etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "all", "--help", "NAME"}
    renewable = {*KUBEADM_NAMES.values(), "all", "NAME"}
    commands = {
        command.strip()
        for cluster in ("", "kubeadm", "minikube", "kubespray")
        for number in EACH_ANSWER
        for finding in findings(number, cluster)
        for line in finding.explanation.repair.splitlines()
        for command in line.partition(" #")[0].split("&&")
        if command.strip().startswith("kubeadm ")
    }
    exact = {
        "kubeadm certs check-expiration",
        "kubeadm token create --print-join-command",
        "kubeadm init phase upload-certs --upload-certs",
        "kubeadm init phase kubeconfig all",
        "kubeadm reset",
        "kubeadm init phase bootstrap-token",
        "kubeadm certs generate-csr --kubeconfig-dir /root/csr --cert-dir /root/csr",
    }
    for command in commands - exact:
        if match := re.fullmatch(r"kubeadm certs renew (\S+)", command):
            assert match[1] in renewable, command
        elif match := re.fullmatch(r"kubeadm init phase certs (\S+)( --config kubeadm\.yaml)?", command):
            assert match[1] in phases, command
        else:
            assert re.fullmatch(
                r"kubeadm kubeconfig user --org system:nodes --client-name system:node:\S+ > kubelet\.conf", command
            ), command
    assert len(commands) > 20
