"""``--dry-run``: a bash script that does by hand what kcert would do."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from kcert import lessons
from kcert.issue.context import CA_KEY, OWNERS, ROOT_KEY, Reporter
from kcert.issue.steps import WIDTH
from kcert.quoting import folder_argument, quote
from kcert.ui.console import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path, PurePosixPath

    from kcert.issue.context import Context, Owner, Work
    from kcert.issue.plan import IssuancePlan

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
        sys.stdout.write("\n".join(lines) + "\n")


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
    yield from _folders(path for path in (files.key, files.crt, *files.kept) if path and not path.is_absolute())
    if plan.replaces:
        yield from _backed_up(root, plan)
    elif plan.keeps_key and not plan.is_import:
        yield from _comment(f"{files.key} is there already: it is kept, and certified.")
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
        place = f'"$backup"/{folder}'
        yield f"mkdir -p {place} && cp -p {quote(str(path))} {place}"
    for source, name in plan.copies:
        if source != name:
            yield f"cp {quote(str(source))} {quote(str(name))}"


def _folders(paths: Iterable[PurePosixPath]) -> Iterator[str]:
    """Make the folders below the PKI folder, open as those of /etc/kubernetes are."""
    folders = sorted({str(parent) for path in paths for parent in path.parents if str(parent) != "."})
    if folders:
        names = " ".join(quote(folder) for folder in folders)
        yield f"mkdir -p {names}"
        yield f"chmod 755 {names}"


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


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        clean(" ".join(text.split())), WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
