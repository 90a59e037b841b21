"""Before anything is made: how things stand, whether the CA and the keys that are there will do, what to do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from kcert import plan
from kcert.errors import InputError
from kcert.making.order import Order, Prepared
from kcert.openssl import commands
from kcert.openssl.pem import pem_blocks
from kcert.openssl.read import X509, key_belongs, public_material
from kcert.profiles.profile import MASTERS
from kcert.shell import quote, typed
from kcert.state import Standing, State, standings

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.plan import Procedure


def prepare(order: Order, now: datetime | None = None) -> Prepared:
    """Look at the folder and plan what is missing; nothing is written.

    Raises InputError for a CA or a key that cannot be used, and for a template that cannot.
    """
    moment = now or datetime.now(timezone.utc)
    if order.renewal:
        from kcert.making.renewal import prepare_renewal

        return prepare_renewal(order, order.renewal, moment)
    if order.asks:
        from kcert.making.asking import prepare_requests

        return prepare_requests(order)
    by_name = {one.name: one for one in order.known}
    needed = {one.name: one for one in order.wanted}
    needed |= {one.issuer: by_name[one.issuer] for one in order.wanted if one.issuer}
    found = standings(order.root, needed.values(), order.openssl, moment)
    procedures: list[Procedure] = []
    coming: set[str] = set()
    for certificate in order.wanted:
        standing = found[certificate.name]
        if standing.state is not State.MISSING:
            continue
        days, issuer = certificate.days, None
        if certificate.issuer:
            issuer = by_name[certificate.issuer]
            if certificate.issuer not in coming:
                days = days_under(
                    certificate, authority_for(order, certificate, found[certificate.issuer], moment), moment
                )
        if standing.has_key:
            check_key(order.root / certificate.files.key)
        procedures.append(
            plan.procedure(
                certificate,
                issuer,
                cluster_name=order.cluster.name,
                openssl=order.openssl,
                templates=order.templates,
                days=days,
                keeps_key=standing.has_key,
            )
        )
        coming.add(certificate.name)
    return Prepared(tuple(found[one.name] for one in order.wanted), tuple(procedures))


def authority_for(order: Order, leaf: Certificate, standing: Standing, now: datetime) -> X509:
    """The CA that is to sign *leaf*, found fit for it."""
    authority = standing.certificate
    crt, _key = authority.files.crt, authority.files.key
    command = f"`kcert ca{order.folder_option}`"
    if standing.state is State.MISSING:
        raise InputError(f"{leaf.name} is signed by {crt}, and {order.root} has none yet: {command} makes it.")
    found = standing.found
    if found is None:
        raise InputError(
            f"{order.root / str(crt)} is no certificate that openssl can read: put a good copy in its place."
        )
    if not found.ca:
        raise InputError(
            f"{order.root / str(crt)} is not the certificate of a CA (no CA:TRUE): it cannot sign {leaf.name}."
        )
    if found.not_after <= now:
        raise InputError(
            f"the CA {authority.name} ended on {found.not_after:%Y-%m-%d}; nothing that it signs is accepted any more. "
            f"`kcert renew {authority.name}{order.folder_option}` gives it new dates."
        )
    _check_authority_key(order, leaf, authority, found)
    return found


def _check_authority_key(order: Order, leaf: Certificate, authority: Certificate, found: X509) -> None:
    path = order.root / authority.files.key
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path} is not here, and without the CA's key nothing can be signed. Put it there, or sign on the machine "
            f"that has it: {_signed_elsewhere(order, leaf, authority)}"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Without the CA's key nothing can be signed."
        ) from None
    check_whole(path, content)
    belongs = key_belongs(content, found.public_key)
    if belongs is None:
        belongs = public_material(order.openssl, content) == found.public_key.material
    if not belongs:
        raise InputError(
            f"{path} is not the key of {authority.files.crt}: what it signs would be refused. Put the right one there."
        )


def _signed_elsewhere(order: Order, leaf: Certificate, authority: Certificate) -> str:
    """How *leaf* comes to its certificate where the CA's key is; its own key stays here."""
    files, option = leaf.files, order.folder_option
    serves = leaf.kind.serves or any(one.kind.serves for one in order.known if one.name == leaf.name)
    groups = leaf.subject.organizations if leaf.subject else ()
    # The Certificates API signs for clients of the API server, and for nobody in system:masters.
    if authority.name == "ca" and not serves and MASTERS not in groups:
        return (
            f"`kcert csr new {leaf.name}{option}` and `kcert csr manifest {leaf.name}{option}` make a request here, "
            "`kcert csr approve --file` and `kcert csr sign --file` turn it into a certificate there."
        )
    csr, cnf, crt, ca = files.csr, files.cnf, files.crt, authority.files.crt
    assert csr and cnf and crt and ca
    if files.kubeconfig or not ((order.root / csr).is_file() and (order.root / cnf).is_file()):
        return f"`kcert {leaf.chapter}` or `kcert renew {leaf.name}` makes it there, and the new files come here."
    pair = (ca, authority.files.key)
    signature = commands.signature(order.openssl, csr, authority=pair, out=crt, days=leaf.days, cnf=cnf)
    return f"copy {csr} and {cnf} into the PKI folder there, `{typed(signature)}` makes {crt}, and that comes here."


def check_key(path: Path) -> None:
    """A key that is kept is certified as it is, so it has to be whole."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} is there but cannot be read: {error.strerror}.") from None
    check_whole(path, content)


def check_whole(path: Path, content: bytes) -> None:
    """Raise InputError where *content*, the key at *path*, is damaged, encrypted, or no key at all."""
    keys = [block for block in pem_blocks(content) if block.is_key]
    if not keys or keys[0].fault:
        why = keys[0].fault if keys else "it holds no private key"
        raise InputError(f"{path} is no key that can be used ({why}). Put a good copy there, or move it away.")
    if keys[0].encrypted:
        unlocked = path.with_name(f"{path.stem}-unlocked{path.suffix}")
        raise InputError(
            f"{path} is encrypted, and kcert never asks for a passphrase. `openssl pkey -in {quote(str(path))} "
            f"-out {quote(str(unlocked))}` writes it without one; put that in its place."
        )


def days_under(leaf: Certificate, authority: X509, now: datetime) -> int:
    """How many days *leaf* gets: what it asks for, or what is left of its CA, in whole days."""
    left = authority.not_after - now
    # A part of a day counts as one: a leaf that is made a minute after its CA has not less to get.
    if timedelta(days=leaf.days) <= left + timedelta(days=1):
        return leaf.days
    if left.days < 1:
        raise InputError(
            f"the CA that would sign {leaf.name} ends on {authority.not_after:%Y-%m-%d %H:%M} UTC, in less than a day: "
            "renew it first."
        )
    return left.days


def left_of(authority: X509, now: datetime) -> int:
    """How many days a leaf can get of what is left of its CA; a part of a day counts as one (see days_under)."""
    left = authority.not_after - now
    return left.days + (1 if left > timedelta(days=left.days) else 0)
