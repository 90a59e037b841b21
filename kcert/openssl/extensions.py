"""The extensions of a certificate or a request (RFC 5280, 4.2), each as strictly as Go reads it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kcert.certificates import AltName, is_address
from kcert.openssl import der
from kcert.openssl.der import DerError, Reader
from kcert.openssl.x509 import Refusal

KEY_USAGES = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip
PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}
"""Object identifiers of extended key usages, with the names that openssl's configuration has for them."""

SUBJECT_ALT_NAME = "2.5.29.17"
EMAIL, DNS, URI, IP = 0x81, 0x82, 0x86, 0x87
_TYPES = {EMAIL: "email", DNS: "DNS", URI: "URI", IP: "IP"}
_OTHER_TYPES = {0xA0: "othername", 0xA3: "X400Name", 0xA4: "DirName", 0xA5: "EdiPartyName", 0x88: "RID"}


@dataclass(frozen=True)
class Extension:
    """One extension: the fields of X509 that it sets, and why Go refuses it."""

    oid: str
    critical: bool
    fields: dict[str, Any]
    refusal: Refusal | None


def read_extensions(sequence: Reader) -> list[Extension]:
    """Read the elements of a list of extensions."""
    return [_extension(inside.der) for inside in sequence.each(der.SEQUENCE, "malformed extension")]


@lru_cache(maxsize=1024)
def _extension(content: bytes) -> Extension:
    """Read one extension; those of a CA's certificates are the same again and again."""
    inside = Reader(content)
    oid = inside.oid("malformed extension OID field")
    critical = inside.tag == der.BOOLEAN and inside.boolean("malformed extension critical field")
    value = inside.read(der.OCTET_STRING, "malformed extension value field")
    fields: dict[str, Any] = {}
    refusal, is_handled = None, False
    try:
        if reader := _READERS.get(oid):
            tags = reader(fields, value)
            known = [tag in _TYPES for tag in tags or ()]
            is_handled = any(known) if oid == SUBJECT_ALT_NAME else all(known)
    except DerError as error:
        refusal = Refusal("parse", f"x509: {error}", error.reason or f"its extension {oid} is malformed: {error}")
    if critical and not refusal and (what := _NEVER_CRITICAL.get(oid)):
        reason = f"its {what} is marked critical, and must not be"
        refusal = Refusal("parse", f"x509: {what} incorrectly marked critical", reason)
    elif critical and not refusal and not is_handled:
        reason = f"Go does not handle its critical extension {oid}"
        refusal = Refusal("verify", "x509: unhandled critical extension", reason)
    return Extension(oid, critical, fields, refusal)


_NEVER_CRITICAL = {
    "2.5.29.14": "subject key identifier",
    "2.5.29.35": "authority key identifier",
    "1.3.6.1.5.5.7.1.1": "authority info access",
}


def _basic_constraints(fields: dict[str, Any], value: bytes) -> None:
    what = "invalid basic constraints"
    inside = Reader(value).sequence(what)
    ca = inside.tag == der.BOOLEAN and inside.boolean(what)
    length = inside.integer(what) if inside.tag == der.INTEGER else None
    if length is not None and not 0 <= length < 1 << 63:
        raise DerError(what)
    fields["ca"], fields["path_length"] = ca, length


def _key_usage(fields: dict[str, Any], value: bytes) -> None:
    content, _ = Reader(value).bits("invalid key usage")
    bits = int.from_bytes(content[:2].ljust(2, b"\0"), "big")
    fields["key_usage"] = tuple(name for index, name in enumerate(KEY_USAGES) if bits & 0x8000 >> index)


def _extended_key_usage(fields: dict[str, Any], value: bytes) -> None:
    what = "invalid extended key usages"
    inside, purposes = Reader(value).sequence(what), []
    while inside.more:
        oid = inside.oid(what)
        purposes.append(PURPOSES.get(oid, oid))
    fields["extended_key_usage"] = tuple(purposes)


