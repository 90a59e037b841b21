"""Fixes: the commands that replace a certificate by a correct one.

One certificate has one fix, whatever is wrong with it: it is re-created with every correction that is known, so that
the fix of one fault never brings back another. The commands are the lessons', wherever its key is: an openssl.cnf, a
request, a signature. A new file is put into place only once it is complete, and a new key together with its
certificate. Each command depends on the one before it (``&&``): pasted into a terminal, nothing runs after a failure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kcert.certificates import Key, Role, Subject
from kcert.check import bash, corrections, placing
from kcert.check.placing import alone, beside, into_place, target_of, usual_key
from kcert.check.rule import CertificateInstance, RuleContext, Violation
from kcert.kubeconfig import read_command
from kcert.openssl import commands
from kcert.quoting import Raw

LEAF_DAYS = 365
AUTHORITY_DAYS = 3650

_NO_KEY_HERE = "# The CA's key is not among the files found here: run this where {key} is."
_NO_CA_HERE = "# The CA is not among the files found here: run this where its files are, here called ca.crt and ca.key."
_WHICH_KEY = (
    "# The key of the CA that signed it is not among the files found here: run this where it is, here called {key}."
)
TOKENS_END = (
    "# This key signs the tokens of service accounts: a new key makes all of them invalid. Copy it to every API server."
)
_THE_KUBELETS_OWN = "# The kubelet created these itself, and creates new ones when it starts: systemctl restart kubelet"

_UNIQUE = Raw('"0x$(openssl rand -hex 16)"')
"""A serial number that no certificate has yet, whatever the CA's own list of them says."""


@dataclass(frozen=True)
class Signer:
    """The CA that has to sign, for at most ``days``: its file, and its certificate as an argument.

    ``remark`` is the comment that says where to run the commands, if its key was not found.
    """

    crt: Path
    key: Path
    argument: str
    days: int | None = None
    remark: str = ""


def reissue_commands(
    ctx: RuleContext, cert: CertificateInstance, *, new_key: bool = False, key: Path | None = None
) -> str:
    """Return the commands that re-create *cert* with all corrections; with *new_key*, with a new key as well.

    *key* is where the new key goes if that is missing. Empty if the certificate cannot be re-created from here: it is
    on a live server, or no CA is known.
    """
    if cert.live:
        return ""
    if cert.made_by_kubelet:
        files = [cert.path, *([cert.use.key_path] if cert.use.key_path else [])]
        return f"{bash.command('rm', *dict.fromkeys(files))}\n{_THE_KUBELETS_OWN}"
    if cert.is_authority and cert.certificate.self_signed:
        return replace_ca(ctx, cert) if new_key else reissue_ca(ctx, cert)
    signer = signer_of(ctx, cert)
    made = issued(ctx, cert, signer, new_key=new_key, key=key) if signer else ""
    if not made or signer is None:
        return ""
    if new_key and Role.SERVICE_ACCOUNT in cert.roles:
        made = f"{TOKENS_END}\n{made}"
    if cert.is_authority and not cert.embedded:
        # A CA that another one signed goes along in the chains of those that it signed.
        made = bash.then(made, *copied(ctx, cert))
    return f"{signer.remark}{made}"


def reissued(
    ctx: RuleContext, cert: CertificateInstance, message: str, evidence: str, *, new_key: bool = False
) -> Violation:
    """Return the violation that a new certificate fixes."""
    fix = reissue_commands(ctx, cert, new_key=new_key)
    return Violation(cert.path, message, evidence, fix, cert.is_authority)


def signer_of(ctx: RuleContext, cert: CertificateInstance) -> Signer | None:
    """Return who has to sign *cert*; its ``days`` are None if it is about to be renewed itself."""
    issuer = ctx.issuer_of(cert)
    if issuer is None:
        return None
    issuer = _successor(ctx, issuer)
    key = _key_of(issuer)
    if key is None and any(use.key_fits is False for use in issuer.uses):
        return None  # the key in its place is another one's: openssl would refuse, or the signature would be worthless
    left = (issuer.certificate.not_after - ctx.now) // timedelta(days=1)
    renewed_first = issuer.certificate.not_after <= ctx.now + ctx.soon
    # A CA that is only embedded here is in a file elsewhere, and nothing shows where.
    crt = Path("ca.crt") if not issuer.has_file else issuer.path.absolute() if key is None else issuer.path
    position = ctx.number_of(issuer) - 1 if issuer.has_file else 0
    # The key beside a file of several CAs is that of the first.
    usual = Path("that-ca.key") if position else usual_key(crt)
    # openssl takes the first certificate of a file.
    argument = bash.literal(issuer.certificate.pem) if position else bash.unquoted(crt)
    remark = (_WHICH_KEY if position else _NO_KEY_HERE).format(key=bash.word(usual)) if issuer.has_file else _NO_CA_HERE
    return Signer(crt, key or usual, argument, None if renewed_first else left, "" if key else f"{remark}\n")


