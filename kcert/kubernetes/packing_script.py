"""Archives and exports by hand: the scripts that --dry-run prints, and the commands that copy the same files."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kcert.certificates import Kind
from kcert.files import read_optional
from kcert.issue.context import Context
from kcert.kubernetes import bundles
from kcert.kubernetes.bundles import Bundle
from kcert.openssl.pem import pem_blocks
from kcert.quoting import SCRIPT_HEAD, folder_argument, format_command, quote
from kcert.store import SECRET_MODE
from kcert.store.atomic import OutputFile, target_of

HEAD = (
    *SCRIPT_HEAD,
    "# A file that is replaced is kept next to the new one.",
    'keep() { if [ -e "$1" ]; then mv "$1" "$1.$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"; fi; }',
    "",
)


def archives(ctx: Context, made: Sequence[Bundle], output: Path | None, default: Path) -> Iterator[str]:
    """Yield the lines that write the archives to where ``write_files`` would."""
    if output is None or output.is_dir():
        yield f"mkdir -p {quote(folder_argument(output or default))}"
    for bundle in made:
        archive = quote(folder_argument(target_of(bundle.file, output, default)))
        yield f"\n# {bundle.host.name}"
        yield "stage=$(mktemp -d)"
        yield from _staged(ctx, bundle)
        names = [name for name, _, _ in bundles.texts(bundle)] + [file.packed_path for file in bundle.rows]
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
            yield from _written(target, file.content, file.mode)
    for name, mode, content in bundles.texts(bundle):
        yield from _written(_staged_path(name), content, mode)


def _staged_path(name: str) -> str:
    return f'"$stage"/{quote(name)}'


def texts(ctx: Context, files: Iterable[OutputFile], output: Path | None, default: Path) -> Iterator[str]:
    """Yield the lines that write what ``write_files`` would; keys of CAs are read from their files."""
    values = dict(_ca_values(ctx))
    for file in files:
        path = quote(folder_argument(target_of(file.path, output, default)))
        yield f"keep {path}"
        yield from _written(path, file.content, file.mode, values)


def _written(target: str, content: bytes, mode: int, variables: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the lines that write *content*, in which each of *variables* is replaced by the command that prints it."""
    text = content.decode()
    used = {value: command for value, command in (variables or {}).items() if value in text}
    word = "EOF" if used else "'EOF'"
    if used:
        text = re.sub(r"[\\$`]", r"\\\g<0>", text)
        for value, command in used.items():
            text = text.replace(value, f"$({command})")
    yield f'mkdir -p "$(dirname {target})"'
    yield f"cat > {target} <<{word}\n{text}EOF"
    if mode != SECRET_MODE:
        yield f"chmod {mode:o} {target}"


def _ca_values(ctx: Context) -> Iterator[tuple[str, str]]:
    """Yield certificate and key of each CA as base64, with the command that prints the same."""
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
                yield base64.b64encode(block.pem.encode()).decode(), f"{format_command(argv)} | base64 | tr -d '\\n'"


def copying(ctx: Context, bundle: Bundle) -> Iterator[tuple[str, ...] | str]:
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
