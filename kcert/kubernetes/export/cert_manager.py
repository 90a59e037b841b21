"""For cert-manager: each CA as a Secret with its Issuer, and a Certificate for each of what it can hold.

Sources: cert-manager's API (cert-manager.io/v1), its documentation ("CA", "Certificate resource"), and the
checks of its admission webhook. A field that it leaves to a default which has changed over time is always written.
"""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

from kcert import plain_yaml
from kcert.certificates import Certificate, Kind, Role
from kcert.config import Cluster
from kcert.errors import InputError
from kcert.issue.adopt import unmanaged
from kcert.issue.context import Context
from kcert.issue.status import CertificateStatus, status_of
from kcert.kubernetes.credentials import read_file, require_usable
from kcert.kubernetes.export import Export
from kcert.kubernetes.signers import EXTENDED_USAGES, KEY_USAGES
from kcert.kubernetes.signing_request import object_name
from kcert.openssl.pem import pem_blocks
from kcert.roles import ROLES
from kcert.store import PUBLIC_MODE, SECRET_MODE
from kcert.store.atomic import OutputFile

NAME = "cert-manager"
NAMESPACE = "cluster-pki"
"""A namespace of its own: a user who may read its Secrets or create Certificates in it can become any user of the
cluster."""

API_VERSION = "cert-manager.io/v1"

_WIDTH = 100
_NAMESPACE_LENGTH = 63
_HOURS = 24
_RENEW_BEFORE_DAYS = 30
_MOST_NAMES = 20

_OF_PODS = "no pod is created or scheduled without them, and cert-manager runs in pods"
_FOR_REPAIRS = "it is for emergencies in which the cluster rejects every user, so it has to be outside the cluster"
_ON_DISK = {
    "kube-apiserver": "the API server reads them from its host's disk before it answers, and Secrets come from the API "
    "server",
    "etcd": "etcd stores the Secrets, so it cannot read a Secret before it starts",
    "kube-controller-manager": _OF_PODS,
    "kube-scheduler": _OF_PODS,
    "kubelet": "a kubelet needs them before it can read a Secret; the Certificates API renews them "
    "(rotateCertificates)",
}
"""By the component that presents a certificate, why it cannot use a Secret. cert-manager holds these on request."""

_SERVICE_ACCOUNT = (
    "its key signs the tokens of all service accounts, and cert-manager generates a new key with each renewal: every "
    "token would become invalid at once"
)
_CA_UNUSED = "none of the certificates that it signs are in this file, so its key is not needed in the cluster"
_CA_ITSELF = (
    "it is in its Issuer's Secret and is renewed by `kcert renew`; a Certificate for it would have to sign itself"
)


@dataclass(frozen=True)
class Options:
    """The options: the ``namespace`` of all objects, and what their names begin with (None: the cluster's name).

    ``on_disk`` asks for the certificates too that are read from a host's disk; without ``secret`` the CAs'
    keys are left out, and with them their Secrets.
    """

    namespace: str = NAMESPACE
    name: str | None = None
    on_disk: bool = False
    secret: bool = True


@dataclass(frozen=True)
class _Ca:
    """A CA as cert-manager gets it: what its objects are called, its certificate and key as PEM, its last day."""

    certificate: Certificate
    name: str
    crt: str
    key: str
    ends: datetime
    days_left: int


