"""TLS bootstrapping: the token with which new nodes ask for their certificates, and what has to be bound to it.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ and
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from kcert import plain_yaml, profiles
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, filled_file, read_input, read_optional
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.kubeconfig import scalar
from kcert.kubernetes import TEMPLATES
from kcert.kubernetes.encryption import random_text
from kcert.quoting import SCRIPT_HEAD, folder_argument, format_command, here_document, quote
from kcert.roles import NODES
from kcert.store import Workspace

FOLDER = PurePosixPath("bootstrap")
TOKEN = FOLDER / "bootstrap-token.yaml"
RBAC = FOLDER / "bootstrap-rbac.yaml"
KUBECONFIG = FOLDER / "bootstrap.kubeconfig"
FILES = (TOKEN, RBAC, KUBECONFIG)

BOOTSTRAPPERS = "system:bootstrappers"
"""The group of every client that presents a bootstrap token."""

_EXTRA_GROUP = f"{BOOTSTRAPPERS}:worker"
_SIGNER = "system:certificates.k8s.io:certificatesigningrequests"
_ID = re.compile(r"[a-z0-9]{6}")
_SECRET = re.compile(r"[a-z0-9]{16}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PLACEHOLDER = datetime(2000, 1, 1, tzinfo=timezone.utc)

SHORTEST = 600
"""The number of seconds for which a token must at least be valid."""


@dataclass(frozen=True)
class Binding:
    """A ClusterRoleBinding of a group; the lesson `component-options` says why it is needed."""

    name: str
    role: str
    group: str

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
    Binding("create-csrs-for-bootstrapping", "system:node-bootstrapper", BOOTSTRAPPERS),
    Binding("auto-approve-csrs-for-group", f"{_SIGNER}:nodeclient", BOOTSTRAPPERS),
    Binding("auto-approve-renewals-for-nodes", f"{_SIGNER}:selfnodeclient", NODES),
)


@dataclass(frozen=True)
class Token:
    """A bootstrap token: its public id, its secret, and when it expires."""

    id: str
    secret: str = field(repr=False)
    expires: datetime

    def manifest(self, hide: bool = False) -> str:
        """Return the Secret that makes the token known to the cluster; *hide* leaves the secret part out.

        All of its data is in quotes: 12e456 would be a number.
        """
        return filled_file(
            TEMPLATES / TOKEN.name,
            id=self.id,
            secret="(hidden)" if hide else self.secret,
            expires=f"{self.expires:{_TIME}}",
            group=_EXTRA_GROUP,
        )


@dataclass(frozen=True)
class Bootstrap:
    """The token of a PKI folder; ``created`` is true for a new one, and ``changed`` are the files that were written."""

    token: Token
    created: bool
    changed: tuple[PurePosixPath, ...]


def read(root: Path) -> Token | None:
    """Return the token of the PKI folder *root*; None if there is none. Raises InputError for a damaged file."""
    path = root / TOKEN
    content = read_optional(path, LARGEST_DOCUMENT)
    if content is None:
        return None
    try:
        data = plain_yaml.load(content)["stringData"]
        expires = datetime.strptime(data["expiration"], _TIME).replace(tzinfo=timezone.utc)
        if _ID.fullmatch(data["token-id"]) and _SECRET.fullmatch(data["token-secret"]):
            return Token(data["token-id"], data["token-secret"], expires)
    except (plain_yaml.NotPlainError, KeyError, TypeError, ValueError):
        pass
    raise InputError(f"{path}: expected a Secret of the type bootstrap.kubernetes.io/token. Use --new-token.")


def make(ctx: Context, lifetime: timedelta, *, new_token: bool = False) -> Bootstrap:
    """Write token, RBAC and bootstrap kubeconfig; a token that has not expired is kept, unless *new_token* is set.

    Raises InputError where the CA's certificate is missing.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    ca = ca_certificate(ctx)
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        staging = workspace.stage((), [TOKEN])
        present = None if new_token else read(ctx.root)
        if present and present.expires > now:
            token = present
        else:
            executor = Executor(ctx, workspace)
            identifier = random_text(executor, staging, "token-id", "-hex", 3)
            token = Token(identifier, random_text(executor, staging, "token-secret", "-hex", 8), now + lifetime)
        files = _files(ctx, token, base64.b64encode(ca).decode("ascii"))
        changed = [name for name, text in files.items() if read_optional(ctx.root / name) != text.encode()]
        for name in changed:
            staging.write(name, files[name], secret=name != RBAC)
        if changed:
            workspace.publish(staging, changed, [TOKEN, KUBECONFIG])
    return Bootstrap(token, token is not present, tuple(changed))


