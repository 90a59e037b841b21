"""DER, the bytes in which certificates, requests and keys are written: elements and their simple values.

As strict as Go's parser (golang.org/x/crypto/cryptobyte), with which Kubernetes reads them: lengths and numbers in
their shortest form, no indefinite lengths. What is malformed raises DerError with the words that Go has for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
SEQUENCE, SET = 0x30, 0x31


class DerError(Exception):
    """Bytes that are not what belongs in their place.

    The message is Go's, without its prefix ``x509: ``; ``reason`` is a clause for people where that says more.
    """

    def __init__(self, error: str, reason: str | None = None) -> None:
        super().__init__(error)
        self.reason = reason


class Reader:
    """The elements of *der*, one after the other. Each method reads the next one; *what* is the error if it cannot."""

    __slots__ = ("at", "der")

    def __init__(self, der: bytes) -> None:
        self.der, self.at = der, 0

    @property
    def more(self) -> bool:
        """True while an element is left."""
        return self.at < len(self.der)

    @property
    def tag(self) -> int | None:
        """The tag of the next element; None at the end."""
        return self.der[self.at] if self.at < len(self.der) else None

    def any(self, what: str) -> tuple[int, bytes]:
        """Return the tag and the content of the next element."""
        der, at = self.der, self.at
        start = at + 2
        if start > len(der):
            raise DerError(what)
        tag, length = der[at], der[at + 1]
        if length >= 0x80:
            size = length & 0x7F
            start += size
            length = int.from_bytes(der[at + 2 : start], "big")
            if not 1 <= size <= 4 or start > len(der) or length < max(0x80, 1 << 8 * (size - 1)):
                raise DerError(what)
        end = start + length
        if end > len(der) or tag & 0x1F == 0x1F:
            raise DerError(what)
        self.at = end
        return tag, der[start:end]

    def read(self, tag: int, what: str) -> bytes:
        """Return the content of the next element, which has to have *tag*."""
        actual, content = self.any(what)
        if actual != tag:
            raise DerError(what)
        return content

    def raw(self, tag: int, what: str) -> bytes:
        """Return the next element, its header included."""
        at = self.at
        self.read(tag, what)
        return self.der[at : self.at]

    def sequence(self, what: str) -> Reader:
        """Return the elements of the next element, a SEQUENCE."""
        return Reader(self.read(SEQUENCE, what))

    def optional(self, tag: int, what: str) -> bytes | None:
        """Return the content of the next element if it has *tag*; else None, and nothing is read."""
        return self.any(what)[1] if self.tag == tag else None

    def all(self, what: str) -> Iterator[tuple[int, bytes]]:
        """Yield the tag and the content of every element that is left."""
        while self.more:
            yield self.any(what)

    def each(self, tag: int, what: str) -> Iterator[Reader]:
        """Yield the elements of every element that is left; each has to have *tag*."""
        while self.more:
            yield Reader(self.read(tag, what))

    def integer(self, what: str, *, int64: bool = False) -> int:
        """Read an INTEGER."""
        return integer(self.read(INTEGER, what), what, int64=int64)

    def boolean(self, what: str) -> bool:
        """Read a BOOLEAN."""
        content = self.read(BOOLEAN, what)
        if content not in (b"\x00", b"\xff"):
            raise DerError(what)
        return content == b"\xff"

    def oid(self, what: str) -> str:
        """Read an OBJECT IDENTIFIER, in dots."""
        dotted = oid(self.read(OID, what))
        if dotted is None:
            raise DerError(what)
        return dotted

    def bits(self, what: str) -> tuple[bytes, int]:
        """Read a BIT STRING: its bytes, and how many bits at their end do not count."""
        content = self.read(BIT_STRING, what)
        unused = content[0] if content else 8
        if unused > 7 or (unused and (len(content) == 1 or content[-1] & (1 << unused) - 1)):
            raise DerError(what)
        return content[1:], unused

    def time(self) -> datetime:
        """Read a UTCTime or a GeneralizedTime."""
        match self.tag:
            case 0x17:
                return _time(self.any("malformed UTCTime")[1], _UTC_TIME, "malformed UTCTime")
            case 0x18:
                return _time(self.any("malformed GeneralizedTime")[1], _GENERALIZED_TIME, "malformed GeneralizedTime")
        raise DerError("unsupported time format")


def element(tag: int, content: bytes) -> bytes:
    """Return *content* with its header."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def integer(content: bytes, what: str, *, int64: bool = False) -> int:
    """Return the value of an INTEGER's content; with *int64* it has to fit into 64 bits, as Go reads most of them."""
    if not content or (len(content) > 1 and (content[0], content[1] & 0x80) in ((0x00, 0x00), (0xFF, 0x80))):
        raise DerError(what)
    if int64 and len(content) > 8:
        raise DerError(what)
    return int.from_bytes(content, "big", signed=True)


