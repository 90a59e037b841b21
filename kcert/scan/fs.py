"""Paths of files: below a root, in a copy of /etc/kubernetes, behind links; and reading them, and servers, safely.

A file system that another user made may hold loops of links, FIFOs that never answer, and huge files. Nothing
here blocks for long, and nothing is read that is not a regular file of a sensible size. A running server is asked for
its certificates with ``openssl s_client``.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from kcert.clusters import KINDS
from kcert.errors import TooSlowError
from kcert.files import LARGEST, read_regular
from kcert.openssl.pem import pem_blocks
from kcert.shell import Command, read

MOST_LINKS = 40  # as many as Linux follows (path_resolution(7))

SYSTEM = tuple(
    dict.fromkeys(
        (
            *("/etc/kubernetes", "/etc/etcd", "/etc/systemd", "/usr/lib/systemd", "/lib/systemd", "/run/systemd"),
            *("/var/lib/kubelet", "/var/lib/kubernetes", "/var/lib/kube-proxy"),
            *(home for kind in KINDS.values() for home in kind.homes if home.startswith(("/var/lib/", "/var/snap/"))),
        )
    )
)
"""Folders that name the machine they were copied from: a file below DIR/etc/kubernetes has DIR for its root."""

_SYSTEM_NAMES = frozenset(folder.rpartition("/")[2] for folder in SYSTEM)
_SYSTEM_PART = re.compile("(?:" + "|".join(re.escape(folder) for folder in SYSTEM) + r")(?=/|$)")


@dataclass(frozen=True)
class ReadError:
    """The reason why a file could not be read; ``reason`` is a clause that can follow its path."""

    what: Literal["missing", "unreadable", "denied", "dangling", "special"]
    reason: str


@dataclass(frozen=True)
class Content:
    """A file that was read: its bytes, its permission bits, and which file it is, whatever its name."""

    data: bytes = field(repr=False)
    mode: int
    identity: tuple[int, int]


@dataclass(frozen=True)
class Places:
    """The meaning of paths that are written in files.

    ``root`` is treated as ``/`` (None: this machine, unless a file is in a copy). ``stand_in`` is a folder that is
    a copy of /etc/kubernetes.
    """

    root: Path | None = None
    stand_in: Path | None = None

    def named(self, value: str, source: Path) -> Path | None:
        """The file that *source* means by *value*; None if that cannot be known: it was not copied along.

        A relative path is relative to the folder of *source*, as in a kubeconfig.
        """
        if not Path(value).is_absolute():
            return source.parent / value
        if self.root is not None:
            return _copied(self.root, value)
        # Of several copies below one folder, each file belongs to its own.
        copy = self.stand_in or (stand_in_of(source.parent) if root_of(source) is None else None)
        if copy is not None and _below(value, "/etc/kubernetes"):
            return copy / value.removeprefix("/etc/kubernetes").lstrip("/")
        # A copy of /etc/kubernetes alone: the rest of its machine is nowhere.
        origin = root_of(source) or (Path(os.sep, "nowhere") if copy else None)
        if origin is None:
            return Path(value)
        if any(_below(value, folder) for folder in SYSTEM) or os.path.lexists(origin / value.lstrip("/")):
            return _copied(origin, value)
        return Path(value)

    def absolute(self, path: str) -> Path:
        """A path of the command line: an absolute one is below the root, if there is one."""
        if self.root is None or not Path(path).is_absolute():
            return Path(path)
        given, root = Path(path), self.root
        # A user who types DIR/etc/kubernetes beside --root DIR means just that.
        if given.is_relative_to(root.absolute()):
            return given
        return root / path.lstrip("/")

    def followed(self, path: Path) -> Path:
        """The path to open: links that are absolute lead below the root, which the system would not do."""
        root = self.root or root_of(path)
        return path if root is None else _follow(path, root)


@cache
def stand_in_of(start: Path) -> Path | None:
    """Return the folder, *start* or that around it, that is a copy of /etc/kubernetes by another name, or None."""
    for folder in (start, start.parent):
        if str(folder.absolute()).endswith("/etc/kubernetes"):
            return None
        if (folder / "pki").is_dir() and ((folder / "manifests").is_dir() or any(folder.glob("*.conf"))):
            return folder
    return None


def root_of(source: Path) -> Path | None:
    """Return the folder that is ``/`` of *source*: DIR for DIR/etc/kubernetes/…; None if it is this machine."""
    # Most files are called otherwise than a folder of SYSTEM: what counts is their folder, which many share.
    return _root_around(source if source.name in _SYSTEM_NAMES else source.parent)


@cache
def _root_around(source: Path) -> Path | None:
    if not source.is_absolute() and (match := _SYSTEM_PART.search(f"/{source}")):
        return Path(str(source)[: max(match.start() - 1, 0)])  # relative as it was given, so that messages stay short
    text = str(source.absolute())
    match = _SYSTEM_PART.search(text)
    if not match or match.start() == 0:
        return None
    return Path(text[: match.start()])


def cluster_root_of(path: Path) -> Path:
    """Return what a file belongs to: files of one home are of one cluster, those of two homes may be of two.

    That is ``/`` of its machine, or of the copy that it is in; else the folder that is a copy of /etc/kubernetes, as
    far as the names show; else the file's own folder.
    """
    return _home_of_folder(path.parent)


@cache
def _home_of_folder(folder: Path) -> Path:
    whole = folder.absolute()
    if match := _SYSTEM_PART.search(str(whole)):
        return Path(str(whole)[: match.start()] or os.sep)
    if whole.name == "etcd" and whole.parent.name == "pki":
        return whole.parent.parent
    return whole.parent if whole.name in ("pki", "manifests") else whole


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def is_of_another_machine(path: Path) -> bool:
    """True if the whole neighbourhood of an absolute *path* is not on this machine: what is there is not known."""
    return path.is_absolute() and not Path(os.sep, *path.parent.parts[1:4]).is_dir()


def _copied(root: Path, value: str) -> Path | None:
    """*value* below *root*, or None if the whole neighbourhood is not there: then it was not copied along."""
    below = root / value.lstrip("/")
    if root == Path(os.sep):
        return below
    neighbourhood = Path(*Path(value).parent.parts[1:4])
    return below if (root / neighbourhood).is_dir() or below.is_symlink() else None


def _follow(path: Path, root: Path) -> Path:
    """Resolve the links of *path* below *root*, or give *path* back where they run in a circle."""
    if not path.absolute().is_relative_to(root.absolute()):
        return path
    todo = list(path.absolute().relative_to(root.absolute()).parts)
    at, links, moved = root, 0, False
    while todo:
        part = todo.pop(0)
        if part == "..":
            at = at if at == root else at.parent
            continue
        following = at / part
        if not following.is_symlink():
            at = following
            continue
        links += 1
        if links > MOST_LINKS:
            return path
        target = str(following.readlink())
        if target.startswith(os.sep):
            moved, at = True, root
        todo = [*Path(target.lstrip("/")).parts, *todo]
    return at if moved else path


def lexists(path: Path) -> bool:
    """True if there is something at *path*, a link to nothing included."""
    return can_be_there(path) and os.path.lexists(path)


def can_be_there(path: Path) -> bool:
    """Return False for names that no file can have: with a NUL, or with half a character of UTF-16."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def read_file(path: Path) -> Content | ReadError:
    """The content of a regular file; a clause about what is in the way for anything else."""
    if not can_be_there(path):
        return ReadError("missing", "does not exist, and cannot: no file can have that name")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            return ReadError("special", "is a folder, not a file" if is_folder else "is not a regular file")
        if (size := status.st_size) > LARGEST:
            return ReadError("unreadable", f"is {size // 1024 // 1024} MiB in size, too large for a certificate")
        content = read_regular(path)
    except OSError as error:
        return _trouble(path, error)
    return Content(content, stat.S_IMODE(status.st_mode), (status.st_dev, status.st_ino))


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; nothing if it cannot be read."""
    read = read_file(path)
    return read.data if isinstance(read, Content) else b""


def dangling(path: Path) -> ReadError:
    """A link to nothing; one in the way to the file may be the one that leads nowhere."""
    if not path.is_symlink():
        return ReadError("missing", "does not exist")
    return ReadError("dangling", f"is a link to {path.readlink()}, which does not exist")


def _trouble(path: Path, error: OSError) -> ReadError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return dangling(path)
    if error.errno == errno.ELOOP:
        return ReadError("dangling", "is a link that leads back to itself")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ReadError("denied", "may not be read by this user")
    if error.errno in (errno.ENXIO, errno.EWOULDBLOCK):
        return ReadError("special", "is not a regular file")
    return ReadError("unreadable", f"cannot be read: {error.strerror}")


def walk(folder: Path) -> Iterator[Path | tuple[Path, ReadError]]:
    """Every file below *folder*, by name; folders that cannot be read come with what is in the way.

    Hidden folders are left out (``.kcert`` holds backups of what was replaced). Links to folders are followed
    once: a folder that was seen is not seen again.
    """
    seen: set[tuple[int, int]] = set()
    todo = [folder]
    while todo:
        at = todo.pop()
        try:
            status = at.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(at), key=lambda entry: entry.name)
        except OSError as error:
            yield at, _trouble(at, error)
            continue
        below = []
        for entry in entries:
            if _is_folder(entry):
                if not entry.name.startswith("."):
                    below.append(at / entry.name)
            else:
                yield at / entry.name
        todo.extend(reversed(below))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


PATIENCE = 5.0
"""Seconds: a server that is there answers within one; one that is not there never does."""

_ADDRESS = re.compile(r"(?:https://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):(?P<port>\d{1,5})/?")


@dataclass(frozen=True)
class Server:
    """A host (a name or an address, IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def server_in(where: str) -> Server | None:
    """The server that ``host:port`` or ``https://host:port`` names, or None if it is something else."""
    match = _ADDRESS.fullmatch(where)
    if not match or not 0 < int(match["port"]) < 65536:
        return None
    return Server(match["host"].strip("[]"), int(match["port"]))


def s_client(openssl: str, server: Server) -> Command:
    """The command that asks *server* for its certificates, as a person would type it."""
    argv = [openssl, "s_client", "-connect", str(server), "-showcerts"]
    if not re.fullmatch(r"[0-9.]+|.*:.*", server.host):
        argv += ["-servername", server.host]  # an address is not a server name (RFC 6066, 3)
    return Command(tuple(argv), limit=PATIENCE)


def certificates_of(openssl: str, server: Server) -> tuple[list[str], str | None]:
    """The PEM of each certificate that *server* shows, leaf first; or none, and a clause about why."""
    try:
        reading = read(s_client(openssl, server))
    except TooSlowError:
        return [], f"did not answer within {PATIENCE:g} seconds"
    shown = [block.pem for block in pem_blocks(reading.stdout) if block.is_certificate and not block.fault]
    # Without -showcerts the leaf is printed once more at the end; with it, only there. Keep the order, once each.
    if shown:
        return list(dict.fromkeys(shown)), None
    return [], _reason(reading.stderr)


_REASONS = {
    "wrong version number|packet length too long|http request": "responds, but not with TLS (perhaps with plain HTTP)",
    "Connection refused": "refuses the connection: no program listens there",
    "Name or service not known|name resolution|nodename nor servname": "is a name that this machine cannot resolve",
    "timed out|No route|unreachable": "cannot be reached from this machine",
}
"""The reasons why no certificate comes, as clauses, by what openssl writes then."""


def _reason(message: str) -> str:
    reasons = (reason for pattern, reason in _REASONS.items() if re.search(pattern, message))
    return next(reasons, "closed the connection without presenting a certificate")
