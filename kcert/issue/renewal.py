"""The renewal of certificates: those that are meant, their content, and what has to follow.

A renewal keeps the content of the old certificate, whatever tool made it, unless it is to be updated to match
kcert.yaml (``--stale``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import cached_property

from kcert.certificates import ROOT, Certificate, Kind, Role
from kcert.errors import InputError
from kcert.files import read_optional, read_regular
from kcert.issue import checks, external_ca, steps
from kcert.issue.adopt import known_files, made_here
from kcert.issue.ca_renewal import CaRenewalPlanner, with_key_of
from kcert.issue.context import Context, IssuancePlan, Renewal, Work
from kcert.issue.discovery import FolderContent, spec_from_x509
from kcert.issue.status import CertificateStatus, State, key_of, names_issuer, status_of
from kcert.issue.steps import Step
from kcert.kubeconfig import opened
from kcert.openssl.commands import render
from kcert.openssl.program import same_key
from kcert.openssl.reader import certificate_pems
from kcert.openssl.verify import Signatures
from kcert.openssl.x509 import X509
from kcert.quoting import quote
from kcert.roles import ROLES

_TOKENS = "Tokens that the old key signed are rejected once the API server uses only the new one."


def plan_renewals(ctx: Context, specs: Sequence[Certificate], renewal: Renewal) -> Work:
    """Plan what is to be renewed of *specs*; nothing is written.

    Raises InputError for what cannot be renewed, and says what can be done about it.
    """
    now = datetime.now(timezone.utc)
    statuses = status_of(ctx.root, ctx.specs, now)
    plans: list[IssuancePlan] = []
    root = statuses.get(ROOT)
    if root and root.x509 is None:
        statuses[ROOT] = external_ca.status_in_ca_dir(ctx, root.certificate)
        plans.append(external_ca.plan_import(ctx, root.certificate))
    planner = RenewalPlanner(ctx, renewal, now, statuses, steps.Kubeconfigs(ctx.root))
    requested = [statuses[spec.name] for spec in specs]
    chosen, left = (planner.named(requested), []) if renewal.named else planner.meant(requested)
    planner.expect_signatures(chosen)
    for status in chosen:
        ca = status.certificate.kind is Kind.CA
        planned = planner.plan_ca(status) if ca else planner.plan_leaf(status)
        if planned:
            plans.append(planned)
    remarks = planner.remarks if renewal.named else [*planner.remarks, *renewal.left_out]
    return Work((*chosen, *left), tuple(plans), tuple(remarks))


class RenewalPlanner(CaRenewalPlanner):
    """Plans the renewal of what is meant: leaves and key pairs here, CAs as ``CaRenewalPlanner`` does."""

    def named(self, chosen: list[CertificateStatus]) -> list[CertificateStatus]:
        """Return *chosen*, which the user named; raises InputError for what cannot be renewed together or at all."""
        if len({status.certificate.kind is Kind.CA for status in chosen}) > 1:
            raise InputError(
                "a CA and the certificates that it signed cannot be renewed in one command; run `kcert renew` twice."
            )
        for status in chosen:
            spec = status.certificate
            if status.state is State.MISSING:
                checks.refuse_pending_ca(self.ctx, self.statuses.get(spec.issuer or "", status))
                option = self.ctx.signing_option
                raise InputError(
                    f"{spec.name} does not exist, so it cannot be renewed: `kcert {spec.chapter}{option}` creates it."
                )
            if self.renewal.complete_rotation and spec.kind is not Kind.CA:
                raise InputError(f"--finish completes the rotation of a CA, and {spec.name} is not a CA.")
        return chosen

    def meant(self, statuses: Sequence[CertificateStatus]) -> tuple[list[CertificateStatus], list[CertificateStatus]]:
        """Return what --all, --expiring-in and --stale select, and what they select but kcert cannot renew."""
        known = known_files(self.ctx.root) if self.renewal.stale else frozenset()
        chosen, left = [], []
        for status in filter(self._is_meant, statuses):
            spec = status.certificate
            leaf = spec.kind not in (Kind.CA, Kind.KEY_PAIR)
            updates = self._updates(status)
            foreign = updates and not made_here(self.ctx.root, spec, known)
            if leaf and not foreign and (updates or (status.x509 and not status.links)):
                chosen.append(status)
            elif status.links:
                self.remarks.append(
                    f"{spec.files.kubeconfig} contains paths instead of the files: the kubelet renews that "
                    f"certificate by itself."
                )
            elif not self.renewal.every or leaf:
                left.append(status)
                if leaf and foreign:
                    self.remarks.append(
                        f"kcert did not make {spec.name}, so it is only changed when it is named: "
                        f"`kcert renew {spec.name} --stale{self.ctx.signing_option}`."
                    )
        return chosen, left

    def _is_meant(self, status: CertificateStatus) -> bool:
        within, x509 = self.renewal.within, status.x509
        soon = within is not None and x509 is not None and x509.not_after <= self.now + within
        return status.state is not State.MISSING and (self.renewal.every or soon or self._updates(status))

    def _updates(self, status: CertificateStatus) -> bool:
        """Return True if the certificate is updated to match kcert.yaml, False if it keeps its content."""
        differs = len(status.reasons) > (status.state in (State.EXPIRED, State.EXPIRING))
        return self.renewal.stale and (self.renewal.named or differs)

    def plan_leaf(self, status: CertificateStatus) -> IssuancePlan:
        """Plan a new certificate in the place of the one that is there."""
        spec, x509 = status.certificate, status.x509
        if spec.kind is Kind.KEY_PAIR:
            return self._key_pair(status)
        updates = self._updates(status)
        if not updates and (x509 is None or status.links):
            path = self.ctx.root / str(spec.files.primary)
            if status.links:
                raise InputError(
                    f"{path} contains the paths of its certificate and key, not their content, like that of a kubelet "
                    "that renews its certificate by itself: there is nothing to renew in it."
                )
            raise InputError(
                f"{path} contains no certificate that can be read, so kcert cannot copy its subject: "
                f"`kcert renew {spec.name} --stale{self.ctx.signing_option}` creates it as kcert.yaml describes it."
            )
        if x509 and x509.ca:
            checks.refuse_mixed_up(self.ctx, spec, x509)
        wanted = spec if updates or x509 is None else spec_from_x509(spec, x509)
        new_key = self._gets_new_key(spec)
        if new_key and not updates and x509:
            wanted = with_key_of(wanted, spec)
        wanted = self.with_days(wanted)
        ca_status = self._signer(spec, None if updates else x509)
        days = self.days_under(wanted, ca_status)
        key = self._key(spec)
        keeps = key is not None and not new_key and not (updates and x509 and wanted.key != key_of(x509))
        belongs = bool(keeps and key and x509 and same_key(self.ctx.openssl, key, x509.public_key))
        kubeconfig, crt = spec.files.kubeconfig, spec.crt
        embeds = updates and kubeconfig is not None
        old_key = None if keeps and belongs else key
        rewrite = self.kubeconfigs.of_leaf(wanted, x509, old_key, rewrites_own=embeds)
        if kubeconfig and not embeds and not any(kubeconfig in step.makes for step in rewrite):
            raise InputError(
                f"{self.ctx.root / str(kubeconfig)} does not contain its certificate in a form that kcert can change: "
                f"`kcert renew {wanted.name} --stale{self.ctx.signing_option}` writes a new file."
            )
        again = belongs and not updates
        if not again:
            checks.require_typable(wanted)
        made = self._steps(wanted, ca_status.certificate, days, keeps_key=keeps, again=again)
        if not updates and not kubeconfig:
            # The certificates behind the first in the old file are presented with it.
            further = certificate_pems(read_regular(self.ctx.root / crt))[1:]
            made += [steps.append_certificates(crt, tuple(further))] if further else []
        if embeds:
            made.append(steps.write_kubeconfig(wanted, ca_status.certificate, self.ctx.cluster.name))
        return IssuancePlan(
            wanted,
            ca_status.certificate,
            (*made, *rewrite),
            days,
            keeps_key=keeps,
            replaces=x509,
            copies=((crt, crt),) if again and not kubeconfig else (),
            notes=self._notes(status, key_kept=keeps, belongs=belongs, updates=updates),
        )

    def _steps(self, spec: Certificate, ca: Certificate, days: int, *, keeps_key: bool, again: bool) -> list[Step]:
        """Return the steps to the new certificate; with *again* its request is made from the old one."""
        files, openssl = spec.files, self.ctx.openssl
        made: list[Step] = []
        if keeps_key and files.kubeconfig:  # what is inside it alone has to come out before a command can read it
            made.append(steps.extract(files.key, files.kubeconfig, "client-key"))
            if again:
                made.append(steps.extract(spec.crt, files.kubeconfig, "client-certificate"))
        return [
            *made,
            *steps.request(spec, openssl, render(spec, self.ctx.templates), keeps_key=keeps_key, again=again),
            steps.sign(spec, ca, openssl, days),
            steps.verify(openssl, ca, spec.crt),
        ]

    def _signer(self, spec: Certificate, x509: X509 | None) -> CertificateStatus:
        """Return the status of the CA that signs *spec*: the one that signed the old certificate, as openssl proves.

        While a CA is rotated, its new one takes the place of the outgoing one. Without *x509* it is the CA that
        kcert.yaml wants. Raises InputError where another CA signed the old certificate than the one that is trusted.
        """
        assert spec.issuer
        usual = self.statuses.get(spec.issuer)
        assert usual
        if x509 is None:
            return usual
        if self._has_signed(usual, x509):
            self._check_trusted(spec, x509, usual)
            return usual
        path, option = self.ctx.root / str(spec.files.primary), self.ctx.signing_option
        ca = usual.certificate.files.crt
        update = f"`kcert renew {spec.name} --stale{option}`."
        if signer := FolderContent(self.ctx.root, self.ctx.openssl).issuer_of(x509):
            raise InputError(
                f"{path} was signed by {signer.files.crt} ({str(x509.issuer)!a}), but kcert.yaml has it signed by "
                f"{ca}, so nothing was renewed. To have it signed by {ca}: {update}"
            )
        instead = f" To have it signed by {ca} instead, as kcert.yaml says: {update}" if usual.x509 else ""
        raise InputError(
            f"{path} was signed by {str(x509.issuer)!a}, and no certificate of that CA is in {self.ctx.root}: another "
            f"CA must not sign in its place, so nothing was renewed. Put the CA's certificate and key there.{instead}"
        )

    @cached_property
    def _signatures(self) -> Signatures:
        return Signatures(self.ctx.openssl, ())

    def expect_signatures(self, chosen: Iterable[CertificateStatus]) -> None:
        """Have the signatures of *chosen* checked together: openssl takes many certificates of one CA at once."""
        leaves = ((self.statuses.get(status.certificate.issuer or ""), status.x509) for status in chosen)
        signed = ((x509, ca) for usual, x509 in leaves if usual and x509 for ca in _named_signers(usual, x509))
        self._signatures.expect((x509, (ca,), ()) for x509, ca in signed)

    def _has_signed(self, ca: CertificateStatus, x509: X509) -> bool:
        """Return True if one of the certificates in the file of *ca* signed *x509*."""
        return any(self._signatures.verdict(x509, (other,)) is None for other in _named_signers(ca, x509))

    def _check_trusted(self, spec: Certificate, x509: X509, signer: CertificateStatus) -> None:
        """Raise InputError where kubeadm's layout, in a folder without kcert.yaml, has another CA for *spec*.

        The other certificates of the cluster's own CA are not compared: some clusters replace them on purpose.
        """
        role = ROLES[spec.role]
        if self.ctx.cluster.profile or role.ca not in (Role.ETCD_CA, Role.FRONT_PROXY_CA):
            return
        name = ROLES[role.ca].kubeadm.removeprefix("pki/")
        trusted = self.statuses.get(name)
        if f"pki/{spec.name}" != role.kubeadm or trusted is None or trusted.x509 is None:
            return
        if trusted.certificate.name == signer.certificate.name or self._has_signed(trusted, x509):
            return
        crt = trusted.certificate.files.crt
        pki = (self.ctx.root / str(crt)).parents[name.count("/")]
        above, kubeadm_name = quote(str(pki.parent)), spec.name.replace("/", "-")
        raise InputError(
            f"{self.ctx.root / str(spec.files.crt)} was signed by {signer.certificate.files.crt} "
            f"({str(x509.issuer)!a}), but the CA trusted by {' and '.join(role.presented_to)} is {crt} "
            f"({str(trusted.x509.subject)!a}), so nothing was renewed. To have it signed by that CA: "
            f"`kubeadm certs renew {kubeadm_name} --cert-dir {quote(str(pki.absolute()))}`; without kubeadm, "
            f"`kcert init --from {above}`, then `kcert renew {kubeadm_name} --stale --dir {above}`."
        )

    def _gets_new_key(self, spec: Certificate) -> bool:
        """Return True for a new key. --all keeps the service account key: a new one makes all tokens invalid."""
        return self.renewal.new_key and not (self.renewal.every and spec.role == "service-account")

    def _notes(self, status: CertificateStatus, *, key_kept: bool, belongs: bool, updates: bool) -> tuple[str, ...]:
        spec, option = status.certificate, self.ctx.signing_option
        notes = []
        if updates and status.reasons:
            notes.append(f"The certificate is updated to match kcert.yaml: {status.reason}.")
        differences = "; ".join(reason.text for reason in status.reasons if not reason.about)
        if not updates and status.state is State.STALE and differences:
            notes.append(
                f"The certificate differs from kcert.yaml and is not updated ({differences}): "
                f"`kcert renew {spec.name} --stale{option}` updates it."
            )
        if self.renewal.new_key and key_kept:
            notes.append(f"The key is kept, because it signs tokens; `kcert renew {spec.name} --new-key` replaces it.")
        if not status.has_key:
            notes.append(f"The key {spec.files.key} does not exist, so a new one is generated.")
        elif not key_kept:
            notes.append("A new key is generated.")
            if spec.role == "service-account":
                notes.append(_TOKENS)
        elif not belongs and status.x509:
            notes.append(
                f"{spec.files.secret} contains another key than the old certificate; the new certificate is for this "
                "key."
            )
        return tuple(notes)

    def _key(self, spec: Certificate) -> bytes | None:
        """Return the private key that is there, whole if it is kept; None if there is none."""
        path = self.ctx.root / spec.files.secret
        content = read_optional(path)
        if content is not None and spec.files.kubeconfig:
            inside = opened(content)
            content = inside.key if inside else None
        if content is not None and not self._gets_new_key(spec):
            checks.check_key_content(path, content)
        return content

    def _key_pair(self, status: CertificateStatus) -> IssuancePlan:
        spec = status.certificate
        if status.state is State.CURRENT and not self.renewal.new_key:
            raise InputError(
                f"{spec.name} is a key pair without a certificate, and does not expire. --new-key replaces it; then "
                f"every token that it signed is rejected."
            )
        keeps = not self.renewal.new_key and self._key(spec) is not None
        kept = f"The key is kept: {spec.files.public_key} is re-created from {spec.files.key}."
        made = steps.key_pair(spec, self.ctx.openssl, keeps_key=keeps)
        return IssuancePlan(spec, None, made, spec.days, keeps, notes=(kept if keeps else _TOKENS,))


def _named_signers(ca: CertificateStatus, x509: X509) -> list[X509]:
    """Return those certificates in the file of *ca* that *x509* names as its issuer."""
    cas = (ca.x509, *ca.previous_cas) if ca.x509 else ()
    return [other for other in cas if names_issuer(x509, other)]
