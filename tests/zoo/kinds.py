"""Machines of other kinds of clusters, as those leave them: certificates, keys, kubeconfigs, manifests, option files.

A line of a layout is the file without its ending, the CA that signs it (``-``: itself), the subject, the usages (``s``
for servers, ``c`` for clients) and the SANs. Sources: the source code and the documentation of each project, as in
``kcert/clusters/__init__.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.zoo import hardway, kubeadm
from tests.zoo.issuing import Recipe, Workshop, kubeconfig, put

if TYPE_CHECKING:
    from pathlib import Path

T = "server/tls"
CERTS = "kube-apiserver-certs"
SERVICE = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
LOCAL = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Layout:
    """What a machine of one kind holds.

    ``crt`` and ``key`` are the endings of its files, ``chain`` puts the CA behind each certificate. ``kubeconfigs`` are
    lines of a file, the CA, and a certificate of ``files``; ``pods`` maps manifests to the options of a component;
    ``texts`` are further files.
    """

    home: str
    files: str
    crt: str = ".crt"
    key: str = ".key"
    chain: bool = False
    key_mode: int = 0o600
    kubeconfigs: str = ""
    pods: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def lay_out(self, root: Path) -> Workshop:
        """Write all of it below *root*, and return who made the certificates."""
        recipes, homes = {}, {}
        for name, issuer, subject, usages, sans in map(_columns, self.files.strip().splitlines()):
            wanted = tuple(usage for letter, usage in (("s", "serverAuth"), ("c", "clientAuth")) if letter in usages)
            names = tuple(sans.split(",")) if sans else ()
            recipes[name] = Recipe(
                subject, None if issuer == "-" else issuer, ca=issuer == "-", usages=wanted, names=names, days=3650
            )
            homes[name] = f"{self.home}/{name}"
        workshop = Workshop(recipes)
        for name, recipe in recipes.items():
            behind = workshop[recipe.issuer].crt if self.chain and recipe.issuer else b""
            put(root / f"{homes[name]}{self.crt}", workshop[name].crt + behind)
            put(root / f"{homes[name]}{self.key}", workshop[name].traditional, self.key_mode)
        for path, ca, user in (line.split() for line in self.kubeconfigs.strip().splitlines()):
            text = kubeconfig(server="https://127.0.0.1:6443", authority=workshop[ca].crt, user=workshop[user])
            put(root / path, text, 0o600)
        for path, (component, options) in self.pods.items():
            put(root / path, pod(component, options))
        for path, text in self.texts.items():
            put(root / path, text)
        return workshop


def _columns(line: str) -> list[str]:
    columns = [column.strip() for column in line.split("|")]
    return [*columns, *[""] * (5 - len(columns))]


def pod(component: str, options: dict[str, str]) -> str:
    """Return the manifest of a static pod that sees the host's folders under their own names."""
    lines = "\n".join(f"    - {name}={value}" for name, value in options.items())
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {component}\nspec:\n  containers:\n  - name: {component}\n"
        f"    command:\n    - {component}\n{lines}\n"
    )


