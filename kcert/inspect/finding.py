"""Finding: from places to drafts of uses, and then, with everything read at once, to the survey.

Certificates are collected first and read together, because an openssl process for each would take a hundred
times as long.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kcert.certificates import Kind
from kcert.errors import InputError
from kcert.inspect import layouts
from kcert.inspect.components import COMPONENTS, FILE_OPTIONS, KUBECONFIG_ROLE, FileOption
from kcert.inspect.documents import NotADocumentError, documents
from kcert.inspect.files import Inside, look_into
from kcert.inspect.kubeconfigs import Context, Part, contexts, is_kubeconfig
from kcert.inspect.live import Server, certificates_of, server_in
from kcert.inspect.manifests import configured, static_pods
from kcert.inspect.places import Content, Places, read_file, walk
from kcert.inspect.survey import (
    Configuration,
    Installation,
    KeyFile,
    KubeconfigUse,
    Problem,
    PublicKeyFile,
    Role,
    Survey,
)
from kcert.inspect.units import Started, is_unit, started_by
from kcert.openssl.pem import pem_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

USUAL = (
    "/etc/kubernetes",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubelet-config.yaml",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/kubelet/pki",
    "/var/lib/kubernetes",
    "/var/lib/kube-proxy",
    "/etc/etcd",
    "/etc/ssl/etcd",
)
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
"""Where systemd looks, the folder that counts most first (systemd.unit(5))."""

MOST_BESIDE = 500
"""So many neighbours of one file are looked at."""

_PEM_ENDINGS = frozenset({".crt", ".cer", ".cert", ".pem", ".key"})
_CERTIFICATE_ENDINGS = frozenset({".crt", ".cer", ".cert", ".pem"})


@dataclass(slots=True)
class Draft:
    """A use of a certificate that is not read yet."""

    pem: str
    path: Path
    kind: Kind | None = None
    component: str | None = None
    role: Role | None = None
    option: str | None = None
    source: Path | None = None
    key_path: Path | None = None
    position: int = 0
    embedded: bool = False
    live: str | None = None
    node: str | None = None
    configuration: int | None = None
    kubeconfig: int | None = None
    group: int = 0


@dataclass
class Findings:
    """All that was collected before a certificate is read. ``group`` counts the places of the command line."""

    drafts: list[Draft] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    configurations: list[Configuration] = field(default_factory=list)
    configuration_groups: list[int] = field(default_factory=list)
    kubeconfigs: list[KubeconfigUse] = field(default_factory=list)
    kubeconfig_pems: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)
    keys: dict[Path, KeyFile] = field(default_factory=dict)
    public_keys: dict[Path, PublicKeyFile] = field(default_factory=dict)
    neighbours: dict[Path, frozenset[str]] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    installation: Installation = Installation.NONE
    files_read: int = 0


def find_all(where: Sequence[str], root: Path | None, openssl: str) -> Survey:
    """See ``kcert.inspect.survey.survey``."""
    from kcert.inspect.linking import linked

    if root is not None and not root.is_dir():
        raise InputError(f"{root} is not a folder: --root takes the folder that stands for /.")
    finder = Finder(root, openssl)
    if where:
        for group, place in enumerate(where):
            finder.look(place, group)
    else:
        finder.look_where_clusters_keep_them()
    return linked(finder.findings, openssl)


def find_beside(path: Path, openssl: str) -> Survey:
    """The certificates and keys in the folder of *path*, and the CA of the folder above; nothing further."""
    from kcert.inspect.linking import linked

    finder = Finder(None, openssl)
    finder.look_beside(path)
    return linked(finder.findings, openssl)


class Finder:
    """Goes from place to place and collects. One for each survey."""

    def __init__(self, root: Path | None, openssl: str) -> None:
        self.places = Places(root)
        self.openssl = openssl
        self.findings = Findings()
        self.group = 0
        self._files: dict[Path, Inside] = {}
        self._named: set[tuple[int, int]] = set()
        self._sources: set[Path | tuple[int, int]] = set()

    # ------------------------------------------------------------ places

    def look(self, where: str, group: int = 0) -> None:
        """Look at one WHERE of the command line."""
        self.group = group
        path = self.places.absolute(where)
        server = None if os.path.lexists(path) else server_in(where)
        if server is not None:
            self._look_at_server(server)
            return
        if not os.path.lexists(path):
            raise InputError(f"{path} is not there. WHERE is a file, a folder, or HOST:PORT of a running server.")
        self.findings.looked.append(str(path))
        self.places = Places(self.places.root, _stand_in(path))
        if path.is_dir():
            self._look_into_folder(path)
        else:
            self._look_at_file(path)

    def look_where_clusters_keep_them(self) -> None:
        """Look at the usual places of this machine, or of the root."""
        units = {
            unit.name: unit
            for folder in reversed(UNIT_FOLDERS)
            for component in COMPONENTS
            if (unit := self.places.absolute(folder) / f"{component}.service").exists()
        }
        usual = [path for place in USUAL if (path := self.places.absolute(place)).exists()]
        if self.places.root is None:
            usual += [path for path in (Path.home() / ".kube" / "config",) if path.exists()]
        self.findings.looked += [str(path) for path in (*units.values(), *usual)]
        loose: list[Path] = []
        for unit in units.values():
            self._classified(unit, loose)
        for place in usual:
            for path in self._walked(place) if place.is_dir() else [place]:
                self._classified(path, loose)
        self._take(loose)

    def look_beside(self, path: Path) -> None:
        """Look at *path* and at what lies around it."""
        above = [path.parent.parent / name for name in ("ca.crt", "ca.pem")]
        beside = sorted(one for one in path.parent.iterdir() if one.suffix.lower() in _PEM_ENDINGS)[:MOST_BESIDE]
        private = sorted(path.parent.parent.glob("private/*.key"))[:MOST_BESIDE]  # easy-rsa keeps keys there
        paths = dict.fromkeys([path, *beside, *(one for one in above if one.is_file()), *private])
        self._take([one for one in paths if self._opened(one).text is None])
        self.findings.problems.clear()

    def _look_at_server(self, server: Server) -> None:
        self.findings.looked.append(str(server))
        shown, reason = certificates_of(self.openssl, server)
        if reason:
            self.findings.problems.append(Problem(Path(str(server)), "unreachable", reason, expects="server"))
        for position, pem in enumerate(shown):
            kind = Kind.SERVER if position == 0 else None
            self._add(Draft(pem, Path(str(server)), kind, position=position, live=str(server)))

    def _look_into_folder(self, folder: Path) -> None:
        loose: list[Path] = []
        for path in self._walked(folder):
            self._classified(path, loose)
        self._take(loose)

    def _walked(self, folder: Path) -> Iterable[Path]:
        names: dict[Path, set[str]] = {}
        found = []
        for one in walk(self.places.followed(folder)):
            if isinstance(one, Path):
                found.append(one)
                names.setdefault(one.parent, set()).add(one.name)
            else:
                path, trouble = one
                self.findings.problems.append(Problem(path, trouble.what, trouble.reason, expects="folder"))
        frozen = {parent: frozenset(beside) for parent, beside in names.items()}
        return [path for path in found if not layouts.is_left_over(path, frozen[path.parent])]

    def _look_at_file(self, path: Path) -> None:
        loose: list[Path] = []
        self._classified(path, loose)
        self._take(loose, given=True)

    # ------------------------------------------------------------ files

    def _opened(self, path: Path) -> Inside:
        if path not in self._files:
            self._files[path] = look_into(path)
            self.findings.files_read += 1
        return self._files[path]

    def _classified(self, path: Path, loose: list[Path]) -> None:
        """Follow what a unit or a document names; put anything else on the list of loose files."""
        opened = self._opened(self.places.followed(path))
        if opened.text is None:
            loose.append(path)
        elif is_unit(opened.text):
            self._unit(path, opened.text)
        else:
            self._document(path, opened.text, loose)

    def _unit(self, path: Path, content: bytes) -> None:
        texts = [content, *(read.data for read in map(read_file, self._drop_ins(path)) if isinstance(read, Content))]
        found = started_by((text.decode("utf-8", "replace") for text in texts), self._environment_of(path))
        for one in found:
            # kubeadm's kubelet has a unit as well, and a distribution's etcd comes with one that sets nothing up.
            names_files = any(value and name in FILE_OPTIONS[one.component] for name, value in one.options)
            if one.component != "kubelet" and names_files:
                self._is(Installation.HARD_WAY)
            self._component(one, path)

    def _drop_ins(self, unit: Path) -> list[Path]:
        """The drop-ins of a unit; a name counts once, from the folder that comes first (systemd.unit(5))."""
        folders = [unit.parent, *(named for folder in UNIT_FOLDERS if (named := self.places.named(folder, unit)))]
        found: dict[str, Path] = {}
        for folder in folders:
            for path in (
                sorted(folder.glob(f"{unit.name}.d/*.conf")) if folder == unit.parent or _is_unit_folder(unit) else []
            ):
                found.setdefault(path.name, path)
        return [found[name] for name in sorted(found)]

    def _environment_of(self, unit: Path) -> Callable[[str], str | None]:
        def read_environment(name: str) -> str | None:
            for specifier, value in (("%p", unit.stem), ("%N", unit.stem), ("%n", unit.name)):  # systemd.unit(5)
                name = name.replace(specifier, value)
            path = self.places.named(name, unit)
            read = read_file(self.places.followed(path)) if path else None
            return read.data.decode("utf-8", "replace") if isinstance(read, Content) else None

        return read_environment

    def _document(self, path: Path, content: bytes, loose: list[Path]) -> None:
        try:
            found = documents(content)
        except NotADocumentError as error:
            if b"-----BEGIN" in content:
                loose.append(path)
                return
            self.findings.problems.append(Problem(path, "unreadable", str(error), expects="configuration"))
            return
        if any(is_kubeconfig(document) for document in found):
            loose.append(path)  # after the options that name it have been seen
            return
        if self._seen(path, self._opened(self.places.followed(path))):
            return
        for document in found:
            for pod in static_pods(document):
                self._is(Installation.KUBEADM)
                self._component(pod.started, path, pod.on_host)
            if one := configured(document):
                self._component(one, path)

    def _seen(self, path: Path, opened: Inside) -> bool:
        """True from the second time on: a file that an option names may be met in a folder as well."""
        known = path if opened.trouble else opened.identity
        if known in self._sources:
            return True
        self._sources.add(known)
        return False

    def _is(self, installation: Installation) -> None:
        if self.findings.installation is Installation.NONE or installation is Installation.KUBEADM:
            self.findings.installation = installation

    # ------------------------------------------------------------ components

    def _component(self, started: Started, source: Path, on_host: Callable[[str], str] = str) -> None:
        known = FILE_OPTIONS[started.component]
        resolved: dict[str, Path] = {}
        named: list[tuple[str, FileOption, Path]] = []
        for name, value in started.options:
            option = known.get(name)
            if option is None or not value:
                continue
            path = self.places.named(on_host(value), source)
            if path is not None:
                resolved[name] = path
                named.append((name, option, path))
        options = dict(started.options)
        node = options.get("--hostname-override") if started.component in ("kubelet", "kube-proxy") else None
        self.findings.configurations.append(Configuration(started.component, source, options, resolved, node))
        self.findings.configuration_groups.append(self.group)
        waiting_for_join = _exists(resolved.get("--bootstrap-kubeconfig"))
        for name, option, path in named:
            use = _Named(name, option, path, source, started.component, len(self.findings.configurations) - 1)
            if option.may_be_missing and not _exists(path):
                continue
            if option.holds == "kubeconfig" and waiting_for_join and not _exists(path):
                continue
            self._follow(use, resolved.get(option.key or ""))

    def _follow(self, named: _Named, key_path: Path | None) -> None:
        opened = self._opened(self.places.followed(named.path))
        self._named.add(opened.identity)
        holds = named.option.holds
        if holds == "kubeconfig":
            self._kubeconfig(named.path, named)
        elif holds == "configuration":
            self._configuration(named, opened)
        elif holds == "key":
            self._key(named.path, opened, named)
        elif holds == "public key" and not opened.certificates:
            self._public_key(named, opened)
        else:
            self._certificates(named, opened, key_path)

    def _configuration(self, named: _Named, opened: Inside) -> None:
        if opened.trouble:
            self._problem(named.path, opened.trouble.what, opened.trouble.reason, named, "configuration")
        elif opened.text is not None:
            self._document(named.path, opened.text, [])

    def _key(self, path: Path, opened: Inside, named: _Named | None = None) -> None:
        if opened.key is not None:
            key = KeyFile(path, opened.mode, opened.key, encrypted=opened.encrypted)
            if named is not None:
                key = replace(key, source=named.source, option=named.name)
            self.findings.keys.setdefault(path, key)
        elif named is not None:
            what = opened.trouble.what if opened.trouble else "unreadable"
            reason = opened.why_no_certificate
            if not opened.trouble and not opened.faults and not opened.nothing:
                reason = "holds no private key"
            self._problem(path, what, reason, named, "key")

    def _public_key(self, named: _Named, opened: Inside) -> None:
        if opened.public_key is not None:
            found = PublicKeyFile(named.path, opened.public_key, named.source, named.name)
            self.findings.public_keys.setdefault(named.path, found)
        elif opened.key is not None:
            self._key(named.path, opened, named)
        else:
            what = opened.trouble.what if opened.trouble else "unreadable"
            self._problem(named.path, what, opened.why_no_certificate, named, "key")

    def _certificates(self, named: _Named, opened: Inside, key_path: Path | None) -> None:
        path, option = self._shown(named.path), named.option
        if not opened.certificates:
            what = opened.trouble.what if opened.trouble else "unreadable"
            self._problem(path, what, opened.why_no_certificate, named, "certificate")
            return
        for fault in opened.faults:
            self._problem(path, "unreadable", fault, named, "certificate")
        if key_path is not None:
            self._key(key_path, self._opened(self.places.followed(key_path)))
        node = self.findings.configurations[named.configuration].node
        for position, pem in enumerate(opened.certificates):
            leaf = position == 0 or option.holds == "authority"
            self._add(
                Draft(
                    pem,
                    path,
                    kind=option.kind if leaf else None,
                    component=named.component,
                    role=option.role if leaf else None,
                    option=named.name,
                    source=named.source,
                    key_path=key_path if position == 0 else None,
                    position=position,
                    node=node,
                    configuration=named.configuration,
                )
            )

    def _shown(self, path: Path) -> Path:
        """The path to open: the name as it is given, unless a link in it leads out of the copy."""
        return self.places.followed(path)

    def _problem(
        self,
        path: Path,
        what: Literal["missing", "unreadable", "denied", "dangling", "special", "unreachable"],
        reason: str,
        named: _Named | None,
        expects: Literal["certificate", "key", "request", "kubeconfig", "configuration", "folder", "server"],
    ) -> None:
        problem = Problem(path, what, reason, expects=expects)
        if named is not None:
            problem = replace(problem, source=named.source, option=named.name, component=named.component)
        if problem not in self.findings.problems:
            self.findings.problems.append(problem)

    def _add(self, draft: Draft) -> None:
        draft.group = self.group
        self.findings.drafts.append(draft)

    # ------------------------------------------------------------ kubeconfigs

    def _kubeconfig(self, path: Path, named: _Named | None = None) -> None:
        opened = self._opened(self.places.followed(path))
        if self._seen(path, opened):
            return
        if opened.text is None:
            what = opened.trouble.what if opened.trouble else "unreadable"
            reason = opened.trouble.reason if opened.trouble else (opened.nothing or "is no kubeconfig")
            self._problem(path, what, reason, named, "kubeconfig")
            return
        try:
            found = [
                one for document in documents(opened.text) if is_kubeconfig(document) for one in contexts(document)
            ]
        except NotADocumentError as error:
            self._problem(path, "unreadable", str(error), named, "kubeconfig")
            return
        done: set[tuple[str, str]] = set()
        for context in found:
            self._context(path, opened.mode, context, named, done)

    def _context(
        self, path: Path, mode: int, context: Context, named: _Named | None, done: set[tuple[str, str]]
    ) -> None:
        component = named.component if named else None
        index = len(self.findings.kubeconfigs)
        authorities = self._part(path, context.authority, component)
        user = self._part(path, context.certificate, component)
        key_path = self._kubeconfig_key(path, mode, context.key)
        ca_path = self._part_path(path, context.authority)
        self.findings.kubeconfigs.append(
            KubeconfigUse(
                path=path,
                name=context.name,
                cluster=context.cluster,
                user_name=context.user,
                server=context.server,
                ca_path=ca_path,
                ca_embedded=bool(context.authority and context.authority.embedded),
                user_path=self._part_path(path, context.certificate),
                key_path=key_path,
                component=component,
                source=named.source if named else None,
                current=context.current,
            )
        )
        self.findings.kubeconfig_pems.append((tuple(authorities), user[0] if user else None))
        parts = (
            (context.authority, authorities, "cluster", context.cluster),
            (context.certificate, user, "user", context.user),
        )
        for part, pems, what, name in parts:
            if part is None or (what, name) in done:
                continue
            done.add((what, name))
            for position, pem in enumerate(pems):
                is_user = what == "user" and position == 0
                self._add(
                    Draft(
                        pem,
                        self._part_path(path, part) or path,
                        kind=Kind.CA if what == "cluster" else Kind.CLIENT if is_user else None,
                        component=component,
                        role=Role.CLUSTER_CA
                        if what == "cluster"
                        else KUBECONFIG_ROLE.get(component or "")
                        if is_user
                        else None,
                        option=part.option,
                        source=path,
                        key_path=key_path if is_user else None,
                        position=position,
                        embedded=part.embedded,
                        kubeconfig=index,
                    )
                )

    def _part_path(self, kubeconfig: Path, part: Part | None) -> Path | None:
        if part is None:
            return None
        if part.path is None:
            return kubeconfig
        named = self.places.named(part.path, kubeconfig)
        return self._shown(named) if named else None

    def _part(self, path: Path, part: Part | None, component: str | None) -> list[str]:
        """The certificates of a part of a kubeconfig; what is wrong with them becomes a problem."""
        if part is None:
            return []
        named = _Named(part.option, FileOption("certificate"), path, path, component, 0)
        if part.embedded:
            blocks = [block for block in pem_blocks(part.data) if block.is_certificate]
            faults = [part.fault] if part.fault else [block.fault for block in blocks if block.fault]
            if not faults and not blocks:
                faults = [f"has {part.option} that holds no certificate"]
            for fault in faults:
                self._problem(path, "unreadable", fault, named, "certificate")
            return [block.pem for block in blocks if not block.fault]
        named_path = self.places.named(part.path or "", path)
        if named_path is None:
            return []
        opened = self._opened(self.places.followed(named_path))
        self._named.add(opened.identity)
        if not opened.certificates:
            what = opened.trouble.what if opened.trouble else "unreadable"
            self._problem(named_path, what, opened.why_no_certificate, named, "certificate")
        return list(opened.certificates)

    def _kubeconfig_key(self, path: Path, mode: int, part: Part | None) -> Path | None:
        if part is None:
            return None
        named = _Named(part.option, FileOption("key"), path, path, None, 0)
        if part.embedded:
            keys = [block for block in pem_blocks(part.data) if block.is_key]
            fault = part.fault or (keys[0].fault if keys else f"has {part.option} that holds no private key")
            if fault:
                self._problem(path, "unreadable", fault, named, "key")
            if keys:
                key = KeyFile(
                    path, mode, part.data, embedded=True, encrypted=keys[0].encrypted, source=path, option=part.option
                )
                self.findings.keys.setdefault(path, key)
            return path
        key_path = self.places.named(part.path or "", path)
        if key_path is None:
            return None
        opened = self._opened(self.places.followed(key_path))
        self._named.add(opened.identity)
        self._key(key_path, opened, named)
        return key_path

    # ------------------------------------------------------------ loose files

    def _take(self, loose: list[Path], *, given: bool = False) -> None:
        """Take the files of which no option spoke; one that was *given* on the command line must hold something."""
        kubeconfigs: list[tuple[Path, Inside]] = []
        rest: list[tuple[Path, Inside]] = []
        for path in loose:
            opened = self._opened(self.places.followed(path))
            (kubeconfigs if opened.text is not None else rest).append((path, opened))
        for path, _ in kubeconfigs:
            self._kubeconfig(path)
        beside: dict[Path, set[str]] = {}
        for path, opened in rest:
            if opened.certificates or opened.key:
                beside.setdefault(path.parent, set()).add(path.stem)
        for folder, names in beside.items():
            around = {one.stem for one in folder.iterdir()} if given else names
            self.findings.neighbours[folder] = layouts.TELLING & around
        by_path = dict(rest)
        for path, opened in rest:
            self._loose(path, opened, by_path, given=given)

    def _loose(self, path: Path, opened: Inside, by_path: dict[Path, Inside], *, given: bool) -> None:
        named_before = opened.identity in self._named and opened.trouble is None
        self._key(path, opened)
        if opened.certificates and (given or not named_before):
            self._named.add(opened.identity)
            key_path = self._key_beside(path, by_path, given=given)
            for position, pem in enumerate(opened.certificates):
                self._add(Draft(pem, path, key_path=key_path if position == 0 else None, position=position))
        expected = path.suffix.lower() in _CERTIFICATE_ENDINGS or given
        if opened.public_key is not None and not named_before:
            self.findings.public_keys.setdefault(path, PublicKeyFile(path, opened.public_key))
        if named_before or not (expected or path.suffix == ".key"):
            return
        is_key = path.suffix == ".key" or path.stem.endswith("-key")
        if opened.trouble or opened.faults or not (opened.labels or opened.certificates):
            what = opened.trouble.what if opened.trouble else "unreadable"
            reason = opened.why_no_certificate
            if is_key and not (opened.trouble or opened.faults or opened.nothing):
                reason = "is not PEM: no line in it begins a key"
            self._problem(path, what, reason, None, "key" if is_key else "certificate")

    def _key_beside(self, path: Path, by_path: dict[Path, Inside], *, given: bool) -> Path | None:
        for candidate in layouts.key_names(path):
            opened = by_path.get(candidate)
            if opened is None and given and _exists(candidate):
                opened = self._opened(self.places.followed(candidate))
                self._key(candidate, opened)
            if opened is not None and opened.key is not None:
                return candidate
        return None


@dataclass(frozen=True)
class _Named:
    """An option that names a file, and where it stands."""

    name: str
    option: FileOption
    path: Path
    source: Path
    component: str | None
    configuration: int


def _exists(path: Path | None) -> bool:
    return path is not None and os.path.lexists(path)


def _is_unit_folder(unit: Path) -> bool:
    return unit.parent.name == "system" and unit.parent.parent.name == "systemd"


def _stand_in(path: Path) -> Path | None:
    """The folder around *path* that is a copy of /etc/kubernetes under another name, or None."""
    start = path if path.is_dir() else path.parent
    for folder in (start, start.parent):
        if str(folder.absolute()).endswith("/etc/kubernetes"):
            return None
        if (folder / "pki").is_dir() and ((folder / "manifests").is_dir() or any(folder.glob("*.conf"))):
            return folder
    return None
