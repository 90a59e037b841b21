"""Each cause with a PKI behind it, in a folder of each kind: the fault, its verification, and the fix that ends it.

The folders are kubeadm's, one of the hard way, where the printed commands of openssl are run, and kcert's own.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kcert.diagnose import causes, diagnose
from tests.clusters import PROFILES
from tests.diagnose.repairing import Files, bash, files, filled_in
from tests.diagnose.test_messages import MESSAGES
from tests.diagnose.test_posted import EACH_ANSWER, findings
from tests.recorded.pki import CLIENT, ELSEWHERE, HERE, NOW, SERVER, YEAR, Authority, authority, leaf, sign_with_sha1
from tests.recorded.programs import api_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key

    from kcert.diagnose import Finding
    from tests.clusters import Pki
    from tests.running import Kcert

AFTER = "current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z"
SAME_NAME = '(possibly because of "x" while trying to verify candidate authority certificate "x")'
CLIENT_LOG = '"Unable to authenticate the request" err="[{}]"'
SERVER_LOG = 'Get "https://{{address}}/api/v1/nodes": {}'


@contextlib.contextmanager
def address_of(server: Files, *, needed: bool) -> Iterator[str]:
    """Yield the address of a server with this certificate, where the log names one."""
    if not needed:
        yield ""
        return
    with api_server(server.crt.parent, server.crt.stem) as address:
        yield address


class Ground(NamedTuple):
    """What a fault is built from: the files of the certificate, its CA, its key, and an empty folder."""

    files: Files
    ca: Authority
    key: Key
    elsewhere: Path

    def sign(self, *, issuer: Authority | None = None, key: Key | None = None, **fields: object) -> None:
        """Put another certificate into the place of the right one, with its key unless *key* is given."""
        fields = {"sans": HERE, "usages": (SERVER, CLIENT), **fields}
        leaf(self.files.crt.parent, self.files.crt.stem, issuer or self.ca, key=key or self.key, **fields)  # type: ignore[arg-type]

    def other_ca(self, name: str = "Another-CA") -> Authority:
        """Make a CA that is not the cluster's."""
        return authority(self.elsewhere, "other-ca", name)

    def openssl(self, *options: str) -> None:
        """Sign the request of the certificate with openssl and these options."""
        extensions = self.elsewhere / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid,issuer\n")
        if "-set_serial" in options:
            options += ("-extfile", str(extensions))
        crt, key, ca = map(str, self.files)
        request = ["openssl", "req", "-new", "-key", key, "-subj", "/CN=x"]
        sign = ["openssl", "x509", "-req", "-CA", ca, "-CAkey", ca.replace(".crt", ".key"), "-out", crt, *options]
        made = subprocess.run(request, capture_output=True, check=True).stdout
        subprocess.run(sign, input=made, capture_output=True, check=True)


class Fault(NamedTuple):
    """A fault: how it is built, what the log says of it, and what the verification has to show."""

    build: Callable[[Ground], object]
    log: str
    shown: str
    name: str = "kube-apiserver"
    only: tuple[str, ...] = PROFILES


def _same_name(ground: Ground) -> None:
    subject = ground.ca.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    ground.sign(issuer=ground.other_ca(str(subject[0].value)))


