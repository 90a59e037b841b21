"""The command lines of proofs and repairs.

They are printed and never run. What came out of a log is quoted, and what cannot be typed as it stands never gets here
(``Saying.word``).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from kcert.certificates import Role
from kcert.quoting import quote
from kcert.roles import ROLES

API_SERVER = "127.0.0.1:6443"
"""Where the API server listens on its own host: the address to try where a log names none."""

ETCD_PEER = "127.0.0.1:2380"
"""Where a member of etcd listens for the others."""

_BY_PORT = {
    "6443": "kube-apiserver",
    "8443": "kube-apiserver",
    "443": "kube-apiserver",
    "2379": "etcd-server",
    "2380": "etcd-server",
}
_KUBEADM = {
    PurePosixPath(spec.kubeadm).name: role.value
    for role, spec in ROLES.items()
    if spec.kubeadm and spec.kind.is_client | spec.kind.is_server and role is not Role.KUBELET_CLIENT
}
"""kubeadm's file names, where kcert's own name for the certificate is another."""
_PKI_SUFFIXES = {".crt", ".key", ".pem", ".cer", ".cert", ".csr"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_NAMED = re.compile(r"[^:]*[A-Za-z][^:]*$")
"""A host by its name rather than by its address."""

NAME = "NAME"
"""Stands where a log does not tell which certificate it is."""


def lines(*parts: str) -> str:
    """Commands and comments, one a line; what is empty is left out."""
    return "\n".join(part for part in parts if part)


def file(path: str) -> str:
    """A path as an argument: one that begins with a dash would be taken for an option."""
    return quote(f"./{path}" if path.startswith("-") else path)


def name_of(path: str) -> str:
    """The name of the certificate that a file belongs to, as `kcert plan` lists it; NAME where that cannot be told."""
    stem = PurePosixPath(path).name
    for suffix in (*_PKI_SUFFIXES, ".conf", ".kubeconfig", ".pub"):
        stem = stem.removesuffix(suffix)
    stem = _KUBEADM.get(stem, stem)
    return stem if _PLAIN_NAME.fullmatch(stem) else NAME


def name_at(address: str) -> str:
    """The name of the certificate that is shown at HOST:PORT: the port tells who listens there.

    Behind a name and port 443 there may be anything: a webhook, a registry, an identity provider.
    """
    host, _, port = address.rpartition(":")
    if port == "443" and _NAMED.match(host) and not host.startswith("kubernetes"):
        return NAME
    return _BY_PORT.get(port, NAME)


def which(name: str) -> str:
    """A comment on NAME, where that had to stand in for a name."""
    return "# NAME: the certificate, as `kcert plan` lists it" if name == NAME else ""


def look(path: str, *fields: str) -> str:
    """Print what a certificate says."""
    wanted = " ".join(f"-{one}" for one in fields or ("subject", "issuer", "dates"))
    return f"openssl x509 -in {file(path)} -noout {wanted}"


def look_at(address: str, *fields: str) -> str:
    """Print what the certificate says that is shown at HOST:PORT."""
    wanted = " ".join(f"-{one}" for one in fields or ("subject", "issuer", "dates"))
    return f"openssl s_client -connect {quote(address)} </dev/null 2>/dev/null |\n  openssl x509 -noout {wanted}"


def shake_hands(address: str, ca: str, *more: str) -> str:
    """Connect to HOST:PORT as a client that knows just *ca*."""
    options = "".join(f" {one}" for one in more)
    return f"openssl s_client -connect {quote(address)} -CAfile {file(ca)} -verify_return_error{options} </dev/null"


def unnamed(address: str, stand_in: str = API_SERVER) -> str:
    """A comment on the address that stands in where a log names none."""
    return "" if address else f"# {stand_in}: the log does not say whom it dialled; put the server's address here"


def verify(path: str, ca: str, purpose: str = "") -> str:
    """Ask openssl whether *ca* vouches for a certificate, and for a use of it."""
    option = f" -purpose {purpose}" if purpose else ""
    return f"openssl verify -CAfile {file(ca)}{option} {file(path)}"


def same_key(crt: str, key: str) -> str:
    """Print the public keys of a certificate and of a private key: two equal lines where they belong together."""
    return lines(
        f"openssl x509 -in {file(crt)} -noout -pubkey | openssl sha256",
        f"openssl pkey -in {file(key)} -pubout | openssl sha256",
    )


def sign(name: str) -> str:
    """Sign a certificate's request once more, in the PKI folder."""
    word = file(name)
    return (
        f"openssl x509 -req -in {word}.csr -CA ca.crt -CAkey ca.key -CAcreateserial \\\n"
        f"    -out {word}.crt -days 365 -extensions v3_req -extfile openssl-{word}.cnf"
    )


def sign_in(folder: str, name: str) -> str:
    """The same where the request and its settings are in *folder*; nothing where they are not, or not on this host."""
    needed = (Path(folder, f"{name}.csr"), Path(folder, f"openssl-{name}.cnf"))
    return sign(name) if all(os.access(one, os.R_OK) for one in needed) else ""


def request(name: str, subject: str = "/CN=...") -> str:
    """Make a certificate's request once more, in the PKI folder; *subject* as bash takes it."""
    word = file(name)
    return f"openssl req -new -key {word}.key -subj {subject} \\\n    -config openssl-{word}.cnf -out {word}.csr"


def repair(kcert: tuple[str, ...], openssl: tuple[str, ...]) -> str:
    """Both ways to mend it."""
    return lines("# with kcert", *kcert, "# with openssl", *openssl)


def is_pki(path: str) -> bool:
    """True for the path of a certificate, a key or a kubeconfig."""
    pure = PurePosixPath(path)
    known = {"kubelet.conf", "admin.conf", "super-admin.conf", "scheduler.conf", "controller-manager.conf"}
    return (
        pure.suffix in _PKI_SUFFIXES
        or pure.name in known
        or pure.name in {"bootstrap-kubelet.conf", "sa.pub", "kubeconfig"}
        or pure.suffix == ".kubeconfig"
        or (pure.parent.name == ".kube" and pure.name == "config")
    )
