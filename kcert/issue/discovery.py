"""The certificates of a PKI folder without a kcert.yaml: identified by their content, whatever tool made them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kcert.certificates import Certificate, Kind, Role, Subject, Usages, key_names
from kcert.clusters import KUBEADM, cluster_kind_of
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_regular
from kcert.issue.status import key_of, names_issuer
from kcert.kubeconfig import opened
from kcert.openssl import der
from kcert.openssl.commands import CA_USAGES, writable
from kcert.openssl.reader import first_certificate, readable_certificates
from kcert.openssl.verify import Signatures
from kcert.openssl.x509 import X509, PublicKey
from kcert.profiles.profile import files_of
from kcert.quoting import quote
from kcert.roles import ROLES

_ENDINGS = (".crt", ".pem", ".cert", ".cer")
KEY_ENDINGS = (".key", "-key.pem")
_KUBECONFIG_ENDINGS = (".conf", ".kubeconfig")
_UNUSED_FOLDERS = {
    *("renewed", "revoked", "expired", "certs_by_serial", "backup", "backups", "bak", "old", "tmp", "temporary-certs")
}
"""Folders in which openssl, easy-rsa, K3s and people keep what was replaced."""

MOST_FILES = 2000
"""Files that are read; a PKI folder with more is not one cluster's."""

DEPTH = 3
"""Levels of folders below the PKI folder that are searched: kubeadm's pki/etcd is two."""


@dataclass(frozen=True)
class CertificateFile:
    """The first certificate of a file, whose ``sha256`` it has; a kubeconfig gives ``server`` and ``cluster`` too."""

    name: PurePosixPath
    x509: X509
    sha256: str
    server: str = ""
    cluster: str = ""


class FolderContent:
    """The certificates in a PKI folder: ``specs`` describe its certificates, ``left_out`` names the others."""

    def __init__(self, root: Path, openssl: str) -> None:
        self.root = root
        files = read_folder(root)
        cas = _first_of_each(file for file in files if file.x509.ca and not file.server)
        leaves = _first_of_each(file for file in files if not file.x509.ca)
        names = _names([*cas, *leaves])
        self._cas = [(self._spec(file, names[file.name], None), file.x509) for file in cas]
        pairs = ((leaf.x509, ca.x509) for leaf in leaves for ca in cas if names_issuer(leaf.x509, ca.x509))
        self._signatures = Signatures(openssl, [(leaf, (ca,), ()) for leaf, ca in pairs])
        self.left_out: list[str] = []
        specs = [spec for spec, _ in self._cas]
        for file in leaves:
            issuer = self.issuer_of(file.x509)
            spec = self._spec(file, names[file.name], issuer.name if issuer else None)
            path = root / file.name
            if spec.issuer is None:
                bundle = next((ca.name for ca in cas if self._is_behind(ca, file.x509)), None)
                why = f"is not the first CA in {bundle}" if bundle else f"has no certificate in {root}"
                self.left_out.append(f"{path}: the CA that signed it, {str(file.x509.issuer)!a}, {why}")
            elif not file.server and not (root / spec.files.key).is_file():
                self.left_out.append(f"{path}: its key {spec.files.key} is not in {root}")
            else:
                specs.append(spec)
        self.specs = tuple(specs)

    def _is_behind(self, ca: CertificateFile, x509: X509) -> bool:
        """Return True where the CA that signed *x509* comes behind another in its file, as in a rotation."""
        others = readable_certificates(read_regular(self.root / ca.name))[1:]
        return any(other.ca and names_issuer(x509, other) for other in others)

    def kubeconfigs_above(self) -> list[str]:
        """Return, for kubeadm's pki folder, the kubeconfigs of the folder above it."""
        above = self.root.absolute().parent
        names = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")
        existing = ", ".join(str(above / name) for name in names if (above / name).is_file())
        renews = f"`kcert renew --all --dir {quote(str(above))}`"
        return [f"{existing}: they are outside the PKI folder; {renews}"] if existing else []

    def issuer_of(self, x509: X509) -> Certificate | None:
        """Return the CA of the folder that has signed *x509*, as `openssl verify` says; None if there is none."""
        fitting = ((spec, ca) for spec, ca in self._cas if names_issuer(x509, ca))
        signed = (spec for spec, ca in fitting if self._signatures.verdict(x509, (ca,)) is None)
        # A CA without its key cannot sign again: one with it comes first.
        return min(signed, key=lambda spec: not (self.root / spec.files.key).is_file(), default=None)

    def _spec(self, file: CertificateFile, name: str, issuer: str | None) -> Certificate:
        x509, stem, keys = file.x509, file.name.with_suffix(""), key_names(file.name)
        role = self._role(file)
        key = next((path for path in keys if (self.root / path).is_file()), keys[0])
        own = {"kubeconfig": file.name} if file.server else {"key": key, "crt": file.name}
        return Certificate(
            name=name,
            role=role,
            chapter=ROLES[role].chapter or "client",
            kind=Kind.CA if x509.ca else kind_of(x509),
            subject=subject_of(x509),
            key=key_of(x509),
            files=replace(files_of(stem, stem), **own),
            days=max(1, (x509.not_after - x509.not_before).days),
            alt_names=x509.alt_names,
            issuer=issuer,
            server=file.server,
            intermediate=bool(x509.ca) and not x509.self_signed,
        )

    def _role(self, file: CertificateFile) -> Role:
        path = (self.root / file.name).absolute()
        known = (cluster_kind_of(path) or KUBEADM).role_of(path) or KUBEADM.role_of(Path("/pki", file.name))
        if known:
            return known
        if file.x509.ca:
            return Role.CLUSTER_CA
        return Role.APISERVER if kind_of(file.x509) is Kind.SERVER else Role.USER


