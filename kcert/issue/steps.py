"""The steps that make a certificate, each one record: lesson, script, history and executor read the same.

Paths are relative to the PKI folder, in which a reader would type the commands.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kcert.certificates import Certificate, Kind, chain_of
from kcert.errors import InputError
from kcert.files import LARGEST_DOCUMENT, read_regular
from kcert.kubeconfig import (
    Kubeconfig,
    Part,
    Swap,
    embedded_data,
    kubeconfigs_in,
    opened,
    read_command,
    swapped,
    write_commands,
)
from kcert.openssl import commands
from kcert.openssl.pem import pem_blocks
from kcert.openssl.x509 import X509
from kcert.quoting import WIDTH, format_command, here_document, quote
from kcert.shell import DEFAULT_TIMEOUT
from kcert.store import Staging

SECONDS_FOR_LONG_KEYS = 900.0
"""Primes for 8192 bits can take minutes, and how many is chance."""

_Place = tuple[PurePosixPath, str]
"""A kubeconfig, and the base64 that is embedded in it."""


@dataclass(frozen=True)
class Step:
    """One step: a command (``argv``), or an action of kcert (``perform``, in a staging folder and its PKI folder).

    ``action`` is the topic of the lesson that gives the reason. ``script`` contains bash lines with the same effect,
    for a step that ``argv`` does not describe; ``summary`` and ``preview`` are what a lesson prints. ``makes`` are the
    files that it creates: with ``secret`` they contain a private key; with ``scratch`` only later steps need them; with
    ``late`` they are written after the certificate was checked, because other certificates change the same file.
    ``reads`` are the files of the folder that ``script`` needs. ``limit`` is in seconds.
    """

    action: str
    makes: tuple[PurePosixPath, ...] = ()
    argv: tuple[str, ...] = ()
    summary: str = ""
    preview: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    perform: Callable[[Staging, Path], None] | None = None
    secret: bool = False
    scratch: bool = False
    late: bool = False
    reads: tuple[PurePosixPath, ...] = ()
    limit: float = DEFAULT_TIMEOUT

    @property
    def shell(self) -> tuple[str, ...]:
        """The bash lines that do the same."""
        return self.script or (format_command(self.argv, WIDTH),)


def generate_key(certificate: Certificate, openssl: str) -> Step:
    """Generate the private key of *certificate*."""
    key, out = certificate.key, certificate.files.key
    argv = commands.private_key(openssl, key, out, passphrase=certificate.passphrase)
    limit = SECONDS_FOR_LONG_KEYS if key.algorithm == "rsa" and key.bits > 4096 else DEFAULT_TIMEOUT
    return Step("key", (out,), argv, secret=True, limit=limit)


def key_pair(certificate: Certificate, openssl: str, *, keeps_key: bool = False) -> tuple[Step, ...]:
    """Generate a bare key pair; with *keeps_key* only its public half is written."""
    files = certificate.files
    assert files.public_key
    argv = commands.public_key(openssl, files.key, files.public_key, algorithm=certificate.key.algorithm)
    public = Step("public-key", (files.public_key,), argv)
    return (public,) if keeps_key else (generate_key(certificate, openssl), public)


def write_config(path: PurePosixPath, text: str) -> Step:
    """Write the openssl.cnf that the commands after it read."""
    return Step(
        "settings",
        (path,),
        summary=str(path),
        preview=tuple(text.splitlines()),
        script=here_document(quote(str(path)), text),
        perform=lambda staging, _root: staging.write(path, text),
    )


def request(
    certificate: Certificate, openssl: str, cnf: str, *, keeps_key: bool = False, again: bool = False
) -> tuple[Step, ...]:
    """Make the signing request of *certificate*: its key unless that is kept, its openssl.cnf *cnf*, the request.

    With *again* it is made from the certificate that is there: with its subject, byte for byte.
    """
    files, passphrase, csr = certificate.files, certificate.passphrase, certificate.csr
    assert files.cnf
    if again:
        argv = commands.request_again(openssl, certificate.crt, files.key, csr, passphrase=passphrase)
    else:
        subject = str(certificate.subject)
        argv = commands.request(openssl, files.key, subject, csr, cnf=files.cnf, passphrase=passphrase)
    return (
        *(() if keeps_key else (generate_key(certificate, openssl),)),
        write_config(files.cnf, cnf),
        Step("request-again" if again else "request", (csr,), argv),
    )


def sign(certificate: Certificate, issuer: Certificate, openssl: str, days: int, *, serial: str = "") -> Step:
    """Sign the request of *certificate* with the CA *issuer*, which may be itself, and then can keep its *serial*."""
    ca, cnf = None if issuer is certificate else issuer.crt, certificate.files.cnf
    assert cnf
    argv = commands.signature(
        *(openssl, certificate.csr, certificate.crt, days, cnf),
        key=issuer.files.key,
        ca=ca or "",
        passphrase=issuer.passphrase,
        serial=f"0x{serial}" if serial and not ca else "",
    )
    return Step("signature" if ca else "self-signature", (certificate.crt,), argv)


def verify(openssl: str, issuer: Certificate, *crts: PurePosixPath) -> Step:
    """Check that the CA *issuer* has signed each of *crts*."""
    return Step("verify", argv=commands.verification(openssl, issuer, *crts))


def copy_first(openssl: str, source: PurePosixPath, target: PurePosixPath) -> Step:
    """Write the first certificate of the file *source*, and nothing else, into *target*."""
    return Step("one-authority", (target,), commands.copy(openssl, source, target))


def concatenate(action: str, target: PurePosixPath, *parts: PurePosixPath) -> Step:
    """Write *parts* into one file, one after the other; with a single part, this is a copy."""

    def perform(staging: Staging, _root: Path) -> None:
        staging.write(target, b"".join(_with_line_end(staging.path(part).read_bytes()) for part in parts))

    joined = " and, after it, ".join(map(str, parts))
    return Step(
        action,
        (target,),
        summary=f"{target}, {'made of' if len(parts) > 1 else 'a copy of'} {joined}",
        preview=(f"cp {quote(str(parts[0]))} {quote(str(target))}",) if len(parts) == 1 else (),
        script=(f"cat {' '.join(quote(str(part)) for part in parts)} > {quote(str(target))}",),
        perform=perform,
        reads=parts,
    )


def save_issued(target: PurePosixPath, pem: bytes) -> Step:
    """Write the certificate *pem*, which was signed elsewhere: no script can repeat that with new keys."""
    return Step("fetch", (target,), perform=lambda staging, _root: staging.write(target, pem))


def append_certificates(target: PurePosixPath, pems: tuple[str, ...]) -> Step:
    """Append certificates (PEM) to the file *target*, as a chain is presented: the first certificate is the owner's."""
    text = "".join(pem if pem.endswith("\n") else f"{pem}\n" for pem in pems)

    def perform(staging: Staging, _root: Path) -> None:
        with staging.path(target).open("ab") as file:
            file.write(text.encode("ascii"))

    begin, *rest = here_document(quote(str(target)), text)
    return Step(
        "chain",
        (target,),
        summary=f"{target}, with the new certificate followed by the {len(pems)} other certificates of the old file",
        script=(begin.replace("cat >", "cat >>", 1), *rest),
        perform=perform,
    )


