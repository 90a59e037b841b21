"""Practice: small clusters with one thing broken, and checks of whether the repair works."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

DEFAULT_FOLDER = "lab"
"""The folder of a lab, if no other is given."""

OWN_FOLDER = ".practice"
"""The folder in a lab, or in an exam, where kcert keeps what it has to remember."""

SEAL_FILE = "seal.json"
"""The file in it that a sealed exam and its tasks have."""


def enclosing(folder: Path, *names: str) -> Path | None:
    """Return *folder*, or the nearest one above it, if it belongs to this user and has one of *names* in OWN_FOLDER."""
    whole = folder.absolute()
    for candidate in (whole, *whole.parents):
        with suppress(OSError):
            own = candidate / OWN_FOLDER
            if own.lstat().st_uid == os.geteuid() and any(os.access(own / name, os.F_OK) for name in names):
                return Path(os.path.relpath(candidate))
    return None


def marker_file() -> Path | None:
    """Return the file that remembers, for this user, which sealed exam is running (XDG base directories)."""
    home = os.environ.get("XDG_STATE_HOME") or (os.environ.get("HOME") and f"{os.environ['HOME']}/.local/state")
    return Path(home, "kcert", "exam.json") if home else None


def sealed_folders() -> list[Path]:
    """Return the current folder and those above it that are part of a sealed exam."""
    folders = (Path.cwd(), *Path.cwd().parents)
    return [folder for folder in folders if os.access(folder / OWN_FOLDER / SEAL_FILE, os.F_OK)]


def may_be_in_exam() -> bool:
    """Return True if a sealed exam may be running. `kcert.practice.state` knows for sure, but takes longer to load."""
    marker = marker_file()
    return (marker is not None and os.access(marker, os.F_OK)) or bool(sealed_folders())
