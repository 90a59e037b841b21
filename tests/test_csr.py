"""`kcert csr` without a cluster: the whole exercise, every signer's rules, and what is refused."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kcert import cli
from kcert.errors import KcertError
from tests import judge
from tests.refusals import assert_refused
from tests.running import Ended, after_reading, output, program, representatives
from tests.scan.odd import tlv
from tests.test_certificates import conf
from tests.test_handshakes import Side, client, server, shake_hands
from tests.test_renew import backups, files_of, recorded, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.clusters import Pki
    from tests.running import Kcert

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"


def manifest(path: Path) -> dict[str, Any]:
    """The object in a manifest."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def certificate_in(path: Path) -> x509.Certificate:
    """status.certificate of a manifest."""
    return x509.load_pem_x509_certificate(base64.b64decode(manifest(path)["status"]["certificate"]))


def conditions(path: Path) -> list[dict[str, str]]:
    """The conditions of a manifest."""
    found = manifest(path).get("status", {}).get("conditions", [])
    assert isinstance(found, list)
    return found


class InProcess:
    """The same command line in this very process, for the many cases that differ in a word."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.capture = capture

    def __call__(self, *arguments: str | Path) -> Ended:
        """Run it; an error becomes what ``kcert.__main__`` makes of it."""
        self.patch.setattr(sys, "argv", ["kcert", *map(str, arguments)])
        self.capture.readouterr()
        try:
            status, said = cli.run(), ""
        except KcertError as error:
            status, said = error.exit_status, str(error)
        printed = self.capture.readouterr()
        return Ended(status, printed.out, printed.err + said)

    def done(self, *arguments: str | Path) -> Ended:
        """Run it for what has to work."""
        ended = self(*arguments)
        assert ended.status == 0, ended.stderr
        return ended


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """kcert in this process, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    return InProcess(monkeypatch, capsys)


@pytest.fixture
def pki_folder(own_pki: Callable[..., Pki]) -> Path:
    """The PKI folder of a small course cluster, of this test alone."""
    return own_pki("course").folder


def test_the_whole_exercise_from_a_key_to_a_tls_connection(pki_folder: Path, kcert: Kcert, tmp_path: Path) -> None:
    file = "pki/jane-csr.yaml"
    kcert.done("csr", "new", "jane", "--group", "developers", "--group", "team:blue")
    kcert.done("csr", "manifest", "jane", "--expires", "24h")
    kcert.done("csr", "approve", "--file", file)
    kcert.done("csr", "sign", "--file", file)
    kcert.done("csr", "fetch", "jane", "--file", file)

    certificate = judge.load(pki_folder / "jane.crt")
    assert {f"{part.rfc4514_string()}" for part in certificate.subject.rdns} == {
        "CN=jane",
        "O=developers",
        "O=team:blue",
    }
    kcert.done("kubeconfig", "jane")
    there = server(Side(pki_folder, "kube-apiserver.crt", tmp_path), pki_folder / "ca.crt")
    (pki_folder / "jane.conf").write_bytes((pki_folder / "jane.kubeconfig").read_bytes())
    here = client(pki_folder / "ca.crt", Side(pki_folder, "jane.conf", tmp_path))
    assert shake_hands(there, here, "kubernetes.default") == b"a word"
    assert (pki_folder / "jane.key").stat().st_mode & 0o777 == 0o600
    story = [line.split()[1] for line in recorded(kcert, "--format", "markdown")][-4:]
    assert story == ["ecparam", "req", "ca", "verify"]
    last = json.loads(kcert.done("history", "--format", "json").stdout)[-1]
    assert [(own["step"], own["files"]) for own in last["prepared"]] == [("fetch", ["jane.crt"])]
    script = tmp_path / "again.sh"
    script.write_text(after_reading(kcert.done("history", "--format", "sh").stdout), encoding="utf-8")
    again = output(["bash", script, tmp_path / "again"])
    assert again.status == 0, again.stderr
    assert "`kcert csr sign` does it again" in script.read_text(encoding="utf-8")
    assert (tmp_path / "again/jane.csr").is_file()


@pytest.mark.thorough
def test_the_exercise_ends_with_a_kubeconfig_that_opens_a_tls_connection(
    own_pki: Callable[..., Pki], inside: InProcess, tmp_path: Path
) -> None:
    folder = own_pki("kubeadm").folder
    file = "pki/jane-csr.yaml"
    inside.done("csr", "new", "jane", "--group", "developers")
    inside.done("csr", "manifest", "jane")
    inside.done("csr", "approve", "--file", file)
    inside.done("csr", "sign", "--file", file)
    inside.done("csr", "fetch", "jane", "--file", file)

    assert not (folder / "jane.key").exists()
    assert (folder / "jane.conf").stat().st_mode & 0o777 == 0o600
    opened = conf(folder / "jane.conf")
    assert (opened["user"], opened["server"]) == ("jane", "https://127.0.0.1:6443")
    there = server(Side(folder, "pki/apiserver.crt", tmp_path), folder / "pki/ca.crt")
    here = client(folder / "pki/ca.crt", Side(folder, "jane.conf", tmp_path))
    assert shake_hands(there, here, "kubernetes.default") == b"a word"
    assert "renewed  jane" in inside.done("renew", "jane", "--quiet").stdout


def test_what_csr_new_shows_is_what_ran(pki_folder: Path, kcert: Kcert) -> None:
    assert pki_folder
    already = len(recorded(kcert))

    lesson = kcert.done("csr", "new", "jane", "--san", "jane.example.com", "--san", "10.0.0.9").stdout

    assert shown(lesson) == recorded(kcert)[already:]
    request = x509.load_pem_x509_csr((pki_folder / "jane.csr").read_bytes())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["jane.example.com", "10.0.0.9"]


def test_the_script_of_a_dry_run_makes_key_and_request(pki_folder: Path, kcert: Kcert, tmp_path: Path) -> None:
    script = kcert.done("csr", "new", "jane", "--group", "developers", "--dry-run").stdout
    assert not (pki_folder / "jane.key").exists()

    done = output(["bash", "-s"], tmp_path, stdin=script)

    assert done.status == 0, done.stderr
    assert x509.load_pem_x509_csr((pki_folder / "jane.csr").read_bytes()).is_signature_valid


def test_a_second_time_the_key_is_kept_and_an_equal_request_too(pki_folder: Path, kcert: Kcert) -> None:
    kcert.done("csr", "new", "jane")
    key, request = ((pki_folder / f"jane.{end}").read_bytes() for end in ("key", "csr"))

    assert "Kept, because" in kcert.done("csr", "new", "jane").stdout
    assert (pki_folder / "jane.csr").read_bytes() == request
    kcert.done("csr", "new", "jane", "--group", "developers")

    assert (pki_folder / "jane.key").read_bytes() == key
    assert (pki_folder / "jane.csr").read_bytes() != request
    assert backups(pki_folder, "jane.csr")[-1].read_bytes() == request


