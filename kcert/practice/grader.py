"""The bench on which a lab is judged: handshakes, openssl's word on certificates, and the rules of ``kcert check``.

Only the outcome counts. What a learner may have made worse on the way (another CA, a key that everybody may read, a
certificate that ends tomorrow, rights for everybody) does not pass for a repair.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kcert import kubeconfig
from kcert.certificates import Kind
from kcert.errors import InputError
from kcert.files import read_regular
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import same_key
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.practice.handshakes import Client, Credentials, Server, TlsPair
from kcert.practice.lab import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kcert.certificates import Certificate
    from kcert.practice.lab import Scenario
    from kcert.scan.result import Configuration, KubeconfigUse, ScanResult

MIN_REMAINING = timedelta(days=90)
"""A repair that has to be made again sooner is none; openssl's own 30 days, where -days is forgotten, are less."""


class AbsentError(Exception):
    """Something that is needed does not exist, or is not what it has to be; the message is a clause."""


class NotYetError(AbsentError):
    """Something that the learner still has to make does not exist."""


@dataclass
class Grader:
    """A lab's folder, laid on the bench. ``marks`` are the CAs' as they were when the lab was built, by name."""

    root: Path
    scenario: Scenario
    marks: Mapping[str, str] = field(default_factory=dict)
    openssl: str = "openssl"
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @cached_property
    def tls(self) -> TlsPair:
        """Where handshakes take place."""
        return TlsPair()

    @property
    def pki(self) -> Path:
        """The PKI folder."""
        return self.root / self.scenario.folder

    # ------------------------------------------------------------ files

    def content(self, path: Path) -> bytes:
        """What a file holds; raises AbsentError where it cannot be read."""
        name = self.name(path)
        try:
            return read_regular(path)
        except FileNotFoundError:
            raise NotYetError(f"{name} does not exist") from None
        except OSError as error:
            raise AbsentError(f"{name} cannot be read: {error.strerror or error}") from None

    def name(self, path: Path) -> str:
        """*path* as a learner in the lab's folder would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def shown(self, one: Certificate) -> Credentials:
        """Certificate and key of *one*, from their files or out of its kubeconfig; raises AbsentError."""
        files = one.files
        if files.kubeconfig:
            inside = kubeconfig.opened(self.content(self.pki / files.kubeconfig))
            if inside is None:
                raise AbsentError(f"{self.name(self.pki / files.kubeconfig)} is no kubeconfig with everything inside")
            return Credentials(inside.crt, inside.key)
        assert files.crt
        return Credentials(self.content(self.pki / files.crt), self.content(self.pki / files.key))

    def trusted(self, authority: str = "ca") -> bytes:
        """What the file of the CA called *authority* holds."""
        crt = self.scenario.spec(authority).files.crt
        assert crt
        return self.content(self.pki / crt)

    @cached_property
    def _read(self) -> dict[str, X509 | AbsentError]:
        """What each certificate of the scene says, or why it says nothing, by name: read together, which is cheap."""
        pems: dict[str, str] = {}
        found: dict[str, X509 | AbsentError] = {}
        for one in self.scenario.specs:
            if one.kind is Kind.KEY_PAIR:
                continue
            try:
                content = self.trusted(one.name) if one.kind is Kind.CA else self.shown(one).crt
            except AbsentError as error:
                found[one.name] = error
                continue
            blocks = [block for block in pem_blocks(content) if block.is_certificate and not block.fault]
            if blocks:
                pems[one.name] = blocks[0].pem
            else:
                found[one.name] = AbsentError(f"{one.files.primary} holds no certificate")
        for name, read in zip(pems, map(read_certificate, pems.values()), strict=True):
            found[name] = read if isinstance(read, X509) else AbsentError(f"{name} {read.reason}")
        return found

    def certificate(self, name: str) -> X509:
        """What the certificate called *name* says; raises AbsentError."""
        found = self._read[name]
        if isinstance(found, AbsentError):
            raise found
        return found

    # ------------------------------------------------------------ trials

    def check(self, what: str, why: Callable[[], str | None]) -> Check:
        """*what* works where *why*, asked now, has nothing against it."""
        try:
            reason = why()
        except AbsentError as error:
            return Check(what, works=False, why=str(error), pending=isinstance(error, NotYetError))
        return Check(what, reason is None, reason or "")

    def connects(self, what: str, server: str, client: str | None, server_name: str, authority: str = "ca") -> Check:
        """A *client* (None: one that shows nothing) dials *dialled* and reaches *server*; both trust *authority*."""

        def refused() -> str | None:
            ca = self.trusted(authority)
            there = Server(self.shown(self.scenario.spec(server)), ca if client else None)
            here = Client(ca, self.shown(self.scenario.spec(client)) if client else None)
            return self.tls.refusal(there, here, server_name)

        return self.check(what, refused)

    @cached_property
    def survey(self) -> ScanResult:
        """What `kcert check` sees in the PKI folder; raises AbsentError where that is gone."""
        from kcert.scan.discovery import survey

        try:
            return survey([str(self.pki)], None, self.openssl)
        except InputError as error:
            raise AbsentError(str(error).rstrip(".")) from None

    def kubeconfig(self, path: Path) -> KubeconfigUse:
        """What kubectl takes out of the kubeconfig at *path*; raises AbsentError."""
        self.content(path)
        found = [one for one in self.survey.kubeconfigs if one.path == path]
        if not found or not found[0].server:
            raise AbsentError(f"{self.name(path)} is no kubeconfig that kubectl can use")
        return next((one for one in found if one.current), found[0])

    def kubectl(self, use: KubeconfigUse) -> Client:
        """kubectl with a kubeconfig, whose files are inside or named; raises AbsentError where one is missing."""
        if not use.authorities:
            raise AbsentError(f"{self.name(use.path)} names no CA")
        if use.user is None:
            raise AbsentError(f"{self.name(use.path)} has no client certificate")
        # A CA file that is named by its path may have its key beside it, which is not the one that kubectl shows.
        own = (one.key for one in self.survey.uses if one.kubeconfig == use and one.certificate == use.user)
        key = next((one.pem for one in own if one), b"")
        trusted = "".join(one.pem for one in use.authorities).encode("ascii")
        return Client(trusted, Credentials(use.user.pem.encode("ascii"), key))

    @property
    def manifests(self) -> Path:
        """The folder of the static pods."""
        return self.pki / "manifests"

    def configuration(self, component: str) -> Configuration:
        """How *component* is started by its manifest, wherever else copies lie; raises AbsentError without one."""
        source = self.manifests / f"{component}.yaml"
        found = (one for one in self.survey.configurations if (one.component, one.source) == (component, source))
        if (first := next(found, None)) is None:
            raise AbsentError(f"no manifest starts {component}")
        return first

    def named(self, component: str, option: str) -> bytes:
        """What the file holds that an option names; raises AbsentError."""
        found = self.configuration(component)
        path = found.resolved.get(option)
        if path is None:
            raise AbsentError(f"{component} has no {option}")
        try:
            return self.content(path)
        except AbsentError:
            raise AbsentError(f"open {found.options[option]}: no such file or directory") from None

    def kept(self, what: str) -> Check:
        """*what*: each file that nobody may change is as it was."""

        def changed() -> str | None:
            for name in self.scenario.kept:
                self.content(self.root / name)
                if digest(self.root / name) != self.marks.get(name):
                    return f"{name} was changed"
            return None

        return self.check(what, changed)

    def static_pods(self) -> Check:
        """The folder of the manifests holds nothing that the kubelet would start besides."""

        def besides() -> str | None:
            from kcert.kubernetes.components import COMPONENTS

            known = {f"{name}.yaml" for name in COMPONENTS}
            # The kubelet reads every file there whose name does not begin with a dot, whatever its ending, and looks
            # into no folder.
            files = [path.name for path in sorted(self.manifests.glob("*")) if not path.is_dir()]
            more = [name for name in files if name[0] != "." and name not in known]
            return f"the kubelet would start {', '.join(more)} as well" if more else None

        return self.check("the kubelet starts each static pod once", besides)

    def as_planned(self, component: str, *open_ones: str) -> Check:
        """The manifest of *component* says what it said, those options apart that are *open_ones*."""

        def differs() -> str | None:
            from kcert.kubernetes.components import COMPONENTS, instances

            found = self.configuration(component).options
            seat = instances(self.scenario.cluster, component)[0]
            right = {one.name: one.value for one in COMPONENTS[component].pod_options(seat)}
            wrong = sorted(name for name in {*found, *right} - set(open_ones) if found.get(name) != right.get(name))
            return f"{', '.join(wrong)} was not so before" if wrong else None

        return self.check(f"the other options of {component} are as they were", differs)

    def kubeadms_own(self, component: str) -> Check:
        """Every file that the manifest names is one that kubeadm knows, and renews."""

        def others() -> str | None:
            known = {
                f"/etc/kubernetes/{path}"
                for one in self.scenario.specs
                for path in (one.files.key, one.files.crt, one.files.public_key)
                if path
            }
            found = self.configuration(component)
            strange = [found.options[name] for name in found.resolved if found.options[name] not in known]
            return f"kubeadm does not know {', '.join(dict.fromkeys(strange))}" if strange else None

        return self.check(f"{component} reads the files that kubeadm keeps and renews, and no others", others)

    def authority(self, name: str = "ca") -> Check:
        """The CA is the one that every machine has known since the lab began."""

        def changed() -> str | None:
            if mark(self.certificate(name)) != self.marks.get(name):
                return "it is another CA than the one that the machines know"
            count = sum(1 for block in pem_blocks(self.trusted(name)) if block.is_certificate)
            return f"the file vouches for {count - 1} more" if count > 1 else None

        file = self.name(self.pki / str(self.scenario.spec(name).files.crt))
        return self.check(f"{file} is the CA that every machine of the cluster knows", changed)

    def no_check_errors(self, *where: str) -> Check:
        """`kcert check` finds no error."""
        from kcert.check import Severity
        from kcert.check.checking import judge, wanted_at

        def why() -> str | None:
            places = [str(self.root / one) for one in where or (self.scenario.folder,)]
            if gone := [place for place in places if not Path(place).exists()]:
                return f"{self.name(Path(gone[0]))} does not exist"
            wanted = wanted_at(self.pki, self.scenario.specs)
            try:
                findings = judge(places, None, wanted=wanted, openssl=self.openssl).findings
            except InputError as error:
                return str(error).rstrip(".")
            errors = [f"{item.rule} ({self.name(item.path)})" for item in findings if item.severity is Severity.ERROR]
            more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
            return f"it finds {', '.join(errors[:3])}{more}" if errors else None

        return self.check(f"`kcert check {' '.join(where or (self.scenario.folder,))}` finds no error", why)

    def private_keys_protected(self) -> Check:
        """Whatever in the lab's folder holds a private key is for its owner alone, copies and backups too."""

        def open_ones() -> str | None:
            shown = [self.name(path) for path in sorted(self.root.rglob("*")) if _is_open(path) and self._has_key(path)]
            return f"others may read {', '.join(shown[:3])}" if shown else None

        return self.check("private keys are for their owner alone", open_ones)

    def _has_key(self, path: Path) -> bool:
        try:
            content = self.content(path)
        except AbsentError:
            return False
        return b"PRIVATE KEY-----" in content or b"client-key-data" in content

    def leaf(self, name: str) -> Iterator[Check]:
        """All that a certificate has to do: be whole, serve, dial, be the right user, and last."""
        spec = self.scenario.spec(name)
        label = self.name(self.pki / spec.files.primary)
        yield self.check(f"{label} and its key belong together", lambda: self._mismatch(spec))
        if spec.kind.is_server:
            yield self.check(f"{label} is accepted under every name that is dialled", lambda: self._unknown_name(spec))
        if spec.kind.is_client:
            yield self.check(f"{label} is accepted from a client", lambda: self._refused_client(spec))
        if spec.kind is Kind.CLIENT and spec.chapter in ("client", "kubelet", "apiserver"):
            yield self.check(f"{label} is taken for the right user, in the right groups", lambda: self._stranger(spec))
        yield self.check(f"{label} lasts, and is no CA", lambda: self._short_lived(name))

    def all_work(self, *focus: str) -> Iterator[Check]:
        """Everything about the certificates *focus*; of all others, in one trial, that they still work."""
        for spec in self.scenario.specs:
            if spec.kind is Kind.CA:
                yield self.authority(spec.name)
        for name in focus:
            yield from self.leaf(name)
        others = [
            one for one in self.scenario.specs if one.name not in focus and one.kind not in (Kind.CA, Kind.KEY_PAIR)
        ]
        if others:
            broken = [check for one in others for check in self.leaf(one.name) if not check.works]
            why = f"not true any more: {broken[0].what} ({broken[0].why})" if broken else ""
            listed = ", ".join(one.name for one in others)
            yield Check(f"what worked before still works: {listed}", not broken, why)
        yield self.private_keys_protected()

    def _mismatch(self, spec: Certificate) -> str | None:
        return self.unfit(self.shown(spec).key, spec.name)

    def unfit(self, key: bytes, name: str) -> str | None:
        """Why *key* (PEM) is of no use with the certificate called *name*; None if it belongs to it."""
        if any(block.encrypted for block in pem_blocks(key) if block.is_key):
            return "the key is locked with a passphrase"
        return None if same_key(self.openssl, key, self.certificate(name).public_key) else "the key is another's"

    def _unknown_name(self, spec: Certificate) -> str | None:
        shown, ca = self.shown(spec), self.trusted(spec.issuer or "ca")
        for name in spec.alt_names:
            if refused := self.tls.refusal(Server(shown), Client(ca), name.value):
                return f"dialled as {name.value}, {refused}"
        return None

    def _refused_client(self, spec: Certificate) -> str | None:
        shown, ca = self.shown(spec), self.trusted(spec.issuer or "ca")
        # Who serves does not matter here, so the client looks away, and its own certificate will do.
        return self.tls.refusal(Server(shown, ca), Client(None, shown), "localhost")

    def _stranger(self, spec: Certificate) -> str | None:
        found = self.certificate(spec.name).subject
        assert spec.subject
        right = (spec.subject.common_name, set(spec.subject.organizations))
        if (found.common_name, set(found.organizations)) == right:
            return None
        return f"it is taken for {user(found.common_name, found.organizations)}"

    def _short_lived(self, name: str) -> str | None:
        found = self.certificate(name)
        if found.ca:
            return "it may sign other certificates"
        return short_lived(found, self.now)


