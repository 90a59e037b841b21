"""From a PKI folder to what takes over from kcert: one module a target, with a function ``export``.

It returns an ``Export``: files to write, what they hold, and what stays behind, with the reason. A target has a command
of its own in ``kcert.cli.deploy``, with its own options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kcert.errors import InputError
from kcert.store import SECRET_MODE
from kcert.store.atomic import Written, check_unlinked, make_folder, write_file

FOLDER = Path("export")
"""The folder for exports, unless another one is named."""


_MOST_NAMES = 20
"""A thousand nodes are not listed one by one."""


@dataclass(frozen=True)
class Piece:
    """One file of an export, by its path in it."""

    path: PurePosixPath
    content: bytes = field(repr=False)
    mode: int

    @property
    def secret(self) -> bool:
        """True if only the owner may read it."""
        return self.mode == SECRET_MODE


@dataclass(frozen=True)
class Aside:
    """A part of the cluster that an export omits, by name, and why."""

    names: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        more = len(self.names) - _MOST_NAMES
        names = (*self.names[:_MOST_NAMES], f"and {more} more") if more > 0 else self.names
        return f"{', '.join(names)}: {self.why}."


@dataclass(frozen=True)
class Export:
    """All that a target gets. ``holds`` are rows under the headings ``columns``; ``notes`` is what has to be known."""

    target: str
    pieces: tuple[Piece, ...]
    columns: tuple[str, ...]
    holds: tuple[tuple[str, ...], ...]
    left: tuple[Aside, ...] = ()
    notes: tuple[str, ...] = ()


def put_file(made: Export, output: Path | None) -> Written:
    """Write an export of one file: into ./export, into the folder *output*, or to the file *output*."""
    (piece,) = made.pieces
    if output is None:
        check_unlinked(Path(), [FOLDER / piece.path])
        make_folder(FOLDER)
    elif output.is_dir():
        check_unlinked(output, [piece.path])
    return write_file(path_of(piece, output), piece.content, piece.mode)


def path_of(piece: Piece, output: Path | None) -> Path:
    """Return the path of the only file of an export: in ./export, in the folder *output*, or the file *output*."""
    return output if output is not None and not output.is_dir() else (output or FOLDER) / piece.path


def put_folder(made: Export, output: Path | None) -> tuple[Path, tuple[Written, ...]]:
    """Write an export of several files below ./export or the folder *output*, made if it is not there; that folder.

    Raises InputError where a file is in the way.
    """
    folder = output or FOLDER / made.target
    if not str(folder).isprintable():
        raise InputError(f"{str(folder)!a} is not a path that kcert writes to: it contains control characters.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder, and the export has {len(made.pieces)} files. Specify a folder.")
    if output is None:
        check_unlinked(Path(), [folder / piece.path for piece in made.pieces])
        make_folder(FOLDER)
    else:
        check_unlinked(output, [piece.path for piece in made.pieces])
    for below in dict.fromkeys(piece.path.parent for piece in made.pieces):
        make_folder(folder / below)
    return folder, tuple(write_file(folder / piece.path, piece.content, piece.mode) for piece in made.pieces)
