"""Messages of components that cannot run here (``messages.txt``), and lines in every wrapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kcert.diagnose import diagnose, judge
from kcert.diagnose.unwrapping import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.diagnose.cause import Meaning


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


def told(line: str) -> tuple[str, Meaning]:
    judged = judge(line.encode())
    assert judged is not None, line
    return judged[0].name, judged[1]


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
    name, meaning = told(line)
    assert name == cause
    assert says in meaning.cause
    assert "openssl" in meaning.proof
    assert "# with kcert\n" in meaning.repair
    assert "# with openssl\n" in meaning.repair


@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
def test_it_means_the_same_however_it_is_wrapped(wrapping: str) -> None:
    for line, cause, _ in MESSAGES:
        name, meaning = told(wrap(line, wrapping))
        assert (name, meaning) == (cause, told(line)[1])


def test_klog_in_json_is_unwrapped() -> None:
    line = (
        '{"ts":1763958585123.4,"caller":"app/server.go:1","msg":"Unable to authenticate the request","v":0,'
        '"err":"[x509: certificate signed by unknown authority]"}'
    )
    assert (
        unwrap(line.encode())
        == "Unable to authenticate the request err=[x509: certificate signed by unknown authority]"
    )
    assert told(line)[0] == "unknown-authority"


@pytest.mark.parametrize(
    "line", ["{", "{}", "[1]", "null", '{"log": 3}', '{"msg": null}', "{" * 5000 + "}" * 5000, "\x00\xff"]
)
def test_a_line_that_only_looks_like_json_stays_as_it_is(line: str) -> None:
    assert unwrap(line.encode("latin-1"))


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
        ("https://login.example.com/x", "NAME"),
        ("https://10.96.0.1/api", "kube-apiserver"),
        ("https://[fd00::1]/api", "kube-apiserver"),
        ("https://kubernetes.default.svc/api", "kube-apiserver"),
        ("https://api.example.com:6443/api", "kube-apiserver"),
    ],
)
def test_a_name_at_port_443_is_not_taken_for_the_api_server(address: str, name: str) -> None:
    _, meaning = told(f'Get "{address}": x509: certificate signed by unknown authority')

    assert f"kcert renew {name}\n" in meaning.repair


def test_a_peer_of_etcd_is_not_taken_for_the_api_server() -> None:
    _, meaning = told(
        '{"level":"warn","caller":"rafthttp/probing_status.go:68","msg":"prober detected unhealthy status",'
        '"remote-peer-id":"f70a5f7cb9fb4a0","rtt":"0s","error":"x509: certificate is valid for 10.0.0.1, not 10.0.0.3"}'
    )

    assert "10.0.0.3:2380" in meaning.proof
    assert "kcert renew etcd-server --stale" in meaning.repair


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
    assert "-CAfile '/etc/kubernetes/pki/my ca.crt'" in finding.meaning.proof