def _weak_key(ground: Ground) -> None:
    ground.sign(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - the fault itself


def _key_of_another(ground: Ground) -> None:
    leaf(ground.elsewhere, "other", ground.ca, usages=(CLIENT,))
    ground.files.key.write_bytes((ground.elsewhere / "other.key").read_bytes())


def _encrypted(ground: Ground) -> None:
    key, passphrase = ground.files.key, serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    key.write_bytes(ground.key.private_bytes(*form, passphrase))


def _damaged(ground: Ground) -> None:
    der = ground.files.crt.read_text().splitlines()
    ground.files.crt.write_text("\n".join((*der[:3], *der[4:])) + "\n")


def _chain(ground: Ground) -> None:
    other = ground.other_ca()
    ground.sign(issuer=other)
    with ground.files.crt.open("ab") as file:
        file.write((ground.elsewhere / "other-ca.crt").read_bytes())


def _server(reason: str) -> str:
    return SERVER_LOG.format(reason)


KUBELET = "apiserver-kubelet-client"
TABLE = {
    "expired": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        _server(f"x509: certificate has expired or is not yet valid: {AFTER}"),
        "notAfter=",
    ),
    "expired-or-early": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        _server("x509: certificate has expired or is not yet valid"),
        "notAfter=",
    ),
    "not-yet-valid": Fault(
        lambda on: on.sign(start=NOW + YEAR),
        "error 9 at 0 depth lookup: certificate is not yet valid\nerror {crt}: verification failed",
        "notBefore=",
    ),
    "name-not-in-certificate": Fault(
        lambda on: on.sign(sans=ELSEWHERE),
        _server("x509: certificate is valid for 192.168.56.11, not 127.0.0.1"),
        "IP address mismatch",
    ),
    "common-name-only": Fault(
        lambda on: on.sign(sans=()),
        _server("x509: certificate is not valid for any names, but wanted to match localhost"),
        "subject=",
    ),
    "no-address-in-certificate": Fault(
        lambda on: on.sign(sans=("localhost",)),
        _server("x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"),
        "IP address mismatch",
    ),
    "no-server-auth": Fault(
        lambda on: on.sign(usages=(CLIENT,)),
        _server("x509: certificate specifies an incompatible key usage"),
        "TLS Web Client Authentication",
    ),
    "unknown-authority": Fault(
        lambda on: on.sign(issuer=on.other_ca()),
        _server("x509: certificate signed by unknown authority"),
        "Another-CA",
    ),
    "ca-of-the-same-name": Fault(
        _same_name, _server(f"x509: certificate signed by unknown authority {SAME_NAME}"), "verify error"
    ),
    "signature-of-another-ca": Fault(
        _same_name,
        "error 7 at 0 depth lookup: certificate signature failure\nerror {crt}: verification failed",
        "verification failed",
    ),
    "self-signed": Fault(
        lambda on: on.sign(issuer=leaf(on.elsewhere, on.files.crt.stem, None, usages=(), key=on.key)),
        "error 18 at 0 depth lookup: self-signed certificate\nerror {crt}: verification failed",
        "verification failed",
    ),
    "unknown-root": Fault(
        _chain,
        "Get https://{address}/: SSL certificate problem: self-signed certificate in certificate chain",
        "self-signed certificate in certificate chain",
    ),
    "weak-signature": Fault(
        lambda on: sign_with_sha1(on.files.crt, on.files.ca.with_suffix(".key")),
        _server("x509: cannot verify signature: insecure algorithm ECDSA-SHA1"),
        "ecdsa-with-SHA1",
    ),
    "unsupported-key": Fault(
        lambda on: on.sign(key=ec.generate_private_key(ec.SECP256K1())), "x509: unsupported elliptic curve", "secp256k1"
    ),
    "weak-key": Fault(_weak_key, "error 66 at 0 depth lookup: EE certificate key too weak", "1024 bit"),
    "key-mismatch": Fault(
        _key_of_another,
        'failed to load file "{crt}" and "{key}": tls: private key does not match public key',
        r"\(stdin\)= ",
    ),
    "no-pem": Fault(
        lambda on: on.files.crt.write_text(""),
        'FLAG: --tls-cert-file="{crt}"\ntls: failed to find any PEM data in certificate input',
        "Unable to load certificate|unable to load certificate|Could not",
    ),
    "unknown-key": Fault(_encrypted, "tls: failed to parse private key", "ENCRYPTED"),
    "locked-key": Fault(_encrypted, "error:1C800064:Provider routines::bad decrypt", "ENCRYPTED"),
    "negative-serial": Fault(
        lambda on: on.openssl("-set_serial", "-77"), 'open: "{crt}": x509: negative serial number', "serial=-4D"
    ),
    "version-1-certificate": Fault(
        lambda on: on.openssl("-CAcreateserial"),
        'Get "https://{address}/": invalid peer certificate: Other(UnsupportedCertVersion)',
        "Version: 1",
    ),
    "strict-verification": Fault(
        lambda on: on.sign(),
        "https://{address}/: certificate verify failed: Missing Authority Key Identifier (_ssl.c:1032)",
        "verification failed",
    ),
    "malformed": Fault(_damaged, "x509: malformed certificate", "Unable to load|unable to load|Could not"),
    "missing-file": Fault(
        lambda on: on.files.crt.unlink(), "open {crt}: no such file or directory", "No such file or directory"
    ),
    "missing-file-openssl": Fault(
        lambda on: on.files.crt.unlink(),
        "Could not open file or uri for loading certificate from {crt}",
        "No such file or directory",
    ),
    "no-client-auth": Fault(
        lambda on: on.sign(usages=(SERVER,)),
        CLIENT_LOG.format("x509: certificate specifies an incompatible key usage"),
        "TLS Web Server Authentication",
        KUBELET,
    ),
    "usage-refused": Fault(
        lambda on: on.sign(usages=(SERVER,)),
        "remote error: tls: unsupported certificate",
        "TLS Web Server Authentication",
        KUBELET,
    ),
    "decrypt-error": Fault(
        _same_name, 'Get "https://10.0.0.7:10250/x": remote error: tls: error decrypting message', "failed", KUBELET
    ),
    "refused-by-the-other-side": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        'Get "https://10.0.0.7:8443/x": remote error: tls: bad certificate',
        "notAfter=",
        KUBELET,
    ),
    "unknown-caller": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        "error: You must be logged in to the server (Unauthorized)",
        "notAfter=",
        KUBELET,
    ),
    "kubelet-does-not-know-the-caller": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        "error: unable to upgrade connection: Unauthorized",
        "notAfter=",
        KUBELET,
    ),
    "kubelet-refuses-api-server": Fault(
        lambda on: on.sign(cn="kubernetes"),
        "Forbidden (user=kubernetes, verb=get, resource=nodes, subresource=proxy)",
        "kubernetes",
        KUBELET,
    ),
    "apiservice-unauthorized": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        "v1beta1.metrics.k8s.io failed with: bad status from https://10.0.0.9:443/apis: 401",
        "notAfter=",
        "front-proxy-client",
        ("kubeadm",),
    ),
    "kubeadm-certificate-invalid": Fault(
        lambda on: on.sign(start=NOW - 2 * YEAR),
        "failure loading apiserver certificate: failed to load certificate: the certificate has expired",
        "notAfter=",
        only=("kubeadm",),
    ),
    "signed-by-another-ca": Fault(
        lambda on: on.sign(issuer=on.other_ca()),
        "certificate apiserver not signed by CA certificate ca",
        "Another-CA",
        only=("kubeadm",),
    ),
    "kubeadm-certificate-names": Fault(
        lambda on: on.sign(sans=ELSEWHERE),
        "certificate apiserver is invalid: x509: certificate is valid for 192.168.56.11, not 127.0.0.1",
        "192.168.56.11",
        only=("kubeadm",),
    ),
}

