"""Rules about files: a file that an option or kubeconfig names must exist and have the content that it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kcert.certificates import Key, Role
from kcert.check import bash, corrections, forms, placing, repairs
from kcert.check.options import meant
from kcert.check.placing import (
    MOST_BESIDE,
    NOT_FOR_KUBECTL,
    as_written,
    converted,
    field_replaced,
    options_changed,
    reencoded,
    set_aside,
    written_into_kubeconfig,
)
from kcert.check.rule import CertificateInstance, RuleContext, Violation, error
from kcert.files import mistyped
from kcert.openssl import commands
from kcert.openssl.program import key_belongs
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import Raw, format_command
from kcert.roles import CA_ROLES, ROLES
from kcert.scan import KeyFile, Problem
from kcert.scan.files import look_into
from kcert.scan.fs import lexists
from kcert.scan.layouts import COMPONENT_NAMES, FILE_OPTIONS, KUBEADM, KUBEADM_ETCD, possible_keys
from kcert.store import OWN_FOLDER

_SIGNING = "--cluster-signing-cert-file"
"""The option for a CA's certificate that takes a single one."""

_READERS_FAIL = "any component that reads it fails to start"


def missing_file(ctx: RuleContext) -> Iterator[Violation]:
    """Yield files that an option, a kubeconfig or a link names but that do not exist."""
    for problem in _once(ctx, "missing", "dangling"):
        named = f", which {problem.option} of {problem.source} names," if problem.source else ""
        likely = _mistyped(problem) or meant(ctx, problem)
        fix = _option_set(ctx, problem, likely) if likely else ""
        if likely is not None and problem.source is not None and (fix or likely.parent == problem.path.parent):
            beside = f"{likely.name} is in the same folder"
            message = (
                f"{problem.option} of {problem.source} names {problem.path}, which does not exist; "
                f"{beside if likely.parent == problem.path.parent else f'the file for it is {likely}'}."
            )
            yield Violation(problem.source, message, f"{problem.path}: {problem.reason}", fix)
            continue
        fails = f"{problem.component} does not start" if problem.component else _READERS_FAIL
        message = f"{problem.path}{named} does not exist: {fails}."
        fix = _linked_again(problem) or _made(ctx, problem) or set_aside(ctx, problem)
        yield Violation(problem.path, message, f"{problem.path}: {problem.reason}", fix, _is_authority(ctx, problem))
    yield from key_without_certificate(ctx)


def key_without_certificate(ctx: RuleContext) -> Iterator[Violation]:
    """Yield keys of components whose certificate is missing."""
    for key in ctx.scan.keys.values():
        crt = key.path.with_suffix(".crt") if key.path.suffix == ".key" else None
        if crt is None or key.option or key.embedded or key.path.stem not in COMPONENT_NAMES:
            continue
        if lexists(crt.with_name(OWN_FOLDER)):
            continue  # kcert keeps requests there that wait for their certificates
        beside = (key.path.with_suffix(ending) for ending in (".crt", ".pem", ".cer", ".cert", ".pub"))
        if any(map(lexists, beside)) or any(use.key_path == key.path for use in ctx.scan.uses):
            continue
        problem = Problem(crt, "missing", "does not exist")
        role = corrections.role_of(ctx, problem)
        siblings = any(use.path.parent == crt.parent for use in ctx.scan.uses)
        if role is None or not siblings or any(key_belongs(key.pem, cert.certificate.public_key) for cert in ctx.found):
            continue
        spec = ROLES[role]
        message = f"{key.path} has no certificate beside it: {spec.component} cannot start without {crt.name}."
        # The SANs of a server's certificate are unknown.
        fix = "" if spec.kind.is_server else _made(ctx, problem)
        yield Violation(key.path, message, f"{crt}: does not exist", fix)


