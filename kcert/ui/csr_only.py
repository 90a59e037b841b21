"""How requests become certificates where the CA is on another machine, after --csr-only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.kubernetes import csr_requests
from kcert.ui.console import command_line, say, screen
from kcert.ui.csr import next_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcert.certificates import Certificate
    from kcert.issue.context import Context


def to_be_signed(ctx: Context, asked: Sequence[Certificate]) -> None:
    """Say how requests become certificates: signed where the CA is, fetched here."""
    known = {cert.name: cert for cert in ctx.specs}
    wanted = [known.get(cert.name, cert) for cert in asked if cert.kind is not Kind.KEY_PAIR]
    if not wanted:
        say("There is nothing to sign: every certificate is there, and current.", "good")
        return
    if all(cert.kind is Kind.CA for cert in wanted):
        _to_be_signed_by_a_root(ctx, wanted)
        return
    requests = [str(cert.files.csr) for cert in wanted]
    say(
        "Now the CA has to sign. Bring the requests to the machine that has it, and kcert.yaml, which says what each "
        "may be used for. Keys stay here."
    )
    screen().print()
    command_line(("tar", "-cf", "requests.tar", "-C", str(ctx.root), *requests))
    screen().print()
    say("There (with --dir, or --ca-dir, for where the CA is); each certificate is then beside its request:")
    screen().print()
    command_line(("tar", "-xf", "requests.tar"))
    command_line(("kcert", "csr", "sign", *(word for path in requests for word in ("--file", path))))
    screen().print()
    example = wanted[0]
    if example.issuer:
        say(f"Or by hand, with its config {example.files.cnf} beside it; {example.name}, for example:")
        screen().print()
        command_line(csr_requests.manual(example, known[example.issuer], ctx.openssl))
        screen().print()
    _ca_comes_first(ctx, [known[name] for name in dict.fromkeys(cert.issuer for cert in wanted) if name])
    _back_here(ctx, wanted)


def _ca_comes_first(ctx: Context, cas: Sequence[Certificate]) -> None:
    """Say how the CA's certificate gets here: certificates are verified with it, and all components need it."""
    missing = [cert.files.crt for cert in cas if cert.files.crt and not (ctx.root / cert.files.crt).exists()]
    if not missing:
        return
    say("The CA's certificate has to come here first, without its key: by it certificates are checked.")
    screen().print()
    for crt in missing:
        command_line(("cp", str(crt), str(ctx.root / crt)))
    screen().print()


def to_be_signed_again(ctx: Context, asked: Sequence[Certificate]) -> None:
    """Say how the requests of CAs that are in use become new certificates for them."""
    crts = {cert.name: cert.files.crt for cert in ctx.specs}
    wanted = [replace(cert, files=replace(cert.files, crt=crts[cert.name])) for cert in asked]
    _by_hand_at_the_root(ctx, wanted)
    say("Until then the CA that is here goes on signing; what it signed stays valid, because the key is the same.")


def _to_be_signed_by_a_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    _by_hand_at_the_root(ctx, wanted)
    waiting = (str(ctx.root / cert.files.csr) for cert in wanted if cert.files.csr)
    next_command(
        "Until then `kcert all` makes nothing, because nothing could be signed. For a CA that signs itself after all, "
        "delete its request:",
        *("rm", *waiting),
    )


def _by_hand_at_the_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say(
        "Now a root has to sign, for a CA that signs certificates and no further CA (pathlen:0). Send each request, "
        "with its openssl.cnf, to the administrator of the root. There, where the root is root.crt and root.key:"
    )
    screen().print()
    for cert in wanted:
        command_line(csr_requests.by_root(cert, ctx.openssl))
    screen().print()
    say("Where the root's certificate is put behind it in that file, `ca-chain.crt` is made of the two as well.")
    screen().print()
    _back_here(ctx, wanted)


def _back_here(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say("Back here, each is compared with its key and its request before it is taken in:")
    screen().print()
    for cert in wanted:
        assert cert.files.crt and cert.files.csr
        beside = cert.files.csr.with_name(cert.files.crt.name)
        argv = ("kcert", "csr", "fetch", cert.name, "--file", str(beside))
        command_line((*argv, *(("--dir", str(ctx.root)) if ctx.folder_option else ())))
    screen().print()
