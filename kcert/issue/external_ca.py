"""External CAs: their keys are in another folder than the PKI folder, on a stick for example, and are used there.

The folder of an external CA is like a PKI folder that has nothing but CAs in it, and is worked on like one. Of what
it holds only certificates are copied into the PKI folder; a key never is. An external CA has the absolute path of its
key among its files. A CA on another machine gets requests, and commands that sign them there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from kcert.certificates import ROOT, Certificate, Files, Kind, Role, Subject, chain_of, root_beside
from kcert.errors import InputError
from kcert.files import read_regular
from kcert.issue import steps
from kcert.issue.context import Context, CsrTarget, IssuancePlan
from kcert.issue.status import CertificateStatus, State, status_of
from kcert.issue.steps import Step
from kcert.openssl.pem import pem_blocks
from kcert.openssl.x509 import X509
from kcert.profiles.profile import files_of
from kcert.quoting import quote

Specs = tuple[Certificate, ...]


def in_ca_dir(ctx: Context, specs: Specs, folder: Path) -> tuple[Context, Specs]:
    """Return what of *specs* is done in the *folder* of the CAs, and not in the PKI folder, with its context.

    Raises InputError where the folder cannot be that of this cluster's CAs.
    """
    check(ctx, folder)
    cas = tuple(spec for spec in ctx.specs if spec.kind is Kind.CA)
    named = {spec.name for spec in specs}
    wanted = tuple(ca for ca in cas if ca.name in named)
    if not ctx.renewal:
        statuses = status_of(ctx.root, cas)
        wanted = tuple(ca for ca in wanted if statuses[ca.name].state is State.MISSING)
    if ctx.renewal or not wanted:
        require_folder(folder, "--ca-dir", "the CA")
    return _context_in(ctx, folder, cas, "--ca-dir", "CA's folder"), wanted


def _context_in(ctx: Context, folder: Path, specs: Specs, option: str, label: str) -> Context:
    return replace(
        ctx,
        root=folder,
        specs=specs,
        ca_dir=None,
        root_dir=None,
        folder_option=f" --dir {quote(str(folder))}",
        command=f"{ctx.command} {option}",
        label=label,
    )


def without_ca_keys(ctx: Context, specs: Specs, folder: Path) -> tuple[Context, Specs]:
    """Return *ctx* and *specs* with CAs whose keys are in *folder*; a root above them has signed there."""
    known, wanted = (
        tuple(_external(spec, folder) if spec.kind is Kind.CA else spec for spec in several if spec.name != ROOT)
        for several in (ctx.specs, specs)
    )
    return replace(ctx, specs=known, ca_dir=folder), wanted


def _external(ca: Certificate, folder: Path) -> Certificate:
    files = ca.files
    key = PurePosixPath(folder.absolute() / files.key)
    return replace(ca, issuer=None, files=replace(files, key=key, cnf=None, csr=None))


def source(ca: Certificate) -> PurePosixPath:
    """Return where the certificate of an external CA is: beside its key."""
    return ca.files.key.with_suffix(".crt")


def plan_import(
    ctx: Context,
    ca: Certificate,
    *besides: PurePosixPath,
    replaces: X509 | None = None,
    leaves: tuple[PurePosixPath, ...] = (),
    late: tuple[Step, ...] = (),
) -> IssuancePlan:
    """Plan the copy of an external CA's certificates, and of the files *besides*, from the folder of its key.

    *leaves* have to verify with it, *late* are the last steps.
    """
    crt, root = ca.crt, root_cert_path(ctx)
    names = [crt, *besides]
    if ca.intermediate:
        names += [chain_of(crt), *([root] if root.parent == crt.parent else [])]
    sources = {name: source(ca).with_name(name.name) for name in names}
    for path in map(Path, sources.values()):
        # It would be in the PKI folder, readable for everyone.
        if path.is_file() and any(block.is_key for block in pem_blocks(read_regular(path))):
            raise InputError(
                f"{path} holds a private key besides the certificate. Remove the key; nothing was changed."
            )
    made = (
        *(steps.concatenate("bring", name, path) for name, path in sources.items()),
        steps.verify(ctx.openssl, ca, crt, *leaves),
        *late,
    )
    return IssuancePlan(ca, ca, made, ca.days, keeps_key=True, replaces=replaces, inputs=leaves, is_import=True)


def root_cert_path(ctx: Context) -> PurePosixPath:
    """Return the path of the root's certificate: in the same folder as the first CA's certificate."""
    return root_beside(next(spec.crt for spec in ctx.specs if spec.kind is Kind.CA))


def status_in_ca_dir(ctx: Context, ca: Certificate) -> CertificateStatus:
    """Return the status of a CA in the folder of its key, marked as an intermediate CA if its certificate is one."""
    external = replace(ca, files=replace(ca.files, crt=source(ca)))
    status = status_of(ctx.root, [external])[ca.name]
    return replace(status, certificate=replace(ca, intermediate=status.certificate.intermediate))


def root_context(ctx: Context, specs: Specs, folder: Path) -> tuple[Context, Specs]:
    """Return the context and the specs of a root above the cluster's CAs, in a *folder* of its own.

    There are no specs if it is there already. Raises InputError where the cluster's CA is there already, and
    signed itself.
    """
    cas = [spec for spec in specs if spec.kind is Kind.CA]
    statuses = status_of(ctx.root, cas)
    if not ctx.renewal:
        _check_unsigned(ctx, statuses, folder)
    if any(status.x509 and not status.x509.self_signed for status in statuses.values()):
        require_folder(folder, "--root-dir", "the root")  # a second root would not be the one that everyone trusts
    root = Certificate(
        name=ROOT,
        role=Role.ROOT,
        chapter="ca",
        kind=Kind.CA,
        subject=Subject("Kubernetes-Root-CA"),
        key=ctx.cluster.key,
        files=files_of(PurePosixPath(ROOT), PurePosixPath(ROOT)),
        days=2 * ctx.cluster.days.ca,
    )
    _check_folder(ctx, folder, "--root-dir", "the root")
    above = _context_in(replace(ctx, renewal=None), folder, (root,), "--root-dir", "root's folder")
    return above, () if (folder / f"{ROOT}.crt").exists() else (root,)


def _check_unsigned(ctx: Context, statuses: dict[str, CertificateStatus], folder: Path) -> None:
    """Raise InputError if a CA exists and is self-signed: kcert keeps it, so the root would sign nothing."""
    for name, status in statuses.items():
        if status.x509 and status.x509.self_signed:
            raise InputError(
                f"{ctx.root / str(status.certificate.files.crt)} exists already and is self-signed. To have the root "
                f"CA sign it, with its existing key: `kcert renew {name} --root-dir {quote(str(folder))}"
                f"{ctx.folder_option}`."
            )


def with_root(ctx: Context, specs: Specs, above: Context) -> tuple[Context, Specs]:
    """Return *ctx* and *specs* with CAs that the root of *above* signs."""
    (root,) = above.specs

    def below(spec: Certificate) -> Certificate:
        return replace(spec, issuer=ROOT, intermediate=True) if spec.kind is Kind.CA else spec

    files = replace(_external(root, above.root).files, crt=root_cert_path(ctx))
    return replace(ctx, specs=(replace(root, files=files), *map(below, ctx.specs))), tuple(map(below, specs))


def check(ctx: Context, folder: Path) -> None:
    """Raise InputError for a --ca-dir that is the PKI folder itself, or that holds another CA than the PKI folder."""
    _check_folder(ctx, folder, "--ca-dir", "the CA")
    for ca in ctx.specs:
        if ca.kind is not Kind.CA or ca.files.crt is None or ca.name == ROOT:
            continue
        mine, theirs = (root / ca.files.crt for root in (ctx.root, folder))
        what = ""
        if ctx.renewal:  # it may have been renewed in the CA's folder already
            here, there = (status_of(root, [ca])[ca.name] for root in (ctx.root, folder))
            known = {x509.public_key.material for x509 in (there.x509, *there.previous_cas) if x509}
            if here.x509 and there.x509 and here.x509.public_key.material not in known:
                what = "two different CAs, so one of them belongs to another cluster, or was re-created"
        elif mine.is_file() and theirs.is_file() and read_regular(mine) != read_regular(theirs):
            what = "two different files, so one of them is outdated or belongs to another cluster"
        if what:
            raise InputError(f"{mine} and {theirs} are {what}. Put the right one in both places; nothing was changed.")


def require_folder(folder: Path, option: str, what: str) -> None:
    """Raise InputError if *folder*, which has the key of *what*, does not exist: usually it is not mounted."""
    if not folder.exists():
        raise InputError(
            f"{option} {quote(str(folder))}: no such folder. If {what} is on removable media, check that it is mounted."
        )


def _check_folder(ctx: Context, folder: Path, option: str, what: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{option} {folder} is a file; expected the folder that contains {what}.")
    if not str(folder).isprintable():
        raise InputError(f"{option} {str(folder)!a} holds control characters, so no command could be copied with it.")
    if os.path.realpath(folder) == os.path.realpath(ctx.root):
        raise InputError(
            f"{option} {folder} is the PKI folder itself: omit the option, or specify another folder that contains "
            f"{what}."
        )


def remarks(ctx: Context) -> Iterable[str]:
    """Return what has to be said of a PKI folder that has a key which belongs elsewhere."""
    for spec in ctx.specs:
        crt = spec.files.crt
        if spec.is_external_ca and crt and (left := ctx.root / crt.with_suffix(".key")).exists():
            yield (
                f"{left} is in the PKI folder as well. With --ca-dir it is not used: delete it if "
                f"{spec.files.key} is to be the only copy."
            )


# --- Requests, for a CA on another machine


def for_requests(ctx: Context, specs: tuple[Certificate, ...]) -> tuple[Context, tuple[Certificate, ...]]:
    """Return *ctx* and *specs* for requests in place of certificates: of all that is wanted and not current.

    A request for a CA is made only where nothing else is wanted: then an external root CA is to sign it.
    """
    everything = {spec.name: spec for spec in (*ctx.specs, *specs)}
    statuses = status_of(ctx.root, everything.values())
    leaves = [spec for spec in specs if spec.kind is not Kind.CA]
    requested = leaves or [replace(spec, intermediate=True) for spec in specs]
    wanted = tuple(unissued(spec) for spec in requested if statuses[spec.name].state is not State.CURRENT)
    return replace(ctx, csr_target=CsrTarget.CA, command=f"{ctx.command} --csr-only"), wanted


def sign_by_hand(certificate: Certificate, ca: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command that signs its request by hand, where CA, request and openssl.cnf are in one folder."""
    return steps.sign(_flat(certificate), _flat(ca), openssl, certificate.days).argv


def _flat(spec: Certificate) -> Certificate:
    paths = {part: path and PurePosixPath(path.name) for part, path in vars(spec.files).items()}
    return replace(spec, files=Files(**paths))


def sign_by_root(ca: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command with which an external root CA signs a CA of the cluster."""
    files = Files(key=PurePosixPath("root.key"), crt=PurePosixPath("root.crt"))
    return sign_by_hand(ca, replace(ca, name="root", files=files, passphrase=""), openssl)


def unissued(certificate: Certificate) -> Certificate:
    """Return the same without a certificate file and a kubeconfig, which come with the answer; a key pair has none."""
    if certificate.kind is Kind.KEY_PAIR:
        return certificate
    return replace(certificate, files=replace(certificate.files, crt=None, kubeconfig=None))
