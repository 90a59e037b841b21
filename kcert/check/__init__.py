"""The rules of ``kcert check``, one module for each group (``kcert.check.rule``), and their results.

``run_checks`` finds certificates and applies the rules. Each finding gets the commands that renew the certificate: of
the cluster's own tool, and of kcert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kcert.certificates import Certificate, Role
from kcert.check import (
    bash,
    ca_options,
    corrections,
    dates,
    files,
    forms,
    identities,
    keys,
    kubeconfigs,
    options,
    sans,
    signers,
)
from kcert.check.repairs import Signer, signer_of
from kcert.check.rule import CertificateInstance, Rule, RuleContext, Severity, Violation
from kcert.clusters import COMPONENTS, KIND, KUBEADM, cluster_kind_of
from kcert.clusters.kind import ClusterKind
from kcert.errors import InputError, did_you_mean
from kcert.issue.discovery import FolderContent, named
from kcert.quoting import format_command, quote
from kcert.roles import ROLES
from kcert.scan import Problem, ProblemKind, ScanResult
from kcert.scan.discovery import survey
from kcert.scan.layouts import kubeadm_ca

_GROUPS = (files, signers, ca_options, options, dates, keys, identities, kubeconfigs, forms)
RULES: dict[str, Rule] = {rule.name: rule for group in _GROUPS for rule in group.RULES}
"""Every rule by its name, the worst trouble first."""


@dataclass(frozen=True, kw_only=True)
class Finding(Violation):
    """A violation, under the name of its rule.

    ``fix`` is the commands with openssl, ``cluster_fix`` the command of the cluster's own tool that renews the file,
    ``cluster`` the name of that tool, and ``kcert_fix`` the command of kcert. Each is empty if there is none.
    ``restart`` are the components that read the file only when they start.
    """

    rule: str
    severity: Severity
    cluster_fix: str = ""
    cluster: str = ""
    kcert_fix: str = ""
    restart: tuple[str, ...] = ()

    @property
    def commands(self) -> str:
        """All of them for one shell: openssl's run, and the shorter ones, which need the cluster or kcert, as comments.

        Without openssl's there are comments alone.
        """
        short = [(self.cluster, self.cluster_fix), ("kcert", self.kcert_fix)]
        lines = [f"# With {tool}: {line}" for tool, text in short for line in text.splitlines()]
        return "\n".join([*lines, *([self.fix] if self.fix else [])])


def check(ctx: RuleContext, rules: Iterable[str] = RULES) -> tuple[Finding, ...]:
    """Apply *rules* to *ctx* and return the findings: errors first, and a CA before the certificates that it signed.

    A finding is left out if another finding on the same file explains it: a version 1 certificate cannot have SANs, so
    that is one fault. Swapped files are reported first; the other rules see them as if they had been swapped back.
    """
    ctx = options.as_named(_as_meant(ctx), _faults)
    chosen = [RULES[name] for name in RULES if name in set(rules)]
    violations = {rule.name: list(rule.check(ctx)) for rule in chosen}
    accused = {name: {fault.path for fault in faults} for name, faults in violations.items()}
    alone = {fault.path for faults in violations.values() for fault in faults if fault.alone}
    renewals = Renewals(ctx)
    findings = [
        _finding(renewals, rule, fault)
        for rule in chosen
        for fault in violations[rule.name]
        if not any(fault.path in accused.get(better, ()) for better in rule.suppressed_by)
        if fault.alone or fault.path not in alone
    ]
    swapped = {first for first, _ in ctx.scan.swapped}
    order = list(RULES)
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda finding: (
                finding.rule != "key-mismatch" or finding.path not in swapped,
                finding.severity is Severity.WARNING,
                not finding.authority,
                order.index(finding.rule),
                str(finding.path),
            ),
        )
    )


def _as_meant(ctx: RuleContext) -> RuleContext:
    """Return the context in which swapped files are swapped back; *ctx* if nothing shows which files are swapped."""
    contexts = [ctx, *(replace(ctx, scan=scan) for scan in ctx.scan.as_meant)]
    if len(contexts) == 1:
        return ctx
    counts = [_faults(other) for other in contexts]
    return contexts[counts.index(min(counts))] if counts.count(min(counts)) == 1 else ctx


def _faults(ctx: RuleContext) -> int:
    return sum(1 for rule in RULES.values() for _ in rule.check(ctx))


def _finding(renewals: Renewals, rule: Rule, fault: Violation) -> Finding:
    kind, own = cluster_command(renewals.ctx, fault, rule)
    short = renewals.command(fault, rule)
    return Finding(
        **vars(replace(fault, fix=bash.without_nul(fault.fix))),
        rule=rule.name,
        severity=rule.severity,
        cluster_fix=own,
        cluster=kind.title if kind and own else "",
        kcert_fix=short,
        restart=renewals.readers(fault.path) if (fault.fix or own or short) and rule.restarts else (),
    )


__all__ = ["RULES", "Finding", "RuleContext", "Severity", "check"]


@dataclass(frozen=True)
class CheckResult:
    """The result of a check. ``checked`` counts certificates; the same one in two files is two."""

    scan: ScanResult
    checked: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def not_checked(self, why: ProblemKind) -> tuple[Problem, ...]:
        """Return what could not be checked for this reason: ``unreachable``, ``denied`` or ``elsewhere``."""
        return tuple(problem for problem in self.scan.problems if problem.what == why)


def run_checks(
    where: Sequence[str],
    root: Path | None,
    *,
    rules: Iterable[str] = RULES,
    soon: timedelta = timedelta(days=30),
    wanted: Mapping[Path, Certificate] | None = None,
    described: bool = False,
    openssl: str = "openssl",
    otherwise: Path | None = None,
) -> CheckResult:
    """Check all that is found at *where*, or *otherwise* (see ``survey``); an expiry within *soon* days counts as near.

    *wanted* says what kcert planned, by absolute path; *described* says that a kcert.yaml does. Raises InputError
    where nothing could be checked.
    """
    scan = survey(where, root, openssl, otherwise=otherwise, with_cas=True)
    ctx = RuleContext(scan, datetime.now(timezone.utc), soon, wanted or {}, openssl, described)
    result = CheckResult(scan, len(ctx.found), check(ctx, rules))
    if not result.checked and not result.findings:
        _complain_of_nothing(result, looked_around=not where)
    return result


def _complain_of_nothing(result: CheckResult, *, looked_around: bool) -> None:
    if denied := result.not_checked("denied"):
        raise InputError(
            f"nothing could be checked: this user may not read {denied[0].path}. Run it as root: `sudo kcert check`."
        )
    if unreachable := result.not_checked("unreachable"):
        raise InputError(f"nothing could be checked: {unreachable[0].path} {unreachable[0].reason}.")
    if looked_around:
        raise InputError(
            "nothing to check: there is no certificate where clusters keep them. Name a folder: kcert check FOLDER."
        )


def chosen(only: Iterable[str], skip: Iterable[str]) -> tuple[str, ...]:
    """Return the rules to apply: *only* those, or all, without those to *skip*.

    Raises InputError for a rule that does not exist, with the near ones.
    """
    only, skip = tuple(only), frozenset(skip)
    for name in (*only, *sorted(skip)):
        if name not in RULES:
            hint = did_you_mean(name, RULES, f"the rules are {', '.join(RULES)}.")
            raise InputError(f"{name!a} is not a rule; {hint}")
    return tuple(name for name in RULES if (not only or name in only) and name not in skip)


def wanted_at(folder: Path, certificates: Iterable[Certificate]) -> dict[Path, Certificate]:
    """Return what kcert planned, by the absolute path of the file that holds it in the PKI *folder*."""
    whole = folder.absolute()
    return {
        whole / path: certificate
        for certificate in certificates
        if (path := certificate.files.kubeconfig or certificate.files.crt) is not None
    }


def cluster_command(ctx: RuleContext, fault: Violation, rule: Rule) -> tuple[ClusterKind | None, str]:
    """Return the kind of cluster, and the command of its own tool that fixes *fault*; empty if it has none."""
    kind = cluster_kind_of(fault.path) or (ctx.scan.kind if ctx.scan.kind in (KUBEADM, KIND) else None)
    if kind is KUBEADM and rule.name == "missing-san" and fault.fix and kubeadm_ca(fault.path, Role.APISERVER):
        return kind, _with_another_san(fault.path)
    if not fault.fix and not rule.renewed:
        return kind, ""  # a new certificate from the same CA is rejected as well
    command = kind.renewal_command(fault.path) if kind and rule.cluster_renews and not fault.authority else None
    return kind, command or ""


def _with_another_san(crt: Path) -> str:
    """Return the commands with which kubeadm issues a certificate with new SANs: its renewal keeps the old ones."""
    moved = [f"mv {quote(str(path))} {quote(f'{path}.old')}" for path in (crt, crt.with_suffix(".key"))]
    issued = "kubeadm init phase certs apiserver --config kubeadm.yaml"
    return f"{' && '.join([*moved, issued])}   # after adding the SANs to apiServer.certSANs in kubeadm.yaml"


class Renewals:
    """The commands ``kcert renew NAME`` for the certificates of a check; each PKI folder is read once."""

    def __init__(self, ctx: RuleContext) -> None:
        self.ctx = ctx
        self._leaves = {cert.path: cert for cert in reversed(ctx.leaves) if not cert.use.position}
        self._folders: dict[Path, FolderContent] = {}
        self._readers: dict[Path, set[str | None]] = defaultdict(set)
        for ref in ctx.scan.uses:
            if not (ref.role and ROLES[ref.role].reloaded):
                self._readers[ref.path].add(ref.component)
        for problem in ctx.scan.problems:
            self._readers[problem.path].add(problem.component)
        for key in ctx.scan.public_keys.values():
            if key.option:
                self._readers[key.path].add("kube-apiserver")
        for configuration in ctx.scan.configurations:
            if configuration.source.parent.name != "manifests":  # the kubelet restarts static pods
                self._readers[configuration.source].add(configuration.component)

    def readers(self, path: Path) -> tuple[str, ...]:
        """Return the components that read the file at *path* only when they start, in the order of ``COMPONENTS``."""
        return tuple(name for name in COMPONENTS if name in self._readers.get(path, ()))

    def command(self, fault: Violation, rule: Rule) -> str:
        """Return the command of kcert that fixes *fault*; empty if that is not certain."""
        cert = self._leaves.get(fault.path)
        if fault.authority or cert is None or cert.live or cert.made_by_kubelet:
            return ""
        if "kubelet-client-current.pem" in fault.fix:
            return ""  # the kubelet renews that file by itself
        if rule.updated:
            # What says that it is a CA has no issuer that openssl's commands could name; the plan has.
            certain = fault.fix or rule.name == "self-signed-leaf"
            return self._updating(cert, rule) if certain else ""
        if not rule.renewed or not (issuer := self.ctx.issuer_of(cert)):
            return ""
        signer = signer_of(self.ctx, cert)
        if signer is None or signer.remark:
            return ""
        if self.ctx.signatures.verdict(cert.certificate, (issuer.certificate,)):
            return ""
        if cert.wanted:
            name, folder = cert.wanted.name, _folder_of(cert, cert.wanted)
        else:
            name, folder = ("", cert.path) if self.ctx.described else self._discovered(cert, signer)
        return format_command(("kcert", "renew", name, "--dir", str(folder))) if name else ""

    def _updating(self, cert: CertificateInstance, rule: Rule) -> str:
        """Return the command that updates *cert* to match kcert.yaml, if the certificate needs nothing else.

        kcert.yaml does not contain SANs and groups that were added without kcert; a command that removes them is not a
        fix.
        """
        spec = cert.wanted
        if spec is None or spec.subject is None or spec.issuer is None or not self._can_sign(cert, spec):
            return ""
        names, parts = sans.names(self.ctx, cert), corrections.subject(self.ctx, cert)
        if not set(names) <= set(spec.alt_names) or not set(parts) <= set(spec.subject.parts):
            return ""
        # Of another size than kcert.yaml has, a key is replaced anyway; a foreign one has to be.
        options = ("--new-key", "--stale") if rule.name == "key-mismatch" else ("--stale",)
        return format_command(("kcert", "renew", spec.name, *options, "--dir", str(_folder_of(cert, spec))))

    def _can_sign(self, cert: CertificateInstance, spec: Certificate) -> bool:
        """Return True if the CA of *spec* is in the folder of *cert*, with its key, and does not expire soon."""
        folder = _folder_of(cert, spec)
        cas = [folder / ca.files.primary for ca in self.ctx.wanted.values() if ca.name == spec.issuer]
        return any(
            ca.path in cas
            and any(use.key_path and use.key_fits for use in ca.uses)
            and ca.certificate.not_after > self.ctx.now + self.ctx.soon
            for ca in self.ctx.authorities
        )

    def _discovered(self, cert: CertificateInstance, signer: Signer) -> tuple[str, Path]:
        """Return the name that ``kcert renew`` gives *cert* (empty: none), and its folder, which has no kcert.yaml."""
        around = {*signer.crt.parents[:2]}
        folders = [folder for folder in cert.path.parents[:2] if folder in around]
        if not folders:
            return "", cert.path
        folder = next((folder for folder in folders if folder.name == "pki"), folders[0])
        if folder not in self._folders:
            self._folders[folder] = FolderContent(folder, self.ctx.openssl)
        specs = self._folders[folder].specs
        spec = next((spec for spec in specs if folder / spec.files.primary == cert.path and spec.issuer), None)
        if spec is None or len(named(specs, spec.name)) != 1:
            return "", folder
        fits = spec.files.kubeconfig or folder / spec.files.key == cert.use.key_path
        return spec.name if fits else "", folder


def _folder_of(cert: CertificateInstance, spec: Certificate) -> Path:
    return cert.path.parents[len(spec.files.primary.parts) - 1]
