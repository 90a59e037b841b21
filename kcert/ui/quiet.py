"""Reporters that explain nothing: one line for each certificate, JSON, or the bash script of ``--dry-run``."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.context import Context, Issued, Reporter, Result, Work
from kcert.issue.passphrases import CA_KEY, OWNERS, ROOT_KEY, Owner
from kcert.issue.status import CertificateStatus, State
from kcert.quoting import folder_argument, quote
from kcert.ui import in_no_group, print_json, print_lines, without_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from kcert.config import Cluster
    from kcert.issue.context import IssuancePlan


class Quiet(Reporter):
    """Prints a plain line for each certificate, in the order of the plan; rich is not even imported for that."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._order: list[str] = []
        self._finished = 0
        self._issued: list[Issued] = []
        self._cluster: Cluster | None = None
        self._counts = sys.stderr.isatty()
        self._statuses: Sequence[CertificateStatus] = ()
        self._option = ""

    def on_lock_wait(self, holder: str) -> None:
        """Say who holds the folder."""
        self._note(f"waiting for another kcert in this folder: {ascii(holder)[1:-1]}.")

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Print the lines of the certificates that are kept."""
        self._cluster = cluster = ctx.cluster
        if cluster.defaults and not cluster.source:
            self._note(f"no kcert.yaml, so kcert uses the built-in example: {', '.join(cluster.defaults)}.")
        for remark in work.remarks:
            self._note(remark)
        self._order = [status.certificate.name for status in work.statuses]
        for status in work.kept:
            fix = f": {status.reason} ({status.fix_command(ctx.signing_option)})"
            state = status.state.value + ("" if status.state is State.CURRENT else fix)
            self._lines[status.certificate.name] = f"kept  {status.certificate.name}  {state}"
        self._print()

    def on_issued(self, issued: Issued) -> None:
        """Print the line of a certificate, after all those before it."""
        plan, certificate = issued.plan, issued.plan.certificate
        until = f"until {issued.x509.not_after:%Y-%m-%d}" if issued.x509 else without_end(certificate)
        cut = f"  (the rest of its CA's lifetime: {plan.days} days)" if plan.days < certificate.days else ""
        verb = "renewed" if plan.replaces else "made"
        self._lines[certificate.name] = f"{verb}  {certificate.name}  {until}  {certificate.files.primary}{cut}"
        self._finished += 1
        self._issued.append(issued)
        self._print()

    def on_end(self, result: Result | None, /) -> None:  # noqa: ARG002 - as the reporter
        """Delete the counter, and name users without a group."""
        self._clear()
        if self._cluster and (words := in_no_group(self._cluster, self._issued)):
            self._note(words)

    def _note(self, text: str) -> None:
        """Print a remark on standard error, apart from the lines; on a terminal wrapped to its width."""
        line = f"kcert: {text}"
        if sys.stderr.isatty():
            line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _print(self) -> None:
        self._clear()
        while self._order and self._order[0] in self._lines:
            sys.stdout.write(self._lines.pop(self._order.pop(0)) + "\n")
        sys.stdout.flush()
        if self._counts and self._order:
            sys.stderr.write(f"{self._finished} made, {len(self._order)} to go")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._counts:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Json(Quiet):
    """Prints a JSON list with an object for each certificate, when all of them are issued."""

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Keep the order of the plan, and what is not issued again."""
        self._cluster = ctx.cluster
        self._statuses = work.statuses
        self._option = ctx.signing_option
        for remark in work.remarks:
            self._note(remark)

    def on_issued(self, issued: Issued) -> None:
        """Keep the certificate for the end."""
        self._issued.append(issued)

    def on_end(self, result: Result | None, /) -> None:
        """Print the list; after a failure, the list of what was issued before it."""
        issued = {result.plan.certificate.name: result for result in self._issued}
        records = []
        for status in self._statuses:
            made = issued.get(status.certificate.name)
            if made or (result and status in result.kept):
                records.append(_record(status, made, self._option))
        print_json(records)
        if words := in_no_group(self._cluster, self._issued) if self._cluster else "":
            self._note(words)


def _record(status: CertificateStatus, issued: Issued | None, folder_option: str) -> dict[str, object]:
    """Return a certificate as JSON: what was done, its state before, and its files."""
    spec = issued.plan.certificate if issued else status.certificate
    x509 = issued.x509 if issued else status.x509
    action = "kept" if issued is None else "renewed" if issued.plan.replaces else "made"
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "action": action,
        "state": State.CURRENT.value if issued else status.state.value,
        "reason": None if issued else status.reason or None,
        "fix": None if issued or status.state is State.CURRENT else status.fix_command(folder_option),
        "not_after": f"{x509.not_after:%Y-%m-%dT%H:%M:%SZ}" if x509 else None,
        "files": [str(path) for path in spec.files.kept],
    }


_LOCKING = {"-passout", "-pass"}
"""The options of commands that make an encrypted key."""


class Script(Reporter):
    """Prints the plans as a script; one that *returns* ends where it began, for another part to follow."""

    executes = False

    def __init__(self, *, explain: bool, returns: bool) -> None:
        self._explain = explain
        self._returns = returns

    def on_plan(self, ctx: Context, work: Work) -> None:
        """Print the script."""
        lines = list(_lines(ctx, work, explain=self._explain))
        if self._returns and work.plans:
            lines += ["", 'cd "$OLDPWD"', ""]
        print_lines(lines)


