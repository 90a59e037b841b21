"""From a certificate that is there to the ordered steps that renew it, or that change a CA over to a new key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind, chain_of, new_ca_only_path
from kcert.issue.plan import (
    Concatenate,
    ExtractFromKubeconfig,
    IssuancePlan,
    Run,
    Step,
    Write,
    WriteKubeconfig,
    chained,
    kubeconfig,
    new_key,
    signed,
    verified,
)
from kcert.openssl import cnf, commands

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from kcert.certificates import Certificate
    from kcert.issue.plan import UpdateKubeconfigs
    from kcert.openssl.x509 import X509


@dataclass(frozen=True)
class ToolConfig:
    """What every procedure is made with."""

    openssl: str
    templates: Path | None
    cluster_name: str


@dataclass(frozen=True)
class RenewalSource:
    """What is known of a certificate that is renewed.

    ``found`` is what it says (None: it cannot be read); with ``again`` the request is made from the
    certificate itself; ``rewrite`` are the kubeconfigs that have it inside; with ``embeds`` its own kubeconfig is
    written anew; ``leaves`` are certificates of a CA, for which it has to vouch afterwards as before; ``serial`` is
    the number that a root keeps (empty: it gets another), because they name it.
    """

    found: X509 | None
    keeps_key: bool
    again: bool = False
    embeds: bool = False
    rewrite: UpdateKubeconfigs | None = None
    leaves: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    serial: str = ""


def renewal(
    certificate: Certificate, issuer: Certificate | None, old: RenewalSource, days: int, tools: ToolConfig
) -> IssuancePlan:
    """The steps that put a new certificate into the place of an *old* one.

    *certificate* is what it shall be, *issuer* its CA (None: it signs itself), *days* its lifetime.
    Raises InputError for a template that cannot be used.
    """
    files = certificate.files
    authority = issuer or certificate
    crt, csr, config = files.crt, files.csr, files.cnf
    assert crt and csr and config and certificate.subject and authority.files.crt
    steps: list[Step] = [*_taken_out(certificate, old)]
    if not old.keeps_key:
        steps.append(new_key(certificate, tools.openssl))
    steps.append(Write("settings", config, cnf.render(certificate, tools.templates)))
    if old.again:
        argv = commands.request_again(tools.openssl, crt, files.key, csr, certificate.passphrase)
        steps.append(Run("request-again", argv, reads=(crt, files.key), makes=(csr,)))
    else:
        secret = certificate.passphrase
        argv = commands.request(tools.openssl, files.key, certificate.subject, cnf=config, out=csr, passphrase=secret)
        steps.append(Run("request", argv, reads=(files.key, config), makes=(csr,)))
    signature, _ = signed(certificate, authority, tools.openssl, days, serial=old.serial)
    if issuer and certificate.kind is Kind.CA:
        steps += [signature, verified(tools.openssl, authority, crt), *_proven(certificate, old, tools)]
        steps += chained(certificate, issuer)
    else:
        steps += [signature, verified(tools.openssl, authority, crt, *old.leaves)]
    if old.embeds and files.kubeconfig:
        steps.append(
            WriteKubeconfig("kubeconfig", files.kubeconfig, kubeconfig(certificate, authority, tools.cluster_name))
        )
    if old.rewrite:
        steps.append(old.rewrite)
    return IssuancePlan(
        certificate,
        authority,
        tuple(steps),
        days,
        keeps_key=old.keeps_key,
        replaces=old.found,
        brings=old.leaves,
        copies=((crt, crt),) if old.again and not files.kubeconfig else (),
        notes=old.notes,
    )


def request_above(certificate: Certificate, found: X509, tools: ToolConfig) -> IssuancePlan:
    """The steps that ask whoever signed the CA *certificate*, which is as *found*, to sign it again with its key.

    The request goes there together with the settings, which say what kind of CA it is.
    """
    files = certificate.files
    assert files.crt and files.csr and files.cnf
    argv = commands.request_again(tools.openssl, files.crt, files.key, files.csr, certificate.passphrase)
    steps: tuple[Step, ...] = (
        Write("settings", files.cnf, cnf.render(certificate, tools.templates)),
        Run("request-again", argv, reads=(files.crt, files.key), makes=(files.csr,)),
    )
    note = f"{str(found.issuer)!a} has signed it, and is asked to sign it again; until then everything stays as it is."
    asking = replace(certificate, files=replace(files, crt=None))
    return IssuancePlan(
        asking, None, steps, certificate.days, keeps_key=True, brings=(files.crt,), notes=(note.replace("'", ""),)
    )


def _proven(authority: Certificate, old: RenewalSource, tools: ToolConfig) -> list[Step]:
    """A CA that another one signed vouches for its leaves as it did before."""
    return [verified(tools.openssl, authority, *old.leaves)] if old.leaves else []


def _taken_out(certificate: Certificate, old: RenewalSource) -> list[ExtractFromKubeconfig]:
    """What lives in a kubeconfig alone has to come out of it before a command can read it."""
    files = certificate.files
    taken = []
    if files.kubeconfig and old.keeps_key:
        taken.append(ExtractFromKubeconfig("take-out", files.key, files.kubeconfig, "client-key"))
    if files.kubeconfig and old.again:
        assert files.crt
        taken.append(ExtractFromKubeconfig("take-out", files.crt, files.kubeconfig, "client-certificate"))
    return taken


def change_over(
    certificate: Certificate, issuer: Certificate | None, old: RenewalSource, days: int, tools: ToolConfig
) -> IssuancePlan:
    """The steps that make a new key and certificate for a CA, beside the old one; *issuer* signs it (None: itself).

    The CA's file then holds both, the new one first, and whoever reads it accepts what either of them signed.
    The new one also lies there alone, for the signer of kube-controller-manager, which takes one certificate only.
    """
    both = certificate.files.crt
    assert both and certificate.subject and certificate.files.csr and certificate.files.cnf
    alone, before = new_ca_only_path(both), both.with_name(f"{both.stem}-old{both.suffix}")
    made = replace(certificate, files=replace(certificate.files, crt=alone))
    csr, config = certificate.files.csr, certificate.files.cnf
    secret = certificate.passphrase
    asked = commands.request(tools.openssl, made.files.key, certificate.subject, cnf=config, out=csr, passphrase=secret)
    signature, checked = signed(made, issuer or made, tools.openssl, days)
    steps: list[Step] = [
        new_key(made, tools.openssl),
        Write("settings", config, cnf.render(made, tools.templates)),
        Run("request", asked, reads=(made.files.key, config), makes=(csr,)),
        signature,
        *((checked,) if issuer else ()),
        Concatenate("both-authorities", both, (alone, before)),
        verified(tools.openssl, certificate, alone, *old.leaves),
    ]
    steps += chained(certificate, issuer)
    if old.rewrite:
        steps.append(old.rewrite)
    return IssuancePlan(
        made,
        issuer or made,
        tuple(steps),
        days,
        replaces=old.found,
        brings=old.leaves,
        copies=((both, before),),
        notes=old.notes,
    )


def finish(
    certificate: Certificate, above: PurePosixPath | None, old: RenewalSource, tools: ToolConfig
) -> IssuancePlan:
    """The steps that take the outgoing CA out of the file that holds both; *above* has signed the one that stays."""
    both = certificate.files.crt
    assert both
    alone = new_ca_only_path(both)
    kept = replace(certificate, files=replace(certificate.files, cnf=None, csr=None))
    argv = commands.copy(tools.openssl, alone, both)
    steps: list[Step] = [
        Run("one-authority", argv, reads=(alone,), makes=(both,)),
        verified(tools.openssl, certificate, both, *old.leaves),
    ]
    if above:
        steps.append(Concatenate("chain", chain_of(both), (both, above)))
    if old.rewrite:
        steps.append(old.rewrite)
    return IssuancePlan(
        kept,
        kept,
        tuple(steps),
        certificate.days,
        keeps_key=True,
        replaces=old.found,
        brings=(alone, *old.leaves, *((above,) if above else ())),
        retires=(alone,),
        notes=old.notes,
    )
