"""Finding: from places to certificates, which ``kcert.scan.resolution`` then ties together.

The finder goes from place to place, and passes units, manifests, kubeconfigs and loose files apart; ``options`` follows
what they name or hold; all of them take down what they find with the ``collector``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kcert.certificates import Kind
from kcert.clusters import HARD_WAY, KINDS, KUBEADM, cluster_kind_of
from kcert.clusters.kind import ClusterKind, at_root
from kcert.errors import InputError
from kcert.files import LARGEST
from kcert.scan import Problem, ScanResult, layouts
from kcert.scan.discovery.collector import Collector
from kcert.scan.discovery.options import (
    CERTIFICATE_ENDINGS,
    follow_embedded,
    follow_object,
    follow_options,
    objects_in,
    take,
)
from kcert.scan.documents import NotADocumentError, documents, is_kubeconfig
from kcert.scan.files import inside
from kcert.scan.fs import Content, Places, Server, certificates_of, lexists, read_file, server_in, stand_in_of, walk
from kcert.scan.layouts import COMPONENTS, FILE_OPTIONS
from kcert.scan.resolution import linked
from kcert.scan.units import Started, configured, is_unit, started_by, static_pods


def survey(
    where: Sequence[str],
    root: Path | None = None,
    openssl: str = "openssl",
    *,
    otherwise: Path | None = None,
    with_cas: bool = False,
) -> ScanResult:
    """Find every certificate at *where* (paths or ``host:port``), or where clusters keep them if it is empty.

    Where clusters keep none, the folder *otherwise* is looked into, if it is there. *with_cas* adds the CAs beside a
    file that is named by itself. With *root*, absolute paths, in arguments, inside files and in links, are taken below
    it. A WHERE that does not exist raises InputError; everything else that is wrong becomes a Problem.
    """
    if root is not None and not root.is_dir():
        raise InputError(f"{root} is not a folder: --root takes the folder that is treated as /.")
    finder = Finder(root, openssl, with_cas=with_cas)
    if where:
        for group, target in enumerate(where):
            finder.look(target, group)
    else:
        finder.look_where_clusters_keep_them()
        all_of = finder.findings
        is_empty = not (all_of.uses or all_of.unreadable or all_of.keys or all_of.kubeconfigs or all_of.problems)
        if is_empty and root is None and otherwise is not None and otherwise.is_dir():
            finder.look(str(otherwise))
    return linked(finder.findings, openssl)


def find_beside(path: Path, openssl: str) -> ScanResult:
    """The certificates and keys in the folder of *path*, and the CA of the folder above; nothing further."""
    above = [path.parent.parent / name for name in ("ca.crt", "ca.pem")]
    beside = sorted(file for file in path.parent.iterdir() if file.suffix.lower() in _PEM_ENDINGS)[:MOST_BESIDE]
    private = sorted(path.parent.parent.glob("private/*.key"))[:MOST_BESIDE]  # easy-rsa keeps keys there
    paths = dict.fromkeys([path, *beside, *(file for file in above if file.is_file()), *private])
    finder = Finder(None, openssl)
    take(finder, [file for file in paths if finder.opened(file).text is None])
    finder.findings.problems.clear()
    return linked(finder.findings, openssl)


UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
"""The folders in which systemd looks, the one with precedence first (systemd.unit(5))."""

MOST_BESIDE = 500
"""So many neighbours of one file are looked at."""

_STATIC_PODS = ("manifests", "pod-manifests")
"""The name of the folder in which the kubelet starts every file, whatever its name."""

_PATTERN = re.compile(r"[*?\[]")
"""The characters that make the name of an EnvironmentFile a pattern for several (systemd.exec(5))."""

_PEM_ENDINGS = CERTIFICATE_ENDINGS | {".key"}


class Finder(Collector):
    """Goes from place to place. One for each survey."""

    def __init__(self, root: Path | None, openssl: str, *, with_cas: bool = False) -> None:
        super().__init__(root)
        self.openssl = openssl
        self.with_cas = with_cas

    def look(self, where: str, group: int = 0) -> None:
        """Look at one WHERE of the command line."""
        self.group = group
        if where == "-":
            self._look_at_input(sys.stdin.buffer.read(LARGEST + 1))
            return
        path = self.places.absolute(where)
        server = None if lexists(path) else server_in(where)
        if server is not None:
            self._look_at_server(server)
            return
        if not lexists(path):
            raise InputError(f"{path} does not exist. WHERE is a file, a folder, or HOST:PORT of a running server.")
        self.findings.looked.append(str(path))
        self.places = Places(self.places.root, stand_in_of(path if path.is_dir() else path.parent))
        if not path.is_dir():
            self._look_at_file(path)
            return
        loose: list[Path] = []
        for file in self._walked(path):
            self._classified(file, loose)
        take(self, loose)

    def _look_at_input(self, data: bytes) -> None:
        self.findings.looked.append("standard input")
        opened = inside(Content(data, 0o600, (0, 0)))
        for position, pem in enumerate(opened.certificates):
            self.add(pem, Path("-"), position=position, live="-")
        try:
            parsed = documents(data, LARGEST) if opened.text is not None else []
        except NotADocumentError as error:
            raise InputError(f"standard input {error}.") from None
        if not parsed and not opened.certificates:
            raise InputError(
                "standard input contains no objects and no certificates: pipe `kubectl get secrets -A -o yaml` into it."
            )
        self._objects(parsed, "-")

    def _objects(self, parsed: list[dict[str, Any]], source: str) -> None:
        for document in parsed:
            for item in objects_in(document):
                follow_object(self, item, source)

    def look_where_clusters_keep_them(self) -> None:
        """Look at the usual places of this machine, or of the root."""
        units = {
            unit.name: unit
            for folder in reversed(UNIT_FOLDERS)
            for component in COMPONENTS
            if (unit := self.places.absolute(folder) / f"{component}.service").exists()
        }
        root = self.places.root
        # The users' home folders: this user's, or all those below the root.
        homes = [Path.home()] if root is None else [root / "root", *sorted(root.glob("home/*"))]
        top = root or Path(os.sep)
        named = dict.fromkeys((folder, home) for home in homes for kind in KINDS.values() for folder in kind.places)
        # The first belongs to no kind of cluster alone.
        paths = [self.places.absolute("/etc/ssl/etcd"), *(at_root(folder, top, home) for folder, home in named)]
        usual = [path for path in _outermost(paths) if os.access(path, os.F_OK)]
        config = Path.home() / ".kube" / "config"
        if root is None and os.access(config, os.F_OK):
            usual.append(config)
        self.findings.looked += [str(path) for path in (*units.values(), *usual)]
        # The manifests and units of kubeadm and of the hard way show what they are.
        kinds = (kind for kind in KINDS.values() if kind not in (KUBEADM, HARD_WAY))
        self.findings.kind = kind = next((kind for kind in kinds if kind.is_on(top, homes)), None)
        if kind is not None and kind.options:
            self._option_files(kind, self.places.absolute(kind.options))
        loose: list[Path] = []
        for unit in units.values():
            self._classified(unit, loose)
        for start in usual:
            for path in self._walked(start) if start.is_dir() else [start]:
                self._classified(path, loose)
        take(self, loose)

    def _option_files(self, kind: ClusterKind, folder: Path) -> None:
        """Follow the files, named after components, in which MicroK8s keeps an option a line."""
        for component in COMPONENTS:
            read = read_file(folder / component)
            if not isinstance(read, Content):
                continue
            text = read.data.decode("utf-8", "replace")
            for name, value in kind.variables.items():
                text = text.replace(f"${{{name}}}", value)
            lines = (line.split("#")[0].strip().partition("=") for line in text.splitlines())
            options = tuple((name, value.strip("\"'")) for name, _, value in lines if name.startswith("--"))
            follow_options(self, Started(component, options), folder / component)

    def _look_at_server(self, server: Server) -> None:
        self.findings.looked.append(str(server))
        shown, reason = certificates_of(self.openssl, server)
        if reason:
            self.findings.problems.append(Problem(Path(str(server)), "unreachable", reason, expects="server"))
        for position, pem in enumerate(shown):
            kind = Kind.SERVER if position == 0 else None
            self.add(pem, Path(str(server)), kind, position=position, live=str(server))

    def _walked(self, folder: Path) -> Iterable[Path]:
        paths = []
        start = self.followed(folder)
        for entry in walk(start):
            if not isinstance(entry, Path):
                path, trouble = entry
                self.findings.problems.append(Problem(path, trouble.what, trouble.reason, expects="folder"))
            elif not layouts.is_set_aside(entry.parts[len(start.parts) :]):
                paths.append(entry)
        in_use = frozenset(paths)
        return [path for path in paths if not layouts.is_left_over(path, in_use)]

    def _look_at_file(self, path: Path) -> None:
        loose: list[Path] = []
        opened = self.opened(path)
        if not (opened.text or opened.labels or opened.nothing or opened.trouble):
            read = read_file(path)
            if isinstance(read, Content) and follow_embedded(self, path, read.data):
                return
        self._classified(path, loose)
        # The CA beside a certificate says whether it signed it.
        wanted = self.with_cas and path.suffix.lower() in CERTIFICATE_ENDINGS
        cas = _cas_beside(path) if wanted else []
        take(self, loose, given=True)
        beside = [ca for ca in cas if self.opened(ca).certificates]
        names = (name for ca in beside for name in layouts.possible_keys(ca) if name not in (path, *beside))
        beside += [name for name in dict.fromkeys(names) if name.is_file() and self.opened(name).key]
        take(self, beside)

    def _classified(self, path: Path, loose: list[Path]) -> None:
        opened = self.opened(path)
        if opened.text is None or (layouts.is_copy(path, ()) and path.parent.name not in _STATIC_PODS):
            loose.append(path)
        elif is_unit(opened.text):
            self._unit(path, opened.text)
        else:
            self._document(path, opened.text, loose)

    def _unit(self, path: Path, content: bytes) -> None:
        texts = [content, *(read.data for read in map(read_file, self._drop_ins(path)) if isinstance(read, Content))]
        started = started_by((text.decode("utf-8", "replace") for text in texts), self._environment_of(path))
        for component in started:
            # kubeadm's kubelet has a unit as well, and a distribution's etcd comes with one that sets nothing up.
            names_files = any(value and name in FILE_OPTIONS[component.component] for name, value in component.options)
            if component.component != "kubelet" and names_files:
                self._is(HARD_WAY)
            follow_options(self, component, path)

    def _drop_ins(self, unit: Path) -> list[Path]:
        """The drop-ins of a unit; a name counts once, from the folder that comes first (systemd.unit(5))."""
        folders = [unit.parent]
        if unit.parent.parts[-2:] == ("systemd", "system"):
            folders += [named for folder in UNIT_FOLDERS if (named := self.places.named(folder, unit))]
        drop_ins: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.glob(f"{unit.name}.d/*.conf")):
                drop_ins.setdefault(path.name, path)
        return [drop_ins[name] for name in sorted(drop_ins)]

    def _environment_of(self, unit: Path) -> Callable[[str], str | None]:
        def read_environment(name: str) -> str | None:
            for specifier, value in (("%p", unit.stem), ("%N", unit.stem), ("%n", unit.name)):  # systemd.unit(5)
                name = name.replace(specifier, value)
            path = self.places.named(name, unit)
            if path is None:
                return None
            paths = sorted(path.parent.glob(path.name)) if _PATTERN.search(path.name) else [path]
            read = [read_file(self.followed(file)) for file in paths]
            return "\n".join(
                content.data.decode("utf-8", "replace") for content in read if isinstance(content, Content)
            )

        return read_environment

    def _document(self, path: Path, content: bytes, loose: list[Path]) -> None:
        try:
            parsed = documents(content)
        except NotADocumentError as error:
            if b"-----BEGIN" in content:
                loose.append(path)
                return
            self.problem(path, "unreadable", str(error), "configuration")
            return
        if any(is_kubeconfig(document) for document in parsed):
            loose.append(path)  # after the options that name it have been seen
            return
        if self.seen(path):
            return
        self._objects(parsed, str(path))
        pods = [pod for document in parsed for pod in static_pods(document)]
        if first := next((first for pod in pods if (first := _first_manifest(path, pod.component))), None):
            component = pods[0].component
            reason = f"starts {component}, as {first.name} in the same folder does"
            self.findings.problems.append(
                Problem(path, "second manifest", reason, first, component=component, expects="configuration")
            )
            return
        for document in parsed:
            for pod in static_pods(document):
                self._is(cluster_kind_of(path) or KUBEADM)
                follow_options(self, pod, path)
            if own := configured(document):
                follow_options(self, own, path)

    def _is(self, kind: ClusterKind) -> None:
        if self.findings.kind in (None, HARD_WAY):
            self.findings.kind = kind


def _first_manifest(path: Path, component: str) -> Path | None:
    """Return the manifest with the usual name beside *path*, a copy of it that the kubelet starts as well."""
    if path.parent.name not in _STATIC_PODS:
        return None
    usual = [path.with_name(f"{component}{ending}") for ending in (".yaml", ".yml", ".json", ".manifest")]
    return None if path in usual else next((name for name in usual if name.is_file()), None)


def _cas_beside(path: Path) -> list[Path]:
    """Return the files beside *path*, and in the folder above, that are called as CAs are."""
    folders = [path.parent, path.parent.parent]
    names = ("ca.crt", "ca.pem", "root-ca.crt", "root-ca.pem", "*-ca.crt", "*-ca.pem")
    cas = (path for folder in folders for pattern in names for path in sorted(folder.glob(pattern))[:MOST_BESIDE])
    return [ca for ca in dict.fromkeys(cas) if ca != path and ca.is_file()]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    unique = dict.fromkeys(paths)
    return [path for path in unique if not any(parent in unique for parent in path.parents)]
