"""Record what real programs print about TLS: ``python -m tests.recorded.record [PART OF A NAME …]``.

Every fault is made on loopback, between programs that are really running: etcd and etcdctl, kubectl, docker's client,
curl, openssl, Python's ssl. What they print is kept beside this file, one file a scenario, unchanged but for the folder
(it becomes /srv/pki) and this machine's name (controlplane01). A program that is not here is left out.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recorded.pki import make_pki
from tests.recorded.programs import LIMIT, SERVES, Answer, Etcd, Server, api_server, free_port, said

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SCENARIOS: dict[str, Callable[[Path], str]] = {}


def scenario(function: Callable[[Path], str]) -> Callable[[Path], str]:
    """Record what *function* returns under its name."""
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def tls_options(cert: str = "etcd-server", key: str = "", ca: str = "ca", *, auth: bool = True) -> list[str]:
    """etcd's options for its client side, with files of the folder it runs in."""
    options = ["--cert-file", f"{cert}.crt", "--key-file", f"{key or cert}.key", "--trusted-ca-file", f"{ca}.crt"]
    return [*options, "--client-cert-auth"] if auth else options


def etcd_with(pki: Path, *options: str, client: list[str] | None = None, says: bytes = b"rejected connection") -> str:
    """Return what etcd says, from its start to a client's failure where there is a *client*, or to its own."""
    etcd = Etcd(pki, *[str(pki / word) if word.endswith((".crt", ".key")) else word for word in options])
    etcd.read_until(*SERVES)
    if client is not None and etcd.process.poll() is None:
        etcdctl(pki, etcd.port, *client)
        etcd.read_until(says)
    return etcd.ended()


def etcdctl(pki: Path, port: int, *options: str, scheme: str = "https", host: str = "127.0.0.1") -> str:
    """Return what etcdctl says."""
    return said(
        "etcdctl",
        "--debug",
        "--endpoints",
        f"{scheme}://{host}:{port}",
        "--dial-timeout=1s",
        "--command-timeout=1s",
        *options,
        "get",
        "x",
        cwd=pki,
    )


def identity(name: str, ca: str = "ca") -> list[str]:
    """etcdctl's options for a client certificate."""
    return ["--cacert", f"{ca}.crt", "--cert", f"{name}.crt", "--key", f"{name}.key"]


# ---------------------------------------------------------------- etcd


@scenario
def etcd_healthy(pki: Path) -> str:
    """From start to stop, a request in between: nothing is wrong."""
    return etcd_with(pki, *tls_options(), client=identity("admin"), says=b"no such words")


@scenario
def etcd_healthy_zap(pki: Path) -> str:
    """The same in JSON."""
    return etcd_with(pki, "--logger=zap", *tls_options(), client=identity("admin"), says=b"no such words")


@scenario
def etcd_key_mismatch(pki: Path) -> str:
    """The key of another certificate."""
    return etcd_with(pki, *tls_options(key="admin"))


@scenario
def etcd_key_mismatch_zap(pki: Path) -> str:
    """The same in JSON."""
    return etcd_with(pki, "--logger=zap", *tls_options(key="admin"))


@scenario
def etcd_missing_certificate(pki: Path) -> str:
    """A typing error in a path."""
    return etcd_with(pki, *tls_options(cert="etcd-servr"))


@scenario
def etcd_missing_ca(pki: Path) -> str:
    """A typing error in the path of the CA."""
    return etcd_with(pki, "--logger=zap", *tls_options(ca="etcd-ca"))


@scenario
def etcd_empty_certificate(pki: Path) -> str:
    """A certificate file with nothing in it."""
    return etcd_with(pki, *tls_options(cert="empty", key="etcd-server"))


@scenario
def etcd_empty_key(pki: Path) -> str:
    """A key file with nothing in it."""
    return etcd_with(pki, "--logger=zap", *tls_options(key="empty"))


@scenario
def etcd_swapped(pki: Path) -> str:
    """The certificate where the key belongs and the reverse."""
    return etcd_with(pki, "--cert-file", "etcd-server.key", "--key-file", "etcd-server.crt")