def rancher(name: str) -> Layout:
    """Return K3s, or RKE2, which runs the components as static pods."""
    home = f"var/lib/rancher/{name}"
    tls = f"/{home}/server/tls"
    manager = "kube-controller-manager"
    manifests = f"{home}/agent/pod-manifests"
    pods = {
        f"{manifests}/kube-apiserver.yaml": (
            "kube-apiserver",
            {
                "--client-ca-file": f"{tls}/client-ca.crt",
                "--etcd-cafile": f"{tls}/etcd/server-ca.crt",
                "--etcd-certfile": f"{tls}/etcd/client.crt",
                "--etcd-keyfile": f"{tls}/etcd/client.key",
                "--etcd-servers": "https://127.0.0.1:2379",
                "--kubelet-certificate-authority": f"{tls}/server-ca.crt",
                "--kubelet-client-certificate": f"{tls}/client-kube-apiserver.crt",
                "--kubelet-client-key": f"{tls}/client-kube-apiserver.key",
                "--kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
                "--proxy-client-cert-file": f"{tls}/client-auth-proxy.crt",
                "--proxy-client-key-file": f"{tls}/client-auth-proxy.key",
                "--requestheader-allowed-names": "system:auth-proxy",
                "--requestheader-client-ca-file": f"{tls}/request-header-ca.crt",
                "--service-cluster-ip-range": "10.43.0.0/16",
                "--tls-cert-file": f"{tls}/serving-kube-apiserver.crt",
                "--tls-private-key-file": f"{tls}/serving-kube-apiserver.key",
            },
        ),
        f"{manifests}/kube-controller-manager.yaml": (
            "kube-controller-manager",
            {
                "--cluster-signing-kube-apiserver-client-cert-file": f"{tls}/client-ca.crt",
                "--cluster-signing-kube-apiserver-client-key-file": f"{tls}/client-ca.key",
                "--kubeconfig": f"/{home}/server/cred/controller.kubeconfig",
                "--root-ca-file": f"{tls}/server-ca.crt",
                "--tls-cert-file": f"{tls}/kube-controller-manager/kube-controller-manager.crt",
                "--tls-private-key-file": f"{tls}/kube-controller-manager/kube-controller-manager.key",
            },
        ),
    }
    return Layout(
        home,
        f"""
        {T}/client-ca | - | CN={name}-client-ca@1700000000
        {T}/server-ca | - | CN={name}-server-ca@1700000000
        {T}/request-header-ca | - | CN={name}-request-header-ca@1700000000
        {T}/etcd/server-ca | - | CN=etcd-server-ca@1700000000
        {T}/etcd/peer-ca | - | CN=etcd-peer-ca@1700000000
        {T}/client-admin | {T}/client-ca | O=system:masters/CN=system:admin | c
        {T}/client-supervisor | {T}/client-ca | O=system:masters/CN=system:{name}-supervisor | c
        {T}/client-controller | {T}/client-ca | CN=system:kube-controller-manager | c
        {T}/client-scheduler | {T}/client-ca | CN=system:kube-scheduler | c
        {T}/client-kube-apiserver | {T}/client-ca | O=system:masters/CN=system:apiserver | c
        {T}/client-kube-proxy | {T}/client-ca | CN=system:kube-proxy | c
        {T}/client-{name}-controller | {T}/client-ca | CN=system:{name}-controller | c
        {T}/client-{name}-cloud-controller | {T}/client-ca | CN={name}-cloud-controller-manager | c
        {T}/client-auth-proxy | {T}/request-header-ca | CN=system:auth-proxy | c
        {T}/serving-kube-apiserver | {T}/server-ca | CN=kube-apiserver | s | {SERVICE},{LOCAL},IP:10.43.0.1
        {T}/{manager}/{manager} | {T}/server-ca | CN={manager} | s | {LOCAL}
        {T}/kube-scheduler/kube-scheduler | {T}/server-ca | CN=kube-scheduler | s | {LOCAL}
        {T}/etcd/server-client | {T}/etcd/server-ca | CN=etcd-server | sc | DNS:n1,{LOCAL}
        {T}/etcd/client | {T}/etcd/server-ca | CN=etcd-client | c
        {T}/etcd/peer-server-client | {T}/etcd/peer-ca | CN=etcd-peer | sc | DNS:n1,{LOCAL}
        agent/client-kubelet | {T}/client-ca | O=system:nodes/CN=system:node:n1 | c
        agent/serving-kubelet | {T}/server-ca | CN=n1 | s | DNS:n1,IP:192.168.7.10,{LOCAL}
        agent/client-kube-proxy | {T}/client-ca | CN=system:kube-proxy | c
        """,
        chain=True,
        kubeconfigs=f"""
        etc/rancher/{name}/{name}.yaml {T}/server-ca {T}/client-admin
        {home}/server/cred/controller.kubeconfig {T}/server-ca {T}/client-controller
        {home}/agent/kubelet.kubeconfig {T}/server-ca agent/client-kubelet
        """,
        pods=pods if name == "rke2" else {},
    )


