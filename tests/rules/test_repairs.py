"""What a repair leaves as it was: the other certificates of a file, the key in it, and who may read it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.rules.conftest import judged, mend
from tests.rules.sick import OVER, PKI, ROTATED, embed
from tests.zoo import course, kubeadm
from tests.zoo.issuing import Recipe, Workshop, changed, kubeconfig, put

if TYPE_CHECKING:
    from pathlib import Path

ADMIN = "etc/kubernetes/admin.conf"


def labels(content: bytes) -> list[str]:
    """What a PEM file holds, in order."""
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


@pytest.mark.parametrize("chained", [("apiserver", "kubelet", "admin"), ("ca",)], indirect=True, ids=["leaves", "ca"])
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
