"""A real etcd cluster of three members runs on the certificates of each profile, and rejects clients of other CAs."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.running import Ended, Kcert, free_port, kill_group, output, program, representatives, wait_until
from tests.test_certificates import conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clusters import Pki

MEMBERS = {"etcd1": "127.0.0.1", "etcd2": "127.0.0.2", "etcd3": "127.0.0.3"}

CONFIG = """\
profile: {profile}
etcd:
  - {{name: etcd1, ip: 127.0.0.1}}
  - {{name: etcd2, ip: 127.0.0.2}}
  - {{name: etcd3, ip: 127.0.0.3}}
key: {{algorithm: ecdsa}}
"""


@dataclass(frozen=True)
class Files:
    """Where a profile keeps what etcd is started with; ``{member}`` is the member's name."""

    ca: str
    server: str
    peer: str
    client: str


FILES = {
    "course": Files("ca", "etcd-server", "etcd-peer-{member}", "apiserver-etcd-client"),
    "hardway": Files("ca", "etcd-server", "etcd-server", "etcd-server"),
    "kubeadm": Files("pki/etcd/ca", "pki/etcd/server", "pki/etcd/peer", "pki/apiserver-etcd-client"),
}


@dataclass(frozen=True)
class Etcd:
    """A cluster that runs: its PKI, and the URLs of its members."""

    profile: str
    pki: Path
    clients: dict[str, str]
    peers: dict[str, str]

    @property
    def ca(self) -> Path:
        """The CA of its servers."""
        return self.pki / f"{FILES[self.profile].ca}.crt"

    def etcdctl(self, *arguments: str, shows: Path | None, seconds: int = 10) -> Ended:
        """Run etcdctl, which shows the certificate *shows* (none, if it is None) and tries for *seconds*."""
        own = ("--cert", shows, "--key", shows.with_suffix(".key")) if shows else ()
        return output(
            [
                *(program("etcdctl"), "--endpoints", ",".join(self.clients.values()), "--cacert", self.ca, *own),
                *("--dial-timeout", f"{seconds}s", "--command-timeout", f"{seconds}s", *arguments),
            ],
            ETCDCTL_API="3",
        )


@pytest.fixture(scope="module", params=representatives(FILES))
def etcd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """Three members, with authentication of clients and of peers."""
    etcd_program = program("etcd")
    profile: str = request.param
    home = tmp_path_factory.mktemp(f"etcd-{profile}")
    (home / "kcert.yaml").write_text(CONFIG.format(profile=profile), encoding="utf-8")
    Kcert(home).done("all", "--quiet")
    pki, files = home / "pki", FILES[profile]
    clients = {name: f"https://{address}:{free_port()}" for name, address in MEMBERS.items()}
    peers = {name: f"https://{address}:{free_port()}" for name, address in MEMBERS.items()}
    running = Etcd(profile, pki, clients, peers)
    with contextlib.ExitStack() as members:
        for name in MEMBERS:
            peer = files.peer.format(member=name)
            log = members.enter_context((home / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [
                    *(etcd_program, "--name", name, "--data-dir", str(home / name)),
                    *("--listen-client-urls", clients[name], "--advertise-client-urls", clients[name]),
                    *("--listen-peer-urls", peers[name], "--initial-advertise-peer-urls", peers[name]),
                    *("--initial-cluster", ",".join(f"{one}={url}" for one, url in peers.items())),
                    *("--cert-file", f"{pki / files.server}.crt", "--key-file", f"{pki / files.server}.key"),
                    *("--trusted-ca-file", str(running.ca), "--client-cert-auth"),
                    *("--peer-cert-file", f"{pki / peer}.crt", "--peer-key-file", f"{pki / peer}.key"),
                    *("--peer-trusted-ca-file", str(running.ca), "--peer-client-cert-auth"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            members.callback(process.wait)
            members.callback(kill_group, process.pid)
        client = pki / f"{files.client}.crt"
        wait_until(
            lambda: running.etcdctl("endpoint", "health", shows=client).status == 0, 60, "etcd", home.glob("*.log")
        )
        yield running


@pytest.fixture
def stranger(pki: Callable[[str, str], Pki]) -> Path:
    """A client's certificate with every right, of another cluster's CA."""
    return pki("course", "large").folder / "apiserver-etcd-client.crt"


def test_the_api_server_writes_and_reads_through_every_member(etcd: Etcd) -> None:
    client = etcd.pki / f"{FILES[etcd.profile].client}.crt"

    assert etcd.etcdctl("put", "/registry/kcert", "is here", shows=client).stdout == "OK\n"
    for name, url in etcd.clients.items():
        alone = Etcd(etcd.profile, etcd.pki, {name: url}, etcd.peers)
        assert alone.etcdctl("get", "/registry/kcert", shows=client).lines == ["/registry/kcert", "is here"]
    members = etcd.etcdctl("member", "list", shows=client).stdout
    assert members.count("started") == 3


@pytest.mark.parametrize("known", [False, True], ids=["without a certificate", "of another CA"])
def test_a_strange_client_is_refused_and_writes_nothing(etcd: Etcd, stranger: Path, known: bool) -> None:
    client = etcd.pki / f"{FILES[etcd.profile].client}.crt"

    refused = etcd.etcdctl("put", "/registry/intruder", "was here", shows=stranger if known else None, seconds=1)

    assert refused.status != 0
    assert refused.stdout == ""
    assert etcd.etcdctl("get", "/registry/intruder", shows=client) == Ended(0, "", "")


def _dial(url: str, ca: Path, shows: Path | None) -> bytes:
    """Return what the server at *url* answers to a request over TLS; an ssl.SSLError where it does not let one in."""
    address, _, port = url.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context(cafile=str(ca))
    if shows:
        context.load_cert_chain(shows, shows.with_suffix(".key"))
    with (
        socket.create_connection((address, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=address) as secured,
    ):
        secured.sendall(f"GET /version HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        return secured.recv(65536)


def test_the_ports_between_members_are_closed_to_strangers(etcd: Etcd, stranger: Path) -> None:
    for name, url in etcd.peers.items():
        peer = etcd.pki / f"{FILES[etcd.profile].peer.format(member=name)}.crt"

        assert b"200 OK" in _dial(url, etcd.ca, peer)
        for shown in (None, stranger):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                _dial(url, etcd.ca, shown)


def test_with_kubeadms_ca_of_its_own_etcd_knows_no_user_of_the_cluster(etcd: Etcd, tmp_path: Path) -> None:
    """In the other profiles one CA signs for every client: there the administrator is a client of etcd, too."""
    admin = tmp_path / "admin.crt"
    if etcd.profile == "kubeadm":
        inside = conf(etcd.pki / "super-admin.conf")
        admin.write_text(inside["crt"], encoding="ascii")
        admin.with_suffix(".key").write_text(inside["key"], encoding="ascii")
        assert etcd.etcdctl("get", "/registry/kcert", shows=admin, seconds=1).stdout == ""
        assert etcd.etcdctl("put", "/registry/a", "b", shows=admin, seconds=1).stdout == ""
    else:
        assert etcd.etcdctl("get", "/registry/nothing", shows=etcd.pki / "admin.crt").stdout == ""
        assert etcd.etcdctl("put", "/registry/a", "b", shows=etcd.pki / "admin.crt").stdout == "OK\n"
