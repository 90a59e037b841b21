"""The openssl program: which one, and whether it is one that kcert can work with."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from kcert.errors import ProgramError
from kcert.shell import Command, find, read

OLDEST = (1, 1, 1)
"""The first OpenSSL that writes private keys readable by their owner alone, and draws serials at random."""


def openssl(program: str = "openssl") -> str:
    """The name or path of the openssl to run, as it will be shown; raises ProgramError where it will not do."""
    if "/" in program:
        # Commands run in other folders than the one the user stands in.
        program = str(Path(program).absolute())
    if find(program) is None:
        raise ProgramError(
            f"{program} is not here, or cannot be run. Install it (Debian, Ubuntu: `apt install openssl`; "
            "macOS: `brew install openssl@3`), or name another with --openssl PATH."
        )
    said = version(program)
    if why := unusable(said):
        raise ProgramError(f"{program} is {said}: {why}. Name another with --openssl PATH.")
    return program


def version(program: str) -> str:
    """What the program says of itself, in one line: ``OpenSSL 3.0.19 27 Jan 2026 (Library: …)``."""
    reading = read(Command((program, "version"), limit=10))
    if not reading.succeeded:
        raise ProgramError(f"`{program} version` failed with status {reading.status}: this is no openssl that works.")
    said = reading.stdout.decode(errors="replace").strip().splitlines()
    return ascii(said[0])[1:-1] if said else "a program that says nothing of its version"


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

    Raises ProgramError where it does not: a library is missing, its settings are broken, memory has run out.
    """
    reading = read(Command((program, "x509", "-noout", "-text")), _SAMPLE.encode("ascii"))
    if reading.succeeded and b"CN" in reading.stdout:
        return
    said = reading.stderr.strip().splitlines()
    reason = f": {ascii(said[0])[1:-1]}" if said else ""
    raise ProgramError(
        f"`{program} x509` failed with status {reading.status} at a certificate that is sound{reason}. So nothing can "
        "be said of any other. Mend this openssl, or name another with --openssl PATH."
    )


def adds_identifiers(program: str) -> bool:
    """True for an OpenSSL that writes key identifiers into what it signs unless it is told ``none``.

    3.0 began with it, and with ``none``, which 1.1.1 takes for an identifier in hexadecimal and stops at (CHANGES.md,
    "Changes between 1.1.1 and 3.0.0").
    """
    return _release(version(program)) >= (3, 0, 0)


def _release(said: str) -> tuple[int, ...]:
    found = re.match(r"OpenSSL (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else ()


def unusable(said: str) -> str | None:
    """Why kcert cannot work with the openssl that describes itself like this; None if it can."""
    if said.startswith("LibreSSL"):
        return (
            "LibreSSL has its own ideas of serial numbers and extensions, and kcert is tested with OpenSSL alone "
            '(macOS: `brew install openssl@3`, then --openssl "$(brew --prefix openssl@3)/bin/openssl")'
        )
    release = _release(said)
    if not release:
        return "this is not OpenSSL"
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"kcert needs OpenSSL {oldest} or newer, for random serials and keys that others cannot read"
    return None
