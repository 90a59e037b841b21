"""How a new certificate or key gets into the place of an old one: alone in its file, or among others."""

from __future__ import annotations

import itertools
import stat
from typing import TYPE_CHECKING

from kcert.check import bash, fields

if TYPE_CHECKING:
    from pathlib import Path

    from kcert.check.context import CertificateInstance, RuleContext
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
        texts = fields.certificate_texts(cert.path)
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
    if cert.embedded or not fields.holds_a_key(cert.path):
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