def test_the_manifest_is_what_the_line_in_the_lesson_makes(pki_folder: Path, kcert: Kcert, tmp_path: Path) -> None:
    kcert.done("csr", "new", "jane", "--group", "developers")

    lesson = kcert.done("csr", "manifest", "jane").stdout

    line = next(line.strip() for line in lesson.splitlines() if "base64" in line and "cat" in line)
    found = manifest(pki_folder / "jane-csr.yaml")
    assert found == {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "jane"},
        "spec": {
            "request": output(["bash", "-c", line], tmp_path).stdout,
            "signerName": CLIENT,
            "usages": ["digital signature", "client auth"],
        },
    }
    assert base64.b64decode(found["spec"]["request"]) == (pki_folder / "jane.csr").read_bytes()


def test_the_manifest_can_go_to_the_screen_or_to_another_file(
    pki_folder: Path, inside: InProcess, tmp_path: Path
) -> None:
    inside.done("csr", "new", "jane")

    bare = inside.done("csr", "manifest", "jane", "--expires", "24h", "--output", "-").stdout
    inside.done("csr", "manifest", "jane", "--expires", "24h", "--output", "elsewhere.yaml")
    refused = inside("csr", "manifest", "jane", "--output", "elsewhere.yaml")

    assert yaml.safe_load(bare)["spec"]["expirationSeconds"] == 86400
    assert (tmp_path / "elsewhere.yaml").read_text(encoding="utf-8") == bare
    assert not (pki_folder / "jane-csr.yaml").exists()
    assert refused.status == 2
    assert "exists already" in refused.stderr


@pytest.mark.parametrize(
    ("signer", "stem", "purposes", "names"),
    [
        ("kube-apiserver-client-kubelet", "kubelet-client-node01", ("clientAuth",), ()),
        ("kubelet-serving", "kubelet-serving-node01", ("serverAuth",), ("DNS:node01", "IP:127.0.0.1")),
    ],
)
def test_a_kubelet_asks_as_the_node_that_it_is(
    *, pki_folder: Path, inside: InProcess, signer: str, stem: str, purposes: tuple[str, ...], names: tuple[str, ...]
) -> None:
    file = f"pki/{stem}-csr.yaml"
    inside.done("csr", "new", "node01", "--signer", signer)
    inside.done("csr", "manifest", stem)
    inside.done("csr", "approve", "--file", file)
    inside.done("csr", "sign", "--file", file)
    inside.done("csr", "fetch", stem, "--file", file)

    made = judge.judged(judge.load(pki_folder / f"{stem}.crt"))
    assert set(made.subject) == {"CN=system:node:node01", "O=system:nodes"}
    assert made.purposes == purposes
    assert made.names == names


# --- What the signers sign, and what they refuse


