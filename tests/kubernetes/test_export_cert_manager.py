"""What cert-manager gets fits its schema, asks for what kcert itself makes, and says what it omits, and why."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import stat
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.clusters import PROFILES
from tests.judge import described, judged, matches
from tests.refusals import assert_refused, snapshot
from tests.running import Kcert, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki

SCHEMA = yaml.safe_load((Path(__file__).parent / "cert_manager.yaml").read_text(encoding="utf-8"))

HELD = {
    "course": ["admin", "kube-proxy", "jane", "ci:deployer"],
    "hardway": ["admin", "kube-proxy", "jane", "ci:deployer"],
    "kubeadm": ["etcd-healthcheck-client", "admin", "jane", "ci:deployer"],
}
"""What goes into Secrets by default: all else has to be on a disk before the API server answers."""

NEVER = {"course": ["service-account"], "hardway": ["service-account"], "kubeadm": ["sa"]}
"""What no option brings into a Secret, besides the CAs."""

AUTHORITIES = {"course": ["ca"], "hardway": ["ca"], "kubeadm": ["ca", "front-proxy-ca", "etcd-ca"]}

USAGES = {
    "digitalSignature": "digital signature",
    "keyEncipherment": "key encipherment",
    "serverAuth": "server auth",
    "clientAuth": "client auth",
}

KEYS = {"secp256r1": ("ECDSA", 256), "secp384r1": ("ECDSA", 384), "RSA 2048": ("RSA", 2048)}

Objects = list[dict[str, Any]]


def objects(text: str) -> Objects:
    return list(yaml.safe_load_all(text))


def of_kind(found: Objects, kind: str) -> Objects:
    return [one for one in found if one["kind"] == kind]


def comment_of(text: str) -> str:
    """The comment at the top, as one line."""
    head = text.partition("---\n")[0]
    return " ".join(line.removeprefix("#").strip() for line in head.splitlines())


@pytest.fixture(scope="module")
def exported(pki: Callable[[str, str], Pki]) -> Callable[..., str]:
    """``exported("kubeadm", "--all")``: what is written for the large cluster."""
    done: dict[tuple[str, ...], str] = {}

    def text(profile: str, *options: str, size: str = "large") -> str:
        key = (profile, size, *options)
        if key not in done:
            made = Kcert(pki(profile, size).home).done("export", "cert-manager", "--output", "-", *options)
            done[key] = made.stdout
        return done[key]

    return text


def planned(made: Pki) -> dict[str, list[str]]:
    """Every certificate and key pair of the cluster, with its files."""
    rows = json.loads(Kcert(made.home).done("plan", "--format", "json").stdout)
    return {row["name"]: row["files"] for row in rows}


def certificate_in(path: Path) -> x509.Certificate:
    """The certificate that a file holds, or a kubeconfig."""
    content = path.read_bytes()
    if path.suffix == ".conf":
        content = base64.b64decode(yaml.safe_load(content)["users"][0]["user"]["client-certificate-data"])
    return x509.load_pem_x509_certificate(content)


# --- the manifest


@pytest.mark.parametrize("options", [(), ("--all",)])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_object_fits_the_published_schema(
    exported: Callable[..., str], profile: str, options: tuple[str, ...]
) -> None:
    found = objects(exported(profile, *options))

    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    assert len(found) > 4
    assert [error.message for one in found for error in validator.iter_errors(one)] == []


def test_the_schema_refuses_what_cert_manager_would_not_know(exported: Callable[..., str]) -> None:
    certificate = of_kind(objects(exported("course")), "Certificate")[0]
    certificate["spec"]["keySize"] = 2048

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(certificate, SCHEMA)


def test_kubectl_reads_every_object(exported: Callable[..., str], program: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "cert-manager.yaml"
    path.write_text(exported("kubeadm", "--all"), encoding="utf-8")

    ended = output(
        [program("kubectl"), "label", "--local", "-f", path, "a=b", "-o", "name"], tmp_path, HOME=str(tmp_path)
    )

    assert ended.status == 0, ended.stderr
    assert len(ended.lines) == exported("kubeadm", "--all").count("\n---\n")
    assert "certificate.cert-manager.io/prod-eu-ci-deployer" in ended.lines


@pytest.mark.parametrize("profile", PROFILES)
def test_each_ca_is_a_secret_that_its_issuer_names(
    exported: Callable[..., str], pki: Callable[[str, str], Pki], profile: str
) -> None:
    found = objects(exported(profile, "--all"))
    secrets = {one["metadata"]["name"]: one for one in of_kind(found, "Secret")}
    issuers = of_kind(found, "Issuer")

    assert [one["metadata"]["name"] for one in issuers] == [f"prod-eu-{name}" for name in AUTHORITIES[profile]]
    assert [one["spec"]["ca"]["secretName"] for one in issuers] == list(secrets)
    made = {path.read_bytes() for path in pki(profile, "large").folder.rglob("*ca.crt")}
    for one in secrets.values():
        crt, key = (base64.b64decode(one["data"][name]) for name in ("tls.crt", "tls.key"))
        assert crt in made
        assert matches(key, x509.load_pem_x509_certificate(crt))
        # cert-manager reads the first block alone.
        assert re.match(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", key)


@pytest.mark.parametrize(
    ("profile", "size"),
    [*((profile, "large") for profile in PROFILES), pytest.param("course", "rsa", marks=pytest.mark.thorough)],
)
def test_a_certificate_asks_for_what_kcert_makes(
    exported: Callable[..., str], pki: Callable[[str, str], Pki], profile: str, size: str
) -> None:
    """Read out of the certificates themselves, by another library."""
    text = exported(profile, "--all", size=size)
    found = objects(text)
    authorities = {
        one["metadata"]["name"]: x509.load_pem_x509_certificate(base64.b64decode(one["data"]["tls.crt"]))
        for one in of_kind(found, "Secret")
    }
    comments = re.findall(r"^---\n# (\S+): CN ", text, re.MULTILINE)
    assert len(comments) == len(of_kind(found, "Certificate"))
    files = planned(pki(profile, size))

    for name, one in zip(comments, of_kind(found, "Certificate"), strict=True):
        spec = one["spec"]
        (file,) = (one for one in files[name] if one.endswith((".crt", ".conf")))
        made = certificate_in(pki(profile, size).folder / file)
        seen = judged(made)
        organizations = spec.get("subject", {}).get("organizations", [])
        assert (f"CN={spec['commonName']}", *(f"O={group}" for group in organizations)) == seen.subject, name
        names = [f"DNS:{value}" for value in spec.get("dnsNames", [])]
        names += [f"IP:{value}" for value in spec.get("ipAddresses", [])]
        assert sorted(names) == sorted(seen.names), name
        assert sorted(spec["usages"]) == sorted(USAGES[usage] for usage in (*seen.usages, *seen.purposes)), name
        assert (spec["privateKey"]["algorithm"], spec["privateKey"]["size"]) == KEYS[described(made.public_key())]
        assert spec["duration"] == f"{round(seen.days) * 24}h"
        assert authorities[spec["issuerRef"]["name"]].subject == made.issuer
        assert spec["secretName"] == one["metadata"]["name"]
    assert len({one["spec"]["secretName"] for one in of_kind(found, "Certificate")}) == len(comments)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_read_before_the_api_answers_is_named_with_the_reason(
    exported: Callable[..., str], pki: Callable[[str, str], Pki], profile: str
) -> None:
    plain, everything = exported(profile), exported(profile, "--all")
    held, all_of_them = (re.findall(r"^---\n# (\S+): CN ", text, re.MULTILINE) for text in (plain, everything))

    assert held == HELD[profile]
    said = comment_of(plain)
    for name in {*all_of_them} - {*held}:
        assert re.search(rf"[ ,]{re.escape(name)}[,:]", said), name
    assert "Secrets come from the API server" in said
    assert "etcd stores the Secrets" in said
    for name in (*NEVER[profile], *AUTHORITIES[profile]):
        assert re.search(rf"[ ,]{re.escape(name)}[,:]", said), name
        assert name not in all_of_them
    assert {*all_of_them, *NEVER[profile], *AUTHORITIES[profile]} == {*planned(pki(profile, "large"))}


def test_a_ca_that_signs_nothing_of_it_keeps_its_key(exported: Callable[..., str]) -> None:
    text = exported("kubeadm")

    assert [one["metadata"]["name"] for one in of_kind(objects(text), "Secret")] == ["prod-eu-ca", "prod-eu-etcd-ca"]
    assert "front-proxy-ca: none of the certificates that it signs are in this file" in comment_of(text)


def test_no_issuer_serves_every_namespace(exported: Callable[..., str]) -> None:
    text = exported("kubeadm", "--namespace", "pki", "--name", "lab.one")
    found = objects(text)

    assert {one["metadata"]["namespace"] for one in found} == {"pki"}
    assert {one["spec"]["issuerRef"]["kind"] for one in of_kind(found, "Certificate")} == {"Issuer"}
    assert all(one["metadata"]["name"].startswith("lab.one-") for one in found)
    assert "kubectl create namespace pki" in comment_of(text)
    assert "kubectl apply --server-side" in comment_of(text)


def test_without_the_secret_there_is_no_key(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """Not even where the CA's key is: it may be kept elsewhere."""
    made = own_pki()
    (made.folder / "ca.key").unlink()

    said = kcert.done("export", "cert-manager", "--no-secret", "--output", "issuer.yaml").stdout

    path = kcert.folder / "issuer.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert of_kind(objects(path.read_text(encoding="utf-8")), "Secret") == []
    assert "tls.key" not in path.read_text(encoding="utf-8")
    assert "holds no key" in said


