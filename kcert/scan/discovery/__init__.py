"""Finding: from places to drafts of uses, and then, with everything read at once, to the survey.

Certificates are collected first and read together, because an openssl process for each would take a hundred
times as long. ``finder`` goes from place to place and tells what a file is; ``options``, ``kubeconfigs`` and
``loose`` follow what it names or holds; all of them take down what they find with the ``collector``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.errors import InputError
from kcert.scan.discovery.finder import Finder
from kcert.scan.resolution import linked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kcert.scan.result import ScanResult


def survey(
    where: Sequence[str],
    root: Path | None = None,
    openssl: str = "openssl",
    *,
    otherwise: Path | None = None,
    with_cas: bool = False,
) -> ScanResult:
    """Find every certificate at *where* (paths or ``host:port``), or where clusters keep them if it is empty.

    Where clusters keep none, the folder *otherwise* is looked into, if it is there. *with_cas* adds the CAs beside a
    file that is named by itself. With *root*, absolute paths, in arguments, inside files and in links, are taken below
    it. A WHERE that does not exist raises InputError; everything else that is wrong becomes a Problem.
    """
    if root is not None and not root.is_dir():
        raise InputError(f"{root} is not a folder: --root takes the folder that stands for /.")
    finder = Finder(root, openssl, with_cas=with_cas)
    if where:
        for group, target in enumerate(where):
            finder.look(target, group)
    else:
        finder.look_where_clusters_keep_them()
        if finder.findings.is_empty and root is None and otherwise is not None and otherwise.is_dir():
            finder.look(str(otherwise))
    return linked(finder.findings, openssl)


def find_beside(path: Path, openssl: str) -> ScanResult:
    """The certificates and keys in the folder of *path*, and the CA of the folder above; nothing further."""
    finder = Finder(None, openssl)
    finder.look_beside(path)
    return linked(finder.findings, openssl)
