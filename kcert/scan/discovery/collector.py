"""The collector: drafts of uses, keys and problems, the files that were opened, and those that are swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kcert.certificates import Kind, Role
from kcert.clusters import ClusterKind
from kcert.openssl.program import key_belongs
from kcert.scan.files import Inside, look_into
from kcert.scan.fs import Places, dangling, lexists
from kcert.scan.layouts import FileOption
from kcert.scan.result import (
    CertificateRef,
    Configuration,
    Expected,
    KeyFile,
    KubeconfigUse,
    Problem,
    ProblemKind,
    PublicKeyFile,
    ScanResult,
)


@dataclass(slots=True)
class Draft:
    """A use of a certificate that is not read yet; ``key`` is its own in a kubeconfig, which may hold several."""

    pem: str
    path: Path
    kind: Kind | None = None
    component: str | None = None
    role: Role | None = None
    option: str | None = None
    source: Path | None = None
    key_path: Path | None = None
    key: KeyFile | None = None
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
    kubeconfigs: list[KubeconfigUse] = field(default_factory=list)
    kubeconfig_pems: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)
    keys: dict[Path, KeyFile] = field(default_factory=dict)
    public_keys: dict[Path, PublicKeyFile] = field(default_factory=dict)
    neighbours: dict[Path, frozenset[str]] = field(default_factory=dict)
    webhooks: list[tuple[Path, str]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    kind: ClusterKind | None = None
    files_read: int = 0

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to report: no certificate, no key, and nothing wrong."""
        return not (self.drafts or self.keys or self.kubeconfigs or self.problems)


@dataclass(frozen=True)
class Named:
    """An option that names a file, and the file that sets it; ``configuration`` counts those in the findings."""

    name: str
    option: FileOption
    path: Path
    source: Path
    component: str | None
    configuration: int | None = None


class Collector:
    """Opens each file once, and takes down what it holds. One for each survey."""

    def __init__(self, root: Path | None) -> None:
        self.places = Places(root)
        self.findings = Findings()
        self.group = 0
        self._files: dict[Path, Inside] = {}
        self._named: set[tuple[int, int]] = set()
        self._sources: set[Path | tuple[int, int]] = set()

    def opened(self, path: Path) -> Inside:
        """Return what the file at *path* holds, links followed as the survey's root asks for."""
        target = self.places.followed(path)
        if target not in self._files:
            self._files[target] = look_into(target)
            self.findings.files_read += 1
        opened = self._files[target]
        if target != path and opened.trouble and opened.trouble.what == "missing":
            return replace(opened, trouble=dangling(path))
        return opened

    def shown(self, path: Path, opened: Inside) -> Path:
        """The path that a person would open: where a link leads, or the link itself where it leads nowhere."""
        return path if opened.trouble else self.places.followed(path)

    def seen(self, path: Path, opened: Inside) -> bool:
        """True from the second time on: a file that an option names may be met in a folder as well."""
        known = path if opened.trouble else opened.identity
        if known in self._sources:
            return True
        self._sources.add(known)
        return False

    def is_named(self, opened: Inside) -> bool:
        """True for a file that something named before, or that was taken already."""
        return opened.identity in self._named and opened.trouble is None

    def mark_named(self, opened: Inside) -> None:
        """Exclude this file from the walk through the folders."""
        self._named.add(opened.identity)

    def add(self, draft: Draft) -> None:
        """Take down a use."""
        draft.group = self.group
        self.findings.drafts.append(draft)

    def problem(self, path: Path, what: ProblemKind, reason: str, named: Named | None, expects: Expected) -> None:
        """Take down what is wrong with a file, once."""
        problem = Problem(path, what, reason, expects=expects)
        if named is not None:
            problem = replace(problem, source=named.source, option=named.name, component=named.component)
        if problem not in self.findings.problems:
            self.findings.problems.append(problem)

    def no_certificate(self, path: Path, opened: Inside, named: Named | None) -> None:
        """Take down that there is none if one has to be."""
        what = opened.trouble.what if opened.trouble else "unreadable"
        self.problem(path, what, opened.why_no_certificate, named, "certificate")

    def key(self, path: Path, opened: Inside, named: Named | None = None) -> None:
        """Take down the private key in a file; that there is none is a problem if it is *named* for one."""
        if opened.key is not None:
            key = KeyFile(path, opened.mode, opened.key, encrypted=opened.encrypted)
            if named is not None:
                key = replace(key, source=named.source, option=named.name)
            known = self.findings.keys.setdefault(path, key)
            if named is not None and known.source is None:
                self.findings.keys[path] = key
        elif named is not None:
            what = opened.trouble.what if opened.trouble else "unreadable"
            reason = opened.why_no_certificate
            if not opened.trouble and not opened.faults and not opened.nothing:
                reason = "contains no private key"
            self.problem(path, what, reason, named, "key")


def exists(path: Path | None) -> bool:
    """True if there is something, a link to nothing included."""
    return path is not None and lexists(path)


def mismatched_pairs(result: ScanResult) -> list[tuple[CertificateRef, CertificateRef]]:
    """Return two certificates, alone in their files, of which each has the key of the other beside it."""
    places = {(use.path, use.position) for use in result.uses}
    alone = Counter(path for path, _ in places)
    wrong = {
        use.path: use
        for use in result.uses
        if use.key_fits is False and use.key_path and not use.embedded and not use.live and alone[use.path] == 1
    }
    pairs = []
    for first in wrong.values():
        other = next((use for use in wrong.values() if _has_key_of(first, use) and _has_key_of(use, first)), None)
        if other is not None and first.path < other.path and first.key_path != other.key_path:
            pairs.append((first, other))
    return pairs


def _has_key_of(use: CertificateRef, other: CertificateRef) -> bool:
    return use.key is not None and not use.key.embedded and bool(key_belongs(use.key.pem, other.certificate.public_key))


def exchanged(
    findings: Findings, pairs: list[tuple[CertificateRef, CertificateRef]]
) -> Iterator[tuple[Findings, list[tuple[Path, Path]]]]:
    """Yield *findings* with the certificates put back, then with the keys put back, each with the pairs of files."""
    pems: dict[Path, str] = {}
    keys = dict(findings.keys)
    certificate_files, key_files = [], []
    for first, second in pairs:
        pems |= {first.path: second.certificate.pem, second.path: first.certificate.pem}
        certificate_files.append((first.path, second.path))
        if first.key_path in keys and second.key_path in keys:
            key, other = keys[first.key_path], keys[second.key_path]
            keys |= {key.path: replace(key, pem=other.pem), other.path: replace(other, pem=key.pem)}
            key_files.append((key.path, other.path))
    drafts = [replace(draft, pem=pems.get(draft.path, draft.pem)) for draft in findings.drafts]
    in_kubeconfigs = [
        (
            (pems[kubeconfig.ca_path],) if not kubeconfig.ca_embedded and kubeconfig.ca_path in pems else authorities,
            pems.get(kubeconfig.user_path, user) if user and kubeconfig.user_path else user,
        )
        for kubeconfig, (authorities, user) in zip(findings.kubeconfigs, findings.kubeconfig_pems, strict=True)
    ]
    yield replace(findings, drafts=drafts, kubeconfig_pems=in_kubeconfigs), certificate_files
    yield replace(findings, keys=keys), key_files