def _names(files: list[CertificateFile]) -> dict[PurePosixPath, str]:
    """Return what the user types for each file: its path without the ending; a folder that only sorts is left out.

    Where that is the name of several files, they keep the folder, and where that is not enough, the ending.
    """
    spellings: dict[PurePosixPath, list[str]] = {}
    for file in files:
        whole = file.name if file.server else file.name.with_suffix("")
        parts = [part for part in whole.parts[:-1] if part not in ("issued", "pki")]
        spellings[file.name] = ["/".join((*parts, whole.name)), str(whole), str(file.name)]
    counts = [Counter(column) for column in zip(*spellings.values(), strict=True)]
    return {
        path: next((name for name, used in zip(names, counts, strict=True) if used[name] == 1), str(path))
        for path, names in spellings.items()
    }


def _first_of_each(files: Iterable[CertificateFile]) -> list[CertificateFile]:
    """Return each certificate once, under the first of its names; in a kubeconfig it counts by itself."""
    first: dict[tuple[str, str], CertificateFile] = {}
    for file in files:
        first.setdefault((file.x509.sha256, str(file.name) if file.server else ""), file)
    return list(first.values())


def read_folder(root: Path) -> list[CertificateFile]:
    """Return the first certificate of each file below *root*; of a kubeconfig that which its user presents."""
    certificates = []
    for name, content in contents(root, (*_ENDINGS, *_KUBECONFIG_ENDINGS)):
        certificate, known = content, ("", "")
        if name.suffix in _KUBECONFIG_ENDINGS:
            inside = opened(content)
            certificate, known = (inside.crt, (inside.server, inside.cluster)) if inside else (b"", known)
        if x509 := first_certificate(certificate):
            certificates.append(CertificateFile(name, x509, hashlib.sha256(certificate).hexdigest(), *known))
    return certificates


