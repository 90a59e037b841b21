"""kubeadm: three CAs, and the folder /etc/kubernetes as kubeadm lays it out and accepts it as its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import ClassVar

from kcert.certificates import Certificate, Files, Key, Kind, Role, Subject
from kcert.config import Cluster, Host, Lifetimes, Version, url
from kcert.profiles.profile import ETCD_PORT, Extra, Layout, Part, Profile, RoleBindings, file_of, files_of, stem_of
from kcert.roles import CA_ROLES, CLUSTER_ADMINS, MASTERS, ROLES


class Kubeadm(Profile):
    """The control plane as static pods; the kubelets make their serving certificates themselves."""

    name = "kubeadm"
    summary = "as kubeadm: one CA each for the cluster, etcd and the front proxy, in the folder for /etc/kubernetes"
    lifetimes = Lifetimes(ca=3650, leaf=365)
    configurations: ClassVar[Mapping[str, str]] = {
        "kubelet": "/var/lib/kubelet/config.yaml",
        "kube-proxy": "/var/lib/kube-proxy/config.conf",
    }
    kubelets_rotate = True
    static_pods = True
    restarting = (
        "The components are static pods here, except the kubelet: move the manifest out of /etc/kubernetes/manifests, "
        "wait until the pod is gone (some 20 seconds), and move it back. The kubelet: `sudo systemctl restart kubelet`."
    )
    absent: ClassVar[Mapping[str, str]] = {
        Role.PROXY: "kubeadm runs kube-proxy as a pod, which presents its service account's token, not a certificate",
        Role.SERVICE_ACCOUNT: "kubeadm has a key pair without a certificate for service accounts; "
        "`kcert service-account` creates it",
    }
    ca_copies = "cluster-info in kube-public, from which `kubeadm join` takes it (certificate-authority-data)"

    def certificates(self, cluster: Cluster) -> Iterator[Certificate]:
        """Yield kubeadm's certificates, in the order of its phases: certs, then kubeconfig."""
        make = _Layout(cluster)
        cas = {role: make.ca(role, Subject(ROLES[role].common_name)) for role in CA_ROLES}
        yield cas[Role.CLUSTER_CA]
        yield make.api_server("apiserver")
        groups = _kubelet_client_groups(cluster.kubernetes_version)
        kubelet_client = Subject(ROLES[Role.APISERVER_KUBELET_CLIENT].common_name, groups)
        yield make.leaf(Role.APISERVER_KUBELET_CLIENT, subject=kubelet_client)
        yield cas[Role.FRONT_PROXY_CA]
        yield make.leaf(Role.FRONT_PROXY_CLIENT)
        yield cas[Role.ETCD_CA]
        # ::1 because kubeadm looks for it when a second control-plane host joins.
        names = make.etcd_names("::1")
        yield make.leaf(Role.ETCD_SERVER, subject=Subject("kube-etcd"), alt_names=names)
        yield make.leaf(Role.ETCD_PEER, subject=Subject("kube-etcd-peer"), alt_names=names)
        yield make.leaf(Role.ETCD_CLIENT)
        yield make.leaf(Role.APISERVER_ETCD_CLIENT)
        yield make.service_account()
        yield from make.kubeconfigs()

    def etcd_servers(self, cluster: Cluster, host: str) -> tuple[str, ...]:
        """Return the member on the same host, if there is one."""
        runs_etcd = any(member.name == host for member in cluster.etcd)
        return (url("127.0.0.1", ETCD_PORT),) if runs_etcd else super().etcd_servers(cluster, host)

    def kubelet_hosts(self, cluster: Cluster) -> tuple[Host, ...]:
        """Return control plane, whose kubelets start the static pods, and nodes."""
        return tuple({host.name: host for host in (*cluster.nodes, *cluster.control_plane)}.values())

    def bindings(self, cluster: Cluster, host: str) -> RoleBindings:
        """Return them as kubeadm's manifests have it."""
        own = any(member.name == host for member in cluster.control_plane)
        suffix = f"-{host}" if len(cluster.control_plane) > 1 else ""
        return RoleBindings(
            kubelet=f"kubelet{suffix}" if own else f"kubelet-{host}",
            kubelet_server=None,
            etcd_peer="etcd-peer",
            etcd_client="apiserver-etcd-client",
            api_server="apiserver",
            service_account="sa",
            controller_manager=f"controller-manager{suffix}",
            scheduler=f"scheduler{suffix}",
            proxy=None,
            etcd_ca="etcd-ca",
            kubelets_ca=None,
            front_proxy_ca="front-proxy-ca",
            front_proxy_client="front-proxy-client",
        )

    def install_path(self, certificate: Certificate, part: Part, reader: str) -> PurePosixPath:
        """Return the path as in the PKI folder, which is laid out like /etc/kubernetes."""
        file = file_of(certificate, part)
        own = PurePosixPath(*file.parts[2:]) if file.parts[0] == "hosts" else file
        return PurePosixPath("/etc/kubernetes", own)

    def extras(self, cluster: Cluster, host: str) -> Iterator[Extra]:
        """Yield what kubeadm lays down beside what its manifests name: for administrators, and to go on signing."""
        member = any(machine.name == host for machine in cluster.etcd)
        if member:
            yield Extra("etcd-healthcheck-client", "crt", "etcdctl", "health checks")
            yield Extra("etcd-healthcheck-client", "key", "etcdctl", "health checks")
        if not any(machine.name == host for machine in cluster.control_plane):
            return
        if member:
            yield Extra("etcd-ca", "key", "kubeadm", "renewals by kubeadm")
        yield Extra("front-proxy-ca", "key", "kubeadm", "renewals by kubeadm")
        yield Extra("admin", "kubeconfig", "kubectl", "administrator")
        if host == cluster.control_plane[0].name:
            # kubeadm init writes it, kubeadm join does not.
            yield Extra("super-admin", "kubeconfig", "kubectl", "emergency administrator")


