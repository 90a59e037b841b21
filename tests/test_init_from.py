"""The kcert.yaml of `kcert init --from` loads again, and with it nothing of a healthy cluster is stale."""

from __future__ import annotations

import ipaddress
import re
import resource
import shutil
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from kcert import profiles
from kcert.errors import InputError
from kcert.issue.adopt import detect_files
from kcert.issue.describe import describe
from kcert.issue.status import CertificateStatus, State, status_of
from tests.running import Kcert, representatives
from tests.scan.conftest import kcert
from tests.zoo import kinds, kubeadm, makers
from tests.zoo.issuing import changed

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.config import Cluster

YAML = """\
profile: {profile}
api_server: {{host: lb.example.com, ip: {ip}, port: 6443}}
service_cidr: {services}
control_plane: {control_plane}
nodes: [{{name: node01, ip: 192.168.56.21}}]
etcd: {etcd}
users: [{{name: jane, groups: [developers]}}]
key: {{algorithm: ecdsa, curve: P-256}}
"""
USUAL = {
    "profile": "course",
    "ip": "192.168.56.30",
    "services": "10.96.0.0/16",
    "control_plane": "[{name: cp1, ip: 192.168.56.11}, {name: cp2, ip: 192.168.56.12}]",
    "etcd": "[]",
}
DUAL = {
    "ip": '[192.168.56.30, "fd00::30"]',
    "services": '[10.96.0.0/16, "fd00:10:96::/112"]',
    "control_plane": '[{name: cp1, ip: [192.168.56.11, "fd00::11"]}]',
}
ETCD = {"etcd": "[{name: etcd1, ip: 192.168.56.51}, {name: etcd2, ip: 192.168.56.52}]"}
DOTTED = {"control_plane": "[{name: cp1.corp.example, ip: 192.168.56.11}]"}


def described(folder: Path, file: Path) -> tuple[Cluster, dict[str, CertificateStatus]]:
    """Write the kcert.yaml that describes *folder* to *file*, load it, and compare it with what is there."""
    description = describe(folder, profiles.load(None))
    file.write_text(description.text())
    cluster = profiles.load(file)
    return cluster, status_of(description.root, detect_files(description.root, profiles.certificates(cluster)))


@pytest.mark.parametrize(
    "change",
    representatives(
        [DUAL, {"profile": "kubeadm", **ETCD}, {"profile": "kelsey"}, ETCD, DOTTED, {"profile": "kubeadm", **DUAL}],
    ),
    ids=["dual-stack", "kubeadm-etcd", "kelsey", "etcd", "dotted", "kubeadm-dual-stack"],
)
def test_what_kcert_made_is_current_again(change: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(YAML.format(**{**USUAL, **change}))
    made = kcert("all", "--quiet", "--config", "first.yaml", "--dir", "pki", folder=tmp_path)
    assert made.status == 0, made.stderr
    cluster, statuses = described(tmp_path / "pki", tmp_path / "second.yaml")
    assert {name: status.reason for name, status in statuses.items() if status.state is not State.CURRENT} == {}
    if "etcd" in change:
        assert [host.name for host in cluster.etcd] == ["etcd1", "etcd2"]
        assert [host.name for host in cluster.control_plane] == ["cp1", "cp2"]


@pytest.mark.parametrize("kind", ["kubeadm", "kubespray", "hardway"])
def test_nothing_of_another_tool_s_cluster_is_stale(kind: str, tmp_path: Path) -> None:
    kinds.lay_out(kind, tmp_path)
    folder = {"hardway": "var/lib/kubernetes/pki"}
    _, statuses = described(tmp_path / folder.get(kind, "etc/kubernetes"), tmp_path / "kcert.yaml")
    assert {name: status.reason for name, status in statuses.items() if status.state is State.STALE} == {}
    if kind == "kubeadm":
        assert statuses["kubelet"].x509


def test_the_certificate_that_a_kubelet_should_have_renewed_is_expired(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, kubelet={"begins": -400}))
    _, statuses = described(tmp_path / "etc/kubernetes", tmp_path / "kcert.yaml")
    assert statuses["kubelet"].state is State.EXPIRED


