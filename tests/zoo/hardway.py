"""A cluster set up the hard way: one CA, systemd units, one host that is control plane and node at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.zoo.issuing import Recipe, Workshop, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST = "controlplane01"
NODE = "node01"
ADDRESS = "192.168.56.11"
BALANCER = "192.168.56.30"
RANGE = "10.96.0.0/16"
PKI = "/var/lib/kubernetes/pki"

_BOTH = ("serverAuth", "clientAuth")

RECIPES: dict[str, Recipe] = {
    "ca": Recipe("CN=KUBERNETES-CA/O=Kubernetes", None, ca=True, days=1000),
    "admin": Recipe("CN=admin/O=system:masters", usages=("clientAuth",)),
    "kube-controller-manager": Recipe(
        "CN=system:kube-controller-manager/O=system:kube-controller-manager", usages=("clientAuth",)
    ),
    "kube-scheduler": Recipe("CN=system:kube-scheduler/O=system:kube-scheduler", usages=("clientAuth",)),
    "kube-proxy": Recipe("CN=system:kube-proxy/O=system:node-proxier", usages=("clientAuth",)),
    "kube-apiserver": Recipe(
        "CN=kube-apiserver/O=Kubernetes",
        usages=("serverAuth",),
        names=(
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            f"DNS:{HOST}",
            "IP:10.96.0.1",
            f"IP:{ADDRESS}",
            f"IP:{BALANCER}",
            "IP:127.0.0.1",
        ),
    ),
    "apiserver-kubelet-client": Recipe("CN=kube-apiserver-kubelet-client/O=system:masters", usages=("clientAuth",)),
    "etcd-server": Recipe(
        "CN=etcd-server/O=Kubernetes",
        usages=_BOTH,
        names=(f"DNS:{HOST}", f"IP:{ADDRESS}", "DNS:localhost", "IP:127.0.0.1"),
    ),
    "service-account": Recipe("CN=service-accounts/O=Kubernetes", usages=("clientAuth",)),
    NODE: Recipe(f"CN=system:node:{NODE}/O=system:nodes", usages=_BOTH, names=(f"DNS:{NODE}", "IP:192.168.56.21")),
}

LOCAL = "https://127.0.0.1:6443"
BALANCED = f"https://{BALANCER}:6443"
SERVERS = {
    "admin": LOCAL,
    "kube-controller-manager": LOCAL,
    "kube-scheduler": LOCAL,
    "kube-proxy": BALANCED,
    NODE: BALANCED,
}

OPTIONS: dict[str, dict[str, str]] = {
    "etcd": {
        "--name": HOST,
        "--cert-file": "/etc/etcd/etcd-server.crt",
        "--key-file": "/etc/etcd/etcd-server.key",
        "--peer-cert-file": "/etc/etcd/etcd-server.crt",
        "--peer-key-file": "/etc/etcd/etcd-server.key",
        "--trusted-ca-file": "/etc/etcd/ca.crt",
        "--peer-trusted-ca-file": "/etc/etcd/ca.crt",
        "--peer-client-cert-auth": "true",
        "--client-cert-auth": "true",
        "--listen-client-urls": f"https://{ADDRESS}:2379,https://127.0.0.1:2379",
        "--advertise-client-urls": f"https://{ADDRESS}:2379",
        "--data-dir": "/var/lib/etcd",
    },
    "kube-apiserver": {
        "--advertise-address": ADDRESS,
        "--authorization-mode": "Node,RBAC",
        "--client-ca-file": f"{PKI}/ca.crt",
        "--etcd-cafile": f"{PKI}/ca.crt",
        "--etcd-certfile": f"{PKI}/etcd-server.crt",
        "--etcd-keyfile": f"{PKI}/etcd-server.key",
        "--etcd-servers": f"https://{ADDRESS}:2379",
        "--kubelet-certificate-authority": f"{PKI}/ca.crt",
        "--kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt",
        "--kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
        "--service-account-key-file": f"{PKI}/service-account.crt",
        "--service-account-signing-key-file": f"{PKI}/service-account.key",
        "--service-account-issuer": f"https://{BALANCER}:6443",
        "--service-cluster-ip-range": RANGE,
        "--tls-cert-file": f"{PKI}/kube-apiserver.crt",
        "--tls-private-key-file": f"{PKI}/kube-apiserver.key",
    },
    "kube-controller-manager": {
        "--cluster-name": "kubernetes",
        "--cluster-signing-cert-file": f"{PKI}/ca.crt",
        "--cluster-signing-key-file": f"{PKI}/ca.key",
        "--kubeconfig": "/var/lib/kubernetes/kube-controller-manager.kubeconfig",
        "--root-ca-file": f"{PKI}/ca.crt",
        "--service-account-private-key-file": f"{PKI}/service-account.key",
        "--service-cluster-ip-range": RANGE,
    },
    "kube-scheduler": {"--kubeconfig": "/var/lib/kubernetes/kube-scheduler.kubeconfig", "--leader-elect": "true"},
    "kubelet": {
        "--config": "/var/lib/kubelet/kubelet-config.yaml",
        "--kubeconfig": "/var/lib/kubelet/kubelet.kubeconfig",
        "--hostname-override": NODE,
    },
    "kube-proxy": {"--config": "/var/lib/kube-proxy/kube-proxy-config.yaml"},
}

KUBELET_CONFIGURATION = f"""\
kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  x509:
    clientCAFile: "{PKI}/ca.crt"
