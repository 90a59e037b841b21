"""The files that each host of a cluster needs, as an archive; and the same by hand, as scripts.

The list comes from the components' own options: a file is on a host because something there reads it.
"""

from __future__ import annotations

import base64
import gzip
import io
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kcert import kubeconfig, lessons, plain_yaml, profiles
from kcert.certificates import Certificate, Kind
from kcert.config import Host, Version
from kcert.errors import InputError
from kcert.files import read_optional
from kcert.issue.context import Context
from kcert.issue.status import status_of
from kcert.kubernetes import credentials, kubeconfigs
from kcert.kubernetes.components import folder_state, near_hosts, on_host, unusable_key
from kcert.kubernetes.components.component import FolderState
from kcert.kubernetes.credentials import Credentials, read_file
from kcert.kubernetes.install import Bundle, HostFile, generated, manifests
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import same_key
from kcert.openssl.reader import certificate_pems, read_certificate
from kcert.openssl.x509 import X509
from kcert.profiles.profile import Part, file_of, kubeconfig_of
from kcert.quoting import SCRIPT_HEAD, folder_argument, format_command, here_document, quote
from kcert.store import PUBLIC_MODE, SECRET_MODE
from kcert.store.atomic import OutputFile, Written, target_of, write_files

FOLDER = Path("bundles")
"""The folder for archives, unless another one is named."""

LONG_AGO = 315532800
"""Midnight of 1 January 1980, UTC: the date of everything in an archive. tar warns of 1970."""


def bundles(ctx: Context, names: Iterable[str], version: Version | None = None) -> tuple[Bundle, ...]:
    """Return the bundles of the hosts called *names*, or of all; without *version*, for the cluster's release.

    Raises InputError for a host that is none, and for certificates and kubeconfigs that are missing, stale
    or expired, with the command that makes them.
    """
    all_hosts = {host.name: host for host in ctx.cluster.hosts}
    chosen = list(dict.fromkeys(names)) or list(all_hosts)
    for name in chosen:
        if name not in all_hosts:
            raise InputError(f"{name!a} is not a host of this cluster{near_hosts(name, all_hosts)}")
    state = folder_state(ctx.root, ctx.cluster)
    version = version or ctx.cluster.version
    wanted = {name: tuple(_wanted(ctx, all_hosts[name], state, version)) for name in chosen}
    reader = _Reader(ctx, [file for files in wanted.values() for file in files])
    return tuple(
        Bundle(
            all_hosts[name],
            ctx.cluster,
            version,
            reader.files(all_hosts[name], wanted[name]),
            tuple(generated(ctx, all_hosts[name], state, version)),
            tuple(manifests(ctx, all_hosts[name])),
            state.ca_unusable if all_hosts[name] in ctx.cluster.control_plane else None,
        )
        for name in chosen
    )


@dataclass(frozen=True)
class _Wanted:
    certificate: Certificate
    part: Part
    path: PurePosixPath
    reader: str
    why: str


def _wanted(ctx: Context, host: Host, state: FolderState, version: Version) -> Iterator[_Wanted]:
    for component in on_host(ctx.cluster, host, state, version):
        for option in component.given():
            if reads := option.reads:
                path = PurePosixPath(reads.path)
                why = lessons.option_reason(component.NAME, option.name)
                yield _Wanted(reads.certificate, reads.part, path, component.NAME, why)
    profile, known = profiles.PROFILES[ctx.cluster.profile], ctx.known
    for extra in profile.extras(ctx.cluster, host.name):
        cert = known[extra.certificate]
        if cert.kind is Kind.CA and extra.part == "key" and unusable_key(ctx.root / cert.files.key):
            continue  # kubeadm cannot renew with it either
        path, why = profile.install_path(cert, extra.part, extra.reader), lessons.file_reason(extra.purpose)
        yield _Wanted(cert, extra.part, path, extra.reader, why)


