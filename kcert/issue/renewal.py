"""Before anything is renewed: which certificates are meant, what each is to be, and what has to follow.

What is renewed stays as it is in the old certificate, whoever made that, unless it is to be brought in line
with kcert.yaml (``--stale``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kcert.certificates import ROOT, Kind, new_ca_only_path
from kcert.errors import InputError
from kcert.issue import external_ca, plan, plan_renewal
from kcert.issue.context import Prepared
from kcert.issue.embedded import Kubeconfigs
from kcert.issue.plan_renewal import RenewalSource, ToolConfig
from kcert.issue.planner import authority_for, check_not_waiting, check_whole, days_under, left_of
from kcert.issue.planner import opened as opened_key
from kcert.issue.status import CertificateStatus, State, issuer_mismatch, status_of
from kcert.issue.taking_over import as_it_is, key_of, known_files, made_here
from kcert.kubeconfig import opened
from kcert.openssl.keys import same_key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path, PurePosixPath

    from kcert.certificates import Certificate
    from kcert.issue.context import IssueContext, Renewal
    from kcert.issue.plan import IssuancePlan
    from kcert.openssl.x509 import X509

SHOWN_LEAVES = 16
"""So many leaves the check of a renewed CA shows and runs; with more, nobody would read the command."""


def prepare_renewal(order: IssueContext, renewal: Renewal, now: datetime) -> Prepared:
    """Look at the folder and plan what is to be renewed; nothing is written.

    Raises InputError for what cannot be renewed, and says what can be done about it.
    """
    preparation = _Preparation(order, renewal, now, status_of(order.root, order.known, order.openssl, now))
    return preparation.prepared()


_TOKENS = "Tokens that the old key signed are refused once the API server knows the new one alone."


@dataclass
class _Preparation:
    order: IssueContext
    renewal: Renewal
    now: datetime
    found: dict[str, CertificateStatus]

    def __post_init__(self) -> None:
        self.procedures: list[IssuancePlan] = []
        root = self.found.get(ROOT)
        if root and root.found is None:
            self.found[ROOT] = external_ca.standing_there(self.order, root.certificate)
            names = external_ca.brings(self.order, root.certificate)
            self.procedures.append(plan.brought(root.certificate, names, self.order.openssl))
        # The certificates themselves say who is an intermediate CA.
        self.found = {
            name: replace(status, certificate=external_ca.as_signed(status.certificate, status))
            for name, status in self.found.items()
        }
        self.by_name = {name: one.certificate for name, one in self.found.items()}
        self.kubeconfigs = Kubeconfigs.below(self.order.root)
        self.tools = ToolConfig(self.order.openssl, self.order.templates, self.order.cluster.name)
        self.known = known_files(self.order.root) if self.renewal.stale and not self.renewal.named else frozenset()
        self.remarks: list[str] = []

    def prepared(self) -> Prepared:
        chosen, left = self._named() if self.renewal.named else self._meant()
        procedures = self.procedures
        for standing in chosen:
            authority = standing.certificate.kind is Kind.CA
            made = self._authority(standing) if authority else self._leaf(standing)
            if made:
                procedures.append(made)
        return Prepared((*chosen, *left), tuple(procedures), tuple(self.remarks))

    def _named(self) -> tuple[list[CertificateStatus], list[CertificateStatus]]:
        chosen = [self.found[one.name] for one in self.order.wanted]
        kinds = {one.certificate.kind is Kind.CA for one in chosen}
        if len(kinds) > 1:
            raise InputError("a CA is renewed by itself, before or after its leaves: name them in two commands.")
        for standing in chosen:
            one = standing.certificate
            if standing.state is State.MISSING:
                check_not_waiting(self.order, self.found.get(one.issuer or "", standing))
                option = self.order.signing_option
                raise InputError(
                    f"{one.name} is not there, so it cannot be renewed: `kcert {one.chapter}{option}` makes it."
                )
            if self.renewal.finish and one.kind is not Kind.CA:
                raise InputError(f"--finish ends the change-over of a CA, and {one.name} is none.")
        return chosen, []

    def _meant(self) -> tuple[list[CertificateStatus], list[CertificateStatus]]:
        """Those that --all, --expiring-in and --stale mean, and those that they would mean but for a reason."""
        chosen, left = [], []
        for standing in (self.found[one.name] for one in self.order.wanted):
            certificate = standing.certificate
            if not self._is_meant(standing):
                continue
            leaf = certificate.kind not in (Kind.CA, Kind.KEY_PAIR)
            foreign = self._in_line(standing) and not made_here(self.order.root, certificate, self.known)
            if leaf and not foreign and (standing.found or self._in_line(standing)):
                chosen.append(standing)
            elif _names_its_files(self.order.root, standing):
                self.remarks.append(
                    f"{certificate.files.kubeconfig} names its files instead of holding them: that certificate the "
                    "kubelet renews by itself."
                )
            elif not self.renewal.every or leaf:
                left.append(standing)
                if leaf and foreign:
                    self.remarks.append(
                        f"kcert did not make {certificate.name}, so it is only changed when it is named: "
                        f"`kcert renew {certificate.name} --stale{self.order.signing_option}`."
                    )
        return chosen, left

    def _is_meant(self, standing: CertificateStatus) -> bool:
        if standing.state is State.MISSING:
            return False
        if self.renewal.every:
            return True
        ends = standing.found.not_after if standing.found else None
        soon = self.renewal.within is not None and ends is not None and ends <= self.now + self.renewal.within
        return soon or self._in_line(standing)

    def _in_line(self, standing: CertificateStatus) -> bool:
        """Whether it is made as kcert.yaml wants it, rather than as it is."""
        if not self.renewal.stale:
            return False
        differs = len(standing.reasons) > (1 if standing.state in (State.EXPIRED, State.EXPIRING) else 0)
        return self.renewal.named or differs

    def _leaf(self, standing: CertificateStatus) -> IssuancePlan | None:
        certificate, found = standing.certificate, standing.found
        if certificate.kind is Kind.KEY_PAIR:
            return self._key_pair(standing)
        in_line = self._in_line(standing)
        if found is None and not in_line:
            raise InputError(self._unreadable(standing))
        wish = certificate if in_line or found is None else as_it_is(certificate, found)
        new_key = self._gets_new_key(certificate)
        if new_key and not in_line and found:
            wish = _with_key(wish, certificate)
        wish = self._lasting(wish)
        assert certificate.issuer
        issuer = self.by_name[certificate.issuer]
        days = self._days(wish, authority_for(self.order, wish, self.found[issuer.name], self.now))
        key = self._key(certificate)
        keeps = key is not None and not new_key and not (in_line and found and wish.key != key_of(found))
        belongs = bool(keeps and key and found and same_key(self.order.openssl, key, found.public_key))
        embeds = in_line and certificate.files.kubeconfig is not None
        rewrite = self.kubeconfigs.of_leaf(wish, found, key if not (keeps and belongs) else None, apart=embeds)
        own = certificate.files.kubeconfig
        if own and not embeds and (rewrite is None or own not in rewrite.paths):
            raise InputError(
                f"{self.order.root / str(own)} does not hold its certificate in a way that kcert can change by itself: "
                f"`kcert renew {wish.name} --stale{self.order.signing_option}` writes the whole file anew."
            )
        notes = self._notes(standing, key_kept=keeps, belongs=belongs, in_line=in_line)
        old = RenewalSource(found, keeps, belongs and not in_line, embeds, rewrite, notes=notes)
        return plan_renewal.renewal(wish, issuer, old, days, self.tools)

    def _gets_new_key(self, certificate: Certificate) -> bool:
        """With --all the key that signs tokens stays, as kubeadm's bare one does: a new one ends all tokens."""
        return self.renewal.new_key and not (self.renewal.every and certificate.role == "service-account")

    def _notes(self, standing: CertificateStatus, *, key_kept: bool, belongs: bool, in_line: bool) -> tuple[str, ...]:
        certificate = standing.certificate
        notes = []
        if in_line and standing.reasons:
            notes.append(f"It is brought in line with kcert.yaml: {standing.reason}.")
        if not in_line and standing.state is State.STALE:
            differences = [one for one in standing.reasons if "signed it" not in one and "key" not in one]
            if differences:
                option = self.order.signing_option
                notes.append(
                    f"It differs from kcert.yaml and stays as it is ({'; '.join(differences)}): "
                    f"`kcert renew {certificate.name} --stale{option}` brings it in line."
                )
        if self.renewal.new_key and key_kept:
            notes.append(
                f"It keeps its key, which signs tokens; `kcert renew {certificate.name} --new-key` replaces it."
            )
        if not standing.has_key:
            notes.append(f"Its key {certificate.files.key} is not there, so it gets a new one.")
        elif not key_kept:
            notes.append("It gets a new key.")
            if certificate.role == "service-account":
                notes.append(_TOKENS)
        elif not belongs and standing.found:
            notes.append(
                f"{certificate.files.secret} holds another key than the old certificate's; that key is certified."
            )
        return tuple(notes)

    def _unreadable(self, standing: CertificateStatus) -> str:
        certificate = standing.certificate
        path = self.order.root / str(certificate.files.proof)
        if _names_its_files(self.order.root, standing):
            return (
                f"{path} names the files of its certificate instead of holding them, as a kubelet's does that renews "
                "its certificate by itself: there is nothing to renew in it."
            )
        return (
            f"{path} holds no certificate that can be read, so nothing can be taken over from it: "
            f"`kcert renew {certificate.name} --stale{self.order.signing_option}` makes it as kcert.yaml wants it."
        )

    def _key(self, certificate: Certificate) -> bytes | None:
        """The private key as it lies there, found whole; None where there is none, or where it is not needed."""
        if self._gets_new_key(certificate):
            return self._key_as_it_lies(certificate)
        content = self._key_as_it_lies(certificate)
        if content is not None:
            authority = certificate.kind is Kind.CA
            check_whole(self.order.root / certificate.files.secret, content, may_be_encrypted=authority)
        return content

    def _key_as_it_lies(self, certificate: Certificate) -> bytes | None:
        path = self.order.root / certificate.files.secret
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path} is there but cannot be read: {error.strerror}.") from None
        if certificate.files.kubeconfig is None:
            return content
        inside = opened(content)
        return inside.key if inside else None

    def _lasting(self, wish: Certificate) -> Certificate:
        """*wish* for as long as the user asks, so that nobody takes that for all that its CA has left."""
        return replace(wish, days=self.renewal.days) if self.renewal.days else wish

    def _days(self, wish: Certificate, authority: X509) -> int:
        if self.renewal.days is None:
            return days_under(wish, authority, self.now)
        left = left_of(authority, self.now)
        if self.renewal.days > left:
            raise InputError(
                f"--days {self.renewal.days}: the CA of {wish.name} ends in {left} days, and nothing can be valid "
                f"longer than what vouches for it. Ask for at most {left}, or renew the CA first."
            )
        return self.renewal.days

    def _key_pair(self, standing: CertificateStatus) -> IssuancePlan | None:
        certificate = standing.certificate
        if standing.state is State.CURRENT and not self.renewal.new_key:
            raise InputError(
                f"{certificate.name} is a bare key pair, which has no end. --new-key replaces it; then every token "
                "that it signed is refused."
            )
        made = plan.procedure(certificate, None, cluster_name="", openssl=self.order.openssl)
        return replace(made, notes=(_TOKENS,))

    def _authority(self, standing: CertificateStatus) -> IssuancePlan | None:
        certificate, found = standing.certificate, standing.found
        option = self.order.signing_option
        if found is None:
            raise InputError(
                f"{self.order.root / str(certificate.files.crt)} is no certificate that openssl can read: put a good "
                "copy in its place, or move it away and make the CA and its leaves anew."
            )
        if self.renewal.finish:
            return self._finished(standing, found)
        if external_ca.is_apart(certificate):
            return self._brought(certificate, found)
        if not (found.ca or found.self_issued):
            raise InputError(
                f"{self.order.root / str(certificate.files.crt)} is the certificate of {str(found.subject)!a}, which "
                f"is no CA: put a good copy in its place, or move it away: `kcert ca{self.order.folder_option}` makes "
                "one for the key that is there."
            )
        if not found.self_issued and certificate.issuer is None and not self.renewal.asks:
            elsewhere = (
                ""
                if self.renewal.new_key
                else f" Where that is not at hand: `kcert renew {certificate.name} --csr-only{option}` makes a request."
            )
            raise InputError(
                f"{certificate.files.crt} was signed by {str(found.issuer)!a}, so that has to sign it again: "
                f"`kcert renew {certificate.name}{' --new-key' if self.renewal.new_key else ''} --root-dir "
                f"FOLDER{option}`, with the folder that has its key.{elsewhere}"
            )
        if standing.outgoing and self.renewal.new_key:
            self.remarks.append(
                f"The change-over of {certificate.name} has begun already: {certificate.files.crt} holds the new CA "
                f"and the old. `kcert renew --all{option}` goes on with its leaves, "
                f"`kcert renew {certificate.name} --finish{option}` ends it."
            )
            return None
        if standing.outgoing:
            raise InputError(
                f"{certificate.files.crt} holds {1 + len(standing.outgoing)} CAs, because a change-over is under way: "
                f"end it with `kcert renew {certificate.name} --finish{option}` before the CA is renewed again."
            )
        if self.renewal.asks:
            return self._asked_above(certificate, found)
        in_line = self.renewal.stale
        wish = self._lasting(certificate if in_line else as_it_is(certificate, found))
        if self.renewal.new_key:
            return self._changed_over(found, wish if in_line else _with_key(wish, certificate))
        return self._same_key(found, wish)

    def _same_key(self, found: X509, wish: Certificate) -> IssuancePlan:
        name, option = wish.name, self.order.signing_option
        other = f"`kcert renew {name} --new-key{option}` changes the cluster over to a new one"
        if wish.subject and sorted(wish.subject.parts) != sorted(found.subject.parts):
            raise InputError(
                f"with another subject {name} would be another CA, and all that it signed would be refused; "
                f"`kcert renew {name} --new-key --stale{option}` changes the cluster over step by step."
            )
        if wish.key != key_of(found):
            raise InputError(f"kcert.yaml wants a key of {wish.key}, {name} has {key_of(found)}: {other}.")
        self._check_own_key(wish, found, other)
        rewrite = self.kubeconfigs.of_authority(wish, (found,))
        serial = found.serial if self._is_named_by_serial(wish, found) else ""
        old = RenewalSource(
            found, keeps_key=True, again=True, rewrite=rewrite, leaves=self._leaves(wish, found), serial=serial
        )
        return plan_renewal.renewal(wish, self._above(wish), old, self._days_of(wish), self.tools)

    def _check_own_key(self, authority: Certificate, found: X509, other: str) -> None:
        """The CA's key has to be here, for the CA to keep it; *other* is the way out without it."""
        path, option = self.order.root / authority.files.key, self.order.signing_option
        key = self._key(authority)
        if key is None:
            raise InputError(
                f"{path} is not here, and with the same key the CA cannot be renewed without it. If it is kept in "
                f"another folder: `kcert renew {authority.name} --ca-dir FOLDER{option}`. If it is lost, {other}."
            )
        if not self._is_key_of(authority, key, found):
            raise InputError(f"{path} is not the key of {authority.files.crt}; put the right one there, or {other}.")

    def _asked_above(self, certificate: Certificate, found: X509) -> IssuancePlan:
        """A request for the key that the CA has, for whoever signed it and is not here."""
        name, option = certificate.name, self.order.signing_option
        if found.self_issued:
            raise InputError(
                f"{name} signed itself, so nobody else has to be asked: `kcert renew {name}{option}` renews it."
            )
        wish = self._lasting(replace(as_it_is(certificate, found), intermediate=True))
        other = f"`kcert renew {name} --new-key --root-dir FOLDER{option}` changes the cluster over to a new one"
        self._check_own_key(wish, found, other)
        return plan_renewal.request_above(wish, found, self.tools)

    def _is_named_by_serial(self, authority: Certificate, found: X509) -> bool:
        """True where certificates name their CA by its serial number, as they do where it has no key identifier.

        openssl then takes no CA with another number for theirs, whatever its key.
        """
        leaves = (one.found for one in self.found.values() if one.certificate.issuer == authority.name and one.found)
        unidentified = found.subject_key_id is None or any(leaf.authority_key_id is None for leaf in leaves)
        return unidentified and not found.serial.startswith("-")

    def _is_key_of(self, authority: Certificate, key: bytes, found: X509) -> bool:
        if authority.passphrase:
            return opened_key(self.order, authority, key) in (None, found.public_key.material)
        return bool(same_key(self.order.openssl, key, found.public_key))

    def _changed_over(self, found: X509, wish: Certificate) -> IssuancePlan:
        if wish.passphrase:
            self.order.passphrase_of(wish).locking(self.order.root / wish.files.key)
        rewrite = self.kubeconfigs.of_authority(wish, (found,))
        old = RenewalSource(found, keeps_key=False, rewrite=rewrite, leaves=self._leaves(wish, found))
        return plan_renewal.change_over(wish, self._above(wish), old, self._days_of(wish), self.tools)

    def _above(self, authority: Certificate) -> Certificate | None:
        """The CA that signs *authority*; None where it signs itself."""
        return self.by_name[authority.issuer] if authority.issuer else None

    def _days_of(self, authority: Certificate) -> int:
        if authority.issuer is None or self.found[authority.issuer].state is State.MISSING:
            return self.renewal.days or authority.days  # a script makes the root first
        return self._days(authority, authority_for(self.order, authority, self.found[authority.issuer], self.now))

    def _brought(self, certificate: Certificate, found: X509) -> IssuancePlan:
        """The CA was renewed where its key is; here its certificate follows."""
        authority = external_ca.standing_there(self.order, certificate).certificate
        names = external_ca.brings(self.order, authority)
        if self.renewal.new_key:
            assert certificate.files.crt
            alone = new_ca_only_path(certificate.files.crt)
            names[alone] = external_ca.source(certificate).with_name(alone.name)
        return plan.brought(
            authority,
            names,
            self.order.openssl,
            leaves=self._leaves(certificate, found),
            rewrite=self.kubeconfigs.of_authority(certificate, (found,)),
            replaces=found,
        )

    def _finished(self, standing: CertificateStatus, found: X509) -> IssuancePlan | None:
        certificate, option = standing.certificate, self.order.signing_option
        if not standing.outgoing:
            self.remarks.append(f"{certificate.files.crt} holds one CA alone: there is no change-over to finish.")
            return None
        left = [
            one.certificate.name
            for one in self.found.values()
            if one.certificate.issuer == certificate.name and one.found and issuer_mismatch(one.found, found)
        ]
        if left:
            raise InputError(
                f"the outgoing CA still vouches for {', '.join(left)}, which would be refused without it: "
                f"`kcert renew --all{option}` gives them certificates of the new one."
            )
        assert certificate.files.crt
        alone = new_ca_only_path(certificate.files.crt)
        if not (self.order.root / alone).is_file():
            raise InputError(
                f"{self.order.root / alone} is not here; put the certificate of the new CA there, alone, "
                f"for {certificate.files.crt} to become like it."
            )
        for one in self.found.values():
            if one.certificate.issuer == certificate.name and one.state is not State.MISSING:
                self._warn_of_own_renewal(one)
        rewrite = self.kubeconfigs.of_authority(certificate, (found, *standing.outgoing))
        wish = as_it_is(certificate, found)
        old = RenewalSource(found, keeps_key=True, rewrite=rewrite, leaves=self._leaves(certificate, found))
        above = external_ca.above(self.order) if wish.intermediate else None
        if above and not (self.order.root / above).is_file():
            above = None
        return plan_renewal.finish(wish, above, old, self.tools)

    def _warn_of_own_renewal(self, standing: CertificateStatus) -> None:
        """Say it where a kubelet's own certificate, which does not lie here, may still be the outgoing CA's."""
        if _names_its_files(self.order.root, standing):
            self.remarks.append(
                f"{standing.certificate.files.kubeconfig} names its files, and what the kubelet has there it renews by "
                "itself: on each node, see that the new CA has signed it before this file reaches the control plane: "
                "`openssl verify -CAfile ca.crt /var/lib/kubelet/pki/kubelet-client-current.pem`."
            )

    def _leaves(self, authority: Certificate, found: X509) -> tuple[PurePosixPath, ...]:
        """Files with leaves that *found* vouches for now, those first that do not name its key."""
        leaves = [
            (one.found.authority_key_id is not None, one.certificate.files.crt)
            for one in self.found.values()
            if one.certificate.issuer == authority.name
            and one.certificate.files.kubeconfig is None
            and one.found
            and one.found.not_after > self.now
            and not issuer_mismatch(one.found, found)
        ]
        return tuple(crt for _, crt in sorted(leaves, key=lambda leaf: leaf[0]) if crt)[:SHOWN_LEAVES]


def _names_its_files(root: Path, standing: CertificateStatus) -> bool:
    """Whether it is a kubeconfig like the one of a kubelet that renews its own certificate: with paths in it."""
    own = standing.certificate.files.kubeconfig
    return own is not None and standing.found is None and b"client-certificate:" in (root / own).read_bytes()


def _with_key(wish: Certificate, wanted: Certificate) -> Certificate:
    """*wish* with a key as kcert.yaml wants it; an ECDSA key is not for encipherment (RFC 5480, section 3)."""
    usages = wish.usages
    if usages and usages.key and wanted.key.algorithm != "rsa":
        usages = replace(usages, key=tuple(one for one in usages.key if one != "keyEncipherment"))
    if usages and wish.kind is Kind.CA:
        usages = replace(usages, key_id=None)
    return replace(wish, key=wanted.key, usages=usages)
