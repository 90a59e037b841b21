"""The programs of Kubernetes: those of the control plane, then those of each node."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from kcert.config import DUAL_STACK, Cluster, Host, url
from kcert.kubernetes.components.component import Component, Option, Pod
from kcert.profiles.profile import ETCD_PORT, Part

PEER_PORT = 2380
METRICS_PORT = 2381
DATA = "/var/lib/etcd"
RUNTIME = "unix:///run/containerd/containerd.sock"
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


class Etcd(Component):
    """etcd: the cluster's memory. Each member serves clients on one port and its peers on another."""

    NAME = "etcd"
    DESCRIPTION = "etcd, the data store of Kubernetes"
    DOCUMENTATION = "https://etcd.io/docs/"
    TYPE = "notify"

    @classmethod
    def hosts(cls, cluster: Cluster) -> tuple[Host, ...]:
        """Return the members."""
        return cluster.etcd

    def options(self) -> Iterator[Option]:
        """Three options towards clients, three towards peers, and who the members are."""
        bindings = self.bindings
        yield Option("--name", self.host.name)
        yield Option("--data-dir", DATA)
        if bindings.etcd_server and bindings.etcd_peer:
            own, at = self.host.addresses, url
            yield from self.pair(("--cert-file", "--key-file"), bindings.etcd_server)
            yield self.file("--trusted-ca-file", bindings.etcd_ca, "crt")
            yield Option("--client-cert-auth", "true")
            yield from self.pair(("--peer-cert-file", "--peer-key-file"), bindings.etcd_peer)
            yield self.file("--peer-trusted-ca-file", bindings.etcd_ca, "crt")
            yield Option("--peer-client-cert-auth", "true")
        else:
            own, at = ("127.0.0.1",), _plain
        clients = dict.fromkeys(at(address, ETCD_PORT) for address in (*own, "127.0.0.1"))
        members = {member.name: member.addresses[0] for member in self.cluster.etcd} | {self.host.name: own[0]}
        yield Option("--listen-client-urls", ",".join(clients))
        yield Option("--advertise-client-urls", at(own[0], ETCD_PORT))
        yield Option("--listen-peer-urls", ",".join(at(address, PEER_PORT) for address in own))
        yield Option("--initial-advertise-peer-urls", at(own[0], PEER_PORT))
        yield Option("--initial-cluster", ",".join(f"{name}={at(members[name], PEER_PORT)}" for name in members))
        yield Option(_CLUSTER_ID, f"etcd-{self.cluster.name}")
        yield Option("--initial-cluster-state", "new")

    def pod_options(self) -> Iterator[Option]:
        """Yield the options of its static pod, with the address that the probes ask."""
        # kubeadm sets no token.
        yield from (option for option in self.options() if option.name != _CLUSTER_ID)
        yield Option("--listen-metrics-urls", f"http://127.0.0.1:{METRICS_PORT}")

    def pod(self) -> Pod:
        """Return kubeadm's: its health can be queried without a certificate, but only from the same host."""
        minor = self.version.minor
        return Pod(
            image=f"registry.k8s.io/etcd:{_ETCD_IMAGES[max(since for since in _ETCD_IMAGES if since <= minor)]}",
            cpu="100m",
            memory="100Mi",
            port=METRICS_PORT,
            scheme="HTTP",
            alive="/livez" if minor >= 31 else "/health",
            ready="/readyz" if minor >= 31 else "/health",
            folders={"etcd-data": DATA},
            writes=frozenset({"etcd-data"}),
            annotations={"kubeadm.kubernetes.io/etcd.advertise-client-urls": url(self.host.addresses[0], ETCD_PORT)},
        )


def _plain(address: str, port: int) -> str:
    return f"http://{address}:{port}"


