"""Whether the built-in example describes a PKI folder: without kcert.yaml nothing else is known of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert import profiles
from kcert.adoption import adopted
from kcert.errors import InputError
from kcert.issue.adopt import known_files
from kcert.issue.status import status_of
from kcert.quoting import quote
from kcert.store import OWN_FOLDER
from kcert.store.memory import recall

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.config import Cluster


def describes(cluster: Cluster, root: Path) -> bool:
    """Whether *cluster* is the one that the PKI folder *root* is for, as far as can be told.

    A kcert.yaml is taken at its word. The built-in example is for a folder without certificates, for one that kcert
    made for it, and for one whose certificates are as the example wants them; a server's certificate with other SANs,
    or a CA or server that the example does not have, belongs to another cluster.
    """
    if cluster.source is not None or not _holds_anything(root) or recall(root / OWN_FOLDER).example:
        return True
    from kcert.issue.discovery import read_folder

    specs = adopted(root, profiles.certificates(cluster))
    found = [status for status in status_of(root, specs).values() if status.found]
    if any(status.lacks_sans for status in found):
        return False
    files = read_folder(root)
    known, made = {str(spec.files.primary) for spec in specs}, known_files(root)
    others = [file for file in files if str(file.name) not in known and file.sha256 not in made]
    uses = [file.x509.extended_key_usage or () for file in others]
    if any(file.x509.ca for file in others) or any("serverAuth" in use for use in uses):
        return False
    return bool(found) or not files


def _holds_anything(root: Path) -> bool:
    """Whether there is anything in *root* besides kcert's own folder."""
    try:
        return any(path.name != OWN_FOLDER for path in root.iterdir())
    except OSError:
        return False


def require_described(cluster: Cluster, root: Path) -> None:
    """Raise InputError where there is no kcert.yaml, and *root* holds the certificates of another cluster."""
    if not describes(cluster, root):
        raise InputError(undescribed(root))


def undescribed(root: Path) -> str:
    """Return what to do about a PKI folder that no kcert.yaml describes."""
    return (
        f"the certificates in {root} are not those of the built-in example, and there is no kcert.yaml that describes "
        f"them. Use --config FILE to name it, or write one: `kcert init --from {quote(str(root))}`."
    )
