"""PEM: which blocks a file holds, decided as Go decides it, because Kubernetes reads every file with Go.

``pem_blocks`` returns the blocks that pem.Decode of Go's encoding/pem returns. It also returns, with a ``fault``, what
only looks like a block, to a person or to openssl: a BEGIN line that is indented or joined to the line before, text
behind an END line, damaged base64. The DER inside is read by ``kcert.openssl.der``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kcert.files import read_regular

CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
REQUEST_LABELS = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})
_PUBLIC_KEY_LABELS = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})
_FOR_OPENSSL_ALONE = frozenset({"X509 CERTIFICATE", "TRUSTED CERTIFICATE", "NEW CERTIFICATE REQUEST"})

MAX_BLOCKS = 100_000
"""Blocks in one file: five times the largest bundle that kcert is made for, and no trouble for its memory."""

_BEGIN, _END, _DASHES = b"-----BEGIN ", b"\n-----END ", b"-----"
_FIRST_LINE, _LAST_LINE = b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n"
_BEGIN_MARK = re.compile(rb"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,63})-----")
_END_MARK = re.compile(rb"-----END ([^\n]*?)-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_LONG_BASE64 = re.compile(rb"[A-Za-z0-9+/=]{40}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """One block of a PEM file.

    ``label`` follows BEGIN; ``der`` is the decoded content (empty if there is none); ``fault`` is a clause that says
    why Kubernetes cannot use the block (None: no reason is known); ``encrypted`` is True if a passphrase is needed;
    ``line`` is the line of BEGIN, counted from 1. ``recognized`` is False if Go does not see a block at all.
    """

    label: str
    der: bytes
    fault: str | None = None
    encrypted: bool = False
    line: int = 1
    recognized: bool = True

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
        return _is_key(self.label)

    @property
    def is_public_key(self) -> bool:
        """True for a public key on its own."""
        return self.label in _PUBLIC_KEY_LABELS

    @property
    def pem(self) -> str:
        """The block by itself, in the form that openssl writes."""
        label = "CERTIFICATE" if self.is_certificate else self.label
        return armoured(self.der, label)


def armoured(der: bytes, label: str = "CERTIFICATE") -> str:
    """*der* as a PEM block, in lines of 64 characters."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def pem_blocks(content: bytes) -> list[Block]:
    """Return every PEM block of a file, in order; other text between them does not matter.

    A damaged block is in the list with its fault, so that it can be named; it never costs the others. After MAX_BLOCKS
    of them one with a fault ends the list.
    """
    if (der := only_certificate(content)) is not None:
        return [Block("CERTIFICATE", der)]
    blocks: list[Block] = []
    line, counted = 1, 0
    for candidate in _candidates(content):
        line += content.count(b"\n", counted, candidate.begin)
        counted = candidate.begin
        if len(blocks) == MAX_BLOCKS:
            blocks.append(Block("", b"", f"holds more than {MAX_BLOCKS} blocks, and kcert reads no further", line=line))
            break
        blocks.append(candidate.block(line))
    return blocks


def only_certificate(content: bytes) -> bytes | None:
    """Return the certificate of a file that is one sound block as openssl writes it, as most are; else None."""
    body = len(content) - len(_LAST_LINE)
    if not (content.startswith(_FIRST_LINE) and content.endswith(_LAST_LINE)):
        return None
    if content.find(_DASHES, len(_FIRST_LINE)) != body + 1:
        return None
    der = _decoded(content[len(_FIRST_LINE) : body])
    return None if der is None or _length_fault(der) else der


def private_key(content: bytes) -> Block:
    """Return the first private key of a PEM file; without one, a block whose fault says that."""
    return next((block for block in pem_blocks(content) if block.is_key), Block("", b"", "it holds no private key"))


def is_encrypted(path: Path) -> bool | None:
    """Return whether the key at *path* needs a passphrase; None if there is no key that can be read."""
    try:
        return private_key(read_regular(path)).encrypted
    except OSError:
        return None


def is_der(content: bytes) -> bool:
    """True if a whole file looks like one DER structure: openssl reads such a file, Kubernetes does not."""
    return content[:1] == b"\x30" and announced_length(content) == len(content)