def export(ctx: Context, options: Options) -> Export:
    """The manifest.

    Raises InputError for names that no object can have, for a CA that is missing, stale or expired, and for a
    key that is not here or is encrypted.
    """
    why = object_name(options.namespace)
    if len(options.namespace) > _NAMESPACE_LENGTH or "." in options.namespace:
        why = f"a namespace is one name without dots, of at most {_NAMESPACE_LENGTH} characters"
    if why:
        raise InputError(f"--namespace {options.namespace!a} is invalid: {why}.")
    if options.name is not None and (why := object_name(options.name)):
        raise InputError(f"--name {options.name!a} cannot begin the name of an object of Kubernetes: {why}.")
    wanted, left = _sorted_out(ctx, options)
    names = _names(options.name or _as_object(ctx.cluster.name), [*ctx.known.values(), *wanted])
    all_cas = [spec for spec in ctx.known.values() if spec.kind is Kind.CA]
    used = [ca for ca in all_cas if any(leaf.issuer == ca.name for leaf in wanted)]
    left.append(_omitted([ca.name for ca in used], _CA_ITSELF))
    if unused := [ca.name for ca in all_cas if ca not in used]:
        left.append(_omitted(unused, _CA_UNUSED))
    cas = {ca.certificate.name: ca for ca in _read_cas(ctx, options, names, used)}
    days = {cert.name: min(cert.days, cas[cert.issuer or ""].days_left) for cert in wanted}
    notes = tuple(_notes(options, wanted, list(cas.values()), days))
    parts = ["".join(f"# {line}".rstrip() + "\n" for line in _head(ctx.cluster, options, notes, left))]
    for comment, content in (*_of_cas(options, cas.values()), *_of_certificates(options, names, wanted, days)):
        parts.append(f"---\n# {comment}.\n{plain_yaml.dump(content)}")
    mode = SECRET_MODE if options.secret else PUBLIC_MODE
    return Export(
        target=NAME,
        files=(OutputFile(PurePosixPath(f"{NAME}.yaml"), "".join(parts).encode(), mode),),
        columns=("certificate", "Secret", "Issuer", "days"),
        holds=tuple((cert.name, names[cert.name], names[cert.issuer or ""], str(days[cert.name])) for cert in wanted),
        left=tuple(left),
        notes=notes,
    )


def _sorted_out(ctx: Context, options: Options) -> tuple[list[Certificate], list[str]]:
    """Return what cert-manager gets, users' certificates not in kcert.yaml among it, and what it does not, and why."""
    known = ctx.known
    others = unmanaged(ctx.root, ctx.cluster, known.values(), ())
    statuses = status_of(ctx.root, [known["ca"], *others]) if others else {}
    wanted: list[Certificate] = []
    left: dict[str, list[str]] = {}
    for cert in (*(cert for cert in known.values() if cert.kind is not Kind.CA), *others):
        why = _SERVICE_ACCOUNT if cert.chapter == "service-account" else None if options.on_disk else _on_disk(cert)
        if why := why or _unfit(cert, statuses.get(cert.name)):
            left.setdefault(why, []).append(cert.name)
        else:
            wanted.append(cert)
    if not wanted:
        raise InputError(
            "cert-manager can manage none of these certificates; `kcert explain leaving-kcert` gives the reasons."
        )
    return wanted, [_omitted(names, why) for why, names in left.items()]


def _omitted(names: Sequence[str], why: str) -> str:
    """Return a sentence about what is omitted; a thousand nodes are not listed one by one."""
    more = len(names) - _MOST_NAMES
    return f"{', '.join(names[:_MOST_NAMES])}{f', and {more} more' if more > 0 else ''}: {why}."


def _on_disk(cert: Certificate) -> str | None:
    special = {Role.ETCD_CLIENT: None, Role.SUPER_ADMIN: _FOR_REPAIRS}
    return special[cert.role] if cert.role in special else _ON_DISK.get(ROLES[cert.role].component)


def _unfit(cert: Certificate, status: CertificateStatus | None) -> str | None:
    """Return why a user who is not in kcert.yaml gets no new certificate: an expired one has to stay expired."""
    if status is None:
        return None
    if not status.usable:
        return f"not in kcert.yaml, and {status.state.value}: {status.blocking}"
    assert cert.subject
    others = sorted({kind for kind, _ in cert.subject.parts} - {"CN", "O"})
    return f"its subject has parts that kcert does not translate: {', '.join(others)}" if others else None