@scenario
def etcd_unreadable_key(pki: Path) -> str:
    """etcd runs as a user who may not read its key."""
    nobody = pwd.getpwnam("nobody").pw_uid
    data = pki / "nobody"
    data.mkdir(exist_ok=True)
    os.chown(data, nobody, -1)
    url = f"https://127.0.0.1:{free_port()}"
    own = ["--data-dir", str(data), "--listen-client-urls", url, "--advertise-client-urls", url]
    peer = ["--listen-peer-urls", f"http://127.0.0.1:{free_port()}"]
    files = [str(pki / word) if word.endswith((".crt", ".key")) else word for word in tls_options()]
    return said("etcd", *own, *peer, *files, cwd=data, user=nobody)


@scenario
def etcd_client_of_another_ca(pki: Path) -> str:
    """A client whose certificate another CA has signed."""
    return etcd_with(pki, *tls_options(), client=identity("stranger"))


@scenario
def etcd_client_of_another_ca_zap(pki: Path) -> str:
    """The same in JSON."""
    return etcd_with(pki, "--logger=zap", *tls_options(), client=identity("stranger"))


@scenario
def etcd_client_of_yesterdays_ca(pki: Path) -> str:
    """A client of a CA of the same name and another key."""
    return etcd_with(pki, *tls_options(), client=identity("leftover"))


@scenario
def etcd_client_without_certificate(pki: Path) -> str:
    """A client that shows none."""
    return etcd_with(pki, *tls_options(), client=["--cacert", "ca.crt"])


@scenario
def etcd_client_server_auth_only(pki: Path) -> str:
    """A client with a certificate for servers."""
    return etcd_with(pki, *tls_options(), client=identity("server-only"))


@scenario
def etcd_client_expired(pki: Path) -> str:
    """A client whose certificate has expired."""
    return etcd_with(pki, "--logger=zap", *tls_options(), client=identity("expired"))


@scenario
def etcd_client_not_yet_valid(pki: Path) -> str:
    """A client whose certificate begins in a hundred years."""
    return etcd_with(pki, *tls_options(), client=identity("future"))


@scenario
def etcd_client_distrusts(pki: Path) -> str:
    """A client that knows another CA: etcd learns only that it was refused."""
    return etcd_with(pki, *tls_options(), client=identity("admin", ca="other-ca"))


@scenario
def etcd_own_certificate_without_client_auth(pki: Path) -> str:
    """etcd's gateway connects to etcd with the server's certificate."""
    etcd = Etcd(pki, *tls_options(cert="server-only"))
    etcd.read_until(b"rejected connection", b"bad certificate", seconds=3)
    return etcd.ended()


@scenario
def etcd_plain_http_client(pki: Path) -> str:
    """A client that speaks HTTP to the HTTPS port."""
    etcd = Etcd(pki, *tls_options())
    etcd.read_until(*SERVES)
    said("curl", "-s", "-m", "2", f"http://127.0.0.1:{etcd.port}/health", cwd=pki)
    etcd.read_until(b"rejected connection")
    return etcd.ended()


@scenario
def etcd_peer_without_client_auth(pki: Path) -> str:
    """Two members whose certificates are for servers alone."""
    return two_members(pki, "server-only")


@scenario
def etcd_peer_wrong_address(pki: Path) -> str:
    """Two members whose certificates hold other addresses."""
    return two_members(pki, "elsewhere")


@scenario
def etcd_peer_of_another_ca(pki: Path) -> str:
    """One of the members has a certificate of another CA."""
    return two_members(pki, "etcd-server", "stranger")


def two_members(pki: Path, *certs: str) -> str:
    """Return what the first of two members says."""
    ports = free_port(), free_port()
    cluster = ",".join(f"m{number}=https://127.0.0.1:{port}" for number, port in enumerate(ports, 1))
    members = []
    for number, port in enumerate(ports, 1):
        cert = pki / certs[min(number, len(certs)) - 1]
        url = f"https://127.0.0.1:{port}"
        options = ["--initial-cluster", cluster, "--initial-advertise-peer-urls", url, "--listen-peer-urls", url]
        options += ["--peer-cert-file", f"{cert}.crt", "--peer-key-file", f"{cert}.key", "--peer-client-cert-auth"]
        options += ["--peer-trusted-ca-file", str(pki / "ca.crt")]
        members.append(Etcd(pki, *options, client="http", name=f"m{number}"))
    members[0].read_until(b"rejected connection", seconds=3)
    text = members[0].ended()
    members[1].ended()
    return "\n".join(text.splitlines()[:120]) + "\n"


