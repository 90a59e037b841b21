"""The only package that writes into a PKI folder: lock, staging, publishing, backups, history.

A certificate is made in a staging folder of its own and moved into place when it is whole and checked. What
stands between "checked" and "in place" is written down first (``publish.json``), so that after a kill in
the middle the next run completes the move rather than leaving half of it.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.errors import InputError, MachineError
from kcert.interruptions import defer_signals
from kcert.store import draft
from kcert.store.history import History
from kcert.store.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kcert.shell import Outcome

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
INNER_FOLDER_MODE = 0o755  # the PKI folder itself is closed; below /etc/kubernetes these are open
OWN_FOLDER = ".kcert"

_JOURNAL = "publish.json"
_OWN_FILES = ("lock", "history.jsonl", "history.head", "staging", "backup")


@dataclass(frozen=True)
class Staging:
    """A folder in which one certificate is made, under the names that its commands use."""

    folder: Path

    def path(self, name: PurePosixPath) -> Path:
        """Where the file that the PKI folder will know as *name* lies for now."""
        return self.folder / name

    def link(self, name: PurePosixPath, target: Path) -> None:
        """Make *target* reachable as *name*; what is named by its whole path is reachable already."""
        if name.is_absolute():
            return
        link = self.path(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target.absolute())

    def base64_of(self, name: PurePosixPath) -> str:
        """The content of a file, as a kubeconfig holds it."""
        return base64.b64encode(self.path(name).read_bytes()).decode("ascii")

    def write(self, name: PurePosixPath, content: str, *, secret: bool = False) -> None:
        """Write a text file; a secret one is closed to others from its first byte."""
        self.put(name, content.encode("utf-8"), secret=secret)

    def put(self, name: PurePosixPath, content: bytes, *, secret: bool = False) -> None:
        """Write a file; a secret one is closed to others from its first byte."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = SECRET_MODE if secret else PUBLIC_MODE
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)


