"""What a repair leaves as it was: the other certificates of a file, the key in it, and who may read it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kcert.openssl.pem import pem_blocks
from tests.check.conftest import judged, mend, pasted
from tests.check.sick import OVER, PKI, ROTATED, embed
from tests.running import representatives
from tests.zoo import course, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from pathlib import Path

ADMIN = "etc/kubernetes/admin.conf"


def labels(content: bytes) -> list[str]:
    """Return what a PEM file holds, in order."""
    return re.findall("-----BEGIN (?:EC )?([A-Z ]+)-----", content.decode())


@pytest.fixture
def chained(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A host on which certificates come with their CA's, and the recipes of the test's parameter have run out."""
    workshop = kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **dict.fromkeys(request.param, OVER)))
    ca = workshop["ca"].crt
    put(tmp_path / PKI / "apiserver.crt", workshop["apiserver"].crt + ca)
    put(tmp_path / ROTATED, workshop["kubelet"].crt + ca + workshop["kubelet"].traditional, 0o600)
    embed(ADMIN, "client-certificate-data", workshop["admin"].crt + ca)(tmp_path, workshop)
    return tmp_path


@pytest.mark.thorough
@pytest.mark.parametrize("chained", representatives([("apiserver", "kubelet", "admin"), ("ca",)]), indirect=True)
def test_a_file_keeps_its_chain_its_key_and_its_mode(chained: Path) -> None:
    findings = judged(root=chained)
    assert {one.rule for one in findings} == {"expired"}
    mend(findings)
    assert judged(root=chained) == ()
    assert labels((chained / PKI / "apiserver.crt").read_bytes()) == ["CERTIFICATE", "CERTIFICATE"]
    assert labels(kubeadm.embedded(chained / ADMIN, "client-certificate-data")) == ["CERTIFICATE", "CERTIFICATE"]
    assert sorted(labels((chained / ROTATED).read_bytes())) == ["CERTIFICATE", "CERTIFICATE", "PRIVATE KEY"]
    assert (chained / ROTATED).stat().st_mode & 0o777 == 0o600


def test_an_intermediate_ca_is_renewed_in_the_chains_that_carry_it(tmp_path: Path) -> None:
    recipes = dict(course.RECIPES)
    recipes["root"] = replace(recipes["ca"], subject="CN=company root")
    recipes["ca"] = replace(recipes["ca"], issuer="root", begins=-4000)
    workshop = course.lay_out(tmp_path, recipes)
    put(tmp_path / "kube-apiserver.crt", workshop["kube-apiserver"].crt + workshop["ca"].crt)
    mend(judged(tmp_path))
    assert judged(tmp_path) == ()
    assert labels((tmp_path / "kube-apiserver.crt").read_bytes()) == ["CERTIFICATE", "CERTIFICATE"]


def test_a_bundle_keeps_its_other_cas_and_the_second_can_sign(tmp_path: Path) -> None:
    recipes = {**course.RECIPES, "_other": Recipe("CN=the next CA", None, ca=True, days=3650)}
    workshop = Workshop(changed(recipes, jane=OVER))
    course.lay_out(tmp_path, {name: recipes[name] for name in course.RECIPES}, workshop=workshop)
    bundle = put(tmp_path / "ca.crt", workshop["_other"].crt + workshop["ca"].crt).read_bytes()
    mend(judged(tmp_path))
    assert judged(tmp_path) == ()
    assert (tmp_path / "ca.crt").read_bytes() == bundle


@pytest.fixture
def changing_over(tmp_path: Path) -> Path:
    """One CA takes the place of another of its name: both are trusted, the old one's key is gone, jane has run out."""
    recipes = {**course.RECIPES, "_old": course.RECIPES["ca"]}
    workshop = Workshop(changed(recipes, jane={**OVER, "issuer": "_old"}))
    course.lay_out(tmp_path, {name: recipes[name] for name in course.RECIPES}, workshop=workshop)
    put(tmp_path / "ca.crt", workshop["ca"].crt + workshop["_old"].crt)
    return tmp_path


def test_what_the_outgoing_ca_signed_comes_from_the_new_one(changing_over: Path) -> None:
    mend(judged(changing_over))
    assert judged(changing_over) == ()
    signer = x509.load_pem_x509_certificates((changing_over / "ca.crt").read_bytes())[0]
    x509.load_pem_x509_certificate((changing_over / "jane.crt").read_bytes()).verify_directly_issued_by(signer)