def _names(prefix: str, certificates: Iterable[Certificate]) -> Mapping[str, str]:
    """Return what the objects of each certificate are called; Secret, Issuer and Certificate share a name."""
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for cert in certificates:
        name = f"{prefix}-{_as_object(cert.name)}"
        other = owners.setdefault(name, cert.name)
        if other != cert.name:
            raise InputError(
                f"the objects of {cert.name} and {other} would both be called {name}: one of them needs another name."
            )
        if why := object_name(name):
            raise InputError(
                f"{name!a} cannot be the name of an object of Kubernetes: {why}. Use another prefix with --name."
            )
        names[cert.name] = name
    return names


def _as_object(name: str) -> str:
    """*name* as a part of an object's name: a DNS subdomain (RFC 1123) has neither capitals nor ``_ @ :``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _read_cas(ctx: Context, options: Options, names: Mapping[str, str], wanted: list[Certificate]) -> Iterator[_Ca]:
    statuses = status_of(ctx.root, wanted)
    require_usable(ctx, statuses.values())
    now = datetime.now(timezone.utc)
    for cert in wanted:
        status = statuses[cert.name]
        assert status.x509
        ends = status.x509.not_after
        if (days := (ends - now).days) < 1:
            command = f"`kcert renew {cert.name}{ctx.folder_option}`"
            raise InputError(
                f"{cert.crt} expires within a day, and so does every certificate that it signs: {command} renews it."
            )
        # In a CA's file that holds two, the new one is first; cert-manager takes several as one chain.
        crt = next(block.pem for block in pem_blocks(read_file(ctx.root / cert.crt)) if block.is_certificate)
        key = _key(ctx, cert) if options.secret else ""
        yield _Ca(cert, names[cert.name], crt, key, ends, days)


def _key(ctx: Context, cert: Certificate) -> str:
    path = ctx.root / cert.files.key
    without = "With --no-secret it is omitted: then create its Secret where the key is."
    if not path.exists():
        raise InputError(f"{path} does not exist, and cert-manager signs with it. {without}")
    blocks = [block for block in pem_blocks(read_file(path)) if block.is_key]
    if not blocks or blocks[0].fault:
        raise InputError(f"{path} holds no private key that can be read{f': {blocks[0].fault}' if blocks else ''}.")
    if blocks[0].encrypted:
        raise InputError(f"{path} is encrypted, and cert-manager cannot ask for a passphrase. {without}")
    # Alone: cert-manager reads the first block, which after `openssl ecparam` would be EC PARAMETERS.
    return blocks[0].pem


def _object(version: str, kind: str, name: str, options: Options) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": options.namespace}}


def _of_cas(options: Options, cas: Iterable[_Ca]) -> Iterator[tuple[str, dict[str, Any]]]:
    for ca in cas:
        if options.secret:
            pems = {"tls.crt": ca.crt, "tls.key": ca.key}
            data = {name: base64.b64encode(pem.encode("ascii")).decode("ascii") for name, pem in pems.items()}
            head = _object("v1", "Secret", ca.name, options)
            yield f"{ca.certificate.name}: certificate and key", {**head, "type": "kubernetes.io/tls", "data": data}
        head = _object(API_VERSION, "Issuer", ca.name, options)
        yield (
            f"Signs with {ca.certificate.name}, which expires on {ca.ends:%Y-%m-%d}",
            {**head, "spec": {"ca": {"secretName": ca.name}}},
        )


def _of_certificates(
    options: Options,
    names: Mapping[str, str],
    wanted: Iterable[Certificate],
    days: Mapping[str, int],
) -> Iterator[tuple[str, dict[str, Any]]]:
    for cert in wanted:
        assert cert.subject
        name, hours = names[cert.name], days[cert.name] * _HOURS
        spec: dict[str, Any] = {
            "secretName": name,
            "issuerRef": {"name": names[cert.issuer or ""], "kind": "Issuer", "group": "cert-manager.io"},
            "commonName": cert.subject.common_name,
        }
        if cert.subject.organizations:
            spec["subject"] = {"organizations": list(cert.subject.organizations)}
        fields = {"DNS": "dnsNames", "IP": "ipAddresses", "email": "emailAddresses", "URI": "uris"}
        for type_, field in fields.items():
            if values := [alt_name.value for alt_name in cert.alt_names if alt_name.type == type_]:
                spec[field] = values
        spec |= {
            "usages": _usages(cert),
            "duration": f"{hours}h",
            # kcert calls a certificate expiring as long before; of a short life a third.
            "renewBefore": f"{min(_RENEW_BEFORE_DAYS * _HOURS, hours // 3)}h",
            "privateKey": {
                "algorithm": cert.key.algorithm.upper(),
                "size": cert.key.bits if cert.key.algorithm == "rsa" else int(cert.key.curve.removeprefix("P-")),
                "encoding": "PKCS8",
                "rotationPolicy": "Always",  # by default Never before cert-manager 1.18
            },
        }
        comment = f"{cert.name}: {_who(cert)}"
        if _on_disk(cert):
            comment += ". Read from a host's disk: another tool has to copy it there"
        yield comment, {**_object(API_VERSION, "Certificate", name, options), "spec": spec}


def _usages(cert: Certificate) -> list[str]:
    """Its usages in the words of the Certificates API, which are cert-manager's too."""
    if given := cert.usages:
        asked = (*(given.key or ()), *(given.extended or ()))
        words = {openssl: word for word, openssl in reversed([*KEY_USAGES.items(), *EXTENDED_USAGES.items()])}
        words["digitalSignature"] = "digital signature"  # "signing" means the same
        return [words[usage] for usage in asked if usage in words]
    usages = ["digital signature"]
    usages += ["key encipherment"] if cert.key.algorithm == "rsa" else []
    usages += ["server auth"] if cert.kind.is_server else []
    usages += ["client auth"] if cert.kind.is_client else []
    return usages


