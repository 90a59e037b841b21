"""What there is on a machine, or in a folder: the types that finding fills and that rules and reports read.

``kcert.scan.discovery`` fills them. Paths are as the user named them (below ``--root`` where one was
given), so that a message can name a file which the user can open.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - fields of dataclasses
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - fields of dataclasses
from typing import Literal

from kcert.certificates import (
    Kind,  # noqa: TC001 - fields of dataclasses
    Role,  # noqa: TC001 - fields of dataclasses
)
from kcert.clusters import ClusterKind  # noqa: TC001 - fields of dataclasses
from kcert.openssl.x509 import X509, PublicKey

ProblemKind = Literal[
    "missing", "unreadable", "denied", "dangling", "special", "unreachable", "elsewhere", "second manifest"
]
Expected = Literal["certificate", "key", "request", "kubeconfig", "configuration", "folder", "server"]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a private key inside: a key file, or a kubeconfig with ``client-key-data``.

    ``mode`` is the file's permission bits, the link followed; ``pem`` the key as bytes, for
    ``kcert.openssl.read.key_belongs``; it is never printed.
    """

    path: Path
    mode: int
    pem: bytes = field(repr=False)
    embedded: bool = False
    encrypted: bool = False
    source: Path | None = None
    option: str | None = None


@dataclass(frozen=True)
class Configuration:
    """How one component is started: a static-pod manifest, a unit, a KubeletConfiguration, a KubeProxyConfiguration.

    ``options`` maps names as they are written (``--service-cluster-ip-range``, ``clientCAFile``) to values; an
    option with an empty value is there with ``""``, a flag without one with ``"true"``. ``resolved`` gives, for each
    option that names a file, the path to open. ``node`` is the kubelet's node name where it is known.
    """

    component: str
    source: Path
    options: Mapping[str, str]
    resolved: Mapping[str, Path] = field(default_factory=dict)
    node: str | None = None


@dataclass(frozen=True)
class KubeconfigUse:
    """One context of a kubeconfig: the server that it connects to, the CA that it trusts, and its user.

    ``authorities`` are the CA certificates, embedded or from ``ca_path``. ``user`` is the client certificate (None:
    a token, or none that can be read), ``component`` whose file it is where that is known. ``server_name`` and
    ``verifies`` are as in ``kcert.scan.documents.Context``.
    """

    path: Path
    name: str
    cluster: str
    user_name: str
    server: str | None
    server_name: str | None = None
    verifies: bool = True
    authorities: tuple[X509, ...] = ()
    ca_path: Path | None = None
    ca_embedded: bool = False
    user: X509 | None = None
    user_path: Path | None = None
    key_path: Path | None = None
    component: str | None = None
    source: Path | None = None
    current: bool = False
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateRef:
    """One use of one certificate: a file that three options name is three of these.

    ``path`` is the file to open (the kubeconfig where the data is embedded; for a live server the text of ``live``,
    ``host:port``). ``option`` and ``source`` name the option that uses it and the file where that stands.
    ``position`` counts the certificates of one file from 0. ``role`` is None where nothing tells what the
    certificate is for. ``issuers`` are the certificates in ``issuer_path``: one of them has to have signed this,
    or the last of ``chain``, the certificates that follow it in its file.
    ``key`` is what was found at ``key_path``; ``key_fits`` says whether it belongs, None where that cannot be told.
    ``node`` is the node's name where the use is a kubelet's and the name is known.
    """

    component: str | None
    kind: Kind
    certificate: X509
    path: Path
    option: str | None = None
    source: Path | None = None
    key_path: Path | None = None
    issuer_path: Path | None = None
    position: int = 0
    role: Role | None = None
    embedded: bool = False
    live: str | None = None
    issuers: tuple[X509, ...] = ()
    chain: tuple[X509, ...] = ()
    key: KeyFile | None = None
    key_fits: bool | None = None
    node: str | None = None
    configuration: Configuration | None = None
    kubeconfig: KubeconfigUse | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be what it has to be.

    ``what``: ``missing`` (named, and not there), ``unreadable`` (damaged, empty, DER, not PEM), ``denied`` (this user
    may not read it), ``dangling`` (a link to nothing), ``special`` (a FIFO, a device), ``unreachable`` (a live server),
    ``second manifest`` (of a component that another file of the folder starts).
    ``reason`` is a clause that can follow the path. ``expects`` is what should have been inside.
    """

    path: Path
    what: ProblemKind
    reason: str
    source: Path | None = None
    option: str | None = None
    component: str | None = None
    expects: Expected = "certificate"


@dataclass(frozen=True)
class PublicKeyFile:
    """A public key on its own: kubeadm's ``sa.pub``, or --service-account-key-file."""

    path: Path
    pem: bytes
    source: Path | None = None
    option: str | None = None


@dataclass(frozen=True)
class ScanResult:
    """All that was found. ``kind`` is the kind of cluster, ``looked`` the places that were searched, in order.

    ``webhooks`` are the places of CAs (``caBundle``), each with the name at which the API server calls the service.

    Where two files may have changed places, ``as_meant`` holds what would be found if they had not; ``swapped`` names
    the files in each of these.
    """

    uses: tuple[CertificateRef, ...] = ()
    problems: tuple[Problem, ...] = ()
    configurations: tuple[Configuration, ...] = ()
    kubeconfigs: tuple[KubeconfigUse, ...] = ()
    keys: tuple[KeyFile, ...] = ()
    public_keys: tuple[PublicKeyFile, ...] = ()
    webhooks: tuple[tuple[Path, str], ...] = ()
    kind: ClusterKind | None = None
    looked: tuple[str, ...] = ()
    files_read: int = 0
    as_meant: tuple[ScanResult, ...] = ()
    swapped: tuple[tuple[Path, Path], ...] = ()


__all__ = [
    "CertificateRef",
    "Configuration",
    "KeyFile",
    "KubeconfigUse",
    "Problem",
    "PublicKey",
    "PublicKeyFile",
    "ScanResult",
]