KUBEADM_ONLY = "only kubeadm's folder has it: kubeadm says so of its own files, and only it has a front-proxy CA"
EMPTY = {
    (cause, profile): KUBEADM_ONLY
    for cause, fault in TABLE.items()
    for profile in PROFILES
    if profile not in fault.only
}
"""The cells of the table without a test, each with the reason."""

IN_OTHER_FILES = {
    "test_fixes_by_hand": """
        kubelet-certificate-expired other-node not-a-node forbidden-node anonymous kubeconfig-base64 kubeconfig-pem
        kubeconfig-open-to-others folder-in-place-of-file insecure-with-a-ca token-of-another-key
        service-account-key-unreadable issuer-is-no-ca not-a-ca ca-key-mismatch ca-private-key-unusable
        two-signing-cas no-start-line openssl-cannot-load openssl-cannot-use-file no-client-certificate
        handshake-failure client-key-unusable ca-file-of-curl unreadable-file revoked peer-address-not-in-certificate
        etcd-without-files files-switched kubeconfig-without-key kubeconfig-context
    """,
    "test_fixes_of_clients": "csr-pem-type",
    "test_fixes_of_servers": "common-name-not-allowed authority-of-webhook no-ca-bundle ca-bundle-unreadable",
}
"""Causes with tests of their own."""