def _alt_names(fields: dict[str, Any], value: bytes) -> list[int]:
    what = "invalid subject alternative name"
    elements = list(Reader(value).sequence(f"{what}s").all(what))
    fields["alt_names"] = tuple(_alt_name(tag, content) for tag, content in elements)
    for tag, content in elements:
        if fault := _alt_name_fault(tag, content):
            raise DerError(fault, f"its SAN {str(_alt_name(tag, content))!a} is malformed")
    return [tag for tag, _ in elements]


@lru_cache(maxsize=4096)
def _alt_name(tag: int, content: bytes) -> AltName:
    """The same object for the same name: many certificates have ``localhost``."""
    if tag == IP:
        address = str(ipaddress.ip_address(content)) if len(content) in (4, 16) else f"<invalid: {content.hex()}>"
        return AltName("IP", address)
    if tag in _TYPES:
        return AltName(_TYPES[tag], content.decode("utf-8", "backslashreplace"))
    kind = _OTHER_TYPES.get(tag, f"[{tag & 0x1F}]")
    return AltName(kind, (der.oid(content) if kind == "RID" else None) or content.hex())


def _alt_name_fault(tag: int, content: bytes) -> str | None:
    """Return Go's error for a malformed SAN, or None."""
    if tag == IP:
        if len(content) not in (4, 16):
            return f"cannot parse IP address of length {len(content)}"
        if len(content) == 16 and content.startswith(bytes(10) + b"\xff\xff"):
            return "SAN iPAddress contains IPv4-mapped IPv6 address"
    elif tag in _TYPES and not content.isascii():
        kind = {EMAIL: "rfc822Name", DNS: "dNSName", URI: "uniformResourceIdentifier"}[tag]
        return f"SAN {kind} is malformed"
    elif tag == URI and (fault := _uri_fault(content.decode("ascii"))):
        return f'cannot parse URI "{content.decode("ascii")}": {fault}'
    return None


_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"""(?:\[[^\]]*\]|[A-Za-z0-9\-._~!$&'()*+,;=\[\]<>"]*?)(?::[0-9]*)?""")


def _uri_fault(uri: str) -> str | None:
    """Return why Go's net/url rejects *uri*, for the URIs of certificates; None if it does not."""
    if re.search(r"[\x00-\x1f\x7f]", uri):
        return "net/url: invalid control character in URL"
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)", uri)
    if uri.startswith(":"):
        return "missing protocol scheme"
    rest = uri[scheme.end() + 1 :] if scheme else uri
    rest, _, fragment = rest.partition("#")
    rest = rest.partition("?")[0]
    if not scheme and ":" in rest.partition("/")[0]:
        return "first path segment in URL cannot contain colon"
    if _ESCAPE.search(fragment) or ((rest.startswith("/") or not scheme) and _ESCAPE.search(rest)):
        return "invalid URL escape"
    if not rest.startswith("//") or rest.startswith("///"):
        return None
    user, _, host = rest[2:].partition("/")[0].rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", user) or not _HOST.fullmatch(host):
        return "invalid character in host name"
    return None if _is_domain(host) else "invalid domain"


def _is_domain(domain: str) -> bool:
    """Return whether Go takes *domain* in a URI or in a constraint."""
    return not domain or re.fullmatch(r"[!-\-/-~]+(\.[!-\-/-~]+)*", domain) is not None


def _subject_key_id(fields: dict[str, Any], value: bytes) -> None:
    fields["subject_key_id"] = Reader(value).read(der.OCTET_STRING, "invalid subject key identifier").hex()


def _authority_key_id(fields: dict[str, Any], value: bytes) -> None:
    what = "invalid authority key identifier"
    identifier = Reader(value).sequence(what).optional(0x80, what)
    fields["authority_key_id"] = identifier.hex() if identifier is not None else None


def _name_constraints(_fields: dict[str, Any], value: bytes) -> list[int]:
    what = "invalid NameConstraints extension"
    outer = Reader(value)
    inside = outer.sequence(what)
    subtrees = [inside.optional(0xA0, what) or b"", inside.optional(0xA1, what) or b""]
    if outer.more or inside.more:
        raise DerError(what)
    if not any(subtrees):
        raise DerError("empty name constraints extension")
    tags = []
    for subtree in (each for part in subtrees for each in Reader(part).each(der.SEQUENCE, what)):
        tag, base = subtree.any(what)
        if fault := _constraint_fault(tag, base):
            raise DerError(fault)
        tags.append(tag)
    return tags


