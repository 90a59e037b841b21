"""Fixes: the commands that replace a certificate by a correct one.

One certificate has one fix, whatever is wrong with it: it is re-created with every correction that is known, so that
the fix of one fault never brings back another. Everything runs in bash with openssl, kubectl, cp, mv and chmod; a new
file is put into place only once it is complete, and a new key together with its certificate. Each command depends on
the one before it (``&&``): pasted into a terminal, nothing runs after a failure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kcert.certificates import Role
from kcert.check import bash, corrections, placing
from kcert.check.placing import alone, beside, generated, into_place, mode_of, target_of, usual_key, with_others
from kcert.check.rule import CertificateInstance, RuleContext, Violation

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


@dataclass(frozen=True)
class Signer:
    """The CA that has to sign, and whether its key was found; ``position`` is its place in the file *crt*."""

    crt: Path
    key: Path
    key_is_here: bool
    days: int | None
    position: int = 0
    pem: str = ""

    @property
    def argument(self) -> str:
        """Its certificate as an argument: openssl takes the first of a file, and this may be another."""
        return bash.literal(self.pem) if self.position else bash.word(self.crt)


def reissue_commands(ctx: RuleContext, cert: CertificateInstance, *, new_key: bool = False) -> str:
    """Return the commands that re-create *cert* with all corrections; with *new_key*, with a new key as well.

    Empty if it cannot be re-created from here: it is on a live server, or no CA is known.
    """
    if cert.live:
        return ""
    if cert.made_by_kubelet:
        files = [cert.path, *([cert.use.key_path] if cert.use.key_path else [])]
        return f"rm {' '.join(map(bash.word, dict.fromkeys(files)))}\n{_THE_KUBELETS_OWN}"
    if cert.is_authority and cert.certificate.self_issued:
        return replace_ca(ctx, cert) if new_key else reissue_ca(ctx, cert)
    signer = signer_of(ctx, cert)
    if signer is None or beside(ctx, cert) is None:
        return ""
    made = _leaf(ctx, cert, signer, new_key=new_key)
    if new_key and Role.SERVICE_ACCOUNT in cert.roles:
        made = f"{TOKENS_END}\n{made}"
    if cert.is_authority and not cert.embedded:
        # A CA that another one signed goes along in the chains of those that it signed.
        made = bash.one_after_the_other([made, *copied(ctx, cert)])
    return _with_place(signer, made)


def _with_place(signer: Signer, made: str) -> str:
    """Return *made* with a comment on where to run it, if the CA's key is not here."""
    if signer.key_is_here:
        return made
    if not signer.crt.is_absolute():
        return f"{_NO_CA_HERE}\n{made}"
    remark = (_WHICH_KEY if signer.position else _NO_KEY_HERE).format(key=bash.word(signer.key))
    return f"{remark}\n{made}"


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
    crt = Path("ca.crt") if issuer.embedded else issuer.path.absolute() if key is None else issuer.path
    position = 0 if issuer.embedded else ctx.number_of(issuer) - 1
    # The key beside a file of several CAs is that of the first.
    usual = Path("that-ca.key") if position else usual_key(crt)
    return Signer(crt, key or usual, key is not None, None if renewed_first else left, position, issuer.certificate.pem)


def _successor(ctx: RuleContext, issuer: CertificateInstance) -> CertificateInstance:
    """The CA of the same name and file whose key is here, while one CA takes the place of another; or *issuer*."""
    if issuer.embedded or _key_of(issuer):
        return issuer
    beside = (cert for cert in ctx.certs_by_file.get(issuer.holder, ()) if _key_of(cert))
    return next((cert for cert in beside if cert.certificate.subject == issuer.certificate.subject), issuer)


def _key_of(authority: CertificateInstance) -> Path | None:
    usable = (use.key_path for use in authority.uses if use.key and use.key_fits is not False)
    return None if authority.embedded else next((path for path in usable if path), None)


def _key_beside(cert: CertificateInstance) -> Path | None:
    return next((use.key_path for use in cert.uses if use.key and use.key_path), None)