def _successor(ctx: RuleContext, issuer: CertificateInstance) -> CertificateInstance:
    """The CA of the same name and file whose key is here, while one CA takes the place of another; or *issuer*."""
    if not issuer.has_file or _key_of(issuer):
        return issuer
    beside = (cert for cert in ctx.certs_by_file.get(issuer.holder, ()) if _key_of(cert))
    return next((cert for cert in beside if cert.certificate.subject == issuer.certificate.subject), issuer)


def _key_of(authority: CertificateInstance) -> Path | None:
    usable = (use.key_path for use in authority.uses if use.key and use.key_fits is not False)
    return next((path for path in usable if path), None) if authority.has_file else None


def _key_beside(cert: CertificateInstance) -> Path | None:
    return next((use.key_path for use in cert.uses if use.key and use.key_path), None)


def _days(ctx: RuleContext, cert: CertificateInstance, limit: int | None = None) -> int:
    """Return the planned lifetime, or the usual one; more if that would count as expiring soon, but at most *limit*."""
    planned = cert.wanted.days if cert.wanted else 0
    usual = planned or (AUTHORITY_DAYS if cert.is_authority else LEAF_DAYS)
    days = max(usual, math.ceil(ctx.soon / timedelta(days=1)) + 1)
    return days if limit is None else min(days, limit)


def _scratch(cert: CertificateInstance, *parts: str) -> list[str]:
    """Return the names of the files that the commands for *cert* write first, beside its own."""
    stem = bash.unquoted(target_of(cert.path).with_suffix(""))
    return [f"{stem}.{part}.new" for part in parts]


def issued(
    ctx: RuleContext,
    cert: CertificateInstance,
    signer: Signer | None,
    *,
    new_key: bool = False,
    key: Path | None = None,
) -> str:
    """Return the commands of the lessons: an openssl.cnf, a request, a signature; then the file goes into its place.

    *signer* is None for a root CA. With *new_key* the key is generated first, for the file *key*, or where the old one
    is. Empty if nothing shows where that is.
    """
    if beside(ctx, cert) is None or (cert.embedded and (cert.use.position or cert.use.kubeconfig is None)):
        return ""  # the key of a kubeconfig is its user's, and not that of a CA in the user's chain
    key = key or cert.use.key_path
    inside = cert.embedded or placing.holds_a_key(cert.path)
    cnf, csr, crt, new = _scratch(cert, "cnf", "csr", "crt", "key")
    beside_key = f"{bash.unquoted(target_of(key))}.new" if key else ""
    own, public_key = (new if inside else beside_key) if new_key else _own_key(cert), ""
    if not own and (new_key or cert.embedded or signer is None):
        return ""
    if not own:
        # The private key is not here: a temporary one signs the request.
        own = Raw(f"<({bash.command(*commands.private_key('openssl', Key('ecdsa'), ''))})")
        public_key = Raw(f"<({bash.command('openssl', 'x509', '-in', alone(ctx, cert), '-noout', '-pubkey')})")
    spec, parts = corrections.key(cert), corrections.subject(ctx, cert)
    rsa = spec.algorithm == "rsa" if new_key else cert.certificate.public_key.algorithm.startswith("rsa")
    signing = commands.signature(
        *("openssl", csr, crt, _days(ctx, cert, signer.days if signer else None), cnf),
        key=bash.unquoted(signer.key) if signer else own,
        ca=signer.argument if signer else "",
        serial=_UNIQUE if signer else "",
        public_key=public_key,
    )
    return bash.then(
        bash.command(*commands.private_key("openssl", spec, own)) if new_key else "",
        _written(cnf, corrections.config(ctx, cert, rsa=rsa, is_signed=signer is not None)),
        bash.command(*commands.request("openssl", own, str(Subject("", given=parts)) if parts else "/", csr)),
        bash.command(*signing),
        into_place(
            *(ctx, cert, crt),
            key=own if new_key and inside else "",
            first=placing.key_into_place(key) if new_key and key and not inside else "",
        ),
        # Where the certificate stands alone, it has been moved.
        bash.command("rm", "-f", cnf, csr, crt, *([own] if new_key and inside else [])),
    )


