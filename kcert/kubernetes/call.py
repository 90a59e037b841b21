"""A call of the API with curl: the command, what came back, and what a failure of TLS means."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kcert import plain_yaml, profiles, shell
from kcert.errors import InputError, ProgramError
from kcert.issue.context import Context
from kcert.kubeconfig import Part, read_command
from kcert.kubernetes import FAILURES, credentials
from kcert.kubernetes.credentials import Credentials, address_of, server_url
from kcert.quoting import format_command

SECONDS = 15
"""curl gives up after this time; a healthy API server answers at once."""

RATE = "2M"
"""Bytes per second that curl reads at most: a body without end is cut off at SECONDS times this, not by the memory."""

_GRACE = 5.0
"""Seconds more that curl gets to say that it gave up."""

_PATH = re.compile(r"/[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*")


@dataclass(frozen=True)
class Call:
    """One request: who asks, where, and the command that does it.

    ``script`` is what one types in bash. ``argv`` is what that runs: where certificate and key are in a kubeconfig
    alone, both reach curl through pipes, and /dev/fd/{crt} and /dev/fd/{key} in it are the names of these.
    """

    credentials: Credentials
    server: str
    path: str
    argv: tuple[str, ...]
    script: str | None = None  # None: argv itself

    @property
    def user(self) -> str:
        """Return the user that the API server will see."""
        subject = self.credentials.certificate.subject
        assert subject
        groups = ", ".join(subject.organizations)
        return f"{subject.common_name} ({groups})" if groups else subject.common_name

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return address_of(self.server)


@dataclass(frozen=True)
class Answer:
    """The answer of the server: the HTTP status and the body."""

    status: int
    body: bytes


def call(ctx: Context, name: str, path: str, server: str | None = None) -> Call:
    """The call of *path* as *name*, at *server* or where that certificate's kubeconfig would go.

    Raises InputError for a path, a server or a name that is none, and a certificate that will not do.
    """
    if not _PATH.fullmatch(path):
        raise InputError(f"{path!a} is not an API path; a path begins with / (/version, /api/v1/namespaces).")
    server = None if server is None else server_url(server)
    known = (*ctx.known.values(), *credentials.users(ctx))
    matches = credentials.named(ctx, name, (spec for spec in known if spec.kind.is_client))
    if len(matches) > 1:
        raise InputError(f"{name} can be {' or '.join(cert.name for cert in matches)}: specify one of them.")
    client = credentials.credentials(ctx, matches)[0]
    profile = profiles.PROFILES[ctx.cluster.profile]
    server = server or profile.server(ctx.cluster, matches[0]) or ctx.cluster.endpoint
    url = f"{server.rstrip('/')}{path}"
    if matches[0].files.kubeconfig:
        cert, key = _CRT, _KEY
        script = _script(ctx.root, client, url)
    else:
        cert, key = _curl_file(ctx.root / client.crt), str(ctx.root / client.key)
        script = None
    argv = (*_curl(ctx.root, client), "--cert", cert, "--key", key, *_rest(url))
    return Call(client, server, path, argv, script)


_CRT, _KEY = "/dev/fd/{crt}", "/dev/fd/{key}"


def _curl(root: Path, client: Credentials) -> tuple[str, ...]:
    return ("curl", "--silent", "--show-error", *_LIMITS, "--cacert", str(root / client.ca))


_LIMITS = ("--max-time", str(SECONDS), "--limit-rate", RATE)


def _rest(url: str) -> tuple[str, ...]:
    # Brackets are an address here, or part of a name, never a range.
    glob = ("--globoff",) if "[" in url else ()
    return (*glob, "--write-out", "\\n%{http_code}", url)


def _curl_file(path: Path) -> str:
    """Return a path for --cert, which reads a passphrase after a colon (curl's manual)."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


def _script(root: Path, client: Credentials, url: str) -> str:
    """Return the call in bash for a key that is in a kubeconfig alone: it is decoded into a pipe, never into a file."""
    file = client.certificate.files.kubeconfig
    assert file

    def taken(field: Part) -> str:
        return f"<({format_command(read_command(root / file, field))} | openssl base64 -d -A)"

    begin, end = format_command(_curl(root, client)), format_command(_rest(url))
    return f"{begin} \\\n    --cert {taken('client-certificate')} \\\n    --key {taken('client-key')} \\\n    {end}"


def run(api_call: Call) -> Answer:
    """Run the command; raises ProgramError, with the failure explained, where no answer came."""
    if shell.find("curl") is None:
        raise ProgramError("curl is not installed, or not in PATH. Install it, or use kubectl with a kubeconfig.")
    with contextlib.ExitStack() as pipes:
        argv, descriptors = api_call.argv, tuple[int, ...]()
        if api_call.script is not None:
            client = api_call.credentials
            crt, key = descriptors = tuple(
                pipes.enter_context(_pipe(client.contents[path])) for path in (client.crt, client.key)
            )
            argv = tuple({_CRT: f"/dev/fd/{crt}", _KEY: f"/dev/fd/{key}"}.get(word, word) for word in argv)
        command = shell.Command(argv, limit=SECONDS + _GRACE, asks=True, descriptors=descriptors)
        reading = shell.read(command)
    if not reading.succeeded:
        raise ProgramError(_failure(api_call, reading.status, reading.stderr))
    body, _, status = reading.stdout.rpartition(b"\n")
    return Answer(int(status) if status.isdigit() else 0, body)


@contextlib.contextmanager
def _pipe(content: bytes) -> Iterator[int]:
    """Give the reading end of a pipe that holds *content*; raises InputError if that is too much for one."""
    reader, writer = os.pipe()
    try:
        try:
            os.set_blocking(writer, False)  # nothing reads it yet
            if os.write(writer, content) < len(content):
                raise InputError(f"the client certificate has {len(content)} bytes, which is too much for a pipe.")
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _failure(api_call: Call, status: int, message: str) -> str:
    lines = [ascii(line)[1:-1] for line in message.splitlines() if line.startswith("curl:")]
    reported = lines[-1].rstrip(".") if lines else f"curl ended with status {status}"
    return f"{reported}. {explained(api_call, status, message)}"


def explained(api_call: Call, status: int, message: str) -> str:
    """Return what the *status* and the *message* of curl mean, and what to do about it."""
    for cause in plain_yaml.load(FAILURES.read_bytes())["curl"]:
        if status in cause["statuses"] and re.search(cause.get("pattern", ""), message, re.IGNORECASE):
            client = api_call.credentials
            return str(cause["advice"]).format(
                address=api_call.address,
                seconds=SECONDS,
                name=client.certificate.name,
                ca=client.ca,
                crt=client.crt,
                key=client.key,
            )
    return "kcert does not recognize this failure; `curl --verbose` shows each step."


def meaning(status: int) -> str:
    """Return the meaning of an HTTP status that is not a success; empty if it is not known."""
    return str(plain_yaml.load(FAILURES.read_bytes())["http"].get(status, ""))
