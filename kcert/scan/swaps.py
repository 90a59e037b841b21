"""Two files that changed places: each has the other's certificate, or the other's key."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from kcert.openssl.program import key_belongs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kcert.scan.discovery.collector import Findings
    from kcert.scan.result import CertificateRef, ScanResult


def mismatched_pairs(result: ScanResult) -> list[tuple[CertificateRef, CertificateRef]]:
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


def exchanged(
    findings: Findings, pairs: list[tuple[CertificateRef, CertificateRef]]
) -> Iterator[tuple[Findings, list[tuple[Path, Path]]]]:
    """Yield *findings* with the certificates put back, then with the keys put back, each with the pairs of files."""
    pems: dict[Path, str] = {}
    keys = dict(findings.keys)
    certificate_files, key_files = [], []
    for first, second in pairs:
        pems |= {first.path: second.certificate.pem, second.path: first.certificate.pem}
        certificate_files.append((first.path, second.path))
        if first.key_path in keys and second.key_path in keys:
            key, other = keys[first.key_path], keys[second.key_path]
            keys |= {key.path: replace(key, pem=other.pem), other.path: replace(other, pem=key.pem)}
            key_files.append((key.path, other.path))
    drafts = [replace(draft, pem=pems.get(draft.path, draft.pem)) for draft in findings.drafts]
    in_kubeconfigs = [
        (
            (pems[kubeconfig.ca_path],) if not kubeconfig.ca_embedded and kubeconfig.ca_path in pems else authorities,
            pems.get(kubeconfig.user_path, user) if user and kubeconfig.user_path else user,
        )
        for kubeconfig, (authorities, user) in zip(findings.kubeconfigs, findings.kubeconfig_pems, strict=True)
    ]
    yield replace(findings, drafts=drafts, kubeconfig_pems=in_kubeconfigs), certificate_files
    yield replace(findings, keys=keys), key_files