def _written(cnf: str, lines: list[str]) -> str:
    return f"{bash.printed(lines)} > {bash.word(cnf)}"


_PLAIN_NAME = re.compile(r"[A-Za-z0-9@:._/-]+")
"""A user's name that means nothing else in kubectl's JSONPath."""


def _own_key(cert: CertificateInstance) -> str:
    """Return the private key of *cert* as a file argument; empty if it is not here."""
    use = cert.use
    if use.key is None or use.key_path is None:
        return ""
    if not use.key.embedded:
        return bash.unquoted(use.key_path)
    user = use.kubeconfig.user_name if use.kubeconfig else ""
    if not cert.embedded or not _PLAIN_NAME.fullmatch(user):
        return ""
    return Raw(f"<({bash.command(*read_command(cert.path, 'client-key', user))} | openssl base64 -d -A)")


def reissue_ca(ctx: RuleContext, cert: CertificateInstance) -> str:
    """Return the commands that renew a root CA with its key and name, and its copies: its certificates stay valid.

    openssl keeps the name byte for byte, and the serial number. Both are necessary: Go compares names by their bytes,
    and easy-rsa's certificates name the CA's serial number.
    """
    key = _key_beside(cert)
    origin = cert
    if key is None or cert.embedded:
        # Another copy may be beside the key.
        beside_key = (copy for copy in ctx.copies[cert.certificate.sha256] if _key_beside(copy) and copy.has_file)
        origin = next(beside_key, cert)
        key = _key_beside(origin) if origin.has_file else None
    mismatched = any(use.key_path == key and use.key_fits is False for use in origin.uses)
    if not origin.has_file or mismatched or beside(ctx, origin) is None:
        return ""
    key_path = key or usual_key(origin.path)
    remark = "" if key else f"{_NO_KEY_HERE.format(key=bash.word(key_path))}\n"
    usage = cert.certificate.key_usage
    good = cert.certificate.ca and (usage is None or "keyCertSign" in usage) and cert.certificate.version > 1
    cnf, crt = _scratch(origin, "cnf", "crt")
    signing = commands.signature_again(
        *("openssl", alone(ctx, origin), bash.unquoted(key_path), crt, _days(ctx, cert)), cnf="" if good else cnf
    )
    made = bash.then(
        "" if good else _written(cnf, corrections.config(ctx, cert, is_signed=False)),
        bash.command(*signing),
        into_place(ctx, origin, crt),
        bash.command("rm", "-f", crt, *([] if good else [cnf])),
        *copied(ctx, origin),
    )
    return f"{remark}{made}"


def copied(ctx: RuleContext, origin: CertificateInstance) -> list[str]:
    """Return the commands that copy a changed CA to every other file that contains it."""
    places = [copy for copy in ctx.copies[origin.certificate.sha256] if copy.path != origin.path and not copy.live]
    source = bash.unquoted(target_of(origin.path))
    if ctx.has_siblings(origin):
        if ctx.number_of(origin) != 1:
            return []
        # Its own file holds others as well: openssl reads the first, and puts nothing else out.
        source = Raw(f"<({bash.command('openssl', 'x509', '-in', source)})")
    return [into_place(ctx, copy, source, program="cp") for copy in places]


def replace_ca(ctx: RuleContext, cert: CertificateInstance, *, new_key: bool = True) -> str:
    """Return the commands for a root CA with a new key, or with its own, and for all that the old one signed."""
    key = _key_beside(cert)
    made = issued(ctx, cert, None, new_key=new_key) if cert.has_file else ""
    if key is None or not made:
        return ""
    others = {_key_beside(copy) for copy in ctx.copies[cert.certificate.sha256]} - {key, None}
    signer = Signer(cert.path, key, bash.unquoted(cert.path))
    signed = (
        leaf
        for leaf in ctx.leaves
        if (issuer := ctx.issuer_of(leaf)) and issuer.certificate.sha256 == cert.certificate.sha256
        if not leaf.live
    )
    return bash.then(
        made,
        *copied(ctx, cert),
        *(bash.command("cp", key, other) for other in sorted(filter(None, others))),
        *(issued(ctx, leaf, signer) for leaf in signed),
    )
