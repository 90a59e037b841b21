"""The signature of a history's head with the CA's key, without which no other history can be written.

``.kcert/history.signed`` holds the hash of the last line, ``.kcert/history.sig`` the signature that openssl made of it.
"""

from __future__ import annotations

import hashlib
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
from kcert.store.history import Entry, entries, head, verify

SIGNED, SIGNATURE = PurePosixPath("history.signed"), PurePosixPath("history.sig")
_STEP = "sign-history"


def sign(ctx: Context) -> str:
    """Sign the head of the history with the key of the cluster's CA; return the hash that was signed.

    Raises InputError if the key is not there, ProgramError if openssl fails, VerdictError if the history was changed.
    """
    ca = with_passphrases(ctx, ())[0].known["ca"]
    if not (ctx.root / ca.files.key).exists():
        raise InputError(
            f"{ctx.root / ca.files.key} does not exist, and only the CA's key can sign: specify its folder "
            "with --ca-dir."
        )
    secret = ("-passin", ca.passphrase) if ca.passphrase else ()
    if ca.passphrase:
        ctx.passphrases.of(ca).value(ctx.root / ca.files.key)
    argv = (ctx.openssl, "dgst", "-sha256", "-sign", str(ca.files.key), *secret, "-out", str(SIGNATURE), str(SIGNED))
    with Workspace.open(ctx.root, ctx.command, ctx.reporter.on_lock_wait) as workspace:
        digest = head(workspace.own)
        staging = workspace.stage((ca.files.key,), ())
        staging.write(SIGNED, f"{digest}\n")
        Executor(ctx, workspace).run_all(staging, [Step(_STEP, (SIGNATURE,), argv)], str(SIGNATURE))
        workspace.move_to_own(staging, (SIGNED, SIGNATURE))
    return digest


def is_signed(own: Path) -> bool:
    """Return True if the history in the folder *own* was signed: something is left of the signature, or a record."""
    return bool(_recorded(own)) or any((own / name).exists() for name in (SIGNED, SIGNATURE))


def signed_lines(ctx: Context) -> int:
    """Return how many lines of the history the CA's signature covers.

    Raises VerdictError if a part of the signature is missing, or if it is not the one that was recorded last. Also if
    another key made it, or if the history does not contain what was signed.
    """
    own = ctx.root / OWN_FOLDER
    recorded = _recorded(own)
    text, signature = (read_optional(own / name, error=VerdictError) for name in (SIGNED, SIGNATURE))
    if text is None or signature is None:
        missing = own / (SIGNED if text is None else SIGNATURE)
        raise VerdictError(f"{missing} is missing: the history was signed, and its signature was deleted.")
    if not recorded:
        raise VerdictError(f"no record explains {own / SIGNATURE}: the end of the history was deleted.")
    if hashlib.sha256(signature).hexdigest() != recorded[-1].files.get(str(SIGNATURE)):
        raise VerdictError(f"{own / SIGNATURE} is not the signature that was recorded on {recorded[-1].time}.")
    _check_signature(ctx, text, signature, recorded[-1].time)
    return verify(own, text.decode("ascii", "replace").strip())[1]


def _recorded(own: Path) -> list[Entry]:
    return [entry for entry in entries(own) if entry.step == _STEP and not entry.status]


def _check_signature(ctx: Context, text: bytes, signature: bytes, time: str) -> None:
    """Raise VerdictError unless the key of the CA made *signature* of *text*."""
    ca = ctx.known["ca"]
    with tempfile.TemporaryDirectory(prefix="kcert-") as name:
        folder = Path(name)
        public = read(Command((ctx.openssl, "x509", "-noout", "-pubkey")), read_input(ctx.root / ca.crt))
        for path, content in (("ca.pub", public.stdout), (SIGNED, text), (SIGNATURE, signature)):
            (folder / path).write_bytes(content)
        argv = (ctx.openssl, "dgst", "-sha256", "-verify", "ca.pub", "-signature", str(SIGNATURE), str(SIGNED))
        if read(Command(argv, folder)).succeeded:
            return
    own = ctx.root / OWN_FOLDER
    renewed = any(str(ca.files.key) in entry.files and entry.time > time for entry in entries(own))
    hint = " The CA got a new key after that: `kcert history --sign` signs with it." if renewed else ""
    raise VerdictError(f"{own / SIGNATURE} is not the signature that the key of {ca.files.crt} made of {SIGNED}.{hint}")
