"""The shortest fix of a date comes first: the cluster's own command, and `kcert renew NAME`, which is carried out."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests import starting
from tests.check.conftest import judged
from tests.check.sick import OVER
from tests.running import Kcert
from tests.zoo import course, kubeadm
from tests.zoo.issuing import changed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcert.check import Finding


def renew(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        assert finding.kcert_fix.startswith("kcert renew "), finding
        command = f'kcert() {{ {starting.program()} "$@"; }}; {finding.kcert_fix} --quiet'
        subprocess.run(["bash", "-e", "-c", command], check=True, capture_output=True)


def names_of(crt: Path) -> tuple[object, ...]:
    certificate = x509.load_pem_x509_certificate(crt.read_bytes())
    extensions = {extension.oid: extension.value for extension in certificate.extensions}
    sans = extensions.get(x509.SubjectAlternativeName.oid)
    return certificate.subject.rfc4514_string(), certificate.public_key(), sans


@pytest.mark.parametrize(
    ("sick", "path"),
    [("apiserver", "pki/apiserver.crt"), ("etcd-server", "pki/etcd/server.crt"), ("admin", "admin.conf")],
)
def test_kcert_renews_what_kubeadm_would(sick: str, path: str, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **{sick: OVER}))
    findings = judged(root=tmp_path)
    assert [finding.path for finding in findings] == [tmp_path / "etc/kubernetes" / path]
    assert findings[0].cluster_fix.startswith("kubeadm certs renew ")
    renew(findings)
    assert judged(root=tmp_path) == ()


def test_kcert_renews_in_a_flat_folder_and_loses_no_name(tmp_path: Path) -> None:
    pki = tmp_path / "a pki"
    course.lay_out(pki, changed(course.RECIPES, kube_apiserver=OVER, jane=OVER))
    before = [names_of(pki / f"{name}.crt") for name in ("kube-apiserver", "jane")]
    renew(judged(pki))
    assert judged(pki) == ()
    assert [names_of(pki / f"{name}.crt") for name in ("kube-apiserver", "jane")] == before


def test_kcert_renews_in_the_folder_of_easy_rsa(made: Callable[[str], Path], tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    subprocess.run(["cp", "-r", made("easy_rsa"), pki], check=True)
    soon = judged(pki, soon=4000)
    crts = [finding for finding in soon if "issued" in finding.path.parts]
    assert crts
    assert all(finding.kcert_fix.endswith(f"--dir {pki}") for finding in crts)


def test_where_the_ca_is_elsewhere_kcert_is_not_offered(tmp_path: Path) -> None:
    course.lay_out(tmp_path, changed(course.RECIPES, jane=OVER))
    (tmp_path / "ca.key").unlink()
    (finding,) = judged(tmp_path)
    assert not finding.kcert_fix


def test_the_report_for_programs_names_the_short_commands_as_comments(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, apiserver=OVER))
    report = json.loads(Kcert(tmp_path)("check", "--root", tmp_path, "--format", "json").stdout)
    lines = report["findings"][0]["fix"].splitlines()
    assert lines[0] == "# With kubeadm: kubeadm certs renew apiserver"
    assert lines[1].startswith("# With kcert: kcert renew apiserver --dir ")
    assert lines[2].startswith("printf ")
