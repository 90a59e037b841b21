"""Clusters of other makes are healthy as they are, and what only seems to be a fault is none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kcert.clusters import K0S, K3S, KINDS, KUBEADM
from kcert.scan.discovery import survey
from tests.check.conftest import judged, mend
from tests.running import Kcert, representatives
from tests.zoo import kinds, kubeadm
from tests.zoo.issuing import Recipe, Workshop, kubeconfig, put

CLIENT, SERVER, BOTH = ("clientAuth",), ("serverAuth",), ("serverAuth", "clientAuth")
API = ("DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "IP:127.0.0.1", "IP:10.43.0.1")
TLS = "var/lib/rancher/k3s/server/tls"
K3S_FILES = {
    "client-ca": Recipe("CN=k3s-client-ca@1700000000", None, ca=True, days=3650),
    "server-ca": Recipe("CN=k3s-server-ca@1700000000", None, ca=True, days=3650),
    "client-admin": Recipe("O=system:masters/CN=system:admin", "client-ca", usages=CLIENT),
    "client-supervisor": Recipe("O=system:masters/CN=system:k3s-supervisor", "client-ca", usages=CLIENT),
    "client-scheduler": Recipe("CN=system:kube-scheduler", "client-ca", usages=CLIENT),
    "serving-kube-apiserver": Recipe("CN=kube-apiserver", "server-ca", usages=SERVER, names=API),
    "kube-scheduler/kube-scheduler": Recipe("CN=kube-scheduler", "server-ca", usages=SERVER, names=("DNS:localhost",)),
}
PKI = "var/lib/k0s/pki"
K0S_FILES = {
    "ca": Recipe("CN=kubernetes-ca", None, ca=True, days=3650),
    "admin": Recipe("O=system:masters/CN=kubernetes-admin", usages=BOTH),
    "konnectivity": Recipe("O=system:masters/CN=kubernetes-konnectivity", usages=BOTH),
    "server": Recipe("O=kubernetes/CN=kubernetes", usages=BOTH, names=API),
}


def k3s(root: Path, recipes: dict[str, Recipe] = K3S_FILES) -> Workshop:
    workshop = Workshop(recipes)
    for name, recipe in recipes.items():
        chain = workshop[recipe.issuer].crt if recipe.issuer else b""
        put(root / TLS / f"{name}.crt", workshop[name].crt + chain)
        put(root / TLS / f"{name}.key", workshop[name].traditional, 0o600)
    text = kubeconfig(
        server="https://127.0.0.1:6443", authority=workshop["server-ca"].crt, user=workshop["client-admin"]
    )
    put(root / "etc/rancher/k3s/k3s.yaml", text, 0o600)
    return workshop


def test_k3s_has_a_ca_for_clients_and_another_for_servers(tmp_path: Path) -> None:
    k3s(tmp_path)
    assert judged(root=tmp_path) == ()


def test_the_members_of_system_masters_are_known_in_a_copy_of_the_folder(tmp_path: Path) -> None:
    k3s(tmp_path / "server")
    shutil.copytree(tmp_path / "server" / TLS, tmp_path / "copy")
    assert judged(tmp_path / "copy") == ()


def test_the_fix_of_a_k3s_client_comes_from_the_ca_of_clients(tmp_path: Path) -> None:
    k3s(tmp_path)
    ca = (tmp_path / TLS / "client-ca.crt").read_bytes()
    put(tmp_path / TLS / "client-admin.crt", Workshop(K3S_FILES)["client-admin"].crt + ca)
    findings = judged(root=tmp_path)
    assert {one.rule for one in findings} == {"wrong-issuer", "key-mismatch"}
    assert {one.cluster for one in findings} == {"K3s"}
    assert "k3s certificate rotate --service admin" in findings[0].cluster_fix
    mend(findings[:1])
    assert judged(root=tmp_path) == ()


def test_k0s_lets_a_component_s_group_read_its_key(tmp_path: Path) -> None:
    workshop = Workshop(K0S_FILES)
    for name in K0S_FILES:
        put(tmp_path / PKI / f"{name}.crt", workshop[name].crt)
        put(tmp_path / PKI / f"{name}.key", workshop[name].traditional, 0o640)
    assert judged(root=tmp_path) == ()
    (tmp_path / PKI / "admin.key").chmod(0o644)
    assert [one.rule for one in judged(root=tmp_path)] == ["key-permissions"]


def test_a_ca_that_only_a_kubeconfig_of_k0s_still_trusts_has_been_replaced(tmp_path: Path) -> None:
    old, new = Workshop(K0S_FILES), Workshop(K0S_FILES)
    for name in ("ca", "server", "admin"):
        workshop = old if name == "admin" else new
        put(tmp_path / PKI / f"{name}.crt", workshop[name].crt)
        put(tmp_path / PKI / f"{name}.key", workshop[name].traditional, 0o640)
    text = kubeconfig(server="https://localhost:6443", authority=old["ca"].crt, user=old["admin"])
    put(tmp_path / PKI / "admin.conf", text, 0o640)
    found = {(one.rule, one.path.name) for one in judged(root=tmp_path)}
    assert found >= {("wrong-issuer", "admin.conf"), ("wrong-issuer", "admin.crt")}


def test_a_kubeconfig_s_ca_does_not_say_who_signs_clients(tmp_path: Path) -> None:
    workshop = Workshop(K3S_FILES)
    text = kubeconfig(
        server="https://api.example.com:6443", authority=workshop["server-ca"].crt, user=workshop["client-admin"]
    )
    assert judged(put(tmp_path / "admin.kubeconfig", text, 0o600)) == ()


@pytest.mark.parametrize("group", ["O=system:masters/", "O=kubeadm:cluster-admins/", ""])
def test_kubeadm_s_client_of_the_kubelets_has_one_group_or_another_or_none(group: str, tmp_path: Path) -> None:
    recipe = Recipe(f"{group}CN=kube-apiserver-kubelet-client", usages=CLIENT)
    kubeadm.lay_out(tmp_path, {**kubeadm.RECIPES, "apiserver-kubelet-client": recipe})
    assert judged(root=tmp_path) == ()


@pytest.mark.parametrize("folder", ["_bk_20220621", "bak", "old", "pki.bak", "backup-2025-01-01", "expired", "revoked"])
def test_what_is_in_a_backup_is_not_judged_and_hides_nothing(folder: str, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    pki = tmp_path / "etc/kubernetes/pki"
    old = Workshop({"ca": Recipe("CN=elsewhere", None, ca=True), "x": Recipe("CN=kube-apiserver", begins=-400)})
    put(pki / folder / "apiserver.crt", old["x"].crt)
    put(pki / folder / "apiserver.key", b"damaged", 0o600)
    assert judged(root=tmp_path) == ()


@pytest.mark.parametrize("kind", representatives(KINDS))
def test_a_machine_of_each_kind_is_found_without_a_path_and_healthy(kind: str, tmp_path: Path) -> None:
    kinds.lay_out(kind, tmp_path)
    result = survey([], tmp_path)
    assert result.kind is KINDS[kind]
    assert len({use.path for use in result.uses}) > 5
    assert result.problems == []
    assert judged(root=tmp_path) == ()


def test_every_certificate_of_k3s_is_renewed_with_a_lesson(tmp_path: Path) -> None:
    kinds.lay_out("k3s", tmp_path)
    said = Kcert(tmp_path).done("renew", "--all", "--dry-run", "--dir", TLS).stdout
    assert "kube-scheduler/kube-scheduler" in said


def test_the_table_knows_each_kind_s_command() -> None:
    assert set(KINDS) >= {"kubeadm", "k3s", "rke2", "k0s", "microk8s", "minikube", "kind", "kops", "kubespray", "rke1"}
    assert K3S.cas is not None and K3S.cas[0] != K3S.cas[1]
    assert K0S.key_mode == 0o640
    renewal = KUBEADM.renewal_command(Path("/etc/kubernetes/pki/etcd/server.crt"))
    assert renewal == "kubeadm certs renew etcd-server"


def test_what_is_printed_uses_neither_sed_nor_awk(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, {**kubeadm.RECIPES, "admin": Recipe("CN=kubernetes-admin", begins=-400)})
    findings = judged(root=tmp_path)
    assert findings
    for one in findings:
        assert "sed " not in one.fix
        assert "awk " not in one.fix


@pytest.mark.thorough
def test_the_same_finding_on_several_files_is_told_once(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, authority="etcd-ca")
    kcert, check = Kcert(tmp_path), ("check", "--root", tmp_path)
    told = kcert(*check).lines
    assert told.count("error kubeconfig-wrong-ca") == 1
    short = kcert(*check, "--format", "short")
    findings = json.loads(kcert(*check, "--format", "json").stdout)["findings"]
    assert [finding["rule"] for finding in findings] == ["kubeconfig-wrong-ca"] * 5
    assert len(short.lines) == len(findings) + 1


@pytest.mark.parametrize(
    ("name", "issuer"), [("client-scheduler", "server-ca"), ("serving-kube-apiserver", "client-ca")]
)
def test_k3s_expects_clients_and_servers_from_different_cas(tmp_path: Path, name: str, issuer: str) -> None:
    k3s(tmp_path, {**K3S_FILES, name: replace(K3S_FILES[name], issuer=issuer)})

    findings = judged(tmp_path / TLS)

    assert [(finding.rule, finding.path) for finding in findings] == [("wrong-issuer", tmp_path / TLS / f"{name}.crt")]
    mend(findings)
    assert judged(tmp_path / TLS) == ()
