"""The content of a kubeconfig: the CA that it trusts, its user's certificate and key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kcert.certificates import Kind, Role
from kcert.openssl.pem import pem_blocks
from kcert.roles import kubeconfig_role
from kcert.scan.discovery.collector import Collector, Draft, Named
from kcert.scan.documents import Context, NotADocumentError, Part, contexts, documents, is_kubeconfig
from kcert.scan.fs import is_of_another_machine
from kcert.scan.layouts import FileOption
from kcert.scan.result import KeyFile, KubeconfigUse
from kcert.store import OWN_FOLDER


def follow_kubeconfig(
    collector: Collector, path: Path, named: Named | None = None, on_host: Callable[[str], str] = str
) -> None:
    """Take down every context of the kubeconfig at *path*, once; *named* is the option that names it.

    *on_host* gives the host's path for a container's.
    """
    opened = collector.opened(path)
    if collector.seen(path, opened):
        return
    if opened.text is None:
        what = opened.trouble.what if opened.trouble else "unreadable"
        reason = opened.trouble.reason if opened.trouble else (opened.nothing or "is not a kubeconfig")
        collector.problem(path, what, reason, named, "kubeconfig")
        return
    try:
        entries = [
            context for document in documents(opened.text) if is_kubeconfig(document) for context in contexts(document)
        ]
    except NotADocumentError as error:
        collector.problem(path, "unreadable", str(error), named, "kubeconfig")
        return
    follower = _Follower(collector, path, opened.mode, named, on_host)
    for context in entries:
        follower.follow(context)


class _Follower:
    """Goes through the contexts of one kubeconfig: a cluster or a user that several of them share is one use.

    A webhook's is one by its form alone: it does not connect to an API server, and does not trust the CA of a cluster.
    """

    def __init__(
        self, collector: Collector, path: Path, mode: int, named: Named | None, on_host: Callable[[str], str]
    ) -> None:
        self.collector = collector
        self.path = path
        self.mode = mode
        self.source = named.source if named else None
        self.component = named.component if named else None
        self.is_webhook = named is not None and named.option.holds == "webhook"
        self.on_host = on_host
        configuration = None if named is None or named.configuration is None else named.configuration
        self.node = None if configuration is None else collector.findings.configurations[configuration].node
        self.done: set[tuple[str, str]] = set()

    def follow(self, context: Context) -> None:
        """Take down one context, and what its cluster and its user hold."""
        authorities = self._certificates(context.authority)
        user = self._certificates(context.certificate)
        key = self._key(context.key)
        key_path = key.path if isinstance(key, KeyFile) else key
        index = None if self.is_webhook else self._taken_down(context, key_path, authorities, user)
        if context.authority is not None and self._is_new("cluster", context.cluster):
            self._add_authorities(context.authority, authorities, index)
        if context.certificate is not None and self._is_new("user", context.user):
            self._add_user(context.certificate, user, index, key)

    def _taken_down(
        self, context: Context, key_path: Path | None, authorities: Sequence[str], user: Sequence[str]
    ) -> int:
        """Record which user connects to which API server, and return the number of the record."""
        findings = self.collector.findings
        findings.kubeconfigs.append(
            KubeconfigUse(
                path=self.path,
                name=context.name,
                cluster=context.cluster,
                user_name=context.user,
                server=context.server,
                server_name=context.server_name,
                verifies=context.verifies,
                ca_path=self._file_of(context.authority),
                ca_embedded=bool(context.authority and context.authority.embedded),
                user_path=self._file_of(context.certificate),
                key_path=key_path,
                component=self.component,
                source=self.source,
                current=context.current,
                refused=context.refused,
            )
        )
        findings.kubeconfig_pems.append((tuple(authorities), user[0] if user else None))
        return len(findings.kubeconfigs) - 1

    def _is_new(self, what: str, name: str) -> bool:
        new = (what, name) not in self.done
        self.done.add((what, name))
        return new

    def _add_authorities(self, part: Part, pems: Sequence[str], index: int | None) -> None:
        role = None if self.is_webhook else Role.CLUSTER_CA
        for position, pem in enumerate(pems):
            self._add(part, pem, index, position, kind=Kind.CA, role=role)

    def _add_user(self, part: Part, pems: Sequence[str], index: int | None, key: KeyFile | Path | None) -> None:
        for position, pem in enumerate(pems):
            if position:  # the rest of its chain
                self._add(part, pem, index, position)
                continue
            role = None if self.is_webhook else kubeconfig_role(self.component)
            self._add(part, pem, index, position, kind=Kind.CLIENT, role=role, key=key)

    def _add(
        self,
        part: Part,
        pem: str,
        index: int | None,
        position: int,
        *,
        kind: Kind | None = None,
        role: Role | None = None,
        key: KeyFile | Path | None = None,
    ) -> None:
        self.collector.add(
            Draft(
                pem,
                self._file_of(part) or self.path,
                kind=kind,
                component=self.component,
                role=role,
                option=part.option,
                source=self.path,
                key_path=key.path if isinstance(key, KeyFile) else key,
                key=key if isinstance(key, KeyFile) else None,
                node=self.node if role is Role.KUBELET_CLIENT else None,
                position=position,
                embedded=part.embedded,
                kubeconfig=index,
            )
        )

    def _file_of(self, part: Part | None) -> Path | None:
        """The file to open for a part: the kubeconfig itself where the data is in it."""
        if part is None:
            return None
        if part.path is None:
            return self.path
        places = self.collector.places
        named = places.named(self.on_host(part.path), self.path)
        return places.followed(named) if named else None

    def _certificates(self, part: Part | None) -> list[str]:
        """The certificates of a part; what is wrong with them becomes a problem."""
        if part is None:
            return []
        named = Named(part.option, FileOption("certificate"), self.path, self.path, self.component)
        if part.embedded:
            return self._embedded_certificates(part, named)
        path = self.collector.places.named(self.on_host(part.path or ""), self.path)
        if path is None:
            return []
        if self._is_for_another_host(path):
            self.collector.problem(path, "elsewhere", "is not on this machine", named, "certificate")
            return []
        opened = self.collector.opened(path)
        self.collector.mark_named(opened)
        if not opened.certificates:
            self.collector.no_certificate(path, opened, named)
        return list(opened.certificates)

    def _is_for_another_host(self, path: Path) -> bool:
        """True if a kubeconfig of a PKI folder names what is for the host that it goes to (--path-prefix)."""
        return (self.path.parent / OWN_FOLDER).is_dir() and is_of_another_machine(path)

    def _embedded_certificates(self, part: Part, named: Named) -> list[str]:
        blocks = [block for block in pem_blocks(part.data) if block.is_certificate]
        faults = [part.fault] if part.fault else [block.fault for block in blocks if block.fault]
        if not faults and not blocks:
            faults = [f"has {part.option} that contains no certificate"]
        for fault in faults:
            self.collector.problem(self.path, "unreadable", fault, named, "certificate")
        return [block.pem for block in blocks if not block.fault]

    def _key(self, part: Part | None) -> KeyFile | Path | None:
        """Return the user's key, or where it is; what is wrong with it becomes a problem."""
        if part is None:
            return None
        named = Named(part.option, FileOption("key"), self.path, self.path, None)
        if part.embedded:
            return self._embedded_key(part, named) or self.path
        path = self.collector.places.named(self.on_host(part.path or ""), self.path)
        if path is None:
            return None
        if self._is_for_another_host(path):
            self.collector.problem(path, "elsewhere", "is not on this machine", named, "key")
            return None
        opened = self.collector.opened(path)
        self.collector.mark_named(opened)
        path = self.collector.shown(path, opened)
        self.collector.key(path, opened, named)
        return path

    def _embedded_key(self, part: Part, named: Named) -> KeyFile | None:
        keys = [block for block in pem_blocks(part.data) if block.is_key]
        fault = part.fault or (keys[0].fault if keys else f"has {part.option} that contains no private key")
        if fault:
            self.collector.problem(self.path, "unreadable", fault, named, "key")
        if not keys:
            return None
        key = KeyFile(
            self.path,
            self.mode,
            part.data,
            embedded=True,
            encrypted=keys[0].encrypted,
            source=self.path,
            option=part.option,
        )
        self.collector.findings.keys.setdefault(self.path, key)
        return key
