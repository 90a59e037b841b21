"""A healthy cluster of any make has no error, however little it looks like kcert's own tables."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kcert.inspect.rules import Severity
from tests.rules.conftest import judged
from tests.zoo import course, hardway, kubeadm, makers
from tests.zoo.issuing import changed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.inspect.rules import Finding


def errors(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{one.rule} {one.path}: {one.message}" for one in findings if one.severity is Severity.ERROR]


@pytest.mark.parametrize("maker", ["easy_rsa", "cfssl", "hightower", "mmumshad"])
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