def unreadable(ctx: RuleContext) -> Iterator[Violation]:
    """Yield files that Kubernetes cannot read."""
    swapped = dict(_key_in_place_of_certificate(ctx))
    for crt, key in swapped.items():
        message = (
            f"{crt} contains the private key, and {key} the certificate that belongs to it: the two files are swapped."
        )
        fix = placing.exchanged(crt, key, secret=True)
        yield Violation(crt, message, f"{key} contains a certificate", fix, alone=True)
    for problem in _once(ctx, "unreadable", "special"):
        if problem.path in (*swapped, *swapped.values()):
            continue
        what = problem.expects if problem.expects in ("key", "kubeconfig", "configuration") else "certificate"
        reason = problem.reason
        where = f"{problem.path}: {reason}" if reason.startswith("the block") else f"{problem.path} {reason}"
        message = f"{where}. No component can read the {what} in it."
        fix = converted(ctx, problem) or reencoded(ctx, problem) or _made(ctx, problem) or set_aside(ctx, problem)
        if not fix and (known := placing.format_of(ctx, problem)):
            opens = " && ".join(format_command(argv) for argv in known.commands if "-nocerts" not in argv)
            message = f"{problem.path} is not PEM: its format is {known.name}. `{opens}` opens it."
        yield Violation(problem.path, message, f"{problem.path}: {reason}", fix, _is_authority(ctx, problem))
    yield from forms.refused_certificates(ctx)
    yield from forms.encrypted_keys(ctx)


def _key_in_place_of_certificate(ctx: RuleContext) -> Iterator[tuple[Path, Path]]:
    """Yield files for a certificate and for its key of which each contains what belongs in the other."""
    damaged = [problem for problem in ctx.scan.problems if problem.what == "unreadable"]
    loose = [problem for problem in damaged if problem.path != problem.source]
    keys = [problem for problem in loose if problem.expects == "key"]
    for crt in (problem for problem in loose if problem.expects == "certificate"):
        option = _key_option(crt.option)
        for key in keys:
            named = (key.source, key.option) == (crt.source, option) if option else key.path in possible_keys(crt.path)
            if named and _are_swapped(crt.path, key.path):
                yield crt.path, key.path


def _are_swapped(crt: Path, key: Path) -> bool:
    """Return True if *crt* contains a key alone, and *key* the certificate that belongs to it alone."""
    first, second = look_into(crt), look_into(key)
    if not (first.key and second.certificates) or first.certificates or second.key:
        return False
    x509 = read_certificate(second.certificates[0])
    return isinstance(x509, X509) and key_belongs(first.key, x509.public_key) is True


def second_manifest(ctx: RuleContext) -> Iterator[Violation]:
    """Yield second manifests of a static pod: the kubelet starts every file of its folder, whatever its name."""
    for problem in ctx.scan.problems:
        if problem.what != "second manifest" or problem.source is None:
            continue
        message = (
            f"{problem.path} starts {problem.component} a second time. The kubelet starts every file in this folder "
            f"that does not begin with a dot, whatever its name: this copy competes with {problem.source.name}. Move "
            "it out of the folder."
        )
        path, folder = problem.path, problem.path.parent.parent
        target = folder / path.name
        fix = "" if lexists(target) else bash.command("mv", "-n", path, target)
        yield Violation(path, message, f"{path} {problem.reason}", fix)


def _once(ctx: RuleContext, *kinds: str) -> Iterator[Problem]:
    seen: set[tuple[Path, str | None]] = set()
    for problem in ctx.scan.problems:
        part = problem.option if problem.path == problem.source else None
        if problem.what in kinds and problem.expects not in ("folder", "server") and (problem.path, part) not in seen:
            seen.add((problem.path, part))
            yield problem


def _is_authority(ctx: RuleContext, problem: Problem) -> bool:
    return problem.expects == "certificate" and corrections.role_of(ctx, problem) in CA_ROLES


def _mistyped(problem: Problem) -> Path | None:
    if problem.source is None or problem.what != "missing":
        return None
    known = {*KUBEADM, *KUBEADM_ETCD, "sa"}
    folder = problem.path.parent
    if folder.name in ("pki", "etcd") and problem.path.stem in known:
        return None
    likely = mistyped(problem.path)
    return likely if likely is not None and _holds_what(problem, likely) else None


def _holds_what(problem: Problem, likely: Path) -> bool:
    """True if *likely* holds what *problem* misses: a key is never the certificate that was meant."""
    inside = look_into(likely)
    if problem.expects == "certificate":
        return bool(inside.certificates)
    return inside.key is not None and not inside.certificates if problem.expects == "key" else True


def _option_set(ctx: RuleContext, problem: Problem, likely: Path) -> str:
    if problem.source is None or problem.option is None:
        return ""
    own = (configuration for configuration in ctx.scan.configurations if configuration.source == problem.source)
    written = next((other.options[problem.option] for other in own if problem.option in other.options), None)
    if written is None:
        # In a kubeconfig the name may be written relative to its folder.
        values = placing.values(problem.source, problem.option)
        written = next((value for value in values if str(problem.path).endswith(f"/{value.lstrip('./')}")), None)
    name = problem.path.name
    if written is None or not written.endswith(name):
        return ""
    same_folder = likely.parent == problem.path.parent
    new = f"{written.removesuffix(name)}{likely.name}" if same_folder else as_written(written, problem.path, likely)
    return options_changed(problem.source, (problem.option, written, new))


