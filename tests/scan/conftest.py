"""Clusters to look at, made once."""

from __future__ import annotations

import base64
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.running import Ended, Kcert
from tests.scan.made import CLIENT, SERVER, Pair, authority, certificate, name
from tests.terminal import on_terminal

APISERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "cp1", "10.96.0.1", "192.168.56.11")


def kcert(*arguments: str | Path, folder: Path | None = None, columns: int | None = None) -> Ended:
    """Run the program as a user does; with *columns*, on a terminal of that width."""
    program = Kcert(folder or Path.cwd())
    if columns is None:
        return program(*arguments)
    shown = on_terminal(program, *map(str, arguments), columns=columns)
    return Ended(shown.status, shown.text.replace("\r\n", "\n"), "")


@dataclass(frozen=True)
class Kubeadm:
    """A machine that kubeadm set up: ``root`` stands for /."""

    root: Path
    cluster_ca: Pair
    etcd_ca: Pair

    @property
    def kubernetes(self) -> Path:
        return self.root / "etc/kubernetes"


def kubeconfig(ca: Pair, user: Pair | None, server: str = "https://cp1:6443", **extra: str) -> str:
    """A kubeconfig with everything inside, or with *extra* in the user's place."""
    own: dict[str, str] = dict(extra)
    if user is not None:
        own["client-certificate-data"] = base64.b64encode(user.pem).decode()
        own["client-key-data"] = base64.b64encode(user.key_pem).decode()
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca.pem).decode()}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "users": [{"name": "it", "user": own}],
            "contexts": [{"name": "it", "context": {"cluster": "kubernetes", "user": "it"}}],
        }
    )


def pod(component: str, *options: str) -> str:
    """A static-pod manifest as kubeadm writes it."""
    container = {"name": component, "image": f"registry.k8s.io/{component}:v1.30.0", "command": [component, *options]}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": component, "namespace": "kube-system"},
            "spec": {"containers": [container], "hostNetwork": True},
        }
    )


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture(scope="session")
def _kubeadm_master(tmp_path_factory: pytest.TempPathFactory) -> Kubeadm:
    root = tmp_path_factory.mktemp("machine")
    at = root / "etc/kubernetes"
    pki = at / "pki"
    ca, etcd, front = authority("kubernetes"), authority("etcd-ca"), authority("front-proxy-ca")
    ca.put(pki / "ca.crt")
    etcd.put(pki / "etcd/ca.crt")
    front.put(pki / "front-proxy-ca.crt")
    certificate(name("kube-apiserver"), ca, uses=[SERVER], names=APISERVER_NAMES).put(pki / "apiserver.crt")
    for stem, issuer, subject in (
        ("apiserver-kubelet-client", ca, name("kube-apiserver-kubelet-client", "kubeadm:cluster-admins")),
        ("apiserver-etcd-client", etcd, name("kube-apiserver-etcd-client")),
        ("front-proxy-client", front, name("front-proxy-client")),
        ("etcd/healthcheck-client", etcd, name("kube-etcd-healthcheck-client")),
    ):
        certificate(subject, issuer, uses=[CLIENT]).put(pki / f"{stem}.crt")
    for stem in ("server", "peer"):
        made = certificate(name("cp1"), etcd, uses=[SERVER, CLIENT], names=["cp1", "localhost", "127.0.0.1", "::1"])
        made.put(pki / f"etcd/{stem}.crt")
    for stem, subject in (
        ("admin", name("kubernetes-admin", "kubeadm:cluster-admins")),
        ("controller-manager", name("system:kube-controller-manager")),
        ("scheduler", name("system:kube-scheduler")),
    ):
        put(at / f"{stem}.conf", kubeconfig(ca, certificate(subject, ca, uses=[CLIENT]))).chmod(0o600)

    rotated = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    links = {"client-certificate": rotated, "client-key": rotated}
    put(at / "kubelet.conf", kubeconfig(ca, None, **links))
    kubelet = certificate(name("system:node:cp1", "system:nodes"), ca, uses=[CLIENT])
    old = certificate(name("system:node:cp1", "system:nodes"), ca, uses=[CLIENT], days=-0.01)
    own = root / "var/lib/kubelet/pki"
    put(own / "kubelet-client-2025-01-01-00-00-00.pem", old.pem + old.key_pem)
    put(own / "kubelet-client-2026-01-01-00-00-00.pem", kubelet.pem + kubelet.key_pem)
    (own / "kubelet-client-current.pem").symlink_to("/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem")
    self_made = authority("cp1-ca@1700000000")
    serving = certificate(name("cp1@1700000000"), self_made, uses=[SERVER], names=["cp1"])
    put(own / "kubelet.crt", serving.pem + self_made.pem)
    put(own / "kubelet.key", serving.key_pem)
    put(
        root / "var/lib/kubelet/config.yaml",
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
        "authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\nrotateCertificates: true\n",
    )

    folder = "/etc/kubernetes/pki"
    put(
        at / "manifests/kube-apiserver.yaml",
        pod(
            "kube-apiserver",
            f"--client-ca-file={folder}/ca.crt",
            f"--tls-cert-file={folder}/apiserver.crt",
            f"--tls-private-key-file={folder}/apiserver.key",
            f"--etcd-cafile={folder}/etcd/ca.crt",
            f"--etcd-certfile={folder}/apiserver-etcd-client.crt",
            f"--etcd-keyfile={folder}/apiserver-etcd-client.key",
            f"--kubelet-client-certificate={folder}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={folder}/apiserver-kubelet-client.key",
            f"--requestheader-client-ca-file={folder}/front-proxy-ca.crt",
            f"--proxy-client-cert-file={folder}/front-proxy-client.crt",
            f"--proxy-client-key-file={folder}/front-proxy-client.key",
            "--service-cluster-ip-range=10.96.0.0/12",
        ),
    )
    put(
        at / "manifests/kube-controller-manager.yaml",
        pod(
            "kube-controller-manager",
            "--kubeconfig=/etc/kubernetes/controller-manager.conf",
            "--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf",
            f"--cluster-signing-cert-file={folder}/ca.crt",
            f"--cluster-signing-key-file={folder}/ca.key",
            f"--root-ca-file={folder}/ca.crt",
        ),
    )
    put(at / "manifests/kube-scheduler.yaml", pod("kube-scheduler", "--kubeconfig=/etc/kubernetes/scheduler.conf"))
    put(
        at / "manifests/etcd.yaml",
        pod(
            "etcd",
            f"--cert-file={folder}/etcd/server.crt",
            f"--key-file={folder}/etcd/server.key",
            f"--trusted-ca-file={folder}/etcd/ca.crt",
            f"--peer-cert-file={folder}/etcd/peer.crt",
            f"--peer-key-file={folder}/etcd/peer.key",
            f"--peer-trusted-ca-file={folder}/etcd/ca.crt",
            "--client-cert-auth=true",
        ),
    )
    return Kubeadm(root, ca, etcd)


@pytest.fixture
def kubeadm(_kubeadm_master: Kubeadm, tmp_path: Path) -> Kubeadm:
    """A copy of its own for each test: below another folder, as one would bring it home."""
    root = tmp_path / "copy"
    shutil.copytree(_kubeadm_master.root, root, symlinks=True)
    return Kubeadm(root, _kubeadm_master.cluster_ca, _kubeadm_master.etcd_ca)