def _days(ctx: RuleContext, usual: int, limit: int | None) -> int:
    """Return the usual lifetime, or more if that would count as expiring soon, but no more than the CA has left."""
    wanted = max(usual, math.ceil(ctx.soon / timedelta(days=1)) + 1)
    return wanted if limit is None else min(wanted, limit)


def _leaf(ctx: RuleContext, cert: CertificateInstance, signer: Signer, *, new_key: bool) -> str:
    if cert.embedded:
        return _in_kubeconfig(ctx, cert, signer, new_key=new_key)
    use = cert.use
    crt = bash.word(target_of(cert.path))
    if use.key is None or use.key_path is None or use.key.embedded:
        # The private key is not here: a temporary one signs the request.
        throwaway = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null"
        request = f"openssl req -new {throwaway} -subj {bash.subject(cert.certificate.subject.parts)}"
        same_key = f" \\\n    -force_pubkey <(openssl x509 -in {alone(ctx, cert)} -noout -pubkey)"
        return _issue(ctx, cert, signer, request=request, crt=crt, more=same_key)
    key = bash.word(use.key_path)
    if placing.holds_a_key(cert.path):
        return _in_one_file(ctx, cert, signer, new_key=new_key)
    if new_key:
        return _with_new_key(ctx, cert, signer, use.key_path)
    return _issue(ctx, cert, signer, request=f"openssl req -new -key {key} {_subject(ctx, cert)}", crt=crt)


def with_key_at(ctx: RuleContext, cert: CertificateInstance, key: Path) -> str:
    """Return the commands for a new key at *key*, which is gone, and a new certificate for it."""
    signer = signer_of(ctx, cert)
    if signer is None or cert.live or cert.embedded:
        return ""
    return _with_place(signer, _with_new_key(ctx, cert, signer, key))


def _with_new_key(ctx: RuleContext, cert: CertificateInstance, signer: Signer, key: Path) -> str:
    """A new key for *key*, and the certificate for it: neither is put into place before the CA has signed."""
    new = f"{bash.word(target_of(key))}.new"
    request = f"openssl req -new -key {new} {_subject(ctx, cert)}"
    made = _issue(ctx, cert, signer, request=request, crt=bash.word(target_of(cert.path)), key=key)
    return f"{generated(cert.certificate.public_key, new)} &&\n{made}"


def _issue(
    ctx: RuleContext,
    cert: CertificateInstance,
    signer: Signer,
    *,
    request: str,
    crt: str,
    more: str = "",
    key: Path | None = None,
) -> str:
    """The three commands of the lessons: an openssl.cnf, a request, a signature; then the file goes into its place."""
    stem = bash.word(target_of(cert.path).with_suffix(""))
    cnf, csr = f"{stem}.cnf.new", f"{stem}.csr.new"
    settings = bash.printed(["[v3_ext]", *corrections.extensions(ctx, cert)])
    signing = _signing(ctx, cert, signer, more=more, extensions=f"-extfile {cnf} -extensions v3_ext")
    return (
        f"{settings} > {cnf} &&\n{request} -out {csr} &&\n"
        f"{signing} \\\n    -in {csr} -out {crt}.new &&\n"
        f"{into_place(ctx, cert, crt, key)} && rm {cnf} {csr}"
    )


def _signing(
    ctx: RuleContext, cert: CertificateInstance, signer: Signer, *, more: str = "", extensions: str = ""
) -> str:
    days = _days(ctx, LEAF_DAYS, signer.days)
    return (
        f"openssl x509 -req -CA {signer.argument} -CAkey {bash.word(signer.key)} \\\n"
        f'    -set_serial "0x$(openssl rand -hex 16)" -days {days} -sha256{more} \\\n'
        f"    {extensions or f'-extfile {bash.lines(corrections.extensions(ctx, cert))}'}"
    )


def _subject(ctx: RuleContext, cert: CertificateInstance) -> str:
    parts = corrections.subject(ctx, cert)
    utf8 = "" if all(value.isascii() for _, value in parts) else "-utf8 "
    return f"{utf8}-subj {bash.subject(parts)}"


