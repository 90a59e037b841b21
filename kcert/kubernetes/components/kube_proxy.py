"""kube-proxy: a client of the API server on every node, with a configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.kubernetes.components.component import ComponentInstance, Option, Pod, Setting, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster, Host
    from kcert.profiles.profile import Profile

NAME = "kube-proxy"
SUMMARY = "It only connects to the API server; its kubeconfig is named in a KubeProxyConfiguration."
UNIT = Unit(
    "kube-proxy, which leads services' addresses to pods",
    "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
)

IN_THE_POD = "/var/lib/kube-proxy/kubeconfig.conf"
"""Where kubeadm's kube-proxy finds its kubeconfig, which a ConfigMap brings into the pod."""


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """Every host with a kubelet."""
    return profile.kubelet_hosts(cluster)


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Where its configuration is, and on which node it runs."""
    yield Option(
        "--config", instance.profile.configurations[NAME], "its KubeProxyConfiguration: --format config prints it"
    )
    # A pod learns from the API which node it is on.
    name = instance.host.name if instance.bindings.proxy else "$(NODE_NAME)"
    yield Option("--hostname-override", name, "the node's name, as the cluster has it")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
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


def pod(instance: ComponentInstance) -> Pod | None:
    """Return None: kubeadm runs it as a DaemonSet."""
    return None


def why_no_unit(profile: Profile) -> str | None:
    """kubeadm runs it as a pod."""
    return profile.why_absent(NAME)
