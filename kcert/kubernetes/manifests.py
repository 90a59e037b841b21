"""CertificateSigningRequests outside kcert: as manifests that are composed, read and decided, and in a cluster.

kubectl talks to the cluster; its failures are put into words that say what to do.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from kcert import plain_yaml
from kcert.certificates import Certificate
from kcert.errors import InputError, KcertError, ProgramError, UnansweredError, sentence
from kcert.files import LARGEST_DOCUMENT, open_at_once
from kcert.kubernetes import FAILURES, signers
from kcert.kubernetes.csr_requests import check_signer
from kcert.kubernetes.signing_request import (
    SigningRequest,
    check_expires,
    check_usages,
    is_pem,
    object_name,
    parse,
    read_asked,
    signer_trouble,
    text,
)
from kcert.quoting import format_command, quote
from kcert.shell import Command, Reading, find, read
from kcert.store import PUBLIC_MODE, Workspace, atomic


def contents(path: Path) -> bytes:
    """Return the content of a file, or a little more than LARGEST_DOCUMENT of it; InputError if it is unreadable."""
    try:
        with open_at_once(path) as file:
            return file.read(LARGEST_DOCUMENT + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def load(path: Path) -> SigningRequest:
    """Return the object in the manifest at *path*; raises InputError if there is none."""
    return parse(contents(path), str(path))


def by_hand(
    path: Path, csr: SigningRequest, field: Literal["request", "certificate"], folder: Path | None = None
) -> str:
    """Return the bash command, typed in *folder* (None: here), that prints a field of *csr*, the manifest at *path*.

    Empty if the manifest does not have the field on one line, or is a bare request.
    """
    content = csr.request if field == "request" else csr.certificate or b""
    prefix = f"{field}: "
    if csr.document is None:
        return ""
    lines = [line.lstrip(" ") for line in contents(path).decode("utf-8", "replace").split("\n")]
    if [line for line in lines if line.startswith(prefix)] != [prefix + base64.b64encode(content).decode("ascii")]:
        return ""  # sed would print something else: a comment or an annotation may have such a line, too
    named = path if folder is None else Path(os.path.relpath(path, folder))
    return f"sed -n 's/^ *{field}: //p' {quote(str(named))} | base64 -d"


@dataclass(frozen=True)
class ObjectOptions:
    """The options that an object is made with; None and empty leave it to the request."""

    signer: str | None = None
    usages: tuple[str, ...] = ()
    expires: int | None = None
    name: str | None = None


def object_name_of(certificate: Certificate) -> str:
    """Return the usual name of the object of *certificate*: that of its request."""
    assert certificate.files.csr
    return certificate.files.csr.stem


def compose(
    root: Path, certificate: Certificate, options: ObjectOptions, openssl: str, option: str = ""
) -> SigningRequest:
    """Return the object for the request of *certificate* in the PKI folder *root*, for which commands need *option*.

    Raises InputError for a request that is none, and for *options* that the API server would not take.
    """
    assert certificate.files.csr
    path = root / certificate.files.csr
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: `kcert csr new {quote(certificate.name)}{option}` creates key and request."
        )
    content = contents(path)
    request = read_asked(openssl, content, str(path))
    name = options.name or object_name_of(certificate)
    if why := object_name(name):
        raise InputError(f"{name!a} cannot be the name of an object of Kubernetes: {why}. Give it another with --name.")
    signer = signers.full_name(options.signer) if options.signer else signers.fitting(request)
    if why := signer_trouble(signer):
        raise InputError(f"--signer {signer!a}: {why}.")
    check_signer(certificate, signer)
    played = signers.SIGNERS.get(signer, signers.SIGNERS[signers.CLIENT])
    usages = options.usages or played.usages(request.public_key.algorithm)
    if options.expires is not None:
        check_expires(options.expires, "--expires")
    return SigningRequest(
        name=name,
        request=content,
        signer=signer,
        usages=check_usages(list(usages), "--usage"),
        expires=options.expires,
        source=str(path),
    )


def write(
    root: Path, csr: SigningRequest, output: Path | None, waits: Callable[[str], None]
) -> tuple[Path, SigningRequest | None]:
    """Write the manifest into the PKI folder *root*, where what it replaces is backed up, or to *output*.

    Return its path, and what is there already if that is the same request: it stays, with all that was decided.
    """
    content = text(csr).encode("utf-8")
    if output is not None:
        atomic.create_file(output, content, PUBLIC_MODE)
        return output, None
    name = PurePosixPath(f"{csr.name}-csr.yaml")
    with Workspace.open(root, "kcert csr manifest", waits) as workspace:
        existing = _there(root / name)
        if existing and _spec(existing) == _spec(csr):
            return root / name, existing
        staging = workspace.stage((), (name,))
        staging.write(name, content)
        workspace.publish(staging, (name,), ())
    return root / name, None


def usages_asked(root: Path, name: str) -> tuple[str, ...] | None:
    """Return the usages that the manifest of the object *name* in *root* asks for; None if there is no manifest."""
    existing = _there(root / f"{name}-csr.yaml")
    return existing.usages if existing else None


def _there(path: Path) -> SigningRequest | None:
    try:
        return load(path) if path.is_file() else None
    except InputError:
        return None  # whatever that is, it is backed up


def _spec(csr: SigningRequest) -> tuple[object, ...]:
    return csr.name, csr.request, csr.signer, csr.usages, csr.expires


def named(root: Path, name: str, option: str = "") -> Path:
    """Return the manifest that *name* means: a file, or the one in the PKI folder that was made for it."""
    path = Path(name)
    if "/" in name or path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return path
    made = root / f"{name.replace(':', '-')}-csr.yaml"
    if not made.is_file():
        raise InputError(f"{made} does not exist: `kcert csr manifest {quote(name)}{option}` writes it.")
    return made


def looked_at(path: Path) -> SigningRequest:
    """Return the object of a manifest, or one for a bare request."""
    content = contents(path)
    if is_pem(content):
        return SigningRequest(name=path.stem, request=content, signer="", usages=(), source=str(path))
    return parse(content, str(path))


def looked_up(argv: tuple[str, ...], name: str) -> SigningRequest:
    """Return the object that kubectl prints."""
    return parse(kubectl(argv).stdout, f"the object {name}")


def decide(path: Path, decision: Callable[[SigningRequest], SigningRequest]) -> tuple[SigningRequest, SigningRequest]:
    """Put a *decision* into the manifest at *path*; return the object before it and after it."""
    before = load(path)
    after = decision(before)
    if after != before:
        atomic.edit_file(path, text(after).encode("utf-8"))
    return before, after


PROGRAM = "kubectl"


@dataclass(frozen=True)
class Cluster:
    """The cluster that kubectl connects to, if the user named one: a kubeconfig, a context."""

    kubeconfig: str | None = None
    context: str | None = None

    def command(self, *words: str) -> tuple[str, ...]:
        """The command line that does *words* there."""
        named = (("--kubeconfig", self.kubeconfig), ("--context", self.context))
        return (PROGRAM, *words, *(part for option, value in named if value for part in (option, value)))


def kubectl(argv: tuple[str, ...]) -> Reading:
    """Run a command line of kubectl for what it prints.

    Raises UnansweredError where kubectl is missing or finds no cluster, and ProgramError where it fails otherwise,
    with what can be done about it.
    """
    if find(PROGRAM) is None:
        raise UnansweredError(
            "kubectl is not installed, and kcert connects to a cluster through it. Install it, or work without "
            "a cluster: approve, deny, sign and fetch take --file FILE."
        )
    reading = read(Command(argv, asks=True))  # a plugin of the kubeconfig may ask who the user is
    if not reading.succeeded:
        raise failure(argv, reading)
    return reading


def failure(argv: tuple[str, ...], reading: Reading) -> KcertError:
    """Return what a failed command of kubectl comes to."""
    lines = [line.strip() for line in reading.stderr.splitlines() if line.strip()]
    message = next((line for line in reversed(lines) if "rror" in line or ":" in line), lines[-1] if lines else "")
    known = [cause for cause in plain_yaml.load(FAILURES.read_bytes())["kubectl"] if cause["says"] in reading.stderr]
    advice = known[0]["advice"] if known else ""
    what = f"`{format_command(argv[:3])}` failed with status {reading.status}"
    message = ascii(message)[1:-1]
    kind = UnansweredError if any("unanswered" in cause for cause in known) else ProgramError
    return kind(f"{what}: {sentence(message)} {advice}".strip())