class Applicant:
    """A user with a key who requests what a test says."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.folder = folder

    def request(self, subject: str, names: tuple[str, ...] = ()) -> bytes:
        """A request, as PEM; a subject is written ``CN=jane/O=developers``."""
        kinds = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
        kinds["UID"] = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")  # Kubernetes' own, not LDAP's
        parts = [part.split("=", 1) for part in subject.split("/") if part]
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(kinds[kind], value) for kind, value in parts])
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def object(self, request: bytes, signer: str = CLIENT, usages: tuple[str, ...] = (), **spec: object) -> Path:
        """A manifest with a request in it."""
        path = self.folder / "asks.yaml"
        document = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": "asks", "labels": {"kept": "as it is"}},
            "spec": {
                "request": base64.b64encode(request).decode(),
                "signerName": signer,
                "usages": list(usages or ("client auth",)),
                **spec,
            },
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


def _name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    if kind == "email":
        return x509.RFC822Name(value)
    return x509.DNSName(value) if kind == "DNS" else x509.UniformResourceIdentifier(value)


@pytest.fixture
def applicant(pki_folder: Path, tmp_path: Path) -> Applicant:
    """A user who sends a request."""
    assert pki_folder
    return Applicant(tmp_path)


NODE = "CN=system:node:node01/O=system:nodes"
NODE_CLIENT = ("digital signature", "client auth")
NODE_SERVER = ("digital signature", "server auth")


@pytest.mark.parametrize(
    ("signer", "subject", "usages", "names"),
    representatives(
        [
            (CLIENT, "CN=jane/O=developers", ("client auth",), ()),
            (CLIENT, "O=developers/OU=house/CN=jane/O=team", ("client auth", "digital signature"), ()),
            (CLIENT, "CN=jane", ("key encipherment", "client auth"), ("DNS:jane.example.com", "IP:fd00::1")),
            (CLIENT, "CN=jane", ("client auth",), ("email:jane@example.com", "URI:spiffe://here/jane")),
            (KUBELET, NODE, NODE_CLIENT, ()),
            (KUBELET, NODE, (*NODE_CLIENT, "key encipherment"), ()),
            (SERVING, NODE, NODE_SERVER, ("DNS:node01",)),
            (SERVING, NODE, (*NODE_SERVER, "key encipherment"), ("IP:10.0.0.2",)),
        ],
        lambda case: case[0],
        spread=True,
    ),
)
def test_what_a_signer_allows_is_signed_as_it_was_asked_for(
    *,
    applicant: Applicant,
    inside: InProcess,
    pki_folder: Path,
    signer: str,
    subject: str,
    usages: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    path = applicant.object(applicant.request(subject, names), signer, usages)
    inside.done("csr", "approve", "--file", path)
    now = datetime.now(timezone.utc)
    inside.done("csr", "sign", "--file", path)

    made = certificate_in(path)
    parts = sorted(part.rfc4514_string() for part in made.subject.rdns)
    assert parts == sorted(subject.split("/"))
    assert _extended(made) == {one.replace(" ", "") for one in usages if one.endswith("auth")}
    assert _key_usages(made) == {one for one in usages if not one.endswith("auth")}
    assert sorted(_names(made)) == sorted(names)
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)
    assert made.public_key() == applicant.key.public_key()
    begins, ends = made.not_valid_before_utc, made.not_valid_after_utc
    assert abs(begins - (now - timedelta(minutes=5))) < timedelta(seconds=60)
    assert ends - begins == timedelta(days=365)
    assert manifest(path)["metadata"]["labels"] == {"kept": "as it is"}
    # All that Go's x509.CreateCertificate writes for a client, in its order: no identifier for the new key.
    assert [f"{'critical ' * one.critical}{judge._called(one.oid)}" for one in made.extensions] == [
        *(["critical keyUsage"] if _key_usages(made) else []),
        *("extendedKeyUsage", "critical basicConstraints", "authorityKeyIdentifier"),
        *(["subjectAltName"] if names else []),
    ]
    assert made.version is x509.Version.v3
    assert made.serial_number.bit_length() <= 128
    assert made.signature_hash_algorithm is not None
    assert made.signature_hash_algorithm.name == "sha256"
    ca = judge.load(pki_folder / "ca.crt")
    assert judge._authority_key_id(made) == judge.judged(ca).subject_key_id


def _extended(certificate: x509.Certificate) -> set[str]:
    return {one.lower() for one in judge._purposes(certificate)}


def _key_usages(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return set()
    assert found.critical
    words = {"digitalSignature": "digital signature", "keyEncipherment": "key encipherment"}
    return {words[one] for one in judge._usages(certificate)}


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = {"DNSName": "DNS", "IPAddress": "IP", "RFC822Name": "email", "UniformResourceIdentifier": "URI"}
    return [f"{kinds[type(one).__name__]}:{one.value}" for one in found]


@pytest.mark.parametrize(
    ("signer", "subject", "usages", "names", "message"),
    representatives(
        [
            (
                CLIENT,
                "CN=jane",
                ("digital signature",),
                (),
                "missing required usage for client certificate: client auth",
            ),
            (
                CLIENT,
                "CN=jane",
                ("client auth", "server auth"),
                (),
                "invalid usage for client certificate: server auth",
            ),
            (CLIENT, "CN=jane", ("client auth", "cert sign"), (), "invalid usage for client certificate: cert sign"),
            (KUBELET, "CN=system:node:a/O=developers", NODE_CLIENT, (), "subject organization is not system:nodes"),
            (KUBELET, f"{NODE}/O=more", NODE_CLIENT, (), "subject organization is not system:nodes"),
            (
                KUBELET,
                "CN=node01/O=system:nodes",
                NODE_CLIENT,
                (),
                "subject common name does not begin with system:node:",
            ),
            (KUBELET, NODE, NODE_CLIENT, ("DNS:node01",), "DNS subjectAltNames are not allowed"),
            (KUBELET, NODE, NODE_CLIENT, ("IP:10.0.0.2",), "IP subjectAltNames are not allowed"),
            (KUBELET, NODE, NODE_CLIENT, ("email:a@b.c",), "Email subjectAltNames are not allowed"),
            (KUBELET, NODE, NODE_CLIENT, ("URI:https://a",), "URI subjectAltNames are not allowed"),
            (
                KUBELET,
                NODE,
                ("client auth",),
                (),
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (KUBELET, NODE, NODE_SERVER, (), "usages did not match [client auth digital signature key encipherment]"),
            (SERVING, "CN=system:node:a/O=x", NODE_SERVER, ("DNS:a",), "subject organization is not system:nodes"),
            (SERVING, NODE, NODE_SERVER, (), "DNS or IP subjectAltName is required"),
            (SERVING, NODE, NODE_SERVER, ("URI:https://a",), "DNS or IP subjectAltName is required"),
            (SERVING, NODE, NODE_SERVER, ("DNS:a", "email:a@b.c"), "Email subjectAltNames are not allowed"),
            (SERVING, NODE, NODE_SERVER, ("DNS:a", "URI:https://a"), "URI subjectAltNames are not allowed"),
            (
                SERVING,
                NODE,
                (*NODE_SERVER, "client auth"),
                ("DNS:a",),
                "usages did not match [digital signature key encipherment server auth]",
            ),
            (
                SERVING,
                "CN=node01/O=system:nodes",
                NODE_SERVER,
                ("DNS:a",),
                "subject common name does not begin with system:node:",
            ),
        ],
        lambda case: case[0],
        spread=True,
    ),
)
def test_what_a_signer_forbids_becomes_the_condition_failed(
    *,
    applicant: Applicant,
    inside: InProcess,
    signer: str,
    subject: str,
    usages: tuple[str, ...],
    names: tuple[str, ...],
    message: str,
) -> None:
    path = applicant.object(applicant.request(subject, names), signer, usages)
    inside.done("csr", "approve", "--file", path)

    ended = inside("csr", "sign", "--file", path)

    assert ended.status == 1
    assert message in " ".join(ended.stderr.split())
    approved, failed = conditions(path)
    assert approved["type"] == "Approved"
    times = {key: failed.pop(key) for key in ("lastUpdateTime", "lastTransitionTime")}
    assert failed == {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": message}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one) for one in times.values())
    assert "certificate" not in manifest(path)["status"]


@pytest.mark.parametrize(
    ("asked", "allowed", "lifetime"),
    representatives(
        [
            (None, None, timedelta(days=365)),
            (600, None, timedelta(minutes=15)),
            (86400, None, timedelta(days=1)),
            (86400, "2h", timedelta(hours=2, minutes=5)),
            (7 * 3600, None, timedelta(hours=7, minutes=5)),
            (8 * 3600, None, timedelta(hours=8)),
            (40 * 365 * 86400, None, timedelta(days=365)),
            (None, "30d", timedelta(days=30)),
        ],
        lambda case: case[1],
        spread=True,
    ),
)
def test_a_certificate_lives_for_the_shorter_of_both_times(
    applicant: Applicant, inside: InProcess, asked: int | None, allowed: str | None, lifetime: timedelta
) -> None:
    """Five minutes of backdating are taken off at the end only where the lifetime is eight hours or more."""
    spec: dict[str, Any] = {"expirationSeconds": asked} if asked else {}
    path = applicant.object(applicant.request("CN=jane"), **spec)
    inside.done("csr", "approve", "--file", path)

    inside.done("csr", "sign", "--file", path, *(("--cluster-signing-duration", allowed) if allowed else ()))

    made = certificate_in(path)
    assert made.not_valid_after_utc - made.not_valid_before_utc == lifetime


def test_nobody_outlives_the_ca(applicant: Applicant, inside: InProcess, pki_folder: Path) -> None:
    inside.done("renew", "ca", "--days", "100", "--quiet")
    path = applicant.object(applicant.request("CN=jane"))
    inside.done("csr", "approve", "--file", path)

    inside.done("csr", "sign", "--file", path)

    assert certificate_in(path).not_valid_after_utc == judge.load(pki_folder / "ca.crt").not_valid_after_utc


def test_system_masters_is_refused_where_the_api_server_refuses_it(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=jane/O=system:masters"))
    before = path.read_bytes()

    ended = inside("csr", "approve", "--file", path)

    assert ended.status == 1
    said = " ".join(ended.stderr.split())
    assert f"is forbidden: use of {CLIENT} signer with system:masters group is not allowed" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("decision", "kind", "reason"), [("approve", "Approved", "KubectlApprove"), ("deny", "Denied", "KubectlDeny")]
)
def test_a_decision_is_written_as_the_api_server_writes_it(
    applicant: Applicant, inside: InProcess, decision: str, kind: str, reason: str
) -> None:
    path = applicant.object(applicant.request("CN=jane"))

    inside.done("csr", decision, "--file", path)

    (condition,) = conditions(path)
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"]
    verb = {"Approved": "approved", "Denied": "denied"}[kind]
    assert {key: value for key, value in condition.items() if "Time" not in key} == {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": f"This CSR was {verb} by kubectl certificate {decision}.",
    }
    decided = path.read_bytes()
    assert "already" in inside.done("csr", decision, "--file", path).stdout
    other = {"approve": "deny", "deny": "approve"}[decision]
    refused = inside("csr", other, "--file", path)
    assert refused.status == 2
    assert f"is already {kind}" in refused.stderr
    assert path.read_bytes() == decided


@pytest.mark.thorough
def test_fetch_tells_apart_what_there_is_to_wait_for(pki_folder: Path, inside: InProcess) -> None:
    file = "pki/jane-csr.yaml"
    inside.done("csr", "new", "jane", "--quiet")
    inside.done("csr", "manifest", "jane")
    said = []
    for step in ((), ("csr", "approve", "--file", file)):
        if step:
            inside.done(*step)
        ended = inside("csr", "fetch", "jane", "--file", file)
        assert ended.status == 1
        said.append(" ".join(ended.stderr.split()))
    (pki_folder / "jane-csr.yaml").unlink()
    inside.done("csr", "manifest", "jane")
    inside.done("csr", "deny", "--file", file)
    said.append(" ".join(inside("csr", "fetch", "jane", "--file", file).stderr.split()))
    inside.done("csr", "manifest", "jane", "--usage", "server auth")
    inside.done("csr", "approve", "--file", file)
    inside("csr", "sign", "--file", file)
    said.append(" ".join(inside("csr", "fetch", "jane", "--file", file).stderr.split()))

    for words, text in zip(
        ("not approved yet", "not signed yet", "was denied", "its signer rejected"), said, strict=True
    ):
        assert words in text
    assert not (pki_folder / "jane.crt").exists()


def test_a_manifest_or_a_certificate_may_come_through_a_pipe(pki_folder: Path, kcert: Kcert) -> None:
    path = pki_folder / "jane-csr.yaml"
    kcert.done("csr", "new", "jane", "--quiet")
    kcert.done("csr", "manifest", "jane", "--quiet")
    kcert.done("csr", "approve", "--file", path, "--quiet")
    kcert.done("csr", "sign", "--file", path, "--quiet")
    pem = base64.b64decode(manifest(path)["status"]["certificate"])

    for sent in (path.read_bytes(), pem):
        fetched = kcert("csr", "fetch", "jane", "--file", "/dev/stdin", stdin=sent)
        assert fetched.status == 0, fetched.stderr
        assert "/dev/stdin" not in fetched.stdout  # no command reads the same from there again
        assert (pki_folder / "jane.crt").read_bytes() == pem
        (pki_folder / "jane.crt").unlink()


@pytest.mark.parametrize("name", ["ca", "index.txt", "signer"])
def test_an_object_may_have_any_name_and_the_pki_folder_stays_as_it_is(
    applicant: Applicant, inside: InProcess, pki_folder: Path, name: str
) -> None:
    """openssl writes next to the CA's own files, and the sender chooses the name."""
    path = applicant.object(applicant.request("CN=jane"))
    path.write_text(path.read_text().replace("name: asks", f"name: {name}"), encoding="utf-8")
    before = files_of(pki_folder)
    inside.done("csr", "approve", "--file", path)

    inside.done("csr", "sign", "--file", path)

    assert files_of(pki_folder) == before
    assert certificate_in(path).issuer == judge.load(pki_folder / "ca.crt").subject


