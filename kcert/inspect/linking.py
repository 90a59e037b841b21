"""From drafts to uses: read what was found, and tie each certificate to its role, its key and its CA."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kcert.certificates import Kind
from kcert.inspect import layouts
from kcert.inspect.components import ANSWERS_TO, CA_ROLES, COMPONENT_OF
from kcert.inspect.survey import KubeconfigUse, Problem, Role, Survey, Use
from kcert.openssl.read import X509, Unreadable, read_certificates, same_key

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.inspect.finding.collector import Draft, Findings
    from kcert.openssl.x509 import Name

_CAS = (Role.CLUSTER_CA, Role.ETCD_CA, Role.FRONT_PROXY_CA)


def linked(findings: Findings, openssl: str) -> Survey:
    """Read every certificate that *findings* speak of, each once, and put the survey together."""
    pems = dict.fromkeys(draft.pem for draft in findings.drafts)
    for authorities, user in findings.kubeconfig_pems:
        pems |= dict.fromkeys((*authorities, user) if user else authorities)
    certificates = dict(zip(pems, read_certificates(openssl, pems), strict=True))

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
        _with_certificates(one, *parts, certificates)
        for one, parts in zip(findings.kubeconfigs, findings.kubeconfig_pems, strict=True)
    ]
    uses = _Linker(findings, kubeconfigs, known, openssl).uses()
    return Survey(
        uses=tuple(uses),
        problems=tuple(problems),
        configurations=tuple(findings.configurations),
        kubeconfigs=tuple(kubeconfigs),
        keys=tuple(findings.keys.values()),
        public_keys=tuple(findings.public_keys.values()),
        installation=findings.installation,
        looked=tuple(findings.looked),
        files_read=findings.files_read,
    )


def _with_certificates(
    kubeconfig: KubeconfigUse,
    authorities: tuple[str, ...],
    user: str | None,
    certificates: dict[str, X509 | Unreadable],
) -> KubeconfigUse:
    trusted = (certificates[pem] for pem in authorities)
    own = certificates[user] if user else None
    own = own if isinstance(own, X509) else None
    component = kubeconfig.component
    if component is None and (role := layouts.kubeconfig_role(kubeconfig.path, own)):
        component = COMPONENT_OF[role]
    return replace(
        kubeconfig,
        authorities=tuple(one for one in trusted if isinstance(one, X509)),
        user=own,
        component=component,
    )


@dataclass(frozen=True)
class _Authority:
    """A CA certificate that could have signed something, and where it is."""

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
        self.known = [(draft, certificate, self._role(draft, certificate)) for draft, certificate in known]
        self.openssl = openssl
        self.inside: dict[Path, dict[str, X509]] = defaultdict(dict)
        self.by_name: dict[Name, list[_Authority]] = defaultdict(list)
        self.by_role: dict[tuple[int, Role], list[Path]] = defaultdict(list)
        self.named: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
        for draft, certificate, role in self.known:
            if not draft.live:
                self.inside[draft.path].setdefault(certificate.sha256, certificate)
            if self._kind(draft, certificate, role) is Kind.CA:
                found = _Authority(draft.path, certificate, draft.group, role)
                self.by_name[certificate.subject].append(found)
                if role in _CAS and not draft.embedded:
                    self.by_role[draft.group, role].append(draft.path)
            if draft.option and draft.component and not draft.embedded:
                self.named[draft.component, draft.option].append((draft.group, draft.path))

    def uses(self) -> list[Use]:
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
        return layouts.role_of(draft.path, certificate, neighbours)

    @staticmethod
    def _kind(draft: Draft, certificate: X509, role: Role | None) -> Kind:
        return draft.kind or layouts.kind_of(certificate, role)

    def _use(self, draft: Draft, certificate: X509, role: Role | None) -> Use:
        kubeconfig = self.kubeconfigs[draft.kubeconfig] if draft.kubeconfig is not None else None
        kind = self._kind(draft, certificate, role)
        component = draft.component or (COMPONENT_OF.get(role) if role else None)
        if component is None and kubeconfig is not None:
            component = kubeconfig.component or "kubectl"
        issuer_path = self._issuer_path(draft, certificate, role, kind)
        key = self.findings.keys.get(draft.key_path) if draft.key_path else None
        fits = same_key(self.openssl, key.pem, certificate.public_key) if key else None
        configuration = None
        if draft.configuration is not None:
            configuration = self.findings.configurations[draft.configuration]
        return Use(
            component=component,
            kind=kind,
            certificate=certificate,
            path=draft.path,
            option=draft.option,
            source=draft.source,
            key_path=draft.key_path,
            issuer_path=issuer_path,
            position=draft.position,
            role=role,
            embedded=draft.embedded,
            live=draft.live,
            issuers=self._issuers(draft, issuer_path, kubeconfig),
            key=key,
            key_fits=fits,
            node=draft.node or layouts.node_of(draft.path, role),
            configuration=configuration,
            kubeconfig=kubeconfig,
        )

    def _issuers(self, draft: Draft, path: Path | None, kubeconfig: KubeconfigUse | None) -> tuple[X509, ...]:
        if path is None:
            return ()
        if kubeconfig is not None and path == kubeconfig.path:
            return kubeconfig.authorities
        found = tuple(self.inside.get(path, {}).values())
        # A file that holds a leaf and its CA answers to the CA alone.
        return tuple(one for one in found if path != draft.path or one.ca)

    def _issuer_path(self, draft: Draft, certificate: X509, role: Role | None, kind: Kind) -> Path | None:
        if kind is Kind.CA or role in _CAS:
            return None if certificate.self_issued else self._by_name(draft, certificate)
        candidates = self._verifiers(draft, role) if role and not draft.live else []
        if candidates:
            # One option may name the wrong CA: that is its own fault, and not the certificate's.
            return next((path for path in candidates if self._has(path, certificate.issuer)), candidates[0])
        if draft.kubeconfig is not None:
            kubeconfig = self.kubeconfigs[draft.kubeconfig]
            if kubeconfig.authorities:
                return kubeconfig.ca_path
        return self._by_name(draft, certificate)

    def _verifiers(self, draft: Draft, role: Role) -> list[Path]:
        """The CA files of those who verify a certificate of this role, the likeliest first."""
        options = (self.named.get(who, []) for who in ANSWERS_TO.get(role, ()))
        found = [path for named in options for group, path in named if group == draft.group]
        if role in CA_ROLES:
            own = self.by_role.get((draft.group, CA_ROLES[role]), [])
            # Where there is but one CA, it is everybody's.
            found += own or ([] if found else self.by_role.get((draft.group, Role.CLUSTER_CA), []))
        return found

    def _has(self, path: Path, name: Name) -> bool:
        return any(one.subject == name for one in self.inside.get(path, {}).values())

    def _by_name(self, draft: Draft, certificate: X509) -> Path | None:
        """The CA that has the issuer's name; where several have, the one with the right key, then the nearest."""
        candidates = [
            one for one in self.by_name.get(certificate.issuer, []) if one.certificate.sha256 != certificate.sha256
        ]
        if not candidates:
            return None

        def distance(one: _Authority) -> tuple[bool, bool, bool, bool]:
            wanted = certificate.authority_key_id
            return (
                wanted is not None and one.certificate.subject_key_id != wanted,
                one.group != draft.group,
                one.path != draft.path,
                one.path.parent != draft.path.parent,
            )

        return min(candidates, key=distance).path
