"""kube-scheduler: a client of the API server, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.kubernetes.components.component import ComponentInstance, Option, Pod, Probe, Setting, Unit, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.config import Cluster, Host
    from kcert.profiles.profile import Profile

NAME = "kube-scheduler"
SUMMARY = "It only dials the API server, so one kubeconfig tells it everything."
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
    yield instance.file("--kubeconfig", own, "kubeconfig", "the API server, and who it is there")
    yield instance.file(
        "--authentication-kubeconfig", own, "kubeconfig", "it has the API server say who asks for metrics"
    )
    yield instance.file("--authorization-kubeconfig", own, "kubeconfig", "and whether he may")
    yield Option("--bind-address", "127.0.0.1", "it is asked from its own host alone")
    if instance.version.minor < 23:
        yield Option("--port", "0", "closes the port without TLS, which releases before 1.23 still open")
    yield Option("--leader-elect", "true", "with several control-plane hosts one is at work at a time")


pod_options = options


def settings(instance: ComponentInstance) -> Iterator[Setting]:
    """It is told everything by its options."""
    return iter(())


def pod(instance: ComponentInstance) -> Pod:
    """As kubeadm starts it."""
    new = instance.version.minor >= 32
    return Pod(
        image=registry(NAME, instance.version),
        cpu="100m",
        probe=Probe("127.0.0.1", 10259, "HTTPS", "/livez" if new else "/healthz", "/readyz" if new else "/healthz"),
        folders={},
    )


def why_no_unit(profile: Profile) -> str | None:
    """It can always be a unit."""
    return None
