"""What real programs printed (``tests/recorded``), each with its one cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcert.diagnose import Finding, causes, diagnose
from tests.diagnose.test_silence import SILENT
from tests.recorded import record

RECORDED = Path(record.__file__).parent

ONE_FAULT = {
    "etcd-key-mismatch": "key-mismatch",
    "etcd-key-mismatch-zap": "key-mismatch",
    "etcd-missing-certificate": "missing-file",
    "etcd-missing-ca": "missing-file",
    "etcd-empty-certificate": "no-pem",
    "etcd-empty-key": "no-pem",
    "etcd-swapped": "files-switched",
    "etcd-unreadable-key": "unreadable-file",
    "etcd-client-of-another-ca": "unknown-authority",
    "etcd-client-of-another-ca-zap": "unknown-authority",
    "etcd-client-of-yesterdays-ca": "ca-of-the-same-name",
    "etcd-client-without-certificate": "no-client-certificate",
    "etcd-client-server-auth-only": "no-client-auth",
    "etcd-client-expired": "expired",
    "etcd-client-not-yet-valid": "not-yet-valid",
    "etcd-client-distrusts": "refused-by-the-other-side",
    "etcd-own-certificate-without-client-auth": "no-client-auth",
    "etcd-plain-http-client": "server-without-tls",
    "etcd-peer-without-client-auth": "no-client-auth",
    "etcd-peer-wrong-address": "refused-by-the-other-side",
    "etcd-peer-of-another-ca": "unknown-authority",
    "etcdctl-unknown-authority": "unknown-authority",
    "etcdctl-wrong-name": "name-not-in-certificate",
    "etcdctl-no-ip-sans": "no-address-in-certificate",
    "etcdctl-common-name-only": "common-name-only",
    "etcdctl-expired-server": "expired",
    "etcdctl-client-auth-only-server": "no-server-auth",
    "etcdctl-key-mismatch": "key-mismatch",
    "etcdctl-missing-file": "missing-file",
    "kubectl-unknown-authority": "unknown-authority",
    "kubectl-yesterdays-ca": "ca-of-the-same-name",
    "kubectl-expired": "expired",
    "kubectl-not-yet-valid": "not-yet-valid",
    "kubectl-wrong-name": "name-not-in-certificate",
    "kubectl-no-ip-sans": "no-address-in-certificate",
    "kubectl-common-name-only": "common-name-only",
    "kubectl-client-auth-only-server": "no-server-auth",
    "kubectl-issuer-not-a-ca": "issuer-is-no-ca",
    "kubectl-sha1": "weak-signature",
    "kubectl-plain-http-server": "server-without-tls",
    "kubectl-certificate-required": "no-client-certificate",
    "kubectl-certificate-required-12": "handshake-failure",
    "kubectl-stranger": "refused-by-the-other-side",
    "kubectl-key-mismatch": "key-mismatch",
    "kubectl-empty-certificate": "no-pem",
    "kubectl-rubbish-ca": "kubeconfig-pem",
    "kubectl-unauthorized": "unknown-caller",
    "kubectl-anonymous": "anonymous",
    "kubectl-forbidden": "forbidden",
}

SEVERAL_FAULTS = {
    "kubectl-missing-files": ["missing-file"] * 3,
    "docker-tls": ["unknown-authority", "name-not-in-certificate"],
    "python-faults": [
        *("unknown-authority", "unknown-root", "expired", "name-not-in-certificate", "name-not-in-certificate"),
        *("no-server-auth", "no-client-certificate", "refused-by-the-other-side", "key-mismatch", "no-pem"),
        "server-without-tls",
    ],
    "python-server-faults": ["refused-by-the-other-side", "no-client-certificate", "unknown-authority"],
    "openssl-s-server": [
        *("refused-by-the-other-side", "no-client-certificate", "unknown-authority", "http-to-tls"),
        *("nothing-in-common", "key-mismatch"),
    ],
    "openssl-s-client": [
        *("unknown-authority", "unknown-root", "self-signed", "expired", "not-yet-valid", "name-not-in-certificate"),
        *("no-server-auth", "issuer-is-no-ca", "weak-key", "weak-signature", "handshake-failure"),
        *(
            "refused-by-the-other-side",
            "expired",
            "usage-refused",
            "server-without-tls",
            "nothing-in-common",
            "key-mismatch",
        ),
        "missing-file-openssl",
    ],
    "openssl-verify": [
        *("unknown-authority", "signature-of-another-ca", "self-signed", "unknown-root", "expired", "not-yet-valid"),
        *("no-client-auth", "name-not-in-certificate", "issuer-of-the-ca-missing", "missing-file-openssl"),
        "openssl-cannot-use-file",
    ],
    "openssl-files": [
        *("bad-ip-address", "bad-ip-address", "variable-without-value", "bad-subject", "ca-key-mismatch"),
        *("section-missing", "missing-file-openssl", "openssl-cannot-use-file", "missing-file-openssl"),
        *("openssl-cannot-use-file", "openssl-cannot-use-file", "openssl-cannot-use-file", "no-start-line"),
        *("locked-key", "openssl-cannot-use-file", "locked-key"),
    ],
}


def findings(name: str) -> tuple[Finding, ...]:
    return diagnose((RECORDED / f"{name}.log").read_bytes().splitlines(keepends=True)).findings


@pytest.mark.parametrize("name", ONE_FAULT)
def test_a_log_with_one_fault_has_one_finding(name: str) -> None:
    assert [one.explanation.name for one in findings(name)] == [ONE_FAULT[name]]


@pytest.mark.parametrize("name", SEVERAL_FAULTS)
def test_several_faults_are_told_apart(name: str) -> None:
    assert [one.explanation.name for one in findings(name)] == SEVERAL_FAULTS[name]


def test_curl_is_understood() -> None:
    causes = {one.explanation.name for one in findings("curl-faults")}
    assert causes >= {
        *("unknown-authority", "expired", "name-not-in-certificate", "refused-by-the-other-side"),
        *("server-without-tls", "key-mismatch", "missing-file-openssl"),
    }


def test_every_scenario_that_is_recorded_is_looked_at() -> None:
    named = {*ONE_FAULT, *SEVERAL_FAULTS, *SILENT, "curl-faults"}
    assert {path.stem for path in RECORDED.glob("*.log")} == named
    assert set(record.SCENARIOS) == named


def test_repeats_are_counted_and_not_repeated() -> None:
    [finding] = findings("kubectl-unknown-authority")
    assert finding.count == 6
    assert [line.number for line in finding.lines] == [1, 2, 3]


# --- what the log said before is used in the verification


@pytest.mark.parametrize("name", ["etcd-key-mismatch", "etcd-key-mismatch-zap"])
def test_the_files_that_etcd_named_at_its_start_are_in_the_proof(name: str) -> None:
    [finding] = findings(name)
    assert "-in /srv/pki/etcd-server.crt" in finding.explanation.proof
    assert "-in /srv/pki/admin.key" in finding.explanation.proof


def test_the_address_that_was_dialled_is_in_the_proof() -> None:
    [finding] = findings("etcdctl-wrong-name")
    assert "-connect 127.0.0.1:" in finding.explanation.proof
    assert "-verify_ip 127.0.0.1" in finding.explanation.proof


def test_the_path_that_is_missing_is_in_cause_and_proof() -> None:
    [finding] = findings("etcd-missing-certificate")
    assert finding.explanation.cause.startswith("/srv/pki/etcd-servr.crt does not exist")
    assert "openssl x509 -in /srv/pki/etcd-servr.crt" in finding.explanation.proof


def test_the_file_that_openssl_names_a_line_later_is_in_the_proof() -> None:
    first = findings("openssl-verify")[0]
    assert "-in /srv/pki/stranger.crt" in first.explanation.proof


def test_a_client_that_etcd_refused_is_told_from_a_server_that_etcdctl_refused() -> None:
    [by_server], [by_client] = findings("etcd-client-of-another-ca"), findings("etcdctl-unknown-authority")
    assert by_server.explanation.cause.startswith("A client at 127.0.0.1")
    assert "/srv/pki/ca.crt" in by_server.explanation.cause
    assert by_client.explanation.cause.startswith(
        "The client does not trust the certificate of the server at 127.0.0.1:"
    )


def test_every_cause_says_all_that_is_asked_of_it() -> None:
    for name in (*ONE_FAULT, *SEVERAL_FAULTS):
        for one in findings(name):
            explanation = one.explanation
            assert explanation.cause.endswith(".")
            assert explanation.cause.count("\n") == 0
            assert explanation.proof, explanation.name
            assert explanation.repair, explanation.name
            assert explanation.lesson == causes()[explanation.name].lesson
