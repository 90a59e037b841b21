"""The way of requests to a CA on another machine and back, and the results of signing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kcert.certificates import Certificate, Kind
from kcert.issue.context import Context
from kcert.issue.external_ca import sign_by_hand, sign_by_root
from kcert.openssl.x509 import X509
from kcert.ui import print_json, print_path
from kcert.ui.console import say, say_apart, say_commands
from kcert.ui.csr import next_command


def to_be_signed(ctx: Context, certificates: Sequence[Certificate]) -> None:
    """Say how requests become certificates: signed where the CA is, fetched here."""
    known = {cert.name: cert for cert in ctx.specs}
    wanted = [known.get(cert.name, cert) for cert in certificates if cert.kind is not Kind.KEY_PAIR]
    if not wanted:
        say("Nothing to sign: every certificate exists and is current.", "good")
        return
    if all(cert.kind is Kind.CA for cert in wanted):
        _to_be_signed_by_a_root(ctx, wanted)
        return
    requests = [str(cert.files.csr) for cert in wanted]
    say_commands(
        "Next, the CA has to sign. Copy the requests and kcert.yaml, which defines the usages of each certificate, to "
        "the machine with the CA. The keys stay here.",
        ("tar", "-cf", "requests.tar", "-C", str(ctx.root), *requests),
    )
    say_commands(
        "On that machine, run (with --dir or --ca-dir for the folder of the CA):",
        ("tar", "-xf", "requests.tar"),
        ("kcert", "csr", "sign", *(word for path in requests for word in ("--file", path))),
    )
    example = wanted[0]
    if example.issuer:
        say_commands(
            f"Or by hand, with the openssl.cnf {example.files.cnf} in the same folder, for example for {example.name}:",
            sign_by_hand(example, known[example.issuer], ctx.openssl),
        )
    _ca_comes_first(ctx, [known[name] for name in dict.fromkeys(cert.issuer for cert in wanted) if name])
    _back_here(ctx, wanted)


def _ca_comes_first(ctx: Context, authorities: Sequence[Certificate]) -> None:
    """Say how the CA's certificate gets here: certificates are verified with it, and all components need it."""
    missing = [cert.files.crt for cert in authorities if cert.files.crt and not (ctx.root / cert.files.crt).exists()]
    if not missing:
        return
    say_commands(
        "First copy the CA certificate to this machine, without the key. It verifies the certificates.",
        *(("cp", str(crt), str(ctx.root / crt)) for crt in missing),
    )


def to_be_signed_again(ctx: Context, certificates: Sequence[Certificate]) -> None:
    """Say how the requests of CAs that are in use become new certificates for them."""
    crts = {cert.name: cert.files.crt for cert in ctx.specs}
    wanted = [replace(cert, files=replace(cert.files, crt=crts[cert.name])) for cert in certificates]
    _by_hand_at_the_root(ctx, wanted)
    say("Until then, the existing CA keeps signing. What it signed stays valid, because the key is the same.")


def _to_be_signed_by_a_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    _by_hand_at_the_root(ctx, wanted)
    waiting = (str(ctx.root / cert.files.csr) for cert in wanted if cert.files.csr)
    next_command(
        "Until then, `kcert all` cannot make certificates, because no CA can sign them. For a self-signed CA "
        "instead, delete its request:",
        *("rm", *waiting),
    )


def _by_hand_at_the_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say_commands(
        "Next, a root CA has to sign a CA that may sign certificates but no other CA (pathlen:0). Copy each request "
        "with its openssl.cnf to the machine with the root CA (root.crt, root.key), and run:",
        *(sign_by_root(cert, ctx.openssl) for cert in wanted),
    )
    say_apart("If the root certificate is appended to that file, kcert also makes `ca-chain.crt` from the two.")
    _back_here(ctx, wanted)


def _back_here(ctx: Context, wanted: Sequence[Certificate]) -> None:
    option = ("--dir", str(ctx.root)) if ctx.folder_option else ()
    beside = {
        cert.name: cert.files.csr.with_name(cert.files.crt.name) for cert in wanted if cert.files.csr and cert.files.crt
    }
    say_commands(
        "Then, back on this machine, fetch each certificate. It is compared with its key and its request first:",
        *(("kcert", "csr", "fetch", name, "--file", str(path), *option) for name, path in beside.items()),
    )


def signed_record(name: str, path: Path, x509: X509, *, changed: bool) -> dict[str, object]:
    """Return a certificate that was signed or fetched as JSON has it: its file, and who it makes its owner."""
    return {
        "name": name,
        "path": str(path),
        "changed": changed,
        "subject": str(x509.subject),
        "common_name": x509.subject.common_name,
        "organizations": list(x509.subject.organizations),
        "sans": [str(name) for name in x509.alt_names],
        "not_after": f"{x509.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }


class SignatureResults:
    """The results of signatures: each is shown as it comes, or all of them at the end as JSON, also after an error."""

    def __init__(self, form: str, *, quiet: bool) -> None:
        self.terse = quiet or form == "json"
        self._records: list[dict[str, object]] | None = [] if form == "json" else None

    def __enter__(self) -> SignatureResults:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def add(self, name: str, path: Path, x509: X509, show: Callable[[], None], *, changed: bool = True) -> None:
        """Add the certificate *name*, which is in the file *path*; *show* explains it."""
        if self._records is not None:
            self._records.append(signed_record(name, path, x509, changed=changed))
        elif self.terse:
            print_path(path)
        else:
            show()

    def __exit__(self, *_error: object) -> None:
        if self._records is not None:
            print_json(self._records)
