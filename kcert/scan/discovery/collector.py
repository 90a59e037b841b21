"""The collector: certificates, keys and problems, the files that were opened, and the content of kubeconfigs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kcert.certificates import Kind, Role
from kcert.openssl.pem import pem_blocks
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509, Unreadable
from kcert.roles import ROLES, kubeconfig_role
from kcert.scan import (
    CertificateRef,
    Configuration,
    Expected,
    KeyFile,
    KubeconfigUse,
    Problem,
    ProblemKind,
    ScanResult,
    layouts,
)
from kcert.scan.documents import Context, NotADocumentError, Part, contexts_in
from kcert.scan.files import Inside, look_into
from kcert.scan.fs import Places, dangling, is_of_another_machine
from kcert.scan.units import Started
from kcert.store import OWN_FOLDER


@dataclass
class Findings(ScanResult):
    """All that was collected. ``kinds`` are those of ``uses``, each None unless an option or its place shows it.

    ``unreadable`` are the certificates that cannot be read; ``neighbours`` the telling names in each folder.
    """

    kinds: list[Kind | None] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)
    neighbours: dict[Path, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Named:
    """An option that names a file, and the file that sets it; ``started`` is what was started with the option."""

    name: str | None = None
    source: Path | None = None
    component: str | None = None
    node: str | None = None
    configuration: Configuration | None = None
    started: Started | None = None


UNNAMED = Named()


class Collector:
    """Opens each file once, and takes down what it holds. One for each survey.

    ``taken`` are the files that something named, or that were taken down: the walk through the folders passes them.
    """

    def __init__(self, root: Path | None) -> None:
        self.places = Places(root)
        self.findings = Findings()
        self.group = 0
        self._files: dict[Path, Inside] = {}
        self._followed: dict[Path, Path] = {}
        self._certificates: dict[str, X509 | Unreadable] = {}
        self.taken: set[tuple[int, int]] = set()
        self._sources: set[Path | tuple[int, int]] = set()

    def followed(self, path: Path) -> Path:
        """The path to open, links followed as the survey's root asks for."""
        if path not in self._followed:
            self._followed[path] = self.places.followed(path)
        return self._followed[path]

    def opened(self, path: Path) -> Inside:
        """Return what the file at *path* holds, links followed as the survey's root asks for."""
        target = self.followed(path)
        if target not in self._files:
            self._files[target] = look_into(target)
        opened = self._files[target]
        if target != path and opened.trouble and opened.trouble.what == "missing":
            return replace(opened, trouble=dangling(path))
        return opened

    def shown(self, path: Path) -> Path:
        """The path that a person would open: where a link leads, or the link itself where it leads nowhere."""
        return path if self.opened(path).trouble else self.followed(path)

    def seen(self, path: Path) -> bool:
        """True from the second time on: a file that an option names may be met in a folder as well."""
        opened = self.opened(path)
        known = path if opened.trouble else opened.identity
        if known in self._sources:
            return True
        self._sources.add(known)
        return False

    def read(self, pem: str) -> X509 | Unreadable:
        """Read a certificate; the same PEM gives the same object."""
        if pem not in self._certificates:
            self._certificates[pem] = read_certificate(pem)
        return self._certificates[pem]

    def add(
        self,
        pem: str,
        path: Path,
        kind: Kind | None = None,
        named: Named = UNNAMED,
        *,
        role: Role | None = None,
        key: KeyFile | Path | None = None,
        position: int = 0,
        embedded: bool = False,
        live: str | None = None,
        kubeconfig: KubeconfigUse | None = None,
    ) -> None:
        """Take down a use of a certificate; *key* is its own, or the path of that."""
        certificate = self.read(pem)
        if isinstance(certificate, Unreadable):
            problem = Problem(path, "unreadable", certificate.reason, named.source, named.name, named.component)
            self.findings.unreadable.append(problem)
            return
        use = CertificateRef(
            component=named.component,
            kind=kind or Kind.CLIENT,
            certificate=certificate,
            path=path,
            option=named.name,
            source=named.source,
            key_path=key.path if isinstance(key, KeyFile) else key,
            position=position,
            role=role,
            embedded=embedded,
            live=live,
            key=key if isinstance(key, KeyFile) else None,
            node=named.node,
            configuration=named.configuration,
            kubeconfig=kubeconfig,
            group=self.group,
        )
        self.findings.uses.append(use)
        self.findings.kinds.append(kind)

    def problem(self, path: Path, what: ProblemKind, reason: str, expects: Expected, named: Named = UNNAMED) -> None:
        """Take down what is wrong with a file, once."""
        problem = Problem(path, what, reason, named.source, named.name, named.component, expects)
        if problem not in self.findings.problems:
            self.findings.problems.append(problem)

    def unfit(self, path: Path, opened: Inside, expects: Expected, named: Named = UNNAMED, reason: str = "") -> None:
        """Take down that a file does not hold what it has to, and why: *reason*, unless the file itself shows it."""
        shown = bool(opened.trouble or opened.faults or opened.nothing)
        what = opened.trouble.what if opened.trouble else "unreadable"
        self.problem(path, what, opened.why_no_certificate if shown or not reason else reason, expects, named)

    def key(self, path: Path, opened: Inside, named: Named = UNNAMED) -> None:
        """Take down the private key in a file; that there is none is a problem if it is *named* for one."""
        if opened.key is not None:
            key = KeyFile(path, opened.mode, opened.key, False, opened.encrypted, named.source, named.name)
            known = self.findings.keys.setdefault(path, key)
            if named.source is not None and known.source is None:
                self.findings.keys[path] = key
        elif named.name is not None:
            self.unfit(path, opened, "key", named, "contains no private key")


