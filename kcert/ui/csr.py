"""What `kcert csr` says: the command that runs, what it answered, and what that means."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.certificates import Kind
from kcert.check.dates import ends_late
from kcert.durations import in_words
from kcert.kubernetes import csr_requests, signers
from kcert.kubernetes.csr_requests import purpose_of
from kcert.kubernetes.kubectl import kubectl
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, KIND, SigningRequest, requested, text
from kcert.openssl.x509 import listed
from kcert.quoting import format_command, quote
from kcert.roles import MASTERS, NODE_PREFIX
from kcert.shell import Command, read
from kcert.ui.console import block, clean, clean_line, command_line, error_screen, heading, say, screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kcert.certificates import Certificate
    from kcert.issue.context import Context
    from kcert.issue.steps import Step
    from kcert.kubernetes.issued import IssuedCertificate, Kept
    from kcert.kubernetes.kubectl import Cluster
    from kcert.openssl.x509 import X509, Name, Request
    from kcert.shell import Outcome


class Steps:
    """Show the steps of a signature or a check, unless *quiet*; *begin* prints what precedes the first step."""

    def __init__(self, begin: Callable[[], None] = lambda: None, *, quiet: bool = False) -> None:
        self._begin: Callable[[], None] | None = begin
        self._quiet = quiet

    def on_lock_wait(self, holder: str) -> None:
        """Say which process holds the folder."""
        say(f"Waiting for another kcert in this folder: {clean_line(holder)}.", "notice")

    def on_step(self, step: Step) -> None:
        """Show the openssl.cnf, the bash lines, or the command."""
        if self._quiet:
            return
        if self._begin:
            self._begin()
            self._begin = None
        if step.argv:
            command_line(step.argv)
        elif step.preview:
            say(f"The openssl.cnf: {step.summary}.")
            screen().print()
            block(step.preview, "config")
            screen().print()
        elif step.script:
            say(
                "To repeat this by hand, change to the PKI folder, extract the request from the manifest, create an "
                "empty database of signed certificates, and generate the serial number:"
            )
            screen().print()
            block(step.script, "command")
            screen().print()

    def on_step_done(self, _step: Step, outcome: Outcome | None) -> None:
        """Show what the command printed."""
        if outcome and not self._quiet:
            block(clean(outcome.output).splitlines(), "said", "| ")
            screen().print()


def waits_for_it(reason: str) -> None:
    """Say on stderr why there is no certificate yet, while kubectl asks for it again."""
    why = reason.partition(". ")[0].removesuffix(".")
    say(f"{why}. Trying again every second; press Ctrl-C to stop.", "notice", to=error_screen())


def shows(argv: tuple[str, ...]) -> None:
    """Print a command line before it runs."""
    command_line(argv)
    screen().print()


def hides(_argv: tuple[str, ...]) -> None:
    """Print nothing: only the certificate goes to standard output."""


def ran(argv: tuple[str, ...]) -> None:
    """Show a command line of kubectl, run it, and print what it says."""
    shows(argv)
    reading = kubectl(argv)
    block(clean(reading.stdout.decode(errors="replace")).splitlines(), "said", "| ")
    if reading.stderr.strip():
        block(clean(reading.stderr).splitlines(), "notice", "| ")


def bare(written: SigningRequest | str) -> None:
    """Print the text alone, for another program to read."""
    sys.stdout.write(written if isinstance(written, str) else text(written))


def asked(certificate: Certificate, option: str) -> None:
    """Say what comes after key and request."""
    assert certificate.files.csr
    stem = certificate.files.csr.stem
    name = certificate.name if certificate.role == "user" else stem
    words = f"Next, make the object for the cluster from {certificate.files.csr}:"
    _next(words, "kcert", "csr", "manifest", name, option=option)


def wrote(root: Path, certificate: Certificate, one: SigningRequest, path: Path, *, explain: bool) -> None:
    """Print the object, and how to make it by hand."""
    csr = certificate.files.csr
    assert csr
    heading(f"{one.name}: a CertificateSigningRequest")
    if explain:
        _paragraphs("step-manifest")
        block([f"cat {quote(str(root / csr))} | base64 | tr -d '\\n'"], "command")
        screen().print()
    block(clean(text(one)).splitlines(), "config")
    screen().print()
    _file(f"-> {path}")
    screen().print()
    _next("Next, submit it to a cluster:", "kcert", "csr", "submit", str(path))
    _next("Or continue without a cluster:", "kcert", "csr", "approve", "--file", str(path))


def _next(words: str, *argv: str, option: str = "") -> None:
    """Say what to do next, with the command on a line of its own; *option* is quoted already."""
    say(words)
    screen().print()
    block([f"{format_command(argv)}{option}"], "command")
    screen().print()


def _file(text: str) -> None:
    block([clean_line(text)], "file")


def stays(one: SigningRequest, path: Path) -> None:
    """Say that the manifest has this very request already."""
    decided = ", ".join(condition.type for condition in one.conditions if condition.status == "True")
    say(
        f"{path} already contains this request{f' ({decided})' if decided else ''} and is not changed. To request the "
        "certificate again, delete the file, or choose another name for the object with --name."
    )


def out_of_cluster(cluster: Cluster, name: str, field: str) -> str:
    """Return the bash command that prints a field of an object, decoded."""
    return f"{format_command(cluster.command('get', 'csr', name, '-o', f'jsonpath={{.{field}}}'))} | base64 -d"


def unpacked(by_hand: str, certificate: Certificate, root: Path, output: str | None) -> None:
    """Show how to get the certificate by hand."""
    crt = certificate.files.crt
    assert crt
    if by_hand:
        block([f"{by_hand} > {quote(output or str(root / crt))}"], "command")
        screen().print()


def path_alone(path: Path) -> None:
    """Print the path of a file that was written."""
    sys.stdout.write(f"{clean_line(str(path))}\n")


def as_json(one: SigningRequest, openssl: str) -> None:
    """Print an object, or a bare request, and what it asks for, as JSON."""
    request = requested(openssl, one)
    signer = signers.SIGNERS.get(one.signer)
    content = {
        "kind": KIND if one.document is not None else "CertificateRequest",
        "name": one.name,
        "common_name": request.subject.common_name,
        "organizations": list(request.subject.organizations),
        "subject": str(request.subject),
        "sans": [str(name) for name in request.alt_names],
        "key": f"{request.public_key.algorithm} {request.public_key.curve or request.public_key.bits}",
        "signer": one.signer or None,
        "usages": list(one.usages),
        "expiration_seconds": one.expires,
        "username": one.username or None,
        "purpose": purpose_of(one, request),
        "violation": signer.violation(request, one.usages) if signer else None,
        "conditions": [
            {"type": condition.type, "reason": condition.reason, "message": condition.message}
            for condition in one.conditions
            if condition.status == "True"
        ],
        "issued": one.certificate is not None,
    }
    sys.stdout.write(f"{json.dumps(content, indent=2)}\n")


def _paragraphs(topic: str) -> None:
    for paragraph in lessons.lesson(topic).opening.split("\n\n"):
        say(paragraph)
        screen().print()


def submitted(one: SigningRequest) -> None:
    """Say what comes after it."""
    say("Next, an administrator reviews it and decides:")
    screen().print()
    command_line(("kcert", "csr", "show", one.name))
    command_line(("kcert", "csr", "approve", one.name))


def decoded(one: SigningRequest, openssl: str, by_hand: str) -> None:
    """Print what openssl says of the request, and what it means; *by_hand* prints the request in bash."""
    request = requested(openssl, one)
    argv = (openssl, "req", "-noout", "-text")
    say(f"The request in {clean_line(one.source)}, as openssl prints it:")
    screen().print()
    if by_hand:
        block([f"{by_hand} | {format_command(argv)}"], "command")
    elif one.document is None:
        command_line((openssl, "req", "-in", one.source, *argv[2:]))
    else:
        command_line(argv)
    reading = read(Command(argv), request.pem.encode("ascii"))
    block(clean(reading.stdout.decode(errors="replace")).splitlines(), "said", "| ")
    screen().print()
    heading("What it means")
    _becomes(one, request)
    _status(one)


def _becomes(one: SigningRequest, request: Request) -> None:
    identity(one, request)
    if request.alt_names:
        say(f"SANs: {', '.join(clean_line(str(name)) for name in request.alt_names)}.")
    if not one.signer:
        return
    purpose = signers.SIGNERS[one.signer].purpose if one.signer in signers.SIGNERS else "a signer of its own"
    say(f"Signer: {clean_line(one.signer)} ({purpose}). Usages: {', '.join(one.usages)}.")
    if one.expires is not None:
        say(f"Requested lifetime: at most {in_words(timedelta(seconds=one.expires))}.")
    signer = signers.SIGNERS.get(one.signer)
    if signer and (violation := signer.violation(request, one.usages)):
        say(f"Attention: the signer rejects this request: {clean_line(violation)}.", "bad")
    elif unexpected := [usage for usage in one.usages if usage not in _EXPECTED]:
        say(f"Attention: unexpected usage: {', '.join(unexpected)}.", "bad")


def listed_kubelets(described: Iterable[tuple[str, str]]) -> None:
    """Say what each request of a kubelet is, by the object's name."""
    for name, purpose in described:
        say(f"{clean_line(name)}: {clean_line(purpose)}")


