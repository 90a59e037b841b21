"""The folder of a lab while it is being built: certificates made quickly, side by side, and files written.

This is no PKI folder that anybody relies on, so nothing is staged or recorded as ``kcert.store`` does it: a
history would tell what was broken, and what is interrupted is thrown away and built anew.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Key, Kind
from kcert.errors import ProgramError
from kcert.issue.plan import kubeconfig_for
from kcert.kubeconfig import Kubeconfig
from kcert.openssl import commands
from kcert.openssl.commands import EXTENSIONS, render
from kcert.practice import OWN_FOLDER
from kcert.practice.rng import as_yaml
from kcert.shell import Command, Outcome, run_many
from kcert.store import FOLDER_MODE, INNER_FOLDER_MODE, PUBLIC_MODE, SECRET_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from kcert.practice.lab import Scenario

_SIGNER = """\
[ ca ]
default_ca = signer

[ signer ]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any_subject
x509_extensions = {extensions}

[ any_subject ]
commonName = optional

"""
"""How `openssl ca` is to sign; the certificate's own section comes after it."""


@dataclass(frozen=True)
class Make:
    """A certificate to be made: who signs it (None: itself), and for which time (None: its days, from now on)."""

    certificate: Certificate
    issuer: Certificate | None = None
    between: tuple[datetime, datetime] | None = None


