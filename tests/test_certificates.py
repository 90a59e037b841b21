"""Every certificate of every profile is what the tables say, field by field, and openssl agrees."""

from __future__ import annotations

import base64
import itertools
import json
import stat
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests import judge
from tests.expected import (
    BOOK_CA_USAGES,
    CA_USAGES,
    DAYS,
    EXTENSIONS,
    KEYS,
    LEAF_USAGES,
    PURPOSES,
    RSA_SIZES,
    SERVERS,
    TABLES,
    Expected,
)
from tests.running import Kcert, output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki

PKIS = [pytest.param(*pair, marks=pytest.mark.thorough if pair[1] in RSA_SIZES else ()) for pair in TABLES]
OF_EACH_PROFILE = [pytest.param(*pair, marks=() if pair[1] == "large" else pytest.mark.thorough) for pair in TABLES]
EVERY = [
    pytest.param(
        *(profile, size, one),
        id=f"{profile}-{size}-{one.file}",
        marks=pytest.mark.thorough if size in RSA_SIZES else (),
    )
    for (profile, size), table in TABLES.items()
    for one in table
]


def conf(path: Path) -> dict[str, str]:
    """Return what a kubeconfig with one cluster and one user says, flat."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    (cluster,), (context,), (user,) = found["clusters"], found["contexts"], found["users"]
    return {
        "kind": found["apiVersion"] + "/" + found["kind"],
        "current": found["current-context"],
        "context": context["name"],
        "context's cluster": context["context"]["cluster"],
        "context's user": context["context"]["user"],
        "cluster": cluster["name"],
        "server": cluster["cluster"]["server"],
        "ca": base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode(),
        "user": user["name"],
        "crt": base64.b64decode(user["user"]["client-certificate-data"]).decode(),
        "key": base64.b64decode(user["user"]["client-key-data"]).decode(),
    }


def parts(folder: Path, file: str) -> tuple[x509.Certificate, bytes]:
    """The certificate and the private key that *file*, a .crt or a .conf, stands for."""
    path = folder / file
    if path.suffix == ".conf":
        inside = conf(path)
        return x509.load_pem_x509_certificate(inside["crt"].encode()), inside["key"].encode()
    return judge.load(path), path.with_suffix(".key").read_bytes()


@pytest.mark.parametrize(("profile", "size", "one"), EVERY)
def test_a_certificate_is_what_the_table_says(
    pki: Callable[[str, str], Pki], profile: str, size: str, one: Expected
) -> None:
    folder = pki(profile, size).folder
    certificate, key = parts(folder, one.file)
    authority = parts(folder, one.issuer)[0] if one.issuer else certificate
    seen, signer = judge.judged(certificate), judge.judged(authority)
    is_ca = one.kind == "ca"

    assert seen.subject == tuple(one.subject.split(","))
    assert sorted(seen.names) == sorted(one.names.split())
    assert seen.basic == ("CA:TRUE" if is_ca else "CA:FALSE")
    book_ca = is_ca and profile == "kelsey"
    assert seen.usages == (BOOK_CA_USAGES if book_ca else CA_USAGES if is_ca else LEAF_USAGES[size])
    assert seen.purposes == PURPOSES[one.kind]
    assert {name.removeprefix("critical ") for name in seen.extensions} == {
        name.removeprefix("critical ") for name in EXTENSIONS[one.kind]
    }
    assert EXTENSIONS[one.kind] - seen.extensions == ({"critical keyUsage"} if book_ca else set())
    assert seen.days == DAYS[profile, size][0 if is_ca else 1]
    assert seen.hash == "sha256"
    assert seen.key == KEYS[size]
    assert seen.version == 3
    assert seen.issuer == signer.subject
    assert seen.subject_key_id == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex()
    assert seen.authority_key_id == (None if is_ca else signer.subject_key_id)
    certificate.verify_directly_issued_by(authority)
    assert judge.matches(key, certificate)
    assert certificate.not_valid_before_utc <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("profile", "size"), [pytest.param("course", "rsa", marks=pytest.mark.thorough), ("kubeadm", "large")]
)
def test_the_plan_says_what_each_may_be_used_for(pki: Callable[[str, str], Pki], profile: str, size: str) -> None:
    made = pki(profile, size)

    planned = {one["files"][-1]: one for one in json.loads(Kcert(made.home).done("plan", "--format", "json").stdout)}

    for one in TABLES[profile, size]:
        seen = judge.judged(parts(made.folder, one.file)[0])
        assert set(planned[one.file]["usages"]) == {*seen.usages, *seen.purposes}, one.file
        assert planned[one.file]["state"] == "current"


@pytest.mark.parametrize(("profile", "size"), PKIS)
def test_serials_are_random_each_on_its_own(pki: Callable[[str, str], Pki], profile: str, size: str) -> None:
    folder = pki(profile, size).folder
    serials = sorted(judge.judged(parts(folder, one.file)[0]).serial for one in TABLES[profile, size])
    gaps = [after - before for before, after in itertools.pairwise(serials)]

    assert min(serials) >= 2**64  # an honest draw of openssl's 159 bits is smaller once in 2**95
    assert min(gaps) >= 2**64  # none is another one counted up
    assert max(serials) < 2**160  # RFC 5280, 4.1.2.2: twenty bytes at most


@pytest.mark.parametrize(("profile", "size"), PKIS)
def test_no_serial_file_is_left_to_count_up_from(pki: Callable[[str, str], Pki], profile: str, size: str) -> None:
    folder = pki(profile, size).folder

    assert [str(path) for path in folder.rglob("*.srl")] == []
    assert (folder / TABLES[profile, size][0].file).exists()


@pytest.mark.parametrize(("profile", "size"), OF_EACH_PROFILE)
@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_openssl_agrees_on_the_purpose(
    pki: Callable[[str, str], Pki], profile: str, size: str, purpose: str, tmp_path: Path
) -> None:
    folder = pki(profile, size).folder
    accepted, wanted = set(), set()
    for one in TABLES[profile, size]:
        if one.kind == "ca":
            continue
        copy = tmp_path / one.file.replace("/", "_")
        copy.write_bytes(parts(folder, one.file)[0].public_bytes(serialization.Encoding.PEM))
        said = output(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", folder / str(one.issuer), copy]
        )
        if said.status == 0:
            accepted.add(one.file)
        else:
            assert "certificate purpose" in said.stderr
        if one.kind == "peer" or {"client": "sslclient", "server": "sslserver"}[one.kind] == purpose:
            wanted.add(one.file)

    assert accepted == wanted


@pytest.mark.parametrize(("profile", "size"), PKIS)
def test_a_request_carries_the_subject_and_the_names(pki: Callable[[str, str], Pki], profile: str, size: str) -> None:
    folder = pki(profile, size).folder
    for one in TABLES[profile, size]:
        stem = one.file.rpartition(".")[0]
        path = folder / (f"requests/{stem}.csr" if profile == "kubeadm" else f"{stem}.csr")
        request = x509.load_pem_x509_csr(path.read_bytes())
        certificate = parts(folder, one.file)[0]

        assert request.is_signature_valid
        assert request.subject == certificate.subject
        assert request.public_key() == certificate.public_key()
        asked = [extension.value for extension in request.extensions]
        given = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value if one.names else None
        assert asked == ([given] if given else [])


FLAT_ENDINGS = (".crt", ".csr", ".key")


@pytest.mark.parametrize(("profile", "size"), [pair for pair in PKIS if pair.values[0] != "kubeadm"])
def test_a_flat_folder_holds_four_files_a_certificate_and_nothing_else(
    pki: Callable[[str, str], Pki], profile: str, size: str
) -> None:
    folder = pki(profile, size).folder
    stems = [one.file.removesuffix(".crt") for one in TABLES[profile, size]]
    wanted = {stem + ending for stem in stems for ending in FLAT_ENDINGS} | {f"openssl-{stem}.cnf" for stem in stems}

    assert {path.name for path in folder.iterdir()} == wanted | {".kcert"}


@pytest.mark.parametrize("size", ["small", "large"])
def test_kubeadms_folder_is_the_one_of_etc_kubernetes(pki: Callable[[str, str], Pki], size: str) -> None:
    folder = pki("kubeadm", size).folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {"pki/sa.key", "pki/sa.pub"}
    requests = set()
    for one in TABLES["kubeadm", size]:
        stem, _, ending = one.file.rpartition(".")
        # A .conf leaves no loose key: key and certificate live inside it alone.
        wanted |= {one.file} if ending == "conf" else {one.file, f"{stem}.key"}
        above, _, name = f"requests/{stem}".rpartition("/")
        requests |= {f"{above}/{name}.csr", f"{above}/openssl-{name}.cnf"}

    assert {file for file in files if not file.startswith(".kcert/")} == wanted | requests


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_conf_holds_its_ca_its_server_and_its_user(pki: Callable[[str, str], Pki], size: str) -> None:
    folder = pki("kubeadm", size).folder
    cluster = "kubernetes" if size == "small" else "prod-eu"
    subjects = {one.file: one.subject.split(",")[0].removeprefix("CN=") for one in TABLES["kubeadm", size]}
    found = {str(path.relative_to(folder)): conf(path) for path in folder.rglob("*.conf")}

    assert {file: inside["server"] for file, inside in found.items()} == SERVERS[size]
    for file, inside in found.items():
        assert inside["kind"] == "v1/Config"
        assert inside["ca"] == (folder / "pki/ca.crt").read_text(encoding="ascii")
        assert inside["user"] == inside["context's user"] == subjects[file]
        assert inside["cluster"] == inside["context's cluster"] == cluster
        assert inside["context"] == inside["current"]


@pytest.mark.parametrize(("profile", "size"), PKIS)
def test_keys_are_for_their_owner_alone(pki: Callable[[str, str], Pki], profile: str, size: str) -> None:
    folder = pki(profile, size).folder
    modes = {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if ".kcert" not in path.parts
    }

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / ".kcert").stat().st_mode) == 0o700
    for name, mode in modes.items():
        if (folder / name).is_dir():
            assert mode == 0o755, name
        else:
            assert mode == (0o600 if name.endswith((".key", ".conf")) else 0o644), name


def test_the_key_of_service_accounts_is_rsa_even_in_a_cluster_of_ecdsa_keys(pki: Callable[[str, str], Pki]) -> None:
    """Older kubeadm reads sa.key as RSA and refuses another."""
    folder = pki("kubeadm", "large").folder
    private = serialization.load_pem_private_key((folder / "pki/sa.key").read_bytes(), password=None)
    public = serialization.load_pem_public_key((folder / "pki/sa.pub").read_bytes())

    assert judge.described(private) == "RSA 2048"
    assert private.public_key() == public


@pytest.mark.parametrize(("profile", "size"), OF_EACH_PROFILE)
def test_the_cnf_that_made_a_certificate_lies_beside_it_and_makes_it_again(
    pki: Callable[[str, str], Pki], profile: str, size: str, tmp_path: Path
) -> None:
    """Signed once more with the kept request and the kept cnf, it has the same extensions."""
    folder = pki(profile, size).folder
    for one in TABLES[profile, size]:
        stem = one.file.rpartition(".")[0]
        above, _, name = (f"requests/{stem}" if profile == "kubeadm" else stem).rpartition("/")
        again = tmp_path / "again.crt"
        authority = folder / (one.issuer or one.file)
        said = output(
            [
                *("openssl", "x509", "-req", "-in", folder / above / f"{name}.csr", "-out", again),
                *("-CA", authority, "-CAkey", authority.with_suffix(".key"), "-set_serial", "1"),
                *("-extensions", "v3_req", "-extfile", folder / above / f"openssl-{name}.cnf"),
            ]
        )

        assert said.status == 0, said.stderr
        made, kept = judge.judged(judge.load(again)), judge.judged(parts(folder, one.file)[0])
        assert (made.names, made.extensions, made.usages, made.purposes) == (
            kept.names,
            kept.extensions,
            kept.usages,
            kept.purposes,
        )
