"""Finding: each place that a cluster keeps certificates in, and what each certificate is tied to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from kcert.certificates import Kind, Role
from kcert.clusters import HARD_WAY, KUBEADM
from kcert.errors import InputError
from kcert.scan.discovery import survey
from tests.running import without_privileges
from tests.scan.conftest import Kubeadm, kubeconfig, pod, put
from tests.scan.made import CLIENT, SERVER, Pair, authority, certificate, name

if TYPE_CHECKING:
    from kcert.scan import CertificateRef, ScanResult


def used(found: ScanResult, option: str, component: str | None = None) -> CertificateRef:
    """The one use by an option."""
    (use,) = [one for one in found.uses if one.option == option and component in (None, one.component)]
    return use


@pytest.fixture
def ca() -> Pair:
    return authority()


# ---------------------------------------------------------------- kubeadm


def test_every_certificate_of_kubeadm_is_tied_to_its_option(kubeadm: Kubeadm) -> None:
    found = survey([], kubeadm.root)
    assert found.problems == []
    assert found.kind is KUBEADM
    pki = kubeadm.kubernetes / "pki"
    server = used(found, "--tls-cert-file")
    assert (server.component, server.kind, server.role) == ("kube-apiserver", Kind.SERVER, Role.APISERVER)
    assert server.source == kubeadm.kubernetes / "manifests/kube-apiserver.yaml"
    assert server.path == pki / "apiserver.crt"
    assert server.key_path == pki / "apiserver.key"
    assert server.key_fits is True
    assert server.issuer_path == pki / "ca.crt"
    etcd_client = used(found, "--etcd-certfile")
    assert (etcd_client.kind, etcd_client.issuer_path) == (Kind.CLIENT, pki / "etcd/ca.crt")
    assert used(found, "--proxy-client-cert-file").issuer_path == pki / "front-proxy-ca.crt"
    assert used(found, "--peer-cert-file").kind is Kind.PEER
    signing = used(found, "--cluster-signing-cert-file")
    assert (signing.kind, signing.key_path, signing.issuer_path) == (Kind.CA, pki / "ca.key", None)


def test_a_file_that_several_options_name_is_several_uses(kubeadm: Kubeadm) -> None:
    found = survey([str(kubeadm.kubernetes)])
    options = {use.option for use in found.uses if use.path == kubeadm.kubernetes / "pki/ca.crt"}
    assert options == {"--client-ca-file", "--cluster-signing-cert-file", "--root-ca-file"}


def test_what_no_option_names_is_found_in_the_folder(kubeadm: Kubeadm) -> None:
    found = survey([str(kubeadm.kubernetes)])
    (check,) = [use for use in found.uses if use.path.name == "healthcheck-client.crt"]
    assert (check.option, check.source, check.role, check.component) == (None, None, Role.ETCD_CLIENT, "etcd")
    assert check.issuer_path == kubeadm.kubernetes / "pki/etcd/ca.crt"


def test_a_kubeconfig_is_its_component_s(kubeadm: Kubeadm) -> None:
    found = survey([str(kubeadm.kubernetes)])
    manager = used(found, "client-certificate-data", "kube-controller-manager")
    assert manager.role is Role.CONTROLLER_MANAGER
    assert manager.path == manager.source == manager.key_path == kubeadm.kubernetes / "controller-manager.conf"
    assert manager.embedded
    assert manager.key_fits is True
    admin = used(found, "client-certificate-data", "kubectl")
    assert admin.role is Role.ADMIN


def test_links_that_are_absolute_lead_below_the_root(kubeadm: Kubeadm) -> None:
    found = survey([], kubeadm.root)
    current = used(found, "client-certificate")
    assert current.certificate.subject.common_name == "system:node:cp1"
    assert current.path.is_relative_to(kubeadm.root)
    assert current.path.exists(), "the path is one that can be opened"
    assert (current.role, current.component) == (Role.KUBELET_CLIENT, "kubelet")
    assert current.key_fits is True


def test_what_the_kubelet_keeps_of_old_rotations_is_no_certificate_in_use(kubeadm: Kubeadm) -> None:
    found = survey([], kubeadm.root)
    assert not any("2025" in use.path.name for use in found.uses)
    assert sum(use.certificate.subject.common_name == "system:node:cp1" for use in found.uses) == 1


def test_the_kubelet_s_own_serving_certificate_answers_to_its_own_ca(kubeadm: Kubeadm) -> None:
    found = survey([str(kubeadm.root / "var/lib/kubelet/pki")])
    leaf = next(use for use in found.uses if use.role is Role.KUBELET_SERVER)
    assert leaf.path == leaf.issuer_path == kubeadm.root / "var/lib/kubelet/pki/kubelet.crt"
    assert [str(one.subject) for one in leaf.issuers] == ["CN=cp1-ca@1700000000"]
    assert leaf.key_fits is True


def test_the_kubelet_s_configuration_names_a_ca(kubeadm: Kubeadm) -> None:
    found = survey([], kubeadm.root)
    use = used(found, "clientCAFile")
    assert use.source == kubeadm.root / "var/lib/kubelet/config.yaml"
    assert use.path == kubeadm.kubernetes / "pki/ca.crt"


def test_a_copy_of_etc_kubernetes_under_another_name(kubeadm: Kubeadm, tmp_path: Path) -> None:
    copy = tmp_path / "brought-home"
    shutil.copytree(kubeadm.kubernetes, copy)
    found = survey([str(copy)])
    assert found.problems == [], "the kubelet's own files were not copied along: nothing is known of them"
    assert used(found, "--tls-cert-file").path == copy / "pki/apiserver.crt"


@pytest.mark.parametrize("where", ["etc/kubernetes", "etc/kubernetes/manifests", "etc/kubernetes/manifests/etcd.yaml"])
def test_a_copy_is_understood_without_root(kubeadm: Kubeadm, where: str) -> None:
    found = survey([str(kubeadm.root / where)])
    assert found.problems == []
    assert used(found, "--cert-file").path == kubeadm.kubernetes / "pki/etcd/server.crt"


def test_root_as_a_relative_folder(kubeadm: Kubeadm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kubeadm.root.parent)
    found = survey(["/etc/kubernetes/manifests/etcd.yaml"], Path("copy"))
    assert used(found, "--cert-file").path == Path("copy/etc/kubernetes/pki/etcd/server.crt")


def test_a_file_that_an_option_names_and_that_is_missing(kubeadm: Kubeadm) -> None:
    (kubeadm.kubernetes / "pki/apiserver-etcd-client.crt").unlink()
    (problem,) = survey([], kubeadm.root).problems
    assert (problem.what, problem.option, problem.component) == ("missing", "--etcd-certfile", "kube-apiserver")
    assert problem.path == kubeadm.kubernetes / "pki/apiserver-etcd-client.crt"
    assert problem.source == kubeadm.kubernetes / "manifests/kube-apiserver.yaml"


def test_empty_values_and_a_missing_bootstrap_kubeconfig_are_normal(kubeadm: Kubeadm) -> None:
    put(
        kubeadm.kubernetes / "manifests/kube-controller-manager.yaml",
        pod("kube-controller-manager", "--cluster-signing-cert-file=", "--cluster-signing-key-file="),
    )
    put(
        kubeadm.root / "etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf "
        "--kubeconfig=/etc/kubernetes/kubelet.conf\n",
    )
    found = survey([], kubeadm.root)
    assert found.problems == []
    assert used(found, "client-certificate").component == "kubelet"


def test_paths_inside_a_container_are_mapped_to_the_host(ca: Pair, tmp_path: Path) -> None:
    ca.put(tmp_path / "host/ca.crt")
    manifest = yaml.safe_load(pod("etcd", "--trusted-ca-file=/certs/ca.crt"))
    manifest["spec"]["containers"][0]["volumeMounts"] = [{"name": "certs", "mountPath": "/certs"}]
    manifest["spec"]["volumes"] = [{"name": "certs", "hostPath": {"path": str(tmp_path / "host")}}]
    found = survey([str(put(tmp_path / "etcd.yaml", yaml.safe_dump(manifest)))])
    assert used(found, "--trusted-ca-file").path == tmp_path / "host/ca.crt"


def test_options_apart_from_their_values_behind_a_shell(ca: Pair, tmp_path: Path) -> None:
    ca.put(tmp_path / "ca.crt")
    manifest = yaml.safe_load(pod("etcd"))
    manifest["spec"]["containers"][0]["command"] = [
        "/bin/sh",
        "-c",
        f"exec /usr/local/bin/etcd --trusted-ca-file {tmp_path}/ca.crt",
    ]
    found = survey([str(put(tmp_path / "etcd.yaml", yaml.safe_dump(manifest)))])
    assert used(found, "--trusted-ca-file").path == tmp_path / "ca.crt"


# ---------------------------------------------------------------- the hard way


def test_a_unit_with_continued_lines_environment_files_and_drop_ins(ca: Pair, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    own = root / "var/lib/kubernetes"
    ca.put(own / "ca.crt")
    etcd_ca = authority("etcd")
    etcd_ca.put(own / "etcd-ca.crt")
    certificate(name("kube-apiserver"), ca, uses=[SERVER], names=["kubernetes"]).put(own / "kube-apiserver.crt")
    certificate(name("client"), etcd_ca, uses=[CLIENT]).put(own / "etcd-client.crt")
    put(
        root / "etc/default/kube-apiserver",
        '# comment\nETCD="--etcd-cafile=/var/lib/kubernetes/etcd-ca.crt"\nPKI=/var/lib/kubernetes\n',
    )
    unit = put(
        root / "etc/systemd/system/kube-apiserver.service",
        "[Unit]\nDescription=Kubernetes API Server\n\n[Service]\n"
        "EnvironmentFile=-/etc/default/kube-apiserver\n"
        "Environment='NAMES=--tls-cert-file=/var/lib/kubernetes/wrong.crt'\n"
        "ExecStart=/usr/local/bin/kube-apiserver \\\n"
        "  --client-ca-file=${PKI}/ca.crt \\\n"
        "  # a comment between the lines\n"
        "  --tls-cert-file ${PKI}/kube-apiserver.crt \\\n"
        "  --tls-private-key-file=/var/lib/kubernetes/kube-apiserver.key \\\n"
        "  $ETCD \\\n"
        "  --service-cluster-ip-range=10.32.0.0/24\n"
        "Restart=on-failure\n[Install]\nWantedBy=multi-user.target\n",
    )
    found = survey([], root)
    assert found.kind is HARD_WAY
    server = used(found, "--tls-cert-file")
    assert (server.path, server.source) == (own / "kube-apiserver.crt", unit)
    assert server.key_fits is True
    assert server.issuer_path == own / "ca.crt"
    assert used(found, "--etcd-cafile").path == own / "etcd-ca.crt"
    (configuration,) = found.configurations
    assert configuration.options["--service-cluster-ip-range"] == "10.32.0.0/24"
    assert found.problems == []

    put(
        root / "etc/systemd/system/kube-apiserver.service.d/10-etcd.conf",
        "[Service]\nExecStart=\nExecStart=/usr/local/bin/kube-apiserver "
        "--etcd-certfile=/var/lib/kubernetes/etcd-client.crt "
        "--etcd-keyfile=/var/lib/kubernetes/etcd-client.key --etcd-cafile=/var/lib/kubernetes/etcd-ca.crt\n",
    )
    replaced = survey([], root)
    assert "--tls-cert-file" not in {use.option for use in replaced.uses}
    assert used(replaced, "--etcd-certfile").issuer_path == own / "etcd-ca.crt"


@pytest.mark.parametrize(
    "lines",
    [
        "EnvironmentFile=/etc/k/two.env\nEnvironment=CRT=/nowhere",
        "EnvironmentFile=/etc/k/t*.env",
        "EnvironmentFile=/etc/k/two.env\nEnvironment=",
        "EnvironmentFile=/etc/k/one.env\nEnvironmentFile=\nEnvironmentFile=-/etc/k/two.env",
    ],
    ids=["files count more", "a pattern", "an empty one takes back its own kind", "and no more"],
)
def test_which_environment_counts(lines: str, ca: Pair, tmp_path: Path) -> None:
    certificate(name("kube-apiserver"), ca, uses=[SERVER], names=["cp1"]).put(tmp_path / "etc/k/apiserver.crt")
    put(tmp_path / "etc/k/one.env", "CRT=/nowhere\n")
    put(tmp_path / "etc/k/two.env", "CRT=/etc/k/apiserver.crt\n")
    unit = f"[Service]\n{lines}\nExecStart=/usr/bin/kube-apiserver --tls-cert-file=${{CRT}}\n"
    put(tmp_path / "etc/systemd/system/kube-apiserver.service", unit)
    found = survey([], tmp_path)
    assert used(found, "--tls-cert-file").path == tmp_path / "etc/k/apiserver.crt"
    assert found.problems == []


def test_etcd_by_environment_variables(ca: Pair, tmp_path: Path) -> None:
    ca.put(tmp_path / "ca.crt")
    put(tmp_path / "etcd.env", f"ETCD_TRUSTED_CA_FILE={tmp_path}/ca.crt\n")
    unit = put(tmp_path / "etcd.service", f"[Service]\nEnvironmentFile={tmp_path}/etcd.env\nExecStart=/usr/bin/etcd\n")
    assert used(survey([str(unit)]), "--trusted-ca-file").component == "etcd"


def test_debian_s_unit_of_etcd_sets_nothing_up_until_its_environment_does(ca: Pair, tmp_path: Path) -> None:
    put(
        tmp_path / "usr/lib/systemd/system/etcd.service",
        "[Service]\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd/default\nEnvironment=DAEMON_ARGS=\n"
        "EnvironmentFile=-/etc/default/%p\nExecStart=/usr/bin/etcd $DAEMON_ARGS\n",
    )
    assert survey([], tmp_path).kind is None
    ca.put(tmp_path / "etc/etcd/ca.crt")
    put(tmp_path / "etc/default/etcd", 'DAEMON_ARGS="--trusted-ca-file /etc/etcd/ca.crt"\n')
    found = survey([], tmp_path)
    assert found.kind is HARD_WAY
    assert used(found, "--trusted-ca-file").path == tmp_path / "etc/etcd/ca.crt"


def test_kubeadm_s_drop_in_of_the_kubelet(kubeadm: Kubeadm) -> None:
    put(kubeadm.root / "usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n")
    put(
        kubeadm.root / "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
        '[Service]\nEnvironment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf '
        '--kubeconfig=/etc/kubernetes/kubelet.conf"\nEnvironment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"\n'
        "EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nExecStart=\n"
        "ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS\n",
    )
    put(kubeadm.root / "var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--hostname-override=cp1 --v=2"\n')
    found = survey([], kubeadm.root)
    assert found.problems == []
    assert found.kind is KUBEADM, "a kubelet's unit alone does not make it the hard way"
    kubelet = next(one for one in found.configurations if "--kubeconfig" in one.options)
    assert kubelet.node == "cp1"
    assert kubelet.options["--config"] == "/var/lib/kubelet/config.yaml"


# ---------------------------------------------------------------- other shapes of PKI


def test_easy_rsa_keeps_certificates_and_keys_apart(ca: Pair, tmp_path: Path) -> None:
    (tmp_path / "pki/private").mkdir(parents=True)
    ca.put(tmp_path / "pki/ca.crt", tmp_path / "pki/private/ca.key")
    made = certificate(name("server"), ca, uses=[SERVER], names=["server"])
    put(tmp_path / "pki/issued/server.crt", b"Certificate:\n    Data:\n        Version: 3 (0x2)\n" + made.pem)
    put(tmp_path / "pki/private/server.key", made.key_pem)
    found = survey([str(tmp_path / "pki")])
    leaf = next(use for use in found.uses if use.path.name == "server.crt")
    assert leaf.key_path == tmp_path / "pki/private/server.key"
    assert leaf.issuer_path == tmp_path / "pki/ca.crt"
    assert (leaf.role, leaf.kind) == (None, Kind.SERVER)


def test_cfssl_calls_a_key_name_key_pem(ca: Pair, tmp_path: Path) -> None:
    made = certificate(name("admin", "system:masters"), ca, uses=[CLIENT])
    made.put(tmp_path / "admin.pem", tmp_path / "admin-key.pem")
    (use,) = survey([str(tmp_path)]).uses
    assert use.key_path == tmp_path / "admin-key.pem"
    assert use.key_fits is True


def test_a_name_that_anybody_might_use_means_nothing_by_itself(ca: Pair, tmp_path: Path) -> None:
    certificate(name("admin"), ca, uses=[CLIENT]).put(tmp_path / "admin.crt")
    ca.put(tmp_path / "ca.crt")
    assert {use.role for use in survey([str(tmp_path)]).uses} == {None}
    certificate(name("system:kube-scheduler"), ca, uses=[CLIENT]).put(tmp_path / "kube-scheduler.crt")
    roles = {use.path.stem: use.role for use in survey([str(tmp_path)]).uses}
    assert roles == {"admin": Role.ADMIN, "ca": Role.CLUSTER_CA, "kube-scheduler": Role.SCHEDULER}


def test_two_cas_of_one_name_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    old, new = authority("kubernetes"), authority("kubernetes")
    old.put(tmp_path / "first/ca.crt")
    new.put(tmp_path / "new/ca.crt")
    certificate(name("user"), old, uses=[CLIENT]).put(tmp_path / "user.crt")
    leaf = next(use for use in survey([str(tmp_path)]).uses if use.path.name == "user.crt")
    assert leaf.issuer_path == tmp_path / "first/ca.crt"


def test_a_bundle_is_a_use_for_each_certificate(ca: Pair, tmp_path: Path) -> None:
    bundle = put(tmp_path / "bundle.pem", ca.pem + authority("other").pem)
    assert [use.certificate.subject.common_name for use in survey([str(bundle)]).uses] == ["Kubernetes-CA", "other"]


def test_a_kubeconfig_with_paths_relative_to_itself(ca: Pair, tmp_path: Path) -> None:
    user = certificate(name("jane"), ca, uses=[CLIENT]).put(tmp_path / "pki/jane.crt")
    text = kubeconfig(ca, None, **{"client-certificate": "pki/jane.crt", "client-key": "pki/jane.key"})
    found = survey([str(put(tmp_path / "jane.kubeconfig", text))])
    use = used(found, "client-certificate")
    assert use.path == tmp_path / "pki/jane.crt"
    assert use.key_path == tmp_path / "pki/jane.key"
    assert use.component == "kubectl"
    assert use.kubeconfig is not None
    assert use.kubeconfig.server == "https://cp1:6443"
    assert user.pem


def test_a_wrong_option_does_not_make_every_certificate_wrong(kubeadm: Kubeadm) -> None:
    manifest = kubeadm.kubernetes / "manifests/kube-apiserver.yaml"
    manifest.write_text(
        manifest.read_text().replace(
            "--client-ca-file=/etc/kubernetes/pki/ca.crt", "--client-ca-file=/etc/kubernetes/pki/etcd/ca.crt"
        )
    )
    found = survey([], kubeadm.root)
    admin = used(found, "client-certificate-data", "kubectl")
    assert admin.issuer_path != kubeadm.kubernetes / "pki/etcd/ca.crt"


def test_a_where_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        survey([str(tmp_path / "nowhere")])


# ---------------------------------------------------------------- hostile


def problems(*where: Path | str) -> dict[str, str]:
    """Return what is wrong, by file name; the time limit of the suite tells if anything hangs."""
    return {one.path.name: one.what for one in survey([str(one) for one in where]).problems}


def test_files_that_are_no_certificates(ca: Pair, tmp_path: Path) -> None:
    put(tmp_path / "empty.crt", b"")
    put(tmp_path / "rubbish.crt", os.urandom(4096))
    put(tmp_path / "large.crt", b"x" * 1024 * 1024)
    put(tmp_path / "cut.crt", ca.pem[:300])
    from cryptography.hazmat.primitives.serialization import Encoding

    put(tmp_path / "der.crt", ca.certificate.public_bytes(Encoding.DER))
    put(tmp_path / "rubbish.key", os.urandom(100))
    put(tmp_path / "notes.txt", "no business of ours")
    ca.put(tmp_path / "ca.crt")
    found = survey([str(tmp_path)])
    assert [use.path.name for use in found.uses] == ["ca.crt"]
    assert {one.path.name: one.what for one in found.problems} == dict.fromkeys(
        ["empty.crt", "rubbish.crt", "large.crt", "cut.crt", "der.crt", "rubbish.key"], "unreadable"
    )
    reasons = {one.path.name: one.reason for one in found.problems}
    assert reasons["empty.crt"] == "is empty"
    assert "cut short" in reasons["cut.crt"]
    assert "DER" in reasons["der.crt"]


def test_links_in_a_circle_and_fifos(ca: Pair, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "a.crt").symlink_to(tmp_path / "b.crt")
    (tmp_path / "b.crt").symlink_to(tmp_path / "a.crt")
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "dangling.crt").symlink_to(tmp_path / "gone.crt")
    os.mkfifo(tmp_path / "fifo.crt")
    os.mkfifo(tmp_path / "fifo")
    ca.put(tmp_path / "ca.crt")
    found = survey([str(tmp_path)])
    assert [use.path.name for use in found.uses] == ["ca.crt"]
    assert {one.path.name: one.what for one in found.problems} == {
        "a.crt": "dangling", "b.crt": "dangling", "dangling.crt": "dangling", "fifo.crt": "special",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop"])
def test_an_option_that_names_something_odd(tmp_path: Path, kind: str) -> None:
    odd = tmp_path / "odd"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to(odd)
    manifest = put(
        tmp_path / "etcd.yaml", pod("etcd", f"--cert-file={odd}", f"--key-file={odd}", f"--trusted-ca-file={odd}")
    )
    found = survey([str(manifest)])
    assert {one.option for one in found.problems} == {"--cert-file", "--key-file", "--trusted-ca-file"}
    assert found.uses == []


@pytest.mark.parametrize("value", [r"\\0", r"\\ud800.crt", r"\\udcff.crt"])
def test_a_path_that_no_file_can_have(value: str, tmp_path: Path) -> None:
    text = f'''{{"kind": "Config", "users": [{{"name": "u", "user": {{"client-certificate": "{value}"}}}}]}}'''
    (problem,) = survey([str(put(tmp_path / "config", text.replace("\\\\", "\\")))]).problems
    assert problem.what in ("missing", "unreadable")


def test_a_device_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.crt").symlink_to("/dev/zero")
    opened: list[object] = []
    system = os.open

    def watched(path: str, flags: int) -> int:
        opened.append(path)
        return system(path, flags)

    monkeypatch.setattr(os, "open", watched)
    (problem,) = survey([str(tmp_path)]).problems
    assert problem.what == "special"
    assert opened == []


@pytest.mark.thorough
def test_thousands_of_blocks_and_documents_end_somewhere(tmp_path: Path) -> None:
    put(tmp_path / "many.crt", "-----BEGIN CERTIFICATE-----\n" * 150_000)
    put(tmp_path / "headers.crt", "-----BEGIN CERTIFICATE-----\n" + "a:\n" * 1_000_000)
    put(tmp_path / "many.yaml", "kind: Pod\n---\n" * 5_000)
    reasons = {problem.path.name: problem.reason for problem in survey([str(tmp_path)]).problems}
    assert reasons.keys() == {"many.crt", "headers.crt", "many.yaml"}
    assert "more than 1000 documents" in reasons["many.yaml"]


def test_a_certificate_for_one_name_and_its_key(ca: Pair, tmp_path: Path) -> None:
    made = certificate(name("api.example"), ca, uses=[SERVER], names=["api.example"])
    made.put(tmp_path / "api.crt")
    put(tmp_path / "api.key", made.key_pem)
    both = f"{tmp_path}/api.crt,{tmp_path}/api.key:api.example,*.example"
    put(tmp_path / "manifests/kube-apiserver.yaml", pod("kube-apiserver", f"--tls-sni-cert-key={both}"))
    use = used(survey([str(tmp_path / "manifests")]), "--tls-sni-cert-key")
    assert (use.path, use.key_path, use.key_fits) == (tmp_path / "api.crt", tmp_path / "api.key", True)


def test_the_scheduler_s_configuration_names_its_kubeconfig(ca: Pair, tmp_path: Path) -> None:
    user = certificate(name("system:kube-scheduler"), ca, uses=[CLIENT])
    put(tmp_path / "scheduler.kubeconfig", kubeconfig(ca, user))
    own = f"kind: KubeSchedulerConfiguration\nclientConnection:\n  kubeconfig: {tmp_path}/scheduler.kubeconfig\n"
    put(tmp_path / "kube-scheduler.yaml", own)
    unit = f"[Service]\nExecStart=/usr/local/bin/kube-scheduler --config={tmp_path}/kube-scheduler.yaml --v=2\n"
    found = survey([str(put(tmp_path / "kube-scheduler.service", unit))])
    assert used(found, "client-certificate-data").component == "kube-scheduler"
    (tmp_path / "scheduler.kubeconfig").unlink()
    (problem,) = survey([str(tmp_path / "kube-scheduler.service")]).problems
    assert (problem.what, problem.option) == ("missing", "clientConnection.kubeconfig")


WEBHOOKS = {
    "--authentication-token-webhook-config-file": "{hook}",
    "--authorization-webhook-config-file": "{hook}",
    "--audit-webhook-config-file": "{hook}",
    "--authorization-config": """\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {{type: Node, name: node}}
