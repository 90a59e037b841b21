"""The causes that need code: values for their texts which a pattern alone cannot give."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from kcert.certificates import Role
from kcert.clusters import KINDS, KUBEADM_NAMES
from kcert.diagnose.context import LogMatch
from kcert.files import mistyped
from kcert.openssl import commands
from kcert.quoting import format_command, quote
from kcert.roles import ROLES

_SUFFIXES = {".crt", ".key", ".pem", ".cer", ".cert", ".csr"}
_KUBECONFIGS = {
    *("kubelet.conf", "admin.conf", "super-admin.conf", "scheduler.conf", "controller-manager.conf"),
    *("k3s.yaml", "rke2.yaml"),
}
_KUBECONFIG_SUFFIXES = {".conf", ".kubeconfig"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_USUAL = {
    *("apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "ca", "front-proxy-ca", "front-proxy-client"),
    *("healthcheck-client", "peer", "sa", "server"),
}
"""kubeadm's names without their suffix: some are similar, and none is misspelled."""

_KCERT_NAMES = {
    PurePosixPath(spec.kubeadm).name: role.value
    for role, spec in ROLES.items()
    if spec.kubeadm and (spec.kind.is_client or spec.kind.is_server) and role is not Role.KUBELET_CLIENT
}
"""kubeadm's file names, where kcert's own name for the certificate is another."""

_COMPONENTS = {spec.common_name: spec.component.removeprefix("kube-") for spec in ROLES.values() if spec.fixed_name}


def file_argument(path: str) -> str:
    """Return a path as an argument: one that begins with a dash would be taken for an option."""
    return quote(f"./{path}" if path.startswith("-") else path)


def kcert_name(path: str) -> str:
    """Return the name by which kcert knows the certificate in the file *path*; empty if it cannot be determined."""
    stem = PurePosixPath(path).name
    for suffix in (*_SUFFIXES, *_KUBECONFIG_SUFFIXES, ".pub"):
        stem = stem.removesuffix(suffix)
    stem = _KCERT_NAMES.get(stem, stem)
    return stem if _PLAIN_NAME.fullmatch(stem) else ""


_ROLES = frozenset(role.value for role in Role)
_INSTEAD = {"etcd-peer": "etcd-server", "apiserver-etcd-client": "etcd-server", "kubelet-client": "NODE"}
"""The certificate that a profile without one for this role presents in its place."""


def with_names_here(commands: str, roles: frozenset[str]) -> str:
    """Return the *commands* for a folder that has certificates of these *roles*; as they are if it is unknown."""

    def here(match: re.Match[str]) -> str:
        name = match[1]
        if name in roles or name not in _ROLES:
            return match[0]
        return (
            f"kcert renew {_INSTEAD[name]}"
            if name in _INSTEAD
            else f"# the profile of this cluster has no certificate {name}"
        )

    return re.sub(r"^kcert renew ([\w.-]+)(?: *#.*)?", here, commands, flags=re.MULTILINE) if roles else commands


def kubeadm_name(path: str) -> str:
    """Return the name for `kubeadm certs renew`; empty for a file that kubeadm does not make."""
    return next((name for pattern, name in KUBEADM_NAMES.items() if path.endswith(pattern)), "")


def kubeadm_name_of(role: str) -> str:
    """Return the name for `kubeadm certs renew` of the certificate of *role*; empty if kubeadm does not make it."""
    path = next((spec.kubeadm for known, spec in ROLES.items() if known.value == role), "")
    return kubeadm_name(f"/{path}.crt") if path else ""


def _is_pki(path: PurePosixPath) -> bool:
    """True for the path of a certificate, a key or a kubeconfig."""
    return (
        path.suffix in _SUFFIXES
        or path.name in {*_KUBECONFIGS, "bootstrap-kubelet.conf", "sa.pub", "service-account.pub", "kubeconfig"}
        or path.suffix == ".kubeconfig"
        or path.parent.name == "calico-secrets"
        or (path.parent.name == ".kube" and path.name == "config")
    )


def _is_ca(path: PurePosixPath) -> bool:
    """True for a CA's file by its name: it is never created again, because nothing would trust the new one."""
    stem = path.stem.removesuffix("-key")
    return stem in ("ca", "kube-ca", "root-ca") or stem.endswith(("-ca", "_ca"))


def _look(path: str) -> str:
    """The command that shows that a file is what it should be."""
    pure, word = PurePosixPath(path), file_argument(path)
    if pure.suffix == ".key" or pure.name.endswith("-key.pem"):
        return f"openssl pkey -in {word} -noout"
    if pure.suffix == ".cnf":
        return f"grep -n '^\\[' {word}"
    if pure.suffix in _KUBECONFIG_SUFFIXES or pure.name in {*_KUBECONFIGS, "kubeconfig", "config"}:
        return (
            f"kubectl config view --kubeconfig {word} --raw "
            "-o jsonpath='{.users[0].user.client-certificate-data}' |\n"
            "  base64 -d | openssl x509 -noout -subject -dates"
        )
    return f"openssl x509 -in {word} -noout -subject -dates"


