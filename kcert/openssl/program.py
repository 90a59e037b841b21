"""The openssl program: which one, and whether it is one that kcert can work with."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from kcert.errors import ProgramError, TooSlowError
from kcert.openssl import der
from kcert.openssl.der import DerError, Reader
from kcert.openssl.pem import Block, pem_blocks
from kcert.openssl.reader import EC, RSA, RSA_PSS, algorithm_of, key_fields, read_public_key
from kcert.openssl.x509 import PublicKey
from kcert.quoting import format_command
from kcert.shell import Command, find, read

OLDEST = (1, 1, 1)
"""The first OpenSSL that writes private keys readable by their owner alone, and draws serials at random."""


def openssl(program: str = "openssl") -> str:
    """The name or path of the openssl to run, as it will be shown; raises ProgramError where it will not do."""
    if "/" in program:
        # Commands run in other folders than the user's current one.
        program = str(Path(program).absolute())
    if find(program) is None:
        raise ProgramError(
            f"{program} is not installed, or cannot be run. Install it (Debian, Ubuntu: `apt install openssl`; "
            "macOS: `brew install openssl@3`), or specify another with --openssl PATH."
        )
    version_text = version(program)
    if why := unusable(version_text):
        raise ProgramError(f"{program} is {version_text}: {why}. Specify another with --openssl PATH.")
    return program


def version(program: str) -> str:
    """Return what the program says of itself, in one line: ``OpenSSL 3.0.19 27 Jan 2026 (Library: …)``."""
    reading = read(Command((program, "version"), limit=10))
    if not reading.succeeded:
        shown = format_command((program, "version"))
        raise ProgramError(f"`{shown}` failed with status {reading.status}: this is not a working openssl.")
    lines = reading.stdout.decode(errors="replace").strip().splitlines()
    return ascii(lines[0])[1:-1] if lines else "a program that does not print its version"


_SAMPLE = """\
-----BEGIN CERTIFICATE-----
MIIBeDCCAR2gAwIBAgIUDXQaHlmL38+M+F/dBdt7jpWbO1MwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGc2FtcGxlMB4XDTI2MTEyNTE3MDExN1oXDTI2MTEyNjE3MDEx
N1owETEPMA0GA1UEAwwGc2FtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
lMg68elFfh4N/ano+2MqyAtpGzZQnI5afn0Sg6QZH94z0WqGOlJa5KyLKi2LUQd8
r9mdY/Eyav6Ig2ijBDvfYaNTMFEwHQYDVR0OBBYEFMMd7rUNQwBXZM2Bqr1esUji
oO1RMB8GA1UdIwQYMBaAFMMd7rUNQwBXZM2Bqr1esUjioO1RMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAIx2MVxJDi0A3FqIQ8w4hX+czkcT8PCa
6WxmvpxKFTHEAiEAqiItH+8rIVZ4+6PTHHt11/OAyVFqttYnYdvLa3gN3Mc=
-----END CERTIFICATE-----
"""
"""A sound certificate, P-256 with SHA-256, which has to be readable for whatever is to work with a cluster's."""


@cache
def check_works(program: str) -> None:
    """Make sure that *program* reads a sound certificate, before one that it refused is called damaged.

    Raises ProgramError if it does not: a library is missing, its settings are broken, memory has run out.
    """
    reading = read(Command((program, "x509", "-noout", "-text")), _SAMPLE.encode("ascii"))
    if reading.succeeded and b"CN" in reading.stdout:
        return
    lines = reading.stderr.strip().splitlines()
    reason = f": {ascii(lines[0])[1:-1]}" if lines else ""
    raise ProgramError(
        f"`{format_command((program, 'x509'))}` failed with status {reading.status} for a valid certificate{reason}, "
        "so kcert cannot check any other with it. Repair this openssl, or specify another with --openssl PATH."
    )


def adds_identifiers(program: str) -> bool:
    """True for an OpenSSL that writes key identifiers into what it signs unless it is given ``none``.

    3.0 began with it, and with ``none``, which 1.1.1 takes for an identifier in hexadecimal and stops at (CHANGES.md,
    "Changes between 1.1.1 and 3.0.0").
    """
    return _release(version(program)) >= (3, 0, 0)