- type: Webhook
  name: policy
  webhook: {{connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {hook}}}}}
""",
    "--admission-control-config-file": """\
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ImagePolicyWebhook
  configuration: {{imagePolicy: {{kubeConfigFile: {hook}, defaultAllow: false}}}}
""",
    "--admission-control-config-file, a plugin's own file": """\
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- {{name: ValidatingAdmissionWebhook, path: plugin.yaml}}
""",
}
"""How the API server is configured with a service that it calls: by a kubeconfig, or by a file that names one."""


@pytest.mark.parametrize("told", WEBHOOKS)
def test_a_webhook_s_kubeconfig_is_no_way_to_an_api_server(told: str, ca: Pair, tmp_path: Path) -> None:
    theirs = authority("Policy-CA")
    ours = certificate(name("kube-apiserver"), theirs, uses=[CLIENT])
    certificate(name("kube-apiserver"), ca, uses=[SERVER], names=["cp1"]).put(tmp_path / "pki/apiserver.crt")
    ca.put(tmp_path / "pki/ca.crt")
    # Its name begins with a: a walk through the folder meets it before it meets the manifest.
    hook = put(tmp_path / "a-hook.conf", kubeconfig(theirs, ours, "https://policy.example:8443/check"))
    hook.chmod(0o600)
    put(tmp_path / "plugin.yaml", f"kind: WebhookAdmissionConfiguration\nkubeConfigFile: {hook}\n")
    option, file = told.partition(",")[0], hook
    if WEBHOOKS[told] != "{hook}":
        file = put(tmp_path / "told.yaml", WEBHOOKS[told].format(hook=hook))
    options = (f"--tls-cert-file={tmp_path}/pki/apiserver.crt", f"--client-ca-file={tmp_path}/pki/ca.crt")
    manifest = pod("kube-apiserver", *options, f"{option}={file}")
    put(tmp_path / "manifests/kube-apiserver.yaml", manifest)
    found = survey([str(tmp_path)])
    assert found.problems == []
    assert found.kubeconfigs == []
    trusted, shown = (used(found, f"{part}-data") for part in ("certificate-authority", "client-certificate"))
    assert (trusted.component, trusted.kind, trusted.role, trusted.path) == ("kube-apiserver", Kind.CA, None, hook)
    assert (shown.component, shown.kind, shown.role, shown.key_fits) == ("kube-apiserver", Kind.CLIENT, None, True)
    hook.unlink()
    (problem,) = survey([str(tmp_path / "manifests")]).problems
    assert (problem.path, problem.what, problem.expects) == (hook, "missing", "kubeconfig")


def test_each_way_out_of_the_api_server_has_its_own_certificate(ca: Pair, tmp_path: Path) -> None:
    selections = []
    for selection in ("cluster", "etcd"):
        folder = tmp_path / selection
        certificate(name(f"way-to-{selection}"), ca, uses=[CLIENT]).put(folder / "client.crt")
        ca.put(folder / "ca.crt")
        tls = {"caBundle": "ca.crt", "clientCert": "client.crt", "clientKey": "client.key"}
        tcp = {"url": "https://proxy:8132", "tlsConfig": {one: f"{folder}/{file}" for one, file in tls.items()}}
        connection = {"proxyProtocol": "HTTPConnect", "transport": {"tcp": tcp}}
        selections.append({"name": selection, "connection": connection})
    egress = {"kind": "EgressSelectorConfiguration", "egressSelections": selections}
    put(tmp_path / "egress.yaml", yaml.safe_dump(egress))
    option = f"--egress-selector-config-file={tmp_path}/egress.yaml"
    found = survey([str(put(tmp_path / "manifests/kube-apiserver.yaml", pod("kube-apiserver", option)))])
    assert found.problems == []
    for selection in ("cluster", "etcd"):
        use = used(found, f"egressSelections.{selection}.clientCert")
        folder = tmp_path / selection
        assert (use.path, use.key_path, use.key_fits) == (folder / "client.crt", folder / "client.key", True)
        assert use.certificate.subject.common_name == f"way-to-{selection}"
        assert used(found, f"egressSelections.{selection}.caBundle").kind is Kind.CA
        assert use.source == tmp_path / "egress.yaml"


def test_an_option_that_names_a_ca_is_tied_to_the_key_beside_it(kubeadm: Kubeadm) -> None:
    found = survey([], kubeadm.root)
    assert used(found, "--etcd-cafile").key_path == kubeadm.kubernetes / "pki/etcd/ca.key"


def test_links_that_circle_below_a_root(tmp_path: Path) -> None:
    folder = tmp_path / "etc/kubernetes/pki"
    folder.mkdir(parents=True)
    (folder / "ca.crt").symlink_to("/etc/kubernetes/pki/b.crt")
    (folder / "b.crt").symlink_to("/etc/kubernetes/pki/ca.crt")
    assert {one.what for one in survey([], tmp_path).problems} == {"dangling"}


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux can root give its privileges up like this")
def test_a_folder_without_permission(ca: Pair, tmp_path: Path) -> None:
    put(tmp_path / "open/ca.crt", ca.pem)
    closed = tmp_path / "open/closed"
    closed.mkdir()
    ca.put(closed / "ca.crt")
    closed.chmod(0)
    program = (
        "from kcert.scan.discovery import survey; import sys; found = survey(sys.argv[1:]); "
        "print(len(found.uses), [one.what for one in found.problems])"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "open")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, preexec_fn=without_privileges)
    closed.chmod(0o755)
    assert done.stdout.strip() == "1 ['denied']", done.stderr


def test_a_yaml_bomb_and_other_yaml(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    put(tmp_path / "bomb.yaml", "kind: Pod\n" + "\n".join(levels) + "\n")
    put(tmp_path / "deep.yaml", "kind: Pod\nspec: " + "[" * 5000 + "\n")
    put(tmp_path / "tags.yaml", "kind: Pod\nspec: !!python/object/apply:os.system ['touch /tmp/owned']\n")
    put(tmp_path / "torn.yaml", "kind: Pod\nspec: {containers: [\n")
    put(
        tmp_path / "odd.yaml",
        "kind: Pod\nspec:\n  containers: [1, null, {command: 7}, {command: [{}], env: x}]\n  volumes: nothing\n",
    )
    put(
        tmp_path / "odd.conf",
        "kind: Config\nclusters: [1, {name: [x], cluster: 3}]\nusers: {}\ncontexts: [{context: []}]\n",
    )
    found = problems(tmp_path)
    # Aliases are read, and what they share is one object: the bomb does not go off.
    assert found == dict.fromkeys(["deep.yaml", "tags.yaml", "torn.yaml"], "unreadable")


def test_a_kubeconfig_with_data_that_is_none(ca: Pair, tmp_path: Path) -> None:
    text = kubeconfig(ca, None, **{"client-certificate-data": "!!!", "client-key-data": "AAAA"})
    found = survey([str(put(tmp_path / "admin.conf", text))])
    assert {one.option for one in found.problems} == {"client-certificate-data", "client-key-data"}
    assert [use.option for use in found.uses] == ["certificate-authority-data"]


def test_a_configuration_that_a_unit_names_counts_once(kubeadm: Kubeadm) -> None:
    put(
        kubeadm.root / "etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml "
        "--kubeconfig /etc/kubernetes/kubelet.conf\n",
    )
    found = survey([], kubeadm.root)
    assert used(found, "clientCAFile").source == kubeadm.root / "var/lib/kubelet/config.yaml"
    assert used(found, "client-certificate").component == "kubelet"


def test_files_named_one_by_one_as_a_shell_does(kubeadm: Kubeadm) -> None:
    found = survey([str(path) for path in sorted((kubeadm.kubernetes / "pki").glob("*.crt"))])
    roles = {use.path.stem: use.role for use in found.uses}
    assert roles["apiserver"] is Role.APISERVER
    assert roles["ca"] is Role.CLUSTER_CA
    leaf = next(use for use in found.uses if use.path.stem == "apiserver")
    assert leaf.key_fits is True
    assert leaf.issuer_path == kubeadm.kubernetes / "pki/ca.crt"


@pytest.mark.thorough
def test_a_file_of_many_megabytes_is_passed_over_quickly(tmp_path: Path) -> None:
    put(tmp_path / "huge.crt", b"-----BEGIN CERTIFICATE-----\n" + b"A-A" * 2_000_000)
    put(tmp_path / "begins.crt", b"-----BEGIN CERTIFICATE-----\n" * 20_000)
    begun = time.monotonic()
    assert problems(tmp_path) == {"huge.crt": "unreadable", "begins.crt": "unreadable"}
    assert time.monotonic() - begun < 20
