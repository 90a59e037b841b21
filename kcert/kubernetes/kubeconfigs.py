"""Kubeconfigs: which there are, what each holds, the commands that make the same, and writing them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from kcert import profiles
from kcert.certificates import Certificate
from kcert.config import check_context_name
from kcert.errors import InputError, ProgramError
from kcert.files import read_optional
from kcert.issue.adopt import known_files, made_here
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.steps import Step
from kcert.kubeconfig import Kubeconfig, context_of
from kcert.kubernetes import credentials, merging
from kcert.kubernetes.components import check_prefix
from kcert.kubernetes.credentials import Credentials, server_url
from kcert.kubernetes.merging import Lock, locked
from kcert.profiles.profile import kubeconfig_of
from kcert.shell import find
from kcert.store import SECRET_MODE, Staging, Workspace
from kcert.store.atomic import Written, check_unlinked, make_folder, write_file

SECONDS_FOR_KUBECTL = 30.0
"""`kubectl config` only edits a file; whatever takes longer waits for something that will not come."""


@dataclass(frozen=True)
class KubeconfigOptions:
    """The options that kubeconfigs are made with.

    ``server`` and ``context`` replace those of the profile. With ``embed`` the files are inside; otherwise they are
    named: below ``prefix`` if one is given, beside the kubeconfig where not.
    """

    server: str | None = None
    context: str | None = None
    embed: bool = True
    prefix: str | None = None


@dataclass(frozen=True)
class Draft:
    """One kubeconfig before it is written: the certificate, the content, and its file in the PKI folder."""

    credentials: Credentials
    kubeconfig: Kubeconfig
    file: PurePosixPath
    options: KubeconfigOptions

    @property
    def name(self) -> str:
        """Return the certificate's name."""
        return self.credentials.certificate.name

    def text(self) -> str:
        """Return the file's content."""
        if not self.options.embed:
            return self.kubeconfig.linked(self.path_of)
        contents = self.credentials.contents
        return self.kubeconfig.embedded(lambda path: base64.b64encode(contents[path]).decode("ascii"))

    def path_of(self, path: PurePosixPath) -> str:
        """Return the path of a file that is not embedded."""
        return f"{self.options.prefix.rstrip('/')}/{path}" if self.options.prefix is not None else str(path)

    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Return the four `kubectl config` commands that make the same file, to be typed in the PKI folder."""
        kubeconfig, begin, file = self.kubeconfig, ("kubectl", "config"), f"--kubeconfig={self.file}"
        path_of = str if self.options.embed else self.path_of
        embed = ("--embed-certs=true",) if self.options.embed else ()
        cluster = (f"--server={kubeconfig.server}", f"--certificate-authority={path_of(kubeconfig.ca)}")
        user = (f"--client-certificate={path_of(kubeconfig.crt)}", f"--client-key={path_of(kubeconfig.key)}")
        return (
            (*begin, "set-cluster", kubeconfig.cluster, *cluster, *embed, file),
            (*begin, "set-credentials", kubeconfig.user, *user, *embed, file),
            (
                *begin,
                "set-context",
                kubeconfig.context,
                f"--cluster={kubeconfig.cluster}",
                f"--user={kubeconfig.user}",
                file,
            ),
            (*begin, "use-context", kubeconfig.context, file),
        )


class Listener(Protocol):
    """Hears of kubeconfigs as they are made; of the commands hears the reporter of the context."""

    def on_drafts(self, drafts: Sequence[Draft]) -> None:
        """Report what is about to be compared, and written if it is missing or differs."""

    def on_kubeconfig(self, draft: Draft) -> None:
        """A kubeconfig comes next."""

    def on_done(self, draft: Draft, state: str) -> None:
        """The file is in place: ``current``, ``written``, or ``replaced`` (the one before is in the backup)."""


def drafts(
    ctx: Context, names: Iterable[str], options: KubeconfigOptions, without: tuple[Certificate, ...] = ()
) -> tuple[Draft, ...]:
    """Return the kubeconfigs called *names*; if none is named, all that the cluster needs but those *without*.

    Raises InputError for an unknown name, for options that are not possible, and for a certificate that is missing,
    stale or expired.
    """
    options = _checked(options)
    clients = credentials.clients(ctx)
    wanted: dict[str, Certificate] = {}
    for name in names:
        wanted |= {cert.name: cert for cert in credentials.named(ctx, name, clients)}
    chosen = tuple(wanted.values()) or tuple(cert for cert in clients if cert not in without)
    if not options.embed and any(cert.files.kubeconfig for cert in chosen):
        raise InputError("--no-embed: in this profile, a key and its certificate are only in their kubeconfig.")
    return tuple(draft(ctx, client, options) for client in credentials.credentials(ctx, chosen))


def foreign_kubeconfigs(ctx: Context) -> tuple[Certificate, ...]:
    """Return the certificates in kubeconfigs that kcert did not make: these are left alone unless they are named."""
    own = [
        cert for cert in credentials.clients(ctx) if cert.files.kubeconfig and (ctx.root / cert.files.primary).is_file()
    ]
    known = known_files(ctx.root) if own else frozenset()
    return tuple(cert for cert in own if not made_here(ctx.root, cert, known))


def draft(ctx: Context, client: Credentials, options: KubeconfigOptions) -> Draft:
    """The kubeconfig of a certificate."""
    certificate, cluster = client.certificate, ctx.cluster
    assert certificate.subject
    profile = profiles.PROFILES[cluster.profile]
    made = Kubeconfig(
        cluster=cluster.name,
        server=options.server or profile.server(cluster, certificate),
        user=certificate.subject.common_name,
        context=options.context or profile.context or context_of(certificate.name, cluster.name),
        ca=client.ca,
        crt=client.crt,
        key=client.key,
    )
    return Draft(client, made, kubeconfig_of(certificate), options)


def _checked(options: KubeconfigOptions) -> KubeconfigOptions:
    """Return *options* with its server as a URL; raises InputError for what cannot be."""
    if options.context is not None and (why := check_context_name(options.context)):
        raise InputError(f"--context {options.context!a} is invalid: {why}.")
    if options.prefix is not None:
        check_prefix(options.prefix)
        if options.embed:
            raise InputError("--path-prefix is for files that are not embedded: it needs --no-embed.")
    return options if options.server is None else replace(options, server=server_url(options.server))


def keep(ctx: Context, made: Iterable[Draft], listener: Listener, *, kubectl: bool = False) -> None:
    """Write kubeconfigs into the PKI folder; with *kubectl* the four commands make them.

    One that is there and equal is left alone, one that differs goes to the backup. Raises InputError where
    that would make kubeadm's files other than kcert.yaml has them, ProgramError where kubectl fails.
    """
    made = tuple(made)
    for draft in made:
        _check_own(draft)
    if kubectl:
        _check_kubectl()
    listener.on_drafts(made)
    if not made:
        return
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        for draft in made:
            listener.on_kubeconfig(draft)
            if is_there(ctx.root, draft):
                listener.on_done(draft, "current")
                continue
            links = (
                () if draft.credentials.certificate.files.kubeconfig else (draft.credentials.crt, draft.credentials.key)
            )
            staging = workspace.stage((draft.credentials.ca, *links), [draft.file])
            if kubectl:
                _by_kubectl(Executor(ctx, workspace), staging, draft)
            else:
                staging.write(draft.file, draft.text(), secret=True)
            state = "replaced" if (ctx.root / draft.file).exists() else "written"
            workspace.publish(staging, [draft.file], [draft.file])
            listener.on_done(draft, state)


def is_there(root: Path, draft: Draft) -> bool:
    """True if the PKI folder has this kubeconfig already, closed to others."""
    path = root / draft.file
    content = read_optional(path, advice="Move it away, and kcert writes a new one.")
    return content is not None and not path.stat().st_mode & 0o077 and merging.same(content, draft.text().encode())


def _check_own(draft: Draft) -> None:
    """A .conf of kubeadm is the certificate's own file: another server or context would make it stale."""
    if not draft.credentials.certificate.files.kubeconfig:
        return
    for option, value in (("--server", draft.options.server), ("--context", draft.options.context)):
        if value is not None:
            raise InputError(
                f"{option}: {draft.file} has the value in kcert.yaml. Write another file with --output, or change "
                f"kcert.yaml."
            )


