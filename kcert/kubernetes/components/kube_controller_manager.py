"""kube-controller-manager: the only component that gets the CA's key, because it signs for the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.kubernetes.components.component import ComponentInstance, Option, Pod, Probe, Setting, Unit, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster, Host
    from kcert.profiles.profile import Part, Profile

NAME = "kube-controller-manager"
SUMMARY = "It signs approved requests, so it is the only component with the CA's key."
UNIT = Unit(
    "kube-controller-manager, the control loops of Kubernetes",
    "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/",
    after=("network-online.target", "kube-apiserver.service"),
)


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """The control plane."""
    return cluster.control_plane


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Yield its kubeconfig, the CA it signs with, the keys of tokens, and how its metrics are protected."""
    bindings = instance.bindings
    own = bindings.controller_manager
    yield instance.file("--kubeconfig", own, "kubeconfig", "the API server, and its own certificate")
    if instance.state.ca_unusable is None:
        # It takes a single certificate, and does not start with the two of a CA that is being replaced.
        alone: Part = "new" if instance.state.ca_rotating else "crt"
        yield instance.file(
            "--cluster-signing-cert-file", bindings.cluster_ca, alone, "the CA that csrsigning signs with"
        )
        yield instance.file(
            "--cluster-signing-key-file", bindings.cluster_ca, "key", "its key: no other component gets it"
        )
    yield Option(
        "--controllers",
        "*,bootstrapsigner,tokencleaner",
        "* holds csrapproving, csrsigning and csrcleaner; the other two are for nodes that join with a token",
    )
    # Programs in pods that use OpenSSL trust roots alone; who can be a client, --client-ca-file says, and not this.
    part: Part = "chain" if instance.state.ca_chained else "crt"
    yield instance.file("--root-ca-file", bindings.cluster_ca, part, "the CA that pods verify the API server with")
    yield instance.file(
        "--service-account-private-key-file",
        bindings.service_account,
        "key",
        "signs long-lived tokens",
    )
    yield Option("--use-service-account-credentials", "true", "each controller has only the rights that it needs")
    yield instance.file("--client-ca-file", bindings.cluster_ca, "crt", "the CA of clients that read its metrics")
    if bindings.front_proxy_ca:
        yield instance.file(
            "--requestheader-client-ca-file",
            bindings.front_proxy_ca,
            "crt",
            "the same, behind the front proxy",
        )
    yield instance.file("--authentication-kubeconfig", own, "kubeconfig", "the API server authenticates its clients")
    yield instance.file("--authorization-kubeconfig", own, "kubeconfig", "the API server authorizes its clients")
    yield Option("--bind-address", "127.0.0.1", "reachable from its own host only")
    if instance.version.minor < 22:  # a no-op since (https://github.com/kubernetes/kubernetes/pull/96216)
        yield Option("--port", "0", "closes the port without TLS, which releases before 1.22 still open")
    yield Option("--leader-elect", "true", "of several instances, one works at a time")
    yield Option("--cluster-name", instance.cluster.name, "the cluster's name")
    yield Option("--service-cluster-ip-range", instance.service_cidrs, "as the API server's option of that name")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """Yield nothing: it has no configuration file."""
    return iter(())


def pod(instance: ComponentInstance) -> Pod:
    """Return the static pod that kubeadm starts."""
    volumes = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
    return Pod(
        image=registry(NAME, instance.version),
        cpu="200m",
        probe=Probe("127.0.0.1", 10257, "HTTPS", "/healthz", "/healthz"),
        folders={"ca-certs": "/etc/ssl/certs", "flexvolume-dir": volumes},
        writes=frozenset({"flexvolume-dir"}),
    )


def why_no_unit(profile: Profile) -> str | None:
    """Return None: it can always be a unit."""
    return None
