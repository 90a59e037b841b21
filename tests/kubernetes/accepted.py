"""Which options and which fields of configuration files the releases of Kubernetes accept, written down by hand.

An option that is accepted and ignored counts as removed: it warns, and a later release does not start with it.

Where the facts are from, with the files of https://github.com/kubernetes/kubernetes:

- both ends: control planes of 1.20.2 and 1.36.2 started with the options and the files that kcert writes. An option
  that both accept was not missing between them, because none of these was ever taken out and put in again
- kube-apiserver: cmd/kubeadm/app/phases/controlplane/manifests.go passes the same options, except those for encryption
- kube-controller-manager: the same file; cmd/kube-controller-manager/app/options/csrsigningcontroller.go has
  --cluster-signing-cert-file and -key-file, which exclude the options for a single signer
- kubelet: cmd/kubelet/app/options/options.go; these are its own flags, which --config does not replace
- kube-proxy: cmd/kube-proxy/app/options.go, where --hostname-override counts beside --config, and most others do not
- etcd: etcdmain/config.go of 3.1 to 3.5 and server/embed/config.go of 3.7, in https://github.com/etcd-io/etcd
- fields: kubelet/config/v1beta1, kube-proxy/config/v1alpha1, kube-scheduler/config/v1* and apiserver/config/v1, each
  in types.go below staging/src/k8s.io
- removals: the pull request beside each, and CHANGELOG-1.*.md
"""

from __future__ import annotations

from typing import Any

OLDEST, NEWEST = 20, 37

_WINDOWS: dict[str, dict[str, tuple[int, int]]] = {
    "kube-controller-manager": {"--port": (0, 22)},  # kubernetes/kubernetes#96216
    "kube-scheduler": {"--port": (0, 23)},  # kubernetes/kubernetes#96345
    # --container-runtime: removed in 1.27, needed until dockershim went in 1.24; the endpoint is a field since 1.27.
    "kubelet": {"--container-runtime": (0, 24), "--container-runtime-endpoint": (0, 27)},
}
"""Options with the first release that accepts them and the first that does not."""

_ALWAYS = {
    "etcd": """
        --name --data-dir --cert-file --key-file --trusted-ca-file --client-cert-auth
        --peer-cert-file --peer-key-file --peer-trusted-ca-file --peer-client-cert-auth
        --listen-client-urls --advertise-client-urls --listen-peer-urls --initial-advertise-peer-urls
        --initial-cluster --initial-cluster-token --initial-cluster-state --listen-metrics-urls""",
    "kube-apiserver": """
        --advertise-address --secure-port --tls-cert-file --tls-private-key-file --client-ca-file
        --etcd-servers --etcd-cafile --etcd-certfile --etcd-keyfile
        --kubelet-certificate-authority --kubelet-client-certificate --kubelet-client-key
        --kubelet-preferred-address-types
        --service-account-key-file --service-account-signing-key-file --service-account-issuer
        --proxy-client-cert-file --proxy-client-key-file --requestheader-client-ca-file --requestheader-allowed-names
        --requestheader-username-headers --requestheader-group-headers --requestheader-extra-headers-prefix
        --encryption-provider-config --authorization-mode --enable-admission-plugins --enable-bootstrap-token-auth
        --allow-privileged --service-cluster-ip-range""",
    "kube-controller-manager": """
        --kubeconfig --authentication-kubeconfig --authorization-kubeconfig --bind-address
        --cluster-signing-cert-file --cluster-signing-key-file --controllers --root-ca-file --client-ca-file
        --requestheader-client-ca-file --service-account-private-key-file --use-service-account-credentials
        --leader-elect --cluster-name --service-cluster-ip-range""",
    "kube-scheduler": """
        --config --kubeconfig --authentication-kubeconfig --authorization-kubeconfig --bind-address --leader-elect""",
    "kube-proxy": "--config --hostname-override",
    "kubelet": "--config --kubeconfig --bootstrap-kubeconfig --hostname-override --node-ip",
}


def options(component: str, minor: int) -> set[str]:
    """The options that *component* accepts in the release 1.*minor*."""
    windows = _WINDOWS.get(component, {})
    return {*_ALWAYS[component].split(), *(name for name, (since, until) in windows.items() if since <= minor < until)}


_KUBELET = {
    "authentication": {
        "anonymous": {"enabled": bool},
        "webhook": {"enabled": bool},
        "x509": {"clientCAFile": str},
    },
    "authorization": {"mode": str},
    "cgroupDriver": str,
    "clusterDNS": [str],
    "clusterDomain": str,
    "containerRuntimeEndpoint": str,
    "rotateCertificates": bool,
    "serverTLSBootstrap": bool,
    "staticPodPath": str,
    "tlsCertFile": str,
    "tlsPrivateKeyFile": str,
}
_SINCE = {"containerRuntimeEndpoint": 27}  # kubernetes/kubernetes#112136
_KEYS = {"keys": [{"name": str, "secret": str}]}
_ENCRYPTION = {
    "resources": [
        {"resources": [str], "providers": [{"aescbc": _KEYS, "secretbox": _KEYS, "identity": {}}]},
    ]
}
_PROXY = {"clientConnection": {"kubeconfig": str}, "mode": str}
_SCHEDULER = {"clientConnection": {"kubeconfig": str}, "leaderElection": {"leaderElect": bool}}


def _scheduler_versions(minor: int) -> set[str]:
    windows = {"v1beta1": (19, 23), "v1beta2": (22, 28), "v1beta3": (23, 29), "v1": (25, 99)}
    return {name for name, (since, until) in windows.items() if since <= minor < until}


def unknown_fields(document: dict[str, Any], minor: int) -> list[str]:
    """Return what strict decoding would refuse in the configuration file *document*, in the release 1.*minor*."""
    fields: dict[str, Any]
    match document["apiVersion"].split("/"), document["kind"]:
        case ["kubelet.config.k8s.io", "v1beta1"], "KubeletConfiguration":
            fields = {name: type_ for name, type_ in _KUBELET.items() if _SINCE.get(name, 0) <= minor}
        case ["kubeproxy.config.k8s.io", "v1alpha1"], "KubeProxyConfiguration":
            fields = _PROXY
        case ["kubescheduler.config.k8s.io", version], "KubeSchedulerConfiguration" if version in _scheduler_versions(
            minor
        ):
            fields = _SCHEDULER
        case ["apiserver.config.k8s.io", "v1"], "EncryptionConfiguration":
            fields = _ENCRYPTION
        case other:
            return [f"no type {other}"]
    return list(_unknown(document, {"apiVersion": str, "kind": str, **fields}, ""))


def _unknown(value: Any, type_: Any, path: str) -> list[str]:
    """*type_* is a type, a map of fields, or a list with the type of its items."""
    if isinstance(type_, dict):
        if not isinstance(value, dict):
            return [path]
        wrong = [f"{path}.{key}" for key in value if key not in type_]
        return wrong + [
            name for key in value if key in type_ for name in _unknown(value[key], type_[key], f"{path}.{key}")
        ]
    if isinstance(type_, list):
        if not isinstance(value, list):
            return [path]
        return [name for number, entry in enumerate(value) for name in _unknown(entry, type_[0], f"{path}[{number}]")]
    return [] if type(value) is type_ else [path]