def _check_kubectl() -> None:
    if find("kubectl") is None:
        raise ProgramError(
            "kubectl is not installed, or not in PATH. Without --via kubectl, kcert writes the same file itself."
        )


def _by_kubectl(executor: Executor, staging: Staging, draft: Draft) -> None:
    if draft.credentials.certificate.files.kubeconfig:
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
    if target.is_dir():
        check_unlinked(target, [draft.file for draft in made])
        for draft in made:
            make_folder((target / draft.file).parent)
        return tuple(write_file(target / draft.file, absolute(ctx, draft), SECRET_MODE) for draft in made)
    if len(made) > 1:
        raise InputError(f"{target} is not an existing folder, and {len(made)} kubeconfigs do not fit into one file.")
    return (write_file(target, absolute(ctx, made[0]), SECRET_MODE),)


def for_screen(ctx: Context, made: tuple[Draft, ...]) -> str:
    """The content of one kubeconfig, to be printed."""
    if len(made) > 1:
        raise InputError(f"--output - prints one kubeconfig, and there are {len(made)}: specify one of them.")
    return absolute(ctx, made[0]).decode()


def absolute(ctx: Context, draft: Draft) -> bytes:
    """The content for a file outside the PKI folder: paths begin at the root."""
    return elsewhere(ctx, draft).text().encode()


def elsewhere(ctx: Context, draft: Draft) -> Draft:
    """The same kubeconfig for a place outside the PKI folder, where names beside it would lead nowhere."""
    if draft.options.embed or draft.options.prefix is not None:
        return draft
    options = replace(draft.options, prefix=str(ctx.root.absolute()))
    return Draft(draft.credentials, draft.kubeconfig, draft.file, options)


def merge(
    ctx: Context,
    made: tuple[Draft, ...],
    target: Path,
    on_wait: Callable[[Lock], None],
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
        before = merging.read(target)
        merged = merging.merge(target, before, new, replace=replace)
        if merged.content == before:
            return Written(target, changed=False), merged.updated
        return write_file(target, merged.content, SECRET_MODE), merged.updated