def test_without_the_key_of_the_ca_a_request_is_signed_elsewhere(
    applicant: Applicant, inside: InProcess, pki_folder: Path
) -> None:
    path = applicant.object(applicant.request("CN=jane"))
    inside.done("csr", "approve", "--file", path)
    (pki_folder / "ca.key").unlink()

    refused = inside("csr", "sign", "--file", path)

    assert refused.status == 2
    assert refused.stderr.endswith("if it is on another machine, run `kcert csr sign --file` there.")


def test_what_sign_shows_can_be_repeated_by_hand(applicant: Applicant, inside: InProcess, pki_folder: Path) -> None:
    path = applicant.object(applicant.request("CN=jane/O=developers"))
    inside.done("csr", "approve", "--file", path)
    said = inside.done("csr", "sign", "--file", path, "--no-explain").stdout
    settings, lines = ([line[4:] for line in one.splitlines()] for one in _INDENTED.findall(said)[:2])

    commands = [line for line in lines if not line.startswith("|")]
    by_hand = [
        "set -e",
        f"cd {pki_folder}",
        "mkdir signer",
        "cat > signer/openssl-asks.cnf <<'EOF'",
        *settings,
        "EOF",
        *commands,
    ]
    ended = output(["bash", "-c", "\n".join(by_hand)])

    assert ended.status == 0, ended.stderr
    made, asked = judge.load(pki_folder / "signer/asks.crt"), certificate_in(path)
    assert (made.subject, made.not_valid_after_utc) == (asked.subject, asked.not_valid_after_utc)
    assert [one.value for one in made.extensions] == [one.value for one in asked.extensions]


_INDENTED = re.compile(r"(?:^    .*\n(?:\n(?=    ))?)+", re.MULTILINE)


def test_a_manifest_that_was_decided_stays_when_it_is_made_again(pki_folder: Path, inside: InProcess) -> None:
    file = pki_folder / "jane-csr.yaml"
    inside.done("csr", "new", "jane", "--quiet")
    inside.done("csr", "manifest", "jane")
    inside.done("csr", "approve", "--file", file)
    approved = file.read_bytes()

    said = " ".join(inside.done("csr", "manifest", "jane").stdout.split())
    assert file.read_bytes() == approved
    assert "already contains this request (Approved) and is not changed" in said

    inside.done("csr", "manifest", "jane", "--expires", "24h")
    assert not conditions(file)
    assert [one.read_bytes() for one in backups(pki_folder, file.name)] == [approved]


def test_a_condition_without_times_gets_no_empty_ones(applicant: Applicant, inside: InProcess) -> None:
    """The API server takes a condition without a time, and rejects one with a time that is empty."""
    path = applicant.object(applicant.request("CN=jane"))
    given = {"type": "Approved", "status": "True", "reason": "ByHand", "message": "I know her."}
    path.write_text(yaml.safe_dump(manifest(path) | {"status": {"conditions": [given]}}), "utf-8")

    inside.done("csr", "sign", "--file", path)

    assert conditions(path) == [given]
    assert manifest(path)["status"]["certificate"]


