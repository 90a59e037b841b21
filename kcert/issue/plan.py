"""The plan of one certificate: the ordered steps, what they read, and what they leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kcert.certificates import Certificate, Kind, chain_of, new_ca_only_path
from kcert.issue import steps
from kcert.kubeconfig import Kubeconfig, context_of
from kcert.openssl.commands import render, render_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from kcert.issue.steps import Step
    from kcert.openssl.x509 import X509


@dataclass(frozen=True)
class IssuancePlan:
    """The steps that create one certificate, the files that they read, and the files that they leave.

    ``issuer`` is its CA (the certificate itself if self-signed; None for a bare key pair or a request). With
    ``keeps_key`` the existing key is used. ``days`` is its actual lifetime, which can be shorter than requested.
    ``replaces`` is the certificate that is renewed. ``inputs`` are other files of the PKI folder that the commands
    read; ``copies`` are files that the commands would overwrite (where each is, and its name while they run);
    ``removes`` are files that are no longer needed afterwards; ``notes`` are printed before the first step. With
    ``is_import`` a CA's certificate is copied from the folder of its key, and nothing is created.
    """

    certificate: Certificate
    issuer: Certificate | None
    steps: tuple[Step, ...]
    days: int
    keeps_key: bool = False
    replaces: X509 | None = None
    inputs: tuple[PurePosixPath, ...] = ()
    copies: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    removes: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    is_import: bool = False

    @property
    def outputs(self) -> tuple[PurePosixPath, ...]:
        """The files that the plan puts into place, in this order; files outside the PKI folder are left out."""
        joined = [path for step in self.steps if not (step.argv or step.scratch) for path in step.makes]
        return tuple(path for path in dict.fromkeys((*self.certificate.files.kept, *joined)) if not path.is_absolute())

    @property
    def secrets(self) -> frozenset[PurePosixPath]:
        """Return those of its outputs that hold a private key."""
        secret = {path for step in self.steps if step.secret for path in step.makes} | {self.certificate.files.secret}
        return frozenset(secret & set(self.outputs))

    @property
    def is_shortened(self) -> bool:
        """True if its lifetime is shorter than usual because its CA expires earlier."""
        return self.certificate.issuer is not None and self.days < self.certificate.days

    def role_of(self, step: Step) -> str:
        """Return the role whose lesson explains *step*; the check of an intermediate CA has the general one."""
        return "" if self.certificate.intermediate and step.action == "verify" else self.certificate.role


@dataclass(frozen=True)
class ToolConfig:
    """The tools that every plan is made with."""

    openssl: str = "openssl"
    templates: Path | None = None
    cluster_name: str = ""


@dataclass(frozen=True)
class RenewalSource:
    """The certificate that is renewed.

    ``x509`` is its content (None: it cannot be read). With ``again`` the request is created from the certificate
    itself. ``rewrite`` updates the kubeconfigs that embed it; with ``embeds`` its own kubeconfig is rewritten.
    ``leaves`` are the certificates that a CA signed; they must still verify afterwards. ``serial`` is the serial number
    that a root CA keeps because these certificates name it (empty: it gets a new one). ``further`` are the other
    certificates in the old file (PEM), which are kept behind the new one.
    """

    x509: X509 | None
    keeps_key: bool
    again: bool = False
    embeds: bool = False
    rewrite: Step | None = None
    leaves: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    serial: str = ""
    further: tuple[str, ...] = ()

    @property
    def late_steps(self) -> tuple[Step, ...]:
        """The step that brings kubeconfigs up to date, if there is one."""
        return (self.rewrite,) if self.rewrite else ()


def plan_new(
    certificate: Certificate,
    issuer: Certificate | None,
    tools: ToolConfig,
    *,
    days: int | None = None,
    keeps_key: bool = False,
) -> IssuancePlan:
    """Plan *certificate*, signed by *issuer* (None: by itself) for *days* days (None: as it asks).

    Raises InputError for a template that cannot be used.
    """
    lifetime = certificate.days if days is None else days
    key = () if keeps_key else (steps.generate_key(certificate, tools.openssl),)
    if certificate.kind is Kind.KEY_PAIR:
        pair = (*key, steps.write_public_key(certificate, tools.openssl))
        return IssuancePlan(certificate, None, pair, lifetime, keeps_key)
    ca, files = issuer or certificate, certificate.files
    assert files.cnf and files.crt
    made = [
        *key,
        steps.write_config(files.cnf, render(certificate, tools.templates)),
        steps.request(certificate, tools.openssl),
        steps.sign(certificate, ca, tools.openssl, lifetime),
        steps.verify(tools.openssl, ca, files.crt),
        *_chain(certificate, issuer),
    ]
    if files.kubeconfig:
        made.append(steps.write_kubeconfig(files.kubeconfig, kubeconfig_for(certificate, ca, tools.cluster_name)))
    return IssuancePlan(certificate, ca, tuple(made), lifetime, keeps_key)


def _chain(certificate: Certificate, issuer: Certificate | None) -> tuple[Step, ...]:
    """For a CA that another one signed: the file that has both, for programs that trust roots alone."""
    crt = certificate.files.crt
    if certificate.kind is not Kind.CA or issuer is None or issuer is certificate:
        return ()
    assert crt and issuer.files.crt
    return (steps.concatenate("chain", chain_of(crt), crt, issuer.files.crt),)


def kubeconfig_for(certificate: Certificate, issuer: Certificate, cluster_name: str) -> Kubeconfig:
    """Return the kubeconfig that holds *certificate*: its user has the name that the API server takes from it."""
    assert certificate.subject
    crt, ca = certificate.files.crt, issuer.files.crt
    assert crt and ca
    return Kubeconfig(
        cluster=cluster_name,
        server=certificate.server,
        user=certificate.subject.common_name,
        context=context_of(certificate.name, cluster_name),
        ca=ca,
        crt=crt,
        key=certificate.files.key,
    )


def plan_import(
    certificate: Certificate, files: Mapping[PurePosixPath, PurePosixPath], tools: ToolConfig, old: RenewalSource
) -> IssuancePlan:
    """Plan the copy of an external CA's certificate: *files* of the PKI folder, and where each is now."""
    crt = certificate.files.crt
    assert crt
    made = (
        *(steps.concatenate("bring", path, source) for path, source in files.items()),
        steps.verify(tools.openssl, certificate, crt, *old.leaves),
        *old.late_steps,
    )
    return IssuancePlan(
        certificate,
        certificate,
        made,
        certificate.days,
        keeps_key=True,
        replaces=old.x509,
        inputs=old.leaves,
        is_import=True,
    )


