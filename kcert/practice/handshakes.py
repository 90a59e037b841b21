"""TLS handshakes, for real: Python's ssl on both sides, in this process, without a port or a network."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from kcert.openssl.pem import pem_blocks

ROUNDS = 10
"""A handshake takes three; after so many it will not come to an end."""


@dataclass(frozen=True)
class Credentials:
    """The certificate that a side presents, and its key, both PEM."""

    crt: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Side:
    """A client or a server: what it presents, and the CAs (PEM) whose certificates it accepts.

    A client without ``trusted`` does not verify the server, and a server without it asks no client for a certificate.
    """

    credentials: Credentials | None
    trusted: bytes | None = None


def refusal(server: Side, client: Side, server_name: str) -> str | None:
    """Return why *client*, connecting to *server_name*, and *server* fail to connect; None if they succeed."""
    name = "client"
    try:
        client_context = _context(client, ssl.PROTOCOL_TLS_CLIENT)
        name = "server"
        server_context = _context(server, ssl.PROTOCOL_TLS_SERVER)
    except (ssl.SSLError, ValueError) as error:
        return f"the {name} cannot start: {_said(error)}"
    return _shake(client_context, server_context, server_name)


def client_refusal(credentials: Credentials, trusted: bytes) -> str | None:
    """Return why a server that trusts the CAs *trusted* (PEM) rejects a client; None if it accepts it."""
    # The server does not matter here: the client does not verify it, and its own certificate serves.
    return refusal(Side(credentials, trusted), Side(credentials), "localhost")


@lru_cache(maxsize=64)  # a side is prepared once, whatever names clients connect to
def _context(side: Side, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # as Go's crypto/tls, which reads no CN
    if side.trusted is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=_certificates(side.trusted))
    if side.credentials is not None:
        _load(context, side.credentials)
    return context


def _load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Load a certificate and its key, which Python's ssl reads from a file only.

    The file is in a new directory of mode 0700 outside the lab: a lab can come from someone else, and a link
    planted in it must not decide what is written. Only PEM blocks are written, without the text around them.
    """
    blocks = [*pem_blocks(credentials.key), *pem_blocks(credentials.crt)]
    if any(block.encrypted for block in blocks):
        _no_passphrase()
    with tempfile.TemporaryDirectory(prefix="kcert-") as folder:
        path = Path(folder) / "side.pem"
        path.write_text("".join(block.pem for block in blocks), encoding="ascii")
        context.load_cert_chain(path, password=_no_passphrase)


def _no_passphrase() -> str:
    """Refuse a key with a passphrase: a component has no one to ask."""
    raise ValueError("its key is encrypted with a passphrase")


def _certificates(pem: bytes) -> str:
    """Return the certificates of a CA file, without the text between them."""
    blocks = [block.pem for block in pem_blocks(pem) if block.is_certificate and not block.fault]
    if not blocks:
        raise ValueError("the CA file contains no certificate")
    return "".join(blocks)


def _shake(client_context: ssl.SSLContext, server_context: ssl.SSLContext, server_name: str) -> str | None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done: set[str] = set()
    for _ in range(ROUNDS):
        for name, side in (("client", client), ("server", server)):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return f"the {name} rejects it: {_said(error)}"
            done.add(name)
        if len(done) == 2:
            server.write(b"hello")
            with contextlib.suppress(ssl.SSLWantReadError):
                if client.read() == b"hello":
                    return None
            return "no data arrives"
    return "the handshake does not end"


def _said(error: Exception) -> str:
    """Return the reason in openssl's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message).rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    return str(error.args[-1] if error.args else error).partition(" (_ssl")[0]