def _with_line_end(content: bytes) -> bytes:
    return content if content.endswith(b"\n") else content + b"\n"


def chain(certificate: Certificate, issuer: Certificate | None) -> tuple[Step, ...]:
    """For a CA that *issuer* signed: write the file that has both, for programs that trust roots alone."""
    if certificate.kind is not Kind.CA or issuer is None or issuer is certificate:
        return ()
    return (concatenate("chain", chain_of(certificate.crt), certificate.crt, issuer.crt),)


def kubeconfig_for(certificate: Certificate, issuer: Certificate, cluster_name: str) -> Kubeconfig:
    """Return the kubeconfig that holds *certificate*: its user has the name that the API server takes from it."""
    assert certificate.subject
    return Kubeconfig(
        cluster=cluster_name,
        server=certificate.server,
        user=certificate.subject.common_name,
        context=f"{certificate.name}@{cluster_name}",  # contexts of several clusters fit into one file
        ca=issuer.crt,
        crt=certificate.crt,
        key=certificate.files.key,
    )


def write_kubeconfig(certificate: Certificate, issuer: Certificate, cluster_name: str) -> Step:
    """Write the kubeconfig of *certificate* with key and certificate inside; the loose files are deleted after it."""
    path, kubeconfig = certificate.files.kubeconfig, kubeconfig_for(certificate, issuer, cluster_name)
    assert path

    def perform(staging: Staging, _root: Path) -> None:
        staging.write(path, kubeconfig.embedded(staging.base64_of), secret=True)

    inside = kubeconfig.embedded(lambda name: f"$(base64 < {quote(str(name))} | tr -d '\\n')").rstrip("\n")
    return Step(
        "kubeconfig",
        (path,),
        summary=str(path),
        preview=tuple(kubeconfig.embedded(lambda name: f"<{name} in base64>").splitlines()),
        script=(f"cat > {quote(str(path))} <<EOF", inside, "EOF"),
        perform=perform,
        secret=True,
        reads=(kubeconfig.ca, kubeconfig.crt, kubeconfig.key),
    )


