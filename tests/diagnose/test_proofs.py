"""The proofs that are printed prove it: run in bash, against the faults themselves."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from kcert.diagnose import Finding, diagnose
from tests.recorded.pki import make_pki
from tests.recorded.programs import api_server
from tests.running import program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_pki(folder)
    return folder


def bash(script: str, folder: Path) -> str:
    """Run a verification with the CA file that the log does not name filled in."""
    script = script.replace("CA_FILE", "ca.crt").replace("CLIENT_CA", "ca.crt")
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.stdout


def finding(*lines: str) -> Finding:
    [one] = diagnose(f"{line}\n".encode() for line in lines).findings
    return one


def test_key_mismatch_shows_two_different_keys(pki: Path) -> None:
    one = finding(
        f"embed: ClientTLS: cert = {pki}/etcd-server.crt, key = {pki}/admin.key, trusted-ca = {pki}/ca.crt, "
        "client-cert-auth = true",
        "etcdmain: tls: private key does not match public key",
    )
    certificate, key = bash(one.explanation.proof, pki).splitlines()
    assert certificate != key


def test_keys_that_belong_together_would_show_it(pki: Path) -> None:
    one = finding(
        f"embed: ClientTLS: cert = {pki}/admin.crt, key = {pki}/admin.key, trusted-ca = {pki}/ca.crt, "
        "client-cert-auth = true",
        "etcdmain: tls: private key does not match public key",
    )
    certificate, key = bash(one.explanation.proof, pki).splitlines()
    assert certificate == key


def test_a_server_of_an_unknown_authority_is_refused(pki: Path) -> None:
    with api_server(pki, "stranger") as address:
        one = finding(f'Get "https://{address}/api": x509: certificate signed by unknown authority')
        said = bash(one.explanation.proof, pki)
    assert "unable to get local issuer certificate" in said
    assert "issuer=CN = Another-CA" in said.replace("issuer=CN=", "issuer=CN = ")


def test_a_server_with_a_wrong_name_is_refused(pki: Path) -> None:
    with api_server(pki, "elsewhere") as address:
        one = finding(f'Get "https://{address}/api": x509: certificate is valid for 192.168.56.11, not 127.0.0.1')
        said = bash(one.explanation.proof, pki)
    assert "IP address mismatch" in said
    assert "192.168.56.11" in said


def test_a_server_that_has_expired_shows_its_dates(pki: Path) -> None:
    with api_server(pki, "expired-server") as address:
        one = finding(f'Get "https://{address}/api": x509: certificate has expired or is not yet valid')
        said = bash(one.explanation.proof, pki)
    assert "notAfter=" in said


def test_a_client_without_client_auth_is_refused_by_openssl_too(pki: Path) -> None:
    one = finding(
        f"embed: ClientTLS: cert = {pki}/server-only.crt, key = {pki}/server-only.key, trusted-ca = "
        f"{pki}/ca.crt, client-cert-auth = true",
        'embed: rejected connection from "127.0.0.1:39530" (error "x509: certificate specifies '
        'an incompatible key usage", ServerName "")',
    )
    said = bash(one.explanation.proof, pki)
    assert "TLS Web Server Authentication" in said
    assert "certificate purpose" in said


def test_a_certificate_that_verify_refuses_names_its_issuer(pki: Path) -> None:
    one = finding(
        "error 20 at 0 depth lookup: unable to get local issuer certificate",
        f"error {pki}/stranger.crt: verification failed",
    )
    assert "Another-CA" in bash(one.explanation.proof, pki)


def test_a_missing_file_is_missing(pki: Path) -> None:
    one = finding(f"open {pki}/no such.crt: no such file or directory")
    assert "No such file or directory" in bash(one.explanation.proof, pki)


def test_a_plain_server_is_told_from_one_with_tls(pki: Path) -> None:
    program("curl")
    with api_server(pki, tls="") as address:
        one = finding(f'Get "https://{address}/": http: server gave HTTP response to HTTPS client')
        said = bash(one.explanation.proof, pki)
    assert "wrong version number" in said
    assert "HTTP/1.0 200" in said or "HTTP/1.1 200" in said
