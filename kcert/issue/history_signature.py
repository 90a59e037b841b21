"""The signature of a history's head with the CA's key, without which no other history can be written.

``.kcert/history.signed`` holds the hash of the last line, ``.kcert/history.sig`` the signature that openssl made of it.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path, PurePosixPath

from kcert.errors import InputError, VerdictError
from kcert.files import read_input, read_optional
from kcert.issue.checks import with_passphrases
from kcert.issue.context import Context
from kcert.issue.execute import Executor
from kcert.issue.steps import Step
from kcert.shell import Command, read
from kcert.store import OWN_FOLDER, Workspace
from kcert.store.history import head

SIGNED, SIGNATURE = PurePosixPath("history.signed"), PurePosixPath("history.sig")


def sign(ctx: Context) -> str:
    """Sign the head of the history with the key of the cluster's CA; return the hash that was signed.

    Raises InputError if the key is not there, ProgramError if openssl fails, VerdictError if the history was changed.
    """
    ca = next(spec for spec in with_passphrases(ctx, ())[0].specs if spec.name == "ca")
    if not (ctx.root / ca.files.key).exists():
        raise InputError(
            f"{ctx.root / ca.files.key} does not exist, and only the CA's key can sign: specify its folder "
            "with --ca-dir."
        )
    secret = ("-passin", ca.passphrase) if ca.passphrase else ()
    if ca.passphrase:
        ctx.passphrases.of(ca).opening(ctx.root / ca.files.key)
    argv = (ctx.openssl, "dgst", "-sha256", "-sign", str(ca.files.key), *secret, "-out", str(SIGNATURE), str(SIGNED))
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        digest = head(workspace.own)
        staging = workspace.stage((ca.files.key,), ())
        staging.write(SIGNED, f"{digest}\n")
        Executor(ctx, workspace).run_all(staging, [Step("sign-history", (SIGNATURE,), argv)], str(SIGNATURE))
        workspace.keep_own(staging, (SIGNED, SIGNATURE))
    return digest


def signed_hash(ctx: Context) -> str | None:
    """Return the hash that the signature of this history covers; None if there is no signature.

    Raises VerdictError where the signature is not that of the CA's key.
    """
    own = ctx.root / OWN_FOLDER
    text, signature = (read_optional(own / name, error=VerdictError) for name in (SIGNED, SIGNATURE))
    if text is None or signature is None:
        return None
    ca = next(spec for spec in ctx.specs if spec.name == "ca")
    assert ca.files.crt
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kcert-")))
        public = read(Command((ctx.openssl, "x509", "-noout", "-pubkey")), read_input(ctx.root / ca.files.crt))
        for name, content in (("ca.pub", public.stdout), (SIGNED.name, text), (SIGNATURE.name, signature)):
            (folder / name).write_bytes(content)
        argv = (ctx.openssl, "dgst", "-sha256", "-verify", "ca.pub", "-signature", SIGNATURE.name, SIGNED.name)
        if not read(Command(argv, folder)).succeeded:
            raise VerdictError(
                f"{own / SIGNATURE} is not the signature that the key of {ca.files.crt} made of {SIGNED}."
            )
    return text.decode("ascii", "replace").strip()