def extract(target: PurePosixPath, source: PurePosixPath, part: Part) -> Step:
    """Write key or certificate of the kubeconfig *source* into a file, so that a command can read it."""

    def perform(staging: Staging, root: Path) -> None:
        inside = opened(read_regular(root / source))
        if inside is None:
            raise InputError(f"{root / source} was changed while it was being renewed.")
        staging.write(target, inside.key if part == "client-key" else inside.crt, secret=True)

    data = format_command(read_command(source, part))
    return Step(
        "take-out",
        (target,),
        summary=f"{target}, out of {source} ({part}-data, which is base64)",
        script=(f"{data} | base64 -d > {quote(str(target))}",),
        perform=perform,
        secret=True,
        scratch=True,
        reads=(source,),
    )


def update_kubeconfigs(contents: Mapping[PurePosixPath, bytes], swaps: tuple[Swap, ...]) -> Step:
    """Put new files in the place of old ones inside kubeconfigs, given with their *contents*; nothing else changes."""
    paths = tuple(contents)

    def perform(staging: Staging, root: Path) -> None:
        for path in paths:
            staging.write(path, swapped(read_regular(root / path), swaps, staging.base64_of), secret=True)

    commands = (argv for path, content in contents.items() for argv in write_commands(path, content, swaps))
    has = "has" if len(paths) == 1 else "have"
    return Step(
        "rewrite",
        paths,
        summary=f"{', '.join(map(str, paths))} {has} the old file inside, and get{'s' * (len(paths) == 1)} the new one",
        preview=tuple(f"{swap.part}-data: <{swap.new} in base64>" for swap in swaps),
        script=tuple(format_command(argv, WIDTH) for argv in commands),
        perform=perform,
        secret=True,
        late=True,
        reads=(*paths, *(swap.new for swap in swaps)),
    )


class Kubeconfigs:
    """The kubeconfigs of the PKI folder *root*, with what is embedded in them; what cannot be read is none."""

    def __init__(self, root: Path) -> None:
        self._contents: dict[PurePosixPath, bytes] = {}
        self._places: dict[tuple[Part, str], list[_Place]] = {}  # by the hash of what is there
        for path in kubeconfigs_in(root):
            with contextlib.suppress(OSError):
                name, content = PurePosixPath(path.relative_to(root)), read_regular(path, LARGEST_DOCUMENT)
                self._contents[name] = content
                for part, token in embedded_data(content):
                    for digest in _digests(part, token):
                        self._places.setdefault((part, digest), []).append((name, token))

    def of_leaf(
        self, certificate: Certificate, old: X509 | None, old_key: bytes | None, *, rewrites_own: bool
    ) -> tuple[Step, ...]:
        """Return the step that updates the kubeconfigs with *old* inside when *certificate* replaces it.

        *old_key* is the key that goes (None: it stays); with *rewrites_own* its own kubeconfig is written otherwise.
        """
        crts = self._with("client-certificate", [old.sha256] if old else [])
        crts = [pair for pair in crts if not (rewrites_own and pair[0] == certificate.files.kubeconfig)]
        paths = dict.fromkeys(path for path, _ in crts)
        keys = self._with("client-key", _digests("client-key", base64.b64encode(old_key or b"").decode()))
        keys = [pair for pair in keys if pair[0] in paths]
        return self._update(
            paths, ("client-certificate", crts, certificate.crt), ("client-key", keys, certificate.files.key)
        )

    def of_ca(self, certificate: Certificate, old: Iterable[X509]) -> tuple[Step, ...]:
        """Return the step that updates the kubeconfigs when the file of a CA changes, in which *old* were."""
        cas = self._with("certificate-authority", [x509.sha256 for x509 in old])
        return self._update(sorted({path for path, _ in cas}), ("certificate-authority", cas, certificate.crt))

    def _with(self, part: Part, digests: Iterable[str]) -> list[_Place]:
        return [pair for digest in digests for pair in self._places.get((part, digest), ())]

    def _update(
        self, paths: Iterable[PurePosixPath], *parts: tuple[Part, list[_Place], PurePosixPath]
    ) -> tuple[Step, ...]:
        contents = {path: self._contents[path] for path in paths}
        tokens = ((part, tuple(dict.fromkeys(token for _, token in places)), new) for part, places, new in parts)
        swaps = tuple(Swap(part, old, new) for part, old, new in tokens if old)
        return (update_kubeconfigs(contents, swaps),) if contents else ()


def _digests(part: Part, token: str) -> list[str]:
    """Return the SHA-256 of each thing in *token*; of a client's certificates, only the first is the client's own."""
    try:
        content = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return []
    wanted = [
        block for block in pem_blocks(content) if (block.is_key if part == "client-key" else block.is_certificate)
    ]
    hashed = [hashlib.sha256(block.der).hexdigest() for block in wanted if block.der]
    return hashed if part == "certificate-authority" else hashed[:1]