def plan_request(
    certificate: Certificate, tools: ToolConfig, *, keeps_key: bool, usages_in_config: bool
) -> IssuancePlan:
    """Plan a request for another CA to sign: *certificate* has no ``crt``.

    With *usages_in_config* the signer takes the usages from the openssl.cnf; otherwise it learns them in another way.
    """
    files, names = certificate.files, certificate.alt_names
    assert files.cnf
    whole = usages_in_config or not names
    text = render(certificate, tools.templates) if whole else render_request(names)
    key = () if keeps_key else (steps.generate_key(certificate, tools.openssl),)
    made = (*key, steps.write_config(files.cnf, text), steps.request(certificate, tools.openssl))
    return IssuancePlan(certificate, None, made, certificate.days, keeps_key)


def plan_renewal(
    certificate: Certificate, issuer: Certificate | None, old: RenewalSource, days: int, tools: ToolConfig
) -> IssuancePlan:
    """Plan a new certificate in the place of an *old* one, by *issuer* (None: it signs itself) for *days* days.

    Raises InputError for a template that cannot be used.
    """
    files, ca = certificate.files, issuer or certificate
    crt, kubeconfig = files.crt, files.kubeconfig
    assert crt and files.cnf
    made: list[Step] = []
    # What is inside a kubeconfig alone has to come out of it before a command can read it.
    if kubeconfig and old.keeps_key:
        made.append(steps.extract(files.key, kubeconfig, "client-key"))
    if kubeconfig and old.again:
        made.append(steps.extract(crt, kubeconfig, "client-certificate"))
    if not old.keeps_key:
        made.append(steps.generate_key(certificate, tools.openssl))
    made += [
        steps.write_config(files.cnf, render(certificate, tools.templates)),
        (steps.request_again if old.again else steps.request)(certificate, tools.openssl),
        steps.sign(certificate, ca, tools.openssl, days, serial=old.serial),
    ]
    if issuer and certificate.kind is Kind.CA:
        made.append(steps.verify(tools.openssl, ca, crt))
        if old.leaves:
            made.append(steps.verify(tools.openssl, certificate, *old.leaves))
        made += _chain(certificate, issuer)
    else:
        made.append(steps.verify(tools.openssl, ca, crt, *old.leaves))
    if old.further:
        made.append(steps.append_certificates(crt, old.further))
    if old.embeds and kubeconfig:
        made.append(steps.write_kubeconfig(kubeconfig, kubeconfig_for(certificate, ca, tools.cluster_name)))
    return IssuancePlan(
        certificate,
        ca,
        (*made, *old.late_steps),
        days,
        keeps_key=old.keeps_key,
        replaces=old.x509,
        inputs=old.leaves,
        copies=((crt, crt),) if old.again and not kubeconfig else (),
        notes=old.notes,
    )


