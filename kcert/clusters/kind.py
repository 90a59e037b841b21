"""A kind of cluster: the type of the table's entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from kcert.certificates import Role


@dataclass(frozen=True)
class ClusterKind:
    """A way to set up Kubernetes.

    ``marks``: paths of which any says that a machine is of this kind. ``places``: the folders and files to search when
    the user names none. ``files``: patterns (``*`` matches any part of a path) and the role of what they match, or None
    where no role fits; the first match counts. ``homes``: parts of paths that only this kind has, and ``stems`` names
    of files, without ending, which identify a folder that was copied out of its place. ``cas``: the names of the CAs of
    the API server's clients and of its serving certificate, where these are two (empty: not known). ``options``: a
    folder of files, named after components, with an option a line; ``variables`` are those that occur in them.
    ``renew`` renews the certificate that ``renewal_names`` calls NAME, ``renew_all`` everything; ``renewal`` says who
    renews, and when. ``restart`` makes components load new files. ``key_mode``: the widest mode that this kind gives
    its own private keys. ``unit``: the systemd unit that logs for the control plane. ``logs``: where a component logs,
    if not to a unit or a static pod of its name: units, of which the first that exists counts, a file (its path), or a
    container of Docker (``docker NAME``). ``powerful``: users that this kind itself puts into system:masters. ``sans``:
    where a SAN is added for the API server.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    places: tuple[str, ...]
    files: Mapping[str, Role | None] = field(default_factory=dict)
    homes: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    cas: tuple[str, str] | None = None
    options: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    renew: str | None = None
    renew_all: str | None = None
    renewal_names: Mapping[str, str] = field(default_factory=dict)
    renewal: str = ""
    restart: str | None = None
    key_mode: int = 0o600
    unit: str | None = None
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    powerful: tuple[str, ...] = ()
    sans: str = ""

    def role_of(self, path: Path) -> Role | None:
        """Return the role of the file at *path*, or None if this kind does not know it."""
        text = str(path.absolute())
        return next((role for pattern, role in self.files.items() if _ends_with(text, pattern)), None)

    def knows(self, path: Path) -> bool:
        """Return True if the table has the file, with a role or without."""
        return any(_ends_with(str(path.absolute()), pattern) for pattern in self.files)

    def is_on(self, root: Path, homes: Iterable[Path]) -> bool:
        """Return True if the machine whose ``/`` is at *root* is of this kind."""
        return any(at_root(mark, root, home).exists() for home in homes for mark in self.marks)

    def renewal_command(self, path: Path) -> str | None:
        """Return the command of this kind that renews the file at *path*; None if it has none."""
        text = str(path.absolute())
        name = next((name for pattern, name in self.renewal_names.items() if _ends_with(text, pattern)), None)
        return self.renew.replace("NAME", name) if self.renew and name else None


def _ends_with(text: str, pattern: str) -> bool:
    return fnmatchcase(text, f"*{pattern}")


def at_root(path: str, root: Path, home: Path) -> Path:
    """Return where *path* of the table is below *root*; ``~`` is the user's home."""
    return home / path[2:] if path.startswith("~/") else root / path.lstrip("/")
