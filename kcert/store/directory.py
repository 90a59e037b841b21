"""Folders held by a handle: no symbolic link below them is followed, and nothing is swapped between check and use.

Every method takes the name of an entry of this very folder. Links are refused in words wherever kcert would have to
go through one, because kcert never creates a link in a PKI folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from kcert.errors import InputError, MachineError
from kcert.files import ROOT, is_writable_by_others, read_descriptor, user_name
from kcert.quoting import quote

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS (linux/fs.h) on 64-bit machines
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


class Directory:
    """An open folder: its ``descriptor``, and its ``path`` for messages alone."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Directory:
        """Open the folder that the user named *path*; a link is followed unless it belongs to another user."""
        refuse_foreign_link(path)
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)

    def __enter__(self) -> Directory:  # noqa: PYI034 - Python 3.10 has no Self
        """Return this folder, which is closed with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the folder."""
        os.close(self.descriptor)

    def status(self, name: str) -> os.stat_result | None:
        """The status of an entry, a link's own; None if there is none."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_regular(self, name: str) -> bool:
        """True for a regular file, False for anything else and for nothing."""
        status = self.status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        return sorted(os.listdir(self.descriptor))  # noqa: PTH208 - pathlib knows no handles

    def child(self, name: str, create: int | None = None) -> Directory:
        """Open a subfolder, created with the mode *create* if it is missing; raises InputError for a link."""
        if create is not None and self.status(name) is None:
            mask = os.umask(0)
            try:
                with contextlib.suppress(FileExistsError):  # another kcert was faster
                    os.mkdir(name, create, dir_fd=self.descriptor)
            finally:
                os.umask(mask)
        self.refuse_link(name)
        return Directory(os.open(name, _FOLDER, dir_fd=self.descriptor), self.path / name)

    def own_child(self, name: str, create: int | None = None) -> Directory:
        """As ``child``, for a folder that only kcert's user may have written to; raises InputError for any other."""
        folder = self.child(name, create)
        _check_own(folder.descriptor, folder.path)
        return folder

    @contextlib.contextmanager
    def opened_parent(self, name: PurePosixPath, create: int | None = None) -> Iterator[tuple[Directory, bool]]:
        """Hold the lowest folder on the way to the file *name*, and say whether that is the file's own.

        With the mode *create* it is always: folders that are missing are created with it.
        """
        with contextlib.ExitStack() as stack:
            folder = self
            for part in name.parts[:-1]:
                if create is None and folder.status(part) is None:
                    yield folder, False
                    return
                folder = stack.enter_context(folder.child(part, create))
            yield folder, True

    def open_own(self, name: str, flags: int) -> int:
        """Open a regular file, of mode 0600 if it is new; raises InputError where another could have written it."""
        self.refuse_link(name)
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
        _check_own(descriptor, self.path / name)
        return descriptor

    def read(self, name: str) -> bytes:
        """The content of a regular file of a sensible size; raises OSError for anything else."""
        return read_descriptor(os.open(name, _READING, dir_fd=self.descriptor), self.path / name)

    def write(self, name: str, content: bytes, mode: int) -> None:
        """Write a new file with *mode* from its first byte, whatever the umask is."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, mode, dir_fd=self.descriptor), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())

    def finalize(self, name: str, mode: int, owner: tuple[int, int] | None, *, flush: bool = False) -> None:
        """Give a file that this run created its final *mode*, and an *owner* (user and group) if not kcert's own.

        With *flush* it is on the disk then: renamed before that, it could be empty after a loss of power.
        """
        with os.fdopen(os.open(name, _READING, dir_fd=self.descriptor), "rb") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if flush:
                os.fsync(file.fileno())

    def kept_owner(self, name: str) -> tuple[int, int] | None:
        """Return the owner (user and group) of a file that root replaces, who keeps it; None for kcert's own user."""
        status = self.status(name)
        if os.geteuid() != ROOT or status is None or not stat.S_ISREG(status.st_mode):
            return None
        return status.st_uid, status.st_gid

    def move(self, name: str, to: Directory, new: str) -> None:
        """Rename an entry into the folder *to*, over what has the name *new* there."""
        os.replace(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor)

    def copy_to(self, name: str, to: Directory, new: str) -> None:
        """Have an entry as *new* in the folder *to* as well, with its mode and dates; a link is kept as a link."""
        # A file system may have no hard links, and a machine may forbid them for what is another's.
        with contextlib.suppress(OSError, NotImplementedError):
            os.link(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor, follow_symlinks=False)
            return
        status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=self.descriptor), new, dir_fd=to.descriptor)
            return
        to.write(new, self.read(name), stat.S_IMODE(status.st_mode))
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=to.descriptor)

    def unlink(self, name: str) -> None:
        """Delete a file, or a link itself, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def delete_tree(self, name: str) -> None:
        """Delete an entry with all that is in it; links in it are deleted, not followed. What resists stays."""
        status = self.status(name)
        if status is None:
            return
        with contextlib.suppress(OSError):
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=self.descriptor)
                return
            with Directory(os.open(name, _FOLDER, dir_fd=self.descriptor), self.path / name) as folder:
                for inner in folder.names():
                    folder.delete_tree(inner)
            os.rmdir(name, dir_fd=self.descriptor)

    def refuse_link(self, name: str) -> None:
        """Raise InputError where an entry is a symbolic link."""
        status = self.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise InputError(link_refused(self.path / name))

    def check_replaceable(self, name: str, mount: object) -> None:
        """Raise an error where no file of the *mount* could be renamed to *name*; nothing is changed."""
        path = self.path / name
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.descriptor):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        if mount_of(self.descriptor) != mount:
            raise MachineError(
                f"{self.path} is on another file system than the PKI folder, so nothing can be moved there in one "
                f"step. Unmount it, or move the whole PKI folder to one file system. Nothing was changed."
            )
        _refuse_immutable(self.descriptor, self.path)
        status = self.status(name)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            raise MachineError(f"{path} is a folder, but a file is expected. Move it away. Nothing was changed.")
        if not stat.S_ISREG(status.st_mode):
            return
        with (
            contextlib.suppress(PermissionError),  # another's file can be replaced without being read
            os.fdopen(os.open(name, _READING, dir_fd=self.descriptor), "rb") as file,
        ):
            _refuse_immutable(file.fileno(), path)
            if mount_of(file.fileno()) != mount:
                raise MachineError(f"{path} is a mount point, and cannot be replaced: unmount it. Nothing was changed.")


def mount_of(descriptor: int) -> object:
    """Return the mount of an open file, within which alone files are renamed; a file system can have two."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
            if line.startswith("mnt_id:"):
                return line
    return os.fstat(descriptor).st_dev