def test_approved_and_failed_is_approved_already(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=jane"), usages=("server auth",))
    inside.done("csr", "approve", "--file", path)
    inside("csr", "sign", "--file", path)

    assert "asks is already Approved" in inside.done("csr", "approve", "--file", path).stdout


def test_no_servers_certificate_becomes_a_clients(pki_folder: Path, inside: InProcess, applicant: Applicant) -> None:
    before = files_of(pki_folder)
    for command in ("new", "manifest"):
        ended = inside("csr", command, "kube-apiserver")

        assert ended.status == 2
        assert "kube-apiserver is a server, and" in " ".join(ended.stderr.split())
        assert "`kcert apiserver` creates it where the CA's key is" in " ".join(ended.stderr.split())
    path = applicant.object((pki_folder / "kube-apiserver.csr").read_bytes())
    inside.done("csr", "approve", "--file", path)
    inside.done("csr", "sign", "--file", path)

    refused = inside("csr", "fetch", "kube-apiserver", "--file", path)

    assert refused.status == 2
    assert "it is for clients, but kube-apiserver is a server certificate" in " ".join(refused.stderr.split())
    assert files_of(pki_folder) == before
    inside.done("csr", "manifest", "kube-apiserver", "--signer", "example.com/serving", "--usage", "server auth")


@pytest.mark.thorough
def test_a_kubelets_request_is_found_by_the_name_of_its_node(pki_folder: Path, inside: InProcess) -> None:
    serving = ("--signer", "kubelet-serving")
    inside.done("csr", "new", "node01", *serving, "--quiet")
    inside.done("csr", "new", "node09", *serving, "--san", "node09", "--quiet")

    refused = inside("csr", "manifest", "node09")
    assert refused.status == 2
    (command,) = re.findall(r"`kcert (csr manifest [^`]*)`", " ".join(refused.stderr.split()))
    assert command == "csr manifest node09 --signer kubelet-serving"
    inside.done(*command.split())
    inside.done("csr", "manifest", "node01", *serving)

    file = pki_folder / "kubelet-serving-node01-csr.yaml"
    assert manifest(file)["spec"]["signerName"] == SERVING
    inside.done("csr", "manifest", "node01", "--signer", SERVING)
    inside.done("csr", "approve", "--file", file)
    inside.done("csr", "sign", "--file", file)
    inside.done("csr", "fetch", "node01", *serving, "--file", file)
    assert "DNS:node01" in _names(judge.load(pki_folder / "kubelet-serving-node01.crt"))


@pytest.mark.parametrize(("profile", "names"), [("course", ("ca",)), ("kubeadm", ("ca", "etcd-ca", "sa"))])
def test_a_ca_or_a_bare_key_pair_asks_nobody(
    own_pki: Callable[..., Pki], inside: InProcess, profile: str, names: tuple[str, ...]
) -> None:
    own_pki(profile)
    for name in names:
        for command in ("new", "manifest"):
            ended = inside("csr", command, name)

            assert ended.status == 2
            assert "which the Certificates API does not sign" in ended.stderr


@pytest.mark.parametrize("command", ["new", "manifest", "fetch"])
def test_a_role_of_several_certificates_names_none_of_them(
    own_pki: Callable[..., Pki], inside: InProcess, command: str
) -> None:
    own_pki("hardway", "large")

    ended = inside("csr", command, "kubelet")

    assert ended.status == 2
    assert "kubelet is the role of several certificates: " in " ".join(ended.stderr.split())


@pytest.mark.thorough
def test_what_comes_next_names_the_folder(pki_folder: Path, inside: InProcess) -> None:
    other = ("--dir", "lab")
    pki_folder.rename(pki_folder.with_name("lab"))
    for arguments, comes_next in (
        (("manifest", "jane", *other), "csr new jane --dir lab"),
        (("submit", "jane", *other), "csr manifest jane --dir lab"),
        (("new", "jane", *other), "csr manifest jane --dir lab"),
        (("manifest", "jane", *other), "csr approve --file lab/jane-csr.yaml"),
        (("fetch", "jane", "--file", "lab/jane-csr.yaml", *other), "csr approve --file lab/jane-csr.yaml"),
        (("approve", "--file", "lab/jane-csr.yaml"), "csr sign --file lab/jane-csr.yaml"),
        (("fetch", "jane", "--file", "lab/jane-csr.yaml", *other), "csr sign --file lab/jane-csr.yaml"),
        (("sign", "--file", "lab/jane-csr.yaml", *other), "csr fetch jane --file lab/jane-csr.yaml --dir lab"),
        (("fetch", "jane", "--file", "lab/jane-csr.yaml", *other), "kubeconfig jane --dir lab"),
    ):
        ended = inside("csr", *arguments)

        assert f"kcert {comes_next}" in " ".join((ended.stdout + ended.stderr).split()), arguments


def test_somebody_elses_certificate_is_not_kept(pki_folder: Path, inside: InProcess, applicant: Applicant) -> None:
    inside.done("csr", "new", "asks", "--quiet")
    path = applicant.object(applicant.request("CN=asks"))
    inside.done("csr", "approve", "--file", path)
    inside.done("csr", "sign", "--file", path)

    ended = inside("csr", "fetch", "asks", "--file", path)

    assert ended.status == 2
    assert "it is not for the key of the request" in " ".join(ended.stderr.split())
    assert not (pki_folder / "asks.crt").exists()


def test_show_says_who_it_would_be_and_warns(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=jane/O=developers/O=system:masters"), usages=("client auth", "any"))

    said = " ".join(inside.done("csr", "show", "--file", path).stdout.split())

    assert "Anyone with the key is the user jane, in the groups developers, system:masters" in said
    assert "Attention: system:masters has all permissions" in said
    assert "Attention: the signer rejects this request: invalid usage for client certificate: any" in said
    assert "Subject: CN = jane" in said or "Subject: CN=jane" in said


def test_a_request_is_shown_as_json(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=eve/O=a/O=b", ("DNS:eve.example.com",)), usages=("server auth",))

    found = json.loads(inside.done("csr", "show", "--file", path, "--format", "json").stdout)

    assert (found["kind"], found["name"], found["common_name"]) == ("CertificateSigningRequest", "asks", "eve")
    assert (found["organizations"], found["sans"]) == (["a", "b"], ["DNS:eve.example.com"])
    assert (found["signer"], found["usages"], found["issued"]) == (CLIENT, ["server auth"], False)
    assert found["violation"] == "invalid usage for client certificate: server auth"


def test_quietly_the_paths_of_the_files_are_printed(pki_folder: Path, inside: InProcess) -> None:
    assert pki_folder
    file = "pki/jane-csr.yaml"
    inside.done("csr", "new", "jane", "--quiet")
    assert inside.done("csr", "manifest", "jane", "-q").stdout == f"{file}\n"
    inside.done("csr", "approve", "--file", file)
    assert inside.done("csr", "sign", "--file", file, "-q").stdout == f"{file}\n"
    assert inside.done("csr", "fetch", "jane", "--file", file, "-q").stdout == "pki/jane.crt\n"


def test_the_command_of_show_prints_what_is_shown(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=jane"))
    (command,) = re.findall(r"^    (grep .*)$", inside.done("csr", "show", "--file", path).stdout, re.MULTILINE)
    ended = output(["bash", "-c", command])
    assert re.search(r"Subject: CN ?= ?jane", ended.stdout)

    other = base64.b64encode(applicant.request("CN=eve")).decode()
    document = manifest(path)
    document["metadata"]["annotations"] = {"note": f"\nrequest: {other}\n"}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert "grep" not in inside.done("csr", "show", "--file", path).stdout


@pytest.mark.thorough
def test_a_uid_in_the_subject_is_told_wherever_it_says_who_this_becomes(
    applicant: Applicant, inside: InProcess
) -> None:
    told = "The subject also contains a UID: root-uid. Kubernetes 1.33 and later use it as the UID of the user."
    path = applicant.object(applicant.request("CN=eve/O=developers/UID=root-uid"))

    for command in ("show", "approve", "sign"):
        assert told in " ".join(inside.done("csr", command, "--file", path).stdout.split()), command
    assert ("1.3.6.1.4.1.57683.2", "root-uid") in [
        (one.oid.dotted_string, one.value) for one in certificate_in(path).subject
    ]
    plain = applicant.object(applicant.request("CN=eve/O=developers"))
    for command in ("show", "approve", "sign"):
        assert "UID:" not in inside.done("csr", command, "--file", plain).stdout


def test_nothing_of_a_foreign_request_reaches_the_terminal_raw(applicant: Applicant, kcert: Kcert) -> None:
    path = applicant.object(applicant.request("CN=\x1b[2Jjane/O=a\u202eb"))

    for command in (("show",), ("approve",), ("sign",)):
        ended = kcert("csr", *command, "--file", path)
        assert "\x1b" not in ended.stdout + ended.stderr
        assert "\u202e" not in ended.stdout + ended.stderr


def test_names_that_mean_something_to_openssl_are_not_signed(applicant: Applicant, inside: InProcess) -> None:
    path = applicant.object(applicant.request("CN=jane", ("URI:https://a/${ENV::HOME}",)))
    inside.done("csr", "approve", "--file", path)

    ended = inside("csr", "sign", "--file", path)

    assert ended.status == 2
    assert "cannot be written into an openssl.cnf" in " ".join(ended.stderr.split())


# --- Bad input


def _hidden_names(applicant: Applicant) -> bytes:
    """A request of a kubelet whose SANs are in a second list of extensions: Go finds them, openssl does not."""

    def requested(identifier: str, value: bytes) -> bytes:
        extension = tlv(0x30, tlv(6, bytes.fromhex(identifier)), tlv(4, value))
        asks = tlv(6, bytes.fromhex("2a864886f70d01090e"))
        return tlv(0x30, asks, tlv(0x31, tlv(0x30, extension)))

    attributes = (
        requested("551d0f", tlv(3, b"\x07\x80")),
        requested("551d11", tlv(0x30, tlv(0x82, b"kubernetes.default.svc"))),
    )
    plain = x509.load_pem_x509_csr(applicant.request(NODE))
    key = applicant.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    asked = tlv(0x30, b"\2\1\0", plain.subject.public_bytes(), key, tlv(0xA0, *attributes))
    signature = applicant.key.sign(asked, ec.ECDSA(hashes.SHA256()))
    algorithm = tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d040302")))
    from kcert.openssl.pem import armoured

    return armoured(tlv(0x30, asked, algorithm, tlv(3, b"\0", signature)), "CERTIFICATE REQUEST").encode()


@pytest.mark.thorough
def test_what_go_refuses_in_a_request_is_refused(applicant: Applicant, inside: InProcess, tmp_path: Path) -> None:
    def made(*options: str) -> bytes:
        ended = output(["openssl", "req", "-new", "-nodes", "-subj", "/CN=jane", "-keyout", tmp_path / "k", *options])
        assert ended.status == 0, ended.stderr
        return ended.stdout.encode()

    curve = ("-newkey", "ec", "-pkeyopt")
    for request, signer, said in (
        (made("-newkey", "rsa:512"), CLIENT, "its RSA key has 512 bits"),
        (made("-newkey", "rsa:1024", "-md5"), CLIENT, "signed with md5WithRSAEncryption, which is insecure"),
        (made(*curve, "ec_paramgen_curve:secp112r1"), CLIENT, "on the curve secp112r1"),
        (made("-newkey", "ed448"), CLIENT, "its key is Ed448"),
        (_hidden_names(applicant), KUBELET, "several lists of requested extensions"),
    ):
        path = applicant.object(request, signer, NODE_CLIENT if signer == KUBELET else ())
        before = path.read_bytes()
        for command in ("show", "approve"):
            assert_said(inside("csr", command, "--file", path), said)
        assert path.read_bytes() == before
        path.write_text(path.read_text("utf-8") + "status: {conditions: [{type: Approved}]}\n", encoding="utf-8")
        assert_said(inside("csr", "sign", "--file", path), said)
        assert "certificate" not in manifest(path)["status"]
    for options in (("-newkey", "rsa:1024"), ("-newkey", "ed25519"), (*curve, "ec_paramgen_curve:secp521r1")):
        path = applicant.object(made(*options))
        inside.done("csr", "approve", "--file", path)
        inside.done("csr", "sign", "--file", path)


def assert_said(ended: Ended, said: str) -> None:
    """It was refused as bad input, and *said* is why."""
    assert (ended.status, said in " ".join(ended.stderr.split())) == (2, True), ended.stderr


@pytest.mark.parametrize("word", ["copy", "move"])
def test_an_email_that_openssl_would_replace_with_the_subjects_is_not_signed(
    applicant: Applicant, inside: InProcess, word: str
) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane"), x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b.c")])
    )
    email = x509.RFC822Name(word)
    builder = builder.add_extension(x509.SubjectAlternativeName([email]), critical=False)
    path = applicant.object(builder.sign(applicant.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    inside.done("csr", "approve", "--file", path)

    assert_said(inside("csr", "sign", "--file", path), f"asks for the name 'email:{word}'")
    assert "certificate" not in manifest(path)["status"]


def _unsigned(applicant: Applicant) -> bytes:
    """A request whose signature is another key's."""
    mine = applicant.request("CN=jane")
    other = Applicant(applicant.folder).request("CN=jane")
    from kcert.openssl.pem import armoured, pem_blocks

    one, two = pem_blocks(mine)[0].der, pem_blocks(other)[0].der
    forged = one[: len(one) - 64] + two[len(two) - 64 :] if len(one) == len(two) else one[:-1] + bytes((one[-1] ^ 1,))
    return armoured(forged, "CERTIFICATE REQUEST").encode()


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        (lambda _one: b"rubbish", "there is no PEM block"),
        (
            lambda one: one.request("CN=jane").replace(b"CERTIFICATE REQ", b"NEW CERTIFICATE REQ"),
            "there is a block of type NEW CERTIFICATE REQUEST",
        ),
        (lambda one: one.request("O=developers"), "has no CN"),
        (lambda one: one.request("CN= /O=developers"), "has no CN"),
        (_unsigned, "is not signed with its own private key"),
    ],
)
def test_a_request_that_is_none_is_not_approved(
    applicant: Applicant, inside: InProcess, request_of: Callable[[Applicant], bytes], words: str
) -> None:
    path = applicant.object(request_of(applicant))

    ended = inside("csr", "approve", "--file", path)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())


