"""Checks before anything is made: whether the CA and the keys that are there can be used, and for how many days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from kcert.certificates import ROOT, Certificate, Kind
from kcert.errors import InputError
from kcert.files import read_optional
from kcert.issue.context import Context
from kcert.issue.passphrases import CA_KEY, ROOT_KEY
from kcert.issue.status import CertificateStatus, State
from kcert.issue.steps import sign
from kcert.openssl.commands import CURVES
from kcert.openssl.pem import is_encrypted, private_key
from kcert.openssl.program import key_belongs, public_material
from kcert.openssl.x509 import X509
from kcert.quoting import format_command, quote


def with_passphrases(ctx: Context, specs: tuple[Certificate, ...]) -> tuple[Context, tuple[Certificate, ...]]:
    """Return *ctx* and *specs*; each CA whose key is or will be encrypted says where its passphrase comes from.

    Raises InputError if --encrypt-ca-key is set and the key already exists without encryption.
    """
    named = {spec.name for spec in specs}

    def locked(spec: Certificate) -> Certificate:
        if spec.kind is not Kind.CA:
            return spec
        path = ctx.root / spec.files.key
        encrypted, encrypt = is_encrypted(path), ctx.passphrases.encrypt
        if encrypt and encrypted is False and spec.name in named and not ctx.renewal:
            raise InputError(
                f"{path} exists and is not encrypted; kcert never changes an existing key. To encrypt it yourself: "
                f"`openssl pkey -in {quote(str(path))} -aes256 -out {quote(f'{path}.encrypted')}`, then replace "
                "the key with the new file by `mv` (other copies of the old key, for example in a backup, stay "
                "unencrypted)."
            )
        will_be = encrypt and (encrypted is None or (ctx.renewal is not None and spec.name in named))
        return replace(spec, passphrase=ctx.passphrases.of(spec).argument) if encrypted or will_be else spec

    return replace(ctx, specs=tuple(map(locked, ctx.specs))), tuple(map(locked, specs))


def refuse_pending_ca(ctx: Context, status: CertificateStatus) -> None:
    """Raise InputError for a CA whose request was not signed yet: kcert does not make it self-signed meanwhile.

    The error says how to fetch the signed certificate, and how to get a self-signed CA instead.
    """
    ca = status.certificate
    if ca.kind is not Kind.CA or ca.issuer or status.state is not State.MISSING or not status.has_key:
        return
    csr, crt = ca.files.csr, ca.files.crt
    if csr is None or crt is None or not (ctx.root / csr).is_file() or signed_by(ctx, ca):
        return  # with what it signed beside it, its certificate was lost, and is re-created for the same key
    request, option = ctx.root / csr, ctx.folder_option
    raise InputError(
        f"{request} has to be signed by another CA first, so {ctx.root / crt} does not exist yet: "
        f"`kcert csr fetch {ca.name} --file {crt.name}{option}` fetches the signed certificate, and "
        f"`kcert ca --csr-only{option}` prints again how to sign it. For a self-signed CA instead, delete the "
        f"request: `rm {quote(str(request))}`. Nothing was created."
    )


def refuse_orphans(ctx: Context, status: CertificateStatus) -> None:
    """Raise InputError for a lost CA whose certificates still exist: a new CA would make all of them invalid."""
    ca = status.certificate
    if ca.kind is not Kind.CA or status.has_key:
        return
    if signed := signed_by(ctx, ca):
        listed = ", ".join(signed[:3]) + (f" and {len(signed) - 3} more" if len(signed) > 3 else "")
        raise InputError(
            f"{ctx.root / str(ca.files.crt)} does not exist, but certificates that it signed do: {listed}. A new CA "
            "would make all of them invalid. Put the CA's certificate back, from a backup or from the machine that has "
            "it; or, to start again, use an empty folder."
        )


def signed_by(ctx: Context, ca: Certificate) -> list[str]:
    """Return the existing files of the certificates that *ca* has to have signed."""
    files: Iterable[str] = (str(spec.files.primary) for spec in ctx.specs if spec.issuer == ca.name)
    return [file for file in files if (ctx.root / file).exists()]


def refuse_mixed_up(ctx: Context, spec: Certificate, x509: X509) -> None:
    """Raise InputError where the folder shows that the key of *spec* and *x509* belong to two other files.

    A new key would not repair that: it would make another certificate out of the wrong one.
    """
    files = spec.files
    key = read_optional(ctx.root / files.key)
    if files.crt is None or files.kubeconfig or (key is not None and key_belongs(key, x509.public_key)):
        return
    from kcert.issue import discovery  # reads what other folders have, for a refusal alone

    others = (file for file in discovery.read_folder(ctx.root) if not file.server)
    owners = [file.name for file in others if key_belongs(key or b"", file.x509.public_key)]
    contents = discovery.contents(ctx.root, discovery.KEY_ENDINGS)
    keys = [name for name, content in contents if key_belongs(content, x509.public_key)]
    if not owners and not (keys and x509.ca):  # a copy of a leaf in a CA's place: the CA's own certificate is lost
        return
    clauses = [f"{files.key} belongs to {owners[0]}"] if owners else []
    clauses += [f"{keys[0]} belongs to {files.crt}"] if keys else []
    if swapped := bool(owners and keys and owners[0].parent == keys[0].parent and _stem(owners[0]) == _stem(keys[0])):
        fix = "the two certificates are swapped. Give each file its own name again"
    else:
        fix = "put each certificate beside its own key"
    raise InputError(f"{ctx.root}: {' and '.join(clauses)}{':' if swapped else ';'} {fix}. Nothing was changed.")


def _stem(path: PurePosixPath) -> str:
    return path.stem.removesuffix("-key")


def require_ca(ctx: Context, leaf: Certificate, status: CertificateStatus, now: datetime) -> X509:
    """Return the certificate of the CA that is to sign *leaf*; raises InputError if it cannot sign."""
    ca = status.certificate
    crt = ca.files.crt
    command = f"`kcert ca{ctx.folder_option}`"
    refuse_pending_ca(ctx, status)
    if status.state is State.MISSING:
        raise InputError(f"{leaf.name} is signed by {crt}, and {ctx.root} has none yet: {command} creates it.")
    x509 = status.x509
    if x509 is None:
        raise InputError(
            f"{ctx.root / str(crt)} is not a certificate that openssl can read: put a good copy in its place."
        )
    if not x509.ca:
        refuse_mixed_up(ctx, ca, x509)
        raise InputError(
            f"{ctx.root / str(crt)} is not the certificate of a CA (no CA:TRUE): it cannot sign {leaf.name}."
        )
    if x509.not_after <= now:
        raise InputError(
            f"the CA {ca.name} expired on {x509.not_after:%Y-%m-%d}; no certificate that it signs is accepted. "
            f"`kcert renew {ca.name}{ctx.folder_option}` renews it."
        )
    _check_ca_key(ctx, leaf, ca, x509)
    return x509


def _check_ca_key(ctx: Context, leaf: Certificate, ca: Certificate, x509: X509) -> None:
    path = ctx.root / ca.files.key
    content = read_optional(path, advice="Without the CA's key nothing can be signed.")
    if content is None:
        raise InputError(
            f"{path} does not exist, and without the CA's key nothing can be signed. If it is kept in another folder, "
            f"specify it with --ca-dir; if it is on another machine: {_signed_elsewhere(ctx, leaf, ca)}"
        )
    check_key_content(path, content, may_be_encrypted=True)
    if not is_key_of(ctx, ca, content, x509):
        refuse_mixed_up(ctx, ca, x509)
        raise InputError(
            f"{path} is not the key of {ca.files.crt}: certificates signed with it would be rejected. Put "
            "the right key there."
        )


def is_key_of(ctx: Context, ca: Certificate, content: bytes, x509: X509) -> bool:
    """Return whether *content* is the key of the CA's certificate *x509*; yes for one that kcert may not open."""
    belongs = key_belongs(content, x509.public_key)
    return open_key(ctx, ca, content) in (None, x509.public_key.material) if belongs is None else belongs


