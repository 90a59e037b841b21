"""Kubeconfigs: which there are, what each holds, the commands that make the same, and writing them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from kcert import profiles
from kcert.certificates import Certificate
from kcert.config import check_context_name
from kcert.errors import InputError, ProgramError
from kcert.files import read_optional
from kcert.issue.adopt import known_files, made_here
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.steps import Step, kubeconfig_for
from kcert.kubeconfig import Kubeconfig
from kcert.kubernetes import credentials, merging
from kcert.kubernetes.components import check_prefix
from kcert.kubernetes.credentials import Credentials, server_url
from kcert.kubernetes.merging import locked
from kcert.profiles.profile import kubeconfig_of
from kcert.shell import find
from kcert.store import SECRET_MODE, Staging, Workspace
from kcert.store.atomic import OutputFile, Written, make_folder, write_file, write_files

SECONDS_FOR_KUBECTL = 30.0
"""`kubectl config` only edits a file; whatever takes longer waits for something that will not come."""


@dataclass(frozen=True)
class Draft:
    """One kubeconfig before it is written: the certificate, the content, and its file in the PKI folder.

    With ``embed`` the files are inside; otherwise they are named: below ``prefix`` if one is given, beside the
    kubeconfig where not.
    """

    credentials: Credentials
    kubeconfig: Kubeconfig
    file: PurePosixPath
    embed: bool = True
    prefix: str | None = None

    @property
    def name(self) -> str:
        """Return the certificate's name."""
        return self.credentials.certificate.name

    @property
    def is_packed(self) -> bool:
        """True if the certificate and its key are only in a kubeconfig."""
        return self.credentials.certificate.files.kubeconfig is not None

    def text(self) -> str:
        """Return the file's content."""
        if not self.embed:
            return self.kubeconfig.linked(self.path_of)
        contents = self.credentials.contents
        return self.kubeconfig.embedded(lambda path: base64.b64encode(contents[path]).decode("ascii"))

    def path_of(self, path: PurePosixPath) -> str:
        """Return the path of a file that is not embedded."""
        return f"{self.prefix.rstrip('/')}/{path}" if self.prefix is not None else str(path)

    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Return the four `kubectl config` commands that make the same file, to be typed in the PKI folder."""
        kubeconfig, begin, file = self.kubeconfig, ("kubectl", "config"), f"--kubeconfig={self.file}"
        embed = ("--embed-certs=true",) if self.embed else ()
        cluster = (f"--server={kubeconfig.server}", f"--certificate-authority={self.path_of(kubeconfig.ca)}")
        user = (f"--client-certificate={self.path_of(kubeconfig.crt)}", f"--client-key={self.path_of(kubeconfig.key)}")
        context = (f"--cluster={kubeconfig.cluster}", f"--user={kubeconfig.user}")
        return (
            (*begin, "set-cluster", kubeconfig.cluster, *cluster, *embed, file),
            (*begin, "set-credentials", kubeconfig.user, *user, *embed, file),
            (*begin, "set-context", kubeconfig.context, *context, file),
            (*begin, "use-context", kubeconfig.context, file),
        )


def drafts(
    ctx: Context,
    names: Iterable[str],
    *,
    server: str | None,
    context: str | None,
    embed: bool,
    prefix: str | None,
    without: tuple[Certificate, ...],
) -> tuple[Draft, ...]:
    """Return the kubeconfigs called *names*; if none is named, all that the cluster needs but those *without*.

    *server* and *context* replace those of the profile. Raises InputError for an unknown name, for options that are not
    possible, and for a certificate that is missing, stale or expired.
    """
    if context is not None and (why := check_context_name(context)):
        raise InputError(f"--context {context!a} is invalid: {why}.")
    if prefix is not None:
        check_prefix(prefix)
        if embed:
            raise InputError("--path-prefix is for files that are not embedded: it needs --no-embed.")
    server = None if server is None else server_url(server)
    clients = credentials.clients(ctx)
    wanted: dict[str, Certificate] = {}
    for name in names:
        wanted |= {cert.name: cert for cert in credentials.named(ctx, name, clients)}
    chosen = tuple(wanted.values()) or tuple(cert for cert in clients if cert not in without)
    if not embed and any(cert.files.kubeconfig for cert in chosen):
        raise InputError("--no-embed: in this profile, a key and its certificate are only in their kubeconfig.")
    made = (draft(ctx, client, server, context) for client in credentials.credentials(ctx, chosen))
    return tuple(replace(draft, embed=embed, prefix=prefix) for draft in made)


def foreign_kubeconfigs(ctx: Context) -> tuple[Certificate, ...]:
    """Return the certificates in kubeconfigs that kcert did not make: these are left alone unless they are named."""
    own = [
        cert for cert in credentials.clients(ctx) if cert.files.kubeconfig and (ctx.root / cert.files.primary).is_file()
    ]
    known = known_files(ctx.root) if own else frozenset()
    return tuple(cert for cert in own if not made_here(ctx.root, cert, known))


def draft(ctx: Context, client: Credentials, server: str | None = None, context: str | None = None) -> Draft:
    """The kubeconfig of a certificate, with its files inside."""
    certificate, cluster = client.certificate, ctx.cluster
    profile = profiles.PROFILES[cluster.profile]
    made = kubeconfig_for(certificate, client.issuer, cluster.name)
    server = server or profile.server(cluster, certificate)
    made = replace(made, server=server, context=context or profile.context or made.context)
    return Draft(client, made, kubeconfig_of(certificate))


def require_writable(made: Iterable[Draft], server: str | None, context: str | None, *, kubectl: bool) -> None:
    """Raise InputError for a .conf of kubeadm that would differ from kcert.yaml, ProgramError without *kubectl*."""
    for draft in made:
        if draft.is_packed:
            for option, value in (("--server", server), ("--context", context)):
                if value is not None:
                    raise InputError(
                        f"{option}: {draft.file} has the value in kcert.yaml. Write another file with --output, or "
                        f"change kcert.yaml."
                    )
    if kubectl and find("kubectl") is None:
        raise ProgramError(
            "kubectl is not installed, or not in PATH. Without --via kubectl, kcert writes the same file itself."
        )


State = Literal["begins", "current", "written", "replaced"]
"""The state of a kubeconfig; with "replaced" the file before is in the PKI folder's backup."""