NOT_HERE = {
    "kubeadm has to run": """
        kubeconfig-of-another-ca ca-of-kubeadm-missing ca-key-not-here control-plane-without-certificates
        files-of-an-older-cluster kubeadm-expiration-table not-managed-by-kubeadm old-certificate-without-usages
    """,
    "a kube-apiserver has to run": """
        cert-dir etcd-without-certificate etcd-does-not-answer no-certificate-to-present no-requestheader-ca
        aggregated-anonymous front-proxy-taken-for-user
    """,
    "a kubelet has to run": "kubelet-cannot-ask",
    "roles of a cluster": "forbidden",
    "the CA above an intermediate CA has to sign": "path-length name-constraints issuer-of-the-ca-missing",
    "the fix is to read on, or to take the CA's file from where it was made": """
        client-rejects-server ca-file-without-certificate
    """,
}
"""Causes whose fix needs a program that cannot run here, or is no command."""

MAKES_CERTIFICATES = re.compile(
    r"^(?:kcert (?:renew|all|kubelet|component|user|client|server|ca)\b|kubeadm certs renew|kubeadm init phase certs|"
    r"openssl x509 -req|openssl req -x509|k3s certificate rotate|kcert csr sign)",
    re.MULTILINE,
)
WITH_A_CERTIFICATE_TO_MAKE = {
    "openssl could not read its config or options, so there is no certificate yet": """
        bad-ip-address san-without-type variable-without-value config-syntax request-names-authority
        issuer-without-key-id empty-extension bad-extension section-missing no-distinguished-name empty-subject
        subject-too-long bad-subject
    """,
    "the signer refused the request, or another tool signs": "masters-on-request cfssl days-of-a-request",
}
"""Causes without a faulty certificate in a PKI folder whose fix makes one all the same."""


def _words(*groups: str) -> set[str]:
    return {name for names in groups for name in names.split()}


def test_every_cause_about_a_certificate_is_in_the_table() -> None:
    """The others are about requests, tokens, roles, openssl's options, or certificates that are not the cluster's."""
    counted = [*TABLE, *_words(*IN_OTHER_FILES.values()), *_words(*NOT_HERE.values())]
    assert {*counted} <= {*causes()}
    assert len({*counted}) == len(counted)


@pytest.mark.thorough
def test_a_cause_that_is_not_in_the_table_makes_no_certificate() -> None:
    """Where a printed fix makes a certificate, there is a PKI behind the cause, and it belongs into the table."""
    known = {
        *TABLE,
        *_words(*IN_OTHER_FILES.values()),
        *_words(*NOT_HERE.values()),
        *_words(*WITH_A_CERTIFICATE_TO_MAKE.values()),
    }
    makes = {}
    for cluster in ("kcert", "kubeadm"):
        messages = (diagnose([line.encode()], cluster).findings for line, *_ in MESSAGES)
        for found in (*messages, *(findings(number, cluster) for number in EACH_ANSWER)):
            for finding in found:
                if match := MAKES_CERTIFICATES.search(finding.explanation.repair):
                    makes[finding.explanation.name] = match[0]
    assert {cause: command for cause, command in makes.items() if cause not in known} == {}
    assert _words(*WITH_A_CERTIFICATE_TO_MAKE.values()) <= makes.keys()


OFTEN = (
    "expired",
    "name-not-in-certificate",
    "unknown-authority",
    "no-server-auth",
    "common-name-only",
    "key-mismatch",
)


