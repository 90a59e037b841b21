"""A cluster as kubeadm leaves it on a control-plane host, in all its healthy peculiarities.

The CAs have kubeadm's own names, etcd's certificates the host's; there is no ``localhost`` among the API server's
names; with dual stack only the first family's service address is; a bootstrap kubeconfig is named and gone.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from tests.zoo.issuing import Recipe, Workshop, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST = "controlplane01"
ADDRESS = "192.168.56.11"
SERVER = f"https://{ADDRESS}:6443"
RANGE = "10.96.0.0/16"

_BOTH = ("serverAuth", "clientAuth")
_ETCD_NAMES = (f"DNS:{HOST}", "DNS:localhost", f"IP:{ADDRESS}", "IP:127.0.0.1", "IP:::1")

RECIPES: dict[str, Recipe] = {
    "ca": Recipe("CN=kubernetes", None, ca=True, names=("DNS:kubernetes",), days=3650),
    "apiserver": Recipe(
        "CN=kube-apiserver",
        "ca",
        usages=("serverAuth",),
        names=(
            f"DNS:{HOST}",
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "IP:10.96.0.1",
            f"IP:{ADDRESS}",
        ),
    ),
    "apiserver-kubelet-client": Recipe(
        "O=kubeadm:cluster-admins/CN=kube-apiserver-kubelet-client", "ca", usages=("clientAuth",)
    ),
    "front-proxy-ca": Recipe("CN=front-proxy-ca", None, ca=True, names=("DNS:front-proxy-ca",), days=3650),
    "front-proxy-client": Recipe("CN=front-proxy-client", "front-proxy-ca", usages=("clientAuth",)),
    "etcd-ca": Recipe("CN=etcd-ca", None, ca=True, names=("DNS:etcd-ca",), days=3650),
    "etcd-server": Recipe(f"CN={HOST}", "etcd-ca", usages=_BOTH, names=_ETCD_NAMES),
    "etcd-peer": Recipe(f"CN={HOST}", "etcd-ca", usages=_BOTH, names=_ETCD_NAMES),
    "etcd-healthcheck-client": Recipe("CN=kube-etcd-healthcheck-client", "etcd-ca", usages=("clientAuth",)),
    "apiserver-etcd-client": Recipe("CN=kube-apiserver-etcd-client", "etcd-ca", usages=("clientAuth",)),
    "sa": Recipe("CN=unused", None),
    "admin": Recipe("O=kubeadm:cluster-admins/CN=kubernetes-admin", "ca", usages=("clientAuth",)),
    "super-admin": Recipe("O=system:masters/CN=kubernetes-super-admin", "ca", usages=("clientAuth",)),
    "controller-manager": Recipe("CN=system:kube-controller-manager", "ca", usages=("clientAuth",)),
    "scheduler": Recipe("CN=system:kube-scheduler", "ca", usages=("clientAuth",)),
    "kubelet": Recipe(f"O=system:nodes/CN=system:node:{HOST}", "ca", usages=("clientAuth",)),
    "kubelet-serving-ca": Recipe(f"CN={HOST}-ca@1732412345", None, ca=True),
    "kubelet-serving": Recipe(
        f"CN={HOST}@1732412345", "kubelet-serving-ca", usages=("serverAuth",), names=(f"DNS:{HOST}",)
    ),
}

OLD: dict[str, dict[str, object]] = {
    "apiserver-kubelet-client": {"subject": "O=system:masters/CN=kube-apiserver-kubelet-client"},
    "apiserver-etcd-client": {"subject": "O=system:masters/CN=kube-apiserver-etcd-client"},
    "etcd-healthcheck-client": {"subject": "O=system:masters/CN=kube-etcd-healthcheck-client"},
    "admin": {"subject": "O=system:masters/CN=kubernetes-admin"},
    "ca": {"serial": 1},
}
"""What releases before 1.29 did otherwise."""

PKI_FILES = {
    "ca": "ca",
    "apiserver": "apiserver",
    "apiserver-kubelet-client": "apiserver-kubelet-client",
    "front-proxy-ca": "front-proxy-ca",
    "front-proxy-client": "front-proxy-client",
    "etcd-ca": "etcd/ca",
    "etcd-server": "etcd/server",
    "etcd-peer": "etcd/peer",
    "etcd-healthcheck-client": "etcd/healthcheck-client",
    "apiserver-etcd-client": "apiserver-etcd-client",
}

PKI = "/etc/kubernetes/pki"

OPTIONS: dict[str, dict[str, str]] = {
    "etcd": {
        "--advertise-client-urls": f"https://{ADDRESS}:2379",
        "--cert-file": f"{PKI}/etcd/server.crt",
        "--client-cert-auth": "true",
        "--data-dir": "/var/lib/etcd",
        "--key-file": f"{PKI}/etcd/server.key",
        "--listen-client-urls": f"https://127.0.0.1:2379,https://{ADDRESS}:2379",
        "--name": HOST,
        "--peer-cert-file": f"{PKI}/etcd/peer.crt",
        "--peer-client-cert-auth": "true",
        "--peer-key-file": f"{PKI}/etcd/peer.key",
        "--peer-trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "--trusted-ca-file": f"{PKI}/etcd/ca.crt",
    },
    "kube-apiserver": {
        "--advertise-address": ADDRESS,
        "--authorization-mode": "Node,RBAC",
        "--client-ca-file": f"{PKI}/ca.crt",
        "--etcd-cafile": f"{PKI}/etcd/ca.crt",
        "--etcd-certfile": f"{PKI}/apiserver-etcd-client.crt",
        "--etcd-keyfile": f"{PKI}/apiserver-etcd-client.key",
        "--etcd-servers": "https://127.0.0.1:2379",
        "--kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt",
        "--kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
        "--proxy-client-cert-file": f"{PKI}/front-proxy-client.crt",
        "--proxy-client-key-file": f"{PKI}/front-proxy-client.key",
        "--requestheader-allowed-names": "front-proxy-client",
        "--requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "--service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "--service-account-key-file": f"{PKI}/sa.pub",
        "--service-account-signing-key-file": f"{PKI}/sa.key",
        "--service-cluster-ip-range": RANGE,
        "--tls-cert-file": f"{PKI}/apiserver.crt",
        "--tls-private-key-file": f"{PKI}/apiserver.key",
    },
    "kube-controller-manager": {
        "--authentication-kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "--authorization-kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "--client-ca-file": f"{PKI}/ca.crt",
        "--cluster-name": "kubernetes",
        "--cluster-signing-cert-file": f"{PKI}/ca.crt",
        "--cluster-signing-key-file": f"{PKI}/ca.key",
        "--controllers": "*,bootstrapsigner,tokencleaner",
        "--kubeconfig": "/etc/kubernetes/controller-manager.conf",
        "--requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "--root-ca-file": f"{PKI}/ca.crt",
        "--service-account-private-key-file": f"{PKI}/sa.key",
        "--service-cluster-ip-range": RANGE,
        "--use-service-account-credentials": "true",
    },
    "kube-scheduler": {
        "--authentication-kubeconfig": "/etc/kubernetes/scheduler.conf",
        "--authorization-kubeconfig": "/etc/kubernetes/scheduler.conf",
        "--kubeconfig": "/etc/kubernetes/scheduler.conf",
        "--leader-elect": "true",
    },
}

_DROP_IN = """\
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS={}"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""

