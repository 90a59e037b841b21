"""What ``openssl x509 -text`` prints for people, taken apart. What it says is a claim: see ``kcert.openssl.proof``."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from kcert.openssl.asn1 import MismatchError
from kcert.openssl.x509 import PublicKey

RECORD = re.compile(r"^\d+: Certificate\n", re.MULTILINE)
TAIL = 16
"""So many bytes at the end of a signature tell one certificate of a batch from the others."""
_SIGNATURE = re.compile(
    r"\n    Signature Value: *\n((?: +[0-9a-f:]+\n)+)|\n    Signature Algorithm: [^\n]*\n((?: {9,}[0-9a-f:]+\n)+)"
)

HEAD = re.compile(
    r"Version: (?P<version>\d+)[^\n]*\n"
    r"\s+Serial Number:\s*"
    r"(?:-?\d+ \((?P<small_minus>-?)0x(?P<small>[0-9a-f]+)\)|(?P<minus> ?\(Negative\)\s*)?(?P<serial>[0-9a-f:]+))\n"
    r"\s+Signature Algorithm: (?P<signature>[^\n]+)\n"
    r"(?:(?!\s+Issuer:)[^\n]*\n)*?"  # parameters of RSA-PSS
    r"\s+Issuer:(?P<issuer>[^\n]*)\n"
    r"\s+Validity\n"
    r"\s+Not Before: (?P<not_before>[^\n]+)\n"
    r"\s+Not After : (?P<not_after>[^\n]+)\n"
    r"\s+Subject:(?P<subject>[^\n]*)\n"
    r"(?P<key>\s+Subject Public Key Info:\n)"
)
REQUEST_HEAD = re.compile(r"\s+Subject:(?P<subject>[^\n]*)\n(?P<key>\s+Subject Public Key Info:\n)")
_KEY = re.compile(
    r"\s+Public Key Algorithm: (?P<algorithm>[^\n]+)\n"
    r"(?:\s+(?:[A-Z0-9-]+ )?Public-Key:(?: \((?P<bits>\d+) bit\))?\n)?"
    r"(?:\s+(?:Modulus|pub|Public-Key|Public key):\s*\n(?P<material>(?:\s+[0-9a-f:]+\n)+))?"
)
_CURVE = re.compile(r"\s+ASN1 OID: (?P<oid>\S+)\n(?:\s+NIST CURVE: (?P<nist>\S+)\n)?")
_ALGORITHMS = {
    "rsaEncryption": "rsa",
    "id-ecPublicKey": "ec",
    "rsassaPss": "rsa-pss",
    "ED25519": "ed25519",
    "ED448": "ed448",
    "dsaEncryption": "dsa",
}
_FIXED_BITS = {"ed25519": 253, "ed448": 456}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(r"(\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{1,4}) GMT")


def tail(text: str) -> str:
    """The last bytes of the signature, as hex, out of a certificate's text."""
    found = list(_SIGNATURE.finditer(text[-4096:]))
    return (found[-1][1] or found[-1][2]).translate(NO_SEPARATORS)[-2 * TAIL :] if found else ""


NO_SEPARATORS = {ord(character): None for character in ": \n"}


def time(text: str) -> datetime:
    """A date as openssl prints it; DoubtError where it is none, or none that Python can hold."""
    found = _TIME.fullmatch(text)
    if not found or found[1] not in _MONTHS:
        raise MismatchError
    day, hour, minute, second, year = (int(number) for number in found.groups()[1:])
    try:
        return datetime(year, _MONTHS.index(found[1]) + 1, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        raise MismatchError from None


def public_key(text: str, start: int) -> PublicKey:
    """The public key out of the text from *start*; everything before the extensions is openssl's own words."""
    found = _KEY.match(text, start)
    if not found:
        return PublicKey("unknown", 0, None, "")
    algorithm = _ALGORITHMS.get(found["algorithm"], found["algorithm"].lower())
    material = (found["material"] or "").translate(NO_SEPARATORS)
    if algorithm.startswith("rsa"):
        material = material.removeprefix("00")
    bits = int(found["bits"]) if found["bits"] else _FIXED_BITS.get(algorithm, 0)
    curve = None
    if algorithm == "ec" and (named := _CURVE.match(text, found.end())):
        curve = named["nist"] or named["oid"]
    return PublicKey(algorithm, bits, curve, material)


def serial(head: re.Match[str]) -> str:
    """The serial number as ``openssl x509 -serial`` gives it, in lower case: whole bytes, so 1 is ``01``."""
    digits = head["small"] or head["serial"].replace(":", "")
    sign = "-" if head["minus"] or head["small_minus"] else ""
    return sign + (digits if len(digits) % 2 == 0 else "0" + digits)
