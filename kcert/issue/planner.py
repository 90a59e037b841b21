"""Before anything is made: how things stand, whether the CA and the keys that are there will do, what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kcert.certificates import ROOT, Kind
from kcert.errors import InputError
from kcert.issue import external_ca, plan
from kcert.issue.context import IssueContext, Prepared
from kcert.issue.passphrase import CA_KEY, ROOT_KEY
from kcert.issue.status import CertificateStatus, State, status_of
from kcert.openssl import commands
from kcert.openssl.pem import is_encrypted, pem_blocks
from kcert.openssl.read import X509, key_belongs, public_material
from kcert.shell import format_command, quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.issue.plan import IssuancePlan


def prepare_missing(order: IssueContext, moment: datetime) -> Prepared:
    """Plan what the order wants and the folder lacks; what is there already is kept as it is.

    Raises InputError for a CA or a key that cannot be used, and for a template that cannot.
    """
    by_name = {one.name: one for one in order.known}
    issuers = {one.issuer: by_name[one.issuer] for one in order.wanted if one.issuer}
    needed = {**issuers, **{one.name: one for one in order.wanted}}
    found = status_of(order.root, needed.values(), order.openssl, moment)
    found |= {
        name: external_ca.standing_there(order, one.certificate)
        for name, one in found.items()
        if external_ca.is_apart(one.certificate) and one.found is None
    }
    # Whoever is to sign has to be in the PKI folder, for its certificate to be handed on.
    wanted = [*(ca for ca in issuers.values() if external_ca.is_apart(ca) and ca not in order.wanted)]
    wanted += order.wanted
    procedures: list[IssuancePlan] = []
    coming: set[str] = set()
    for certificate in wanted:
        standing = found[certificate.name]
        if external_ca.is_apart(certificate):
            if not (order.root / str(certificate.files.crt)).exists():
                procedures.append(_brought(order, certificate, standing, coming))
        elif standing.state is State.MISSING:
            _check_orphans(order, certificate, standing)
            check_not_waiting(order, standing)
            procedures.append(_made(order, certificate, found, coming, moment))
            coming.add(certificate.name)
    kept = tuple(found[one.name] for one in order.wanted)
    return Prepared(kept, tuple(procedures), tuple(external_ca.remarks(order)))


def check_not_waiting(order: IssueContext, standing: CertificateStatus) -> None:
    """A CA whose request is out does not sign itself meanwhile: whoever asked a root wants its signature.

    A root that the user names may sign it. Raises InputError with the way back, and the way out of it.
    """
    one = standing.certificate
    if one.kind is not Kind.CA or one.issuer or standing.state is not State.MISSING or not standing.has_key:
        return
    csr, crt = one.files.csr, one.files.crt
    if csr is None or crt is None or not (order.root / csr).is_file() or _signed_by(order, one):
        return  # with what it signed beside it, its certificate was lost, and is made again for the same key
    request, option = order.root / csr, order.folder_option
    raise InputError(
        f"{request} waits to be signed elsewhere, and until then there is no {order.root / crt}: "
        f"`kcert csr fetch {one.name} --file {crt.name}{option}` takes the certificate in, "
        f"`kcert ca --csr-only{option}` tells again how it is signed. For a CA that signs itself after all, take the "
        f"request away: `rm {quote(str(request))}`. Nothing was made."
    )


def _check_orphans(order: IssueContext, certificate: Certificate, standing: CertificateStatus) -> None:
    """A CA that is lost is not made anew beside what it signed: that would all be refused, without a word."""
    if certificate.kind is not Kind.CA or standing.has_key:
        return
    if signed := _signed_by(order, certificate):
        listed = ", ".join(signed[:3]) + (f" and {len(signed) - 3} more" if len(signed) > 3 else "")
        raise InputError(
            f"{order.root / str(certificate.files.crt)} is not here, but what it signed is: {listed}. A new CA would "
            "make all of that worthless. Put the CA's certificate back, from a backup or from the machine that has it; "
            "or, to begin again, take a folder that is empty."
        )


def _signed_by(order: IssueContext, authority: Certificate) -> list[str]:
    """The files that *authority* signed, as far as they are here."""
    proofs = [str(one.files.proof) for one in order.known if one.issuer == authority.name]
    return [proof for proof in proofs if (order.root / proof).exists()]


def _made(
    order: IssueContext,
    certificate: Certificate,
    found: Mapping[str, CertificateStatus],
    coming: set[str],
    moment: datetime,
) -> IssuancePlan:
    """How one that is missing is made; *coming* are the CAs that will be there by then."""
    days, issuer = certificate.days, None
    if certificate.issuer:
        standing = found[certificate.issuer]
        issuer = external_ca.as_signed(standing.certificate, standing)
        if certificate.issuer not in coming:
            days = days_under(certificate, authority_for(order, certificate, standing, moment), moment)
    has_key = found[certificate.name].has_key
    if has_key:
        check_key(order, certificate)
    elif certificate.passphrase:
        order.passphrase_of(certificate).locking(order.root / certificate.files.key)
    return plan.procedure(
        certificate,
        issuer,
        cluster_name=order.cluster.name,
        openssl=order.openssl,
        templates=order.templates,
        days=days,
        keeps_key=has_key,
    )


def _brought(
    order: IssueContext, authority: Certificate, standing: CertificateStatus, coming: set[str]
) -> IssuancePlan:
    if standing.state is State.MISSING:
        folder = authority.files.key.parent
        if authority not in order.wanted and authority.name != ROOT:
            raise InputError(
                f"{folder} has no {external_ca.source(authority).name}: it is not the folder of this cluster's CA, or "
                f"nothing is mounted there. `kcert ca --ca-dir FOLDER{order.folder_option}` makes a CA in a folder."
            )
        coming.add(authority.name)  # a script makes it there first
    authority = standing.certificate
    return plan.brought(authority, external_ca.brings(order, authority), order.openssl)


def authority_for(order: IssueContext, leaf: Certificate, standing: CertificateStatus, now: datetime) -> X509:
    """The CA that is to sign *leaf*, found fit for it."""
    authority = standing.certificate
    crt, _key = authority.files.crt, authority.files.key
    command = f"`kcert ca{order.folder_option}`"
    check_not_waiting(order, standing)
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


def _check_authority_key(order: IssueContext, leaf: Certificate, authority: Certificate, found: X509) -> None:
    path = order.root / authority.files.key
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path} is not here, and without the CA's key nothing can be signed. If it is kept in another folder, "
            f"--ca-dir names that; if it is on another machine: {_signed_elsewhere(order, leaf, authority)}"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Without the CA's key nothing can be signed."
        ) from None
    check_whole(path, content, may_be_encrypted=True)
    belongs = key_belongs(content, found.public_key)
    if belongs is None:
        material = opened(order, authority, content)
        belongs = material in (None, found.public_key.material)
    if not belongs:
        raise InputError(
            f"{path} is not the key of {authority.files.crt}: what it signs would be refused. Put the right one there."
        )


def _signed_elsewhere(order: IssueContext, leaf: Certificate, authority: Certificate) -> str:
    """How *leaf* comes to its certificate where the CA's key is; its own key stays here."""
    files, option = leaf.files, order.folder_option
    renewal, csr, cnf, crt, ca = order.renewal, files.csr, files.cnf, files.crt, authority.files.crt
    assert csr and cnf and crt and ca
    pair = (ca, authority.files.key)
    by_hand = format_command(commands.signature(order.openssl, csr, authority=pair, out=crt, days=leaf.days, cnf=cnf))
    if leaf.kind is Kind.CA:
        return f"copy {csr} and {cnf} into the folder there, `{by_hand}` makes {crt}, and that comes here."
    besides = ""
    if renewal and renewal.new_key:
        begins = (
            f"move {files.secret} out of the folder, and `kcert {leaf.chapter} --csr-only{option}` makes a new key and "
            "its request here"
        )
    elif renewal and not renewal.stale and (order.root / csr).is_file():
        begins = f"its request {csr} is here already"
        if (order.root / cnf).is_file():
            besides = f" Without kcert there: copy {csr} and {cnf} beside the CA, and `{by_hand}` makes {crt}."
    else:
        begins = f"`kcert {leaf.chapter} --csr-only{option}` makes key and request here"
    return (
        f"{begins}, `kcert csr sign --file` makes a certificate of it there, and `kcert csr fetch {leaf.name} --file` "
        f"takes it in.{besides}"
    )