_KUBECONFIGS = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
_FLAGS = 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock"\n'

_KUBELET_CONFIGURATION = """\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
"""


def lay_out(
    root: Path,
    recipes: Mapping[str, Recipe] = RECIPES,
    *,
    options: Mapping[str, Mapping[str, str]] | None = None,
    server: str = SERVER,
    authority: str = "ca",
) -> Workshop:
    """A control-plane host below *root*.

    *options* are laid over kubeadm's own, a component at a time; the kubeconfigs dial *server*, and trust the
    certificate called *authority*.
    """
    workshop = Workshop(recipes)
    kubernetes = root / "etc/kubernetes"
    for name, stem in PKI_FILES.items():
        put(kubernetes / f"pki/{stem}.crt", workshop[name].crt)
        put(kubernetes / f"pki/{stem}.key", workshop[name].traditional, 0o600)
    put(kubernetes / "pki/sa.key", workshop["sa"].traditional, 0o600)
    put(kubernetes / "pki/sa.pub", workshop["sa"].public, 0o600)
    for name in ("admin", "super-admin", "controller-manager", "scheduler"):
        text = kubeconfig(server=server, authority=workshop[authority].crt, user=workshop[name])
        put(kubernetes / f"{name}.conf", text, 0o600)
    for component, own in OPTIONS.items():
        merged = {**own, **(options or {}).get(component, {})}
        put(kubernetes / f"manifests/{component}.yaml", manifest(component, merged), 0o600)
    lay_out_kubelet(root, workshop, server=server, authority=authority)
    return workshop


def lay_out_kubelet(root: Path, workshop: Workshop, *, server: str = SERVER, authority: str = "ca") -> None:
    """The kubelet of the host, with the client certificate that it renews itself, and the serving one it made."""
    folder = root / "var/lib/kubelet/pki"
    current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    put(
        root / "etc/kubernetes/kubelet.conf",
        kubeconfig(
            server=server,
            authority=workshop[authority].crt,
            paths={"client-certificate": current, "client-key": current},
        ),
        0o600,
    )
    put(
        folder / "kubelet-client-2026-11-24-03-27-10.pem",
        workshop["kubelet"].crt + workshop["kubelet"].traditional,
        0o600,
    )
    (folder / "kubelet-client-current.pem").symlink_to("/var/lib/kubelet/pki/kubelet-client-2026-11-24-03-27-10.pem")
    put(folder / "kubelet.crt", workshop["kubelet-serving"].crt + workshop["kubelet-serving-ca"].crt)
    put(folder / "kubelet.key", workshop["kubelet-serving"].traditional, 0o600)
    put(root / "var/lib/kubelet/config.yaml", _KUBELET_CONFIGURATION)
    put(root / "var/lib/kubelet/kubeadm-flags.env", _FLAGS)
    put(
        root / "etc/systemd/system/kubelet.service",
        "[Unit]\nDescription=kubelet\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n",
    )
    put(root / "etc/systemd/system/kubelet.service.d/10-kubeadm.conf", _DROP_IN.format(_KUBECONFIGS))


def manifest(component: str, options: Mapping[str, str]) -> str:
    """A static-pod manifest."""
    command = "\n".join(f"    - {name}={value}" for name, value in options.items())
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {component}
    tier: control-plane
  name: {component}
  namespace: kube-system
spec:
  containers:
  - command:
    - {component}
{command}
    image: registry.k8s.io/{component}:v1.34.0
    name: {component}
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {{}}
"""


def embedded(path: Path, key: str) -> bytes:
    """Return what a kubeconfig holds under *key*, decoded."""
    line = next(line for line in path.read_text().splitlines() if line.strip().startswith(f"{key}:"))
    return base64.b64decode(line.split(": ", 1)[1])


__all__ = ["ADDRESS", "HOST", "OLD", "OPTIONS", "PKI", "RANGE", "RECIPES", "SERVER", "embedded", "lay_out"]
