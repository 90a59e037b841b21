"""From what was collected to the result: tie each certificate to its role, its key and its CA."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from kcert.certificates import Kind, Role
from kcert.clusters import cluster_kind_of
from kcert.openssl.program import key_belongs, same_key
from kcert.openssl.x509 import X509, Name
from kcert.roles import ROLES
from kcert.scan import CertificateRef, KeyFile, KubeconfigUse, ScanResult, layouts
from kcert.scan.discovery.collector import Findings, component_of
from kcert.scan.fs import cluster_root_of

_CAS = (Role.CLUSTER_CA, Role.ETCD_CA, Role.FRONT_PROXY_CA)

_OF_ONE_FILE = (Role.APISERVER, Role.APISERVER_KUBELET_CLIENT, Role.APISERVER_ETCD_CLIENT, Role.FRONT_PROXY_CLIENT)
"""Roles that one certificate of a control plane has."""

_APART = 2
"""The penalty for a CA whose name differs from the issuer that a certificate names."""


def linked(findings: Findings, openssl: str) -> ScanResult:
    """Tie the certificates of *findings* together, and return the result."""
    result = _linked(findings, openssl)
    pairs = _mismatched_pairs(result)
    if not pairs:
        return result
    as_meant = [replace(_linked(other, openssl), swapped=files) for other, files in _exchanged(findings, pairs)]
    return replace(result, as_meant=as_meant)


def _linked(findings: Findings, openssl: str) -> Findings:
    unreadable = [problem for problem in dict.fromkeys(findings.unreadable) if problem not in findings.problems]
    uses = list(_Linker(findings, openssl).uses())
    return replace(findings, uses=uses, problems=[*findings.problems, *unreadable])


def _mismatched_pairs(result: ScanResult) -> list[tuple[CertificateRef, CertificateRef]]:
    """Return two certificates, alone in their files, of which each has the key of the other beside it."""
    places = {(use.path, use.position) for use in result.uses}
    alone = Counter(path for path, _ in places)
    wrong = {
        use.path: use
        for use in result.uses
        if use.key_fits is False and use.key_path and not use.embedded and not use.live and alone[use.path] == 1
    }
    pairs = []
    for first in wrong.values():
        other = next((use for use in wrong.values() if _has_key_of(first, use) and _has_key_of(use, first)), None)
        if other is not None and first.path < other.path and first.key_path != other.key_path:
            pairs.append((first, other))
    return pairs


def _has_key_of(use: CertificateRef, other: CertificateRef) -> bool:
    return use.key is not None and not use.key.embedded and bool(key_belongs(use.key.pem, other.certificate.public_key))


def _exchanged(
    findings: Findings, pairs: list[tuple[CertificateRef, CertificateRef]]
) -> Iterator[tuple[Findings, list[tuple[Path, Path]]]]:
    """Yield *findings* with the certificates put back, then with the keys put back, each with the pairs of files."""
    certs: dict[Path, X509] = {}
    keys = dict(findings.keys)
    certificate_files, key_files = [], []
    for first, second in pairs:
        certs |= {first.path: second.certificate, second.path: first.certificate}
        certificate_files.append((first.path, second.path))
        if first.key_path in keys and second.key_path in keys:
            key, other = keys[first.key_path], keys[second.key_path]
            keys |= {key.path: replace(key, pem=other.pem), other.path: replace(other, pem=key.pem)}
            key_files.append((key.path, other.path))
    kubeconfigs = {id(kubeconfig): _with_certificates(kubeconfig, certs) for kubeconfig in findings.kubeconfigs}
    uses = [
        replace(
            use,
            certificate=certs.get(use.path, use.certificate),
            kubeconfig=kubeconfigs[id(use.kubeconfig)] if use.kubeconfig else None,
        )
        for use in findings.uses
    ]
    yield replace(findings, uses=uses, kubeconfigs=list(kubeconfigs.values())), certificate_files
    yield replace(findings, keys=keys), key_files


def _with_certificates(kubeconfig: KubeconfigUse, certs: dict[Path, X509]) -> KubeconfigUse:
    ca_path, user_path = kubeconfig.ca_path, kubeconfig.user_path
    swapped = not kubeconfig.ca_embedded and ca_path in certs
    user = certs.get(user_path, kubeconfig.user) if kubeconfig.user and user_path else kubeconfig.user
    return replace(
        kubeconfig,
        authorities=(certs[ca_path],) if swapped and ca_path else kubeconfig.authorities,
        user=user,
        component=kubeconfig.component if kubeconfig.source else component_of(kubeconfig.path, user),
    )


Homes = dict[Path, dict[Path, None]]
"""Files by what they belong to (``cluster_root_of``)."""


class _Linker:
    def __init__(self, findings: Findings, openssl: str) -> None:
        self.findings = findings
        self.openssl = openssl
        self.assigned = {
            (cluster_root_of(use.source or use.path), use.role)
            for use in findings.uses
            if use.configuration is not None and use.role in _OF_ONE_FILE
        }
        self.known = [
            replace(use, role=role, kind=kind or layouts.certificate_kind(use.certificate, role))
            for use, kind, role in zip(findings.uses, findings.kinds, map(self._role, findings.uses), strict=True)
        ]
        self.inside: dict[Path, dict[str, X509]] = defaultdict(dict)
        self.key_ids: dict[tuple[Path, Name], set[str | None]] = defaultdict(set)
        self.fields: dict[tuple[Path, str | None, str | None], list[CertificateRef]] = defaultdict(list)
        self.cas: dict[tuple[Name, Path], list[CertificateRef]] = defaultdict(list)
        # Hundreds of kubeconfigs with one CA inside: the first of a folder counts for all of them.
        self.by_name: dict[Name, dict[tuple[str, int, Path], CertificateRef]] = defaultdict(dict)
        self.signers: set[tuple[Name, int, Path]] = set()
        # CA files by their home. A bundle of 150 CAs is one file: dictionaries keep the order, and each path once.
        self.by_role: dict[tuple[int, Role], Homes] = defaultdict(lambda: defaultdict(dict))
        self.named: dict[tuple[int, str, str], Homes] = defaultdict(lambda: defaultdict(dict))
        # Homes that have a CA of their own, be it one that cannot be read: a CA elsewhere is another cluster's.
        named = [configuration.source for configuration in findings.configurations]
        named += [problem.path for problem in findings.problems if problem.expects == "certificate"]
        self.complete = {cluster_root_of(path) for path in named}
        for use in self.known:
            cert = use.certificate
            self.fields[use.path, use.option, use.live].append(use)
            if not use.live:
                self.inside[use.path].setdefault(cert.sha256, cert)
                self.key_ids[use.path, cert.subject].add(cert.subject_key_id)
            if use.kind is Kind.CA:
                self.cas[cert.subject, use.path].append(use)
                self.by_name[cert.subject].setdefault((cert.sha256, use.group, use.path.parent), use)
                if use.role in _CAS:
                    self.signers.add((cert.subject, use.group, cluster_root_of(use.path)))
                if use.role in _CAS and use.role and not use.embedded:
                    self.by_role[use.group, use.role][cluster_root_of(use.path)][use.path] = None
            if use.option and use.component and not use.embedded:
                self.named[use.group, use.component, use.option][cluster_root_of(use.path)][use.path] = None

    def uses(self) -> Iterator[CertificateRef]:
        damaged = {problem.path for problem in self.findings.problems if problem.what == "unreadable"}
        for use in self.known:
            role, kubeconfig, component = use.role, use.kubeconfig, use.component
            component = component or (ROLES[role].component or None if role else None)
            if component is None and kubeconfig is not None:
                component = kubeconfig.component or "kubectl"
            issuer_path = self._issuer_path(use)
            key = self._key(use)
            fits = same_key(self.openssl, key.pem, use.certificate.public_key) if key else None
            if fits is False and use.kind is Kind.CA and len(self.inside[use.path]) > 1:
                key, fits = None, None  # it may be the key of another CA in the same file
            if fits is False and use.certificate.ca and use.path in damaged:
                key, fits = None, None  # it is the key of the certificate before the CA, and cannot be read
            yield replace(
                use,
                component=component,
                key_path=use.key_path or (key.path if key else None),
                issuer_path=issuer_path,
                issuers=self._issuers(use, issuer_path),
                chain=self._chain(use),
                key=key,
                key_fits=fits,
                node=use.node or layouts.node_of(use.path, role, use.kubeconfig.user_name if use.kubeconfig else ""),
            )

    def _role(self, use: CertificateRef) -> Role | None:
        if use.role is not None or use.live:
            return use.role
        if use.kubeconfig is not None:
            is_user = use.option and use.option.startswith("client-") and use.position == 0
            return layouts.kubeconfig_role(use.kubeconfig.path, use.certificate) if is_user else None
        if use.option or use.position:
            return None
        neighbours = self.findings.neighbours.get(use.path.parent, frozenset())
        role = layouts.role_of(use.path, use.certificate, neighbours)
        # Where an option says which file has this role, no other file has it because of its name.
        return None if (cluster_root_of(use.path), role) in self.assigned else role

    def _key(self, use: CertificateRef) -> KeyFile | None:
        """The key that was found for it; options that name a CA say nothing of its key, which may be beside it."""
        if use.key is not None:
            return use.key
        if use.key_path is not None:
            return self.findings.keys.get(use.key_path)
        if use.kind is not Kind.CA or use.embedded or use.live:
            return None
        names = (path for path in layouts.possible_keys(use.path) if path != use.path)
        return next((self.findings.keys[path] for path in names if path in self.findings.keys), None)

    def _issuers(self, use: CertificateRef, path: Path | None) -> tuple[X509, ...]:
        if path is None:
            return ()
        trusted = use.kubeconfig.authorities if use.kubeconfig and path == use.kubeconfig.path else ()
        if any(ca.subject == use.certificate.issuer for ca in trusted):
            return trusted
        certs = tuple(self.inside.get(path, {}).values())
        # A file that holds a leaf and its CA answers to the CA alone.
        return tuple(cert for cert in certs if path != use.path or cert.ca)

    def _chain(self, use: CertificateRef) -> tuple[X509, ...]:
        """Return the certificates that follow a leaf in its file: what its holder sends along, and no client trusts."""
        if use.kind is Kind.CA or use.position:
            return ()
        return tuple(other.certificate for other in self.fields[use.path, use.option, use.live] if other.position)

    def _issuer_path(self, use: CertificateRef) -> Path | None:
        """Return the file with the CA that has to have signed a certificate; None if nothing shows.

        What an option says comes first: who verifies the certificate, and with which CA. Then the CA that did sign it,
        wherever it is. Then the CA of the folder. A kubeconfig's CA is that of the API server's certificate: of who
        signed the kubeconfig's user it says nothing, unless both CAs have one name.
        """
        role, certificate = use.role, use.certificate
        if use.kind is Kind.CA or role in _CAS:
            return None if certificate.self_signed else self._by_name(use)
        is_open = role is not None and self._is_open(use, role)
        if role is not None and is_open:
            if signer := self._signer_of_its_own(use, role):
                return signer
        elif role is not None and not use.live and self._near(use, self._named(use, role)):
            # One option may name the wrong CA: that is its own fault, and not the certificate's.
            return self._likeliest(use, self._verifiers(use, role))
        signer = self._by_name(use)
        if role is not None and (fixed := self._fixed(use, role)):
            return self._likeliest(use, fixed)
        signed = signer is not None and any(_is_signer(ca, certificate) for ca in self.inside[signer].values())
        # Where the kind of cluster has a CA of this name, what only a kubeconfig trusts is an earlier one.
        if signed and not (signer and self._is_embedded(use, signer) and cluster_kind_of(use.path)):
            return signer
        candidates = self._verifiers(use, role) if role and not use.live else []
        if signed:
            return next((path for path in candidates if self._unlikeliness(use, path) == 1), signer)
        if is_open and use.option and not self._trusted(use):
            # Nor does the name of another CA, which is not here, speak against it.
            candidates = [path for path in candidates if self._unlikeliness(use, path) < _APART]
        return self._likeliest(use, candidates) if candidates else self._issuer_of_user(use, signer)

    def _is_embedded(self, use: CertificateRef, signer: Path) -> bool:
        return all(ca.embedded for ca in self.cas[use.certificate.issuer, signer])

    @staticmethod
    def _issuer_of_user(use: CertificateRef, signer: Path | None) -> Path | None:
        """Return the file with the CA of a kubeconfig's user, of which only names show; *signer* has one."""
        kubeconfig = use.kubeconfig
        if kubeconfig is None:
            return signer
        if kubeconfig.refused:
            return None  # what kubectl refuses as a whole proves nothing
        named = any(ca.subject == use.certificate.issuer for ca in kubeconfig.authorities)
        return kubeconfig.ca_path if named else signer

    def _named(self, use: CertificateRef, role: Role) -> list[Homes]:
        """The CA files that the options of those who verify a certificate of this role name."""
        return self._named_by(use, [*ROLES[role].verified_by, *ROLES[role].verified_by_default])

    def _near(self, use: CertificateRef, files: list[Homes]) -> list[Path]:
        """Of *files* those of the same cluster; a tree may hold several, all with a CA of the same name."""
        home = cluster_root_of(use.path)
        near = [path for homes in files for path in homes.get(home, ())]
        if near or home in self.complete:
            return near
        return [path for homes in files for paths in homes.values() for path in paths]

    def _verifiers(self, use: CertificateRef, role: Role) -> list[Path]:
        files = self._named(use, role)
        kind = cluster_kind_of(use.path)
        if (ca := ROLES[role].ca) and (kind is None or kind.cas is None):
            own = self.by_role.get((use.group, ca))
            if own is None and not files and not self._is_unread(use, role):
                own = self.by_role.get((use.group, Role.CLUSTER_CA))  # where there is only one CA, it signs everything
            files += [own] if own else []
        return self._near(use, files)

    def _is_unread(self, use: CertificateRef, role: Role) -> bool:
        """True if the CA that verifies it has a file of its own, which is missing or cannot be read."""
        options, usual = ROLES[role].verified_by + ROLES[role].verified_by_default, layouts.kubeadm_ca(use.path, role)
        return any(
            problem.path == usual or (problem.component, problem.option) in options
            for problem in (*self.findings.problems, *self.findings.unreadable)
            if cluster_root_of(problem.source or problem.path) == cluster_root_of(use.path)
        )

    def _fixed(self, use: CertificateRef, role: Role) -> list[Path]:
        """The CA files that the layout itself assigns to a role; none if an option does, or no layout is known.

        A signer that has no role in the cluster may be a CA of its own: of that the layout says nothing.
        """
        ca, kind = ROLES[role].ca, cluster_kind_of(use.path)
        signed_here = (use.certificate.issuer, use.group, cluster_root_of(use.path)) in self.signers
        if ca is None or use.live or not signed_here:
            return []
        own = self._near(use, [self.by_role[use.group, ca]])
        if kind and kind.cas and all(kind.cas):
            # K3s and RKE2 have one CA for clients, and another for servers.
            clients, servers = kind.cas
            name = servers if ROLES[role].kind is Kind.SERVER else clients
            named = [path for path in own if path.name == name] if ca is Role.CLUSTER_CA else []
            # Server and agent of one machine have a copy each.
            return [path for path in named if path.parent in use.path.parents] or named
        usual = layouts.kubeadm_ca(use.path, role) if not self._named(use, role) else None
        return [path for path in own if path == usual]

    def _named_by(self, use: CertificateRef, options: Iterable[tuple[str, str]]) -> list[Homes]:
        named = (self.named.get((use.group, component, option)) for component, option in options)
        return [homes for homes in named if homes]

    def _is_open(self, use: CertificateRef, role: Role) -> bool:
        """True if nothing that was found verifies it: which CA it has to come from would be a guess.

        The API server's --client-ca-file says nothing of who signed what the API server shows, and etcd's peers
        may have a CA of their own.
        """
        known = self._named_by(use, ROLES[role].verified_by)
        return not known and (
            role is Role.ETCD_PEER or (bool(ROLES[role].verified_by_default) and use.option is not None)
        )

    def _signer_of_its_own(self, use: CertificateRef, role: Role) -> Path | None:
        """The CA that has the issuer's name, if that is not the CA of another role and no kubeconfig contradicts it."""
        path = self._by_name(use)
        if path is None:
            return None
        cas = self.cas[use.certificate.issuer, path]
        if any(ca.role is not None for ca in cas):
            return None
        if role is not Role.APISERVER:
            return path
        trusted = self._trusted(use)
        return path if not trusted or any(ca.certificate.sha256 in trusted for ca in cas) else None

    def _trusted(self, use: CertificateRef) -> set[str]:
        """The CAs (by SHA-256) that the kubeconfigs of the same home trust the API server by."""
        return {
            authority.sha256
            for kubeconfig in self.findings.kubeconfigs
            for authority in kubeconfig.authorities
            if cluster_root_of(kubeconfig.path) == cluster_root_of(use.path)
        }

    def _unlikeliness(self, use: CertificateRef, path: Path) -> int:
        """0 for a file with the CA that the certificate names by name and key, 1 by the name alone, or _APART."""
        key_ids, wanted = self.key_ids.get((path, use.certificate.issuer)), use.certificate.authority_key_id
        return _APART if not key_ids else int(wanted is not None and not key_ids & {wanted, None})

    def _likeliest(self, use: CertificateRef, paths: list[Path]) -> Path:
        return min(paths, key=lambda path: self._unlikeliness(use, path))

    def _by_name(self, use: CertificateRef) -> Path | None:
        """The CA that has the issuer's name; where several have, the one with the right key, then the nearest."""
        home, wanted = cluster_root_of(use.path), use.certificate.authority_key_id
        issuer, own = use.certificate.issuer, use.certificate.sha256

        def has_another_key(ca: CertificateRef) -> bool:
            return wanted is not None and ca.certificate.subject_key_id != wanted

        candidates = [
            ca
            for ca in (*self.cas.get((issuer, use.path), ()), *self.by_name.get(issuer, {}).values())
            if ca.certificate.sha256 != own
            # With the right name alone, and in another cluster's home, it is that cluster's.
            and not (home in self.complete and cluster_root_of(ca.path) != home and has_another_key(ca))
        ]

        def distance(ca: CertificateRef) -> tuple[bool, ...]:
            path = ca.path
            return has_another_key(ca), ca.group != use.group, path != use.path, path.parent != use.path.parent

        return min(candidates, key=distance).path if candidates else None


def _is_signer(ca: X509, certificate: X509) -> bool:
    """Return True if name and key identifier are those that the certificate gives for its issuer."""
    return ca.subject == certificate.issuer and (
        certificate.authority_key_id is not None and ca.subject_key_id == certificate.authority_key_id
    )
