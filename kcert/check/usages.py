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
    """Yield certificates of servers that lack serverAuth."""
    for cert in ctx.leaves:
        if cert.serves and not cert.certificate.may_serve:
            message = (
                f"{cert.description} is presented by a server, but its extended key usage does not include serverAuth."
            )
            yield _fault(ctx, cert, message, "serverAuth")


def missing_client_auth(ctx: RuleContext) -> Iterator[Violation]:
    """Yield certificates of clients that lack clientAuth."""
    for cert in ctx.leaves:
        if cert.dials and not cert.certificate.may_dial:
            if cert.roles & {Role.ETCD_SERVER, Role.ETCD_PEER}:
                message = (
                    f"{cert.description} is also presented by etcd as a client, to its peers and to itself, but its "
                    "extended key usage does not include clientAuth."
                )
            else:
                message = (
                    f"{cert.description} is presented by a client, but its extended key usage does not include "
                    "clientAuth."
                )
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