def script(ctx: Context, lifetime: timedelta, *, new_token: bool = False) -> Iterator[str]:
    """Yield a bash script that writes the same files by hand, with a token that only the script's own shell knows.

    Raises InputError where the CA's certificate is missing.
    """
    ca_certificate(ctx)
    yield from SCRIPT_HEAD
    yield format_command(("cd", folder_argument(ctx.root)))
    present = None if new_token else read(ctx.root)
    if present and present.expires > datetime.now(timezone.utc):
        yield f"# The token {present.id} is valid until {present.expires:%Y-%m-%d %H:%M} UTC and is kept."
        for variable, key in (("id", "token-id"), ("secret", "token-secret"), ("expires", "expiration")):
            yield f"{variable}=$(grep ' {key}:' {TOKEN} | cut -d : -f 2- | tr -d ' \"')"
    else:
        yield f"id=$({format_command((ctx.openssl, 'rand', '-hex', '3'))})"
        yield f"secret=$({format_command((ctx.openssl, 'rand', '-hex', '8'))})"
        yield f"expires=$(date -u -d '+{lifetime.total_seconds():.0f} seconds' +{_TIME})"
    yield f"ca=$(base64 < {quote(str(ctx.known['ca'].crt))} | tr -d '\\n')"
    if (ctx.root / FOLDER).is_dir():
        yield "backup=.kcert/backup/$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"
        yield f'mkdir -p "$backup" && cp -pR {FOLDER} "$backup"/'
    yield f"mkdir -p {FOLDER}"
    token = Token("@id@", "@secret@", _PLACEHOLDER)
    variables = {"@id@": "$id", "@secret@": "$secret", "@ca@": "$ca", f"{_PLACEHOLDER:{_TIME}}": "$expires"}
    for name, text in _files(ctx, token, "@ca@").items():
        yield from here_document(str(name), text, variables)
    yield f"chmod 600 {TOKEN} {KUBECONFIG}"
    yield f"chmod 644 {RBAC}"


def _files(ctx: Context, token: Token, ca: str) -> dict[PurePosixPath, str]:
    """Return the content of each file; *ca* is the base64 of the CA's PEM file."""
    return {TOKEN: token.manifest(), RBAC: rbac(), KUBECONFIG: _kubeconfig(ctx, token, ca)}


def ca_certificate(ctx: Context) -> bytes:
    """Return the PEM of the cluster's CA; raises InputError if it is missing."""
    return read_input(ctx.root / ctx.known["ca"].crt, advice=f"`kcert ca{ctx.folder_option}` creates it.")


def rbac() -> str:
    """Return the manifests of the three ClusterRoleBindings."""
    return "---\n".join(role_binding(binding.name, binding.role, "Group", binding.group) for binding in BINDINGS)


def role_binding(name: str, role: str, kind: str, subject: str) -> str:
    """Return the manifest of a ClusterRoleBinding of the *subject*, a User or a Group."""
    api = "rbac.authorization.k8s.io"
    return plain_yaml.dump(
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": api, "kind": kind, "name": subject}],
        }
    )


def _kubeconfig(ctx: Context, token: Token, ca: str) -> str:
    return filled_file(
        TEMPLATES / KUBECONFIG.name,
        cluster=scalar(ctx.cluster.name),
        server=scalar(profiles.PROFILES[ctx.cluster.profile].node_server(ctx.cluster)),
        user="kubelet-bootstrap",
        id=token.id,
        secret=token.secret,
        ca=ca,
    )
