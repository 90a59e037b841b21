"""The only package that writes into a PKI folder: lock, staging, publishing, backups, history.

A certificate is made in a staging folder of its own and moved into place when it is whole and checked. Before the first
file moves, a journal (``publish.json``) lists all of them: after a kill in the middle, the next run completes the move.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from kcert.errors import InputError, MachineError, warn
from kcert.files import defer_signals, read_regular
from kcert.store.directory import Directory, locked, mount_of, refuse_foreign_link
from kcert.store.history import MEMORY, History, Memory, recall

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
OWN_FOLDER = ".kcert"
INNER_FOLDER_MODE = 0o755  # the PKI folder itself is closed; below /etc/kubernetes these are open

_JOURNAL = "publish.json"
_BACKUP = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_SUFFIXES = {".crt", ".key", ".csr", ".cnf", ".pem", ".pub", ".req", ".kubeconfig", ".conf", ".yaml"}
"""The ends of the names that kcert gives to files in a PKI folder."""

_RECREATED = {".csr", ".cnf", ".req"}
"""Those of files that every renewal re-creates: an empty one does no harm."""


@dataclass(frozen=True)
class Staging:
    """A folder in which one certificate is made, under the names that its commands use."""

    folder: Path

    def path(self, name: PurePosixPath) -> Path:
        """Return the path of the file that will be *name* in the PKI folder."""
        return self.folder / name

    def link(self, name: PurePosixPath, target: Path) -> None:
        """Make *target* reachable as *name*; what is named by its whole path is reachable already."""
        if name.is_absolute():
            return
        link = self.path(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target.absolute())

    def sha256(self, name: PurePosixPath) -> str | None:
        """Return the hash of a file, in hexadecimal digits; None if there is none."""
        path = self.path(name)
        return hashlib.sha256(read_regular(path)).hexdigest() if path.is_file() else None

    def base64_of(self, name: PurePosixPath) -> str:
        """The content of a file, as a kubeconfig holds it."""
        return base64.b64encode(self.path(name).read_bytes()).decode("ascii")

    def write(self, name: PurePosixPath, content: str | bytes, *, secret: bool = False) -> None:
        """Write a file; a secret one is closed to others from its first byte."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = SECRET_MODE if secret else PUBLIC_MODE
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)


