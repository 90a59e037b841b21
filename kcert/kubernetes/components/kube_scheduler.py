"""kube-scheduler: a client of the API server, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.kubernetes.components.component import ComponentInstance, Option, Pod, Probe, Setting, Unit, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster, Host, Version
    from kcert.profiles.profile import Profile

NAME = "kube-scheduler"
SUMMARY = "It only connects to the API server, so it needs nothing but a kubeconfig."
UNIT = Unit(
    "kube-scheduler, which gives pods their nodes",
    "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/",
    after=("network-online.target", "kube-apiserver.service"),
)


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """The control plane."""
    return cluster.control_plane


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Its kubeconfig, three times over, and how it is itself asked for metrics."""
    own = instance.bindings.scheduler
    configuration = instance.profile.configurations.get(NAME)
    if configuration:
        yield Option("--config", configuration, "its KubeSchedulerConfiguration (--format config)")
    else:
        yield instance.file("--kubeconfig", own, "kubeconfig", "the API server, and its own certificate")
    yield instance.file("--authentication-kubeconfig", own, "kubeconfig", "the API server authenticates its clients")
    yield instance.file("--authorization-kubeconfig", own, "kubeconfig", "the API server authorizes its clients")
    yield Option("--bind-address", "127.0.0.1", "reachable from its own host only")
    if instance.version.minor < 23:
        yield Option("--port", "0", "closes the port without TLS, which releases before 1.23 still open")
    if not configuration:
        yield Option("--leader-elect", "true", "of several instances, one works at a time")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """Yield its kubeconfig, in the profiles that give it a configuration file."""
    if NAME not in instance.profile.configurations:
        return
    yield Setting(("apiVersion",), f"kubescheduler.config.k8s.io/{_api_version(instance.version)}", "")
    yield Setting(("kind",), "KubeSchedulerConfiguration", "")
    reads = instance.reads(instance.bindings.scheduler, "kubeconfig")
    yield Setting(("clientConnection", "kubeconfig"), reads.path, "the API server, and its own certificate", reads)
    yield Setting(("leaderElection", "leaderElect"), True, "of several instances, one works at a time")


def _api_version(version: Version) -> str:
    """Return the newest version of KubeSchedulerConfiguration that the release has."""
    since = {25: "v1", 23: "v1beta3", 22: "v1beta2", 19: "v1beta1", 18: "v1alpha2", 0: "v1alpha1"}
    return next(name for minor, name in since.items() if version.minor >= minor)


def pod(instance: ComponentInstance) -> Pod:
    """Return the static pod that kubeadm starts."""
    new = instance.version.minor >= 32
    return Pod(
        image=registry(NAME, instance.version),
        cpu="100m",
        probe=Probe("127.0.0.1", 10259, "HTTPS", "/livez" if new else "/healthz", "/readyz" if new else "/healthz"),
        folders={},
    )


def why_no_unit(profile: Profile) -> str | None:
    """Return None: it can always be a unit."""
    return None
