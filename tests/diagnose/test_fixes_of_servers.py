"""Faults of webhooks, kubelets' servers and the front proxy: the verification shows each, the printed fix ends it."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509

from kcert.diagnose import diagnose
from tests.diagnose.repairing import bash, files, filled_in, is_accepted
from tests.diagnose.test_fixes_of_clients import SERVER_FAULTS, break_it
from tests.recorded.pki import HERE, SERVER, authority, leaf
from tests.recorded.programs import api_server
from tests.running import representatives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.diagnose import Finding
    from tests.clusters import Pki
    from tests.running import Kcert

WEBHOOK = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: check}}
webhooks:
- name: check.example.com
  clientConfig: {{url: "https://{address}/check", caBundle: {bundle}}}
"""
NOT_VERIFIED = (
    'failed calling webhook "check.example.com": Post "https://{}/check": x509: certificate signed by unknown authority'
)


def only(log: str) -> Finding:
    [finding] = diagnose([log.encode()], "kcert").findings
    return finding


def with_kubectl(script: str, folder: Path, answers: str) -> str:
    """Return what the script prints where kubectl prints the file *answers*."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "kubectl").write_text(f"#!/bin/sh\ncat '{folder / answers}'\n")
    (programs / "kubectl").chmod(0o755)
    return bash(f"PATH='{programs}':{os.environ['PATH']}\n{script}", folder)


# --- webhooks


@pytest.fixture
def webhook(tmp_path: Path) -> Path:
    """A folder with a webhook's certificate, the CA that signed it and another CA."""
    leaf(tmp_path, "webhook", authority(tmp_path, "webhook-ca", "webhook-ca"), sans=HERE, usages=(SERVER,))
    authority(tmp_path, "other-ca", "other-ca")
    return tmp_path


def decoded(folder: Path) -> bytes:
    """The caBundle of the configuration as the API server reads it."""
    [hook] = yaml.safe_load((folder / "check.yaml").read_text())["webhooks"]
    bundle = base64.b64decode(hook["clientConfig"]["caBundle"], validate=True)
    (folder / "CA_BUNDLE").write_bytes(bundle)
    return bundle


def put_right(folder: Path, finding: Finding) -> None:
    """Write into caBundle what the printed command prints."""
    printed = f"{finding.explanation.proof}\n{finding.explanation.repair}"
    [command] = [line for line in printed.splitlines() if line.startswith("base64 ")]
    value = bash(command.replace("WEBHOOK_CA", "webhook-ca.crt"), folder)
    text = (folder / "check.yaml").read_text()
    (folder / "check.yaml").write_text(re.sub(r"caBundle: [^}]*", f"caBundle: {value}", text))


def test_a_cabundle_of_another_ca_is_shown_and_put_right(webhook: Path) -> None:
    other = base64.b64encode((webhook / "other-ca.crt").read_bytes()).decode()
    with api_server(webhook, "webhook") as address:
        (webhook / "check.yaml").write_text(WEBHOOK.format(address=address, bundle=other))
        decoded(webhook)
        finding = only(NOT_VERIFIED.format(address))
        said = with_kubectl(finding.explanation.proof, webhook, "check.yaml")
        assert f"caBundle: {other}" in said
        assert "Verify return code: 21" in said or "unable to get local issuer certificate" in said
        assert re.search("^subject=CN ?= ?other-ca", said, re.MULTILINE)

        put_right(webhook, finding)
        decoded(webhook)
        said = with_kubectl(finding.explanation.proof, webhook, "check.yaml")
    assert "Verify return code: 0 (ok)" in said
    assert re.search("^subject=CN ?= ?webhook-ca", said, re.MULTILINE)


def test_an_empty_cabundle_is_shown_and_filled(webhook: Path) -> None:
    with api_server(webhook, "webhook") as address:
        (webhook / "check.yaml").write_text(WEBHOOK.format(address=address, bundle='""'))
        assert not decoded(webhook)
        log = NOT_VERIFIED.format(address).replace(
            "certificate signed by unknown authority", "failed to load system roots and no roots provided"
        )
        finding = only(log)
        said = with_kubectl(finding.explanation.proof, webhook, "check.yaml")
        assert 'caBundle: ""' in said
        assert "issuer=CN = webhook-ca" in said or "issuer=CN=webhook-ca" in said or "i:CN" in said

        put_right(webhook, finding)
    assert decoded(webhook) == (webhook / "webhook-ca.crt").read_bytes()