OTHERS = {"k3s": ("var/lib/rancher/k3s/server/tls", "K3s"), "rke1": ("etc/kubernetes/ssl", "RKE1")}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_cluster_that_no_profile_fits_is_named(kind: str, tmp_path: Path) -> None:
    kinds.lay_out(kind, tmp_path)
    folder, title = OTHERS[kind]
    with pytest.raises(
        InputError, match=f"certificates are those of {title}, and no profile of kcert.yaml has its file"
    ):
        described(tmp_path / folder, tmp_path / "kcert.yaml")


def test_copies_of_the_folders_of_several_hosts_are_not_taken_for_one_pki_folder(tmp_path: Path) -> None:
    for host in ("cp1", "cp2"):
        kinds.lay_out("kubeadm", tmp_path / f"{host}-disk")
        (tmp_path / f"{host}-disk/etc/kubernetes").rename(tmp_path / host)
    run = kcert("init", "--from", ".", folder=tmp_path)
    assert run.status == 2
    assert "the certificates of several hosts (cp1/pki, cp2/pki). Use the folder of one of them." in " ".join(
        run.stderr.split()
    )
    assert not (tmp_path / "kcert.yaml").exists()


def test_kubeadm_s_folder_is_found_in_the_root_of_a_host(tmp_path: Path) -> None:
    kinds.lay_out("kubeadm", tmp_path / "host")
    run = kcert("init", "--from", "host", folder=tmp_path)
    assert run.status == 0, run.stderr
    assert "certificates in host/etc/kubernetes: 0 match" not in (words := " ".join(run.stdout.split()))
    assert "kcert plan --dir host/etc/kubernetes" in words


def test_copies_beside_kubeadm_s_pki_do_not_hide_it(tmp_path: Path) -> None:
    kinds.lay_out("kubeadm", tmp_path / "disk")
    (tmp_path / "disk/etc/kubernetes").rename(tmp_path / "kubernetes")
    shutil.copytree(tmp_path / "kubernetes/pki", tmp_path / "kubernetes/pki-2025")
    run = kcert("init", "--from", "kubernetes", folder=tmp_path)
    assert run.status == 0, run.stderr
    assert "profile: kubeadm" in (tmp_path / "kcert.yaml").read_text()


def test_kelsey_hightower_s_pages_are_described(tmp_path: Path) -> None:
    makers.hightower(tmp_path / "pki")
    cluster, statuses = described(tmp_path / "pki", tmp_path / "kcert.yaml")
    assert (cluster.profile, cluster.dns_domain, cluster.control_plane[0].name) == ("kelsey", "cluster.local", "server")
    assert {name: status.reason for name, status in statuses.items() if status.state is State.STALE} == {}


def test_sans_that_kcert_yaml_cannot_have_are_omitted(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.now(timezone.utc)
    elements = (
        (0x82, b"kubernetes.default"),
        (0x82, b"cp1"),
        (0x82, b"CP_1"),
        (0x87, bytes(5)),
        (0x87, b"\x0a\0\0\x05"),
    )
    sans = b"".join(bytes((tag, len(content))) + content for tag, content in elements)
    extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes((0x30, len(sans))) + sans)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9))
    certificate = builder.add_extension(extension, critical=True).sign(key, hashes.SHA256())
    (tmp_path / "apiserver.crt").write_bytes(certificate.public_bytes(Encoding.PEM))

    cluster, _ = described(tmp_path, tmp_path / "kcert.yaml")

    assert [(host.name, host.addresses) for host in cluster.control_plane] == [("cp1", ("10.0.0.5",))]
    assert cluster.api_server.extra_sans == ()
    text = (tmp_path / "kcert.yaml").read_text()
    assert "# Not certain: the SAN 'IP:<invalid: 0000000000>' is omitted, because kcert.yaml cannot have it." in text
    assert "# Not certain: the SAN 'DNS:CP_1' is omitted" in text


def test_a_difference_that_clients_notice_is_stale(tmp_path: Path) -> None:
    kinds.lay_out("kubeadm", tmp_path)
    file = tmp_path / "kcert.yaml"
    described(tmp_path / "etc/kubernetes", file)
    file.write_text(file.read_text().replace("192.168.56.11", "192.168.56.99"))
    cluster = profiles.load(file)
    statuses = status_of(tmp_path / "etc/kubernetes", profiles.certificates(cluster))
    assert "IP:192.168.56.99" in statuses["apiserver"].reason
    assert statuses["apiserver"].state is State.STALE


