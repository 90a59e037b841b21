"""The roles of certificates in a Kubernetes cluster: one table that everything else reads.

Profiles take subjects and usages from it, ``kcert.scan`` and ``kcert.check`` what verifies a certificate and what it
has to hold, reports and renewals who presents it to whom. Sources:
https://kubernetes.io/docs/setup/best-practices/certificates/ and
https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kcert.certificates import Kind, Role

MASTERS = "system:masters"
"""The group that the API server lets do everything, whatever RBAC says (Kubernetes: "RBAC good practices")."""

CLUSTER_ADMINS = "kubeadm:cluster-admins"
"""The group of admin.conf since kubeadm 1.29; it has rights only once it is bound to cluster-admin."""

ADMINISTRATORS = (MASTERS, CLUSTER_ADMINS)
"""The groups that have an administrator's rights: built in, and since kubeadm 1.29."""

NODES = "system:nodes"
"""The group of the kubelets; the node authorizer answers it alone (Kubernetes: "Using Node Authorization")."""

NODE_PREFIX = "system:node:"
"""The prefix of the user name of a kubelet; the node's name follows."""


@dataclass(frozen=True)
class RoleSpec:
    """All that is known of a role, whatever profile makes the certificate.

    component: the program that presents the certificate (kubectl: people do).
    chapter: the command that makes it.
    kind: what it is used as.
    common_name, organizations: its usual subject; a profile may have another.
    ca: which CA has to sign it; None if any may.
    presented_to: the programs, or kinds of program, that its holder presents it to.
    verified_by: the options, by component, that name the CA it is verified with; the first that is set counts.
    verified_by_default: options that name the same CA in nearly every cluster, where none of those is set.
    kubeadm: its path in /etc/kubernetes, without the ending; empty if kubeadm has none.
    reloaded: its user reads a new file by itself, within a minute.
    in_kubeconfig: its component finds it in a kubeconfig of its own.
    fixed_name: only this common name has the rights that the role needs.
    groups: one of them has to be among the organizations.
    names: DNS names that have to be among the SANs.
    masters: the group system:masters in it is nothing unusual.
    """

    component: str = ""
    chapter: str = ""
    kind: Kind = Kind.CLIENT
    common_name: str = ""
    organizations: tuple[str, ...] = ()
    ca: Role | None = None
    presented_to: tuple[str, ...] = ()
    verified_by: tuple[tuple[str, str], ...] = ()
    verified_by_default: tuple[tuple[str, str], ...] = ()
    kubeadm: str = ""
    reloaded: bool = False
    in_kubeconfig: bool = False
    fixed_name: bool = False
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    masters: bool = False

    @property
    def is_client(self) -> bool:
        """True if its holder presents it to a server; with a service account's, only the key is used."""
        return self.kind.is_client and bool(self.presented_to)


_API_CLIENT = (("kube-apiserver", "--client-ca-file"),)
_ETCD_CLIENT = (("etcd", "--trusted-ca-file"),)
_ETCD_DEFAULT = (("kube-apiserver", "--etcd-cafile"),)

_CA = RoleSpec(chapter="ca", kind=Kind.CA, masters=True)
_CLIENT = RoleSpec(chapter="client", ca=Role.CLUSTER_CA, presented_to=("kube-apiserver",), verified_by=_API_CLIENT)
_COMPONENT = replace(_CLIENT, in_kubeconfig=True, fixed_name=True)
_ADMINISTRATOR = replace(_CLIENT, component="kubectl", organizations=(MASTERS,), groups=ADMINISTRATORS, masters=True)
_OF_API_SERVER = RoleSpec(component="kube-apiserver", chapter="apiserver", reloaded=True, masters=True)
_TO_ETCD = RoleSpec(
    chapter="etcd",
    ca=Role.ETCD_CA,
    presented_to=("etcd",),
    verified_by=_ETCD_CLIENT,
    verified_by_default=_ETCD_DEFAULT,
    masters=True,
)

