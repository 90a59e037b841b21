"""Live servers: real ones, and sockets that misbehave."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kcert.scan import fs
from kcert.scan.discovery import survey
from kcert.scan.fs import Server, server_in
from tests.scan.conftest import kcert
from tests.scan.made import SERVER, Pair, authority, certificate, name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def ca() -> Pair:
    return authority()


@contextlib.contextmanager
def s_server(folder: Path, pair: Pair, *options: str) -> Iterator[Server]:
    """A real TLS server for as long as it is needed."""
    openssl = shutil.which("openssl")
    assert openssl
    pair.put(folder / "server.crt")
    argv = [
        openssl,
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        folder / "server.crt",
        "-key",
        folder / "server.key",
    ]
    with subprocess.Popen(
        [*map(str, argv), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        port = next(line.rsplit(":", 1)[1] for line in process.stdout if line.startswith("ACCEPT 127.0.0.1:"))
        # It goes on writing, and must not wait for a reader.
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        try:
            yield Server("127.0.0.1", int(port))
        finally:
            process.kill()
            reader.join()


@contextlib.contextmanager
def answering(reply: bytes | None) -> Iterator[Server]:
    """A socket that answers every connection with *reply*, or never."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connections: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connections.append(connection)
                    if reply is not None:
                        connection.sendall(reply)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield Server("127.0.0.1", listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "options", [(), ("-Verify", "1"), ("-Verify", "1", "-tls1_2")], ids=["open", "mutual", "mutual-1.2"]
)
def test_a_server_shows_its_chain(ca: Pair, tmp_path: Path, options: tuple[str, ...]) -> None:
    made = certificate(name("kube-apiserver"), ca, uses=[SERVER], names=["localhost", "127.0.0.1"])
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    more = ("-CAfile", str(tmp_path / "ca.crt"), "-cert_chain", str(tmp_path / "ca.crt"), *options)
    with s_server(tmp_path, made, *more) as server:
        found = survey([str(server)])
    assert found.problems == []
    leaf, root = found.uses
    assert leaf.certificate.subject.common_name == "kube-apiserver"
    assert leaf.live == str(leaf.path) == str(server)
    assert leaf.kind.value == "server"
    assert (root.kind.value, root.position) == ("ca", 1)


def test_show_takes_a_server_and_says_how_it_asked(ca: Pair, tmp_path: Path) -> None:
    with s_server(tmp_path, certificate(name("cp1"), ca, uses=[SERVER], names=["cp1"])) as server:
        shown = kcert("show", str(server))
    assert f"openssl s_client -connect {server} -showcerts" in shown.stdout
    assert "SANs: DNS:cp1" in shown.stdout
    refused = kcert("inventory", str(server), "--format", "json")
    assert (refused.status, refused.stdout) == (2, "[]\n")
    assert "refuses the connection" in " ".join(refused.stderr.split())
    refused = kcert("show", str(server))
    assert refused.status == 1
    assert "refuses the connection" in " ".join(refused.stderr.split())


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fs, "PATIENCE", 0.5)
    with answering(None) as server:
        begun = time.monotonic()
        (problem,) = survey([str(server)]).problems
    assert time.monotonic() - begun < 5
    assert problem.what == "unreachable"
    assert "did not answer" in problem.reason


def test_a_server_that_speaks_plain_http() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as server:
        (problem,) = survey([str(server)]).problems
    assert "not with TLS" in problem.reason


def test_a_port_where_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    (problem,) = survey([f"127.0.0.1:{port}"]).problems
    assert "refuses" in problem.reason


@pytest.mark.parametrize(
    ("where", "server"),
    [
        ("cp1:6443", Server("cp1", 6443)),
        ("https://192.168.56.30:6443", Server("192.168.56.30", 6443)),
        ("[fd00::1]:2379", Server("fd00::1", 2379)),
        ("pki/ca.crt", None),
        ("cp1:port", None),
        ("cp1:70000", None),
        ("-connect:1", None),
    ],
)
def test_what_is_taken_for_a_server(where: str, server: Server | None) -> None:
    assert server_in(where) == server
