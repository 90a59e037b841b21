"""Kinds of clusters as data: where each keeps its certificates, what each file is, who signs and who renews.

Everything that has to know how K3s, kubeadm or MicroK8s differ reads ``KINDS``. To add a kind, add an entry.
Sources: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/,
https://docs.k3s.io/cli/certificate, https://docs.rke2.io/security/certificates, https://docs.k0sproject.io,
https://microk8s.io/docs/command-reference, https://rke.docs.rancher.com/cert-mgmt, https://kops.sigs.k8s.io,
https://docs.openshift.com/container-platform/latest/security/certificate_types_descriptions/ and the projects' source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from kcert.certificates import Role
from kcert.clusters.kind import ClusterKind
from kcert.roles import CA_ROLES, ROLES

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")

_KUBEADM_FILES: dict[str, Role | None] = {
    f"/{spec.kubeadm}.crt": role
    for role, spec in ROLES.items()
    if spec.kubeadm.startswith("pki/") and role is not Role.SERVICE_ACCOUNT_KEY
}
KUBEADM_NAMES = {
    path: path.removeprefix("/pki/").removesuffix(".crt").replace("/", "-")
    for path, role in _KUBEADM_FILES.items()
    if role not in CA_ROLES
} | {
    f"/etc/kubernetes/{name}.conf": f"{name}.conf"
    for name in ("admin", "super-admin", "controller-manager", "scheduler")
}
"""The name of each file for `kubeadm certs renew`."""

_KUBEADM_RESTART = (
    "move the manifests of kube-apiserver, kube-controller-manager, kube-scheduler and etcd out of "
    "/etc/kubernetes/manifests for 20 seconds, one after the other"
)


def _rancher(name: str, title: str, unit: str) -> ClusterKind:
    """K3s and RKE2, which share their code: a CA for servers, another for clients, the CA behind each certificate."""
    home = f"/var/lib/rancher/{name}"
    tls = f"{home}/server/tls"
    # Of each file its role, and the service by which `certificate rotate` knows it.
    known: dict[str, tuple[Role, str]] = {
        "/etcd/server-ca.crt": (Role.ETCD_CA, ""),
        "/etcd/peer-ca.crt": (Role.ETCD_CA, ""),
        "/client-ca.crt": (Role.CLUSTER_CA, ""),
        "/server-ca.crt": (Role.CLUSTER_CA, ""),
        "/request-header-ca.crt": (Role.FRONT_PROXY_CA, ""),
        "/serving-kube-apiserver.crt": (Role.APISERVER, "api-server"),
        "/client-kube-apiserver.crt": (Role.APISERVER_KUBELET_CLIENT, "api-server"),
        "/client-auth-proxy.crt": (Role.FRONT_PROXY_CLIENT, "auth-proxy"),
        "/client-admin.crt": (Role.ADMIN, "admin"),
        f"/etc/rancher/{name}/{name}.yaml": (Role.ADMIN, "admin"),
        "/client-supervisor.crt": (Role.USER, f"{name}-server"),
        "/client-controller.crt": (Role.CONTROLLER_MANAGER, "controller-manager"),
        "/client-scheduler.crt": (Role.SCHEDULER, "scheduler"),
        "/client-kube-proxy.crt": (Role.PROXY, "kube-proxy"),
        f"/client-{name}-controller.crt": (Role.USER, f"{name}-controller"),
        f"/client-{name}-cloud-controller.crt": (Role.USER, "cloud-controller"),
        "/etcd/server-client.crt": (Role.ETCD_SERVER, ""),
        "/etcd/peer-server-client.crt": (Role.ETCD_PEER, ""),
        "/etcd/client.crt": (Role.APISERVER_ETCD_CLIENT, ""),
        "/kube-controller-manager/kube-controller-manager.crt": (Role.CONTROLLER_MANAGER_SERVER, "controller-manager"),
        "/kube-scheduler/kube-scheduler.crt": (Role.SCHEDULER_SERVER, "scheduler"),
        "/client-kubelet.crt": (Role.KUBELET_CLIENT, "kubelet"),
        "/serving-kubelet.crt": (Role.KUBELET_SERVER, "kubelet"),
    }
    services = {path: service for path, (_, service) in known.items() if service}
    return ClusterKind(
        name=name,
        title=title,
        marks=(f"/etc/rancher/{name}", tls, f"{home}/agent"),
        places=(f"/etc/rancher/{name}", tls, f"{home}/server/cred", f"{home}/agent"),
        files={path: role for path, (role, _) in known.items()},
        homes=(f"/var/lib/rancher/{name}", f"/etc/rancher/{name}"),
        stems=("serving-kube-apiserver", "client-kube-apiserver", "client-supervisor") if name == "k3s" else (),
        cas=("client-ca.crt", "server-ca.crt"),
        renew=f"systemctl stop {unit} && {name} certificate rotate --service NAME; systemctl start {unit}",
        renew_all=f"systemctl stop {unit} && {name} certificate rotate; systemctl start {unit}",
        renewal_names={**services, "/admin.kubeconfig": "admin", "/tls/etcd/*.crt": "etcd"},
        renewal=f"{title} renews what expires within 120 days (90 in old releases) each time it starts.",
        restart=f"systemctl restart {unit}",
        unit=unit,
        logs=dict.fromkeys(COMPONENTS if name == "k3s" else ("kubelet",), (unit, f"{name}-agent")),
        powerful=("system:admin", f"system:{name}-supervisor", "system:apiserver", f"{name}-supervisor"),
        sans=f"add it to tls-san in /etc/rancher/{name}/config.yaml and run `systemctl restart {unit}`",
    )


K3S = _rancher("k3s", "K3s", "k3s")
RKE2 = _rancher("rke2", "RKE2", "rke2-server")

K0S = ClusterKind(
    name="k0s",
    title="k0s",
    marks=("/var/lib/k0s/pki", "/etc/k0s"),
    places=("/var/lib/k0s/pki", "/var/lib/k0s/kubelet/pki", "/var/lib/k0s/kubelet.conf"),
    files={
        **_KUBEADM_FILES,
        "/pki/admin.crt": Role.ADMIN,
        "/pki/server.crt": Role.APISERVER,
        "/pki/ccm.crt": Role.CONTROLLER_MANAGER,
        "/pki/scheduler.crt": Role.SCHEDULER,
        "/pki/ccm.conf": Role.CONTROLLER_MANAGER,
        "/pki/konnectivity.crt": Role.USER,
        "/pki/konnectivity.conf": Role.USER,
        "/pki/k0s-api.crt": None,
    },
    homes=("/var/lib/k0s",),
    renew="k0s stop && k0s start",
    renew_all="k0s stop && k0s start",
    renewal_names={"/var/lib/k0s/pki/*.crt": "all", "/var/lib/k0s/pki/*.conf": "all"},
    renewal="k0s re-creates every certificate except the CAs each time a controller starts.",
    restart="k0s stop && k0s start",
    key_mode=0o640,
    unit="k0scontroller",
    logs=dict.fromkeys(COMPONENTS, ("k0scontroller", "k0sworker")),
    powerful=("kubernetes-admin", "kubernetes-konnectivity", "apiserver-kubelet-client"),
    sans="add it to spec.api.sans in /etc/k0s/k0s.yaml and run `k0s stop && k0s start`",
)

MICROK8S = ClusterKind(
    name="microk8s",
    title="MicroK8s",
    marks=("/var/snap/microk8s/current",),
    places=("/var/snap/microk8s/current/certs", "/var/snap/microk8s/current/credentials"),
    files={
        "/certs/ca.crt": Role.CLUSTER_CA,
        "/certs/server.crt": Role.APISERVER,
        "/certs/front-proxy-ca.crt": Role.FRONT_PROXY_CA,
        "/certs/front-proxy-client.crt": Role.FRONT_PROXY_CLIENT,
        "/certs/kubelet.crt": Role.KUBELET_SERVER,
        "/certs/apiserver-kubelet-client.crt": Role.APISERVER_KUBELET_CLIENT,
        "/certs/client.crt": Role.ADMIN,
        "/certs/controller.crt": Role.CONTROLLER_MANAGER,
        "/certs/scheduler.crt": Role.SCHEDULER,
        "/certs/proxy.crt": Role.PROXY,
        "/credentials/client.config": Role.ADMIN,
        "/credentials/controller.config": Role.CONTROLLER_MANAGER,
        "/credentials/scheduler.config": Role.SCHEDULER,
        "/credentials/proxy.config": Role.PROXY,
        "/credentials/kubelet.config": Role.KUBELET_CLIENT,
    },
    homes=("/var/snap/microk8s",),
    options="/var/snap/microk8s/current/args",
    variables={
        "SNAP_DATA": "/var/snap/microk8s/current",
        "SNAP_COMMON": "/var/snap/microk8s/common",
        "SNAP": "/snap/microk8s/current",
    },
    renew="microk8s refresh-certs --cert NAME",
    renew_all="microk8s refresh-certs --cert server.crt && microk8s refresh-certs --cert front-proxy-client.crt",
    renewal_names={f"/certs/{name}": name for name in ("server.crt", "front-proxy-client.crt")},
    renewal="MicroK8s renews nothing by itself; `microk8s refresh-certs --check` shows the remaining time.",
    restart="microk8s stop && microk8s start",
    key_mode=0o660,  # group microk8s, whose members may do everything in the cluster
    unit="snap.microk8s.daemon-kubelite",
    logs={
        **dict.fromkeys(COMPONENTS, ("snap.microk8s.daemon-kubelite",)),
        "etcd": ("snap.microk8s.daemon-k8s-dqlite", "snap.microk8s.daemon-etcd"),
    },
    powerful=("admin", "kubelet-apiserver-client", "apiserver-kubelet-client"),
    sans="add it to [ alt_names ] in /var/snap/microk8s/current/certs/csr.conf.template",
)

MINIKUBE = ClusterKind(
    name="minikube",
    title="minikube",
    marks=("/var/lib/minikube/certs", "~/.minikube/ca.crt"),
    places=("/var/lib/minikube/certs", "/var/lib/minikube/kubeconfig", "~/.minikube"),
    files={
        **{name.replace("/pki/", "/certs/"): role for name, role in _KUBEADM_FILES.items()},
        "/.minikube/ca.crt": Role.CLUSTER_CA,
        "/proxy-client-ca.crt": Role.FRONT_PROXY_CA,
        "/profiles/*/apiserver.crt*": Role.APISERVER,
        "/profiles/*/client.crt": Role.ADMIN,
        "/proxy-client.crt": Role.FRONT_PROXY_CLIENT,
        "/.minikube/certs/*.pem": None,  # of the machine's Docker, not of the cluster
        "/.minikube/machines/*": None,
    },
    homes=("/var/lib/minikube", "/.minikube"),
    renew="minikube start",
    renew_all="minikube start",
    renewal_names={"/.minikube/profiles/*": "all", "/var/lib/minikube/certs/*": "all"},
    renewal="`minikube start` renews expired certificates (--cert-expiration sets their lifetime).",
    restart="minikube stop && minikube start",
    unit="kubelet",
    powerful=("minikube-user", "kubernetes-admin", "minikube", "aggregator"),
    sans="run `minikube start` with --apiserver-ips or --apiserver-names",
)

OPENSHIFT = ClusterKind(
    name="openshift",
    title="OpenShift",
    marks=("/etc/kubernetes/static-pod-resources/kube-apiserver-certs",),
    places=(
        *(f"/etc/kubernetes/{name}" for name in ("static-pod-resources", "kubeconfig", "kubelet-ca.crt", "ca.crt")),
        *("/var/lib/kubelet/pki", "/var/lib/kubelet/kubeconfig"),
    ),
    files={
        "/secrets/kubelet-client/tls.crt": Role.APISERVER_KUBELET_CLIENT,
        "/secrets/aggregator-client/tls.crt": Role.FRONT_PROXY_CLIENT,
        "/secrets/etcd-client/tls.crt": Role.APISERVER_ETCD_CLIENT,
        "/configmaps/aggregator-client-ca/ca-bundle.crt": Role.FRONT_PROXY_CA,
        "/etcd-certs/secrets/etcd-all-certs/etcd-peer-*.crt": Role.ETCD_PEER,
        "/etcd-certs/secrets/etcd-all-certs/etcd-serving-*.crt": Role.ETCD_SERVER,
        # Each answers to other names: the service's, the node's, the load balancer's.
        "/kube-apiserver-certs/secrets/*-serving-*/tls.crt": None,
    },
    homes=("/static-pod-resources",),
    cas=("ca-bundle.crt", ""),
    renewal="OpenShift's operators renew every certificate of the control plane; pending requests of kubelets are "
    "approved with `oc adm certificate approve NAME`.",
    renew_all="oc adm ocp-certificates regenerate-leaf -A --all",
    unit="kubelet",
    powerful=("system:admin",),
)

RKE1 = ClusterKind(
    name="rke1",
    title="RKE1",
    marks=("/etc/kubernetes/ssl/kube-ca.pem",),
    places=("/etc/kubernetes/ssl",),
    files={
        "/ssl/kube-ca.pem": Role.CLUSTER_CA,
        "/ssl/kube-apiserver.pem": Role.APISERVER,
        "/ssl/kube-apiserver-requestheader-ca.pem": Role.FRONT_PROXY_CA,
        "/ssl/kube-apiserver-proxy-client.pem": Role.FRONT_PROXY_CLIENT,
        "/ssl/kube-controller-manager.pem": Role.CONTROLLER_MANAGER,
        "/ssl/kube-scheduler.pem": Role.SCHEDULER,
        "/ssl/kube-proxy.pem": Role.PROXY,
        "/ssl/kube-node.pem": Role.USER,  # CN system:node on every node: RKE has no node authorizer
        "/ssl/kube-service-account-token.pem": Role.SERVICE_ACCOUNT,
        "/ssl/kube-etcd-*.pem": Role.ETCD_SERVER,
    },
    homes=("/etc/kubernetes/ssl/kube-",),
    stems=("kube-apiserver-requestheader-ca", "kube-apiserver-proxy-client"),
    renew="rke cert rotate --service NAME",
    renew_all="rke cert rotate",
    renewal_names={
        **{f"/ssl/{name}.pem": name for name in COMPONENTS if name.startswith("kube-")},
        "/ssl/kube-node.pem": "kubelet",
        "/ssl/kube-etcd-*.pem": "etcd",
    },
    renewal="RKE renews nothing by itself; `rke cert rotate` does, on the machine that has cluster.yml.",
    logs={name: (f"docker {name}",) for name in COMPONENTS},
    powerful=("kube-admin",),
    sans="add it to authentication.sans in cluster.yml and run `rke up`",
)

KUBESPRAY = ClusterKind(
    name="kubespray",
    title="kubespray",
    marks=("/etc/ssl/etcd/ssl", "/usr/local/bin/k8s-certs-renew.sh"),
    places=("/etc/kubernetes", "/etc/ssl/etcd", "/etc/etcd.env"),
    files={
        **{name.replace("/pki/", "/ssl/"): role for name, role in _KUBEADM_FILES.items() if "/etcd/" not in name},
        "/ssl/etcd/ssl/ca.pem": Role.ETCD_CA,
        "/ssl/etcd/ssl/member-*.pem": Role.ETCD_SERVER,
        "/ssl/etcd/ssl/admin-*.pem": Role.ETCD_CLIENT,
        "/ssl/etcd/ssl/node-*.pem": Role.APISERVER_ETCD_CLIENT,
    },
    homes=("/etc/ssl/etcd/ssl", "/etc/kubernetes/ssl"),
    renew="kubeadm certs renew NAME",
    renew_all="/usr/local/bin/k8s-certs-renew.sh",
    renewal_names={
        **KUBEADM_NAMES,
        **{name.replace("/pki/", "/ssl/"): known for name, known in KUBEADM_NAMES.items() if "/etcd/" not in name},
    },
    renewal="k8s-certs-renew.timer runs k8s-certs-renew.sh where auto_renew_certificates is set; etcd's certificates "
    "come from the playbook cluster.yml.",
    restart=_KUBEADM_RESTART,
    unit="kubelet",
)

KOPS = ClusterKind(
    name="kops",
    title="kops",
    marks=("/srv/kubernetes", "/opt/kops"),
    places=(
        *("/srv/kubernetes", "/etc/kubernetes", "~/.kube/config"),
        *(f"/var/lib/{name}" for name in ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")),
    ),
    files={
        "/srv/kubernetes/ca.crt": Role.CLUSTER_CA,
        "/kube-apiserver/server.crt": Role.APISERVER,
        "/kube-apiserver/apiserver-aggregator.cert": Role.FRONT_PROXY_CLIENT,
        "/kube-apiserver/apiserver-aggregator.crt": Role.FRONT_PROXY_CLIENT,
        "/kube-apiserver/apiserver-aggregator-ca.crt": Role.FRONT_PROXY_CA,
        "/kube-apiserver/etcd-ca.crt": Role.ETCD_CA,
        "/kube-apiserver/etcd-client.crt": Role.APISERVER_ETCD_CLIENT,
        "/kube-apiserver/kubelet-api.crt": Role.APISERVER_KUBELET_CLIENT,
        "/srv/kubernetes/kubelet-server.crt": Role.KUBELET_SERVER,
    },
    homes=("/srv/kubernetes",),
    renew_all="kops rolling-update cluster --yes --force",
    logs={name: (f"/var/log/{name}.log",) for name in COMPONENTS if name not in ("etcd", "kubelet")},
    renewal="nodeup re-creates the certificates whenever a machine is replaced.",
    unit="kubelet",
    powerful=("kubecfg",),
)

TYPHOON = ClusterKind(
    name="typhoon",
    title="Typhoon",
    marks=("/etc/kubernetes/pki/etcd-client-ca.crt", "/opt/bootstrap/assets"),
    places=("/etc/kubernetes", "/etc/ssl/etcd", "/opt/bootstrap/assets"),
    files={
        "/pki/etcd-client-ca.crt": Role.ETCD_CA,
        "/pki/etcd-client.crt": Role.APISERVER_ETCD_CLIENT,
        "/pki/aggregation-ca.crt": Role.FRONT_PROXY_CA,
        "/pki/aggregation-client.crt": Role.FRONT_PROXY_CLIENT,
        "/etcd/server-ca.crt": Role.ETCD_CA,
        "/etcd/peer-ca.crt": Role.ETCD_CA,
        "/etcd/server.crt": Role.ETCD_SERVER,
        "/etcd/peer.crt": Role.ETCD_PEER,
        **_KUBEADM_FILES,
    },
    homes=("/opt/bootstrap/assets", "/pki/etcd-client-ca.crt"),
    stems=("etcd-client-ca", "aggregation-ca"),
    renew_all="terraform apply",
    renewal="Terraform creates the certificates; `terraform apply -replace=ADDRESS` re-creates one.",
    unit="kubelet",
)

KUBEADM = ClusterKind(
    name="kubeadm",
    title="kubeadm",
    marks=("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/manifests", "/etc/kubernetes/kubelet.conf"),
    places=("/etc/kubernetes", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki"),
    files=_KUBEADM_FILES,
    renew="kubeadm certs renew NAME",
    renew_all="kubeadm certs renew all",
    renewal_names=KUBEADM_NAMES,
    renewal="`kubeadm upgrade` renews the certificates of the control plane; the kubelet renews its own.",
    restart=_KUBEADM_RESTART,
    unit="kubelet",
    powerful=("kubernetes-super-admin", "docker-for-desktop"),  # Docker Desktop runs kubeadm
    sans="add it to apiServer.certSANs of kubeadm, and let kubeadm issue the certificate again",
)

KIND = replace(
    KUBEADM,
    name="kind",
    title="kind",
    marks=("/kind",),
    renewal="Inside the node's container (`docker exec -it NODE bash`) everything is as kubeadm leaves it.",
    powerful=(),
)

HARD_WAY = ClusterKind(
    name="hardway",
    title="the hard way",
    marks=("/var/lib/kubernetes", "/etc/etcd/kubernetes.pem", "/etc/etcd/etcd-server.crt"),
    places=(
        *("/var/lib/kubernetes", "/var/lib/kube-proxy", "/etc/etcd"),
        *("/var/lib/kubelet/kubelet-config.yaml", "/var/lib/kubelet/kubeconfig"),
    ),
    restart="systemctl restart kube-apiserver kube-controller-manager kube-scheduler",
)

KINDS: dict[str, ClusterKind] = {
    kind.name: kind
    for kind in (
        K3S, RKE2, K0S, MICROK8S, MINIKUBE, OPENSHIFT, RKE1, KUBESPRAY, KOPS, TYPHOON, KIND, KUBEADM, HARD_WAY,
    )
}  # fmt: skip
"""Every kind by its name. The order is that of detection: a kind that builds on kubeadm comes before it."""

_HOMES = {home: kind for kind in KINDS.values() for home in kind.homes}
_PART = re.compile("|".join(re.escape(part) for part in sorted(_HOMES, key=len, reverse=True)))


def cluster_kind_of(path: Path) -> ClusterKind | None:
    """Return the kind whose files are at *path*, as far as the path alone shows it; None if it does not."""
    return _kind_of(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118 - a quarter of what Path.absolute takes


@cache
def _kind_of(path: str) -> ClusterKind | None:
    match = _PART.search(path)
    return _HOMES[match[0]] if match else None


def kind_of_machine(root: Path, homes: Iterable[Path]) -> ClusterKind | None:
    """Return the kind of cluster that is installed on the machine whose ``/`` is at *root*; None for no known one."""
    folders = tuple(homes)
    return next((kind for kind in KINDS.values() if kind.is_on(root, folders)), None)
