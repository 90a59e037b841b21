"""What was made shakes hands over TLS: under each of its names, with its own side, and with no other.

The handshakes are Python's ssl's, both sides in this process, so that nothing but the certificates can be
in the way.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.expected import TABLES, Expected
from tests.test_certificates import conf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

STRANGER = "stranger.example.com"


def _rows(*kinds: str) -> list[object]:
    return [
        pytest.param(
            *(profile, size, one),
            id=f"{profile}-{size}-{one.file}",
            marks=() if size == "small" or (profile, size) == ("kubeadm", "large") else pytest.mark.thorough,
        )
        for (profile, size), table in TABLES.items()
        for one in table
        if one.kind in kinds
    ]


class Side:
    """A certificate with its key, as a file that Python's ssl loads, and the CAs it trusts."""

    def __init__(self, folder: Path, file: str, scratch: Path) -> None:
        self.pem = scratch / f"{file.replace('/', '_')}.pem"
        if file.endswith(".conf"):
            inside = conf(folder / file)
            text = inside["crt"] + inside["key"]
        else:
            crt = folder / file
            text = crt.read_text(encoding="ascii") + crt.with_suffix(".key").read_text(encoding="ascii")
        self.pem.write_text(text, encoding="ascii")


def server(side: Side, clients_ca: Path | None = None) -> ssl.SSLContext:
    """A server that shows *side*, and with *clients_ca* demands a certificate of that CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(side.pem)
    if clients_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_ca)
    return context


def client(ca: Path, side: Side | None = None) -> ssl.SSLContext:
    """A client that trusts *ca*, and shows *side* if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if side:
        context.load_cert_chain(side.pem)
    return context


def shake_hands(serving: ssl.SSLContext, dialling: ssl.SSLContext, name: str) -> bytes:
    """Shake hands and bring a word across, as a client that connects to *name*; an ssl.SSLError where it fails."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = serving.wrap_bio(to_server, to_client, server_side=True)
    here = dialling.wrap_bio(to_client, to_server, server_hostname=name)
    shaken: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (here, there):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                shaken.add(side)
        if len(shaken) == 2:
            there.write(b"a word")
            return here.read()
    pytest.fail("the handshake came to no end")


def dialled(name: str) -> str:
    """The address that a client connects to for a server under *name*, as a SAN is written."""
    return name.partition(":")[2].replace("*.", "some.")


@pytest.mark.parametrize(("profile", "size", "one"), _rows("server", "peer"))
def test_a_server_is_accepted_under_each_of_its_names_and_no_other(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    serving, dialling = server(Side(folder, one.file, tmp_path)), client(folder / str(one.issuer))

    for name in one.names.split():
        assert shake_hands(serving, dialling, dialled(name)) == b"a word"
    for wrong in (STRANGER, "192.0.2.1", "2001:db8::1", f"sub.{dialled(one.names.split()[0])}"):
        with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
            shake_hands(serving, dialling, wrong)


@pytest.mark.parametrize(("profile", "size", "one"), _rows("server", "peer"))
def test_a_server_of_another_ca_is_refused(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    other = pki("hardway" if profile == "course" else "course", "large").folder / "ca.crt"
    serving = server(Side(folder, one.file, tmp_path))

    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(serving, client(other), dialled(one.names.split()[0]))


@pytest.mark.parametrize(("profile", "size", "one"), _rows("client", "peer"))
def test_a_client_is_accepted_by_its_own_ca_and_refused_by_another(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    row = next(row for row in TABLES[profile, size] if row.kind in ("server", "peer"))
    side, its_ca, name = Side(folder, row.file, tmp_path), folder / str(row.issuer), dialled(row.names.split()[0])
    other = pki("hardway" if profile == "course" else "course", "large").folder / "ca.crt"
    dialling = client(its_ca, Side(folder, one.file, tmp_path))

    assert shake_hands(server(side, clients_ca=folder / str(one.issuer)), dialling, name) == b"a word"
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_VERIFY_FAILED|unknown ca"):
        shake_hands(server(side, clients_ca=other), dialling, name)


@pytest.mark.parametrize("profile", ["course", "hardway", "kubeadm"])
def test_who_shows_no_certificate_is_refused(pki: Callable[[str, str], Pki], profile: str, tmp_path: Path) -> None:
    folder = pki(profile, "small").folder
    row = next(row for row in TABLES[profile, "small"] if row.kind == "peer")
    serving = server(Side(folder, row.file, tmp_path), clients_ca=folder / str(row.issuer))

    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(serving, client(folder / str(row.issuer)), "localhost")


@pytest.mark.parametrize(("profile", "size", "one"), _rows("client"))
def test_a_client_certificate_serves_nobody(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    dialling = client(folder / str(one.issuer))
    dialling.check_hostname = False  # it has no names at all: the usage alone is asked for

    with pytest.raises(ssl.SSLCertVerificationError, match="certificate purpose"):
        shake_hands(server(Side(folder, one.file, tmp_path)), dialling, STRANGER)


@pytest.mark.parametrize(("profile", "size", "one"), _rows("server"))
def test_a_server_certificate_dials_nobody(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    side, ca = Side(folder, one.file, tmp_path), folder / str(one.issuer)

    with pytest.raises(ssl.SSLError, match=r"certificate purpose|CERTIFICATE_VERIFY_FAILED"):
        shake_hands(server(side, clients_ca=ca), client(ca, side), dialled(one.names.split()[0]))


@pytest.mark.parametrize(
    ("stranger", "at_home"),
    [("admin.conf", "pki/etcd/ca.crt"), ("pki/front-proxy-client.crt", "pki/ca.crt"), ("jane.conf", "pki/etcd/ca.crt")],
)
def test_kubeadms_three_cas_keep_their_clients_apart(
    pki: Callable[[str, str], Pki], stranger: str, at_home: str, tmp_path: Path
) -> None:
    """With one CA for everything jane would write straight into etcd."""
    folder = pki("kubeadm", "large").folder
    serving = server(Side(folder, "pki/etcd/server.crt", tmp_path), clients_ca=folder / at_home)

    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(serving, client(folder / "pki/etcd/ca.crt", Side(folder, stranger, tmp_path)), "localhost")