class Workspace:
    """A PKI folder, held under its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.own = root / OWN_FOLDER
        self.history = History(self.own)
        self._stagings = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls, root: Path, doing: str, waits_for: Callable[[str], None]) -> Iterator[Workspace]:
        """Hold the PKI folder *root*, made if it is not there, until the block ends.

        *doing* is what another kcert is told when it has to wait; *waits_for* hears whom this one waits for.
        What an earlier run was killed over is completed or cleared away first. Raises InputError where
        *root* is no folder, MachineError where the machine refuses or its disk is full.
        """
        workspace = cls(root)
        mask = os.umask(0o077)
        try:
            with workspace._machine():
                workspace._prepare()
                with locked(workspace.own / "lock", doing, waits_for):
                    workspace._recover()
                    workspace.history.open()
                    try:
                        yield workspace
                    finally:
                        workspace.history.close()
                        workspace._clear_away()
        finally:
            os.umask(mask)

    @staticmethod
    def is_unfinished(root: Path) -> bool:
        """True where an earlier run was stopped between moving the first file of a certificate and the last."""
        return any((root / OWN_FOLDER / "staging").glob(f"*/{_JOURNAL}"))

    def stage(self, links: Iterable[PurePosixPath], folders: Iterable[PurePosixPath]) -> Staging:
        """A new staging folder with the files *links* of the PKI folder in it, and subfolders for *folders*' files."""
        self._stagings += 1
        staging = Staging(self.own / "staging" / f"{os.getpid()}-{self._stagings}")
        staging.folder.mkdir(parents=True)
        for name in (one for one in folders if not one.is_absolute()):
            staging.path(name).parent.mkdir(parents=True, exist_ok=True)
        for name in links:
            staging.link(name, self.root / name)
        return staging

    def check_writable(self, names: Iterable[PurePosixPath]) -> None:
        """Raise PermissionError where the files *names* could not be moved into place: before any is made and told of.

        What stands in its way only then (a disk that fills up) is still found by ``publish``.
        """
        for name in names:
            place = next(one for one in (self.root / name).parents if one.is_dir())
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))

    def publish(
        self,
        staging: Staging,
        names: Iterable[PurePosixPath],
        secrets: Iterable[PurePosixPath],
        retires: Iterable[PurePosixPath] = (),
    ) -> None:
        """Move the files *names* of *staging* into place, in this order; what they replace goes to the backup.

        *secrets* are those among them that only their owner may read; *retires* are files of the PKI folder
        that nobody needs after it, which go to the backup as well.
        """
        closed = set(secrets)
        files = [name for name in names if not staging.path(name).is_symlink()]
        for name in files:
            staging.path(name).chmod(SECRET_MODE if name in closed else PUBLIC_MODE)
        journal = {
            "backup": self._new_backup(),
            "files": [str(name) for name in files],
            "retires": [str(name) for name in retires],
        }
        written = staging.folder / f"{_JOURNAL}.draft"
        written.write_text(json.dumps(journal), encoding="utf-8")
        with defer_signals():
            written.rename(staging.folder / _JOURNAL)
            self._move_into_place(staging.folder)

    def discard(self, staging: Staging) -> None:
        """Take a staging folder away."""
        shutil.rmtree(staging.folder, ignore_errors=True)

    def record(self, outcome: Outcome, staging: Staging, makes: Iterable[PurePosixPath], secrets: set[str]) -> None:
        """Write a command that ended into the history, with what it made."""
        self.history.append(outcome, self.root, staging.folder, makes, secrets)

    def _prepare(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"{self.root} is a file; the PKI folder has to be a folder. Name another with --dir.")
        if not self.root.exists():
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another kcert was faster
                self.root.mkdir(FOLDER_MODE)
        for name in (OWN_FOLDER, *(f"{OWN_FOLDER}/{one}" for one in _OWN_FILES)):
            if (self.root / name).is_symlink():
                raise InputError(
                    f"{self.root / name} is a symbolic link, which kcert never makes there: whoever did could have "
                    "kcert write wherever it leads. Look where that is, and take the link away."
                )
        self.own.mkdir(FOLDER_MODE, exist_ok=True)

    def _recover(self) -> None:
        """Complete what was written down to be moved, and clear away what was not."""
        stagings = self.own / "staging"
        for folder in sorted(stagings.iterdir()) if stagings.is_dir() else ():
            if (folder / _JOURNAL).is_file():
                with defer_signals():
                    self._move_into_place(folder)
        self._clear_away()

    def _clear_away(self) -> None:
        """Take away what was staged, but not what is written down to be moved: the next run completes that."""
        stagings = self.own / "staging"
        with contextlib.suppress(OSError):
            for folder in stagings.iterdir():
                if not (folder / _JOURNAL).is_file():
                    shutil.rmtree(folder, ignore_errors=True)
            stagings.rmdir()

    def _move_into_place(self, folder: Path) -> None:
        journal = _journal(folder)
        if journal is None:
            # What a loss of power left of one. A key that was moved already is found, and certified.
            shutil.rmtree(folder, ignore_errors=True)
            return
        names, retired, backup = journal
        # Nothing moves before all that it replaces is safe.
        for name in names:
            if os.path.lexists(folder / name) and os.path.lexists(self.root / name):
                self.back_up(name, backup)
        for name in retired:
            if os.path.lexists(self.root / name):
                self.back_up(name, backup)
        for name in names:
            if not os.path.lexists(folder / name):
                continue  # moved already, before a kill
            target = self.root / name
            for parent in reversed(target.relative_to(self.root).parents[:-1]):
                (self.root / parent).mkdir(exist_ok=True)
                (self.root / parent).chmod(INNER_FOLDER_MODE)
            _keep_owner(folder / name, target)
            (folder / name).replace(target)
        for name in retired:
            (self.root / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _new_backup(self) -> str:
        """A name that no backup has yet: a clock can be put back, or stand still."""
        name = backup_name()
        while (self.own / "backup" / name).exists():
            name += "+"
        return name

    def back_up(self, name: PurePosixPath, backup: str) -> None:
        """Keep what the PKI folder has as *name* in the folder *backup* of its backups, with its mode and dates."""
        kept = self.own / "backup" / backup / name
        if os.path.lexists(kept):
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft.keep(self.root / name, kept)

    @contextlib.contextmanager
    def _machine(self) -> Iterator[None]:
        """Turn what the machine refuses into words."""
        try:
            yield
        except OSError as error:
            where = error.filename or self.root  # a failed write tells no name
            left = " What was being put into place is completed by the next kcert that writes there."
            raise MachineError(
                f"{where}: {error.strerror or error}. Nothing that was there before is lost."
                f"{left if self.is_unfinished(self.root) else ''}"
            ) from error


def _journal(folder: Path) -> tuple[list[PurePosixPath], list[PurePosixPath], str] | None:
    """The files to move, those that retire, and the backup's name; None where it is not as kcert writes it."""
    try:
        journal = json.loads((folder / _JOURNAL).read_text(encoding="utf-8"))
        names, backup = [PurePosixPath(name) for name in journal["files"]], str(journal["backup"])
        retired = [PurePosixPath(name) for name in journal.get("retires", ())]
    except (ValueError, KeyError, TypeError):
        return None
    # Nothing is moved out of the PKI folder, whoever wrote that.
    outside = any(path.is_absolute() or ".." in path.parts for path in (*names, *retired, PurePosixPath(backup)))
    return None if outside else (names, retired, backup)


def backup_name() -> str:
    """What backups made now are kept under: the time in UTC, so that they sort."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S.%fZ")


def _keep_owner(new: Path, old: Path) -> None:
    """Where root renews what belongs to somebody else (etcd's user, a person), it stays theirs."""
    if os.geteuid() == 0 and os.path.lexists(old):
        status = old.lstat()
        os.chown(new, status.st_uid, status.st_gid)