def _lines(ctx: Context, work: Work, *, explain: bool) -> Iterator[str]:
    root = quote(folder_argument(ctx.root))
    cluster = ctx.cluster
    yield "#!/usr/bin/env bash"
    what = f"cluster {cluster.name}, profile {cluster.profile}, into" if cluster.profile else "in"
    yield from _comment(f"{ctx.command}: {what} {ctx.root}.")
    for status in work.kept:
        reason = f": {status.reason}" if status.reason else ""
        yield from _comment(f"{status.certificate.name} exists ({status.state.value}{reason}) and is not changed.")
    for remark in work.remarks:
        yield from _comment(remark)
    if not work.plans:
        yield from _comment("There is nothing to create.")
        return
    yield "set -euo pipefail"
    yield "umask 077  # new files are readable only by their owner unless changed below"
    yield from passphrase_asked(step.argv for plan in work.plans for step in plan.steps)
    if not ctx.root.exists():
        yield f"mkdir -p {root}"
    yield f"cd {root}"
    if any(plan.replaces for plan in work.plans):
        yield from _comment("What is replaced is kept here, by the time.")
        yield "backup=.kcert/backup/$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"
    for plan in work.plans:
        yield ""
        yield from _plan(ctx.root, plan, explain=explain)


def _plan(root: Path, plan: IssuancePlan, *, explain: bool) -> Iterator[str]:
    certificate, files = plan.certificate, plan.certificate.files
    yield f"# --- {certificate.name}: {lessons.lesson(certificate.role).title}"
    if explain:
        yield from _comment(lessons.why(certificate.role))
    for note in plan.notes:
        yield from _comment(note)
    paths = [path for path in (files.key, files.crt, *files.kept) if path and not path.is_absolute()]
    folders = sorted({str(parent) for path in paths for parent in path.parents if str(parent) != "."})
    if folders:  # below the PKI folder they are open, as those of /etc/kubernetes are
        names = " ".join(quote(folder) for folder in folders)
        yield f"mkdir -p {names}"
        yield f"chmod 755 {names}"
    if plan.replaces:
        yield from _backed_up(root, plan)
    elif plan.keeps_key and not plan.is_import:
        yield from _comment(f"{files.key} exists already: it is kept, and gets a certificate.")
    for step in plan.steps:
        if explain:
            yield from _comment(lessons.reason(plan.role_of(step), step.action))
        yield from step.shell
    if certificate.issuer and plan.issuer and plan.issuer.files.crt:
        yield from _comment("The serial number was drawn at random; the next certificate gets one of its own.")
        # -CAcreateserial names it like the CA's file.
        yield f"rm -f {quote(str(plan.issuer.files.crt.with_suffix('.srl')))}"
    if files.kubeconfig:
        yield f"rm {quote(str(files.key))} {quote(str(files.crt))}"
    yield from _settled(plan)


def _settled(plan: IssuancePlan) -> Iterator[str]:
    """Set the modes, and delete what is not needed any more."""
    if plan.secrets:
        yield f"chmod 600 {' '.join(quote(str(path)) for path in sorted(plan.secrets))}"
    public = [quote(str(path)) for path in plan.outputs if path not in plan.secrets]
    if public:
        yield f"chmod 644 {' '.join(public)}"
    gone = [*plan.removes, *(name for source, name in plan.copies if name != source)]
    if gone:
        yield f"rm {' '.join(quote(str(path)) for path in gone)}"


def _backed_up(root: Path, plan: IssuancePlan) -> Iterator[str]:
    """Copy all that the steps change into the backup."""
    files = plan.certificate.files
    kept = plan.keeps_key and not files.kubeconfig
    names = [
        path for path in (*plan.outputs, *plan.removes) if (root / path).exists() and not (kept and path == files.key)
    ]
    for path in names:
        folder = quote(str(path.parent)) if str(path.parent) != "." else ""
        target = f'"$backup"/{folder}'
        yield f"mkdir -p {target} && cp -p {quote(str(path))} {target}"
    for source, name in plan.copies:
        if source != name:
            yield f"cp {quote(str(source))} {quote(str(name))}"


def passphrase_asked(commands: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield bash lines that ask for the passphrases of CA keys that *commands* look for.

    From the terminal, because the script itself may come through standard input; and twice if a key is to be locked
    with it. Without IFS= the blanks around it would be lost.
    """
    commands = list(commands)
    for owner in OWNERS:
        matching = [argv for argv in commands if owner.in_environment in argv]
        if matching:
            yield from _asked(owner, twice=any(_LOCKING & set(argv) for argv in matching))


def _asked(owner: Owner, *, twice: bool) -> Iterator[str]:
    name = owner.variable
    if owner is ROOT_KEY:
        yield f': "${{{name}:=${{{CA_KEY.variable}:-}}}}"  # the passphrase of the CA key also opens the root CA key'
    yield f'if [ -z "${{{name}:-}}" ]; then'
    yield f'    IFS= read -rsp "Passphrase of {owner.whose} key: " {name} < /dev/tty'
    yield "    echo >&2"
    if twice:
        yield '    IFS= read -rsp "Repeat the passphrase: " again < /dev/tty'
        yield "    echo >&2"
        yield f'    [ "$again" = "${name}" ] || {{ echo "The passphrases differ: nothing was made." >&2; exit 2; }}'
    yield "fi"
    yield f"export {name}  # openssl reads it from there (-passin {owner.in_environment}); no other process sees it"


def _comment(text: str) -> list[str]:
    from kcert.ui.console import comment  # with rich, which the other reporters do without

    return comment(text)
