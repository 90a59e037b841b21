"""The CKA course: one CA, and each certificate on its own, under the name the course gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import ClassVar

from kcert.certificates import Certificate, Role, Subject
from kcert.config import Cluster, Lifetimes
from kcert.profiles.profile import Layout, Part, Profile, RoleBindings, file_of, host_names
from kcert.roles import MASTERS


class Course(Profile):
    """A certificate for each side of each connection."""

    name = "course"
    summary = "as the CKA course teaches it: one CA, one folder, a certificate for each side of each connection"
    lifetimes = Lifetimes(ca=3650, leaf=365)
    configurations: ClassVar[Mapping[str, str]] = {
        "kubelet": "/var/lib/kubelet/config.yaml",
        "kube-proxy": "/var/lib/kube-proxy/config.yaml",
    }
    restarting = (
        "If they run as services: `systemctl restart COMPONENT` on each host. If they are static pods: "
        "move the manifest out of the kubelet's manifest folder, wait until the pod is gone, and move it back."
    )

    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Yield the course's certificates, in the order in which the course makes them."""
        make = Layout(cluster)
        yield make.ca(Role.CLUSTER_CA, Subject("Kubernetes-CA"))

        yield make.leaf(Role.ADMIN, subject=Subject("kube-admin", (MASTERS,)))
        yield make.leaf(Role.SCHEDULER)
        yield make.leaf(Role.CONTROLLER_MANAGER)
        yield make.leaf(Role.PROXY)

        yield make.leaf(Role.ETCD_SERVER, alt_names=make.etcd_names())
        for member in cluster.etcd if len(cluster.etcd) > 1 else ():
            yield make.leaf(
                Role.ETCD_PEER,
                f"etcd-peer-{member.name}",
                subject=Subject(member.name),
                alt_names=make.etcd_names(member=member),
                host=member.name,
            )

        yield make.api_server()
        yield make.leaf(Role.APISERVER_ETCD_CLIENT)
        yield make.leaf(Role.APISERVER_KUBELET_CLIENT)

        for node in cluster.issued_nodes:
            yield make.leaf(Role.KUBELET_SERVER, node.name, alt_names=host_names(node), host=node.name)
            yield make.leaf(Role.KUBELET_CLIENT, f"kubelet-client-{node.name}", host=node.name)

        yield make.leaf(Role.SERVICE_ACCOUNT)
        yield from make.users()

    def bindings(self, cluster: Cluster, host: str) -> RoleBindings:
        """Return a certificate for each side of each connection."""
        several = len(cluster.etcd) > 1
        return RoleBindings(
            kubelet=f"kubelet-client-{host}",
            kubelet_server=host,
            etcd_peer=f"etcd-peer-{host}" if several else "etcd-server",
            etcd_client="apiserver-etcd-client",
        )

    def install_path(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Return a path below /etc/kubernetes, as the course shows it."""
        if part != "kubeconfig":
            return PurePosixPath("/etc/kubernetes/pki", file_of(certificate, part))
        name = "kubelet.kubeconfig" if certificate.chapter == "kubelet" else file_of(certificate, part)
        return PurePosixPath("/etc/kubernetes", name)


PROFILE = Course()
