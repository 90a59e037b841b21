"""The output of `kcert csr`: the command that runs, its answer, and what that means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from kcert import lessons
from kcert.certificates import Certificate
from kcert.check.dates import ends_late
from kcert.durations import in_words
from kcert.issue.context import IssuancePlan
from kcert.issue.steps import Step
from kcert.kubernetes import signers
from kcert.kubernetes.issued import IssuedCertificate
from kcert.kubernetes.manifests import kubectl, purpose_of, summary
from kcert.kubernetes.signing_request import APPROVED, DENIED, FAILED, SigningRequest, requested, text
from kcert.openssl.x509 import X509, Name, Request, listed
from kcert.quoting import format_command, quote
from kcert.roles import MASTERS, NODE_PREFIX
from kcert.shell import Command, Outcome, read
from kcert.ui import print_json
from kcert.ui.console import (
    block,
    clean,
    clean_line,
    command_line,
    error_screen,
    heading,
    say,
    say_apart,
    say_paragraphs,
    screen,
    show_file,
    show_output,
)
from kcert.ui.lesson import OutputOfCommands


class Steps(OutputOfCommands):
    """Show the steps of a signature or a check, unless *quiet*; *begin* prints what precedes the first step."""

    def __init__(self, begin: Callable[[], None] = lambda: None, *, quiet: bool = False) -> None:
        super().__init__(explain=not quiet)
        self._begin: Callable[[], None] | None = begin

    def on_step(self, step: Step, plan: IssuancePlan | None) -> None:
        """Show the openssl.cnf, the bash lines, or the command."""
        if not self._explain or step.late:  # ``kept`` names the files that are changed in the end
            return
        if self._begin:
            self._begin()
            self._begin = None
        super().on_step(step, plan)
        if step.preview:
            say_apart(f"The {'kubeconfig' if step.action == 'kubeconfig' else 'openssl.cnf'}: {step.summary}.")
            block(step.preview, "config")
            screen().print()
        elif step.summary and step.script:
            say_apart(step.summary)
            block(step.script, "command")
            screen().print()

    def on_step_done(self, step: Step, outcome: Outcome | None) -> None:
        """Show what the command printed."""
        super().on_step_done(step, outcome)
        if outcome and self._explain:
            screen().print()


def waits_for_it(reason: str) -> None:
    """Say on stderr why there is no certificate yet, while kubectl asks for it again."""
    why = reason.partition(". ")[0].removesuffix(".")
    say(f"{why}. Trying again every second; press Ctrl-C to stop.", "notice", to=error_screen())


def shows(argv: tuple[str, ...]) -> None:
    """Print a command line before it runs."""
    command_line(argv)
    screen().print()


def ran(argv: tuple[str, ...], *, quiet: bool = False) -> None:
    """Show a command line of kubectl (unless *quiet*), run it, and print what it says."""
    if not quiet:
        shows(argv)
    reading = kubectl(argv)
    show_output(reading.stdout.decode(errors="replace"))
    if reading.stderr.strip():
        show_output(reading.stderr, "notice")


def asked(certificate: Certificate, option: str) -> None:
    """Print the next step after key and request."""
    name = certificate.name if certificate.role == "user" else certificate.csr.stem
    words = f"Next, make the object for the cluster from {certificate.csr}:"
    next_command(words, "kcert", "csr", "manifest", name, option=option)


def wrote(root: Path, certificate: Certificate, csr_object: SigningRequest, path: Path, *, explain: bool) -> None:
    """Print the object, and how to make it by hand."""
    heading(f"{csr_object.name}: a CertificateSigningRequest")
    if explain:
        say_paragraphs(lessons.lesson("step-manifest").opening)
        block([f"cat {quote(str(root / certificate.csr))} | base64 | tr -d '\\n'"], "command")
        screen().print()
    block(clean(text(csr_object)).splitlines(), "config")
    screen().print()
    show_file(path)
    screen().print()
    next_command("Next, submit it to a cluster:", "kcert", "csr", "submit", str(path))
    next_command("Or continue without a cluster:", "kcert", "csr", "approve", "--file", str(path))


def next_command(words: str, *argv: str, option: str = "") -> None:
    """Say what to do next, with the command on a line of its own; *option* is quoted already."""
    say_apart(words)
    block([f"{format_command(argv)}{option}"], "command")
    screen().print()


def stays(csr: SigningRequest, path: Path) -> None:
    """Say that the manifest has this very request already."""
    decided = ", ".join(condition["type"] for condition in csr.true_conditions)
    say(
        f"{path} already contains this request{f' ({decided})' if decided else ''} and is not changed. To request the "
        "certificate again, delete the file, or choose another name for the object with --name."
    )


def unpacked(by_hand: str, certificate: Certificate, root: Path, output: Path | None) -> None:
    """Show how to get the certificate by hand."""
    if by_hand:
        block([f"{by_hand} > {quote(str(output or root / certificate.crt))}"], "command")
        screen().print()


def as_json(csr: SigningRequest, openssl: str, written: dict[str, object] | None = None) -> None:
    """Print an object, or a bare request, and what it asks for, as JSON; *written* is the file that it is in now."""
    print_json((written or {}) | summary(csr, requested(openssl, csr)))


def submitted(csr: SigningRequest) -> None:
    """Print the next step after it."""
    say_apart("Next, an administrator reviews it and decides:")
    command_line(("kcert", "csr", "show", csr.name))
    command_line(("kcert", "csr", "approve", csr.name))


_EXPECTED = {"digital signature", "key encipherment", "client auth", "server auth"}


def decoded(csr: SigningRequest, openssl: str, by_hand: str) -> None:
    """Print what openssl says of the request, and what it means; *by_hand* prints the request in bash."""
    request = requested(openssl, csr)
    argv = (openssl, "req", "-noout", "-text")
    say_apart(f"The request in {clean_line(csr.source)}, as openssl prints it:")
    if by_hand:
        block([f"{by_hand} | {format_command(argv)}"], "command")
    elif csr.document is None:
        command_line((openssl, "req", "-in", csr.source, *argv[2:]))
    else:
        command_line(argv)
    reading = read(Command(argv), request.pem.encode("ascii"))
    show_output(reading.stdout.decode(errors="replace"))
    screen().print()
    heading("What it means")
    identity(csr, request)
    _says(csr, request)


def _says(csr: SigningRequest, request: Request) -> None:
    if request.alt_names:
        say(f"SANs: {', '.join(clean_line(str(name)) for name in request.alt_names)}.")
    if not csr.signer:
        return
    purpose = signers.SIGNERS[csr.signer].purpose if csr.signer in signers.SIGNERS else "another signer"
    say(f"Signer: {clean_line(csr.signer)} ({purpose}). Usages: {', '.join(csr.usages)}.")
    if csr.expires is not None:
        say(f"Requested lifetime: at most {in_words(timedelta(seconds=csr.expires))}.")
    signer = signers.SIGNERS.get(csr.signer)
    if signer and (violation := signer.violation(request, csr.usages)):
        say(f"Attention: the signer rejects this request: {clean_line(violation)}.", "bad")
    elif unexpected := [usage for usage in csr.usages if usage not in _EXPECTED]:
        say(f"Attention: unexpected usage: {', '.join(unexpected)}.", "bad")
    words = {APPROVED: "Approved", DENIED: "Denied", FAILED: "Rejected by the signer"}
    for condition in csr.conditions:
        state = words.get(condition["type"], clean_line(condition["type"]))
        say(f"{state} ({clean_line(condition['reason'])}: {clean_line(condition['message'])}).")
    if not csr.conditions:
        say("Not approved or denied yet.")
    if csr.certificate is not None:
        say("The object contains the certificate: `kcert csr fetch` saves it.")


def listed_kubelets(summaries: Iterable[dict[str, Any]]) -> None:
    """Say what each request of a kubelet is, by the object's name."""
    for record in summaries:
        if purpose := record.get("purpose"):
            say(f"{clean_line(record['name'])}: {clean_line(purpose)}")


