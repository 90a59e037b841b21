"""A small API server: it runs on the cluster's certificates, and knows its callers by them alone."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class _Server(ThreadingHTTPServer):
    """Shakes hands in the caller's own thread, so that a caller who never does delays no other."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except OSError:
                _hang_up(secured)
                return
            with contextlib.suppress(OSError):
                _Handler(secured, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who closes the connection is not an error."""


def _hang_up(secured: ssl.SSLSocket) -> None:
    """End a connection so that the caller surely hears the alert: what he still sends is read first."""
    with contextlib.suppress(OSError), socket.socket(fileno=secured.detach()) as plain:
        plain.settimeout(10)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65536):
            pass


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path in self.server.answers:
            status, body = self.server.answers[self.path]
            self._send(status, body)
        elif self.path == "/flood":
            self._flood()
        elif self.path.split("?")[0] == "/version":
            self._answer(200, VERSION)
        else:
            self._forbid()

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.split("?")[0] == WHOAMI:
            user, groups = self._caller()
            self._answer(
                201,
                {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "SelfSubjectReview",
                    "metadata": {},
                    "status": {"userInfo": {"username": user, "groups": [*groups, "system:authenticated"]}},
                },
            )
        else:
            self._forbid()

    def _flood(self) -> None:
        """Send as much as the caller takes in a second."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        until = time.monotonic() + 1
        while time.monotonic() < until:
            self.wfile.write(bytes(65536))

    def _caller(self) -> tuple[str, list[str]]:
        """As the API server reads a certificate: CN is the user, each O a group."""
        shown: Any = self.connection.getpeercert()
        parts = [pair for name in shown["subject"] for pair in name]
        users = [value for key, value in parts if key == "commonName"]
        return users[-1], [value for key, value in parts if key == "organizationName"]

    def _forbid(self) -> None:
        user = self._caller()[0]
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
        self._answer(403, {**status, "message": f'User "{user}" cannot get path "{self.path}"'})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Tests are quiet."""


@dataclass(frozen=True)
class ApiServer:
    """A server that runs; ``asked`` are the paths that were called, ``answers`` what some of them get."""

    port: int
    asked: list[str]
    answers: dict[str, tuple[int, bytes]] = field(repr=False)

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"https://127.0.0.1:{self.port}"


@contextlib.contextmanager
def api_server(crt: Path, key: Path, clients_ca: Path) -> Iterator[ApiServer]:
    """An API server that shows *crt*, and takes only clients of *clients_ca*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(clients_ca)
    server = _Server(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ApiServer(server.server_address[1], server.asked, server.answers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
