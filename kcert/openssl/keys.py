"""Which private key belongs to which certificate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kcert.errors import TooSlowError
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import check_works
from kcert.openssl.text import NO_SEPARATORS
from kcert.shell import Command, read

if TYPE_CHECKING:
    from kcert.openssl.x509 import PublicKey

_RSA = bytes.fromhex("06092a864886f70d0101")  # rsaEncryption and its relatives, in PKCS#8


def key_belongs(key_pem: bytes, public_key: PublicKey) -> bool | None:
    """Whether the private (or public) key in *key_pem* is the one of *public_key*.

    No process is started: an RSA key holds its modulus, and most EC keys hold their point, so it is enough to
    look for those bytes. None where that cannot tell: an encrypted key, one without its public part, no key
    at all. Then ``public_material`` asks openssl.
    """
    keys = [block for block in pem_blocks(key_pem) if block.is_key or block.label == "PUBLIC KEY"]
    if not keys or keys[0].fault or keys[0].encrypted or not public_key.material:
        return None
    key = keys[0]
    if bytes.fromhex(public_key.material) in key.der:
        return True
    if key.label == "RSA PRIVATE KEY" or _RSA in key.der[:64] or key.label == "PUBLIC KEY":
        return False
    # An EC key may leave its point out (RFC 5915: publicKey is optional), and may hold it compressed.
    return False if b"\x00\x04" in key.der and _has_whole_point(key.der) else None


def _has_whole_point(der: bytes) -> bool:
    """True where a BIT STRING with an uncompressed point ends the key, as openssl, cfssl and Go write it."""
    return any(
        der[-size - 3 : -size] in (bytes((0x03, size + 1, 0x00)), bytes((0x81, size + 1, 0x00))) and der[-size] == 0x04
        for size in (65, 97, 133)  # P-256, P-384, P-521
        if len(der) > size + 3
    )


def public_material(openssl: str, key_pem: bytes, passphrase: tuple[str, str] | None = None) -> str | None:
    """The ``material`` of the key in *key_pem*, asked of openssl; None where it cannot be read.

    *passphrase*, an environment variable and its value, opens an encrypted one; without it openssl is kept from asking.
    Raises ProgramError where it is openssl that does not work.
    """
    secret = "pass:" if passphrase is None else f"env:{passphrase[0]}"
    key = ("pkey", "-in", "/dev/stdin", "-noout", "-text_pub", "-passin", secret)
    reading = read(Command((openssl, *key), passphrases=dict([passphrase] if passphrase else [])), key_pem)
    found = re.search(r"(?:Modulus|pub):\s*\n((?:\s+[0-9a-f:]+\n)+)", reading.stdout.decode("latin-1"))
    if not reading.succeeded or not found:
        check_works(openssl)
        return None
    material = found[1].translate(NO_SEPARATORS)
    return material.removeprefix("00") if "Modulus" in found[0] else material


def same_key(openssl: str, key_pem: bytes, public_key: PublicKey) -> bool | None:
    """``key_belongs``, and where that cannot tell, openssl's answer; None where openssl cannot read the key either."""
    cheap = key_belongs(key_pem, public_key)
    if cheap is not None:
        return cheap
    try:
        material = public_material(openssl, key_pem)
    except TooSlowError:
        return None
    return None if material is None or not public_key.material else material == public_key.material