def contents(root: Path, endings: tuple[str, ...]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the files whose names have one of *endings*, those of the upper folders first, and what is in them."""
    names: list[PurePosixPath] = []
    for folder, folders, files in os.walk(root):
        below = PurePosixPath(Path(folder).relative_to(root))
        ends = len(below.parts) >= DEPTH
        folders[:] = [] if ends else sorted(n for n in folders if n not in _UNUSED_FOLDERS and not n.startswith("."))
        paths = (Path(folder, name) for name in files if name.endswith(endings))
        names += [below / path.name for path in paths if path.is_file() and path.stat().st_size <= LARGEST_DOCUMENT]
    for name in sorted(names, key=lambda path: (len(path.parts), path))[:MOST_FILES]:
        with contextlib.suppress(OSError):
            yield name, read_regular(root / name)


def named(specs: Iterable[Certificate], name: str) -> tuple[Certificate, ...]:
    """Return those of *specs* that *name* selects: a name of `kcert plan` or of `kubeadm certs renew`."""
    spellings = {name, name.removesuffix(".conf"), name.removesuffix(".crt")}
    return tuple(
        spec
        for spec in specs
        if spellings
        & {spec.name, spec.name.replace("/", "-"), spec.name.removesuffix(".conf"), str(spec.files.primary)}
    )


def spec_from_x509(certificate: Certificate, x509: X509) -> Certificate:
    """Return *certificate* with the subject, the SANs, the usages and the key of *x509*, the old certificate.

    Raises InputError if the old certificate is of a different kind, or if an openssl.cnf cannot express its content.
    """
    name = certificate.name
    if bool(x509.ca) and certificate.kind is not Kind.CA:
        raise InputError(
            f"the file of {name} is the certificate of a CA, which {name} must not be: "
            f"`kcert renew {name} --stale` replaces it as kcert.yaml says."
        )
    for alt_name in x509.alt_names:
        if not writable(alt_name):
            raise InputError(
                f"the old certificate of {name} has the name {str(alt_name)!a}, which cannot be written into an "
                "openssl.cnf: renew it with the tool that made it."
            )
    kind = kind_of(x509) if certificate.kind is not Kind.CA else Kind.CA
    names = tuple(dict.fromkeys(x509.alt_names))
    taken = replace(certificate, kind=kind, subject=subject_of(x509), alt_names=names, key=key_of(x509))
    return taken if _is_usual(taken, x509) else replace(taken, usages=_usages(taken, x509))


def subject_of(x509: X509) -> Subject:
    """Return the subject of a certificate, with parts that kcert does not make word for word."""
    subject = Subject(x509.subject.common_name or "", x509.subject.organizations)
    return subject if subject.parts == x509.subject.parts else replace(subject, given=x509.subject.parts)


def kind_of(x509: X509) -> Kind:
    """Return the kind of a leaf by what it may be used for."""
    if x509.allows("serverAuth") and x509.allows("clientAuth"):
        return Kind.PEER
    return Kind.SERVER if x509.allows("serverAuth") else Kind.CLIENT


def _is_usual(taken: Certificate, x509: X509) -> bool:
    """Return whether the template of its kind says just what *x509* says."""
    has_basic_constraints = "2.5.29.19" in x509.critical
    if not (has_basic_constraints and x509.key_usage_critical and x509.path_length is None):
        return False
    uses, extended = set(x509.key_usage or ()), set(x509.extended_key_usage or ())
    if taken.kind is Kind.CA:
        # Leaves name their CA's key by its identifier, and openssl's way to make one is not the only one.
        usual = uses == set(CA_USAGES) and x509.subject_key_id == _identifier(x509.public_key)
        return usual and not extended and not taken.alt_names
    has_uses = uses == {"digitalSignature", *(["keyEncipherment"] if taken.key.algorithm == "rsa" else [])}
    sides = {"serverAuth": taken.kind.is_server, "clientAuth": taken.kind.is_client}
    has_extended = extended == {use for use, is_used in sides.items() if is_used}
    return has_uses and has_extended and bool(taken.alt_names) == taken.kind.is_server


def _identifier(public: PublicKey) -> str:
    """The subject key identifier that openssl writes: SHA-1 of the public key (RFC 5280, section 4.2.1.2, method 1)."""
    material = bytes.fromhex(public.material)
    if public.algorithm == "rsa":
        # A list of modulus and exponent, which nearly always is 65537; of another the identifier is kept as it is.
        material = der.element(
            der.SEQUENCE, der.element(der.INTEGER, b"\0" + material) + der.element(der.INTEGER, b"\x01\0\x01")
        )
    return hashlib.sha1(material, usedforsecurity=False).hexdigest()


def _usages(taken: Certificate, x509: X509) -> Usages:
    if taken.kind is Kind.CA:
        uses = x509.key_usage if x509.key_usage and "keyCertSign" in x509.key_usage else CA_USAGES
        return Usages(uses, x509.extended_key_usage, True, x509.path_length, x509.subject_key_id)
    return Usages(x509.key_usage, x509.extended_key_usage, x509.key_usage_critical, None)
