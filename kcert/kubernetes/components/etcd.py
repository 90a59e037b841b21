"""etcd, of which each member serves clients on one port and its peers on another."""

from __future__ import annotations

from collections.abc import Iterator

from kcert.config import Cluster, Host, Version, url
from kcert.kubernetes.components.component import Component, ComponentInstance, Option, Pod, Probe, Unit
from kcert.profiles.profile import ETCD_PORT, Profile

PEER_PORT = 2380
METRICS_PORT = 2381
DATA = "/var/lib/etcd"
_CLUSTER_ID = "--initial-cluster-token"
_IMAGES = {
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


def _addresses(instance: ComponentInstance) -> Iterator[Option]:
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


def _image(version: Version) -> str:
    return _IMAGES[max(minor for minor in _IMAGES if minor <= version.minor)]


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
        yield from _addresses(instance)

    def pod_options(self, instance: ComponentInstance) -> Iterator[Option]:
        """Yield the options of its static pod, with the address that the probes ask."""
        # kubeadm sets no token.
        yield from (option for option in self.options(instance) if option.name != _CLUSTER_ID)
        yield Option("--listen-metrics-urls", f"http://127.0.0.1:{METRICS_PORT}")

    def pod(self, instance: ComponentInstance) -> Pod:
        """Return kubeadm's: its health can be queried without a certificate, but only from the same host."""
        new = instance.version.minor >= 31
        return Pod(
            image=f"registry.k8s.io/etcd:{_image(instance.version)}",
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
