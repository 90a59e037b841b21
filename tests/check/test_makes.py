"""Clusters of many makes, rebuilt from their guides and sources: the cause of a fault is named, and only that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509

from tests.check.conftest import judged, mend
from tests.check.test_kinds import CLIENT, K0S_FILES, K3S_FILES, TLS, k3s
from tests.check.test_kinds import PKI as K0S_PKI
from tests.running import Kcert
from tests.zoo import hardway, kinds, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


RANCHER = "var/lib/rancher"


def told(*where: Path, root: Path | None = None) -> list[tuple[str, str]]:
    return [(one.rule, one.path.name) for one in judged(*where, root=root)]


def paths(crt: str, ca: str) -> dict[str, str]:
    return {"client-certificate": f"{crt}.crt", "client-key": f"{crt}.key", "certificate-authority": ca}


def refer(path: Path, crt: str, ca: str) -> Path:
    """A kubeconfig that names its three files, as those of K3s do."""
    text = kubeconfig(server="https://127.0.0.1:6444", authority=b"", paths=paths(crt, ca))
    lines = [line for line in text.splitlines() if "certificate-authority" not in line]
    return put(path, "\n".join(lines).replace("- cluster:", f"- cluster:\n    certificate-authority: {ca}", 1), 0o600)


def flat(folder: Path, workshop: Workshop, names: tuple[str, ...], users: Mapping[str, str]) -> Path:
    """A folder in which a guide's commands were typed: certificates, keys, and the kubeconfigs of *users*."""
    for name in names:
        put(folder / f"{name}.crt", workshop[name].crt)
        put(folder / f"{name}.key", workshop[name].traditional, 0o600)
    for name, user in users.items():
        text = kubeconfig(server=hardway.BALANCED, authority=workshop["ca"].crt, user=workshop[name])
        put(folder / f"{name}.kubeconfig", text.replace("someone", user), 0o600)
    return folder


# ---------------------------------------------------------------- healthy


def test_a_ca_and_what_it_signed_may_have_one_name(tmp_path: Path) -> None:
    etcd = "CN=etcd/O=etcd"
    recipes = changed(kubeadm.RECIPES, etcd_ca={"subject": etcd}, etcd_server={"subject": etcd})
    kubeadm.lay_out(tmp_path, recipes)
    assert told(root=tmp_path) == []


def test_the_old_ca_of_k3s_signs_the_new_root_until_it_expires(tmp_path: Path) -> None:
    root = Recipe("CN=k3s-client-root@1", None, ca=True, days=7300, key="root")
    recipes = {
        **K3S_FILES,
        "root": root,
        "cross": replace(root, issuer="client-ca"),
        "new": Recipe("CN=k3s-client-ca@1", "root", ca=True, days=7200),
    }
    made = k3s(tmp_path, K3S_FILES)
    after = Workshop(recipes, made={"client-ca": made["client-ca"]})
    bundle = b"".join(after[name].crt for name in ("new", "root", "cross", "client-ca"))
    put(tmp_path / TLS / "client-ca.crt", bundle)
    put(tmp_path / TLS / "client-ca.key", after["new"].traditional + after["root"].traditional, 0o600)
    assert told(root=tmp_path) == []


def test_a_copy_of_a_machine_needs_no_root(tmp_path: Path) -> None:
    kinds.lay_out("k3s", tmp_path / "host")
    path = tmp_path / "host" / RANCHER / "k3s/agent/x.kubeconfig"
    refer(path, f"/{RANCHER}/k3s/agent/client-kubelet", f"/{TLS}/server-ca.crt")
    assert told(tmp_path / "host") == []


def test_the_user_of_docker_desktop_is_its_administrator(tmp_path: Path) -> None:
    made = Workshop({"ca": kubeadm.RECIPES["ca"], "u": Recipe("O=system:masters/CN=docker-for-desktop", usages=CLIENT)})
    text = kubeconfig(server="https://kubernetes.docker.internal:6443", authority=made["ca"].crt, user=made["u"])
    assert told(put(tmp_path / "config", text, 0o600)) == []


def test_a_node_without_a_control_plane_starts_components_too(tmp_path: Path) -> None:
    config = "kind: KubeletConfiguration\nauthentication:\n  x509:\n    clientCAFile: /var/lib/kubelet/ca.crt\n"
    put(tmp_path / "var/lib/kubelet/ca.crt", Workshop(hardway.RECIPES)["ca"].crt)
    put(tmp_path / "var/lib/kubelet/kubelet-config.yaml", config)
    unit = hardway.unit("kubelet", {"--config": "/var/lib/kubelet/kubelet-config.yaml"})
    put(tmp_path / "etc/systemd/system/kubelet.service", unit)
    assert "No manifest or systemd unit" not in Kcert(tmp_path).done("inventory", "--root", tmp_path).stdout


# ---------------------------------------------------------------- nodes


def test_a_member_of_system_nodes_is_a_node(tmp_path: Path) -> None:
    recipes = {**hardway.RECIPES, "node01": replace(hardway.RECIPES["node01"], subject="CN=node01/O=system:nodes")}
    made = Workshop(recipes)
    folder = flat(tmp_path / "home", made, ("ca", "kube-apiserver", "node01"), {"node01": "system:node:node01"})
    assert told(folder) == [("wrong-cn", "node01.crt"), ("wrong-cn", "node01.kubeconfig")]
    mend(judged(folder))
    assert told(folder) == []