def _who(cert: Certificate) -> str:
    """Return the subject for a comment; a foreign subject can contain anything, a line feed too."""
    assert cert.subject
    groups = ", ".join(cert.subject.organizations)
    subject = f"CN {cert.subject.common_name}" + (f", O {groups}" if groups else "")
    return subject.encode("unicode_escape").decode("ascii")


def _notes(
    options: Options, wanted: Iterable[Certificate], cas: Sequence[_Ca], days: Mapping[str, int]
) -> Iterator[str]:
    listed = ", ".join(ca.name for ca in cas)
    yield (
        f"A user who may read Secrets or create Certificates in {options.namespace} can become any user of the "
        "cluster, an administrator too. That is why these are Issuers and not ClusterIssuers, which would serve every "
        "namespace. Use the namespace for nothing else."
    )
    if options.secret:
        yield (
            "This file holds the keys of CAs. Apply it on the server side, because plain `kubectl apply` copies it "
            "into an annotation of each object; then delete the file."
        )
    else:
        yield f"The CAs' keys are not in here; each Issuer waits for a Secret of type kubernetes.io/tls ({listed})."
    # cert-manager does not see itself that a CA ends before.
    if short := [cert.name for cert in wanted if cert.days > days[cert.name]]:
        yield f"Shorter than kcert.yaml says, because the CA expires first: {', '.join(short)}."
    first = min(cas, key=lambda ca: ca.ends)
    yield (
        f"cert-manager does not check when its CA expires ({first.certificate.name}: {first.ends:%Y-%m-%d}). A "
        "certificate that it signs shortly before may have a later expiry date, but is rejected once the CA has "
        "expired. Renew the CA in time, and export again."
    )
    yield "Each Certificate gets a new key; the existing certificates stay valid until they expire."


def _head(cluster: Cluster, options: Options, notes: Iterable[str], left: Iterable[str]) -> Iterator[str]:
    """The comment at the top: what it is, how it is applied, what has to be known, and what is not in it."""
    yield from _wrapped(f"The CAs of the cluster {cluster.name} (profile {cluster.profile}), for cert-manager.")
    yield ""
    yield f"    kubectl create namespace {options.namespace}"
    yield "    kubectl apply --server-side -f THIS-FILE"
    for note in notes:
        yield ""
        yield from _wrapped(note)
    yield ""
    yield "Not managed by cert-manager:"
    for omitted in left:
        yield from _wrapped(f"- {omitted}", "  ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
