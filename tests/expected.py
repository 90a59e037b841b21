"""What each certificate has to be, written out by hand: kcert's own functions have no part in it.

For each profile and each cluster of ``tests.clusters``: the file, the subject in its order, the kind, the
file of the CA that signs it (none: itself), and the names it answers to. The sources are the Kubernetes
documentation ("PKI certificates and requirements"), the CKA course, and mmumshad's edition of Kubernetes
the hard way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """One row of a table. ``names`` are separated by blanks, as are the parts of the subject by commas."""

    file: str
    subject: str
    kind: str
    issuer: str | None = "ca.crt"
    names: str = ""


CRITICAL = frozenset({"critical basicConstraints", "critical keyUsage"})
IDENTIFIED = frozenset({"subjectKeyIdentifier", "authorityKeyIdentifier"})

EXTENSIONS = {
    "ca": CRITICAL | {"subjectKeyIdentifier"},
    "client": CRITICAL | IDENTIFIED | {"extendedKeyUsage"},
    "server": CRITICAL | IDENTIFIED | {"extendedKeyUsage", "subjectAltName"},
    "peer": CRITICAL | IDENTIFIED | {"extendedKeyUsage", "subjectAltName"},
}
PURPOSES = {
    "ca": (),
    "client": ("clientAuth",),
    "server": ("serverAuth",),
    "peer": ("serverAuth", "clientAuth"),
}
CA_USAGES = frozenset({"keyCertSign", "cRLSign", "digitalSignature"})
BOOK_CA_USAGES = frozenset({"keyCertSign", "cRLSign"})
"""Those of the CA in Kelsey Hightower's ca.conf, where the extension is not critical."""
RSA_SIZES = ("rsa", "book", "fixed")
"""Those with RSA keys, which take seconds to generate; the others have ECDSA keys."""
LEAF_USAGES = {
    **dict.fromkeys(RSA_SIZES, frozenset({"digitalSignature", "keyEncipherment"})),
    "small": frozenset({"digitalSignature"}),  # its keys are ECDSA: nothing can be encrypted with those
    "large": frozenset({"digitalSignature"}),
}

KEYS = {**dict.fromkeys(RSA_SIZES, "RSA 2048"), "small": "secp256r1", "large": "secp384r1"}

DAYS = {
    ("course", "rsa"): (3650, 365),
    ("course", "small"): (3650, 365),
    ("hardway", "small"): (1000, 1000),
    ("kelsey", "book"): (3653, 3653),
    ("kelsey", "fixed"): (3653, 3653),
    ("kubeadm", "small"): (3650, 365),
    ("course", "large"): (2000, 200),
    ("hardway", "large"): (2000, 200),
    ("kubeadm", "large"): (2000, 200),
}
"""Days of a CA, and of what it signs."""

SMALL_API_SERVER = (
    "DNS:kubernetes DNS:kubernetes.default DNS:kubernetes.default.svc DNS:kubernetes.default.svc.cluster "
    "DNS:kubernetes.default.svc.cluster.local DNS:localhost DNS:controlplane01 IP:127.0.0.1 IP:10.96.0.1"
)
LARGE_API_SERVER = (
    "DNS:kubernetes DNS:kubernetes.default DNS:kubernetes.default.svc DNS:kubernetes.default.svc.cluster "
    "DNS:kubernetes.default.svc.prod.example DNS:localhost "
    "DNS:cp1 IP:192.168.56.11 IP:fd00:56::11 DNS:cp2 IP:192.168.56.12 IP:fd00:56::12 "
    "DNS:cp3.example.com IP:192.168.56.13 "
    "DNS:api.example.com IP:192.168.56.30 IP:fd00:56::30 IP:127.0.0.1 IP:10.32.0.1 IP:fd00:10:96::1 "
    "DNS:vip.example.com DNS:*.api.example.com IP:203.0.113.7"
)
SMALL_ETCD = "DNS:controlplane01 DNS:localhost IP:127.0.0.1"
LARGE_ETCD = (
    "DNS:etcd1 IP:192.168.56.41 IP:fd00:56::41 DNS:etcd2 IP:192.168.56.42 DNS:etcd3 IP:fd00:56::43 "
    "DNS:localhost IP:127.0.0.1"
)