class _Reader:
    """Reads what several bundles hold, once, and only if it is fit to be used."""

    def __init__(self, ctx: Context, wanted: list[_Wanted]) -> None:
        self.ctx, self.known = ctx, ctx.known
        self.profile = profiles.PROFILES[ctx.cluster.profile]
        clients = {file.certificate.name: file.certificate for file in wanted if file.part == "kubeconfig"}
        others = {file.certificate.name: file.certificate for file in wanted} | {
            file.certificate.issuer: self.known[file.certificate.issuer] for file in wanted if file.certificate.issuer
        }
        bare = [cert for cert in others.values() if cert.name not in clients]
        credentials.require_usable(ctx, status_of(ctx.root, bare).values())
        self.clients: Mapping[str, Credentials] = {
            client.certificate.name: client for client in credentials.credentials(ctx, clients.values())
        }
        # Of all CAs whose certificates are here, wherever and in whatever form their keys are kept.
        paths = [ctx.root / cert.crt for cert in self.known.values() if cert.kind is Kind.CA]
        pems = [pem for path in paths if path.exists() for pem in certificate_pems(read_file(path))]
        read = map(read_certificate, dict.fromkeys(pems))
        self.ca_public_keys = [cert.public_key for cert in read if isinstance(cert, X509) and cert.ca]

    def files(self, host: Host, wanted: Iterable[_Wanted]) -> tuple[HostFile, ...]:
        """The files of one host, each once."""
        by_path: dict[PurePosixPath, HostFile] = {}
        for file in (more for item in wanted for more in self._with_linked(item)):
            before = by_path.get(file.path)
            readers = tuple(dict.fromkeys((*(before.readers if before else ()), file.reader)))
            reasons = tuple(dict.fromkeys((*(before.reasons if before else ()), file.why)))
            content, exists = self._content(file)
            by_path[file.path] = HostFile(
                file.path,
                SECRET_MODE if file.part in ("key", "kubeconfig") else PUBLIC_MODE,
                readers,
                reasons,
                content,
                file_of(file.certificate, file.part),
                owner=file.certificate.name,
                exists=exists,
            )
        packed = tuple(by_path[path] for path in sorted(by_path))
        self._check_secrets(host, packed)
        return packed

    def _content(self, wanted: _Wanted) -> tuple[bytes, bool]:
        file = file_of(wanted.certificate, wanted.part)
        if wanted.part == "kubeconfig":
            return self._kubeconfig(wanted)
        if wanted.part == "key":
            path = self.ctx.root / file
            if not path.exists():
                raise InputError(f"{path} does not exist, and {wanted.reader} reads it: copy it there first.")
            return read_file(path), True
        return credentials.public(self.ctx.root, file), True

    def _kubeconfig(self, wanted: _Wanted) -> tuple[bytes, bool]:
        """Return the kubeconfig of the PKI folder, if it can be used on this host, or a new one if it is missing."""
        client = self.clients[wanted.certificate.name]
        path = self.ctx.root / kubeconfig_of(wanted.certificate)
        if not path.exists():
            return kubeconfigs.draft(self.ctx, client).text().encode(), False
        content = read_file(path)
        command = f"`kcert kubeconfig {quote(wanted.certificate.name)}{self.ctx.folder_option}`"
        inside = kubeconfig.opened(content)
        if inside:
            contents = [client.contents[file] for file in (client.ca, client.crt, client.key)]
            if [inside.ca, inside.crt, inside.key] != contents:
                raise InputError(f"{path} no longer contains the certificate in the PKI folder: {command} renews it.")
            return content, True
        links = _links(content)
        if links is None:
            raise InputError(f"{path} is not a kubeconfig that can be used: {command} re-creates it.")
        for link, linked in zip(links, self._linked(wanted), strict=True):
            if link != str(linked.path):
                there = f"; with --no-embed --path-prefix {linked.path.parent} it names them there"
                same_name = PurePosixPath(link).name == linked.path.name
                raise InputError(
                    f"{path} names {link!a}, which the host has as {linked.path}: {command} embeds its files"
                    f"{there if same_name else ''}."
                )
        return content, True

    def _with_linked(self, file: _Wanted) -> Iterator[_Wanted]:
        """*file*, and what it names if it is a kubeconfig that names files."""
        yield file
        path = self.ctx.root / kubeconfig_of(file.certificate)
        if file.part == "kubeconfig" and path.exists() and _links(read_file(path)) is not None:
            yield from self._linked(file)

    def _linked(self, file: _Wanted) -> Iterator[_Wanted]:
        """Yield the CA, certificate and key of a kubeconfig, as the host has them."""
        path_of, cert = self.profile.install_path, file.certificate
        name = path_of(cert, "kubeconfig", file.reader).name
        why = lessons.file_reason("named by a kubeconfig", kubeconfig=name)
        parts: list[tuple[Certificate, Part]] = [(self.clients[cert.name].issuer, "crt"), (cert, "crt"), (cert, "key")]
        for certificate, part in parts:
            yield _Wanted(certificate, part, path_of(certificate, part, file.reader), file.reader, why)

    def _check_secrets(self, host: Host, packed: Iterable[HostFile]) -> None:
        """Raise InputError where another host than one of the control plane would get a CA's key, under any name."""
        if any(member.name == host.name for member in self.ctx.cluster.control_plane):
            return
        for file in (file for file in packed if file.mode == SECRET_MODE):
            inside = kubeconfig.opened(file.content)
            for block in pem_blocks(inside.key if inside else file.content):
                key = block.pem.encode()
                if block.is_key and any(same_key(self.ctx.openssl, key, public) for public in self.ca_public_keys):
                    raise InputError(
                        f"{file.source} contains the key of a CA, which {host.name} must not get: `kcert renew "
                        f"{quote(file.owner)} --new-key{self.ctx.folder_option}` generates a separate key."
                    )