def _signed_elsewhere(ctx: Context, leaf: Certificate, ca: Certificate) -> str:
    """Return how *leaf* gets its certificate where the CA's key is; its own key stays here."""
    files, option = leaf.files, ctx.folder_option
    renewal, csr, cnf, crt = ctx.renewal, files.csr, files.cnf, files.crt
    assert csr and cnf
    by_hand = format_command(sign(leaf, replace(ca, passphrase=""), ctx.openssl, leaf.days).argv)
    if leaf.kind is Kind.CA:
        return f"copy {csr} and {cnf} into the folder there, `{by_hand}` creates {crt}; copy that file back here."
    besides = ""
    if renewal and renewal.new_key:
        begins = (
            f"move {files.secret} out of the folder, and `kcert {leaf.chapter} --csr-only{option}` creates a new key "
            "and its request here"
        )
    elif renewal and not renewal.stale and (ctx.root / csr).is_file():
        begins = f"its request {csr} is here already"
        if (ctx.root / cnf).is_file():
            besides = f" Without kcert there: copy {csr} and {cnf} to the CA, and `{by_hand}` creates {crt}."
    else:
        begins = f"`kcert {leaf.chapter} --csr-only{option}` creates a key and a request here"
    return (
        f"{begins}, `kcert csr sign --file` signs the request there, and `kcert csr fetch {leaf.name} --file` "
        f"fetches the certificate.{besides}"
    )


