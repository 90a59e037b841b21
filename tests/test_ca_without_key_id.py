"""A CA without a subject key identifier, as programs make one with a library: it signs like every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests import judge
from tests.running import output
from tests.test_certificates import parts
from tests.zoo.issuing import Recipe, Workshop, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Kcert

CA = Recipe("CN=Kubernetes", None, ca=True, days=800, key_id=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A PKI folder with such a CA, and what kcert.yaml has to say beside it."""
    ca = Workshop({"ca": CA})["ca"]
    put(tmp_path / "pki/ca.crt", ca.crt)
    put(tmp_path / "pki/ca.key", ca.traditional, 0o600)
    put(tmp_path / "kcert.yaml", b"key: {algorithm: ecdsa}\n")
    return tmp_path / "pki"


def named_authority(crt: Path) -> x509.AuthorityKeyIdentifier:
    """Return how a certificate names its CA."""
    return judge.load(crt).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value


@pytest.mark.parametrize("by_hand", [False, True], ids=["run", "script"])
def test_it_signs_what_names_it_by_its_serial_number(folder: Path, kcert: Kcert, *, by_hand: bool) -> None:
    command = ("client", "admin", "--dir", folder)
    if by_hand:
        script = kcert.done(*command, "--dry-run").stdout
        assert output(["bash"], folder.parent, stdin=script).status == 0
    else:
        kcert.done(*command)
    ca, admin = parts(folder, "ca.crt")[0], parts(folder, "admin.crt")[0]
    admin.verify_directly_issued_by(ca)
    named = named_authority(folder / "admin.crt")
    assert (named.key_identifier, named.authority_cert_serial_number) == (None, ca.serial_number)


@pytest.mark.thorough
def test_a_ca_with_an_identifier_is_named_by_that_alone(tmp_path: Path, kcert: Kcert) -> None:
    put(tmp_path / "kcert.yaml", b"key: {algorithm: ecdsa}\n")
    kcert.done("ca")
    kcert.done("client", "admin")
    named = named_authority(tmp_path / "pki/admin.crt")
    assert named.key_identifier
    assert (named.authority_cert_issuer, named.authority_cert_serial_number) == (None, None)


@pytest.mark.thorough
def test_what_it_signed_stays_good_however_often_it_is_renewed(folder: Path, kcert: Kcert) -> None:
    kcert.done("client", "admin", "--dir", folder)
    for _ in range(2):  # the first renewal gives it an identifier, and the leaf still names the number
        kcert.done("renew", "ca", "--dir", folder)
        verified = output(["openssl", "verify", "-CAfile", "ca.crt", "admin.crt"], folder)
        assert verified.status == 0, verified.stderr
    assert judge.judged(parts(folder, "ca.crt")[0]).subject_key_id
