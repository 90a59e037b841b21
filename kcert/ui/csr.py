"""What `kcert csr` says: the command that runs, what it answered, and what that means."""

from __future__ import annotations

import base64
import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from kcert import lessons
from kcert.certificates import Kind
from kcert.check.dates import ends_late
from kcert.durations import told
from kcert.kubernetes import offline, signers
from kcert.kubernetes.kubectl import kubectl
from kcert.kubernetes.kubelet_requests import purpose_of
from kcert.kubernetes.signing import LIST, SERIAL, SERIAL_BYTES, SIGNER
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, SigningRequest, requested, text
from kcert.openssl.x509 import listed
from kcert.quoting import format_command, quote
from kcert.roles import MASTERS, NODE_PREFIX
from kcert.shell import Command, read
from kcert.ui.console import block, clean, clean_line, command_line, error_screen, heading, say, screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kcert.certificates import Certificate
    from kcert.issue.context import Context
    from kcert.issue.steps import Step
    from kcert.kubernetes.issued import Answer
    from kcert.kubernetes.kubectl import Cluster
    from kcert.kubernetes.signing import Signing as How
    from kcert.openssl.x509 import X509, Name, Request
    from kcert.shell import Outcome


def waits(holder: str) -> None:
    """Say who holds the folder."""
    say(f"Another kcert is at work in this folder: {clean_line(holder)}. Waiting for it to end.", "notice")


def waits_for_it(reason: str) -> None:
    """Say on stderr why there is no certificate yet, while it is asked for again; what to look at comes at the end."""
    why = reason.partition(". ")[0].removesuffix(".")
    say(f"{why}. Asking again every second; Ctrl-C ends it.", "notice", to=error_screen())


def shows(argv: tuple[str, ...]) -> None:
    """A command line, before it runs."""
    command_line(argv)
    screen().print()


def hides(_argv: tuple[str, ...]) -> None:
    """A command line of which the screen has to stay free."""


def ran(argv: tuple[str, ...]) -> None:
    """Show a command line of kubectl, run it, and print what it says."""
    shows(argv)
    reading = kubectl(argv)
    block(clean(reading.stdout.decode(errors="replace")).splitlines(), "said", "| ")
    if reading.stderr.strip():
        block(clean(reading.stderr).splitlines(), "notice", "| ")


def bare(written: SigningRequest | str) -> None:
    """The text alone, for another program to read."""
    sys.stdout.write(written if isinstance(written, str) else text(written))


def asked(certificate: Certificate, option: str) -> None:
    """What comes after key and request."""
    assert certificate.files.csr
    stem = certificate.files.csr.stem
    name = certificate.name if certificate.role == "user" else stem
    _next(
        f"Next: make the object for the cluster out of {certificate.files.csr}:",
        "kcert",
        "csr",
        "manifest",
        name,
        option=option,
    )


def wrote(root: Path, certificate: Certificate, one: SigningRequest, path: Path, *, explain: bool) -> None:
    """The object, and how to make it by hand."""
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
    _next("Next: give it to a cluster:", "kcert", "csr", "submit", str(path))
    _next("Or go on without a cluster:", "kcert", "csr", "approve", "--file", str(path))


def _next(words: str, *argv: str, option: str = "") -> None:
    """Say what to do next, with the command on a line of its own; *option* is quoted already."""
    say(words)
    screen().print()
    block([f"{format_command(argv)}{option}"], "command")
    screen().print()


def _file(text: str) -> None:
    block([clean_line(text)], "file")


def stays(one: SigningRequest, path: Path) -> None:
    """The manifest holds this very request already."""
    decided = ", ".join(condition.type for condition in one.conditions if condition.status == "True")
    say(
        f"{path} holds this request already{f' ({decided})' if decided else ''}, and stays as it is. To ask once more, "
        "take it away, or give the object another name with --name."
    )


def out_of_cluster(cluster: Cluster, name: str, field: str) -> str:
    """The line in bash that gets a field of an object, and takes the base64 off it."""
    return f"{format_command(cluster.command('get', 'csr', name, '-o', f'jsonpath={{.{field}}}'))} | base64 -d"


def out_of_file(
    path: Path, one: SigningRequest, field: Literal["request", "certificate"], folder: Path | None = None
) -> str:
    """The same for a manifest, typed in *folder* (None: here).

    Nothing where the manifest does not have the field on one line, or is a bare request.
    """
    content = one.request if field == "request" else one.certificate or b""
    prefix = f"{field}: "
    if one.document is None:
        return ""
    lines = [line.lstrip(" ") for line in path.read_text("utf-8").split("\n")]
    if [line for line in lines if line.startswith(prefix)] != [prefix + base64.b64encode(content).decode("ascii")]:
        return ""  # sed would print something else: a comment or an annotation may have such a line, too
    named = path if folder is None else Path(os.path.relpath(path, folder))
    return f"sed -n 's/^ *{field}: //p' {quote(str(named))} | base64 -d"


