"""PKIs whose CA's key is guarded: behind a passphrase, apart from the rest, under a root. Made once, to be copied."""

from __future__ import annotations

import base64
import shutil
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.clusters import SMALL, Pki, made_once
from tests.running import Kcert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSPHRASE = "correct horse 'battery' staple"
WITH_IT = {"KCERT_CA_PASSPHRASE": PASSPHRASE}

AUTHORITIES = {
    "course": ("ca",),
    "hardway": ("ca",),
    "kubeadm": ("pki/ca", "pki/front-proxy-ca", "pki/etcd/ca"),
}
"""The CAs of a profile, as their files are called."""


def encrypted_pki(shared: Path, profile: str) -> Pki:
    """The PKI of the small cluster, its CAs' keys encrypted."""

    def make(home: Path) -> None:
        (home / "kcert.yaml").write_text(SMALL.format(profile=profile), encoding="utf-8")
        Kcert(home).done("all", "--quiet", "--encrypt-ca-key", variables=WITH_IT)

    return Pki(made_once(shared, f"encrypted-{profile}", make), profile, "small")


def copied(pki: Pki, home: Path) -> Path:
    """The PKI folder of a copy of *pki* in *home*, and beside it whatever its home has."""
    for path in pki.home.iterdir():
        if path.is_dir():
            shutil.copytree(path, home / path.name, symlinks=True)
        else:
            shutil.copy(path, home)
    return home / "pki"


def opens(key: Path, passphrase: str | None = PASSPHRASE) -> bool:
    """Return whether the passphrase opens the private key, in the judgement of another library."""
    try:
        load_pem_private_key(key.read_bytes(), None if passphrase is None else passphrase.encode())
    except (TypeError, ValueError):
        return False
    return True


def secrets_of(folder: Path, *passphrases: str) -> Iterator[bytes]:
    """Yield what must not be seen outside the files with keys: each line of each key's PEM body, and passphrases."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".key", ".conf"):
            yield from _halves(path.read_bytes())
    yield from (one.encode() for one in passphrases)


def _halves(content: bytes) -> Iterator[bytes]:
    inside = False
    for line in content.splitlines():
        if line.startswith(b"-----"):
            inside = line.startswith(b"-----BEGIN") and b"PRIVATE KEY" in line
        elif inside and len(line) >= 40:  # shorter ones could stand anywhere by chance
            yield line
        elif line.strip().startswith(b"client-key-data:"):
            token = line.split(b":", 1)[1].strip()
            yield from (token[len(token) // 4 : len(token) // 2], token[len(token) // 2 : 3 * len(token) // 4])
            yield from _halves(base64.b64decode(token))
