"""The kind of the cluster on this machine, for the fixes of lines that do not tell it."""

from __future__ import annotations

import os
from pathlib import Path

from kcert.clusters import KINDS, at_root

KCERT = "kcert"
"""The kind of a PKI folder that kcert made."""


def kind_of_machine(root: Path = Path("/")) -> str:
    """Return the kind of cluster that is installed here; ``KCERT`` beside a PKI folder of kcert, empty for neither."""
    folder = Path(os.environ.get("KCERT_DIR") or "pki")
    try:
        if (folder / ".kcert").is_dir():
            return KCERT
        home = Path.home()
        found = (kind.name for kind in KINDS.values() if any(at_root(mark, root, home).exists() for mark in kind.marks))
        return next(found, "")
    except (OSError, RuntimeError):
        return ""