def _links(content: bytes) -> tuple[str, str, str] | None:
    """The three paths in a kubeconfig that names files; None if it is none."""
    try:
        document = plain_yaml.load(content, aliases=True)
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        links = cluster["certificate-authority"], user["client-certificate"], user["client-key"]
    except (plain_yaml.NotPlainError, KeyError, IndexError, TypeError):
        return None
    return links if all(isinstance(link, str) for link in links) else None


def archive(bundle: Bundle) -> bytes:
    """The archive: the same bytes whenever its files are the same, with everything owned by root."""
    packed = io.BytesIO()
    with (
        # No name and no time in the head of the gzip file (RFC 1952, section 2.3).
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        files = ((file.packed_path, file.mode, file.content) for file in bundle.rows)
        for name, mode, content in (*bundle.texts(), *files):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), mode, LONG_AGO
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def require_one_file(made: tuple[Bundle, ...], target: Path | None) -> None:
    """Raise InputError for several archives and a *target* that is not a folder."""
    if target is not None and not target.is_dir() and len(made) > 1:
        raise InputError(
            f"{target} is not an existing folder, and {len(made)} archives do not fit into one file. "
            "Create the folder first, or specify one host."
        )


def pack(made: tuple[Bundle, ...], target: Path | None) -> tuple[Written, ...]:
    """Write archives into ./bundles, into the folder *target*, or one into the file *target*."""
    require_one_file(made, target)
    files = [OutputFile(PurePosixPath(bundle.file), archive(bundle), SECRET_MODE) for bundle in made]
    return write_files(files, target, FOLDER)


# --- The same by hand: the scripts that --dry-run prints, and the commands that copy the files


PACKING_HEAD = (
    *SCRIPT_HEAD,
    "# A file that is replaced is kept next to the new one.",
    'keep() { if [ -e "$1" ]; then mv "$1" "$1.$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"; fi; }',
    "",
)


def archives_script(ctx: Context, made: Sequence[Bundle], output: Path | None, default: Path) -> Iterator[str]:
    """Yield the lines that write the archives to where ``write_files`` would."""
    if output is None or output.is_dir():
        yield f"mkdir -p {quote(folder_argument(output or default))}"
    for bundle in made:
        archive = quote(folder_argument(target_of(bundle.file, output, default)))
        yield f"\n# {bundle.host.name}"
        yield "stage=$(mktemp -d)"
        yield from _staged(ctx, bundle)
        names = [name for name, _, _ in bundle.texts()] + [file.packed_path for file in bundle.rows]
        yield f"keep {archive}"
        owner = "--owner=root:0 --group=root:0"
        yield f'tar -C "$stage" {owner} -czf {archive} \\\n  ' + " \\\n  ".join(map(quote, names))
        yield 'rm -r "$stage"'


def _staged(ctx: Context, bundle: Bundle) -> Iterator[str]:
    for file in (*bundle.files, *bundle.generated):
        target = _staged_path(file.packed_path)
        if not file.exists:
            yield f'mkdir -p "$(dirname {target})"'
            yield f"kcert kubeconfig {quote(file.owner)}{ctx.folder_option} --quiet --output {target}"
        elif file.source:
            yield f"install -D -m {file.mode:o} {quote(folder_argument(ctx.root / file.source))} {target}"
        else:
            yield from _written(target, file.content, file.mode, {})
    for name, mode, content in bundle.texts():
        yield from _written(_staged_path(name), content, mode, {})


