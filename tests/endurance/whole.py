"""What has to be true of a PKI folder, whatever was done to the kcert that worked in it; by an independent check."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.errors import KcertError
from kcert.store import history
from tests.endurance.inside import in_process
from tests.refusals import staged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import Kcert

SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
KUBECONFIGS = (".conf", ".kubeconfig")


def keys(folder: Path) -> set[bytes]:
    """The public half of each private key that *folder* holds, in place, in a kubeconfig or in a backup."""
    found = set()
    for path in _files(folder, backups=True):
        if path.suffix == ".key":
            found.add(_public(path.read_bytes()))
        elif path.suffix in KUBECONFIGS and (inside := _embedded(path)):
            found.add(_public(inside[1]))
    return found


def wrongs(folder: Path) -> Iterator[str]:
    """Yield what is half, mismatched or open to others in a PKI folder."""
    for path in _files(folder):
        try:
            what = _wrong(path)
        except Exception as error:  # noqa: BLE001 - whatever a half file makes of its reader
            what = f"cannot be read: {error}"
        if what:
            yield f"{path.relative_to(folder)} {what}"


def completed(kcert: Kcert, folder: Path, before: set[bytes], *commands: tuple[str, ...]) -> Iterator[str]:
    """Let *commands* run to their end after what happened; what is wrong then, but for what ``wrongs`` says."""
    for command in commands:
        ended = kcert(*command)
        if ended.status != 0:
            yield f"kcert {' '.join(command)} ended with {ended.status}: {ended.stderr.strip()}"
            return
    yield from wrongs(folder)
    if lost := before - keys(folder):
        yield f"{len(lost)} keys are lost"
    yield from (f"staging left: {path}" for path in staged(folder))
    yield from (f"draft left: {path}" for path in kcert.folder.rglob(".*.kcert-*"))
    yield from unverified(folder)
    standing = in_process(["all", "--quiet"], kcert.folder)
    yield from (f"not current: {line}" for line in standing.lines if not line.endswith("current"))
    if standing.status != 0:
        yield f"kcert all ended with {standing.status}: {standing.stderr.strip()}"


def unverified(folder: Path) -> Iterator[str]:
    """Yield what `kcert history --verify` has against the history of *folder*."""
    try:
        history.verify(folder / ".kcert")
    except KcertError as error:
        yield str(error)


def _files(folder: Path, *, backups: bool = False) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        own = path.relative_to(folder).parts
        if path.is_file() and (own[0] != ".kcert" or (backups and own[1] == "backup")):
            yield path


def _wrong(path: Path) -> str | None:  # noqa: C901 - one clause for each kind of file
    content = path.read_bytes()
    if not content:
        return "is empty"
    if (path.suffix == ".key" or path.suffix in KUBECONFIGS) and stat.S_IMODE(path.stat().st_mode) != 0o600:
        return "is open to others"
    if path.suffix == ".key":
        _public(content)
    elif path.suffix == ".crt":
        key = path.with_suffix(".key")
        certificates = [one.public_key().public_bytes(*SPKI) for one in x509.load_pem_x509_certificates(content)]
        if key.exists() and _public(key.read_bytes()) not in certificates:
            return "is not of its key"
    elif path.suffix == ".csr":
        request = x509.load_pem_x509_csr(content)
        if not request.is_signature_valid:
            return "has a wrong signature"
        key = path.with_suffix(".key")
        if key.exists() and request.public_key().public_bytes(*SPKI) != _public(key.read_bytes()):
            return "is not of its key"
    elif path.suffix == ".pub":
        public = serialization.load_pem_public_key(content)
        if public.public_bytes(*SPKI) != _public(path.with_suffix(".key").read_bytes()):
            return "is not of its key"
    elif path.suffix in KUBECONFIGS and (inside := _embedded(path)):
        certificate, key_pem = inside
        if x509.load_pem_x509_certificate(certificate).public_key().public_bytes(*SPKI) != _public(key_pem):
            return "holds a certificate and the key of another"
    return None


def _public(key: bytes) -> bytes:
    return serialization.load_pem_private_key(key, None).public_key().public_bytes(*SPKI)


def _embedded(path: Path) -> tuple[bytes, bytes] | None:
    user = yaml.safe_load(path.read_text(encoding="utf-8"))["users"][0]["user"]
    if "client-certificate-data" not in user:
        return None
    return base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"])