def _cells() -> list[ParameterSet]:
    """Every cell; `make test` runs the causes that are met most, each in another folder."""
    return [
        pytest.param(
            cause,
            profile,
            id=f"{cause}-{profile}",
            marks=() if cause in OFTEN and place == OFTEN.index(cause) % len(PROFILES) else pytest.mark.thorough,
        )
        for cause, (place, profile) in product(TABLE, enumerate(PROFILES))
        if (cause, profile) not in EMPTY
    ]


def is_sound(certificate: Files, purpose: str) -> bool:
    """True for a certificate with nothing to complain of: signed by its CA, for this purpose, and fitting its key."""
    name = ["-verify_ip", "127.0.0.1"] if purpose == "sslserver" else []
    verify = ["openssl", "verify", "-auth_level", "2", *name, "-CAfile", str(certificate.ca), "-purpose", purpose]
    if subprocess.run([*verify, str(certificate.crt)], capture_output=True, check=False).returncode:
        return False
    try:
        cert = x509.load_pem_x509_certificate(certificate.crt.read_bytes())
        key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
        cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (TypeError, Warning, x509.ExtensionNotFound):
        return False
    names = {name.value for name in cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)}
    return key.public_key() == cert.public_key() and cert.serial_number > 0 and "kubernetes" not in names


def repair(kcert: Kcert, finding: Finding, broken: Files, name: str, profile: str) -> None:
    """Run the commands that the fix has for this kind of folder: with openssl where the folder is the hard way's."""
    with_kcert, _, with_openssl = finding.explanation.repair.partition("# with openssl\n")
    if profile == "hardway" and "openssl x509 -req" in with_openssl and broken.crt.with_suffix(".csr").is_file():
        words = {"SUBJECT": f"/CN={name}"}
        script = filled_in(with_openssl, broken, name)
        for word, value in words.items():
            script = script.replace(word, value)
        said = bash(f"set -e\n{script}", broken.crt.parent)
        assert "rror" not in said, said
        return
    lines = [line.partition(" #")[0].split() for line in filled_in(with_kcert, broken, name).splitlines()]
    chosen = [line for line in lines if line[:2] in (["kcert", "renew"], ["kcert", "all"])]
    assert chosen, finding.explanation.repair
    for line in chosen:
        kcert.done(*line[1:])


@pytest.mark.parametrize(("cause", "profile"), _cells())
def test_the_proof_shows_the_fault_and_the_fix_ends_it(
    kcert: Kcert, own_pki: Callable[[str], Pki], tmp_path: Path, cause: str, profile: str
) -> None:
    fault = TABLE[cause]
    own = own_pki(profile)
    ca = "front-proxy-ca" if fault.name == "front-proxy-client" else "ca"
    name = "apiserver" if (fault.name, profile) == ("kube-apiserver", "kubeadm") else fault.name
    right = files(kcert, own, name, ca)
    purpose = "sslserver" if fault.name == "kube-apiserver" else "sslclient"
    key = serialization.load_pem_private_key(right.key.read_bytes(), None)
    ca_key = serialization.load_pem_private_key(right.ca.with_suffix(".key").read_bytes(), None)
    signer = Authority(x509.load_pem_x509_certificate(right.ca.read_bytes()), ca_key)  # type: ignore[arg-type]
    (tmp_path / "elsewhere").mkdir()
    assert is_sound(right, purpose)

    fault.build(Ground(right, signer, key, tmp_path / "elsewhere"))  # type: ignore[arg-type]
    assert not right.crt.is_file() or not right.crt.stat().st_size or not is_sound(right, purpose)

    with address_of(right, needed="{address}" in fault.log) as address:
        log = fault.log.format(address=address, crt=right.crt, key=right.key)
        found = diagnose([f"{line}\n".encode() for line in log.split("\n")], "kcert").findings
        assert [finding.explanation.name for finding in found] == [cause]
        proof = found[0].explanation.proof.replace("/etc/kubernetes/pki", str(right.ca.parent))
        said = bash(filled_in(proof, right, name), right.crt.parent)
    assert re.search(fault.shown, said), said

    repair(kcert, found[0], right, name, profile)
    assert is_sound(right, purpose)