def test_the_key_beside_a_file_of_several_cas_is_not_taken_for_the_second_one_s(changing_over: Path) -> None:
    (changing_over / "ca.key").unlink()
    (finding,) = judged(changing_over)
    assert "run this where it is, here called that-ca.key" in finding.fix
    assert "-CAkey that-ca.key" in finding.fix
    assert "/ca.key" not in finding.fix


@pytest.mark.parametrize("over", ["jane", "ca"])
def test_a_ca_without_a_key_identifier_signs(tmp_path: Path, over: str) -> None:
    nameless = changed(course.RECIPES, **{name: {"key_id": False} for name in course.RECIPES})
    course.lay_out(tmp_path, changed(nameless, **{over: OVER}))
    mend(judged(tmp_path))
    assert judged(tmp_path) == ()


def test_a_file_called_like_an_option_is_mended_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course.lay_out(tmp_path, {**course.RECIPES, "-rf": Recipe("CN=jane", usages=("clientAuth",), begins=-400)})
    monkeypatch.chdir(tmp_path)
    mend(judged("."))
    assert judged(".") == ()


def test_a_user_who_vouches_for_himself_is_found_in_any_kubeconfig(tmp_path: Path) -> None:
    workshop = Workshop(
        {
            "ca": Recipe("CN=kubernetes", None, ca=True),
            "jane": Recipe("CN=jane/O=developers", None, usages=("clientAuth",)),
        }
    )
    text = kubeconfig(server=kubeadm.SERVER, authority=workshop["ca"].crt, user=workshop["jane"])
    config = put(tmp_path / "config", text, 0o600)
    assert [(one.rule, one.path) for one in judged(config)] == [("self-signed-leaf", config)]