def _staged_path(name: str) -> str:
    return f'"$stage"/{quote(name)}'


def files_script(ctx: Context, files: Iterable[OutputFile], output: Path | None, default: Path) -> Iterator[str]:
    """Yield the lines that write what ``write_files`` would; keys of CAs are read from their files."""
    values = dict(_ca_values(ctx))
    for file in files:
        path = quote(folder_argument(target_of(file.path, output, default)))
        yield f"keep {path}"
        yield from _written(path, file.content, file.mode, values)


def _written(target: str, content: bytes, mode: int, variables: Mapping[str, str]) -> Iterator[str]:
    text = content.decode()
    yield f'mkdir -p "$(dirname {target})"'
    yield from here_document(target, text, {value: variables[value] for value in variables if value in text})
    if mode != SECRET_MODE:
        yield f"chmod {mode:o} {target}"


def _ca_values(ctx: Context) -> Iterator[tuple[str, str]]:
    """Yield certificate and key of each CA as base64, with the bash expression that stands for the same."""
    for cert in ctx.known.values():
        if cert.kind is not Kind.CA or cert.files.crt is None:
            continue
        for name, is_key in ((cert.files.crt, False), (cert.files.key, True)):
            path = ctx.root / name
            content = read_optional(path)
            block = next((block for block in pem_blocks(content or b"") if block.is_key is is_key), None)
            if block:
                # In the form that the file has: PKCS#8 ("PRIVATE KEY"), or the older one of its algorithm.
                older = ("-traditional",) if is_key and block.label != "PRIVATE KEY" else ()
                argv = (ctx.openssl, "pkey" if is_key else "x509", *older, "-in", folder_argument(path))
                if content == block.pem.encode():
                    argv = ("cat", folder_argument(path))
                yield base64.b64encode(block.pem.encode()).decode(), f"$({format_command(argv)} | base64 | tr -d '\\n')"


def copy_commands(ctx: Context, bundle: Bundle) -> Iterator[tuple[str, ...] | str]:
    """Yield the commands that bring the same files to the host: folders, files, then owners and modes.

    A command that needs a pipe is a line of shell, already quoted; the others are argv.
    """
    host = f"root@{bundle.host.name}"
    missing = [file.owner for file in bundle.files if not file.exists]
    if missing:
        yield ("kcert", "kubeconfig", *missing, *shlex.split(ctx.folder_option))
    folders = sorted({str(row.path.parent) for row in bundle.rows})
    yield ("ssh", host, f"install -d -m 755 {' '.join(quote(path) for path in folders)}")
    for target in folders:
        files = [(file.path, file.source) for file in bundle.files if file.source and str(file.path.parent) == target]
        if same := [_here(ctx.root / source) for path, source in files if path.name == source.name]:
            yield ("scp", "-p", *same, f"{host}:{target}/")
        for path, source in files:
            if path.name != source.name:
                yield ("scp", "-p", _here(ctx.root / source), f"{host}:{path}")
    for file in bundle.generated:
        if file.source:
            yield ("scp", "-p", _here(ctx.root / file.source), f"{host}:{file.path}")
        else:
            is_own = bundle.version == bundle.cluster.version
            release = () if is_own else ("--kubernetes-version", str(bundle.version))
            where = ("--host", bundle.host.name, "--format", file.form, *release, *shlex.split(ctx.folder_option))
            prints = format_command(("kcert", "flags", *file.readers, *where))
            yield f"{prints} | {format_command(('ssh', host, f'cat > {quote(str(file.path))}'))}"
    changes = ["chown root:root " + " ".join(quote(str(row.path)) for row in bundle.rows)]
    for mode in sorted({row.mode for row in bundle.rows}):
        paths = (quote(str(row.path)) for row in bundle.rows if row.mode == mode)
        changes.append(f"chmod {mode:o} {' '.join(paths)}")
    yield ("ssh", host, " && ".join(changes))


def _here(path: Path) -> str:
    """A path as scp takes it for one of this machine: the text before a colon would be a host."""
    name = str(path)
    return f"./{name}" if ":" in name.split("/", maxsplit=1)[0] or name.startswith("-") else name