def _release(version_text: str) -> tuple[int, ...]:
    match = re.match(r"OpenSSL (\d+)\.(\d+)\.(\d+)", version_text)
    return tuple(map(int, match.groups())) if match else ()


def unusable(version_text: str) -> str | None:
    """Return why kcert cannot work with the openssl that describes itself like this; None if it can."""
    if version_text.startswith("LibreSSL"):
        return (
            "LibreSSL treats serial numbers and extensions differently, and kcert is tested only with OpenSSL "
            '(macOS: `brew install openssl@3`, then --openssl "$(brew --prefix openssl@3)/bin/openssl")'
        )
    release = _release(version_text)
    if not release:
        return "this is not OpenSSL"
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"kcert needs OpenSSL {oldest} or newer, for random serial numbers and keys with mode 0600"
    return None


_WHAT = "malformed private key"


def public_part(block: Block) -> PublicKey | None:
    """Return the public key that the key in *block* holds, in this process; None if it cannot be read.

    Its ``material`` is empty if the private key omits it: Ed25519, and EC keys without the optional publicKey
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


def _rsa(oid: str, content: bytes, *, private: bool) -> PublicKey:
    inside = Reader(content).sequence(_WHAT)
    if private:
        inside.integer(_WHAT)
    modulus, exponent = inside.raw(der.INTEGER, _WHAT), inside.raw(der.INTEGER, _WHAT)
    return key_fields(oid, b"\x05\x00", der.element(der.SEQUENCE, modulus + exponent))[0]


def _ec(content: bytes, parameters: bytes) -> PublicKey:
    """RFC 5915, 3; *parameters* are the curve where PKCS#8 names it."""
    inside = Reader(content).sequence(_WHAT)
    inside.integer(_WHAT)
    inside.read(der.OCTET_STRING, _WHAT)
    named, point = inside.optional(0xA0, _WHAT), inside.optional(0xA1, _WHAT)
    material = Reader(point).bits(_WHAT)[0] if point is not None else b""
    return key_fields(EC, parameters or named or b"", material)[0]


def _pkcs8(content: bytes) -> PublicKey:
    """RFC 5208 and RFC 5958."""
    inside = Reader(content).sequence(_WHAT)
    inside.integer(_WHAT)
    oid, parameters = algorithm_of(inside.read(der.SEQUENCE, _WHAT))
    key = inside.read(der.OCTET_STRING, _WHAT)
    if oid == EC:
        return _ec(key, parameters)
    if oid in (RSA, RSA_PSS):
        return _rsa(oid, key, private=True)
    return key_fields(oid, parameters, b"")[0]


def key_belongs(key_pem: bytes, public_key: PublicKey) -> bool | None:
    """Return whether the private (or public) key in *key_pem* is the one of *public_key*, without starting a program.

    None if that cannot be determined: an encrypted key, one without its public part, no key at all. Then
    ``public_material`` asks openssl.
    """
    own = _own_part(key_pem)
    if own is None or not public_key.material:
        return None
    if own.algorithm != public_key.algorithm:
        return False
    if not own.material or (own.algorithm == "ec" and not own.material.startswith("04")):  # left out, or compressed
        return None
    return own.material == public_key.material


@lru_cache(maxsize=8)  # of a bundle's CAs each is compared with the one key beside it
def _own_part(key_pem: bytes) -> PublicKey | None:
    keys = (block for block in pem_blocks(key_pem) if block.is_key or block.is_public_key)
    return next(map(public_part, keys), None)


def public_material(openssl: str, key_pem: bytes, passphrase: tuple[str, str] | None = None) -> str | None:
    """The ``material`` of the key in *key_pem*, asked of openssl; None if it cannot be read.

    *passphrase*, an environment variable and its value, opens an encrypted one; without it openssl is kept from asking.
    Raises ProgramError if it is openssl that does not work.
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
    """``key_belongs``, and where that gives no answer, openssl's answer; None if openssl cannot read the key either."""
    cheap = key_belongs(key_pem, public_key)
    if cheap is not None:
        return cheap
    try:
        material = public_material(openssl, key_pem)
    except TooSlowError:
        return None
    return None if material is None or not public_key.material else material == public_key.material