@pytest.mark.parametrize(
    ("file", "old", "new", "note"),
    [
        ("admin.conf", "https://.*", '"https://[::1"', "the API server 'https://[::1'"),
        ("admin.conf", "https://.*", "https://cp1:99999", "the API server 'https://cp1:99999'"),
        ("admin.conf", "https://.*", '"https://{a}_b:6443"', "the API server 'https://{a}_b:6443'"),
        ("manifests/kube-*.yaml", "ip-range=.*", "ip-range=foo", "the service range 'foo'"),
        ("manifests/kube-*.yaml", "ip-range=.*", "ip-range=10.96.0.1/12", "the service range '10.96.0.1/12'"),
        ("manifests/kube-*.yaml", "ip-range=.*", "ip-range=\n- --cluster-domain=a..b", "the domain 'a..b'"),
    ],
    ids=["ipv6", "port", "host", "no-range", "not-the-first", "domain"],
)
def test_what_kcert_yaml_cannot_have_is_omitted(file: str, old: str, new: str, note: str, tmp_path: Path) -> None:
    kinds.lay_out("kubeadm", tmp_path)
    folder = tmp_path / "etc/kubernetes"
    for path in folder.glob(file):
        path.write_text(re.sub(old, new, path.read_text()))
    cluster, _ = described(folder, tmp_path / "kcert.yaml")
    assert (cluster.profile, cluster.dns_domain) == ("kubeadm", "cluster.local")
    assert (
        f"# Not certain: {note} is omitted, because kcert.yaml cannot have it." in (tmp_path / "kcert.yaml").read_text()
    )


def test_keys_lifetimes_and_addresses_that_kcert_yaml_cannot_have_are_replaced(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - old clusters have such
    now = datetime.now(timezone.utc)
    names = [x509.DNSName("kubernetes.default"), x509.DNSName("cp1")]
    addresses = (x509.IPAddress(ipaddress.ip_address(address)) for address in ("224.0.0.1", "10.0.0.5"))
    usual = x509.SubjectAlternativeName([*names, *addresses])
    for stem, groups, days in (("ca", (), 40_000), ("apiserver", (), 39_000), ("jane", ("team a", " b"), 39_000)):
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, stem)]
        parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject, issuer = x509.Name(parts), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 1, now, now + timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(stem == "ca", None), critical=True)
        if stem == "apiserver":
            builder = builder.add_extension(usual, critical=False)
        if stem == "jane":
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        (tmp_path / f"{stem}.crt").write_bytes(pem)

    cluster, _ = described(tmp_path, tmp_path / "kcert.yaml")

    assert cluster.control_plane[0].addresses == ("10.0.0.5",)
    assert (cluster.days.ca, cluster.days.leaf, cluster.key.bits) == (36_500, 36_500, 2048)
    assert [(user.name, user.groups) for user in cluster.users] == [("jane", ("team a",))]
    text = (tmp_path / "kcert.yaml").read_text()
    for omitted in (
        "the group ' b' of jane",
        "the key RSA 1024",
        "the lifetime of 40000 days",
        "the SAN 'IP:224.0.0.1'",
    ):
        assert f"# Not certain: {omitted} is omitted, because kcert.yaml cannot have it." in text


def test_a_description_that_has_to_be_corrected_names_the_line(tmp_path: Path) -> None:
    kinds.lay_out("kubeadm", tmp_path)
    for manifest in (tmp_path / "etc/kubernetes/manifests").glob("kube-*.yaml"):
        manifest.write_text(re.sub("ip-range=.*", "ip-range=192.168.56.0/24", manifest.read_text()))
    run = kcert("init", "--from", "etc/kubernetes", folder=tmp_path)
    assert run.status == 2
    words = " ".join(run.stderr.split())
    assert "kcert.yaml:18: service_cidr: the services' range 192.168.56.0/24 contains 192.168.56.11" in words
    assert "service_cidr: 192.168.56.0/24" in (tmp_path / "kcert.yaml").read_text()


@pytest.mark.parametrize("source", [(), ("--from", "pki")], ids=["example", "from"])
def test_a_full_disk_leaves_no_kcert_yaml(source: tuple[str, ...], tmp_path: Path) -> None:
    assert kcert("all", "--quiet", folder=tmp_path).status == 0
    run = Kcert(tmp_path)("init", *source, preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)))
    assert run.status == 3
    assert "kcert.yaml cannot be written: File too large." in " ".join(run.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["pki"]