# ---------------------------------------------------------------- etcdctl


def etcdctl_against(pki: Path, cert: str, *options: str, host: str = "127.0.0.1", scheme: str = "https") -> str:
    """Return what etcdctl says to an etcd with the certificate *cert*."""
    files = [str(pki / word) if word.endswith((".crt", ".key")) else word for word in tls_options(cert, auth=False)]
    etcd = Etcd(pki, *files)
    etcd.read_until(*SERVES)
    text = etcdctl(pki, etcd.port, *options, scheme=scheme, host=host)
    etcd.ended()
    return text


@scenario
def etcdctl_unknown_authority(pki: Path) -> str:
    """etcdctl knows another CA."""
    return etcdctl_against(pki, "etcd-server", "--cacert", "other-ca.crt")


@scenario
def etcdctl_wrong_name(pki: Path) -> str:
    """The certificate holds other addresses."""
    return etcdctl_against(pki, "elsewhere", "--cacert", "ca.crt")


@scenario
def etcdctl_no_ip_sans(pki: Path) -> str:
    """The certificate holds no address at all."""
    return etcdctl_against(pki, "names-only", "--cacert", "ca.crt")


@scenario
def etcdctl_common_name_only(pki: Path) -> str:
    """The certificate holds its name in CN alone."""
    return etcdctl_against(pki, "cn-only", "--cacert", "ca.crt", host="localhost")


@scenario
def etcdctl_expired_server(pki: Path) -> str:
    """The server's certificate has expired."""
    return etcdctl_against(pki, "expired-server", "--cacert", "ca.crt")


@scenario
def etcdctl_client_auth_only_server(pki: Path) -> str:
    """The server shows a certificate for clients."""
    return etcdctl_against(pki, "client-only-server", "--cacert", "ca.crt")


@scenario
def etcdctl_without_certificate(pki: Path) -> str:
    """etcd wants a certificate."""
    etcd = Etcd(pki, *[str(pki / word) if word.endswith((".crt", ".key")) else word for word in tls_options()])
    etcd.read_until(*SERVES)
    text = etcdctl(pki, etcd.port, "--cacert", "ca.crt")
    etcd.ended()
    return text


@scenario
def etcdctl_key_mismatch(pki: Path) -> str:
    """Key and certificate of two different people."""
    return etcdctl(pki, 1, "--cacert", "ca.crt", "--cert", "admin.crt", "--key", "stranger.key")


@scenario
def etcdctl_missing_file(pki: Path) -> str:
    """A path that leads nowhere."""
    return etcdctl(pki, 1, *identity(str(pki / "admn")))


@scenario
def etcdctl_plain_http_server(pki: Path) -> str:
    """etcd speaks HTTP, etcdctl HTTPS."""
    etcd = Etcd(pki, client="http")
    etcd.read_until(*SERVES)
    text = etcdctl(pki, etcd.port, "--cacert", "ca.crt")
    etcd.ended()
    return text


@scenario
def etcdctl_refused(pki: Path) -> str:
    """No program listens: certificates are not the cause."""
    return etcdctl(pki, free_port(), *identity("admin"))


# ---------------------------------------------------------------- kubectl