@dataclass(frozen=True)
class LabBuilder:
    """The folder of a lab, and the openssl that builds there."""

    root: Path
    openssl: str = "openssl"

    def lay_out(self, scenario: Scenario, between: Mapping[str, tuple[datetime, datetime]] | None = None) -> None:
        """Write kcert.yaml, and make every certificate of *scenario*: those that are made otherwise, so.

        *between* gives the time for which some of them are valid, by name.
        """
        self.describe(scenario)
        self.make(made_in(scenario, between or {}), scenario.folder)

    def describe(self, scenario: Scenario) -> None:
        """Write kcert.yaml: how the cluster was planned."""
        self.write("kcert.yaml", as_yaml(scenario.cluster))

    def write(self, name: str, text: str, mode: int = PUBLIC_MODE) -> Path:
        """Write a file below the lab's folder."""
        return self.put(name, text.encode("utf-8"), mode)

    def put(self, name: str, content: bytes, mode: int = PUBLIC_MODE) -> Path:
        """Write a file below the lab's folder; a secret one is closed to others from its first byte."""
        path = self.root / name
        self._folder(path.parent)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        return path

    def make(self, makes: Iterable[Make], folder: str = "pki") -> None:
        """Make certificates in *folder*, as many at a time as there are processors; raises ProgramError."""
        makes = tuple(makes)
        base = self.root / folder
        self._folder(base, FOLDER_MODE)
        for one in makes:
            self._prepare(one, base)
        self._run([argv for one in makes for argv in self._first(one)], base)
        self._run([argv for one in makes for argv in self._signature(one, base)], base)
        for one in makes:
            self._finish(one, base)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def ask(self, certificate: Certificate, folder: str = "pki") -> None:
        """Make key and request of *certificate*, and leave it to others to sign it."""
        base = self.root / folder
        self._folder(base)
        one = Make(certificate, certificate)
        self._prepare(one, base)
        self._run(list(self._first(one)), base)
        (base / certificate.files.key).chmod(SECRET_MODE)

    def kubeconfig(self, scenario: Scenario, certificate: Certificate, ca: str, name: str) -> None:
        """Write the kubeconfig *name* with *certificate* and the CA file *ca* of the PKI folder inside."""
        assert certificate.subject
        assert certificate.files.crt
        cluster = scenario.cluster
        made = Kubeconfig(
            cluster=cluster.name,
            server=cluster.endpoint,
            user=certificate.subject.common_name,
            context=cluster.name,
            ca=PurePosixPath(ca),
            crt=certificate.files.crt,
            key=certificate.files.key,
        )
        inside = made.embedded(self._inside(self.root / scenario.folder))
        self.write(f"{scenario.folder}/{name}", inside, SECRET_MODE)

    @property
    def _scratch(self) -> Path:
        return self.root / OWN_FOLDER / "scratch"

    def _folder(self, path: Path, mode: int = INNER_FOLDER_MODE) -> None:
        missing = [one for one in (path, *path.parents) if one.is_relative_to(self.root) and not one.exists()]
        for one in reversed(missing):
            one.mkdir()
            one.chmod(mode if one == path else INNER_FOLDER_MODE)

    def _prepare(self, one: Make, base: Path) -> None:
        files = one.certificate.files
        for path in (files.key, files.crt, *files.kept):
            if path:
                self._folder((base / path).parent)
        if files.cnf:
            self.write(str((base / files.cnf).relative_to(self.root)), render(one.certificate))

    def _first(self, one: Make) -> Iterator[tuple[str, ...]]:
        """A CA is whole at once; of the others, key and request."""
        certificate, files = one.certificate, one.certificate.files
        if certificate.kind is Kind.KEY_PAIR:
            # kubeadm's is RSA, which can take a second; nothing in a lab asks for that.
            yield commands.private_key(self.openssl, Key("ecdsa"), files.key)
            return
        assert files.cnf
        fresh = (
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(files.key)),
            *("-subj", str(certificate.subject), "-config", str(files.cnf)),
        )
        if one.issuer is None:
            yield (
                *(self.openssl, "req", "-new", "-x509", *fresh, "-extensions", EXTENSIONS),
                *("-days", str(certificate.days), "-set_serial", _serial(), "-out", str(files.crt)),
            )
        else:
            yield (self.openssl, "req", "-new", *fresh, "-out", str(files.csr))

    def _signature(self, one: Make, base: Path) -> Iterator[tuple[str, ...]]:
        files, issuer = one.certificate.files, one.issuer
        if one.certificate.kind is Kind.KEY_PAIR:
            assert files.public_key
            yield (self.openssl, "pkey", "-in", str(files.key), "-pubout", "-out", str(files.public_key))
        if issuer is None:
            return
        assert files.csr
        assert files.crt
        assert files.cnf
        if one.between:
            yield self._dated(one, base)
            return
        yield (
            *(self.openssl, "x509", "-req", "-in", str(files.csr)),
            *("-CA", str(issuer.files.crt), "-CAkey", str(issuer.files.key), "-set_serial", _serial()),
            *("-out", str(files.crt), "-days", str(one.certificate.days)),
            *("-extensions", EXTENSIONS, "-extfile", str(files.cnf)),
        )

    def _dated(self, one: Make, base: Path) -> tuple[str, ...]:
        """`openssl ca` alone signs for a time that has passed; it wants a folder with its list in it."""
        files, issuer = one.certificate.files, one.issuer
        assert one.between
        assert issuer
        assert issuer.files.crt
        assert files.csr
        assert files.crt
        folder = self._scratch / str(files.csr).replace("/", "-")
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        # From where the command runs: the lab's own path may hold anything, and stands in no settings.
        there = PurePosixPath(os.path.relpath(folder, base))
        settings = (base / str(files.cnf)).read_text(encoding="utf-8").partition(f"[ {EXTENSIONS} ]")[2]
        text = _SIGNER.format(folder=there, extensions=EXTENSIONS)
        (folder / "ca.cnf").write_text(f"{text}[ {EXTENSIONS} ]{settings}", encoding="utf-8")
        return commands.signature_between(
            self.openssl,
            files.csr,
            authority=(issuer.files.crt, issuer.files.key),
            out=files.crt,
            between=one.between,
            cnf=there / "ca.cnf",
        )

    def _finish(self, one: Make, base: Path) -> None:
        certificate, files = one.certificate, one.certificate.files
        (base / files.key).chmod(SECRET_MODE)
        if files.crt:
            (base / files.crt).chmod(PUBLIC_MODE)
        if not files.kubeconfig:
            return
        assert one.issuer
        assert files.crt
        text = kubeconfig_for(certificate, one.issuer, "kubernetes").embedded(self._inside(base))
        self.write(str((base / files.kubeconfig).relative_to(self.root)), text, SECRET_MODE)
        (base / files.key).unlink()
        (base / files.crt).unlink()

    @staticmethod
    def _inside(base: Path) -> Callable[[PurePosixPath], str]:
        return lambda name: base64.b64encode((base / name).read_bytes()).decode("ascii")

    def _run(self, argvs: list[tuple[str, ...]], folder: Path) -> None:
        waiting = [Command(argv, folder) for argv in reversed(argvs)]
        failed: list[Outcome] = []
        run_many(
            lambda: waiting.pop() if waiting and not failed else None,
            lambda outcome: None if outcome.succeeded else failed.append(outcome),
            os.cpu_count() or 1,
        )
        if failed:
            said = [line for line in failed[0].output.splitlines() if line.strip()]
            last = f": {ascii(said[-1].strip())[1:-1]}" if said else ""
            raise ProgramError(f"{' '.join(failed[0].command.argv[:2])} failed while the lab was built{last}.")


def made_in(scenario: Scenario, between: Mapping[str, tuple[datetime, datetime]]) -> Iterator[Make]:
    """Every certificate of *scenario* with who signs it."""
    by_name = {one.name: one for one in scenario.specs}
    for spec in scenario.specs:
        certificate = scenario.made.get(spec.name, spec)
        issuer = by_name[certificate.issuer] if certificate.issuer else None
        yield Make(certificate, issuer, between.get(spec.name))


def _serial() -> str:
    """A serial number of its own for each (RFC 5280, section 4.1.2.2: positive, at most 20 bytes)."""
    return f"0x{secrets.randbits(126) | 1 << 126:x}"
