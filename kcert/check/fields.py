"""What a file holds beside a certificate, read again: for the commands that put another one in its place."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

from kcert.openssl.pem import armoured, is_der, pem_blocks
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.scan.documents import NotADocumentError, as_utf8, documents, list_at, text_at
from kcert.scan.fs import Content, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.openssl.pem import Block


def values(path: Path, option: str) -> list[str]:
    """Return what the field *option* of the clusters and users of a kubeconfig holds."""
    read = read_file(path)
    try:
        parsed = documents(read.data) if isinstance(read, Content) else []
    except NotADocumentError:
        return []
    holders = [(holder, "cluster") for doc in parsed for holder in list_at(doc, "clusters")]
    holders += [(holder, "user") for doc in parsed for holder in list_at(doc, "users")]
    return [value for holder, key in holders if (value := text_at(holder, key, option)) is not None]


def recovered(value: str) -> list[str]:
    """Return the certificates (PEM) in a value that is not the base64 of PEM; empty where there is no way to tell.

    People write PEM or DER there, with a byte order mark, encode it twice, or break the lines with blanks.
    """
    data = value.encode("utf-8", "replace")
    for _ in range(3):
        data = as_utf8(data)
        ders = [block.der for block in pem_blocks(data) if block.is_certificate] or ([data] if is_der(data) else [])
        if ders:
            pems = [armoured(der) for der in ders]
            return pems if all(isinstance(read_certificate(pem), X509) for pem in pems) else []
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            return []
    return []


def field_lines(text: str, option: str) -> tuple[int, int] | None:
    """Return the first line of the field *option* of a kubeconfig, from 0, and the line behind it; None for several."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.lstrip(" -").startswith(f"{option}:")]
    if len(starts) != 1:
        return None
    indent = len(lines[starts[0]]) - len(lines[starts[0]].lstrip(" -"))
    end = starts[0] + 1
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return starts[0], end


def certificate_blocks(path: Path) -> list[Block]:
    """Return the certificates of a PEM file in their order; damaged ones count."""
    read = read_file(path)
    blocks = pem_blocks(read.data) if isinstance(read, Content) else []
    return [block for block in blocks if block.label == "CERTIFICATE"]


def certificate_texts(path: Path) -> list[str] | None:
    """Return each certificate of a PEM file as PEM, a damaged one as it is written; None where there is more to keep.

    Only a private key may be beside them: ``openssl pkey`` puts it out.
    """
    read = read_file(path)
    if not isinstance(read, Content):
        return []
    blocks = pem_blocks(read.data)
    lines = read.data.decode("latin-1").splitlines()
    texts = []
    for number, block in enumerate(blocks):
        if block.label != "CERTIFICATE":
            if not block.is_key:
                return None
            continue
        end = blocks[number + 1].line - 1 if number + 1 < len(blocks) else len(lines)
        raw = lines[block.line - 1 : end]
        last = next((at for at, line in enumerate(raw, 1) if line.startswith("-----END")), len(raw))
        texts.append("\n".join(raw[:last]) if block.fault else block.pem)
    return texts if all(text.isascii() for text in texts) else None


def holds_a_key(path: Path) -> bool:
    """Return True for a file that holds a private key beside its certificate."""
    read = read_file(path)
    return isinstance(read, Content) and any(block.is_key for block in pem_blocks(read.data))


def hashes_in(path: Path) -> list[str]:
    """Return the SHA-256 of each certificate in a PEM file, in its order; damaged ones count."""
    return [hashlib.sha256(block.der).hexdigest() for block in certificate_blocks(path)]


def damaged_in(path: Path) -> list[int]:
    """Return which certificates of a PEM file are damaged, counted from 1."""
    return [number for number, block in enumerate(certificate_blocks(path), 1) if block.fault]