def not_compared() -> None:
    """Say that there is no kcert.yaml to compare a kubelet's names with."""
    say("There is no kcert.yaml here, so the SANs were not compared with those of the cluster's nodes.", "notice")


def identity(one: SigningRequest, request: Request) -> None:
    """Say who the certificate makes its owner."""
    if purpose := purpose_of(one, request):
        say(clean_line(purpose))
    _owner(request.subject, is_client=one.signer != signers.KUBELET_SERVING)


def _names_the_user(name: str, groups: Sequence[str]) -> None:
    listed = ", ".join(clean_line(group) for group in groups)
    say(f"Anyone with the key is the user {clean_line(name)}, {f'in: {listed}' if listed else 'not in any group'}.")


def _carries(subject: Name) -> None:
    """Say which UID a subject gives the user: the API server hands it to its authorizers, and logs it."""
    if subject.uids:
        uid = clean_line(listed(subject.uids))
        say(
            f"The subject also contains a UID: {uid}. Kubernetes 1.33 and later use it as the UID of the user.",
            "notice",
        )


def _warn_of_rights(name: str, groups: Sequence[str]) -> None:
    """Warn where an identity has rights that need no RoleBinding of the cluster's owner."""
    if MASTERS in groups:
        say(
            "Attention: system:masters has all permissions, whatever RBAC says, as long as the certificate is valid. "
            "The API server rejects this group for the signer kube-apiserver-client.",
            "bad",
        )
    if name.startswith("system:") and not name.startswith(NODE_PREFIX):
        say(f"Attention: {clean_line(name)} is a component of Kubernetes: the certificate has its permissions.", "bad")


