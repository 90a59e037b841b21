"""Certificates from recipes, made with the ``cryptography`` package: fast, and as wrong as a test wants them."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_NAME_OIDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "C": NameOID.COUNTRY_NAME,
}
_USAGES = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "codeSigning": ExtendedKeyUsageOID.CODE_SIGNING,
}
_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-192": ec.SECP192R1(),
    "secp256k1": ec.SECP256K1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
}


@dataclass(frozen=True)
class Recipe:
    """How one certificate is made.

    ``subject`` is written ``CN=kube-admin/O=system:masters``, ``names`` as ``DNS:node01`` or ``IP:10.0.0.1``;
    ``issuer`` is the name of another recipe, None: it signs itself. It holds from ``begins`` days from now for
    ``days`` days. ``usages`` None leaves the extended key usage out, ``key_usage`` False the key usage; ``signs`` says
    whether that has keyCertSign (None: as a CA should). Recipes with one ``key`` share it, if it names none of the
    kinds of key. ``path_length`` is that of a CA (None: any). ``key_id`` False leaves the key identifiers out, as
    libraries do that nobody asks for them.
    """

    subject: str
    issuer: str | None = "ca"
    ca: bool = False
    usages: tuple[str, ...] | None = ()
    names: tuple[str, ...] = ()
    begins: float = -1
    days: float = 365
    key: str = "P-256"
    digest: type[hashes.HashAlgorithm] = hashes.SHA256
    serial: int | None = None
    key_usage: bool = True
    signs: bool | None = None
    key_id: bool = True
    path_length: int | None = None


@dataclass(frozen=True)
class Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def crt(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pkcs8(self) -> bytes:
        """The key as PEM, as openssl 3 and cfssl's successors write it."""
        return self._key(serialization.PrivateFormat.PKCS8)

    @property
    def traditional(self) -> bytes:
        """The key as PEM in its own old format: PKCS#1 or SEC1, as kubeadm writes it."""
        return self._key(serialization.PrivateFormat.TraditionalOpenSSL)

    @property
    def public(self) -> bytes:
        """The public key as PEM."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _key(self, form: serialization.PrivateFormat) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@dataclass
class Workshop:
    """Makes what recipes ask for; a CA is made once, and keys are its own."""

    recipes: Mapping[str, Recipe]
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc).replace(microsecond=0))
    made: dict[str, Pair] = field(default_factory=dict)
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Pair:
        if name not in self.made:
            self.made[name] = self._make(self.recipes[name])
        return self.made[name]

    def _make(self, recipe: Recipe) -> Pair:
        key = self._key(recipe.key)
        issuer = self[recipe.issuer] if recipe.issuer else None
        signer = issuer.key if issuer else key
        begins = self.now + dt.timedelta(days=recipe.begins)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(recipe.subject))
            .issuer_name(issuer.certificate.subject if issuer else name(recipe.subject))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number() if recipe.serial is None else recipe.serial)
            .not_valid_before(begins)
            .not_valid_after(begins + dt.timedelta(days=recipe.days))
            .add_extension(x509.BasicConstraints(recipe.ca, recipe.path_length), critical=True)
        )
        if recipe.key_id:
            builder = builder.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        if recipe.key_usage:
            signs = recipe.ca if recipe.signs is None else recipe.signs
            builder = builder.add_extension(_key_usage(signs), critical=True)
        if recipe.usages:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([_USAGES[usage] for usage in recipe.usages]), critical=False
            )
        if recipe.names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([alt_name(one) for one in recipe.names]), critical=False
            )
        return Pair(builder.sign(signer, cast("Any", recipe.digest())), key)

    def _key(self, kind: str) -> PrivateKey:
        if kind.startswith("RSA-"):
            return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))
        if kind in _CURVES:
            return ec.generate_private_key(_CURVES[kind])
        return self.keys.setdefault(kind, ec.generate_private_key(ec.SECP256R1()))


def changed(recipes: Mapping[str, Recipe], /, **changes: Mapping[str, object]) -> dict[str, Recipe]:
    """*recipes*, with fields of some of them replaced: ``changed(KUBEADM, apiserver={"names": ()})``."""
    new = {name.replace("_", "-"): change for name, change in changes.items()}
    return {name: replace(recipe, **new.get(name, {})) for name, recipe in recipes.items()}  # type: ignore[arg-type]


def name(subject: str) -> x509.Name:
    """A name as ``CN=kube-admin/O=system:masters``."""
    parts = [part.split("=", 1) for part in subject.split("/")]
    return x509.Name([x509.NameAttribute(_NAME_OIDS[kind], value) for kind, value in parts])


def alt_name(text: str) -> x509.GeneralName:
    """An alternative name as ``DNS:node01`` or ``IP:10.0.0.1``."""
    kind, value = text.split(":", 1)
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)


def put(path: Path, content: bytes | str, mode: int = 0o644) -> Path:
    """Write a file with the mode that it has on a well-kept host, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def kubeconfig(
    *, server: str, authority: bytes, user: Pair | None = None, paths: Mapping[str, str] | None = None
) -> str:
    """A kubeconfig as kubeadm writes it, with embedded data; or with *paths* for ``client-certificate`` and so on."""
    if user is not None:
        shown = {
            "client-certificate-data": base64.b64encode(user.crt).decode(),
            "client-key-data": base64.b64encode(user.traditional).decode(),
        }
    else:
        shown = dict(paths or {})
    credentials = "\n".join(f"    {key}: {value}" for key, value in shown.items())
    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {base64.b64encode(authority).decode()}
    server: {server}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: someone
  name: someone@kubernetes
current-context: someone@kubernetes
kind: Config
preferences: {{}}
users:
- name: someone
  user:
{credentials}
"""


def _key_usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