COURSE_CLIENTS = (
    Expected("ca.crt", "CN=Kubernetes-CA", "ca", None),
    Expected("admin.crt", "CN=kube-admin,O=system:masters", "client"),
    Expected("kube-scheduler.crt", "CN=system:kube-scheduler,O=system:kube-scheduler", "client"),
    Expected(
        "kube-controller-manager.crt",
        "CN=system:kube-controller-manager,O=system:kube-controller-manager",
        "client",
    ),
    Expected("kube-proxy.crt", "CN=system:kube-proxy,O=system:node-proxier", "client"),
    Expected("apiserver-etcd-client.crt", "CN=kube-apiserver-etcd-client", "client"),
    Expected("apiserver-kubelet-client.crt", "CN=kube-apiserver-kubelet-client,O=system:masters", "client"),
    Expected("service-account.crt", "CN=service-accounts", "client"),
)
COURSE_SMALL = (
    *COURSE_CLIENTS,
    Expected("etcd-server.crt", "CN=etcd-server", "peer", names=SMALL_ETCD),
    Expected("kube-apiserver.crt", "CN=kube-apiserver", "server", names=SMALL_API_SERVER),
    Expected("node01.crt", "CN=node01", "server", names="DNS:node01 IP:127.0.0.1"),
    Expected("kubelet-client-node01.crt", "CN=system:node:node01,O=system:nodes", "client"),
)
COURSE_LARGE = (
    *COURSE_CLIENTS,
    Expected("etcd-server.crt", "CN=etcd-server", "peer", names=LARGE_ETCD),
    Expected(
        "etcd-peer-etcd1.crt",
        "CN=etcd1",
        "peer",
        names="DNS:etcd1 IP:192.168.56.41 IP:fd00:56::41 DNS:localhost IP:127.0.0.1",
    ),
    Expected("etcd-peer-etcd2.crt", "CN=etcd2", "peer", names="DNS:etcd2 IP:192.168.56.42 DNS:localhost IP:127.0.0.1"),
    Expected("etcd-peer-etcd3.crt", "CN=etcd3", "peer", names="DNS:etcd3 IP:fd00:56::43 DNS:localhost IP:127.0.0.1"),
    Expected("kube-apiserver.crt", "CN=kube-apiserver", "server", names=LARGE_API_SERVER),
    Expected("node01.crt", "CN=node01", "server", names="DNS:node01 IP:192.168.56.21 IP:fd00:56::21"),
    Expected("kubelet-client-node01.crt", "CN=system:node:node01,O=system:nodes", "client"),
    Expected("node02.crt", "CN=node02", "server", names="DNS:node02 IP:192.168.56.22"),
    Expected("kubelet-client-node02.crt", "CN=system:node:node02,O=system:nodes", "client"),
    Expected(
        "node03.example.com.crt", "CN=node03.example.com", "server", names="DNS:node03.example.com IP:fd00:56::23"
    ),
    Expected("kubelet-client-node03.example.com.crt", "CN=system:node:node03.example.com,O=system:nodes", "client"),
    Expected("jane.crt", "CN=jane,O=developers,O=team:blue", "client"),
    Expected("ci-deployer.crt", "CN=ci:deployer", "client"),
)

HARDWAY_CLIENTS = (
    Expected("ca.crt", "CN=KUBERNETES-CA,O=Kubernetes", "ca", None),
    Expected("admin.crt", "CN=admin,O=system:masters", "client"),
    Expected("kube-scheduler.crt", "CN=system:kube-scheduler,O=system:kube-scheduler", "client"),
    Expected(
        "kube-controller-manager.crt",
        "CN=system:kube-controller-manager,O=system:kube-controller-manager",
        "client",
    ),
    Expected("kube-proxy.crt", "CN=system:kube-proxy,O=system:node-proxier", "client"),
    Expected("apiserver-kubelet-client.crt", "CN=kube-apiserver-kubelet-client,O=system:masters", "client"),
    Expected("service-account.crt", "CN=service-accounts,O=Kubernetes", "client"),
)
HARDWAY_SMALL = (
    *HARDWAY_CLIENTS,
    Expected("kube-apiserver.crt", "CN=kube-apiserver,O=Kubernetes", "server", names=SMALL_API_SERVER),
    Expected("etcd-server.crt", "CN=etcd-server,O=Kubernetes", "peer", names=SMALL_ETCD),
    Expected("node01.crt", "CN=system:node:node01,O=system:nodes", "peer", names="DNS:node01 IP:127.0.0.1"),
)
HARDWAY_LARGE = (
    *HARDWAY_CLIENTS,
    Expected("kube-apiserver.crt", "CN=kube-apiserver,O=Kubernetes", "server", names=LARGE_API_SERVER),
    Expected("etcd-server.crt", "CN=etcd-server,O=Kubernetes", "peer", names=LARGE_ETCD),
    Expected(
        "node01.crt",
        "CN=system:node:node01,O=system:nodes",
        "peer",
        names="DNS:node01 IP:192.168.56.21 IP:fd00:56::21",
    ),
    Expected("node02.crt", "CN=system:node:node02,O=system:nodes", "peer", names="DNS:node02 IP:192.168.56.22"),
    Expected(
        "node03.example.com.crt",
        "CN=system:node:node03.example.com,O=system:nodes",
        "peer",
        names="DNS:node03.example.com IP:fd00:56::23",
    ),
    Expected("jane.crt", "CN=jane,O=developers,O=team:blue", "client"),
    Expected("ci-deployer.crt", "CN=ci:deployer", "client"),
)

