"""Rules about files: a file that an option or kubeconfig names must exist and have the content that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kcert.check import bash, corrections, forms, placing
from kcert.check.options import meant
from kcert.check.placing import (
    as_written,
    converted,
    options_changed,
    reencoded,
    set_aside,
)
from kcert.check.recreate import recreated
from kcert.check.rule import RuleContext, Violation, error
from kcert.files import mistyped
from kcert.openssl.pem import pem_blocks
from kcert.openssl.program import key_belongs, public_part
from kcert.openssl.reader import read_certificate
from kcert.openssl.x509 import X509
from kcert.quoting import format_command
from kcert.roles import CA_ROLES, ROLES
from kcert.scan import Problem
from kcert.scan.files import look_into
from kcert.scan.fs import lexists, read_bytes
from kcert.scan.layouts import COMPONENT_NAMES, KUBEADM, KUBEADM_ETCD, key_option, possible_keys
from kcert.store import OWN_FOLDER

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
        fix = _linked_again(problem) or recreated(ctx, problem) or set_aside(ctx, problem)
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
        fix = "" if spec.kind.is_server else recreated(ctx, problem)
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
        if public := _public_key_in_place_of(ctx, problem):
            message = (
                f"{problem.path} contains the public key, and {public} the private key that belongs to it: the two "
                "files are swapped."
            )
            fix = placing.exchanged(public, problem.path, secret=True)
            yield Violation(problem.path, message, f"{public} contains a private key", fix)
            continue
        what = problem.expects if problem.expects in ("key", "kubeconfig", "configuration") else "certificate"
        reason = problem.reason
        where = f"{problem.path}: {reason}" if reason.startswith("the block") else f"{problem.path} {reason}"
        message = f"{where}. No component can read the {what} in it."
        fix = converted(ctx, problem) or reencoded(ctx, problem) or recreated(ctx, problem) or set_aside(ctx, problem)
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
        option = key_option(crt.option)
        for key in keys:
            named = (key.source, key.option) == (crt.source, option) if option else key.path in possible_keys(crt.path)
            if named and _are_swapped(crt.path, key.path):
                yield crt.path, key.path


def _public_key_in_place_of(ctx: RuleContext, problem: Problem) -> Path | None:
    """Return the file for a public key that contains the private key that *problem* misses; None if there is none."""
    parts = [public_part(block) for block in pem_blocks(read_bytes(problem.path)) if block.is_public_key]
    if problem.expects != "key" or problem.path.suffix == ".pub" or len(parts) != 1 or parts[0] is None:
        return None
    public = [key.path for key in ctx.scan.public_keys.values()]
    beside = [path for path in (*public, problem.path.with_suffix(".pub")) if path in ctx.scan.keys]
    return next((path for path in beside if key_belongs(ctx.scan.keys[path].pem, parts[0])), None)


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


def _linked_again(problem: Problem) -> str:
    """Link the newest certificate that a kubelet keeps, where only the link to it is missing; empty if there is none.

    Source: pkg/kubelet's certificate_store.go names the files kubelet-client-DATE.pem and kubelet-client-current.pem.
    """
    if not problem.path.name.endswith("-current.pem"):
        return ""
    dated = problem.path.parent.glob(problem.path.name.replace("-current.", "-[0-9]*."))
    whole = [path for path in dated if (inside := look_into(path)).certificates and inside.key]
    return bash.command("ln", "-sf", max(whole).name, problem.path) if whole else ""


RULES = (
    error("missing-file", missing_file),
    error("unreadable", unreadable),
    error("second-manifest", second_manifest, restarts=False),
)
