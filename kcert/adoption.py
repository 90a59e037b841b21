"""PKI folders that another tool made: the same certificates under the names that this tool gives its files.

cfssl writes NAME.pem and NAME-key.pem. easy-rsa keeps certificates in ``issued/``, requests in ``reqs/``, and all
keys, the CA's too, in ``private/``. What a profile would call something is looked for first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kcert.certificates import AltName, Key, Kind, Subject, Usages
from kcert.store import OWN_FOLDER
from kcert.store.memory import recall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kcert.certificates import Certificate, Files


def adopted(root: Path, certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return *certificates* with the files that are theirs in the PKI folder *root*, whatever tool named them.

    What was asked for on the command line, and is remembered in the folder, takes the place of what kcert.yaml says.
    """
    requests = recall(root / OWN_FOLDER).requests
    named = (
        replace(spec, files=_lying_there(root, spec)) if spec.files.crt and not spec.files.kubeconfig else spec
        for spec in certificates
    )
    return tuple(with_request(spec, requests[spec.name]) if spec.name in requests else spec for spec in named)


def with_request(spec: Certificate, request: Mapping[str, Any]) -> Certificate:
    """Return *spec* with what was asked for on the command line: ``cn``, ``sans``, ``key`` and ``days``.

    A value that no option accepts is left out: the file may have been changed by hand.
    """
    subject, cn, days = spec.subject, request.get("cn"), request.get("days")
    if subject and isinstance(cn, str):
        subject = Subject(cn, subject.organizations)
    sans = [AltName(*map(str, san)) for san in request.get("sans", ()) if isinstance(san, list) and len(san) == 2]
    key = key_of_text(str(request.get("key"))) or spec.key
    usages = spec.usages
    if sans and spec.kind is Kind.CLIENT and usages is None:
        # The openssl.cnf of a client has no SANs.
        encrypts = ("keyEncipherment",) if key.algorithm == "rsa" else ()
        usages = Usages(("digitalSignature", *encrypts), ("clientAuth",))
    return replace(
        spec,
        usages=usages,
        subject=subject,
        alt_names=tuple(dict.fromkeys((*spec.alt_names, *sans))),
        key=key,
        days=days if isinstance(days, int) and days > 0 else spec.days,
    )


def key_of_text(text: str) -> Key | None:
    """Return the key that ``rsa:4096`` or ``ecdsa:P-256`` asks for; None where it is neither."""
    algorithm, _, size = text.partition(":")
    if algorithm == "rsa" and size.isascii() and size.isdecimal() and 2048 <= int(size) <= 8192:
        return Key("rsa", int(size))
    return Key("ecdsa", curve=size) if algorithm == "ecdsa" and size in ("P-256", "P-384") else None


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
