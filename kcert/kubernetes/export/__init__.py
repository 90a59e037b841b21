"""From a PKI folder to what takes over from kcert: one module a target, with a function ``export``.

It returns an ``Export``: files to write, what they hold, and what stays behind, with the reason. A target has a command
of its own in ``kcert.cli.deploy``, with its own options.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kcert.store.atomic import OutputFile

FOLDER = Path("export")
"""The folder for exports, unless another one is named."""


@dataclass(frozen=True)
class Export:
    """All that a target gets. ``holds`` are rows under the headings ``columns``; ``notes`` is what has to be known.

    ``left`` are sentences about the parts of the cluster that it omits, and why.
    """

    target: str
    files: tuple[OutputFile, ...]
    columns: tuple[str, ...]
    holds: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