class KubeApiserver(Component):
    """kube-apiserver: every component connects to it, and it connects to etcd and the kubelets."""

    NAME = "kube-apiserver"
    DESCRIPTION = "kube-apiserver, the API of Kubernetes"
    AFTER = ("network-online.target", "etcd.service")

    def options(self) -> Iterator[Option]:
        """Yield what concerns its clients, etcd, the kubelets, tokens, and what the whole cluster has to agree on."""
        bindings, cluster = self.bindings, self.cluster
        profile, minor = self.profile, self.version.minor
        yield Option("--advertise-address", self.host.addresses[0])
        yield Option("--secure-port", str(profile.secure_port(cluster)))
        if minor < 20:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/95856)
            yield Option("--insecure-port", "0")
        yield from self.pair(("--tls-cert-file", "--tls-private-key-file"), bindings.api_server)
        yield self.file("--client-ca-file", bindings.cluster_ca, "crt")
        yield Option("--etcd-servers", ",".join(profile.etcd_servers(cluster, self.host.name)))
        if bindings.etcd_client:
            yield self.file("--etcd-cafile", bindings.etcd_ca, "crt")
            yield from self.pair(("--etcd-certfile", "--etcd-keyfile"), bindings.etcd_client)
        if bindings.kubelets_ca:
            yield self.file("--kubelet-certificate-authority", bindings.kubelets_ca, "crt")
        yield from self.pair(("--kubelet-client-certificate", "--kubelet-client-key"), bindings.kubelet_client)
        yield Option("--kubelet-preferred-address-types", profile.preferred_addresses)
        account = bindings.service_account
        public = self.known[account].files.public_key is not None
        yield self.file("--service-account-key-file", account, "public_key" if public else "crt")
        if minor >= 20:
            yield self.file("--service-account-signing-key-file", account, "key")
            yield Option("--service-account-issuer", profile.token_issuer(cluster))
        yield from self._front_proxy()
        if self.state.encrypts:
            yield Option("--encryption-provider-config", profile.encryption_config, mounts=profile.encryption_config)
        yield Option("--authorization-mode", "Node,RBAC")
        yield Option("--enable-admission-plugins", "NodeRestriction")
        if profile.bootstrap_tokens or cluster.bootstrap_nodes:
            yield Option("--enable-bootstrap-token-auth", "true")
        yield Option("--allow-privileged", "true")
        if "no-service-range" not in (issue.name for issue in profile.known_issues(cluster)):
            yield Option("--service-cluster-ip-range", self.service_cidrs)

    def _front_proxy(self) -> Iterator[Option]:
        """Yield them only with a separate CA: the holder of its certificate may act for any user (RequestHeader)."""
        bindings = self.bindings
        if not bindings.front_proxy_ca or not bindings.front_proxy_client:
            return
        client = self.known[bindings.front_proxy_client].subject
        assert client
        yield from self.pair(("--proxy-client-cert-file", "--proxy-client-key-file"), bindings.front_proxy_client)
        yield self.file("--requestheader-client-ca-file", bindings.front_proxy_ca, "crt")
        yield Option("--requestheader-allowed-names", client.common_name)
        yield Option("--requestheader-username-headers", "X-Remote-User")
        yield Option("--requestheader-group-headers", "X-Remote-Group")
        yield Option("--requestheader-extra-headers-prefix", "X-Remote-Extra-")

    def pod(self) -> Pod:
        """Return the static pod that kubeadm starts."""
        address, port = self.host.addresses[0], self.profile.secure_port(self.cluster)
        endpoint = url(address, port).removeprefix("https://")
        return Pod(
            image=self.image,
            cpu="250m",
            host=address,
            port=port,
            alive="/livez",
            ready="/readyz",
            folders={"ca-certs": "/etc/ssl/certs"},
            annotations={"kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": endpoint},
        )


def _delegated(component: Component, own: str) -> Iterator[Option]:
    """Yield the options with which the API server says who may read metrics; *own* is the component's certificate."""
    yield component.file("--authentication-kubeconfig", own, "kubeconfig")
    yield component.file("--authorization-kubeconfig", own, "kubeconfig")
    yield Option("--bind-address", "127.0.0.1")