def not_compared() -> None:
    """Say that there is no kcert.yaml to compare a kubelet's names with."""
    say("There is no kcert.yaml here, so the SANs were not compared with those of the cluster's nodes.", "notice")


def identity(csr: SigningRequest, request: Request) -> None:
    """Say who the certificate makes its owner."""
    if purpose := purpose_of(csr, request):
        say(clean_line(purpose))
    _owner(request.subject, is_client=csr.signer != signers.KUBELET_SERVING)


def decided(path: Path, before: SigningRequest, after: SigningRequest, decision: str) -> None:
    """Say that the manifest has the condition *decision* now."""
    condition = after.condition(decision)
    assert condition
    if before == after:
        say(f"{after.name} is already {decision}; {path} is not changed.")
        return
    say_apart(f"{path}: {after.name} now has the condition {decision}, as the API server would write it:")
    quoted = ("status", "lastUpdateTime", "lastTransitionTime")
    block([f'{key}: "{value}"' if key in quoted else f"{key}: {value}" for key, value in condition.items()], "config")
    screen().print()
    if decision == APPROVED:
        next_command(
            "An approved request is not signed yet. Next, sign it as kube-controller-manager does:",
            *("kcert", "csr", "sign", "--file", str(path)),
        )


def begin_object(csr: SigningRequest, *, explain: bool) -> None:
    """Say whose rules apply to the signature of an object."""
    heading(f"{csr.name}: signed in place of {csr.signer}")
    if explain:
        say_paragraphs(lessons.lesson("step-issue").opening)


