"""Private keys: which public key belongs to one, and so which certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.errors import TooSlowError
from kcert.openssl import der
from kcert.openssl.der import DerError, Reader
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import check_works
from kcert.openssl.reader import EC, RSA, RSA_PSS, key_fields, read_public_key
from kcert.shell import Command, read

if TYPE_CHECKING:
    from kcert.openssl.pem import Block
    from kcert.openssl.x509 import PublicKey

_WHAT = "malformed private key"


def public_part(block: Block) -> PublicKey | None:
    """Return the public key that the key in *block* holds, in this process; None where it cannot be read.

    Its ``material`` is empty where the private key leaves it out: Ed25519, and EC keys without the optional publicKey
    (RFC 5915). An encrypted key says nothing.
    """
    if block.fault or block.encrypted:
        return None
    try:
        match block.label:
            case "PUBLIC KEY":
                return read_public_key(block.der)
            case "RSA PRIVATE KEY" | "RSA PUBLIC KEY":
                return _rsa(RSA, block.der, private=block.label == "RSA PRIVATE KEY")
            case "EC PRIVATE KEY":
                return _ec(block.der, b"")
            case "PRIVATE KEY":
                return _pkcs8(block.der)
    except DerError:
        pass
    return None


def _key(oid: str, parameters: bytes, material: bytes) -> PublicKey:
    return key_fields(oid, parameters, material)[0]


def _rsa(oid: str, content: bytes, *, private: bool) -> PublicKey:
    inside = Reader(Reader(content).read(der.SEQUENCE, _WHAT))
    if private:
        inside.integer(_WHAT)
    modulus, exponent = inside.raw(der.INTEGER, _WHAT), inside.raw(der.INTEGER, _WHAT)
    return _key(oid, b"\x05\x00", der.element(der.SEQUENCE, modulus + exponent))


def _ec(content: bytes, parameters: bytes) -> PublicKey:
    """RFC 5915, 3; *parameters* are the curve where PKCS#8 names it."""
    inside = Reader(Reader(content).read(der.SEQUENCE, _WHAT))
    inside.integer(_WHAT)
    inside.read(der.OCTET_STRING, _WHAT)
    named, point = inside.optional(0xA0, _WHAT), inside.optional(0xA1, _WHAT)
    material = Reader(point).bits(_WHAT)[0] if point is not None else b""
    return _key(EC, parameters or named or b"", material)


def _pkcs8(content: bytes) -> PublicKey:
    """RFC 5208 and RFC 5958."""
    inside = Reader(Reader(content).read(der.SEQUENCE, _WHAT))
    inside.integer(_WHAT)
    algorithm = Reader(inside.read(der.SEQUENCE, _WHAT))
    oid, parameters = algorithm.oid(_WHAT), algorithm.rest
    key = inside.read(der.OCTET_STRING, _WHAT)
    if oid == EC:
        return _ec(key, parameters)
    if oid in (RSA, RSA_PSS):
        return _rsa(oid, key, private=True)
    return _key(oid, parameters, b"")


def key_belongs(key_pem: bytes, public_key: PublicKey) -> bool | None:
    """Whether the private (or public) key in *key_pem* is the one of *public_key*, without starting a program.

    None where that cannot be told: an encrypted key, one without its public part, no key at all. Then
    ``public_material`` asks openssl.
    """
    keys = [block for block in pem_blocks(key_pem) if block.is_key or block.label.endswith("PUBLIC KEY")]
    own = public_part(keys[0]) if keys else None
    if own is None or not public_key.material:
        return None
    if own.algorithm != public_key.algorithm:
        return False
    if not own.material or (own.algorithm == "ec" and not own.material.startswith("04")):  # left out, or compressed
        return None
    return own.material == public_key.material


def public_material(openssl: str, key_pem: bytes, passphrase: tuple[str, str] | None = None) -> str | None:
    """The ``material`` of the key in *key_pem*, asked of openssl; None where it cannot be read.

    *passphrase*, an environment variable and its value, opens an encrypted one; without it openssl is kept from asking.
    Raises ProgramError where it is openssl that does not work.
    """
    secret = "pass:" if passphrase is None else f"env:{passphrase[0]}"
    argv = (openssl, "pkey", "-in", "/dev/stdin", "-pubout", "-outform", "DER", "-passin", secret)
    reading = read(Command(argv, passphrases=dict([passphrase] if passphrase else [])), key_pem)
    key = read_public_key(reading.stdout) if reading.succeeded else None
    if key is None or not key.material:
        check_works(openssl)
        return None
    return key.material


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
