"""TLS handshakes, for real: Python's ssl on both sides, in this process, without a port or a network."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from dataclasses import dataclass, field
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
class Server:
    """A server: what it presents, and the CAs (PEM) whose clients it accepts (None: it asks no client)."""

    credentials: Credentials
    trusted: bytes | None = None


@dataclass(frozen=True)
class Client:
    """A client: the CAs (PEM) that it trusts (None: it does not verify), and what it presents if asked."""

    trusted: bytes | None
    credentials: Credentials | None = None


class TlsPair:
    """Client and server of a TLS handshake, connected in memory. A side is prepared once, however often it connects."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, Credentials | None, bytes | None], ssl.SSLContext] = {}

    def refusal(self, server: Server, client: Client, server_name: str) -> str | None:
        """Return why *client*, connecting to *server_name*, and *server* fail to connect; None if they succeed."""
        try:
            client_context = self._context(ssl.PROTOCOL_TLS_CLIENT, client.credentials, client.trusted)
        except (ssl.SSLError, ValueError) as error:
            return f"the client cannot start: {_said(error)}"
        try:
            server_context = self._context(ssl.PROTOCOL_TLS_SERVER, server.credentials, server.trusted)
        except (ssl.SSLError, ValueError) as error:
            return f"the server cannot start: {_said(error)}"
        try:
            _shake(server_context, client_context, server_name)
        except _RefusedError as error:
            return str(error)
        return None

    def _context(self, protocol: int, credentials: Credentials | None, trusted: bytes | None) -> ssl.SSLContext:
        """Return a side that is ready to connect; it is made once, whatever names clients connect to."""
        side = (protocol, credentials, trusted)
        if side not in self._contexts:
            self._contexts[side] = self._made(*side)
        return self._contexts[side]

    def _made(self, protocol: int, credentials: Credentials | None, trusted: bytes | None) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False  # as Go's crypto/tls, which reads no CN
        if trusted is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=_certificates(trusted))
        if credentials is not None:
            self._load(context, credentials)
        return context

    @staticmethod
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


class _RefusedError(Exception):
    """One side rejects the other; the message says which, and why."""


def _no_passphrase() -> str:
    """Refuse a key with a passphrase: a component has no one to ask."""
    raise ValueError("its key is encrypted with a passphrase")


def _certificates(pem: bytes) -> str:
    """Return the certificates of a CA file, without the text between them."""
    blocks = [block.pem for block in pem_blocks(pem) if block.is_certificate and not block.fault]
    if not blocks:
        raise ValueError("the CA file contains no certificate")
    return "".join(blocks)


def _shake(server_context: ssl.SSLContext, client_context: ssl.SSLContext, server_name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=server_name)
    done: set[str] = set()
    for _ in range(ROUNDS):
        for name, side in (("client", client), ("server", server)):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                raise _RefusedError(f"the {name} rejects it: {_said(error)}") from None
            done.add(name)
        if len(done) == 2:
            _exchange_a_message(server, client)
            return
    raise _RefusedError("the handshake does not end")


def _exchange_a_message(server: ssl.SSLObject, client: ssl.SSLObject) -> None:
    server.write(b"hello")
    with contextlib.suppress(ssl.SSLWantReadError):
        if client.read() == b"hello":
            return
    raise _RefusedError("no data arrives")


def _said(error: Exception) -> str:
    """Return the reason in openssl's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message).rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    return str(error.args[-1] if error.args else error).partition(" (_ssl")[0]