def _missing_any(match: LogMatch) -> dict[str, str] | None:
    """Values on a file that openssl or curl names as a certificate or key, whatever it is called."""
    path = match.word("path").strip("\"'")
    if not path:
        return None
    pure = PurePosixPath(path)
    meant = None if pure.stem in _USUAL else mistyped(Path(path))
    meant = meant if meant and meant.name.isprintable() else None
    is_kubeconfig = pure.suffix in _KUBECONFIG_SUFFIXES or not pure.suffix or pure.name in _KUBECONFIGS
    name = kcert_name(path)
    return {
        "path": path,
        "folder": str(pure.parent),
        "meant": str(meant or ""),
        "meant_name": meant.name if meant else "",
        "kubeconfig": "yes" if is_kubeconfig else "",
        "key_file": "yes" if pure.suffix == ".key" or pure.name.endswith("-key.pem") else "",
        "ca_file": "yes" if _is_ca(pure) else "",
        "bootstrap": "yes" if pure.name == "bootstrap-kubelet.conf" else "",
        "kcert": name,
        "!look_missing": _look(path),
        "!look_meant": _look(str(meant)) if meant else "",
        "!sign_here": _sign_here(str(pure.parent), name),
    }


def _missing(match: LogMatch) -> dict[str, str] | None:
    """The same for programs that name any file; None if it is not a certificate, a key or a kubeconfig."""
    path = match.word("path").strip("\"'")
    return _missing_any(match) if _is_pki(PurePosixPath(path)) else None


def _sign_here(folder: str, name: str) -> str:
    """The command that signs again, where request and config are in *folder* on this machine."""
    needed = (Path(folder, f"{name}.csr"), Path(folder, f"openssl-{name}.cnf"))
    if not (name and all(os.access(path, os.R_OK) for path in needed)):
        return ""
    argv = commands.signature(
        *("openssl", f"{name}.csr", f"{name}.crt", 365, f"openssl-{name}.cnf"), key="ca.key", ca="ca.crt"
    )
    return format_command(argv, width=100)


def _access(match: LogMatch) -> dict[str, str]:
    """Return values about a user whose request the API server rejected."""
    user, verb, what = (match.word(name) for name in ("user", "verb", "what"))
    namespace, group = match.word("namespace"), match.word("group")
    _, _, account_namespace, account = (*user.split(":", 3), "", "", "")[:4]
    is_account = user.startswith("system:serviceaccount:")
    node = user.removeprefix("system:node:") if user.startswith("system:node:") else ""
    token = user.removeprefix("system:bootstrap:") if user.startswith("system:bootstrap:") else ""
    where = f" in {namespace}" if namespace else ""
    return {
        "deed": f"{verb or 'do that to'} {what or 'it'}{where}",
        "anonymous": "yes" if user == "system:anonymous" else "",
        "node_user": node,
        "lower_node": node.lower(),
        "bootstrap_token": token,
        "token": token,
        "service_account": account if is_account else "",
        "account_namespace": account_namespace if is_account else "",
        "account": f"{account_namespace}:{account}" if is_account else "",
        "component_user": _COMPONENTS.get(user, ""),
        "who": f"The bootstrap token {token}" if token else f"The user {user}",
        "resource_group": f"{what}.{group}" if group and "/" not in what and "." not in what else what,
        "!bind_bootstrapper": "kubectl create clusterrolebinding kubelet-bootstrap "
        "--clusterrole system:node-bootstrapper "
        + ("--group system:bootstrappers" if token or not user else f"--user={quote(user)}"),
    }


def _kubeadm(match: LogMatch) -> dict[str, str]:
    """Values on a certificate that kubeadm calls by the name of its file below /etc/kubernetes/pki."""
    named = match.word("cert_name") or (re.search(r"certs/([\w-]+):", match.text) or ["", ""])[1]
    named = named.lower() if named.isupper() else named
    name = named.removeprefix("etcd/")
    in_etcd = named.startswith("etcd") and name != "etcd-client"
    name = name.removeprefix("etcd-") if in_etcd else name
    stem = f"etcd/{name}" if in_etcd else name
    authority = match.word("issuer") or ("etcd/ca" if "etcd" in named else "")
    authority = authority or ("front-proxy-ca" if "front-proxy" in named else "ca")
    path = f"/etc/kubernetes/pki/{stem}.crt"
    is_ca = stem.endswith("ca")
    return {
        "cert_name": named,
        "kubeadm_path": path if named else "",
        "kubeadm_key": path.removesuffix(".crt") + ".key" if named else "",
        "kubeadm_ca": f"/etc/kubernetes/pki/{authority.replace('etcd-ca', 'etcd/ca')}.crt",
        "kubeadm_renew": "" if is_ca else kubeadm_name(path),
        "kcert_name": kcert_name(path) if named else "",
        "ca_name": named if is_ca else "",
    }


def renewal(kind: str, role: str) -> str:
    """Return the commands of a cluster that renew the certificate of *role*, or, if it has no name, all."""
    cluster = KINDS[kind]
    files = (pattern for pattern, known in cluster.files.items() if known and known.value == role)
    names = (cluster.renewal_names[pattern] for pattern in files if pattern in cluster.renewal_names)
    name = next(names, "")
    command = cluster.renew.replace("NAME", name) if cluster.renew and name else cluster.renew_all or ""
    restart = f"# then: {cluster.restart}" if cluster.restart and "start" not in command else ""
    return "\n".join(line for line in (f"# {cluster.renewal}" if cluster.renewal else "", command, restart) if line)


FUNCTIONS: Mapping[str, Callable[[LogMatch], dict[str, str] | None]] = {
    "missing": _missing,
    "missing_any": _missing_any,
    "access": _access,
    "kubeadm": _kubeadm,
}
"""By the name in the ``values`` of a cause. A key that begins with ! is a command, quoted already."""
