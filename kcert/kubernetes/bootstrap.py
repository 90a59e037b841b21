"""TLS bootstrapping: the token with which new nodes ask for their certificates, and what has to be bound to it.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ and
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from kcert import plain_yaml, profiles
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_input, read_optional, read_regular
from kcert.kubernetes.encryption import random_text
from kcert.roles import NODES
from kcert.store import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.kubernetes.credentials import Folder
    from kcert.kubernetes.encryption import Reporter

FOLDER = PurePosixPath("bootstrap")
TOKEN = FOLDER / "bootstrap-token.yaml"
RBAC = FOLDER / "bootstrap-rbac.yaml"
KUBECONFIG = FOLDER / "bootstrap.kubeconfig"

BOOTSTRAPPERS = "system:bootstrappers"
"""The group of every client that presents a bootstrap token."""

_EXTRA_GROUP = f"{BOOTSTRAPPERS}:worker"
_SIGNER = "system:certificates.k8s.io:certificatesigningrequests"
_USER = "kubelet-bootstrap"
_ID = re.compile(r"[a-z0-9]{6}")
_SECRET = re.compile(r"[a-z0-9]{16}")

SHORTEST = 600
"""Seconds that a token has to be valid, to be of use."""


@dataclass(frozen=True)
class Binding:
    """A ClusterRoleBinding of a group, and why it is needed."""

    name: str
    role: str
    group: str
    why: str

    @property
    def command(self) -> tuple[str, ...]:
        """The kubectl command that creates it."""
        return (
            "kubectl",
            "create",
            "clusterrolebinding",
            self.name,
            f"--clusterrole={self.role}",
            f"--group={self.group}",
        )


BINDINGS = (
    Binding(
        "create-csrs-for-bootstrapping",
        "system:node-bootstrapper",
        BOOTSTRAPPERS,
        "The token may create certificate signing requests, and nothing else.",
    ),
    Binding(
        "auto-approve-csrs-for-group",
        f"{_SIGNER}:nodeclient",
        BOOTSTRAPPERS,
        "The controller-manager approves the first client certificate of a node by itself.",
    ),
    Binding(
        "auto-approve-renewals-for-nodes",
        f"{_SIGNER}:selfnodeclient",
        NODES,
        "It approves the renewals too: a node may ask for its own name only. Serving certificates stay manual.",
    ),
)


@dataclass(frozen=True)
class Token:
    """A bootstrap token: its public id, its secret, and when it expires."""

    id: str
    secret: str = field(repr=False)
    expires: datetime

    def manifest(self, hide: bool = False) -> dict[str, Any]:
        """Return the Secret that makes the token known to the cluster; *hide* leaves the secret part out."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"bootstrap-token-{self.id}", "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": {
                "description": "For nodes that join with TLS bootstrapping.",
                "token-id": self.id,
                "token-secret": "(hidden)" if hide else self.secret,
                "expiration": f"{self.expires:%Y-%m-%dT%H:%M:%SZ}",
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "true",
                "auth-extra-groups": _EXTRA_GROUP,
            },
        }


@dataclass(frozen=True)
class Bootstrap:
    """The token of a PKI folder; ``created`` tells whether it is new."""

    token: Token
    created: bool


def read(root: Path) -> Token | None:
    """Return the token of the PKI folder *root*; None where there is none. Raises InputError for a damaged file."""
    path = root / TOKEN
    content = read_optional(path, LARGEST_DOCUMENT)
    if content is None:
        return None
    try:
        data = plain_yaml.load(content)["stringData"]
        expires = datetime.strptime(data["expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        token = Token(data["token-id"], data["token-secret"], expires)
    except (plain_yaml.NotPlainError, KeyError, TypeError, ValueError):
        token = Token("", "", datetime.now(timezone.utc))
    if not _ID.fullmatch(str(token.id)) or not _SECRET.fullmatch(str(token.secret)):
        raise InputError(f"{path}: expected a Secret of the type bootstrap.kubernetes.io/token. Use --new-token.")
    return token


def make(folder: Folder, lifetime: timedelta, reporter: Reporter, *, new_token: bool = False) -> Bootstrap:
    """Write token, RBAC and bootstrap kubeconfig; a token that has not expired is kept, unless *new_token* is set.

    Raises InputError where the CA's certificate is missing.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    ca = ca_certificate(folder)
    with Workspace.open(folder.root, "kcert bootstrap", reporter.on_lock_wait) as workspace:
        staging = workspace.stage((), [TOKEN])
        token = None if new_token else read(folder.root)
        created = token is None or token.expires <= now
        if token is None or token.expires <= now:
            command = (folder.openssl, "rand", "-hex", "-out")
            token = Token(
                random_text(workspace, staging, (*command, "token-id", "3"), reporter),
                random_text(workspace, staging, (*command, "token-secret", "8"), reporter),
                now + lifetime,
            )
        files = {
            TOKEN: _yaml(token.manifest()),
            RBAC: rbac(),
            KUBECONFIG: kubeconfig(folder, token, ca),
        }
        changed = [name for name, text in files.items() if _content(folder.root / name) != text.encode()]
        for name in changed:
            staging.write(name, files[name], secret=name != RBAC)
        if changed:
            workspace.publish(staging, changed, [TOKEN, KUBECONFIG])
    return Bootstrap(token, created)


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path, LARGEST_DOCUMENT)
    except OSError:
        return None


def ca_certificate(folder: Folder) -> bytes:
    """Return the PEM of the cluster's CA; raises InputError where it is missing."""
    crt = folder.known["ca"].files.crt
    assert crt
    return read_input(folder.root / crt, advice=f"`kcert ca{folder.option}` makes it.")


def rbac() -> str:
    """Return the manifests of the three ClusterRoleBindings."""
    return "---\n".join(
        _yaml(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": binding.name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": binding.role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": binding.group}],
            }
        )
        for binding in BINDINGS
    )


def kubeconfig(folder: Folder, token: Token, ca: bytes) -> str:
    """Return the kubeconfig that a kubelet asks for its first certificate with."""
    cluster = folder.cluster
    server = profiles.PROFILES[cluster.profile].node_server(cluster)
    data = base64.b64encode(ca).decode("ascii")
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster.name, "cluster": {"certificate-authority-data": data, "server": server}}],
            "users": [{"name": _USER, "user": {"token": f"{token.id}.{token.secret}"}}],
            "contexts": [{"name": "bootstrap", "context": {"cluster": cluster.name, "user": _USER}}],
            "current-context": "bootstrap",
        }
    )


def shown(token: Token) -> str:
    """Return the Secret as it may be shown, without the secret part."""
    return _yaml(token.manifest(hide=True))


def _yaml(content: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(content, sort_keys=False, width=1_000_000)
    return text
