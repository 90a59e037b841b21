"""A healthy cluster of any make has no error, however little it looks like kcert's own tables."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kcert.check import Severity
from tests.check.conftest import judged
from tests.running import representatives
from tests.zoo import course, hardway, kubeadm, makers
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.check import Finding


def errors(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{one.rule} {one.path}: {one.message}" for one in findings if one.severity is Severity.ERROR]


@pytest.mark.parametrize(
    "maker", representatives(["easy_rsa", "cfssl", "hightower", "mmumshad"], lambda maker: maker == "cfssl")
)
def test_the_folder_that_a_program_leaves(maker: str, made: Callable[[str], Path]) -> None:
    assert errors(judged(made(maker))) == []


@pytest.mark.parametrize("maker", ["easy_rsa", "cfssl", "hightower"])
def test_there_is_nothing_to_warn_of_either(maker: str, made: Callable[[str], Path]) -> None:
    assert judged(made(maker)) == ()


def test_mmumshads_pages_make_certificates_of_version_1_and_nothing_worse(made: Callable[[str], Path]) -> None:
    assert {one.rule for one in judged(made("mmumshad"))} == {"version-1"}


def test_the_hosts_of_kelsey_hightowers_guide(made: Callable[[str], Path], tmp_path: Path) -> None:
    makers.hightower_hosts(tmp_path, made("hightower"))
    assert judged(root=tmp_path) == ()


def test_the_hosts_of_mmumshads_pages(made: Callable[[str], Path], tmp_path: Path) -> None:
    makers.mmumshad_hosts(tmp_path, made("mmumshad"))
    assert errors(judged(root=tmp_path)) == []


@pytest.mark.parametrize("maker", ["easy_rsa", "cfssl", "hightower", "mmumshad"])
def test_a_copy_below_a_root(maker: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(made(maker), tmp_path / "srv/pki", symlinks=True)
    assert errors(judged("/srv/pki", root=tmp_path)) == []


# ---------------------------------------------------------------- kubeadm


def test_a_host_that_kubeadm_set_up(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    assert judged(root=tmp_path) == ()


def test_a_copy_of_etc_kubernetes_under_another_name(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "host")
    copy = tmp_path / "from-the-colleague"
    shutil.copytree(tmp_path / "host/etc/kubernetes", copy)
    # Without the rest of the host, the kubelet's own certificate is not there to look at.
    (copy / "kubelet.conf").unlink()
    assert judged(copy) == ()


def test_an_old_release_of_kubeadm_puts_the_clients_of_etcd_into_system_masters(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **kubeadm.OLD))
    assert judged(root=tmp_path) == ()


def test_dual_stack_names_the_first_family_alone(tmp_path: Path) -> None:
    both = {"--service-cluster-ip-range": "10.96.0.0/16,fd00:10:96::/112"}
    kubeadm.lay_out(tmp_path, options={"kube-apiserver": both, "kube-controller-manager": both})
    assert judged(root=tmp_path) == ()


def test_an_external_ca_leaves_options_empty_and_no_key_behind(tmp_path: Path) -> None:
    empty = {"--cluster-signing-cert-file": "", "--cluster-signing-key-file": ""}
    kubeadm.lay_out(tmp_path, options={"kube-controller-manager": empty})
    (tmp_path / "etc/kubernetes/pki/ca.key").unlink()
    (tmp_path / "etc/kubernetes/pki/front-proxy-ca.key").unlink()
    (tmp_path / "etc/kubernetes/pki/etcd/ca.key").unlink()
    assert judged(root=tmp_path) == ()


def test_keys_may_be_pkcs8_and_files_may_end_lines_as_windows_does(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    pki = tmp_path / "etc/kubernetes/pki"
    (pki / "apiserver.key").write_bytes(workshop["apiserver"].pkcs8)
    for path in (pki / "apiserver.crt", pki / "ca.crt", pki / "apiserver.key"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert judged(root=tmp_path) == ()


def test_a_certificate_may_carry_its_chain(tmp_path: Path) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    crt = tmp_path / "etc/kubernetes/pki/apiserver.crt"
    crt.write_bytes(workshop["apiserver"].crt + workshop["ca"].crt)
    assert judged(root=tmp_path) == ()


def test_what_an_upgrade_by_kubeadm_leaves_behind_is_nobody_s_business(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    manifest = (tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml").read_text()
    backup = tmp_path / "etc/kubernetes/tmp/kubeadm-backup-manifests-2026-11-01-10-00-00/kube-apiserver.yaml"
    put(backup, manifest.replace("apiserver-kubelet-client", "gone").replace(kubeadm.RANGE, "10.200.0.0/16"))
    assert judged(root=tmp_path) == ()
    assert judged(tmp_path / "etc/kubernetes") == ()


@pytest.mark.parametrize(
    "ending", representatives([".bak", "~", ".old", "-20260101", ".2026-01-01T10-00-00.000000Z", ".bak.2"])
)
def test_the_copy_of_a_file_as_it_was_is_nobody_s_business(ending: str, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "old")
    kubeadm.lay_out(tmp_path / "new")
    old, folder = tmp_path / "old/etc/kubernetes", tmp_path / "new/etc/kubernetes"
    for name in ("admin.conf", "pki/apiserver.crt", "pki/apiserver.key"):
        (old / name).rename(folder / f"{name}{ending}")
    assert judged(folder) == ()
    (folder / f"pki/apiserver.key{ending}").chmod(0o644)
    assert [finding.rule for finding in judged(folder)] == ["key-permissions"]


def test_a_kubeconfig_may_say_what_it_compares_the_server_with(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    conf = tmp_path / "etc/kubernetes/admin.conf"
    conf.write_text(
        conf.read_text().replace(
            f"server: {kubeadm.SERVER}", "server: https://203.0.113.7:6443\n    tls-server-name: kubernetes"
        )
    )
    assert judged(root=tmp_path) == ()


@pytest.fixture
def two_clusters(tmp_path: Path) -> tuple[Path, Path]:
    """Copies of two hosts: their CAs have the same names, their service ranges differ."""
    other = {"--service-cluster-ip-range": "10.32.0.0/24"}
    names = tuple(name.replace("10.96.0.1", "10.32.0.1") for name in kubeadm.RECIPES["apiserver"].names)
    kubeadm.lay_out(tmp_path / "one")
    kubeadm.lay_out(
        tmp_path / "two",
        changed(kubeadm.RECIPES, apiserver={"names": names}),
        options={"kube-apiserver": other, "kube-controller-manager": other},
    )
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.thorough
def test_two_clusters_may_lie_in_one_tree(two_clusters: tuple[Path, Path]) -> None:
    assert judged(two_clusters[0].parent) == ()


@pytest.mark.thorough
def test_two_clusters_may_be_named_at_once(two_clusters: tuple[Path, Path]) -> None:
    assert judged(*two_clusters) == ()
    assert judged(*(host / "etc/kubernetes/pki" for host in two_clusters)) == ()


def test_what_servers_show_may_come_from_another_ca_than_what_clients_show(tmp_path: Path) -> None:
    recipes = {**kubeadm.RECIPES, "server-ca": Recipe("CN=server-ca", None, ca=True, days=3650)}
    root_ca = {"kube-controller-manager": {"--root-ca-file": f"{kubeadm.PKI}/server-ca.crt"}}
    workshop = kubeadm.lay_out(
        tmp_path, changed(recipes, apiserver={"issuer": "server-ca"}), options=root_ca, authority="server-ca"
    )
    put(tmp_path / "etc/kubernetes/pki/server-ca.crt", workshop["server-ca"].crt)
    assert judged(root=tmp_path) == ()
    # Without the controller manager, nothing but the kubeconfigs knows of it.
    (tmp_path / "etc/kubernetes/manifests/kube-controller-manager.yaml").unlink()
    assert judged(root=tmp_path) == ()


def test_a_kubeconfig_of_k3s_trusts_one_ca_and_comes_from_another(tmp_path: Path) -> None:
    workshop = Workshop(
        {
            "server": Recipe("CN=k3s-server-ca@1732412345", None, ca=True),
            "client": Recipe("CN=k3s-client-ca@1732412345", None, ca=True),
            "admin": Recipe("O=system:masters/CN=system:admin", "client", usages=("clientAuth",)),
        }
    )
    text = kubeconfig(server="https://127.0.0.1:6443", authority=workshop["server"].crt, user=workshop["admin"])
    assert judged(put(tmp_path / "k3s.yaml", text, 0o600)) == ()


def test_etcd_s_peers_may_have_a_ca_of_their_own(tmp_path: Path) -> None:
    recipes = {**kubeadm.RECIPES, "peer-ca": Recipe("CN=etcd-peer-ca", None, ca=True, days=3650)}
    own = {"etcd": {"--peer-trusted-ca-file": f"{kubeadm.PKI}/etcd/peer-ca.crt"}}
    workshop = kubeadm.lay_out(tmp_path, changed(recipes, etcd_peer={"issuer": "peer-ca"}), options=own)
    put(tmp_path / "etc/kubernetes/pki/etcd/peer-ca.crt", workshop["peer-ca"].crt)
    assert judged(root=tmp_path) == ()
    assert judged(tmp_path / "etc/kubernetes/pki") == ()


# ---------------------------------------------------------------- files with several certificates


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_ca_that_was_replaced_may_stay_in_the_bundle_after_its_end(first: str, tmp_path: Path) -> None:
    recipes = {**kubeadm.RECIPES, "old": Recipe("CN=kubernetes", None, ca=True, begins=-4000, days=3650)}
    workshop = kubeadm.lay_out(tmp_path, recipes)
    both = [workshop["old"].crt, workshop["ca"].crt]
    put(tmp_path / "etc/kubernetes/pki/ca.crt", b"".join(both if first == "old" else both[::-1]))
    # The controller manager signs with the first, so that a bundle is for the others.
    signing = tmp_path / "etc/kubernetes/pki/signing.crt"
    put(signing, workshop["ca"].crt)
    manifest = tmp_path / "etc/kubernetes/manifests/kube-controller-manager.yaml"
    manifest.write_text(
        manifest.read_text().replace(
            "cert-file=/etc/kubernetes/pki/ca.crt", "cert-file=/etc/kubernetes/pki/signing.crt"
        )
    )
    assert judged(root=tmp_path) == ()


def test_roots_that_are_only_trusted_may_be_old_and_weak(tmp_path: Path) -> None:
    folder = tmp_path / "roots"
    folder.mkdir()
    for name, options in {"sha1": ("-sha1",), "good": ("-sha256",)}.items():
        makers.run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", "/dev/null", "-subj", f"/CN={name} root", "-days", "900", "-out", name, *options),
            folder=folder,
        )
    ended = Workshop({"_": Recipe("CN=root of long ago", None, ca=True, begins=-4000, days=3650)})["_"].crt
    kubeadm.lay_out(tmp_path, options={"kube-apiserver": {"--oidc-ca-file": "/etc/ssl/certs/ca-certificates.crt"}})
    bundle = (folder / "sha1").read_bytes() + (folder / "good").read_bytes() + ended
    put(tmp_path / "etc/ssl/certs/ca-certificates.crt", bundle)
    assert judged(root=tmp_path) == ()


@pytest.mark.parametrize("signer", ["hook-ca", "other-ca"])
def test_a_webhook_has_a_ca_and_names_of_its_own(signer: str, tmp_path: Path) -> None:
    made = Workshop(
        {
            "hook-ca": Recipe("CN=Policy-CA", None, ca=True, days=3650),
            "other-ca": Recipe("CN=Clients-of-policy", None, ca=True, days=3650),
            "client": Recipe("CN=kube-apiserver", signer, usages=("clientAuth",)),
        }
    )
    kubeadm.lay_out(
        tmp_path, options={"kube-apiserver": {"--authorization-webhook-config-file": "/etc/kubernetes/policy.conf"}}
    )
    text = kubeconfig(server="https://policy.example:8443/", authority=made["hook-ca"].crt, user=made["client"])
    put(tmp_path / "etc/kubernetes/policy.conf", text, 0o600)
    assert judged(root=tmp_path) == ()


# ---------------------------------------------------------------- the rest


def test_the_course_s_folder(tmp_path: Path) -> None:
    course.lay_out(tmp_path / "pki")
    assert judged(tmp_path / "pki") == ()


def test_hosts_set_up_the_hard_way(tmp_path: Path) -> None:
    hardway.lay_out(tmp_path)
    assert judged(root=tmp_path) == ()


def test_an_intermediate_ca_between_the_root_and_the_rest(tmp_path: Path) -> None:
    recipes = dict(course.RECIPES)
    recipes["root"] = replace(recipes["ca"], subject="CN=company root")
    recipes["ca"] = replace(recipes["ca"], issuer="root", days=3000)
    course.lay_out(tmp_path / "pki", recipes)
    assert judged(tmp_path / "pki") == ()


def test_a_kubelet_s_self_made_certificate_is_nobody_s_business_without_the_option(tmp_path: Path) -> None:
    recipes = changed(kubeadm.RECIPES, kubelet_serving={"issuer": None})
    kubeadm.lay_out(tmp_path, recipes)
    assert judged(root=tmp_path) == ()


def test_somebody_s_kubeconfig_may_be_for_another_cluster(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "one")
    kubeadm.lay_out(tmp_path / "two", server="https://other.example:6443")
    config = tmp_path / "home/.kube/config"
    config.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "two/etc/kubernetes/admin.conf", config)
    assert judged(tmp_path / "one/etc/kubernetes/pki", config) == ()