def _made(ctx: RuleContext, problem: Problem) -> str:
    if problem.expects == "key":
        return _key_made(ctx, problem)
    if problem.expects != "certificate":
        return ""
    role = corrections.role_of(ctx, problem)
    blocks = [] if problem.path == problem.source else placing.certificate_blocks(problem.path)
    damaged = [block.fault is not None for block in blocks]
    if any(damaged) and not damaged[0]:
        return ""  # the first is whole, and nothing shows which CA followed it
    if role in CA_ROLES:
        return _authority_made(ctx, problem, role, [block.pem for block in blocks[1:]] if any(damaged) else [])
    key = _key_for(ctx, problem)
    cert = corrections.expected_certificate(ctx, problem, role, key)
    if cert is None:
        return ""
    if key is None:
        named = _named_keys(ctx, problem)
        return repairs.reissue_commands(ctx, cert, new_key=True, key=named[0]) if named else ""
    made = repairs.reissue_commands(ctx, cert)
    if made and problem.path == problem.source and problem.reason.endswith(NOT_FOR_KUBECTL):
        # kubectl loads the file again once the field is empty.
        emptied = field_replaced(problem, '""')
        return bash.then(emptied, made) if emptied else ""
    return made


def _linked_again(problem: Problem) -> str:
    """Link the newest certificate that a kubelet keeps, where only the link to it is missing; empty if there is none.

    Source: pkg/kubelet's certificate_store.go names the files kubelet-client-DATE.pem and kubelet-client-current.pem.
    """
    if not problem.path.name.endswith("-current.pem"):
        return ""
    dated = problem.path.parent.glob(problem.path.name.replace("-current.", "-[0-9]*."))
    whole = [path for path in dated if (inside := look_into(path)).certificates and inside.key]
    return bash.command("ln", "-sf", max(whole).name, problem.path) if whole else ""


def _key_for(ctx: RuleContext, problem: Problem) -> KeyFile | None:
    """The key that belongs to a certificate: the one its component names, or the one beside it."""
    keys = ctx.scan.keys
    if problem.path == problem.source:
        return keys.get(problem.path)
    for path in _named_keys(ctx, problem):
        if path in keys:
            return keys[path]
    for kubeconfig in ctx.scan.kubeconfigs:
        if kubeconfig.path == problem.source and kubeconfig.key_path in keys:
            return keys[kubeconfig.key_path]
    return next((keys[path] for path in possible_keys(problem.path) if path in keys and path != problem.path), None)


def _key_option(option: str | None) -> str:
    """Return the option for the key that belongs to the certificate in *option*; empty if there is none."""
    return next((known[option].key or "" for known in FILE_OPTIONS.values() if option in known), "")


def _named_keys(ctx: RuleContext, problem: Problem) -> list[Path]:
    """Return the keys that configurations name beside the missing certificate."""
    own = (configuration for configuration in ctx.scan.configurations if configuration.source == problem.source)
    keys = (configuration.resolved.get(_key_option(problem.option)) for configuration in own)
    return [key for key in keys if key is not None]


def _key_made(ctx: RuleContext, problem: Problem) -> str:
    path = problem.path
    if path == problem.source:
        owner = next((cert for cert in ctx.leaves if cert.path == path and cert.embedded), None)
        return repairs.reissue_commands(ctx, owner, new_key=True) if owner else ""
    private = path.with_suffix(".key")
    if path.suffix == ".pub":
        argv = commands.public_key("openssl", bash.unquoted(private), bash.unquoted(path))
        return bash.command(*argv) if private.is_file() else ""
    owners = [cert for cert in ctx.found if any(use.key_path == path for use in cert.uses)]
    owners += [
        cert for cert in ctx.found if not cert.embedded and cert not in owners and path in possible_keys(cert.path)
    ]
    if not owners:
        return _made_with_its_certificate(ctx, problem) or _signing_key_made(path)
    if owners[0].is_authority:
        return ""
    return repairs.reissue_commands(ctx, owners[0], new_key=True, key=path)


