"""Kubernetes the hard way, mmumshad's edition: one CA, one certificate a component for all that it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import ClassVar

from kcert.certificates import Certificate, Role, Subject
from kcert.config import ApiServer, Cluster, Host, Lifetimes, url
from kcert.profiles.profile import Example, Layout, Part, Profile, RoleBindings, file_of, host_names
from kcert.roles import MASTERS

OWN_PORT = 6443
"""Each API server's own port; api_server.port is the load balancer's."""

ORGANIZATION = ("Kubernetes",)
"""The organization that these pages give to what needs no group."""

_KUBECONFIGS = {
    "kubelet": "/var/lib/kubelet/kubelet.kubeconfig",
    "kube-proxy": "/var/lib/kube-proxy/kube-proxy.kubeconfig",
}


class HardWay(Profile):
    """One certificate for all that a component does."""

    name = "hardway"
    summary = (
        "as mmumshad's Kubernetes the hard way: one CA, one certificate for each component, installed as systemd units"
    )
    lifetimes = Lifetimes(ca=1000, leaf=1000)
    configurations: ClassVar[Mapping[str, str]] = {
        "kubelet": "/var/lib/kubelet/kubelet-config.yaml",
        "kube-proxy": "/var/lib/kube-proxy/kube-proxy-config.yaml",
    }
    restarting = (
        "The components are services here: `sudo systemctl restart COMPONENT` on each host, one host after the other."
    )

    encryption_config = "/var/lib/kubernetes/encryption-config.yaml"
    bootstrap_kubeconfig = "/var/lib/kubelet/bootstrap-kubeconfig"
    kubelet_kubeconfig = "/var/lib/kubelet/kubeconfig"
    has_admin = True  # it contains 127.0.0.1, and so works only on a control-plane host
    absent: ClassVar[Mapping[str, str]] = {
        Role.APISERVER_ETCD_CLIENT: "in the profile hardway the API server presents etcd-server to etcd; "
        "`kcert etcd` creates it"
    }
    example = Example(
        api_server=ApiServer("loadbalancer", ("192.168.56.30",)),
        control_plane=(Host("controlplane01", ("192.168.56.11",)), Host("controlplane02", ("192.168.56.12",))),
        nodes=(Host("node01", ("192.168.56.21",)), Host("node02", ("192.168.56.22",))),
    )

    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Yield the certificates of the hard way, in the order of its pages."""
        make = Layout(cluster)
        yield make.ca(Role.CLUSTER_CA, Subject("KUBERNETES-CA", ORGANIZATION))

        yield make.leaf(Role.ADMIN, subject=Subject("admin", (MASTERS,)))
        yield make.leaf(Role.CONTROLLER_MANAGER)
        yield make.leaf(Role.SCHEDULER)
        yield make.leaf(Role.PROXY)

        # The API server's neighbors on the same host connect to the loopback address.
        yield make.api_server("", "127.0.0.1", subject=Subject("kube-apiserver", ORGANIZATION))
        yield make.leaf(Role.APISERVER_KUBELET_CLIENT)
        # One for everything around etcd: it serves, it speaks to its peers, and the API server presents it as a client.
        etcd = Subject("etcd-server", ORGANIZATION)
        yield make.leaf(Role.ETCD_SERVER, subject=etcd, alt_names=make.etcd_names())
        yield make.leaf(Role.SERVICE_ACCOUNT, subject=Subject("service-accounts", ORGANIZATION))

        for node in cluster.issued_nodes:
            yield make.leaf(Role.KUBELET, node.name, alt_names=host_names(node), host=node.name)
        yield from make.users()

    def server(self, cluster: Cluster, certificate: Certificate) -> str:
        """Return the API server on the same host for what runs beside one, and the load balancer for the nodes."""
        beside = (Role.ADMIN, Role.CONTROLLER_MANAGER, Role.SCHEDULER)
        return url("127.0.0.1", OWN_PORT) if certificate.role in beside else cluster.endpoint

    def secure_port(self, cluster: Cluster) -> int:
        """Return the port that the neighbors on the same host connect to."""
        return OWN_PORT

    def bindings(self, cluster: Cluster, host: str) -> RoleBindings:
        """Return one certificate for all that a component does."""
        return RoleBindings(kubelet=host, kubelet_server=host)

    def install_path(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Return the folder of etcd, of the kubelet or of kube-proxy for their own files, one folder for the rest."""
        file = file_of(certificate, part)
        if part == "kubeconfig":
            return PurePosixPath(_KUBECONFIGS.get(reader, f"/var/lib/kubernetes/{file}"))
        return PurePosixPath("/etc/etcd" if reader == "etcd" else "/var/lib/kubernetes/pki", file)


PROFILE = HardWay()
