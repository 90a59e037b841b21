"""The components of the control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""

from __future__ import annotations

from collections.abc import Iterator

from kcert.config import Cluster, Host, Version, url
from kcert.kubernetes.components.component import (
    Component,
    ComponentInstance,
    Option,
    Pod,
    Probe,
    Setting,
    Unit,
    registry,
)
from kcert.profiles.profile import ETCD_PORT, Part, Profile

PEER_PORT = 2380
METRICS_PORT = 2381
DATA = "/var/lib/etcd"
_CLUSTER_ID = "--initial-cluster-token"
_ETCD_IMAGES = {
    16: "3.3.15-0",
    17: "3.4.3-0",
    19: "3.4.13-0",
    22: "3.5.0-0",
    23: "3.5.1-0",
    24: "3.5.3-0",
    25: "3.5.4-0",
    26: "3.5.6-0",
    27: "3.5.7-0",
    28: "3.5.9-0",
    29: "3.5.10-0",
    30: "3.5.12-0",
    31: "3.5.15-0",
    32: "3.5.16-0",
    33: "3.5.21-0",
    34: "3.6.4-0",
    35: "3.6.6-0",
    36: "3.6.8-0",
    37: "3.7.0-0",
}
"""Which etcd kubeadm starts, from which minor release of Kubernetes on.