clusterDomain: cluster.local
tlsCertFile: "{PKI}/{NODE}.crt"
tlsPrivateKeyFile: "{PKI}/{NODE}.key"
"""

PROXY_CONFIGURATION = """\
kind: KubeProxyConfiguration
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kube-proxy.kubeconfig
mode: iptables
"""

_ETCD_FILES = ("ca", "etcd-server")


def lay_out(
    root: Path,
    recipes: Mapping[str, Recipe] = RECIPES,
    *,
    options: Mapping[str, Mapping[str, str]] | None = None,
    servers: Mapping[str, str] | None = None,
    authority: str = "ca",
) -> Workshop:
    """The hosts of a cluster, all below one *root*; *options* and *servers* are laid over the usual ones."""
    workshop = Workshop(recipes)
    for name in RECIPES:
        put(root / PKI[1:] / f"{name}.crt", workshop[name].crt)
        put(root / PKI[1:] / f"{name}.key", workshop[name].pkcs8, 0o600)
    for name in _ETCD_FILES:
        put(root / f"etc/etcd/{name}.crt", workshop[name].crt)
    put(root / "etc/etcd/etcd-server.key", workshop["etcd-server"].pkcs8, 0o600)
    for name, server in {**SERVERS, **(servers or {})}.items():
        text = kubeconfig(server=server, authority=workshop[authority].crt, user=workshop[name])
        put(root / kubeconfig_path(name), text, 0o600)
    put(root / "var/lib/kubelet/kubelet-config.yaml", KUBELET_CONFIGURATION)
    put(root / "var/lib/kube-proxy/kube-proxy-config.yaml", PROXY_CONFIGURATION)
    for component, own in OPTIONS.items():
        merged = {**own, **(options or {}).get(component, {})}
        put(root / f"etc/systemd/system/{component}.service", unit(component, merged))
    return workshop


def kubeconfig_path(name: str) -> str:
    """The path of a kubeconfig, below the root."""
    if name == "kube-proxy":
        return "var/lib/kube-proxy/kube-proxy.kubeconfig"
    if name == NODE:
        return "var/lib/kubelet/kubelet.kubeconfig"
    return f"var/lib/kubernetes/{name}.kubeconfig"


def unit(component: str, options: Mapping[str, str]) -> str:
    """A systemd unit with an option a line, as all guides print it."""
    command = " \\\n  ".join([f"/usr/local/bin/{component}", *(f"{name}={value}" for name, value in options.items())])
    return f"""\
[Unit]
Description={component}
After=network.target

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
