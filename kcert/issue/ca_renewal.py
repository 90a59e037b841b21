"""The renewal of CAs: with the same key, with a new one (CA rotation), or as a copy from an external folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePosixPath

from kcert.certificates import Certificate, Kind, chain_of, new_ca_only_path
from kcert.errors import InputError
from kcert.issue import checks, external_ca, steps
from kcert.issue.context import Context, IssuancePlan, Renewal
from kcert.issue.discovery import spec_from_x509
from kcert.issue.status import CertificateStatus, State, key_of, names_issuer
from kcert.issue.steps import Kubeconfigs, Step
from kcert.openssl.commands import render
from kcert.openssl.x509 import X509
from kcert.roles import ROLES

SHOWN_LEAVES = 16
"""So many leaves the check of a renewed CA shows and runs; a command with more would not be read."""


@dataclass
class CaRenewalPlanner:
    """Plans the renewal of CAs; ``statuses`` is the status of every certificate by name, ``remarks`` grow meanwhile."""

    ctx: Context
    renewal: Renewal
    now: datetime
    statuses: dict[str, CertificateStatus]
    kubeconfigs: Kubeconfigs
    remarks: list[str] = field(default_factory=list)

    def issuer_of(self, spec: Certificate) -> Certificate | None:
        """Return the CA that signs *spec*; None if it signs itself."""
        return self.statuses[spec.issuer].certificate if spec.issuer else None

    def plan_ca(self, status: CertificateStatus) -> IssuancePlan | None:
        """Plan the renewal of a CA, as the options ask for it; None with a remark if there is nothing to do."""
        spec, x509 = status.certificate, status.x509
        path = self.ctx.root / str(spec.files.crt)
        if x509 is None:
            raise InputError(
                f"{path} is not a certificate that openssl can read: put a good "
                "copy in its place, or move it away and create the CA and its certificates again."
            )
        if ROLES[spec.role].kind is not Kind.CA:  # a folder without kcert.yaml: the name says what it has to be
            checks.refuse_mixed_up(self.ctx, spec, x509)
            raise InputError(
                f"{path} is the certificate of a CA, {str(x509.subject)!a}, and a file of this name is never a CA's: "
                f"put the certificate of {spec.name} back. Nothing was changed."
            )
        if self.renewal.complete_rotation:
            return self._complete_rotation(status, x509)
        if spec.is_external_ca:
            return self._import(spec, x509)
        if not (x509.ca or x509.self_signed):
            checks.refuse_mixed_up(self.ctx, spec, x509)
            raise InputError(
                f"{path} is the certificate of {str(x509.subject)!a}, which "
                f"is not a CA: put a good copy in its place, or move it away: `kcert ca{self.ctx.folder_option}` "
                "creates one for the existing key."
            )
        self._check_signer_at_hand(spec, x509)
        if status.previous_cas:
            self._rotation_under_way(status)
            return None
        if self.renewal.csr_only:
            return self._request(spec, x509)
        stale = self.renewal.stale
        wanted = self.with_days(spec if stale else spec_from_x509(spec, x509))
        if self.renewal.new_key:
            return self._start_rotation(x509, wanted if stale else with_key_of(wanted, spec))
        return self._keep_key(x509, wanted)

    def _check_signer_at_hand(self, spec: Certificate, x509: X509) -> None:
        """Raise InputError for an intermediate CA whose signer is not here, unless a request is all that is wanted."""
        if x509.self_signed or spec.issuer is not None or self.renewal.csr_only:
            return
        option, new_key = self.ctx.signing_option, " --new-key" if self.renewal.new_key else ""
        request = f"`kcert renew {spec.name} --csr-only{option}` creates a request."
        raise InputError(
            f"{spec.files.crt} was signed by {str(x509.issuer)!a}, and only that CA can sign it again: "
            f"`kcert renew {spec.name}{new_key} --root-dir FOLDER{option}`, with the folder that has its key."
            + ("" if new_key else f" If that key is on another machine: {request}")
        )

    def _rotation_under_way(self, status: CertificateStatus) -> None:
        spec, option = status.certificate, self.ctx.signing_option
        if not self.renewal.new_key:
            raise InputError(
                f"{spec.files.crt} holds {1 + len(status.previous_cas)} CAs, because a CA rotation is under way: "
                f"complete it with `kcert renew {spec.name} --finish{option}` before the CA is renewed again."
            )
        self.remarks.append(
            f"The rotation of {spec.name} is under way: {spec.files.crt} holds the new CA and the old. "
            f"`kcert renew --all{option}` renews its certificates, "
            f"`kcert renew {spec.name} --finish{option}` completes it."
        )

    def _keep_key(self, x509: X509, wanted: Certificate) -> IssuancePlan:
        name, option = wanted.name, self.ctx.signing_option
        other = f"`kcert renew {name} --new-key{option}` starts a rotation to a new one"
        if wanted.subject and sorted(wanted.subject.parts) != sorted(x509.subject.parts):
            raise InputError(
                f"with another subject {name} would be another CA, and all certificates that it signed would be "
                f"rejected; `kcert renew {name} --new-key --stale{option}` starts a rotation to a new CA."
            )
        if wanted.key != key_of(x509):
            raise InputError(f"kcert.yaml specifies {wanted.key}, but {name} uses {key_of(x509)}: {other}.")
        self._check_own_key(wanted, x509, other)
        issuer, openssl, days = self.issuer_of(wanted), self.ctx.openssl, self._days_of(wanted)
        leaves, crt = self._leaves(wanted, x509), wanted.crt
        checked = [steps.verify(openssl, issuer or wanted, crt, *(() if issuer else leaves))]
        if issuer and leaves:
            checked.append(steps.verify(openssl, wanted, *leaves))
        serial = x509.serial if self._is_named_by_serial(wanted, x509) else ""
        made = (
            *self._request_again(wanted),
            steps.sign(wanted, issuer or wanted, openssl, days, serial=serial),
            *checked,
            *steps.chain(wanted, issuer),
            *self.kubeconfigs.of_ca(wanted, (x509,)),
        )
        return IssuancePlan(
            wanted, issuer or wanted, made, days, keeps_key=True, replaces=x509, inputs=leaves, copies=((crt, crt),)
        )

    def _request_again(self, ca: Certificate) -> tuple[Step, ...]:
        return steps.request(ca, self.ctx.openssl, render(ca, self.ctx.templates), keeps_key=True, again=True)

    def _check_own_key(self, ca: Certificate, x509: X509, other: str) -> None:
        """The CA's key has to be here, for the CA to keep it; *other* is the way out without it."""
        path, option = self.ctx.root / ca.files.key, self.ctx.signing_option
        key = checks.check_kept_key(self.ctx, ca)
        if key is None:
            raise InputError(
                f"{path} does not exist, and with the same key the CA cannot be renewed without it. If it is kept in "
                f"another folder: `kcert renew {ca.name} --ca-dir FOLDER{option}`. If it is lost, {other}."
            )
        if not checks.is_key_of(self.ctx, ca, key, x509):
            checks.refuse_mixed_up(self.ctx, ca, x509)
            raise InputError(f"{path} is not the key of {ca.files.crt}; put the right one there, or {other}.")

    def _request(self, spec: Certificate, x509: X509) -> IssuancePlan:
        """Plan a request for the key that the CA has, for its signer, which is not here."""
        name, option = spec.name, self.ctx.signing_option
        if x509.self_signed:
            raise InputError(
                f"{name} is self-signed, so no other CA has to sign it: `kcert renew {name}{option}` renews it."
            )
        wanted = self.with_days(replace(spec_from_x509(spec, x509), intermediate=True))
        other = f"`kcert renew {name} --new-key --root-dir FOLDER{option}` starts a rotation to a new one"
        self._check_own_key(wanted, x509, other)
        note = f"{ascii(str(x509.issuer))[1:-1]} has signed it, and has to sign it again; nothing changes until then."
        # The request goes there together with the openssl.cnf, which says what kind of CA it is.
        made = self._request_again(wanted)
        asking = replace(wanted, files=replace(wanted.files, crt=None))
        return IssuancePlan(asking, None, made, wanted.days, keeps_key=True, inputs=(wanted.crt,), notes=(note,))

    def _is_named_by_serial(self, ca: Certificate, x509: X509) -> bool:
        """Return True if certificates name the CA by its serial number, because a key identifier is missing.

        openssl then rejects a CA with another serial number as their issuer, even if it has the same key.
        """
        leaves = (status.x509 for status in self._signed_by(ca) if status.x509)
        unidentified = x509.subject_key_id is None or any(leaf.authority_key_id is None for leaf in leaves)
        return unidentified and not x509.serial.startswith("-")

    def _start_rotation(self, x509: X509, wanted: Certificate) -> IssuancePlan:
        """Plan a new key and certificate for a CA, beside the old one.

        The CA's file then holds both, the new one first, and every reader of it accepts what either of them signed.
        The new one is also in a file of its own, because the signer of kube-controller-manager takes one certificate.
        """
        if wanted.passphrase:
            self.ctx.passphrases.of(wanted).value(self.ctx.root / wanted.files.key, is_new=True)
        issuer, openssl, days = self.issuer_of(wanted), self.ctx.openssl, self._days_of(wanted)
        both, leaves = wanted.crt, self._leaves(wanted, x509)
        alone, before = new_ca_only_path(both), both.with_name(f"{both.stem}-old{both.suffix}")
        new = replace(wanted, files=replace(wanted.files, crt=alone))
        made = (
            *steps.request(new, openssl, render(new, self.ctx.templates)),
            steps.sign(new, issuer or new, openssl, days),
            *((steps.verify(openssl, issuer, alone),) if issuer else ()),
            steps.concatenate("both-authorities", both, alone, before),
            steps.verify(openssl, wanted, alone, *leaves),
            *steps.chain(wanted, issuer),
            *self.kubeconfigs.of_ca(wanted, (x509,)),
        )
        return IssuancePlan(new, issuer or new, made, days, replaces=x509, inputs=leaves, copies=((both, before),))

    def _days_of(self, ca: Certificate) -> int:
        if ca.issuer is None or self.statuses[ca.issuer].state is State.MISSING:
            return ca.days  # a script makes the root first
        return self.days_under(ca, self.statuses[ca.issuer])

    def _import(self, spec: Certificate, x509: X509) -> IssuancePlan:
        """Plan the copy of a CA that was renewed where its key is."""
        ca, crt = external_ca.status_in_ca_dir(self.ctx, spec).certificate, spec.files.crt
        besides = [new_ca_only_path(crt)] if self.renewal.new_key and crt else []
        late, leaves = self.kubeconfigs.of_ca(spec, (x509,)), self._leaves(spec, x509)
        return external_ca.plan_import(self.ctx, ca, *besides, replaces=x509, leaves=leaves, late=late)

    def _complete_rotation(self, status: CertificateStatus, x509: X509) -> IssuancePlan | None:
        spec, option = status.certificate, self.ctx.signing_option
        if not status.previous_cas:
            self.remarks.append(f"{spec.files.crt} contains only one CA; no CA rotation is in progress.")
            return None
        left = [
            leaf.certificate.name
            for leaf in self._signed_by(spec)
            if leaf.x509 and not names_issuer(leaf.x509, x509) and not leaf.links
        ]
        if left:
            raise InputError(
                f"certificates signed by the outgoing CA are still in use: {', '.join(left)}. Renew them first: "
                f"`kcert renew --all{option}`."
            )
        alone = new_ca_only_path(spec.crt)
        if not (self.ctx.root / alone).is_file():
            raise InputError(
                f"{self.ctx.root / alone} does not exist. Put the certificate of the new CA there, without any other; "
                f"{spec.crt} is then replaced by it."
            )
        for leaf in self._signed_by(spec):
            if leaf.links:
                self.remarks.append(
                    f"{leaf.certificate.files.kubeconfig} names its files, and what the kubelet has there it renews by "
                    "itself: on each node, see that the new CA has signed it before this file reaches the control "
                    "plane: `openssl verify -CAfile ca.crt /var/lib/kubelet/pki/kubelet-client-current.pem`."
                )
        wanted, both, leaves = spec_from_x509(spec, x509), spec.crt, self._leaves(spec, x509)
        root = (external_ca.root_cert_path(self.ctx),) if wanted.intermediate else ()
        root = root if all((self.ctx.root / path).is_file() for path in root) else ()
        made = (
            steps.copy_first(self.ctx.openssl, alone, both),
            steps.verify(self.ctx.openssl, wanted, both, *leaves),
            *(steps.concatenate("chain", chain_of(both), both, path) for path in root),
            *self.kubeconfigs.of_ca(spec, (x509, *status.previous_cas)),
        )
        inputs = (alone, *leaves, *root)
        kept = replace(wanted, files=replace(wanted.files, cnf=None, csr=None))
        return IssuancePlan(
            kept, kept, made, wanted.days, keeps_key=True, replaces=x509, inputs=inputs, removes=(alone,)
        )

    def _signed_by(self, ca: Certificate) -> list[CertificateStatus]:
        present = (status for status in self.statuses.values() if status.state is not State.MISSING)
        return [status for status in present if status.certificate.issuer == ca.name]

    def _leaves(self, ca: Certificate, x509: X509) -> tuple[PurePosixPath, ...]:
        """Return files with leaves that *x509* has signed, those first that do not name its key."""
        signed = ((status.certificate.files, status.x509) for status in self._signed_by(ca))
        leaves = [
            (leaf.authority_key_id is not None, files.crt)
            for files, leaf in signed
            if leaf and files.crt and not files.kubeconfig
            if leaf.not_after > self.now and names_issuer(leaf, x509)
        ]
        return tuple(crt for _, crt in sorted(leaves, key=lambda leaf: leaf[0]))[:SHOWN_LEAVES]

    def with_days(self, spec: Certificate) -> Certificate:
        """Return *spec* with the lifetime of --days, so that it does not look like all that its CA has left."""
        return replace(spec, days=self.renewal.days) if self.renewal.days else spec

    def days_under(self, spec: Certificate, ca: CertificateStatus) -> int:
        """Return the days that *spec*, which has those of --days, gets from *ca*, which has to be able to sign it."""
        x509 = checks.require_ca(self.ctx, spec, ca, self.now)
        return checks.days_within(spec, x509, self.now, exactly=self.renewal.days is not None)


def with_key_of(wanted: Certificate, spec: Certificate) -> Certificate:
    """Return *wanted* with the key of *spec*; an ECDSA key is not for encipherment (RFC 5480, section 3)."""
    usages = wanted.usages
    if usages and usages.key and spec.key.algorithm != "rsa":
        usages = replace(usages, key=tuple(use for use in usages.key if use != "keyEncipherment"))
    if usages and wanted.kind is Kind.CA:
        usages = replace(usages, key_id=None)
    return replace(wanted, key=spec.key, usages=usages)
