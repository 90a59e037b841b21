"""The use of a certificate: by the option that names its file, or else by the place and the name of the file.

Sources of the options: https://kubernetes.io/docs/reference/command-line-tools-reference/ and
https://etcd.io/docs/latest/op-guide/configuration/.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Literal

from kcert.certificates import Kind, Role, key_names
from kcert.clusters import KINDS, cluster_kind_of
from kcert.openssl.x509 import X509
from kcert.roles import CA_ROLES, NODE_PREFIX, NODES, ROLES

_KUBEADM_PATHS = {PurePosixPath(spec.kubeadm): role for role, spec in ROLES.items() if spec.kubeadm}
KUBEADM = {
    path.name: role
    for path, role in _KUBEADM_PATHS.items()
    if str(path.parent) == "pki" and role is not Role.SERVICE_ACCOUNT_KEY
}
KUBEADM_ETCD = {path.name: role for path, role in _KUBEADM_PATHS.items() if str(path.parent) == "pki/etcd"}
_UNMISTAKABLE = {"kube-api-server": Role.APISERVER} | {
    role.value: role
    for role in (
        *(Role.APISERVER, Role.CONTROLLER_MANAGER, Role.SCHEDULER, Role.PROXY, Role.ETCD_SERVER),
        *(Role.APISERVER_KUBELET_CLIENT, Role.APISERVER_ETCD_CLIENT, Role.FRONT_PROXY_CA, Role.FRONT_PROXY_CLIENT),
    )
}
_IN_COMPANY = {
    "ca": Role.CLUSTER_CA,
    "root-ca": Role.CLUSTER_CA,
    "etcd-ca": Role.ETCD_CA,
    "admin": Role.ADMIN,
    "kubernetes": Role.APISERVER,
    "service-account": Role.SERVICE_ACCOUNT,
    "service-accounts": Role.SERVICE_ACCOUNT,
}
COMPONENT_NAMES = frozenset({*_UNMISTAKABLE, "admin", "apiserver"}) - {"front-proxy-ca"}
"""Names, without ending, of certificates that a component or an administrator presents."""
_KUBECONFIGS = {
    "admin": Role.ADMIN,
    "super-admin": Role.ADMIN,
    "controller-manager": Role.CONTROLLER_MANAGER,
    "kube-controller-manager": Role.CONTROLLER_MANAGER,
    "scheduler": Role.SCHEDULER,
    "kube-scheduler": Role.SCHEDULER,
    "kube-proxy": Role.PROXY,
    "kubelet": Role.KUBELET_CLIENT,
}
_KUBELET_CLIENT = re.compile(r"kubelet-client-(?!\d{4}-\d\d-)(?P<node>.+)")
_WORDS = "bk|bkp|bak|backup|backups|old|older|orig|original|save|saved|prev|previous|copy|archive|archived"
_DATE = r"\d{4}-?\d\d-?\d\d[\dTZ_.:-]*|\d{10,}"
_COPY = re.compile(rf"(?P<name>.+?)(~|[._-]({_WORDS}|dpkg-old|rpmsave)([._-]?\d[\dTZ_.:-]*)?|[._-]({_DATE}))")
_BACKUP_ENDING = re.compile(rf".+(~|\.({_WORDS}|dpkg-old|rpmsave)([._-]?\d[\dTZ_.:-]*)?)")
_BACKUP_FOLDER = re.compile(
    rf"[._]*({_WORDS}|expired|renewed|revoked|trash)([._-]?\d[\dTZ_.:-]*)?|(bk|bak|backup)[._-].*"
    rf"|.+[._-]({_WORDS})([._-]?\d[\dTZ_.:-]*)?|.+[._-]({_DATE})|{_DATE}",
    re.IGNORECASE,
)
"""Folders of backups: ``_bk_20220621``, ``pki.bak``, ``old-2025``, ``pki-2025-01-01``, easy-rsa's ``revoked``."""
_ROTATED = re.compile(r"kubelet-(?P<side>client|server)-\d{4}-\d\d-\d\d-.*\.pem")
_OF_ONE_KIND = {stem: kind for kind in KINDS.values() for stem in kind.stems}
TELLING = frozenset({*KUBEADM, *KUBEADM_ETCD, *_UNMISTAKABLE, *_OF_ONE_KIND})
"""The names, without ending, that say something about the files beside them."""