def kubeconfig(pki: Path, address: str, *, scheme: str = "https", **user: str) -> Path:
    """A kubeconfig for kubectl, in YAML's subset that is JSON."""
    path = pki / "record.kubeconfig"
    cluster = {"server": f"{scheme}://{address}"}
    if "ca" in user:
        cluster["certificate-authority"] = str(pki / user.pop("ca"))
    files = {key.replace("_", "-"): str(pki / value) for key, value in user.items()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "admin", "user": files or {"token": "none"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
    }
    path.write_text(json.dumps(document))
    return path


def kubectl(pki: Path, address: str, *words: str, scheme: str = "https", **user: str) -> str:
    """Return what kubectl says."""
    path = kubeconfig(pki, address, scheme=scheme, **user)
    words = words or ("get", "--raw", "/api/v1/namespaces/default/pods")
    return said("kubectl", "--kubeconfig", path, "--request-timeout=3s", *words, cwd=pki)


def kubectl_against(
    pki: Path, cert: str, *words: str, ca: str = "ca.crt", host: str = "", tls: str = "1.3", mutual: bool = False
) -> str:
    """Return what kubectl says to a server with the certificate *cert*."""
    with api_server(pki, cert, tls=tls, mutual=mutual) as address:
        return kubectl(pki, f"{host}:{address.split(':')[1]}" if host else address, *words, ca=ca)


@scenario
def kubectl_unknown_authority(pki: Path) -> str:
    """Another CA, with all that kubectl logs on the way."""
    return kubectl_against(pki, "kube-apiserver", "get", "pods", ca="other-ca.crt")


@scenario
def kubectl_yesterdays_ca(pki: Path) -> str:
    """A CA of the same name and another key."""
    return kubectl_against(pki, "kube-apiserver", ca="old-ca.crt")


@scenario
def kubectl_expired(pki: Path) -> str:
    """The server's certificate has expired."""
    return kubectl_against(pki, "expired-server")


@scenario
def kubectl_not_yet_valid(pki: Path) -> str:
    """The server's certificate is not valid yet."""
    return kubectl_against(pki, "future-server")


@scenario
def kubectl_wrong_name(pki: Path) -> str:
    """The server's certificate holds other addresses."""
    return kubectl_against(pki, "elsewhere")


@scenario
def kubectl_no_ip_sans(pki: Path) -> str:
    """The server's certificate holds no address."""
    return kubectl_against(pki, "names-only")


@scenario
def kubectl_common_name_only(pki: Path) -> str:
    """The server's certificate holds its name in CN alone."""
    return kubectl_against(pki, "cn-only", host="localhost")


@scenario
def kubectl_client_auth_only_server(pki: Path) -> str:
    """The server shows a certificate for clients."""
    return kubectl_against(pki, "client-only-server")


@scenario
def kubectl_issuer_not_a_ca(pki: Path) -> str:
    """A certificate that was signed by a leaf."""
    return kubectl_against(pki, "signed-by-leaf", ca="etcd-server.crt")


@scenario
def kubectl_sha1(pki: Path) -> str:
    """A signature with SHA-1."""
    return kubectl_against(pki, "sha1-server")


@scenario
def kubectl_plain_http_server(pki: Path) -> str:
    """The server speaks HTTP."""
    return kubectl_against(pki, "", tls="")


@scenario
def kubectl_http_to_https(pki: Path) -> str:
    """kubectl speaks HTTP, the server HTTPS; Go's servers answer in words."""
    etcd = Etcd(
        pki, *[str(pki / word) if word.endswith((".crt", ".key")) else word for word in tls_options(auth=False)]
    )
    etcd.read_until(*SERVES)
    text = kubectl(pki, f"127.0.0.1:{etcd.port}", scheme="http")
    etcd.ended()
    return text


@scenario
def kubectl_certificate_required(pki: Path) -> str:
    """A TLS 1.3 server that wants a certificate."""
    return kubectl_against(pki, "kube-apiserver", mutual=True)


@scenario
def kubectl_certificate_required_12(pki: Path) -> str:
    """The same with TLS 1.2."""
    return kubectl_against(pki, "kube-apiserver", mutual=True, tls="1.2")


@scenario
def kubectl_stranger(pki: Path) -> str:
    """A client certificate of another CA, in front of a server that looks."""
    with api_server(pki, mutual=True) as address:
        return kubectl(pki, address, ca="ca.crt", client_certificate="stranger.crt", client_key="stranger.key")


@scenario
def kubectl_key_mismatch(pki: Path) -> str:
    """Key and certificate of two people."""
    return kubectl(pki, "127.0.0.1:1", ca="ca.crt", client_certificate="admin.crt", client_key="stranger.key")


@scenario
def kubectl_missing_files(pki: Path) -> str:
    """All three files are not there."""
    return kubectl(pki, "127.0.0.1:1", ca="gone-ca.crt", client_certificate="gone.crt", client_key="gone.key")


@scenario
def kubectl_empty_certificate(pki: Path) -> str:
    """A client certificate with nothing in it."""
    return kubectl(pki, "127.0.0.1:1", ca="ca.crt", client_certificate="empty.crt", client_key="admin.key")


@scenario
def kubectl_rubbish_ca(pki: Path) -> str:
    """A CA file that is none."""
    return kubectl(pki, "127.0.0.1:1", ca="rubbish.crt")


@scenario
def kubectl_connection_refused(pki: Path) -> str:
    """No program listens: certificates are not the cause."""
    return kubectl(pki, f"127.0.0.1:{free_port()}", "get", "pods", ca="ca.crt")


def status(code: int, reason: str, message: str) -> tuple[str, str]:
    """An answer as the API server gives it, which kubectl puts into words."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": message,
    }
    return f"{code} {reason}", json.dumps(document)


@scenario
def kubectl_unauthorized(pki: Path) -> str:
    """The API server does not know the caller."""
    with api_server(pki, answer=status(401, "Unauthorized", "Unauthorized")) as address:
        raw = kubectl(pki, address, ca="ca.crt")
        return raw + kubectl(pki, address, "get", "pods", ca="ca.crt")


@scenario
def kubectl_anonymous(pki: Path) -> str:
    """The API server sees no certificate."""
    who, where = 'User "system:anonymous"', 'in API group "" in the namespace "default"'
    message = f'pods is forbidden: {who} cannot list resource "pods" {where}'
    with api_server(pki, answer=status(403, "Forbidden", message)) as address:
        return kubectl(pki, address, ca="ca.crt")


@scenario
def kubectl_forbidden(pki: Path) -> str:
    """The API server knows the caller, who has no rights."""
    message = 'nodes is forbidden: User "kube-admin" cannot list resource "nodes" in API group "" at the cluster scope'
    with api_server(pki, answer=status(403, "Forbidden", message)) as address:
        return kubectl(pki, address, ca="ca.crt")


@scenario
def docker_tls(pki: Path) -> str:
    """docker's client, another program in Go: a CA it does not know, a wrong name."""
    texts = []
    for cert, ca in (("kube-apiserver", "other-ca.crt"), ("elsewhere", "ca.crt")):
        with api_server(pki, cert) as address:
            files = ["--tlscacert", ca, "--tlscert", "admin.crt", "--tlskey", "admin.key"]
            texts.append(said("docker", "--tlsverify", *files, "-H", f"tcp://{address}", "version", cwd=pki))
    return "".join(texts)


# ---------------------------------------------------------------- curl and Python


CURLS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "unknown-authority": ("kube-apiserver", ["--cacert", "other-ca.crt"], {}),
    "expired": ("expired-server", ["--cacert", "ca.crt"], {}),
    "wrong-name": ("elsewhere", ["--cacert", "ca.crt"], {}),
    "certificate-required": ("kube-apiserver", ["--cacert", "ca.crt"], {"mutual": True}),
    "stranger": (
        "kube-apiserver",
        ["--cacert", "ca.crt", "--cert", "stranger.crt", "--key", "stranger.key"],
        {"mutual": True},
    ),
    "plain-http-server": ("kube-apiserver", ["--cacert", "ca.crt"], {"tls": ""}),
    "key-mismatch": ("kube-apiserver", ["--cacert", "ca.crt", "--cert", "admin.crt", "--key", "stranger.key"], {}),
    "missing-ca": ("kube-apiserver", ["--cacert", "gone-ca.crt"], {}),
    "missing-certificate": ("kube-apiserver", ["--cacert", "ca.crt", "--cert", "gone.crt", "--key", "admin.key"], {}),
}


