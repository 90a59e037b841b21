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

_NO_INSECURE_PORT = 23
"""The minor release that removed the port without TLS, and made --port a no-op until 1.24 removed the option
(https://github.com/kubernetes/kubernetes/pull/96345)."""


def hosts(profile: Profile, cluster: Cluster) -> tuple[Host, ...]:
    """The control plane."""
    return cluster.control_plane


def options(instance: ComponentInstance) -> Iterator[Option]:
    """Yield its kubeconfig, three times over, and how its metrics are protected."""
    own = instance.bindings.scheduler
    configuration = _configuration(instance)
    if configuration:
        yield Option("--config", configuration, "its KubeSchedulerConfiguration (--format config)")
    else:
        yield instance.file("--kubeconfig", own, "kubeconfig", "the API server, and its own certificate")
    yield instance.file("--authentication-kubeconfig", own, "kubeconfig", "the API server authenticates its clients")
    yield instance.file("--authorization-kubeconfig", own, "kubeconfig", "the API server authorizes its clients")
    yield Option("--bind-address", "127.0.0.1", "reachable from its own host only")
    if instance.version.minor < _NO_INSECURE_PORT:
        yield Option("--port", "0", "closes the port without TLS, which releases before 1.23 still open")
    if not configuration:
        yield Option("--leader-elect", "true", "of several instances, one works at a time")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """Yield its kubeconfig, in the profiles that give it a configuration file."""
    if not _configuration(instance):
        return
    yield Setting(("apiVersion",), f"kubescheduler.config.k8s.io/{_api_version(instance.version)}", "")
    yield Setting(("kind",), "KubeSchedulerConfiguration", "")
    reads = instance.reads(instance.bindings.scheduler, "kubeconfig")
    yield Setting(("clientConnection", "kubeconfig"), reads.path, "the API server, and its own certificate", reads)
    yield Setting(("leaderElection", "leaderElect"), True, "of several instances, one works at a time")


def _configuration(instance: ComponentInstance) -> str | None:
    """Return the path of its configuration file; None where it is configured with options alone.

    With --config, a release that still has the port without TLS reads that port from the file and ignores --port=0
    (https://github.com/kubernetes/kubernetes/issues/109900); the file cannot close it.
    """
    return instance.profile.configurations.get(NAME) if instance.version.minor >= _NO_INSECURE_PORT else None


def _api_version(version: Version) -> str:
    """Return the newest version of KubeSchedulerConfiguration that the release accepts (1.29 removed v1beta3)."""
    return "v1" if version.minor >= 25 else "v1beta3"


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