def _in_one_file(ctx: RuleContext, cert: CertificateInstance, signer: Signer, *, new_key: bool) -> str:
    """For a file that holds certificate and key, as a kubelet's ``kubelet-client-current.pem``."""
    file = bash.word(target_of(cert.path))
    key = f"$({generated(cert.certificate.public_key)})" if new_key else f"$(openssl pkey -in {file})"
    request = f"openssl req -new -key <(printf '%s\\n' \"$key\") {_subject(ctx, cert)}"
    before, after = beside(ctx, cert) or ([], [])
    rest = f"; {bash.joined(bash.literal(*before, *after))}" if ctx.has_siblings(cert) else ""
    return (
        f'key="{key}" &&\n'
        f'crt="$({request} |\n  {_signing(ctx, cert, signer)})" &&\n'
        f'(umask 077; (printf \'%s\\n\' "$crt" "$key"{rest}) > {file}.new) &&\n  mv {file}.new {file}'
    )


_PLAIN_NAME = re.compile(r"[A-Za-z0-9@:._/-]+")
"""A user's name that means nothing else in kubectl's JSONPath."""


def _in_kubeconfig(ctx: RuleContext, cert: CertificateInstance, signer: Signer, *, new_key: bool) -> str:
    """Return the commands that re-create an embedded certificate for its key; kubectl writes both into the file."""
    use = cert.use
    user = use.kubeconfig.user_name if use.kubeconfig else ""
    has_key = new_key or (use.key is not None and use.key.embedded)
    if not _PLAIN_NAME.fullmatch(user) or not has_key or use.position:
        return ""  # the key beside it is the user's, and not that of a CA in the user's chain
    query = bash.word(f'jsonpath={{.users[?(@.name=="{user}")].user.client-key-data}}')
    view = bash.kubectl_config(cert.path, "view", "--raw", f"\\\n  -o {query}")
    content = f"{view} |\n  openssl base64 -d -A"
    make = generated(cert.certificate.public_key) if new_key else content
    request = f"openssl req -new -key <(printf '%s\\n' \"$key\") \\\n    {_subject(ctx, cert)}"
    files = {"client_certificate": with_others(ctx, cert, _CRT)}
    if new_key:
        files["client_key"] = "printf '%s\\n' \"$key\""
    return (
        f'key="$({make})" &&\n'
        f'crt="$({request} |\n  {_signing(ctx, cert, signer)})" &&\n'
        f"  {bash.embedded(cert.path, 'set-credentials', bash.word(user), **files)}"
    )


_CRT = "<(printf '%s\\n' \"$crt\")"


def reissue_ca(ctx: RuleContext, cert: CertificateInstance) -> str:
    """Return the commands that renew a root CA with its key and name, and its copies: its certificates stay valid.

    openssl keeps the name byte for byte, and the serial number. Both are necessary: Go compares names by their bytes,
    and easy-rsa's certificates name the CA's serial number.
    """
    key = _key_beside(cert)
    origin = cert
    if key is None or cert.embedded:
        # Another copy may be beside the key.
        beside_key = (copy for copy in ctx.copies[cert.certificate.sha256] if _key_beside(copy) and not copy.embedded)
        origin = next(beside_key, cert)
        key = None if origin.embedded else _key_beside(origin)
    mismatched = any(use.key_path == key and use.key_fits is False for use in origin.uses)
    if origin.embedded or origin.live or mismatched or beside(ctx, origin) is None:
        return ""
    crt = bash.word(target_of(origin.path))
    key_path = key or usual_key(origin.path)
    remark = "" if key else _NO_KEY_HERE.format(key=bash.word(key_path)) + "\n"
    usage = cert.certificate.key_usage
    good = cert.certificate.ca and (usage is None or "keyCertSign" in usage) and cert.certificate.version > 1
    options = "" if good else f" \\\n    -clrext -extfile {bash.lines(corrections.AUTHORITY)}"
    days = _days(ctx, AUTHORITY_DAYS, None)
    made = (
        f"openssl x509 -in {alone(ctx, origin)} -signkey {bash.word(key_path)} -days {days} -sha256{options} \\\n"
        f"    -out {crt}.new &&\n  {into_place(ctx, origin, crt)}"
    )
    return remark + bash.one_after_the_other([made, *copied(ctx, origin)])


