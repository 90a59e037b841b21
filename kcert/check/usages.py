"""Rules about what a certificate may be used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.check.repairs import reissue_commands
from kcert.check.rule import Violation, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kcert.check.context import CertificateInstance, RuleContext


def missing_server_auth(ctx: RuleContext) -> Iterator[Violation]:
    """A server shows a certificate that must not stand for a server."""
    for cert in ctx.leaves:
        if cert.serves and not cert.certificate.may_serve:
            message = f"{cert.description} is shown by a server, and its extended key usage does not let it be one."
            yield _fault(ctx, cert, message, "serverAuth")


def missing_client_auth(ctx: RuleContext) -> Iterator[Violation]:
    """A client shows a certificate that must not stand for a client."""
    for cert in ctx.leaves:
        if cert.dials and not cert.certificate.may_dial:
            if cert.roles & {Role.ETCD_SERVER, Role.ETCD_PEER}:
                message = (
                    f"{cert.description} is etcd's, which shows it as a client too: to its peers, and to itself. Its "
                    "extended key usage does not allow that."
                )
            else:
                message = f"{cert.description} is shown by a client, and its extended key usage does not let it be one."
            yield _fault(ctx, cert, message, "clientAuth")


def _fault(ctx: RuleContext, cert: CertificateInstance, message: str, missing: str) -> Violation:
    usages = ", ".join(cert.certificate.extended_key_usage or ()) or "empty"
    return Violation(
        cert.path, message, f"extendedKeyUsage: {usages}; {missing} is missing", reissue_commands(ctx, cert)
    )


RULES = (
    error("missing-server-auth", missing_server_auth),
    error("missing-client-auth", missing_client_auth),
)
