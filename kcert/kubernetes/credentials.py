"""A client's certificate, key and CA in the PKI folder: found by name, and found fit to be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from kcert import kubeconfig, profiles
from kcert.certificates import Certificate, Role
from kcert.config import check_address, check_host_name, check_user_name
from kcert.errors import InputError, MachineError, did_you_mean
from kcert.files import read_input, read_regular
from kcert.issue.adopt import unmanaged
from kcert.issue.context import Context
from kcert.issue.status import CertificateStatus, State, status_of
from kcert.openssl.pem import pem_blocks
from kcert.quoting import quote


@dataclass(frozen=True)
class Credentials:
    """A certificate with its CA's, and what their files hold, by their paths in the PKI folder."""

    certificate: Certificate
    issuer: Certificate
    contents: Mapping[PurePosixPath, bytes] = field(repr=False)

    @property
    def ca(self) -> PurePosixPath:
        """The CA certificate's file."""
        return self.issuer.crt

    @property
    def crt(self) -> PurePosixPath:
        """The certificate's file, or what it is called where it lives in a kubeconfig."""
        return self.certificate.crt

    @property
    def key(self) -> PurePosixPath:
        """The key's file, or what it is called where it lives in a kubeconfig."""
        return self.certificate.files.key


def clients(ctx: Context) -> tuple[Certificate, ...]:
    """Return the client certificates for the API server: those of the cluster, and of users that kcert made."""
    known = tuple(ctx.known.values())
    return tuple(
        spec
        for spec in (*known, *users(ctx))
        if spec.kind.is_client and spec.chapter in ("client", "kubelet") and spec.subject
    )


def users(ctx: Context, *names: str) -> tuple[Certificate, ...]:
    """Return the certificates of users not in kcert.yaml: those that kcert made, and those called *names*."""
    others = unmanaged(ctx.root, ctx.cluster, ctx.known.values(), names)
    return tuple(spec for spec in others if spec.role == Role.USER)


def named(ctx: Context, name: str, among: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """Return those of *among* that *name* means: a certificate, a component, a node; or a user not in kcert.yaml.

    ``kubelet`` means the kubelets of all nodes, ``scheduler`` is short for ``kube-scheduler``. Raises InputError for
    an unknown name, with the near ones.
    """
    among = tuple(among)
    of_kubelets = tuple(cert for cert in among if cert.chapter == "kubelet")
    matches = (
        profiles.named(among, name)
        or tuple(cert for cert in of_kubelets if name in (cert.host, "kubelet"))
        or profiles.named(among, f"kube-{name}")
    )
    if matches:
        return matches
    if why := profiles.why_absent(ctx.cluster, name):
        raise InputError(f"{name!a}: {why}.")
    choice = list(dict.fromkeys([*(cert.name for cert in among), *(cert.host for cert in among if cert.host)]))
    listed = ", ".join(choice[:10]) + (f" and {len(choice) - 10} more" if len(choice) > 10 else "")
    known = tuple(ctx.known.values())
    servers = profiles.named(known, name) or profiles.named(known, f"kube-{name}")
    if servers or name in {spec.chapter for spec in known}:
        called = servers[0].name if servers else name
        raise InputError(f"{called} is not a client of the API server. The clients are: {listed}.")
    if other := [spec for spec in users(ctx, name) if spec.subject and spec.subject.common_name == name == spec.name]:
        return tuple(other)
    hint = did_you_mean(name, choice, f"there are {listed}.")
    command = "" if check_user_name(name) else f" `kcert client {quote(name)}{ctx.folder_option}` creates a new one."
    raise InputError(f"{name!a} has no certificate in {ctx.root}; {hint}{command}")


def credentials(ctx: Context, wanted: Iterable[Certificate]) -> tuple[Credentials, ...]:
    """Each of *wanted* with its contents.

    Raises InputError if one is missing, stale or expired, with the command that makes it.
    """
    wanted, known = tuple(wanted), ctx.known
    # Which server a kubeconfig talks to is not the certificate's fault.
    bare = {cert.name: replace(cert, server="") for cert in wanted}
    bare |= {cert.issuer: known[cert.issuer] for cert in wanted if cert.issuer}
    statuses = status_of(ctx.root, bare.values())
    require_usable(ctx, statuses.values())
    return tuple(_credentials(ctx, cert, known[cert.issuer or "ca"]) for cert in wanted)


def require_usable(ctx: Context, statuses: Iterable[CertificateStatus]) -> None:
    """Raise InputError for what is missing, stale or expired, with the command that makes it."""
    unfit = [status for status in statuses if not status.usable]
    missing = [status.certificate for status in unfit if status.state is State.MISSING]
    if missing:
        chapters = {cert.chapter for cert in missing}
        names = f" {' '.join(quote(cert.name) for cert in missing)}" if chapters == {"client"} else ""
        command = f"kcert {chapters.pop() if len(chapters) == 1 else 'all'}{names}"
        listed = ", ".join(str(cert.files.primary) for cert in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise InputError(f"{listed}{more} {verb} not in {ctx.root}: `{command}{ctx.folder_option}` creates {them}.")
    for status in unfit:
        raise InputError(
            f"{status.certificate.files.primary} {status.clause(status.blocking)}. "
            f"`{status.fix_command(ctx.folder_option)}` renews it."
        )


def _credentials(ctx: Context, cert: Certificate, ca: Certificate) -> Credentials:
    files = cert.files
    contents = {ca.crt: public(ctx.root, ca.crt)}
    if files.kubeconfig:
        inside = kubeconfig.opened(read_regular(ctx.root / files.kubeconfig))
        if inside is None:
            raise InputError(
                f"{files.kubeconfig} names the files of its certificate, which the kubelet renews by itself, and "
                f"contains no certificate that could be copied."
            )
        contents |= {cert.crt: inside.crt, files.key: inside.key}
    else:
        contents |= {cert.crt: public(ctx.root, cert.crt), files.key: read_regular(ctx.root / files.key)}
    return Credentials(cert, ca, contents)


def public(root: Path, file: PurePosixPath) -> bytes:
    """Return the content of a public file; raises InputError where it also contains a private key."""
    content = read_regular(root / file)
    if any(block.is_key for block in pem_blocks(content)):
        raise InputError(
            f"{root / file} also contains a private key, which would be copied with it. Remove it from the file."
        )
    return content


_URL = re.compile(
    r"https://(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(:(?P<port>[0-9]{1,5}))?(/[\w./~-]*)?"
)


def server_url(value: str) -> str:
    """Return *value*, a URL or HOST:PORT, as a URL.

    Raises InputError for what no API server can be reached at with a client certificate.
    """
    url = value if "://" in value else f"https://{value}"
    match = _URL.fullmatch(url)
    why = "https://HOST:PORT or HOST:PORT is expected"
    if url.startswith("http://"):
        why = "without TLS no certificate is presented; https:// is expected"
    elif match and not 0 < int(match["port"] or 443) < 65536:
        why = f"{match['port']} is not a TCP port"
    elif match:
        host = match["six"] or match["name"]
        digits = match["six"] or re.fullmatch(r"[0-9.]+", host)
        unfit = check_address(host) if digits else check_host_name(host.lower())
        if not unfit:
            return url
        why = unfit
    raise InputError(f"--server {value!a} is invalid: {why}.")


def address_of(url: str) -> str:
    """Return HOST:PORT of a URL that was checked."""
    match = _URL.fullmatch(url)
    assert match
    return f"{match[1]}:{match['port'] or 443}"


def read_file(path: Path) -> bytes:
    """Return the content of a file; raises MachineError if it cannot be read."""
    return read_input(path, error=MachineError)
