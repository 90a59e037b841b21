"""The folder of a lab while it is being built: certificates made quickly, in parallel, and files written.

Nothing is staged or recorded as ``kcert.store`` does it: a history would show what was broken, and an interrupted lab
is deleted and built from the start.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Key, Kind
from kcert.errors import ProgramError
from kcert.issue.steps import kubeconfig_for
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
"""The config with which `openssl ca` signs; the certificate's own section comes after it."""


@dataclass(frozen=True)
class Make:
    """A certificate to make: its issuer (None: itself), and for which time (None: its days, from now on)."""

    certificate: Certificate
    issuer: Certificate | None = None
    between: tuple[datetime, datetime] | None = None


@dataclass(frozen=True)
class LabBuilder:
    """The folder of a lab, and the openssl that builds there."""

    root: Path
    openssl: str = "openssl"

    def lay_out(self, scenario: Scenario, between: Mapping[str, tuple[datetime, datetime]] | None = None) -> None:
        """Write kcert.yaml, and make every certificate of *scenario*, the broken ones as they have to be broken.

        *between* gives the time for which some of them are valid, by name.
        """
        self.describe(scenario)
        self.make(made_in(scenario, between or {}), scenario.folder)

    def describe(self, scenario: Scenario) -> None:
        """Write kcert.yaml, the plan of the cluster."""
        self.write("kcert.yaml", as_yaml(scenario.cluster))

    def write(self, name: str, text: str, mode: int = PUBLIC_MODE) -> Path:
        """Write a file below the lab's folder."""
        return self.put(name, text.encode("utf-8"), mode)

    def put(self, name: str, content: bytes, mode: int = PUBLIC_MODE) -> Path:
        """Write a file below the lab's folder; its mode is set before its content."""
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
        for make in makes:
            self._prepare(make, base)
        self._run([argv for make in makes for argv in self._first(make)], base)
        self._run([argv for make in makes for argv in self._signature(make, base)], base)
        for make in makes:
            self._finish(make, base)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def ask(self, certificate: Certificate, folder: str = "pki") -> None:
        """Make the key and the request of *certificate*, which the learner signs."""
        base = self.root / folder
        self._folder(base)
        make = Make(certificate, certificate)
        self._prepare(make, base)
        self._run(list(self._first(make)), base)
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
        missing = [
            folder for folder in (path, *path.parents) if folder.is_relative_to(self.root) and not folder.exists()
        ]
        for folder in reversed(missing):
            folder.mkdir()
            folder.chmod(mode if folder == path else INNER_FOLDER_MODE)

    def _prepare(self, make: Make, base: Path) -> None:
        files = make.certificate.files
        for path in (files.key, files.crt, *files.kept):
            if path:
                self._folder((base / path).parent)
        if files.cnf:
            self.write(str((base / files.cnf).relative_to(self.root)), render(make.certificate))

    def _first(self, make: Make) -> Iterator[tuple[str, ...]]:
        """Yield the command that makes a CA, or the key and the request of another certificate."""
        certificate, files = make.certificate, make.certificate.files
        if certificate.kind is Kind.KEY_PAIR:
            # kubeadm's is RSA, which can take a second; nothing in a lab asks for that.
            yield commands.private_key(self.openssl, replace(certificate, key=Key("ecdsa")))
            return
        assert files.cnf
        fresh = (
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(files.key)),
            *("-subj", str(certificate.subject), "-config", str(files.cnf)),
        )
        if make.issuer is None:
            yield (
                *(self.openssl, "req", "-new", "-x509", *fresh, "-extensions", EXTENSIONS),
                *("-days", str(certificate.days), "-set_serial", _serial(), "-out", str(files.crt)),
            )
        else:
            yield (self.openssl, "req", "-new", *fresh, "-out", str(files.csr))

    def _signature(self, make: Make, base: Path) -> Iterator[tuple[str, ...]]:
        files, issuer = make.certificate.files, make.issuer
        if make.certificate.kind is Kind.KEY_PAIR:
            assert files.public_key
            yield (self.openssl, "pkey", "-in", str(files.key), "-pubout", "-out", str(files.public_key))
        if issuer is None:
            return
        assert files.csr
        assert files.crt
        assert files.cnf
        if make.between:
            yield self._dated(make, base)
            return
        yield (
            *(self.openssl, "x509", "-req", "-in", str(files.csr)),
            *("-CA", str(issuer.files.crt), "-CAkey", str(issuer.files.key), "-set_serial", _serial()),
            *("-out", str(files.crt), "-days", str(make.certificate.days)),
            *("-extensions", EXTENSIONS, "-extfile", str(files.cnf)),
        )

    def _dated(self, make: Make, base: Path) -> tuple[str, ...]:
        """Return the command that signs for given dates: only `openssl ca` can, with a database in a folder."""
        files, issuer = make.certificate.files, make.issuer
        assert make.between
        assert issuer
        assert files.csr
        assert files.crt
        folder = self._scratch / str(files.csr).replace("/", "-")
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        # From where the command runs: the lab's own path may contain anything, and is not written into the config.
        relative = PurePosixPath(os.path.relpath(folder, base))
        settings = (base / str(files.cnf)).read_text(encoding="utf-8").partition(f"[ {EXTENSIONS} ]")[2]
        text = _SIGNER.format(folder=relative, extensions=EXTENSIONS)
        (folder / "ca.cnf").write_text(f"{text}[ {EXTENSIONS} ]{settings}", encoding="utf-8")
        return commands.signature_between(
            self.openssl,
            files.csr,
            ca=issuer,
            out=files.crt,
            between=make.between,
            cnf=relative / "ca.cnf",
        )

    def _finish(self, make: Make, base: Path) -> None:
        certificate, files = make.certificate, make.certificate.files
        (base / files.key).chmod(SECRET_MODE)
        if files.crt:
            (base / files.crt).chmod(PUBLIC_MODE)
        if not files.kubeconfig:
            return
        assert make.issuer
        assert files.crt
        text = kubeconfig_for(certificate, make.issuer, "kubernetes").embedded(self._inside(base))
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
            lines = [line for line in failed[0].output.splitlines() if line.strip()]
            last = f": {ascii(lines[-1].strip())[1:-1]}" if lines else ""
            raise ProgramError(f"{' '.join(failed[0].command.argv[:2])} failed while the lab was built{last}.")


def made_in(scenario: Scenario, between: Mapping[str, tuple[datetime, datetime]]) -> Iterator[Make]:
    """Yield every certificate of *scenario* with its issuer."""
    by_name = {spec.name: spec for spec in scenario.specs}
    for spec in scenario.specs:
        certificate = scenario.made.get(spec.name, spec)
        issuer = by_name[certificate.issuer] if certificate.issuer else None
        yield Make(certificate, issuer, between.get(spec.name))


def _serial() -> str:
    """Return a random serial number (RFC 5280, section 4.1.2.2: positive, at most 20 bytes)."""
    return f"0x{secrets.randbits(126) | 1 << 126:x}"