def announced_length(der: bytes) -> int | None:
    """Return the length in bytes, header included, that the first element of *der* announces, or None."""
    if len(der) < 2:
        return None
    first = der[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4 or len(der) < 2 + count:
        return None
    return 2 + count + int.from_bytes(der[2 : 2 + count], "big")


# ---------------------------------------------------------------- what Go reads


@dataclass(frozen=True)
class _Candidate:
    """A block of the file, from *begin* to *end*, with the fault that kept Go from reading it, if any."""

    begin: int
    end: int
    label: str
    der: bytes
    headers: bytes = b""
    fault: str | None = None

    def block(self, line: int) -> Block:
        encrypted = self.label == "ENCRYPTED PRIVATE KEY" or b"ENCRYPTED" in self.headers
        fault = self.fault or _unusable(self.label, self.der, encrypted=encrypted, headers=bool(self.headers))
        fault = fault and f"the block that begins on line {line} {fault}"
        return Block(self.label, self.der, fault, encrypted, line, recognized=not self.fault)


def _candidates(data: bytes) -> Iterator[_Candidate]:
    at = 0
    while decoded := _decode(data, at):
        yield from _overlooked(data, at, decoded.begin)
        yield decoded
        at = decoded.end
    yield from _overlooked(data, at, len(data))


def _decode(data: bytes, at: int) -> _Candidate | None:
    """Return the next block that Go reads from *at* on.

    The rules of pem.Decode since Go 1.24.8: the first END line counts, with the last BEGIN before it; both begin a
    line, and nothing but blanks follows on it; lines with a colon behind BEGIN are headers; blanks and line ends in the
    base64 do not count. A block that breaks a rule is skipped up to its END.
    """
    resume = at
    while resume >= at:
        at = resume
        end = data.find(_END, at)
        if end < 0:
            return None
        resume = end + len(_END)
        begin = data.rfind(_BEGIN, at, end)
        if begin < 0 or (begin > at and data[begin - 1] != 0x0A):
            continue
        label, at = _line(data, begin + len(_BEGIN))
        if not label.endswith(_DASHES):
            continue
        body = at
        while at < len(data) and b":" in (header := _line(data, at))[0]:
            at = header[1]
        if at >= len(data):
            return None
        trailer = label[: -len(_DASHES)] + _DASHES
        if (at > body and end < at) or not data.startswith(trailer, resume) or _line(data, resume + len(trailer))[0]:
            continue
        der = _decoded(data[at:end])
        if der is not None:
            name = label[: -len(_DASHES)].decode("ascii", "replace")
            return _Candidate(begin, _line(data, end + len(_END) - 1)[1], name, der, data[body:at])
    return None


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the line at *at* without its end and the blanks before it, and where the next line begins."""
    end = data.find(b"\n", at)
    if end < 0:
        return data[at:].rstrip(b" \t"), len(data)
    return data[at : end - 1 if end > at and data[end - 1] == 0x0D else end].rstrip(b" \t"), end + 1


def _decoded(text: bytes) -> bytes | None:
    """Decode base64 as Go does: with its padding, and with line ends and blanks anywhere in it."""
    text = text.translate(None, b"\r\n \t")
    if len(text) % 4 or not _BASE64.fullmatch(text):
        return None
    return binascii.a2b_base64(text)


# ---------------------------------------------------------------- what only people and openssl read


def _overlooked(data: bytes, start: int, end: int) -> Iterator[_Candidate]:
    """Yield what looks like a block between *start* and *end*, where Go finds none, with the reason."""
    marks = list(_BEGIN_MARK.finditer(data, start, end))
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        stop = following.start() if following else end
        trailer = _END_MARK.search(data, mark.end(), stop)
        body = data[mark.end() : trailer.start() if trailer else stop]
        before = data[data.rfind(b"\n", 0, mark.start()) + 1 : mark.start()]
        behind = _line(data, mark.end())[0]
        alone = not before.strip() and not behind.strip()
        candidate = _Candidate(mark.start(), stop, mark[1].decode("ascii"), _content(body), _headers(body), "")
        # Other words that hold a BEGIN mark are a comment.
        if (alone or _LONG_BASE64.search(body)) and _matters(candidate.label):
            yield replace(candidate, fault=_why_overlooked(data, before, behind, mark[1], trailer))


def _why_overlooked(data: bytes, before: bytes, behind: bytes, label: bytes, trailer: re.Match[bytes] | None) -> str:
    if before:
        return f"{_before(before)}: Kubernetes does not see it"
    if behind:
        reason = (
            "lines that end with a carriage return alone" if b"\r" in behind else "other text behind its BEGIN line"
        )
        return f"has {reason}: Kubernetes does not see it"
    if trailer is None:
        return "has no END line: the file is cut short"
    if trailer[1] != label:
        return f"has an END line of another type: {trailer[1].decode('ascii', 'replace')}"
    rest = _line(data, trailer.end())[0]
    if rest.startswith(_BEGIN):
        return "ends on the line where the next block begins: a line break is missing, and Kubernetes sees neither"
    if rest or data[trailer.start() - 1 : trailer.start()] != b"\n":
        return "has other text on its END line: Kubernetes does not see it"
    return "contains something that is not base64"


def _before(before: bytes) -> str:
    if b"-----END " in before:
        return "begins on the END line of the block before it: a line break is missing"
    if before == _BYTE_ORDER_MARK:
        return "begins with a byte order mark"
    return "has other text before its BEGIN line" if before.strip() else "is indented"


def _headers(body: bytes) -> bytes:
    """Return the RFC 1421 headers (Proc-Type: 4,ENCRYPTED) before the base64, which never holds a colon."""
    return body[: body.find(b"\n", body.rfind(b":"))] if b":" in body else b""


def _content(body: bytes) -> bytes:
    return _decoded(body[len(_headers(body)) :]) or b""


# ---------------------------------------------------------------- what is wrong inside


def _matters(label: str) -> bool:
    """True for what Kubernetes reads; parameters, revocation lists and PGP may be as they like."""
    return label in CERTIFICATE_LABELS or label in REQUEST_LABELS or label in _PUBLIC_KEY_LABELS or _is_key(label)


def _is_key(label: str) -> bool:
    return label == "PRIVATE KEY" or label.endswith(" PRIVATE KEY")


def _unusable(label: str, der: bytes, *, encrypted: bool, headers: bool) -> str | None:
    """Return why Kubernetes cannot use a block that Go reads."""
    if label in _FOR_OPENSSL_ALONE:
        return f"is labelled {label}: openssl reads it, Kubernetes does not"
    if label == "OPENSSH PRIVATE KEY":
        return "is a key of OpenSSH, which neither openssl nor Kubernetes reads"
    if label == "CERTIFICATE" and headers:
        return "has headers before its base64: Kubernetes skips it"
    if not _matters(label) or (encrypted and label != "ENCRYPTED PRIVATE KEY"):
        return None
    return _length_fault(der)


def _length_fault(der: bytes) -> str | None:
    if not der:
        return "is empty"
    announced = announced_length(der)
    if der[0] != 0x30 or announced is None:
        return "contains something other than its label says"
    if announced > len(der):
        return f"is cut short: {len(der)} of {announced} bytes are there"
    if announced < len(der):
        return f"has {len(der) - announced} extra bytes"
    return None
