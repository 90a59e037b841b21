"""The options of components that name files: the table of pki.md, "Where components name their files".

Source: the reference pages of the components, https://kubernetes.io/docs/reference/command-line-tools-reference/,
and https://etcd.io/docs/latest/op-guide/configuration/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kcert.certificates import Kind, Role

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "etcd")


Holds = Literal[
    "certificate",
    "certificate and key",
    "key",
    "authority",
    "public key",
    "kubeconfig",
    "webhook",
    "configuration",
]


@dataclass(frozen=True)
class FileOption:
    """An option that names a file: what is in it, and for a certificate which option names its key."""

    holds: Holds
    role: Role | None = None
    kind: Kind = Kind.CA
    key: str | None = None
    may_be_missing: bool = False


def _authority(role: Role | None, key: str | None = None) -> FileOption:
    return FileOption("authority", role, Kind.CA, key)


def _certificate(role: Role | None, kind: Kind, key: str) -> FileOption:
    return FileOption("certificate", role, kind, key)


_KEY = FileOption("key")
_KUBECONFIG = FileOption("kubeconfig")
_WEBHOOK = FileOption("webhook")
"""A kubeconfig with which the API server connects to another service."""
_CONFIGURATION = FileOption("configuration")


def _server(role: Role) -> dict[str, FileOption]:
    """Return what every component that serves HTTPS takes."""
    return {
        "--tls-cert-file": _certificate(role, Kind.SERVER, "--tls-private-key-file"),
        "--tls-private-key-file": _KEY,
        "--client-ca-file": _authority(Role.CLUSTER_CA),
    }


_DELEGATED = {
    "--kubeconfig": _KUBECONFIG,
    "--authentication-kubeconfig": _KUBECONFIG,
    "--authorization-kubeconfig": _KUBECONFIG,
    "--requestheader-client-ca-file": _authority(Role.FRONT_PROXY_CA),
}
_EGRESS = {
    f"egressSelections.{selection}.{name}": option
    for selection in ("controlplane", "master", "cluster", "etcd")
    for name, option in {
        "caBundle": _authority(None),
        "clientCert": _certificate(None, Kind.CLIENT, f"egressSelections.{selection}.clientKey"),
        "clientKey": _KEY,
    }.items()
}
"""Each way out of the API server goes through a proxy of its own:
https://kubernetes.io/docs/reference/config-api/apiserver-config.v1beta1/#apiserver-k8s-io-v1beta1-TLSConfig"""

_SIGNERS = ("", "-kubelet-serving", "-kubelet-client", "-kube-apiserver-client", "-legacy-unknown")

FILE_OPTIONS: dict[str, dict[str, FileOption]] = {
    "kube-apiserver": {
        **_server(Role.APISERVER),
        "--etcd-cafile": _authority(Role.ETCD_CA),
        "--etcd-certfile": _certificate(Role.APISERVER_ETCD_CLIENT, Kind.CLIENT, "--etcd-keyfile"),
        "--etcd-keyfile": _KEY,
        "--kubelet-certificate-authority": _authority(Role.CLUSTER_CA),
        "--kubelet-client-certificate": _certificate(
            Role.APISERVER_KUBELET_CLIENT, Kind.CLIENT, "--kubelet-client-key"
        ),
        "--kubelet-client-key": _KEY,
        "--requestheader-client-ca-file": _authority(Role.FRONT_PROXY_CA),
        "--proxy-client-cert-file": _certificate(Role.FRONT_PROXY_CLIENT, Kind.CLIENT, "--proxy-client-key-file"),
        "--proxy-client-key-file": _KEY,
        "--service-account-key-file": FileOption("public key", Role.SERVICE_ACCOUNT, Kind.CLIENT),
        "--service-account-signing-key-file": _KEY,
        "--oidc-ca-file": _authority(None),
        "--tls-sni-cert-key": FileOption("certificate and key", None, Kind.SERVER),
        "--authentication-token-webhook-config-file": _WEBHOOK,
        "--authorization-webhook-config-file": _WEBHOOK,
        "--audit-webhook-config-file": _WEBHOOK,
        "--authorization-config": _CONFIGURATION,
        "authorizers.webhook.connectionInfo.kubeConfigFile": _WEBHOOK,
        "--admission-control-config-file": _CONFIGURATION,
        "plugins.path": _CONFIGURATION,
        "imagePolicy.kubeConfigFile": _WEBHOOK,
        "kubeConfigFile": _WEBHOOK,
        "--egress-selector-config-file": _CONFIGURATION,
        **_EGRESS,
    },
    "kube-controller-manager": {
        **_server(Role.CONTROLLER_MANAGER_SERVER),
        **_DELEGATED,
        **{
            f"--cluster-signing{signer}-cert-file": _authority(Role.CLUSTER_CA, f"--cluster-signing{signer}-key-file")
            for signer in _SIGNERS
        },
        **{f"--cluster-signing{signer}-key-file": _KEY for signer in _SIGNERS},
        "--root-ca-file": _authority(Role.CLUSTER_CA),
        "--service-account-private-key-file": _KEY,
    },
    "kube-scheduler": {
        **_server(Role.SCHEDULER_SERVER),
        **_DELEGATED,
        "--config": _CONFIGURATION,
        "clientConnection.kubeconfig": _KUBECONFIG,
    },
    "kube-proxy": {"--kubeconfig": _KUBECONFIG, "--config": _CONFIGURATION, "clientConnection.kubeconfig": _KUBECONFIG},
    "kubelet": {
        **_server(Role.KUBELET_SERVER),
        "--kubeconfig": _KUBECONFIG,
        # Named by kubeadm's drop-in, and gone once the node has joined.
        "--bootstrap-kubeconfig": FileOption("kubeconfig", may_be_missing=True),
        "--config": _CONFIGURATION,
        "clientCAFile": _authority(Role.CLUSTER_CA),
        "tlsCertFile": _certificate(Role.KUBELET_SERVER, Kind.SERVER, "tlsPrivateKeyFile"),
        "tlsPrivateKeyFile": _KEY,
    },
    "etcd": {
        "--config-file": _CONFIGURATION,
        "--cert-file": _certificate(Role.ETCD_SERVER, Kind.SERVER, "--key-file"),
        "--key-file": _KEY,
        "--trusted-ca-file": _authority(Role.ETCD_CA),
        "--peer-cert-file": _certificate(Role.ETCD_PEER, Kind.PEER, "--peer-key-file"),
        "--peer-key-file": _KEY,
        "--peer-trusted-ca-file": _authority(Role.ETCD_CA),
    },
}