def test_a_kubeconfig_s_user_shows_which_node_it_is_for(tmp_path: Path) -> None:
    made = Workshop({**hardway.RECIPES, "node02": hardway.RECIPES["node01"]})
    users = {"node01": "system:node:node01", "node02": "system:node:node02"}
    folder = flat(tmp_path / "home", made, ("ca", "kube-apiserver", "node01", "node02"), users)
    assert told(folder) == [("wrong-cn", "node02.crt"), ("wrong-cn", "node02.kubeconfig")]
    mend(judged(folder))
    assert told(folder) == []


# ---------------------------------------------------------------- CAs


def test_an_option_names_the_ca_of_servers_for_clients(tmp_path: Path) -> None:
    kinds.lay_out("rke2", tmp_path)
    manifest = tmp_path / RANCHER / "rke2/agent/pod-manifests/kube-apiserver.yaml"
    text = manifest.read_text()
    put(manifest, text.replace("tls/client-ca.crt", "tls/server-ca.crt"))
    (only,) = judged(root=tmp_path)
    assert (only.rule, only.path) == ("wrong-ca-option", manifest)
    assert "signed none of the certificates that this option verifies" in only.message
    mend([only])
    assert manifest.read_text() == text


def test_a_ca_that_was_created_again_in_its_folder(tmp_path: Path) -> None:
    made = Workshop(hardway.RECIPES)
    names = ("ca", "admin", "kube-apiserver", "kube-scheduler")
    folder = flat(tmp_path / "home", made, names, {"admin": "admin", "kube-scheduler": "system:kube-scheduler"})
    assert told(folder) == []
    new = Workshop(hardway.RECIPES)["ca"]
    put(folder / "ca.crt", new.crt)
    put(folder / "ca.key", new.traditional, 0o600)
    (only,) = judged(folder)
    assert (only.rule, only.path, only.fix) == ("wrong-issuer", folder / "ca.crt", "")
    assert "was created again" in only.message


def test_a_node_s_kubeconfig_of_the_cluster_before(tmp_path: Path) -> None:
    made, old = Workshop(hardway.RECIPES), Workshop(hardway.RECIPES)
    home = tmp_path / "var/lib/kubelet"
    put(home / "ca.crt", made["ca"].crt)
    put(home / "kubelet.crt", made["node01"].crt)
    put(home / "kubelet.key", made["node01"].traditional, 0o600)
    config = (
        "kind: KubeletConfiguration\nauthentication:\n  x509:\n    clientCAFile: /var/lib/kubelet/ca.crt\n"
        "tlsCertFile: /var/lib/kubelet/kubelet.crt\ntlsPrivateKeyFile: /var/lib/kubelet/kubelet.key\n"
    )
    put(home / "kubelet-config.yaml", config)
    options = {"--config": f"/{home.relative_to(tmp_path)}/kubelet-config.yaml", "--kubeconfig": "/var/lib/kubelet/kc"}
    put(tmp_path / "etc/systemd/system/kubelet.service", hardway.unit("kubelet", options))
    for workshop, expected in ((made, []), (old, [("wrong-ca-option", "kubelet-config.yaml")])):
        text = kubeconfig(server=hardway.BALANCED, authority=workshop["ca"].crt, user=workshop["node01"])
        put(home / "kc", text, 0o600)
        assert told(root=tmp_path) == expected


def test_the_ca_behind_a_certificate_of_k3s_does_not_make_it_trusted(tmp_path: Path) -> None:
    k3s(tmp_path)
    put(tmp_path / TLS / "server-ca.crt", Workshop(K3S_FILES)["server-ca"].crt)
    (tmp_path / TLS / "server-ca.key").unlink()
    kubeconfig_path = refer(
        tmp_path / RANCHER / "k3s/server/cred/a.kubeconfig", f"/{TLS}/client-admin", f"/{TLS}/server-ca.crt"
    )
    found = judged(root=tmp_path)
    assert {(one.rule, one.path.name) for one in found} >= {("wrong-issuer", "serving-kube-apiserver.crt")}
    assert kubeconfig_path not in {one.path for one in found}


def test_a_ca_that_does_not_fit_its_key_is_the_only_fault(tmp_path: Path) -> None:
    made = Workshop(K0S_FILES)
    for name in K0S_FILES:
        put(tmp_path / K0S_PKI / f"{name}.crt", made[name].crt)
        put(tmp_path / K0S_PKI / f"{name}.key", made[name].traditional, 0o640)
    text = kubeconfig(server="https://127.0.0.1:6443", authority=made["ca"].crt, user=made["admin"])
    put(tmp_path / K0S_PKI / "admin.conf", text, 0o600)
    put(tmp_path / K0S_PKI / "ca.crt", Workshop(K0S_FILES)["ca"].crt)
    assert told(root=tmp_path) == [("key-mismatch", "ca.crt")]
    mend(judged(root=tmp_path))
    assert told(root=tmp_path) == []


def test_a_fix_takes_a_ca_out_of_the_file_of_a_leaf(tmp_path: Path) -> None:
    made = Workshop(hardway.RECIPES)
    folder = flat(tmp_path / "home", made, ("kube-apiserver",), {})
    put(folder / "kube-apiserver.crt", made["kube-apiserver"].crt + made["ca"].crt)
    wrong = put(folder / "trusted.crt", Workshop({"ca": Recipe("CN=other", None, ca=True)})["ca"].crt)
    put(folder / "admin.crt", made["admin"].crt)
    put(folder / "admin.key", made["admin"].traditional, 0o600)
    refer(folder / "admin.kubeconfig", "admin", "trusted.crt")
    (only,) = (one for one in judged(folder) if one.rule == "kubeconfig-wrong-ca")
    mend([only])
    assert x509.load_pem_x509_certificates(wrong.read_bytes()) == [made["ca"].certificate]