def test_the_file_is_for_its_owner_alone(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()

    said = kcert.done("export", "cert-manager")
    again = kcert.done("export", "cert-manager", "--no-explain")

    path = kcert.folder / "export" / "cert-manager.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "kubectl apply --server-side -f export/cert-manager.yaml" in said.stdout
    assert "PRIVATE" not in said.stdout + said.stderr
    assert "tls.key" not in said.stdout
    assert "(unchanged)" in again.stdout
    assert [one.name for one in path.parent.iterdir()] == ["cert-manager.yaml"]


@pytest.mark.parametrize("form", ["PKCS#8", "traditional"])
def test_the_script_reads_a_key_that_is_not_alone_in_its_form(
    own_pki: Callable[..., Pki], kcert: Kcert, form: str
) -> None:
    made = own_pki("course")
    key = made.folder / "ca.key"
    argv = ["openssl", "pkcs8" if form == "PKCS#8" else "ec", "-in", key, *["-topk8", "-nocrypt"] * (form == "PKCS#8")]
    key.write_text(f"Key Attributes: <No Attributes>\n{output(argv).stdout}", encoding="ascii")
    script = kcert.done("export", "cert-manager", "--dry-run").stdout
    assert output(["bash", "-s"], made.home, stdin=script).status == 0
    (by_hand,) = made.home.glob("export/**/*.yaml")
    before = by_hand.read_text(encoding="utf-8")
    by_hand.unlink()

    kcert.done("export", "cert-manager", "-q")

    assert by_hand.read_text(encoding="utf-8") == before


@pytest.mark.thorough
def test_the_keys_are_never_on_a_terminal(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()
    ours, theirs = pty.openpty()
    ended = subprocess.run(
        kcert.argv("export", "cert-manager", "--output", "-"),
        cwd=kcert.folder,
        env=kcert.environment(),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        shown = os.read(ours, 65536)
    except OSError:
        shown = b""
    os.close(ours)

    assert ended.returncode == 2
    assert b"would print the CA key" in b" ".join(ended.stderr.split())
    assert shown == b""


# --- who gets one


def test_whoever_was_certified_besides_is_among_them(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki()
    kcert.done("client", "Bob_1@example.com", "--group", "developers", "--quiet")

    found = of_kind(objects(kcert.done("export", "cert-manager", "--output", "-").stdout), "Certificate")

    (bob,) = (one for one in found if one["spec"]["commonName"] == "Bob_1@example.com")
    assert bob["metadata"]["name"] == "kubernetes-bob-1-example-com"
    assert bob["spec"]["subject"] == {"organizations": ["developers"]}


def certify(made: Pki, name: str, organization: str, until: datetime) -> None:
    """Put another certificate in place of *name*'s, with the same key."""
    key = serialization.load_pem_private_key((made.folder / f"{name}.key").read_bytes(), None)
    authority = x509.load_pem_x509_certificate((made.folder / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((made.folder / "ca.key").read_bytes(), None)
    old = x509.load_pem_x509_certificate((made.folder / f"{name}.crt").read_bytes())
    parts = [
        x509.NameAttribute(NameOID.COMMON_NAME, name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(authority.subject)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=30))
        .not_valid_after(until)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    (made.folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def test_whose_certificate_ended_gets_no_new_one(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    """Who is not in kcert.yaml may have left: an export must not let him in again."""
    made = own_pki()
    kcert.done("client", "bob", "--quiet")
    certify(made, "bob", "developers", datetime.now(timezone.utc) - timedelta(days=1))

    text = kcert.done("export", "cert-manager", "--output", "-").stdout

    assert "bob: not in kcert.yaml, and expired" in comment_of(text)
    assert "commonName: bob" not in text


def test_a_subject_cannot_leave_its_comment(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    kcert.done("client", "bob", "--quiet")
    certify(made, "bob", "x\nkind: Pwned\x1b[31m", datetime.now(timezone.utc) + timedelta(days=200))

    text = kcert.done("export", "cert-manager", "--output", "-").stdout

    (bob,) = (one for one in of_kind(objects(text), "Certificate") if one["metadata"]["name"] == "kubernetes-bob")
    assert bob["spec"]["subject"] == {"organizations": ["x\nkind: Pwned\x1b[31m"]}
    assert {one["kind"] for one in objects(text)} == {"Secret", "Issuer", "Certificate"}
    assert "\x1b" not in text


def test_a_certificate_never_asks_for_more_days_than_its_ca_has(kcert: Kcert) -> None:
    (kcert.folder / "kcert.yaml").write_text(
        "profile: hardway\ndays: {ca: 40, leaf: 40}\nkey: {algorithm: ecdsa, curve: P-256}\n", encoding="utf-8"
    )
    kcert.done("ca", "--quiet")

    text = kcert.done("export", "cert-manager", "--output", "-").stdout

    spec = of_kind(objects(text), "Certificate")[0]["spec"]
    assert (spec["duration"], spec["renewBefore"]) == ("936h", "312h")
    assert "because the CA expires first: admin, kube-proxy" in comment_of(text)


# --- what is refused


def assert_refused_untouched(made: Pki, kcert: Kcert, status: int, *said: str, arguments: tuple[str, ...] = ()) -> None:
    before = snapshot(made.home)
    assert_refused(kcert("export", "cert-manager", *arguments), status, *said)
    assert snapshot(made.home) == before


def test_an_encrypted_key_is_refused_in_words(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    key = made.folder / "ca.key"
    plain = key.rename(made.home / "plain.key")
    for how in (["ec", "-aes256"], ["pkcs8", "-topk8"]):
        assert output(["openssl", *how, "-in", plain, "-passout", "pass:secret", "-out", key]).status == 0
        assert_refused_untouched(made, kcert, 2, "pki/ca.key is encrypted", "With --no-secret it is omitted")


def test_a_ca_without_its_key_is_refused_in_words(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    (made.folder / "ca.key").unlink()

    assert_refused_untouched(made, kcert, 2, "pki/ca.key does not exist, and cert-manager signs with it", "--no-secret")


def test_a_ca_that_is_not_there_is_named_with_the_command_that_makes_it(kcert: Kcert) -> None:
    ended = kcert("export", "cert-manager", "--dir", "lab")

    assert_refused(ended, 2, "ca.crt is not in lab: `kcert ca --dir lab` creates it")
    assert list(kcert.folder.iterdir()) == []


def test_a_stale_ca_is_named_with_the_command_that_renews_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki("kubeadm")
    (made.folder / "pki/ca.crt").write_bytes((made.folder / "pki/apiserver.crt").read_bytes())

    assert_refused_untouched(made, kcert, 2, "is stale: it is not a CA", "`kcert renew ca --stale` renews it")


def test_two_users_whose_objects_would_share_a_name_are_refused(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    made = own_pki()
    with made.config.open("a", encoding="utf-8") as file:
        file.write("users: [{name: a_b}, {name: a.b}]\n")

    assert_refused_untouched(made, kcert, 2, "a.b and a_b would both be called kubernetes-a-b")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--namespace", "Kube.System"), 2, "a namespace is one name without dots"),
        (("--namespace", "PKI"), 2, "write 'pki'"),
        (("--name", "my_ca"), 2, "--name 'my_ca' cannot begin the name of an object"),
        (("--name", "a" * 64), 2, "--name"),
        (("--output", "no/such/file.yaml"), 2, "there is no folder no/such"),
        (("--output", "/dev/full"), 2, "/dev/full is not a regular file"),
        (("--output", "/proc/version"), 3, "/proc/version cannot be written"),
        (("--config", "nowhere.yaml"), 2, "nowhere.yaml"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert_refused_untouched(own_pki(), kcert, status, said, arguments=arguments)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cert-manger", "did you mean cert-manager?"),
        ("helm", "the targets are cert-manager and ansible"),
    ],
)
def test_what_is_no_target_is_answered_with_those_that_are(kcert: Kcert, name: str, said: str) -> None:
    assert_refused(kcert("export", name), 2, f"{name!a} is not a target of kcert export", said)
