"""The certificates that a running server shows, asked with ``openssl s_client``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kcert.errors import TooSlowError
from kcert.openssl.pem import pem_blocks
from kcert.shell import Command, read

PATIENCE = 5.0
"""Seconds: a server that is there answers within one; one that is not there never does."""

_ADDRESS = re.compile(r"(?:https://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):(?P<port>\d{1,5})/?")


@dataclass(frozen=True)
class Server:
    """A host (a name or an address, IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def server_in(where: str) -> Server | None:
    """The server that ``host:port`` or ``https://host:port`` names, or None if it is something else."""
    match = _ADDRESS.fullmatch(where)
    if not match or not 0 < int(match["port"]) < 65536:
        return None
    return Server(match["host"].strip("[]"), int(match["port"]))


def s_client(openssl: str, server: Server) -> Command:
    """The command that asks *server* for its certificates, as a person would type it."""
    argv = [openssl, "s_client", "-connect", str(server), "-showcerts"]
    if not re.fullmatch(r"[0-9.]+|.*:.*", server.host):
        argv += ["-servername", server.host]  # an address is no server name (RFC 6066, 3)
    return Command(tuple(argv), limit=PATIENCE)


def certificates_of(openssl: str, server: Server) -> tuple[list[str], str | None]:
    """The PEM of each certificate that *server* shows, leaf first; or none, and a clause about why."""
    try:
        reading = read(s_client(openssl, server))
    except TooSlowError:
        return [], f"did not answer within {PATIENCE:g} seconds"
    shown = [block.pem for block in pem_blocks(reading.stdout) if block.is_certificate and not block.fault]
    # Without -showcerts the leaf is printed once more at the end; with it, only there. Keep the order, once each.
    if shown:
        return list(dict.fromkeys(shown)), None
    return [], _reason(reading.stderr)


def _reason(said: str) -> str:
    """Return why no certificate came, from what openssl wrote."""
    if "wrong version number" in said or "packet length too long" in said or "http request" in said:
        return "speaks, but not TLS (plain HTTP, perhaps)"
    if "Connection refused" in said:
        return "refuses the connection: nothing listens there"
    if "Name or service not known" in said or "name resolution" in said or "nodename nor servname" in said:
        return "is a name that this machine cannot resolve"
    if "timed out" in said or "No route" in said or "unreachable" in said:
        return "cannot be reached from this machine"
    return "ended the connection without showing a certificate"
