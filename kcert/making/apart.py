"""CAs that are kept apart from the PKI folder, on a stick for example: their keys are used where they lie.

The folder apart looks like a PKI folder that has nothing but CAs in it, and is worked on like one. Of what it
holds only certificates are copied into the PKI folder; a key never is.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.errors import InputError
from kcert.state import State, standings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.making.order import Order
    from kcert.state import Standing


def there(order: Order, folder: Path) -> Order:
    """What of *order* is to be done in the *folder* of the CAs, and not in the PKI folder: to make them, or to renew.

    Raises InputError where the folder cannot be that of this cluster's CAs.
    """
    check(order, folder)
    authorities = tuple(one for one in order.known if one.kind is Kind.CA)
    named = {one.name for one in order.wanted}
    wanted = tuple(one for one in authorities if one.name in named)
    if not order.renewal:
        here = standings(order.root, authorities, order.openssl)
        wanted = tuple(one for one in wanted if here[one.name].state is State.MISSING)
    return replace(
        order,
        root=folder,
        known=authorities,
        wanted=wanted,
        folder_option=f" --dir {folder}",
        doing=f"{order.doing} --ca-dir",
    )


def here(order: Order, folder: Path) -> Order:
    """*order* with CAs whose keys lie in *folder*, by their whole paths, so that commands find them from anywhere."""
    known = tuple(apart(one, folder) if one.kind is Kind.CA else one for one in order.known)
    by_name = {one.name: one for one in known}
    return replace(order, apart=folder, known=known, wanted=tuple(by_name.get(one.name, one) for one in order.wanted))


def apart(authority: Certificate, folder: Path) -> Certificate:
    """*authority* with its key in *folder*; of the rest its certificate alone comes into the PKI folder."""
    files = authority.files
    key = PurePosixPath(folder.absolute() / files.key)
    return replace(authority, files=replace(files, key=key, cnf=None, csr=None))


def source(authority: Certificate, folder: Path) -> PurePosixPath:
    """Where the certificate of *authority* lies in the folder apart."""
    assert authority.files.crt
    return PurePosixPath(folder.absolute() / authority.files.crt)


def check(order: Order, folder: Path) -> None:
    """Raise InputError for a folder apart that is not apart, or that holds another CA than the PKI folder."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--ca-dir {folder} is a file: the folder that has the CA belongs here.")
    if not str(folder).isprintable():
        raise InputError(f"--ca-dir {str(folder)!a} holds control characters, so no command could be copied with it.")
    if os.path.realpath(folder) == os.path.realpath(order.root):
        raise InputError(
            f"--ca-dir {folder} is the PKI folder itself: leave it out, or name the folder where the CA is kept apart."
        )
    for one in order.known:
        crt = one.files.crt
        if one.kind is not Kind.CA or crt is None or order.renewal:
            continue
        mine, theirs = order.root / crt, folder / crt
        if mine.is_file() and theirs.is_file() and mine.read_bytes() != theirs.read_bytes():
            raise InputError(
                f"{mine} and {theirs} are two different files, so one of them is out of date or another cluster's. Put "
                "the right one into both places; nothing was changed."
            )


def remarks(order: Order) -> Iterable[str]:
    """What has to be said of a PKI folder that has a key which ought to be elsewhere."""
    assert order.apart
    for one in order.known:
        if one.kind is Kind.CA and (left := order.root / one.files.key.relative_to(order.apart.absolute())).exists():
            yield (
                f"{left} lies in the PKI folder as well. With --ca-dir it is not used: take it away, if it is to be "
                f"kept in {order.apart} alone."
            )


def standings_there(order: Order, authorities: Iterable[Certificate]) -> dict[str, Standing]:
    """How CAs stand in the folder apart."""
    assert order.apart
    return standings(order.apart, authorities, order.openssl)
