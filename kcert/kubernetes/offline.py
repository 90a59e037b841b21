"""Requests made here for a CA on another machine, and the commands that sign them there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kcert.certificates import Files, Kind
from kcert.issue import steps
from kcert.issue.context import CsrTarget
from kcert.issue.status import State, status_of

if TYPE_CHECKING:
    from kcert.certificates import Certificate
    from kcert.issue.context import Context


def for_requests(ctx: Context, specs: tuple[Certificate, ...]) -> tuple[Context, tuple[Certificate, ...]]:
    """Return *ctx* and *specs* for requests in place of certificates: of all that is wanted and not current.

    A request for a CA is made only where nothing else is wanted: then somebody else's root is to sign it.
    """
    everything = {spec.name: spec for spec in (*ctx.specs, *specs)}
    found = status_of(ctx.root, everything.values())
    leaves = [spec for spec in specs if spec.kind is not Kind.CA]
    requested = leaves or [replace(spec, intermediate=True) for spec in specs]
    wanted = tuple(_without_crt(spec) for spec in requested if found[spec.name].state is not State.CURRENT)
    return replace(ctx, csr_target=CsrTarget.CA, command=f"{ctx.command} --csr-only"), wanted


def _without_crt(one: Certificate) -> Certificate:
    """Return the same without a certificate file and a kubeconfig: both come with the answer."""
    if one.kind is Kind.KEY_PAIR:
        return one
    return replace(one, files=replace(one.files, crt=None, kubeconfig=None))


def manual(certificate: Certificate, authority: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command that signs its request by hand, where CA, request and openssl.cnf are in one folder."""
    files, ca = certificate.files, authority.files
    assert files.csr and files.cnf and files.crt and ca.crt
    csr, config, crt = (PurePosixPath(path.name) for path in (files.csr, files.cnf, files.crt))
    flat = replace(files, csr=csr, cnf=config, crt=crt)
    there = replace(authority, files=replace(ca, crt=PurePosixPath(ca.crt.name), key=PurePosixPath(ca.key.name)))
    return steps.sign(replace(certificate, files=flat), there, openssl, certificate.days).argv


def by_root(authority: Certificate, openssl: str) -> tuple[str, ...]:
    """Return the command with which an external root CA signs a CA of the cluster."""
    files = Files(key=PurePosixPath("root.key"), crt=PurePosixPath("root.crt"))
    return manual(authority, replace(authority, name="root", files=files, passphrase=""), openssl)