_EXPECTED = {"digital signature", "key encipherment", "client auth", "server auth"}


def _status(one: SigningRequest) -> None:
    words = {APPROVED: "Approved", DENIED: "Denied", FAILED: "Rejected by the signer"}
    for condition in one.conditions:
        said = words.get(condition.type, clean_line(condition.type))
        say(f"{said} ({clean_line(condition.reason)}: {clean_line(condition.message)}).")
    if one.signer and not one.conditions:
        say("Not approved or denied yet.")
    if one.certificate is not None:
        say("The object contains the certificate: `kcert csr fetch` saves it.")


def approved(path: Path, before: SigningRequest, after: SigningRequest, openssl: str) -> None:
    """Say who was approved, and what the manifest says now."""
    identity(after, requested(openssl, after))
    decided(path, before, after, APPROVED)


def decided(path: Path, before: SigningRequest, after: SigningRequest, decision: str) -> None:
    """Say that the manifest has the condition *decision* now."""
    condition = after.condition(decision)
    assert condition
    if before == after:
        say(f"{after.name} is already {condition.type}; {path} is not changed.")
        return
    say(f"{path}: {after.name} now has the condition {condition.type}, as the API server would write it:")
    screen().print()
    block(
        [
            f"type: {condition.type}",
            f'status: "{condition.status}"',
            f"reason: {condition.reason}",
            f"message: {condition.message}",
            f'lastUpdateTime: "{condition.updated}"',
            f'lastTransitionTime: "{condition.changed}"',
        ],
        "config",
    )
    screen().print()
    if condition.type == APPROVED:
        _next(
            "An approved request is not signed yet. Next, sign it as kube-controller-manager does:",
            *("kcert", "csr", "sign", "--file", str(path)),
        )


