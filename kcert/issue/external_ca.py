"""CAs that are kept apart from the PKI folder, on a stick for example: their keys are used where they lie.

A folder apart looks like a PKI folder that has nothing but CAs in it, and is worked on like one. Of what it
holds only certificates are copied into the PKI folder; a key never is. A CA that is apart has the whole path of
its key among its files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import ROOT, Certificate, Files, Kind, Role, Subject, chain_of, root_beside
from kcert.errors import InputError
from kcert.files import read_regular
from kcert.issue.status import State, status_of
from kcert.openssl.pem import pem_blocks
from kcert.shell import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kcert.issue.context import IssueContext
    from kcert.issue.status import CertificateStatus


def there(order: IssueContext, folder: Path) -> IssueContext:
    """What of *order* is to be done in the *folder* of the CAs, and not in the PKI folder: to make them, or to renew.

    Raises InputError where the folder cannot be that of this cluster's CAs.
    """
    check(order, folder)
    authorities = tuple(one for one in order.known if one.kind is Kind.CA)
    named = {one.name for one in order.wanted}
    wanted = tuple(one for one in authorities if one.name in named)
    if not order.renewal:
        found = status_of(order.root, authorities, order.openssl)
        wanted = tuple(one for one in wanted if found[one.name].state is State.MISSING)
    if order.renewal or not wanted:
        check_there(folder, "--ca-dir", "the CA")
    return replace(
        order,
        root=folder,
        known=authorities,
        wanted=wanted,
        folder_option=f" --dir {quote(str(folder))}",
        doing=f"{order.doing} --ca-dir",
        place="CA's folder",
    )


def here(order: IssueContext, folder: Path) -> IssueContext:
    """*order* with CAs whose keys lie in *folder*; whoever signed them has done so there."""
    known, wanted = (
        tuple(_apart(one, folder) if one.kind is Kind.CA else one for one in several if one.name != ROOT)
        for several in (order.known, order.wanted)
    )
    return replace(order, known=known, wanted=wanted, ca_dir=folder)


def _apart(authority: Certificate, folder: Path) -> Certificate:
    files = authority.files
    key = PurePosixPath(folder.absolute() / files.key)
    return replace(authority, issuer=None, files=replace(files, key=key, cnf=None, csr=None))


def is_apart(certificate: Certificate) -> bool:
    """Whether it is a CA that is kept apart from the PKI folder."""
    return certificate.files.key.is_absolute()


def source(authority: Certificate) -> PurePosixPath:
    """Where the certificate of a CA lies that is kept apart: beside its key."""
    return authority.files.key.with_suffix(".crt")


def brings(order: IssueContext, authority: Certificate) -> dict[PurePosixPath, PurePosixPath]:
    """The certificates of a CA that come into the PKI folder, and where each lies now."""
    crt, top = authority.files.crt, above(order)
    assert crt
    names = [crt]
    if authority.intermediate:
        names += [chain_of(crt), *([top] if top.parent == crt.parent else [])]
    found = {name: source(authority).with_name(name.name) for name in names}
    for path in found.values():
        # It would lie in the PKI folder, for everybody to read.
        if Path(path).is_file() and any(one.is_key for one in pem_blocks(read_regular(Path(path)))):
            raise InputError(f"{path} holds a private key besides the certificate. Take it out; nothing was changed.")
    return found


def above(order: IssueContext) -> PurePosixPath:
    """Where the certificate of a root lies that signed the CAs: beside that of the first."""
    first = next(one.files.crt for one in order.known if one.kind is Kind.CA)
    assert first
    return root_beside(first)


def standing_there(order: IssueContext, authority: Certificate) -> CertificateStatus:
    """How a CA stands where it is kept; it is an intermediate one if its certificate there says so."""
    lies = replace(authority, files=replace(authority.files, crt=source(authority)))
    found = status_of(order.root, [lies], order.openssl)[authority.name]
    return replace(found, certificate=as_signed(authority, found))


def as_signed(authority: Certificate, standing: CertificateStatus) -> Certificate:
    """*authority* with what its certificate says about who signed it."""
    if authority.kind is Kind.CA and standing.found and not standing.found.self_issued:
        return replace(authority, intermediate=True)
    return authority


def root(order: IssueContext, folder: Path) -> IssueContext:
    """The order for a CA above the cluster's own, in a *folder* of its own; nothing to do where there is one.

    Raises InputError where the cluster's CA is there already, and signed itself.
    """
    cluster = order.cluster
    if not order.renewal:
        _check_unsigned(order, folder)
    authorities = [one for one in order.wanted if one.kind is Kind.CA]
    stand = status_of(order.root, authorities, order.openssl).values()
    if any(one.found and not one.found.self_issued for one in stand):
        check_there(folder, "--root-dir", "the root")  # a second root would not be the one that everybody trusts
    authority = Certificate(
        name=ROOT,
        role=Role.ROOT,
        chapter="ca",
        kind=Kind.CA,
        subject=Subject("Kubernetes-Root-CA"),
        key=cluster.key,
        files=Files(
            key=PurePosixPath(f"{ROOT}.key"),
            cnf=PurePosixPath(f"openssl-{ROOT}.cnf"),
            csr=PurePosixPath(f"{ROOT}.csr"),
            crt=PurePosixPath(f"{ROOT}.crt"),
        ),
        days=2 * cluster.days.ca,
    )
    _check_folder(order, folder, "--root-dir", "the root")
    wanted = () if (folder / f"{ROOT}.crt").exists() else (authority,)
    return replace(
        order,
        root=folder,
        known=(authority,),
        wanted=wanted,
        renewal=None,
        folder_option=f" --dir {quote(str(folder))}",
        doing=f"{order.doing} --root-dir",
        place="root's folder",
    )


def _check_unsigned(order: IssueContext, folder: Path) -> None:
    """A CA that is there is kept, so the root would be for nothing."""
    authorities = [one for one in order.wanted if one.kind is Kind.CA]
    for name, standing in status_of(order.root, authorities, order.openssl).items():
        if standing.found and standing.found.self_issued:
            raise InputError(
                f"{order.root / str(standing.certificate.files.crt)} is there already, and signed itself. To have the "
                f"root sign it, with the key that it has: `kcert renew {name} --root-dir {quote(str(folder))}"
                f"{order.folder_option}`."
            )


def under(order: IssueContext, root_order: IssueContext) -> IssueContext:
    """*order* with CAs that the root of *root_order* signs."""
    (authority,), folder = root_order.known, root_order.root

    def below(one: Certificate) -> Certificate:
        return replace(one, issuer=ROOT, intermediate=True) if one.kind is Kind.CA else one

    known = tuple(below(one) for one in order.known)
    files = replace(_apart(authority, folder).files, crt=above(order))
    return replace(
        order,
        known=(replace(authority, files=files), *known),
        wanted=tuple(below(one) for one in order.wanted),
    )


def check(order: IssueContext, folder: Path) -> None:
    """Raise InputError for a folder apart that is not apart, or that holds another CA than the PKI folder."""
    _check_folder(order, folder, "--ca-dir", "the CA")
    for one in order.known:
        crt = one.files.crt
        if one.kind is not Kind.CA or crt is None or one.name == ROOT:
            continue
        mine, theirs = order.root / crt, folder / crt
        if order.renewal:
            _check_related(one, order, folder)
            continue
        if mine.is_file() and theirs.is_file() and mine.read_bytes() != theirs.read_bytes():
            raise InputError(
                f"{mine} and {theirs} are two different files, so one of them is out of date or another cluster's. Put "
                "the right one into both places; nothing was changed."
            )


def _check_related(authority: Certificate, order: IssueContext, folder: Path) -> None:
    """A CA that was renewed there may be ahead of the one here; but the one here has to be known there."""
    assert authority.files.crt
    here, there = (status_of(root, [authority], order.openssl)[authority.name] for root in (order.root, folder))
    if here.found is None or there.found is None:
        return
    known = {one.public_key.material for one in (there.found, *there.outgoing)}
    if here.found.public_key.material not in known:
        raise InputError(
            f"{order.root / authority.files.crt} and {folder / authority.files.crt} are two different CAs, so one of "
            "them is another cluster's, or was made anew. Put the right one into both places; nothing was changed."
        )


def check_there(folder: Path, option: str, what: str) -> None:
    """Raise InputError where *folder*, out of which *what* is to sign, is not there: most often it is not mounted."""
    if not folder.exists():
        raise InputError(f"{option} {quote(str(folder))} is not there, and {what} is kept in it. Is it not mounted?")


def _check_folder(order: IssueContext, folder: Path, option: str, what: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{option} {folder} is a file: the folder that has {what} belongs here.")
    if not str(folder).isprintable():
        raise InputError(f"{option} {str(folder)!a} holds control characters, so no command could be copied with it.")
    if os.path.realpath(folder) == os.path.realpath(order.root):
        raise InputError(
            f"{option} {folder} is the PKI folder itself: leave it out, or name a folder where {what} is kept apart."
        )


def remarks(order: IssueContext) -> Iterable[str]:
    """What has to be said of a PKI folder that has a key which ought to be elsewhere."""
    for one in order.known:
        if is_apart(one) and one.files.crt and (left := order.root / one.files.crt.with_suffix(".key")).exists():
            yield (
                f"{left} lies in the PKI folder as well. With --ca-dir it is not used: take it away, if it is to be "
                f"kept as {one.files.key} alone."
            )