def unpacked(by_hand: str, certificate: Certificate, root: Path, output: str | None) -> None:
    """How the certificate is got by hand."""
    crt = certificate.files.crt
    assert crt
    if by_hand:
        block([f"{by_hand} > {quote(output or str(root / crt))}"], "command")
        screen().print()


def _paragraphs(topic: str) -> None:
    for paragraph in lessons.lesson(topic).opening.split("\n\n"):
        say(paragraph)
        screen().print()


def submitted(one: SigningRequest) -> None:
    """What comes after it."""
    say("Next: an administrator looks at it and decides:")
    screen().print()
    command_line(("kcert", "csr", "show", one.name))
    command_line(("kcert", "csr", "approve", one.name))


def decoded(one: SigningRequest, openssl: str, by_hand: str) -> None:
    """What openssl says of the request, and what it means for Kubernetes; *by_hand* gets the request in bash."""
    request = requested(openssl, one)
    argv = (openssl, "req", "-noout", "-text")
    say(f"The request inside {clean_line(one.source)}, in openssl's words:")
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
        say(f"It asks to be valid for {told(timedelta(seconds=one.expires))} at most.")
    signer = signers.SIGNERS.get(one.signer)
    if signer and (violation := signer.violation(request, one.usages)):
        say(f"Attention: the signer would refuse it: {clean_line(violation)}.", "bad")
    elif unexpected := [usage for usage in one.usages if usage not in _EXPECTED]:
        say(f"Attention: an unexpected usage: {', '.join(unexpected)}.", "bad")


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
    name, groups = request.subject.common_name or "", request.subject.organizations
    if one.signer != signers.KUBELET_SERVING:
        _names_the_user(name, groups)
        _carries(request.subject)
    _warn_of_rights(name, groups)


def _names_the_user(name: str, groups: Sequence[str]) -> None:
    listed = ", ".join(clean_line(group) for group in groups)
    say(f"Whoever has the key becomes the user {clean_line(name)}, {f'in: {listed}' if listed else 'in no group'}.")


def _carries(subject: Name) -> None:
    """What else of the user a subject decides: the API server hands a UID to whatever authorizes, and logs it."""
    if subject.uids:
        uid = clean_line(listed(subject.uids))
        say(f"It also carries a UID: {uid}. From 1.33 on, Kubernetes takes that for the user's own UID.", "notice")


def _warn_of_rights(name: str, groups: Sequence[str]) -> None:
    """Warn where an identity has rights that need no RoleBinding of the cluster's owner."""
    if MASTERS in groups:
        say(
            "Attention: system:masters has all rights, whatever RBAC says, for as long as the certificate is valid. "
            "The API server refuses this group where the signer is kube-apiserver-client.",
            "bad",
        )
    if name.startswith("system:") and not name.startswith(NODE_PREFIX):
        say(f"Attention: {clean_line(name)} is a component of Kubernetes, and the certificate has its rights.", "bad")


_EXPECTED = {"digital signature", "key encipherment", "client auth", "server auth"}


def _status(one: SigningRequest) -> None:
    words = {APPROVED: "It is approved", DENIED: "It was denied", FAILED: "Its signer refused it"}
    for condition in one.conditions:
        said = words.get(condition.type, clean_line(condition.type))
        say(f"{said} ({clean_line(condition.reason)}: {clean_line(condition.message)}).")
    if one.signer and not one.conditions:
        say("Nobody has decided about it yet.")
    if one.certificate is not None:
        say("Its certificate is in the object: `kcert csr fetch` gets it.")


def approved(path: Path, before: SigningRequest, after: SigningRequest, openssl: str) -> None:
    """What the manifest says now that it is approved, and what its subject decides besides name and groups."""
    identity(after, requested(openssl, after))
    decided(path, before, after, APPROVED)


def decided(path: Path, before: SigningRequest, after: SigningRequest, decision: str) -> None:
    """What the manifest says now that it has the condition *decision*."""
    condition = after.condition(decision)
    assert condition
    if before == after:
        say(f"{after.name} is {condition.type} already; {path} stays as it is.")
        return
    say(f"{path}: {after.name} has the condition {condition.type} now, as the API server would have written it:")
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
            "Approved does not mean signed. Next: sign it, as kube-controller-manager does:",
            *("kcert", "csr", "sign", "--file", str(path)),
        )