def open_key(ctx: Context, ca: Certificate, content: bytes) -> str | None:
    """Return the ``material`` of a CA's key, opened with the passphrase where it needs one.

    None if the passphrase is not known and may not be asked for. Raises InputError for one that does not open it.
    """
    path = ctx.root / ca.files.key
    if not ca.passphrase:
        return public_material(ctx.openssl, content) or ""
    source = ctx.passphrases.of(ca)
    passphrase = source.value(path)
    if passphrase is None:
        return None
    material = public_material(ctx.openssl, content, (source.owner.variable, passphrase))
    if material is None:
        raise InputError(
            f"the passphrase does not open {path}. (Its source: {_origin(ca)}, or the keyboard. The file can also be "
            f"damaged.)"
        )
    return material


def _origin(ca: Certificate) -> str:
    """Return where the passphrase of the key of *ca* is looked for, in this order."""
    owners = (ROOT_KEY, CA_KEY) if ca.name == ROOT else (CA_KEY,)
    return ", else ".join(f"{owner.option}, else {owner.variable}" for owner in owners)


def require_typable(spec: Certificate) -> None:
    """Raise InputError for a subject or a key that no command of openssl's could ask for again.

    An argument ends at its first NUL: what follows would be lost, and with it the difference to another user.
    """
    if spec.subject and any("\0" in value for _, value in spec.subject.parts):
        raise InputError(
            f"the subject of {spec.name}, {str(spec.subject)!a}, holds a NUL character, which no command line can pass "
            "to openssl: it can only be renewed with its existing key."
        )
    if spec.key.algorithm != "rsa" and spec.key.curve not in CURVES:
        raise InputError(
            f"{spec.name} has a key of {str(spec.key)!a}, and kcert generates RSA, P-256 and P-384: it can only be "
            "renewed with the key that it has."
        )


def check_kept_key(ctx: Context, spec: Certificate) -> bytes | None:
    """Return the key of *spec* that is there (None: it is missing); it is certified as it is, so it has to be whole."""
    path = ctx.root / spec.files.key
    content = read_optional(path)
    if content is not None:
        check_key_content(path, content, may_be_encrypted=spec.kind is Kind.CA)
        if spec.passphrase:
            open_key(ctx, spec, content)
    return content


def check_key_content(path: Path, content: bytes, *, may_be_encrypted: bool = False) -> None:
    """Raise InputError where *content*, the key at *path*, is damaged, no key at all, or encrypted and must not be."""
    key = private_key(content)
    if key.fault:
        raise InputError(f"{path} is not a usable key ({key.fault}). Replace it with a good copy, or move it away.")
    if key.encrypted and not may_be_encrypted:
        unlocked = path.with_name(f"{path.stem}-unlocked{path.suffix}")
        raise InputError(
            f"{path} is encrypted, and no component can ask for its passphrase; kcert accepts encrypted keys only "
            f"for CAs. `openssl pkey -in {quote(str(path))} -out {quote(str(unlocked))}` writes the key "
            "without a passphrase; replace the file with that one."
        )


def days_within(leaf: Certificate, ca: X509, now: datetime, *, exactly: bool = False) -> int:
    """Return how many days *leaf* gets: what it asks for, or what is left of its CA, in whole days.

    Raises InputError if that is less than one, or with *exactly* (--days) less than what it asks for.
    """
    left = ca.not_after - now
    # A part of a day counts as one: a leaf that is made a minute after its CA gets no less.
    most = left.days + (left > timedelta(days=left.days))
    if leaf.days <= most:
        return leaf.days
    if exactly:
        raise InputError(
            f"--days {leaf.days}: the CA of {leaf.name} expires in {most} days, and a certificate is not valid longer "
            f"than its CA. Use at most {most}, or renew the CA first."
        )
    if left.days < 1:
        raise InputError(
            f"the CA that would sign {leaf.name} expires on {ca.not_after:%Y-%m-%d %H:%M} UTC, in less than a day. "
            "Renew it first."
        )
    return left.days
