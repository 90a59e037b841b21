"""Messages of components that cannot run here (``messages.txt``), and lines in every wrapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert.diagnose import diagnose, explain
from kcert.diagnose.context import strip_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.diagnose.engine import Explanation


def _messages() -> Iterator[tuple[str, str, str]]:
    """Each line of messages.txt, with its cause and words of what it means."""
    text = (Path(__file__).parent / "messages.txt").read_text()
    for block in text.split("\n\n")[1:]:
        head, line = block.strip("\n").split("\n    ")
        cause, says = head.split(" | ")[:2]
        yield line, cause, says


MESSAGES = tuple(_messages())

WRAPPINGS = {
    "nothing": "{}",
    "journald": "Nov 24 04:19:45 node01 kube-apiserver[812]: {}",
    "journald with ISO time": "2026-11-24T04:19:45+0000 node01 kube-apiserver[812]: {}",
    "CRI": "2026-11-24T04:19:45.123456789Z stderr F {}",
    "kubectl --timestamps": "2026-11-24T04:19:45.123456789Z {}",
    "kubectl --prefix": "[pod/etcd-controlplane01/etcd] {}",
    "docker's json-file": "docker",
    "journald's JSON": "journald-json",
}


def told(line: str) -> tuple[str, Explanation]:
    explanation = explain(line.encode())
    assert explanation is not None, line
    return explanation.name, explanation


def wrap(text: str, wrapping: str) -> str:
    if wrapping == "docker":
        return json.dumps({"log": text + "\n", "stream": "stderr", "time": "2026-11-24T04:19:45.1Z"})
    if wrapping == "journald-json":
        return json.dumps({"MESSAGE": text, "_SYSTEMD_UNIT": "etcd.service", "PRIORITY": "6"})
    return wrapping.format(text)


@pytest.mark.parametrize(
    ("line", "cause", "says"), MESSAGES, ids=[f"{cause}-{n}" for n, (_, cause, _) in enumerate(MESSAGES)]
)
def test_a_message_is_understood(line: str, cause: str, says: str) -> None:
    name, explanation = told(line)
    assert name == cause
    assert says in explanation.cause
    assert "go.dev" not in explanation.cause  # where Go's message says to read on is no address of a server
    assert explanation.proof
    assert explanation.repair


@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
def test_it_means_the_same_however_it_is_wrapped(wrapping: str) -> None:
    for line, cause, _ in MESSAGES:
        assert told(wrap(line, wrapping))[0] == cause


def test_klog_in_json_is_unwrapped() -> None:
    line = (
        '{"ts":1763958585123.4,"caller":"app/server.go:1","msg":"Unable to authenticate the request","v":0,'
        '"err":"[x509: certificate signed by unknown authority]"}'
    )
    assert (
        strip_prefix(line.encode()).text
        == "Unable to authenticate the request err=[x509: certificate signed by unknown authority]"
    )
    assert told(line)[0] == "unknown-authority"


@pytest.mark.parametrize(
    "line", ["{", "{}", "[1]", "null", '{"log": 3}', '{"msg": null}', "{" * 5000 + "}" * 5000, "\x00\xff"]
)
def test_a_line_that_only_looks_like_json_stays_as_it_is(line: str) -> None:
    assert strip_prefix(line.encode("latin-1")).text


def test_a_repair_never_opens_a_kubeconfig_to_others_nor_makes_a_ca_anew() -> None:
    _, closed = told("open /etc/kubernetes/admin.conf: permission denied")
    _, authority = told("open /etc/kubernetes/pki/ca.crt: no such file or directory")

    assert "644" not in closed.repair
    assert "-m 600" in closed.repair
    assert "kcert all" not in authority.repair
    assert "openssl x509 -req" not in authority.repair


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://login.example.com/x", ""),
        ("https://[fd00::2]/api/v1", "kube-apiserver"),
        ("https://k8s.example.com/apis/apps", "kube-apiserver"),
        ("https://api.example.com:6443/api", "kube-apiserver"),
    ],
)
def test_a_name_at_port_443_is_not_taken_for_the_api_server(address: str, name: str) -> None:
    _, explanation = told(f'Get "{address}": x509: certificate signed by unknown authority')

    assert ("kcert renew kube-apiserver" in explanation.repair) == bool(name)


def test_a_peer_of_etcd_is_not_taken_for_the_api_server() -> None:
    _, explanation = told(
        '{"level":"warn","caller":"rafthttp/probing_status.go:68","msg":"prober detected unhealthy status",'
        '"remote-peer-id":"f70a5f7cb9fb4a0","rtt":"0s","error":"x509: certificate is valid for 10.0.0.1, not 10.0.0.3"}'
    )

    assert "10.0.0.3:2380" in explanation.proof
    assert "kcert renew etcd-peer --stale" in explanation.repair
    assert "kubeadm init phase certs etcd-peer" in explanation.repair


# --- repeats


def test_times_and_ports_do_not_make_two_findings_of_one() -> None:
    lines = [
        f"E1124 04:19:{second:02}.123456 1 x.go:1] http: TLS handshake error from 10.0.0.7:{40000 + second}: "
        "remote error: tls: bad certificate\n"
        for second in range(60)
    ]
    [finding] = diagnose(line.encode() for line in lines).findings
    assert finding.count == 60
    assert [line.number for line in finding.lines] == [1, 2, 3]


def test_expiry_is_one_finding_whatever_the_clock_said() -> None:
    message = (
        "x509: certificate has expired or is not yet valid: current time 2026-11-24T04:{:02}:00Z is after "
        "2026-01-01T00:00:00Z\n"
    )
    [finding] = diagnose(message.format(minute).encode() for minute in range(10)).findings
    assert finding.count == 10


def test_two_clients_are_two_findings() -> None:
    message = "http: TLS handshake error from 10.0.0.{}:40000: remote error: tls: bad certificate\n"
    assert len(diagnose(message.format(host).encode() for host in (7, 8)).findings) == 2


def test_kubectls_last_line_belongs_to_the_server_of_the_lines_before_it() -> None:
    log = (
        b'E1 x.go:265] err="Get \\"https://192.168.56.30:6443/api\\": x509: certificate signed by unknown authority"\n',
        b"Unable to connect to the server: x509: certificate signed by unknown authority\n",
    )
    [finding] = diagnose(log).findings
    assert finding.count == 2


def test_the_options_that_a_component_printed_are_in_the_proof() -> None:
    log = (
        b'I1124 04:19:45.1 1 flags.go:64] FLAG: --client-ca-file="/etc/kubernetes/pki/my ca.crt"\n',
        b"rejected connection from 10.0.0.7:4: tls: x509: certificate signed by unknown authority\n",
    )
    [finding] = diagnose(log).findings
    assert "-CAfile '/etc/kubernetes/pki/my ca.crt'" in finding.explanation.proof