class Signing:
    """Tells how a manifest is signed."""

    def __init__(self, path: Path, option: str, *, explain: bool) -> None:
        self._path = path
        self._option = option
        self._explain = explain

    def waits(self, holder: str) -> None:
        """Say who holds the folder."""
        waits(holder)

    def begins(self, how: How, root: Path) -> None:
        """The settings, what openssl has to find beside them, and the command."""
        one = how.request
        heading(f"{one.name}: signed as {one.signer} does it")
        if self._explain:
            _paragraphs("step-issue")
        csr, config, _ = how.files
        say(f"The settings: {config}.")
        screen().print()
        block(how.settings.rstrip().splitlines(), "config")
        screen().print()
        if by_hand := out_of_file(self._path, one, "request", root):
            say(
                f"By hand, in {root}, the request comes out of the manifest, the list of what was signed is empty, and "
                "the serial number is drawn:"
            )
            screen().print()
            drawn = f"openssl rand -hex {SERIAL_BYTES} > {SERIAL}"
            block([f"mkdir -p {SIGNER}", f"{by_hand} > {quote(str(csr))}", f": > {LIST}", drawn], "command")
            screen().print()
        command_line(how.argv)

    def ended(self, outcome: Outcome) -> None:
        """What openssl said."""
        block(clean(outcome.output).splitlines(), "said", "| ")
        screen().print()

    def done(self, one: SigningRequest, found: X509) -> None:
        """The manifest has its certificate."""
        say(f"{self._path}: status.certificate is there, valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
        if found.may_dial:
            _names_the_user(found.subject.common_name or "", found.subject.organizations)
            _carries(found.subject)
        _warn_of_rights(found.subject.common_name or "", found.subject.organizations)
        argv = ("kcert", "csr", "fetch", one.name, "--file", str(self._path))
        _next("Next, where key and request are:", *argv, option=self._option)

    def there(self, one: SigningRequest) -> None:
        """It had one already."""
        say(f"{one.name} has its certificate already; {self._path} stays as it is.")


class CsrSigning:
    """Tells how a bare request is signed."""

    def __init__(self, *, explain: bool) -> None:
        self._explain = explain

    def waits(self, holder: str) -> None:
        """Say who holds the folder."""
        waits(holder)

    def begins(self, how: offline.CsrSigning) -> None:
        """What it becomes, and the settings, which are the CA's own."""
        certificate = how.certificate
        heading(f"{certificate.name}: {lessons.lesson(certificate.role).title}")
        assert certificate.subject
        groups = certificate.subject.organizations
        if certificate.kind.is_client:
            _names_the_user(certificate.subject.common_name, groups)
        if certificate.alt_names:
            say(f"SANs: {', '.join(str(name) for name in certificate.alt_names)}.")
        _warn_of_rights(certificate.subject.common_name, groups)
        screen().print()
        if self._explain:
            say(lessons.reason(certificate.role, "signature"))
            screen().print()
        say(f"The settings: {certificate.files.cnf}.")
        screen().print()
        block(how.settings.splitlines(), "config")
        screen().print()

    def before(self, step: Step) -> None:
        """The command."""
        command_line(step.argv)

    def ended(self, outcome: Outcome) -> None:
        """What openssl said."""
        block(clean(outcome.output).splitlines(), "said", "| ")
        screen().print()

    def done(self, certificate: Certificate, found: X509, path: Path) -> None:
        """Where the certificate lies, and what to do with it."""
        _file(f"-> {path}")
        say(f"Valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
        argv = ("kcert", "csr", "fetch", certificate.name, "--file", path.name)
        _next("Next, where key and request are:", *argv)


def to_be_signed(ctx: Context, asked: Sequence[Certificate]) -> None:
    """How requests become certificates: signed where the CA is, taken in here."""
    known = {one.name: one for one in ctx.specs}
    wanted = [known.get(one.name, one) for one in asked if one.kind is not Kind.KEY_PAIR]
    if not wanted:
        say("There is nothing to sign: every certificate is there, and current.", "good")
        return
    if all(one.kind is Kind.CA for one in wanted):
        _to_be_signed_by_a_root(ctx, wanted)
        return
    requests = [str(one.files.csr) for one in wanted]
    say(
        "Now the CA has to sign. Bring the requests to the machine that has it, and kcert.yaml, which says what each "
        "may be used for. Keys stay here."
    )
    screen().print()
    command_line(("tar", "-cf", "requests.tar", "-C", str(ctx.root), *requests))
    screen().print()
    say("There (with --dir, or --ca-dir, for where the CA is); each certificate then lies beside its request:")
    screen().print()
    command_line(("tar", "-xf", "requests.tar"))
    command_line(("kcert", "csr", "sign", *(word for path in requests for word in ("--file", path))))
    screen().print()
    one = wanted[0]
    if one.issuer:
        say(f"Or by hand, with its settings {one.files.cnf} beside it; {one.name}, for example:")
        screen().print()
        command_line(offline.manual(one, known[one.issuer], ctx.openssl))
        screen().print()
    _authorities_come(ctx, [known[name] for name in dict.fromkeys(one.issuer for one in wanted) if name])
    _back_here(ctx, wanted)


def _authorities_come(ctx: Context, authorities: Sequence[Certificate]) -> None:
    """Whoever is to check certificates needs the CA's own, and so do all components."""
    missing = [one.files.crt for one in authorities if one.files.crt and not (ctx.root / one.files.crt).exists()]
    if not missing:
        return
    say("The CA's certificate has to come here first, without its key: by it certificates are checked.")
    screen().print()
    for crt in missing:
        command_line(("cp", str(crt), str(ctx.root / crt)))
    screen().print()


def to_be_signed_again(ctx: Context, asked: Sequence[Certificate]) -> None:
    """How the requests of CAs that are in use become new certificates for them."""
    crts = {one.name: one.files.crt for one in ctx.specs}
    wanted = [replace(one, files=replace(one.files, crt=crts[one.name])) for one in asked]
    _by_hand_at_the_root(ctx, wanted)
    say("Until then the CA that is here goes on signing; what it signed stays valid, because the key is the same.")


def _to_be_signed_by_a_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    _by_hand_at_the_root(ctx, wanted)
    waiting = (str(ctx.root / one.files.csr) for one in wanted if one.files.csr)
    _next(
        "Until then `kcert all` makes nothing, because nothing could be signed. For a CA that signs itself after all, "
        "delete its request:",
        *("rm", *waiting),
    )


def _by_hand_at_the_root(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say(
        "Now a root has to sign, for a CA that signs certificates and no further CA (pathlen:0). Bring each request to "
        "whoever has the root, with its settings. There, where the root is root.crt and root.key:"
    )
    screen().print()
    for one in wanted:
        command_line(offline.by_root(one, ctx.openssl))
    screen().print()
    say("Where the root's certificate is put behind it in that file, `ca-chain.crt` is made of the two as well.")
    screen().print()
    _back_here(ctx, wanted)


def _back_here(ctx: Context, wanted: Sequence[Certificate]) -> None:
    say("Back here, each is compared with its key and its request before it is taken in:")
    screen().print()
    for one in wanted:
        assert one.files.crt and one.files.csr
        beside = one.files.csr.with_name(one.files.crt.name)
        argv = ("kcert", "csr", "fetch", one.name, "--file", str(beside))
        command_line((*argv, *(("--dir", str(ctx.root)) if ctx.folder_option else ())))
    screen().print()


class Keeping:
    """Tells how a certificate is put into the PKI folder, and what follows from it."""

    def __init__(self) -> None:
        self.follows = ""

    def waits(self, holder: str) -> None:
        """Say who holds the folder."""
        waits(holder)

    def renews(self, kubeconfigs: Sequence[PurePosixPath]) -> None:
        """The CA that was here had the same key."""
        listed = ", ".join(clean_line(str(one)) for one in kubeconfigs)
        held = f" These hold the new one now: {listed}." if kubeconfigs else ""
        self.follows = (
            "It has the same key as the CA that was here, so all that this signed stays valid; that one went to the "
            f"backup.{held} Bring the new files to the hosts, one after the other (`kcert bundle`, `kcert export "
            "ansible`), and start anew what reads them."
        )

    def ended(self, outcome: Outcome) -> None:
        """The check against the CA that lies in the folder."""
        command_line(outcome.command.argv)
        block(clean(outcome.output).splitlines(), "said", "| ")
        screen().print()
        if not outcome.succeeded:
            say(
                "The CA in this folder does not vouch for it: it is kept, but another cluster's CA has signed it.",
                "notice",
            )

    def outlives(self, certificate: Certificate, late: timedelta, issuer: X509) -> None:
        """It ends after its CA."""
        say(f"The certificate {certificate.name} {ends_late(late, issuer)}", "notice")
        screen().print()


def kept(certificate: Certificate, answer: Answer, path: Path, option: str, follows: str = "", *, new: bool) -> None:
    """Where the certificate is, and what comes next: *follows*, where that is something else than for a new one."""
    _file(f"-> {path}" if new else f"{path} is this certificate already, and stays as it is")
    screen().print()
    with_key = "key and request" if answer.key else "the request (the key is not here)"
    found = answer.found
    say(f"It belongs to {with_key}, and is valid until {found.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    if certificate.files.kubeconfig and path.name == certificate.files.kubeconfig.name:
        argv = ("kubectl", "--kubeconfig", str(path), "auth", "whoami")
        _next(f"Key and certificate are inside {path} now. To try it:", *argv)
    elif found.ca:
        say(follows or "Next: `kcert all` makes what it signs.")
    elif found.may_dial:
        _next("Next: put it into a kubeconfig:", "kcert", "kubeconfig", certificate.name, option=option)
