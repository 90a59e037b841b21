"""The components of a node: kubelet and kube-proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kcert.config import DUAL_STACK, Cluster, Host
from kcert.kubernetes.components.component import (
    CLIENT_CA,
    Component,
    ComponentInstance,
    Option,
    Setting,
    Unit,
    loopback,
)
from kcert.profiles.profile import Profile

RUNTIME = "unix:///run/containerd/containerd.sock"


def _node_addresses(instance: ComponentInstance) -> list[str]:
    """The host's first address, and with dual stack its first of the other family: the kubelet takes no other two."""
    first: dict[bool, str] = {}
    for address in instance.host.addresses:
        if not loopback(address):
            first.setdefault(":" in address, address)
    return list(first.values())[: 2 if instance.version >= DUAL_STACK else 1]


def _dns_address(cluster: Cluster) -> str:
    """The tenth address of services, where kubeadm and the hard way put DNS; in a small range the last but one."""
    services = ipaddress.ip_network(cluster.service_cidrs[0])
    return str(services[min(10, services.num_addresses - 2)])


class Kubelet(Component):
    """kubelet: a client of the API server, and a server for it."""

    NAME = "kubelet"
    SUMMARY = "As a client it is system:node:NODE; as a server it serves the API server, for logs and exec."
    UNIT = Unit(
        "kubelet, which starts the pods of its node",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/",
        after=("network-online.target", "containerd.service"),
    )

    def hosts(self, profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
        """Return every host with a kubelet."""
        return profile.kubelet_hosts(cluster)

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield what its configuration file has no field for."""
        yield Option(
            "--config",
            instance.profile.configurations[self.NAME],
            "its KubeletConfiguration: --format config prints it",
        )
        if instance.host.bootstrap:
            yield Option(
                "--bootstrap-kubeconfig",
                instance.profile.bootstrap_kubeconfig,
                "the API server, and the token that it asks for its first certificate with (`kcert bootstrap`)",
            )
            yield Option(
                "--kubeconfig",
                instance.profile.kubelet_kubeconfig,
                "the kubelet writes it, once it has its certificate",
            )
        else:
            own = instance.bindings.kubelet
            yield instance.file("--kubeconfig", own, "kubeconfig", "the API server, and its own certificate")
        yield Option(
            "--hostname-override", instance.host.name, "the node's name: its certificate says system:node: and this"
        )
        if addresses := _node_addresses(instance):
            yield Option("--node-ip", ",".join(addresses), "the address of the node, a SAN of its certificate")
        if instance.version.minor < 27:
            if instance.version.minor < 24:
                yield Option("--container-runtime", "remote", "releases before 1.24 would look for Docker")
            yield Option("--container-runtime-endpoint", RUNTIME, "since 1.27 the configuration file has it")

    def settings(self, instance: ComponentInstance) -> Iterator[Setting]:
        """Yield its CA, its serving certificate, and what pods need to find services."""
        bindings, cluster = instance.bindings, instance.cluster
        yield Setting(("apiVersion",), "kubelet.config.k8s.io/v1beta1", "")
        yield Setting(("kind",), "KubeletConfiguration", "")
        yield Setting(("authentication", "anonymous", "enabled"), False, "a client that presents nothing is rejected")
        yield Setting(("authentication", "webhook", "enabled"), True, "the API server verifies tokens")
        reads = instance.reads(bindings.cluster_ca, "crt")
        yield Setting(("authentication", "x509", "clientCAFile"), reads.path, CLIENT_CA, reads)
        yield Setting(("authorization", "mode"), "Webhook", "the API server decides what a client may do")
        yield Setting(("cgroupDriver",), "systemd", "as containerd's, on a host with systemd")
        yield Setting(("clusterDNS",), (_dns_address(cluster),), "where the cluster's DNS service is")
        yield Setting(("clusterDomain",), cluster.dns_domain, "the domain of services' names")
        if instance.version.minor >= 27:
            yield Setting(("containerRuntimeEndpoint",), RUNTIME, "where containerd is")
        if instance.profile.kubelets_rotate or instance.host.bootstrap:
            yield Setting(("rotateCertificates",), True, "it asks for its next client certificate in time, by itself")
        if instance.host.bootstrap:
            yield Setting(
                ("serverTLSBootstrap",),
                True,
                "it asks for its serving certificate too, which has to be approved by hand",
            )
        if instance.profile.static_pods:
            yield Setting(("staticPodPath",), "/etc/kubernetes/manifests", "where the control plane's manifests lie")
        if bindings.kubelet_server and not instance.host.bootstrap:
            crt, key = instance.reads(bindings.kubelet_server, "crt"), instance.reads(bindings.kubelet_server, "key")
            yield Setting(("tlsCertFile",), crt.path, "what it presents to the API server", crt)
            yield Setting(("tlsPrivateKeyFile",), key.path, "its key", key)


IN_THE_POD = "/var/lib/kube-proxy/kubeconfig.conf"
"""Where kubeadm's kube-proxy finds its kubeconfig, which a ConfigMap brings into the pod."""


class KubeProxy(Component):
    """kube-proxy: a client of the API server on every node, with a configuration file."""

    NAME = "kube-proxy"
    SUMMARY = "It only connects to the API server; its kubeconfig is named in a KubeProxyConfiguration."
    UNIT = Unit(
        "kube-proxy, which leads services' addresses to pods",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
    )

    def hosts(self, profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
        """Return every host with a kubelet."""
        return profile.kubelet_hosts(cluster)

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Return where its configuration is, and on which node it runs."""
        yield Option(
            "--config",
            instance.profile.configurations[self.NAME],
            "its KubeProxyConfiguration: --format config prints it",
        )
        # A pod learns from the API which node it is on.
        name = instance.host.name if instance.bindings.proxy else "$(NODE_NAME)"
        yield Option("--hostname-override", name, "the node's name, as the cluster has it")

    def settings(self, instance: ComponentInstance) -> Iterator[Setting]:
        """Its kubeconfig; in the profile kubeadm one with a token, which no certificate is needed for."""
        yield Setting(("apiVersion",), "kubeproxy.config.k8s.io/v1alpha1", "")
        yield Setting(("kind",), "KubeProxyConfiguration", "")
        kubeconfig = ("clientConnection", "kubeconfig")
        if instance.bindings.proxy:
            reads = instance.reads(instance.bindings.proxy, "kubeconfig")
            yield Setting(kubeconfig, reads.path, "the API server, and its own certificate", reads)
        else:
            yield Setting(kubeconfig, IN_THE_POD, "comes with the pod, with the token of its service account")
        yield Setting(("mode",), "iptables", "how packets are forwarded")

    def why_no_unit(self, profile: Profile) -> str | None:
        """kubeadm runs it as a pod."""
        return profile.why_absent(self.NAME)