For 1.37: CHANGELOG-1.37.md has 3.7.0-rc.0 (kubernetes#139427), and CHANGELOG-1.38.md goes on from 3.7.0 to 3.7.1.
"""


def _etcd_addresses(instance: ComponentInstance) -> Iterator[Option]:
    if instance.bindings.etcd_server:
        own, at = instance.host.addresses, url
        clients = tuple(dict.fromkeys((*(url(address, ETCD_PORT) for address in own), url("127.0.0.1", ETCD_PORT))))
    else:
        own, at = ("127.0.0.1",), _plain
        clients = (_plain("127.0.0.1", ETCD_PORT),)
    first = own[0]
    addresses = {member.name: member.addresses[0] for member in instance.cluster.etcd}
    if not instance.bindings.etcd_server:
        addresses[instance.host.name] = first
    peers = (at(address, PEER_PORT) for address in own)
    members = (f"{name}={at(address, PEER_PORT)}" for name, address in addresses.items())
    yield Option("--listen-client-urls", ",".join(clients))
    yield Option("--advertise-client-urls", at(first, ETCD_PORT))
    yield Option("--listen-peer-urls", ",".join(peers))
    yield Option("--initial-advertise-peer-urls", at(first, PEER_PORT))
    yield Option("--initial-cluster", ",".join(members))
    yield Option(_CLUSTER_ID, f"etcd-{instance.cluster.name}")
    yield Option("--initial-cluster-state", "new")


def _plain(address: str, port: int) -> str:
    return f"http://{address}:{port}"


def _etcd_image(version: Version) -> str:
    return _ETCD_IMAGES[max(minor for minor in _ETCD_IMAGES if minor <= version.minor)]


class Etcd(Component):
    """etcd: the cluster's memory. Each member serves clients on one port and its peers on another."""

    NAME = "etcd"
    UNIT = Unit("etcd, the data store of Kubernetes", "https://etcd.io/docs/", type="notify")

    def hosts(self, _profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
        """Return the members."""
        return cluster.etcd

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Three options towards clients, three towards peers, and who the members are."""
        bindings = instance.bindings
        yield Option("--name", instance.host.name)
        yield Option("--data-dir", DATA)
        if bindings.etcd_server and bindings.etcd_peer:
            yield from instance.pair(("--cert-file", "--key-file"), bindings.etcd_server)
            yield instance.file("--trusted-ca-file", bindings.etcd_ca, "crt")
            yield Option("--client-cert-auth", "true")
            yield from instance.pair(("--peer-cert-file", "--peer-key-file"), bindings.etcd_peer)
            yield instance.file("--peer-trusted-ca-file", bindings.etcd_ca, "crt")
            yield Option("--peer-client-cert-auth", "true")
        yield from _etcd_addresses(instance)

    def pod_options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield the options of its static pod, with the address that the probes ask."""
        # kubeadm sets no token.
        yield from (option for option in self.options(instance) if option.name != _CLUSTER_ID)
        yield Option("--listen-metrics-urls", f"http://127.0.0.1:{METRICS_PORT}")

    def pod(self, instance: ComponentInstance) -> Pod:
        """Return kubeadm's: its health can be queried without a certificate, but only from the same host."""
        new = instance.version.minor >= 31
        return Pod(
            image=f"registry.k8s.io/etcd:{_etcd_image(instance.version)}",
            cpu="100m",
            memory="100Mi",
            probe=Probe(
                host="127.0.0.1",
                port=METRICS_PORT,
                scheme="HTTP",
                alive="/livez" if new else "/health",
                ready="/readyz" if new else "/health",
            ),
            folders={"etcd-data": DATA},
            writes=frozenset({"etcd-data"}),
            annotations={
                "kubeadm.kubernetes.io/etcd.advertise-client-urls": url(instance.host.addresses[0], ETCD_PORT)
            },
        )


def _encryption(instance: ComponentInstance) -> Iterator[Option]:
    path = instance.profile.encryption_config
    if instance.state.encrypts:
        yield Option("--encryption-provider-config", path, mounts=path)


def _serving(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    yield Option("--advertise-address", instance.host.addresses[0])
    yield Option("--secure-port", str(instance.profile.secure_port(instance.cluster)))
    if instance.version.minor < 20:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/95856)
        yield Option("--insecure-port", "0")
    yield from instance.pair(("--tls-cert-file", "--tls-private-key-file"), bindings.api_server)
    yield instance.file("--client-ca-file", bindings.cluster_ca, "crt")


def _etcd(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    servers = ",".join(instance.profile.etcd_servers(instance.cluster, instance.host.name))
    yield Option("--etcd-servers", servers)
    if bindings.etcd_client:
        yield instance.file("--etcd-cafile", bindings.etcd_ca, "crt")
        yield from instance.pair(("--etcd-certfile", "--etcd-keyfile"), bindings.etcd_client)


def _kubelets(instance: ComponentInstance) -> Iterator[Option]:
    bindings = instance.bindings
    if bindings.kubelets_ca:
        yield instance.file("--kubelet-certificate-authority", bindings.kubelets_ca, "crt")
    yield from instance.pair(("--kubelet-client-certificate", "--kubelet-client-key"), bindings.kubelet_client)
    yield Option("--kubelet-preferred-address-types", instance.profile.preferred_addresses)


def _tokens(instance: ComponentInstance) -> Iterator[Option]:
    account = instance.bindings.service_account
    public = instance.known[account].files.public_key is not None
    yield instance.file("--service-account-key-file", account, "public_key" if public else "crt")
    if instance.version.minor >= 20:
        yield instance.file("--service-account-signing-key-file", account, "key")
        yield Option("--service-account-issuer", instance.profile.token_issuer(instance.cluster))


def _front_proxy(instance: ComponentInstance) -> Iterator[Option]:
    """Yield them only with a separate CA: the holder of its certificate may act for any user (RequestHeader)."""
    bindings = instance.bindings
    if not bindings.front_proxy_ca or not bindings.front_proxy_client:
        return
    client = instance.known[bindings.front_proxy_client].subject
    assert client
    yield from instance.pair(("--proxy-client-cert-file", "--proxy-client-key-file"), bindings.front_proxy_client)
    yield instance.file("--requestheader-client-ca-file", bindings.front_proxy_ca, "crt")
    yield Option("--requestheader-allowed-names", client.common_name)
    yield Option("--requestheader-username-headers", "X-Remote-User")
    yield Option("--requestheader-group-headers", "X-Remote-Group")
    yield Option("--requestheader-extra-headers-prefix", "X-Remote-Extra-")


class KubeApiserver(Component):
    """kube-apiserver: every component connects to it, and it connects to etcd and the kubelets."""

    NAME = "kube-apiserver"
    UNIT = Unit(
        "kube-apiserver, the API of Kubernetes",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/",
        after=("network-online.target", "etcd.service"),
    )

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield what concerns its clients, etcd, the kubelets, tokens, and what the whole cluster has to agree on."""
        yield from _serving(instance)
        yield from _etcd(instance)
        yield from _kubelets(instance)
        yield from _tokens(instance)
        yield from _front_proxy(instance)
        yield from _encryption(instance)
        yield Option("--authorization-mode", "Node,RBAC")
        yield Option("--enable-admission-plugins", "NodeRestriction")
        if instance.profile.bootstrap_tokens or instance.cluster.bootstrap_nodes:
            yield Option("--enable-bootstrap-token-auth", "true")
        yield Option("--allow-privileged", "true")
        if instance.profile.sets_service_range(instance.cluster):
            yield Option("--service-cluster-ip-range", instance.service_cidrs)

    def pod(self, instance: ComponentInstance) -> Pod:
        """Return the static pod that kubeadm starts."""
        address, port = instance.host.addresses[0], instance.profile.secure_port(instance.cluster)
        return Pod(
            image=registry(self.NAME, instance.version),
            cpu="250m",
            probe=Probe(address, port, "HTTPS", "/livez", "/readyz"),
            folders={"ca-certs": "/etc/ssl/certs"},
            annotations={
                "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": f"[{address}]:{port}"
                if ":" in address
                else f"{address}:{port}"
            },
        )


def _delegated(instance: ComponentInstance, own: str) -> Iterator[Option]:
    """Yield the options with which the API server says who may read metrics; *own* is the component's certificate."""
    yield instance.file("--authentication-kubeconfig", own, "kubeconfig")
    yield instance.file("--authorization-kubeconfig", own, "kubeconfig")
    yield Option("--bind-address", "127.0.0.1")


class KubeControllerManager(Component):
    """kube-controller-manager: the only component that gets the CA's key, because it signs for the cluster."""

    NAME = "kube-controller-manager"
    UNIT = Unit(
        "kube-controller-manager, the control loops of Kubernetes",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/",
        after=("network-online.target", "kube-apiserver.service"),
    )

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield its kubeconfig, the CA it signs with, the keys of tokens, and how its metrics are protected."""
        bindings = instance.bindings
        own = bindings.controller_manager
        yield instance.file("--kubeconfig", own, "kubeconfig")
        if instance.state.ca_unusable is None:
            # It takes a single certificate, and does not start with the two of a CA that is being replaced.
            alone: Part = "new" if instance.state.ca_rotating else "crt"
            yield instance.file("--cluster-signing-cert-file", bindings.cluster_ca, alone)
            yield instance.file("--cluster-signing-key-file", bindings.cluster_ca, "key")
        yield Option("--controllers", "*,bootstrapsigner,tokencleaner")
        # Programs in pods that use OpenSSL trust roots alone; who can be a client, --client-ca-file says, and not this.
        part: Part = "chain" if instance.state.ca_chained else "crt"
        yield instance.file("--root-ca-file", bindings.cluster_ca, part)
        yield instance.file("--service-account-private-key-file", bindings.service_account, "key")
        yield Option("--use-service-account-credentials", "true")
        yield instance.file("--client-ca-file", bindings.cluster_ca, "crt")
        if bindings.front_proxy_ca:
            yield instance.file("--requestheader-client-ca-file", bindings.front_proxy_ca, "crt")
        yield from _delegated(instance, own)
        if instance.version.minor < 22:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/96216)
            yield Option("--port", "0")
        yield Option("--leader-elect", "true")
        yield Option("--cluster-name", instance.cluster.name)
        yield Option("--service-cluster-ip-range", instance.service_cidrs)

    def pod(self, instance: ComponentInstance) -> Pod:
        """Return the static pod that kubeadm starts."""
        volumes = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
        return Pod(
            image=registry(self.NAME, instance.version),
            cpu="200m",
            probe=Probe("127.0.0.1", 10257, "HTTPS", "/healthz", "/healthz"),
            folders={"ca-certs": "/etc/ssl/certs", "flexvolume-dir": volumes},
            writes=frozenset({"flexvolume-dir"}),
        )


_NO_INSECURE_PORT = 23
"""The minor release that removed the port without TLS, and made --port a no-op until 1.24 removed the option
(https://github.com/kubernetes/kubernetes/pull/96345)."""


def _configuration(instance: ComponentInstance) -> str | None:
    """Return the path of its configuration file; None if it is configured with options alone.

    With --config, a release that still has the port without TLS reads that port from the file and ignores --port=0
    (https://github.com/kubernetes/kubernetes/issues/109900); the file cannot close it.
    """
    return (
        instance.profile.configurations.get(KubeScheduler.NAME) if instance.version.minor >= _NO_INSECURE_PORT else None
    )


def _api_version(version: Version) -> str:
    """Return the newest version of KubeSchedulerConfiguration that the release accepts (1.29 removed v1beta3)."""
    return "v1" if version.minor >= 25 else "v1beta3"


class KubeScheduler(Component):
    """kube-scheduler: a client of the API server, and nothing else."""

    NAME = "kube-scheduler"
    UNIT = Unit(
        "kube-scheduler, which selects a node for each pod",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/",
        after=("network-online.target", "kube-apiserver.service"),
    )

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield its kubeconfig, three times over, and how its metrics are protected."""
        own = instance.bindings.scheduler
        configuration = _configuration(instance)
        if configuration:
            yield Option("--config", configuration)
        else:
            yield instance.file("--kubeconfig", own, "kubeconfig")
        yield from _delegated(instance, own)
        if instance.version.minor < _NO_INSECURE_PORT:
            yield Option("--port", "0")
        if not configuration:
            yield Option("--leader-elect", "true")

    def settings(self, instance: ComponentInstance) -> Iterator[Setting]:
        """Yield its kubeconfig, in the profiles that give it a configuration file."""
        if not _configuration(instance):
            return
        yield Setting(("apiVersion",), f"kubescheduler.config.k8s.io/{_api_version(instance.version)}")
        yield Setting(("kind",), "KubeSchedulerConfiguration")
        reads = instance.reads(instance.bindings.scheduler, "kubeconfig")
        yield Setting(("clientConnection", "kubeconfig"), reads.path, reads)
        yield Setting(("leaderElection", "leaderElect"), True)

    def pod(self, instance: ComponentInstance) -> Pod:
        """Return the static pod that kubeadm starts."""
        new = instance.version.minor >= 32
        return Pod(
            image=registry(self.NAME, instance.version),
            cpu="100m",
            probe=Probe("127.0.0.1", 10259, "HTTPS", "/livez" if new else "/healthz", "/readyz" if new else "/healthz"),
            folders={},
        )