def role_of(path: Path, certificate: X509, neighbours: frozenset[str]) -> Role | None:
    """Return what the certificate at *path* is for; *neighbours* are the TELLING names among the files beside it."""
    stem = path.stem
    kind = cluster_kind_of(path) or next((kind for stem, kind in _OF_ONE_KIND.items() if stem in neighbours), None)
    if kind is not None and kind.knows(path):
        return kind.role_of(path)
    known = dict(_UNMISTAKABLE)
    if neighbours & _UNMISTAKABLE.keys():
        known |= _IN_COMPANY
    if "apiserver" in neighbours and neighbours & (KUBEADM.keys() - {"ca", "apiserver"}):
        known |= KUBEADM
    if path.parent.name == "etcd" and {"ca"} < neighbours & KUBEADM_ETCD.keys():
        known = KUBEADM_ETCD
    if stem in known:
        return _serving_role(known[stem], certificate)
    if stem.startswith("etcd-peer-"):
        return Role.ETCD_PEER
    if kubelet_role := _kubelet_role(stem, certificate):
        return kubelet_role
    if not neighbours & _UNMISTAKABLE.keys():
        return None
    # The course calls a kubelet's serving certificate after its node: node01.crt, CN node01.
    named_so = certificate.subject.common_name == stem
    is_server = "serverAuth" in (certificate.extended_key_usage or ()) or (
        certificate.alt_names and certificate.allows("serverAuth")
    )
    return Role.KUBELET_SERVER if named_so and is_server and stem not in _IN_COMPANY else None


def kubeadm_ca(path: Path, role: Role) -> Path | None:
    """Return where kubeadm has the CA that signs the certificate at *path*; None if the path is not kubeadm's."""
    own, ca = ROLES[role].kubeadm, ROLES[role].ca
    if ca is None or not own.startswith("pki/") or path.name != f"{PurePosixPath(own).name}.crt":
        return None
    folder = path.parent.parent if own.startswith("pki/etcd/") else path.parent
    return folder / f"{ROLES[ca].kubeadm.removeprefix('pki/')}.crt"


def _serving_role(role: Role, certificate: X509) -> Role:
    """The scheduler and the controller manager have two certificates: a client's, and one to serve metrics with."""
    serving = {
        Role.CONTROLLER_MANAGER: ("kube-controller-manager", Role.CONTROLLER_MANAGER_SERVER),
        Role.SCHEDULER: ("kube-scheduler", Role.SCHEDULER_SERVER),
    }
    name, server = serving.get(role, (None, role))
    is_server = certificate.allows("serverAuth") and certificate.alt_names and not certificate.allows("clientAuth")
    return server if is_server and certificate.subject.common_name == name else role


_USERS = {ROLES[role].common_name: role for role in (Role.CONTROLLER_MANAGER, Role.SCHEDULER, Role.PROXY)}


def _kubelet_role(stem: str, certificate: X509) -> Role | None:
    if stem in ("kubelet", "kubelet-server-current"):
        return Role.KUBELET_SERVER if certificate.allows("serverAuth") and not certificate.ca else None
    if _KUBELET_CLIENT.fullmatch(stem):
        return Role.KUBELET_CLIENT
    if is_of_kubelet(certificate):
        if not (certificate.allows("serverAuth") and certificate.alt_names):
            return Role.KUBELET_CLIENT
        # The signer kubernetes.io/kubelet-serving gives serverAuth alone; the hard way has one certificate for both.
        return Role.KUBELET if certificate.allows("clientAuth") else Role.KUBELET_SERVER
    return None


def is_of_kubelet(certificate: X509) -> bool:
    """Return True for a member of system:nodes, whatever its name; the nodes of RKE1 all have the one system:node."""
    name = certificate.subject.common_name or ""
    return name.startswith(NODE_PREFIX) or (NODES in certificate.subject.organizations and f"{name}:" != NODE_PREFIX)


def kubeconfig_role(path: Path, certificate: X509 | None) -> Role | None:
    """Return whose kubeconfig it is: by its user, by its place in a kind of cluster, and by its name last."""
    user = certificate.subject.common_name or "" if certificate else ""
    if user in _USERS:
        return _USERS[user]
    if certificate and is_of_kubelet(certificate):
        return Role.KUBELET_CLIENT
    kind = cluster_kind_of(path)
    if kind is not None and kind.knows(path):
        return kind.role_of(path)
    if path.suffix in (".conf", ".kubeconfig") and path.stem in _KUBECONFIGS:
        return _KUBECONFIGS[path.stem]
    return None


def node_of(path: Path, role: Role | None, user: str = "") -> str | None:
    """The node's name, where the place shows it: ``kubelet-client-NODE``, ``hosts/NODE/kubelet.conf``.

    So does the name of a kubeconfig's *user*: the guides write ``system:node:NODE`` there.
    """
    if role not in (Role.KUBELET, Role.KUBELET_CLIENT, Role.KUBELET_SERVER):
        return None
    if user.startswith(NODE_PREFIX):
        return user.removeprefix(NODE_PREFIX) or None
    match = _KUBELET_CLIENT.fullmatch(path.stem)
    if match and match["node"] != "current":
        return match["node"]
    if path.parent.parent.name == "hosts":
        return path.parent.name
    return None