def copied(ctx: RuleContext, origin: CertificateInstance) -> list[str]:
    """Return the commands that copy a changed CA to every other file that contains it."""
    places = [copy for copy in ctx.copies[origin.certificate.sha256] if copy.path != origin.path and not copy.live]
    source = bash.word(target_of(origin.path))
    if ctx.has_siblings(origin):
        if ctx.number_of(origin) != 1:
            return []
        # Its own file holds others as well: openssl reads the first, and puts nothing else out.
        source = f"<(openssl x509 -in {source})"
    return [command for copy in places if (command := copied_to(ctx, copy, source))]


def copied_to(ctx: RuleContext, copy: CertificateInstance, source: str) -> str:
    """Return the command that puts the certificate in the file *source* in place of *copy*, alone or among others."""
    if beside(ctx, copy) is None:
        return ""
    file = bash.word(copy.path)
    if not copy.embedded:
        if not ctx.has_siblings(copy):
            return f"cp {source} {file}" if not source.startswith("<") else f"cat {source} > {file}"
        changed = with_others(ctx, copy, source)
        return (
            f"(umask 077; {changed} > {file}.new) &&\n  chmod {mode_of(copy.path)} {file}.new && mv {file}.new {file}"
        )
    option, kubeconfig = copy.use.option or "", copy.use.kubeconfig
    if kubeconfig is None:
        return ""
    content = with_others(ctx, copy, source)
    if option.startswith("certificate-authority"):
        cluster = bash.word(kubeconfig.cluster)
        return bash.embedded(copy.path, "set-cluster", cluster, certificate_authority=content)
    return bash.embedded(copy.path, "set-credentials", bash.word(kubeconfig.user_name), client_certificate=content)


def self_signed(key: str, subject: str, days: int, crt: str) -> str:
    """Return the command that makes a root CA for an existing key in *crt*.new; all words are quoted already."""
    return (
        f"openssl req -new -key {key} -subj {subject} |\n"
        f"  openssl x509 -req -signkey {key} -days {days} -sha256 \\\n"
        f"    -extfile {bash.lines(corrections.AUTHORITY)} \\\n"
        f"    -out {crt}.new"
    )


def replace_ca(ctx: RuleContext, cert: CertificateInstance, *, new_key: bool = True) -> str:
    """Return the commands for a root CA with a new key, or with its own, and for all that the old one signed."""
    key = _key_beside(cert)
    if key is None or cert.embedded or cert.live or beside(ctx, cert) is None:
        return ""
    crt, key_word = bash.word(target_of(cert.path)), bash.word(key)
    days = _days(ctx, AUTHORITY_DAYS, None)
    subject = bash.subject(cert.certificate.subject.parts)
    own = f"{bash.word(target_of(key))}.new" if new_key else key_word
    commands = [generated(cert.certificate.public_key, own)] if new_key else []
    commands += [
        f"{self_signed(own, subject, days, crt)} &&\n  {into_place(ctx, cert, crt, key if new_key else None)}",
        *copied(ctx, cert),
    ]
    for copy in ctx.copies[cert.certificate.sha256]:
        other = _key_beside(copy)
        if other is not None and other != key:
            commands.append(f"cp {key_word} {bash.word(other)}")
    signed = Signer(cert.path, key, key_is_here=True, days=None)
    for leaf in ctx.leaves:
        issuer = ctx.issuer_of(leaf)
        if issuer is not None and issuer.certificate.sha256 == cert.certificate.sha256 and not leaf.live:
            commands.append(_leaf(ctx, leaf, signed, new_key=False))
    return bash.one_after_the_other(commands)