def contents(folder: Path) -> dict[Path, bytes]:
    """All that is in *folder*, except what a repair left unfinished beside it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".new"}


def belong_together(crt: Path, key: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(crt.read_bytes())
    return certificate.public_key() == serialization.load_pem_private_key(key.read_bytes(), None).public_key()


WEAK = {"key": "P-192"}


@pytest.fixture
def no_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An openssl that does all but sign."""
    real = shutil.which("openssl")
    program = put(
        tmp_path / "bin" / "openssl",
        f'#!/bin/sh\ncase "$*" in x509*-req*|x509*-signkey*) exit 1;; esac\nexec {real} "$@"\n'.encode(),
        0o755,
    )
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.mark.usefixtures("no_signatures")
@pytest.mark.parametrize("sick", [{"jane": WEAK}, {"ca": WEAK}], ids=["leaf", "ca"])
def test_where_nothing_is_signed_no_key_is_replaced(sick: dict[str, dict[str, object]], tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    course.lay_out(folder, changed(course.RECIPES, **sick))
    (finding,) = judged(folder)
    before = contents(folder)
    assert 0 not in pasted([finding])
    assert contents(folder) == before


@pytest.mark.usefixtures("no_signatures")
@pytest.mark.parametrize(
    "sick", [{"scheduler": WEAK}, {"kubelet": WEAK}, {"ca": WEAK}, {"ca": OVER}], ids=["kubeconfig", "pem", "key", "ca"]
)
def test_where_nothing_is_signed_a_host_stays_as_it_was(sick: dict[str, dict[str, object]], tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path / "host", changed(kubeadm.RECIPES, **sick))
    findings = judged(root=tmp_path / "host")
    before = contents(tmp_path / "host")
    assert findings
    assert 0 not in pasted(findings)
    assert contents(tmp_path / "host") == before


def test_a_key_outlives_a_ca_whose_passphrase_nobody_gives(tmp_path: Path) -> None:
    workshop = course.lay_out(tmp_path, changed(course.RECIPES, jane=WEAK))
    locked = serialization.BestAvailableEncryption(b"nobody says it")
    form = serialization.PrivateFormat.PKCS8
    put(tmp_path / "ca.key", workshop["ca"].key.private_bytes(serialization.Encoding.PEM, form, locked), 0o600)
    (finding,) = judged(tmp_path)
    assert 0 not in pasted([finding])
    assert belong_together(tmp_path / "jane.crt", tmp_path / "jane.key")


@pytest.mark.parametrize("name", ["jane", "ca"])
def test_the_old_key_is_kept_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    course.lay_out(tmp_path, changed(course.RECIPES, **{name: WEAK}))
    crt, key, old = (tmp_path / f"{name}{suffix}" for suffix in (".crt", ".key", ".key.old"))
    before = key.read_bytes()
    key.chmod(0o644)
    weak = [one for one in judged(tmp_path) if one.rule == "weak-key"]
    mend(weak)
    assert old.read_bytes() == before
    assert old.stat().st_mode & 0o777 == 0o600
    assert key.stat().st_mode & 0o777 == 0o600
    assert belong_together(crt, key)
    assert judged(tmp_path) == ()
    assert 0 not in pasted(weak), "a second time it would write over the old key"
    assert old.read_bytes() == before
    assert belong_together(crt, key)


@pytest.mark.thorough
def test_a_damaged_signing_key_is_kept_beside_the_one_that_takes_its_place(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    damaged = put(tmp_path / PKI / "sa.key", b"not a key", 0o600).read_bytes()
    mend(judged(root=tmp_path))
    assert judged(root=tmp_path) == ()
    assert (tmp_path / PKI / "sa.key.old").read_bytes() == damaged


@pytest.mark.parametrize("missing", [["ca.key"], ["ca.key", "jane.key"], []], ids=["ca", "key", "nothing"])
def test_the_name_of_a_folder_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pki\ntouch PWNED\n#"
    course.lay_out(folder, changed(course.RECIPES, jane={"days": 10}, ca={"days": 15}))
    for name in missing:
        (folder / name).unlink()
    findings = judged(folder)
    assert {one.path.name for one in findings} == {"ca.crt", "jane.crt"}
    assert [one.path.name for one in findings if "run this where" in one.fix] == ["ca.crt", "jane.crt"] * bool(missing)
    pasted(findings)
    assert not list(tmp_path.rglob("PWNED"))


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "CN=jane/O=system:masters\0x", **OVER},
        {"subject": "CN=jane\0x/O=developers", **OVER},
        {"subject": "CN=jane/O=developers", "names": ("DNS:kubernetes\0.example.com",), **OVER},
        {"subject": "CN=jane/O=system:masters\0x", "usages": ("serverAuth",)},
    ],
    ids=["group", "user", "SAN", "another rule"],
)
def test_no_fix_cuts_a_name_off_at_a_nul(tmp_path: Path, change: dict[str, object]) -> None:
    course.lay_out(tmp_path, changed(course.RECIPES, jane=change))
    put(tmp_path / "bundle.pem", (tmp_path / "jane.crt").read_bytes())

    findings = judged(tmp_path)

    assert [one.fix for one in findings if "NUL" in one.fix] or "names" in change, "it says why there is no command"
    for finding in findings:
        pasted([finding])
        for path in (tmp_path / "jane.crt", tmp_path / "bundle.pem"):
            subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
            assert "/".join(f"{part.rfc4514_attribute_name}={part.value!s}" for part in subject) == change["subject"]


def test_etcds_own_certificates_have_to_be_clients_for_its_peers(tmp_path: Path) -> None:
    serving = {name: {"usages": ("serverAuth",)} for name in ("etcd-server", "etcd-peer", "admin")}
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **serving))

    findings = {finding.path.name: finding for finding in judged(root=tmp_path)}

    assert {finding.rule for finding in findings.values()} == {"missing-client-auth"}
    assert {name for name, finding in findings.items() if "peers" in finding.message} == {"server.crt", "peer.crt"}
    assert "admin.conf" in findings


def test_a_public_key_is_added_behind_a_last_line_without_a_newline(tmp_path: Path) -> None:
    kubeadm.lay_out(tmp_path)
    public = tmp_path / PKI / "sa.pub"
    other = Workshop({"other": Recipe("CN=other", None)})["other"].public.rstrip()
    put(public, other, 0o640)

    findings = judged(root=tmp_path)

    assert [(finding.rule, finding.path) for finding in findings] == [("key-mismatch", public)]
    mend(findings)
    assert judged(root=tmp_path) == ()
    assert [block.fault for block in pem_blocks(public.read_bytes())] == [None, None]
    assert public.read_bytes().startswith(other + b"\n")
    assert public.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("place", ["host", "folder"])