def _constraint_fault(tag: int, base: bytes) -> str | None:
    if tag == IP:
        half = len(base) // 2
        if len(base) not in (8, 32):
            return f"IP constraint contained value of length {len(base)}"
        if "01" in f"{int.from_bytes(base[half:], 'big'):0{half * 8}b}":
            return f"IP constraint contained invalid mask {base[half:].hex()}"
        mapped = half == 16 and base.startswith(bytes(10) + b"\xff\xff")
        return "IP constraint contained IPv4-mapped IPv6 address" if mapped else None
    if tag not in _TYPES:
        return None
    if not base.isascii():
        return "invalid constraint value"
    domain = base.decode("ascii")
    if tag == EMAIL and "@" in domain:
        is_mailbox = re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[!-~]+", domain)
        return None if is_mailbox else "failed to parse rfc822Name"
    if tag == URI and is_address(domain):
        return f'failed to parse URI constraint "{domain}": cannot be IP address'
    without_dot = domain if domain == "." else domain.removeprefix(".")
    return None if _is_domain(without_dot) else f'failed to parse constraint "{domain}"'


# ---------------------------------------------------------------- no field of X509, but Go refuses malformed ones


def _distribution_points(_fields: dict[str, Any], value: bytes) -> None:
    what = "invalid CRL distribution point"
    for point in Reader(value).sequence(f"{what}s").each(der.SEQUENCE, what):
        name = point.optional(0xA0, what)
        if name is not None:
            full = Reader(Reader(name).read(0xA0, what))
            while full.tag == URI:
                full.any(what)


def _access(_fields: dict[str, Any], value: bytes) -> None:
    what = "invalid authority info access"
    for description in Reader(value).sequence(what).each(der.SEQUENCE, what):
        description.oid(what)
        description.optional(URI, what)


def _policies(_fields: dict[str, Any], value: bytes) -> None:
    what, seen = "invalid certificate policies", set()
    for policy in Reader(value).sequence(what).each(der.SEQUENCE, what):
        oid = policy.read(der.OID, what)
        # Its numbers may be of any size, unlike elsewhere: none begins with 0x80, and the last one ends.
        if oid in seen or not re.fullmatch(rb"(([\x81-\xff][\x80-\xff]*)?[\x00-\x7f])+", oid):
            raise DerError(what)
        seen.add(oid)


def _policy_mappings(_fields: dict[str, Any], value: bytes) -> None:
    what = "invalid policy mappings extension"
    for pair in Reader(value).sequence(what).each(der.SEQUENCE, what):
        pair.read(der.OID, what)
        pair.read(der.OID, what)


def _policy_constraints(_fields: dict[str, Any], value: bytes) -> None:
    what = "invalid policy constraints extension"
    inside = Reader(value).sequence(what)
    for tag in (0x80, 0x81):
        if inside.tag == tag:
            der.integer(inside.any(what)[1], what, int64=True)


def _inhibit_any_policy(_fields: dict[str, Any], value: bytes) -> None:
    Reader(value).integer("invalid inhibit any policy extension", int64=True)


_READERS: dict[str, Callable[[dict[str, Any], bytes], list[int] | None]] = {
    "2.5.29.14": _subject_key_id,
    "2.5.29.15": _key_usage,
    "2.5.29.17": _alt_names,
    "2.5.29.19": _basic_constraints,
    "2.5.29.30": _name_constraints,
    "2.5.29.31": _distribution_points,
    "2.5.29.32": _policies,
    "2.5.29.33": _policy_mappings,
    "2.5.29.35": _authority_key_id,
    "2.5.29.36": _policy_constraints,
    "2.5.29.37": _extended_key_usage,
    "2.5.29.54": _inhibit_any_policy,
    "1.3.6.1.5.5.7.1.1": _access,
}
