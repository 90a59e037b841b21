"""The command of the cluster's own tool, and that of kcert, that renews the certificate of a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcert.certificates import Role
from kcert.check.repairs import signer_of
from kcert.clusters import COMPONENTS, KIND, KUBEADM, ClusterKind, cluster_kind_of
from kcert.issue.discovery import FolderContent, named
from kcert.quoting import format_command, quote
from kcert.roles import ROLES
from kcert.scan.layouts import kubeadm_ca

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.check.rule import Violation

DATES = frozenset({"expired", "expiring-soon", "not-yet-valid", "weak-signature", "duplicate-serial"})
"""Rules whose findings end with a new certificate that says the same as the old one."""

RENEWED = DATES | {"wrong-issuer", "key-mismatch"}
"""Rules whose findings end when the cluster's own tool renews the certificate, with a new key and its own CA."""


AT_ONCE = frozenset({"key-permissions", "second-manifest"})
"""Rules whose fix changes nothing that a component has read."""


def readers(ctx: RuleContext, path: Path) -> tuple[str, ...]:
    """Return the components that read the file at *path* only when they start; the kubelet restarts static pods."""
    names = {ref.component for ref in ctx.scan.uses if ref.path == path and not (ref.role and ROLES[ref.role].reloaded)}
    names |= {problem.component for problem in ctx.scan.problems if problem.path == path}
    names |= {"kube-apiserver" for key in ctx.scan.public_keys if key.path == path and key.option}
    if path.parent.name != "manifests":
        names |= {configuration.component for configuration in ctx.scan.configurations if configuration.source == path}
    return tuple(name for name in COMPONENTS if name in names)


def cluster_command(ctx: RuleContext, fault: Violation, rule: str) -> tuple[ClusterKind | None, str]:
    """Return the kind of cluster and the command of its own tool that ends *fault*; an empty one where it has none."""
    kind = cluster_kind_of(fault.path) or (ctx.scan.kind if ctx.scan.kind in (KUBEADM, KIND) else None)
    if kind is KUBEADM and rule == "missing-san" and fault.fix and kubeadm_ca(fault.path, Role.APISERVER):
        return kind, _with_another_san(fault.path)
    if not fault.fix and rule not in DATES:
        return kind, ""  # a new certificate from the same CA is rejected as well
    command = kind.renewal_command(fault.path) if kind and rule in RENEWED and not fault.authority else None
    return kind, command or ""


def _with_another_san(crt: Path) -> str:
    """kubeadm keeps the SANs that a certificate has when it renews it: it has to issue a new one."""
    moved = [f"mv {quote(str(path))} {quote(f'{path}.old')}" for path in (crt, crt.with_suffix(".key"))]
    issued = "kubeadm init phase certs apiserver --config kubeadm.yaml"
    return f"{' && '.join([*moved, issued])}   # after adding the SANs to apiServer.certSANs in kubeadm.yaml"


class Renewals:
    """The commands ``kcert renew NAME`` for the certificates of a check; each PKI folder is read once."""

    def __init__(self, ctx: RuleContext) -> None:
        self.ctx = ctx
        self._folders: dict[Path, FolderContent] = {}

    def command(self, fault: Violation, rule: str) -> str:
        """Return the command of kcert that ends *fault*; empty where it is not certain that it does."""
        at_fault = (leaf for leaf in self.ctx.leaves if leaf.path == fault.path and not leaf.use.position)
        cert = next(at_fault, None)
        if rule not in DATES or fault.authority or cert is None or cert.live or cert.made_by_kubelet:
            return ""
        if "kubelet-client-current.pem" in fault.fix:
            return ""  # the kubelet renews that file by itself
        target = self._described(cert) if self.ctx.wanted else self._discovered(cert)
        return format_command(("kcert", "renew", target[0], "--dir", str(target[1]))) if target else ""

    def _described(self, cert: CertificateInstance) -> tuple[str, Path] | None:
        """Return the name that kcert.yaml has for it, and the PKI folder."""
        if cert.wanted is None or not self._is_renewable(cert):
            return None
        return cert.wanted.name, cert.path.parents[len(cert.wanted.files.primary.parts) - 1]

    def _is_renewable(self, cert: CertificateInstance) -> bool:
        """Return True where the CA that signed it is here, with its key."""
        issuer, signer = self.ctx.issuer_of(cert), signer_of(self.ctx, cert)
        if issuer is None or signer is None or not signer.key_is_here:
            return False
        return self.ctx.signatures.verdict(cert.certificate, (issuer.certificate,)) is None

    def _discovered(self, cert: CertificateInstance) -> tuple[str, Path] | None:
        """Return the name that ``kcert renew`` finds it under in a folder of which nothing is known, and the folder."""
        signer = signer_of(self.ctx, cert) if self._is_renewable(cert) else None
        if signer is None:
            return None
        around = {*signer.crt.parents[:2]}
        folders = [folder for folder in cert.path.parents[:2] if folder in around]
        folder = next((folder for folder in folders if folder.name == "pki"), next(iter(folders), None))
        if folder is None:
            return None
        if folder not in self._folders:
            self._folders[folder] = FolderContent(folder, self.ctx.openssl)
        specs = self._folders[folder].specs
        spec = next((spec for spec in specs if folder / spec.files.primary == cert.path and spec.issuer), None)
        if spec is None or len(named(specs, spec.name)) != 1:
            return None
        if not spec.files.kubeconfig and folder / spec.files.key != cert.use.key_path:
            return None
        return spec.name, folder
