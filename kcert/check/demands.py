"""What a certificate has to be, for each thing that it can be for.

Only what a healthy cluster of any make fulfils stands here: a name or a group that nobody looks at is no demand.
Sources: https://kubernetes.io/docs/setup/best-practices/certificates/ and
https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from __future__ import annotations

from dataclasses import dataclass

from kcert.clusters import Role

MASTERS = "system:masters"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
ADMINISTRATORS = (MASTERS, "kubeadm:cluster-admins")
"""The groups that have an administrator's rights: built in, and since kubeadm 1.29."""


@dataclass(frozen=True)
class RoleRequirements:
    """What a role asks of its certificate.

    ``groups``: one of them has to be among the organizations. ``masters`` is True where system:masters is nothing to
    wonder at. ``names`` have to be among the alternative names.
    """

    serves: bool = False
    dials: bool = False
    common_name: str | None = None
    groups: tuple[str, ...] = ()
    masters: bool = False
    names: tuple[str, ...] = ()


NOTHING = RoleRequirements(masters=True)

KUBERNETES_SERVICE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
"""What pods call the API server; the longer forms end in a domain that a cluster chooses for itself."""

DEMANDS: dict[Role, RoleRequirements] = {
    Role.APISERVER: RoleRequirements(serves=True, names=KUBERNETES_SERVICE, masters=True),
    Role.APISERVER_KUBELET_CLIENT: RoleRequirements(dials=True, masters=True),
    Role.APISERVER_ETCD_CLIENT: RoleRequirements(dials=True, masters=True),
    Role.FRONT_PROXY_CLIENT: RoleRequirements(dials=True),
    # etcd's gateway dials etcd itself, and shows the certificate that it serves with.
    Role.ETCD_SERVER: RoleRequirements(serves=True, dials=True, masters=True),
    Role.ETCD_PEER: RoleRequirements(serves=True, dials=True, masters=True),
    Role.ETCD_CLIENT: RoleRequirements(dials=True, masters=True),
    Role.CONTROLLER_MANAGER: RoleRequirements(dials=True, common_name="system:kube-controller-manager"),
    Role.CONTROLLER_MANAGER_SERVER: RoleRequirements(serves=True),
    Role.SCHEDULER: RoleRequirements(dials=True, common_name="system:kube-scheduler"),
    Role.SCHEDULER_SERVER: RoleRequirements(serves=True),
    Role.PROXY: RoleRequirements(dials=True, common_name="system:kube-proxy"),
    Role.KUBELET_CLIENT: RoleRequirements(dials=True, groups=(NODES,)),
    Role.KUBELET_SERVER: RoleRequirements(serves=True),
    Role.KUBELET: RoleRequirements(serves=True, dials=True, groups=(NODES,)),
    Role.ADMIN: RoleRequirements(dials=True, groups=ADMINISTRATORS, masters=True),
    Role.USER: RoleRequirements(dials=True),
    # Only the key is looked at.
    Role.SERVICE_ACCOUNT: NOTHING,
    Role.CLUSTER_CA: NOTHING,
    Role.ETCD_CA: NOTHING,
    Role.FRONT_PROXY_CA: NOTHING,
}

KUBELETS = frozenset({Role.KUBELET, Role.KUBELET_CLIENT})
AUTHORITIES = frozenset({Role.CLUSTER_CA, Role.ETCD_CA, Role.FRONT_PROXY_CA})