def locked(order: IssueContext) -> IssueContext:
    """*order* with CAs that say how their keys are opened: those that lie there encrypted, or will be made so.

    Raises InputError where a key is to be encrypted that lies there and is not.
    """
    named = {one.name for one in order.wanted}

    def with_lock(one: Certificate) -> Certificate:
        if one.kind is not Kind.CA:
            return one
        path = order.root / one.files.key
        encrypted = is_encrypted(path)
        if order.encrypts and encrypted is False and one.name in named and not order.renewal:
            raise InputError(
                f"{path} is there already, and not encrypted; kcert never changes a key that is there. By hand: "
                f"`openssl pkey -in {quote(str(path))} -aes256 -out {quote(f'{path}.encrypted')}`, then `mv` that over "
                "it (copies of the old one, in a backup for example, stay what they are)."
            )
        will_be = order.encrypts and (encrypted is None or (order.renewal is not None and one.name in named))
        return replace(one, passphrase=order.passphrase_of(one).argument) if encrypted or will_be else one

    known, wanted = (tuple(with_lock(one) for one in several) for several in (order.known, order.wanted))
    return replace(order, known=known, wanted=wanted)


def opened(order: IssueContext, authority: Certificate, content: bytes) -> str | None:
    """The ``material`` of a CA's key, opened with the passphrase where it needs one.

    None where the passphrase is not known and nobody is to be asked. Raises InputError for one that does not open it.
    """
    path = order.root / authority.files.key
    if not authority.passphrase:
        return public_material(order.openssl, content) or ""
    source = order.passphrase_of(authority)
    passphrase = source.opening(path)
    if passphrase is None:
        return None
    material = public_material(order.openssl, content, (source.owner.variable, passphrase))
    if material is None:
        raise InputError(
            f"the passphrase does not open {path}. (Where it comes from: {_origin(authority)}, else the keyboard. "
            "It may also be that the file is damaged.)"
        )
    return material