def keep(ctx: Context, made: Sequence[Draft], *, kubectl: bool = False) -> Iterator[tuple[Draft, State]]:
    """Write kubeconfigs into the PKI folder; with *kubectl* the four commands make them.

    One that is there and equal is left alone, one that differs goes to the backup. Yield each as it begins, and when
    it is in place. Raises ProgramError where kubectl fails.
    """
    if not made:
        return
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        for draft in made:
            yield draft, "begins"
            content = read_optional(path := ctx.root / draft.file, advice="Move it away, and kcert writes a new one.")
            is_open = content is not None and path.stat().st_mode & 0o077
            if content is not None and not is_open and merging.same(content, draft.text().encode()):
                yield draft, "current"
                continue
            client = draft.credentials
            links = () if draft.is_packed else (client.crt, client.key)
            staging = workspace.stage((client.ca, *links), [draft.file])
            if kubectl:
                _by_kubectl(Executor(ctx, workspace), staging, draft)
            else:
                staging.write(draft.file, draft.text(), secret=True)
            workspace.publish(staging, [draft.file], [draft.file])
            yield draft, "written" if content is None else "replaced"


def _by_kubectl(executor: Executor, staging: Staging, draft: Draft) -> None:
    if draft.is_packed:
        for path in (draft.credentials.crt, draft.credentials.key):
            staging.write(path, draft.credentials.contents[path].decode(), secret=True)
    commands = (
        Step("kubeconfig", (draft.file,), argv, secret=True, limit=SECONDS_FOR_KUBECTL) for argv in draft.commands()
    )
    executor.run_all(staging, commands, str(draft.file))
    if not merging.same(staging.path(draft.file).read_bytes(), draft.text().encode()):
        raise ProgramError(f"kubectl created a {draft.file} that does not match its commands. The file was discarded.")


def put(ctx: Context, made: tuple[Draft, ...], target: Path) -> tuple[Written, ...]:
    """Write kubeconfigs to *target*: one to a file, several into a folder that is there, laid out as the PKI folder."""
    if len(made) > 1 and not target.is_dir():
        raise InputError(f"{target} is not an existing folder, and {len(made)} kubeconfigs do not fit into one file.")
    return write_files([OutputFile(draft.file, absolute(ctx, draft), SECRET_MODE) for draft in made], target, target)


def for_screen(ctx: Context, made: tuple[Draft, ...]) -> str:
    """The content of one kubeconfig, to be printed."""
    if len(made) > 1:
        raise InputError(f"--output - prints one kubeconfig, and there are {len(made)}: specify one of them.")
    return absolute(ctx, made[0]).decode()


def absolute(ctx: Context, draft: Draft) -> bytes:
    """The content for a file outside the PKI folder: paths begin at the root."""
    if not draft.embed and draft.prefix is None:
        draft = replace(draft, prefix=str(ctx.root.absolute()))
    return draft.text().encode()


def merge(
    ctx: Context,
    made: tuple[Draft, ...],
    target: Path,
    on_wait: Callable[[Path, str], None],
    *,
    replace: bool = False,
) -> tuple[Written, tuple[str, ...] | None]:
    """Add the context of one kubeconfig to the kubeconfig *target*, which is created if there is none.

    With *replace* a context that is there already is brought up to date: then the entries that had to change come
    back, else None. *on_wait* is called where another program is changing the file.
    """
    if len(made) > 1:
        listed = ", ".join(draft.name for draft in made[:10])
        raise InputError(
            f"--merge adds one context at a time, and there are {len(made)} ({listed}): specify one of them."
        )
    if target.is_dir():
        raise InputError(f"{target} is a folder; the kubeconfig to merge into has to be a file.")
    new = absolute(ctx, made[0])
    make_folder(target.parent)
    with locked(target, on_wait):
        before = read_optional(target) or b""
        content, updated = merging.merge(target, before, new, replace=replace)
        unchanged = content == before
        return Written(target, changed=False) if unchanged else write_file(target, content, SECRET_MODE), updated