def component_of(path: Path, user: X509 | None) -> str | None:
    """Return whose kubeconfig it is that no option names, by its user and its place."""
    role = layouts.kubeconfig_role(path, user)
    return ROLES[role].component if role else None


def follow_kubeconfig(collector: Collector, path: Path, named: Named = UNNAMED, *, is_webhook: bool = False) -> None:
    """Take down every context of the kubeconfig at *path*, once; *named* is the option that names it.

    A webhook's is a kubeconfig by its form alone: it does not connect to an API server, and does not trust the CA of a
    cluster.
    """
    opened = collector.opened(path)
    if collector.seen(path):
        return
    if opened.text is None:
        what = opened.trouble.what if opened.trouble else "unreadable"
        reason = opened.trouble.reason if opened.trouble else (opened.nothing or "is not a kubeconfig")
        collector.problem(path, what, reason, "kubeconfig", named)
        return
    try:
        entries = contexts_in(opened.text)
    except NotADocumentError as error:
        collector.problem(path, "unreadable", str(error), "kubeconfig", named)
        return
    follower = _Follower(collector, path, named, is_webhook=is_webhook)
    for context in entries:
        follower.follow(context)


class _Follower:
    """Goes through the contexts of one kubeconfig: a cluster or a user that several of them share is one use."""

    def __init__(self, collector: Collector, path: Path, named: Named, *, is_webhook: bool) -> None:
        self.collector = collector
        self.path = path
        self.named = named
        self.is_webhook = is_webhook
        self.done: set[tuple[str, str]] = set()

    def follow(self, context: Context) -> None:
        """Take down one context, and what its cluster and its user hold."""
        authorities = self._certificates(context.authority)
        user = self._certificates(context.certificate)
        key = self._key(context.key)
        kubeconfig = None if self.is_webhook else self._taken_down(context, key, authorities, user)
        ca_role = None if self.is_webhook else Role.CLUSTER_CA
        cluster, user_name = ("cluster", context.cluster), ("user", context.user_name)
        self._add(cluster, context.authority, authorities, kubeconfig, kind=Kind.CA, role=ca_role)
        role = None if self.is_webhook else self._role(kubeconfig.user if kubeconfig else None)
        self._add(user_name, context.certificate, user, kubeconfig, kind=Kind.CLIENT, role=role, key=key)

    def _role(self, user: X509 | None) -> Role | None:
        """Return the role of the component that names the kubeconfig, unless place and user agree on another."""
        role, own = kubeconfig_role(self.named.component), layouts.kubeconfig_role(self.path, None)
        return own if role and user and own and layouts.kubeconfig_role(self.path, user) is own else role

    def _taken_down(
        self, context: Context, key: KeyFile | Path | None, authorities: list[str], user: list[str]
    ) -> KubeconfigUse:
        own = self.collector.read(user[0]) if user else None
        own = own if isinstance(own, X509) else None
        kubeconfig = KubeconfigUse(
            **vars(context),
            path=self.path,
            authorities=tuple(ca for ca in map(self.collector.read, authorities) if isinstance(ca, X509)),
            ca_path=self._file_of(context.authority),
            user=own,
            user_path=self._file_of(context.certificate),
            key_path=key.path if isinstance(key, KeyFile) else key,
            component=self.named.component or component_of(self.path, own),
            source=self.named.source,
        )
        self.collector.findings.kubeconfigs.append(kubeconfig)
        return kubeconfig

    def _add(
        self,
        holder: tuple[str, str],
        part: Part | None,
        pems: list[str],
        kubeconfig: KubeconfigUse | None,
        *,
        kind: Kind | None,
        role: Role | None,
        key: KeyFile | Path | None = None,
    ) -> None:
        if part is None or holder in self.done:
            return
        self.done.add(holder)
        for position, pem in enumerate(pems):
            if position and kind is not Kind.CA:
                kind = role = key = None  # the rest of its chain
            node = self.named.node if role is Role.KUBELET_CLIENT else None
            self.collector.add(
                pem,
                self._file_of(part) or self.path,
                kind,
                Named(part.option, self.path, self.named.component, node),
                role=role,
                key=key,
                position=position,
                embedded=part.embedded,
                kubeconfig=kubeconfig,
            )

    def _named(self, part: Part) -> Path | None:
        path = part.path or ""
        started = self.named.started
        return self.collector.places.named(started.on_host(path) if started else path, self.path)

    def _file_of(self, part: Part | None) -> Path | None:
        """The file to open for a part: the kubeconfig itself where the data is in it."""
        if part is None or part.path is None:
            return self.path if part else None
        named = self._named(part)
        return self.collector.followed(named) if named else None

    def _opened(self, part: Part, named: Named, expects: Expected) -> tuple[Path | None, Inside]:
        """Open the file of a part; None in place of its path if the file is not here."""
        path = self._named(part)
        # A kubeconfig of a PKI folder names what is for the host that it goes to (--path-prefix).
        if path is not None and (self.path.parent / OWN_FOLDER).is_dir() and is_of_another_machine(path):
            self.collector.problem(path, "elsewhere", "is not on this machine", expects, named)
            path = None
        if path is None:
            return None, Inside()
        opened = self.collector.opened(path)
        self.collector.taken.add(opened.identity)
        return path, opened

    def _certificates(self, part: Part | None) -> list[str]:
        """The certificates of a part; what is wrong with them becomes a problem."""
        if part is None:
            return []
        named = Named(part.option, self.path, self.named.component)
        if not part.embedded:
            path, opened = self._opened(part, named, "certificate")
            if path and not opened.certificates:
                self.collector.unfit(path, opened, "certificate", named)
            return list(opened.certificates)
        blocks = [block for block in pem_blocks(part.data) if block.is_certificate]
        faults = [part.fault] if part.fault else [block.fault for block in blocks if block.fault]
        if not faults and not blocks:
            faults = [f"has {part.option} that contains no certificate"]
        for fault in faults:
            self.collector.problem(self.path, "unreadable", fault, "certificate", named)
        return [block.pem for block in blocks if not block.fault]

    def _key(self, part: Part | None) -> KeyFile | Path | None:
        """Return the user's key, or where it is; what is wrong with it becomes a problem."""
        if part is None:
            return None
        named = Named(part.option, self.path)
        if not part.embedded:
            path, opened = self._opened(part, named, "key")
            if path is not None:
                path = self.collector.shown(path)
                self.collector.key(path, opened, named)
            return path
        keys = [block for block in pem_blocks(part.data) if block.is_key]
        fault = part.fault or (keys[0].fault if keys else f"has {part.option} that contains no private key")
        if fault:
            self.collector.problem(self.path, "unreadable", fault, "key", named)
        if not keys:
            return self.path
        mode = self.collector.opened(self.path).mode
        key = KeyFile(self.path, mode, part.data, True, keys[0].encrypted, self.path, part.option)
        self.collector.findings.keys.setdefault(self.path, key)
        return key