def signed_object(path: Path, name: str, x509: X509, option: str) -> None:
    """Say that the manifest has its certificate, and who it makes its owner."""
    say(f"{path}: status.certificate is set, valid until {x509.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    _owner(x509.subject, is_client=x509.allows("clientAuth"))
    argv = ("kcert", "csr", "fetch", name, "--file", str(path))
    next_command("Next, in the folder with the key and the request:", *argv, option=option)


def is_signed(path: Path, csr: SigningRequest) -> None:
    """Say that the manifest had its certificate before."""
    say(f"{csr.name} already has a certificate; {path} is not changed.")


def begin_request(certificate: Certificate, request: Request, *, explain: bool) -> None:
    """Say which certificate a bare request becomes, and who it makes its owner."""
    heading(f"{certificate.name}: {lessons.lesson(certificate.role).title}")
    _owner(request.subject, is_client=certificate.kind.is_client)
    if certificate.alt_names:
        say(f"SANs: {', '.join(str(name) for name in certificate.alt_names)}.")
    screen().print()
    if explain:
        say_apart(lessons.reason(certificate.role, "signature"))


def _owner(subject: Name, *, is_client: bool) -> None:
    name, groups = subject.common_name or "", subject.organizations
    if is_client:
        listed_groups = ", ".join(clean_line(group) for group in groups)
        member = f"in the {'group' if len(groups) == 1 else 'groups'} {listed_groups}" if groups else "not in any group"
        say(f"Anyone with the key is the user {clean_line(name)}, {member}.")
    if is_client and subject.uids:
        # The API server hands it to its authorizers, and logs it.
        uid = clean_line(listed(subject.uids))
        say(
            f"The subject also contains a UID: {uid}. Kubernetes 1.33 and later use it as the UID of the user.",
            "notice",
        )
    # These rights need no RoleBinding of the cluster's owner.
    if MASTERS in groups:
        say(
            "Attention: system:masters has all permissions, whatever RBAC says, as long as the certificate is valid. "
            "The API server rejects this group for the signer kube-apiserver-client.",
            "bad",
        )
    if name.startswith("system:") and not name.startswith(NODE_PREFIX):
        say(f"Attention: {clean_line(name)} is a component of Kubernetes: the certificate has its permissions.", "bad")


def signed_request(certificate: Certificate, x509: X509, path: Path) -> None:
    """Say where the certificate is, and what to do with it."""
    show_file(path)
    say(f"Valid until {x509.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    next_command(
        "Next, in the folder with the key and the request:",
        "kcert",
        "csr",
        "fetch",
        certificate.name,
        "--file",
        path.name,
    )


def kept(certificate: Certificate, issued: IssuedCertificate, option: str) -> None:
    """Say where the certificate is, whether the CA in the folder has signed it, and what comes next."""
    if issued.verified is False:
        say("The certificate is saved, but the CA of another cluster signed it, not the CA in this folder.", "notice")
    if issued.issuer and (late := issued.x509.outlives(issued.issuer)):
        say_apart(f"The certificate {certificate.name} {ends_late(late, issued.issuer)}", "notice")
    path, x509 = issued.path, issued.x509
    if issued.is_new:
        show_file(path)
    else:
        block([f"{clean_line(str(path))} already is this certificate and is not changed"], "file")
    screen().print()
    with_key = "the key and the request" if issued.key else "the request (the key is not here)"
    say(f"The certificate matches {with_key} and is valid until {x509.not_after:%Y-%m-%d %H:%M:%S} UTC.", "good")
    if certificate.files.kubeconfig and path.name == certificate.files.kubeconfig.name:
        argv = ("kubectl", "--kubeconfig", str(path), "auth", "whoami")
        next_command(f"{path} now contains the key and the certificate. To try it:", *argv)
    elif issued.updated is not None:
        listed = ", ".join(clean_line(str(name)) for name in issued.updated)
        say(
            "The new CA certificate has the same key, so every certificate that the CA signed stays valid. The old CA "
            f"certificate is in the backup.{f' Files with the new one: {listed}.' if listed else ''} Copy the new "
            "files to the hosts, one after the other (`kcert bundle`, `kcert export ansible`), and restart the "
            "components that read them."
        )
    elif x509.ca:
        say("Next, `kcert all` makes the certificates that it signs.")
    elif x509.allows("clientAuth"):
        next_command("Next, put it into a kubeconfig:", "kcert", "kubeconfig", certificate.name, option=option)


def signed_record(name: str, path: Path, x509: X509, *, changed: bool) -> dict[str, object]:
    """Return a certificate that was signed or fetched as JSON has it: its file, and who it makes its owner."""
    return {
        "name": name,
        "path": str(path),
        "changed": changed,
        "subject": str(x509.subject),
        "common_name": x509.subject.common_name,
        "organizations": list(x509.subject.organizations),
        "sans": [str(name) for name in x509.alt_names],
        "not_after": f"{x509.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }
