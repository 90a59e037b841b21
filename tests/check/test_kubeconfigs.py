"""The fix of a field that kubectl cannot read writes it again, with the certificates that are in it."""

from __future__ import annotations

import base64
import textwrap
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from kcert.openssl.pem import pem_blocks
from tests.check.conftest import judged, mend
from tests.check.sick import PKI
from tests.zoo import kinds, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIELD = "certificate-authority-data"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def folded(text: str) -> str:
    return ">-\n" + textwrap.indent("\n".join(textwrap.wrap(text, 64)), "      ")


VALUES: dict[str, Callable[[bytes], str]] = {
    "DER": lambda pem: encoded(pem_blocks(pem)[0].der),
    "twice": lambda pem: encoded(encoded(pem).encode()),
    "BOM": lambda pem: encoded(b"\xef\xbb\xbf" + pem),
    "PEM": lambda pem: "|\n" + textwrap.indent(pem.decode(), "      ").rstrip(),
    "folded": lambda pem: folded(encoded(pem)),
}


@pytest.mark.parametrize("form", VALUES)
@pytest.mark.parametrize("field", [FIELD, "client-certificate-data"])
def test_the_fix_writes_the_certificates_of_a_field_again(form: str, field: str, tmp_path: Path) -> None:
    workshop = Workshop({"ca": Recipe("CN=k", None, ca=True), "u": Recipe("CN=jane", usages=("clientAuth",))})
    text = kubeconfig(server=kubeadm.SERVER, authority=workshop["ca"].crt, user=workshop["u"])
    pem = workshop["ca" if field == FIELD else "u"].crt
    comment = "# YAML ends a line here\u2028# and here\x85# and patch does not\n"
    config = put(tmp_path / "config", comment + text.replace(encoded(pem), VALUES[form](pem)), 0o600)
    findings = judged(config)
    assert {finding.rule for finding in findings} == {"unreadable"}
    mend(findings)
    assert judged(config) == ()
    assert kubeadm.embedded(config, field).replace(b"\r", b"") == pem
    assert config.stat().st_mode & 0o777 == 0o600


def test_two_cas_of_one_name_are_told_apart_by_their_hashes(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    other = Workshop({"ca": kubeadm.RECIPES["ca"]})["ca"]
    admin = tmp_path / "etc/kubernetes/admin.conf"
    admin.write_text(admin.read_text().replace(encoded(workshop["ca"].crt), encoded(other.crt)))

    (finding,) = judged(root=tmp_path)

    hashes = [pair.certificate.fingerprint(SHA256()).hex()[:16] for pair in (other, workshop["ca"])]
    assert finding.rule == "kubeconfig-wrong-ca"
    assert f"trusts another CA with the same name (CN=kubernetes, SHA-256 {hashes[0]}…)" in finding.message
    assert f"was signed by the CA with SHA-256 {hashes[1]}…" in finding.message


ADDED = "203.0.113.9"


@pytest.mark.parametrize("kubeconfigs", ["of the machine", "of a load balancer", "one"])
def test_a_host_that_several_kubeconfigs_use_is_missing_in_the_certificate(kubeconfigs: str, tmp_path: Path) -> None:
    names = tuple(name for name in kubeadm.RECIPES["apiserver"].names if kubeadm.ADDRESS not in name)
    one = kubeconfigs == "one"
    server = kubeadm.SERVER if kubeconfigs == "of the machine" else f"https://{ADDED}:6443"
    recipes = changed(kubeadm.RECIPES, **({} if one else {"apiserver": {"names": (*names, "DNS:localhost")}}))
    kubeadm.lay_out(tmp_path, recipes, server=kubeadm.SERVER if one else server)
    admin = tmp_path / "etc/kubernetes/admin.conf"
    if one:
        admin.write_text(admin.read_text().replace(kubeadm.SERVER, server))

    (finding,) = judged(root=tmp_path)

    crt = tmp_path / PKI / "apiserver.crt"
    assert (finding.rule, finding.path) == (("kubeconfig-server-not-in-san", admin) if one else ("missing-san", crt))
    if one:
        assert "localhost" not in finding.fix
    else:
        assert finding.cluster == "kubeadm"
        assert f"mv {crt} {crt}.old && mv {crt.with_suffix('.key')} " in finding.cluster_fix
        assert "kubeadm init phase certs apiserver --config kubeadm.yaml" in finding.cluster_fix
        assert kubeadm.ADDRESS in finding.message
    mend([finding])
    assert judged(root=tmp_path) == ()
    assert server in admin.read_text() or one


def test_a_kubeconfig_is_not_sent_to_the_machine_itself(tmp_path: Path) -> None:
    names = ("DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "DNS:localhost", "IP:127.0.0.1")
    workshop = Workshop(
        {
            "ca": Recipe("CN=kubernetes", None, ca=True, days=3650),
            "apiserver": Recipe("CN=kube-apiserver", usages=("serverAuth",), names=names),
            "jane": Recipe("CN=jane", usages=("clientAuth",)),
        }
    )
    for name in ("ca", "apiserver"):
        put(tmp_path / f"pki/kube-{name}.crt", workshop[name].crt)
    text = kubeconfig(server=f"https://{ADDED}:6443", authority=workshop["ca"].crt, user=workshop["jane"])
    config = put(tmp_path / "admin.kubeconfig", text, 0o600)

    fixes = [finding.fix for finding in judged(tmp_path) if finding.rule == "kubeconfig-server-not-in-san"]

    assert fixes == [""], config


def test_a_load_balancer_of_k3s_is_told_how_to_get_into_the_certificate(tmp_path: Path) -> None:
    kinds.lay_out("k3s", tmp_path)
    own = (tmp_path / "etc/rancher/k3s/k3s.yaml").read_text()
    put(tmp_path / "config", own.replace("https://127.0.0.1:6443", f"https://{ADDED}:6443"), 0o600)
    (finding,) = judged(tmp_path / "config", tmp_path / "var/lib/rancher")
    assert finding.rule == "kubeconfig-server-not-in-san"
    assert finding.message.endswith(
        "fix it: add it to tls-san in /etc/rancher/k3s/config.yaml and run `systemctl restart k3s`."
    )
    assert "127.0.0.1" not in finding.fix
    assert "10.43.0.1" not in finding.fix


def test_a_backtick_in_a_value_ends_no_command_of_a_sentence(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    text = kubeconfig(server="https://a`b:6443", authority=workshop["ca"].crt, user=workshop["admin"])
    put(tmp_path / "etc/kubernetes/admin.conf", text.replace("current-context: ", "current-context: c`"), 0o600)

    messages = " ".join(finding.message for finding in judged(root=tmp_path))

    assert r"connects to $'https://a\x60b:6443', and $'a\x60b' is not among the SANs" in messages
    assert r"has current-context $'c\x60" in messages