ROLES: dict[Role, RoleSpec] = {
    Role.ROOT: _CA,
    Role.CLUSTER_CA: replace(_CA, common_name="kubernetes-ca", kubeadm="pki/ca"),
    Role.ETCD_CA: replace(_CA, common_name="etcd-ca", kubeadm="pki/etcd/ca"),
    Role.FRONT_PROXY_CA: replace(_CA, common_name="kubernetes-front-proxy-ca", kubeadm="pki/front-proxy-ca"),
    Role.APISERVER: replace(
        _OF_API_SERVER,
        kind=Kind.SERVER,
        common_name="kube-apiserver",
        ca=Role.CLUSTER_CA,
        presented_to=("every client",),
        verified_by=(("kube-controller-manager", "--root-ca-file"),),
        verified_by_default=_API_CLIENT,
        kubeadm="pki/apiserver",
        # What pods call it; the longer forms end in a domain that a cluster chooses for itself.
        names=("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    ),
    Role.APISERVER_KUBELET_CLIENT: replace(
        _OF_API_SERVER,
        common_name="kube-apiserver-kubelet-client",
        organizations=(MASTERS,),
        ca=Role.CLUSTER_CA,
        presented_to=("kubelet",),
        verified_by=(("kubelet", "clientCAFile"), ("kubelet", "--client-ca-file")),
        verified_by_default=_API_CLIENT,
        kubeadm="pki/apiserver-kubelet-client",
    ),
    Role.APISERVER_ETCD_CLIENT: replace(
        _TO_ETCD,
        component="kube-apiserver",
        chapter="apiserver",
        common_name="kube-apiserver-etcd-client",
        kubeadm="pki/apiserver-etcd-client",
        reloaded=True,
    ),
    Role.FRONT_PROXY_CLIENT: replace(
        _OF_API_SERVER,
        common_name="front-proxy-client",
        ca=Role.FRONT_PROXY_CA,
        presented_to=("extension API servers",),
        verified_by=(("kube-apiserver", "--requestheader-client-ca-file"),),
        kubeadm="pki/front-proxy-client",
        masters=False,
    ),
    # etcd's gateway connects to etcd itself, and presents the certificate that it serves with.
    Role.ETCD_SERVER: replace(
        _TO_ETCD,
        component="etcd",
        kind=Kind.PEER,
        common_name="etcd-server",
        presented_to=("kube-apiserver",),
        verified_by=_ETCD_DEFAULT,
        verified_by_default=_ETCD_CLIENT,
        kubeadm="pki/etcd/server",
        reloaded=True,
    ),
    Role.ETCD_PEER: replace(
        _TO_ETCD,
        component="etcd",
        kind=Kind.PEER,
        common_name="etcd-peer",
        verified_by=(("etcd", "--peer-trusted-ca-file"),),
        verified_by_default=(),
        kubeadm="pki/etcd/peer",
        reloaded=True,
    ),
    Role.ETCD_CLIENT: replace(
        _TO_ETCD,
        component="etcd",
        common_name="kube-etcd-healthcheck-client",
        kubeadm="pki/etcd/healthcheck-client",
    ),
    Role.CONTROLLER_MANAGER: replace(
        _COMPONENT,
        component="kube-controller-manager",
        common_name="system:kube-controller-manager",
        organizations=("system:kube-controller-manager",),
        kubeadm="controller-manager",
    ),
    Role.CONTROLLER_MANAGER_SERVER: RoleSpec(
        component="kube-controller-manager", kind=Kind.SERVER, common_name="kube-controller-manager"
    ),
    Role.SCHEDULER: replace(
        _COMPONENT,
        component="kube-scheduler",
        common_name="system:kube-scheduler",
        organizations=("system:kube-scheduler",),
        kubeadm="scheduler",
    ),
    Role.SCHEDULER_SERVER: RoleSpec(component="kube-scheduler", kind=Kind.SERVER, common_name="kube-scheduler"),
    Role.PROXY: replace(
        _COMPONENT,
        component="kube-proxy",
        common_name="system:kube-proxy",
        organizations=("system:node-proxier",),
    ),
    Role.KUBELET_CLIENT: replace(
        _CLIENT,
        component="kubelet",
        chapter="kubelet",
        organizations=(NODES,),
        kubeadm="kubelet",
        in_kubeconfig=True,
        groups=(NODES,),
    ),
    # Any CA may have signed it, or the kubelet itself.
    Role.KUBELET_SERVER: RoleSpec(
        component="kubelet",
        chapter="kubelet",
        kind=Kind.SERVER,
        presented_to=("kube-apiserver",),
        verified_by=(("kube-apiserver", "--kubelet-certificate-authority"),),
        reloaded=True,
    ),
    Role.KUBELET: replace(
        _CLIENT,
        component="kubelet",
        chapter="kubelet",
        kind=Kind.PEER,
        organizations=(NODES,),
        groups=(NODES,),
    ),
    Role.ADMIN: replace(_ADMINISTRATOR, common_name="kubernetes-admin", kubeadm="admin"),
    Role.SUPER_ADMIN: replace(_ADMINISTRATOR, common_name="kubernetes-super-admin", kubeadm="super-admin"),
    Role.USER: replace(_CLIENT, component="kubectl"),
    # Only its key is used.
    Role.SERVICE_ACCOUNT: RoleSpec(
        component="kube-apiserver", chapter="service-account", common_name="service-accounts", masters=True
    ),
    Role.SERVICE_ACCOUNT_KEY: RoleSpec(
        component="kube-apiserver", chapter="service-account", kind=Kind.KEY_PAIR, kubeadm="pki/sa", masters=True
    ),
}

CA_ROLES = frozenset({Role.CLUSTER_CA, Role.ETCD_CA, Role.FRONT_PROXY_CA})
KUBELET_ROLES = frozenset({Role.KUBELET, Role.KUBELET_CLIENT})
USER_ROLES = frozenset({Role.ADMIN, Role.SUPER_ADMIN, Role.USER})
"""Roles whose certificates belong to people, rather than to a program of the cluster."""


def kubeconfig_role(component: str | None) -> Role | None:
    """Return the role of the certificate in the kubeconfig of *component*; None if it has none of its own."""
    return next((role for role, spec in ROLES.items() if spec.in_kubeconfig and spec.component == component), None)
