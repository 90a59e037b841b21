"""``--dry-run``: a bash script that does by hand what kcert would do."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.passphrase import CA_KEY, OWNERS, ROOT_KEY
from kcert.issue.plan import (
    Concatenate,
    ExtractFromKubeconfig,
    Run,
    UpdateKubeconfigs,
    Write,
    WriteKubeconfig,
    role_of,
    serial_file,
)
from kcert.shell import folder_argument, format_command, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path, PurePosixPath

    from kcert.issue.context import IssueContext, Prepared
    from kcert.issue.passphrase import Owner
    from kcert.issue.plan import IssuancePlan, Step
    from kcert.kubeconfig import Swap

WIDTH = 100

_LOCKING = {"-passout", "-pass"}
"""The options of commands that make an encrypted key."""


def show(order: IssueContext, prepared: Prepared, *, explain: bool, returns: bool = False) -> None:
    """Print the script; one that *returns* ends where it began, for another part to follow."""
    lines = list(_lines(order, prepared, explain=explain))
    if returns and prepared.procedures:
        lines += ["", 'cd "$OLDPWD"', ""]
    sys.stdout.write("\n".join(lines) + "\n")


def _lines(order: IssueContext, prepared: Prepared, *, explain: bool) -> Iterator[str]:
    root = quote(folder_argument(order.root))
    cluster = order.cluster
    yield "#!/usr/bin/env bash"
    yield from _comment(f"{order.doing}: cluster {cluster.name}, profile {cluster.profile}, into {order.root}.")
    for standing in prepared.kept:
        reason = f": {standing.reason}" if standing.reason else ""
        yield from _comment(f"{standing.certificate.name} is there ({standing.state.value}{reason}) and is left alone.")
    for remark in prepared.remarks:
        yield from _comment(remark)
    if not prepared.procedures:
        yield from _comment("There is nothing to make.")
        return
    yield "set -euo pipefail"
    yield "umask 077  # whatever is not opened further down is for its owner alone"
    yield from passphrase_asked(step.argv for one in prepared.procedures for step in one.steps if isinstance(step, Run))
    if not order.root.exists():
        yield f"mkdir -p {root}"
    yield f"cd {root}"
    if any(one.replaces for one in prepared.procedures):
        yield from _comment("What is replaced is kept here, by the time.")
        yield "backup=.kcert/backup/$(date -u +%Y-%m-%dT%H-%M-%S.000000Z)"
    for procedure in prepared.procedures:
        yield ""
        yield from _procedure(order.root, procedure, explain=explain)


def _procedure(root: Path, procedure: IssuancePlan, *, explain: bool) -> Iterator[str]:
    certificate, files = procedure.certificate, procedure.certificate.files
    yield f"# --- {certificate.name}: {lessons.lesson(certificate.role).title}"
    if explain:
        yield from _comment(lessons.why(certificate.role))
    for note in procedure.notes:
        yield from _comment(note)
    yield from _folders(path for path in (files.key, files.crt, *files.kept) if path and not path.is_absolute())
    if procedure.replaces:
        yield from _backed_up(root, procedure)
    elif procedure.keeps_key and not procedure.brought:
        yield from _comment(f"{files.key} is there already: it is kept, and certified.")
    for step in procedure.steps:
        if explain:
            yield from _comment(lessons.reason(role_of(certificate, step), step.action))
        yield from _step(step, procedure)
    if certificate.issuer and procedure.issuer:
        yield from _comment("The serial number was drawn at random; the next certificate gets one of its own.")
        yield f"rm -f {quote(str(serial_file(procedure.issuer)))}"
    if files.kubeconfig:
        yield f"rm {quote(str(files.key))} {quote(str(files.crt))}"
    yield from _settled(procedure)


def _settled(procedure: IssuancePlan) -> Iterator[str]:
    """Modes, and an end to what is not needed any more."""
    if procedure.secrets:
        yield f"chmod 600 {' '.join(quote(str(path)) for path in sorted(procedure.secrets))}"
    public = [quote(str(path)) for path in procedure.puts if path not in procedure.secrets]
    if public:
        yield f"chmod 644 {' '.join(public)}"
    gone = [*procedure.retires, *(name for source, name in procedure.copies if name != source)]
    if gone:
        yield f"rm {' '.join(quote(str(path)) for path in gone)}"


def _backed_up(root: Path, procedure: IssuancePlan) -> Iterator[str]:
    """Copies of all that the steps change."""
    files = procedure.certificate.files
    kept = procedure.keeps_key and not files.kubeconfig
    names = [
        path
        for path in (*procedure.puts, *procedure.retires)
        if (root / path).exists() and not (kept and path == files.key)
    ]
    for path in names:
        folder = quote(str(path.parent)) if str(path.parent) != "." else ""
        place = f'"$backup"/{folder}'
        yield f"mkdir -p {place} && cp -p {quote(str(path))} {place}"
    for source, name in procedure.copies:
        if source != name:
            yield f"cp {quote(str(source))} {quote(str(name))}"


def _folders(paths: Iterable[PurePosixPath]) -> Iterator[str]:
    """The folders below the PKI folder, open as those of /etc/kubernetes are."""
    folders = sorted({str(parent) for path in paths for parent in path.parents if str(parent) != "."})
    if folders:
        names = " ".join(quote(folder) for folder in folders)
        yield f"mkdir -p {names}"
        yield f"chmod 755 {names}"


def _step(step: Step, procedure: IssuancePlan) -> Iterator[str]:
    if isinstance(step, Run):
        yield format_command(step.argv, WIDTH)
    elif isinstance(step, Write):
        yield from here_document(str(step.path), step.text)
    elif isinstance(step, WriteKubeconfig):
        yield f"cat > {quote(str(step.path))} <<EOF"
        yield step.kubeconfig.embedded(lambda name: f"$(base64 < {quote(str(name))} | tr -d '\\n')").rstrip("\n")
        yield "EOF"
    elif isinstance(step, ExtractFromKubeconfig):
        found = f"sed -n 's/^ *{step.part}-data: *//p' {quote(str(step.source))} | head -n 1"
        yield f"{found} | base64 -d > {quote(str(step.path))}"
    elif isinstance(step, Concatenate):
        yield f"cat {' '.join(quote(str(part)) for part in step.parts)} > {quote(str(step.path))}"
    else:
        yield from _rewritten(step, procedure)


def _rewritten(step: UpdateKubeconfigs, procedure: IssuancePlan) -> Iterator[str]:
    """A kubeconfig is edited from its copy, line by line."""
    for path in step.paths:
        edits = " ".join(f'-e "{_edit(swap, procedure)}"' for swap in step.swaps)
        yield f'sed {edits} "$backup"/{quote(str(path))} > {quote(str(path))}'


def _edit(swap: Swap, procedure: IssuancePlan) -> str:
    """What sed has to do. An old certificate is public and may stand in the script; an old key may not."""
    new = f"$(base64 < {quote(str(swap.new))} | tr -d '\\n')"
    if swap.part != "client-key":
        old = "\\|".join(swap.old)
    elif procedure.certificate.files.kubeconfig:
        old = ".*"  # its own kubeconfig holds no other
    else:
        old = f"$(base64 < \"$backup\"/{quote(str(swap.new))} | tr -d '\\n')"
    return f"s|\\({swap.part}-data: *\\)\\({old}\\)|\\1{new}|"


def passphrase_asked(commands: Iterable[Sequence[str]]) -> Iterator[str]:
    """Bash lines that ask for the passphrase of the CA's key, and of the root's, where one of *commands* looks for it.

    From the terminal, because the script itself may come through standard input; and twice where a key is to be locked
    with it. Without IFS= the blanks around it would be lost.
    """
    commands = list(commands)
    for owner in OWNERS:
        looking = [argv for argv in commands if owner.in_environment in argv]
        if looking:
            yield from _asked(owner, twice=any(_LOCKING & set(argv) for argv in looking))


def _asked(owner: Owner, *, twice: bool) -> Iterator[str]:
    name = owner.variable
    if owner is ROOT_KEY:
        yield f': "${{{name}:=${{{CA_KEY.variable}:-}}}}"  # one that is told for the CA alone serves the root as well'
    yield f'if [ -z "${{{name}:-}}" ]; then'
    yield f'    IFS= read -rsp "Passphrase of {owner.whose} key: " {name} < /dev/tty'
    yield "    echo >&2"
    if twice:
        yield '    IFS= read -rsp "The same again: " again < /dev/tty'
        yield "    echo >&2"
        yield f'    [ "$again" = "${name}" ] || {{ echo "The two differ: nothing was made." >&2; exit 2; }}'
    yield "fi"
    yield f"export {name}  # openssl finds it there (-passin {owner.in_environment}); nobody else sees it"


def here_document(path: str, text: str) -> Iterator[str]:
    """Bash lines that write *text* into the file at *path*, whatever stands in it."""
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    yield f"cat > {quote(path)} <<'{end}'"
    yield text.rstrip("\n")
    yield end


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