def _is_open(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and bool(path.stat().st_mode & 0o077)


def short_lived(found: X509, now: datetime, lasts: timedelta = MIN_REMAINING) -> str | None:
    """Return why a certificate is not valid from now on for at least *lasts*; None if it is."""
    if found.not_before > now:
        return f"it is not valid before {found.not_before:%Y-%m-%d}"
    needed = f"it must be valid until {now + lasts:%Y-%m-%d} or later, {lasts.days} days from now"
    if found.not_after <= now:
        return f"it expired on {found.not_after:%Y-%m-%d}; {needed}"
    if found.not_after - now < lasts:
        return f"it expires on {found.not_after:%Y-%m-%d}, within {lasts.days} days; {needed}"
    return None


def user(name: str | None, groups: Iterable[str]) -> str:
    """How the API server sees somebody: ``the user jane, in the group developers``."""
    listed = list(groups)
    who = f"the user {name}" if name else "nobody (there is no CN)"
    if not listed:
        return f"{who}, in no group"
    return f"{who}, in the group{'s' if len(listed) > 1 else ''} {', '.join(listed)}"


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(read_regular(path)).hexdigest()


def mark(found: X509) -> str:
    """What tells a CA from others, whenever its certificate was made: its name and its key, hashed."""
    return hashlib.sha256(f"{found.subject}\n{found.public_key.material}".encode()).hexdigest()
