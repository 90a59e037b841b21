"""How a new certificate or key gets into the place of an old one: alone in its file, or beside what that holds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import stat
from typing import TYPE_CHECKING

from kcert.check import bash
from kcert.openssl.pem import armoured, is_der, pem_blocks
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.scan.documents import NotADocumentError, as_utf8, documents, list_at, text_at
from kcert.scan.fs import Content, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.check.context import CertificateInstance, RuleContext
    from kcert.openssl.pem import Block
    from kcert.openssl.x509 import PublicKey


def usual_key(crt: Path) -> Path:
    """Return where the key of the CA at *crt* usually is: beside it, as openssl's users or cfssl name it."""
    return crt.with_name(f"{crt.stem}-key.pem") if crt.suffix == ".pem" else crt.with_suffix(".key")


def target_of(path: Path) -> Path:
    """The file itself: ``mv`` onto a link would replace the link."""
    return path.resolve() if path.is_symlink() and path.exists() else path


MOST_BESIDE = 8
"""So many other certificates of a file are written down in a command that changes one of them."""


def beside(ctx: RuleContext, cert: CertificateInstance) -> tuple[list[str], list[str]] | None:
    """Return the certificates (PEM) before and behind *cert* in its file, or in its field of a kubeconfig.

    None where they are too many to be written down, or where the file holds more than that: then no command is certain
    to keep everything.
    """
    if cert.live or not ctx.has_company(cert):
        return [], []
    if cert.embedded:
        here = {cert.use.position: cert.certificate.pem for cert in ctx.holdings.get(cert.holder, ())}
        here.pop(cert.use.position, None)
    else:
        texts = certificate_texts(cert.path)
        if texts is None:
            return None
        own = ctx.number_of(cert) - 1
        here = {number: text for number, text in enumerate(texts) if number != own}
    if len(here) > MOST_BESIDE:
        return None
    position = cert.use.position if cert.embedded else ctx.number_of(cert) - 1
    numbers = sorted(here)
    before = [here[number] for number in numbers if number < position]
    return before, [here[number] for number in numbers if number > position]


def with_others(ctx: RuleContext, cert: CertificateInstance, new: str) -> str:
    """The command that prints the file argument *new* among the certificates that *cert* has beside it."""
    before, after = beside(ctx, cert) or ([], [])
    whole = bash.joined(bash.literal(*before), new, bash.literal(*after))
    if cert.embedded or not holds_a_key(cert.path):
        return whole
    return f"{{ {whole} && openssl pkey -in {bash.word(target_of(cert.path))}; }}"


def into_place(ctx: RuleContext, cert: CertificateInstance, crt: str, key: Path | None = None) -> str:
    """Put *crt*.new in the place of *cert* in the file *crt*; what else that file holds stays as it is.

    Right before it goes the new key, where the certificate is for one: *key*.new to *key*.
    """
    first = f"{key_into_place(key)} &&\n  " if key else ""
    if not ctx.has_company(cert):
        return f"{first}mv {crt}.new {crt}"
    # The new file may hold a key: it is readable by its owner alone until it has the old file's mode.
    return (
        f"(umask 077; {with_others(ctx, cert, f'{crt}.new')} > {crt}.whole) &&\n"
        f"  chmod {mode_of(cert.path)} {crt}.whole &&\n  {first}mv {crt}.whole {crt} && rm {crt}.new"
    )


def key_into_place(key: Path) -> str:
    """The commands that put *key*.new in the place of *key*; the old one is kept beside it, for its owner alone.

    With a CA's key goes all that it signed, and with a service account's its tokens: somebody may want it back.
    """
    target = target_of(key)
    path = bash.word(target)
    if not target.is_file():
        return f"mv {path}.new {path}"
    # noclobber (-C): pasted a second time, it stops rather than writing over the old key.
    return f"(set -C; umask 077; cat {path} > {bash.word(_not_taken(target))}) &&\n  mv {path}.new {path}"


def _not_taken(key: Path) -> Path:
    """Where an old key goes: beside the new one, under a name that no file has."""
    names = (key.with_name(f"{key.name}.old{number or ''}") for number in itertools.count())
    return next(path for path in names if not path.is_symlink() and not path.exists())


def mode_of(path: Path) -> str:
    """The permission bits that the file has now, as chmod takes them."""
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):o}"
    except OSError:  # it went away meanwhile
        return "600"


def alone(ctx: RuleContext, cert: CertificateInstance) -> str:
    """The certificate as a file argument, without the others that may lie in its file."""
    return bash.literal(cert.certificate.pem) if ctx.has_company(cert) else bash.word(cert.path)


def generated(key: PublicKey, out: str = "") -> str:
    """The command for a key of the same sort, strong enough; openssl writes it readable by its owner alone."""
    where = f" -out {out}" if out else ""
    if key.algorithm.startswith("rsa"):
        return f"openssl genrsa{where} {max(2048, key.bits)}"
    curve = {"P-384": "secp384r1", "P-521": "secp521r1"}.get(key.curve or "", "prime256v1")
    return f"openssl ecparam -name {curve} -genkey -noout{where}"


def values(path: Path, option: str) -> list[str]:
    """Return what the field *option* of the clusters and users of a kubeconfig holds."""
    read = read_file(path)
    try:
        parsed = documents(read.data) if isinstance(read, Content) else []
    except NotADocumentError:
        return []
    holders = [(holder, "cluster") for doc in parsed for holder in list_at(doc, "clusters")]
    holders += [(holder, "user") for doc in parsed for holder in list_at(doc, "users")]
    return [value for holder, key in holders if (value := text_at(holder, key, option)) is not None]


def recovered(value: str) -> list[str]:
    """Return the certificates (PEM) in a value that is not the base64 of PEM; empty where there is no way to tell.

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


def field_lines(text: str, option: str) -> tuple[int, int] | None:
    """Return the first line of the field *option* of a kubeconfig, from 0, and the line behind it; None for several."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.lstrip(" -").startswith(f"{option}:")]
    if len(starts) != 1:
        return None
    indent = len(lines[starts[0]]) - len(lines[starts[0]].lstrip(" -"))
    end = starts[0] + 1
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return starts[0], end


def certificate_blocks(path: Path) -> list[Block]:
    """Return the certificates of a PEM file in their order; damaged ones count."""
    read = read_file(path)
    blocks = pem_blocks(read.data) if isinstance(read, Content) else []
    return [block for block in blocks if block.label == "CERTIFICATE"]


def certificate_texts(path: Path) -> list[str] | None:
    """Return each certificate of a PEM file as PEM, a damaged one as it is written; None where there is more to keep.

    Only a private key may be beside them: ``openssl pkey`` puts it out.
    """
    read = read_file(path)
    if not isinstance(read, Content):
        return []
    blocks = pem_blocks(read.data)
    lines = read.data.decode("latin-1").splitlines()
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
    read = read_file(path)
    return isinstance(read, Content) and any(block.is_key for block in pem_blocks(read.data))


def hashes_in(path: Path) -> list[str]:
    """Return the SHA-256 of each certificate in a PEM file, in its order; damaged ones count."""
    return [hashlib.sha256(block.der).hexdigest() for block in certificate_blocks(path)]


def damaged_in(path: Path) -> list[int]:
    """Return which certificates of a PEM file are damaged, counted from 1."""
    return [number for number, block in enumerate(certificate_blocks(path), 1) if block.fault]
