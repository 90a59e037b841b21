"""PKI folders that others made: harmless differences from kcert's own are accepted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509

from tests.refusals import assert_refused
from tests.zoo import course, kubeadm
from tests.zoo.issuing import Recipe, changed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Kcert

CLUSTER = """\
control_plane: [{name: controlplane01, ip: 192.168.56.11}]
nodes: [{name: node01, ip: 192.168.56.21}]
api_server: {ip: 192.168.56.11}
users: [{name: jane, groups: [developers]}]
"""

BY_HAND: dict[str, Recipe] = changed(
    course.RECIPES,
    ca={"subject": "O=Here/CN=Our own CA", "names": ("DNS:our-ca",)},
    admin={"subject": "O=system:masters/CN=administrator"},
    etcd_server={"names": ("DNS:controlplane01", "IP:192.168.56.11", "IP:127.0.0.1", "DNS:localhost")},
    kube_apiserver={
        "subject": "O=Here/CN=api",
        "names": (
            *("DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc"),
            "DNS:kubernetes.default.svc.cluster.local",
            *("DNS:controlplane01", "IP:192.168.56.11", "IP:10.96.0.1"),
        ),
    },
)
"""A folder from another tool: other names where no client looks, no SANs that no client uses, ECDSA keys."""


def lay_out(folder: Path, **changes: dict[str, object]) -> None:
    """*BY_HAND* with *changes* in ./pki, and a kcert.yaml beside it."""
    course.lay_out(folder / "pki", changed(BY_HAND, **changes))
    (folder / "kcert.yaml").write_text(CLUSTER, encoding="utf-8")


def test_all_commands_take_a_folder_whose_ca_has_a_name_of_its_own(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path)
    ca = x509.load_pem_x509_certificate((tmp_path / "pki/ca.crt").read_bytes())

    assert kcert.done("check").lines[-1].endswith("no problems found.")
    kcert.done("kubeconfig", "--no-explain")
    kcert.done("bundle", "--no-explain")

    made = yaml.safe_load((tmp_path / "pki/admin.kubeconfig").read_text())
    assert made["clusters"][0]["cluster"]["server"] == "https://192.168.56.11:6443"
    assert ca.subject.rfc4514_string() == "CN=Our own CA,O=Here"
    for component in ("etcd", "kube-apiserver", "kubelet"):
        assert kcert.done("flags", component, "--format", "flags").stderr == ""


def test_a_ca_without_its_key_will_do(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path)
    (tmp_path / "pki/ca.key").unlink()

    assert "-> jane.kubeconfig  (mode 0600)" in kcert.done("kubeconfig", "jane", "--no-explain").stdout


def test_the_key_of_a_crt_may_be_called_as_cfssl_calls_it(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path)
    for name in ("ca", "admin"):
        (tmp_path / f"pki/{name}.key").rename(tmp_path / f"pki/{name}-key.pem")

    assert {one["state"] for one in json.loads(kcert.done("plan", "--format", "json").stdout)} == {"current"}
    kcert.done("renew", "admin", "--quiet")
    assert not (tmp_path / "pki/admin.key").exists()


def test_a_ca_of_another_name_tells_that_others_made_the_folder(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path)

    assert {one["state"] for one in json.loads(kcert.done("plan", "--format", "json").stdout)} == {"current"}

    kcert.done("renew", "ca", "--quiet")
    kcert.done("renew", "kube-apiserver", "--quiet")  # kcert signs them again as they are
    assert {one["state"] for one in json.loads(kcert.done("plan", "--format", "json").stdout)} == {"current"}


def test_plan_says_what_differs_and_that_it_works(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path)
    with (tmp_path / "kcert.yaml").open("a") as config:
        config.write("adopted: false\n")

    found = {one["name"]: one for one in json.loads(kcert.done("plan", "--format", "json").stdout)}
    said = " ".join(kcert.done("all").stdout.split())

    assert (found["ca"]["state"], found["ca"]["usable"]) == ("stale", True)
    assert all(one["usable"] for one in found.values())
    assert "ca is stale, but works: its subject is 'O=Here, CN=Our own CA'" in said


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("admin", {"subject": "CN=kube-admin"}, "its subject is 'CN=kube-admin'"),
        ("admin", {"issuer": "other"}, "another CA signed it"),
        ("kube-scheduler", {"subject": "CN=kube-scheduler"}, "its subject is"),
        ("kube-scheduler", {"usages": ("serverAuth",)}, "may not be used by a client"),
        ("kubelet-client-node01", {"subject": "CN=system:node:node01/O=nodes"}, "its subject is"),
        ("jane", {"subject": "CN=jane/O=developers/O=system:masters"}, "its subject is"),
        ("jane", {"subject": "CN=john/O=developers"}, "its subject is"),
        ("jane", {"days": 0.5, "begins": -1}, "jane.crt expired on "),
        ("jane", {"key": "RSA-1024"}, "its key is RSA 1024"),
    ],
)
def test_what_would_not_work_is_refused_with_the_reason(
    tmp_path: Path, kcert: Kcert, name: str, change: dict[str, object], why: str
) -> None:
    recipes = {**BY_HAND, "other": Recipe("CN=Another CA", None, ca=True)}
    course.lay_out(tmp_path / "pki", changed(recipes, **{name: change}))
    (tmp_path / "kcert.yaml").write_text(CLUSTER, encoding="utf-8")

    ended = kcert("kubeconfig", name)

    assert_refused(ended, 2, why, f"`kcert renew {name}")
    assert "key is ECDSA" not in ended.stderr  # harmless differences are not among the reasons


def test_an_api_server_without_a_name_that_is_dialled_is_refused(tmp_path: Path, kcert: Kcert) -> None:
    lay_out(tmp_path, kube_apiserver={"names": ("DNS:kubernetes", "IP:10.96.0.1")})

    assert_refused(kcert("bundle", "controlplane01"), 2, "it lacks", "`kcert renew")


@pytest.mark.thorough
def test_in_kubeadms_own_folder_its_kubeconfigs_are_left_alone_unless_named(tmp_path: Path, kcert: Kcert) -> None:
    kubeadm.lay_out(tmp_path / "root")
    host = "[{name: controlplane01, ip: 192.168.56.11}]"
    config = f"profile: kubeadm\ncontrol_plane: {host}\nnodes: []\napi_server: {{ip: 192.168.56.11}}\n"
    (tmp_path / "kcert.yaml").write_text(config, encoding="utf-8")
    folder = tmp_path / "root/etc/kubernetes"
    before = {name: (folder / name).read_bytes() for name in ("admin.conf", "scheduler.conf", "kubelet.conf")}

    said = " ".join(kcert.done("kubeconfig", "--no-explain", "--dir", folder).stdout.split())
    clean = kcert.done("check", "--dir", folder, folder)

    assert {name: (folder / name).read_bytes() for name in before} == before
    assert "because kcert did not make them: admin.conf" in said
    assert clean.lines[-1].endswith("no problems found.")
    assert kcert.done("flags", "kube-apiserver", "--dir", folder).stderr == ""
    assert kcert.done("flags", "kubelet", "--dir", folder).stderr == ""
    assert_refused(
        kcert("kubeconfig", "kubelet", "--dir", folder), 2, "kubelet.conf names the files of its certificate"
    )
    shown = kcert.done("kubeconfig", "admin", "--output", "-", "--dir", folder).stdout
    assert yaml.safe_load(shown)["users"][0]["user"].keys() == {"client-certificate-data", "client-key-data"}


@pytest.mark.parametrize("path", [b"/etc/kubernetes/\xe9.crt", b"/etc/\0kubernetes/a.crt"], ids=["Latin-1", "NUL"])
def test_a_kubeconfig_with_a_path_that_is_not_one_is_stale(path: bytes, tmp_path: Path, kcert: Kcert) -> None:
    (tmp_path / "kcert.yaml").write_text("profile: kubeadm\n", encoding="utf-8")
    kcert.done("all", "--quiet")
    (tmp_path / "pki/kubelet.conf").write_bytes(
        b"clusters: [{cluster: {server: x}}]\nusers:\n- user:\n    client-certificate: " + path + b"\n"
    )

    (kubelet,) = (line for line in kcert.done("plan").lines if " kubelet " in line)

    assert kubelet.startswith("stale")