def begin_object(one: SigningRequest, *, explain: bool) -> None:
    """Say whose rules apply to the signature of an object."""
    heading(f"{one.name}: signed as by {one.signer}")
    if explain:
        _paragraphs("step-issue")


def signed_object(path: Path, one: SigningRequest, found: X509, option: str) -> None:
    """Say that the manifest has its certificate, and who it makes its owner."""
    say(f"{path}: status.certificate is set, valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    _owner(found.subject, is_client=found.may_dial)
    argv = ("kcert", "csr", "fetch", one.name, "--file", str(path))
    _next("Next, in the folder with the key and the request:", *argv, option=option)


def is_signed(path: Path, one: SigningRequest) -> None:
    """Say that the manifest had its certificate before."""
    say(f"{one.name} already has a certificate; {path} is not changed.")


def begin_request(certificate: Certificate, request: Request, *, explain: bool) -> None:
    """Say which certificate a bare request becomes, and who it makes its owner."""
    heading(f"{certificate.name}: {lessons.lesson(certificate.role).title}")
    _owner(request.subject, is_client=certificate.kind.is_client)
    if certificate.alt_names:
        say(f"SANs: {', '.join(str(name) for name in certificate.alt_names)}.")
    screen().print()
    if explain:
        say(lessons.reason(certificate.role, "signature"))
        screen().print()


def _owner(subject: Name, *, is_client: bool) -> None:
    name, groups = subject.common_name or "", subject.organizations
    if is_client:
        _names_the_user(name, groups)
        _carries(subject)
    _warn_of_rights(name, groups)


def signed_request(certificate: Certificate, found: X509, path: Path) -> None:
    """Say where the certificate is, and what to do with it."""
    _file(f"-> {path}")
    say(f"Valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    _next(
        "Next, in the folder with the key and the request:",
        "kcert",
        "csr",
        "fetch",
        certificate.name,
        "--file",
        path.name,
    )


def to_be_signed(ctx: Context, asked: Sequence[Certificate]) -> None:
    """Say how requests become certificates: signed where the CA is, fetched here."""
    known = {one.name: one for one in ctx.specs}
    wanted = [known.get(one.name, one) for one in asked if one.kind is not Kind.KEY_PAIR]
    if not wanted:
        say("Nothing to sign: every certificate exists and is current.", "good")
        return
    if all(one.kind is Kind.CA for one in wanted):
        _to_be_signed_by_a_root(ctx, wanted)
        return
    requests = [str(one.files.csr) for one in wanted]
    say(
        "Next, the CA has to sign. Copy the requests and kcert.yaml, which defines the usages of each certificate, to "
        "the machine with the CA. The keys stay here."
    )
    screen().print()
    command_line(("tar", "-cf", "requests.tar", "-C", str(ctx.root), *requests))
    screen().print()
    say("On that machine, run (with --dir or --ca-dir for the folder of the CA):")
    screen().print()
    command_line(("tar", "-xf", "requests.tar"))
    command_line(("kcert", "csr", "sign", *(word for path in requests for word in ("--file", path))))
    screen().print()
    one = wanted[0]
    if one.issuer:
        say(f"Or by hand, with the openssl.cnf {one.files.cnf} in the same folder, for example for {one.name}:")
        screen().print()
        command_line(csr_requests.manual(one, known[one.issuer], ctx.openssl))
        screen().print()
    _authorities_come(ctx, [known[name] for name in dict.fromkeys(one.issuer for one in wanted) if name])
    _back_here(ctx, wanted)


def _authorities_come(ctx: Context, authorities: Sequence[Certificate]) -> None:
    """Say how the CA's certificate gets here: certificates are verified with it, and all components need it."""
    missing = [one.files.crt for one in authorities if one.files.crt and not (ctx.root / one.files.crt).exists()]
    if not missing:
        return
    say("First copy the CA certificate to this machine, without the key. It verifies the certificates.")
    screen().print()
    for crt in missing:
        command_line(("cp", str(crt), str(ctx.root / crt)))
    screen().print()


def to_be_signed_again(ctx: Context, asked: Sequence[Certificate]) -> None:
    """Say how the requests of CAs that are in use become new certificates for them."""
    crts = {one.name: one.files.crt for one in ctx.specs}
    wanted = [replace(one, files=replace(one.files, crt=crts[one.name])) for one in asked]
    _by_hand_at_the_root(ctx, wanted)
    say("Until then, the existing CA keeps signing. What it signed stays valid, because the key is the same.")


def _to_be_signed_by_a_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    _by_hand_at_the_root(ctx, wanted)
    waiting = (str(ctx.root / one.files.csr) for one in wanted if one.files.csr)
    _next(
        "Until then, `kcert all` cannot make certificates, because no CA can sign them. For a self-signed CA "
        "instead, delete its request:",
        *("rm", *waiting),
    )


def _by_hand_at_the_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say(
        "Next, a root CA has to sign a CA that may sign certificates but no other CA (pathlen:0). Copy each request "
        "with its openssl.cnf to the machine with the root CA (root.crt, root.key), and run:"
    )
    screen().print()
    for one in wanted:
        command_line(csr_requests.by_root(one, ctx.openssl))
    screen().print()
    say("If the root certificate is appended to that file, kcert also makes `ca-chain.crt` from the two.")
    screen().print()
    _back_here(ctx, wanted)


def _back_here(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say("Then, back on this machine, fetch each certificate. It is compared with its key and its request first:")
    screen().print()
    for one in wanted:
        assert one.files.crt and one.files.csr
        beside = one.files.csr.with_name(one.files.crt.name)
        argv = ("kcert", "csr", "fetch", one.name, "--file", str(beside))
        command_line((*argv, *(("--dir", str(ctx.root)) if ctx.folder_option else ())))
    screen().print()


def kept(certificate: Certificate, issued: IssuedCertificate, kept: Kept, option: str) -> None:
    """Say where the certificate is, whether the CA in the folder has signed it, and what comes next."""
    if kept.verified is False:
        say("The certificate is saved, but the CA of another cluster signed it, not the CA in this folder.", "notice")
    if kept.issuer and kept.late:
        say(f"The certificate {certificate.name} {ends_late(kept.late, kept.issuer)}", "notice")
        screen().print()
    path, found = kept.path, issued.x509
    _file(f"-> {path}" if kept.is_new else f"{path} already is this certificate and is not changed")
    screen().print()
    with_key = "the key and the request" if issued.key else "the request (the key is not here)"
    say(f"The certificate matches {with_key} and is valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    if certificate.files.kubeconfig and path.name == certificate.files.kubeconfig.name:
        argv = ("kubectl", "--kubeconfig", str(path), "auth", "whoami")
        _next(f"{path} now contains the key and the certificate. To try it:", *argv)
    elif kept.updated is not None:
        listed = ", ".join(clean_line(str(name)) for name in kept.updated)
        say(
            "The new CA certificate has the same key, so every certificate that the CA signed stays valid. The old CA "
            f"certificate is in the backup.{f' Files with the new one: {listed}.' if listed else ''} Copy the new "
            "files to the hosts, one after the other (`kcert bundle`, `kcert export ansible`), and restart the "
            "components that read them."
        )
    elif found.ca:
        say("Next, `kcert all` makes the certificates that it signs.")
    elif found.may_dial:
        _next("Next, put it into a kubeconfig:", "kcert", "kubeconfig", certificate.name, option=option)