def _kubelet_client_groups(version: Version | None) -> tuple[str, ...]:
    """Return the groups of apiserver-kubelet-client by release; without one, those that every release accepts.

    Since 1.29: https://github.com/kubernetes/kubernetes/pull/121837. Since 1.36.1 kubeadm binds the user itself.
    """
    if version is None or (29, 0) <= (version.minor, version.patch) < (36, 1):
        return (CLUSTER_ADMINS,)
    return (MASTERS,) if version.minor < 29 else ()


class _Layout(Layout):
    """Builds the certificates of kubeadm: a folder for what has files, a kubeconfig around what has none."""

    def files(self, role: Role, _name: str) -> Files:
        return _files(ROLES[role].kubeadm)

    def issuer(self, role: Role) -> Role:
        return ROLES[role].ca or Role.CLUSTER_CA

    def service_account(self) -> Certificate:
        # Older kubeadm reads sa.key as RSA and stops at anything else.
        return Certificate(
            name="sa",
            role=Role.SERVICE_ACCOUNT_KEY,
            chapter="service-account",
            kind=Kind.KEY_PAIR,
            subject=None,
            key=self.cluster.key if self.cluster.key.algorithm == "rsa" else Key(),
            files=Files(key=PurePosixPath("pki/sa.key"), public_key=PurePosixPath("pki/sa.pub")),
        )

    def kubeconfigs(self) -> Iterator[Certificate]:
        for role, group in ((Role.ADMIN, CLUSTER_ADMINS), (Role.SUPER_ADMIN, ROLES[Role.SUPER_ADMIN].groups[0])):
            yield self.conf(role, role.value, role.value, Subject(ROLES[role].common_name, (group,)))
        several = len(self.cluster.control_plane) > 1
        for host in self.cluster.control_plane:
            # What each control-plane host has of its own: at the top, or with several hosts in a folder each.
            folder, suffix = (f"hosts/{host.name}/", f"-{host.name}") if several else ("", "")
            own = url(host.addresses[0], self.cluster.api_server.port)
            for role in (Role.CONTROLLER_MANAGER, Role.SCHEDULER):
                stem, subject = ROLES[role].kubeadm, Subject(ROLES[role].common_name)
                made = self.conf(role, f"{stem}{suffix}", f"{folder}{stem}", subject, host.name)
                yield replace(made, server=own)
            yield self.conf(Role.KUBELET_CLIENT, f"kubelet{suffix}", f"{folder}kubelet", host=host.name)
        for node in self.cluster.issued_nodes:
            if several and node.name in {host.name for host in self.cluster.control_plane}:
                continue  # its kubelet.conf is among the control plane's
            stem = f"hosts/{node.name}/kubelet"
            yield self.conf(Role.KUBELET_CLIENT, f"kubelet-{node.name}", stem, host=node.name)
        for user in self.cluster.users:
            yield self.conf(Role.USER, user.name, stem_of(user.name), Subject(user.name, user.groups))

    def conf(
        self, role: Role, name: str, stem: str, subject: Subject | None = None, host: str | None = None
    ) -> Certificate:
        files = replace(_files(stem), kubeconfig=PurePosixPath(f"{stem}.conf"))
        return self.leaf(role, name, subject=subject, files=files, host=host)


def _files(stem: str) -> Files:
    return files_of(PurePosixPath(stem), PurePosixPath("requests", stem))


PROFILE = Kubeadm()