def _refuse_immutable(descriptor: int, path: Path) -> None:
    if sys.platform != "linux":
        return
    try:
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:  # the file system has no such flags
        return
    flags = struct.unpack("=I", answer[:4])[0]
    if flags & (_IMMUTABLE | _APPEND_ONLY):
        flag, word = ("i", "immutable") if flags & _IMMUTABLE else ("a", "append-only")
        raise MachineError(
            f"{path} is {word} (chattr +{flag}), so kcert cannot replace it. `chattr -{flag} {quote(str(path))}` "
            "allows it. Nothing was changed."
        )


def link_refused(path: Path) -> str:
    """The sentences that refuse a symbolic link at *path*."""
    return (
        f"{path} is a symbolic link, which kcert never creates there: through it, another user could make kcert write "
        "elsewhere. Check where it leads, then delete it."
    )


def refuse_foreign_link(path: Path) -> None:
    """Raise InputError where a link on the way to *path* belongs neither to kcert's user nor to root."""
    for part in (*reversed(path.parents), path):
        try:
            status = part.lstat()
        except OSError:
            return
        if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
            raise InputError(
                f"{part} is a symbolic link that belongs to {user_name(status.st_uid)}, who could make kcert write "
                f"to any place. Specify the folder itself."
            )


def _check_own(descriptor: int, path: Path) -> None:
    """Close a file or folder of kcert's own, and raise InputError, if another user could have planted it."""
    status, fault = os.fstat(descriptor), ""
    if status.st_uid != os.geteuid():
        fault = (
            f"{path} belongs to {user_name(status.st_uid)}, and kcert runs as {user_name(os.geteuid())}: its content "
            f"could make kcert write to any place. Run kcert as its owner; or, if you trust all of it, "
            f"`chown -R {os.geteuid()} {quote(str(path))}`."
        )
    elif is_writable_by_others(status):
        fault = (
            f"others can write to {path}, and files that they put there could make kcert write to any place: check "
            f"its content, then `chmod go-w {quote(str(path))}`."
        )
    elif not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        fault = f"{path} is not a regular file. Check what it is, then delete it."
    elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        fault = f"{path} has another name as well (a hard link), and kcert would write to both. Replace it with a copy."
    if fault:
        os.close(descriptor)
        raise InputError(fault)


_LONGEST = 4096
"""Bytes of what a lock says of its holder; kcert writes a hundred or two."""


@contextlib.contextmanager
def locked(own: Directory, doing: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the file ``lock`` of the folder *own* until the block ends.

    The kernel releases it when the process ends, however it ends; the file stays, because a lock file
    that is removed can be held twice. It says who holds it.
    """
    with os.fdopen(own.open_own("lock", os.O_RDWR | os.O_CREAT), "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait(_holder(file.read(_LONGEST)))
            fcntl.flock(file, fcntl.LOCK_EX)
        holder = {"pid": os.getpid(), "doing": doing, "since": datetime.now(timezone.utc).isoformat("T", "seconds")}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(holder).encode())
        file.flush()
        yield


def _holder(written: bytes) -> str:
    try:
        holder = json.loads(written)
        return f"{holder['doing']} (process {int(holder['pid'])}, since {holder['since']})"
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "another kcert that has just started"
