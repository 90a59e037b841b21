"""Calls of the API with real curl: what is shown runs, and each failure of TLS is told in words."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kcert import profiles, shell
from kcert.issue.adopt import detect_files
from kcert.issue.context import Context
from kcert.kubernetes.call import call, explained, run
from kcert.shell import Command, Reading, read
from tests.kubernetes.api_server import VERSION, api_server
from tests.running import Kcert, free_port, output, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.kubernetes.api_server import ApiServer


@pytest.fixture(autouse=True)
def _curl() -> None:
    program("curl")


def context_of(made: Pki) -> Context:
    cluster = profiles.load(made.config)
    return Context(cluster, made.folder, detect_files(made.folder, profiles.certificates(cluster)))


def told(text: str) -> str:
    """Return what was said, without its line breaks."""
    return " ".join(text.split())


@pytest.mark.parametrize(("profile", "name"), [("course", "admin"), ("hardway", "node01"), ("kubeadm", "super-admin")])
def test_the_answer_comes_in_readable_json(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], profile: str, name: str
) -> None:
    ended = Kcert(pki(profile, "small").home)("call", "/version", "--as", name, "--server", api(profile, "small").url)

    assert ended.status == 0, ended.stderr
    assert '\n  "gitVersion": "v1.36.0"\n' in ended.stdout


@pytest.mark.parametrize(("profile", "name"), [("course", "admin"), ("kubeadm", "admin")])
def test_the_command_on_the_screen_does_the_same(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], profile: str, name: str
) -> None:
    home = pki(profile, "small").home
    running = api(profile, "small")
    shown = Kcert(home).done("call", "/version", "--as", name, "--server", running.url).stdout
    typed = [line for line in shown.splitlines() if line.startswith("    ")]

    ended = output([program("bash"), "-e"], home, "\n".join(typed))

    assert json.loads(ended.stdout.rpartition("\n")[0]) == VERSION
    assert running.asked == ["/version", "/version"]


def test_quiet_prints_the_answer_alone(pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer]) -> None:
    server = api("course", "small").url
    ended = Kcert(pki("course", "small").home)("call", "/version", "--as", "admin", "--server", server, "--quiet")

    assert json.loads(ended.stdout) == VERSION
    assert ended.stderr == ""


@pytest.mark.parametrize("profile", ["course", "kubeadm"])
def test_a_body_without_end_does_not_fill_the_memory(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], profile: str
) -> None:
    folder = context_of(pki(profile, "small"))

    answer = run(call(folder, "admin", "/flood", api(profile, "small").url))

    assert 0 < len(answer.body) < 16 * 1024 * 1024


def test_a_key_inside_a_kubeconfig_reaches_curl_without_a_shell(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = context_of(pki("kubeadm", "small"))
    commands: list[Command] = []

    def recorded(command: Command) -> Reading:
        commands.append(command)
        return read(command)

    monkeypatch.setattr(shell, "read", recorded)

    asked = call(folder, "admin", "/version", api("kubeadm", "small").url)

    assert json.loads(run(asked).body) == VERSION
    (command,) = commands
    assert command.argv[0] == "curl"
    assert [word for word in command.argv if word.startswith("/dev/fd/")] == [
        f"/dev/fd/{number}" for number in command.descriptors
    ]


def test_what_the_user_may_not_is_found_wrong(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer]
) -> None:
    ended = Kcert(pki("course", "large").home)(
        *("call", "/api/v1/secrets", "--as", "jane", "--server", api("course", "large").url)
    )

    assert ended.status == 1
    assert "answered jane (developers, team:blue) with 403. The API server authenticated this user, but" in told(
        ended.stderr
    )
    assert '"reason": "Forbidden"' in ended.stdout


def test_what_comes_back_cannot_upset_the_terminal(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer]
) -> None:
    running = api("course", "small")
    running.answers["/healthz"] = (200, b"ok \x1b[31mred\x07\xff")
    running.answers["/json"] = (200, b'{"a": "\\u001b]0;title\\u0007"}')
    call = ("--as", "admin", "--server", running.url)

    plain = Kcert(pki("course", "small").home)("call", "/healthz", *call)
    readable = Kcert(pki("course", "small").home)("call", "/json", *call)

    assert "ok \\x1b[31mred\\x07\ufffd" in plain.stdout
    assert "\x1b" not in plain.stdout + readable.stdout
    assert "\x07" not in plain.stdout + readable.stdout


def certificate(folder: Path, *, days: int) -> tuple[Path, Path]:
    """A server's certificate by the CA in *folder*, valid for *days* from now (negative: it has expired)."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    signing = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    ends = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("elsewhere.example.com")]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    crt_file, key_file = folder / "server.crt", folder / "server.key"
    crt_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return crt_file, key_file