def _origin(authority: Certificate) -> str:
    """Where the passphrase of the key of *authority* is looked for, in this order; one that is told may serve both."""
    owners = (ROOT_KEY, CA_KEY) if authority.name == ROOT else (CA_KEY,)
    return ", else ".join(f"{one.option}, else {one.variable}" for one in owners)


def check_key(order: IssueContext, certificate: Certificate) -> None:
    """A key that is kept is certified as it is, so it has to be whole; a CA's may need its passphrase."""
    path = order.root / certificate.files.key
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} is there but cannot be read: {error.strerror}.") from None
    check_whole(path, content, may_be_encrypted=certificate.kind is Kind.CA)
    if certificate.passphrase:
        opened(order, certificate, content)


def check_whole(path: Path, content: bytes, *, may_be_encrypted: bool = False) -> None:
    """Raise InputError where *content*, the key at *path*, is damaged, no key at all, or encrypted and must not be."""
    keys = [block for block in pem_blocks(content) if block.is_key]
    if not keys or keys[0].fault:
        why = keys[0].fault if keys else "it holds no private key"
        raise InputError(f"{path} is no key that can be used ({why}). Put a good copy there, or move it away.")
    if keys[0].encrypted and not may_be_encrypted:
        unlocked = path.with_name(f"{path.stem}-unlocked{path.suffix}")
        raise InputError(
            f"{path} is encrypted, and whoever is to use it at work has nobody to ask for its passphrase; kcert takes "
            f"one for the CAs' keys alone. `openssl pkey -in {quote(str(path))} -out {quote(str(unlocked))}` writes it "
            "without one; put that in its place."
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