@pytest.mark.thorough
def test_a_request_is_exactly_one_block_in_the_form_that_every_reader_agrees_on(
    applicant: Applicant, inside: InProcess, pki_folder: Path
) -> None:
    mine, other = applicant.request("CN=jane/O=developers"), applicant.request("CN=eve/O=kubeadm:cluster-admins")
    begin, *lines, end = mine.decode().splitlines()
    # One block of each is not a block, or a different one, for Go or for openssl: they read the second request.
    disguised = {
        "blank before BEGIN": [f" {begin}", *lines, end],
        "tab before BEGIN": [f"\t{begin}", *lines, end],
        "dot behind END": [begin, *lines, f"{end}."],
        "vertical tab behind END": [begin, *lines, f"{end}\x0b"],
        "no-break space behind END": [begin, *lines, f"{end}\u00a0"],
        "blank before END": [begin, *lines, f" {end}"],
        "form feed in the base64": [begin, f"{lines[0]}\x0c", *lines[1:], end],
        "late header": [begin, *lines[:2], "X: y", *lines[2:], end],
        "header": [begin, "X: y", "", *lines, end],
        "padding": [begin, *lines[:-1], f"{lines[-1]}=", end],
        "byte order mark": [f"\ufeff{begin}", *lines, end],
        "text": ["Certificate Request:", begin, *lines, end],
        "one line": [begin, "".join(lines), end],
        "nothing": [begin, *lines, end],
    }
    for name, written in disguised.items():
        content = "\n".join([*written, ""]).encode() + other
        path = applicant.object(content)
        before = path.read_bytes()
        for command in ("show", "approve", "sign"):
            ended = inside("csr", command, "--file", path)
            if command == "sign":  # what is not approved is not looked at
                assert ended.status == 1, name
                continue
            assert ended.status == 2, (name, command)
            assert "expected exactly one PEM block of type CERTIFICATE REQUEST" in ended.stderr
        assert path.read_bytes() == before
        bare = path.with_name("jane.csr")
        bare.write_bytes(content)
        for command in ("show", "sign"):
            assert inside("csr", command, "--file", bare).status == 2, (name, command)
        if name != "nothing":
            alone = applicant.object("\n".join([*written, ""]).encode())
            assert inside("csr", "approve", "--file", alone).status == 2, name
    for content in (mine.replace(b"\n", b"\r\n"), mine.rstrip(b"\n")):
        assert (
            "is the user jane, in the group developers"
            in inside.done("csr", "show", "--file", applicant.object(content)).stdout
        )
    # A manifest that was approved elsewhere.
    path = applicant.object(b" " + mine + other)
    path.write_text(path.read_text("utf-8") + "status: {conditions: [{type: Approved}]}\n", encoding="utf-8")
    assert inside("csr", "sign", "--file", path).status == 2
    assert "certificate" not in manifest(path)["status"]
    assert not list(pki_folder.glob("jane.crt"))