def test_a_cabundle_that_was_encoded_twice_is_put_right(webhook: Path) -> None:
    twice = base64.b64encode(base64.b64encode((webhook / "webhook-ca.crt").read_bytes())).decode()
    (webhook / "check.yaml").write_text(WEBHOOK.format(address="127.0.0.1:9443", bundle=twice))
    with pytest.raises(ValueError, match="PEM"):
        x509.load_pem_x509_certificate(decoded(webhook))
    finding = only(
        "webhooks[0].clientConfig.caBundle: Invalid value: []byte{0x4c, 0x53}: unable to load root certificates: "
        "unable to parse bytes as PEM block"
    )
    put_right(webhook, finding)
    x509.load_pem_x509_certificate(decoded(webhook))


# --- kubelets


@pytest.mark.parametrize("profile", representatives(["course", "hardway"]))
@pytest.mark.parametrize("fault", representatives(SERVER_FAULTS))
def test_a_fault_of_a_kubelets_server_is_shown_and_ended(
    kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, profile: str, fault: str
) -> None:
    own = own_pki(profile)
    own.config.write_text(f"{own.config.read_text()}nodes: [{{name: node01, ip: 127.0.0.1}}]\n")
    kcert.done("renew", "node01", "--stale")
    kubelet = files(kcert, own, "node01")
    (folder, stem) = kubelet.crt.parent, kubelet.crt.stem
    assert is_accepted(folder, stem)
    break_it(kubelet, fault, server=True, elsewhere=tmp_path / "elsewhere")
    assert not is_accepted(folder, stem)

    with api_server(folder, stem) as address:
        finding = only(f'Get "https://{address}/containerLogs/default/web/web": {SERVER_FAULTS[fault].says}')
        said = bash(filled_in(finding.explanation.proof, kubelet, "node01"), folder)
    assert "the kubelet" in finding.explanation.cause
    assert ("Another-CA" if fault == "another-ca" else SERVER_FAULTS[fault].shown) in said

    commands = [line.partition(" #")[0] for line in finding.explanation.repair.splitlines()]
    [command] = [line for line in commands if line.startswith("kcert renew")]
    kcert.done(*re.sub(r"\bN(?:ODE|AME)\b", "node01", command).split()[1:])
    assert is_accepted(folder, stem)


# --- the front proxy


@pytest.mark.parametrize("allowed", ["aggregator", "aggregator,metrics"])
def test_a_front_proxy_whose_cn_is_not_allowed_is_shown_and_put_right(
    kcert: Kcert, own_pki: Callable[[str], Pki], allowed: str
) -> None:
    folder = own_pki("kubeadm").folder / "pki"
    option = "--requestheader-allowed-names"
    manifest = folder / "kube-apiserver.yaml"
    right = kcert.done("flags", "kube-apiserver", "--format", "manifest").stdout
    manifest.write_text(right.replace(f"{option}=front-proxy-client", f"{option}={allowed}"))
    assert manifest.read_text() != right

    def shown() -> tuple[str, str]:
        proof = finding.explanation.proof.replace("/etc/kubernetes/pki", str(folder))
        said = with_kubectl(
            proof.replace("/etc/kubernetes/manifests/kube-apiserver.yaml", str(manifest)), folder, "names"
        )
        [names] = re.findall(rf"{option}=(\S+)", said)
        [cn] = re.findall(r"subject=CN ?= ?(\S+)", said)
        return names, cn

    (folder / "names").write_text(f'["{allowed}"]')
    finding = only('"Unable to authenticate the request" err="x509: subject with cn=front-proxy-client is not allowed"')
    names, cn = shown()
    assert cn not in names.split(",")

    [command] = [line for line in finding.explanation.repair.splitlines() if line.startswith("kcert ")]
    manifest.write_text(kcert.done(*command.split()[1:], "--format", "manifest").stdout)
    names, cn = shown()
    assert cn in names.split(",")