SEATTLE = "C=US,ST=Washington,L=Seattle"
KELSEY_BOOK = (
    Expected("ca.crt", f"{SEATTLE},CN=CA", "ca", None),
    Expected("admin.crt", "CN=admin,O=system:masters", "client"),
    Expected("service-accounts.crt", "CN=service-accounts", "client"),
    *(
        Expected(
            f"{node}.crt", f"CN=system:node:{node},O=system:nodes,{SEATTLE}", "peer", names=f"DNS:{node} IP:127.0.0.1"
        )
        for node in ("node-0", "node-1")
    ),
    *(
        Expected(f"{name}.crt", f"CN=system:{name},O={group},{SEATTLE}", "peer", names=f"DNS:{name} IP:127.0.0.1")
        for name, group in (
            ("kube-proxy", "system:node-proxier"),
            ("kube-controller-manager", "system:kube-controller-manager"),
            ("kube-scheduler", "system:system:kube-scheduler"),
        )
    ),
    Expected(
        "kube-api-server.crt",
        f"CN=kubernetes,{SEATTLE}",
        "peer",
        names="IP:127.0.0.1 IP:10.32.0.1 DNS:kubernetes DNS:kubernetes.default DNS:kubernetes.default.svc "
        "DNS:kubernetes.default.svc.cluster DNS:kubernetes.svc.cluster.local DNS:server.kubernetes.local "
        "DNS:api-server.kubernetes.local",
    ),
)
KELSEY_FIXED = (
    *KELSEY_BOOK[:3],
    *(
        Expected(
            f"node-{number}.crt",
            f"CN=system:node:node-{number},O=system:nodes,{SEATTLE}",
            "peer",
            names=f"DNS:node-{number} IP:127.0.0.1 IP:192.168.56.2{number}",
        )
        for number in (0, 1)
    ),
    *KELSEY_BOOK[5:7],
    Expected(
        "kube-scheduler.crt",
        f"CN=system:kube-scheduler,O=system:kube-scheduler,{SEATTLE}",
        "peer",
        names="DNS:kube-scheduler IP:127.0.0.1",
    ),
    Expected(
        "kube-api-server.crt",
        f"CN=kubernetes,{SEATTLE}",
        "peer",
        names=f"{KELSEY_BOOK[-1].names} DNS:kubernetes.default.svc.cluster.local DNS:localhost DNS:server "
        "IP:192.168.56.10",
    ),
    Expected("apiserver-kubelet-client.crt", "CN=kube-apiserver-kubelet-client,O=system:masters", "client"),
    Expected(
        "etcd-server.crt", "CN=etcd-server", "peer", names="DNS:server IP:192.168.56.10 DNS:localhost IP:127.0.0.1"
    ),
)

