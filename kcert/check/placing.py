"""Commands that put a new certificate or key into place, alone in its file or among others.

Other commands rewrite a file whose content is valid, but in a form that Kubernetes does not read, or set an option.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import itertools
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kcert.check import bash
from kcert.openssl import commands
from kcert.openssl.pem import Block, announced_length, armoured, is_der, pem_blocks
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import Raw
from kcert.scan.documents import NotADocumentError, as_utf8, documents, list_at, text_at
from kcert.scan.files import Format, recognize, unwrap, unwrapped
from kcert.scan.fs import lexists, read_bytes

if TYPE_CHECKING:
    from kcert.check.rule import CertificateInstance, RuleContext
    from kcert.scan import Problem


def usual_key(crt: Path) -> Path:
    """Return the usual path of the key of the CA at *crt*: beside it, as NAME.key or, for NAME.pem, NAME-key.pem."""
    return crt.with_name(f"{crt.stem}-key.pem") if crt.suffix == ".pem" else crt.with_suffix(".key")


def target_of(path: Path) -> Path:
    """Return the file that a link leads to, or *path* itself: ``mv`` onto a link would replace the link."""
    return path.resolve() if path.is_symlink() and path.exists() else path


MOST_BESIDE = 8
"""So many certificates of a file, beside the one that is changed, are written down in a command."""


def beside(ctx: RuleContext, cert: CertificateInstance) -> tuple[list[str], list[str]] | None:
    """Return the certificates (PEM) before and behind *cert* in its file, or in its field of a kubeconfig.

    None if there are too many for one command, or if the file contains anything else: then no command is certain to
    keep all of it.
    """
    if cert.live or not ctx.has_siblings(cert):
        return [], []
    if cert.embedded:
        own = cert.use.position
        pems = {other.use.position: other.certificate.pem for other in ctx.certs_by_file.get(cert.holder, ())}
    else:
        own, texts = ctx.number_of(cert) - 1, certificate_texts(cert.path)
        if texts is None:
            return None
        pems = dict(enumerate(texts))
    before = [pem for at, pem in sorted(pems.items()) if at < own]
    after = [pem for at, pem in sorted(pems.items()) if at > own]
    return (before, after) if len(before) + len(after) <= MOST_BESIDE else None


def into_place(
    ctx: RuleContext, cert: CertificateInstance, new: str, *, key: str = "", first: str = "", program: str = "mv"
) -> str:
    """Put the file *new* in the place of *cert*, and a new *key* into the same file; what else it holds stays as it is.

    *first* runs right before, when all is complete. Empty if a command is not certain to keep the rest.
    """
    others, use = beside(ctx, cert), cert.use
    if others is None:
        return ""
    before, after = bash.literal(*others[0]), bash.literal(*others[1])
    if cert.embedded:
        if use.kubeconfig is None:
            return ""
        option = use.option or ""
        name = use.kubeconfig.cluster if option.startswith("certificate-authority") else use.kubeconfig.user_name
        return bash.embedded(cert.path, option, name, bash.joined(before, new, after), key=key)
    with_key = holds_a_key(cert.path)
    if not (ctx.has_siblings(cert) or key or with_key or isinstance(new, Raw)):
        return bash.then(first, bash.command(program, new, target_of(cert.path)))
    content = bash.joined(before, new, after, key)
    if with_key and not key:
        content = f"{{ {content} && {bash.command('openssl', 'pkey', '-in', target_of(cert.path))}; }}"
    return rewritten(cert.path, content, first=first)


def rewritten(path: Path, content: str, *, first: str = "") -> str:
    """Put the output of *content* in the place of the file at *path* once it is complete, after *first*.

    It is readable by its owner alone until it has the old file's mode, and for good if a private key is in it.
    """
    file = target_of(path)
    new = f"{bash.unquoted(file)}.whole.new"
    mode = "" if holds_a_key(path) else bash.command("chmod", mode_of(path), new)
    return bash.then(f"(umask 077; {content} > {bash.word(new)})", mode, first, bash.command("mv", new, file))


def exchanged(first: Path, second: Path, *, secret: bool = False) -> str:
    """Let two files change places; what goes to *second* can be *secret*."""
    new = f"{bash.unquoted(first)}.new"
    closed = bash.command("chmod", "600", new) if secret else ""
    moves = [bash.command("mv", *pair) for pair in ((first, new), (second, first), (new, second))]
    return bash.then(*moves[:2], closed, moves[2])


def key_into_place(key: Path) -> str:
    """The commands that put *key*.new in the place of *key*; the old one is kept beside it, for its owner alone.

    Without the key of a CA, all that it signed is lost, and without that of a service account its tokens: keep it.
    """
    target = target_of(key)
    moved = bash.command("mv", f"{bash.unquoted(target)}.new", target)
    if not target.is_file():
        return moved
    names = (target.with_name(f"{target.name}.old{number or ''}") for number in itertools.count())
    free = next(path for path in names if not lexists(path))
    # noclobber (-C): pasted a second time, it stops rather than writing over the old key.
    return bash.then(f"(set -C; umask 077; cat {bash.word(target)} > {bash.word(free)})", moved)


def mode_of(path: Path) -> str:
    """The permission bits that the file has now, as chmod takes them; those of a certificate if it does not exist."""
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):o}"
    except OSError:
        return "644"


def alone(ctx: RuleContext, cert: CertificateInstance) -> str:
    """Return the certificate as a file argument, without other certificates in its file."""
    return bash.literal(cert.certificate.pem) if ctx.has_siblings(cert) else bash.unquoted(cert.path)


def values(path: Path, option: str) -> list[str]:
    """Return what the field *option* of the clusters and users of a kubeconfig holds."""
    try:
        parsed = documents(read_bytes(path))
    except NotADocumentError:
        return []
    holders = [(holder, "cluster") for doc in parsed for holder in list_at(doc, "clusters")]
    holders += [(holder, "user") for doc in parsed for holder in list_at(doc, "users")]
    return [value for holder, key in holders if (value := text_at(holder, key, option)) is not None]


def recovered(value: str) -> list[str]:
    """Return the certificates (PEM) in a value that is not the base64 of PEM; empty if that is unknown.

    People write PEM or DER there, with a byte order mark, encode it twice, or break the lines with blanks.
    """
    data = value.encode("utf-8", "replace")
    for _ in range(3):
        data = as_utf8(data)
        ders = [block.der for block in pem_blocks(data) if block.is_certificate] or ([data] if is_der(data) else [])
        if ders:
            pems = [armoured(der) for der in ders]
            return pems if all(isinstance(read_certificate(pem), X509) for pem in pems) else []
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            return []
    return []


def certificate_blocks(path: Path) -> list[Block]:
    """Return the certificates of a PEM file in their order; damaged ones count."""
    return [block for block in pem_blocks(read_bytes(path)) if block.label == "CERTIFICATE"]


def certificate_texts(path: Path) -> list[str] | None:
    """Return each certificate of a PEM file as PEM, a damaged one as it is written; None if there is more to keep.

    Only a private key may be beside them: ``openssl pkey`` puts it out.
    """
    data = read_bytes(path)
    blocks = pem_blocks(data)
    lines = data.decode("latin-1").splitlines()
    texts = []
    for number, block in enumerate(blocks):
        if block.label != "CERTIFICATE":
            if not block.is_key:
                return None
            continue
        end = blocks[number + 1].line - 1 if number + 1 < len(blocks) else len(lines)
        raw = lines[block.line - 1 : end]
        last = next((at for at, line in enumerate(raw, 1) if line.startswith("-----END")), len(raw))
        texts.append("\n".join(raw[:last]) if block.fault else block.pem)
    return texts if all(text.isascii() for text in texts) else None


def holds_a_key(path: Path) -> bool:
    """Return True for a file that holds a private key beside its certificate."""
    return any(block.is_key for block in pem_blocks(read_bytes(path)))


def converted(ctx: RuleContext, problem: Problem) -> str:
    """The commands that bring what is there into the form that Kubernetes reads, with no new certificate."""
    data = read_bytes(problem.path)
    if not data or problem.path == problem.source:
        return ""
    path = bash.unquoted(target_of(problem.path))
    new = f"{path}.new"
    written = bash.command("mv", new, path)
    encoded = unwrapped(data)
    if encoded is not None and not is_der(encoded):
        blocks = pem_blocks(encoded)
        fits = all(not block.fault and _is_expected(problem, block) for block in blocks)
        decoded = bash.command(*unwrap("openssl", data, path, new))
        decoded = f"(umask 077; {decoded})" if any(block.is_key for block in blocks) else decoded
        return bash.then(decoded, written) if fits else ""
    if is_der(encoded or data):
        known = recognize(problem.path, encoded or data, ctx.openssl)
        program = "pkey" if problem.expects == "key" else "x509"
        source = Raw(f"<({bash.command(*unwrap('openssl', data, path))})") if encoded else path
        decoded = bash.command("openssl", program, "-inform", "DER", "-in", source, "-out", new)
        return bash.then(decoded, written) if known and known.block and _is_expected(problem, known.block) else ""
    text = data
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", "replace").encode("ascii", "replace")
    blocks = pem_blocks(text)
    if problem.expects == "key" and problem.path.suffix == ".key" and any(block.is_public_key for block in blocks):
        return ""
    if any(block.is_key for block in blocks):
        only_indented = all("indented" in block.fault for block in blocks if block.fault)
        # The key itself is printed nowhere: grep writes each line without the blanks at its beginning.
        indented = f"(umask 077; grep -o '[^[:space:]].*' {bash.word(path)} > {bash.word(new)})"
        return bash.then(indented, written) if only_indented and any(block.fault for block in blocks) else ""
    if len(blocks) == 1 and blocks[0].label in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
        return bash.then(bash.command(*commands.copy("openssl", path, new)), written)
    whole = all(block.der and announced_length(block.der) == len(block.der) for block in blocks)
    expected = all(block.is_public_key if problem.expects == "key" else block.is_certificate for block in blocks)
    if not blocks or len(blocks) > MOST_BESIDE or not whole or not expected:
        return ""
    return rewritten(problem.path, bash.joined(bash.literal(*(block.pem for block in blocks))))


def _is_expected(problem: Problem, block: Block) -> bool:
    return block.is_key if problem.expects == "key" else block.is_certificate


def reencoded(ctx: RuleContext, problem: Problem) -> str:
    """Write the certificates of a field, which nothing but their encoding keeps kubectl from reading, as it reads them.

    A key is printed nowhere.
    """
    file_values = values(problem.path, problem.option or "") if problem.path == problem.source else []
    if len(file_values) != 1 or "key" in (problem.option or ""):
        return ""
    pems = recovered(file_values[0])
    return written_into_kubeconfig(ctx, problem, pems) if 0 < len(pems) <= MOST_BESIDE else ""


def written_into_kubeconfig(ctx: RuleContext, problem: Problem, pems: list[str]) -> str:
    """Put certificates into the field of a kubeconfig: by kubectl, or by a patch where kubectl cannot read the file."""
    if problem.reason.endswith(NOT_FOR_KUBECTL):
        return field_replaced(problem, base64.b64encode("".join(pems).encode()).decode())
    contexts = [context for context in ctx.scan.kubeconfigs if context.path == problem.path]
    option = problem.option or ""
    if option.startswith("client-certificate"):
        names = {context.user_name for context in contexts if context.user_name}
    else:
        names = {context.cluster for context in contexts if context.ca_embedded}
    content = bash.joined(bash.literal(*pems))
    return bash.embedded(problem.path, option, names.pop(), content) if len(names) == 1 else ""


NOT_FOR_KUBECTL = ("is not base64", "does not read it")
"""The ends of the reasons for which kubectl cannot load the kubeconfig at all."""


def field_replaced(problem: Problem, new: str) -> str:
    """The command that gives a field with certificates another value; empty if nothing shows which line it is."""
    text, option = read_bytes(problem.path).decode("utf-8", "replace"), problem.option or ""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.lstrip(" -").startswith(f"{option}:")]
    if len(starts) != 1 or "key" in option:
        return ""
    begin, own = starts[0], lines[starts[0]]
    before, indent = own.partition(f"{option}:")[0], len(own) - len(own.lstrip(" -"))
    rest = itertools.dropwhile(
        lambda line: len(line) - len(line.lstrip()) > indent and line.strip(), lines[begin + 1 :]
    )
    carriage_return = "\r" if own.endswith("\r") else ""
    changed = [*lines[:begin], f"{before}{option}: {new}{carriage_return}", *rest]
    return bash.patched(problem.path, text, "\n".join(changed), context=0)


def format_of(ctx: RuleContext, problem: Problem) -> Format | None:
    """Return what the file of *problem* is, if it is sound and only in another format."""
    data = read_bytes(problem.path) if problem.path != problem.source else b""
    return recognize(problem.path, data, ctx.openssl)


def set_aside(ctx: RuleContext, problem: Problem) -> str:
    """Return the command that moves away a file whose former content is unknown."""
    named = problem.source is not None or problem.expects not in ("certificate", "key")
    if named or not lexists(problem.path) or format_of(ctx, problem):
        return ""  # a keystore or another format is not damaged
    path = bash.unquoted(problem.path)
    remark = "# kcert cannot tell what this file contained. Restore it from a backup."
    return f"{remark}\n{bash.command('mv', path, f'{path}.damaged')}"


def as_written(old: str, resolved: Path, target: Path) -> str:
    """Return *target* as it is written in place of *old*, which means *resolved*: without the --root before it."""
    text = str(resolved)
    if old.startswith("/") and text.endswith(old):
        root = text[: len(text) - len(old)]
        return str(target).removeprefix(root) if root else str(target)
    try:
        return str(target.relative_to(Path(text.removesuffix(old))))
    except ValueError:
        return str(target)


def options_changed(source: Path, *changes: tuple[str, str, str]) -> str:
    """The command that gives options of a manifest, a unit or a configuration other values; empty if none can.

    *changes* are the options, each with its old and its new value.
    """
    try:
        text = read_bytes(source).decode()
    except UnicodeDecodeError:
        return ""
    changed = text
    for option, old, new in changes:
        before, changed = changed, _option_changed(changed, option, old, new)
        if changed == before:
            return ""
    # A line of context must never be that of a key.
    return bash.patched(source, text, changed, context=0 if "-data" in text else 1)


def _option_changed(text: str, option: str, old: str, new: str) -> str:
    name = option.rsplit(".", 1)[-1]
    if name.startswith("--") and name not in text:
        # etcd's configuration file has no dashes, and a section for peers.
        name = name.removeprefix("--peer-").removeprefix("--")
    # The value ends where the word does: ca.crt must not match in ca.crt.old.
    value = rf'({re.escape(name)}[=: ] *"?){re.escape(old)}(?=["\s]|$)'
    return re.sub(value, lambda match: match[1] + new, text, flags=re.MULTILINE)


def options_added(source: Path, beside: str, *added: str) -> str:
    """The command that adds options, ``--name=value``, before *beside*; empty if that is not alone on its line."""
    text = read_bytes(source).decode("utf-8", "replace")
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if f"{beside}=" in line]
    if len(places) != 1 or lines[places[0]].count("--") != 1:
        return ""
    line = lines[places[0]]
    given = re.search(rf"{re.escape(beside)}=[^\s\"']+", line)
    new = [f"{line[: given.start()]}{option}{line[given.end() :]}" for option in added] if given else []
    changed = [*lines[: places[0]], *new, *lines[places[0] :]]
    return bash.patched(source, text, "\n".join(changed))