def is_set_aside(parts: tuple[str, ...]) -> bool:
    """True for what no component uses: files in a backup's folder, and those that kubeadm and easy-rsa keep.

    *parts* are the folders of a file and its name, from where the search began. Sources: kubeadm's constants.go,
    ``TempDir``, and the prefixes that its phases give to ``CreateTimestampDir`` and ``CreateTempDir``; easy-rsa's
    ``expired``, ``renewed`` and ``revoked``.
    """
    if any(above == "tmp" and folder.startswith("kubeadm-") for above, folder in pairwise(parts)):
        return True
    return any(_BACKUP_FOLDER.fullmatch(folder) for folder in parts[:-1])


def is_left_over(path: Path, paths: frozenset[Path]) -> bool:
    """True for what a kubelet keeps of earlier rotations: only ``…-current.pem`` is in use."""
    match = _ROTATED.fullmatch(path.name)
    return bool(match and path.with_name(f"kubelet-{match['side']}-current.pem") in paths)


def is_copy(path: Path, paths: Container[Path]) -> bool:
    """True for a file as it was before a change: ``admin.conf.bak``, ``admin-2025-01-01`` beside ``admin``.

    The endings are those of editors, ``sed -i.bak``, package managers, people with a calendar, and kcert itself.
    """
    if _BACKUP_ENDING.fullmatch(path.name):
        return True
    match = _COPY.fullmatch(path.name)
    return bool(match and path.parent / match["name"] in paths)


def certificate_kind(certificate: X509, role: Role | None) -> Kind:
    """Return the use of a certificate in a folder: as it says, and if it says nothing, as its role needs."""
    if certificate.ca or role in CA_ROLES:
        return Kind.CA
    if certificate.version == 1 and certificate.self_signed and role is None:
        return Kind.CA  # before version 3 there was no way to say so
    if certificate.extended_key_usage is not None:
        if certificate.allows("serverAuth") and certificate.allows("clientAuth"):
            return Kind.PEER
        return Kind.SERVER if certificate.allows("serverAuth") else Kind.CLIENT
    if role is not None:
        return ROLES[role].kind
    return Kind.SERVER if certificate.alt_names else Kind.CLIENT


@cache
def possible_keys(path: Path) -> tuple[Path, ...]:
    """Return where the key of the certificate at *path* may be, likeliest first; the last is its own file."""
    other: tuple[str, ...] = ()
    if path.stem in ("cert", "tls", "fullchain"):
        other = ("key.pem", "tls.key", "privkey.pem")
    elif path.stem.endswith("-cert"):
        other = (f"{path.stem.removesuffix('-cert')}-key.pem",)
    return (*key_names(path), *map(path.with_name, other), path)


COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "etcd")


Holds = Literal[
    "certificate",
    "certificate and key",
    "key",
    "authority",
    "public key",
    "kubeconfig",
    "webhook",
    "configuration",
]


@dataclass(frozen=True)
class FileOption:
    """An option that names a file: what is in it, and for a certificate which option names its key."""

    holds: Holds
    role: Role | None = None
    kind: Kind = Kind.CA
    key: str | None = None
    may_be_missing: bool = False


def _authority(role: Role | None, key: str | None = None) -> FileOption:
    return FileOption("authority", role, Kind.CA, key)


def _certificate(role: Role | None, kind: Kind, key: str) -> FileOption:
    return FileOption("certificate", role, kind, key)


_KEY = FileOption("key")
_KUBECONFIG = FileOption("kubeconfig")
_WEBHOOK = FileOption("webhook")
"""A kubeconfig with which the API server connects to another service."""
_CONFIGURATION = FileOption("configuration")


def _server(role: Role) -> dict[str, FileOption]:
    return {
        "--tls-cert-file": _certificate(role, Kind.SERVER, "--tls-private-key-file"),
        "--tls-private-key-file": _KEY,
        "--client-ca-file": _authority(Role.CLUSTER_CA),
    }


_DELEGATED = {
    "--kubeconfig": _KUBECONFIG,
    "--authentication-kubeconfig": _KUBECONFIG,
    "--authorization-kubeconfig": _KUBECONFIG,
    "--requestheader-client-ca-file": _authority(Role.FRONT_PROXY_CA),
}
_EGRESS = {
    f"egressSelections.{selection}.{name}": option
    for selection in ("controlplane", "master", "cluster", "etcd")
    for name, option in {
        "caBundle": _authority(None),
        "clientCert": _certificate(None, Kind.CLIENT, f"egressSelections.{selection}.clientKey"),
        "clientKey": _KEY,
    }.items()
}
"""Each way out of the API server goes through a proxy of its own:
https://kubernetes.io/docs/reference/config-api/apiserver-config.v1beta1/#apiserver-k8s-io-v1beta1-TLSConfig"""