@scenario
def curl_faults(pki: Path) -> str:
    """Each of curl's messages."""
    texts = []
    for cert, options, server in CURLS.values():
        with api_server(pki, cert, **server) as address:
            texts.append(said("curl", "-sS", "-m", "3", *options, f"https://{address}/", cwd=pki))
    return "".join(texts)


PYTHON = """
import socket, ssl, sys
ca, cert, key, name, port = sys.argv[1:]
try:
    context = ssl.create_default_context(cafile=ca)
    if cert: context.load_cert_chain(cert, key)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname=name) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n"); s.recv(1)
except OSError as error:
    print(f"{type(error).__module__}.{type(error).__qualname__}: {error}")
"""


@scenario
def python_faults(pki: Path) -> str:
    """Each of Python's messages."""
    faults: list[tuple[str, tuple[str, str, str, str], dict[str, Any]]] = [
        ("kube-apiserver", ("other-ca.crt", "", "", "127.0.0.1"), {}),
        ("kube-apiserver-chain", ("other-ca.crt", "", "", "127.0.0.1"), {}),
        ("expired-server", ("ca.crt", "", "", "127.0.0.1"), {}),
        ("elsewhere", ("ca.crt", "", "", "127.0.0.1"), {}),
        ("elsewhere", ("ca.crt", "", "", "localhost"), {}),
        ("client-only-server", ("ca.crt", "", "", "127.0.0.1"), {}),
        ("kube-apiserver", ("ca.crt", "", "", "127.0.0.1"), {"mutual": True}),
        ("kube-apiserver", ("ca.crt", "stranger.crt", "stranger.key", "127.0.0.1"), {"mutual": True}),
        ("kube-apiserver", ("ca.crt", "admin.crt", "stranger.key", "127.0.0.1"), {}),
        ("kube-apiserver", ("ca.crt", "empty.crt", "admin.key", "127.0.0.1"), {}),
        ("kube-apiserver", ("ca.crt", "", "", "127.0.0.1"), {"tls": ""}),
    ]
    texts = []
    for cert, arguments, server in faults:
        with api_server(pki, cert, **server) as address:
            texts.append(said(sys.executable, "-c", PYTHON, *arguments, address.split(":")[1], cwd=pki))
    return "".join(texts)


