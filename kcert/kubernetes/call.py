"""A call of the API with curl: the command, what came back, and what a failure of TLS means."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kcert import plain_yaml, profiles, shell
from kcert.errors import InputError, ProgramError
from kcert.issue.context import Context
from kcert.kubeconfig import read_command
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
    """One request: who asks, with files of the PKI folder *root*, which server, and for what."""

    root: Path
    credentials: Credentials
    server: str
    path: str

    @property
    def user(self) -> str:
        """Return the user that the API server will see."""
        subject = self.credentials.certificate.subject
        assert subject
        groups = f" ({', '.join(subject.organizations)})" if subject.organizations else ""
        return f"{subject.common_name}{groups}"

    @property
    def kubeconfig(self) -> PurePosixPath | None:
        """The kubeconfig where certificate and key are in one alone."""
        return self.credentials.certificate.files.kubeconfig

    def argv(self, cert: str | None = None, key: str | None = None) -> tuple[str, ...]:
        """Return the command line of curl; *cert* and *key* are other paths than those in the PKI folder."""
        # curl reads a passphrase after a colon in --cert (its manual).
        crt = str(self.root / self.credentials.crt).replace("\\", "\\\\").replace(":", "\\:")
        begin, end = self._around
        return (*begin, "--cert", cert or crt, "--key", key or str(self.root / self.credentials.key), *end)

    @property
    def script(self) -> str | None:
        """The call in bash for a key that is in a kubeconfig alone: it is decoded into a pipe, never into a file."""
        if self.kubeconfig is None:
            return None
        crt, key = (
            f"<({format_command(read_command(self.root / self.kubeconfig, part))} | openssl base64 -d -A)"
            for part in ("client-certificate", "client-key")
        )
        begin, end = map(format_command, self._around)
        return f"{begin} \\\n    --cert {crt} \\\n    --key {key} \\\n    {end}"

    @property
    def _around(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words of the command line before and after certificate and key."""
        limits = ("--max-time", str(SECONDS), "--limit-rate", RATE)
        url = f"{self.server.rstrip('/')}{self.path}"
        # Brackets are an address here, or part of a name, never a range.
        glob = ("--globoff",) if "[" in url else ()
        begin = ("curl", "--silent", "--show-error", *limits, "--cacert", str(self.root / self.credentials.ca))
        return begin, (*glob, "--write-out", "\\n%{http_code}", url)


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
    return Call(ctx.root, client, server, path)


def run(api_call: Call) -> Answer:
    """Run the command; raises ProgramError, with the failure explained, where no answer came."""
    if shell.find("curl") is None:
        raise ProgramError("curl is not installed, or not in PATH. Install it, or use kubectl with a kubeconfig.")
    with contextlib.ExitStack() as pipes:
        argv, descriptors = api_call.argv(), tuple[int, ...]()
        if api_call.kubeconfig:
            client = api_call.credentials
            crt, key = descriptors = tuple(
                pipes.enter_context(_pipe(client.contents[path])) for path in (client.crt, client.key)
            )
            argv = api_call.argv(f"/dev/fd/{crt}", f"/dev/fd/{key}")
        command = shell.Command(argv, limit=SECONDS + _GRACE, asks=True, descriptors=descriptors)
        reading = shell.read(command)
    if not reading.succeeded:
        lines = [ascii(line)[1:-1] for line in reading.stderr.splitlines() if line.startswith("curl:")]
        reported = lines[-1].rstrip(".") if lines else f"curl ended with status {reading.status}"
        raise ProgramError(f"{reported}. {explained(api_call, reading.status, reading.stderr)}")
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


def explained(api_call: Call, status: int, message: str) -> str:
    """Return what the *status* and the *message* of curl mean, and what to do about it."""
    for cause in plain_yaml.load(FAILURES.read_bytes())["curl"]:
        if status in cause["statuses"] and re.search(cause.get("pattern", ""), message, re.IGNORECASE):
            client = api_call.credentials
            return str(cause["advice"]).format(
                address=address_of(api_call.server),
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
