"""Programs that are made to fail on loopback, and what they say."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 8.0
"""Seconds until a program that does not end by itself is stopped."""


def said(*argv: str | Path, cwd: Path, stdin: str = "", user: int | None = None) -> str:
    """Everything that a program prints until it ends."""
    if not shutil.which(str(argv[0])):
        raise FileNotFoundError(argv[0])
    environment = {**os.environ, "ETCDCTL_API": "3", "HOME": str(cwd), "KUBECONFIG": "", "LC_ALL": "C"}
    try:
        ended = subprocess.run(
            argv,
            cwd=cwd,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
            env=environment,
            user=user,
        )
    except subprocess.TimeoutExpired as late:
        return late.stdout.decode(errors="replace") if late.stdout else ""
    return ended.stdout


def free_port() -> int:
    """A port of loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ---------------------------------------------------------------- servers


class Answer(socketserver.StreamRequestHandler):
    """Answers each HTTP request with what the server was given."""

    def handle(self) -> None:
        """Hear something; answer once."""
        with contextlib.suppress(OSError):
            self.request.recv(65536)  # whatever it is: a plain server answers a TLS greeting too
            status, body = self.server.answer  # type: ignore[attr-defined]
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self.wfile.write(f"{head}Connection: close\r\n\r\n{body}".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    answer = ("200 OK", "{}")
    context: ssl.SSLContext | None = None

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands in the connection's own thread."""
        try:
            if not self.context:
                super().finish_request(request, client_address)  # type: ignore[arg-type]
                return
            with self.context.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                super().finish_request(wrapped, client_address)
        except OSError as error:
            self.complaints.append(str(error))

    complaints: list[str]


@contextlib.contextmanager
def api_server(
    pki: Path,
    cert: str = "kube-apiserver",
    *,
    answer: tuple[str, str] = ("200 OK", "{}"),
    tls: str = "1.3",
    mutual: bool = False,
) -> Iterator[str]:
    """An HTTPS server with one answer; its address as host:port."""
    with Server(("127.0.0.1", 0), Answer) as server:
        server.complaints = []
        server.answer = answer
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it shows weak certificates too
            context.load_cert_chain(pki / f"{cert}.crt", pki / f"{cert}.key")
            if tls == "1.2":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            if mutual:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(pki / "ca.crt")
            server.context = context
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


class Etcd:
    """A running etcd, and what it has said so far."""

    def __init__(self, pki: Path, *options: str, client: str = "https", name: str = "m1") -> None:
        """Start it, and read until it serves or ends."""
        if not shutil.which("etcd"):
            raise FileNotFoundError("etcd")
        self.folder = Path(tempfile.mkdtemp(dir=pki, prefix="data"))
        self.port, peer = free_port(), free_port()
        url = f"{client}://127.0.0.1:{self.port}"
        own = ["--name", name, "--data-dir", str(self.folder)]
        urls = ["--listen-client-urls", url, "--advertise-client-urls", url]
        self.process = subprocess.Popen(
            ["etcd", *own, *urls, "--listen-peer-urls", f"http://127.0.0.1:{peer}", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=pki,
        )
        self.text = b""

    def read_until(self, *words: bytes, seconds: float = 5) -> None:
        """Read until one of *words* was said, the program ended, or it was silent for so many *seconds*."""
        assert self.process.stdout
        pipe = self.process.stdout
        while not any(word in self.text for word in words):
            ready, _, _ = select.select([pipe], [], [], seconds)
            new = os.read(pipe.fileno(), 65536) if ready else b""
            if not new:
                return
            self.text += new

    def ended(self) -> str:
        """Stop it; all it said."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            rest, _ = self.process.communicate(timeout=LIMIT)
            self.text += rest
        self.process.kill()
        return self.text.decode(errors="replace")


SERVES = (b"serving client requests", b"serving client traffic", b"serving insecure client")