class KubeControllerManager(Component):
    """kube-controller-manager: the only component that gets the CA's key, because it signs for the cluster."""

    NAME = "kube-controller-manager"
    DESCRIPTION = "kube-controller-manager, the control loops of Kubernetes"
    AFTER = ("network-online.target", "kube-apiserver.service")

    def options(self) -> Iterator[Option]:
        """Yield its kubeconfig, the CA it signs with, the keys of tokens, and how its metrics are protected."""
        bindings = self.bindings
        own = bindings.controller_manager
        yield self.file("--kubeconfig", own, "kubeconfig")
        if self.state.ca_unusable is None:
            # It takes a single certificate, and does not start with the two of a CA that is being replaced.
            alone: Part = "new" if self.state.ca_rotating else "crt"
            yield self.file("--cluster-signing-cert-file", bindings.cluster_ca, alone)
            yield self.file("--cluster-signing-key-file", bindings.cluster_ca, "key")
        yield Option("--controllers", "*,bootstrapsigner,tokencleaner")
        # Programs in pods that use OpenSSL trust roots alone; who can be a client, --client-ca-file says, and not this.
        part: Part = "chain" if self.state.ca_chained else "crt"
        yield self.file("--root-ca-file", bindings.cluster_ca, part)
        yield self.file("--service-account-private-key-file", bindings.service_account, "key")
        yield Option("--use-service-account-credentials", "true")
        yield self.file("--client-ca-file", bindings.cluster_ca, "crt")
        if bindings.front_proxy_ca:
            yield self.file("--requestheader-client-ca-file", bindings.front_proxy_ca, "crt")
        yield from _delegated(self, own)
        if self.version.minor < 22:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/96216)
            yield Option("--port", "0")
        yield Option("--leader-elect", "true")
        yield Option("--cluster-name", self.cluster.name)
        yield Option("--service-cluster-ip-range", self.service_cidrs)

    def pod(self) -> Pod:
        """Return the static pod that kubeadm starts."""
        volumes = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
        return Pod(
            image=self.image,
            cpu="200m",
            port=10257,
            alive="/healthz",
            ready="/healthz",
            folders={"ca-certs": "/etc/ssl/certs", "flexvolume-dir": volumes},
            writes=frozenset({"flexvolume-dir"}),
        )


_NO_INSECURE_PORT = 23
"""The minor release that removed the port without TLS, and made --port a no-op until 1.24 removed the option
(https://github.com/kubernetes/kubernetes/pull/96345)."""


class KubeScheduler(Component):
    """kube-scheduler: a client of the API server, and nothing else."""

    NAME = "kube-scheduler"
    DESCRIPTION = "kube-scheduler, which selects a node for each pod"
    AFTER = ("network-online.target", "kube-apiserver.service")

    def _configuration(self) -> str | None:
        """Return the path of its configuration file; None if it is configured with options alone.

        With --config, a release that still has the port without TLS reads that port from the file and ignores --port=0
        (https://github.com/kubernetes/kubernetes/issues/109900); the file cannot close it.
        """
        is_possible = self.version.minor >= _NO_INSECURE_PORT
        return self.profile.configurations.get(self.NAME) if is_possible else None

    def options(self) -> Iterator[Option]:
        """Yield its kubeconfig, three times over, and how its metrics are protected."""
        own = self.bindings.scheduler
        configuration = self._configuration()
        if configuration:
            yield Option("--config", configuration)
        else:
            yield self.file("--kubeconfig", own, "kubeconfig")
        yield from _delegated(self, own)
        if self.version.minor < _NO_INSECURE_PORT:
            yield Option("--port", "0")
        if not configuration:
            yield Option("--leader-elect", "true")

    def settings(self) -> Iterator[Option]:
        """Yield its kubeconfig, in the profiles that give it a configuration file."""
        if not self._configuration():
            return
        # The newest version that the release accepts: 1.29 removed v1beta3.
        version = "v1" if self.version.minor >= 25 else "v1beta3"
        yield Option("apiVersion", f"kubescheduler.config.k8s.io/{version}")
        yield Option("kind", "KubeSchedulerConfiguration")
        yield self.file("clientConnection.kubeconfig", self.bindings.scheduler, "kubeconfig")
        yield Option("leaderElection.leaderElect", True)

    def pod(self) -> Pod:
        """Return the static pod that kubeadm starts."""
        new = self.version.minor >= 32
        return Pod(
            image=self.image,
            cpu="100m",
            port=10259,
            alive="/livez" if new else "/healthz",
            ready="/readyz" if new else "/healthz",
        )


