"""Where a kubeconfig's embedded data stands: the line that sed has to change."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from kcert.openssl.pem import pem_blocks
from kcert.scan.fs import Content, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIELD = re.compile(r"^[\s-]*\"?(?P<name>[a-z-]+)\"?: +(?P<quote>[\"']?)(?P<value>[^\s\"']+)(?P=quote)\s*$")


def _fields(path: Path, name: str) -> Iterator[tuple[int, str]]:
    read = read_file(path)
    text = read.data.decode("utf-8", "replace") if isinstance(read, Content) else ""
    for number, line in enumerate(text.splitlines(), 1):
        found = _FIELD.match(line)
        if found and found["name"] == name:
            yield number, found["value"]


def line_of_data(path: Path, name: str, sha256: str) -> int | None:
    """The line of the field *name* that holds the certificate with this hash, or None where sed would not find it."""
    import hashlib

    for number, value in _fields(path, name):
        for block in pem_blocks(_decoded(value)):
            if hashlib.sha256(block.der).hexdigest() == sha256:
                return number
    return None


def lines_with(path: Path, name: str) -> list[int]:
    """The lines of the field *name*."""
    return [number for number, _ in _fields(path, name)]


def values(path: Path, name: str) -> list[str]:
    """What the fields *name* hold."""
    return [value for _, value in _fields(path, name)]


def line_near(path: Path, name: str, number: int, reach: int = 3) -> int | None:
    """The line of the field *name* beside line *number*, as a key's is beside its certificate's."""
    near = [line for line in lines_with(path, name) if abs(line - number) <= reach]
    return min(near, key=lambda line: abs(line - number)) if near else None


def holds_a_key(path: Path) -> bool:
    """True for a file that holds a private key beside its certificate."""
    read = read_file(path)
    return isinstance(read, Content) and any(block.is_key for block in pem_blocks(read.data))


def hashes_in(path: Path) -> list[str]:
    """The SHA-256 of each certificate in a PEM file, in its order; damaged ones count, as awk counts them."""
    import hashlib

    read = read_file(path)
    blocks = pem_blocks(read.data) if isinstance(read, Content) else []
    return [hashlib.sha256(block.der).hexdigest() for block in blocks if block.label == "CERTIFICATE"]


def damaged_in(path: Path) -> list[int]:
    """Which certificates of a PEM file are damaged, counted from 1, as awk counts."""
    read = read_file(path)
    blocks = pem_blocks(read.data) if isinstance(read, Content) else []
    certificates = [block for block in blocks if block.label == "CERTIFICATE"]
    return [number for number, block in enumerate(certificates, 1) if block.fault]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
