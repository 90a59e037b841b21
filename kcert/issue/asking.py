"""Before requests are made for somebody else to sign: what is there already, and whether it asks for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.issue import plan
from kcert.issue.context import CsrTarget, Prepared
from kcert.issue.planner import check_whole, opened
from kcert.issue.status import CertificateStatus, State
from kcert.openssl.keys import same_key
from kcert.openssl.read import Request, read_request

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.issue.context import IssueContext
    from kcert.openssl.x509 import PublicKey


def prepare_requests(order: IssueContext) -> Prepared:
    """Plan a request for each certificate that the order wants, but where one like it is there; a key is kept.

    Raises InputError for a key that cannot be used.
    """
    statuses, procedures = [], []
    for certificate in order.wanted:
        if certificate.kind is Kind.KEY_PAIR:
            statuses.append(CertificateStatus(certificate, State.MISSING))
            procedures.append(plan.procedure(certificate, None, cluster_name="", openssl=order.openssl))
            continue
        key = _key(order, certificate)
        if key is not None and _asks_already(order, certificate, key):
            statuses.append(CertificateStatus(certificate, State.CURRENT, has_key=True))
            continue
        if key is not None and certificate.passphrase:
            opened(order, certificate, key)
        elif certificate.passphrase:
            order.passphrase_of(certificate).locking(order.root / certificate.files.key)
        statuses.append(CertificateStatus(certificate, State.MISSING, has_key=key is not None))
        procedures.append(
            plan.asking(
                certificate,
                openssl=order.openssl,
                templates=order.templates,
                keeps_key=key is not None,
                usages_apart=order.asks is CsrTarget.CLUSTER,
            )
        )
    return Prepared(tuple(statuses), tuple(procedures))


def _key(order: IssueContext, certificate: Certificate) -> bytes | None:
    path = order.root / certificate.files.key
    if not path.exists():
        return None
    content = path.read_bytes()
    check_whole(path, content, may_be_encrypted=certificate.kind is Kind.CA)
    return content


def _is_key_of(order: IssueContext, certificate: Certificate, key: bytes, public: PublicKey) -> bool:
    if certificate.passphrase:
        return opened(order, certificate, key) == public.material
    return same_key(order.openssl, key, public) is True


def _asks_already(order: IssueContext, certificate: Certificate, key: bytes) -> bool:
    """Whether the request that lies there has the same subject, names and key."""
    assert certificate.files.csr and certificate.subject
    path = order.root / certificate.files.csr
    if not path.is_file():
        return False
    found = read_request(order.openssl, path.read_text(encoding="ascii", errors="replace"))
    return (
        isinstance(found, Request)
        and found.subject.parts == certificate.subject.parts
        and set(found.alt_names) == set(certificate.alt_names)
        and _is_key_of(order, certificate, key, found.public_key)
    )