class Kubelet(Component):
    """kubelet: a client of the API server, and a server for it."""

    NAME = "kubelet"
    ON_NODES = True
    DESCRIPTION = "kubelet, which runs the pods of its node"
    AFTER = ("network-online.target", "containerd.service")

    def options(self) -> Iterator[Option]:
        """Yield what its configuration file has no field for."""
        yield Option("--config", self.profile.configurations[self.NAME])
        if self.host.bootstrap:
            yield Option("--bootstrap-kubeconfig", self.profile.bootstrap_kubeconfig)
            yield Option("--kubeconfig", self.profile.kubelet_kubeconfig)
        else:
            yield self.file("--kubeconfig", self.bindings.kubelet, "kubeconfig")
        yield Option("--hostname-override", self.host.name)
        if addresses := self._addresses():
            yield Option("--node-ip", ",".join(addresses))
        if self.version.minor < 27:
            if self.version.minor < 24:
                yield Option("--container-runtime", "remote")
            yield Option("--container-runtime-endpoint", RUNTIME)

    def _addresses(self) -> list[str]:
        """Return its first address, with dual stack also the first of the other family: it takes no other two."""
        first: dict[bool, str] = {}
        for address in self.host.addresses:
            if not re.match(r"127\.|::1$", address):  # loopback
                first.setdefault(":" in address, address)
        return list(first.values())[: 2 if self.version >= DUAL_STACK else 1]

    def settings(self) -> Iterator[Option]:
        """Yield its CA, its serving certificate, and what pods need to find services."""
        bindings, cluster = self.bindings, self.cluster
        yield Option("apiVersion", "kubelet.config.k8s.io/v1beta1")
        yield Option("kind", "KubeletConfiguration")
        yield Option("authentication.anonymous.enabled", False)
        yield Option("authentication.webhook.enabled", True)
        yield self.file("authentication.x509.clientCAFile", bindings.cluster_ca, "crt")
        yield Option("authorization.mode", "Webhook")
        yield Option("cgroupDriver", "systemd")
        # The tenth address of services, where kubeadm and the hard way put DNS; in a small range the last but one.
        services = ipaddress.ip_network(cluster.service_cidrs[0])
        yield Option("clusterDNS", (str(services[min(10, services.num_addresses - 2)]),))
        yield Option("clusterDomain", cluster.dns_domain)
        if self.version.minor >= 27:
            yield Option("containerRuntimeEndpoint", RUNTIME)
        if self.profile.kubelets_rotate or self.host.bootstrap:
            yield Option("rotateCertificates", True)
        if self.host.bootstrap:
            yield Option("serverTLSBootstrap", True)
        if self.profile.static_pods:
            yield Option("staticPodPath", "/etc/kubernetes/manifests")
        if bindings.kubelet_server and not self.host.bootstrap:
            yield from self.pair(("tlsCertFile", "tlsPrivateKeyFile"), bindings.kubelet_server)


IN_THE_POD = "/var/lib/kube-proxy/kubeconfig.conf"
"""The path at which kubeadm's kube-proxy finds its kubeconfig, which a ConfigMap brings into the pod."""


class KubeProxy(Component):
    """kube-proxy: a client of the API server on every node, with a configuration file."""

    NAME = "kube-proxy"
    ON_NODES = True
    DESCRIPTION = "kube-proxy, which forwards the traffic of services to pods"

    def options(self) -> Iterator[Option]:
        """Return where its configuration is, and on which node it runs."""
        yield Option("--config", self.profile.configurations[self.NAME])
        # A pod learns from the API which node it is on.
        name = self.host.name if self.bindings.proxy else "$(NODE_NAME)"
        yield Option("--hostname-override", name)

    def settings(self) -> Iterator[Option]:
        """Its kubeconfig; in the profile kubeadm one with a token, which no certificate is needed for."""
        yield Option("apiVersion", "kubeproxy.config.k8s.io/v1alpha1")
        yield Option("kind", "KubeProxyConfiguration")
        if self.bindings.proxy:
            yield self.file("clientConnection.kubeconfig", self.bindings.proxy, "kubeconfig")
        else:
            yield Option("clientConnection.kubeconfig", IN_THE_POD)
        yield Option("mode", "iptables")

    def why_no_unit(self) -> str | None:
        """kubeadm runs it as a pod."""
        return self.profile.absent.get(self.NAME)
