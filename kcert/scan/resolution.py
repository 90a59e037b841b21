"""From drafts to uses: read what was found, and tie each certificate to its role, its key and its CA."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from kcert.certificates import Kind, Role
from kcert.clusters import cluster_kind_of
from kcert.openssl.program import same_key
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509, Name, Unreadable
from kcert.roles import ROLES
from kcert.scan import layouts
from kcert.scan.discovery.collector import Draft, Findings, exchanged, mismatched_pairs
from kcert.scan.fs import cluster_root_of
from kcert.scan.result import CertificateRef, KeyFile, KubeconfigUse, Problem, ScanResult

_CAS = (Role.CLUSTER_CA, Role.ETCD_CA, Role.FRONT_PROXY_CA)

_OF_ONE_FILE = (Role.APISERVER, Role.APISERVER_KUBELET_CLIENT, Role.APISERVER_ETCD_CLIENT, Role.FRONT_PROXY_CLIENT)
"""Roles that one certificate of a control plane has."""

_APART = 2
"""The penalty for a CA whose name differs from the issuer that a certificate names."""


def linked(findings: Findings, openssl: str) -> ScanResult:
    """Read every certificate that *findings* name, each once, and return the result."""
    result = _linked(findings, openssl)
    pairs = mismatched_pairs(result)
    if not pairs:
        return result
    as_meant = [replace(_linked(other, openssl), swapped=tuple(files)) for other, files in exchanged(findings, pairs)]
    return replace(result, as_meant=tuple(as_meant))


def _linked(findings: Findings, openssl: str) -> ScanResult:
    pems = dict.fromkeys(draft.pem for draft in findings.drafts)
    for authorities, user in findings.kubeconfig_pems:
        pems |= dict.fromkeys((*authorities, user) if user else authorities)
    certificates = dict(zip(pems, map(read_certificate, pems), strict=True))

    problems = list(findings.problems)
    known: list[tuple[Draft, X509]] = []
    for draft in findings.drafts:
        certificate = certificates[draft.pem]
        if isinstance(certificate, Unreadable):
            problem = Problem(draft.path, "unreadable", certificate.reason, draft.source, draft.option, draft.component)
            if problem not in problems:
                problems.append(problem)
        else:
            known.append((draft, certificate))

    kubeconfigs = [
        _with_certificates(kubeconfig, *parts, certificates)
        for kubeconfig, parts in zip(findings.kubeconfigs, findings.kubeconfig_pems, strict=True)
    ]
    uses = _Linker(findings, kubeconfigs, known, openssl).uses()
    return ScanResult(
        uses=tuple(uses),
        problems=tuple(problems),
        configurations=tuple(findings.configurations),
        kubeconfigs=tuple(kubeconfigs),
        keys=tuple(findings.keys.values()),
        public_keys=tuple(findings.public_keys.values()),
        webhooks=tuple(findings.webhooks),
        kind=findings.kind,
        looked=tuple(findings.looked),
        files_read=findings.files_read,
    )


def _with_certificates(
    kubeconfig: KubeconfigUse,
    authorities: tuple[str, ...],
    user: str | None,
    certificates: dict[str, X509 | Unreadable],
) -> KubeconfigUse:
    own = certificates[user] if user else None
    own = own if isinstance(own, X509) else None
    component = kubeconfig.component
    if component is None and (role := layouts.kubeconfig_role(kubeconfig.path, own)):
        component = ROLES[role].component
    return replace(
        kubeconfig,
        authorities=tuple(cert for pem in authorities if isinstance(cert := certificates[pem], X509)),
        user=own,
        component=component,
    )


@dataclass(frozen=True)
class _Authority:
    """A CA certificate that could have signed something, and if it is."""

    path: Path
    certificate: X509
    group: int
    role: Role | None


class _Linker:
    def __init__(
        self,
        findings: Findings,
        kubeconfigs: list[KubeconfigUse],
        known: list[tuple[Draft, X509]],
        openssl: str,
    ) -> None:
        self.findings = findings
        self.kubeconfigs = kubeconfigs
        self.assigned = {
            (cluster_root_of(draft.source or draft.path), draft.role)
            for draft, _ in known
            if draft.configuration is not None and draft.role in _OF_ONE_FILE
        }
        self.known = [(draft, certificate, self._role(draft, certificate)) for draft, certificate in known]
        self.openssl = openssl
        self.inside: dict[Path, dict[str, X509]] = defaultdict(dict)
        self.key_ids: dict[tuple[Path, Name], set[str | None]] = defaultdict(set)
        self.fields: dict[tuple[Path, str | None, str | None], list[tuple[int, X509]]] = defaultdict(list)
        self.by_name: dict[Name, list[_Authority]] = defaultdict(list)
        # A bundle of 150 CAs is one file: dictionaries, which keep the order, and each path once.
        self.by_role: dict[tuple[int, Role], dict[Path, None]] = defaultdict(dict)
        self.named: dict[tuple[str, str], dict[tuple[int, Path], None]] = defaultdict(dict)
        # Homes that have a CA of their own, be it one that cannot be read: a CA elsewhere is another cluster's.
        named = [configuration.source for configuration in findings.configurations]
        named += [problem.path for problem in findings.problems if problem.expects == "certificate"]
        self.complete = {cluster_root_of(path) for path in named}
        for draft, certificate, role in self.known:
            self.fields[draft.path, draft.option, draft.live].append((draft.position, certificate))
            if not draft.live:
                self.inside[draft.path].setdefault(certificate.sha256, certificate)
                self.key_ids[draft.path, certificate.subject].add(certificate.subject_key_id)
            if self._kind(draft, certificate, role) is Kind.CA:
                ca = _Authority(draft.path, certificate, draft.group, role)
                self.by_name[certificate.subject].append(ca)
                if role in _CAS and not draft.embedded:
                    self.by_role[draft.group, role][draft.path] = None
            if draft.option and draft.component and not draft.embedded:
                self.named[draft.component, draft.option][draft.group, draft.path] = None

    def uses(self) -> list[CertificateRef]:
        return [self._use(draft, certificate, role) for draft, certificate, role in self.known]

    def _role(self, draft: Draft, certificate: X509) -> Role | None:
        if draft.role is not None or draft.live:
            return draft.role
        if draft.kubeconfig is not None:
            is_user = draft.option and draft.option.startswith("client-") and draft.position == 0
            return layouts.kubeconfig_role(self.kubeconfigs[draft.kubeconfig].path, certificate) if is_user else None
        if draft.option or draft.position:
            return None
        neighbours = self.findings.neighbours.get(draft.path.parent, frozenset())
        role = layouts.role_of(draft.path, certificate, neighbours)
        # Where an option says which file has this role, no other file has it because of its name.
        return None if (cluster_root_of(draft.path), role) in self.assigned else role

    @staticmethod
    def _kind(draft: Draft, certificate: X509, role: Role | None) -> Kind:
        return draft.kind or layouts.certificate_kind(certificate, role)

    def _use(self, draft: Draft, certificate: X509, role: Role | None) -> CertificateRef:
        kubeconfig = self.kubeconfigs[draft.kubeconfig] if draft.kubeconfig is not None else None
        kind = self._kind(draft, certificate, role)
        component = draft.component or (ROLES[role].component or None if role else None)
        if component is None and kubeconfig is not None:
            component = kubeconfig.component or "kubectl"
        issuer_path = self._issuer_path(draft, certificate, role, kind)
        key = self._key(draft, kind)
        fits = same_key(self.openssl, key.pem, certificate.public_key) if key else None
        if fits is False and kind is Kind.CA and len(self.inside[draft.path]) > 1:
            key, fits = None, None  # it may be the key of another CA in the same file
        if fits is False and certificate.ca and self._is_damaged(draft.path):
            key, fits = None, None  # it is the key of the certificate before the CA, and cannot be read
        configuration = None
        if draft.configuration is not None:
            configuration = self.findings.configurations[draft.configuration]
        return CertificateRef(
            component=component,
            kind=kind,
            certificate=certificate,
            path=draft.path,
            option=draft.option,
            source=draft.source,
            key_path=draft.key_path or (key.path if key else None),
            issuer_path=issuer_path,
            position=draft.position,
            role=role,
            embedded=draft.embedded,
            live=draft.live,
            issuers=self._issuers(draft, issuer_path, certificate.issuer, kubeconfig),
            chain=self._chain(draft, kind),
            key=key,
            key_fits=fits,
            node=draft.node or layouts.node_of(draft.path, role),
            configuration=configuration,
            kubeconfig=kubeconfig,
        )

    def _is_damaged(self, path: Path) -> bool:
        return any(problem.path == path and problem.what == "unreadable" for problem in self.findings.problems)

    def _key(self, draft: Draft, kind: Kind) -> KeyFile | None:
        """The key that was found for it; options that name a CA say nothing of its key, which may be beside it."""
        if draft.key is not None:
            return draft.key
        if draft.key_path is not None:
            return self.findings.keys.get(draft.key_path)
        if kind is not Kind.CA or draft.embedded or draft.live:
            return None
        names = (path for path in layouts.key_names(draft.path) if path != draft.path)
        return next((self.findings.keys[path] for path in names if path in self.findings.keys), None)

    def _issuers(
        self, draft: Draft, path: Path | None, issuer: Name, kubeconfig: KubeconfigUse | None
    ) -> tuple[X509, ...]:
        if path is None:
            return ()
        if (
            kubeconfig is not None
            and path == kubeconfig.path
            and issuer in {ca.subject for ca in kubeconfig.authorities}
        ):
            return kubeconfig.authorities
        certs = tuple(self.inside.get(path, {}).values())
        # A file that holds a leaf and its CA answers to the CA alone.
        return tuple(cert for cert in certs if path != draft.path or cert.ca)

    def _chain(self, draft: Draft, kind: Kind) -> tuple[X509, ...]:
        """Return the certificates that follow a leaf in its file: what its holder sends along, and no client trusts."""
        if kind is Kind.CA or draft.position:
            return ()
        return tuple(cert for position, cert in self.fields[draft.path, draft.option, draft.live] if position)

    def _issuer_path(self, draft: Draft, certificate: X509, role: Role | None, kind: Kind) -> Path | None:
        """Return the file with the CA that has to have signed a certificate; None if nothing shows.

        What an option says comes first: who verifies the certificate, and with which CA. Then the CA that did sign it,
        wherever it is. Then the CA of the folder. A kubeconfig's CA is that of the API server's certificate: of who
        signed the kubeconfig's user it says nothing, unless both CAs have one name.
        """
        if kind is Kind.CA or role in _CAS:
            return None if certificate.self_issued else self._by_name(draft, certificate)
        open_role = role is not None and self._is_open(draft, role)
        if open_role and role is not None:
            if signer := self._signer_of_its_own(draft, certificate, role):
                return signer
        elif role is not None and not draft.live and self._near(draft, self._named(draft, role)):
            # One option may name the wrong CA: that is its own fault, and not the certificate's.
            return min(self._verifiers(draft, role), key=lambda path: self._unlikeliness(path, certificate))
        signer = self._by_name(draft, certificate)
        if role is not None and (fixed := self._fixed(draft, certificate, role)):
            return min(fixed, key=lambda path: self._unlikeliness(path, certificate))
        if signer is not None and any(self._is_signer(ca, certificate) for ca in self.inside[signer].values()):
            return signer
        candidates = self._verifiers(draft, role) if role and not draft.live else []
        if open_role and draft.option and not self._trusted(draft):
            # Nor does the name of another CA, which is not here, speak against it.
            candidates = [path for path in candidates if self._unlikeliness(path, certificate) < _APART]
        if candidates:
            return min(candidates, key=lambda path: self._unlikeliness(path, certificate))
        return (
            self._issuer_of_user(self.kubeconfigs[draft.kubeconfig], certificate, signer)
            if draft.kubeconfig is not None
            else signer
        )

    @staticmethod
    def _issuer_of_user(kubeconfig: KubeconfigUse, certificate: X509, signer: Path | None) -> Path | None:
        """Return the file with the CA of a kubeconfig's user, of which only names show; *signer* has one."""
        if kubeconfig.refused:
            return None  # what kubectl refuses as a whole proves nothing
        named = any(ca.subject == certificate.issuer for ca in kubeconfig.authorities)
        return kubeconfig.ca_path if named else signer

    @staticmethod
    def _is_signer(ca: X509, certificate: X509) -> bool:
        """Return True if name and key identifier are those that the certificate gives for its issuer."""
        return ca.subject == certificate.issuer and (
            certificate.authority_key_id is not None and ca.subject_key_id == certificate.authority_key_id
        )

    def _named(self, draft: Draft, role: Role) -> list[Path]:
        """The CA files that the options of those who verify a certificate of this role name."""
        options = [*ROLES[role].verified_by, *ROLES[role].verified_by_default]
        return self._named_by(draft, options)

    def _near(self, draft: Draft, paths: list[Path]) -> list[Path]:
        """Of *paths* those of the same cluster; a tree may hold several, all with a CA of the same name."""
        near = [path for path in paths if cluster_root_of(path) == cluster_root_of(draft.path)]
        return near if cluster_root_of(draft.path) in self.complete else near or paths

    def _verifiers(self, draft: Draft, role: Role) -> list[Path]:
        """The CA files of those who verify a certificate of this role, the likeliest first."""
        paths = self._named(draft, role)
        kind = cluster_kind_of(draft.path)
        if (ca := ROLES[role].ca) and (kind is None or kind.client_ca == kind.server_ca):
            own = list(self.by_role.get((draft.group, ca), ()))
            # Where there is only one CA, it signs everything.
            paths += own or ([] if paths else list(self.by_role.get((draft.group, Role.CLUSTER_CA), ())))
        return self._near(draft, paths)

    def _fixed(self, draft: Draft, certificate: X509, role: Role) -> list[Path]:
        """The CA files that the layout itself assigns to a role; none if an option does, or no layout is known.

        A signer that has no role in the cluster may be a CA of its own: of that the layout says nothing.
        """
        ca, kind = ROLES[role].ca, cluster_kind_of(draft.path)
        signed_here = any(
            signer.role in _CAS
            and signer.group == draft.group
            and cluster_root_of(signer.path) == cluster_root_of(draft.path)
            and certificate.authority_key_id in (None, signer.certificate.subject_key_id)
            for signer in self.by_name.get(certificate.issuer, [])
        )
        if ca is None or draft.live or not signed_here:
            return []
        own = self._near(draft, list(self.by_role[draft.group, ca]))
        if kind and kind.client_ca and kind.server_ca and kind.client_ca != kind.server_ca:
            # K3s and RKE2 have one CA for clients, and another for servers.
            name = PurePath(kind.server_ca if ROLES[role].kind is Kind.SERVER else kind.client_ca).name
            return [path for path in own if path.name == name] if ca is Role.CLUSTER_CA else []
        usual = layouts.kubeadm_ca(draft.path, role) if not self._named(draft, role) else None
        return [path for path in own if path == usual]

    def _named_by(self, draft: Draft, options: Iterable[tuple[str, str]]) -> list[Path]:
        named = (self.named.get(option, ()) for option in options)
        return [path for some in named for group, path in some if group == draft.group]

    def _is_open(self, draft: Draft, role: Role) -> bool:
        """True if nothing that was found verifies it: which CA it has to come from would be a guess.

        The API server's --client-ca-file says nothing of who signed what the API server shows, and etcd's peers
        may have a CA of their own.
        """
        known = self._named_by(draft, ROLES[role].verified_by)
        return not known and (
            role is Role.ETCD_PEER or (bool(ROLES[role].verified_by_default) and draft.option is not None)
        )

    def _signer_of_its_own(self, draft: Draft, certificate: X509, role: Role) -> Path | None:
        """The CA that has the issuer's name, if that is not the CA of another role and no kubeconfig contradicts it."""
        path = self._by_name(draft, certificate)
        cas = [ca for ca in self.by_name.get(certificate.issuer, []) if ca.path == path]
        if path is None or any(ca.role is not None for ca in cas):
            return None
        if role is not Role.APISERVER:
            return path
        trusted = self._trusted(draft)
        return path if not trusted or any(ca.certificate.sha256 in trusted for ca in cas) else None

    def _trusted(self, draft: Draft) -> set[str]:
        """The CAs (by SHA-256) that the kubeconfigs of the same home trust the API server by."""
        return {
            authority.sha256
            for kubeconfig in self.kubeconfigs
            for authority in kubeconfig.authorities
            if cluster_root_of(kubeconfig.path) == cluster_root_of(draft.path)
        }

    def _unlikeliness(self, path: Path, certificate: X509) -> int:
        """0 for a file with the CA that the certificate names by name and key, 1 by the name alone, or _APART."""
        key_ids, wanted = self.key_ids.get((path, certificate.issuer)), certificate.authority_key_id
        return _APART if not key_ids else int(wanted is not None and not key_ids & {wanted, None})

    def _is_another_clusters(self, ca: _Authority, draft: Draft, certificate: X509) -> bool:
        """True for a CA that has the right name alone, and is in another cluster's home."""
        home, wanted = cluster_root_of(draft.path), certificate.authority_key_id
        elsewhere = home in self.complete and cluster_root_of(ca.path) != home
        return elsewhere and wanted is not None and ca.certificate.subject_key_id != wanted

    def _by_name(self, draft: Draft, certificate: X509) -> Path | None:
        """The CA that has the issuer's name; where several have, the one with the right key, then the nearest."""
        candidates = [
            ca
            for ca in self.by_name.get(certificate.issuer, [])
            if ca.certificate.sha256 != certificate.sha256 and not self._is_another_clusters(ca, draft, certificate)
        ]
        if not candidates:
            return None

        def distance(ca: _Authority) -> tuple[bool, bool, bool, bool]:
            wanted = certificate.authority_key_id
            return (
                wanted is not None and ca.certificate.subject_key_id != wanted,
                ca.group != draft.group,
                ca.path != draft.path,
                ca.path.parent != draft.path.parent,
            )

        return min(candidates, key=distance).path
