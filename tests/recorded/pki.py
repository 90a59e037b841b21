"""The certificates, good and bad, that the recorded programs met."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key

NOW = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
YEAR = dt.timedelta(days=365)
SERVER, CLIENT = Usage.SERVER_AUTH, Usage.CLIENT_AUTH
HERE = ("localhost", "127.0.0.1")
ELSEWHERE = ("kubernetes", "192.168.56.11")


@dataclass(frozen=True)
class Authority:
    """A certificate with its key, to sign with."""

    certificate: x509.Certificate
    key: Key


def make_pki(folder: Path) -> None:
    """Write every certificate with its key into *folder*."""
    ca = authority(folder, "ca", "Kubernetes-CA")
    other = authority(folder, "other-ca", "Another-CA")
    old = authority(folder, "old-ca", "Kubernetes-CA")

    leaf(folder, "kube-apiserver", ca, sans=HERE, usages=(SERVER,))
    server = leaf(folder, "etcd-server", ca, sans=HERE, usages=(SERVER, CLIENT))
    leaf(folder, "admin", ca, usages=(CLIENT,))
    leaf(folder, "stranger", other, sans=HERE, usages=(SERVER, CLIENT))
    leaf(folder, "leftover", old, usages=(CLIENT,))
    leaf(folder, "server-only", ca, sans=HERE, usages=(SERVER,))
    leaf(folder, "client-only-server", ca, sans=HERE, usages=(CLIENT,))
    leaf(folder, "elsewhere", ca, sans=ELSEWHERE, usages=(SERVER, CLIENT))
    leaf(folder, "names-only", ca, sans=("localhost",), usages=(SERVER,))
    leaf(folder, "cn-only", ca, cn="localhost", usages=(SERVER,))
    leaf(folder, "expired", ca, usages=(CLIENT,), start=NOW - 2 * YEAR)
    leaf(folder, "expired-server", ca, sans=HERE, usages=(SERVER,), start=NOW - 2 * YEAR)
    leaf(folder, "future", ca, usages=(CLIENT,), start=NOW + 50 * YEAR)
    leaf(folder, "future-server", ca, sans=HERE, usages=(SERVER,), start=NOW + 50 * YEAR)
    leaf(folder, "self-signed", None, sans=HERE, usages=(SERVER,))
    leaf(folder, "signed-by-leaf", server, sans=HERE, usages=(SERVER,))
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the fault itself
    leaf(folder, "weak-server", ca, sans=HERE, usages=(SERVER,), key=weak)
    leaf(folder, "sha1-server", ca, sans=HERE, usages=(SERVER,))
    sign_with_sha1(folder / "sha1-server.crt", folder / "ca.key")

    chain = (folder / "kube-apiserver.crt").read_bytes() + (folder / "ca.crt").read_bytes()
    (folder / "kube-apiserver-chain.crt").write_bytes(chain)
    (folder / "kube-apiserver-chain.key").write_bytes((folder / "kube-apiserver.key").read_bytes())
    (folder / "empty.crt").touch()
    (folder / "empty.key").touch()
    (folder / "rubbish.crt").write_text("no certificate\n")


def authority(folder: Path, name: str, cn: str) -> Authority:
    """A CA."""
    return leaf(folder, name, None, cn=cn, ca=True, usages=(), length=30 * YEAR)


def leaf(
    folder: Path,
    name: str,
    issuer: Authority | None,
    *,
    cn: str = "",
    group: str = "",
    sans: tuple[str, ...] = (),
    usages: tuple[x509.ObjectIdentifier, ...],
    start: dt.datetime = NOW - dt.timedelta(hours=1),
    length: dt.timedelta = YEAR,
    ca: bool = False,
    key: Key | None = None,
) -> Authority:
    """A certificate as NAME.crt and its key as NAME.key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn or name), *groups])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + length)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(san) for san in sans]), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(pem)
    (folder / f"{name}.key").chmod(0o600)
    return Authority(certificate, key)


def sign_with_sha1(crt: Path, ca_key: Path) -> None:
    """Sign again in a way that no CA should; cryptography no longer does it."""
    ca = ca_key.with_suffix(".crt")
    extensions = crt.with_suffix(".cnf")
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    request = subprocess.run(
        ["openssl", "req", "-new", "-key", str(crt.with_suffix(".key")), "-subj", f"/CN={crt.stem}"],
        check=True,
        capture_output=True,
    ).stdout
    sign = [
        "openssl",
        "x509",
        "-req",
        "-CA",
        str(ca),
        "-CAkey",
        str(ca_key),
        "-set_serial",
        "77",
        "-sha1",
        "-days",
        "300",
    ]
    subprocess.run(
        [*sign, "-extfile", str(extensions), "-out", str(crt)], input=request, check=True, capture_output=True
    )


def _name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)
