"""PEM files as they are found in the wild: several blocks, text before them, CRLF, keys of every kind.

Only the armour is opened here (RFC 7468: labels and base64, and the length that the first bytes announce);
what is inside is read by openssl (``kcert.openssl.read``).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcert.files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
REQUEST_LABELS = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})
KEY_LABELS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY"})

MOST = 100_000
"""Blocks in one file: five times the largest bundle that kcert is made for, and no trouble for its memory."""

# A label's inside cannot hold a dash line, so a block without its END stops at the next BEGIN.
_BLOCK = re.compile(
    rb"^[ \t]*-----BEGIN (?P<label>[A-Z0-9 ]{1,64})-----[ \t]*\r?$"
    rb"(?P<inside>[^-]*(?:-(?!----)[^-]*)*)"
    rb"(?P<end>^[ \t]*-----END (?P=label)-----)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One block of a PEM file.

    ``label`` is what stands after BEGIN, ``der`` what the base64 says (empty where it says nothing sensible),
    ``fault`` why the block cannot be whole (None: nothing speaks against it), ``encrypted`` whether a
    passphrase is needed, ``line`` the line of BEGIN, counted from 1.
    """

    label: str
    der: bytes
    fault: str | None = None
    encrypted: bool = False
    line: int = 1

    @property
    def is_certificate(self) -> bool:
        """True for a certificate."""
        return self.label in CERTIFICATE_LABELS

    @property
    def is_request(self) -> bool:
        """True for a certificate signing request."""
        return self.label in REQUEST_LABELS

    @property
    def is_key(self) -> bool:
        """True for a private key, encrypted or not."""
        return self.label in KEY_LABELS

    @property
    def pem(self) -> str:
        """The block by itself, in the shape that openssl writes."""
        label = "CERTIFICATE" if self.is_certificate else self.label
        return armoured(self.der, label)


def armoured(der: bytes, label: str = "CERTIFICATE") -> str:
    """*der* as a PEM block, lines of 64 characters."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def pem_blocks(content: bytes) -> list[Block]:
    """Every PEM block of a file, in order; whatever stands between them is passed over.

    A damaged block is in the list with its fault, so that it can be named; it never costs the others. After MOST of
    them one with a fault ends the list.
    """
    blocks: list[Block] = []
    line, before = 1, 0
    for found in _BLOCK.finditer(content):
        if len(blocks) == MOST:
            blocks.append(Block("", b"", f"holds more than {MOST} blocks, and kcert reads no further"))
            break
        line += content.count(b"\n", before, found.start())
        before = found.start()
        blocks.append(_block(found, line))
    return blocks


def is_encrypted(path: Path) -> bool | None:
    """Whether the key at *path* needs a passphrase; None where there is none that can be read."""
    try:
        content = read_regular(path)
    except OSError:
        return None
    return any(block.encrypted for block in pem_blocks(content) if block.is_key)


def is_der(content: bytes) -> bool:
    """True where a whole file looks like one DER structure: openssl reads such a file, Kubernetes does not."""
    return content[:1] == b"\x30" and announced_length(content) == len(content)


def announced_length(der: bytes) -> int | None:
    """The length in bytes, header included, that the first element of *der* announces; None where it announces none."""
    if len(der) < 2:
        return None
    first = der[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4 or len(der) < 2 + count:
        return None
    return 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def _block(found: re.Match[bytes], line: int) -> Block:
    label, inside = found["label"].decode("ascii"), found["inside"]
    # RFC 1421 headers (Proc-Type: 4,ENCRYPTED) stand before an empty line; base64 never holds a colon.
    encrypted = label == "ENCRYPTED PRIVATE KEY" or b"ENCRYPTED" in inside
    if b":" in inside:
        inside = _without_headers(inside)
    if found["end"] is None:
        return Block(
            label, b"", f"the block that begins on line {line} has no END line: the file is cut short", encrypted, line
        )
    try:
        der = base64.b64decode(b"".join(inside.split()), validate=True)
    except binascii.Error:
        return Block(label, b"", f"what stands between BEGIN and END (line {line}) is not base64", encrypted, line)
    fault = None
    # `openssl ecparam -genkey` without -noout puts the curve, which is no sequence, before the key; nobody reads it.
    if label != "EC PARAMETERS" and (label == "ENCRYPTED PRIVATE KEY" or not encrypted):
        fault = _length_fault(der, line)
    return Block(label, der, fault, encrypted, line)


def _without_headers(inside: bytes) -> bytes:
    """The base64 alone: headers go on in lines that begin with a blank (RFC 1421, 4.4)."""
    end = inside.find(b"\n", inside.rfind(b":"))
    while end != -1 and inside[end + 1 : end + 2] in (b" ", b"\t"):
        end = inside.find(b"\n", end + 1)
    return inside[end + 1 :] if end != -1 else b""


def _length_fault(der: bytes, line: int) -> str | None:
    if not der:
        return f"the block that begins on line {line} is empty"
    announced = announced_length(der)
    if der[0] != 0x30 or announced is None:
        return f"the block that begins on line {line} holds something else than its label says"
    if announced > len(der):
        return f"the block that begins on line {line} is cut short: {len(der)} of {announced} bytes are there"
    if announced < len(der):
        return f"the block that begins on line {line} has {len(der) - announced} bytes too many"
    return None