KUBEADM_CLIENTS = (
    Expected("pki/ca.crt", "CN=kubernetes-ca", "ca", None),
    Expected("pki/front-proxy-ca.crt", "CN=kubernetes-front-proxy-ca", "ca", None),
    Expected("pki/etcd/ca.crt", "CN=etcd-ca", "ca", None),
    Expected(
        "pki/apiserver-kubelet-client.crt",
        "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins",
        "client",
        "pki/ca.crt",
    ),
    Expected("pki/front-proxy-client.crt", "CN=front-proxy-client", "client", "pki/front-proxy-ca.crt"),
    Expected("pki/etcd/healthcheck-client.crt", "CN=kube-etcd-healthcheck-client", "client", "pki/etcd/ca.crt"),
    Expected("pki/apiserver-etcd-client.crt", "CN=kube-apiserver-etcd-client", "client", "pki/etcd/ca.crt"),
    Expected("admin.conf", "CN=kubernetes-admin,O=kubeadm:cluster-admins", "client", "pki/ca.crt"),
    Expected("super-admin.conf", "CN=kubernetes-super-admin,O=system:masters", "client", "pki/ca.crt"),
)
KUBEADM_SMALL = (
    *KUBEADM_CLIENTS,
    Expected("pki/apiserver.crt", "CN=kube-apiserver", "server", "pki/ca.crt", SMALL_API_SERVER),
    Expected("pki/etcd/server.crt", "CN=kube-etcd", "peer", "pki/etcd/ca.crt", f"{SMALL_ETCD} IP:::1"),
    Expected("pki/etcd/peer.crt", "CN=kube-etcd-peer", "peer", "pki/etcd/ca.crt", f"{SMALL_ETCD} IP:::1"),
    Expected("controller-manager.conf", "CN=system:kube-controller-manager", "client", "pki/ca.crt"),
    Expected("scheduler.conf", "CN=system:kube-scheduler", "client", "pki/ca.crt"),
    Expected("kubelet.conf", "CN=system:node:controlplane01,O=system:nodes", "client", "pki/ca.crt"),
    Expected("hosts/node01/kubelet.conf", "CN=system:node:node01,O=system:nodes", "client", "pki/ca.crt"),
)
KUBEADM_LARGE = (
    *KUBEADM_CLIENTS,
    Expected("pki/apiserver.crt", "CN=kube-apiserver", "server", "pki/ca.crt", LARGE_API_SERVER),
    Expected("pki/etcd/server.crt", "CN=kube-etcd", "peer", "pki/etcd/ca.crt", f"{LARGE_ETCD} IP:::1"),
    Expected("pki/etcd/peer.crt", "CN=kube-etcd-peer", "peer", "pki/etcd/ca.crt", f"{LARGE_ETCD} IP:::1"),
    *(
        Expected(f"hosts/{host}/{file}.conf", f"CN=system:kube-{file}", "client", "pki/ca.crt")
        for host in ("cp1", "cp2", "cp3.example.com")
        for file in ("controller-manager", "scheduler")
    ),
    *(
        Expected(f"hosts/{host}/kubelet.conf", f"CN=system:node:{host},O=system:nodes", "client", "pki/ca.crt")
        for host in ("cp1", "cp2", "cp3.example.com", "node01", "node02", "node03.example.com")
    ),
    Expected("jane.conf", "CN=jane,O=developers,O=team:blue", "client", "pki/ca.crt"),
    Expected("ci-deployer.conf", "CN=ci:deployer", "client", "pki/ca.crt"),
)

TABLES: dict[tuple[str, str], tuple[Expected, ...]] = {
    ("course", "rsa"): COURSE_SMALL,
    ("course", "small"): COURSE_SMALL,
    ("course", "large"): COURSE_LARGE,
    ("hardway", "small"): HARDWAY_SMALL,
    ("hardway", "large"): HARDWAY_LARGE,
    ("kelsey", "book"): KELSEY_BOOK,
    ("kelsey", "fixed"): KELSEY_FIXED,
    ("kubeadm", "small"): KUBEADM_SMALL,
    ("kubeadm", "large"): KUBEADM_LARGE,
}
"""The certificates of each PKI that the tests make, and no others."""

_EVERYONE_SMALL, _EVERYONE_LARGE = "https://127.0.0.1:6443", "https://192.168.56.30:8443"

SERVERS: dict[str, dict[str, str]] = {
    "small": dict.fromkeys(
        (
            "admin.conf",
            "super-admin.conf",
            "controller-manager.conf",
            "scheduler.conf",
            "kubelet.conf",
            "hosts/node01/kubelet.conf",
        ),
        _EVERYONE_SMALL,
    ),
    "large": {
        "admin.conf": _EVERYONE_LARGE,
        "super-admin.conf": _EVERYONE_LARGE,
        # These two talk to the API server on their own host.
        "hosts/cp1/controller-manager.conf": "https://192.168.56.11:8443",
        "hosts/cp1/scheduler.conf": "https://192.168.56.11:8443",
        "hosts/cp2/controller-manager.conf": "https://192.168.56.12:8443",
        "hosts/cp2/scheduler.conf": "https://192.168.56.12:8443",
        "hosts/cp3.example.com/controller-manager.conf": "https://192.168.56.13:8443",
        "hosts/cp3.example.com/scheduler.conf": "https://192.168.56.13:8443",
        "hosts/cp1/kubelet.conf": _EVERYONE_LARGE,
        "hosts/cp2/kubelet.conf": _EVERYONE_LARGE,
        "hosts/cp3.example.com/kubelet.conf": _EVERYONE_LARGE,
        "hosts/node01/kubelet.conf": _EVERYONE_LARGE,
        "hosts/node02/kubelet.conf": _EVERYONE_LARGE,
        "hosts/node03.example.com/kubelet.conf": _EVERYONE_LARGE,
        "jane.conf": _EVERYONE_LARGE,
        "ci-deployer.conf": _EVERYONE_LARGE,
    },
}
"""The API server that each .conf of kubeadm's folder talks to."""
