"""A PKI folder from somebody else: in the place of each file what never answers, has no end, or leads elsewhere."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.endurance.trial import Check, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.endurance.trial import LabBuilder

FILES = (
    *("ca.key", "ca.crt", "ca.csr", "openssl-ca.cnf", "admin.key", "admin.crt", "admin.csr", "openssl-admin.cnf"),
    *("admin.kubeconfig", "service-account.pub", "service-account.key", "bob.key", "bob.csr", "bob-csr.yaml"),
    *(".kcert", ".kcert/history.jsonl", ".kcert/history.head", ".kcert/lock", ".kcert/backup", ".kcert/staging"),
)
"""What is replaced, each in turn."""

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("plan",),
    ("renew", "admin", "-q"),
    ("renew", "ca", "-q"),
    ("renew", "service-account", "--new-key", "-q"),
    ("renew", "--all", "--dry-run"),
    ("client", "eve", "-g", "x", "-q"),
    ("all", "-q"),
    ("check", "pki"),
    ("inventory", "pki"),
    ("history",),
    ("history", "--verify"),
    ("history", "--format", "sh"),
    ("history", "--sign"),
    ("kubeconfig", "admin"),
    ("kubeconfig", "admin", "--merge", "pki/admin.kubeconfig"),
    ("bundle",),
    ("export", "ansible"),
    ("call", "/version", "--as", "admin"),
    ("flags", "kube-apiserver"),
    ("csr", "show", "--file", "pki/bob-csr.yaml"),
    ("csr", "manifest", "bob"),
    ("csr", "sign", "--file", "pki/bob-csr.yaml"),
    ("csr", "fetch", "bob", "--file", "pki/bob-csr.yaml"),
)

PRECIOUS = b"precious\n"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 2**30)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        short = os.open(path.parent, os.O_RDONLY)  # the name of a socket has 108 bytes at most (unix(7))
        listener.bind(f"/proc/self/fd/{short}/{path.name}")
        os.close(short)


def _foreign(path: Path) -> None:
    path.write_bytes(b"planted\n")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)


KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file of mine": lambda path: path.symlink_to(Path(*path.parts[: path.parts.index("pki")], "mine")),
    "a file of 50 GB": _sparse,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a file of another user": _foreign,
}


def planted(ground: LabBuilder, times: int) -> Iterator[Check]:
    """Each kind in the place of each file, before each command: it ends, says why in words, and writes nowhere else."""
    every = list(itertools.product(KINDS, FILES, COMMANDS))
    stride = max(1, len(every) // times)
    for kind, name, command in every[ground.seed % stride :: stride]:
        with ground.trial("planted", 0) as (trial, kcert, _):
            trial.repeat = f"{' '.join(command)} with {kind} as {name}"
            folder = ground.copy("course", kcert.folder)
            mine = kcert.folder / "mine"
            mine.write_bytes(PRECIOUS)
            kcert("csr", "new", "bob", "-g", "x", "-q")
            kcert("csr", "manifest", "bob")
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            KINDS[kind](path)
            ended = kcert(*command)
            if ended.status not in (0, 1, 2, 3) or "mistake" in ended.stderr or "Traceback" in ended.stderr:
                trial.wrong.append(f"it ended with {ended.status}: {ended.stderr[-300:]}")
            if mine.read_bytes() != PRECIOUS or mine.stat().st_mode & 0o077 != 0o044:
                trial.wrong.append("what a link leads to was changed")
        yield trial


PARTS = (Part("planted", "FIFOs, devices, links and owners in the place of each file", planted, 3680, 8),)
