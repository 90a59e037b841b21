"""The shortest fix of a date comes first: the cluster's own command, and `kcert renew NAME`, which is carried out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
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

    from kcert.check import Finding
    from tests.clusters import Pki


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
    [
        ("admin", "admin.conf"),
        pytest.param("apiserver", "pki/apiserver.crt", marks=pytest.mark.thorough),
        pytest.param("etcd-server", "pki/etcd/server.crt", marks=pytest.mark.thorough),
    ],
)
def test_kcert_renews_what_kubeadm_would(sick: str, path: str, tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **{sick: OVER}))
    findings = judged(root=tmp_path)
    assert [finding.path for finding in findings] == [tmp_path / "etc/kubernetes" / path]
    assert findings[0].cluster_fix.startswith("kubeadm certs renew ")
    renew(findings)
    assert judged(root=tmp_path) == ()


@pytest.mark.thorough
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


def signed(folder: Path, name: str, subject: str, extensions: str, *, ca: str = "ca", key: str = "") -> None:
    """Sign NAME.crt as many guides do, with the given extensions alone."""
    request = ["openssl", "req", "-new", "-key", f"{key or name}.key", "-subj", subject, "-out", "new.csr"]
    (folder / "new.cnf").write_text(f"basicConstraints = CA:FALSE\n{extensions}\n", encoding="utf-8")
    signing = f"openssl x509 -req -in new.csr -CA {ca}.crt -CAkey {ca}.key -days 90 -extfile new.cnf -out {name}.crt"
    for argv in (request, signing.split()):
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    for made in ("new.csr", "new.cnf"):
        (folder / made).unlink()


def test_plan_and_check_print_the_same_command_for_a_key(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    folder = own_pki("course", "small").folder
    shutil.copy(folder / "node01.key", folder / "admin.key")
    weak = ["openssl", "genrsa", "-out", "kube-proxy.key", "1024"]
    subprocess.run(weak, cwd=folder, check=True, capture_output=True)
    signed(folder, "kube-proxy", "/CN=system:kube-proxy/O=system:node-proxier", "extendedKeyUsage = clientAuth")

    found = json.loads(kcert("check", folder, "--format", "json").stdout)["findings"]
    from_check = {one["fix"].splitlines()[0].removeprefix("# With kcert: ") for one in found}
    from_plan = {
        f"{one['fix']} --dir {folder}" for one in json.loads(kcert.done("plan", "--json").stdout) if one["fix"]
    }

    names = ("admin --new-key --stale", "kube-proxy --stale")
    assert from_check == from_plan == {f"kcert renew {name} --dir {folder}" for name in names}


@pytest.mark.thorough
def test_a_key_that_go_finds_too_long_is_replaced_by_one_that_it_takes(
    kcert: Kcert, own_pki: Callable[..., Pki]
) -> None:
    folder = own_pki("course", "small").folder.rename(kcert.folder / "of another tool")
    (kcert.folder / "kcert.yaml").unlink()
    shutil.rmtree(folder / ".kcert")
    # Of five primes it takes seconds to find, of two a minute.
    long = ["openssl", "genrsa", "-primes", "5", "-out", "kube-apiserver.key", "8448"]
    subprocess.run(long, cwd=folder, check=True, capture_output=True)
    signed(
        folder, "kube-apiserver", "/CN=kube-apiserver", "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:kubernetes"
    )

    (found,) = json.loads(kcert("check", folder, "--only", "unreadable", "--format", "json").stdout)["findings"]

    assert "RSA key larger than 8192 bits" in found["evidence"]
    assert "/kube-apiserver.key.new' 8192 &&" in " ".join(found["fix"].replace("\\\n", " ").split())


@pytest.mark.thorough
@pytest.mark.parametrize("described", [True, False], ids=["kcert.yaml", "example"])
def test_in_its_own_folder_kcert_fixes_what_it_planned_otherwise(
    kcert: Kcert, own_pki: Callable[..., Pki], tmp_path: Path, *, described: bool
) -> None:
    if described:
        folder = own_pki("course", "small").folder
    else:
        folder = tmp_path / "made for the example"
        kcert.done("all", "--quiet", "--dir", folder)
    with_clients = "extendedKeyUsage = clientAuth"
    other = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -out o.crt -subj /CN=o"
    subprocess.run(other.split(), cwd=folder, check=True, capture_output=True)
    signed(folder, "kube-apiserver", "/CN=kube-apiserver", "subjectAltName = DNS:kubernetes, IP:127.0.0.1")
    signed(folder, "admin", "/CN=kube-admin", with_clients, ca="o")
    signed(folder, "kube-proxy", "/CN=kube-proxy", "extendedKeyUsage = serverAuth")
    unit = "system:kube-controller-manager"
    signed(folder, "kube-controller-manager", f"/CN={unit}/OU={unit}", with_clients)
    signed(folder, "etcd-server", "/CN=etcd-server", "subjectAltName = DNS:127.0.0.1")
    signed(folder, "kube-scheduler", "/CN=system:kube-scheduler/O=system:kube-scheduler", with_clients, key="admin")
    own = "req -x509 -new -key apiserver-etcd-client.key -subj /CN=kube-apiserver-etcd-client -days 90"
    own += " -addext basicConstraints=critical,CA:TRUE -out apiserver-etcd-client.crt"
    subprocess.run(["openssl", *own.split()], cwd=folder, check=True, capture_output=True)
    for name in ("o.key", "o.crt"):
        (folder / name).unlink()

    arguments = ("check", folder, "--dir", folder, "--format", "json")
    findings = json.loads(kcert(*arguments).stdout)["findings"]
    short = dict.fromkeys(
        line.removeprefix("# With kcert: ")
        for finding in findings
        for line in finding["fix"].splitlines()
        if line.startswith("# With kcert: ")
    )
    assert {Path(finding["path"]).stem for finding in findings} == {command.split()[2] for command in short}
    renewals = "\n".join(f"{command} --quiet" for command in short)
    script = f'kcert() {{ {starting.program()} "$@"; }}\n{renewals}'
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, check=True, capture_output=True)

    assert json.loads(kcert.done(*arguments).stdout)["findings"] == []
    planned = {cert["name"]: cert["state"] for cert in json.loads(kcert.done("plan", "--dir", folder, "--json").stdout)}
    assert {planned[command.split()[2]] for command in short} == {"current"}


def test_a_plan_that_lacks_a_san_is_not_offered(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    folder = own_pki("course", "small").folder
    signed(folder, "kube-apiserver", "/CN=kube-apiserver", "subjectAltName = DNS:kubernetes, DNS:vip.example")
    findings = json.loads(kcert("check", "pki", "--format", "json").stdout)["findings"]
    assert [finding["rule"] for finding in findings] == ["missing-san"]
    assert "kcert renew" not in findings[0]["fix"]
    assert re.search(r"'DNS\.\d+ = vip\.example'", findings[0]["fix"])


def test_a_fix_signs_for_as_long_as_kcert_yaml_says(kcert: Kcert, own_pki: Callable[..., Pki]) -> None:
    own = own_pki("course", "small")
    own.config.write_text(own.config.read_text(encoding="utf-8") + "days: {leaf: 90}\n", encoding="utf-8")
    signed(own.folder, "kube-proxy", "/CN=kube-proxy/O=system:node-proxier", "extendedKeyUsage = clientAuth")
    (finding,) = json.loads(kcert("check", "pki", "--format", "json").stdout)["findings"]
    subprocess.run(["bash", "-e", "-c", finding["fix"]], cwd=own.home, check=True, capture_output=True)
    certificate = x509.load_pem_x509_certificate((own.folder / "kube-proxy.crt").read_bytes())
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 90