@scenario
def python_server_faults(pki: Path) -> str:
    """Return what a Python server says of its clients."""
    texts = []
    for client in (
        ["--cacert", "other-ca.crt"],
        ["--cacert", "ca.crt"],
        [*["--cacert", "ca.crt", "--cert", "stranger.crt", "--key", "stranger.key"]],
    ):
        with Server(("127.0.0.1", 0), Answer) as server:
            server.complaints = []
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pki / "ca.crt")
            server.context = context
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            said("curl", "-sS", "-m", "3", *client, f"https://127.0.0.1:{server.server_address[1]}/", cwd=pki)
            server.shutdown()
            texts += [f"{line}\n" for line in server.complaints]
    return "".join(texts)


# ---------------------------------------------------------------- openssl


def s_client(pki: Path, cert: str, *options: str, mutual: bool = False, tls: str = "1.3") -> str:
    """Return what s_client says, less the certificates it prints."""
    with api_server(pki, cert, mutual=mutual, tls=tls) as address:
        argv = ["openssl", "s_client", "-connect", address, "-brief", "-verify_return_error", *options]
        return said(*argv, cwd=pki, stdin="GET / HTTP/1.0\r\n\r\n")


@scenario
def openssl_s_client(pki: Path) -> str:
    """Each reason for which s_client refuses."""
    return "".join(
        (
            s_client(pki, "kube-apiserver", "-CAfile", "other-ca.crt"),
            s_client(pki, "kube-apiserver-chain", "-CAfile", "other-ca.crt"),
            s_client(pki, "self-signed", "-CAfile", "ca.crt"),
            s_client(pki, "expired-server", "-CAfile", "ca.crt"),
            s_client(pki, "future-server", "-CAfile", "ca.crt"),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", "-verify_hostname", "example.org"),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", "-verify_ip", "192.0.2.1"),
            s_client(pki, "client-only-server", "-CAfile", "ca.crt"),
            s_client(pki, "signed-by-leaf", "-CAfile", "etcd-server.crt", "-partial_chain"),
            s_client(pki, "weak-server", "-CAfile", "ca.crt", "-auth_level", "2"),
            s_client(pki, "sha1-server", "-CAfile", "ca.crt", "-auth_level", "2"),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", mutual=True),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", mutual=True, tls="1.2"),
            s_client(
                pki, "kube-apiserver", "-CAfile", "ca.crt", "-cert", "stranger.crt", "-key", "stranger.key", mutual=True
            ),
            s_client(
                pki, "kube-apiserver", "-CAfile", "ca.crt", "-cert", "expired.crt", "-key", "expired.key", mutual=True
            ),
            s_client(
                pki,
                "kube-apiserver",
                "-CAfile",
                "ca.crt",
                "-cert",
                "server-only.crt",
                "-key",
                "server-only.key",
                mutual=True,
            ),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", tls=""),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", "-tls1_1"),
            s_client(pki, "kube-apiserver", "-CAfile", "ca.crt", "-cert", "admin.crt", "-key", "stranger.key"),
            s_client(pki, "kube-apiserver", "-CAfile", "gone-ca.crt"),
        )
    )