def plan_renewal_request(certificate: Certificate, x509: X509, tools: ToolConfig) -> IssuancePlan:
    """Plan a request for the signer of the CA *certificate*, which is as *x509*, to sign it again with its key.

    The request goes there together with the openssl.cnf, which says what kind of CA it is.
    """
    files = certificate.files
    assert files.crt and files.cnf
    made = (
        steps.write_config(files.cnf, render(certificate, tools.templates)),
        steps.request_again(certificate, tools.openssl),
    )
    issuer = str(x509.issuer)
    note = f"{ascii(issuer)[1:-1]} has signed it, and has to sign it again; nothing changes until then."
    asking = replace(certificate, files=replace(files, crt=None))
    return IssuancePlan(asking, None, made, certificate.days, keeps_key=True, inputs=(files.crt,), notes=(note,))


def plan_rotation_start(
    certificate: Certificate, issuer: Certificate | None, old: RenewalSource, days: int, tools: ToolConfig
) -> IssuancePlan:
    """Plan a new key and certificate for a CA, beside the old one; *issuer* signs it (None: itself).

    The CA's file then holds both, the new one first, and every reader of it accepts what either of them signed.
    The new one is also in a file of its own, for the signer of kube-controller-manager, which takes one certificate.
    """
    both = certificate.files.crt
    assert both and certificate.files.cnf
    alone, before = new_ca_only_path(both), both.with_name(f"{both.stem}-old{both.suffix}")
    new = replace(certificate, files=replace(certificate.files, crt=alone))
    made = (
        steps.generate_key(new, tools.openssl),
        steps.write_config(certificate.files.cnf, render(new, tools.templates)),
        steps.request(new, tools.openssl),
        steps.sign(new, issuer or new, tools.openssl, days),
        *((steps.verify(tools.openssl, issuer, alone),) if issuer else ()),
        steps.concatenate("both-authorities", both, alone, before),
        steps.verify(tools.openssl, certificate, alone, *old.leaves),
        *_chain(certificate, issuer),
        *old.late_steps,
    )
    return IssuancePlan(
        new,
        issuer or new,
        made,
        days,
        replaces=old.x509,
        inputs=old.leaves,
        copies=((both, before),),
        notes=old.notes,
    )


def plan_rotation_complete(
    certificate: Certificate, root: PurePosixPath | None, old: RenewalSource, tools: ToolConfig
) -> IssuancePlan:
    """Plan the removal of the outgoing CA from the file that holds both; *root* has signed the one that stays."""
    both = certificate.files.crt
    assert both
    alone = new_ca_only_path(both)
    kept = replace(certificate, files=replace(certificate.files, cnf=None, csr=None))
    made = (
        steps.copy_first(tools.openssl, alone, both),
        steps.verify(tools.openssl, certificate, both, *old.leaves),
        *((steps.concatenate("chain", chain_of(both), both, root),) if root else ()),
        *old.late_steps,
    )
    return IssuancePlan(
        kept,
        kept,
        made,
        certificate.days,
        keeps_key=True,
        replaces=old.x509,
        inputs=(alone, *old.leaves, *((root,) if root else ())),
        removes=(alone,),
        notes=old.notes,
    )