_SIGNERS = ("", "-kubelet-serving", "-kubelet-client", "-kube-apiserver-client", "-legacy-unknown")

FILE_OPTIONS: dict[str, dict[str, FileOption]] = {
    "kube-apiserver": {
        **_server(Role.APISERVER),
        "--etcd-cafile": _authority(Role.ETCD_CA),
        "--etcd-certfile": _certificate(Role.APISERVER_ETCD_CLIENT, Kind.CLIENT, "--etcd-keyfile"),
        "--etcd-keyfile": _KEY,
        "--kubelet-certificate-authority": _authority(Role.CLUSTER_CA),
        "--kubelet-client-certificate": _certificate(
            Role.APISERVER_KUBELET_CLIENT, Kind.CLIENT, "--kubelet-client-key"
        ),
        "--kubelet-client-key": _KEY,
        "--requestheader-client-ca-file": _authority(Role.FRONT_PROXY_CA),
        "--proxy-client-cert-file": _certificate(Role.FRONT_PROXY_CLIENT, Kind.CLIENT, "--proxy-client-key-file"),
        "--proxy-client-key-file": _KEY,
        "--service-account-key-file": FileOption("public key", Role.SERVICE_ACCOUNT, Kind.CLIENT),
        "--service-account-signing-key-file": _KEY,
        "--oidc-ca-file": _authority(None),
        "--tls-sni-cert-key": FileOption("certificate and key", None, Kind.SERVER),
        "--authentication-token-webhook-config-file": _WEBHOOK,
        "--authorization-webhook-config-file": _WEBHOOK,
        "--audit-webhook-config-file": _WEBHOOK,
        "--authorization-config": _CONFIGURATION,
        "authorizers.webhook.connectionInfo.kubeConfigFile": _WEBHOOK,
        "--admission-control-config-file": _CONFIGURATION,
        "plugins.path": _CONFIGURATION,
        "imagePolicy.kubeConfigFile": _WEBHOOK,
        "kubeConfigFile": _WEBHOOK,
        "--egress-selector-config-file": _CONFIGURATION,
        **_EGRESS,
    },
    "kube-controller-manager": {
        **_server(Role.CONTROLLER_MANAGER_SERVER),
        **_DELEGATED,
        **{
            f"--cluster-signing{signer}-cert-file": _authority(Role.CLUSTER_CA, f"--cluster-signing{signer}-key-file")
            for signer in _SIGNERS
        },
        **{f"--cluster-signing{signer}-key-file": _KEY for signer in _SIGNERS},
        "--root-ca-file": _authority(Role.CLUSTER_CA),
        "--service-account-private-key-file": _KEY,
    },
    "kube-scheduler": {
        **_server(Role.SCHEDULER_SERVER),
        **_DELEGATED,
        "--config": _CONFIGURATION,
        "clientConnection.kubeconfig": _KUBECONFIG,
    },
    "kube-proxy": {"--kubeconfig": _KUBECONFIG, "--config": _CONFIGURATION, "clientConnection.kubeconfig": _KUBECONFIG},
    "kubelet": {
        **_server(Role.KUBELET_SERVER),
        "--kubeconfig": _KUBECONFIG,
        # Named by kubeadm's drop-in, and gone once the node has joined.
        "--bootstrap-kubeconfig": FileOption("kubeconfig", may_be_missing=True),
        "--config": _CONFIGURATION,
        "clientCAFile": _authority(Role.CLUSTER_CA),
        "tlsCertFile": _certificate(Role.KUBELET_SERVER, Kind.SERVER, "tlsPrivateKeyFile"),
        "tlsPrivateKeyFile": _KEY,
    },
    "etcd": {
        "--config-file": _CONFIGURATION,
        "--cert-file": _certificate(Role.ETCD_SERVER, Kind.SERVER, "--key-file"),
        "--key-file": _KEY,
        "--trusted-ca-file": _authority(Role.ETCD_CA),
        "--peer-cert-file": _certificate(Role.ETCD_PEER, Kind.PEER, "--peer-key-file"),
        "--peer-key-file": _KEY,
        "--peer-trusted-ca-file": _authority(Role.ETCD_CA),
    },
}


def key_option(option: str | None) -> str:
    """Return the option for the key that belongs to the certificate in *option*; empty if there is none."""
    return next((known[option].key or "" for known in FILE_OPTIONS.values() if option in known), "")