def _made_with_its_certificate(ctx: RuleContext, problem: Problem) -> str:
    """Point to the repair of the certificate, if it is missing as well: that repair makes the key first."""
    for other in ctx.scan.problems:
        names_both = other.source is not None and (other.source, other.component) == (problem.source, problem.component)
        if names_both and other.expects == "certificate" and _key_option(other.option) == problem.option:
            return f"# The repair of {bash.word(other.path)} makes this key as well." if _made(ctx, other) else ""
    return ""


def _signing_key_made(path: Path) -> str:
    """Return the commands for a new service account key; tokens that the old key signed become invalid."""
    if path.stem not in ("sa", "service-account", "service-accounts"):
        return ""
    new, public = f"{bash.unquoted(placing.target_of(path))}.new", path.with_suffix(".pub")
    made = [bash.command(*commands.private_key("openssl", Key(), new)), placing.key_into_place(path)]
    if public.exists():
        new_public = f"{bash.unquoted(public)}.new"
        made.insert(1, bash.command(*commands.public_key("openssl", new, new_public)))
        made.append(bash.command("mv", new_public, public))
    return f"{repairs.TOKENS_END}\n{bash.then(*made)}"


def _authority_made(ctx: RuleContext, problem: Problem, role: Role | None, behind: list[str]) -> str:
    """Copy the CA if another file has it; else re-create it with its key and the issuer name of its certificates.

    *behind* are the certificates (PEM) that follow a damaged one in the file.
    """
    right = ctx.owners.near(problem.source or problem.path).get(role) if role else None
    origin = _origin(ctx, problem, right) if right else None
    if problem.path == problem.source:
        return written_into_kubeconfig(ctx, problem, [origin.certificate.pem]) if origin is not None else ""
    if origin is not None and behind:
        whole = bash.joined(bash.literal(origin.certificate.pem, *behind))
        return placing.rewritten(problem.path, whole) if len(behind) <= MOST_BESIDE else ""
    if origin is not None:
        source = _copied(ctx, problem, origin) if origin.has_file else bash.literal(origin.certificate.pem)
        if isinstance(source, Raw):
            return placing.rewritten(problem.path, bash.joined(source))
        return bash.command("cp", source, problem.path)
    key = next((key for key in ctx.scan.keys.values() if key.path in possible_keys(problem.path)), None)
    names = Counter(
        cert.certificate.issuer
        for cert in ctx.leaves
        if not cert.certificate.self_signed and cert.path.parent == problem.path.parent
    )
    if key is None or not names:
        return ""
    cert = corrections.expected_certificate(ctx, problem, role, key, names.most_common(1)[0][0])
    return repairs.issued(ctx, cert, None) if cert else ""


def _origin(ctx: RuleContext, problem: Problem, right: X509) -> CertificateInstance | None:
    """Return where to copy the CA *right* from: preferably a file of the same name, with all certificates of the CA.

    During a CA rotation, a CA's file contains the new and the old certificate, which have the same name, and the file
    beside it contains only the new one.
    """
    places = ctx.copies.get(right.sha256, ())
    company = [other for cert in places for other in ctx.certs_by_file[cert.holder] if _is_named_as(right, other)]
    generations = dict.fromkeys(cert.certificate.sha256 for cert in company)
    return min(
        (
            cert
            for sha256 in generations
            for cert in ctx.copies[sha256]
            if cert.path != problem.path or problem.path == problem.source
        ),
        key=lambda cert: (
            not cert.has_file,
            cert.path.name != problem.path.name,
            -sum(_is_named_as(right, other) for other in ctx.certs_by_file[cert.holder]),
            cert.use.position,
        ),
        default=None,
    )


def _copied(ctx: RuleContext, problem: Problem, origin: CertificateInstance) -> str:
    """Return what to copy: the whole file if it contains only the CA (or two during a rotation), else only the CA.

    A file of the same name is copied whole, whatever CAs it contains. kube-controller-manager needs a file with one CA.
    """
    company = ctx.certs_by_file[origin.holder]
    if not all(cert.is_authority for cert in company):
        return placing.alone(ctx, origin)
    one_name = all(_is_named_as(origin.certificate, cert) for cert in company)
    if origin.path.name == problem.path.name or (one_name and problem.option != _SIGNING):
        return bash.unquoted(origin.path)
    return placing.alone(ctx, origin)


def _is_named_as(authority: X509, cert: CertificateInstance) -> bool:
    return cert.is_authority and cert.certificate.subject == authority.subject


RULES = (
    error("missing-file", missing_file),
    error("unreadable", unreadable),
    error("second-manifest", second_manifest, restarts=False),
)
