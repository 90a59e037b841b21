"""TLS handshakes, for real: Python's ssl on both sides, in this process, without a port or a network."""

from __future__ import annotations

import contextlib
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kcert.openssl.pem import pem_blocks

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 10
"""A handshake takes three; after so many it will not come to an end."""


@dataclass(frozen=True)
class Shown:
    """What a side shows: PEM of its certificate and of its key."""

    crt: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Server:
    """A server: what it shows, and the CAs (PEM) whose clients it lets in (None: it asks no client)."""

    shown: Shown
    trusted: bytes | None = None


@dataclass(frozen=True)
class Client:
    """A client: the CAs (PEM) that it trusts (None: it does not look), and what it shows if it is asked."""

    trusted: bytes | None
    shown: Shown | None = None


class TlsPair:
    """Where handshakes take place: *scratch* is a folder for keys, which Python's ssl reads from files alone."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._contexts: dict[tuple[int, Shown | None, bytes | None], ssl.SSLContext] = {}

    def refusal(self, server: Server, client: Client, dialled: str) -> str | None:
        """Why a *client* that dials *dialled* and the *server* do not come together; None if they do."""
        try:
            here = self._context(ssl.PROTOCOL_TLS_CLIENT, client.shown, client.trusted)
        except (ssl.SSLError, ValueError) as error:
            return f"the client cannot start: {_said(error)}"
        try:
            there = self._context(ssl.PROTOCOL_TLS_SERVER, server.shown, server.trusted)
        except (ssl.SSLError, ValueError) as error:
            return f"the server cannot start: {_said(error)}"
        try:
            _shake(there, here, dialled)
        except _RefusedError as error:
            return str(error)
        return None

    def _context(self, protocol: int, shown: Shown | None, trusted: bytes | None) -> ssl.SSLContext:
        """A side that is ready: made once for the many names that it is dialled by."""
        side = (protocol, shown, trusted)
        if side not in self._contexts:
            self._contexts[side] = self._made(*side)
        return self._contexts[side]

    def _made(self, protocol: int, shown: Shown | None, trusted: bytes | None) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False  # as Go's crypto/tls, which reads no CN
        if trusted is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=_certificates(trusted))
        if shown is not None:
            self._load(context, shown)
        return context

    def _load(self, context: ssl.SSLContext, shown: Shown) -> None:
        path = self._scratch / f"side-{os.getpid()}.pem"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(shown.key + b"\n" + shown.crt)
        try:
            context.load_cert_chain(path, password=_no_passphrase)
        finally:
            path.unlink()


class _RefusedError(Exception):
    """One side does not want to go on; the message says which, and why."""


def _no_passphrase() -> str:
    """A component has nobody to ask for a passphrase."""
    raise ValueError("its key is locked with a passphrase")


def _certificates(pem: bytes) -> str:
    """The certificates of a CA file, without whatever text stands between them."""
    blocks = [block.pem for block in pem_blocks(pem) if block.is_certificate and not block.fault]
    if not blocks:
        raise ValueError("the CA file holds no certificate")
    return "".join(blocks)


def _shake(there: ssl.SSLContext, here: ssl.SSLContext, dialled: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = there.wrap_bio(to_server, to_client, server_side=True)
    client = here.wrap_bio(to_client, to_server, server_hostname=dialled)
    done: set[str] = set()
    for _ in range(ROUNDS):
        for name, side in (("client", client), ("server", server)):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                raise _RefusedError(f"the {name} refuses: {_said(error)}") from None
            done.add(name)
        if len(done) == 2:
            _bring_a_word(server, client)
            return
    raise _RefusedError("the handshake comes to no end")


def _bring_a_word(server: ssl.SSLObject, client: ssl.SSLObject) -> None:
    server.write(b"a word")
    with contextlib.suppress(ssl.SSLWantReadError):
        if client.read() == b"a word":
            return
    raise _RefusedError("nothing comes across")


def _said(error: Exception) -> str:
    """The reason as openssl words it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message).rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    return str(error.args[-1] if error.args else error).partition(" (_ssl")[0]