def test_the_base64_of_a_request_is_read_as_the_api_server_reads_it(applicant: Applicant, inside: InProcess) -> None:
    pem = applicant.request("CN=jane")
    packed = base64.b64encode(pem).decode()
    wrapped = [packed[at : at + 64] for at in range(0, len(packed), 64)]
    path = applicant.object(pem)
    document = path.read_text("utf-8").replace(packed, "REQUEST")
    indented = "\n".join(f"    {line}" for line in wrapped)

    for value, said in (
        (f"|\n{indented}", ""),
        (f">-\n{indented}", "has blanks inside its base64"),
        (f"'{packed}='", "is not base64"),
        ("|\n" + "\n".join(f"    {line}" for line in pem.decode().splitlines()), "is PEM, and the API server expects"),
    ):
        path.write_text(document.replace("REQUEST", value), encoding="utf-8")
        for command in ("show", "approve"):
            ended = inside("csr", command, "--file", path)
            assert (ended.status, said in " ".join(ended.stderr.split())) == (2 if said else 0, True), value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "Pod"}, "kind 'Pod' is not CertificateSigningRequest"),
        ({"apiVersion": "certificates.k8s.io/v1beta1"}, "signerName is required"),
        ({"apiVersion": "v1"}, "apiVersion 'v1' is not certificates.k8s.io/v1"),
        ({"metadata": {"name": "Jane"}}, "metadata.name 'Jane' is not a valid object name"),
        ({"metadata": {}}, "it is missing"),
        ({"spec": {"request": "%%%"}}, "spec.request is not base64"),
        ({"spec": {"signerName": "kubernetes.io/nobody"}}, "Kubernetes has no such signer"),
        ({"spec": {"signerName": "kubernetes.io/legacy-unknown"}}, "not allowed via this API version"),
        ({"spec": {"signerName": "mine"}}, "a signer's name is a domain"),
        ({"spec": {"usages": []}}, "spec.usages is missing"),
        ({"spec": {"usages": ["client auth", "client auth"]}}, "is a duplicate"),
        ({"spec": {"usages": ["everything"]}}, "'everything' is not a usage"),
        ({"spec": {"expirationSeconds": 599}}, "may not specify a duration less than 600 seconds"),
        ({"spec": {"expirationSeconds": "1h"}}, "not a whole number"),
    ],
)
def test_a_manifest_that_the_api_server_would_not_take_is_refused_with_its_reason(
    applicant: Applicant, inside: InProcess, change: dict[str, Any], words: str
) -> None:
    path = applicant.object(applicant.request("CN=jane"))
    document = manifest(path)
    for key, value in change.items():
        document[key] = {**document[key], **value} if key == "spec" else value
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    before = path.read_bytes()

    ended = inside("csr", "approve", "--file", path)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())
    assert path.read_bytes() == before


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a manifest with one object"),
        (b"- a\n- b\n", "not a manifest with one object"),
        (b"kind: a\n---\nkind: b\n", "not a manifest with one object"),
        (BOMB.encode(), "uses YAML aliases"),
        (b"kind: a\nkind: b\n", "the key 'kind' twice (line 2)"),
        (b"\x00\x01", "is not valid YAML"),
        (b"a: [" * 5000, "not a manifest"),
        (b"#" * (1024 * 1024 + 1), "more than 1024 KiB"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(inside: InProcess, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)

    ended = inside("csr", "deny", "--file", "bad.yaml")

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new", "../jane"), "is not a valid user name"),
        (("new", "jane", "--group", "a/b"), "--group 'a/b' is invalid"),
        (("new", "jane", "--san", "under_score!"), "neither a DNS name nor an address"),
        (("new", "jane", "--signer", "kubernetes.io/nobody"), "Kubernetes has no such signer"),
        (("new", "ca"), "which the Certificates API does not sign"),
        (("new", "elsewhere", "--signer", "kubelet-serving"), "specify its SANs"),
        (("manifest", "nobody"), "`kcert csr new nobody` creates key and request"),
        (("approve",), "specify the object"),
        (("approve", "jane", "--file", "x.yaml"), "cannot be combined with --file"),
        (("approve", "Jane"), "cannot be the name of an object"),
        (("sign", "--file", "nothing.yaml"), "cannot be read"),
        (("fetch", "jane", "--file", "x.yaml", "--wait", "5s"), "--wait cannot be combined with --file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    pki_folder: Path, inside: InProcess, arguments: tuple[str, ...], words: str
) -> None:
    assert pki_folder
    ended = inside("csr", *arguments)

    assert ended.status == 2
    assert words in " ".join(ended.stderr.split())


@pytest.mark.parametrize("command", ["show", "approve", "deny"])
@pytest.mark.parametrize("name", ["pki/jane-csr.yaml", "asks.yaml"])
def test_a_file_where_a_name_belongs_is_sent_to_its_option(
    applicant: Applicant, inside: InProcess, command: str, name: str
) -> None:
    applicant.object(applicant.request("CN=jane"))

    ended = inside("csr", command, name)

    assert ended.status == 2
    assert f"`kcert csr {command} --file {name}`" in ended.stderr


@pytest.mark.parametrize("command", ["show", "approve", "deny"])
def test_where_no_cluster_answers_the_manifest_is_named(
    applicant: Applicant, inside: InProcess, pki_folder: Path, tmp_path: Path, command: str
) -> None:
    program("kubectl")
    applicant.object(applicant.request("CN=jane")).rename(pki_folder / "jane-csr.yaml")
    nowhere = tmp_path / "nowhere.conf"
    nowhere.write_text(NOWHERE, encoding="ascii")

    known = inside("csr", command, "jane", "--kubeconfig", nowhere)
    unknown = inside("csr", command, "bob", "--kubeconfig", nowhere)

    assert (known.status, unknown.status) == (3, 3)
    assert "refused" in known.stderr
    assert f"Without a cluster: `kcert csr {command} --file pki/jane-csr.yaml`." in known.stderr
    assert "Without a cluster" not in unknown.stderr


NOWHERE = """\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: a, user: {}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""
"""A kubeconfig for a port without a listener."""


def test_a_name_that_no_object_can_have_needs_another_one(pki_folder: Path, inside: InProcess) -> None:
    inside.done("csr", "new", "Jane_Doe", "--quiet")

    refused = inside("csr", "manifest", "Jane_Doe")
    inside.done("csr", "manifest", "Jane_Doe", "--name", "jane-doe")

    assert refused.status == 2
    assert "Give it another with --name" in " ".join(refused.stderr.split())
    assert manifest(pki_folder / "jane-doe-csr.yaml")["metadata"]["name"] == "jane-doe"


def test_a_leaf_is_renewed_where_the_cas_key_is_not(
    own_pki: Callable[..., Pki], inside: InProcess, tmp_path: Path
) -> None:
    """What `kcert renew` says to do where the CA's key is missing."""
    here = own_pki("course").folder
    there = tmp_path / "there"
    there.mkdir()
    for name in ("ca.crt", "ca.key"):
        (here / name).rename(there / name) if name == "ca.key" else (there / name).write_bytes(
            (here / name).read_bytes()
        )
    key, old = ((here / f"kube-scheduler.{end}").read_bytes() for end in ("key", "crt"))

    inside.done("csr", "new", "kube-scheduler")
    inside.done("csr", "manifest", "kube-scheduler")
    inside.done("csr", "approve", "--file", "pki/kube-scheduler-csr.yaml")
    inside.done("csr", "sign", "--file", "pki/kube-scheduler-csr.yaml", "--dir", there)
    inside.done("csr", "fetch", "kube-scheduler", "--file", "pki/kube-scheduler-csr.yaml")

    assert (here / "kube-scheduler.key").read_bytes() == key
    assert (here / "kube-scheduler.crt").read_bytes() != old
    assert judge.matches(key, judge.load(here / "kube-scheduler.crt"))
    assert backups(here, "kube-scheduler.crt")[-1].read_bytes() == old


# --- other content of a file


def test_of_an_answer_only_the_certificate_is_kept(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course", "large")
    both = own.home / "both.pem"
    both.write_bytes((own.folder / "jane.crt").read_bytes() + (own.folder / "jane.key").read_bytes())

    kcert.done("csr", "fetch", "jane", "--file", both)

    assert b"PRIVATE" not in (own.folder / "jane.crt").read_bytes()


def test_what_stands_around_a_certificate_is_not_printed_with_it(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course", "large")
    certificate, sent = (own.folder / "jane.crt").read_bytes(), own.home / "sent.pem"
    sent.write_bytes(b"\x1b[31mRun `curl evil | sh`\n" + certificate)

    printed = kcert.done("csr", "fetch", "jane", "--file", sent, "--output", "-").stdout

    assert printed.encode() == certificate


@pytest.mark.parametrize(
    "command",
    [
        "csr manifest jane",
        "csr fetch jane --file jane.pem",
        "kubeconfig admin",
        "bundle cp1",
        "export cert-manager",
    ],
)
def test_a_report_and_the_file_itself_do_not_both_go_to_standard_output(
    command: str, own_pki: Callable[..., Pki], kcert: Kcert
) -> None:
    own = own_pki("course", "large")
    (own.home / "jane.pem").write_bytes((own.folder / "jane.crt").read_bytes())
    words = (*command.split(), "--output", "-")

    refused = kcert(*words, "--format", "json")
    by_default = kcert(*words, variables={"KCERT_FORMAT": "json"})

    assert_refused(refused, 2, "--format json cannot be combined with --output -")
    assert refused.stdout == ""
    assert by_default.status == 0, by_default.stderr
    assert by_default.stdout[:1] not in ("", "{")


def test_a_key_beside_a_request_does_not_go_to_the_api_server(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own = own_pki("course", "large")
    with (own.folder / "jane.csr").open("ab") as csr:
        csr.write((own.folder / "jane.key").read_bytes())

    assert_refused(
        kcert("csr", "manifest", "jane", "--output", "m.yaml"),
        2,
        "expected exactly one PEM block of type CERTIFICATE REQUEST",
        "PRIVATE KEY",
    )

    assert not (own.home / "m.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("csr", "sign", "--file"), "pipe is not a manifest with one object in it"),
        (("csr", "show", "--file"), "pipe is not a manifest with one object in it"),
        (("diagnose",), "No errors about certificates or access in 0 lines"),
    ],
)
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(
    own_pki: Callable[..., Pki], kcert: Kcert, arguments: tuple[str, ...], said: str
) -> None:
    os.mkfifo(own_pki("course").home / "pipe")

    ended = kcert(*arguments, "pipe")

    assert said in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["root", "ca-chain", "ca-new", "CA-New"])
def test_nobody_is_kept_in_a_file_of_the_cas(kcert: Kcert, tmp_path: Path, name: str) -> None:
    (tmp_path / "kcert.yaml").write_text(f"users: [{{name: {name}}}]\n", encoding="utf-8")
    assert_refused(kcert("plan"), 2, "and the certificate ca would both be kept in", name)
    (tmp_path / "kcert.yaml").unlink()
    assert_refused(kcert("csr", "new", name), 2, "and the certificate ca would both be kept in")
    assert_refused(kcert("client", name), 2, "and the certificate ca would both be kept in")

    assert list(tmp_path.iterdir()) == []


def commands_in(text: str) -> list[str]:
    """Every command that an output offers: in backticks, and on lines of its own."""
    indented = [line[4:] for line in text.splitlines() if re.match(r"    [^ |-]", line)]
    return [*indented, *re.findall(r"`([^`]+)`", " ".join(text.split()))]


@pytest.mark.thorough
def test_every_command_that_is_printed_is_quoted(applicant: Applicant, inside: InProcess, tmp_path: Path) -> None:
    name = "jane;touch CANARY;$(touch CANARY).yaml"
    path = applicant.object(applicant.request("CN=jane/O=developers")).rename(tmp_path / name)
    folder = "pki;touch CANARY;"
    (tmp_path / "pki").rename(tmp_path / folder)
    (tmp_path / folder / "jane.csr").write_bytes(applicant.request("CN=jane/O=developers"))
    (tmp_path / "a;touch CANARY;.log").write_bytes(b"\x1f\x8b")
    at = ("--dir", folder)
    said = [
        inside("csr", *arguments)
        for arguments in (
            ("manifest", "jane", *at),
            ("manifest", "jane", *at, "--output", "x;touch CANARY;.yml"),
            ("show", "--file", path),
            ("show", name),
            ("submit", "bob", *at),
            ("fetch", "jane", "--file", path, *at),
            ("approve", "--file", path),
            ("fetch", "jane", "--file", path, *at),
            ("sign", "--file", path, *at),
            ("fetch", "jane", "--file", path, *at),
        )
    ]
    said.append(inside("diagnose", "a;touch CANARY;.log"))

    offered = [command for ended in said for command in commands_in(ended.stdout + ended.stderr)]
    hostile = [command for command in offered if "CANARY" in command]
    assert len(hostile) >= 10, offered
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    nothing = "".join(f"{program}() {{ :; }}; " for program in ("kcert", "openssl", "cat", "sed", "kubectl", "zcat"))
    for command in hostile:
        output(["bash", "-c", nothing + command], sandbox)
        assert not list(sandbox.glob("*CANARY*")), command