@scenario
def openssl_s_server(pki: Path) -> str:
    """Return what s_server says of its clients."""
    texts = []
    clients: list[list[str | Path]] = [
        ["curl", "-sS", "-m", "2", "--cacert", "other-ca.crt"],
        ["curl", "-sS", "-m", "2", "--cacert", "ca.crt"],
        ["curl", "-sS", "-m", "2", "--cacert", "ca.crt", "--cert", "stranger.crt", "--key", "stranger.key"],
        ["curl", "-sS", "-m", "2", "http"],
        ["curl", "-sS", "-m", "2", "--tlsv1.1", "--tls-max", "1.1", "--cacert", "ca.crt"],
    ]
    for client in clients:
        port = free_port()
        argv = [
            "openssl",
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-cert",
            "kube-apiserver.crt",
            "-key",
            "kube-apiserver.key",
        ]
        argv += ["-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error", "-www", "-naccept", "1"]
        server = subprocess.Popen(argv, cwd=pki, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert server.stdout
        heard = ""
        while "ACCEPT" not in heard:
            heard += server.stdout.readline()
        scheme = "http" if "http" in client else "https"
        said(*[word for word in client if word != "http"], f"{scheme}://127.0.0.1:{port}/", cwd=pki)
        try:
            rest, _ = server.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            server.kill()
            rest, _ = server.communicate()
        texts.append(heard + rest)
    texts.append(said("openssl", "s_server", "-accept", "0", "-cert", "admin.crt", "-key", "stranger.key", cwd=pki))
    return "".join(texts)


@scenario
def openssl_verify(pki: Path) -> str:
    """Each reason for which verify refuses."""
    return "".join(
        said("openssl", "verify", *map(str, words), cwd=pki)
        for words in (
            ["-CAfile", "ca.crt", pki / "stranger.crt"],
            ["-CAfile", "ca.crt", pki / "leftover.crt"],
            ["-CAfile", "ca.crt", pki / "self-signed.crt"],
            ["-CAfile", "ca.crt", "-untrusted", "other-ca.crt", pki / "stranger.crt"],
            ["-CAfile", "ca.crt", pki / "expired.crt"],
            ["-CAfile", "ca.crt", pki / "future.crt"],
            ["-CAfile", "ca.crt", "-purpose", "sslclient", pki / "server-only.crt"],
            ["-CAfile", "ca.crt", "-verify_ip", "10.96.0.1", pki / "kube-apiserver.crt"],
            ["-CAfile", "ca.crt", "-verify_hostname", "kubernetes.example", pki / "kube-apiserver.crt"],
            ["-CAfile", "etcd-server.crt", pki / "signed-by-leaf.crt"],
            ["-CAfile", "gone-ca.crt", pki / "admin.crt"],
            ["-CAfile", "ca.crt", pki / "empty.crt"],
        )
    )


@scenario
def openssl_healthy(pki: Path) -> str:
    """Return what openssl prints when all is well."""
    request = [
        "openssl",
        "req",
        "-new",
        "-key",
        "admin.key",
        "-subj",
        "/CN=kube-admin/O=system:masters",
        "-out",
        "admin.csr",
    ]
    sign = [
        "openssl",
        "x509",
        "-req",
        "-in",
        "admin.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "again.crt",
    ]
    text = said("openssl", "genrsa", "-out", "again.key", "2048", cwd=pki)
    text += said(*request, cwd=pki) + said(*sign, cwd=pki)
    text += said("openssl", "verify", "-CAfile", "ca.crt", "admin.crt", cwd=pki)
    text += said("openssl", "x509", "-in", "kube-apiserver.crt", "-noout", "-text", cwd=pki)
    return text + s_client(pki, "kube-apiserver", "-CAfile", "ca.crt")


@scenario
def openssl_files(pki: Path) -> str:
    """Keys, requests and settings that openssl cannot use."""
    (pki / "bad-ip.cnf").write_text(
        "[req]\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\n[v3]\nsubjectAltName=@alt\n[alt]\nIP.1=\n"
    )
    (pki / "word-ip.cnf").write_text(
        "[req]\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\n[v3]\nsubjectAltName=@alt\n[alt]\nIP.1=controlplane01\n"
    )
    (pki / "no-section.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    (pki / "variable.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n[alt]\nIP.1=$ENV::NO_SUCH_VARIABLE\n")
    request = ["openssl", "req", "-new", "-key", "admin.key", "-subj", "/CN=kube-admin", "-out", "bad.csr", "-config"]
    sign = [
        "openssl",
        "x509",
        "-req",
        "-in",
        "admin.csr",
        "-out",
        "bad.crt",
        "-CAcreateserial",
        "-CA",
        "ca.crt",
        "-CAkey",
    ]
    said("openssl", "req", "-new", "-key", "admin.key", "-subj", "/CN=kube-admin", "-out", "admin.csr", cwd=pki)
    said("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "plain.key", cwd=pki)
    said("openssl", "ec", "-in", "plain.key", "-aes256", "-passout", "pass:right", "-out", "locked.key", cwd=pki)
    said("openssl", "pkcs8", "-topk8", "-in", "plain.key", "-passout", "pass:right", "-out", "locked8.key", cwd=pki)
    return "".join(
        (
            said(*request, "bad-ip.cnf", cwd=pki),
            said(*request, "word-ip.cnf", cwd=pki),
            said(*request, "variable.cnf", cwd=pki),
            said(*request[:6], "CN=kube-admin", *request[7:9], cwd=pki),
            said(*sign, "stranger.key", cwd=pki),
            said(*sign, "ca.key", "-extfile", "no-section.cnf", "-extensions", "v3_req", cwd=pki),
            said(*sign, "gone.key", cwd=pki),
            said(*sign, "ca.crt", cwd=pki),
            said("openssl", "x509", "-in", "gone.crt", "-noout", "-text", cwd=pki),
            said("openssl", "x509", "-in", "admin.key", "-noout", "-text", cwd=pki),
            said("openssl", "x509", "-in", "empty.crt", "-noout", "-text", cwd=pki),
            said("openssl", "rsa", "-in", "admin.crt", "-noout", "-check", cwd=pki),
            said("openssl", "req", "-in", "admin.crt", "-noout", "-text", cwd=pki),
            said("openssl", "ec", "-in", "locked.key", "-passin", "pass:wrong", "-noout", cwd=pki),
            said("openssl", "pkey", "-in", "locked8.key", "-passin", "pass:wrong", "-noout", cwd=pki),
        )
    )


def main(parts: list[str]) -> None:
    """Record the scenarios whose name holds one of *parts*; all of them where there are none."""
    with tempfile.TemporaryDirectory(prefix="kcert-record-") as folder:
        pki = Path(folder)
        pki.chmod(0o755)
        make_pki(pki)
        for name, record in SCENARIOS.items():
            if parts and not any(part in name for part in parts):
                continue
            try:
                text = record(pki)
            except FileNotFoundError as missing:
                print(f"{name}: {missing} is not here")  # noqa: T201 - a script for people
                continue
            text = text.replace(folder, "/srv/pki").replace(socket.gethostname(), "controlplane01")
            (HERE / f"{name}.log").write_text(text)
            print(f"{name}: {len(text.splitlines())} lines")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