@lru_cache(maxsize=1024)
def oid(content: bytes) -> str | None:
    """Return an OBJECT IDENTIFIER's content in dots (X.690, 8.19); None if it is malformed."""
    numbers, value, size = [], 0, 0
    for byte in content:
        if size == 0 and byte == 0x80:
            return None
        value, size = value << 7 | byte & 0x7F, size + 1
        if value >= 1 << 31 or size > 5:
            return None
        if not byte & 0x80:
            numbers.append(value)
            value = size = 0
    if not numbers or size:
        return None
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


_ZONE = rb"(?:Z|(?P<sign>[+-])(?!0000)(?P<hours>[01]\d|2[0-4])(?P<minutes>[0-5]\d))"
_UTC_TIME = re.compile(rb"(?P<year>\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?" + _ZONE)
_GENERALIZED_TIME = re.compile(rb"(?P<year>\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)" + _ZONE)


def _time(content: bytes, form: re.Pattern[bytes], what: str) -> datetime:
    match = form.fullmatch(content)
    if not match:
        raise DerError(what)
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups()[:6])
    if form is _UTC_TIME:
        year += 1900 if year >= 50 else 2000  # RFC 5280, 4.1.2.5.1
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        if match["sign"]:
            offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
            moment -= offset if match["sign"] == b"+" else -offset
    except (ValueError, OverflowError):
        raise DerError(what) from None
    return moment


_PRINTABLE = re.compile(rb"[A-Za-z0-9 '()+,\-./:=?*&]*")
_NUMERIC = re.compile(rb"[0-9 ]*")
_NOT_UCS2 = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def text(tag: int, content: bytes) -> tuple[str | None, str | None]:
    """Return the text of a string in a name, and Go's error if it is malformed.

    The text is None if the element is not of a string type that Go knows: then Kubernetes ignores it.
    """
    value = content.decode("utf-8", "backslashreplace")
    match tag:
        case 0x0C:
            return value, None if value.encode() == content else "invalid UTF-8 string"
        case 0x16:
            return value, None if content.isascii() else "invalid IA5String"
        case 0x13:
            return value, None if _PRINTABLE.fullmatch(content) else "invalid PrintableString"
        case 0x12:
            return value, None if _NUMERIC.fullmatch(content) else "invalid NumericString"
        case 0x14:  # T61String, as Go, openssl and BoringSSL take it
            return content.decode("latin-1"), None
        case 0x1E:
            value = content.removesuffix(b"\0\0").decode("utf-16-be", "replace")
            ucs2 = "".join(chr(content[at] << 8 | content[at + 1]) for at in range(0, len(content) - 1, 2))
            return value, "invalid BMPString" if len(content) % 2 or _NOT_UCS2.search(ucs2) else None
    return None, None


def scalar_fault(element: bytes) -> str | None:
    """Return Go's error for a malformed value in a name that is not a string, or None."""
    value = Reader(element)
    try:
        match value.tag:
            case 0x01:
                value.boolean("invalid ASN.1 BOOLEAN")
            case 0x02:
                value.integer("invalid ASN.1 integer", int64=True)
            case 0x03:
                value.bits("invalid ASN.1 BIT STRING")
            case 0x06:
                value.oid("invalid ASN.1 OBJECT IDENTIFIER")
            case 0x17 | 0x18:
                value.time()
    except DerError as error:
        return str(error)
    return None
