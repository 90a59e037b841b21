"""The components of a node: kubelet and kube-proxy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from kcert.config import DUAL_STACK, Cluster, Host
from kcert.kubernetes.components.component import Component, ComponentInstance, Option, Setting, Unit
from kcert.profiles.profile import Profile

RUNTIME = "unix:///run/containerd/containerd.sock"


def _node_addresses(instance: ComponentInstance) -> list[str]:
    """The host's first address, and with dual stack its first of the other family: the kubelet takes no other two."""
    first: dict[bool, str] = {}
    for address in instance.host.addresses:
        if not re.match(r"127\.|::1$", address):  # loopback
            first.setdefault(":" in address, address)
    return list(first.values())[: 2 if instance.version >= DUAL_STACK else 1]


def _dns_address(cluster: Cluster) -> str:
    """The tenth address of services, where kubeadm and the hard way put DNS; in a small range the last but one."""
    services = ipaddress.ip_network(cluster.service_cidrs[0])
    return str(services[min(10, services.num_addresses - 2)])


class Kubelet(Component):
    """kubelet: a client of the API server, and a server for it."""

    NAME = "kubelet"
    UNIT = Unit(
        "kubelet, which runs the pods of its node",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/",
        after=("network-online.target", "containerd.service"),
    )

    def hosts(self, profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
        """Return every host with a kubelet."""
        return profile.kubelet_hosts(cluster)

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield what its configuration file has no field for."""
        yield Option("--config", instance.profile.configurations[self.NAME])
        if instance.host.bootstrap:
            yield Option("--bootstrap-kubeconfig", instance.profile.bootstrap_kubeconfig)
            yield Option("--kubeconfig", instance.profile.kubelet_kubeconfig)
        else:
            own = instance.bindings.kubelet
            yield instance.file("--kubeconfig", own, "kubeconfig")
        yield Option("--hostname-override", instance.host.name)
        if addresses := _node_addresses(instance):
            yield Option("--node-ip", ",".join(addresses))
        if instance.version.minor < 27:
            if instance.version.minor < 24:
                yield Option("--container-runtime", "remote")
            yield Option("--container-runtime-endpoint", RUNTIME)

    def settings(self, instance: ComponentInstance) -> Iterator[Setting]:
        """Yield its CA, its serving certificate, and what pods need to find services."""
        bindings, cluster = instance.bindings, instance.cluster
        yield Setting(("apiVersion",), "kubelet.config.k8s.io/v1beta1")
        yield Setting(("kind",), "KubeletConfiguration")
        yield Setting(("authentication", "anonymous", "enabled"), False)
        yield Setting(("authentication", "webhook", "enabled"), True)
        reads = instance.reads(bindings.cluster_ca, "crt")
        yield Setting(("authentication", "x509", "clientCAFile"), reads.path, reads)
        yield Setting(("authorization", "mode"), "Webhook")
        yield Setting(("cgroupDriver",), "systemd")
        yield Setting(("clusterDNS",), (_dns_address(cluster),))
        yield Setting(("clusterDomain",), cluster.dns_domain)
        if instance.version.minor >= 27:
            yield Setting(("containerRuntimeEndpoint",), RUNTIME)
        if instance.profile.kubelets_rotate or instance.host.bootstrap:
            yield Setting(("rotateCertificates",), True)
        if instance.host.bootstrap:
            yield Setting(("serverTLSBootstrap",), True)
        if instance.profile.static_pods:
            yield Setting(("staticPodPath",), "/etc/kubernetes/manifests")
        if bindings.kubelet_server and not instance.host.bootstrap:
            crt, key = instance.reads(bindings.kubelet_server, "crt"), instance.reads(bindings.kubelet_server, "key")
            yield Setting(("tlsCertFile",), crt.path, crt)
            yield Setting(("tlsPrivateKeyFile",), key.path, key)


IN_THE_POD = "/var/lib/kube-proxy/kubeconfig.conf"
"""The path at which kubeadm's kube-proxy finds its kubeconfig, which a ConfigMap brings into the pod."""


class KubeProxy(Component):
    """kube-proxy: a client of the API server on every node, with a configuration file."""

    NAME = "kube-proxy"
    UNIT = Unit(
        "kube-proxy, which forwards the traffic of services to pods",
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
    )

    def hosts(self, profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
        """Return every host with a kubelet."""
        return profile.kubelet_hosts(cluster)

    def options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Return where its configuration is, and on which node it runs."""
        yield Option("--config", instance.profile.configurations[self.NAME])
        # A pod learns from the API which node it is on.
        name = instance.host.name if instance.bindings.proxy else "$(NODE_NAME)"
        yield Option("--hostname-override", name)

    def settings(self, instance: ComponentInstance) -> Iterator[Setting]:
        """Its kubeconfig; in the profile kubeadm one with a token, which no certificate is needed for."""
        yield Setting(("apiVersion",), "kubeproxy.config.k8s.io/v1alpha1")
        yield Setting(("kind",), "KubeProxyConfiguration")
        kubeconfig = ("clientConnection", "kubeconfig")
        if instance.bindings.proxy:
            reads = instance.reads(instance.bindings.proxy, "kubeconfig")
            yield Setting(kubeconfig, reads.path, reads)
        else:
            yield Setting(kubeconfig, IN_THE_POD)
        yield Setting(("mode",), "iptables")

    def why_no_unit(self, profile: Profile) -> str | None:
        """kubeadm runs it as a pod."""
        return profile.absent.get(self.NAME)