def test_two_public_keys_on_one_line_are_unreadable(tmp_path: Path, place: str) -> None:
    workshop = kubeadm.lay_out(tmp_path)
    other = Workshop({"other": Recipe("CN=other", None)})["other"].public.rstrip()
    public = put(tmp_path / PKI / "sa.pub", other + workshop["sa"].public)
    where: tuple[Path, ...] = (tmp_path / PKI,) if place == "folder" else ()
    root = None if where else tmp_path

    findings = judged(*where, root=root)

    assert [(finding.rule, finding.path) for finding in findings] == [("unreadable", public)]
    assert "a line break is missing" in findings[0].message
    assert "read the key in it" in findings[0].message
    mend(findings)
    assert judged(*where, root=root) == ()
    assert public.read_bytes() == other + b"\n" + workshop["sa"].public, "both keys are kept"


@pytest.mark.parametrize("name", ["apiserver", "ca"])
def test_a_key_with_a_passphrase_is_found_without_a_manifest_and_a_cas_is_none_of_them(
    tmp_path: Path, name: str
) -> None:
    key = kubeadm.lay_out(tmp_path)[name].key
    locked = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    path = put(tmp_path / PKI / f"{name}.key", pem, 0o600)

    findings = judged(tmp_path / PKI)

    assert [(finding.rule, finding.path) for finding in findings] == [("unreadable", path)] * (name != "ca")
    assert all(f"it is the key of {path.with_suffix('.crt')}" in finding.message for finding in findings)


@pytest.mark.parametrize("name", ["apiserver-etcd-client", "front-proxy-client"])
def test_a_folder_of_kubeadm_says_which_ca_signs_without_a_manifest(tmp_path: Path, name: str) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, **{name: {"issuer": "ca"}}))

    findings = judged(tmp_path / PKI)

    assert [(finding.rule, finding.path.name) for finding in findings] == [("wrong-issuer", f"{name}.crt")]
    mend(findings)
    assert judged(tmp_path / PKI) == ()
    assert judged(root=tmp_path) == ()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("apiserver.crt", "ca.crt"),
        pytest.param("apiserver-kubelet-client.crt", "apiserver.crt", marks=pytest.mark.thorough),
        pytest.param("apiserver-kubelet-client.key", "apiserver.key", marks=pytest.mark.thorough),
        pytest.param("etcd/ca.crt", "front-proxy-ca.crt", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("place", ["host", pytest.param("folder", marks=pytest.mark.thorough)])
def test_two_swapped_files_are_one_finding_and_are_exchanged(tmp_path: Path, one: str, two: str, place: str) -> None:
    kubeadm.lay_out(tmp_path, changed(kubeadm.RECIPES, scheduler=OVER))
    pki = tmp_path / PKI
    before = contents(pki)
    (pki / one).write_bytes(before[pki / two])
    (pki / two).write_bytes(before[pki / one])
    where: tuple[Path, ...] = (pki,) if place == "folder" else ()
    root = None if where else tmp_path

    first, *others = judged(*where, root=root)

    assert (first.rule, first.path, first.cluster_fix) == ("key-mismatch", pki / one, "")
    assert first.fix.count("mv ") == 3
    assert [(other.rule, other.path.name) for other in others] == [("expired", "scheduler.conf")] * (place == "host")
    mend([first])
    assert contents(pki) == before
    mend(others)
    assert judged(*where, root=root) == ()


def test_nothing_is_signed_by_a_ca_whose_key_is_another_ones(tmp_path: Path) -> None:
    recipes = changed(kubeadm.RECIPES, apiserver=OVER, front_proxy_client=OVER)
    workshop = kubeadm.lay_out(tmp_path, recipes)
    put(tmp_path / PKI / "ca.key", workshop["front-proxy-ca"].traditional, 0o600)

    fixes = {finding.path.name: finding.fix for finding in judged(root=tmp_path) if finding.rule == "expired"}

    assert set(fixes) == {"apiserver.crt", "front-proxy-client.crt"}
    assert fixes["apiserver.crt"] == ""
    assert "-CAkey" in fixes["front-proxy-client.crt"]