K0S = Layout(
    "var/lib/k0s/pki",
    f"""
    ca | - | CN=kubernetes-ca
    front-proxy-ca | - | CN=kubernetes-front-proxy-ca
    etcd/ca | - | CN=etcd-ca
    admin | ca | O=system:masters/CN=kubernetes-admin | sc
    apiserver-kubelet-client | ca | O=system:masters/CN=apiserver-kubelet-client | sc
    ccm | ca | O=system:kube-controller-manager/CN=system:kube-controller-manager | sc
    scheduler | ca | O=system:kube-scheduler/CN=system:kube-scheduler | sc
    konnectivity | ca | O=system:masters/CN=kubernetes-konnectivity | sc
    server | ca | O=kubernetes/CN=kubernetes | sc | {SERVICE},DNS:kubernetes.svc,{LOCAL},IP:10.96.0.1
    k0s-api | ca | O=kubernetes/CN=k0s-api | sc | {LOCAL},IP:10.0.0.5
    front-proxy-client | front-proxy-ca | CN=front-proxy-client | sc
    apiserver-etcd-client | etcd/ca | O=apiserver-etcd-client/CN=apiserver-etcd-client | sc | {LOCAL}
    etcd/server | etcd/ca | O=etcd-server/CN=etcd-server | sc | {LOCAL},IP:10.0.0.5
    etcd/peer | etcd/ca | O=n1/CN=n1 | sc | IP:10.0.0.5
    """,
    key_mode=0o640,
    kubeconfigs="""
    var/lib/k0s/pki/admin.conf ca admin
    var/lib/k0s/pki/ccm.conf ca ccm
    var/lib/k0s/pki/scheduler.conf ca scheduler
    var/lib/k0s/pki/konnectivity.conf ca konnectivity
    """,
)
SNAP = "var/snap/microk8s/current"
_ARGS = "${SNAP_DATA}/certs"
MICROK8S = Layout(
    f"{SNAP}/certs",
    f"""
    ca | - | CN=10.152.183.1
    front-proxy-ca | - | CN=front-proxy-ca
    server | ca | C=GB/L=Canonical/O=Canonical/CN=127.0.0.1 | sc | {SERVICE},IP:127.0.0.1,IP:10.152.183.1
    front-proxy-client | front-proxy-ca | CN=front-proxy-client | c
    kubelet | ca | O=system:nodes/CN=system:node:n1 | sc | DNS:n1,IP:10.0.0.5
    client | ca | O=system:masters/CN=admin | c
    controller | ca | CN=system:kube-controller-manager | c
    scheduler | ca | CN=system:kube-scheduler | c
    proxy | ca | CN=system:kube-proxy | c
    apiserver-kubelet-client | ca | O=system:masters/CN=kube-apiserver-kubelet-client | c
    """,
    key_mode=0o660,
    kubeconfigs=f"""
    {SNAP}/credentials/client.config ca client
    {SNAP}/credentials/controller.config ca controller
    {SNAP}/credentials/scheduler.config ca scheduler
    {SNAP}/credentials/proxy.config ca proxy
    {SNAP}/credentials/kubelet.config ca kubelet
    """,
    texts={
        f"{SNAP}/args/kube-apiserver": f"--cert-dir={_ARGS}\n--client-ca-file={_ARGS}/ca.crt\n"
        f"--tls-cert-file={_ARGS}/server.crt\n--tls-private-key-file={_ARGS}/server.key\n"
        f"--kubelet-client-certificate={_ARGS}/apiserver-kubelet-client.crt\n"
        f"--kubelet-client-key={_ARGS}/apiserver-kubelet-client.key\n--service-cluster-ip-range=10.152.183.0/24\n"
        f"--requestheader-client-ca-file={_ARGS}/front-proxy-ca.crt\n--requestheader-allowed-names=front-proxy-client\n"
        f"--proxy-client-cert-file={_ARGS}/front-proxy-client.crt\n"
        f"--proxy-client-key-file={_ARGS}/front-proxy-client.key\n",
        f"{SNAP}/args/kubelet": "--kubeconfig=${SNAP_DATA}/credentials/kubelet.config\n"
        f"--client-ca-file={_ARGS}/ca.crt\n--tls-cert-file={_ARGS}/kubelet.crt\n"
        f"--tls-private-key-file={_ARGS}/kubelet.key\n",
        f"{SNAP}/args/kube-scheduler": "--kubeconfig=${SNAP_DATA}/credentials/scheduler.config\n",
    },
)
MINIKUBE = Layout(
    "root/.minikube",
    f"""
    ca | - | CN=minikubeCA
    proxy-client-ca | - | CN=proxyClientCA
    profiles/minikube/client | ca | O=system:masters/CN=minikube-user | sc
    profiles/minikube/apiserver | ca | O=system:masters/CN=minikube | sc | {SERVICE},{LOCAL},IP:10.96.0.1,IP:10.0.0.1
    profiles/minikube/proxy-client | proxy-client-ca | O=system:masters/CN=aggregator | sc
    """,
)
MINIKUBE_NODE = Layout(
    "var/lib/minikube/certs",
    f"""
    ca | - | CN=minikubeCA
    proxy-client-ca | - | CN=proxyClientCA
    front-proxy-ca | - | CN=front-proxy-ca
    etcd/ca | - | CN=etcd-ca
    apiserver | ca | O=system:masters/CN=minikube | sc | {SERVICE},{LOCAL},IP:10.96.0.1,IP:10.0.0.1
    apiserver-kubelet-client | ca | O=kubeadm:cluster-admins/CN=kube-apiserver-kubelet-client | c
    apiserver-etcd-client | etcd/ca | CN=kube-apiserver-etcd-client | c
    front-proxy-client | front-proxy-ca | CN=front-proxy-client | c
    proxy-client | proxy-client-ca | O=system:masters/CN=aggregator | sc
    etcd/server | etcd/ca | CN=minikube | sc | DNS:minikube,{LOCAL},IP:192.168.49.2
    etcd/peer | etcd/ca | CN=minikube | sc | DNS:minikube,{LOCAL},IP:192.168.49.2
    etcd/healthcheck-client | etcd/ca | CN=kube-etcd-healthcheck-client | c
    """,
)
KOPS = Layout(
    "srv/kubernetes",
    f"""
    ca | - | CN=kubernetes-ca
    kube-apiserver/apiserver-aggregator-ca | - | CN=apiserver-aggregator-ca
    kube-apiserver/etcd-ca | - | CN=etcd-clients-ca
    kube-apiserver/server | ca | CN=kubernetes-master | s | {SERVICE},{LOCAL},DNS:api.k.example.com,IP:100.64.0.1
    kube-apiserver/kubelet-api | ca | CN=kubelet-api | c
    kube-apiserver/apiserver-aggregator | kube-apiserver/apiserver-aggregator-ca | CN=aggregator | c
    kube-apiserver/etcd-client | kube-apiserver/etcd-ca | CN=kube-apiserver | c
    kubelet-server | ca | CN=i-0123 | s | DNS:i-0123,IP:10.0.0.4
    scheduler | ca | CN=system:kube-scheduler | c
    kubecfg | ca | O=system:masters/CN=kubecfg | c
    """,
    kubeconfigs="""
    var/lib/kube-scheduler/kubeconfig ca scheduler
    root/.kube/config ca kubecfg
    """,
    pods={
        "etc/kubernetes/manifests/kube-apiserver.manifest": (
            "kube-apiserver",
            {
                "--client-ca-file": "/srv/kubernetes/ca.crt",
                "--etcd-cafile": "/srv/kubernetes/kube-apiserver/etcd-ca.crt",
                "--etcd-certfile": "/srv/kubernetes/kube-apiserver/etcd-client.crt",
                "--etcd-keyfile": "/srv/kubernetes/kube-apiserver/etcd-client.key",
                "--kubelet-client-certificate": "/srv/kubernetes/kube-apiserver/kubelet-api.crt",
                "--kubelet-client-key": "/srv/kubernetes/kube-apiserver/kubelet-api.key",
                "--proxy-client-cert-file": "/srv/kubernetes/kube-apiserver/apiserver-aggregator.crt",
                "--proxy-client-key-file": "/srv/kubernetes/kube-apiserver/apiserver-aggregator.key",
                "--requestheader-allowed-names": "aggregator",
                "--requestheader-client-ca-file": "/srv/kubernetes/kube-apiserver/apiserver-aggregator-ca.crt",
                "--service-cluster-ip-range": "100.64.0.0/13",
                "--tls-cert-file": "/srv/kubernetes/kube-apiserver/server.crt",
                "--tls-private-key-file": "/srv/kubernetes/kube-apiserver/server.key",
            },
        )
    },
)
RKE1 = Layout(
    "etc/kubernetes/ssl",
    f"""
    kube-ca | - | CN=kube-ca
    kube-apiserver-requestheader-ca | - | CN=kube-apiserver-requestheader-ca
    kube-apiserver | kube-ca | CN=system:kube-apiserver | sc | {SERVICE},{LOCAL},IP:10.43.0.1,IP:10.0.0.11
    kube-apiserver-proxy-client | kube-apiserver-requestheader-ca | CN=system:kube-apiserver-proxy-client | c
    kube-controller-manager | kube-ca | CN=system:kube-controller-manager | c
    kube-scheduler | kube-ca | CN=system:kube-scheduler | c
    kube-proxy | kube-ca | CN=system:kube-proxy | c
    kube-node | kube-ca | O=system:nodes/CN=system:node | c
    kube-admin | kube-ca | O=system:masters/CN=kube-admin | c
    kube-etcd-10-0-0-11 | kube-ca | CN=system:kube-etcd | sc | DNS:localhost,IP:10.0.0.11,IP:127.0.0.1
    kube-service-account-token | kube-ca | CN=kube-service-account-token | sc
    """,
    crt=".pem",
    key="-key.pem",
)
TYPHOON = Layout(
    "etc/kubernetes/pki",
    f"""
    ca | - | O=typhoon/CN=kubernetes-ca
    etcd-client-ca | - | O=etcd/CN=etcd-ca
    aggregation-ca | - | O=aggregation/CN=kubernetes-front-proxy-ca
    apiserver | ca | O=system:masters/CN=kube-apiserver | sc | {SERVICE},{LOCAL},DNS:k.example.com,IP:10.3.0.1
    apiserver-kubelet-client | ca | O=system:masters/CN=kube-apiserver-kubelet-client | c
    etcd-client | etcd-client-ca | O=etcd/CN=etcd-client | c | DNS:node0.etcd,{LOCAL}
    aggregation-client | aggregation-ca | CN=front-proxy-client | c
    """,
    pods={
        "etc/kubernetes/manifests/kube-apiserver.yaml": (
            "kube-apiserver",
            {
                "--advertise-address": "$(POD_IP)",
                "--client-ca-file": "/etc/kubernetes/pki/ca.crt",
                "--service-cluster-ip-range": "10.3.0.0/16",
                "--tls-cert-file": "/etc/kubernetes/pki/apiserver.crt",
                "--tls-private-key-file": "/etc/kubernetes/pki/apiserver.key",
            },
        )
    },
    texts={"opt/bootstrap/assets/.keep": ""},
)
AGGREGATOR = f"{CERTS}/configmaps/aggregator-client-ca/ca-bundle"
OPENSHIFT = Layout(
    "etc/kubernetes/static-pod-resources",
    f"""
    signer | - | CN=openshift-kube-apiserver-operator_node-system-admin-signer@1
    {AGGREGATOR} | - | OU=openshift/CN=aggregator-signer
    {CERTS}/secrets/aggregator-client/tls | {AGGREGATOR} | CN=system:openshift-aggregator | c
    {CERTS}/secrets/kubelet-client/tls | signer | O=kube-master/CN=system:kube-apiserver | c
    {CERTS}/secrets/service-network-serving-certkey/tls | signer | CN=172.30.0.1 | s | {SERVICE},IP:172.30.0.1
    {CERTS}/secrets/localhost-serving-cert-certkey/tls | signer | CN=127.0.0.1 | s | {LOCAL}
    {CERTS}/secrets/external-loadbalancer-serving-certkey/tls | signer | CN=api | s | DNS:api.ocp.example.com
    """,
)
KUBESPRAY = Layout(
    "etc/ssl/etcd/ssl",
    f"""
    ca | - | CN=etcd-ca
    member-n1 | ca | CN=etcd-member-n1 | sc | DNS:n1,{LOCAL},IP:10.0.0.11
    admin-n1 | ca | CN=etcd-admin-n1 | sc | DNS:n1,{LOCAL},IP:10.0.0.11
    node-n1 | ca | CN=etcd-node-n1 | sc | DNS:n1,{LOCAL},IP:10.0.0.11
    """,
    crt=".pem",
    key="-key.pem",
    texts={
        "etc/etcd.env": "ETCD_CERT_FILE=/etc/ssl/etcd/ssl/member-n1.pem\n"
        "ETCD_KEY_FILE=/etc/ssl/etcd/ssl/member-n1-key.pem\n"
        "ETCD_TRUSTED_CA_FILE=/etc/ssl/etcd/ssl/ca.pem\nETCD_CLIENT_CERT_AUTH=true\n"
    },
)


def lay_out(kind: str, root: Path) -> None:
    """Lay out a machine of the *kind*, by its name in ``kcert.clusters``, below *root*."""
    if kind in ("kubeadm", "kind", "kubespray"):
        kubeadm.lay_out(root)
    if kind == "kind":
        put(root / "kind/kubeadm.conf", "kind: ClusterConfiguration\n")
    if kind == "hardway":
        hardway.lay_out(root)
    if kind == "minikube":
        MINIKUBE_NODE.lay_out(root)
    if kind in LAYOUTS:
        LAYOUTS[kind].lay_out(root)


LAYOUTS = {
    "k3s": rancher("k3s"),
    "rke2": rancher("rke2"),
    "k0s": K0S,
    "microk8s": MICROK8S,
    "minikube": MINIKUBE,
    "kops": KOPS,
    "rke1": RKE1,
    "typhoon": TYPHOON,
    "openshift": OPENSHIFT,
    "kubespray": KUBESPRAY,
}