@pytest.mark.parametrize(
    ("days", "words"), [(10, "Wrong name: the address is not a SAN of"), (-10, "Expired: the server's")]
)
def test_a_server_with_a_bad_certificate_is_explained(
    own_pki: Callable[..., Pki], kcert: Kcert, days: int, words: str
) -> None:
    folder = own_pki().folder
    with api_server(*certificate(folder, days=days), folder / "ca.crt") as running:
        ended = kcert("call", "/version", "--as", "admin", "--server", running.url)

    assert ended.status == 3
    assert words in told(ended.stderr)
    assert f"kcert show 127.0.0.1:{running.port}" in told(ended.stderr)


def test_a_server_of_another_ca_is_explained(
    pki: Callable[[str, str], Pki], api: Callable[[str, str], ApiServer]
) -> None:
    ended = Kcert(pki("course", "small").home)(
        *("call", "/version", "--as", "admin", "--server", api("hardway", "small").url)
    )

    assert ended.status == 3
    assert "Wrong CA: ca.crt did not sign the server's certificate" in told(ended.stderr)


def test_a_server_with_a_clients_certificate_is_explained(pki: Callable[[str, str], Pki]) -> None:
    folder = pki("course", "small").folder
    with api_server(folder / "kube-proxy.crt", folder / "kube-proxy.key", folder / "ca.crt") as running:
        ended = Kcert(pki("course", "small").home)("call", "/version", "--as", "admin", "--server", running.url)

    assert ended.status == 3
    assert "Wrong usage: the server presents a certificate without serverAuth" in told(ended.stderr)


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        # What curl says with other libraries, and of servers whose clocks go ahead.
        (60, "SSL certificate problem: unsupported certificate purpose", "Wrong usage"),
        (35, "schannel: CertGetCertificateChain: wrong usage, inappropriate key usage", "Wrong usage"),
        (56, "error:0A000415:SSL routines::sslv3 alert certificate expired", "one of the two clocks is wrong"),
        (60, "SSL certificate problem: excluded subtree violation", "rejects the server's certificate"),
        (77, "error setting certificate verify locations", "curl could not use the CA file ca.crt"),
    ],
)
def test_what_curl_says_elsewhere_is_explained(
    pki: Callable[[str, str], Pki], status: int, said: str, words: str
) -> None:
    made = pki("course", "small")
    folder = context_of(made)

    assert words in explained(call(folder, "admin", "/version"), status, f"curl: ({status}) {said}")


def test_a_server_that_never_answers_is_given_up(pki: Callable[[str, str], Pki]) -> None:
    """curl does that, by an option of the command that is shown; kcert only explains it."""
    made = pki("course", "small")
    asked = call(context_of(made), "admin", "/version")

    assert asked.argv()[asked.argv().index("--max-time") + 1] == "15"
    assert "no answer within 15 seconds" in explained(asked, 28, "curl: (28) Operation timed out after 15001 ms")


def test_a_server_that_takes_no_such_client_is_explained(pki: Callable[[str, str], Pki]) -> None:
    folder, other = pki("course", "small").folder, pki("hardway", "small").folder
    with api_server(folder / "kube-apiserver.crt", folder / "kube-apiserver.key", other / "ca.crt") as running:
        ended = Kcert(pki("course", "small").home)("call", "/version", "--as", "admin", "--server", running.url)

    assert ended.status == 3
    assert "The server rejected the certificate of admin" in told(ended.stderr)


@pytest.mark.parametrize(
    ("said", "words"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not use TLS"), (b"", "closed the connection")],
)
def test_a_server_that_is_none_is_explained(pki: Callable[[str, str], Pki], said: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        ended = Kcert(pki("course", "small").home)("call", "/", "--as", "admin", "--server", server)
        thread.join()

    assert ended.status == 3
    assert words in told(ended.stderr)


def test_where_nothing_answers_is_said(pki: Callable[[str, str], Pki]) -> None:
    port = free_port()
    ended = Kcert(pki("course", "small").home)("call", "/", "--as", "admin", "--server", f"https://127.0.0.1:{port}")

    assert ended.status == 3
    assert f"No program answers at 127.0.0.1:{port}" in told(ended.stderr)


def test_a_missing_curl_is_said(own_pki: Callable[..., Pki], kcert: Kcert, tmp_path: Path) -> None:
    own_pki()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "openssl").symlink_to(program("openssl"))

    ended = kcert("call", "/version", "--as", "admin", variables={"PATH": str(tools)})

    assert ended.status == 3
    assert "curl is not installed" in told(ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("version", "--as", "admin"), "is not an API path"),
        (("/a b", "--as", "admin"), "is not an API path"),
        (("/a\x1b[0m", "--as", "admin"), "is not an API path"),
        (("/version", "--as", "nod01"), "did you mean node01"),
        (("/version", "--as", "kube-apiserver"), "kube-apiserver is not a client of the API server"),
        (("/version", "--as", "admin", "--server", "ftp://x"), "--server 'ftp://x'"),
        (("/version",), "--as"),
    ],
)
def test_bad_input_is_refused_with_words(
    pki: Callable[[str, str], Pki], arguments: tuple[str, ...], words: str
) -> None:
    ended = Kcert(pki("course", "small").home)("call", *arguments)

    assert ended.status == 2
    assert words in told(ended.stderr)
    assert "\x1b" not in ended.stderr
