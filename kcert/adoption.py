"""PKI folders that another tool made: the same certificates under the names that this tool gives its files.

cfssl writes NAME.pem and NAME-key.pem. easy-rsa keeps certificates in ``issued/``, requests in ``reqs/``, and all
keys, the CA's too, in ``private/``. What a profile would call something is looked for first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.certificates import Certificate, Files


def adopted(root: Path, certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """*certificates* with the files that are theirs in the PKI folder *root*, whoever gave them their names."""
    return tuple(
        replace(one, files=_lying_there(root, one)) if one.files.crt and not one.files.kubeconfig else one
        for one in certificates
    )


def _lying_there(root: Path, certificate: Certificate) -> Files:
    files = certificate.files
    crt, private = files.crt, files.key.parent / "private" / files.key.name
    assert crt and files.csr
    if (root / crt).exists() or (root / files.key).exists():
        away = not (root / files.key).exists() and (root / private).exists()
        return replace(files, key=private) if away else files
    pem, pem_key = crt.with_suffix(".pem"), crt.with_name(f"{crt.stem}-key.pem")
    # A CA's key is often somewhere else; a leaf in one file with its key is not cfssl's.
    if (root / pem).exists() and (certificate.kind is Kind.CA or (root / pem_key).exists()):
        return replace(files, crt=pem, key=pem_key)
    issued = crt.parent / "issued" / crt.name
    if (root / issued).exists():
        return replace(files, crt=issued, key=private, csr=crt.parent / "reqs" / f"{crt.stem}.req")
    return files
