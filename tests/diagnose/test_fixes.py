"""For a fault in a real PKI: the proof shows it, and the fix that is printed ends it, in a folder of each profile."""

from __future__ import annotations

import subprocess
from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.diagnose import diagnose
from tests.clusters import PROFILES
from tests.recorded.pki import CLIENT, ELSEWHERE, HERE, NOW, SERVER, YEAR, Authority, authority, leaf
from tests.recorded.programs import api_server
from tests.running import in_turn, representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert


class Fault(NamedTuple):
    """What Go says of it, and what the proof has to show."""

    says: str
    shown: str


FAULTS = {
    "expired": Fault("x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is after "
                     "2025-01-01T00:00:00Z", "notAfter="),
    "wrong-name": Fault("x509: certificate is valid for 192.168.56.11, not 127.0.0.1", "IP address mismatch"),
    "common-name": Fault("x509: certificate is not valid for any names, but wanted to match localhost", "subject="),
    "another-ca": Fault("x509: certificate signed by unknown authority", "unable to get local issuer certificate"),
    "same-name": Fault('x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification '
                       'failure" while trying to verify candidate authority certificate "kubernetes")',
                       "verify error"),
    "client-only": Fault("x509: certificate specifies an incompatible key usage", "TLS Web Client Authentication"),
}  # fmt: skip


def break_server(folder: Path, stem: str, fault: str) -> None:
    """Put a certificate with the *fault* into the place of the API server's."""
    ca = folder / "ca.crt"
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    own = Authority(x509.load_pem_x509_certificate(ca.read_bytes()), key)  # type: ignore[arg-type]
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    same_name = own.certificate.subject.rfc4514_string().removeprefix("CN=")
    issuer = {
        "another-ca": lambda: authority(elsewhere, "other-ca", "Another-CA"),
        "same-name": lambda: authority(elsewhere, "other-ca", same_name),
    }.get(fault, lambda: own)()
    leaf(
        folder,
        stem,
        issuer,
        cn="kube-apiserver",
        sans={"wrong-name": ELSEWHERE, "common-name": ()}.get(fault, HERE),
        usages=(CLIENT,) if fault == "client-only" else (SERVER,),
        start=NOW - 2 * YEAR if fault == "expired" else NOW,
    )


def bash(script: str, folder: Path) -> str:
    filled_in = script.replace("CA_FILE", "ca.crt")
    ended = subprocess.run(
        ["bash", "-c", filled_in], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.stdout


def is_accepted(folder: Path, stem: str) -> bool:
    with api_server(folder, stem) as address:
        connect = f"openssl s_client -connect {address} -CAfile ca.crt -verify_return_error"
        said = bash(f"{connect} -verify_ip 127.0.0.1 -purpose sslserver </dev/null", folder)
    return "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize(
    "case",
    representatives(in_turn(product(PROFILES, FAULTS), itemgetter(1), itemgetter(0)), itemgetter(1)),
    ids="-".join,
)
def test_the_proof_shows_the_fault_and_the_fix_ends_it(
    kcert: Kcert, own_pki: Callable[[str], Pki], case: tuple[str, str]
) -> None:
    profile, fault = case
    own = own_pki(profile)
    folder, stem = (own.folder / "pki", "apiserver") if profile == "kubeadm" else (own.folder, "kube-apiserver")
    break_server(folder, stem, fault)
    assert not is_accepted(folder, stem)

    with api_server(folder, stem) as address:
        log = [f'Get "https://{address}/api/v1/nodes": {FAULTS[fault].says}'.encode()]
        [finding] = diagnose(log, "kcert").findings
        said = bash(finding.explanation.proof, folder)
    assert FAULTS[fault].shown in said

    fix = finding.explanation.repair.partition("# with openssl\n")
    for line in fix[0].splitlines():
        if line.startswith("kcert renew"):
            kcert.done(*line.partition(" #")[0].split()[1:])
    assert is_accepted(folder, stem)

    if profile != "kubeadm":  # requests and configs are beside the certificates there
        (folder.parent / "elsewhere").rename(folder.parent / "before")
        break_server(folder, stem, fault)
        bash(f"openssl req -new -key {stem}.key -subj /CN=kube-apiserver -out {stem}.csr", folder)
        assert not is_accepted(folder, stem)
        bash(fix[2], folder)
        assert is_accepted(folder, stem)