class Workspace:
    """A PKI folder, held under its lock.

    Everything that kcert finds in its own part of it (``.kcert``) is input: it may have been planted by another user,
    or come with an archive. So it is reached by handles, never through a link, and believed only where kcert's own
    user owns it and no other can write to it.
    """

    history: History

    def __init__(self, root: Path, folder: Directory, own: Directory, stagings: Directory) -> None:
        self.root = root
        self.own = root / OWN_FOLDER
        self._folder, self._own, self._stagings = folder, own, stagings
        self._waiting: set[PurePosixPath] = set()

    @classmethod
    @contextlib.contextmanager
    def open(cls, root: Path, doing: str, on_wait: Callable[[str], None]) -> Iterator[Workspace]:
        """Hold the PKI folder *root*, made if it is not there, until the block ends.

        *doing* is what another kcert shows when it has to wait; *on_wait* hears whom this one waits for.
        What an earlier run was killed over is completed or cleared away first. Raises InputError where
        *root* is not a folder, or what is in ``.kcert`` may be another user's; MachineError where the machine refuses
        or its disk is full.
        """
        mask = os.umask(0o077)
        try:
            with _translated_errors(root), contextlib.ExitStack() as stack:
                _create(root)
                folder = stack.enter_context(Directory.open(root))
                own = stack.enter_context(folder.own_child(OWN_FOLDER, FOLDER_MODE))
                for name in ("staging", "backup"):
                    if own.status(name) is not None:
                        stack.enter_context(own.own_child(name))
                stack.enter_context(locked(own, doing, on_wait))
                stagings = stack.enter_context(own.own_child("staging", FOLDER_MODE))
                workspace = cls(root, folder, own, stagings)
                workspace._recover()
                workspace.history = stack.enter_context(contextlib.closing(History(own)))
                try:
                    yield workspace
                finally:
                    workspace._delete_staged()
                    with contextlib.suppress(OSError):  # what is written down to be moved is still in it
                        os.rmdir("staging", dir_fd=own.descriptor)
        finally:
            os.umask(mask)

    @staticmethod
    def is_unfinished(root: Path) -> bool:
        """True if an earlier run was stopped between moving the first file of a certificate and the last."""
        return any((root / OWN_FOLDER / "staging").glob(f"*/{_JOURNAL}"))

    def stage(self, links: Iterable[PurePosixPath], folders: Iterable[PurePosixPath]) -> Staging:
        """A new staging folder with the files *links* of the PKI folder in it, and subfolders for *folders*' files."""
        name = secrets.token_hex(8)
        with self._stagings.child(name, FOLDER_MODE) as folder:
            staging = Staging(self.own / "staging" / name)
            _check_same(folder, staging.folder)
            for path in (subfolder for subfolder in folders if not subfolder.is_absolute()):
                with folder.opened_parent(path, FOLDER_MODE):
                    pass
        for link in links:
            staging.link(link, self.root / link)
        return staging

    @contextlib.contextmanager
    def _opened(self, staging: Staging) -> Iterator[Directory]:
        with self._stagings.child(staging.folder.name) as folder:
            _check_same(folder, staging.folder)
            yield folder

    def check_writable(self, names: Iterable[PurePosixPath]) -> None:
        """Raise an error where the files *names* could not be moved into place: before any is made and reported.

        What prevents it only then (a disk that fills up) is still found by ``publish``.
        """
        mount = mount_of(self._own.descriptor)
        for name in (relative for relative in names if not relative.is_absolute()):
            if name in self._waiting:
                raise MachineError(
                    f"{self.root / name} has to be replaced by a file that an earlier kcert created, before anything "
                    f"else can replace it. Remove what blocks it."
                )
            with self._folder.opened_parent(name) as (folder, _):
                folder.check_replaceable(name.relative_to(folder.path.relative_to(self.root)).parts[0], mount)

    def publish(
        self,
        staging: Staging,
        names: Iterable[PurePosixPath],
        closed: Iterable[PurePosixPath],
        removes: Iterable[PurePosixPath] = (),
    ) -> None:
        """Move the files *names* of *staging* into place, in this order; what they replace goes to the backup.

        *closed* are those among them that only their owner may read; *removes* are files of the PKI folder
        that are not needed after it, which go to the backup as well.
        """
        private, removed = set(closed), list(removes)
        with self._opened(staging) as folder:
            files = [name for name in names if _is_staged(folder, name)]
            self.check_writable((*files, *removed))
            for name in files:
                mode = SECRET_MODE if name in private else PUBLIC_MODE
                with folder.opened_parent(name) as (inner, _), self._folder.opened_parent(name) as (target, is_there):
                    owner = target.kept_owner(name.name) if is_there else None
                    inner.finalize(name.name, mode, owner, flush=name.suffix not in _RECREATED)
            journal = _Journal(tuple(files), tuple(removed), self._new_backup())
            draft = f"{_JOURNAL}.draft"
            folder.write(draft, journal.text().encode("ascii"), SECRET_MODE)
            with defer_signals():
                folder.move(draft, folder, _JOURNAL)
                self._move_into_place(folder, journal)

    def remember(self, memory: Memory) -> None:
        """Keep *memory* for later runs."""
        if memory == recall(self.own):
            return
        draft = f"{MEMORY}.draft"
        self._own.unlink(draft)
        self._own.write(draft, f"{json.dumps(asdict(memory), indent=2)}\n".encode(), SECRET_MODE)
        self._own.move(draft, self._own, MEMORY)

    def move_to_own(self, staging: Staging, names: Iterable[PurePosixPath]) -> None:
        """Move the files *names* of *staging* among kcert's own, closed to others."""
        with self._opened(staging) as folder:
            for name in names:
                folder.finalize(name.name, SECRET_MODE, None)
                folder.move(name.name, self._own, name.name)

    def discard(self, staging: Staging) -> None:
        """Delete a staging folder."""
        self._stagings.delete_tree(staging.folder.name)

    def _recover(self) -> None:
        """Complete what was written down to be moved, and delete what was not.

        Files that the machine refuses to move stay and are reported; all others are moved.
        """
        for name in self._stagings.names():
            if not self._has_journal(name):
                continue
            with self._stagings.own_child(name) as folder:
                journal = _Journal.read(folder)
                if journal is None:
                    # What a loss of power left of one. A key that was moved already is found, and certified.
                    self._stagings.delete_tree(name)
                    continue
                try:
                    with defer_signals():
                        self._move_into_place(folder, journal)
                except (MachineError, OSError) as error:
                    self._waiting |= {*journal.files, *journal.removes}
                    reason = error if isinstance(error, MachineError) else f"{error.filename}: {error.strerror}."
                    warn(
                        f"{', '.join(map(str, journal.files))} could not be put into place, and the next kcert tries "
                        f"again: {reason}"
                    )
        self._delete_staged()

    def _has_journal(self, name: str) -> bool:
        status = self._stagings.status(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return False
        with self._stagings.child(name) as folder:
            return folder.is_regular(_JOURNAL)

    def _delete_staged(self) -> None:
        """Delete what was staged, but not what is written down to be moved: the next run completes that."""
        with contextlib.suppress(OSError):
            for name in self._stagings.names():
                if not self._has_journal(name):
                    self._stagings.delete_tree(name)

    def _move_into_place(self, staging: Directory, journal: _Journal) -> None:
        # Some may have been moved already, before a kill.
        staged = [name for name in journal.files if _is_staged(staging, name)]
        # Nothing moves before all that it replaces can be replaced, and is safe.
        self.check_writable((*staged, *journal.removes))
        for name in (*staged, *journal.removes):
            self.back_up(name, journal.backup)
        for name in staged:
            with (
                staging.opened_parent(name) as (source, _),
                self._folder.opened_parent(name, INNER_FOLDER_MODE) as (target, _),
            ):
                source.move(name.name, target, name.name)
        for name in journal.removes:
            with self._folder.opened_parent(name) as (folder, is_there):
                if is_there:
                    folder.unlink(name.name)
        self._stagings.delete_tree(staging.path.name)

    def _new_backup(self) -> str:
        """Return a name that no backup has yet: a clock can be set back, or stopped."""
        name = backup_name()
        if self._own.status("backup") is None:
            return name
        with self._own.own_child("backup") as backups:
            while backups.status(name) is not None:
                name += "+"
        return name

    def back_up(self, name: PurePosixPath, backup: str) -> None:
        """Keep what the PKI folder has as *name* in the folder *backup* of its backups, with its mode and dates."""
        with self._folder.opened_parent(name) as (source, is_there):
            if not is_there or source.status(name.name) is None:
                return
            with (
                self._own.own_child("backup", FOLDER_MODE) as backups,
                backups.own_child(backup, FOLDER_MODE) as kept,
                kept.opened_parent(name, FOLDER_MODE) as (target, _),
            ):
                if target.status(name.name) is None:
                    source.copy_to(name.name, target, name.name)


@contextlib.contextmanager
def _translated_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or root  # a failed write names no file
        kept = "Existing files are unchanged."
        left = "No existing file is lost. The next kcert command that writes there completes this change."
        raise MachineError(
            f"{where}: {error.strerror or error}. {left if Workspace.is_unfinished(root) else kept}"
        ) from error


def _create(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file; the PKI folder has to be a folder. Specify another with --dir.")
    if not root.exists():
        refuse_foreign_link(root)
        root.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another kcert was faster
            root.mkdir(FOLDER_MODE)


def _is_staged(staging: Directory, name: PurePosixPath) -> bool:
    """True for a file that was made here; a link leads to one of the PKI folder, which stays if it is."""
    with staging.opened_parent(name) as (folder, is_there):
        return is_there and folder.is_regular(name.name)


def _check_same(folder: Directory, path: Path) -> None:
    """Raise InputError where *path* does not lead to *folder* any more, because another user exchanged a folder."""
    opened, named = os.fstat(folder.descriptor), path.lstat()
    if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino):
        raise InputError(f"{path} was replaced by another folder while kcert worked in it. No file was put into place.")


@dataclass(frozen=True)
class _Journal:
    """The record that is written before the first file moves: the files, those that go away, and the backup's name."""

    files: tuple[PurePosixPath, ...]
    removes: tuple[PurePosixPath, ...]
    backup: str

    @classmethod
    def read(cls, folder: Directory) -> _Journal | None:
        """The journal of a staging folder; None if it is not one that kcert could have written."""
        try:
            journal = json.loads(folder.read(_JOURNAL))
            files, removes = journal["files"], journal.get("retires", [])
            parsed = cls(tuple(map(PurePosixPath, files)), tuple(map(PurePosixPath, removes)), str(journal["backup"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        names = (*parsed.files, *parsed.removes)
        plain = all(isinstance(name, str) for name in (*files, *removes)) and _BACKUP.fullmatch(parsed.backup)
        return parsed if plain and all(map(_is_publishable, names)) else None

    def text(self) -> str:
        files, removes = (list(map(str, names)) for names in (self.files, self.removes))
        return json.dumps({"backup": self.backup, "files": files, "retires": removes})


def _is_publishable(name: PurePosixPath) -> bool:
    """True for a path inside the PKI folder that kcert would write; nothing hidden is (``.git/hooks`` would be run)."""
    hidden = any(part.startswith(".") or "\0" in part for part in name.parts)
    return bool(name.parts) and not name.is_absolute() and not hidden and name.suffix in _SUFFIXES


def backup_name() -> str:
    """Return what backups made now are kept under: the time in UTC, so that they sort."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
